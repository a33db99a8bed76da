/* Shared sessions: one a question, kept and forgotten; here all meet a port where nobody listens.
 */
#include "test.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "jobs/check/pool.h"

struct asker {
	struct io_loop *loop;
	int begun, done, wanted;
	char error[160];
};

static void on_begun(void *arg)
{
	((struct asker *)arg)->begun++;
}

static void on_done(void *arg, const struct check_facts *facts)
{
	struct asker *a = arg;

	a->done++;
	snprintf(a->error, sizeof(a->error), "%s", facts->report.connect_error);
	if (a->done == a->wanted)
		io_loop_stop(a->loop);
}

static const struct check_wait_ops ops = {.begun = on_begun, .done = on_done};

/* A port of 127.0.0.1 that is bound, so nobody else takes it, and not listened at. */
static int closed_port(uint16_t *ret)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
	*ret = ntohs(at.sin_port);
	return fd;
}

struct fixture {
	struct io_loop *loop;
	struct tls_context *tls;
	struct check_pool *pool;
	uint16_t port;
	int fd;
};

static void setup_with(struct fixture *f, size_t kept, size_t weight)
{
	struct check_pool_options o = {
		.helo = {MAIL_DOMAIN_NAME, "localhost", "localhost"},
		.connect_timeout = usec_seconds(5),
		.timeout = usec_seconds(10),
		.kept = kept,
		.weight = weight,
	};
	struct err e;

	f->fd = closed_port(&f->port);
	f->loop = io_loop_new();
	f->tls = tls_context_new(&e);
	f->pool = check_pool_new(f->loop, f->tls, &o);
}

static void setup(struct fixture *f, size_t kept)
{
	setup_with(f, kept, 0);
}

static void teardown(struct fixture *f)
{
	check_pool_free(f->pool);
	tls_context_free(f->tls);
	io_loop_free(f->loop);
	close(f->fd);
}

static struct check_ask question(const struct fixture *f, const char *address, const char *name,
				 enum tls_key_type key)
{
	return (struct check_ask){.address = address, .port = f->port, .name = name, .key = key};
}

/* Asks and waits for the answer; the number of sessions that it took. */
static size_t ask(struct fixture *f, const char *address, const char *name, enum tls_key_type key)
{
	struct asker a = {.loop = f->loop, .wanted = 1};
	struct check_ask q = question(f, address, name, key);
	size_t before = check_pool_count(f->pool);

	check_pool_ask(f->pool, &q, &ops, &a);
	assert_int_equal(a.done, 0); /* never from within */
	io_loop_run(f->loop);
	assert_int_equal(a.done, 1);
	assert_non_null(strstr(a.error, "refused"));
	return check_pool_count(f->pool) - before;
}

static void one_session_a_question(void **state)
{
	struct asker a = {.wanted = 1000};
	struct fixture f;
	struct check_ask q;

	(void)state;
	setup(&f, 0);
	a.loop = f.loop;
	q = question(&f, "127.0.0.1", "mx.example", TLS_KEY_ANY);
	for (int i = 0; i < a.wanted; i++)
		check_pool_ask(f.pool, &q, &ops, &a);
	io_loop_run(f.loop);
	assert_int_equal(a.done, 1000);
	assert_int_equal(a.begun, 1000);
	assert_int_equal(check_pool_count(f.pool), 1);
	/* What makes another question of it: key, name, address, rules. */
	assert_int_equal(ask(&f, "127.0.0.1", "mx.example", TLS_KEY_ANY), 0);
	assert_int_equal(ask(&f, "127.0.0.1", "mx.example", TLS_KEY_RSA), 1);
	assert_int_equal(ask(&f, "127.0.0.1", "other.example", TLS_KEY_ANY), 1);
	assert_int_equal(ask(&f, "127.0.0.2", "mx.example", TLS_KEY_ANY), 1);
	assert_int_equal(ask(&f, "127.0.0.2", "mx.example", TLS_KEY_ANY), 0);
	teardown(&f);
}

/* The least recently used facts go. */
static void facts_are_bounded(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, 2);
	assert_int_equal(ask(&f, "127.0.0.1", "a", TLS_KEY_ANY), 1);
	assert_int_equal(ask(&f, "127.0.0.1", "b", TLS_KEY_ANY), 1);
	assert_int_equal(ask(&f, "127.0.0.1", "a", TLS_KEY_ANY), 0);
	assert_int_equal(ask(&f, "127.0.0.1", "c", TLS_KEY_ANY), 1); /* b goes */
	assert_int_equal(ask(&f, "127.0.0.1", "a", TLS_KEY_ANY), 0);
	assert_int_equal(ask(&f, "127.0.0.1", "b", TLS_KEY_ANY), 1);
	teardown(&f);
}

/* Also by what they weigh: here a few hundred octets each. */
static void facts_are_bounded_by_weight(void **state)
{
	struct fixture f;

	(void)state;
	setup_with(&f, 0, 100);
	assert_int_equal(ask(&f, "127.0.0.1", "a", TLS_KEY_ANY), 1);
	assert_int_equal(ask(&f, "127.0.0.1", "a", TLS_KEY_ANY), 1); /* too heavy to be kept */
	teardown(&f);
	setup_with(&f, 0, 3000);
	for (int i = 0; i < 50; i++) {
		char name[16];

		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(ask(&f, "127.0.0.1", name, TLS_KEY_ANY), 1);
	}
	assert_int_equal(ask(&f, "127.0.0.1", "n49", TLS_KEY_ANY), 0);
	assert_int_equal(ask(&f, "127.0.0.1", "n0", TLS_KEY_ANY), 1);
	teardown(&f);
}

/* Who asks no more is not told; what nobody wants is not connected to. */
static void cancelled(void **state)
{
	struct asker first = {.wanted = 1}, gone = {.wanted = 1};
	struct check_wait *waits[3];
	struct fixture f;
	struct check_ask q;

	(void)state;
	setup(&f, 0);
	first.loop = gone.loop = f.loop;
	q = question(&f, "127.0.0.1", "a", TLS_KEY_ANY);
	check_pool_ask(f.pool, &q, &ops, &first);
	waits[0] = check_pool_ask(f.pool, &q, &ops, &gone);
	q = question(&f, "127.0.0.1", "b", TLS_KEY_ANY); /* behind it, at the same address */
	waits[1] = check_pool_ask(f.pool, &q, &ops, &gone);
	waits[2] = check_pool_ask(f.pool, &q, &ops, &gone);
	assert_int_equal(gone.begun, 1);
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++)
		check_pool_cancel(waits[i]);
	io_loop_run(f.loop);
	assert_int_equal(first.done, 1);
	assert_int_equal(gone.done, 0);
	assert_int_equal(check_pool_count(f.pool), 1);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_session_a_question),
		cmocka_unit_test(facts_are_bounded),
		cmocka_unit_test(facts_are_bounded_by_weight),
		cmocka_unit_test(cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
