/* One question to one server: what counts as its answer, and the limits (matrix V23, RFC 5452). */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/dns/direct.h"

/* A server on loopback, UDP and TCP at one port; its script says what it does. */
enum what {
	ANSWER,
	SILENT,
	WRONG_ID,
	WRONG_QUESTION,
	WRONG_THEN_RIGHT,
	TRUNCATE,
	CUT,
};

struct fake {
	struct io_loop *loop;
	int udp, tcp, peer;
	uint16_t port;
	enum what what;
	struct io_watch *on_udp, *on_tcp, *on_peer;
	bool close_tcp, half_tcp;
	unsigned asked, asked_tcp;
	uint16_t ids[64];
	struct dns_reply reply;
	unsigned replies;
	struct arena arena;
};

static size_t make(uint8_t *out, const uint8_t *query, size_t n, enum what what)
{
	memcpy(out, query, n);
	out[2] = 0x84;
	if (what == TRUNCATE)
		out[2] |= 2;
	if (what == WRONG_ID)
		out[0] ^= 0xff;
	if (what == WRONG_QUESTION)
		out[13] ^= 1;
	return what == CUT ? n - 3 : n;
}

static void on_udp(void *arg, unsigned ready)
{
	struct fake *f = arg;
	uint8_t query[600], reply[600];
	struct sockaddr_in from;
	socklen_t n_from = sizeof(from);
	ssize_t n = recvfrom(f->udp, query, sizeof(query), 0, (struct sockaddr *)&from, &n_from);

	(void)ready;
	assert_true(n > 12);
	f->ids[f->asked++ % 64] = (uint16_t)(query[0] << 8 | query[1]);
	if (f->what == SILENT)
		return;
	for (enum what w = f->what == WRONG_THEN_RIGHT ? WRONG_ID : f->what;;) {
		size_t length = make(reply, query, (size_t)n, w);

		sendto(f->udp, reply, length, 0, (struct sockaddr *)&from, n_from);
		if (f->what != WRONG_THEN_RIGHT || w == ANSWER)
			break;
		w = w == WRONG_ID ? WRONG_QUESTION : ANSWER;
	}
}

static void on_peer(void *arg, unsigned ready)
{
	struct fake *f = arg;
	uint8_t query[600], reply[600];
	ssize_t n = recv(f->peer, query, sizeof(query), 0);

	(void)ready;
	if (n <= 2) {
		io_watch_set(f->on_peer, 0);
		return;
	}
	f->asked_tcp++;
	if (!f->close_tcp) {
		size_t length = make(reply + 2, query + 2, (size_t)n - 2, ANSWER);

		reply[0] = (uint8_t)(length >> 8);
		reply[1] = (uint8_t)length;
		assert_true(send(f->peer, reply, f->half_tcp ? length / 2 : length + 2, 0) > 0);
	}
	if (f->close_tcp || f->half_tcp) {
		io_watch_set(f->on_peer, 0);
		shutdown(f->peer, SHUT_RDWR);
	}
}

static void on_accept(void *arg, unsigned ready)
{
	struct fake *f = arg;

	(void)ready;
	f->on_peer = io_watch_free(f->on_peer);
	if (f->peer >= 0)
		close(f->peer);
	f->peer = accept4(f->tcp, NULL, NULL, SOCK_NONBLOCK);
	f->on_peer = io_watch_new(f->loop, f->peer, on_peer, f);
	io_watch_set(f->on_peer, IO_READ);
}

static void fake_init(struct fake *f, enum what what)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);

	*f = (struct fake){.what = what, .peer = -1};
	f->loop = io_loop_new();
	f->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	f->tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(f->udp, (struct sockaddr *)&at, n), 0);
	assert_int_equal(getsockname(f->udp, (struct sockaddr *)&at, &n), 0);
	assert_int_equal(bind(f->tcp, (struct sockaddr *)&at, n), 0);
	assert_int_equal(listen(f->tcp, 100), 0);
	f->port = ntohs(at.sin_port);
	f->on_udp = io_watch_new(f->loop, f->udp, on_udp, f);
	f->on_tcp = io_watch_new(f->loop, f->tcp, on_accept, f);
	io_watch_set(f->on_udp, IO_READ);
	io_watch_set(f->on_tcp, IO_READ);
}

