/* The inside of the decision machine, shared by decision.c (the destination) and host.c. */
#pragma once

#include "base/arena.h"
#include "core/dane/decision.h"

/* The enhanced status code when the time for the whole is over. */
#define DANE_STATUS_LATE "4.4.2"

/* Where a host stands. Each waits for the answers named. */
enum host_state {
	HOST_IDLE,      /* its turn has not come */
	HOST_ADDRESSES, /* A and AAAA: A1 */
	HOST_ALIAS,     /* the extra CNAME question: A14 */
	HOST_TLSA,      /* TLSA at candidate `candidate` */
	HOST_DER,       /* the looks into matching-type-0 data */
	HOST_DONE,
};

struct host {
	struct dane_host out;
	enum host_state state;
	struct query *a, *aaaa, *cname, *tlsa;
	const char *candidates[2]; /* TLSA base domains to try, in order */
	size_t n_candidates, candidate;
	struct dane_record *records; /* == out.records */
	size_t der_waiting;
};

/* A question handed out, or to be, with its answer: the evidence is the list of these. */
struct query {
	struct query *next;
	struct dane_question question;
	struct host *host;          /* NULL: the MX question */
	struct dane_record *record; /* the one a DER question is about */
	const struct dane_answer *answer;
	bool der_known, der_well_formed;
};

enum decider_state {
	DECIDER_MX,
	DECIDER_HOSTS,
	DECIDER_DONE,
};

struct dane_decider {
	struct arena arena;
	struct dane_request request;
	enum decider_state state;
	struct query *first, **last, *unasked;
	struct query **by_id;
	uint32_t n_queries, room;
	struct query *mx;
	struct host *hosts;
	size_t next_host, n_active, n_done;
	bool want_tlsa;       /* DANE may apply to hosts of this destination */
	const char *no_tlsa;  /* else why not, a sentence's end */
	const char *expanded; /* the CNAME-expanded next-hop domain, NULL if no alias: N3 */
	struct dane_decision out;
};

struct query *dane_decider_ask(struct dane_decider *d, struct host *h, const char *name,
			       uint16_t type);
struct query *dane_decider_ask_der(struct dane_decider *d, struct host *h, struct dane_record *r);

/* Sets the host in motion, and on after each answer, until its state is HOST_DONE. */
void dane_host_begin(struct dane_decider *d, struct host *h);
void dane_host_answered(struct dane_decider *d, struct host *h);
