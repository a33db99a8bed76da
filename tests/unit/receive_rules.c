#include "test.h"

#include <errno.h>
#include <stdio.h>

#include "jobs/receive/rules.h"

/*
 * Every spelling goes the way that it goes in a session: through the server machine, whose RCPT is
 * then judged.
 */

static struct receive_list *list_of(const char *text, const char *domain)
{
	struct receive_list *l = NULL;
	struct err e;

	assert_int_equal(receive_list_parse(span_text(text), domain, &l, &e), 0);
	return l;
}

static struct receive_passwords *passwords_of(const char *text)
{
	struct receive_passwords *p = NULL;
	struct err e;

	assert_int_equal(receive_passwords_parse(span_text(text), &p, &e), 0);
	return p;
}

static const struct receive_network office[] = {
	{4, 24, {192, 0, 2}},
	{6, 33, {0x20, 0x01, 0x0d, 0xb8, 0x80}},
};
static const char fingerprint[] =
	"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
static const char *const fingerprints[] = {fingerprint};

enum {
	MX,
	BY_NETWORK,
	BY_CERTIFICATE,
	BY_PASSWORD,
	LISTENERS
};

static struct receive_listener listeners[LISTENERS] = {
	[MX] = {.kind = RECEIVE_MX, .networks = {office, 2}}, /* counts on a relay only */
	[BY_NETWORK] = {.kind = RECEIVE_RELAY, .networks = {office, 2}},
	[BY_CERTIFICATE] = {.kind = RECEIVE_RELAY,
			    .fingerprints = fingerprints,
			    .n_fingerprints = 1},
	[BY_PASSWORD] = {.kind = RECEIVE_RELAY},
};
static struct receive_domain domains[] = {
	{.name = "data.example",
	 .verify = RECEIVE_VERIFY_DATA,
	 .behind = {.name = "192.0.2.7", .port = 25}},
	{.name = "example.org", .verify = RECEIVE_VERIFY_RECIPIENTS}, /* nobody to ask */
	{.name = "listed.example",
	 .verify = RECEIVE_VERIFY_RECIPIENTS,
	 .behind = {.name = "192.0.2.7", .port = 25}}, /* the list says it all */
	{.name = "xn--bcher-kva.example",
	 .verify = RECEIVE_VERIFY_RECIPIENTS,
	 .behind = {.name = "192.0.2.7", .port = 25}},
};
static struct receive_rules rules = {
	.hostname = "mx.example.org",
	.postmaster = "Hostmaster@example.org",
	.listeners = listeners,
	.n_listeners = LISTENERS,
	.domains = domains,
	.n_domains = ARRAY_SIZE(domains),
};

static int set_up(void **state)
{
	(void)state;
	domains[2].recipients = list_of("# who is there\n\nanna@listed.example\r\n  Bert \n"
					"\"with space\"\nroute%d@listed.example\n"
					"other@elsewhere.example\n",
					"listed.example");
	listeners[BY_PASSWORD].passwords = passwords_of(
		"anna:$6$salt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc\n");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	receive_list_free((struct receive_list *)domains[2].recipients);
	receive_passwords_free((struct receive_passwords *)listeners[BY_PASSWORD].passwords);
	return 0;
}

static struct smtp_server_event next(struct smtp_server *s, const char *line)
{
	struct span in = span_text(line);
	struct smtp_server_event e = smtp_server_next(s, &in);

	smtp_server_sent(s, smtp_server_output(s).n);
	return e;
}

/* The code that RCPT gets; `ret` is filled for 0. */
static unsigned judge(const struct receive_listener *l, const struct receive_client *c,
		      const char *path, struct arena *a, struct receive_recipient *ret)
{
	struct smtp_server_options o = smtp_server_defaults();
	struct smtp_server_event e;
	struct smtp_server *s;
	char line[600];
	unsigned code;

	o.host = "mx.example.org";
	s = smtp_server_new(&o);
	smtp_server_greet(s, NULL);
	assert_int_equal(next(s, "EHLO client\r\n").kind, SMTP_SERVER_EHLO);
	smtp_server_answer(s, NULL);
	assert_int_equal(next(s, "MAIL FROM:<a@example.org> SMTPUTF8\r\n").kind, SMTP_SERVER_MAIL);
	smtp_server_answer(s, NULL);
	smtp_server_sent(s, smtp_server_output(s).n);
	snprintf(line, sizeof(line), "RCPT TO:%s\r\n", path);
	e = smtp_server_next(s, &(struct span){(const uint8_t *)line, strlen(line)});
	if (e.kind == SMTP_SERVER_RCPT) {
		code = receive_rules_rcpt(&rules, l, c, &e.rcpt->to, a, ret).code;
	} else { /* the machine refused it */
		struct span out = smtp_server_output(s);

		assert_true(out.n > 3 && (out.p[0] == '5' || out.p[0] == '4'));
		code = (unsigned)strtoul((const char *)out.p, NULL, 10);
	}
	smtp_server_free(s);
	return code;
}

