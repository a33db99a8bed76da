/*
 * One walk of walks.h: its place among the others, the chain, the result. Only walks.c and zones.c
 * use it.
 */
#pragma once

#include "jobs/check/places.h"
#include "jobs/check/walks.h"

struct check_trips; /* what all trips share: limits, sockets */
struct check_trip;

enum check_trip_kind {
	CHECK_TRIP_MAIL, /* a mail domain, from the root or from its zone down */
	CHECK_TRIP_HOST, /* an MX host, from its zone down */
	CHECK_TRIP_ZONE, /* the zone `top` itself */
};

struct check_trip_ops {
	void (*begun)(void *arg); /* it has its place; NULL: of no interest */
	/* The chain is over, and lent for the call. */
	void (*done)(void *arg, const struct check_chain *chain);
};

struct check_trips *check_trips_new(struct io_loop *l, struct dns_resolver *r,
				    const struct check_walks_options *o);
struct check_trips *check_trips_free(struct check_trips *t);
unsigned check_trips_detail(const struct check_trips *t); /* of the options */

/* `trust`: is copied; NULL: from the root. `done` does not come from here, `begun` may. */
struct check_trip *check_trip_new(struct check_trips *t, enum check_trip_kind kind,
				  const char *name, const struct check_trust *trust,
				  const struct check_trip_ops *ops, void *arg);
/* Nothing is called any more; not after `done`, by which it is gone. NULL is fine. */
struct check_trip *check_trip_free(struct check_trip *t);
