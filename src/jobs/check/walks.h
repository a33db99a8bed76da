/*
 * Walks of the chains of many mail domains: so many at a time, the others wait in the order of
 * asking. A walk is heavy (chain.h bounds it), so its result (servers.h) is made at its end and the
 * rest is let go.
 */
#pragma once

#include "jobs/check/servers.h"

enum {
	CHECK_WALKS_AT_A_TIME = 8,
};

struct check_walks_options {
	struct check_trust trust; /* borrowed */
	usec_t question;          /* time for one question to one server */
	usec_t timeout;           /* of one walk */
	unsigned detail;          /* check_chain_report */
};

struct check_walk_ops {
	/* It is under way: until here others were waited for. May come from ask. */
	void (*begun)(void *arg);
	/* `s` is the callee's now. Never from ask; the walk is gone. */
	void (*done)(void *arg, struct check_servers *s);
};

struct check_walks;
struct check_walk;

/* Borrows the loop and the resolver. */
struct check_walks *check_walks_new(struct io_loop *l, struct dns_resolver *r,
				    const struct check_walks_options *o);
/* Nobody may wait any more. */
struct check_walks *check_walks_free(struct check_walks *w);

/* Every name server of the mail domain's zones. `domain` is copied. */
struct check_walk *check_walks_ask(struct check_walks *w, const char *domain,
				   const struct check_walk_ops *ops, void *arg);
/* NULL is fine. */
struct check_walk *check_walks_cancel(struct check_walk *walk);