static const struct receive_client stranger = {.address = {4, {203, 0, 113, 9}}};

static void no_open_relay(void **state)
{
	static const struct {
		const char *path;
		unsigned code;
	} rows[] = {
		{"<user@other.example>", 550},
		{"<user@OTHER.example.>", 550},
		{"<user@other.example..>", 553},
		{"<user%other.example@example.org>", 550},
		{"<user%other.example@EXAMPLE.ORG.>", 550},
		{"<\"user%other.example\"@example.org>", 550},
		{"<\"user@other.example\"@example.org>", 550},
		{"<\"user\\@other.example\"@example.org>", 550},
		{"<user@other.example@example.org>", 553},
		{"<other.example!user@example.org>", 550},
		{"<\"other.example!user\"@example.org>", 550},
		{"<other.example!user>", 553},
		{"<user%other.example>", 553},
		{"<\"user@other.example\">", 553},
		{"<@example.org:user@other.example>", 550},
		{"<@other.example:user@other.example>", 550},
		{"<@example.org,@mx.example.org:user@other.example>", 550},
		{"<@other.example:user%other.example@example.org>", 550},
		{"<@example.org:@other.example:user@example.org>", 553},
		{"<user@[192.0.2.7]>", 550},
		{"<user@[127.0.0.1]>", 550},
		{"<user@[IPv6:::1]>", 550},
		{"<user@[IPv6:2001:db8::7]>", 550},
		{"<user@[example.org]>", 553},
		{"<postmaster@[127.0.0.1]>", 550},
		{"<user@192.0.2.7>", 553},
		{"<user@127.1>", 553},
		{"<user@sub.example.org>", 550},
		{"<user@xexample.org>", 550},
		{"<user@example.org.other.example>", 550},
		{"<user@.example.org>", 553},
		{"<user@example.org@other.example>", 553},
		{"<user@org>", 550},
		{"<user@mx.example.org>", 550},
		{"<user@localhost>", 550},
		{"<user@>", 553},
		{"<user>", 553},
		{"<@example.org>", 553},
		{"<>", 553},
		{"<user@example.org >", 553},
		{"<user@example.org\t>", 553},
		{"<user @other.example@example.org>", 553},
		{"<user@other.example,user@example.org>", 553},
		{"<user@other.example;user@example.org>", 553},
		{"<user(user@example.org)@other.example>", 553},
		{"<user@bücher.test>", 550},
		{"<user@xn--bcher-kva.example.test>", 550},
		{"<user@xn--bcher-kv.example>", 550},
		{"<postmaster@other.example>", 550},
		{"<postmaster%other.example@example.org>", 550},
		{"<\"postmaster@other.example\">", 553},
		{"user@other.example", 501},
		{"<user@other.example><user@example.org>", 501},
		{"<route%d@example.org>", 550},
		{"<x%y@listed.example>", 550},
		{"<nobody@listed.example>", 550},
		/* and what is not refused */
		{"<user@example.org>", 0},
		{"<USER@Example.ORG>", 0},
		{"<user@example.org.>", 0},
		{"<@other.example,@b.example:user@example.org>", 0},
		{"<\"a b\"@example.org>", 0},
		{"<user@bücher.example>", 0},
		{"<user@BÜCHER.example>", 0},
		{"<user@XN--Bcher-kva.example>", 0},
		{"<jürgen@example.org>", 0},
		{"<postmaster>", 0},
		{"<PostMaster>", 0},
		{"<postmaster@example.org>", 0},
		{"<postmaster@listed.example>", 0},
		{"<anna@listed.example>", 0},
		{"<\"ANNA\"@listed.example>", 0},
		{"<\"an\\na\"@listed.example>", 0},
		{"<bert@listed.example>", 0},
		{"<\"with space\"@listed.example>", 0},
		{"<route%d@listed.example>", 0},
	};
	struct arena a = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct receive_recipient to = {0};
		unsigned code = judge(&listeners[MX], &stranger, rows[i].path, &a, &to);

		if (code != rows[i].code)
			fail_msg("%s: %u instead of %u", rows[i].path, code, rows[i].code);
		assert_true(code != 0 || to.domain != NULL);
	}
	/* A network opens a relay, never an MX. */
	assert_int_equal(judge(&listeners[MX], &(struct receive_client){{4, {192, 0, 2, 1}}, true},
			       "<user@other.example>", &a, &(struct receive_recipient){0}),
			 550);
	arena_done(&a);
}

