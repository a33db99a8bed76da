/*
 * A page or two by HTTP for programs on this machine: metrics for Prometheus. Not for the Internet.
 *
 * Not evhttp: that has no limit of connections and no deadline that a slow client cannot push on
 * (docs/decisions/0033). Here a client gets one answer to one GET and is closed; what it may send,
 * how long it may take, and how many there are is bounded whatever it does. A request with a body,
 * or with anything but GET and HEAD, is refused; headers are passed over.
 *
 *	w = web_local_new(loop, fd, get, arg);
 *	get(arg, visit, "/metrics"):  ... at once or later: web_visit_answer(visit, 200, type, body)
 */
#pragma once

#include "base/span.h"
#include "edge/io/loop.h"

enum {
	WEB_LOCAL_VISITS = 8,         /* at a time; more are closed at once */
	WEB_LOCAL_REQUEST_MAX = 8192, /* octets of request line and headers */
	WEB_LOCAL_WAIT = 10,          /* seconds, from the accept to the last octet */
};

struct web_local;
struct web_visit;

/* `path` without the query; lives until it returns. Answer once; late is fine, also when the
 * client has gone by then. */
typedef void web_local_fn(void *arg, struct web_visit *v, const char *path);

/* Takes over a listening, non-blocking socket. */
struct web_local *web_local_new(struct io_loop *l, int fd, web_local_fn *fn, void *arg);
/* Visits without an answer are gone with it. */
struct web_local *web_local_free(struct web_local *w);

/* `body` is copied. */
void web_visit_answer(struct web_visit *v, unsigned status, const char *type, struct span body);
