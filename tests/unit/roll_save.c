/* The saved state of a rollover: the same comes back, and nothing that was cut or changed harms. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "core/roll/roll.h"

static struct roll_bundle bundle(uint64_t id, uint8_t key)
{
	struct roll_bundle b = {.id = id, .n_chains = 1};
	uint8_t data[32];

	memset(data, key, sizeof(data));
	assert_int_equal(roll_set_add(&b.chains[0], 3, 1, 1, data, sizeof(data)), 0);
	b.publish = b.chains[0];
	return b;
}

static void fill(struct roll *r, struct buf *b)
{
	struct roll_policy policy = {.ttl_s = 3600, .ttl_max_s = 7200, .history_ttl_s = 86400};
	struct roll_bundle one = bundle(1, 'a'), two = bundle(2, 'b');
	struct roll_sight sight = {.set = one.publish, .ttl_s = 3600};
	size_t at;

	roll_init(r, &policy);
	roll_clock(r, (struct roll_clock){.unix_usec = 1800000000, .mono_usec = 5, .boot = 7});
	assert_int_equal(roll_serve(r, &one, NULL), 0);
	roll_want_dane(r, ROLL_DANE_ON);
	assert_int_equal(roll_place(r, 0, "ns1.example", &at), 0);
	roll_look(r, at, &sight);
	assert_int_equal(roll_address(r, "192.0.2.1", &at), 0);
	roll_probe(r, at, 1);
	assert_int_equal(roll_stage(r, &two, NULL), 0);
	assert_int_not_equal(roll_publish(r), 0);
	buf_init(b, ROLL_SAVE_MAX);
	roll_save(r, b);
}

static void comes_back(void **state)
{
	static struct roll r, again;
	struct roll_report before, after;
	struct buf b, second;

	(void)state;
	fill(&r, &b);
	assert_int_equal(roll_load(&again, buf_span(&b), NULL), 0);
	buf_init(&second, ROLL_SAVE_MAX);
	roll_save(&again, &second);
	assert_true(span_eq(buf_span(&b), buf_span(&second)));
	roll_report(&r, &before);
	roll_report(&again, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_string_equal(again.held.places[0].name, "ns1.example");
	buf_done(&b);
	buf_done(&second);
}

static void cut_at_every_octet(void **state)
{
	static struct roll r;
	struct buf b;

	(void)state;
	fill(&r, &b);
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(roll_load(&r, span_of(b.p, n), NULL), -EINVAL);
	assert_int_equal(buf_add(&b, "", 1), 0);
	assert_int_equal(roll_load(&r, buf_span(&b), NULL), -EINVAL); /* and none too many */
	buf_done(&b);
}

/* What loads must not meet require() or overflow afterwards: driven a little. */
static void every_octet_changed(void **state)
{
	static struct roll r;
	struct roll_report report;
	static const uint8_t changes[] = {0x01, 0x80, 0xff};
	struct buf b;

	(void)state;
	fill(&r, &b);
	for (size_t i = 0; i < 3 * b.n; i++) {
		uint8_t change = changes[i % 3];

		b.p[i / 3] ^= change;
		if (roll_load(&r, buf_span(&b), NULL) == 0) {
			struct roll_sight sight = {.ttl_s = 60};

			roll_clock(&r, (struct roll_clock){.unix_usec = 1900000000, .boot = 8});
			roll_report(&r, &report);
			for (size_t p = 0; p < ROLL_PLACES_MAX; p++)
				if (r.held.places[p].used)
					roll_look(&r, p, &sight);
			roll_publish(&r);
			if (roll_activate(&r, ROLL_FORCE_EMERGENCY, NULL) == 0)
				roll_report(&r, &report);
		}
		b.p[i / 3] ^= change;
	}
	buf_done(&b);
}

static void another_version(void **state)
{
	static struct roll r;
	struct buf b;
	struct err e;

	(void)state;
	fill(&r, &b);
	b.p[7]++;
	assert_int_equal(roll_load(&r, buf_span(&b), &e), -EINVAL);
	assert_non_null(strstr(e.text, "version 2"));
	buf_done(&b);
}

/* The largest state there can be fits ROLL_SAVE_MAX. */
static void the_largest(void **state)
{
	static struct roll r;
	struct buf b;

	(void)state;
	memset(&r, 0, sizeof(r));
	buf_init(&b, ROLL_SAVE_MAX);
	assert_true(sizeof(r) + 8 <= ROLL_SAVE_MAX); /* no field is longer there than here */
	roll_save(&r, &b);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back),          cmocka_unit_test(cut_at_every_octet),
		cmocka_unit_test(every_octet_changed), cmocka_unit_test(another_version),
		cmocka_unit_test(the_largest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
