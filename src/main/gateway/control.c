#include "main/gateway/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "edge/io/log.h"
#include "main/gateway/bounce.h"
#include "main/gateway/request.h"
#include "main/gateway/show.h"

enum {
	ANSWER_MAX = 2 * 1024 * 1024, /* octets; a line that has no room in it ends the client */
	LIST_AT_ONCE = 50,            /* parcels of one look into the store */
};

enum client_state {
	CLIENT_READS,  /* no question is open */
	CLIENT_WORKS,  /* the store was asked */
	CLIENT_WRITES, /* a slice is to be read before more is made */
	CLIENT_CLOSED, /* cut; its memory goes at the end of the turn */
};

struct client {
	struct gateway_control *control;
	struct client *previous, *next;
	enum client_state state;
	int fd;
	unsigned uid;
	char name[24]; /* in the log */
	struct io_watch *watch;
	struct io_timer *timer;
	struct buf in, out;
	bool last;   /* nothing is read any more: closed once all is written */
	bool failed; /* an answer had no room: it cannot be trusted to be whole */

	/* The question that is open. */
	struct arena arena;
	struct gateway_request request;
	struct store_filter filter;
	uint64_t ticket; /* of the store; 0: none */
	size_t next_id;  /* of request.ids */
	uint64_t after;  /* store_list: the last parcel that was shown whole */
	uint64_t partly; /* the parcel that was shown in part, and how many of its lines */
	size_t recipients;
	uint64_t parcels;   /* that were changed or shown */
	uint64_t busy;      /* that were left alone: they are being delivered */
	struct js *unknown; /* ids that fit nothing */
	struct gateway_bounce *bounce;
};

struct gateway_control {
	struct gateway *g;
	char *path;
	int fd;
	struct io_watch *watch;
	struct io_timer *pause; /* descriptors have run out */
	struct client *clients;
	size_t n;
	unsigned served;
};

/* --- clients ---------------------------------------------------------------------------------- */

static void client_free(void *arg)
{
	struct client *k = arg;

	buf_done(&k->in);
	buf_done(&k->out);
	arena_done(&k->arena);
	js_free(k->unknown);
	free(k);
}

static void client_cut(struct client *k)
{
	struct gateway_control *c = k->control;

	if (k->state == CLIENT_CLOSED)
		return;
	k->state = CLIENT_CLOSED;
	if (k->ticket != 0)
		store_forget(c->g->store, k->ticket);
	k->bounce = gateway_bounce_free(k->bounce);
	io_watch_free(k->watch);
	io_timer_free(k->timer);
	close(k->fd);
	if (k->previous != NULL)
		k->previous->next = k->next;
	else
		c->clients = k->next;
	if (k->next != NULL)
		k->next->previous = k->previous;
	c->n--;
	io_defer(c->g->loop, client_free, k);
}

static void client_late(void *arg)
{
	struct client *k = arg;

	IO_LOG(IO_LOG_DEBUG, k->name, "control_timeout");
	client_cut(k);
}

static void client_wait(struct client *k)
{
	struct io_loop *l = k->control->g->loop;
	unsigned events = k->out.n > 0 ? IO_WRITE : 0u;

	if (k->state == CLIENT_READS && !k->last && k->in.n < k->in.max)
		events |= IO_READ;
	io_watch_set(k->watch, events);
	/* The store answers in its own time. */
	io_timer_set(k->timer, k->state == CLIENT_WORKS && k->out.n == 0
				       ? USEC_NEVER
				       : usec_add(io_now(l), usec_seconds(GATEWAY_CLIENT_WAIT)));
}

/* --- answers ---------------------------------------------------------------------------------- */

