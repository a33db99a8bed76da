/*
 * Who may connect now: one session with an address at a time, a few with a network (/24, /48), and
 * so many in all. What must wait does so in the order of asking within its address; addresses of a
 * network take turns, and so do networks, so that one slow provider keeps nobody else waiting.
 *
 * No clock, no socket: whoever asks embeds a struct check_place, and is told by `begin`.
 */
#pragma once

#include <netinet/in.h>

#include "base/base.h"

struct check_places;

struct check_place {
	struct check_place *next;  /* of those that wait for the address */
	struct check_place_at *at; /* the address; NULL: neither waits nor has a place */
	bool has;
};

/* It has its place now. From within check_places_ask, _give_back or _cancel. */
typedef void check_place_fn(struct check_place *place);

struct check_places_limits {
	size_t all, network; /* at least 1 each */
};

struct check_places *check_places_new(const struct check_places_limits *limits,
				      check_place_fn *begin);
/* Nobody may wait or have a place any more. */
struct check_places *check_places_free(struct check_places *p);

/* `place` is zero-initialised, and lives until it is given back or cancelled. */
void check_places_ask(struct check_places *p, struct check_place *place, const char *address);
/* Gives a place back, or takes it out of those that wait; fine if neither. */
void check_places_give_back(struct check_places *p, struct check_place *place);

/* How many have one now. */
size_t check_places_taken(const struct check_places *p);
