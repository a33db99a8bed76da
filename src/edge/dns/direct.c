#include "edge/dns/direct.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/io/connect.h"

enum exchange_state {
	EXCHANGE_WAITING,     /* for a place below the limit */
	EXCHANGE_UDP,         /* asked */
	EXCHANGE_TCP_CONNECT, /* on its way */
	EXCHANGE_TCP_WRITE,
	EXCHANGE_TCP_READ,
	EXCHANGE_OVER, /* failed at once; the callback comes with the timer */
};

enum {
	ATTEMPTS = 2,
	ATTEMPTS_MAX = 5,
	STRANGERS_MAX = 4,
};

struct dns_exchange {
	struct dns_direct *direct;
	struct dns_exchange *next, *previous;
	enum exchange_state state;
	struct dns_ask ask; /* its strings are owned */
	dns_reply_fn *fn;
	void *arg;
	struct dns_reply reply;
	int fd;
	struct io_watch *watch;
	struct io_timer *timer;
	unsigned attempts;  /* left */
	bool foreign;       /* a packet that was not the answer came */
	unsigned strangers; /* with our id: each of them was parsed */
	usec_t begun;
	uint16_t id;
	uint8_t query[2 + DNS_QUERY_MAX]; /* with the length that TCP puts before it */
	size_t query_n, at;
	uint8_t *in; /* TCP: length and message */
	size_t in_n;
};

struct dns_direct {
	struct io_loop *loop;
	size_t limit, n_open;
	struct dns_exchange *open;
	struct dns_exchange *first, *last; /* waiting */
};

const char *dns_fault_to_text(enum dns_fault fault)
{
	switch (fault) {
	case DNS_FAULT_NONE:
		return "answers";
	case DNS_FAULT_TIMEOUT:
		return "does not answer";
	case DNS_FAULT_REFUSED:
		return "does not listen at port 53";
	case DNS_FAULT_UNREACHABLE:
		return "cannot be reached from here";
	case DNS_FAULT_CLOSED:
		return "closes the connection without a whole answer";
	case DNS_FAULT_MALFORMED:
		return "answers with a malformed message";
	case DNS_FAULT_FOREIGN:
		return "answers another question than the one asked";
	case DNS_FAULT_LIMIT:
		return "answers, but the memory for answers is used up";
	case DNS_FAULT_TRUNCATED:
		return "truncates its answer, and cannot give it over TCP";
	}
	return "?";
}

static void start_udp(struct dns_exchange *x);
static void start_tcp(struct dns_exchange *x);

/* --- lists ------------------------------------------------------------------------------------ */

static void unlink_exchange(struct dns_exchange *x)
{
	struct dns_direct *d = x->direct;
	struct dns_exchange **head = x->state == EXCHANGE_WAITING ? &d->first : &d->open;

	if (x->previous != NULL)
		x->previous->next = x->next;
	else
		*head = x->next;
	if (x->next != NULL)
		x->next->previous = x->previous;
	else if (x->state == EXCHANGE_WAITING)
		d->last = x->previous;
	x->next = x->previous = NULL;
}

static void open_exchange(struct dns_exchange *x)
{
	struct dns_direct *d = x->direct;

	x->next = d->open;
	if (x->next != NULL)
		x->next->previous = x;
	d->open = x;
	d->n_open++;
	if (x->ask.tcp)
		start_tcp(x);
	else
		start_udp(x);
}

static void open_waiting(struct dns_direct *d)
{
	while (d->first != NULL && d->n_open < d->limit) {
		struct dns_exchange *x = d->first;

		unlink_exchange(x);
		open_exchange(x);
	}
}

static void close_socket(struct dns_exchange *x)
{
	x->watch = io_watch_free(x->watch);
	if (x->fd >= 0)
		close(x->fd);
	x->fd = -1;
}

