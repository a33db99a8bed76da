/*
 * Key rollover step by step: RFC 7671 section 8, matrix B1, B8-B12, B19, B22-B24. That no wait is
 * too short is proved by tests/model; here each refusal and each time is looked at by itself.
 */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "core/roll/roll.h"

#define START usec_seconds(1800000000)
#define HOUR  3600

static const struct roll_policy policy = {
	.ttl_s = HOUR,
	.ttl_max_s = 2 * HOUR,
	.propagation_s = 60,
	.margin_s = 0,
	.history_ttl_s = 24 * HOUR,
};

struct fixture {
	struct roll r;
	usec_t t;
	size_t ns[2], mx;
	struct roll_report report;
};

static void pass(struct fixture *f, int64_t seconds)
{
	f->t += usec_seconds(seconds);
	roll_clock(&f->r,
		   (struct roll_clock){.unix_usec = START + f->t, .mono_usec = f->t, .boot = 1});
}

static struct roll_set record(uint8_t key)
{
	struct roll_set s = {0};
	uint8_t data[32];

	memset(data, key, sizeof(data));
	assert_int_equal(roll_set_add(&s, 3, 1, 1, data, sizeof(data)), 0);
	return s;
}

static struct roll_bundle bundle(uint64_t id, uint8_t key)
{
	struct roll_bundle b = {.id = id, .n_chains = 1};

	b.chains[0] = b.publish = record(key);
	return b;
}

static void look(struct fixture *f, size_t ns, const struct roll_set *set, uint32_t ttl_s)
{
	struct roll_sight sight = {.set = *set, .ttl_s = ttl_s};

	roll_look(&f->r, f->ns[ns], &sight);
}

static const struct roll_report *report(struct fixture *f)
{
	roll_report(&f->r, &f->report);
	return &f->report;
}

/* The step, and the name server at fault. */
static void expect(struct fixture *f, enum roll_step step, const char *why)
{
	report(f);
	if (f->report.step != step || strstr(f->report.why, why) == NULL)
		fail_msg("%s: %s; not %s: %s", roll_step_to_string(f->report.step), f->report.why,
			 roll_step_to_string(step), why);
}

static void expect_safe_in(struct fixture *f, int64_t seconds)
{
	assert_int_equal(report(f)->safe_from, START + f->t + usec_seconds(seconds) + 1);
}

/* A zone with two name servers, a host with one address, key `a` served, its record published long
 * ago. */
static void start(struct fixture *f)
{
	struct roll_bundle b = bundle(1, 'a');

	memset(f, 0, sizeof(*f));
	roll_init(&f->r, &policy);
	pass(f, 0);
	assert_int_equal(roll_serve(&f->r, &b, NULL), 0);
	roll_want_dane(&f->r, ROLL_DANE_ON);
	assert_int_equal(roll_place(&f->r, 0, "ns1", &f->ns[0]), 0);
	assert_int_equal(roll_place(&f->r, 0, "ns2", &f->ns[1]), 0);
	assert_int_equal(roll_address(&f->r, "192.0.2.1", &f->mx), 0);
	roll_probe(&f->r, f->mx, 1);
	for (size_t i = 0; i < 2; i++)
		look(f, i, &b.publish, HOUR);
	pass(f, 3 * 24 * HOUR);
	expect(f, ROLL_STEP_REST, "nothing");
	assert_true(f->report.in_force);
}

/* Both servers were seen with what the machine publishes. */
static void publish(struct fixture *f)
{
	struct roll_set set = report(f)->set;

	assert_int_equal(f->report.step, ROLL_STEP_PUBLISH);
	assert_int_not_equal(roll_publish(&f->r), 0);
	look(f, 0, &set, HOUR);
	look(f, 1, &set, HOUR);
}

