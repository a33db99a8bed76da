/* The server machine: dialogues, ends of data, STARTTLS, AUTH, the order of things. */
#include "test.h"

#include "core/smtp/server_machine.h"
#include "smtp_caller.h"

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
		cmocka_unit_test(test_caller_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
