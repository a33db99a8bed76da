/* For the tests of core/smtp/server.h: a caller that answers at once, and sessions cut anywhere. */
#pragma once

#include <stdio.h>

#include "core/smtp/server.h"

/*
 * A caller that answers at once: refuses local parts "no" (5xx), "later" (4xx) and passwords other
 * than "secret", keeps what it is given, and writes all events into a log. "bye@" gets a 421.
 */
struct caller {
	struct smtp_server *s;
	struct buf log, out, body;
	bool refuse_begin;
	size_t left; /* octets of the input that the machine did not take when it closed */
};

static struct smtp_server_options options_now;
static size_t left_wanted = SIZE_MAX; /* SIZE_MAX: not looked at */

static void start(struct caller *c)
{
	options_now.host = "mx.example";
	*c = (struct caller){.s = smtp_server_new(&options_now)};
	buf_init(&c->log, 1 << 20);
	buf_init(&c->out, 1 << 20);
	buf_init(&c->body, 1 << 20);
}

static void stop(struct caller *c)
{
	smtp_server_free(c->s);
	buf_done(&c->log);
	buf_done(&c->out);
	buf_done(&c->body);
}

static void note(struct caller *c, const char *what, const char *more)
{
	assert_int_equal(buf_printf(&c->log, "%s%s ", what, more), 0);
}

static void write_out(struct caller *c)
{
	struct span out = smtp_server_output(c->s);

	assert_true(out.n <= SMTP_SERVER_OUTPUT_MAX);
	assert_int_equal(buf_add(&c->out, out.p, out.n), 0);
	smtp_server_sent(c->s, out.n);
}

static void judge_address(struct caller *c, const struct mail_address *a)
{
	struct smtp_server_verdict no = {550, {5, 1, 1}, "nobody"},
				   later = {450, {4, 2, 1}, "wait"}, bye = {421, {4, 3, 2}, "bye"};

	smtp_server_answer(c->s, strcmp(a->local, "no") == 0      ? &no
				 : strcmp(a->local, "later") == 0 ? &later
				 : strcmp(a->local, "bye") == 0   ? &bye
								  : NULL);
}

static void judge_auth(struct caller *c, const struct smtp_server_auth *a)
{
	struct smtp_server_verdict no = {535, {5, 7, 8}, "wrong"};

	assert_int_equal(buf_printf(&c->log, "AUTH:%s:%.*s ", a->mechanism, (int)a->user.n,
				    (const char *)a->user.p),
			 0);
	smtp_server_answer(c->s, span_is(a->password, "secret") ? NULL : &no);
}

static bool take_event(struct caller *c, struct smtp_server_event e)
{
	struct smtp_server_verdict no = {452, {4, 3, 1}, "full"};

	switch (e.kind) {
	case SMTP_SERVER_NEEDS_INPUT:
	case SMTP_SERVER_NEEDS_VERDICT:
		return false;
	case SMTP_SERVER_CLOSE:
		note(c, "CLOSE:", smtp_server_end_to_string(smtp_server_ended(c->s)));
		return false;
	case SMTP_SERVER_NEEDS_OUTPUT:
		write_out(c);
		break;
	case SMTP_SERVER_EHLO:
		buf_clear(&c->body);
		note(c, "EHLO:", e.helo);
		smtp_server_answer(c->s, NULL);
		break;
	case SMTP_SERVER_MAIL:
		note(c, "MAIL:", e.mail->from.path);
		judge_address(c, &e.mail->from);
		break;
	case SMTP_SERVER_RCPT:
		note(c, "RCPT:", e.rcpt->to.path);
		judge_address(c, &e.rcpt->to);
		break;
	case SMTP_SERVER_AUTH:
		judge_auth(c, e.auth);
		break;
	case SMTP_SERVER_BEGIN:
		buf_clear(&c->body);
		note(c, "BEGIN", "");
		smtp_server_answer(c->s, c->refuse_begin ? &no : NULL);
		break;
	case SMTP_SERVER_DATA:
		assert_true(e.data.n > 0);
		assert_int_equal(buf_add(&c->body, e.data.p, e.data.n), 0);
		break;
	case SMTP_SERVER_END:
		assert_int_equal(buf_printf(&c->log, "END[%.*s] ", (int)c->body.n,
					    c->body.n == 0 ? "" : (const char *)c->body.p),
				 0);
		smtp_server_answer(c->s, NULL);
		break;
	case SMTP_SERVER_RESET:
		buf_clear(&c->body);
		note(c, "RESET", "");
		break;
	case SMTP_SERVER_STARTTLS:
		note(c, "STARTTLS", "");
		smtp_server_answer(c->s, NULL);
		break;
	case SMTP_SERVER_HANDSHAKE:
		return false;
	}
	return true;
}