static void exchange_free(struct dns_exchange *x)
{
	struct dns_direct *d = x->direct;

	unlink_exchange(x);
	if (x->state != EXCHANGE_WAITING)
		d->n_open--;
	close_socket(x);
	io_timer_free(x->timer);
	free((char *)x->ask.address);
	free((char *)x->ask.name);
	free(x->in);
	free(x);
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Tells the result. Only from the loop. */
static void finish(struct dns_exchange *x)
{
	struct dns_direct *d = x->direct;
	struct dns_reply reply = x->reply;
	dns_reply_fn *fn = x->fn;
	void *arg = x->arg;

	reply.time = io_now(d->loop) - x->begun;
	exchange_free(x);
	open_waiting(d);
	fn(arg, &reply);
}

/* What a failure over TCP means for the whole: after a truncated answer it is that one's failure.
 */
static void set_fault(struct dns_exchange *x, enum dns_fault fault)
{
	x->reply.fault = fault;
	if (x->reply.truncated) {
		x->reply.fault = DNS_FAULT_TRUNCATED;
		x->reply.tcp_fault = fault;
	}
}

/* A failure before anything was waited for: told by the timer, never from within ask(). */
static void fail_soon(struct dns_exchange *x, enum dns_fault fault)
{
	set_fault(x, fault);
	close_socket(x);
	x->state = EXCHANGE_OVER;
	io_timer_set(x->timer, 0);
}

static enum dns_fault fault_of(int error)
{
	switch (error) {
	case -ECONNREFUSED:
		return DNS_FAULT_REFUSED;
	case -ECONNRESET:
	case -EPIPE:
		return DNS_FAULT_CLOSED;
	case -ETIMEDOUT:
		return DNS_FAULT_TIMEOUT;
	default:
		return DNS_FAULT_UNREACHABLE;
	}
}

static void on_timer(void *arg)
{
	struct dns_exchange *x = arg;

	if (x->state == EXCHANGE_OVER) {
		finish(x);
		return;
	}
	if (x->state == EXCHANGE_UDP && x->attempts > 0) {
		start_udp(x);
		return;
	}
	set_fault(x, x->foreign ? DNS_FAULT_FOREIGN : DNS_FAULT_TIMEOUT);
	finish(x);
}

/* --- answers ---------------------------------------------------------------------------------- */

enum dns_fault dns_direct_judge(struct arena *a, struct span wire, uint16_t id, const char *name,
				uint16_t type, struct dns_message *ret)
{
	int error;

	if (wire.n < 12 || wire.p[0] != id >> 8 || wire.p[1] != (id & 0xff) ||
	    (wire.p[2] & 0x80) == 0)
		return DNS_FAULT_FOREIGN;
	error = dns_message_parse(a, wire, ret);
	/* A server that could not read the question may leave it out. */
	if (ret->qname == NULL && error == 0 && ret->rcode != DNS_RCODE_NOERROR)
		return DNS_FAULT_NONE;
	if (ret->qname == NULL)
		return DNS_FAULT_MALFORMED;
	if (strcmp(ret->qname, name) != 0 || ret->qtype != type || ret->qclass != 1)
		return DNS_FAULT_FOREIGN;
	if (error == -EMSGSIZE || (error == 0 && ret->tc))
		return DNS_FAULT_TRUNCATED;
	return error == 0 ? DNS_FAULT_NONE : DNS_FAULT_MALFORMED;
}

static enum dns_fault judge(struct dns_exchange *x, struct span wire)
{
	if (x->ask.room > 0 && x->ask.into->used >= x->ask.room)
		return DNS_FAULT_LIMIT;
	return dns_direct_judge(x->ask.into, wire, x->id, x->ask.name, x->ask.type,
				&x->reply.message);
}

static void on_datagram(struct dns_exchange *x, struct span wire)
{
	enum dns_fault fault = judge(x, wire);

	switch (fault) {
	case DNS_FAULT_FOREIGN:
		x->foreign = true;
		if (wire.n >= 2 && wire.p[0] == x->id >> 8 && wire.p[1] == (x->id & 0xff))
			x->strangers++;
		if (x->strangers < STRANGERS_MAX)
			return;
		break;
	case DNS_FAULT_TRUNCATED:
		x->reply.truncated = true;
		close_socket(x);
		start_tcp(x);
		return;
	case DNS_FAULT_NONE:
	case DNS_FAULT_LIMIT:
	case DNS_FAULT_MALFORMED:
	case DNS_FAULT_TIMEOUT:
	case DNS_FAULT_REFUSED:
	case DNS_FAULT_UNREACHABLE:
	case DNS_FAULT_CLOSED:
		break;
	}
	set_fault(x, fault);
	finish(x);
}

static void on_udp(void *arg, unsigned ready)
{
	struct dns_exchange *x = arg;
	uint8_t packet[DNS_MESSAGE_MAX];
	ssize_t n = recv(x->fd, packet, sizeof(packet), 0);

	(void)ready;
	if (n >= 0) {
		on_datagram(x, span_of(packet, (size_t)n));
		return;
	}
	if (errno == EAGAIN || errno == EINTR)
		return;
	set_fault(x, fault_of(-errno));
	finish(x);
}

static void new_id(struct dns_exchange *x)
{
	size_t n;

	require(getrandom(&x->id, sizeof(x->id), 0) == sizeof(x->id));
	n = dns_message_query(x->query + 2, x->id, x->ask.name, x->ask.type, !x->ask.no_edns);
	x->query[0] = (uint8_t)(n >> 8);
	x->query[1] = (uint8_t)n;
	x->query_n = n;
	x->begun = io_now(x->direct->loop);
	io_timer_set(x->timer, usec_add(x->begun, x->ask.timeout));
}

static void start_udp(struct dns_exchange *x)
{
	x->state = EXCHANGE_UDP;
	x->attempts--;
	close_socket(x);
	new_id(x);
	x->fd = io_connect_udp(x->ask.address, x->ask.port);
	if (x->fd < 0) {
		fail_soon(x, fault_of(x->fd));
		return;
	}
	x->watch = io_watch_new(x->direct->loop, x->fd, on_udp, x);
	io_watch_set(x->watch, IO_READ);
	if (send(x->fd, x->query + 2, x->query_n, 0) < 0 && errno != EAGAIN)
		fail_soon(x, fault_of(-errno));
}

/* --- TCP -------------------------------------------------------------------------------------- */

static void tcp_fail(struct dns_exchange *x, enum dns_fault fault)
{
	set_fault(x, fault);
	finish(x);
}

static void tcp_write(struct dns_exchange *x)
{
	ssize_t n = send(x->fd, x->query + x->at, x->query_n + 2 - x->at, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		tcp_fail(x, fault_of(-errno));
		return;
	}
	x->at += (size_t)n;
	if (x->at < x->query_n + 2)
		return;
	x->state = EXCHANGE_TCP_READ;
	io_watch_set(x->watch, IO_READ);
}

/* The octets still wanted; the length comes first. */
static size_t tcp_wanted(const struct dns_exchange *x)
{
	if (x->in_n < 2)
		return 2;
	return 2 + (size_t)(x->in[0] << 8 | x->in[1]);
}

static void tcp_read(struct dns_exchange *x)
{
	size_t wanted = tcp_wanted(x);
	ssize_t n = recv(x->fd, x->in + x->in_n, wanted - x->in_n, 0);
	enum dns_fault fault;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		tcp_fail(x, n == 0 ? DNS_FAULT_CLOSED : fault_of(-errno));
		return;
	}
	x->in_n += (size_t)n;
	if (x->in_n < 2 || x->in_n < tcp_wanted(x))
		return;
	fault = judge(x, span_of(x->in + 2, x->in_n - 2));
	/* Truncated over TCP: there is no more to be had. */
	if (fault == DNS_FAULT_TRUNCATED)
		fault = DNS_FAULT_MALFORMED;
	if (fault != DNS_FAULT_NONE) {
		tcp_fail(x, fault);
		return;
	}
	x->reply.fault = DNS_FAULT_NONE;
	finish(x);
}

