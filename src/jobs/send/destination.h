/* Inside jobs/send: one destination of a delivery, from its decision to its recipients' fates. */
#pragma once

#include "base/arena.h"
#include "jobs/probe/decide.h"
#include "jobs/probe/session.h"
#include "jobs/send/send.h"

/* A recipient of this destination on its way. */
struct envelope {
	struct send_recipient *out;
	bool final;            /* nothing more is tried for it */
	size_t tried_in;       /* the attempt (n_tried) that last asked for it */
	size_t answered_in;    /* the attempt that its present fate comes from */
	const char *dane;      /* the first 4.7.32x met, by order of hosts */
	const char *dane_text; /* its detail */
	const char *other;     /* another 4.x.x, the last one */
	const char *other_text;
};

struct destination {
	struct send *send;
	struct destination *next;
	struct dane_request request;
	struct envelope *envelopes;
	size_t n_envelopes;

	struct probe_decide *decide;
	const struct dane_decision *decision;
	size_t *order; /* of hosts */
	size_t host, address;
	size_t n_tried;
	bool clear; /* this address once more, without TLS */

	struct probe_target target;
	struct probe_session *session;
	struct send_attempt *attempt;
	struct envelope **batch; /* of the transaction under way */
	size_t n_batch;
	uint64_t body_at;
	struct io_timer *step; /* what follows an ended session, outside its callback */
	bool done;
};

struct send {
	struct send_env env;
	const struct send_message *message;
	const struct send_options *options;
	send_fn *fn;
	void *arg;
	struct arena arena;
	struct destination *destinations;
	size_t n_open; /* destinations not done */
	struct io_timer *deadline, *end;
	struct send_recipient *recipients;
	struct send_attempt **attempts;
	size_t n_attempts, room;
	struct send_result result;
};

void send_destination_begin(struct destination *d);
/* Time is over: every recipient without a fate is deferred. */
void send_destination_give_up(struct destination *d);
void send_destination_done(struct destination *d); /* frees what it holds, not itself */

/* By send.c: the destination is done. */
void send_destination_ended(struct destination *d);
struct send_attempt *send_attempt_new(struct send *s, const struct destination *d,
				      const struct dane_host *host);

/* What a session's end means, where it left recipients without a reply. */
struct send_meaning {
	const char *status; /* 4.x.x */
	const char *tlsrpt; /* or NULL */
	const char *reply;  /* or NULL */
	const char *text;   /* the sub-reason */
};
struct send_meaning send_meaning_of(struct arena *a, const struct probe_report *r,
				    enum dane_level level);
/* "5.1.1" of the server; `class` from the fate, should the server have given another. */
const char *send_status(struct arena *a, struct smtp_status status, enum smtp_fate fate);
