/*
 * The receiver as a program, for tests/system/test_receive.py: real sockets, a real store, no
 * sender behind it.
 *
 *	receive_driver STORE CONFIG
 *
 * CONFIG is JSON, see rules_read(). The first line of output names the ports. Then commands come on
 * standard input, a line each, and each is answered by a line of JSON: "stats", "list",
 * "body KEY", "reload CONFIG", "stop". Its end ends the program at once.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/js.h"
#include "edge/io/log.h"
#include "edge/io/read.h"
#include "edge/dns/resolver.h"
#include "edge/tls/server.h"
#include "jobs/receive/receive.h"

struct rules {
	struct receive_rules rules;
	struct js *config;
};

static struct io_loop *loop;
static struct store *store;
static struct receive *receive;
static struct buf input, body;
static unsigned stored, unused;
static struct js *listed;

_Noreturn static void die(const char *what, const char *why)
{
	fprintf(stderr, "receive_driver: %s: %s\n", what, why);
	exit(1);
}

static void say(struct js *answer)
{
	if (js_write(answer, stdout, 0) < 0 || fflush(stdout) != 0)
		exit(1);
	js_free(answer);
}

/* --- rules ------------------------------------------------------------------------------------ */

static struct receive_networks networks_read(const struct js *list)
{
	size_t n = js_count(list);
	struct receive_network *items = xcalloc(n + 1, sizeof(*items));

	for (size_t i = 0; i < n; i++) { /* "192.0.2.0/24" */
		char *text = xstrdup(js_text(js_at(list, i))), *slash = strchr(text, '/');
		struct receive_address a;

		if (slash == NULL)
			die(text, "no network");
		*slash = '\0';
		a = receive_address_of(text);
		items[i].family = a.family;
		items[i].bits = (uint8_t)strtoul(slash + 1, NULL, 10);
		memcpy(items[i].bytes, a.bytes, sizeof(a.bytes));
		free(text);
	}
	return (struct receive_networks){items, n};
}

static unsigned word(const char *text, const char *const *words, size_t n)
{
	for (unsigned i = 0; text != NULL && i < n; i++)
		if (strcmp(text, words[i]) == 0)
			return i;
	return 0;
}

static struct receive_listener listener_read(const struct js *j)
{
	static const char *const kinds[] = {"mx", "relay"};
	static const char *const tls[] = {"offered", "required", "implicit", "none"};
	const struct js *prints = js_get(j, "fingerprints");
	const char **texts = xcalloc(js_count(prints) + 1, sizeof(*texts));
	struct receive_listener l = {
		.name = js_text(js_get(j, "name")),
		.kind = word(js_text(js_get(j, "kind")), kinds, 2),
		.tls = word(js_text(js_get(j, "tls")), tls, 4),
		.networks = networks_read(js_get(j, "networks")),
		.proxy = networks_read(js_get(j, "proxy")),
		.fingerprints = texts,
		.n_fingerprints = js_count(prints),
	};
	const char *passwords = js_text(js_get(j, "passwords"));
	struct receive_passwords *p;
	struct err e;

	for (size_t i = 0; i < l.n_fingerprints; i++)
		texts[i] = js_text(js_at(prints, i));
	if (passwords != NULL) {
		if (receive_passwords_parse(span_text(passwords), &p, &e) < 0)
			die("passwords", e.text);
		l.passwords = p;
	}
	return l;
}

static struct receive_domain domain_read(const struct js *j)
{
	struct receive_domain d = {
		.name = js_text(js_get(j, "name")),
		.verify = js_bool(js_get(j, "data"), false)     ? RECEIVE_VERIFY_DATA
			  : js_bool(js_get(j, "verify"), false) ? RECEIVE_VERIFY_RECIPIENTS
								: RECEIVE_VERIFY_NONE,
	};
	const char *list = js_text(js_get(j, "recipients"));
	const struct js *behind = js_get(j, "behind");
	struct receive_list *l;
	struct err e;

	if (behind != NULL) /* an address or a path, no DNS here */
		d.behind = (struct receive_behind){
			.hop = DANE_HOP_ADDRESS,
			.name = js_text(js_get(behind, "address")),
			.port = (uint16_t)js_int(js_get(behind, "port"), 25),
			.lmtp = js_bool(js_get(behind, "lmtp"), false),
			.tls = (enum receive_behind_tls)js_int(js_get(behind, "tls"),
							       RECEIVE_BEHIND_MAY),
		};
	if (list != NULL) {
		if (receive_list_parse(span_text(list), d.name, &l, &e) < 0)
			die("recipients", e.text);
		d.recipients = l;
	}
	return d;
}