/* False: it has no room, and the client is told so by its end. */
static bool put(struct client *k, const char *kind, struct js *value)
{
	_cleanup_(js_freep) struct js *line = js_object();
	_cleanup_(freep) char *text = NULL;

	js_set(line, kind, value);
	text = js_line(line);
	if (strlen(text) < k->out.max - k->out.n && buf_add_text(&k->out, text) == 0 &&
	    buf_add_text(&k->out, "\n") == 0)
		return true;
	IO_LOG(IO_LOG_WARNING, k->name, "control_answer_too_long");
	k->last = k->failed = true;
	buf_clear(&k->in);
	return false;
}

static void question_end(struct client *k)
{
	k->state = CLIENT_READS;
	arena_done(&k->arena);
	k->arena = (struct arena){0};
	js_free(TAKE(k->unknown));
}

static void put_done(struct client *k, struct js *value)
{
	put(k, "done", value);
	question_end(k);
}

static void put_error(struct client *k, const char *code, const char *detail)
{
	struct js *v = js_object();

	js_set_text(v, "code", code);
	js_set_text(v, "detail", detail);
	put(k, "error", v);
	question_end(k);
}

static void put_store_error(struct client *k, int error)
{
	char text[200];

	snprintf(text, sizeof(text), "the queue: %s", strerror(-error));
	put_error(k, "unavailable", text);
}

/* --- the queue's commands --------------------------------------------------------------------- */

static void take_up(struct client *k);

static void filter_of(struct client *k)
{
	const struct gateway_request *r = &k->request;

	k->filter = (struct store_filter){
		.from = r->sender,
		.domain = r->domain,
		.arrived_before = r->older > 0 ? io_unix_now() - usec_seconds(r->older) : 0,
	};
	if (k->filter.arrived_before < 0)
		k->filter.arrived_before = 0;
}

static void put_counted(struct client *k)
{
	struct js *v = js_object();

	js_set_int(v, "parcels", (int64_t)k->parcels);
	if (k->request.command == GATEWAY_BOUNCE)
		js_set_int(v, "busy", (int64_t)k->busy);
	js_set(v, "unknown", k->unknown != NULL ? TAKE(k->unknown) : js_array());
	put_done(k, v);
}

/* The next id, or none: without ids there is one round. False: all are done. */
static bool next_id(struct client *k)
{
	const struct gateway_request *r = &k->request;

	if (k->next_id >= (r->n_ids > 0 ? r->n_ids : 1))
		return false;
	k->filter.id = r->n_ids > 0 ? r->ids[k->next_id] : NULL;
	k->next_id++;
	k->after = k->partly = 0;
	return true;
}

static void unknown_id(struct client *k)
{
	if (k->filter.id == NULL)
		return;
	if (k->unknown == NULL)
		k->unknown = js_array();
	js_push_text(k->unknown, k->filter.id);
}

static void act_next(struct client *k);

static void on_acted(void *arg, int result)
{
	struct client *k = arg;

	k->ticket = 0;
	if (result < 0) {
		put_store_error(k, result);
	} else {
		k->parcels += (uint64_t)result;
		if (result == 0)
			unknown_id(k);
		act_next(k);
	}
	if (k->state == CLIENT_READS)
		take_up(k);
	client_wait(k);
}

/* All are done. */
static void acted(struct client *k)
{
	struct gateway *g = k->control->g;

	IO_LOG(IO_LOG_INFO, k->name, "control_done",
	       {"command", gateway_command_to_string(k->request.command)},
	       {"parcels", IO_LOG_NUMBER(k->parcels)},
	       {"busy", k->busy > 0 ? IO_LOG_NUMBER(k->busy) : NULL});
	if (g->outbound != NULL)
		gateway_outbound_wake(g->outbound);
	put_counted(k);
}

static void act_next(struct client *k)
{
	static const enum store_action actions[] = {[GATEWAY_RETRY] = STORE_RETRY,
						    [GATEWAY_HOLD] = STORE_HOLD,
						    [GATEWAY_RELEASE] = STORE_UNHOLD,
						    [GATEWAY_DELETE] = STORE_REMOVE};
	struct gateway *g = k->control->g;

	if (!next_id(k)) {
		acted(k);
		return;
	}
	k->state = CLIENT_WORKS;
	k->ticket = store_act(g->store, actions[k->request.command], &k->filter, io_unix_now(),
			      on_acted, k);
}

