/*
 * The way out of the queue without the rest of the gateway: a store, a resolver, a queue, and
 * commands on standard input, one a line:
 *
 *	set KEY VALUE         retry, lifetime, dane_lifetime, connect_timeout, lease (seconds),
 *	                      connections, sessions, per_address (numbers), mode, helo (words);
 *	                      before the first run, or before a reload
 *	route DOMAIN KIND NAME PORT TLS
 *	                      kind mx, host, address, unix, lmtp-address, lmtp-unix;
 *	                      TLS mode, none, may, encrypt, dane, dane_only
 *	put FROM TO[,TO...] SIZE [COUNT]  "%" in FROM or TO is the number of the message
 *	run SECONDS           until nothing is due, or so long
 *	wait SECONDS          the queue runs on, whether something is due or not
 *	full SECONDS          the disk has no room for rows for so long, from now on
 *	remove                all that is in the queue, as an administrator does
 *	list                  what is in the queue, a JSON object a line
 *	stats                 one JSON object
 *	cpu                   CPU of this process since the start, in ms
 *	reload                the queue gets the settings of now
 *	stop                  ends the queue in order
 *	kill N                runs until N are delivered and ends at once, as kill -9 does
 *
 *	queue_drive DIRECTORY ROOT_HINTS TRUST_ANCHOR < commands
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/js.h"
#include "base/text.h"
#include "edge/io/log.h"
#include "jobs/send/queue.h"

enum {
	ROUTES_MAX = 100,
	PUTS_MAX = 500, /* under way at a time */
};

struct named_route {
	char domain[256], name[256];
	struct send_queue_route route;
};

struct drive {
	struct io_loop *loop;
	struct store *store;
	struct dns_resolver *resolver;
	struct tls_context *tls;
	struct send_queue *queue;
	struct send_queue_settings settings;
	usec_t retry[8], lease;
	struct arena arena;
	struct named_route routes[ROUTES_MAX];
	size_t n_routes;
	size_t puts;
	struct io_timer *look, *limit;
	bool counting, over, empty;
	uint64_t after;
	size_t listed;
};

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "queue_drive: %s: %s\n", what, why);
	exit(1);
}

static size_t number_of(const char *text)
{
	uint64_t n;

	if (!text_to_number(span_text(text), UINT32_MAX, &n))
		fail("no number", text);
	return (size_t)n;
}

/* "3", "0.15" */
static usec_t seconds_of(const char *text)
{
	const char *point = strchr(text, '.');
	size_t whole = point != NULL ? (size_t)(point - text) : strlen(text);
	char fraction[] = "000000";
	uint64_t s;

	if (!text_to_number(span_of(text, whole), UINT32_MAX, &s))
		fail("no number", text);
	for (size_t i = 0; point != NULL && i < 6 && point[i + 1] != '\0'; i++)
		fraction[i] = point[i + 1];
	return usec_seconds((int64_t)s) + (usec_t)number_of(fraction);
}

static bool route_of(void *arg, const char *domain, struct send_queue_route *ret)
{
	struct drive *d = arg;

	for (size_t i = 0; i < d->n_routes; i++) {
		if (strcmp(d->routes[i].domain, domain) != 0)
			continue;
		*ret = d->routes[i].route;
		return true;
	}
	return false;
}

static _Atomic int64_t full_until; /* Unix time in microseconds */

/* SQLite's; the body files are written by write(2). */
ssize_t pwrite64(int fd, const void *p, size_t n, off_t at);
ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	if (io_unix_now() < atomic_load(&full_until)) {
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, p, n, at);
}

static void need_queue(struct drive *d)
{
	struct send_queue_env env = {.loop = d->loop,
				     .store = d->store,
				     .resolver = d->resolver,
				     .tls = d->tls,
				     .lease = d->lease};

	if (d->queue == NULL)
		d->queue = send_queue_new(&env, &d->settings);
}

/* -------- commands */

static void set(struct drive *d, const char *key, const char *value)
{
	struct send_queue_settings *s = &d->settings;

	if (strcmp(key, "retry") == 0)
		d->retry[0] = seconds_of(value);
	else if (strcmp(key, "lifetime") == 0)
		s->lifetime = seconds_of(value);
	else if (strcmp(key, "dane_lifetime") == 0)
		s->dane_lifetime = seconds_of(value);
	else if (strcmp(key, "lease") == 0)
		d->lease = seconds_of(value);
	else if (strcmp(key, "connect_timeout") == 0)
		s->connect_timeout = seconds_of(value);
	else if (strcmp(key, "connections") == 0)
		s->connections = (unsigned)number_of(value);
	else if (strcmp(key, "sessions") == 0)
		s->sessions = (unsigned)number_of(value);
	else if (strcmp(key, "per_address") == 0)
		s->connections_per_address = (unsigned)number_of(value);
	else if (strcmp(key, "mode") == 0 && dane_mode_from_string(value, &s->mode))
		return;
	else if (strcmp(key, "helo") == 0 &&
		 mail_domain_parse(&d->arena, span_text(value), &s->helo, NULL) == 0)
		return;
	else
		fail("set", key);
}