static void codes(void **state)
{
	struct arena a = {0};
	struct receive_recipient to;
	struct mail_address address;
	struct smtp_server_verdict v;
	struct err e;

	(void)state;
	assert_int_equal(mail_address_parse(&a, span_text("u@other.example"), &address, &e), 0);
	v = receive_rules_rcpt(&rules, &listeners[MX], &stranger, &address, &a, &to);
	assert_true(v.code == 550 && v.status.class == 5 && v.status.subject == 7 &&
		    v.status.detail == 1);
	assert_int_equal(mail_address_parse(&a, span_text("u@listed.example"), &address, &e), 0);
	v = receive_rules_rcpt(&rules, &listeners[MX], &stranger, &address, &a, &to);
	assert_true(v.code == 550 && v.status.class == 5 && v.status.subject == 1 &&
		    v.status.detail == 1);
	arena_done(&a);
}

static void what_is_stored(void **state)
{
	static const struct {
		const char *path, *stored, *hop;
		bool verify, await;
	} rows[] = {
		{"<User@Example.ORG.>", "User@example.org", "example.org", false},
		{"<postmaster>", "Hostmaster@example.org", "example.org", false},
		{"<user@bücher.example>", "user@xn--bcher-kva.example", "xn--bcher-kva.example",
		 true},
		{"<anna@listed.example>", "anna@listed.example", "listed.example", false},
		{"<anna@data.example>", "anna@data.example", "data.example", true, true},
	};
	struct arena a = {0};
	struct receive_recipient to;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(judge(&listeners[MX], &stranger, rows[i].path, &a, &to), 0);
		assert_string_equal(to.path, rows[i].stored);
		assert_string_equal(to.hop, rows[i].hop);
		assert_int_equal(to.verify, rows[i].verify);
		assert_int_equal(to.await, rows[i].await);
	}
	/* A relay's client does not wait. */
	assert_int_equal(judge(&listeners[BY_NETWORK],
			       &(struct receive_client){{4, {192, 0, 2, 1}}}, "<anna@data.example>",
			       &a, &to),
			 0);
	assert_false(to.await);
	assert_int_equal(judge(&listeners[BY_NETWORK],
			       &(struct receive_client){{4, {192, 0, 2, 1}}},
			       "<x%y@[IPv6:2001:DB8:0::7]>", &a, &to),
			 0);
	assert_string_equal(to.hop, "[IPv6:2001:db8::7]");
	assert_null(to.domain);
	arena_done(&a);
}

