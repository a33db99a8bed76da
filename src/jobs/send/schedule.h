/*
 * When a parcel is tried again, how much is under way to one destination at a time, and whose turn
 * it is. Pure: the time and random numbers are arguments. Unix time for parcels, any clock for
 * paces; microseconds.
 */
#pragma once

#include "base/when.h"

/* -------- parcels */

struct send_schedule {
	const usec_t *retry; /* waits between tries; the last one again and again */
	size_t n_retry;      /* at least one */
	usec_t lifetime;
	usec_t dane_lifetime; /* of what is kept back by a DANE failure; longer than `lifetime`
				 counts as that */
};

/* When trying a recipient ends. */
usec_t send_schedule_end(const struct send_schedule *s, usec_t arrived, bool dane);
/*
 * The next try after `attempts` of them (from 1 on): the wait, up to an eighth longer by `random`
 * (so that what failed together does not come back together), but not beyond `end`: the last try
 * is made when the lifetime is over.
 */
usec_t send_schedule_next(const struct send_schedule *s, unsigned attempts, usec_t now, usec_t end,
			  uint32_t random);

/* -------- destinations */

enum {
	SEND_PACE_FIRST = 5,     /* under way at a time, before anything is known */
	SEND_PACE_CLOSED_S = 30, /* after the first failure; doubles with each */
};

/*
 * Of one destination or one address: slow start, and back-off after a failure to connect. A
 * failure closes it for a while; then one alone may try, and its success opens it again.
 */
struct send_pace {
	unsigned limit;    /* 0: nothing has happened yet */
	unsigned good;     /* successes since it changed */
	unsigned failures; /* in a row */
	usec_t closed_until;
};

/* Whether one more may begin while `under_way` are. `max`: the configured limit, at least 1. */
bool send_pace_allows(const struct send_pace *p, unsigned under_way, unsigned max, usec_t now);
bool send_pace_is_closed(const struct send_pace *p, usec_t now);
/* It answers: whatever was closed is open. */
void send_pace_reached(struct send_pace *p);
/* So, and the limit grows by one when as many as it says have succeeded. */
void send_pace_succeeded(struct send_pace *p, unsigned max);
/*
 * The limit is halved, and nothing is begun for a while, `most` (and an eighth) at most. Failures
 * of what began before the door was closed are one failure: they do not make the while longer.
 */
void send_pace_failed(struct send_pace *p, usec_t now, usec_t most, uint32_t random);
/* The other side takes no more than `under_way` just now: no failure, but a limit. */
void send_pace_full(struct send_pace *p, unsigned under_way);

/* -------- whose turn it is */

enum {
	SEND_TURNS = 16,
};

/* Who was served last; zero-initialised memory: nobody. */
struct send_turns {
	uint64_t last[SEND_TURNS]; /* 0: nobody */
	size_t at;
};

/*
 * Which of `n` (at least 1) that wait is served: the first of him who was served longest ago, so
 * that one who sends a thousand does not keep back another's one. `who`: not 0.
 */
size_t send_turns_take(struct send_turns *t, const uint64_t *who, size_t n);
