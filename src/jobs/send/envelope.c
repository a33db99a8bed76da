#include "jobs/send/envelope.h"

#include <string.h>

#include "jobs/send/meaning.h"

bool send_envelopes_are_final(const struct send_envelope *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!v[i].final)
			return false;
	return true;
}

void send_envelope_set(struct send_envelope *v, enum send_outcome outcome, const char *status,
		       const char *reply, const char *detail, bool final)
{
	v->out->outcome = outcome;
	v->out->status = status;
	v->out->reply = reply;
	v->out->detail = detail;
	v->final = final;
}

bool send_status_is_dane(const char *status)
{
	return strncmp(status, "4.7.32", 6) == 0;
}

void send_envelopes_note_failure(struct send_envelope *v, size_t n, const char *status,
				 const char *detail)
{
	for (size_t i = 0; i < n; i++) {
		if (v[i].final)
			continue;
		if (!send_status_is_dane(status)) {
			v[i].other = status;
			v[i].other_text = detail;
		} else if (v[i].dane == NULL) {
			v[i].dane = status;
			v[i].dane_text = detail;
		}
	}
}

void send_envelopes_defer_the_rest(struct send_envelope *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct send_envelope *one = &v[i];

		if (one->final)
			continue;
		if (one->out->reply != NULL)
			one->final = true;
		else if (one->dane != NULL)
			send_envelope_set(one, SEND_DEFERRED, one->dane, NULL, one->dane_text,
					  true);
		else
			send_envelope_set(
				one, SEND_DEFERRED, one->other != NULL ? one->other : "4.4.1", NULL,
				one->other_text != NULL ? one->other_text : "no host answered",
				true);
	}
}

size_t send_envelopes_batch(struct send_envelope *v, size_t n, size_t attempt,
			    struct send_envelope **ret_batch, struct mail_address *ret_to)
{
	size_t found = 0;

	for (size_t i = 0; i < n && found < SEND_BATCH; i++) {
		if (v[i].final || v[i].tried_in == attempt)
			continue;
		v[i].tried_in = attempt;
		ret_to[found] = *v[i].out->address;
		ret_batch[found++] = &v[i];
	}
	return found;
}

static const char *words(const struct smtp_recipient *r, const char *reply)
{
	if (reply != NULL)
		return reply;
	switch (r->reason) {
	case SMTP_REASON_TOO_LARGE:
		return "the message is larger than this server takes";
	case SMTP_REASON_NO_8BITMIME:
		return "the message has 8-bit text, and this server does not take it";
	case SMTP_REASON_NO_SMTPUTF8:
		return "the message needs SMTPUTF8, which this server does not offer";
	case SMTP_REASON_REPLY:
	case SMTP_REASON_SESSION:
		break;
	}
	return "no answer";
}

/* A fate that this attempt has brought. */
static void answer(struct send_envelope *v, size_t attempt, enum send_outcome outcome,
		   const char *status, const char *reply, const char *detail, bool final)
{
	send_envelope_set(v, outcome, status, reply, detail, final);
	v->answered_in = attempt;
}

static void take_one(struct arena *a, const char *where, size_t attempt, struct send_envelope *v,
		     const struct smtp_recipient *one, bool maybe_delivered)
{
	const char *status = send_status(a, one->status, one->fate);
	const char *reply = one->answer.code != 0 ? arena_strdup(a, one->answer.text) : NULL;
	const char *detail = arena_printf(a, "%s: %s: %s", where, smtp_stage_to_string(one->stage),
					  words(one, reply));

	switch (one->fate) {
	case SMTP_FATE_DELIVERED:
		answer(v, attempt, SEND_DELIVERED, status, reply, detail, true);
		break;
	case SMTP_FATE_FAILED:
		answer(v, attempt, SEND_FAILED, status, reply, detail, true);
		break;
	case SMTP_FATE_DEFERRED:
		if (one->reason == SMTP_REASON_SESSION && maybe_delivered)
			/* Another host would make a second copy likely. */
			answer(v, attempt, SEND_DEFERRED, "4.4.2", NULL,
			       arena_printf(a,
					    "%s: the connection was lost after the end of the "
					    "message: it may have been delivered",
					    where),
			       true);
		else if (one->answer.code != 0)
			answer(v, attempt, SEND_DEFERRED, status, reply, detail, false);
		break;
	case SMTP_FATE_ACCEPTED:
	case SMTP_FATE_OPEN:
		break;
	}
}

void send_envelopes_take(struct arena *a, const char *where, size_t attempt,
			 struct send_envelope **batch, size_t n, const struct smtp_result *r)
{
	for (size_t i = 0; r != NULL && i < n; i++)
		take_one(a, where, attempt, batch[i], &r->recipients[i], r->maybe_delivered);
}

const struct send_envelope *send_envelopes_best(const struct send_envelope *v, size_t n,
						size_t attempt)
{
	const struct send_envelope *best = NULL;

	for (size_t i = 0; i < n; i++) {
		if (v[i].answered_in != attempt)
			continue;
		if (best == NULL || v[i].out->outcome < best->out->outcome)
			best = &v[i];
	}
	return best;
}