static void bounce_next(struct client *k);

static void on_bounced(void *arg, int result, uint64_t returned, uint64_t busy)
{
	struct client *k = arg;

	k->bounce = gateway_bounce_free(k->bounce);
	k->parcels += returned;
	k->busy += busy;
	if (returned + busy == 0)
		unknown_id(k);
	if (result < 0)
		put_store_error(k, result);
	else
		bounce_next(k);
	if (k->state == CLIENT_READS)
		take_up(k);
	client_wait(k);
}

static void bounce_next(struct client *k)
{
	if (!next_id(k)) {
		acted(k);
		return;
	}
	k->state = CLIENT_WORKS;
	k->bounce = gateway_bounce_new(k->control->g, &k->filter, on_bounced, k);
}

/* One recipient's line (list), or one of its lines (show: 0 is the parcel's). */
static bool put_item(struct client *k, const struct store_parcel *p, size_t i)
{
	if (k->request.command == GATEWAY_LIST)
		return p->message.recipients[i].state != STORE_OPEN ||
		       put(k, "item", gateway_show_line(p, i));
	return put(k, "item", i == 0 ? gateway_show_parcel(p) : gateway_show_recipient(p, i - 1));
}

/* False: the slice is full, or the client cut; the place is kept. */
static bool put_parcel(struct client *k, const struct store_parcel *p)
{
	size_t n = p->message.n_recipients + (k->request.command == GATEWAY_SHOW);

	if (k->partly != p->key)
		k->recipients = 0;
	k->partly = p->key;
	for (; k->recipients < n; k->recipients++)
		if (k->out.n >= GATEWAY_ANSWER_SLICE || !put_item(k, p, k->recipients))
			return false;
	k->after = p->key;
	k->parcels++;
	return true;
}

static void list_next(struct client *k);

static void on_listed(void *arg, int result, const struct store_parcel *parcels, size_t n)
{
	struct client *k = arg;
	uint64_t before = k->parcels;
	bool room = true;

	k->ticket = 0;
	for (size_t i = 0; i < n && room; i++)
		room = put_parcel(k, &parcels[i]);
	if (result < 0) {
		put_store_error(k, result);
	} else if (k->failed) {
		question_end(k);
	} else if (n == 0) {
		if (k->after == 0)
			unknown_id(k);
		if (next_id(k))
			list_next(k);
		else
			put_counted(k);
	} else if (room && k->parcels > before) {
		list_next(k);
	} else {
		k->state = CLIENT_WRITES;
	}
	if (k->state == CLIENT_READS)
		take_up(k);
	client_wait(k);
}

static void list_next(struct client *k)
{
	k->state = CLIENT_WORKS;
	k->ticket =
		store_list(k->control->g->store, &k->filter, k->after, LIST_AT_ONCE, on_listed, k);
}

/* --- the others ------------------------------------------------------------------------------- */

static void on_counted(void *arg, int result, const struct store_counts *counts)
{
	struct client *k = arg;

	k->ticket = 0;
	put_done(k, gateway_show_status(k->control->g, result < 0 ? NULL : counts, result));
	take_up(k);
	client_wait(k);
}

static void reload(struct client *k)
{
	struct gateway *g = k->control->g;
	struct config_problems p = {0};
	struct js *v;

	if (gateway_reload(g, &p)) {
		v = js_object();
		js_set_text(v, "config", g->file->path);
		put_done(k, v);
	} else {
		_cleanup_(freep) char *text = config_problems_text(&p, g->file->path);

		put_error(k, "config", text);
	}
	config_problems_done(&p);
}

