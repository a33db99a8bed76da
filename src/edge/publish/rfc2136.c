#include "edge/publish/rfc2136.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/io/connect.h"
#include "edge/publish/internal.h"
#include "edge/publish/update.h"

enum {
	TIMEOUT_S = 15,
	/* An answer is header, zone section and signature; a server may copy the update into it. */
	ANSWER_MAX = 2 + DNS_MESSAGE_MAX,
};

struct server {
	struct publish base;
	char *address;
	uint16_t port;
	struct publish_key key;
	usec_t timeout;
};

enum state {
	CONNECT,
	WRITE,
	READ,
};

struct exchange {
	struct publish_task base;
	enum state state;
	struct publish_update update;
	uint8_t length[2]; /* before the message, over TCP */
	size_t at;         /* written, of both */
	int fd;
	bool open;
	struct io_watch *watch;
	struct io_timer *timer;
	struct buf in; /* length and message */
};

static struct server *server_of(const struct exchange *x)
{
	return (struct server *)x->base.by;
}

static int64_t unix_seconds(void)
{
	return io_unix_now() / USEC_PER_SEC;
}

/* Before the first octet nothing can have been done. */
static void fail(struct exchange *x, const char *what)
{
	struct server *s = server_of(x);

	publish_finish(&x->base, x->at == 0 ? PUBLISH_NOT_SENT : PUBLISH_UNKNOWN, "%s: %s",
		       s->address, what);
}

static void on_timer(void *arg)
{
	struct exchange *x = arg;

	fail(x, x->state == CONNECT ? "no connection in time" : "no answer in time");
}

/* One send for both parts would need a copy: the length goes first, its two octets never stick. */
static ssize_t send_some(struct exchange *x)
{
	struct span rest = x->at < 2 ? span_of(x->length + x->at, 2 - x->at)
				     : span_skip(buf_span(&x->update.wire), x->at - 2);

	return send(x->fd, rest.p, rest.n, MSG_NOSIGNAL | (x->at < 2 ? MSG_MORE : 0));
}

static void on_write(struct exchange *x)
{
	while (x->at < 2 + x->update.wire.n) {
		ssize_t n = send_some(x);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			fail(x, strerror(errno));
			return;
		}
		x->at += (size_t)n;
	}
	x->state = READ;
	io_watch_set(x->watch, IO_READ);
}

static void on_answer(struct exchange *x)
{
	struct publish_verdict v;

	publish_update_judge(&x->update, &server_of(x)->key, span_skip(buf_span(&x->in), 2),
			     unix_seconds(), &v);
	publish_finish(&x->base, v.outcome, "%s: %s", server_of(x)->address, v.words);
}

static void on_read(struct exchange *x)
{
	size_t wanted = x->in.n < 2 ? 2 : 2 + (size_t)(x->in.p[0] << 8 | x->in.p[1]);
	uint8_t piece[4096];
	size_t most = wanted - x->in.n < sizeof(piece) ? wanted - x->in.n : sizeof(piece);
	ssize_t n = recv(x->fd, piece, most, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail(x, n == 0 ? "closed without a whole answer" : strerror(errno));
		return;
	}
	require(buf_add(&x->in, piece, (size_t)n) == 0);
	if (x->in.n >= 2 && x->in.n == 2 + (size_t)(x->in.p[0] << 8 | x->in.p[1]))
		on_answer(x);
}

static void on_connected(struct exchange *x)
{
	int error = io_connect_result(x->fd);

	if (error < 0) {
		fail(x, strerror(-error));
		return;
	}
	x->state = WRITE;
	on_write(x);
}

static void on_ready(void *arg, unsigned ready)
{
	struct exchange *x = arg;

	(void)ready;
	switch (x->state) {
	case CONNECT:
		on_connected(x);
		return;
	case WRITE:
		on_write(x);
		return;
	case READ:
		on_read(x);
		return;
	}
}

static void begin(struct publish_task *t)
{
	struct exchange *x = (struct exchange *)t;
	struct server *s = server_of(x);
	uint16_t id;

	x->open = true;
	x->fd = -1;
	buf_init(&x->in, ANSWER_MAX);
	require(getrandom(&id, sizeof(id), 0) == sizeof(id));
	if (publish_update_build(&t->change, &s->key, id, unix_seconds(), &x->update) < 0) {
		publish_finish_soon(t, PUBLISH_REFUSED, "the change is too large for one update");
		return;
	}
	x->length[0] = (uint8_t)(x->update.wire.n >> 8);
	x->length[1] = (uint8_t)x->update.wire.n;
	x->fd = io_connect(s->address, s->port);
	if (x->fd < 0) {
		publish_finish_soon(t, PUBLISH_NOT_SENT, "%s: %s", s->address, strerror(-x->fd));
		return;
	}
	x->timer = io_timer_new(t->by->loop, on_timer, x);
	io_timer_set(x->timer, usec_add(io_now(t->by->loop), s->timeout));
	x->watch = io_watch_new(t->by->loop, x->fd, on_ready, x);
	io_watch_set(x->watch, IO_WRITE);
}

static void abandon(struct publish_task *t)
{
	struct exchange *x = (struct exchange *)t;

	if (!x->open)
		return;
	io_watch_free(x->watch);
	io_timer_free(x->timer);
	if (x->fd >= 0)
		close(x->fd);
	publish_update_done(&x->update);
	buf_done(&x->in);
}

static void done(struct publish *p)
{
	struct server *s = (struct server *)p;

	free(s->address);
	publish_key_done(&s->key);
}

struct publish *publish_rfc2136_new(struct io_loop *l, const struct publish_rfc2136 *config)
{
	static const struct publish_ops ops = {
		.publisher_size = sizeof(struct server),
		.task_size = sizeof(struct exchange),
		.begin = begin,
		.abandon = abandon,
		.done = done,
	};
	struct server *s = (struct server *)publish_new(&ops, l);

	s->address = xstrdup(config->address);
	s->port = config->port != 0 ? config->port : 53;
	s->key = *config->key;
	s->timeout = config->timeout > 0 ? config->timeout : usec_seconds(TIMEOUT_S);
	return &s->base;
}
