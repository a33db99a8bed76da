#include "main/gateway/inbound.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "edge/io/log.h"
#include "edge/io/read.h"
#include "edge/tls/server.h"

enum {
	LIST_MAX = 64 * 1024 * 1024, /* octets of a list of recipients */
	PASSWORDS_MAX = 4 * 1024 * 1024,
};

/* A session may keep it for long after the file that it was made of is gone: all is copied. */
struct gateway_snapshot {
	struct receive_rules rules; /* the first member: that is how receive hands it back */
	struct arena arena;
	struct tls_server *tls;
	struct receive_passwords **passwords; /* one a listener, or NULL */
	struct receive_list **lists;          /* one a domain, or NULL */
};

struct gateway_inbound {
	struct gateway_inbound_env env;
	struct receive *receive;
	struct tls_context *tls; /* towards the servers behind */
	struct arena names;
	char *spool; /* outlives the file that names it: the key wants a restart */
};

/* --- files ------------------------------------------------------------------------------------ */

static int read_file(const char *path, size_t max, struct buf *ret, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r;

	buf_init(ret, max);
	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	r = io_read_all(fd, ret);
	close(fd);
	return r < 0 ? err_set(e, r, "%s: %s", path, strerror(-r)) : 0;
}

static int read_list(const struct config_domain *d, struct receive_list **ret, struct err *e)
{
	struct buf text;
	struct err why;
	int r;

	if (d->recipients == NULL)
		return 0;
	r = read_file(d->recipients, LIST_MAX, &text, e);
	if (r == 0) {
		r = receive_list_parse(buf_span(&text), d->name, ret, &why);
		if (r < 0)
			err_set(e, r, "%s: %s", d->recipients, why.text);
	}
	buf_done(&text);
	return r;
}

static int read_passwords(const char *path, struct receive_passwords **ret, struct err *e)
{
	struct buf text;
	struct err why;
	int r;

	if (path == NULL)
		return 0;
	r = read_file(path, PASSWORDS_MAX, &text, e);
	if (r == 0) {
		r = receive_passwords_parse(buf_span(&text), ret, &why);
		if (r < 0)
			err_set(e, r, "%s: %s", path, why.text);
	}
	if (text.p != NULL)
		explicit_bzero(text.p, text.room);
	buf_done(&text);
	return r;
}

/* --- the snapshot ----------------------------------------------------------------------------- */

static struct receive_networks networks(struct arena *a, const struct config_networks *n)
{
	struct receive_network *list = arena_calloc(a, n->n, sizeof(*list));

	for (size_t i = 0; i < n->n; i++) {
		list[i].family = n->items[i].family;
		list[i].bits = n->items[i].bits;
		memcpy(list[i].bytes, n->items[i].bytes, sizeof(list[i].bytes));
	}
	return (struct receive_networks){list, n->n};
}

static enum receive_tls tls_of(enum config_tls_in tls)
{
	switch (tls) {
	case CONFIG_TLS_IN_OFFERED:
		return RECEIVE_TLS_OFFERED;
	case CONFIG_TLS_IN_REQUIRED:
		return RECEIVE_TLS_REQUIRED;
	case CONFIG_TLS_IN_IMPLICIT:
		return RECEIVE_TLS_IMPLICIT;
	case CONFIG_TLS_IN_NONE:
		return RECEIVE_TLS_NONE;
	}
	return RECEIVE_TLS_REQUIRED;
}

static int set_listeners(struct gateway_snapshot *s, const struct config_file *f, struct err *e)
{
	size_t n = f->listeners.n;
	struct receive_listener *list = arena_calloc(&s->arena, n, sizeof(*list));

	s->rules.listeners = list;
	s->passwords = arena_calloc(&s->arena, n, sizeof(struct receive_passwords *));
	for (size_t i = 0; i < n; i++) {
		const struct config_listener *l = &f->listeners.items[i];
		const char **prints =
			arena_calloc(&s->arena, l->fingerprints.n, sizeof(const char *));
		int r = read_passwords(l->passwords, &s->passwords[i], e);

		if (r < 0)
			return r;
		s->rules.n_listeners = i + 1;
		for (size_t j = 0; j < l->fingerprints.n; j++)
			prints[j] = arena_strdup(&s->arena, l->fingerprints.items[j]);
		list[i] = (struct receive_listener){
			.name = arena_strdup(&s->arena, l->at.text),
			.kind = l->is_mx ? RECEIVE_MX : RECEIVE_RELAY,
			.tls = tls_of(l->tls),
			.networks = networks(&s->arena, &l->networks),
			.fingerprints = prints,
			.n_fingerprints = l->fingerprints.n,
			.passwords = s->passwords[i],
			.proxy = networks(&s->arena, &l->proxy),
		};
	}
	return 0;
}

