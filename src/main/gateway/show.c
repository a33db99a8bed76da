#include "main/gateway/show.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	EVIDENCE_MAX = 256 * 1024, /* octets that are shown */
};

/* RFC 3339, UTC, to the second; 0 and USEC_NEVER: null. */
static void set_time(struct js *v, const char *key, usec_t unix_time)
{
	time_t seconds = (time_t)(unix_time / USEC_PER_SEC);
	char text[40];
	struct tm tm;

	if (unix_time <= 0 || unix_time == USEC_NEVER || gmtime_r(&seconds, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		js_set_null(v, key);
	else
		js_set_text(v, key, text);
}

/* --- the queue -------------------------------------------------------------------------------- */

static const char *parcel_state(const struct store_parcel *p)
{
	return p->state == STORE_HELD ? "held" : p->fence != 0 ? "active" : "ready";
}

struct js *gateway_show_line(const struct store_parcel *p, size_t recipient)
{
	const struct store_recipient *r = &p->message.recipients[recipient];
	struct js *v = js_object();

	js_set_text(v, "id", p->message.id.text);
	js_set_text(v, "from", p->message.from);
	js_set_text(v, "to", r->path);
	js_set_int(v, "size", (int64_t)p->message.size);
	set_time(v, "arrived", p->message.arrived);
	set_time(v, "next_try", p->state == STORE_HELD ? 0 : p->due);
	js_set_int(v, "attempts", p->attempts);
	js_set_text(v, "status", r->status);
	js_set_text(v, "detail", r->detail != NULL ? r->detail : r->reply);
	js_set_text(v, "state", parcel_state(p));
	js_set_text(v, "next_hop", p->hop);
	return v;
}

static const char *ret_word(enum store_ret ret)
{
	switch (ret) {
	case STORE_RET_DEFAULT:
		return NULL;
	case STORE_RET_FULL:
		return "full";
	case STORE_RET_HDRS:
		return "hdrs";
	}
	return NULL;
}

struct js *gateway_show_parcel(const struct store_parcel *p)
{
	const struct store_message *m = &p->message;
	struct js *v = js_object(), *evidence = NULL;

	js_set_text(v, "kind", "parcel");
	js_set_text(v, "id", m->id.text);
	js_set_text(v, "from", m->from);
	js_set_int(v, "size", (int64_t)m->size);
	set_time(v, "arrived", m->arrived);
	js_set_text(v, "origin", m->origin);
	js_set_text(v, "envid", m->envid);
	js_set_text(v, "ret", ret_word(m->ret));
	js_set_bool(v, "notice", (m->flags & STORE_NOTICE) != 0);
	js_set_text(v, "next_hop", p->hop);
	js_set_text(v, "state", parcel_state(p));
	set_time(v, "last_try", p->last);
	set_time(v, "next_try", p->state == STORE_HELD ? 0 : p->due);
	js_set_int(v, "attempts", p->attempts);
	if (p->evidence != NULL && strlen(p->evidence) <= EVIDENCE_MAX)
		evidence = js_parse(span_text(p->evidence), NULL);
	js_set(v, "evidence", evidence != NULL ? evidence : js_text_value(NULL));
	return v;
}

static struct js *notify_words(unsigned notify)
{
	static const struct {
		unsigned bit;
		const char *word;
	} words[] = {{STORE_NOTIFY_NEVER, "never"},
		     {STORE_NOTIFY_SUCCESS, "success"},
		     {STORE_NOTIFY_FAILURE, "failure"},
		     {STORE_NOTIFY_DELAY, "delay"}};
	struct js *list = js_array();

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if ((notify & words[i].bit) != 0)
			js_push_text(list, words[i].word);
	return list;
}

struct js *gateway_show_recipient(const struct store_parcel *p, size_t recipient)
{
	static const char *const states[] = {
		[STORE_OPEN] = "open", [STORE_DELIVERED] = "delivered", [STORE_FAILED] = "failed"};
	const struct store_recipient *r = &p->message.recipients[recipient];
	struct js *v = js_object();

	js_set_text(v, "kind", "recipient");
	js_set_text(v, "to", r->path);
	js_set_text(v, "state", states[r->state]);
	js_set_text(v, "status", r->status);
	js_set_text(v, "reply", r->reply);
	js_set_text(v, "detail", r->detail);
	js_set(v, "notify", notify_words(r->notify));
	js_set_text(v, "orcpt", r->orcpt);
	js_set_bool(v, "delay_noticed", r->delay_noticed);
	return v;
}

/* --- status ----------------------------------------------------------------------------------- */

static struct js *listeners(const struct gateway *g)
{
	struct js *list = js_array();
	char name[160];

	for (size_t i = 0; i < g->file->listeners.n; i++) {
		const struct config_listener *l = &g->file->listeners.items[i];
		const struct gateway_port *p = gateway_ports_find(&g->ports, l->at.text);

		for (size_t j = 0; p != NULL && j < p->n_fds; j++) {
			struct js *v = js_object();

			gateway_port_name(p->fds[j], name, sizeof(name));
			js_set_text(v, "kind", l->is_mx ? "mx" : "relay");
			js_set_text(v, "configured", l->at.text);
			js_set_text(v, "address", name);
			js_push(list, v);
		}
	}
	return list;
}

static struct js *queue(const struct gateway *g, const struct store_counts *c, int error)
{
	static const char *const ages[STORE_AGES] = {"1m", "10m", "1h", "1d", "5d", "older"};
	struct store_stats stats = store_stats(g->store);
	struct js *v = js_object(), *by_age = js_object();

	js_set_bool(v, "broken", stats.broken);
	js_set_text(v, "error", c == NULL ? strerror(-error) : NULL);
	if (c != NULL) {
		js_set_int(v, "messages", (int64_t)c->messages);
		js_set_int(v, "due", (int64_t)c->due);
		js_set_int(v, "waiting", (int64_t)c->waiting);
		js_set_int(v, "held", (int64_t)c->held);
		js_set_int(v, "next_hops", (int64_t)c->hops);
	}
	for (size_t i = 0; c != NULL && i < STORE_AGES; i++)
		js_set_int(by_age, ages[i], (int64_t)c->by_age[i]);
	js_set(v, "by_age", by_age);
	return v;
}

/* Those that somebody answers for: daneway.yaml(5), outbound.destinations. */
static struct js *exceptions(const struct gateway *g)
{
	struct js *list = js_array();
	int64_t now = io_unix_now() / USEC_PER_SEC;

	for (size_t i = 0; i < g->file->outbound.destinations.n; i++) {
		const struct config_destination *d = &g->file->outbound.destinations.items[i];
		struct js *v;

		if (d->owner == NULL && d->reason == NULL && d->until == 0)
			continue;
		v = js_object();
		js_set_text(v, "domain", d->name);
		js_set_text(v, "mode", dane_mode_to_string(d->mode));
		js_set_text(v, "owner", d->owner);
		js_set_text(v, "reason", d->reason);
		set_time(v, "until", usec_seconds(d->until));
		js_set_bool(v, "holds", config_destination_holds(d, now));
		js_push(list, v);
	}
	return list;
}

/* null: no commands are configured. */
static struct js *hooks(const struct gateway *g)
{
	struct js *v;

	if (g->hooks == NULL)
		return js_text_value(NULL);
	v = js_object();
	js_set_text(v, "state", io_hooks_lost(g->hooks) ? "lost" : "running");
	js_set_int(v, "pid", io_hooks_pid(g->hooks));
	return v;
}

struct js *gateway_show_status(const struct gateway *g, const struct store_counts *counts,
			       int error)
{
	struct js *v = js_object(), *dns = js_object();

	js_set_text(v, "version", DANEWAY_VERSION);
	js_set_text(v, "hostname", g->hostname);
	js_set_int(v, "pid", getpid());
	js_set_text(v, "state", g->state == GATEWAY_STOPPING ? "stopping" : "running");
	set_time(v, "started", g->started);
	js_set_text(v, "config", g->file->path);
	set_time(v, "loaded", g->loaded);
	js_set(v, "listeners", listeners(g));
	js_set_text(dns, "health", gateway_health_word(g));
	js_set_text(dns, "detail", g->checked ? g->health_text : NULL);
	js_set(v, "dns", dns);
	js_set_bool(v, "sending", g->outbound != NULL);
	js_set(v, "queue", queue(g, counts, error));
	js_set(v, "hooks", hooks(g));
	js_set(v, "exceptions", exceptions(g));
	return v;
}