static void stop(struct client *k)
{
	struct js *v = js_object();

	js_set_text(v, "state", "stopping");
	put_done(k, v);
	gateway_stop(k->control->g);
}

static void obey(struct client *k)
{
	struct gateway *g = k->control->g;
	enum gateway_command command = k->request.command;

	IO_LOG(command == GATEWAY_STATUS || command == GATEWAY_LIST || command == GATEWAY_SHOW
		       ? IO_LOG_DEBUG
		       : IO_LOG_INFO,
	       k->name, "control_command", {"command", gateway_command_to_string(command)},
	       {"uid", IO_LOG_NUMBER(k->uid)},
	       {"id", k->request.n_ids > 0 ? k->request.ids[0] : NULL},
	       {"ids", k->request.n_ids > 1 ? IO_LOG_NUMBER(k->request.n_ids) : NULL},
	       {"domain", k->request.domain}, {"sender", k->request.sender},
	       {"older", k->request.older > 0 ? IO_LOG_NUMBER(k->request.older) : NULL},
	       {"all", k->request.all ? "yes" : NULL});
	k->next_id = 0;
	k->parcels = k->busy = 0;
	switch (command) {
	case GATEWAY_STATUS:
		k->state = CLIENT_WORKS;
		k->ticket = store_count(g->store, io_unix_now(), on_counted, k);
		return;
	case GATEWAY_RELOAD:
		reload(k);
		return;
	case GATEWAY_STOP:
		stop(k);
		return;
	case GATEWAY_LIST:
	case GATEWAY_SHOW:
		filter_of(k);
		next_id(k);
		list_next(k);
		return;
	case GATEWAY_BOUNCE:
		filter_of(k);
		bounce_next(k);
		return;
	case GATEWAY_RETRY:
	case GATEWAY_HOLD:
	case GATEWAY_RELEASE:
	case GATEWAY_DELETE:
		filter_of(k);
		act_next(k);
		return;
	}
}

static void ask(struct client *k, struct span line)
{
	struct err e;

	if (gateway_request_read(&k->arena, line, &k->request, &e) < 0)
		put_error(k, "usage", e.text);
	else
		obey(k);
}

/* The questions that are at hand, until one has to wait. */
static void take_up(struct client *k)
{
	while (k->state == CLIENT_READS && k->out.n < GATEWAY_ANSWER_SLICE) {
		uint8_t *end = k->in.n > 0 ? memchr(k->in.p, '\n', k->in.n) : NULL;
		size_t n;

		if (end == NULL && k->in.n <= GATEWAY_REQUEST_MAX)
			return;
		if (end == NULL) {
			put_error(k, "usage", "the line is too long");
			k->last = true;
			buf_clear(&k->in);
			return;
		}
		n = (size_t)(end - k->in.p);
		ask(k, span_of(k->in.p, n));
		if (!k->failed)
			buf_drop(&k->in, n + 1);
	}
}

/* --- octets ----------------------------------------------------------------------------------- */

/* False: it is gone. */
static bool read_some(struct client *k)
{
	uint8_t part[8192];
	size_t room = k->in.max - k->in.n;
	ssize_t n = read(k->fd, part, room < sizeof(part) ? room : sizeof(part));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n > 0)
		return buf_add(&k->in, part, (size_t)n) == 0;
	k->last = true; /* it has no more questions, but may still read */
	return k->out.n > 0;
}