static enum receive_behind_tls behind_tls_of(enum config_tls_out tls)
{
	switch (tls) {
	case CONFIG_TLS_OUT_NONE:
		return RECEIVE_BEHIND_CLEAR;
	case CONFIG_TLS_OUT_MAY:
		return RECEIVE_BEHIND_MAY;
	case CONFIG_TLS_OUT_ENCRYPT:
		return RECEIVE_BEHIND_ENCRYPT;
	case CONFIG_TLS_OUT_DANE:
		return RECEIVE_BEHIND_DANE;
	case CONFIG_TLS_OUT_DANE_ONLY:
		return RECEIVE_BEHIND_DANE_ONLY;
	}
	return RECEIVE_BEHIND_DANE_ONLY;
}

static enum dane_hop hop_of(const struct config_hop *hop)
{
	switch (hop->kind) {
	case CONFIG_HOP_DOMAIN:
		return DANE_HOP_DOMAIN;
	case CONFIG_HOP_HOST:
		return DANE_HOP_HOST;
	case CONFIG_HOP_ADDRESS:
	case CONFIG_HOP_UNIX:
		return DANE_HOP_ADDRESS;
	}
	return DANE_HOP_DOMAIN;
}

/* As the mail goes there (gateway_route). */
static struct receive_behind behind_of(struct arena *a, const struct config_domain *d)
{
	const struct config_hop *hop = &d->next_hop;
	bool lmtp = hop->protocol == CONFIG_HOP_LMTP;

	return (struct receive_behind){
		.hop = hop_of(hop),
		.name = arena_keep(a, hop->name),
		.port = hop->port != 0 ? hop->port
			: lmtp         ? 24
				       : 25,
		.lmtp = lmtp,
		.tls = behind_tls_of(d->tls),
	};
}

static enum receive_verify verify_of(enum config_verify verify)
{
	switch (verify) {
	case CONFIG_VERIFY_NONE:
		return RECEIVE_VERIFY_NONE;
	case CONFIG_VERIFY_RECIPIENTS:
		return RECEIVE_VERIFY_RECIPIENTS;
	case CONFIG_VERIFY_DATA:
		return RECEIVE_VERIFY_DATA;
	}
	return RECEIVE_VERIFY_DATA;
}

static int set_domains(struct gateway_snapshot *s, const struct config_file *f, struct err *e)
{
	size_t n = f->domains.n;
	struct receive_domain *list = arena_calloc(&s->arena, n, sizeof(*list));

	s->rules.domains = list;
	s->lists = arena_calloc(&s->arena, n, sizeof(struct receive_list *));
	for (size_t i = 0; i < n; i++) {
		const struct config_domain *d = &f->domains.items[i];
		int r = read_list(d, &s->lists[i], e);

		if (r < 0)
			return r;
		s->rules.n_domains = i + 1;
		list[i] = (struct receive_domain){
			.name = arena_strdup(&s->arena, d->name),
			.recipients = s->lists[i],
			.verify = verify_of(d->verify),
			.behind = behind_of(&s->arena, d),
		};
	}
	return 0;
}

