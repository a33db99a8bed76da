/*
 * Walks of the chains of many mail domains. A walk is heavy (chain.h bounds it), so its result
 * (servers.h) is made at its end and the rest is let go.
 *
 * Of a few domains each is walked from the root, one walk a domain, so many at a time.
 *
 * Of a long list each is walked from its own zone down (start.h). A zone is looked at once for all
 * names in it (zones.h), and so is an MX host that is in another zone than the domain; what was
 * found is kept (shelf.h). With one name server there is one walk at a time, a few with a network
 * (places.h).
 */
#pragma once

#include "jobs/check/servers.h"

enum {
	CHECK_WALKS_FROM_ROOT = 8,             /* at a time */
	CHECK_WALKS_BELOW = 200,               /* so too */
	CHECK_WALKS_NETWORK = 8,               /* with one /24 or /48 at a time */
	CHECK_WALKS_QUESTIONS = 1000,          /* sockets of all */
	CHECK_WALKS_HOSTS = 20,                /* in other zones, of one domain */
	CHECK_WALKS_KEPT = 5000,               /* zones; so many hosts too */
	CHECK_WALKS_WEIGHT = 64 * 1024 * 1024, /* octets of all zones, about; so many of hosts */
	CHECK_WALKS_RESULTS = 2 + 2 * CHECK_WALKS_HOSTS,
};

struct check_walks_options {
	struct check_trust trust; /* the root's; borrowed */
	bool many;                /* not from the root */
	usec_t question;          /* time for one question to one server */
	usec_t timeout;           /* of one walk */
	unsigned detail;          /* check_chain_report */
};

struct check_walk_ops {
	/* It is under way: until here others were waited for. May come from ask. */
	void (*begun)(void *arg);
	/* The results are the callee's now, the list is not. Never from ask; the walk is gone. */
	void (*done)(void *arg, struct check_servers *const *list, size_t n);
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
/* What others want goes on. NULL is fine. */
struct check_walk *check_walks_cancel(struct check_walk *walk);
