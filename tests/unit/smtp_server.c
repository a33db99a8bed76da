#include "test.h"

#include <malloc.h>
#include <stdio.h>

#include "core/smtp/server_machine.h"

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

static const struct dialogue {
	const char *in, *replies, *log;
} dialogues[] = {
	{HI ENV "DATA\r\nx\r\n.\r\nQUIT\r\n", "220 250 250 250 354 250 221 ",
	 "EHLO:a " LENV "BEGIN END[x\r\n] CLOSE:quit "},
	{"HELO a\r\n" ENV "DATA\r\n.\r\n", "220 250 250 250 354 250 ",
	 "EHLO:a " LENV "BEGIN END[] "},
	{HI ENV "DATA\r\n..\r\n.a\r\n...\r\n.\r\n", "220 250 250 250 354 250 ",
	 "EHLO:a " LENV "BEGIN END[.\r\na\r\n..\r\n] "},
	{HI ENV "BDAT 3\r\na\r\nBDAT 5 LAST\r\n.\r\nb\r", "220 250 250 250 250 550 ",
	 "EHLO:a " LENV "BEGIN RESET "},
	{HI ENV "BDAT 3\r\na\r\nBDAT 4 LAST\r\n.\r\nb", "220 250 250 250 250 250 ",
	 "EHLO:a " LENV "BEGIN END[a\r\n.\r\nb\r\n] "},
	{HI ENV "BDAT 2\r\na\rBDAT 1 last\r\n\n", "220 250 250 250 250 250 ",
	 "EHLO:a " LENV "BEGIN END[a\r\n] "},
	{HI ENV "BDAT 2\r\na\nBDAT 0 LAST\r\n", "220 250 250 250 550 550 ",
	 "EHLO:a " LENV "BEGIN RESET "},
	{HI ENV "BDAT 0 LAST\r\n", "220 250 250 250 250 ", "EHLO:a " LENV "BEGIN END[] "},
	{HI "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", "220 250 503 250 ", "EHLO:a "},
	{HI ENV "BDAT 1\r\nxDATA\r\n", "220 250 250 250 250 503 ", "EHLO:a " LENV "BEGIN "},
	{HI ENV "BDAT 1\r\nxRCPT TO:<a@b.example>\r\nRSET\r\n", "220 250 250 250 250 503 250 ",
	 "EHLO:a " LENV "BEGIN RESET "},
	{HI ENV "BDAT x\r\nQUIT\r\n", "220 250 250 250 501 ",
	 "EHLO:a " LENV "CLOSE:BDAT without a size "},
	/* The octets behind what was meant as BDAT are no commands. */
	{HI ENV "BDAT\t4\r\n" EVIL, "220 250 250 250 501 ",
	 "EHLO:a " LENV "CLOSE:BDAT without a size "},
	{HI ENV "bdatx 4\r\n" EVIL, "220 250 250 250 501 ",
	 "EHLO:a " LENV "CLOSE:BDAT without a size "},
	{HI ENV "BDAT 4 LAST X\r\n" EVIL, "220 250 250 250 501 ",
	 "EHLO:a " LENV "CLOSE:BDAT without a size "},
	{HI ENV "BDAT 4\r\n\r\n..BDAT\r\n" EVIL, "220 250 250 250 250 501 ",
	 "EHLO:a " LENV "BEGIN CLOSE:BDAT without a size "},
	/* Order. */
	{ENV "DATA\r\n", "220 503 503 503 ", ""},
	{HI "RCPT TO:<a@b.example>\r\n", "220 250 503 ", "EHLO:a "},
	{HI "MAIL FROM:<>\r\nMAIL FROM:<>\r\nEHLO b\r\nMAIL FROM:<>\r\n",
	 "220 250 250 503 250 250 ", "EHLO:a MAIL: EHLO:b MAIL: "},
	{HI "MAIL FROM:<no@b.example>\r\nRCPT TO:<a@b.example>\r\n", "220 250 550 503 ",
	 "EHLO:a MAIL:no@b.example "},
	{HI "MAIL FROM:<>\r\nRCPT TO:<later@b.example>\r\nRCPT TO:<no@b.example>\r\nDATA\r\n",
	 "220 250 250 450 550 554 ", "EHLO:a MAIL: RCPT:later@b.example RCPT:no@b.example "},
	{HI "MAIL FROM:<bye@b.example>\r\n", "220 250 421 ",
	 "EHLO:a MAIL:bye@b.example CLOSE:ended here "},
	{"NOOP x\r\nVRFY a\r\nEXPN a\r\nHELP\r\nRSET\r\nFOO\r\n\r\n DATA\r\n",
	 "220 250 252 502 214 250 500 500 500 ", ""},
	{"EHLO\r\nEHLO a b\r\nEHLO \xc3\xbc\r\nDATA x\r\n", "220 501 501 501 501 ", ""},
	{"GET / HTTP/1.1\r\n", "220 554 ", "CLOSE:not SMTP "},
	/* RFC 3030 section 2: chunks behind one that failed are discarded; they failed as it did.
	 */
	{HI ENV "BDAT 2\r\na\nBDAT 2\r\nxxBDAT 3 LAST\r\nxxxBDAT 1\r\nxNOOP\r\n",
	 "220 250 250 250 550 550 550 503 250 ", "EHLO:a " LENV "BEGIN RESET "},
	{HI ENV "BDAT 2\r\na\nRSET\r\nBDAT 2\r\nxxNOOP\r\n", "220 250 250 250 550 250 503 250 ",
	 "EHLO:a " LENV "BEGIN RESET "},
	{HI ENV "BDAT 2\r\na\n" ENV "BDAT 1 LAST\r\nx", "220 250 250 250 550 250 250 250 ",
	 "EHLO:a " LENV "BEGIN RESET " LENV "BEGIN END[x\r\n] "},
	/* A route that leads nowhere is no null path. */
	{HI
	 "MAIL FROM:<@a:>\r\nMAIL FROM:<@a.example,@b.example:>\r\nMAIL FROM:<@a:c@d.example>\r\n",
	 "220 250 553 553 250 ", "EHLO:a MAIL:c@d.example "},
	/* Parameters. */
	{HI "MAIL FROM:<a@b.example> SIZE=52428800 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2B\r\n",
	 "220 250 250 ", "EHLO:a MAIL:a@b.example "},
	{HI "MAIL FROM:<> SIZE=52428801\r\n", "220 250 552 ", "EHLO:a "},
	{HI "MAIL FROM:<> SIZE=99999999999999999999\r\n", "220 250 552 ", "EHLO:a "},
	{HI "MAIL FROM:<> SIZE=1 SIZE=1\r\nMAIL FROM:<> FOO\r\nMAIL FROM:<> BODY=BINARYMIME\r\n"
	    "MAIL FROM:<>X\r\nMAIL FROM:a@b\r\nMAIL FROM:<> AUTH=<>\r\nMAIL FROM:<> RET\r\n"
	    "MAIL FROM:<> ENVID=+2b\r\nMAIL FROM:<> SIZE=\r\n",
	 "220 250 501 555 501 501 501 555 501 501 501 ", "EHLO:a "},
	{"HELO a\r\nMAIL FROM:<> SIZE=1\r\n", "220 250 555 ", "EHLO:a "},
	{HI "MAIL FROM:<\xc3\xbc@b.example>\r\nMAIL FROM:<\xc3\xbc@b.example> SMTPUTF8\r\n",
	 "220 250 550 250 ", "EHLO:a MAIL:\xc3\xbc@b.example "},
	{HI "MAIL FROM:<>\r\nRCPT TO:<\xc3\xbc@b.example>\r\nRCPT TO:<PostMaster>\r\n"
	    "RCPT TO:<@x,@y:a@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+40b\r\n"
	    "RCPT TO:<a@b.example> NOTIFY=NEVER,DELAY\r\nRCPT TO:<>\r\nRCPT TO:<a>\r\n"
	    "RCPT TO:<a@b.example> ORCPT=a\r\nRCPT TO:<\"a>b\"@c.example>\r\n",
	 "220 250 250 553 250 250 501 553 553 501 501 ",
	 "EHLO:a MAIL: RCPT:postmaster RCPT:a@b.example "},
	/* S22. */
	{HI ENV "DATA\r\na\rb\r\n.\r\n", "220 250 250 250 354 550 ",
	 "EHLO:a " LENV "BEGIN RESET CLOSE:bare CR, LF or NUL "},
	{HI "NOOP\nNOOP\r\n", "220 250 554 ", "EHLO:a CLOSE:bare CR, LF or NUL "},
	{HI "NOOP a\rb\r\nNOOP\r\n", "220 250 554 ", "EHLO:a CLOSE:bare CR, LF or NUL "},
	{HI "NOOP\r\r\nNOOP\r\n", "220 250 554 ", "EHLO:a CLOSE:bare CR, LF or NUL "},
	/* B35. */
	{"STARTTLS\r\n", "220 503 ", ""},
	{HI "STARTTLS x\r\n", "220 250 501 ", "EHLO:a "},
	{HI "MAIL FROM:<>\r\nSTARTTLS\r\n", "220 250 250 503 ", "EHLO:a MAIL: "},
	{HI "STARTTLS\r\n", "220 250 220 ", "EHLO:a STARTTLS "},
	{HI "AUTH PLAIN AGEAc2VjcmV0\r\n", "220 250 502 ", "EHLO:a "},
};

