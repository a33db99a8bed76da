/*
 * Where the walk of a name may begin below the root: the zone that holds the name, its DS and its
 * name servers, as the validating resolver has them. So the servers of the root and of top-level
 * domains are not asked again for every domain of a long list; what they have is in the cache.
 */
#pragma once

#include "edge/dns/resolver.h"
#include "jobs/check/chain.h"

enum check_start_result {
	CHECK_START_FOUND,
	CHECK_START_BROKEN, /* bogus or no answer: only a walk from the root tells why */
	CHECK_START_NONE,   /* in no zone below a top-level domain: not the operator's to mend */
};

struct check_start;

/* `trust` is the finder's, and lives as long; filled in when it is found. */
typedef void check_start_fn(void *arg, enum check_start_result result,
			    const struct check_trust *trust);

/*
 * `name`: not the root. The callback comes once, never before check_start_new returns; it may
 * free the finder.
 */
struct check_start *check_start_new(struct dns_resolver *r, const char *name, check_start_fn *fn,
				    void *arg);
struct check_start *check_start_free(struct check_start *s);
