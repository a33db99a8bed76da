/* The policy of MTA-STS: RFC 8461 sections 3.1, 3.2 and 4.1; matrix ST16, ST20. */
#include "test.h"

#include <errno.h>

#include "core/mail/sts.h"

#define GOOD "version: STSv1\nmode: enforce\nmx: mail.example.com\nmax_age: 604800\n"
#define REST "mode: enforce\nmx: a.b\nmax_age: 1\n"
#define X31  "aaaaaaaaaabbbbbbbbbbcccccccccce"

static const struct row {
	const char *text;
	const char *want; /* "enforce 604800 mail.example.com", or ! and a piece of the reason */
} rows[] = {
	{GOOD, "enforce 604800 mail.example.com"},
	{"version: STSv1\r\nmode: testing\r\nmx: mail.example.com\r\nmx: *.Example.NET\r\n"
	 "max_age: 31557600\r\n",
	 "testing 31557600 mail.example.com *.example.net"},
	{"version:STSv1\nmode:\tenforce \t\nmx:a.b  \nmax_age:0", "enforce 0 a.b"}, /* no last LF */
	{"max_age: 5\nmx: a.b\nmode: none\nversion: STSv1\n", "none 5 a.b"},
	{"version: STSv1\nmode: none\nmax_age: 86400\n", "none 86400"},
	{GOOD "x-y.z_1: some text \xc3\xa4 \n", "enforce 604800 mail.example.com"},
	{GOOD X31 "f: 32 characters\n", "enforce 604800 mail.example.com"},
	{GOOD X31 "fg: 33\n", "!line 5: what stands before"},
	/* Of a field given twice the first counts, whatever the others say. */
	{GOOD "mode: none\nmax_age: x\nversion: STSv2\n", "enforce 604800 mail.example.com"},
	{"", "!empty"},
	{"\n", "!line 1: it is empty"},
	{GOOD "\n", "!line 5: it is empty"},
	{GOOD "\r\n", "!line 5: it is empty"},
	{"version: STSv2\n" REST, "!line 1: the version"},
	{"version: stsv1\n" REST, "!line 1: the version"},
	{"version: STSv1;\n" REST, "!line 1: the version"},
	{"Version: STSv1\n" REST, "!\"version\" is missing"}, /* names have one case: unknown */
	{"\xef\xbb\xbfversion: STSv1\n" REST, "!line 1: what stands before"},
	{" version: STSv1\n" REST, "!line 1: what stands before"},
	{"version : STSv1\n" REST, "!line 1: what stands before"},
	{"<!DOCTYPE html>\n<html>\n", "!line 1: there is no \":\""},
	{"version: STSv1 mode: enforce mx: a.b max_age: 1", "!line 1: the version"},
	{"version: STSv1\rmode: enforce\rmx: a.b\rmax_age: 1\r", "!line 1: the value"},
	{"version: STSv1\nmode: Enforce\nmx: a.b\nmax_age: 1\n", "!line 2: the mode"},
	{"version: STSv1\nmode:\nmx: a.b\nmax_age: 1\n", "!line 2: the value is empty"},
	{"version: STSv1\nmode: enforce\nmax_age: 1\n", "!\"mx\" is missing"},
	{"version: STSv1\nmode: enforce\nmx: a.b\n", "!\"max_age\" is missing"},
	{"version: STSv1\nmx: a.b\nmax_age: 1\n", "!\"mode\" is missing"},
	{"max_age: 31557601\n", "!line 1: max_age is larger"},
	{"max_age: 9999999999\n", "!line 1: max_age is larger"},
	{"max_age: 00000000001\n", "!line 1: max_age is no number of at most"},
	{"max_age: -1\n", "!line 1: max_age is no number"},
	{"max_age: 86400s\n", "!line 1: max_age is no number"},
	{"mx: a.b, c.d\n", "!line 1: an mx pattern is neither"},
	{"mx: *\n", "!line 1: an mx pattern is neither"},
	{"mx: *.\n", "!line 1: an mx pattern"},
	{"mx: *.*.b\n", "!line 1: an mx pattern is neither"},
	{"mx: mx*.b\n", "!line 1: an mx pattern is neither"},
	{"mx: .a.b\n", "!line 1: an mx pattern is neither"},
	{"mx: a.b.\n", "!line 1: an mx pattern ends with a dot"},
	{"mx: [192.0.2.1]\n", "!line 1: an mx pattern is neither"},
	{"mx: 192.0.2.1\n", "!line 1: an mx pattern is neither"},
	{"mx: b\xc3\xbc"
	 "cher.example\n",
	 "!line 1: an mx pattern is not written in A-labels"},
	{GOOD "x: \x1b[2J\n", "!line 5: the value"},
	{GOOD "x: \xff\n", "!line 5: the value"},
	{GOOD "x: \x7f\n", "!line 5: the value"},
};

static const char *told(struct arena *a, struct span text)
{
	struct mail_sts p;
	struct err e;
	const char *s;

	if (mail_sts_parse(a, text, &p, &e) < 0)
		return arena_printf(a, "!%s", e.text);
	s = arena_printf(a, "%s %u", mail_sts_mode_to_string(p.mode), p.max_age);
	for (size_t i = 0; i < p.n_mx; i++)
		s = arena_printf(a, "%s %s", s, p.mx[i]);
	return s;
}