static void test_dialogues(void **state)
{
	(void)state;
	defaults();
	for (size_t i = 0; i < ARRAY_SIZE(dialogues); i++)
		same(dialogues[i].in, dialogues[i].replies, dialogues[i].log);
}

/* S22: before and behind the dot. CRLF "." CRLF alone is an end; the true one comes at last. */
static void test_ends_of_data(void **state)
{
	static const struct {
		const char *p;
		size_t n;
	} ends[] = {{"\r\n", 2}, {"\n", 1}, {"\r", 1}, {"\r\r\n", 3}, {"\r\n\0", 3}, {"\0", 1}};

	(void)state;
	defaults();
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(ends); k++) {
			struct buf b;

			if (i == 0 && (k == 0 || k == 4)) /* the end; the end, then NUL */
				continue;
			buf_init(&b, 1024);
			assert_int_equal(buf_printf(&b, HI ENV "DATA\r\na"), 0);
			assert_int_equal(buf_add(&b, ends[i].p, ends[i].n), 0);
			assert_int_equal(buf_add(&b, ".", 1), 0);
			assert_int_equal(buf_add(&b, ends[k].p, ends[k].n), 0);
			assert_int_equal(buf_printf(&b, EVIL ".\r\nNOOP\r\n"), 0);
			/* CR CRLF "." CRLF is the end (RFC 5321 section 4.1.1.4), but no command
			 * behind it is done. */
			left_wanted = strlen("NOOP\r\n");
			if (i == 3 && (k == 0 || k == 4))
				left_wanted += ends[k].n - 2 + strlen(EVIL ".\r\n");
			same_span(buf_span(&b), "220 250 250 250 354 550 ",
				  "EHLO:a " LENV "BEGIN RESET CLOSE:bare CR, LF or NUL ");
			left_wanted = SIZE_MAX;
			buf_done(&b);
		}
	}
}

