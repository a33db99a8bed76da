/* The server machine: limits of every kind, and what must not be left behind. */
#include "test.h"

#include <malloc.h>

#include "smtp_caller.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_long_chunk_line),
		cmocka_unit_test(test_long_auth_lines),
		cmocka_unit_test(test_secrets_do_not_move),
		cmocka_unit_test(test_refusals_for_now_are_no_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