static size_t word(const char *w, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(w, words[i]) == 0)
			return i;
	fail("no such word", w);
	return 0;
}

static void add_route(struct drive *d, char **args)
{
	static const char *const kinds[] = {"mx",   "host",         "address",
					    "unix", "lmtp-address", "lmtp-unix"};
	static const char *const levels[] = {"mode", "none", "may", "encrypt", "dane", "dane_only"};
	static const enum send_route_kind kind[] = {SEND_ROUTE_MX,      SEND_ROUTE_HOST,
						    SEND_ROUTE_ADDRESS, SEND_ROUTE_UNIX,
						    SEND_ROUTE_ADDRESS, SEND_ROUTE_UNIX};
	struct named_route *r = &d->routes[d->n_routes++];
	size_t k = word(args[1], kinds, ARRAY_SIZE(kinds));

	require(d->n_routes <= ROUTES_MAX);
	snprintf(r->domain, sizeof(r->domain), "%s", args[0]);
	snprintf(r->name, sizeof(r->name), "%s", args[2]);
	r->route = (struct send_queue_route){
		.kind = kind[k],
		.name = r->name,
		.port = (uint16_t)number_of(args[3]),
		.lmtp = k >= 4,
		.tls = (enum send_route_tls)word(args[4], levels, ARRAY_SIZE(levels))};
}

static void on_stored(void *arg, int result)
{
	struct drive *d = arg;

	if (result < 0)
		fail("put", strerror(-result));
	d->puts--;
	io_loop_stop(d->loop);
}

static void on_drained(void *arg)
{
	io_loop_stop(((struct drive *)arg)->loop);
}

static const char *numbered(struct arena *a, const char *text, size_t len, size_t n)
{
	const char *percent = memchr(text, '%', len);

	if (percent == NULL)
		return arena_text(a, span_of(text, len));
	return arena_printf(a, "%.*s%zu%.*s", (int)(percent - text), text, n,
			    (int)(len - (size_t)(percent - text) - 1), percent + 1);
}

static void put_one(struct drive *d, const char *from, const char *to, size_t size, size_t number)
{
	struct arena a = {0};
	struct store_recipient list[250] = {0};
	struct store_message m = {.arrived = io_unix_now(), .recipients = list};
	struct store_body *b = store_body_begin(d->store, on_drained, d);
	const char *head = arena_printf(&a, "Subject: %zu\r\nFrom: %s\r\n\r\n", number, from);
	static const char line[] =
		"0123456789012345678901234567890123456789012345678901234567890123456789\r\n";
	int r = store_body_append(b, span_text(head));

	m.id = store_id_new(m.arrived);
	m.from = strcmp(from, "<>") == 0 ? "" : numbered(&a, from, strlen(from), number);
	while (*to != '\0') {
		size_t len = strcspn(to, ",");

		require(m.n_recipients < ARRAY_SIZE(list));
		list[m.n_recipients].path = numbered(&a, to, len, number);
		list[m.n_recipients].hop = strchr(list[m.n_recipients].path, '@') + 1;
		m.n_recipients++;
		to += len + (to[len] == ',');
	}
	while (r >= 0 && store_body_size(b) < size) {
		r = store_body_append(b, span_text(line));
		if (r == 1)
			io_loop_run(d->loop);
	}
	if (r < 0)
		fail("put", strerror(-r));
	d->puts++;
	store_enqueue(d->store, &m, b, on_stored, d);
	arena_done(&a);
	while (d->puts >= PUTS_MAX)
		io_loop_run(d->loop);
}

static void put(struct drive *d, char **args)
{
	size_t n = args[3] != NULL ? number_of(args[3]) : 1;

	for (size_t i = 0; i < n; i++)
		put_one(d, args[0], args[1], number_of(args[2]), i);
	while (d->puts > 0)
		io_loop_run(d->loop);
}

static void on_counts(void *arg, int result, const struct store_counts *c)
{
	struct drive *d = arg;
	struct send_queue_stats s = send_queue_stats(d->queue);

	d->counting = false;
	d->empty = result == 0 && c->due == 0 && s.parcels == 0;
	if (d->empty)
		io_loop_stop(d->loop);
}

