#include "test.h"

#include "core/smtp/reply.h"

struct one {
	const char *in;
	unsigned code; /* 0: no reply */
	unsigned n_lines;
	struct smtp_status status;
	const char *text;
};

static const struct one cases[] = {
	{"220 mx.example ESMTP\r\n", 220, 1, {0}, "220 mx.example ESMTP"},
	{"250-mx.example\r\n250-SIZE 100\r\n250 STARTTLS\r\n",
	 250,
	 3,
	 {0},
	 "250 mx.example; SIZE 100; STARTTLS"},
	{"250\r\n", 250, 1, {0}, "250"},
	{"250 \r\n", 250, 1, {0}, "250"},
	{"250-\r\n250 x\r\n", 250, 2, {0}, "250 x"},
	{"550 5.1.1 no such user\r\n", 550, 1, {5, 1, 1}, "550 5.1.1 no such user"},
	{"550-5.1.1 no\r\n550 5.1.1 user\r\n", 550, 2, {5, 1, 1}, "550 5.1.1 no; 5.1.1 user"},
	{"450 4.7.323 x\r\n", 450, 1, {4, 7, 323}, "450 4.7.323 x"},
	{"250 2.0.0\r\n", 250, 1, {2, 0, 0}, "250 2.0.0"},
	{"550 4.1.1 x\r\n", 550, 1, {0}, "550 4.1.1 x"}, /* class does not agree */
	{"450 5.1.1 x\r\n", 450, 1, {0}, "450 5.1.1 x"},
	{"354 3.1.1 x\r\n", 354, 1, {0}, "354 3.1.1 x"},
	{"550 5.1 x\r\n", 550, 1, {0}, "550 5.1 x"},
	{"550 5.1.1234 x\r\n", 550, 1, {0}, "550 5.1.1234 x"},
	{"550 5.1.1x\r\n", 550, 1, {0}, "550 5.1.1x"},
	{"550 .1.1 x\r\n", 550, 1, {0}, "550 .1.1 x"},
	{"550 a\x1b[31m\xff\x7f\xc3\xbc\xc2\x9b\r\n", 550, 1, {0}, "550 a?[31m??\xc3\xbc?"},
	{"250 a\n", 0, 0, {0}, "a line end without CR in a reply"},
	{"250 a\rb\r\n", 0, 0, {0}, "a CR that ends no line in a reply"},
	{"250 a\r\r\n", 0, 0, {0}, "a CR that ends no line in a reply"},
	{"250-a\r\n251 b\r\n", 0, 0, {0}, "a reply that changes its code from line to line"},
	{"250-a\r\nb\r\n", 0, 0, {0}, "a line that does not begin with a reply code"},
	{"250-a\r\n\r\n", 0, 0, {0}, "a line that does not begin with a reply code"},
	{"150 a\r\n", 0, 0, {0}, "a reply code outside 200-599"},
	{"600 a\r\n", 0, 0, {0}, "a reply code outside 200-599"},
	{"25x a\r\n", 0, 0, {0}, "a line that does not begin with a reply code"},
	{"2500 a\r\n", 0, 0, {0}, "a reply code that is not followed by space or hyphen"},
	{"250+a\r\n", 0, 0, {0}, "a reply code that is not followed by space or hyphen"},
	{"250\n", 0, 0, {0}, "a reply code that is not followed by space or hyphen"},
	{"SSH-2.0-x\r\n", 0, 0, {0}, "a line that does not begin with a reply code"},
	{"\r\n", 0, 0, {0}, "a line that does not begin with a reply code"},
};

static void check(const struct one *c, size_t cut)
{
	struct span in = span_text(c->in), rest;
	struct smtp_reply_reader r;
	enum smtp_reply_result result;
	char text[SMTP_REPLY_TEXT_MAX + 1];

	smtp_reply_reader_init(&r);
	rest = span_of(in.p, cut);
	result = smtp_reply_read(&r, &rest);
	if (result == SMTP_REPLY_MORE) {
		assert_int_equal(rest.n, 0);
		rest = span_skip(in, cut);
		result = smtp_reply_read(&r, &rest);
	}
	if (c->code == 0) {
		assert_int_equal(result, SMTP_REPLY_BAD);
		assert_string_equal(r.why, c->text);
		rest = span_text("250 ok\r\n"); /* it stays so */
		assert_int_equal(smtp_reply_read(&r, &rest), SMTP_REPLY_BAD);
	} else {
		assert_int_equal(result, SMTP_REPLY_DONE);
		assert_int_equal(r.reply.code, c->code);
		assert_int_equal(r.reply.n_lines, c->n_lines);
		assert_memory_equal(&r.reply.status, &c->status, sizeof(c->status));
		smtp_reply_text(&r.reply, text);
		assert_string_equal(text, c->text);
	}
	smtp_reply_reader_done(&r);
}