static void with_tls(const char *clear, const char *tls, const char *replies, const char *log)
{
	run(span_text(clear), span_text(tls), 0, SIZE_MAX, replies, log);
	run(span_text(clear), span_text(tls), 0, 1, replies, log);
}

static void test_tls(void **state)
{
	(void)state;
	defaults();
	options_now.auth = true;
	/* Nothing from before is left; not offered, not done again. */
	with_tls(HI "STARTTLS\r\n", ENV, "220 250 220 503 503 ", "EHLO:a STARTTLS ");
	with_tls(HI "STARTTLS\r\n", HI "STARTTLS\r\n", "220 250 220 250 503 ",
		 "EHLO:a STARTTLS EHLO:a ");
	with_tls(HI "AUTH PLAIN AGEAc2VjcmV0\r\nSTARTTLS\r\n", HI "AUTH PLAIN AGEAc2VjcmV0\r\n",
		 "220 250 538 220 250 235 ", "EHLO:a STARTTLS EHLO:a AUTH:PLAIN:a ");
	with_tls(HI "STARTTLS\r\n",
		 HI "AUTH PLAIN\r\nAGEAeA==\r\nAUTH LOGIN\r\nYQ==\r\nc2VjcmV0\r\n"
		    "AUTH LOGIN YQ==\r\nMAIL FROM:<> AUTH=<>\r\n",
		 "220 250 220 250 334 535 334 334 235 503 250 ",
		 "EHLO:a STARTTLS EHLO:a AUTH:PLAIN:a AUTH:LOGIN:a MAIL: ");
	with_tls(HI "STARTTLS\r\n",
		 HI "AUTH PLAIN\r\n*\r\nAUTH PLAIN AA\r\nAUTH PLAIN AGEAcwAx\r\nAUTH X\r\n"
		    "AUTH PLAIN =\r\nAUTH LOGIN\r\n\r\nNOOP\r\n",
		 "220 250 220 250 334 501 501 501 504 501 334 501 250 ", "EHLO:a STARTTLS EHLO:a ");
}

