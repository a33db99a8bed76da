#include "edge/web/local.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"

enum {
	ANSWER_MAX = 4 * 1024 * 1024,
};

enum visit_state {
	VISIT_READS,
	VISIT_ASKS, /* the page is being made */
	VISIT_WRITES,
	VISIT_GONE, /* closed, but the page is still being made */
};

struct web_visit {
	struct web_local *web;
	struct web_visit *previous, *next;
	enum visit_state state;
	int fd;
	struct io_watch *watch;
	struct io_timer *timer;
	struct buf in, out;
	bool head; /* HEAD: no body is wanted */
};

struct web_local {
	struct io_loop *loop;
	int fd;
	struct io_watch *watch;
	struct io_timer *pause; /* descriptors have run out */
	web_local_fn *fn;
	void *arg;
	struct web_visit *visits;
	size_t n;
};

/* --- visits ----------------------------------------------------------------------------------- */

static void visit_free(void *arg)
{
	struct web_visit *v = arg;

	buf_done(&v->in);
	buf_done(&v->out);
	free(v);
}

static void visit_close(struct web_visit *v)
{
	if (v->fd < 0)
		return;
	io_watch_free(v->watch);
	io_timer_free(v->timer);
	close(v->fd);
	v->fd = -1;
}

static void visit_end(struct web_visit *v)
{
	struct web_local *w = v->web;

	visit_close(v);
	if (v->state == VISIT_ASKS) {
		v->state = VISIT_GONE; /* keeps its place until it is answered */
		return;
	}
	if (v->previous != NULL)
		v->previous->next = v->next;
	else
		w->visits = v->next;
	if (v->next != NULL)
		v->next->previous = v->previous;
	w->n--;
	io_defer(w->loop, visit_free, v);
}

static void visit_late(void *arg)
{
	visit_end(arg);
}

static const char *reason(unsigned status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 431:
		return "Request Header Fields Too Large";
	default:
		return "Service Unavailable";
	}
}

