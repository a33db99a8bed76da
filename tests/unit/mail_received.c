/* The Received field, and the count of those before it: RFC 5321 sections 4.4, 6.3; RFC 3848. */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "core/mail/received.h"

#define TIME INT64_C(1795610400) /* Wed, 25 Nov 2026 12:40:00 +0000 */
#define DATE "Wed, 25 Nov 2026 12:40:00 +0000\r\n"

#define BASE                                                                                       \
	.helo = "mail.example.net", .address = "192.0.2.1", .by = "mx1.example.org",               \
	.esmtp = true, .unix_time = TIME
#define TLS .tls_version = "TLSv1.3", .tls_cipher = "TLS_AES_256_GCM_SHA384"

/* No line is longer than `most`, each further line begins with white space, none is empty. */
static void expect_lines(struct span field, size_t most)
{
	const char *p = (const char *)field.p, *end = p + field.n;

	assert_true(field.n <= MAIL_RECEIVED_MAX);
	for (bool first = true; p < end; first = false) {
		const char *cr = memchr(p, '\r', (size_t)(end - p));

		assert_non_null(cr);
		assert_true(cr + 1 < end && cr[1] == '\n');
		assert_true(first || *p == '\t');
		assert_true((size_t)(cr - p) > 1);
		if ((size_t)(cr - p) > most)
			fail_msg("a line of %zu octets: %.*s", (size_t)(cr - p), (int)field.n,
				 (const char *)field.p);
		p = cr + 2;
	}
}

static const struct {
	struct mail_received facts;
	const char *text;
} known[] = {
	{{BASE},
	 "Received: from mail.example.net ([192.0.2.1]) by mx1.example.org with ESMTP;\r\n"
	 "\t" DATE},
	{{BASE, TLS, .id = "4F2A", .recipient = "b@example.org"},
	 "Received: from mail.example.net ([192.0.2.1]) by mx1.example.org with ESMTPS\r\n"
	 "\t(TLSv1.3 TLS_AES_256_GCM_SHA384) id 4F2A for <b@example.org>;\r\n"
	 "\t" DATE},
	/* The word for the protocol */
	{{.helo = "a", .by = "b", .unix_time = TIME}, "Received: from a by b with SMTP; " DATE},
	{{.helo = "a", .by = "b", .address = "", .unix_time = TIME, .authenticated = true, TLS},
	 "Received: from a by b with SMTP (TLSv1.3 TLS_AES_256_GCM_SHA384);\r\n\t" DATE},
	{{.helo = "a", .by = "b", .unix_time = TIME, .esmtp = true, .authenticated = true},
	 "Received: from a by b with ESMTPA; " DATE},
	{{.helo = "a",
	  .by = "b",
	  .unix_time = TIME,
	  .esmtp = true,
	  .authenticated = true,
	  .tls_version = "x",
	  .tls_cipher = "y"},
	 "Received: from a by b with ESMTPSA (x y); " DATE},
	{{.helo = "a", .by = "b", .unix_time = TIME, .esmtp = true, .smtputf8 = true},
	 "Received: from a by b with UTF8SMTP; " DATE},
	{{.helo = "a",
	  .by = "b",
	  .unix_time = TIME,
	  .esmtp = true,
	  .smtputf8 = true,
	  .authenticated = true},
	 "Received: from a by b with UTF8SMTPA; " DATE},
	{{.helo = "a",
	  .by = "b",
	  .unix_time = TIME,
	  .esmtp = true,
	  .smtputf8 = true,
	  .tls_version = "x",
	  .tls_cipher = "y"},
	 "Received: from a by b with UTF8SMTPS (x y); " DATE},
	{{.helo = "a",
	  .by = "b",
	  .unix_time = TIME,
	  .esmtp = true,
	  .smtputf8 = true,
	  .authenticated = true,
	  .tls_version = "x",
	  .tls_cipher = "y"},
	 "Received: from a by b with UTF8SMTPSA (x y); " DATE},
	/* Addresses */
	{{.helo = "a.b", .address = "2001:db8::1", .by = "b", .unix_time = TIME},
	 "Received: from a.b ([IPv6:2001:db8::1]) by b with SMTP;\r\n\t" DATE},
	{{.helo = "[192.0.2.9]", .address = "192.0.2.1", .by = "b", .unix_time = TIME},
	 "Received: from [192.0.2.9] ([192.0.2.1]) by b with SMTP;\r\n\t" DATE},
	{{.helo = "[IPv6:2001:db8::1]", .by = "b", .unix_time = TIME},
	 "Received: from [IPv6:2001:db8::1] by b with SMTP;\r\n\t" DATE},
	{{.address = "192.0.2.1", .by = "b", .unix_time = TIME},
	 "Received: from [192.0.2.1] ([192.0.2.1]) by b with SMTP;\r\n\t" DATE},
	{{.by = "b", .unix_time = TIME}, "Received: from localhost by b with SMTP; " DATE},
	/* A HELO that is no name */
	{{.helo = "a_b", .address = "192.0.2.1", .by = "b", .unix_time = TIME},
	 "Received: from [192.0.2.1] ([192.0.2.1]) (HELO a_b) by b with SMTP;\r\n\t" DATE},
	{{.helo = "x)(by\\evil;\"<", .by = "b", .unix_time = TIME},
	 "Received: from localhost (HELO x\\)\\(by\\\\evil;\"<) by b with "
	 "SMTP;\r\n\t" DATE},
	{{.helo = "a..b", .by = "b", .unix_time = TIME},
	 "Received: from localhost (HELO a..b) by b with SMTP;\r\n\t" DATE},
	{{.helo = "a.", .by = "b", .unix_time = TIME},
	 "Received: from localhost (HELO a.) by b with SMTP;\r\n\t" DATE},
	{{.helo = "-a", .by = "b", .unix_time = TIME},
	 "Received: from localhost (HELO -a) by b with SMTP;\r\n\t" DATE},
	{{.helo = "a-.b", .by = "b", .unix_time = TIME},
	 "Received: from localhost (HELO a-.b) by b with SMTP;\r\n\t" DATE},
	{{.helo = "[300.0.2.9]", .by = "b", .unix_time = TIME},
	 "Received: from localhost (HELO [300.0.2.9]) by b with SMTP;\r\n\t" DATE},
	{{.helo = "[a](b]", .by = "b", .unix_time = TIME},
	 "Received: from localhost (HELO [a]\\(b]) by b with SMTP;\r\n\t" DATE},
	{{.helo = "a\x01\x7f\xc3\xa4", .by = "b", .unix_time = TIME},
	 "Received: from localhost (HELO a???\?) by b with SMTP;\r\n\t" DATE},
	{{.helo = "", .by = "b", .unix_time = TIME},
	 "Received: from localhost (HELO ) by b with SMTP;\r\n\t" DATE},
	/* Recipients */
	{{.helo = "a", .by = "b", .unix_time = TIME, .recipient = "\"x y\"@c"},
	 "Received: from a by b with SMTP for <\"x y\"@c>; " DATE},
	{{.helo = "a", .by = "b", .unix_time = TIME, .recipient = "b\xc3\xbc@c"},
	 "Received: from a by b with SMTP; " DATE},
	{{.helo = "a",
	  .by = "b",
	  .unix_time = TIME,
	  .esmtp = true,
	  .smtputf8 = true,
	  .recipient = "b\xc3\xbc@c"},
	 "Received: from a by b with UTF8SMTP for <b\xc3\xbc@c>;\r\n\t" DATE},
	{{.helo = "a", .by = "b", .unix_time = TIME, .recipient = "x>\r\nEvil: y@c"},
	 "Received: from a by b with SMTP; " DATE},
};