static void fake_done(struct fake *f)
{
	io_watch_free(f->on_udp);
	io_watch_free(f->on_tcp);
	io_watch_free(f->on_peer);
	close(f->udp);
	if (f->tcp >= 0)
		close(f->tcp);
	if (f->peer >= 0)
		close(f->peer);
	io_loop_free(f->loop);
	arena_done(&f->arena);
}

static void on_reply(void *arg, const struct dns_reply *reply)
{
	struct fake *f = arg;

	f->reply = *reply;
	f->replies++;
	io_loop_stop(f->loop);
}

static struct dns_ask question(struct fake *f)
{
	return (struct dns_ask){.address = "127.0.0.1",
				.name = "mx.example",
				.type = DNS_TYPE_A,
				.port = f->port,
				.timeout = USEC_PER_SEC / 20,
				.into = &f->arena};
}

static struct dns_reply run(struct fake *f, const struct dns_ask *ask)
{
	struct dns_direct *d = dns_direct_new(f->loop, 10);

	dns_direct_ask(d, ask, on_reply, f);
	assert_int_equal(f->replies, 0); /* never from within ask */
	io_loop_run(f->loop);
	assert_int_equal(f->replies, 1);
	dns_direct_free(d);
	return f->reply;
}

static void outcomes(void **state)
{
	static const struct {
		enum what what;
		enum dns_fault fault;
		unsigned asked;
	} rows[] = {
		{ANSWER, DNS_FAULT_NONE, 1},           {SILENT, DNS_FAULT_TIMEOUT, 2},
		{WRONG_ID, DNS_FAULT_FOREIGN, 2},      {WRONG_QUESTION, DNS_FAULT_FOREIGN, 2},
		{WRONG_THEN_RIGHT, DNS_FAULT_NONE, 1}, {CUT, DNS_FAULT_MALFORMED, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake f;
		struct dns_ask ask;
		struct dns_reply r;

		fake_init(&f, rows[i].what);
		ask = question(&f);
		r = run(&f, &ask);
		assert_int_equal(r.fault, rows[i].fault);
		assert_int_equal(f.asked, rows[i].asked);
		assert_int_equal(f.asked_tcp, 0);
		if (rows[i].asked == 2) /* a new attempt has a new id (one in 65,536 fails) */
			assert_int_not_equal(f.ids[0], f.ids[1]);
		if (r.fault == DNS_FAULT_NONE)
			assert_string_equal(r.message.qname, "mx.example");
		fake_done(&f);
	}
}

static void tcp(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct fake f;
		struct dns_ask ask;
		struct dns_reply r;

		fake_init(&f, TRUNCATE);
		ask = question(&f);
		f.close_tcp = i == 1;
		f.half_tcp = i == 2;
		ask.tcp = i == 3;
		r = run(&f, &ask);
		assert_int_equal(r.transport, DNS_TCP);
		assert_int_equal(r.truncated, i != 3);
		assert_int_equal(f.asked, i != 3);
		assert_int_equal(f.asked_tcp, 1);
		assert_int_equal(r.fault, i == 1 || i == 2 ? DNS_FAULT_TRUNCATED : DNS_FAULT_NONE);
		if (i == 1 || i == 2)
			assert_int_equal(r.tcp_fault, DNS_FAULT_CLOSED);
		fake_done(&f);
	}
}

static void nobody_listens(void **state)
{
	struct fake f;
	struct dns_ask ask;

	(void)state;
	fake_init(&f, ANSWER);
	ask = question(&f);
	ask.port = 9; /* discard: not served */
	assert_int_equal(run(&f, &ask).fault, DNS_FAULT_REFUSED);
	f.replies = 0;
	ask.tcp = true;
	assert_int_equal(run(&f, &ask).fault, DNS_FAULT_REFUSED);
	f.replies = 0;
	ask.address = "not an address";
	assert_int_equal(run(&f, &ask).fault, DNS_FAULT_UNREACHABLE);
	fake_done(&f);
}

