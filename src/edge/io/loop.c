#include "edge/io/loop.h"

#include <event2/event.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

struct deferred {
	io_fn *fn;
	void *arg;
};

struct io_loop {
	struct event_base *base;
	struct event *turn; /* made active when something was deferred */
	struct deferred *deferred;
	size_t n_deferred, room;
};

struct io_watch {
	struct io_loop *loop;
	struct event *event;
	io_watch_fn *fn;
	void *arg;
	int fd;
	unsigned events;
};

struct io_timer {
	struct event *event;
	io_fn *fn;
	void *arg;
	struct io_loop *loop;
};

static usec_t clock_usec(clockid_t clock)
{
	struct timespec ts;

	require(clock_gettime(clock, &ts) == 0);
	return usec_seconds(ts.tv_sec) + ts.tv_nsec / 1000;
}

usec_t io_now(const struct io_loop *l)
{
	(void)l;
	return clock_usec(CLOCK_MONOTONIC);
}

usec_t io_unix_now(void)
{
	return clock_usec(CLOCK_REALTIME);
}

/* Runs what was deferred so far; what that defers runs in the next round. */
static void run_deferred(evutil_socket_t fd, short what, void *arg)
{
	struct io_loop *l = arg;
	struct deferred *list = l->deferred;
	size_t n = l->n_deferred;

	(void)fd;
	(void)what;
	l->deferred = NULL;
	l->n_deferred = l->room = 0;
	for (size_t i = 0; i < n; i++)
		list[i].fn(list[i].arg);
	free(list);
}

struct io_loop *io_loop_new(void)
{
	struct io_loop *l = xcalloc(1, sizeof(*l));
	struct event_config *config = event_config_new();

	require(config != NULL);
	signal(SIGPIPE, SIG_IGN);
	/* Work for the end of a turn comes after what became ready in it. */
	l->base = event_base_new_with_config(config);
	event_config_free(config);
	require(l->base != NULL && event_base_priority_init(l->base, 2) == 0);
	l->turn = event_new(l->base, -1, 0, run_deferred, l);
	require(l->turn != NULL);
	event_priority_set(l->turn, 1);
	return l;
}

struct io_loop *io_loop_free(struct io_loop *l)
{
	if (l == NULL)
		return NULL;
	while (l->n_deferred > 0)
		run_deferred(-1, 0, l);
	event_free(l->turn);
	event_base_free(l->base);
	free(l);
	return NULL;
}

void io_loop_run(struct io_loop *l)
{
	event_base_dispatch(l->base);
}

void io_loop_stop(struct io_loop *l)
{
	event_base_loopbreak(l->base);
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct io_watch *w = arg;

	(void)fd;
	w->fn(w->arg, (what & EV_READ ? IO_READ : 0u) | (what & EV_WRITE ? IO_WRITE : 0u));
}

struct io_watch *io_watch_new(struct io_loop *l, int fd, io_watch_fn *fn, void *arg)
{
	struct io_watch *w = xcalloc(1, sizeof(*w));

	w->loop = l;
	w->fd = fd;
	w->fn = fn;
	w->arg = arg;
	w->event = event_new(l->base, fd, 0, on_watch, w);
	require(w->event != NULL);
	event_priority_set(w->event, 0);
	return w;
}

struct io_watch *io_watch_free(struct io_watch *w)
{
	if (w != NULL) {
		event_free(w->event);
		free(w);
	}
	return NULL;
}

void io_watch_set(struct io_watch *w, unsigned events)
{
	short flags = EV_PERSIST;

	if (events == w->events)
		return;
	w->events = events;
	event_del(w->event);
	if (events == 0)
		return;
	flags |= events & IO_READ ? EV_READ : 0;
	flags |= events & IO_WRITE ? EV_WRITE : 0;
	require(event_assign(w->event, w->loop->base, w->fd, flags, on_watch, w) == 0);
	event_priority_set(w->event, 0);
	require(event_add(w->event, NULL) == 0);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct io_timer *t = arg;

	(void)fd;
	(void)what;
	t->fn(t->arg);
}

struct io_timer *io_timer_new(struct io_loop *l, io_fn *fn, void *arg)
{
	struct io_timer *t = xcalloc(1, sizeof(*t));

	t->loop = l;
	t->fn = fn;
	t->arg = arg;
	t->event = event_new(l->base, -1, 0, on_timer, t);
	require(t->event != NULL);
	event_priority_set(t->event, 0);
	return t;
}

struct io_timer *io_timer_free(struct io_timer *t)
{
	if (t != NULL) {
		event_free(t->event);
		free(t);
	}
	return NULL;
}

void io_timer_set(struct io_timer *t, usec_t when)
{
	usec_t wait;
	struct timeval tv;

	event_del(t->event);
	if (when == USEC_NEVER)
		return;
	wait = when - io_now(t->loop);
	if (wait < 0)
		wait = 0;
	tv = (struct timeval){.tv_sec = wait / USEC_PER_SEC, .tv_usec = wait % USEC_PER_SEC};
	require(event_add(t->event, &tv) == 0);
}

void io_defer(struct io_loop *l, io_fn *fn, void *arg)
{
	if (l->n_deferred == l->room) {
		l->room = l->room > 0 ? l->room * 2 : 16;
		l->deferred = xrealloc(l->deferred, l->room * sizeof(*l->deferred));
	}
	l->deferred[l->n_deferred++] = (struct deferred){fn, arg};
	event_active(l->turn, EV_TIMEOUT, 1);
}

size_t io_raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 1024;
	if (limit.rlim_cur < limit.rlim_max) {
		struct rlimit more = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			limit = more;
	}
	return (size_t)limit.rlim_cur;
}
