#include "edge/io/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "edge/io/log.h"

enum state {
	STATE_OPEN,
	STATE_RESTING, /* out of descriptors; the timer ends it */
	STATE_PAUSED,
};

struct io_listener {
	struct io_loop *loop;
	int fd;
	io_listener_fn *fn;
	void *arg;
	struct io_watch *watch;
	struct io_timer *timer;
	enum state state;
	bool in_call;    /* of `fn` */
	usec_t log_next; /* not again before */
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un un;
};

static void move(struct io_listener *l, enum state next)
{
	l->state = next;
	io_watch_set(l->watch, next == STATE_OPEN ? IO_READ : 0);
	io_timer_set(l->timer, next == STATE_RESTING
				       ? io_now(l->loop) + IO_LISTENER_REST_MS * (usec_t)1000
				       : USEC_NEVER);
}

/* --- peers ------------------------------------------------------------------------------------ */

struct io_peer io_peer_of(struct span address, uint16_t port)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct io_peer p = {.port = port};

	if (address.n == 16 && memcmp(address.p, mapped, sizeof(mapped)) == 0)
		address = span_skip(address, sizeof(mapped));
	if (address.n != 4 && address.n != 16)
		return (struct io_peer){.port = 0};
	memcpy(p.octets, address.p, address.n);
	p.n_octets = (uint8_t)address.n;
	require(inet_ntop(address.n == 4 ? AF_INET : AF_INET6, p.octets, p.address,
			  sizeof(p.address)) != NULL);
	return p;
}

static struct io_peer peer_of(const union address *a, socklen_t n)
{
	if (a->any.sa_family == AF_INET && n >= sizeof(a->v4))
		return io_peer_of(span_of(&a->v4.sin_addr, 4), ntohs(a->v4.sin_port));
	if (a->any.sa_family == AF_INET6 && n >= sizeof(a->v6))
		return io_peer_of(span_of(&a->v6.sin6_addr, 16), ntohs(a->v6.sin6_port));
	return (struct io_peer){.port = 0};
}

/* --- accepting -------------------------------------------------------------------------------- */

/* Nothing that is wrong with one connection ends the listener. */
static void rest(struct io_listener *l, int error)
{
	usec_t now = io_now(l->loop);

	move(l, STATE_RESTING);
	if (now < l->log_next)
		return;
	l->log_next = now + usec_seconds(IO_LISTENER_LOG_SECONDS);
	IO_LOG(IO_LOG_ERROR, NULL, "accept-failed", {"error", strerror(error)});
}

/* accept(2), "Error handling": what befell a connection that is already gone. */
static bool is_of_one_connection(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case EPERM: /* a firewall's rule */
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
	case ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

/* False: enough for this turn. */
static bool accept_one(struct io_listener *l)
{
	union address a = {.any = {.sa_family = AF_UNSPEC}};
	socklen_t n = sizeof(a);
	int fd = accept4(l->fd, &a.any, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct io_peer peer;

	if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return false;
	if (fd < 0 && is_of_one_connection(errno))
		return true;
	if (fd < 0) {
		rest(l, errno);
		return false;
	}
	peer = peer_of(&a, n);
	l->in_call = true;
	l->fn(l->arg, fd, &peer);
	l->in_call = false;
	return l->state == STATE_OPEN;
}

static void on_ready(void *arg, unsigned ready)
{
	struct io_listener *l = arg;

	(void)ready;
	for (int i = 0; i < IO_LISTENER_BATCH; i++)
		if (!accept_one(l))
			return;
}

static void on_rested(void *arg)
{
	struct io_listener *l = arg;

	if (l->state == STATE_RESTING)
		move(l, STATE_OPEN);
}

/* --- birth ------------------------------------------------------------------------------------ */

static int option(int fd, int name)
{
	int value = 0;
	socklen_t n = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &n) < 0 ? -errno : value;
}

static int prepare(int fd, struct err *e)
{
	int listens = option(fd, SO_ACCEPTCONN), domain = option(fd, SO_DOMAIN), one = 1;
	int flags = fcntl(fd, F_GETFL);

	if (listens != 1 || option(fd, SO_TYPE) != SOCK_STREAM)
		return err_set(e, -EINVAL, "not a stream socket that listens");
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_set(e, -errno, "%s", strerror(errno));
	/* Replies are written whole. Connections have it from their listener. */
	if (domain == AF_INET || domain == AF_INET6)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return 0;
}

struct io_listener *io_listener_new(struct io_loop *loop, int fd, io_listener_fn *fn, void *arg,
				    struct err *e)
{
	struct io_listener *l;

	if (prepare(fd, e) < 0)
		return NULL;
	l = xcalloc(1, sizeof(*l));
	l->loop = loop;
	l->fd = fd;
	l->fn = fn;
	l->arg = arg;
	l->watch = io_watch_new(loop, fd, on_ready, l);
	l->timer = io_timer_new(loop, on_rested, l);
	move(l, STATE_OPEN);
	return l;
}

struct io_listener *io_listener_free(struct io_listener *l)
{
	if (l == NULL)
		return NULL;
	require(!l->in_call);
	io_watch_free(l->watch);
	io_timer_free(l->timer);
	free(l);
	return NULL;
}

void io_listener_pause(struct io_listener *l)
{
	if (l->state != STATE_PAUSED)
		move(l, STATE_PAUSED);
}

void io_listener_resume(struct io_listener *l)
{
	if (l->state == STATE_PAUSED)
		move(l, STATE_OPEN);
}
