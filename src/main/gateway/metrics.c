#include "main/gateway/metrics.h"

#include <string.h>

#include "edge/web/local.h"

enum {
	PAGE_MAX = 1024 * 1024,
};

static const char page_type[] = "text/plain; version=0.0.4; charset=utf-8";

struct gateway_metrics {
	struct gateway *g;
	struct web_local *web;
	struct web_visit *visits[WEB_LOCAL_VISITS]; /* that wait for the count */
	size_t n;
	uint64_t ticket; /* of the count; 0: none is made */
};

/* --- the text --------------------------------------------------------------------------------- */

static void family(struct buf *b, const char *name, const char *type, const char *help)
{
	(void)!buf_printf(b, "# HELP daneway_%s %s\n# TYPE daneway_%s %s\n", name, help, name,
			  type);
}

/* `label` NULL: none. Labels and their values are ours. */
static void sample(struct buf *b, const char *name, const char *label, const char *value,
		   uint64_t number)
{
	if (label != NULL)
		(void)!buf_printf(b, "daneway_%s{%s=\"%s\"} %llu\n", name, label, value,
				  (unsigned long long)number);
	else
		(void)!buf_printf(b, "daneway_%s %llu\n", name, (unsigned long long)number);
}

static void one(struct buf *b, const char *name, const char *type, const char *help,
		uint64_t number)
{
	family(b, name, type, help);
	sample(b, name, NULL, NULL, number);
}

static void write_process(const struct gateway *g, struct buf *b)
{
	family(b, "build_info", "gauge", "The version that runs.");
	sample(b, "build_info", "version", DANEWAY_VERSION, 1);
	one(b, "start_time_seconds", "gauge", "When it was started, Unix time.",
	    (uint64_t)(g->started / USEC_PER_SEC));
	one(b, "config_load_time_seconds", "gauge",
	    "When the configuration in force was read, Unix time.",
	    (uint64_t)(g->loaded / USEC_PER_SEC));
	one(b, "config_refused", "gauge", "1 if the last reload was refused.", g->refused);
}

static void write_inbound(const struct gateway *g, struct buf *b)
{
	static const char *const kinds[] = {[RECEIVE_MX] = "mx", [RECEIVE_RELAY] = "relay"};
	struct receive_stats s = gateway_inbound_stats(g->inbound);

	family(b, "sessions_total", "counter", "Sessions of clients that began.");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		sample(b, "sessions_total", "listener", kinds[i], s.sessions[i]);
	one(b, "sessions", "gauge", "Sessions of clients now.", s.open);
	family(b, "received_messages_total", "counter", "Messages that were taken and stored.");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		sample(b, "received_messages_total", "listener", kinds[i], s.messages[i]);
	one(b, "received_recipients_total", "counter", "Recipients of these messages.",
	    s.recipients);
	one(b, "received_bytes_total", "counter", "Octets of these messages.", s.octets);
	family(b, "refusals_total", "counter", "What clients were refused, by reason.");
	for (int i = 0; i < RECEIVE_REFUSALS; i++)
		sample(b, "refusals_total", "reason",
		       receive_refusal_to_string((enum receive_refusal)i), s.refused[i]);
	family(b, "inbound_tls_handshakes_total", "counter", "TLS handshakes with clients.");
	sample(b, "inbound_tls_handshakes_total", "version", "TLSv1.2", s.tls[0]);
	sample(b, "inbound_tls_handshakes_total", "version", "TLSv1.3", s.tls[1]);
	sample(b, "inbound_tls_handshakes_total", "version", "none", s.tls_failed);
	one(b, "logins_total", "counter", "Clients that proved who they are by AUTH.", s.auth);
}

static void write_queue(const struct gateway *g, const struct store_counts *c, struct buf *b)
{
	static const char *const ages[STORE_AGES] = {"1m", "10m", "1h", "1d", "5d", "older"};
	struct store_stats s = store_stats(g->store);

	one(b, "store_commits_total", "counter", "Transactions of the queue, one fsync each.",
	    s.groups);
	one(b, "store_changes_total", "counter", "Changes in these transactions.", s.changes);
	one(b, "store_broken", "gauge", "1 while the disk fails and nothing is taken.", s.broken);
	if (c == NULL)
		return;
	family(b, "queue_messages", "gauge", "Messages in the queue by age (up to).");
	for (size_t i = 0; i < STORE_AGES; i++)
		sample(b, "queue_messages", "age", ages[i], c->by_age[i]);
	family(b, "queue_parcels", "gauge", "Parcels (a message to one next hop) by state.");
	sample(b, "queue_parcels", "state", "due", c->due);
	sample(b, "queue_parcels", "state", "waiting", c->waiting);
	sample(b, "queue_parcels", "state", "held", c->held);
	one(b, "queue_next_hops", "gauge", "Different next hops of what waits.", c->hops);
}

