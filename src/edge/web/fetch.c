#include "edge/web/fetch.h"

#include <curl/curl.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"

/* What OpenSSL says of a chain (x509_vfy.h, whose numbers are its ABI). */
enum {
	VERIFY_EXPIRED = 10,
};

enum {
	DESCRIPTORS = 16, /* of so many one is for a fetch */
};

struct web_fetch {
	struct web *web;
	struct web_fetch *previous, *next; /* in line, or among those under way */
	const struct web_ops *ops;
	void *arg;
	struct arena arena;
	const char *url;
	const char *places; /* for CURLOPT_RESOLVE */
	long timeout_ms;
	struct buf body;
	size_t headers;
	bool too_long;
	CURL *easy; /* NULL: it waits */
	CURLSH *share;
	struct curl_slist *resolve;
	char error[CURL_ERROR_SIZE];
};

struct list {
	struct web_fetch *first, *last;
};

struct web {
	struct io_loop *loop;
	CURLM *multi;
	struct io_timer *timer; /* the library's */
	struct io_timer *next;  /* places have become free */
	const char *ca_file;
	struct arena arena;
	struct list waiting, running;
	size_t n_running, most;
};

const char *web_end_to_string(enum web_end e)
{
	static const char *const words[] = {
		"answered",  "unreached",  "timeout",  "tls-name", "tls-expired",
		"tls-chain", "tls-failed", "too-long", "broken",   "unable",
	};

	return words[e];
}

/* --- lists ------------------------------------------------------------------------------------ */

static void list_add(struct list *l, struct web_fetch *f)
{
	f->previous = l->last;
	f->next = NULL;
	if (l->last != NULL)
		l->last->next = f;
	else
		l->first = f;
	l->last = f;
}

static void list_remove(struct list *l, struct web_fetch *f)
{
	if (f->previous != NULL)
		f->previous->next = f->next;
	else
		l->first = f->next;
	if (f->next != NULL)
		f->next->previous = f->previous;
	else
		l->last = f->previous;
}

/* --- what comes in ---------------------------------------------------------------------------- */

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct web_fetch *f = arg;

	if (buf_add(&f->body, p, size * n) == 0)
		return size * n;
	f->too_long = true;
	return 0; /* ends the transfer */
}

/* Lines of interim responses count too, so that nobody can send those for ever. */
static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct web_fetch *f = arg;

	(void)p;
	if (size * n <= WEB_HEADERS_MAX - f->headers) {
		f->headers += size * n;
		return size * n;
	}
	f->too_long = true;
	return 0;
}

/* --- one transfer ----------------------------------------------------------------------------- */

/*
 * Options of one kind each, so that the library's macro checks the type. All are of 7.88 or older
 * and built in, so none is refused.
 */
static void set_long(struct web_fetch *f, CURLoption option, long value)
{
	require(curl_easy_setopt(f->easy, option, value) == CURLE_OK);
}

static void set_pointer(struct web_fetch *f, CURLoption option, const void *value)
{
	require(curl_easy_setopt(f->easy, option, value) == CURLE_OK);
}

