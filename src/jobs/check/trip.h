/*
 * One walk of walks.h: where it begins, its place among the others, the chain, the result. Only
 * walks.c uses it.
 */
#pragma once

#include "jobs/check/start.h"
#include "jobs/check/walks.h"

struct check_trips; /* what all trips share: limits, sockets */
struct check_trip;

/*
 * `servers`: the callee's; NULL: there is nothing to ask. `hosts`: MX hosts of other zones, the
 * trip's, for the call.
 */
struct check_trip_ops {
	void (*begun)(void *arg);
	void (*done)(void *arg, struct check_servers *servers, const char *const *hosts, size_t n);
};

struct check_trips *check_trips_new(struct io_loop *l, struct dns_resolver *r,
				    const struct check_walks_options *o);
struct check_trips *check_trips_free(struct check_trips *t);

/* `name`: a mail domain or, if `host`, an MX host. Neither callback comes from here. */
struct check_trip *check_trip_new(struct check_trips *t, const char *name, bool host,
				  const struct check_trip_ops *ops, void *arg);
/* Nothing is called any more; fine within its callbacks too. NULL is fine. */
struct check_trip *check_trip_free(struct check_trip *t);