static void write_dns(const struct gateway *g, struct buf *b)
{
	static const char *const all[] = {"good",     "anchor", "clock",
					  "stripped", "silent", "unknown"};
	const char *now = gateway_health_word(g);

	family(b, "dns_health", "gauge",
	       "1 for what the last look at the root's keys said; good is good.");
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		sample(b, "dns_health", "state", all[i], strcmp(all[i], now) == 0);
	one(b, "dns_questions", "gauge", "Questions that the resolver is busy with.",
	    g->resolver != NULL ? dns_resolver_busy(g->resolver) : 0);
	one(b, "sending", "gauge", "1 once the queue is being sent.", g->outbound != NULL);
}

static void write_outbound(const struct gateway *g, struct buf *b)
{
	static const char *const levels[] = {"dane", "encrypt", "may"};
	static const char *const codes[] = {"321", "322", "323", "324", "325"};
	struct send_queue_stats s = {0};

	if (g->outbound != NULL)
		s = gateway_outbound_stats(g->outbound);
	family(b, "deliveries_total", "counter", "Recipients by result of an attempt.");
	sample(b, "deliveries_total", "result", "delivered", s.delivered);
	sample(b, "deliveries_total", "result", "deferred", s.deferred);
	sample(b, "deliveries_total", "result", "failed", s.failed);
	family(b, "delivered_total", "counter", "Recipients that were delivered, by level.");
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		sample(b, "delivered_total", "level", levels[i], s.by_level[i]);
	family(b, "dane_failures_total", "counter",
	       "Recipients kept back by DANE or DNSSEC, by the status 4.7.x or 5.7.x.");
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		sample(b, "dane_failures_total", "status", codes[i], s.dane[i]);
	one(b, "attempts_total", "counter", "Parcels that were tried.", s.attempts);
	one(b, "decisions_total", "counter", "RFC 7672 decisions that were made.", s.decisions);
	one(b, "outbound_connections_total", "counter", "Connections to servers.", s.connections);
	one(b, "outbound_reused_total", "counter", "Transactions over a connection that was open.",
	    s.reused);
	one(b, "leases_lost_total", "counter", "Parcels that another took over.", s.leases_lost);
	family(b, "outbound_sessions", "gauge", "Connections to servers now.");
	sample(b, "outbound_sessions", "state", "busy", s.sessions - s.idle_sessions);
	sample(b, "outbound_sessions", "state", "idle", s.idle_sessions);
}

static void write_exceptions(const struct gateway *g, struct buf *b)
{
	int64_t now = io_unix_now() / USEC_PER_SEC;
	uint64_t n[2] = {0};

	for (size_t i = 0; i < g->file->outbound.destinations.n; i++) {
		const struct config_destination *d = &g->file->outbound.destinations.items[i];

		if (d->until != 0)
			n[config_destination_holds(d, now)]++;
	}
	family(b, "exceptions", "gauge", "Destinations that are treated otherwise for a time.");
	sample(b, "exceptions", "state", "over", n[0]);
	sample(b, "exceptions", "state", "holds", n[1]);
}

void gateway_metrics_write(const struct gateway *g, const struct store_counts *counts,
			   struct buf *ret)
{
	write_process(g, ret);
	write_inbound(g, ret);
	write_queue(g, counts, ret);
	write_outbound(g, ret);
	write_dns(g, ret);
	write_exceptions(g, ret);
}

/* --- the visits ------------------------------------------------------------------------------- */

static void on_counted(void *arg, int result, const struct store_counts *counts)
{
	struct gateway_metrics *m = arg;
	struct buf page;
	size_t n = m->n;

	buf_init(&page, PAGE_MAX);
	gateway_metrics_write(m->g, result < 0 ? NULL : counts, &page);
	m->ticket = 0;
	m->n = 0;
	for (size_t i = 0; i < n; i++)
		web_visit_answer(m->visits[i], 200, page_type, buf_span(&page));
	buf_done(&page);
}

static void on_get(void *arg, struct web_visit *v, const char *path)
{
	struct gateway_metrics *m = arg;

	if (strcmp(path, "/metrics") != 0) {
		web_visit_answer(v, 404, "text/plain; charset=utf-8",
				 span_text("/metrics is here\n"));
		return;
	}
	require(m->n < WEB_LOCAL_VISITS);
	m->visits[m->n++] = v;
	if (m->ticket == 0)
		m->ticket = store_count(m->g->store, io_unix_now(), on_counted, m);
}

struct gateway_metrics *gateway_metrics_new(struct gateway *g, int fd)
{
	struct gateway_metrics *m = xcalloc(1, sizeof(*m));

	m->g = g;
	m->web = web_local_new(g->loop, fd, on_get, m);
	return m;
}

struct gateway_metrics *gateway_metrics_free(struct gateway_metrics *m)
{
	if (m == NULL)
		return NULL;
	if (m->ticket != 0)
		store_forget(m->g->store, m->ticket);
	web_local_free(m->web);
	free(m);
	return NULL;
}
