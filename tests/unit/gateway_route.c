/* Where a domain's mail goes, from the configuration as it is written. */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "main/gateway/outbound.h"

static const char text[] =
	"hostname: mx1.hoster.test\n"
	"domains:\n"
	"  own.example: {next_hop: \"smtp:[192.0.2.7]:2525\"}\n"
	"  unix.example: {next_hop: \"lmtp:unix:/run/lmtp\"}\n"
	"  tcp.example: {next_hop: \"lmtp:[::1]\", tls: encrypt}\n"
	"  host.example: {next_hop: \"smtp:[in.own.example]\", tls: dane-only}\n"
	"  mx.example: {next_hop: \"smtp:in.own.example\", tls: none}\n"
	"outbound:\n"
	"  mode: mandatory\n"
	"  destinations:\n"
	"    own.example: {mode: mandatory, next_hop: \"smtp:[192.0.2.99]\"}\n"
	"    over.example: {mode: none, owner: o, reason: r, until: 2020-12-31,\n"
	"                   next_hop: \"smtp:[192.0.2.8]\"}\n"
	"    holds.example: {mode: opportunistic, owner: o, reason: r, until: 2020-12-31}\n"
	"    relay.example: {mode: mandatory, next_hop: \"smtp:[relay.test]:587\"}\n"
	"%s";

enum {
	LAST_SECOND = 1609459199, /* of 2020 */
};

static struct config_file *read_file(const char *more)
{
	struct config_problems p = {0};
	struct config_file *f;
	char whole[4096];

	snprintf(whole, sizeof(whole), text, more);
	f = config_file_read("f", span_text(whole), &p);
	if (f == NULL)
		fail_msg("%u: %s", p.items[0].line, p.items[0].text);
	config_problems_done(&p);
	return f;
}

static void own_domains_go_behind(void **state)
{
	static const struct {
		const char *domain;
		enum send_route_kind kind;
		const char *name;
		uint16_t port;
		bool lmtp;
		enum send_route_tls tls;
	} cases[] = {
		{"own.example", SEND_ROUTE_ADDRESS, "192.0.2.7", 2525, false, SEND_TLS_MAY},
		{"unix.example", SEND_ROUTE_UNIX, "/run/lmtp", 0, true, SEND_TLS_MAY},
		{"tcp.example", SEND_ROUTE_ADDRESS, "::1", 24, true, SEND_TLS_ENCRYPT},
		{"host.example", SEND_ROUTE_HOST, "in.own.example", 25, false, SEND_TLS_DANE_ONLY},
		{"mx.example", SEND_ROUTE_MX, "in.own.example", 25, false, SEND_TLS_NONE},
	};
	_cleanup_(config_file_freep) struct config_file *f =
		read_file("  next_hop: \"smtp:[smart.test]\"\n");
	struct send_queue_route r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(gateway_route(f, cases[i].domain, 0, &r));
		assert_int_equal(r.kind, cases[i].kind);
		assert_string_equal(r.name, cases[i].name);
		if (cases[i].port != 0)
			assert_int_equal(r.port, cases[i].port);
		assert_int_equal(r.lmtp, cases[i].lmtp);
		assert_int_equal(r.tls, cases[i].tls);
	}
}

/* To the second; then the mode is the usual one, and its next hop is gone with it. */
static void an_exception_ends_by_itself(void **state)
{
	_cleanup_(config_file_freep) struct config_file *f = read_file("");
	struct send_queue_route r;

	(void)state;
	assert_true(gateway_route(f, "over.example", LAST_SECOND, &r));
	assert_int_equal(r.mode, DANE_MODE_NONE);
	assert_int_equal(r.tls, SEND_TLS_MODE);
	assert_string_equal(r.name, "192.0.2.8");
	assert_false(gateway_route(f, "over.example", LAST_SECOND + 1, &r));
	assert_int_equal(r.mode, DANE_MODE_MANDATORY);
	assert_null(r.name);
	assert_int_equal(r.kind, SEND_ROUTE_MX);
	assert_true(gateway_route(f, "holds.example", LAST_SECOND, &r));
	assert_int_equal(r.mode, DANE_MODE_OPPORTUNISTIC);
	assert_null(r.name);
	assert_false(gateway_route(f, "holds.example", LAST_SECOND + 1, &r));
	assert_int_equal(r.mode, DANE_MODE_MANDATORY);
}