static void test_starttls_injection(void **state)
{
	struct span in = span_text("MAIL FROM:<>\r\n"), none = span_of(NULL, 0);
	struct caller c;

	(void)state;
	defaults();
	run(span_text(HI "STARTTLS\r\nX"), none, 0, SIZE_MAX, "220 250 554 ",
	    "EHLO:a CLOSE:input behind STARTTLS ");
	/* Behind the 220, before the handshake. */
	start(&c);
	smtp_server_greet(c.s, NULL);
	feed(&c, span_text(HI "STARTTLS\r\n"), 0, SIZE_MAX);
	assert_int_equal(smtp_server_next(c.s, &in).kind, SMTP_SERVER_CLOSE);
	assert_int_equal(smtp_server_ended(c.s), SMTP_SERVER_END_STARTTLS);
	stop(&c);
}

static bool said(const struct caller *c, const char *text)
{
	return c->out.n > 0 && memmem(c->out.p, c->out.n, text, strlen(text)) != NULL;
}

static void test_required(void **state)
{
	(void)state;
	defaults();
	options_now.auth = options_now.auth_required = options_now.tls_required = true;
	with_tls(HI "MAIL FROM:<>\r\nSTARTTLS\r\n",
		 HI "MAIL FROM:<>\r\nAUTH PLAIN AGEAc2VjcmV0\r\nMAIL FROM:<>\r\n",
		 "220 250 530 220 250 530 235 250 ", "EHLO:a STARTTLS EHLO:a AUTH:PLAIN:a MAIL: ");
	options_now.auth_required = false;
	same(HI "MAIL FROM:<>\r\n", "220 250 530 ", "EHLO:a ");
}

static void test_offer(void **state)
{
	struct caller c;

	(void)state;
	defaults();
	options_now.auth = true;
	start(&c);
	smtp_server_greet(c.s, NULL);
	feed(&c, span_text(HI "STARTTLS\r\n"), 0, SIZE_MAX);
	assert_true(said(&c, "250-STARTTLS\r\n") && !said(&c, "AUTH"));
	assert_true(said(&c, "250-SIZE 52428800\r\n") &&
		    said(&c, "250 LIMITS RCPTMAX=100 MAILMAX=100\r\n"));
	tls(&c);
	buf_clear(&c.out);
	feed(&c, span_text(HI), 0, SIZE_MAX);
	assert_true(!said(&c, "STARTTLS") && said(&c, "250-AUTH PLAIN LOGIN\r\n"));
	stop(&c);
}

/* Port 465: what TLS allows is allowed and offered at once, what it forbids is not. */
static void test_tls_from_start(void **state)
{
	(void)state;
	defaults();
	options_now.tls_from_start = options_now.tls_required = options_now.auth = true;
	same(HI "AUTH PLAIN AGEAc2VjcmV0\r\n" ENV "RSET\r\nSTARTTLS\r\n",
	     "220 250 235 250 250 250 503 ", "EHLO:a AUTH:PLAIN:a " LENV "RESET ");
	defaults();
}

