#include "test.h"

#include <errno.h>

#include "core/mail/message.h"

struct facts {
	const char *in;
	const char *out; /* NULL: refused */
	uint64_t lines, longest;
	bool header_8bit, header_utf8, body_8bit;
	const char *error;
};

static const struct facts cases[] = {
	{"", "", 0, 0, false, true, false, NULL},
	{"a: b\n\nx\n", "a: b\r\n\r\nx\r\n", 3, 4, false, true, false, NULL},
	{"a: b\r\n\r\nx\r\n", "a: b\r\n\r\nx\r\n", 3, 4, false, true, false, NULL},
	{"a: b\r\n\nx\n\r\n", "a: b\r\n\r\nx\r\n\r\n", 4, 4, false, true, false, NULL},
	{"a: b\n\nx", "a: b\r\n\r\nx\r\n", 3, 4, false, true, false, NULL},
	{"\n.\n..\n", "\r\n.\r\n..\r\n", 3, 2, false, true, false, NULL},
	{"\n\n", "\r\n\r\n", 2, 0, false, true, false, NULL},
	{"a: \xc3\xbc\n\nx\n", "a: \xc3\xbc\r\n\r\nx\r\n", 3, 5, true, true, false, NULL},
	{"a: \xfc\n\nx\n", "a: \xfc\r\n\r\nx\r\n", 3, 4, true, false, false, NULL},
	{"a: \xc3\n\xbc\n\nx\n", "a: \xc3\r\n\xbc\r\n\r\nx\r\n", 4, 4, true, false, false, NULL},
	{"a: \xe0\x80\x80\n", "a: \xe0\x80\x80\r\n", 1, 6, true, false, false, NULL},
	{"a: \xed\xa0\x80\n", "a: \xed\xa0\x80\r\n", 1, 6, true, false, false, NULL},
	{"a: \xf0\x9f\x98\x80\n", "a: \xf0\x9f\x98\x80\r\n", 1, 7, true, true, false, NULL},
	{"a: \xf5\x80\x80\x80\n", "a: \xf5\x80\x80\x80\r\n", 1, 7, true, false, false, NULL},
	{"a: b\n\n\xfc\n", "a: b\r\n\r\n\xfc\r\n", 3, 4, false, true, true, NULL},
	{"a\rb\n", NULL, 0, 0, false, false, false, "line 1: a CR that ends no line"},
	{"a\n\nb\r\r\n", NULL, 0, 0, false, false, false, "line 3: a CR that ends no line"},
	{"a\n\r", NULL, 0, 0, false, false, false, "line 2: a CR that ends no line"},
	{"a\n.\r.\n", NULL, 0, 0, false, false, false, "line 2: a CR that ends no line"},
};

/* Feeds `n` octets in pieces of `step`, the first of `first`. */
static int run(const char *in, size_t n, size_t first, size_t step, struct mail_message *m,
	       struct buf *out, struct err *e)
{
	size_t at = 0, piece = first;

	mail_message_init(m);
	while (at < n) {
		/* Copies, so that a sanitizer sees a read beyond the cut. */
		uint8_t *copy;
		int ret;

		if (piece > n - at)
			piece = n - at;
		copy = xmalloc(piece);
		memcpy(copy, in + at, piece);
		ret = mail_message_feed(m, span_of(copy, piece), out, e);
		free(copy);
		if (ret < 0)
			return ret;
		at += piece;
		piece = step;
	}
	return mail_message_end(m, out, e);
}

static void check(const struct facts *c, size_t first, size_t step)
{
	struct mail_message m;
	struct err e = {0};
	struct buf out;
	int ret;

	buf_init(&out, 1000);
	ret = run(c->in, strlen(c->in), first, step, &m, &out, &e);
	if (c->out == NULL) {
		assert_int_equal(ret, -EINVAL);
		assert_string_equal(e.text, c->error);
	} else {
		assert_int_equal(ret, 0);
		assert_true(span_is(buf_span(&out), c->out));
		assert_int_equal(m.octets, out.n);
		assert_int_equal(m.lines, c->lines);
		assert_int_equal(m.longest, c->longest);
		assert_int_equal(m.header_8bit, c->header_8bit);
		assert_int_equal(m.header_utf8, c->header_utf8);
		assert_int_equal(m.body_8bit, c->body_8bit);
	}
	buf_done(&out);
}

/* docs/decisions/0002 */
static void messages_at_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t cut = 0; cut <= strlen(cases[i].in); cut++)
			check(&cases[i], cut == 0 ? 1000 : cut, 1000);
		check(&cases[i], 1, 1);
	}
}

static void a_nul_is_refused(void **state)
{
	struct mail_message m;
	struct err e;
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	assert_int_equal(run("a\n\0b\n", 5, 100, 100, &m, &out, &e), -EINVAL);
	assert_string_equal(e.text, "line 2: a NUL octet");
	/* The first fault is named, at any cut. */
	buf_clear(&out);
	assert_int_equal(run("a\0\rb\n", 5, 100, 100, &m, &out, &e), -EINVAL);
	assert_string_equal(e.text, "line 1: a NUL octet");
	buf_done(&out);
}

static void a_full_buffer_is_an_error(void **state)
{
	struct mail_message m;
	struct buf out;

	(void)state;
	buf_init(&out, 4);
	assert_int_equal(run("abcd\n", 5, 100, 100, &m, &out, NULL), -EMSGSIZE);
	buf_done(&out);
	buf_init(&out, 4);
	assert_int_equal(run("abcde\n", 6, 100, 100, &m, &out, NULL), -EMSGSIZE);
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_at_every_cut),
		cmocka_unit_test(a_nul_is_refused),
		cmocka_unit_test(a_full_buffer_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