static void on_look(void *arg)
{
	struct drive *d = arg;

	if (!d->counting && send_queue_stats(d->queue).parcels == 0)
		store_count(d->store, io_unix_now(), on_counts, d);
	io_timer_set(d->look, usec_add(io_now(d->loop), 20000));
}

static void on_limit(void *arg)
{
	struct drive *d = arg;

	d->over = true;
	io_loop_stop(d->loop);
}

static void run(struct drive *d, const char *seconds)
{
	need_queue(d);
	d->over = d->empty = false;
	send_queue_wake(d->queue);
	io_timer_set(d->look, usec_add(io_now(d->loop), 20000));
	io_timer_set(d->limit, usec_add(io_now(d->loop), seconds_of(seconds)));
	while (!d->over && !d->empty)
		io_loop_run(d->loop);
	io_timer_set(d->look, USEC_NEVER);
	io_timer_set(d->limit, USEC_NEVER);
}

static void wait_for(struct drive *d, const char *seconds)
{
	need_queue(d);
	d->over = false;
	io_timer_set(d->limit, usec_add(io_now(d->loop), seconds_of(seconds)));
	while (!d->over)
		io_loop_run(d->loop);
}

static void kill_at(struct drive *d, size_t delivered)
{
	need_queue(d);
	send_queue_wake(d->queue);
	while (send_queue_stats(d->queue).delivered < delivered)
		wait_for(d, "0.01");
	kill(getpid(), SIGKILL);
}

static void print_parcel(const struct store_parcel *p)
{
	for (size_t i = 0; i < p->message.n_recipients; i++) {
		const struct store_recipient *r = &p->message.recipients[i];
		struct js *v = js_object();

		js_set_text(v, "id", p->message.id.text);
		js_set_text(v, "hop", p->hop);
		js_set_text(v, "to", r->path);
		js_set_text(v, "status", r->status);
		js_set_text(v, "detail", r->detail);
		js_set_text(v, "evidence", p->evidence);
		js_set_int(v, "attempts", p->attempts);
		js_set_int(v, "state", (int64_t)r->state);
		js_set_int(v, "due_s", (p->due - io_unix_now()) / USEC_PER_SEC);
		require(js_write(v, stdout, 0) == 0);
		js_free(v);
	}
}

static void on_listed(void *arg, int result, const struct store_parcel *p, size_t n)
{
	struct drive *d = arg;

	require(result == 0);
	for (size_t i = 0; i < n; i++)
		print_parcel(&p[i]);
	d->listed = n;
	if (n > 0)
		d->after = p[n - 1].key;
	io_loop_stop(d->loop);
}

static void list(struct drive *d)
{
	struct store_filter all = {.held_only = false};

	d->after = 0;
	do {
		d->listed = SIZE_MAX;
		store_list(d->store, &all, d->after, 100, on_listed, d);
		while (d->listed == SIZE_MAX)
			io_loop_run(d->loop);
	} while (d->listed > 0);
}

static void on_acted(void *arg, int result)
{
	struct drive *d = arg;

	require(result >= 0);
	d->over = true;
	io_loop_stop(d->loop);
}

static void remove_all(struct drive *d)
{
	struct store_filter all = {.held_only = false};

	d->over = false;
	store_act(d->store, STORE_REMOVE, &all, io_unix_now(), on_acted, d);
	while (!d->over)
		io_loop_run(d->loop);
}

static void print_stats(struct drive *d)
{
	struct send_queue_stats s;
	struct js *v = js_object();

	need_queue(d);
	s = send_queue_stats(d->queue);
	js_set_int(v, "delivered", (int64_t)s.delivered);
	js_set_int(v, "deferred", (int64_t)s.deferred);
	js_set_int(v, "failed", (int64_t)s.failed);
	js_set_int(v, "dane", (int64_t)s.by_level[DANE_LEVEL_DANE]);
	js_set_int(v, "encrypt", (int64_t)s.by_level[DANE_LEVEL_ENCRYPT]);
	js_set_int(v, "may", (int64_t)s.by_level[DANE_LEVEL_MAY]);
	js_set_int(v, "mismatches", (int64_t)s.dane[2]);
	js_set_int(v, "attempts", (int64_t)s.attempts);
	js_set_int(v, "decisions", (int64_t)s.decisions);
	js_set_int(v, "connections", (int64_t)s.connections);
	js_set_int(v, "reused", (int64_t)s.reused);
	js_set_int(v, "leases_lost", (int64_t)s.leases_lost);
	js_set_int(v, "parcels", (int64_t)s.parcels);
	js_set_int(v, "lanes", (int64_t)s.lanes);
	require(js_write(v, stdout, 0) == 0);
	js_free(v);
}