/* What a flood of commands has made grow is not kept by a session that waits. */
static void test_idle_memory(void **state)
{
	struct caller c;
	struct buf flood;

	(void)state;
	defaults();
	options_now.idle_max = 10000;
	options_now.auth = options_now.tls_from_start = true;
	start(&c);
	smtp_server_greet(c.s, NULL);
	buf_init(&flood, 1 << 16);
	assert_int_equal(buf_add_text(&flood, HI "AUTH PLAIN AGEAc2VjcmV0\r\n"), 0);
	for (int i = 0; i < 2000; i++)
		assert_int_equal(buf_add_text(&flood, "NOOP\r\n"), 0);
	feed(&c, buf_span(&flood), 0, SIZE_MAX);
	assert_int_equal(smtp_server_output(c.s).n, 0);
	assert_true(c.s->out.room <= 1024);
	assert_null(c.s->secret.p);
	assert_null(c.s->line.p);
	assert_null(c.s->arena.chunks);
	buf_done(&flood);
	stop(&c);
}

/* A DATA that is refused, with the text of the message already behind it. */
static void test_sync(void **state)
{
	struct span none = span_of(NULL, 0);

	(void)state;
	defaults();
	run(span_text(HI "MAIL FROM:<>\r\nDATA\r\nRCPT TO:<a@b.example>\r\n"), none, 0, SIZE_MAX,
	    "220 250 250 554 421 ", "EHLO:a MAIL: CLOSE:input behind a refused DATA ");
}

static void test_banner(void **state)
{
	struct span in = span_text(HI);
	struct smtp_server_verdict no = {554, {5, 7, 1}, "no"};
	struct caller c;

	(void)state;
	defaults();
	start(&c);
	assert_int_equal(smtp_server_next(c.s, &in).kind, SMTP_SERVER_NEEDS_VERDICT);
	assert_int_equal(in.n, strlen(HI));
	smtp_server_greet(c.s, &no);
	assert_int_equal(smtp_server_next(c.s, &in).kind, SMTP_SERVER_CLOSE);
	stop(&c);
	options_now.refuse_early_talker = true;
	start(&c);
	assert_int_equal(smtp_server_next(c.s, &in).kind, SMTP_SERVER_CLOSE);
	assert_int_equal(smtp_server_ended(c.s), SMTP_SERVER_END_EARLY);
	stop(&c);
}

static void test_waits(void **state)
{
	struct span in = span_text(HI ENV);
	struct caller c;

	(void)state;
	defaults();
	start(&c);
	smtp_server_greet(c.s, NULL);
	assert_int_equal(smtp_server_next(c.s, &in).kind, SMTP_SERVER_EHLO);
	for (int i = 0; i < 3; i++)
		assert_int_equal(smtp_server_next(c.s, &in).kind, SMTP_SERVER_NEEDS_VERDICT);
	assert_int_equal(in.n, strlen(ENV));
	smtp_server_answer(c.s, NULL);
	assert_int_equal(smtp_server_next(c.s, &in).kind, SMTP_SERVER_MAIL);
	stop(&c);
}

/* n times `line`, between. */
static void repeat(const char *before, const char *line, size_t n, const char *after,
		   const char *last_code, enum smtp_server_end end)
{
	struct caller c;
	struct buf got;

	start(&c);
	buf_init(&got, 1 << 16);
	smtp_server_greet(c.s, NULL);
	feed(&c, span_text(before), 0, SIZE_MAX);
	for (size_t i = 0; i < n; i++)
		feed(&c, span_text(line), 0, SIZE_MAX);
	feed(&c, span_text(after), 0, SIZE_MAX);
	codes(&c.out, &got);
	assert_true(got.n >= 4);
	if (memcmp(got.p + got.n - 4, last_code, 3) != 0 || smtp_server_ended(c.s) != end)
		fail_msg("%zu times %.40s: %.4s, %s", n, line, (const char *)got.p + got.n - 4,
			 smtp_server_end_to_string(smtp_server_ended(c.s)));
	buf_done(&got);
	stop(&c);
}

