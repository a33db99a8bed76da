/*
 * What the end of a session means: status code (Exchange Online's, which its administrators know;
 * DESIGN of the contract), RFC 8460 result type, sub-reason. Matrix S, C, N, section 13.
 */
#include "jobs/send/meaning.h"

#include "jobs/send/send.h"

const char *send_outcome_to_string(enum send_outcome o)
{
	switch (o) {
	case SEND_DELIVERED:
		return "delivered";
	case SEND_DEFERRED:
		return "deferred";
	case SEND_FAILED:
		return "failed";
	case SEND_SKIPPED:
		return "skipped";
	}
	return NULL;
}

const char *send_status(struct arena *a, struct smtp_status status, enum smtp_fate fate)
{
	unsigned class = fate == SMTP_FATE_DELIVERED ? 2 : fate == SMTP_FATE_FAILED ? 5 : 4;

	if (status.class == 0)
		return arena_printf(a, "%u.0.0", class);
	return arena_printf(a, "%u.%u.%u", class, status.subject, status.detail);
}

static struct send_meaning certificate_meaning(const struct tls_verdict *v)
{
	struct send_meaning m = {.status = "4.7.323", .tlsrpt = v->tlsrpt, .text = v->detail};

	switch (v->kind) {
	case TLS_VERDICT_EXPIRED:
		m.status = "4.7.322";
		break;
	case TLS_VERDICT_NAME_MISMATCH:
		m.status = "4.7.325";
		break;
	case TLS_VERDICT_NONE:
	case TLS_VERDICT_MATCH:
	case TLS_VERDICT_MISMATCH:
	case TLS_VERDICT_NOT_YET_VALID:
	case TLS_VERDICT_UNTRUSTED:
	case TLS_VERDICT_WEAK:
	case TLS_VERDICT_NO_CERTIFICATE:
	case TLS_VERDICT_UNUSABLE:
		break;
	}
	return m;
}

static const char *say(struct arena *a, const struct smtp_report *r)
{
	if (r->text[0] != '\0')
		return arena_strdup(a, r->text);
	return arena_printf(a, "%s while waiting for the answer to %s", smtp_end_to_string(r->end),
			    smtp_stage_to_string(r->stage));
}

static const char *reply_text(struct arena *a, const struct smtp_answer *answer)
{
	return answer->code != 0 ? arena_strdup(a, answer->text) : NULL;
}

/* STARTTLS did not come about: S1-S9. */
static struct send_meaning starttls_meaning(struct arena *a, const struct smtp_report *r,
					    enum dane_level level, const char *tlsrpt)
{
	/* Under `may` it is no policy failure; there the session would have gone on in clear. */
	bool policy = level == DANE_LEVEL_DANE || level == DANE_LEVEL_ENCRYPT;

	return (struct send_meaning){.status = policy ? "4.7.321" : "4.4.2",
				     .tlsrpt = policy ? tlsrpt : NULL,
				     .reply = reply_text(a, &r->starttls_reply),
				     .text = say(a, r)};
}

struct send_meaning send_meaning_of(struct arena *a, const struct probe_report *p,
				    enum dane_level level)
{
	const struct smtp_report *r = &p->smtp;

	if (!p->connected)
		return (struct send_meaning){.status = "4.4.1",
					     .text = arena_strdup(a, p->connect_error)};
	switch (r->end) {
	case SMTP_END_STARTTLS_ABSENT:
	case SMTP_END_STARTTLS_REFUSED:
	case SMTP_END_STARTTLS_GARBAGE:
		return starttls_meaning(a, r, level, "starttls-not-supported");
	case SMTP_END_STARTTLS_INJECTED:
	case SMTP_END_HANDSHAKE:
		return starttls_meaning(a, r, level, "validation-failure");
	case SMTP_END_CERTIFICATE:
		require(p->verdict != NULL);
		return certificate_meaning(p->verdict);
	case SMTP_END_REPLY:
	case SMTP_END_QUIT:
	case SMTP_END_NOT_YET:
		return (struct send_meaning){
			.status = send_status(a, r->reply.status, SMTP_FATE_DEFERRED),
			.reply = reply_text(a, &r->reply),
			.text = say(a, r)};
	case SMTP_END_PROTOCOL:
	case SMTP_END_EOF:
	case SMTP_END_IO_ERROR:
	case SMTP_END_TIMEOUT:
		return (struct send_meaning){.status = "4.4.2", .text = say(a, r)};
	case SMTP_END_DRIVER:
		break;
	}
	return (struct send_meaning){.status = "4.3.0", .text = say(a, r)};
}

const char *send_meaning_detail(struct arena *a, const char *where, const struct send_meaning *m)
{
	return arena_printf(a, "%s: %s%s%s%s", where, m->text, m->reply != NULL ? " (" : "",
			    m->reply != NULL ? m->reply : "", m->reply != NULL ? ")" : "");
}
