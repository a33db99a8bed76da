/*
 * Watches everything that an SMTP client machine puts on the wire, knowing only the policy and the
 * events, and aborts when a promise of client.h is broken. For unit tests and fuzzing.
 */
#pragma once

#include <stdio.h>

#include "core/smtp/client.h"

struct watch {
	enum smtp_tls policy;
	bool lmtp;
	bool in_tls;
	bool accepted;
	bool after_cr;
	char line[600]; /* of what is not yet known to be harmless */
	size_t n;
};

static inline void watch_fail(const char *what, struct span seen)
{
	fprintf(stderr, "on the wire: %s: '%.*s'\n", what, (int)seen.n, (const char *)seen.p);
	abort();
}

static inline void watch_line(const struct watch *w, struct span line)
{
	const char *const clear[] = {w->lmtp ? "LHLO " : "EHLO ", "STARTTLS\r\n", "QUIT\r\n"};
	bool fine = false;

	for (size_t i = w->in_tls ? 2 : 0; i < ARRAY_SIZE(clear); i++)
		if (line.n >= strlen(clear[i]) &&
		    span_is(span_of(line.p, strlen(clear[i])), clear[i]))
			fine = true;
	if (!fine)
		watch_fail("said too early", line);
}

/* Every octet that the machine hands out, in order. */
static inline void watch_output(struct watch *w, struct span out)
{
	for (size_t i = 0; i < out.n; i++) {
		uint8_t c = out.p[i];

		/* S22 */
		if (w->after_cr != (c == '\n'))
			watch_fail("CR or LF alone", out);
		w->after_cr = c == '\r';
		if (w->policy != SMTP_TLS_REQUIRED || w->accepted)
			continue;
		/* S1-S5, S10 */
		if (w->n == sizeof(w->line))
			watch_fail("an endless line", out);
		w->line[w->n++] = (char)c;
		if (c == '\n') {
			watch_line(w, span_of(w->line, w->n));
			w->n = 0;
		}
	}
}

/* What must hold between any two calls. */
static inline void watch_machine(const struct watch *w, const struct smtp_client *c)
{
	struct smtp_report r = smtp_client_report(c);
	const struct smtp_result *result = smtp_client_result(c);
	enum smtp_want want = smtp_client_want(c);

	require(smtp_client_output(c).n <= SMTP_OUTPUT_MAX);
	require(strlen(r.reply.text) <= SMTP_REPLY_TEXT_MAX);
	if (r.retry_in_clear)
		require(w->policy == SMTP_TLS_OPPORTUNISTIC && r.end != SMTP_END_NOT_YET);
	if (want == SMTP_WANT_CLOSE) {
		require(r.end != SMTP_END_NOT_YET);
		require(smtp_client_output(c).n == 0);
		require(smtp_client_deadline(c) == USEC_NEVER);
	}
	if (w->policy == SMTP_TLS_REQUIRED && !w->accepted) {
		require(want != SMTP_WANT_MAIL && want != SMTP_WANT_BODY);
		require(result == NULL);
	}
	if (w->policy == SMTP_TLS_NONE)
		require(want != SMTP_WANT_STARTTLS);
	if (w->in_tls) /* S12 */
		require(want != SMTP_WANT_STARTTLS);
	if (result == NULL)
		return;
	if (want == SMTP_WANT_MAIL || r.end != SMTP_END_NOT_YET)
		require(result->n_delivered + result->n_deferred + result->n_failed +
				result->n_accepted ==
			result->n_recipients);
	if (result->maybe_delivered)
		require(r.stage == SMTP_STAGE_FINAL && (w->lmtp || result->n_delivered == 0));
}