static void the_rest_goes_by_mx_or_to_the_smart_host(void **state)
{
	_cleanup_(config_file_freep) struct config_file *f = read_file(""), *smart = NULL;
	struct send_queue_route r;

	(void)state;
	assert_true(gateway_route(f, "relay.example", 0, &r));
	assert_int_equal(r.kind, SEND_ROUTE_HOST);
	assert_string_equal(r.name, "relay.test");
	assert_int_equal(r.port, 587);
	assert_false(gateway_route(f, "other.example", 0, &r));
	assert_false(gateway_route(f, "sub.own.example", 0, &r));
	assert_false(gateway_route(f, "[192.0.2.1]", 0, &r));
	assert_int_equal(r.mode, DANE_MODE_MANDATORY);

	smart = read_file("  next_hop: \"smtp:[smart.test]\"\n");
	assert_true(gateway_route(smart, "other.example", 0, &r));
	assert_string_equal(r.name, "smart.test");
	assert_int_equal(r.mode, DANE_MODE_MANDATORY);
	assert_true(gateway_route(smart, "[192.0.2.1]", 0, &r));
	assert_true(gateway_route(smart, "over.example", LAST_SECOND + 1, &r));
	assert_string_equal(r.name, "smart.test");
	assert_true(gateway_route(smart, "relay.example", 0, &r));
	assert_string_equal(r.name, "relay.test");
}

/* What a client hears when the server behind refuses its message. */
static void a_refusal_is_passed_on(void **state)
{
	static const char own[] = "the recipient's server refuses it";
	static const struct {
		const char *status, *reply, *detail;
		unsigned code;
		struct smtp_status expected;
		const char *text;
	} rows[] = {
		{"5.7.1",
		 "550 5.7.1 no such thing; see there",
		 "d",
		 550,
		 {5, 7, 1},
		 "no such thing; see there"},
		{"5.0.0", "552 too much", "d", 552, {5, 0, 0}, "too much"},
		{"5.3.4", "552", "d", 552, {5, 3, 4}, ""},
		{"5.6.0", "599  5.6.0", "d", 599, {5, 6, 0}, ""},
		{"5.7.1", "550 5.7.1x is no status", "d", 550, {5, 7, 1}, "5.7.1x is no status"},
		{"5.6.7", NULL, "mx[192.0.2.7]:25: no SMTPUTF8", 554, {5, 6, 7}, own},
		/* Never a 4yz, 2yz or nonsense. */
		{"4.4.7", "450 4.4.7 later", "over", 554, {5, 0, 0}, own},
		{"2.0.0", "250 yes", "d", 554, {5, 0, 0}, own},
		{NULL, "5501 x", NULL, 554, {5, 0, 0}, own},
		{NULL, "", "d", 554, {5, 0, 0}, own},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct store_outcome o = {.state = STORE_FAILED,
					  .status = rows[i].status,
					  .reply = rows[i].reply,
					  .detail = rows[i].detail};
		struct smtp_server_verdict v;

		gateway_refusal(&o, &v);
		assert_int_equal(v.code, rows[i].code);
		assert_memory_equal(&v.status, &rows[i].expected, sizeof(v.status));
		assert_string_equal(v.text, rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_domains_go_behind),
		cmocka_unit_test(an_exception_ends_by_itself),
		cmocka_unit_test(the_rest_goes_by_mx_or_to_the_smart_host),
		cmocka_unit_test(a_refusal_is_passed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
