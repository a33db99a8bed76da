/* The listener with real sockets on the loopback: addresses, flags, pauses, want of descriptors. */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "edge/io/listen.h"

enum {
	FDS_MAX = 128,
};

struct world {
	struct io_loop *loop;
	struct io_listener *listener;
	struct io_timer *limit;
	struct io_peer peer; /* the last one's */
	int fds[FDS_MAX];
	int n, stop_at, pause_at;
};

static void on_connection(void *arg, int fd, const struct io_peer *peer)
{
	struct world *w = arg;

	assert_true(w->n < FDS_MAX);
	w->fds[w->n++] = fd;
	w->peer = *peer;
	if (w->n == w->pause_at)
		io_listener_pause(w->listener);
	if (w->n == w->stop_at)
		io_loop_stop(w->loop);
}

static void on_limit(void *arg)
{
	struct world *w = arg;

	io_loop_stop(w->loop);
}

/* Until `n` connections have come in all, or for so long. */
static void run(struct world *w, int n, int ms)
{
	w->stop_at = n;
	if (w->n >= n)
		return;
	io_timer_set(w->limit, io_now(w->loop) + ms * (usec_t)1000);
	io_loop_run(w->loop);
	io_timer_set(w->limit, USEC_NEVER);
}

static struct world *world_new(int fd)
{
	struct world *w = xcalloc(1, sizeof(*w));
	struct err e;

	w->loop = io_loop_new();
	w->limit = io_timer_new(w->loop, on_limit, w);
	w->listener = io_listener_new(w->loop, fd, on_connection, w, &e);
	if (w->listener == NULL)
		fail_msg("%s", e.text);
	return w;
}

static void world_free(struct world *w)
{
	io_listener_free(w->listener);
	io_timer_free(w->limit);
	io_loop_free(w->loop);
	for (int i = 0; i < w->n; i++)
		close(w->fds[i]);
	free(w);
}

/* A blocking socket that listens on this address, as systemd may hand one over. */
static int listen_on(const char *address, uint16_t *ret_port)
{
	struct sockaddr_storage s = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&s;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&s;
	socklen_t n = sizeof(s);
	int fd, off = 0;

	s.ss_family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
	assert_int_equal(
		inet_pton(s.ss_family, address,
			  s.ss_family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr),
		1);
	fd = socket(s.ss_family, SOCK_STREAM, 0);
	if (fd < 0)
		return -1;
	if (s.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *)&s, sizeof(s)) < 0) {
		close(fd);
		return -1;
	}
	assert_int_equal(listen(fd, 100), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&s, &n), 0);
	*ret_port = ntohs(s.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
	return fd;
}

static int connect_to(const char *address, uint16_t port, uint16_t *ret_own)
{
	struct sockaddr_storage s = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&s;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&s;
	socklen_t n = sizeof(s);
	int fd;

	s.ss_family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
	assert_int_equal(
		inet_pton(s.ss_family, address,
			  s.ss_family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr),
		1);
	*(s.ss_family == AF_INET ? &v4->sin_port : &v6->sin6_port) = htons(port);
	fd = socket(s.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&s, sizeof(s)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&s, &n), 0);
	if (ret_own != NULL)
		*ret_own = ntohs(s.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
	return fd;
}

/* --- what comes out --------------------------------------------------------------------------- */

static void connections_come_with_their_address(void **state)
{
	static const struct {
		const char *listen, *connect, *text;
		uint8_t n_octets;
	} rows[] = {
		{"127.0.0.1", "127.0.0.1", "127.0.0.1", 4},
		{"::1", "::1", "::1", 16},
		{"::", "127.0.0.1", "127.0.0.1", 4}, /* not ::ffff:127.0.0.1 */
		{"::", "::1", "::1", 16},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint16_t port = 0, own = 0;
		int fd = listen_on(rows[i].listen, &port), client, on = 0;
		socklen_t n = sizeof(on);
		struct world *w;

		if (fd < 0) /* no IPv6 here */
			continue;
		w = world_new(fd);
		client = connect_to(rows[i].connect, port, &own);
		run(w, 1, 5000);
		assert_int_equal(w->n, 1);
		assert_string_equal(w->peer.address, rows[i].text);
		assert_int_equal(w->peer.n_octets, rows[i].n_octets);
		assert_int_equal(w->peer.port, own);
		assert_true(fcntl(w->fds[0], F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(w->fds[0], F_GETFD) & FD_CLOEXEC);
		assert_int_equal(getsockopt(w->fds[0], IPPROTO_TCP, TCP_NODELAY, &on, &n), 0);
		assert_true(on);
		close(client);
		world_free(w);
		close(fd); /* it stayed the caller's */
	}
}

static void unix_sockets_too(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	struct world *w;

	(void)state;
	snprintf(un.sun_path, sizeof(un.sun_path), "/tmp/io_listen.%d", (int)getpid());
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 10), 0);
	w = world_new(fd);
	assert_int_equal(connect(client, (struct sockaddr *)&un, sizeof(un)), 0);
	run(w, 1, 5000);
	assert_int_equal(w->n, 1);
	assert_string_equal(w->peer.address, "");
	assert_int_equal(w->peer.n_octets, 0);
	assert_int_equal(w->peer.port, 0);
	assert_true(fcntl(w->fds[0], F_GETFL) & O_NONBLOCK);
	close(client);
	world_free(w);
	close(fd);
	unlink(un.sun_path);
}

