/* jobs/send/schedule: tables. */
#include "test.h"

#include "jobs/send/schedule.h"

#define S(n)    ((n)*USEC_PER_SEC)
#define MIN(n)  S((n)*60)
#define HOUR(n) S((n)*3600)
#define NOW     HOUR(1000)

static const usec_t exchange[] = {MIN(15), MIN(15), HOUR(1)};
static const struct send_schedule rules = {
	.retry = exchange, .n_retry = 3, .lifetime = HOUR(120), .dane_lifetime = HOUR(24)};

static void waits_are_those_of_the_list(void **state)
{
	static const struct {
		unsigned attempts;
		usec_t end;
		uint32_t random;
		usec_t wait;
	} table[] = {
		{1, USEC_NEVER, 0, MIN(15)},
		{2, USEC_NEVER, 0, MIN(15)},
		{3, USEC_NEVER, 0, HOUR(1)},
		{4, USEC_NEVER, 0, HOUR(1)}, /* the last again and again */
		{4000000000u, USEC_NEVER, 0, HOUR(1)},
		{0, USEC_NEVER, 0, MIN(15)},
		{3, USEC_NEVER, UINT32_MAX, HOUR(1) + HOUR(1) / 8}, /* jitter */
		{3, USEC_NEVER, UINT32_MAX / 2, HOUR(1) + HOUR(1) / 16},
		{3, NOW + MIN(20), UINT32_MAX, MIN(20)}, /* a last try at the end */
		{3, NOW - 1, 0, HOUR(1)}, /* over (the caller gives up); never in the past */
		{3, NOW, 0, HOUR(1)},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		usec_t next = send_schedule_next(&rules, table[i].attempts, NOW, table[i].end,
						 table[i].random);
		usec_t wanted = NOW + table[i].wait;

		if (next < wanted - 2 || next > wanted)
			fail_msg("row %zu: %lld instead of %lld", i, (long long)(next - NOW),
				 (long long)table[i].wait);
	}
}

static void lifetimes_end(void **state)
{
	struct send_schedule s = rules;

	(void)state;
	assert_int_equal(send_schedule_end(&s, NOW, false), NOW + HOUR(120));
	assert_int_equal(send_schedule_end(&s, NOW, true), NOW + HOUR(24));
	s.dane_lifetime = HOUR(200); /* not longer than the whole */
	assert_int_equal(send_schedule_end(&s, NOW, true), NOW + HOUR(120));
	s.lifetime = USEC_NEVER;
	assert_int_equal(send_schedule_end(&s, NOW, false), USEC_NEVER);
}

static void a_destination_starts_slowly(void **state)
{
	struct send_pace p = {0};
	unsigned n = 0;

	(void)state;
	assert_true(send_pace_allows(&p, SEND_PACE_FIRST - 1, 20, NOW));
	assert_false(send_pace_allows(&p, SEND_PACE_FIRST, 20, NOW));
	assert_false(send_pace_allows(&p, 2, 2, NOW)); /* the configured limit is one, too */
	while (p.limit < 20) {
		send_pace_succeeded(&p, 20);
		n++;
	}
	assert_int_equal(n, 5 + 6 + 7 + 8 + 9 + 10 + 11 + 12 + 13 + 14 + 15 + 16 + 17 + 18 + 19);
	for (int i = 0; i < 100; i++)
		send_pace_succeeded(&p, 20);
	assert_true(send_pace_allows(&p, 19, 20, NOW));
	assert_false(send_pace_allows(&p, 20, 20, NOW));
	send_pace_succeeded(&p, 3); /* the configuration has changed */
	assert_false(send_pace_allows(&p, 3, 20, NOW));
}

static void a_failure_closes_for_a_while(void **state)
{
	struct send_pace p = {.limit = 20};
	static const int64_t waits[] = {30,  60,  120, 240, 480, 900, 900,
					900, 900, 900, 900, 900, 900};
	usec_t now = NOW;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		send_pace_failed(&p, now, S(900), 0);
		assert_int_equal(p.closed_until, now + S(waits[i]));
		assert_true(send_pace_is_closed(&p, now + S(waits[i]) - 1));
		assert_false(send_pace_allows(&p, 0, 20, now + S(waits[i]) - 1));
		/* What was under way fails as well: that is the same failure. */
		send_pace_failed(&p, now + 1, S(900), 0);
		assert_int_equal(p.closed_until, now + S(waits[i]));
		now += S(waits[i]);
		/* Then one alone. */
		assert_true(send_pace_allows(&p, 0, 20, now));
		assert_false(send_pace_allows(&p, 1, 20, now));
	}
	assert_int_equal(p.limit, 1);
	send_pace_succeeded(&p, 20);
	assert_int_equal(p.limit, 2);
	assert_true(send_pace_allows(&p, 1, 20, now));
	p = (struct send_pace){.limit = 20};
	send_pace_failed(&p, NOW, S(2), 0); /* not so long that a retry would be passed over */
	assert_int_equal(p.closed_until, NOW + S(2));
	p = (struct send_pace){.limit = 20};
	send_pace_failed(&p, NOW, S(900), UINT32_MAX);
	assert_in_range(p.closed_until, NOW + S(33), NOW + S(34));
	assert_int_equal(p.limit, 10);
	send_pace_reached(&p);
	assert_true(send_pace_allows(&p, 9, 20, NOW));
	assert_false(send_pace_allows(&p, 10, 20, NOW));
	send_pace_full(&p, 0);
	assert_int_equal(p.limit, 1);
	send_pace_full(&p, 7);
	assert_int_equal(p.limit, 7);
}

static void everyone_has_a_turn(void **state)
{
	struct send_turns t = {.at = 0};
	static const uint64_t many_of_one[] = {7, 7, 7, 7, 9, 7};
	static const uint64_t three[] = {1, 2, 3};
	static const uint64_t one[] = {1};

	(void)state;
	assert_int_equal(send_turns_take(&t, many_of_one, 6), 0);
	assert_int_equal(send_turns_take(&t, many_of_one, 6), 4);
	assert_int_equal(send_turns_take(&t, many_of_one, 6), 0);
	assert_int_equal(send_turns_take(&t, many_of_one, 6), 4);
	for (size_t i = 0; i < 30; i++)
		assert_int_equal(send_turns_take(&t, three, 3), i % 3);
	for (size_t i = 0; i < 30; i++)
		assert_int_equal(send_turns_take(&t, one, 1), 0);
	/* Nobody known: the order they came in. */
	t = (struct send_turns){.at = 3};
	assert_int_equal(send_turns_take(&t, three, 3), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_are_those_of_the_list),
		cmocka_unit_test(lifetimes_end),
		cmocka_unit_test(a_destination_starts_slowly),
		cmocka_unit_test(a_failure_closes_for_a_while),
		cmocka_unit_test(everyone_has_a_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
