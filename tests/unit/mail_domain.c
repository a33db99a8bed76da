#include "test.h"

#include <errno.h>

#include "core/mail/domain.h"

#define L60 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff"

static const struct {
	const char *in;
	const char *text; /* NULL: refused */
	const char *host;
} cases[] = {
	{"example.org", "example.org", "example.org"},
	{"Example.ORG.", "example.org", "example.org"},
	{"localhost", "localhost", "localhost"},
	{"_mta.example", "_mta.example", "_mta.example"}, /* STD3 would drop the underscore */
	{"xn--i-7iq.ws", "xn--i-7iq.ws", "xn--i-7iq.ws"}, /* exists, though IDNA 2008 would not */
	{"fa\xc3\x9f.example", "xn--fa-hia.example", "xn--fa-hia.example"}, /* M31 */
	{"B\xc3\x9c"
	 "CHER.example",
	 "xn--bcher-kva.example", "xn--bcher-kva.example"},
	{"_x.b\xc3\xbc"
	 "cher.example",
	 "_x.xn--bcher-kva.example", "_x.xn--bcher-kva.example"},
	{"b\xc3\xbc"
	 "cher\xe3\x80\x82"
	 "example",
	 "xn--bcher-kva.example", "xn--bcher-kva.example"},
	{"[192.0.2.1]", "[192.0.2.1]", "192.0.2.1"}, /* M19 */
	{"[IPv6:2001:DB8::1]", "[IPv6:2001:db8::1]", "2001:db8::1"},
	{"[2001:db8:0::1]", "[IPv6:2001:db8::1]", "2001:db8::1"},
	{"[ipv6:::1]", "[IPv6:::1]", "::1"},
	{L60 "." L60 "." L60 "." L60 ".a.b.c.defg", NULL, NULL}, /* 254 */
	{L60 "." L60 "." L60 "." L60 ".a.b.c.def", L60 "." L60 "." L60 "." L60 ".a.b.c.def",
	 L60 "." L60 "." L60 "." L60 ".a.b.c.def"}, /* 253 */
	{L60 "ggg.example", L60 "ggg.example", L60 "ggg.example"},
	{L60 "gggg.example", NULL, NULL},
	{"", NULL, NULL},
	{".", NULL, NULL},
	{"a..b", NULL, NULL}, /* libidn2 takes it */
	{"\xc3\xbc..b", NULL, NULL},
	{".a", NULL, NULL},
	{"a..", NULL, NULL},
	{"-a.example", NULL, NULL},
	{"a-.example", NULL, NULL},
	{"a b.example", NULL, NULL},
	{"a\r\n.example", NULL, NULL},
	{"a@b.example", NULL, NULL},
	{"a<b.example", NULL, NULL},
	{"a>b.example", NULL, NULL},
	{"\xc3\xbc>b.example", NULL, NULL},
	{"\xef\xbc\x9e\xc3\xbc.example", NULL, NULL}, /* a fullwidth '>' is mapped to '>' */
	{"\xff.example", NULL, NULL},
	{"192.0.2.1", NULL, NULL}, /* M18 */
	{"2001:db8::1", NULL, NULL},
	{"example.123", NULL, NULL},
	{"[192.0.2.1", NULL, NULL},
	{"[]", NULL, NULL},
	{"[", NULL, NULL},
	{"[IPv6:192.0.2.1]", NULL, NULL},
	{"[192.0.2.256]", NULL, NULL},
	{"[fe80::1%eth0]", NULL, NULL},
	{"[x-tag:abc]", NULL, NULL},
	{"[192.0.2.1].", NULL, NULL},
};

static void domains(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct arena a = {0};
		struct mail_domain d = {0};
		struct err e = {0};
		int ret = mail_domain_parse(&a, span_text(cases[i].in), &d, &e);

		if (cases[i].text == NULL) {
			if (ret != -EINVAL)
				fail_msg("'%s' was taken", cases[i].in);
			assert_true(e.text[0] != '\0');
		} else {
			if (ret != 0)
				fail_msg("'%s': %s", cases[i].in, e.text);
			assert_string_equal(d.text, cases[i].text);
			assert_string_equal(d.host, cases[i].host);
		}
		arena_done(&a);
	}
}

static void nul_and_length(void **state)
{
	struct arena a = {0};
	struct mail_domain d;
	uint8_t large[4096];

	(void)state;
	assert_int_equal(mail_domain_parse(&a, span_of("a\0b", 3), &d, NULL), -EINVAL);
	assert_int_equal(mail_domain_parse(&a, span_of("[::1\0]", 6), &d, NULL), -EINVAL);
	memset(large, 0xc3, sizeof(large));
	assert_int_equal(mail_domain_parse(&a, span_of(large, sizeof(large)), &d, NULL), -EINVAL);
	assert_int_equal(a.used, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(domains),
		cmocka_unit_test(nul_and_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
