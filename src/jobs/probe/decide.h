/*
 * Drives the decision machine (core/dane/decision.h) with real answers: DNS questions go to the
 * validating resolver, questions about DER to edge/tls.
 */
#pragma once

#include "core/dane/decision.h"
#include "edge/dns/resolver.h"

struct probe_decide;

/*
 * Called once, never from within probe_decide_new. The machine has its result; it belongs to `p`.
 * `p` must outlive the call: free it by io_defer or later.
 */
typedef void probe_decide_fn(void *arg, struct dane_decider *d);

/*
 * At `deadline` (io_now's clock; USEC_NEVER: none) whatever is still open is answered as failed, so
 * that a result always comes.
 */
struct probe_decide *probe_decide_new(struct io_loop *l, struct dns_resolver *r,
				      const struct dane_request *request, usec_t deadline,
				      probe_decide_fn *fn, void *arg);
/*
 * Memory that decisions which are under way at the same time share. An answer for which there is no
 * room is taken as failed (struct dane_answer, `late`): the decision is to defer. What is within
 * its own share always has room, so that a few huge domains do harm to none but themselves.
 */
struct probe_room {
	size_t max;   /* octets of all, about, without what is within the shares */
	size_t share; /* of each */
	size_t held;  /* now */
};

/* Before the first answer. `room` outlives `p`. */
void probe_decide_within(struct probe_decide *p, struct probe_room *room);

/* The machine that it drives. */
const struct dane_decider *probe_decide_decider(const struct probe_decide *p);

/* Open questions are cancelled; no call comes afterwards. */
struct probe_decide *probe_decide_free(struct probe_decide *p);
