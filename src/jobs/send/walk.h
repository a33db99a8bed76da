/*
 * Inside jobs/send: the way through a destination's hosts and addresses. Hosts in order of
 * preference, equals shuffled (RFC 5321 section 5.1; M15, M16); of each host its addresses, IPv6
 * first; so many at most as send.h says.
 */
#pragma once

#include "base/arena.h"
#include "core/dane/decision.h"
#include "jobs/probe/session.h"

struct send_walk {
	const struct dane_decision *decision;
	size_t *order; /* of hosts */
	size_t at;     /* in it */
	size_t address;
	size_t n_tried; /* addresses so far; the number of the present attempt */
};

/* Borrows the decision. `order` lives in the arena. */
void send_walk_begin(struct send_walk *w, struct arena *a, const struct dane_decision *decision);
/*
 * The next host and address to try; NULL: none is left. `*ret_address` NULL: this host cannot be
 * reached, on DNS grounds; its own turn is over with that.
 */
const struct dane_host *send_walk_next(struct send_walk *w, const char **ret_address);
/* The i-th address of a host to try: IPv6 first, then IPv4; within a family as answered. */
const char *send_walk_address(const struct dane_host *h, size_t i);

/* "host[address]:port", or "[address]:port" where the host is the address. */
const char *send_where(struct arena *a, const struct probe_target *t);
/* The status of a host that is passed over. */
const char *send_skip_status(const struct dane_host *h);
