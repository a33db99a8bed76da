#include "test.h"

#include <stdio.h>

#include "jobs/receive/clients.h"

static struct receive_peer *enter(struct receive_clients *c, const char *address, usec_t now)
{
	struct receive_address a = receive_address_of(address);

	return receive_clients_enter(c, &a, now);
}

static void who_is_who(void **state)
{
	struct receive_clients *c = receive_clients_new(42);
	struct receive_peer *a = enter(c, "192.0.2.1", 0), *b = enter(c, "2001:db8::1", 0);

	(void)state;
	assert_ptr_equal(enter(c, "192.0.2.1", 0), a);
	assert_ptr_equal(enter(c, "::ffff:192.0.2.1", 0), a);
	assert_ptr_equal(enter(c, "2001:db8::ffff:2", 0), b); /* the same /64 */
	assert_ptr_not_equal(enter(c, "2001:db8:0:1::1", 0), b);
	assert_ptr_not_equal(enter(c, "192.0.2.2", 0), a);
	assert_int_equal(a->connections, 3);
	assert_int_equal(b->connections, 2);
	assert_int_equal(receive_clients_count(c), 4);
	receive_clients_leave(c, b);
	receive_clients_leave(c, b); /* the last: forgotten, for nothing is counted */
	assert_int_equal(receive_clients_count(c), 3);
	receive_clients_free(c);
	receive_clients_free(NULL);
}

static void minutes(void **state)
{
	struct receive_clients *c = receive_clients_new(42);
	struct receive_peer *a = enter(c, "192.0.2.1", usec_seconds(100));

	(void)state;
	a->messages = 3;
	receive_peer_refresh(a, usec_seconds(159));
	assert_int_equal(a->messages, 3);
	receive_clients_leave(c, a);
	receive_clients_sweep(c, usec_seconds(159));
	assert_int_equal(receive_clients_count(c), 1); /* coming again does not help */
	assert_ptr_equal(enter(c, "192.0.2.1", usec_seconds(159)), a);
	assert_int_equal(a->messages, 3);
	receive_peer_refresh(a, usec_seconds(160));
	assert_int_equal(a->messages, 0);
	a->auth_failures = 1;
	receive_clients_leave(c, a);
	receive_clients_sweep(c, usec_seconds(220));
	assert_int_equal(receive_clients_count(c), 1);
	receive_clients_sweep(c, usec_seconds(221));
	assert_int_equal(receive_clients_count(c), 0);
	receive_clients_free(c);
}

static void bounded(void **state)
{
	struct receive_clients *c = receive_clients_new(42);
	struct receive_peer *stays = enter(c, "192.0.2.1", 0);

	(void)state;
	stays->messages = 1;
	for (size_t i = 0; i < RECEIVE_CLIENTS_MAX; i++) {
		struct receive_address a = {
			6,
			{0x20, 0x01, 0, 0, 0, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
		struct receive_peer *p = receive_clients_enter(c, &a, 0);

		p->messages = 1;
		receive_clients_leave(c, p);
	}
	assert_int_equal(receive_clients_count(c), RECEIVE_CLIENTS_MAX + 1);
	struct receive_peer *one_more = enter(c, "192.0.2.2", 0);
	one_more->messages = 1;
	receive_clients_leave(c, one_more);
	assert_int_equal(receive_clients_count(c), 1); /* who is connected stays */
	assert_ptr_equal(enter(c, "192.0.2.1", 0), stays);
	receive_clients_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_who),
		cmocka_unit_test(minutes),
		cmocka_unit_test(bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