static void a_new_key_waits_two_ttls_from_the_last_server(void **state)
{
	struct fixture f;
	struct roll_bundle next = bundle(2, 'b');
	struct roll_set both;
	struct err e;

	(void)state;
	start(&f);
	assert_int_equal(roll_stage(&f.r, &next, &e), 0);
	assert_int_equal(roll_stage(&f.r, &next, &e), -EBUSY);
	expect(&f, ROLL_STEP_PUBLISH, "wanted");
	both = f.report.set;
	assert_int_equal(both.n, 2);
	assert_int_equal(report(&f)->safe_from, USEC_NEVER);
	assert_int_not_equal(roll_publish(&f.r), 0);
	assert_int_equal(roll_publish(&f.r), 0); /* once */
	look(&f, 0, &both, HOUR);
	expect(&f, ROLL_STEP_LOOK, "ns2");
	assert_int_equal(roll_activate(&f.r, ROLL_FORCE_NONE, &e), -EAGAIN);
	assert_non_null(strstr(e.text, "still be served"));
	pass(&f, 500);
	look(&f, 1, &both, HOUR);
	expect_safe_in(&f, 60 + 2 * HOUR);
	pass(&f, 60 + 2 * HOUR);
	expect(&f, ROLL_STEP_WAIT, "for 1 s");
	assert_int_equal(roll_activate(&f.r, ROLL_FORCE_NONE, &e), -EAGAIN);
	assert_int_equal(roll_activate(&f.r, ROLL_FORCE_HARMLESS, &e), -EAGAIN);
	pass(&f, 1);
	expect(&f, ROLL_STEP_READY, "every set");
	assert_int_equal(roll_activate(&f.r, ROLL_FORCE_NONE, &e), 0);
	assert_int_equal(report(&f)->bundle, 2);
	/* The old record stays until the new key is seen: B10. */
	expect(&f, ROLL_STEP_PROBE, "192.0.2.1");
	assert_int_equal(roll_stage(&f.r, &next, &e), -EBUSY);
	roll_probe(&f.r, f.mx, 1); /* the reload has failed */
	expect(&f, ROLL_STEP_PROBE, "192.0.2.1");
	roll_probe(&f.r, f.mx, 2);
	publish(&f);
	expect(&f, ROLL_STEP_REST, "");
	assert_false(f.report.broken);
}

static void the_same_key_waits_for_nothing(void **state)
{
	struct fixture f;
	struct roll_bundle renewed = bundle(2, 'a');

	(void)state;
	start(&f);
	assert_int_equal(roll_stage(&f.r, &renewed, NULL), 0);
	expect(&f, ROLL_STEP_READY, "");
	assert_int_equal(roll_activate(&f.r, ROLL_FORCE_NONE, NULL), 0);
}

static void a_ttl_lowered_yesterday_counts(void **state)
{
	struct fixture f;
	struct roll_bundle next = bundle(2, 'b');
	struct roll_set a = record('a');

	(void)state;
	start(&f);
	look(&f, 0, &a, 24 * HOUR);
	look(&f, 1, &a, 24 * HOUR);
	assert_int_equal(roll_stage(&f.r, &next, NULL), 0);
	publish(&f);
	expect_safe_in(&f, 60 + 48 * HOUR);
}

static void the_alias_counts(void **state)
{
	struct fixture f;
	struct roll_bundle next = bundle(2, 'b');
	struct roll_sight sight = {.set = record('a'), .ttl_s = HOUR, .alias_ttl_s = 5 * HOUR};

	(void)state;
	start(&f);
	roll_look(&f.r, f.ns[0], &sight);
	assert_int_equal(roll_stage(&f.r, &next, NULL), 0);
	publish(&f);
	expect_safe_in(&f, 60 + 6 * HOUR);
}

static void nothing_is_published_for_a_server_that_was_not_seen(void **state)
{
	struct fixture f;
	struct roll_bundle b = bundle(1, 'a');
	struct roll_set none = {0};

	(void)state;
	memset(&f, 0, sizeof(f));
	roll_init(&f.r, &policy);
	pass(&f, 0);
	assert_int_equal(roll_serve(&f.r, &b, NULL), 0);
	assert_int_equal(roll_place(&f.r, 0, "ns1", &f.ns[0]), 0);
	assert_int_equal(roll_place(&f.r, 0, "ns2", &f.ns[1]), 0);
	assert_int_equal(roll_address(&f.r, "192.0.2.1", &f.mx), 0);
	look(&f, 0, &none, 2 * HOUR);
	look(&f, 1, &none, 2 * HOUR);
	expect(&f, ROLL_STEP_REST, ""); /* DANE was not asked for */
	roll_want_dane(&f.r, ROLL_DANE_ON);
	expect(&f, ROLL_STEP_PROBE, "192.0.2.1");
	assert_int_equal(roll_publish(&f.r), 0);
	roll_probe(&f.r, f.mx, 0); /* no STARTTLS, or another's key */
	assert_int_equal(roll_publish(&f.r), 0);
	roll_probe(&f.r, f.mx, 1);
	pass(&f, 4 * 24 * HOUR);
	publish(&f);
	/* B12: the negative TTL. */
	assert_false(report(&f)->in_force);
	assert_int_equal(f.report.in_force_from, START + f.t + usec_seconds(60 + 4 * HOUR) + 1);
	pass(&f, 60 + 4 * HOUR + 1);
	assert_true(report(&f)->in_force);
	/* Off again: B23. */
	roll_want_dane(&f.r, ROLL_DANE_OFF);
	publish(&f);
	assert_false(report(&f)->gone);
	assert_int_equal(f.report.gone_from, START + f.t + usec_seconds(60 + 2 * HOUR) + 1);
	pass(&f, 60 + 2 * HOUR + 1);
	assert_true(report(&f)->gone);
}