static void on_tcp(void *arg, unsigned ready)
{
	struct dns_exchange *x = arg;
	int error;

	(void)ready;
	switch (x->state) {
	case EXCHANGE_TCP_CONNECT:
		error = io_connect_result(x->fd);
		if (error < 0) {
			tcp_fail(x, fault_of(error));
			return;
		}
		x->state = EXCHANGE_TCP_WRITE;
		tcp_write(x);
		return;
	case EXCHANGE_TCP_WRITE:
		tcp_write(x);
		return;
	case EXCHANGE_TCP_READ:
		tcp_read(x);
		return;
	case EXCHANGE_WAITING:
	case EXCHANGE_UDP:
	case EXCHANGE_OVER:
		break;
	}
	require(x->state == EXCHANGE_TCP_READ); /* a watch is freed when its state is over */
}

static void start_tcp(struct dns_exchange *x)
{
	x->state = EXCHANGE_TCP_CONNECT;
	x->reply.transport = DNS_TCP;
	x->at = x->in_n = 0;
	new_id(x);
	x->in = xmalloc(2 + DNS_MESSAGE_MAX);
	x->fd = io_connect(x->ask.address, x->ask.port);
	if (x->fd < 0) {
		fail_soon(x, fault_of(x->fd));
		return;
	}
	x->watch = io_watch_new(x->direct->loop, x->fd, on_tcp, x);
	io_watch_set(x->watch, IO_WRITE);
}

/* --- questions -------------------------------------------------------------------------------- */

struct dns_exchange *dns_direct_ask(struct dns_direct *d, const struct dns_ask *ask,
				    dns_reply_fn *fn, void *arg)
{
	struct dns_exchange *x = xcalloc(1, sizeof(*x));

	x->direct = d;
	x->ask = *ask;
	x->ask.address = xstrdup(ask->address);
	x->ask.name = xstrdup(ask->name);
	x->ask.port = ask->port != 0 ? ask->port : 53;
	x->attempts = ask->attempts == 0 ? ATTEMPTS : ask->attempts;
	if (x->attempts > ATTEMPTS_MAX)
		x->attempts = ATTEMPTS_MAX;
	x->fn = fn;
	x->arg = arg;
	x->fd = -1;
	x->timer = io_timer_new(d->loop, on_timer, x);
	if (d->n_open < d->limit) {
		open_exchange(x);
		return x;
	}
	x->previous = d->last;
	if (d->last != NULL)
		d->last->next = x;
	else
		d->first = x;
	d->last = x;
	return x;
}

void dns_direct_cancel(struct dns_exchange *x)
{
	struct dns_direct *d = x->direct;

	exchange_free(x);
	open_waiting(d);
}

struct dns_direct *dns_direct_new(struct io_loop *l, size_t limit)
{
	struct dns_direct *d = xcalloc(1, sizeof(*d));

	d->loop = l;
	d->limit = limit > 0 ? limit : 1;
	return d;
}

struct dns_direct *dns_direct_free(struct dns_direct *d)
{
	if (d == NULL)
		return NULL;
	while (d->first != NULL)
		exchange_free(d->first);
	while (d->open != NULL)
		exchange_free(d->open);
	free(d);
	return NULL;
}