static void set_tls(struct web_fetch *f)
{
	set_long(f, CURLOPT_SSL_VERIFYPEER, 1);
	set_long(f, CURLOPT_SSL_VERIFYHOST, 2);
	set_long(f, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	set_long(f, CURLOPT_SSL_SESSIONID_CACHE, 0);
	set_long(f, CURLOPT_CERTINFO, 1);
	/* With a file alone the library reads the store once for all fetches. */
	if (f->web->ca_file != NULL)
		set_pointer(f, CURLOPT_CAINFO, f->web->ca_file);
	set_pointer(f, CURLOPT_CAPATH, NULL);
}

/* Nothing but this one GET, whatever the environment and the peer would like. */
static void set_bounds(struct web_fetch *f)
{
	set_pointer(f, CURLOPT_PROTOCOLS_STR, "https");
	set_long(f, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	set_long(f, CURLOPT_HTTPGET, 1);
	set_long(f, CURLOPT_FOLLOWLOCATION, 0); /* RFC 8461 section 3.3 */
	set_pointer(f, CURLOPT_PROXY, "");
	set_pointer(f, CURLOPT_NOPROXY, "*");
	set_long(f, CURLOPT_NETRC, CURL_NETRC_IGNORED);
	set_long(f, CURLOPT_NOSIGNAL, 1);
	set_long(f, CURLOPT_FRESH_CONNECT, 1);
	set_long(f, CURLOPT_FORBID_REUSE, 1);
	set_long(f, CURLOPT_TIMEOUT_MS, f->timeout_ms);
	set_long(f, CURLOPT_CONNECTTIMEOUT_MS, f->timeout_ms);
}

static void transfer_begin(struct web_fetch *f)
{
	f->easy = curl_easy_init();
	f->share = curl_share_init();
	f->resolve = curl_slist_append(NULL, f->places);
	require(f->easy != NULL && f->share != NULL && f->resolve != NULL);
	/* Addresses are this fetch's alone: the library would keep them as long as its cache. */
	require(curl_share_setopt(f->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) == CURLSHE_OK);
	set_pointer(f, CURLOPT_SHARE, f->share);
	set_pointer(f, CURLOPT_RESOLVE, f->resolve);
	set_pointer(f, CURLOPT_URL, f->url);
	set_pointer(f, CURLOPT_USERAGENT, "daneway/" DANEWAY_VERSION);
	set_pointer(f, CURLOPT_PRIVATE, f);
	set_pointer(f, CURLOPT_ERRORBUFFER, f->error);
	require(curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK);
	set_pointer(f, CURLOPT_WRITEDATA, f);
	require(curl_easy_setopt(f->easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK);
	set_pointer(f, CURLOPT_HEADERDATA, f);
	set_tls(f);
	set_bounds(f);
	require(curl_multi_add_handle(f->web->multi, f->easy) == CURLM_OK);
}

/* In this order: the handle holds the share. */
static void transfer_end(struct web_fetch *f)
{
	if (f->easy == NULL)
		return;
	curl_multi_remove_handle(f->web->multi, f->easy);
	curl_easy_cleanup(f->easy);
	curl_share_cleanup(f->share);
	curl_slist_free_all(f->resolve);
	f->easy = NULL;
}

/* --- what came out ---------------------------------------------------------------------------- */

/*
 * Without a DNS name in the certificate the library falls back to the common name, which RFC 8461
 * section 3.3 does not allow. Extensions come as text, "DNS:a.example, DNS:b.example".
 */
static bool has_dns_name(const struct web_fetch *f)
{
	static const char key[] = "X509v3 Subject Alternative Name:";
	const struct curl_certinfo *chain = NULL;

	if (curl_easy_getinfo(f->easy, CURLINFO_CERTINFO, &chain) != CURLE_OK || chain == NULL ||
	    chain->num_of_certs < 1)
		return false;
	for (const struct curl_slist *s = chain->certinfo[0]; s != NULL; s = s->next)
		if (strncmp(s->data, key, sizeof(key) - 1) == 0 && strstr(s->data, "DNS:") != NULL)
			return true;
	return false;
}

static enum web_end end_of_certificate(const struct web_fetch *f)
{
	long verified = 0;

	curl_easy_getinfo(f->easy, CURLINFO_SSL_VERIFYRESULT, &verified);
	if (verified == VERIFY_EXPIRED)
		return WEB_TLS_EXPIRED;
	/* The name is looked at when the chain holds; then the library has no result but 0 or 1. */
	return verified > 1 ? WEB_TLS_CHAIN : WEB_TLS_NAME;
}

static enum web_end end_of(const struct web_fetch *f, CURLcode code)
{
	if (f->too_long)
		return WEB_TOO_LONG;
	if (code == CURLE_OK)
		return has_dns_name(f) ? WEB_ANSWERED : WEB_TLS_NAME;
	if (code == CURLE_COULDNT_CONNECT)
		return WEB_UNREACHED;
	if (code == CURLE_OPERATION_TIMEDOUT)
		return WEB_TIMEOUT;
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		return end_of_certificate(f);
	if (code == CURLE_SSL_CONNECT_ERROR)
		return WEB_TLS_FAILED;
	if (code == CURLE_SSL_CACERT_BADFILE || code == CURLE_FAILED_INIT)
		return WEB_UNABLE;
	return WEB_BROKEN;
}

static const char *header(const struct web_fetch *f, const char *name)
{
	struct curl_header *h;

	return curl_easy_header(f->easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value
										     : "";
}

static void fetch_free(struct web_fetch *f)
{
	transfer_end(f);
	buf_done(&f->body);
	arena_done(&f->arena);
	free(f);
}

static void fetch_done(struct web_fetch *f, CURLcode code)
{
	struct web *w = f->web;
	struct web_response r = {.end = end_of(f, code), .type = "", .location = "", .text = ""};
	long status = 0;

	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	r.status = (unsigned)status;
	r.text = f->error[0] != '\0' ? f->error : code != CURLE_OK ? curl_easy_strerror(code) : "";
	r.type = header(f, "Content-Type");
	r.location = header(f, "Location");
	if (r.end == WEB_ANSWERED)
		r.body = buf_span(&f->body);
	else if (code == CURLE_OK)
		r.text = "the certificate has no DNS name, only a common name";
	list_remove(&w->running, f);
	w->n_running--;
	io_timer_set(w->next, 0);
	f->ops->done(f->arg, &r);
	fetch_free(f);
}

/* --- the library and the loop ----------------------------------------------------------------- */

/* Only those done by now: what a callback begins has its end in another turn. */
static void collect(struct web *w)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(w->multi, &left)) != NULL) {
		CURLcode code = message->data.result;
		char *f = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &f);
		fetch_done((struct web_fetch *)(void *)f, code);
	}
}

struct socket {
	struct web *web;
	curl_socket_t fd;
	struct io_watch *watch;
};