static void an_aborted_key_is_gone_only_when_its_set_is(void **state)
{
	struct fixture f;
	struct roll_bundle next = bundle(2, 'b');
	struct roll_set a = record('a');
	struct roll_sight proven = {.set = a, .ttl_s = HOUR};

	(void)state;
	start(&f);
	assert_int_equal(roll_abort(&f.r, NULL), -ENOENT);
	assert_int_equal(roll_stage(&f.r, &next, NULL), 0);
	assert_int_not_equal(roll_publish(&f.r), 0); /* nobody answers */
	assert_int_equal(roll_abort(&f.r, NULL), 0);
	expect(&f, ROLL_STEP_PUBLISH, "");
	assert_int_equal(f.report.ttl_s, HOUR - 1); /* to tell it from the first */
	proven.has_seq = roll_publish(&f.r);
	/* The old set or the new one? They are equal, and the one between may still come. */
	look(&f, 0, &a, HOUR);
	look(&f, 1, &a, HOUR);
	expect(&f, ROLL_STEP_LOOK, "ns1");
	roll_look(&f.r, f.ns[0], &proven);
	expect(&f, ROLL_STEP_LOOK, "ns2");
	roll_look(&f.r, f.ns[1], &proven);
	expect(&f, ROLL_STEP_REST, "");
}

static void a_change_is_taken_back(void **state)
{
	struct fixture f;
	struct roll_bundle next = bundle(2, 'b');

	(void)state;
	start(&f);
	assert_int_equal(roll_stage(&f.r, &next, NULL), 0);
	publish(&f);
	pass(&f, 60 + 2 * HOUR + 1);
	assert_int_equal(roll_activate(&f.r, ROLL_FORCE_NONE, NULL), 0);
	assert_int_equal(roll_abort(&f.r, NULL), 0);
	assert_int_equal(report(&f)->bundle, 1);
	expect(&f, ROLL_STEP_PROBE, "");
	roll_probe(&f.r, f.mx, 1);
	publish(&f);
	assert_int_equal(f.report.set.n, 1);
	assert_int_equal(roll_abort(&f.r, NULL), -ENOENT);
}

static void a_staged_key_that_is_seen_is_not_given_up(void **state)
{
	struct fixture f;
	struct roll_bundle next = bundle(2, 'b');
	struct err e;

	(void)state;
	start(&f);
	assert_int_equal(roll_stage(&f.r, &next, NULL), 0);
	roll_probe(&f.r, f.mx, 2);
	assert_int_equal(roll_abort(&f.r, &e), -EAGAIN);
	assert_non_null(strstr(e.text, "192.0.2.1"));
}

static void an_emergency_states_its_outage(void **state)
{
	struct fixture f;
	struct roll_bundle next = bundle(2, 'b');

	(void)state;
	start(&f);
	assert_int_equal(roll_stage(&f.r, &next, NULL), 0);
	assert_int_equal(report(&f)->outage_until, 0);
	assert_int_equal(roll_activate(&f.r, ROLL_FORCE_EMERGENCY, NULL), 0);
	expect(&f, ROLL_STEP_PUBLISH, "");
	assert_int_equal(f.report.set.n, 1); /* the new record alone: B22 */
	assert_int_equal(f.report.outage_until, USEC_NEVER);
	assert_int_equal(roll_abort(&f.r, NULL), -EBUSY);
	publish(&f);
	roll_probe(&f.r, f.mx, 2);
	assert_true(report(&f)->broken);
	assert_int_equal(f.report.outage_until, START + f.t + usec_seconds(60 + 2 * HOUR) + 1);
	pass(&f, 60 + 2 * HOUR + 1);
	assert_false(report(&f)->broken);
}

