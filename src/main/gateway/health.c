/*
 * Is what the resolver says to be believed? Until a check is good nothing is sent: with a wrong
 * trust anchor all the world would look unsigned (R1, V18, V19).
 */
#include "main/gateway/gateway.h"

#include <stdio.h>
#include <string.h>

#include "edge/io/log.h"

/* Seconds to the next check. */
enum {
	AFTER_GOOD = 3600,
	AFTER_SILENT = 15,
	AFTER_BAD = 60, /* the library keeps a failure as long */
};

static const char *word(enum dns_health health)
{
	switch (health) {
	case DNS_HEALTH_GOOD:
		return "good";
	case DNS_HEALTH_ANCHOR:
		return "anchor";
	case DNS_HEALTH_CLOCK:
		return "clock";
	case DNS_HEALTH_STRIPPED:
		return "stripped";
	case DNS_HEALTH_SILENT:
		return "silent";
	}
	return "unknown";
}

const char *gateway_health_word(const struct gateway *g)
{
	return g->checked ? word(g->health) : "unknown";
}

/* Of a delivery, for the client that waits for it. */
static bool refused(void *arg, const char *id, const struct smtp_server_verdict *v)
{
	struct gateway *g = arg;

	return gateway_inbound_refused(g->inbound, id, v);
}

static void attempted(void *arg, const char *id, bool recorded)
{
	struct gateway *g = arg;

	gateway_inbound_attempted(g->inbound, id, recorded);
}

/* The queue is sent, and servers behind are asked for by name, from the first good check on. */
static void begin_to_send(struct gateway *g)
{
	struct gateway_outbound_env env = {.loop = g->loop,
					   .store = g->store,
					   .resolver = g->resolver,
					   .hostname = g->hostname,
					   .refused = refused,
					   .attempted = attempted,
					   .arg = g};
	struct err e;

	if (g->outbound != NULL || g->state == GATEWAY_STOPPING)
		return;
	gateway_inbound_set_resolver(g->inbound, g->resolver);
	g->outbound = gateway_outbound_new(&env, g->file, &e);
	if (g->outbound == NULL)
		IO_LOG(IO_LOG_ERROR, NULL, "cannot_send", {"detail", e.text});
}

static void on_health(void *arg, enum dns_health health, const char *text)
{
	struct gateway *g = arg;
	bool good = health == DNS_HEALTH_GOOD;
	bool news = !g->checked || health != g->health;

	g->checked = true;
	g->health = health;
	snprintf(g->health_text, sizeof(g->health_text), "%s", text);
	if (news && good)
		IO_LOG(IO_LOG_INFO, NULL, "dns", {"health", word(health)});
	else if (news)
		IO_LOG(IO_LOG_ERROR, NULL, "dns", {"health", word(health)},
		       {"sending", g->outbound != NULL ? "goes-on" : "waits"},
		       {"detail", g->health_text});
	if (good)
		begin_to_send(g);
	io_timer_set(g->check, usec_add(io_now(g->loop),
					usec_seconds(good                          ? AFTER_GOOD
						     : health == DNS_HEALTH_SILENT ? AFTER_SILENT
										   : AFTER_BAD)));
}

static void check(void *arg)
{
	struct gateway *g = arg;
	struct err e = {.text = ""};

	if (g->resolver == NULL)
		g->resolver = dns_resolver_new(g->loop, &g->dns, &e);
	if (g->resolver == NULL)
		on_health(g, DNS_HEALTH_ANCHOR, e.text); /* a file cannot be read */
	else
		dns_resolver_check(g->resolver, on_health, g);
}

void gateway_health_start(struct gateway *g)
{
	g->check = io_timer_new(g->loop, check, g);
	check(g);
}

void gateway_health_stop(struct gateway *g)
{
	g->check = io_timer_free(g->check);
	g->resolver = dns_resolver_free(g->resolver);
}