static int set_certificates(struct gateway_snapshot *s, const struct config_file *f, struct err *e)
{
	size_t n = f->certificates.n;
	struct tls_server_cert *list = arena_calloc(&s->arena, n, sizeof(*list));
	const char *text;
	bool ask = false;

	if (n == 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		list[i] = (struct tls_server_cert){f->certificates.items[i].chain,
						   f->certificates.items[i].key};
	for (size_t i = 0; i < f->listeners.n; i++)
		ask = ask || f->listeners.items[i].fingerprints.n > 0;
	s->rules.certificates = s->tls = tls_server_new(list, n, ask, e);
	if (s->tls == NULL)
		return -EINVAL;
	for (size_t i = 0; (text = tls_server_warning(s->tls, i)) != NULL; i++)
		IO_LOG(IO_LOG_WARNING, NULL, "certificate", {"detail", text});
	return 0;
}

static void set_limits(struct receive_limits *l, const struct config_file *f)
{
	const struct config_limits *c = &f->limits;

	*l = receive_limits_defaults();
	l->message_size = (uint64_t)c->message_size;
	l->recipients = (unsigned)(c->recipients < STORE_RECIPIENTS_MAX ? c->recipients
									: STORE_RECIPIENTS_MAX);
	l->errors = (unsigned)c->errors;
	l->hops = (unsigned)c->hops;
	l->connections = (size_t)c->connections;
	l->connections_per_client = (size_t)c->connections_per_client;
	l->messages_per_client = (unsigned)c->messages_per_client;
	l->command_timeout = c->command_timeout;
	l->data_timeout = c->data_timeout;
	l->free_space = (uint64_t)f->queue.free_space;
}

/* What daneway.yaml(5) has and the receiver has not yet: the nearest is done, and it is said. */
static void warn_of_missing(const struct config_file *f)
{
	if (f->threads > 1)
		IO_LOG(IO_LOG_WARNING, NULL, "not_there_yet", {"key", "threads"},
		       {"detail", "one thread holds all sessions"});
}

struct gateway_snapshot *gateway_snapshot_new(const struct config_file *f, const char *hostname,
					      struct err *e)
{
	struct gateway_snapshot *s = xcalloc(1, sizeof(*s));
	int r;

	s->rules.hostname = arena_strdup(&s->arena, hostname);
	s->rules.postmaster = f->postmaster != NULL
				      ? arena_strdup(&s->arena, f->postmaster)
				      : arena_printf(&s->arena, "postmaster@%s", hostname);
	set_limits(&s->rules.limits, f);
	warn_of_missing(f);
	r = set_certificates(s, f, e);
	if (r == 0)
		r = set_listeners(s, f, e);
	if (r == 0)
		r = set_domains(s, f, e);
	return r == 0 ? s : gateway_snapshot_free(s);
}

struct gateway_snapshot *gateway_snapshot_free(struct gateway_snapshot *s)
{
	struct arena arena;

	if (s == NULL)
		return NULL;
	for (size_t i = 0; i < s->rules.n_listeners; i++)
		receive_passwords_free(s->passwords[i]);
	for (size_t i = 0; i < s->rules.n_domains; i++)
		receive_list_free(s->lists[i]);
	tls_server_free(s->tls);
	arena = s->arena;
	free(s);
	arena_done(&arena);
	return NULL;
}

/* --- the receiver ----------------------------------------------------------------------------- */

static void on_unused(void *arg, const struct receive_rules *rules)
{
	(void)arg;
	gateway_snapshot_free((struct gateway_snapshot *)(uintptr_t)rules);
}

static void on_stored(void *arg)
{
	struct gateway_inbound *in = arg;

	in->env.stored(in->env.arg);
}

/* Sockets for the listeners that have none yet. The receiver closes its own: it gets copies. */
static int listen_at(struct gateway_inbound *in, const struct config_file *f,
		     const struct gateway_ports *ports, struct err *e)
{
	for (size_t i = 0; i < f->listeners.n; i++) {
		const char *name = f->listeners.items[i].at.text;
		const struct gateway_port *p = gateway_ports_find(ports, name);

		if (receive_has_socket(in->receive, name))
			continue;
		for (size_t j = 0; p != NULL && j < p->n_fds; j++) {
			int fd = fcntl(p->fds[j], F_DUPFD_CLOEXEC, 3), r;

			if (fd < 0)
				return err_set(e, -errno, "%s: %s", name, strerror(errno));
			r = receive_listen(in->receive, i, fd, e);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

struct gateway_inbound *gateway_inbound_new(const struct gateway_inbound_env *env,
					    struct gateway_snapshot *s, const struct config_file *f,
					    const struct gateway_ports *ports, struct err *e)
{
	struct gateway_inbound *in = xcalloc(1, sizeof(*in));
	struct receive_env receive = {.loop = env->loop,
				      .store = env->store,
				      .spool = in->spool = xstrdup(f->queue.directory),
				      .stored = on_stored,
				      .rules_unused = on_unused,
				      .arg = in};

	in->env = *env;
	receive.tls = in->tls = tls_context_new(e);
	if (in->tls == NULL ||
	    mail_domain_parse(&in->names, span_text(env->hostname), &receive.helo, e) < 0) {
		gateway_snapshot_free(s);
		return gateway_inbound_free(in);
	}
	in->receive = receive_new(&receive, &s->rules);
	if (listen_at(in, f, ports, e) < 0)
		return gateway_inbound_free(in);
	return in;
}

void gateway_inbound_replace(struct gateway_inbound *in, struct gateway_snapshot *s,
			     const struct config_file *f, const struct gateway_ports *ports)
{
	struct err e;

	receive_set_rules(in->receive, &s->rules);
	/* They listen: that was looked at when they were opened. */
	if (listen_at(in, f, ports, &e) < 0)
		IO_LOG(IO_LOG_ERROR, NULL, "cannot_listen", {"detail", e.text});
}

bool gateway_inbound_refused(struct gateway_inbound *in, const char *id,
			     const struct smtp_server_verdict *v)
{
	return receive_refused(in->receive, id, v);
}

void gateway_inbound_attempted(struct gateway_inbound *in, const char *id, bool recorded)
{
	receive_attempted(in->receive, id, recorded);
}

struct receive_stats gateway_inbound_stats(const struct gateway_inbound *in)
{
	return receive_stats(in->receive);
}

void gateway_inbound_set_resolver(struct gateway_inbound *in, struct dns_resolver *resolver)
{
	receive_set_resolver(in->receive, resolver);
}

void gateway_inbound_stop(struct gateway_inbound *in, io_fn *done, void *arg)
{
	receive_stop(in->receive, done, arg);
}

struct gateway_inbound *gateway_inbound_free(struct gateway_inbound *in)
{
	if (in != NULL) {
		receive_free(in->receive);
		tls_context_free(in->tls);
		arena_done(&in->names);
		free(in->spool);
		free(in);
	}
	return NULL;
}