/* Somebody replaced the set: mail from who holds it fails already, and the new key ends that. */
static void force_only_where_no_mail_is_lost(void **state)
{
	struct fixture f;
	struct roll_bundle next = bundle(2, 'b');
	struct roll_set c = record('c');

	(void)state;
	start(&f);
	look(&f, 0, &c, HOUR);
	look(&f, 1, &c, HOUR);
	assert_true(report(&f)->broken);
	publish(&f);
	pass(&f, 1);
	/* `a` is in DNS again, `c` is held; neither has `b`. */
	assert_int_equal(roll_stage(&f.r, &next, NULL), 0);
	publish(&f);
	assert_int_equal(roll_activate(&f.r, ROLL_FORCE_HARMLESS, NULL), -EAGAIN);
	pass(&f, 60 + 2 * HOUR + 1);
	report(&f);
	assert_int_equal(f.report.safe_from, f.report.harmless_from);
	/* Once more, with `c` back in DNS: only it is in the way. */
	look(&f, 0, &c, HOUR);
	assert_int_equal(report(&f)->safe_from, USEC_NEVER);
	assert_int_equal(roll_activate(&f.r, ROLL_FORCE_NONE, NULL), -EAGAIN);
	assert_int_equal(roll_activate(&f.r, ROLL_FORCE_HARMLESS, NULL), 0);
}

static void steps_of_the_wall_clock_do_nothing(void **state)
{
	struct fixture f;
	struct roll_bundle next = bundle(2, 'b');
	struct roll_clock c;

	(void)state;
	start(&f);
	assert_int_equal(roll_stage(&f.r, &next, NULL), 0);
	publish(&f);
	c = (struct roll_clock){
		.unix_usec = START + f.t + usec_seconds(90 * HOUR), .mono_usec = f.t, .boot = 1};
	roll_clock(&f.r, c); /* ahead */
	expect(&f, ROLL_STEP_WAIT, "for 7261 s");
	c.unix_usec = START;
	roll_clock(&f.r, c); /* back */
	expect(&f, ROLL_STEP_WAIT, "for 7261 s");
	/* After a boot the wall clock must count; it is behind, and nothing has passed. */
	c = (struct roll_clock){.unix_usec = START, .mono_usec = 5, .boot = 2};
	roll_clock(&f.r, c);
	expect(&f, ROLL_STEP_WAIT, "for 7261 s");
}

static void a_server_out_of_reach(void **state)
{
	struct fixture f;
	struct roll_bundle next = bundle(2, 'b');
	struct roll_sight sight = {.set = record('a'),
				   .ttl_s = HOUR,
				   .signed_from = 1000,
				   .signed_until = 1000 + 24 * HOUR};

	(void)state;
	start(&f);
	roll_look(&f.r, f.ns[0], &sight);
	assert_int_equal(roll_stage(&f.r, &next, NULL), 0);
	sight.set = report(&f)->set;
	assert_int_not_equal(roll_publish(&f.r), 0);
	roll_look(&f.r, f.ns[0], &sight);
	/* Whoever can be asked is asked: his signatures may be made anew. */
	assert_int_equal(report(&f)->safe_from, USEC_NEVER);
	roll_look_failed(&f.r, f.ns[1]);
	/* Its old signatures run out at last. */
	expect(&f, ROLL_STEP_WAIT, "");
	expect_safe_in(&f, 24 * HOUR + 60 + 2 * HOUR);
	/* Out of the delegation: as long as it is asked. */
	roll_leave(&f.r, f.ns[1], 2 * HOUR);
	expect_safe_in(&f, 2 * HOUR + 60 + 2 * HOUR);
}