static void peers_from_octets(void **state)
{
	static const uint8_t v4[4] = {192, 0, 2, 1}, v6[16] = {0x20, 1, 0xd, 0xb8, [15] = 1},
			     mapped[16] = {[10] = 0xff, 0xff, 198, 51, 100, 7};

	(void)state;
	assert_string_equal(io_peer_of(span_of(v4, 4), 25).address, "192.0.2.1");
	assert_int_equal(io_peer_of(span_of(v4, 4), 25).port, 25);
	assert_string_equal(io_peer_of(span_of(v6, 16), 25).address, "2001:db8::1");
	assert_string_equal(io_peer_of(span_of(mapped, 16), 25).address, "198.51.100.7");
	assert_int_equal(io_peer_of(span_of(mapped, 16), 25).n_octets, 4);
	assert_string_equal(io_peer_of(span_of(v6, 15), 25).address, "");
	assert_string_equal(io_peer_of(span_of(NULL, 0), 25).address, "");
}

/* --- pauses ----------------------------------------------------------------------------------- */

static void a_pause_holds(void **state)
{
	uint16_t port = 0;
	int fd = listen_on("127.0.0.1", &port), clients[6];
	struct world *w = world_new(fd);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		clients[i] = connect_to("127.0.0.1", port, NULL);
	w->pause_at = 2; /* from within the call: the third does not come in the same turn */
	run(w, 6, 300);
	assert_int_equal(w->n, 2);
	io_listener_pause(w->listener);
	run(w, 6, 50);
	assert_int_equal(w->n, 2);
	io_listener_resume(w->listener);
	io_listener_resume(w->listener);
	run(w, 6, 5000);
	assert_int_equal(w->n, 6); /* none was lost */
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		close(clients[i]);
	world_free(w);
	close(fd);
}

static void one_turn_takes_a_batch(void **state)
{
	uint16_t port = 0;
	int fd = listen_on("127.0.0.1", &port), clients[IO_LISTENER_BATCH + 5];
	struct world *w = world_new(fd);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		clients[i] = connect_to("127.0.0.1", port, NULL);
	run(w, 1, 5000); /* stops at the first; the turn goes on to its end */
	assert_int_equal(w->n, IO_LISTENER_BATCH);
	run(w, (int)ARRAY_SIZE(clients), 5000);
	assert_int_equal(w->n, ARRAY_SIZE(clients));
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		close(clients[i]);
	world_free(w);
	close(fd);
}

static double cpu_seconds(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

/* EMFILE: it rests, instead of turning in circles, and goes on when there are some again. */
static void out_of_descriptors(void **state)
{
	uint16_t port = 0;
	int fd = listen_on("127.0.0.1", &port), client, next;
	struct world *w = world_new(fd);
	struct rlimit before, none;
	double cpu;

	(void)state;
	client = connect_to("127.0.0.1", port, NULL);
	next = dup(fd);
	close(next);
	getrlimit(RLIMIT_NOFILE, &before);
	none = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	cpu = cpu_seconds();
	run(w, 1, 1000);
	cpu = cpu_seconds() - cpu;
	assert_int_equal(w->n, 0);
	if (cpu > 0.2)
		fail_msg("%.2f s of CPU in a second without descriptors", cpu);
	/* Pausing ends the rest, resuming begins anew. */
	io_listener_pause(w->listener);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	run(w, 1, 3 * IO_LISTENER_REST_MS);
	assert_int_equal(w->n, 0);
	io_listener_resume(w->listener);
	run(w, 1, 5000);
	assert_int_equal(w->n, 1);
	close(client);
	world_free(w);
	close(fd);
}

static void rests_and_goes_on(void **state)
{
	uint16_t port = 0;
	int fd = listen_on("127.0.0.1", &port), client, next;
	struct world *w = world_new(fd);
	struct rlimit before, none;

	(void)state;
	client = connect_to("127.0.0.1", port, NULL);
	next = dup(fd);
	close(next);
	getrlimit(RLIMIT_NOFILE, &before);
	none = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	run(w, 1, 100);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	run(w, 1, 5000);
	assert_int_equal(w->n, 1);
	close(client);
	world_free(w);
	close(fd);
}

static void gone_before_it_was_accepted(void **state)
{
	struct linger reset = {.l_onoff = 1};
	uint16_t port = 0;
	int fd = listen_on("127.0.0.1", &port), client;
	struct world *w = world_new(fd);

	(void)state;
	client = connect_to("127.0.0.1", port, NULL);
	setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(client);
	client = connect_to("127.0.0.1", port, NULL);
	run(w, 2, 5000); /* Linux hands out both; what matters is the second */
	assert_int_equal(w->n, 2);
	close(client);
	world_free(w);
	close(fd);
}

static void only_sockets_that_listen(void **state)
{
	struct io_loop *loop = io_loop_new();
	struct err e;
	int fds[4] = {socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET, SOCK_DGRAM, 0),
		      open("/dev/null", O_RDONLY), -1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		e = (struct err){0};
		assert_null(io_listener_new(loop, fds[i], on_connection, NULL, &e));
		assert_int_equal(e.code, -EINVAL);
		assert_string_equal(e.text, "not a stream socket that listens");
		if (fds[i] >= 0)
			close(fds[i]);
	}
	assert_null(io_listener_free(NULL));
	io_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_come_with_their_address),
		cmocka_unit_test(unix_sockets_too),
		cmocka_unit_test(peers_from_octets),
		cmocka_unit_test(a_pause_holds),
		cmocka_unit_test(one_turn_takes_a_batch),
		cmocka_unit_test(out_of_descriptors),
		cmocka_unit_test(rests_and_goes_on),
		cmocka_unit_test(gone_before_it_was_accepted),
		cmocka_unit_test(only_sockets_that_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