static void relay_clients(void **state)
{
	static const struct {
		int listener;
		const char *address, *fingerprint, *user;
		unsigned mail; /* the code of MAIL */
		enum receive_right right;
	} rows[] = {
		{BY_NETWORK, "192.0.2.0", NULL, NULL, 0, RECEIVE_RIGHT_NETWORK},
		{BY_NETWORK, "192.0.2.255", NULL, NULL, 0, RECEIVE_RIGHT_NETWORK},
		{BY_NETWORK, "::ffff:192.0.2.9", NULL, NULL, 0, RECEIVE_RIGHT_NETWORK},
		{BY_NETWORK, "192.0.3.0", NULL, NULL, 550, RECEIVE_RIGHT_NONE},
		{BY_NETWORK, "2001:db8:8000::1", NULL, NULL, 0, RECEIVE_RIGHT_NETWORK},
		{BY_NETWORK, "2001:db8:7fff::1", NULL, NULL, 550, RECEIVE_RIGHT_NONE},
		{BY_NETWORK, "::c000:201", NULL, NULL, 550, RECEIVE_RIGHT_NONE},
		{BY_NETWORK, "", NULL, NULL, 550, RECEIVE_RIGHT_NONE},
		{BY_NETWORK, "203.0.113.9", fingerprint, "anna", 550, RECEIVE_RIGHT_NONE},
		{BY_CERTIFICATE, "203.0.113.9", fingerprint, NULL, 0, RECEIVE_RIGHT_CERTIFICATE},
		{BY_CERTIFICATE, "203.0.113.9", NULL, NULL, 530, RECEIVE_RIGHT_NONE},
		{BY_CERTIFICATE, "192.0.2.1", "00", "anna", 550, RECEIVE_RIGHT_NONE},
		{BY_PASSWORD, "203.0.113.9", NULL, "anna", 0, RECEIVE_RIGHT_AUTH},
		{BY_PASSWORD, "192.0.2.1", fingerprint, NULL, 530, RECEIVE_RIGHT_NONE},
	};
	struct arena a = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct receive_listener *l = &listeners[rows[i].listener];
		struct receive_client c = {.address = receive_address_of(rows[i].address),
					   .in_tls = rows[i].fingerprint != NULL,
					   .fingerprint = rows[i].fingerprint,
					   .user = rows[i].user};
		unsigned rcpt = rows[i].mail == 0 ? 0 : 550;
		struct receive_recipient to;

		if (receive_rules_mail(l, &c).code != rows[i].mail)
			fail_msg("row %zu: %u", i, receive_rules_mail(l, &c).code);
		assert_int_equal(receive_rules_right(l, &c), rows[i].right);
		/* Not even the gateway's own domains, for a client that is not named. */
		assert_int_equal(judge(l, &c, "<user@other.example>", &a, &to), rcpt);
		assert_int_equal(judge(l, &c, "<user@example.org>", &a, &to), rcpt);
		assert_int_equal(judge(l, &c, "<postmaster>", &a, &to), rcpt);
	}
	arena_done(&a);
}

static void lists(void **state)
{
	struct receive_list *l = list_of("@listed.example\n@x.example\nAnna", "listed.example");
	struct err e;

	(void)state;
	assert_true(receive_list_has(l, "whoever"));
	assert_false(receive_list_names(l, "whoever"));
	assert_true(receive_list_names(l, "ANNA"));
	assert_int_equal(receive_list_count(l), 1);
	receive_list_free(l);
	l = list_of("", "listed.example");
	assert_false(receive_list_has(l, "anna"));
	receive_list_free(l);
	static const char *const bad[] = {"ok\nb ad\n",      "ok\na@b@c\n", "ok\n@\n",
					  "ok\nx@-bad.test", "ok\n\"x\n",   "ok\n\x01"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		l = NULL;
		assert_int_equal(receive_list_parse(span_text(bad[i]), "a.example", &l, &e),
				 -EINVAL);
		assert_int_equal(strncmp(e.text, "line 2: ", 8), 0);
		assert_null(l);
	}
	assert_int_equal(receive_list_parse(span_of("a\0b", 3), "a.example", &l, &e), -EINVAL);
}

static void password_files(void **state)
{
	static const char *const bad[] = {
		"anna:secret\n",
		"anna:{PLAIN}secret with more words in it\n",
		"anna:$1$salt$tooweaktooweaktooweak1\n",
		"anna:ab01FAX.bQRSU\n",
		"anna\n",
		":$6$salt$0123456789012345\n",
		"anna:\n",
		"a:$6$salt$0123456789012345\na:$6$salt$0123456789012345\n"};
	struct receive_passwords *p =
		passwords_of("# users\nanna:$6$salt$0123456789012345:1:2\r\n\n"
			     "bert:$y$j9T$0123456789012345$678\n");
	struct err e;
	bool known;

	(void)state;
	assert_int_equal(receive_passwords_count(p), 2);
	assert_string_equal(receive_passwords_hash(p, span_text("anna"), &known),
			    "$6$salt$0123456789012345");
	assert_true(known);
	assert_string_equal(receive_passwords_hash(p, span_text("bert"), &known),
			    "$y$j9T$0123456789012345$678");
	assert_true(known);
	assert_non_null(receive_passwords_hash(p, span_text("Anna"), &known));
	assert_false(known);
	receive_passwords_free(p);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(receive_passwords_parse(span_text(bad[i]), &p, &e), -EINVAL);
		assert_null(strstr(e.text, "secret"));
	}
	assert_int_equal(receive_passwords_parse(span_of("a\0b", 3), &p, &e), -EINVAL);
	p = passwords_of("");
	assert_non_null(receive_passwords_hash(p, span_text("anna"), &known));
	assert_false(known);
	receive_passwords_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_open_relay),  cmocka_unit_test(codes),
		cmocka_unit_test(what_is_stored), cmocka_unit_test(relay_clients),
		cmocka_unit_test(lists),          cmocka_unit_test(password_files),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