static void replies_at_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t cut = 0; cut <= strlen(cases[i].in); cut++)
			check(&cases[i], cut);
}

static void one_reply_at_a_time(void **state)
{
	struct span in = span_text("250-a\r\n250 b\r\n354 c\r\n25");
	struct smtp_reply_reader r;

	(void)state;
	smtp_reply_reader_init(&r);
	assert_true(smtp_reply_reader_is_idle(&r));
	assert_int_equal(smtp_reply_read(&r, &in), SMTP_REPLY_DONE);
	assert_int_equal(r.reply.code, 250);
	assert_int_equal(in.n, 9);
	assert_true(smtp_reply_reader_is_idle(&r));
	assert_int_equal(smtp_reply_read(&r, &in), SMTP_REPLY_DONE);
	assert_int_equal(r.reply.code, 354);
	assert_int_equal(r.reply.n_lines, 1);
	assert_int_equal(smtp_reply_read(&r, &in), SMTP_REPLY_MORE);
	assert_false(smtp_reply_reader_is_idle(&r));
	smtp_reply_reader_done(&r);
}

/* Feeds `unit` for ever; the reader must give up, and hold no more than its limit meanwhile. */
static const char *endless(const char *unit, size_t at_most)
{
	struct smtp_reply_reader r;
	const char *why;
	size_t fed = 0;

	smtp_reply_reader_init(&r);
	for (;;) {
		struct span in = span_text(unit);

		fed += in.n;
		assert_true(fed <= at_most);
		assert_true(r.reply.lines.room <= SMTP_REPLY_MAX);
		if (smtp_reply_read(&r, &in) == SMTP_REPLY_BAD)
			break;
	}
	why = r.why;
	smtp_reply_reader_done(&r);
	return why;
}

static void endless_replies_end(void **state)
{
	struct smtp_reply_reader r;
	struct span in;
	char line[1024];

	(void)state;
	assert_string_equal(endless("250-\r\n", 10000), "a reply of too many lines");
	memset(line, 'x', sizeof(line) - 3);
	memcpy(line, "250-", 4);
	memcpy(line + sizeof(line) - 3, "\r\n", 3);
	assert_string_equal(endless(line, 20000), "a reply of too many octets");

	smtp_reply_reader_init(&r);
	in = span_text("250 ");
	assert_int_equal(smtp_reply_read(&r, &in), SMTP_REPLY_MORE);
	for (int i = 4; i < SMTP_REPLY_LINE_MAX; i++) {
		in = span_text("x");
		assert_int_equal(smtp_reply_read(&r, &in), SMTP_REPLY_MORE);
	}
	in = span_text("x");
	assert_int_equal(smtp_reply_read(&r, &in), SMTP_REPLY_BAD);
	assert_string_equal(r.why, "a reply line of too many octets");
	smtp_reply_reader_done(&r);
}

/* At the limit: SMTP_REPLY_LINES_MAX lines are still a reply. */
static void the_longest_reply(void **state)
{
	struct smtp_reply_reader r;
	struct span in;

	(void)state;
	smtp_reply_reader_init(&r);
	for (int i = 1; i < SMTP_REPLY_LINES_MAX; i++) {
		in = span_text("250-0123456789\r\n");
		assert_int_equal(smtp_reply_read(&r, &in), SMTP_REPLY_MORE);
	}
	in = span_text("250 x\r\n");
	assert_int_equal(smtp_reply_read(&r, &in), SMTP_REPLY_DONE);
	assert_int_equal(r.reply.n_lines, SMTP_REPLY_LINES_MAX);
	{
		char text[SMTP_REPLY_TEXT_MAX + 1];

		smtp_reply_text(&r.reply, text);
		assert_true(strlen(text) <= SMTP_REPLY_TEXT_MAX);
		assert_true(strlen(text) > SMTP_REPLY_TEXT_MAX - 15);
	}
	smtp_reply_reader_done(&r);
}

static void a_nul_is_no_reply(void **state)
{
	struct smtp_reply_reader r;
	struct span in = span_of("250 a\0b\r\n", 9);

	(void)state;
	smtp_reply_reader_init(&r);
	assert_int_equal(smtp_reply_read(&r, &in), SMTP_REPLY_BAD);
	smtp_reply_reader_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_at_every_cut), cmocka_unit_test(one_reply_at_a_time),
		cmocka_unit_test(endless_replies_end),  cmocka_unit_test(the_longest_reply),
		cmocka_unit_test(a_nul_is_no_reply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