static void fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		struct arena a = {0};
		struct span field = mail_received(&a, &known[i].facts);

		if (!span_is(field, known[i].text))
			fail_msg("row %zu: %.*s", i, (int)field.n, (const char *)field.p);
		expect_lines(field, 78);
		arena_done(&a);
	}
}

/* Everything as long as it can come, and longer. */
static void long_facts(void **state)
{
	char helo[600], by[300], id[100], path[255], name[256];
	struct mail_received facts = {BASE, .tls_version = "TLSv1.2",
				      .tls_cipher = "ECDHE-ECDSA-CHACHA20-POLY1305-AND-SO-ON"};
	struct arena a = {0};
	struct span field;

	(void)state;
	memset(helo, '(', sizeof(helo) - 1);
	memset(by, 'b', sizeof(by) - 1);
	memset(id, 'i', sizeof(id) - 1);
	memset(path, 'p', sizeof(path) - 1);
	memset(name, 'n', sizeof(name) - 1);
	helo[sizeof(helo) - 1] = by[sizeof(by) - 1] = id[sizeof(id) - 1] = path[sizeof(path) - 1] =
		name[sizeof(name) - 1] = '\0';
	path[64] = '@';
	facts.helo = helo;
	facts.by = by;
	facts.id = id;
	facts.recipient = path;
	facts.address = "2001:db8:1111:2222:3333:4444:5555:6666";
	field = mail_received(&a, &facts);
	expect_lines(field, 500);
	facts.helo = name; /* the longest that is a name */
	expect_lines(mail_received(&a, &facts), 500);
	/* One clause after the other passes column 78: never a line above it. */
	for (size_t n = 1; n < 60; n++) {
		struct mail_received some = {BASE, TLS, .recipient = "b@example.org"};

		name[n] = '\0';
		id[60 - n] = '\0';
		some.helo = name;
		some.id = id;
		expect_lines(mail_received(&a, &some), 78);
		name[n] = 'n';
		id[60 - n] = 'i';
	}
	arena_done(&a);
}