static void count(void *arg, const struct dns_reply *reply)
{
	struct fake *f = arg;

	assert_int_equal(reply->fault, DNS_FAULT_NONE);
	if (++f->replies == 198)
		io_loop_stop(f->loop);
}

/* Two hundred questions through three places, two of them cancelled: one open, one waiting. */
static void limit_and_cancel(void **state)
{
	struct fake f;
	struct dns_direct *d;
	struct dns_ask ask;
	struct dns_exchange *all[200];

	(void)state;
	fake_init(&f, ANSWER);
	d = dns_direct_new(f.loop, 3);
	ask = question(&f);
	ask.timeout = USEC_PER_SEC;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		all[i] = dns_direct_ask(d, &ask, count, &f);
	dns_direct_cancel(all[100]);
	dns_direct_cancel(all[0]);
	io_loop_run(f.loop);
	assert_int_equal(f.replies, 198);
	/* The one cancelled while open was sent. */
	assert_int_equal(f.asked, 199);
	for (size_t i = 0; i < 50; i++)
		dns_direct_ask(d, &ask, count, &f);
	dns_direct_free(d); /* with open and waiting ones */
	fake_done(&f);
}

/* The arena is full: the answer is not read. */
static void no_room(void **state)
{
	struct fake f;
	struct dns_ask ask;

	(void)state;
	for (int full = 0; full < 2; full++) {
		fake_init(&f, ANSWER);
		arena_alloc(&f.arena, 1000);
		ask = question(&f);
		ask.room = full ? f.arena.used : f.arena.used + 1;
		assert_int_equal(run(&f, &ask).fault, full ? DNS_FAULT_LIMIT : DNS_FAULT_NONE);
		fake_done(&f);
	}
}

static void cut_answers(void **state)
{
	uint8_t query[DNS_QUERY_MAX], wire[DNS_QUERY_MAX];
	size_t n = dns_message_query(query, 7, "mx.example", DNS_TYPE_A, true);
	struct arena a = {0};
	struct dns_message m;

	(void)state;
	n = make(wire, query, n, ANSWER);
	for (size_t i = 0; i <= n; i++)
		assert_int_equal(
			dns_direct_judge(&a, span_of(wire, i), 7, "mx.example", DNS_TYPE_A, &m),
			i == n   ? DNS_FAULT_NONE
			: i < 12 ? DNS_FAULT_FOREIGN
				 : DNS_FAULT_MALFORMED);
	assert_int_equal(dns_direct_judge(&a, span_of(wire, n), 8, "mx.example", DNS_TYPE_A, &m),
			 DNS_FAULT_FOREIGN);
	assert_int_equal(dns_direct_judge(&a, span_of(wire, n), 7, "my.example", DNS_TYPE_A, &m),
			 DNS_FAULT_FOREIGN);
	assert_int_equal(dns_direct_judge(&a, span_of(wire, n), 7, "mx.example", DNS_TYPE_MX, &m),
			 DNS_FAULT_FOREIGN);
	/* The question itself is no answer; an error without a question is one. */
	assert_int_equal(dns_direct_judge(&a, span_of(query, n), 7, "mx.example", DNS_TYPE_A, &m),
			 DNS_FAULT_FOREIGN);
	memcpy(wire, (const uint8_t[]){0, 7, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0}, 12);
	assert_int_equal(dns_direct_judge(&a, span_of(wire, 12), 7, "mx.example", DNS_TYPE_A, &m),
			 DNS_FAULT_NONE);
	assert_int_equal(m.rcode, DNS_RCODE_FORMERR);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outcomes),       cmocka_unit_test(tcp),
		cmocka_unit_test(nobody_listens), cmocka_unit_test(limit_and_cancel),
		cmocka_unit_test(cut_answers),    cmocka_unit_test(no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
