#include "test.h"

#include <errno.h>

#include "core/smtp/body.h"

static const struct {
	const char *in;
	const char *stuffed; /* NULL: refused */
} cases[] = {
	{"", ""},
	{"\r\n", "\r\n"},
	{".\r\n", "..\r\n"},
	{"a\r\n.\r\n..b\r\n.", NULL}, /* no CRLF at the end */
	{"a\r\n.\r\n..b\r\n.\r\n", "a\r\n..\r\n...b\r\n..\r\n"},
	{"a.b\r\n\r\n.c\r\n", "a.b\r\n\r\n..c\r\n"},
	{"a\n", NULL},
	{"\n", NULL},
	{"a\r", NULL},
	{"a\rb\r\n", NULL},
	{"a\r\r\n", NULL},
	{"a\n.\r\n", NULL},
	{"a\r\n\n", NULL},
};

static void check(size_t i, size_t cut, bool stuff)
{
	struct span in = span_text(cases[i].in);
	const char *want = stuff ? cases[i].stuffed : cases[i].in;
	struct smtp_body b;
	struct buf out;
	int ret;

	buf_init(&out, 100);
	smtp_body_init(&b, in.n, stuff);
	ret = smtp_body_add(&b, span_of(in.p, cut), &out);
	if (ret == 0)
		ret = smtp_body_add(&b, span_skip(in, cut), &out);
	if (cases[i].stuffed == NULL) {
		assert_true(ret == -EINVAL || !smtp_body_is_complete(&b));
	} else {
		assert_int_equal(ret, 0);
		assert_true(smtp_body_is_complete(&b));
		assert_true(span_is(buf_span(&out), want));
	}
	/* Whatever was refused: no bare CR or LF went out (S22). */
	for (size_t j = 0; j < out.n; j++) {
		if (out.p[j] == '\r')
			assert_true(j + 1 < out.n && out.p[j + 1] == '\n');
		if (out.p[j] == '\n')
			assert_true(j > 0 && out.p[j - 1] == '\r');
	}
	buf_done(&out);
}

static void bodies_at_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t cut = 0; cut <= strlen(cases[i].in); cut++) {
			check(i, cut, true);
			check(i, cut, false);
		}
	}
}

static void not_as_announced(void **state)
{
	struct smtp_body b;
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	smtp_body_init(&b, 4, true);
	assert_int_equal(smtp_body_add(&b, span_text("a\r\n"), &out), 0);
	assert_false(smtp_body_is_complete(&b));
	assert_int_equal(smtp_body_add(&b, span_text("b\r\n"), &out), -EINVAL);
	smtp_body_init(&b, 3, true);
	assert_int_equal(smtp_body_add(&b, span_of("\0\r\n", 3), &out), -EINVAL);
	buf_done(&out);
}

/* The header's bound: (n + 1) * 4 / 3. */
static void growth_is_bounded(void **state)
{
	struct smtp_body b;
	struct buf in, out;

	(void)state;
	buf_init(&in, 3000);
	while (buf_add_text(&in, ".\r\n") == 0)
		continue;
	buf_init(&out, (in.n + 1) * 4 / 3);
	smtp_body_init(&b, in.n, true);
	assert_int_equal(smtp_body_add(&b, buf_span(&in), &out), 0);
	buf_done(&in);
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_at_every_cut),
		cmocka_unit_test(not_as_announced),
		cmocka_unit_test(growth_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