static void test_limits(void **state)
{
	const enum smtp_server_end on = SMTP_SERVER_END_NOT_YET;

	(void)state;
	defaults();
	options_now.recipients_max = 3;
	options_now.messages_max = 2;
	options_now.errors_max = 4;
	options_now.idle_max = 5;
	options_now.size_max = 10;
	repeat(HI "MAIL FROM:<>\r\n", "RCPT TO:<a@b.example>\r\n", 3, "", "250", on);
	repeat(HI "MAIL FROM:<>\r\n", "RCPT TO:<a@b.example>\r\n", 4, "", "452", on);
	repeat(HI "MAIL FROM:<>\r\n", "RCPT TO:<later@b.example>\r\n", 30, "", "450", on);
	repeat(HI "MAIL FROM:<>\r\n", "RCPT TO:<later@b.example>\r\n", 31, "", "421",
	       SMTP_SERVER_END_ERRORS);
	repeat(HI, ENV "DATA\r\n.\r\n", 2, "", "250", on);
	repeat(HI, ENV "DATA\r\n.\r\n", 2, "MAIL FROM:<>\r\n", "421", SMTP_SERVER_END_MESSAGES);
	repeat("", "X\r\n", 4, "", "500", on);
	repeat("", "X\r\n", 5, "", "421", SMTP_SERVER_END_ERRORS);
	repeat("", "NOOP\r\n", 5, "", "250", on);
	repeat("", "NOOP\r\n", 6, "", "421", SMTP_SERVER_END_IDLE);
	repeat(HI, "RSET\r\n", 4, ENV "DATA\r\n.\r\nNOOP\r\n", "250", on);
	same(HI ENV "DATA\r\n12345678\r\n.\r\n", "220 250 250 250 354 250 ",
	     "EHLO:a " LENV "BEGIN END[12345678\r\n] ");
	same(HI ENV "DATA\r\n..2345678\r\n.\r\n", "220 250 250 250 354 250 ",
	     "EHLO:a " LENV "BEGIN END[.2345678\r\n] ");
	same(HI ENV "DATA\r\n123456789\r\n.\r\n", "220 250 250 250 354 552 ",
	     "EHLO:a " LENV "BEGIN RESET ");
	same(HI ENV "BDAT 10 LAST\r\n12345678\r\n", "220 250 250 250 250 ",
	     "EHLO:a " LENV "BEGIN END[12345678\r\n] ");
	same(HI ENV "BDAT 11 LAST\r\n123456789\r\n", "220 250 250 250 552 ",
	     "EHLO:a " LENV "BEGIN RESET ");
	repeat(HI ENV "DATA\r\n", "0123456789abcde\n", (1 << 20) / 16 + 1, "", "354", on);
	repeat(HI ENV "DATA\r\n", "0123456789abcde\n", (1 << 20) / 16 + 2, "", "421",
	       SMTP_SERVER_END_ENDLESS);
	repeat(HI, "BDAT 1048597 LAST\r\n", 1, "", "421", SMTP_SERVER_END_ENDLESS);
	repeat(HI, "BDAT 1048596 LAST\r\n", 1, "", "250", on);
}

static void line_of_end(const char *start_text, size_t n, const char *code,
			enum smtp_server_end end)
{
	char *line = xmalloc(n + 1);

	memset(line, 'x', n);
	memcpy(line, start_text, strlen(start_text));
	memcpy(line + n - 2, "\r\n", 3);
	repeat(HI, line, 1, "", code, end);
	free(line);
}

static void line_of(const char *start_text, size_t n, const char *code)
{
	line_of_end(start_text, n, code, SMTP_SERVER_END_NOT_YET);
}

static void test_lines(void **state)
{
	(void)state;
	defaults();
	line_of("NOOP ", 512, "250");
	line_of("NOOP ", 513, "500");
	line_of("MAIL FROM:<> FOO=", 2048, "555");
	line_of("MAIL FROM:<> FOO=", 2049, "500");
	line_of("NOOP ", 100000, "500");
	/* What follows is the chunk, whatever its size was meant to be. */
	line_of_end("BDAT 10 ", 513, "501", SMTP_SERVER_END_CHUNK_SYNTAX);
	line_of_end("BDAT 10 ", 2048, "501", SMTP_SERVER_END_CHUNK_SYNTAX);
	line_of_end("BDAT 10 ", 2049, "501", SMTP_SERVER_END_CHUNK_SYNTAX);
	line_of_end("bdat 10 ", 100000, "501", SMTP_SERVER_END_CHUNK_SYNTAX);
}