/* False: it is gone, or all is written. */
static bool write_some(struct web_visit *v)
{
	ssize_t n = send(v->fd, v->out.p, v->out.n, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	buf_drop(&v->out, (size_t)n);
	return v->out.n > 0;
}

void web_visit_answer(struct web_visit *v, unsigned status, const char *type, struct span body)
{
	int r;

	require(v->state == VISIT_ASKS || v->state == VISIT_GONE);
	if (v->state == VISIT_GONE) {
		visit_end(v);
		return;
	}
	v->state = VISIT_WRITES;
	r = buf_printf(&v->out,
		       "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
		       "Connection: close\r\nX-Content-Type-Options: nosniff\r\n\r\n",
		       status, reason(status), type, body.n);
	if (r == 0 && !v->head)
		r = buf_add(&v->out, body.p, body.n);
	if (r < 0)
		visit_end(v); /* longer than an answer may be */
	else
		io_watch_set(v->watch, IO_WRITE);
}

static void refuse(struct web_visit *v, unsigned status)
{
	char text[80];

	v->state = VISIT_ASKS;
	snprintf(text, sizeof(text), "%s\n", reason(status));
	web_visit_answer(v, status, "text/plain; charset=utf-8", span_text(text));
}

/* --- the request ------------------------------------------------------------------------------ */

/* The next word of the request line, cut off; NULL: there is none, or it is no plain text. */
static char *next_word(char **line)
{
	char *word = *line, *end = word + strcspn(word, " ");

	for (const char *c = word; c < end; c++)
		if (*c <= ' ' || *c >= 0x7f)
			return NULL;
	if (*end == ' ')
		*end++ = '\0';
	*line = end;
	return *word != '\0' ? word : NULL;
}

/* `text`: all of it, NUL-terminated. */
static void serve(struct web_visit *v, char *text)
{
	char *line = text, *method, *path, *version;

	line[strcspn(line, "\r\n")] = '\0';
	method = next_word(&line);
	path = method != NULL ? next_word(&line) : NULL;
	version = path != NULL ? next_word(&line) : NULL;
	if (version == NULL || *line != '\0' || strncmp(version, "HTTP/1.", 7) != 0 ||
	    path[0] != '/') {
		refuse(v, 400);
		return;
	}
	v->head = strcmp(method, "HEAD") == 0;
	if (!v->head && strcmp(method, "GET") != 0) {
		refuse(v, 405);
		return;
	}
	path[strcspn(path, "?")] = '\0';
	v->state = VISIT_ASKS;
	io_watch_set(v->watch, 0);
	v->web->fn(v->web->arg, v, path);
}

static void take_up(struct web_visit *v)
{
	uint8_t nul = 0;

	if (memmem(v->in.p, v->in.n, "\r\n\r\n", 4) == NULL &&
	    memmem(v->in.p, v->in.n, "\n\n", 2) == NULL) {
		if (v->in.n >= WEB_LOCAL_REQUEST_MAX)
			refuse(v, 431);
		return;
	}
	if (memchr(v->in.p, 0, v->in.n) != NULL || buf_add(&v->in, &nul, 1) < 0)
		refuse(v, 400);
	else
		serve(v, (char *)v->in.p);
}

static void on_visit(void *arg, unsigned ready)
{
	struct web_visit *v = arg;
	uint8_t part[4096];
	size_t room = WEB_LOCAL_REQUEST_MAX - v->in.n;
	ssize_t n;

	if (v->state == VISIT_WRITES) {
		if ((ready & IO_WRITE) != 0 && !write_some(v))
			visit_end(v);
		return;
	}
	n = recv(v->fd, part, room < sizeof(part) ? room : sizeof(part), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || buf_add(&v->in, part, (size_t)n) < 0)
		visit_end(v);
	else
		take_up(v);
}

/* --- coming in -------------------------------------------------------------------------------- */

static void visit_new(struct web_local *w, int fd)
{
	struct web_visit *v = xcalloc(1, sizeof(*v));

	v->web = w;
	v->fd = fd;
	buf_init(&v->in, WEB_LOCAL_REQUEST_MAX + 1);
	buf_init(&v->out, ANSWER_MAX);
	v->watch = io_watch_new(w->loop, fd, on_visit, v);
	v->timer = io_timer_new(w->loop, visit_late, v);
	io_watch_set(v->watch, IO_READ);
	io_timer_set(v->timer, usec_add(io_now(w->loop), usec_seconds(WEB_LOCAL_WAIT)));
	v->next = w->visits;
	if (v->next != NULL)
		v->next->previous = v;
	w->visits = v;
	w->n++;
}

static void on_connection(void *arg, unsigned ready)
{
	struct web_local *w = arg;
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)ready;
	if (fd >= 0 && w->n < WEB_LOCAL_VISITS) {
		visit_new(w, fd);
	} else if (fd >= 0) {
		close(fd);
	} else if (errno == EMFILE || errno == ENFILE) {
		io_watch_set(w->watch, 0);
		io_timer_set(w->pause, usec_add(io_now(w->loop), USEC_PER_SEC));
	}
}

static void on_pause_over(void *arg)
{
	struct web_local *w = arg;

	io_watch_set(w->watch, IO_READ);
}

struct web_local *web_local_new(struct io_loop *l, int fd, web_local_fn *fn, void *arg)
{
	struct web_local *w = xcalloc(1, sizeof(*w));

	w->loop = l;
	w->fd = fd;
	w->fn = fn;
	w->arg = arg;
	w->watch = io_watch_new(l, fd, on_connection, w);
	io_watch_set(w->watch, IO_READ);
	w->pause = io_timer_new(l, on_pause_over, w);
	return w;
}

struct web_local *web_local_free(struct web_local *w)
{
	if (w == NULL)
		return NULL;
	while (w->visits != NULL) {
		w->visits->state = VISIT_WRITES; /* nobody answers any more */
		visit_end(w->visits);
	}
	io_watch_free(w->watch);
	io_timer_free(w->pause);
	close(w->fd);
	free(w);
	return NULL;
}