static bool write_some(struct client *k)
{
	ssize_t n;

	if (k->out.n == 0)
		return true;
	n = send(k->fd, k->out.p, k->out.n, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	buf_drop(&k->out, (size_t)n);
	return true;
}

static void on_client(void *arg, unsigned ready)
{
	struct client *k = arg;

	if (((ready & IO_READ) != 0 && !read_some(k)) || !write_some(k)) {
		client_cut(k);
		return;
	}
	take_up(k);
	if (!write_some(k) || (k->last && k->state == CLIENT_READS && k->out.n == 0)) {
		client_cut(k);
		return;
	}
	if (k->state == CLIENT_WRITES && k->out.n == 0)
		list_next(k);
	client_wait(k);
}

/* --- coming in -------------------------------------------------------------------------------- */

static void client_new(struct gateway_control *c, int fd)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t n = sizeof(peer);
	struct client *k;

	/* The file's mode says the same; this holds where the folder was opened by mistake. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 ||
	    (peer.uid != 0 && peer.uid != geteuid()) || c->n >= GATEWAY_CLIENTS_MAX) {
		IO_LOG(IO_LOG_WARNING, NULL, "control_refused",
		       {"uid", IO_LOG_NUMBER((int)peer.uid)}, {"pid", IO_LOG_NUMBER(peer.pid)},
		       {"clients", IO_LOG_NUMBER(c->n)});
		close(fd);
		return;
	}
	k = xcalloc(1, sizeof(*k));
	k->control = c;
	k->fd = fd;
	k->uid = peer.uid;
	snprintf(k->name, sizeof(k->name), "control-%u", ++c->served);
	buf_init(&k->in, GATEWAY_REQUEST_MAX + 1);
	buf_init(&k->out, ANSWER_MAX);
	k->watch = io_watch_new(c->g->loop, fd, on_client, k);
	k->timer = io_timer_new(c->g->loop, client_late, k);
	k->next = c->clients;
	if (k->next != NULL)
		k->next->previous = k;
	c->clients = k;
	c->n++;
	IO_LOG(IO_LOG_DEBUG, k->name, "control", {"uid", IO_LOG_NUMBER(peer.uid)},
	       {"pid", IO_LOG_NUMBER(peer.pid)});
	client_wait(k);
}

static void on_connection(void *arg, unsigned ready)
{
	struct gateway_control *c = arg;
	int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)ready;
	if (fd >= 0) {
		client_new(c, fd);
	} else if (errno == EMFILE || errno == ENFILE) {
		io_watch_set(c->watch, 0);
		io_timer_set(c->pause, usec_add(io_now(c->g->loop), USEC_PER_SEC));
	}
}

static void on_pause_over(void *arg)
{
	struct gateway_control *c = arg;

	io_watch_set(c->watch, IO_READ);
}

static int socket_open(const char *path, struct err *e)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	mode_t before;
	int fd, error = 0;

	if (strlen(path) >= sizeof(at.sun_path))
		return err_set(e, -ENAMETOOLONG, "%s: a socket's path has at most %zu characters",
			       path, sizeof(at.sun_path) - 1);
	memcpy(at.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	(void)unlink(path);
	before = umask(0177);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, GATEWAY_CLIENTS_MAX) < 0)
		error = errno;
	umask(before);
	if (error == 0)
		return fd;
	close(fd);
	return err_set(e, -error, "%s: %s", path, strerror(error));
}

struct gateway_control *gateway_control_new(struct gateway *g, struct err *e)
{
	struct gateway_control *c = xcalloc(1, sizeof(*c));
	size_t room = strlen(g->file->state) + sizeof("/control");

	c->g = g;
	c->path = xmalloc(room);
	snprintf(c->path, room, "%s/control", g->file->state);
	c->fd = socket_open(c->path, e);
	if (c->fd < 0) {
		free(c->path);
		free(c);
		return NULL;
	}
	c->watch = io_watch_new(g->loop, c->fd, on_connection, c);
	io_watch_set(c->watch, IO_READ);
	c->pause = io_timer_new(g->loop, on_pause_over, c);
	return c;
}

struct gateway_control *gateway_control_free(struct gateway_control *c)
{
	if (c == NULL)
		return NULL;
	while (c->clients != NULL)
		client_cut(c->clients);
	io_watch_free(c->watch);
	io_timer_free(c->pause);
	close(c->fd);
	(void)unlink(c->path);
	free(c->path);
	free(c);
	return NULL;
}