static void limits_read(struct receive_limits *l, const struct js *j)
{
#define NUMBER(field) l->field = (__typeof__(l->field))js_int(js_get(j, #field), (int64_t)l->field)
	NUMBER(message_size);
	NUMBER(recipients);
	NUMBER(errors);
	NUMBER(messages);
	NUMBER(hops);
	NUMBER(connections);
	NUMBER(connections_per_client);
	NUMBER(messages_per_client);
	NUMBER(auth_failures_per_client);
	NUMBER(command_timeout);
	NUMBER(data_timeout);
	NUMBER(handshake_timeout);
	NUMBER(mail_timeout);
	NUMBER(verdict_timeout);
	NUMBER(crowded_timeout);
	NUMBER(greet_delay);
	NUMBER(memory);
	NUMBER(data_rate);
	NUMBER(free_space);
#undef NUMBER
}

static struct tls_server *certificates_read(const struct js *list, bool ask)
{
	size_t n = js_count(list);
	struct tls_server_cert *certs = xcalloc(n + 1, sizeof(*certs));
	struct tls_server *s;
	struct err e;

	for (size_t i = 0; i < n; i++)
		certs[i] = (struct tls_server_cert){js_text(js_get(js_at(list, i), "chain")),
						    js_text(js_get(js_at(list, i), "key"))};
	s = n == 0 ? NULL : tls_server_new(certs, n, ask, &e);
	if (n > 0 && s == NULL)
		die("certificates", e.text);
	free(certs);
	return s;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct receive_domain *)a)->name,
		      ((const struct receive_domain *)b)->name);
}

static struct js *json_file(const char *path)
{
	struct js *j;
	struct buf b;
	struct err e;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	buf_init(&b, 1 << 24);
	if (fd < 0 || io_read_all(fd, &b) < 0)
		die(path, strerror(errno));
	close(fd);
	j = js_parse(buf_span(&b), &e);
	if (j == NULL)
		die(path, e.text);
	buf_done(&b);
	return j;
}

static const struct receive_rules *rules_read(const char *path)
{
	struct rules *r = xcalloc(1, sizeof(*r));
	struct js *j = r->config = json_file(path);
	const struct js *listeners = js_get(j, "listeners"), *domains = js_get(j, "domains");
	struct receive_listener *l = xcalloc(js_count(listeners) + 1, sizeof(*l));
	struct receive_domain *d = xcalloc(js_count(domains) + 1, sizeof(*d));

	r->rules = (struct receive_rules){
		.hostname = js_text(js_get(j, "hostname")),
		.postmaster = js_text(js_get(j, "postmaster")),
		.certificates = certificates_read(js_get(j, "certificates"),
						  js_bool(js_get(j, "ask"), false)),
		.listeners = l,
		.n_listeners = js_count(listeners),
		.domains = d,
		.n_domains = js_count(domains),
		.limits = receive_limits_defaults(),
	};
	for (size_t i = 0; i < r->rules.n_listeners; i++)
		l[i] = listener_read(js_at(listeners, i));
	for (size_t i = 0; i < r->rules.n_domains; i++)
		d[i] = domain_read(js_at(domains, i));
	qsort(d, r->rules.n_domains, sizeof(*d), by_name);
	limits_read(&r->rules.limits, js_get(j, "limits"));
	return &r->rules;
}

static void rules_free(void *arg, const struct receive_rules *rules)
{
	struct rules *r = (struct rules *)rules; /* its first member */

	(void)arg;
	unused++;
	for (size_t i = 0; i < rules->n_listeners; i++) {
		const struct receive_listener *l = &rules->listeners[i];

		free((void *)l->networks.items);
		free((void *)l->proxy.items);
		free((void *)l->fingerprints);
		receive_passwords_free((struct receive_passwords *)l->passwords);
	}
	for (size_t i = 0; i < rules->n_domains; i++)
		receive_list_free((struct receive_list *)rules->domains[i].recipients);
	tls_server_free(rules->certificates);
	free((void *)rules->listeners);
	free((void *)rules->domains);
	js_free(r->config);
	free(r);
}

/* --- sockets ---------------------------------------------------------------------------------- */

