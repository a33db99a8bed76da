#include "test.h"

#include <errno.h>

#include "core/mail/address.h"

#define L32 "abcdefghijklmnopqrstuvwxyz012345"
#define D60 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff"

static const struct {
	const char *in;
	const char *path; /* NULL: refused */
	bool smtputf8;
} cases[] = {
	{"b@example.org", "b@example.org", false},
	{"B.O'Hara+x=y{z}@EXAMPLE.org.", "B.O'Hara+x=y{z}@example.org", false},
	{"\"a b\"@example.org", "\"a b\"@example.org", false},
	{"\"a@b\\\"c\\\\\"@example.org", "\"a@b\\\"c\\\\\"@example.org", false},
	{"\"\"@example.org", "\"\"@example.org", false},
	{"b@[192.0.2.1]", "b@[192.0.2.1]", false},
	{"b@[2001:db8::1]", "b@[IPv6:2001:db8::1]", false},
	{"b@b\xc3\xbc"
	 "cher.example",
	 "b@xn--bcher-kva.example", false},
	{"j\xc3\xb6rg@example.org", "j\xc3\xb6rg@example.org", true},
	{"\"j \xc3\xb6\"@example.org", "\"j \xc3\xb6\"@example.org", true},
	{"\"\\\\\xc3\xb6\"@example.org", "\"\\\\\xc3\xb6\"@example.org", true},
	{L32 L32 "@example.org", L32 L32 "@example.org", false},
	{L32 L32 "x@example.org", NULL, false},
	/* 64 + 1 + 189 = 254, and one more */
	{L32 L32 "@" D60 "." D60 "." D60 ".abcdef", L32 L32 "@" D60 "." D60 "." D60 ".abcdef",
	 false},
	{L32 L32 "@" D60 "." D60 "." D60 ".abcdefg", NULL, false},
	{"", NULL, false},
	{"b", NULL, false},
	{"b@", NULL, false},
	{"@example.org", NULL, false},
	{"a@b@example.org", NULL, false},
	{".a@example.org", NULL, false},
	{"a.@example.org", NULL, false},
	{"a..b@example.org", NULL, false},
	{"a b@example.org", NULL, false},
	{"<a@example.org>", NULL, false},
	{"a@example.org>", NULL, false},
	{"a@example.org> SIZE=1", NULL, false},
	{"@relay.example:b@example.org", NULL, false},
	{"a\r\nRCPT TO:<c@example.org>", NULL, false},
	{"a\r@example.org", NULL, false},
	{"a\n@example.org", NULL, false},
	{"\"a\r\nDATA\"@example.org", NULL, false},
	{"\"a\\\r\\\n\"@example.org", NULL, false},
	{"\"a>b\"@example.org", NULL, false},
	{"\"a\\>b\"@example.org", NULL, false},
	{"\"a<b\"@example.org", NULL, false},
	{"\"a@example.org", NULL, false},
	{"\"a\\", NULL, false},
	{"\"", NULL, false},
	{"\"\\\xc3\xb6\"@example.org", NULL, false},
	{"\"a\"b@example.org", NULL, false},
	{"\xff@example.org", NULL, false},
	{"\xc3@example.org", NULL, false},
	{"\xc2\x85@example.org", NULL, false},     /* U+0085: a line end to some */
	{"\xc0\xbc@example.org", NULL, false},     /* overlong '<' */
	{"\xed\xa0\x80@example.org", NULL, false}, /* a surrogate */
	{"\x7f@example.org", NULL, false},
	{"\"\x7f\"@example.org", NULL, false},
};

static void addresses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct arena a = {0};
		struct mail_address m = {0};
		struct err e = {0};
		int ret = mail_address_parse(&a, span_text(cases[i].in), &m, &e);

		if (cases[i].path == NULL) {
			if (ret != -EINVAL)
				fail_msg("'%s' was taken", cases[i].in);
			assert_true(e.text[0] != '\0');
		} else {
			if (ret != 0)
				fail_msg("'%s': %s", cases[i].in, e.text);
			assert_string_equal(m.path, cases[i].path);
			assert_int_equal(m.smtputf8, cases[i].smtputf8);
			assert_true(mail_path_is_safe(m.path));
			assert_false(mail_address_is_null(&m));
		}
		arena_done(&a);
	}
}

static void a_nul_is_refused(void **state)
{
	struct arena a = {0};
	struct mail_address m;

	(void)state;
	assert_int_equal(mail_address_parse(&a, span_of("a\0b@c.example", 13), &m, NULL), -EINVAL);
	assert_int_equal(mail_address_parse(&a, span_of("\"a\0b\"@c.example", 15), &m, NULL),
			 -EINVAL);
	arena_done(&a);
}

static void the_null_reverse_path(void **state)
{
	struct arena a = {0};
	struct mail_address m;

	(void)state;
	assert_int_equal(mail_address_parse_reverse(&a, span_text("<>"), &m, NULL), 0);
	assert_true(mail_address_is_null(&m));
	assert_int_equal(mail_address_parse_reverse(&a, span_text(""), &m, NULL), 0);
	assert_true(mail_address_is_null(&m));
	assert_int_equal(mail_address_parse(&a, span_text("<>"), &m, NULL), -EINVAL);
	assert_int_equal(mail_address_parse_reverse(&a, span_text("a@b.example"), &m, NULL), 0);
	assert_string_equal(m.path, "a@b.example");
	arena_done(&a);
}

static void an_unsafe_path_is_seen(void **state)
{
	char large[MAIL_PATH_MAX + 2];

	(void)state;
	assert_false(mail_path_is_safe("a@b>\r\nDATA"));
	assert_false(mail_path_is_safe("a@b\n"));
	assert_false(mail_path_is_safe("a<b"));
	assert_false(mail_path_is_safe("a>b"));
	memset(large, 'a', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	assert_false(mail_path_is_safe(large));
	large[sizeof(large) - 2] = '\0';
	assert_true(mail_path_is_safe(large));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(a_nul_is_refused),
		cmocka_unit_test(the_null_reverse_path),
		cmocka_unit_test(an_unsafe_path_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