/* The most so far, KiB. ru_maxrss will not do: it is that of whoever started us, if that is more.
 */
static long peak_memory(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kib = -1;

	require(f != NULL);
	while (kib < 0 && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmHWM:", 6) == 0)
			kib = strtol(line + 6, NULL, 10);
	fclose(f);
	return kib;
}

static void print_cpu(void)
{
	struct rusage u;

	require(getrusage(RUSAGE_SELF, &u) == 0);
	printf("{\"cpu_ms\": %.1f, \"rss_kib\": %ld}\n",
	       (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
		       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3,
	       peak_memory());
}

static void on_stopped(void *arg)
{
	struct drive *d = arg;

	d->over = true;
	io_loop_stop(d->loop);
}

static void stop(struct drive *d)
{
	need_queue(d);
	d->over = false;
	send_queue_stop(d->queue, on_stopped, d);
	while (!d->over)
		io_loop_run(d->loop);
	d->queue = send_queue_free(d->queue);
}

static void obey(struct drive *d, char *line)
{
	char *args[8] = {NULL}, *save = NULL, *name = strtok_r(line, " \n", &save);
	size_t n = 0;

	if (name == NULL)
		return;
	while (n < ARRAY_SIZE(args) - 1 && (args[n] = strtok_r(NULL, " \n", &save)) != NULL)
		n++;
	if (strcmp(name, "set") == 0 && n == 2)
		set(d, args[0], args[1]);
	else if (strcmp(name, "route") == 0 && n == 5)
		add_route(d, args);
	else if (strcmp(name, "put") == 0 && n >= 3)
		put(d, args);
	else if (strcmp(name, "run") == 0 && n == 1)
		run(d, args[0]);
	else if (strcmp(name, "full") == 0 && n == 1)
		atomic_store(&full_until, io_unix_now() + seconds_of(args[0]));
	else if (strcmp(name, "remove") == 0)
		remove_all(d);
	else if (strcmp(name, "wait") == 0 && n == 1)
		wait_for(d, args[0]);
	else if (strcmp(name, "list") == 0)
		list(d);
	else if (strcmp(name, "stats") == 0)
		print_stats(d);
	else if (strcmp(name, "cpu") == 0)
		print_cpu();
	else if (strcmp(name, "reload") == 0)
		send_queue_set_settings(d->queue, &d->settings);
	else if (strcmp(name, "stop") == 0)
		stop(d);
	else if (strcmp(name, "kill") == 0 && n == 1)
		kill_at(d, number_of(args[0]));
	else
		fail("no such command", name);
	fflush(stdout);
}

static void start(struct drive *d, char **argv)
{
	struct store_options options = {.directory = argv[1]};
	struct dns_config dns = {
		.root_hints = argv[2], .trust_anchor = argv[3], .timeout = usec_seconds(10)};
	struct err e = {.code = 0};

	d->loop = io_loop_new();
	if (store_open(&options, d->loop, &d->store, &e) < 0)
		fail("store", e.text);
	d->resolver = dns_resolver_new(d->loop, &dns, &e);
	if (d->resolver == NULL)
		fail("resolver", e.text);
	d->tls = tls_context_new(&e);
	if (d->tls == NULL)
		fail("tls", e.text);
	d->retry[0] = usec_seconds(900);
	d->settings = (struct send_queue_settings){.hostname = "sender.test",
						   .retry = d->retry,
						   .n_retry = 1,
						   .lifetime = usec_seconds(86400),
						   .dane_lifetime = usec_seconds(86400),
						   .connections = 20,
						   .connect_timeout = usec_seconds(5),
						   .route = route_of,
						   .route_arg = d};
	set(d, "helo", "sender.test");
	d->look = io_timer_new(d->loop, on_look, d);
	d->limit = io_timer_new(d->loop, on_limit, d);
}

int main(int argc, char **argv)
{
	struct drive *d = xcalloc(1, sizeof(*d));
	char line[16384];

	if (argc != 4)
		fail("usage", "queue_drive DIRECTORY ROOT_HINTS TRUST_ANCHOR");
	tls_init();
	io_log_set_level(getenv("QUEUE_DRIVE_DEBUG") != NULL ? IO_LOG_DEBUG : IO_LOG_INFO);
	start(d, argv);
	while (fgets(line, sizeof(line), stdin) != NULL)
		obey(d, line);
	send_queue_free(d->queue);
	store_close(d->store);
	io_timer_free(d->look);
	io_timer_free(d->limit);
	dns_resolver_free(d->resolver);
	tls_context_free(d->tls);
	io_loop_free(d->loop);
	arena_done(&d->arena);
	free(d);
	return 0;
}