static int listen_on(const char *address, int *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	if (inet_pton(AF_INET, address, &a.sin_addr) != 1)
		die(address, "no address");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, n) < 0 || listen(fd, 4096) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &n) < 0)
		die(address, strerror(errno));
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static void listen_all(const struct receive_rules *rules, struct js *ports)
{
	for (size_t i = 0; i < rules->n_listeners; i++) {
		struct err e;
		int port, fd;

		if (receive_has_socket(receive, rules->listeners[i].name))
			continue;
		fd = listen_on("127.0.0.1", &port);
		if (receive_listen(receive, i, fd, &e) < 0)
			die("listen", e.text);
		js_set_int(ports, rules->listeners[i].name, port);
	}
}

/* --- commands --------------------------------------------------------------------------------- */

static struct js *stats(void)
{
	struct receive_stats s = receive_stats(receive);
	struct store_stats on_disk = store_stats(store);
	struct js *j = js_object(), *refused = js_object();
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	js_set_int(j, "cpu_usec",
		   (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
			   u.ru_stime.tv_usec);
	js_set_int(j, "open", (int64_t)s.open);
	js_set_int(j, "mx", (int64_t)s.messages[RECEIVE_MX]);
	js_set_int(j, "relay", (int64_t)s.messages[RECEIVE_RELAY]);
	js_set_int(j, "recipients", (int64_t)s.recipients);
	js_set_int(j, "octets", (int64_t)s.octets);
	js_set_int(j, "tls12", (int64_t)s.tls[0]);
	js_set_int(j, "tls13", (int64_t)s.tls[1]);
	js_set_int(j, "tls_failed", (int64_t)s.tls_failed);
	js_set_int(j, "auth", (int64_t)s.auth);
	js_set_int(j, "groups", (int64_t)on_disk.groups);
	js_set_int(j, "stored", stored);
	js_set_int(j, "unused", unused);
	for (int i = 0; i < RECEIVE_REFUSALS; i++)
		if (s.refused[i] > 0)
			js_set_int(refused, receive_refusal_to_string(i), (int64_t)s.refused[i]);
	js_set(j, "refused", refused);
	return j;
}

static void on_parcels(void *arg, int result, const struct store_parcel *p, size_t n)
{
	(void)arg;
	for (size_t i = 0; i < n; i++) {
		struct js *j = js_object(), *to = js_array();

		js_set_int(j, "key", (int64_t)p[i].key);
		js_set_text(j, "id", p[i].message.id.text);
		js_set_text(j, "hop", p[i].hop);
		js_set_text(j, "from", p[i].message.from);
		js_set_text(j, "envid", p[i].message.envid);
		js_set_text(j, "origin", p[i].message.origin);
		js_set_int(j, "flags", p[i].message.flags);
		js_set_int(j, "ret", p[i].message.ret);
		js_set_int(j, "size", (int64_t)p[i].message.size);
		for (size_t k = 0; k < p[i].message.n_recipients; k++) {
			const struct store_recipient *r = &p[i].message.recipients[k];
			struct js *one = js_object();

			js_set_text(one, "path", r->path);
			js_set_text(one, "orcpt", r->orcpt);
			js_set_int(one, "notify", r->notify);
			js_push(to, one);
		}
		js_set(j, "recipients", to);
		js_push(listed, j);
	}
	if (result == 0 && n > 0)
		store_list(store, &(struct store_filter){0}, p[n - 1].key, 100, on_parcels, NULL);
	else
		say(TAKE(listed));
}

static void on_fetched(void *arg, int result);

/* Window after window, until all of it is there. */
static void fetch(struct store_reading *r)
{
	for (;;) {
		struct span s = store_reading_at(r, body.n);

		if (s.n == 0)
			break;
		if (buf_add(&body, s.p, s.n) < 0)
			die("body", "too large");
	}
	if (body.n < store_reading_size(r))
		store_body_read(r, body.n, on_fetched, r);
	else
		on_fetched(r, 1);
}

static void on_fetched(void *arg, int result)
{
	struct store_reading *r = arg;
	struct js *j;
	char *hex;

	if (result < 0)
		die("body", strerror(-result));
	if (body.n < store_reading_size(r)) {
		fetch(r);
		return;
	}
	hex = xcalloc(1, 2 * body.n + 1);
	for (size_t i = 0; i < body.n; i++)
		snprintf(hex + 2 * i, 3, "%02x", body.p[i]);
	j = js_object();
	js_set_text(j, "hex", hex);
	free(hex);
	say(j);
	store_reading_free(r);
}

static void on_body(void *arg, int result, struct store_reading *r)
{
	(void)arg;
	if (r == NULL)
		die("body", strerror(-result));
	buf_clear(&body);
	fetch(r);
}

static void on_stopped(void *arg)
{
	(void)arg;
	receive = receive_free(receive);
	io_loop_stop(loop);
}

static void say_bool(bool value)
{
	struct js *j = js_object();

	js_set_bool(j, "is", value);
	say(j);
}

static void command(const char *line)
{
	if (strcmp(line, "stats") == 0) {
		say(stats());
	} else if (strcmp(line, "list") == 0) {
		listed = js_array();
		store_list(store, &(struct store_filter){0}, 0, 100, on_parcels, NULL);
	} else if (strncmp(line, "body ", 5) == 0) {
		store_body_open(store, strtoull(line + 5, NULL, 10), on_body, NULL);
	} else if (strncmp(line, "reload ", 7) == 0) {
		const struct receive_rules *rules = rules_read(line + 7);
		struct js *ports = js_object();

		receive_set_rules(receive, rules);
		listen_all(rules, ports);
		say(ports);
	} else if (strncmp(line, "refused ", 8) == 0) { /* the ID of a message */
		struct smtp_server_verdict v = {577, {5, 6, 7}, "not this one"};

		say_bool(receive_refused(receive, line + 8, &v));
	} else if (strncmp(line, "attempted ", 10) == 0) {
		receive_attempted(receive, line + 10, true);
	} else if (strncmp(line, "lost ", 5) == 0) {
		receive_attempted(receive, line + 5, false);
	} else if (strcmp(line, "stop") == 0) {
		receive_stop(receive, on_stopped, NULL);
	} else {
		die("unknown command", line);
	}
}

static void on_input(void *arg, unsigned ready)
{
	char piece[4096];
	ssize_t n = read(STDIN_FILENO, piece, sizeof(piece));
	const uint8_t *lf;

	(void)arg;
	(void)ready;
	if (n <= 0) {
		receive = receive_free(receive);
		io_loop_stop(loop);
		return;
	}
	if (buf_add(&input, piece, (size_t)n) < 0)
		die("stdin", "too long");
	while (input.n > 0 && (lf = memchr(input.p, '\n', input.n)) != NULL) {
		size_t len = (size_t)(lf - input.p);
		char *line = xstrndup((const char *)input.p, len);

		buf_drop(&input, len + 1);
		command(line);
		free(line);
	}
}

static void on_message(void *arg)
{
	(void)arg;
	stored++;
}

int main(int argc, char **argv)
{
	struct store_options options = {.directory = argc > 1 ? argv[1] : NULL};
	struct receive_env env = {.stored = on_message, .rules_unused = rules_free};
	struct dns_config dns = {.timeout = USEC_PER_SEC};
	struct arena names = {0};
	const struct receive_rules *rules;
	struct js *ports = js_object();
	struct io_watch *watch;
	struct err e;

	if (argc != 3)
		die("usage", "receive_driver STORE CONFIG");
	io_raise_descriptor_limit();
	io_log_set_level(IO_LOG_DEBUG);
	buf_init(&input, 1 << 16);
	buf_init(&body, 1 << 26);
	env.loop = loop = io_loop_new();
	if (store_open(&options, loop, &store, &e) < 0)
		die(argv[1], e.text);
	env.store = store;
	env.spool = argv[1];
	env.resolver = dns_resolver_new(loop, &dns, &e);
	env.tls = tls_context_new(&e);
	if (env.resolver == NULL || env.tls == NULL ||
	    mail_domain_parse(&names, span_text("mx.example.org"), &env.helo, &e) < 0)
		die("resolver", e.text);
	rules = rules_read(argv[2]);
	receive = receive_new(&env, rules);
	listen_all(rules, ports);
	say(ports);
	watch = io_watch_new(loop, STDIN_FILENO, on_input, NULL);
	io_watch_set(watch, IO_READ);
	io_loop_run(loop);
	io_watch_free(watch);
	buf_done(&input);
	buf_done(&body);
	store_close(store);
	dns_resolver_free(env.resolver);
	tls_context_free(env.tls);
	arena_done(&names);
	io_loop_free(loop);
	return 0;
}
