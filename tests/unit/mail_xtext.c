#include "test.h"

#include "core/mail/xtext.h"

/* RFC 3461 section 4. */
static const struct {
	const char *in;
	const char *decoded; /* NULL: no xtext */
} cases[] = {
	{"x", "x"},
	{"QQ314159", "QQ314159"},
	{"a+2Bb", "a+b"},
	{"+3D+20+2B", "= +"},
	{"bob@example.org", "bob@example.org"},
	{"+7E~", "~~"},
	/* What may not stand in a field of a report. */
	{"a+0D+0AX-Injected:+20yes", "a??X-Injected: yes"},
	{"+00+09+1F+7F+80+FF", "??????"},
	{"", NULL},
	{"a b", NULL},
	{"a=b", NULL},
	{"a+", NULL},
	{"a+2", NULL},
	{"a+2b", NULL},
	{"a+G0", NULL},
	{"a+ 0", NULL},
	{"a\r\nb", NULL},
	{"a\nb", NULL},
	{"\xc3\xbc", NULL},
	{"a\x7f", NULL},
};

static void xtext(void **state)
{
	struct arena a = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct span in = span_text(cases[i].in), out;

		assert_int_equal(mail_xtext_is_valid(in), cases[i].decoded != NULL);
		out = mail_xtext_decode(&a, in);
		if (cases[i].decoded != NULL && !span_is(out, cases[i].decoded))
			fail_msg("%s: %.*s", cases[i].in, (int)out.n, (const char *)out.p);
	}
	arena_done(&a);
}

/* Every octet, encoded and raw, valid or not: what comes out is printable, and no longer. */
static void decoded_is_harmless(void **state)
{
	struct arena a = {0};
	char text[8];

	(void)state;
	for (int c = 0; c < 512; c++) {
		struct span in = span_of(text, 3), out;

		if (c < 256) {
			snprintf(text, sizeof(text), "+%02X", (unsigned)c);
		} else {
			text[0] = text[2] = 'x';
			text[1] = (char)(c - 256);
		}
		out = mail_xtext_decode(&a, in);
		assert_true(out.n <= in.n);
		for (size_t i = 0; i < out.n; i++)
			assert_true(out.p[i] >= ' ' && out.p[i] <= '~');
	}
	assert_int_equal(mail_xtext_decode(&a, span_of(NULL, 0)).n, 0);
	arena_done(&a);
}

static void orcpt(void **state)
{
	char text[MAIL_ORCPT_MAX + 2];

	(void)state;
	assert_true(mail_orcpt_is_valid(span_text("rfc822;bob@example.org")));
	assert_true(mail_orcpt_is_valid(span_text("utf-8;\\x{FC}@example.org")));
	assert_true(mail_orcpt_is_valid(span_text("X400;/g+3Da")));
	assert_false(mail_orcpt_is_valid(span_text("bob@example.org")));
	assert_false(mail_orcpt_is_valid(span_text(";bob@example.org")));
	assert_false(mail_orcpt_is_valid(span_text("rfc822;")));
	assert_false(mail_orcpt_is_valid(span_text("rfc 822;bob")));
	assert_false(mail_orcpt_is_valid(span_text("rfc822\r\nX;bob")));
	assert_false(mail_orcpt_is_valid(span_text("")));
	assert_false(mail_orcpt_is_valid(span_of(NULL, 0)));
	memset(text, 'a', sizeof(text));
	memcpy(text, "rfc822;", 7);
	assert_true(mail_orcpt_is_valid(span_of(text, MAIL_ORCPT_MAX)));
	assert_false(mail_orcpt_is_valid(span_of(text, MAIL_ORCPT_MAX + 1)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(xtext),
		cmocka_unit_test(decoded_is_harmless),
		cmocka_unit_test(orcpt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