/* Pieces of `step` octets, each a copy of its own; what is not taken stays in front. */
static void feed(struct caller *c, struct span in, size_t first, size_t step)
{
	for (size_t at = 0; at < in.n;) {
		size_t n = at == 0 && first > 0 ? first : step;
		struct span piece;
		uint8_t *copy;

		if (n > in.n - at)
			n = in.n - at;
		copy = xmalloc(n);
		memcpy(copy, in.p + at, n);
		piece = span_of(copy, n);
		while (take_event(c, smtp_server_next(c->s, &piece)))
			assert_true(smtp_server_held(c->s) <= SMTP_SERVER_LINE_MAX);
		write_out(c);
		explicit_bzero(copy, n); /* for test_secrets_do_not_move */
		free(copy);
		if (smtp_server_phase(c->s) == SMTP_SERVER_PHASE_CLOSED) {
			c->left = in.n - at - n + piece.n;
			break;
		}
		assert_int_equal(piece.n, 0);
		at += n;
	}
}

static void tls(struct caller *c)
{
	struct span none = span_of(NULL, 0);

	assert_int_equal(smtp_server_next(c->s, &none).kind, SMTP_SERVER_HANDSHAKE);
	smtp_server_tls_up(c->s);
}

/* The codes of all replies: "220 250- 250". */
static void codes(const struct buf *out, struct buf *ret)
{
	struct span rest = buf_span(out);

	while (rest.n > 0) {
		const uint8_t *lf = memchr(rest.p, '\n', rest.n);
		size_t n;

		assert_non_null(lf);
		n = (size_t)(lf - rest.p) + 1;
		assert_true(n >= 5 && n <= SMTP_SERVER_REPLY_LINE_MAX && rest.p[n - 2] == '\r');
		if (rest.p[3] != '-')
			assert_int_equal(buf_printf(ret, "%.3s ", (const char *)rest.p), 0);
		rest = span_skip(rest, n);
	}
}

static void expect_buf(const char *what, struct span input, const struct buf *b, const char *want)
{
	if (!span_is(buf_span(b), want))
		fail_msg("%.*s\n%s\n got '%.*s'\nwant '%s'", (int)input.n, (const char *)input.p,
			 what, (int)b->n, (const char *)b->p, want);
}

static void run(struct span first, struct span second, size_t cut, size_t step, const char *replies,
		const char *log)
{
	struct caller c;
	struct buf got;

	start(&c);
	buf_init(&got, 1 << 16);
	smtp_server_greet(c.s, NULL);
	write_out(&c);
	feed(&c, first, cut, step);
	if (second.p != NULL) {
		tls(&c);
		feed(&c, second, cut, step);
	}
	codes(&c.out, &got);
	expect_buf("replies", first, &got, replies);
	expect_buf("log", first, &c.log, log);
	if (left_wanted != SIZE_MAX)
		assert_int_equal(c.left, left_wanted);
	buf_done(&got);
	stop(&c);
}

/* Whole (pipelined), cut at every octet, and octet by octet: always the same. */
static void same_span(struct span in, const char *replies, const char *log)
{
	struct span none = span_of(NULL, 0);

	run(in, none, 0, SIZE_MAX, replies, log);
	run(in, none, 0, 1, replies, log);
	for (size_t cut = 1; cut < in.n; cut++)
		run(in, none, cut, SIZE_MAX, replies, log);
}

static void same(const char *in, const char *replies, const char *log)
{
	same_span(span_text(in), replies, log);
}

#define HI   "EHLO a\r\n"
#define ENV  "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
#define EVIL "MAIL FROM:<evil@e.example>\r\n"
#define LENV "MAIL:a@b.example RCPT:c@d.example "

static void defaults(void)
{
	options_now = smtp_server_defaults();
}

static void with_tls(const char *clear, const char *tls, const char *replies, const char *log)
{
	run(span_text(clear), span_text(tls), 0, SIZE_MAX, replies, log);
	run(span_text(clear), span_text(tls), 0, 1, replies, log);
}

static bool said(const struct caller *c, const char *text)
{
	return c->out.n > 0 && memmem(c->out.p, c->out.n, text, strlen(text)) != NULL;
}
