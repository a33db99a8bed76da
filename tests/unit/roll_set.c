/* TLSA sets against bundles: RFC 7671 sections 8, 8.1, 8.2, 8.3; matrix B8, B9, B14-B17, B21, B24.
 */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "core/roll/set.h"

/* "311:a 201:T": usage, selector, matching type, and a letter for the data. */
static struct roll_set set(const char *text)
{
	struct roll_set s = {0};

	for (; *text != '\0'; text += text[5] == ' ' ? 6 : 5) {
		uint8_t data[32];

		memset(data, text[4], sizeof(data));
		assert_int_equal(roll_set_add(&s, (uint8_t)(text[0] - '0'),
					      (uint8_t)(text[1] - '0'), (uint8_t)(text[2] - '0'),
					      data, sizeof(data)),
				 0);
	}
	return s;
}

static struct roll_bundle bundle(const char *first, const char *second, const char *publish)
{
	struct roll_bundle b = {.id = 1, .n_chains = second == NULL ? 1 : 2};

	b.chains[0] = set(first);
	if (second != NULL)
		b.chains[1] = set(second);
	b.publish = set(publish);
	return b;
}

static void each_combination_matches_each_chain(void **state)
{
	struct roll_bundle one = bundle("311:a 301:c 312:a 201:T", NULL, "311:a");
	struct roll_bundle two = bundle("311:a 201:T", "311:b 201:T", "311:a 311:b");
	static const struct {
		const char *set;
		bool one, two;
	} rows[] = {
		{"", true, true},
		{"311:a", true, false}, /* the other key type matches nothing: B24 */
		{"311:a 311:b", true, true},
		{"311:b", false, false},
		{"311:x 311:a 311:b", true, true},
		{"201:T", true, true},
		{"311:a 201:X", false, false}, /* B16: a combination of the future only */
		{"311:x 201:T", false, false}, /* B9: of the past only */
		{"311:a 312:x", false, false}, /* B17: a digest for another key */
		{"311:a 312:a", true, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct roll_set s = set(rows[i].set);

		if (roll_set_fits(&s, &one) != rows[i].one ||
		    roll_set_fits(&s, &two) != rows[i].two)
			fail_msg("\"%s\"", rows[i].set);
	}
}

static void between(void **state)
{
	static const struct {
		const char *a, *a_publish, *b, *b_publish, *between; /* NULL: none */
	} rows[] = {
		/* B10 */
		{"311:a", "311:a", "311:b", "311:b", "311:a 311:b"},
		/* B15: EE to TA by the new chain's key; never 3 1 1 old with 2 0 1 new */
		{"311:a", "311:a", "311:b 201:T", "201:T", "311:a 311:b"},
		/* back from TA to EE: the old chain has a key too */
		{"311:a 201:T", "201:T", "311:b", "311:b", "311:a 311:b"},
		/* two combinations, one of which the next has not */
		{"311:a 201:T", "311:a 201:T", "311:b", "311:b", "311:a 311:b"},
		{"311:a 201:T", "311:a 201:T", "311:b 201:U", "311:b", "201:T 201:U 311:a 311:b"},
		/* B21: an anchor for an anchor */
		{"311:a 201:T", "201:T", "311:b 201:U", "201:U", "201:T 201:U"},
		/* B19: the same key */
		{"311:a 301:c", "311:a", "311:a 301:d", "311:a", "311:a"},
		{"201:T", "201:T", "311:b", "311:b", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct roll_bundle a = bundle(rows[i].a, NULL, rows[i].a_publish);
		struct roll_bundle b = bundle(rows[i].b, NULL, rows[i].b_publish);
		struct roll_set got, want = set(rows[i].between == NULL ? "" : rows[i].between);
		int ret = roll_set_between(&a, &b, &got);

		if (rows[i].between == NULL) {
			assert_int_equal(ret, -ENOENT);
			continue;
		}
		assert_int_equal(ret, 0);
		if (!roll_set_eq(&got, &want) || !roll_set_fits(&got, &a) ||
		    !roll_set_fits(&got, &b))
			fail_msg("row %zu", i);
	}
}

static void order_and_limits(void **state)
{
	struct roll_set a = set("311:a 311:b 201:T"), b = set("201:T 311:b 311:a 311:a"),
			full = {0};
	uint8_t data[ROLL_DATA_MAX + 1] = {0};

	(void)state;
	assert_true(roll_set_eq(&a, &b));
	assert_true(roll_set_is_sound(&a));
	for (uint8_t i = 0; i < ROLL_SET_MAX; i++) {
		data[0] = i;
		assert_int_equal(roll_set_add(&full, 3, 1, 2, data, ROLL_DATA_MAX), 0);
	}
	data[0] = 0;
	assert_int_equal(roll_set_add(&full, 3, 1, 2, data, ROLL_DATA_MAX), 0); /* a duplicate */
	data[0] = 99;
	assert_int_equal(roll_set_add(&full, 3, 1, 2, data, ROLL_DATA_MAX), -E2BIG);
	assert_int_equal(roll_set_add(&a, 3, 1, 2, data, ROLL_DATA_MAX + 1), -EINVAL);
	full.records[0] = full.records[1];
	assert_false(roll_set_is_sound(&full));
	full.n = ROLL_SET_MAX + 1;
	assert_false(roll_set_is_sound(&full));
}

static void more_of_the_same(void **state)
{
	struct roll_set old = set("311:a 201:T"), more = set("311:a 311:b 201:T");
	struct roll_set other = set("311:a 201:T 312:a"), less = set("311:a");

	(void)state;
	assert_true(roll_set_extends(&more, &old));
	assert_true(roll_set_extends(&old, &old));
	assert_false(roll_set_extends(&other, &old));
	assert_false(roll_set_extends(&less, &old));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_combination_matches_each_chain),
		cmocka_unit_test(between),
		cmocka_unit_test(order_and_limits),
		cmocka_unit_test(more_of_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