static void policies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct arena a = {0};
		const char *want = rows[i].want;
		const char *got = told(&a, span_text(rows[i].text));
		bool right = want[0] == '!' ? got[0] == '!' && strstr(got, want + 1) != NULL
					    : strcmp(got, want) == 0;

		if (!right)
			fail_msg("row %zu: \"%s\", not \"%s\"", i, got, want);
		arena_done(&a);
	}
}

static void repetition_is_told(void **state)
{
	struct arena a = {0};
	struct mail_sts p;

	(void)state;
	assert_int_equal(mail_sts_parse(&a, span_text(GOOD "mode: none\n"), &p, NULL), 0);
	assert_string_equal(p.repeated, "mode");
	assert_int_equal(mail_sts_parse(&a, span_text(GOOD "mx: b.c\n"), &p, NULL), 0);
	assert_null(p.repeated);
	arena_done(&a);
}

/* At every byte: a refusal, or the policy once all fields are whole. In memory of its own size. */
static void cut_anywhere(void **state)
{
	static const char text[] = "version: STSv1\r\nmode: testing\r\nmx: *.a.example\r\n"
				   "mx: b.example\r\nmax_age: 86400\r\n";
	size_t whole = sizeof(text) - 1;

	(void)state;
	for (size_t n = 0; n <= whole; n++) {
		struct arena a = {0};
		uint8_t *copy = xmalloc(n);
		struct mail_sts p;
		int got;

		memcpy(copy, text, n);
		got = mail_sts_parse(&a, span_of(copy, n), &p, NULL);
		/* Within the last number, and at its CR and LF: all is there. A CR without its
		 * LF is no end of a line. */
		assert_int_equal(got, n >= whole - 6 && n != whole - 1 ? 0 : -EINVAL);
		free(copy);
		arena_done(&a);
	}
}

static void nul_is_no_text(void **state)
{
	struct arena a = {0};
	struct mail_sts p;

	(void)state;
	assert_int_equal(mail_sts_parse(&a, span_of(GOOD "x: a\0b\n", sizeof(GOOD) + 6), &p, NULL),
			 -EINVAL);
	arena_done(&a);
}

/* As many patterns as 64 KiB hold, and one octet more. */
static void longest(void **state)
{
	static const char head[] = "version: STSv1\nmode: enforce\nmax_age: 1\n";
	size_t n = MAIL_STS_TEXT_MAX, at = sizeof(head) - 1;
	char *text = xmalloc(n + 1);
	struct arena a = {0};
	struct mail_sts p;

	(void)state;
	memcpy(text, head, at);
	for (; at + 5 <= n; at += 5)
		memcpy(text + at, "mx:a\n", 5);
	assert_int_equal(mail_sts_parse(&a, span_of(text, at), &p, NULL), 0);
	assert_int_equal(p.n_mx, (at - (sizeof(head) - 1)) / 5);
	memset(text + at, 'x', n + 1 - at);
	assert_int_equal(mail_sts_parse(&a, span_of(text, n + 1), &p, NULL), -EMSGSIZE);
	free(text);
	arena_done(&a);
}

/* Nothing but patterns, the last without its LF: the list has room for each. */
static void patterns_alone(void **state)
{
	static const char text[] = "mx:a\nmx:a\nmx:a\nmx:a";
	struct arena a = {0};
	struct mail_sts p;

	(void)state;
	assert_int_equal(mail_sts_parse(&a, span_text(text), &p, NULL), -EINVAL);
	assert_int_equal(p.n_mx, 4);
	arena_done(&a);
}

static void matching(void **state)
{
	static const struct {
		const char *pattern, *host;
		bool want;
	} cases[] = {
		{"mail.example.com", "mail.example.com", true},
		{"mail.example.com", "x.mail.example.com", false},
		{"mail.example.com", "ail.example.com", false},
		{"*.example.com", "mail.example.com", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", "foo.bar.example.com", false}, /* ST16 */
		{"*.example.com", ".example.com", false},
		{"*.example.com", "mail.example.com.evil", false},
		{"*.example.com", "mailexample.com", false},
		{"*.example.com", "com", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (mail_sts_matches(cases[i].pattern, cases[i].host) != cases[i].want)
			fail_msg("%s %s", cases[i].pattern, cases[i].host);
}

static void ids(void **state)
{
	(void)state;
	assert_true(mail_sts_is_id("20260101T000000Z"));
	assert_true(mail_sts_is_id(X31 "f"));
	assert_false(mail_sts_is_id(X31 "fg"));
	assert_false(mail_sts_is_id(""));
	assert_false(mail_sts_is_id("2026-01-01"));
	assert_false(mail_sts_is_id("a b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policies),     cmocka_unit_test(repetition_is_told),
		cmocka_unit_test(cut_anywhere), cmocka_unit_test(nul_is_no_text),
		cmocka_unit_test(longest),      cmocka_unit_test(patterns_alone),
		cmocka_unit_test(matching),     cmocka_unit_test(ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
