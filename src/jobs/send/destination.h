/* Inside jobs/send: one destination of a delivery, from its decision to its recipients' fates. */
#pragma once

#include "base/arena.h"
#include "jobs/probe/decide.h"
#include "jobs/probe/session.h"
#include "jobs/send/envelope.h"
#include "jobs/send/meaning.h"
#include "jobs/send/send.h"
#include "jobs/send/walk.h"

struct destination {
	struct send *send;
	struct destination *next;
	struct dane_request request;
	struct send_envelope *envelopes;
	size_t n_envelopes;

	struct probe_decide *decide;
	const struct dane_decision *decision;
	struct send_walk walk;
	const struct dane_host *host; /* being tried */
	const char *address;
	bool clear; /* this address once more, without TLS */

	struct probe_target target;
	struct probe_session *session;
	struct send_attempt *attempt;
	struct send_envelope **batch; /* of the transaction under way */
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