static void on_ready(void *arg, unsigned ready)
{
	const struct socket *s = arg;
	struct web *w = s->web; /* the socket may be gone after the call */
	int events =
		(ready & IO_READ ? CURL_CSELECT_IN : 0) | (ready & IO_WRITE ? CURL_CSELECT_OUT : 0);
	int running;

	curl_multi_socket_action(w->multi, s->fd, events, &running);
	collect(w);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	struct web *w = arg;
	struct socket *s = of_socket;
	unsigned events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s != NULL)
			io_watch_free(s->watch);
		free(s);
		curl_multi_assign(w->multi, fd, NULL);
		return 0;
	}
	if (s == NULL) {
		s = xcalloc(1, sizeof(*s));
		*s = (struct socket){w, fd, io_watch_new(w->loop, fd, on_ready, s)};
		curl_multi_assign(w->multi, fd, s);
	}
	events |= what == CURL_POLL_IN || what == CURL_POLL_INOUT ? IO_READ : 0u;
	events |= what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? IO_WRITE : 0u;
	io_watch_set(s->watch, events);
	return 0;
}

static void on_timer(void *arg)
{
	struct web *w = arg;
	int running;

	curl_multi_socket_action(w->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(w);
}

static int on_wanted_time(CURLM *multi, long ms, void *arg)
{
	struct web *w = arg;

	(void)multi;
	io_timer_set(w->timer, ms < 0 ? USEC_NEVER : usec_add(io_now(w->loop), ms * 1000));
	return 0;
}

/* --- places ----------------------------------------------------------------------------------- */

static void begin_next(void *arg)
{
	struct web *w = arg;

	while (w->waiting.first != NULL && w->n_running < w->most) {
		struct web_fetch *f = w->waiting.first;

		list_remove(&w->waiting, f);
		list_add(&w->running, f);
		w->n_running++;
		transfer_begin(f);
		f->ops->begun(f->arg);
	}
}

/* --- life ------------------------------------------------------------------------------------- */

struct web *web_new(struct io_loop *l, const struct web_config *c)
{
	struct web *w = xcalloc(1, sizeof(*w));
	size_t descriptors = io_raise_descriptor_limit() / DESCRIPTORS;

	/* TLS is set up by then (tls_init), and the library finds it so. */
	require(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
	w->loop = l;
	w->most = c->fetches > 0 ? c->fetches : WEB_FETCHES;
	if (w->most > descriptors && descriptors > 0)
		w->most = descriptors;
	w->ca_file = arena_keep(&w->arena, c->ca_file);
	w->timer = io_timer_new(l, on_timer, w);
	w->next = io_timer_new(l, begin_next, w);
	w->multi = curl_multi_init();
	require(w->multi != NULL);
	require(curl_multi_setopt(w->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK);
	require(curl_multi_setopt(w->multi, CURLMOPT_SOCKETDATA, w) == CURLM_OK);
	require(curl_multi_setopt(w->multi, CURLMOPT_TIMERFUNCTION, on_wanted_time) == CURLM_OK);
	require(curl_multi_setopt(w->multi, CURLMOPT_TIMERDATA, w) == CURLM_OK);
	return w;
}

struct web *web_free(struct web *w)
{
	if (w == NULL)
		return NULL;
	require(w->waiting.first == NULL && w->running.first == NULL);
	curl_multi_cleanup(w->multi);
	io_timer_free(w->timer);
	io_timer_free(w->next);
	arena_done(&w->arena);
	free(w);
	curl_global_cleanup();
	return NULL;
}

/* "HOST:PORT:ADDRESS,[ADDRESS]" */
static const char *places_of(struct arena *a, const struct web_request *r)
{
	const char *text = arena_printf(a, "%s:%u:", r->host, r->port);

	for (size_t i = 0; i < r->n_addresses && i < WEB_ADDRESSES_MAX; i++) {
		bool v6 = strchr(r->addresses[i], ':') != NULL;

		text = arena_printf(a, v6 ? "%s%s[%s]" : "%s%s%s", text, i > 0 ? "," : "",
				    r->addresses[i]);
	}
	return text;
}

struct web_fetch *web_get(struct web *w, const struct web_request *r, const struct web_ops *ops,
			  void *arg)
{
	struct web_fetch *f = xcalloc(1, sizeof(*f));
	usec_t ms = r->timeout / 1000;

	require(r->n_addresses > 0);
	f->web = w;
	f->ops = ops;
	f->arg = arg;
	f->url = arena_printf(&f->arena, "https://%s:%u%s", r->host, r->port, r->path);
	f->places = places_of(&f->arena, r);
	f->timeout_ms = ms < 1 ? 1 : ms > INT32_MAX ? INT32_MAX : (long)ms;
	buf_init(&f->body, r->body_max);
	list_add(&w->waiting, f);
	io_timer_set(w->next, 0);
	return f;
}

struct web_fetch *web_cancel(struct web_fetch *f)
{
	struct web *w;

	if (f == NULL)
		return NULL;
	w = f->web;
	if (f->easy != NULL) {
		list_remove(&w->running, f);
		w->n_running--;
		io_timer_set(w->next, 0);
	} else {
		list_remove(&w->waiting, f);
	}
	fetch_free(f);
	return NULL;
}