/* The same where the line comes in parts: it ends the session as soon as it is too long. */
static void test_long_chunk_line(void **state)
{
	(void)state;
	defaults();
	for (size_t step = 1; step <= 7; step++) {
		struct span in = span_text(HI "BDAT 10 ");
		struct caller c;

		start(&c);
		smtp_server_greet(c.s, NULL);
		for (; in.n > 0; in = span_skip(in, step))
			feed(&c, span_of(in.p, in.n < step ? in.n : step), 0, SIZE_MAX);
		for (int i = 0; i < 2048; i++)
			feed(&c, span_text(" "), 0, SIZE_MAX);
		assert_int_equal(smtp_server_ended(c.s), SMTP_SERVER_END_CHUNK_SYNTAX);
		stop(&c);
	}
	/* An answer to AUTH may begin like that. */
	options_now.auth = true;
	with_tls(HI "STARTTLS\r\n", HI "AUTH PLAIN\r\nBDATBDAT\r\nNOOP\r\n",
		 "220 250 220 250 334 501 250 ", "EHLO:a STARTTLS EHLO:a ");
}

/* RFC 4954 section 6 */
static void test_long_auth_lines(void **state)
{
	char *line = xmalloc(20001);

	(void)state;
	memset(line, 'A', 20000);
	memcpy(line + 19998, "\r\n", 3);
	for (int initial = 0; initial <= 1; initial++) {
		struct caller c;

		defaults();
		options_now.auth = options_now.tls_from_start = true;
		if (initial)
			memcpy(line, "AUTH PLAIN ", 11);
		start(&c);
		smtp_server_greet(c.s, NULL);
		feed(&c, span_text(initial ? HI : HI "AUTH PLAIN\r\n"), 0, SIZE_MAX);
		feed(&c, span_text(line), 0, 1000);
		feed(&c, span_text("NOOP\r\n"), 0, SIZE_MAX);
		if (!said(&c, "\r\n500 5.5.6 line too long\r\n250 "))
			fail_msg("%.*s", (int)c.out.n, (const char *)c.out.p);
		stop(&c);
	}
	free(line);
}

/* Memory that moves leaves a copy behind, which nobody wipes. */
static size_t secrets_moved;

void *__real_xrealloc(void *p, size_t size);
void *__wrap_xrealloc(void *p, size_t size);

void *__wrap_xrealloc(void *p, size_t size)
{
	size_t n = p == NULL ? 0 : malloc_usable_size(p);

	if (n > 0 && (memmem(p, n, "ssssssss", 8) != NULL || memmem(p, n, "c3Nzc3Nz", 8) != NULL))
		secrets_moved++;
	return __real_xrealloc(p, size);
}

static void expect_no_copy(const char *text, size_t step)
{
	struct span in = span_text(text);
	struct caller c;

	defaults();
	options_now.auth = options_now.tls_from_start = true;
	start(&c);
	secrets_moved = 0;
	smtp_server_greet(c.s, NULL);
	/* As sessions come: what the caller holds is its own affair. */
	for (; in.n > 0; in = span_skip(in, step))
		feed(&c, span_of(in.p, in.n < step ? in.n : step), 0, SIZE_MAX);
	assert_true(said(&c, "535 "));
	assert_int_equal(secrets_moved, 0);
	stop(&c);
}

static void test_secrets_do_not_move(void **state)
{
	char secret[4 * 100 + 1], plain[600], login[600];

	(void)state;
	for (size_t i = 0; i < 100; i++)
		memcpy(secret + 4 * i, "c3Nz", 5); /* "sss" */
	snprintf(plain, sizeof(plain), HI "AUTH PLAIN AGEA%s\r\n", secret);
	snprintf(login, sizeof(login), HI "AUTH LOGIN\r\nYQ==\r\n%s\r\n", secret);
	for (size_t step = 1; step <= 1000; step = step * 3 + 1) {
		expect_no_copy(plain, step);
		expect_no_copy(login, step);
	}
}

