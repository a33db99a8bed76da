/* Who may connect: limits for an address, a network, all; turns; nothing is lost or left. */
#include "test.h"

#include "jobs/check/places.h"

enum {
	MOST = 4000,
};

static struct check_place places[MOST];
static int order[MOST * 4];
static size_t n_order;

static void on_begin(struct check_place *place)
{
	order[n_order++] = (int)(place - places);
}

static struct check_places *begin(size_t all, size_t network)
{
	const struct check_places_limits limits = {.all = all, .network = network};

	memset(places, 0, sizeof(places));
	n_order = 0;
	return check_places_new(&limits, on_begin);
}

static void assert_order(const int *wanted, size_t n)
{
	assert_int_equal(n_order, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(order[i], wanted[i]);
}

/* One session with an address at a time, in the order of asking. */
static void one_an_address(void **state)
{
	struct check_places *p = begin(100, 8);

	(void)state;
	for (int i = 0; i < 4; i++)
		check_places_ask(p, &places[i], "192.0.2.1");
	assert_order((int[]){0}, 1);
	check_places_give_back(p, &places[2]); /* it waits no more */
	check_places_give_back(p, &places[0]);
	assert_order((int[]){0, 1}, 2);
	check_places_give_back(p, &places[1]);
	check_places_give_back(p, &places[1]); /* twice does no harm */
	assert_order((int[]){0, 1, 3}, 3);
	check_places_give_back(p, &places[3]);
	assert_int_equal(check_places_taken(p), 0);
	check_places_free(p);
}

/* IPv4 /24, IPv6 /48. An IPv4 address in other words is the same one. */
static void some_a_network(void **state)
{
	static const char *const addresses[] = {
		"192.0.2.1",     "192.0.2.2",        "192.0.2.3", /* the third waits */
		"192.0.3.1",                                      /* another network does not */
		"2001:db8:1::1", "2001:db8:1:2::1",  "2001:db8:1:ffff::3",
		"2001:db8:2::1", "2001:db8:2:0::01",
	};
	struct check_places *p = begin(100, 2);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
		check_places_ask(p, &places[i], addresses[i]);
	assert_order((int[]){0, 1, 3, 4, 5, 7}, 6);
	check_places_give_back(p, &places[1]);
	check_places_give_back(p, &places[7]);
	check_places_give_back(p, &places[4]);
	assert_order((int[]){0, 1, 3, 4, 5, 7, 2, 8, 6}, 9);
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
		check_places_give_back(p, &places[i]);
	check_places_free(p);
}

/* So many in all; networks take turns, so one with a long list does not hold the others up. */
static void so_many_in_all(void **state)
{
	struct check_places *p = begin(2, 2);
	char address[32];

	(void)state;
	for (int i = 0; i < 6; i++) {
		snprintf(address, sizeof(address), "192.0.2.%d", i + 1);
		check_places_ask(p, &places[i], address);
	}
	check_places_ask(p, &places[6], "198.51.100.1");
	assert_order((int[]){0, 1}, 2);
	check_places_give_back(p, &places[0]);
	check_places_give_back(p, &places[1]);
	assert_int_equal(n_order, 4);
	assert_true(order[2] == 6 || order[3] == 6);
	for (int i = 0; i < 7; i++)
		check_places_give_back(p, &places[i]);
	for (int i = 0; i < 7; i++)
		check_places_give_back(p, &places[i]);
	check_places_free(p); /* which proves that nothing is left */
}

/* Random asking, giving back and giving up: the limits hold at every step, nobody starves. */
static void at_random(void **state)
{
	enum {
		ALL = 7,
		NETWORK = 3
	};
	struct check_places *p = begin(ALL, NETWORK);
	char addresses[MOST][32];
	bool asked[MOST] = {false};
	unsigned seed = 1;
	size_t begun = 0, gave_up = 0, n = 0;

	(void)state;
	for (size_t step = 0; step < 30000; step++) {
		size_t i = (size_t)rand_r(&seed) % MOST;

		if (n < MOST && (rand_r(&seed) & 1) != 0) {
			snprintf(addresses[n], sizeof(addresses[n]), "10.0.%d.%d",
				 rand_r(&seed) % 6, rand_r(&seed) % 5);
			asked[n] = true;
			check_places_ask(p, &places[n], addresses[n]);
			n++;
		} else if (asked[i]) {
			gave_up += !places[i].has;
			asked[i] = false;
			check_places_give_back(p, &places[i]);
		}
		assert_true(check_places_taken(p) <= ALL);
		for (int net = 0; step % 50 == 0 && net < 6; net++) {
			size_t active = 0;
			char front[16];

			snprintf(front, sizeof(front), "10.0.%d.", net);
			for (size_t k = 0; k < n; k++)
				active += places[k].has &&
					  strncmp(addresses[k], front, strlen(front)) == 0;
			assert_true(active <= NETWORK);
		}
	}
	for (bool some = true; some;) {
		some = false;
		for (size_t i = 0; i < n; i++)
			if (places[i].has) {
				some = true;
				check_places_give_back(p, &places[i]);
			}
	}
	begun = n_order;
	assert_int_equal(begun + gave_up, n);
	check_places_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_an_address),
		cmocka_unit_test(some_a_network),
		cmocka_unit_test(so_many_in_all),
		cmocka_unit_test(at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
