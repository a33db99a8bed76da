/*
 * Things that are made once and shared by name: who wants one takes it from the shelf, waits until
 * it is made, and gives it back. What nobody wants is kept, up to a number and a weight; the least
 * recently used goes first. What nobody wants before it is made is dropped.
 *
 * A thing embeds a struct check_shared as its first member. No clock, no I/O.
 */
#pragma once

#include "base/base.h"

struct check_shelf;
struct check_shared;

/* One who waits; part of what waits. */
struct check_waiter {
	void (*made)(void *arg);
	void *arg;
	struct check_shared *at; /* NULL: does not wait */
	struct check_waiter *previous, *next;
};

struct check_shared {
	const char *name; /* the thing's own memory */
	struct check_shelf *shelf;
	bool made;
	size_t wanted, weight;
	struct check_waiter *waiting;
	struct check_shared *older, *newer;
};

/* Frees a thing that nobody wants. */
typedef void check_shelf_drop_fn(struct check_shared *s);

struct check_shelf *check_shelf_new(size_t number, size_t weight, check_shelf_drop_fn *drop);
/* Nobody may want anything any more. */
struct check_shelf *check_shelf_free(struct check_shelf *shelf);

/* NULL: it is not there, make it. What is returned is wanted, until it is given back. */
struct check_shared *check_shelf_take(struct check_shelf *shelf, const char *name);
/* A new one, wanted; `s->name` is set and not there yet. */
void check_shelf_add(struct check_shelf *shelf, struct check_shared *s);
/* Not of one that is made. The waiter is set up but for the list. */
void check_shelf_wait(struct check_shared *s, struct check_waiter *w);
/* `weight`: octets, about. Calls all who wait; each may give back what it wants. */
void check_shelf_made(struct check_shared *s, size_t weight);
/* `w`: may wait for it, or NULL. */
void check_shelf_give_back(struct check_shared *s, struct check_waiter *w);
