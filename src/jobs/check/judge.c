#include "jobs/check/judge.h"

#include <string.h>

/* --- level dane ------------------------------------------------------------------------------- */

static void refuse(struct check_probe *p)
{
	p->report.smtp.end = SMTP_END_CERTIFICATE;
	p->report.smtp.stage = SMTP_STAGE_VERDICT;
	p->report.smtp.text = p->verdict.detail;
}

/* By the very code that a handshake at level dane runs (edge/tls/dane.h). */
static void match(struct tls_context *tls, struct check_probe *p, int64_t at, struct arena *a)
{
	const struct dane_host *h = p->host;
	struct dane_tlsa *records = arena_calloc(a, h->n_records, sizeof(*records));
	struct tls_dane_spec spec = {
		.base = h->tlsa_base,
		.names = h->identifiers,
		.n_names = h->n_identifiers,
		.records = records,
		.n_records = h->n_records,
		.time = at,
	};
	struct err e;

	for (size_t i = 0; i < h->n_records; i++)
		records[i] = h->records[i].tlsa;
	if (tls_dane_match(tls, &spec, p->chain, a, &p->verdict, &e) < 0) {
		/* A name that TLS cannot ask for: so the handshake at level dane ends too. */
		p->report.tls = false;
		p->report.smtp.end = SMTP_END_HANDSHAKE;
		p->report.smtp.text = arena_strdup(a, e.text);
	} else if (p->verdict.kind != TLS_VERDICT_MATCH) {
		refuse(p);
	}
}

static void judge_dane(struct tls_context *tls, struct check_probe *p, int64_t at, struct arena *a)
{
	if (!p->report.tls)
		return;
	if (p->chain != NULL) {
		match(tls, p, at, a);
		return;
	}
	p->verdict.kind = TLS_VERDICT_NO_CERTIFICATE; /* C33 */
	p->verdict.tlsrpt = "validation-failure";
	p->verdict.detail = "the server sent no certificate";
	refuse(p);
}

/* --- level may -------------------------------------------------------------------------------- */

/* S1-S6, S8, S9: a sender goes on in clear, on this connection or a new one. */
static bool goes_on_in_clear(const struct probe_report *r)
{
	switch (r->smtp.end) {
	case SMTP_END_STARTTLS_ABSENT:
	case SMTP_END_STARTTLS_REFUSED:
	case SMTP_END_STARTTLS_GARBAGE:
	case SMTP_END_STARTTLS_INJECTED:
	case SMTP_END_HANDSHAKE:
		return true;
	case SMTP_END_EOF:
	case SMTP_END_IO_ERROR:
	case SMTP_END_TIMEOUT:
		return r->smtp.stage == SMTP_STAGE_STARTTLS ||
		       (r->smtp.stage == SMTP_STAGE_EHLO && r->tls);
	case SMTP_END_NOT_YET:
	case SMTP_END_QUIT:
	case SMTP_END_REPLY:
	case SMTP_END_CERTIFICATE:
	case SMTP_END_PROTOCOL:
	case SMTP_END_DRIVER:
		break;
	}
	return false;
}

bool check_judge_wants_lax(const struct dane_host *h, const struct probe_report *r)
{
	return h->level == DANE_LEVEL_MAY && r->smtp.end == SMTP_END_HANDSHAKE;
}

void check_judge(struct tls_context *tls, struct check_probe *p, int64_t at, struct arena *a)
{
	if (!p->report.connected)
		return;
	switch (p->host->level) {
	case DANE_LEVEL_DANE:
		judge_dane(tls, p, at, a);
		break;
	case DANE_LEVEL_MAY:
		p->report.smtp.retry_in_clear = goes_on_in_clear(&p->report);
		break;
	case DANE_LEVEL_ENCRYPT: /* any certificate will do (T2) */
	case DANE_LEVEL_UNREACHABLE:
		break;
	}
}