/* A server shows what it had left: the zone was put back, for all that is known. */
static void a_set_that_comes_back(void **state)
{
	struct fixture f;
	struct roll_bundle next = bundle(2, 'b');
	struct roll_sight old = {.set = record('a'),
				 .ttl_s = HOUR,
				 .signed_from = 1000,
				 .signed_until = 1000 + 24 * HOUR};
	struct roll_set both;

	(void)state;
	start(&f);
	roll_look(&f.r, f.ns[0], &old);
	assert_int_equal(roll_stage(&f.r, &next, NULL), 0);
	publish(&f);
	both = f.report.set;
	roll_look(&f.r, f.ns[0], &old);
	expect(&f, ROLL_STEP_PUBLISH, "");
	assert_int_equal(f.report.ttl_s, HOUR - 1);
	assert_int_equal(f.report.safe_from, USEC_NEVER);
	pass(&f, 10 * 24 * HOUR);
	assert_int_equal(report(&f)->safe_from, USEC_NEVER);
	assert_int_not_equal(roll_publish(&f.r), 0);
	look(&f, 0, &both, HOUR - 1);
	look(&f, 1, &both, HOUR - 1);
	expect_safe_in(&f, 60 + 2 * HOUR);
}

static void too_many_sets_become_one_that_fits_nothing(void **state)
{
	struct fixture f;
	struct roll_bundle next = bundle(2, 'b');

	(void)state;
	start(&f);
	assert_int_equal(roll_stage(&f.r, &next, NULL), 0);
	publish(&f);
	/* All of them fit both keys. */
	for (uint32_t i = 0; i < 4 * ROLL_EDITIONS_MAX; i++)
		look(&f, 0, &f.report.set, HOUR + 1 + i);
	assert_int_equal(report(&f)->safe_from, USEC_NEVER);
	assert_int_equal(roll_activate(&f.r, ROLL_FORCE_HARMLESS, NULL), -EAGAIN);
	assert_int_not_equal(f.report.step, ROLL_STEP_READY);
}

/* B8: what does not fit itself is not taken. */
static void unsound_bundles(void **state)
{
	struct roll_bundle bad = bundle(1, 'a'), good = bundle(1, 'a'), next = bundle(2, 'b');
	struct roll r;

	(void)state;
	roll_init(&r, &policy);
	bad.publish = record('b');
	assert_int_equal(roll_serve(&r, &bad, NULL), -EINVAL);
	bad = good;
	bad.id = 0;
	assert_int_equal(roll_serve(&r, &bad, NULL), -EINVAL);
	bad = good;
	bad.n_chains = ROLL_CHAINS_MAX + 1;
	assert_int_equal(roll_serve(&r, &bad, NULL), -EINVAL);
	assert_int_equal(roll_stage(&r, &next, NULL), -EINVAL); /* nothing is served */
	assert_int_equal(roll_serve(&r, &good, NULL), 0);
	assert_int_equal(roll_serve(&r, &next, NULL), -EBUSY);
	assert_int_equal(roll_stage(&r, &good, NULL), -EINVAL); /* its own id */
	next.publish = record('a');
	assert_int_equal(roll_stage(&r, &next, NULL), -EINVAL);
}

static void limits(void **state)
{
	struct roll r;
	size_t at;

	(void)state;
	roll_init(&r, &policy);
	assert_int_equal(roll_place(&r, ROLL_OWNERS_MAX, "ns", &at), -EINVAL);
	for (size_t i = 0; i < ROLL_PLACES_MAX; i++)
		assert_int_equal(roll_place(&r, 0, "ns", &at), 0);
	assert_int_equal(roll_place(&r, 0, "ns", &at), -ENOSPC);
	for (size_t i = 0; i < ROLL_ADDRESSES_MAX; i++)
		assert_int_equal(roll_address(&r, "a", &at), 0);
	assert_int_equal(roll_address(&r, "a", &at), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_key_waits_two_ttls_from_the_last_server),
		cmocka_unit_test(the_same_key_waits_for_nothing),
		cmocka_unit_test(a_ttl_lowered_yesterday_counts),
		cmocka_unit_test(the_alias_counts),
		cmocka_unit_test(nothing_is_published_for_a_server_that_was_not_seen),
		cmocka_unit_test(an_aborted_key_is_gone_only_when_its_set_is),
		cmocka_unit_test(a_change_is_taken_back),
		cmocka_unit_test(a_staged_key_that_is_seen_is_not_given_up),
		cmocka_unit_test(an_emergency_states_its_outage),
		cmocka_unit_test(force_only_where_no_mail_is_lost),
		cmocka_unit_test(steps_of_the_wall_clock_do_nothing),
		cmocka_unit_test(a_server_out_of_reach),
		cmocka_unit_test(a_set_that_comes_back),
		cmocka_unit_test(too_many_sets_become_one_that_fits_nothing),
		cmocka_unit_test(unsound_bundles),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