/* The caller's 4xx is not the client's error. */
static void test_refusals_for_now_are_no_errors(void **state)
{
	struct smtp_server_verdict full = {452, {4, 3, 1}, "full"};
	char chunk[11 + 1024 + 1];
	struct caller c;

	(void)state;
	defaults();
	options_now.errors_max = 3;
	start(&c);
	smtp_server_greet(c.s, NULL);
	feed(&c, span_text(HI), 0, SIZE_MAX);
	for (int i = 0; i < 10; i++) {
		feed(&c, span_text(ENV "DATA\r\nabc"), 0, SIZE_MAX);
		smtp_server_refuse_message(c.s, &full);
		feed(&c, span_text("\r\n.\r\n"), 0, SIZE_MAX);
		assert_int_equal(smtp_server_ended(c.s), SMTP_SERVER_END_NOT_YET);
	}
	/* Nor are the chunks that were on their way, though not without end. */
	feed(&c, span_text(ENV "BDAT 3\r\na\rb"), 0, SIZE_MAX);
	for (int i = 0; i < 10; i++) {
		feed(&c, span_text("BDAT 1\r\nx"), 0, SIZE_MAX);
		assert_int_equal(smtp_server_ended(c.s), SMTP_SERVER_END_NOT_YET);
	}
	feed(&c, span_text("BDAT 100000000\r\n"), 0, SIZE_MAX);
	assert_int_equal(smtp_server_ended(c.s), SMTP_SERVER_END_NOT_YET);
	stop(&c);
	options_now.size_max = 10;
	memset(chunk, 'x', sizeof(chunk) - 1);
	chunk[sizeof(chunk) - 1] = '\0';
	memcpy(chunk, "BDAT 1024\r\n", 11);
	repeat(HI ENV "BDAT 2\r\na\n", chunk, 1024, "", "550", SMTP_SERVER_END_NOT_YET);
	repeat(HI ENV "BDAT 2\r\na\n", chunk, 1025, "", "421", SMTP_SERVER_END_ENDLESS);
}

static void test_caller_refuses(void **state)
{
	struct smtp_server_verdict full = {452, {4, 3, 1}, "full\r\n250 ok\xff"};
	struct caller c;
	struct buf got;

	(void)state;
	defaults();
	start(&c);
	buf_init(&got, 1 << 16);
	smtp_server_greet(c.s, NULL);
	feed(&c, span_text(HI ENV "DATA\r\nabc"), 0, SIZE_MAX);
	smtp_server_refuse_message(c.s, &full);
	feed(&c, span_text("\r\n.\r\nNOOP\r\n"), 0, SIZE_MAX);
	codes(&c.out, &got);
	expect_buf("replies", span_text(""), &got, "220 250 250 250 354 452 250 ");
	assert_true(said(&c, "452 4.3.1 full??250 ok?\r\n"));
	buf_clear(&got);
	buf_clear(&c.out);
	c.refuse_begin = true;
	feed(&c, span_text(ENV "BDAT 2\r\nxxBDAT 2 LAST\r\nxxNOOP\r\n"), 0, SIZE_MAX);
	codes(&c.out, &got);
	expect_buf("replies", span_text(""), &got, "250 250 452 452 250 ");
	buf_done(&got);
	stop(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dialogues),
		cmocka_unit_test(test_ends_of_data),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_starttls_injection),
		cmocka_unit_test(test_required),
		cmocka_unit_test(test_offer),
		cmocka_unit_test(test_tls_from_start),
		cmocka_unit_test(test_idle_memory),
		cmocka_unit_test(test_sync),
		cmocka_unit_test(test_banner),
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_long_chunk_line),
		cmocka_unit_test(test_long_auth_lines),
		cmocka_unit_test(test_secrets_do_not_move),
		cmocka_unit_test(test_refusals_for_now_are_no_errors),
		cmocka_unit_test(test_caller_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
