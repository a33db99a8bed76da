/* Inside jobs/send: recipients on their way, and what hosts and servers made of them. */
#pragma once

#include "base/arena.h"
#include "jobs/probe/session.h"
#include "jobs/send/send.h"

/* A recipient of one destination on its way. */
struct send_envelope {
	struct send_recipient *out;
	bool final;            /* nothing more is tried for it */
	size_t tried_in;       /* the attempt (from 1) that last asked for it */
	size_t answered_in;    /* the attempt that its present fate comes from */
	const char *dane;      /* the first 4.7.32x met, by order of hosts */
	const char *dane_text; /* its detail */
	const char *other;     /* another 4.x.x, the last one */
	const char *other_text;
};

bool send_envelopes_are_final(const struct send_envelope *v, size_t n);
void send_envelope_set(struct send_envelope *v, enum send_outcome outcome, const char *status,
		       const char *reply, const char *detail, bool final);
/* "4.7.32x" */
bool send_status_is_dane(const char *status);

/* A host or address was of no use: remembered for those that get no reply from any. */
void send_envelopes_note_failure(struct send_envelope *v, size_t n, const char *status,
				 const char *detail);
/* The server's reply if one was reached; else the first DANE cause; else the last other one. */
void send_envelopes_defer_the_rest(struct send_envelope *v, size_t n);

/*
 * The next recipients to ask for in attempt `attempt`: their number, at most SEND_BATCH. One that
 * this very attempt has asked for is not asked for again in it.
 */
size_t send_envelopes_batch(struct send_envelope *v, size_t n, size_t attempt,
			    struct send_envelope **ret_batch, struct mail_address *ret_to);
/* What a transaction brought for its batch. `where`: the server, for the details. */
void send_envelopes_take(struct arena *a, const char *where, size_t attempt,
			 struct send_envelope **batch, size_t n, const struct smtp_result *r);
/* Of those answered in this attempt: delivered before deferred before failed. NULL: none was. */
const struct send_envelope *send_envelopes_best(const struct send_envelope *v, size_t n,
						size_t attempt);