/* --- counting --------------------------------------------------------------------------------- */

static const struct {
	const char *message;
	unsigned received;
	size_t header; /* octets; SIZE_MAX: all, it does not end */
} messages[] = {
	{"Subject: a\r\n\r\nReceived: no\r\n", 0, 14},
	{"Received: a\r\nReceived: b\r\n\r\nReceived: no\r\n", 2, 28},
	{"RECEIVED: a\r\nreceived: b\r\nReCeIvEd:c\r\n\r\n", 3, SIZE_MAX},
	{"Received : a\r\nReceived \t : b\r\nReceived\t:\r\n\r\n", 3, SIZE_MAX},
	{"Received: a\r\n\tReceived: folded\r\n Received: folded\r\n\r\n", 1, SIZE_MAX},
	{"X-Received: a\r\nReceived-SPF: b\r\nReceive: c\r\nReceivedd: d\r\nRece\r\n\r\n", 0,
	 SIZE_MAX},
	{"Received\r\n: no\r\nReceived \r\n: no\r\n\r\n", 0, SIZE_MAX},
	{"R\r\nReceived: a\r\nReceive\r\nReceived:\r\nReceived: c", 3, SIZE_MAX},
	{"\r\nReceived: no\r\n", 0, 2},
	{"\nReceived: no\r\n", 0, 1},
	{"Received: a\nReceived: b\n\nReceived: no\n", 2, 25},
	{"Received: a\r\n\rReceived: no\r\nReceived: b\r\n\r\nReceived: no", 2, 43},
	{"a\r\n\r\r\n\r\nReceived: no\r\n", 0, 8},
	{"Rec\nReceived: a\nReceived\nReceived: b\nReceived \nReceived: c\n\n", 3, SIZE_MAX},
	{"Received:", 1, SIZE_MAX},
	{"Received", 0, SIZE_MAX},
	{"no header at all\r\nReceived: a\r\n", 1, SIZE_MAX},
	{"Subject: \xff\xfe\r\nReceived: \x80\r\n\r\n", 1, SIZE_MAX},
	{"", 0, SIZE_MAX},
};

static void expect_count(size_t i, size_t cut1, size_t cut2)
{
	struct span all = span_text(messages[i].message);
	struct mail_hops h = {0};
	size_t want = messages[i].header == SIZE_MAX ? all.n : messages[i].header, got;

	got = mail_hops_feed(&h, span_of(all.p, cut1));
	got += mail_hops_feed(&h, span_of(all.p + cut1, cut2 - cut1));
	got += mail_hops_feed(&h, span_skip(all, cut2));
	if (h.received != messages[i].received || got != want || h.octets != want)
		fail_msg("message %zu cut at %zu and %zu: %u, %zu octets", i, cut1, cut2,
			 h.received, got);
}

static void every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		size_t n = strlen(messages[i].message);

		for (size_t cut1 = 0; cut1 <= n; cut1++)
			for (size_t cut2 = cut1; cut2 <= n; cut2++)
				expect_count(i, cut1, cut2);
	}
}

/* What we write is what we count; the limit is met exactly. */
static void a_loop_is_seen(void **state)
{
	struct mail_received facts = {BASE, TLS, .id = "4F2A", .recipient = "b@example.org"};
	struct arena a = {0};
	struct span field = mail_received(&a, &facts), body = span_text("\r\nReceived: no\r\n");
	struct mail_hops h = {0};

	(void)state;
	for (unsigned i = 0; i < MAIL_HOPS_MAX; i++) {
		assert_int_equal(h.received, i);
		assert_int_equal(mail_hops_feed(&h, field), field.n);
	}
	assert_int_equal(h.received, MAIL_HOPS_MAX);
	assert_int_equal(mail_hops_feed(&h, body), 2);
	assert_true(h.in_body);
	assert_int_equal(mail_hops_feed(&h, field), 0);
	assert_int_equal(h.received, MAIL_HOPS_MAX);
	assert_int_equal(h.octets, MAIL_HOPS_MAX * field.n + 2);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),
		cmocka_unit_test(long_facts),
		cmocka_unit_test(every_cut),
		cmocka_unit_test(a_loop_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
