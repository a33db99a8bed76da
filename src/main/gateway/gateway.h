/* The one struct that main/gateway passes down. Inside the room only. */
#pragma once

#include "edge/dns/resolver.h"
#include "edge/io/hook.h"
#include "edge/io/loop.h"
#include "edge/store/store.h"
#include "main/config/file.h"
#include "main/gateway/inbound.h"
#include "main/gateway/outbound.h"
#include "main/gateway/ports.h"
#include "main/gateway/serve.h"

enum gateway_state {
	GATEWAY_STARTING,
	GATEWAY_RUNNING,
	GATEWAY_STOPPING,
};

struct gateway {
	enum gateway_state state;
	struct config_file *file; /* in force; replaced whole by gateway_reload */
	const char *hostname;     /* from the start on */
	struct dns_config dns;
	struct gateway_user user;
	struct io_hooks *hooks; /* NULL: no commands */
	struct io_loop *loop;
	struct store *store;
	struct gateway_ports ports;
	struct gateway_sockets sockets; /* systemd's that nobody has taken yet */
	struct gateway_inbound *inbound;
	struct gateway_control *control;
	int metrics_fd; /* -1: none wanted, or taken */
	struct gateway_metrics *metrics;
	usec_t started, loaded; /* Unix time */
	bool refused;           /* the last reload was */

	/* DNS. `outbound` is there from the first good check on. */
	struct dns_resolver *resolver; /* NULL: it could not be made; tried again */
	bool checked;                  /* `health` is known */
	enum dns_health health;
	char health_text[512];
	struct io_timer *check;
	struct gateway_outbound *outbound;

	/* systemd */
	int notify;
	struct io_timer *watchdog;

	/* signals, the end */
	int signals;
	struct io_watch *signal_watch;
	unsigned stopping; /* parts that have not said yet that they are done */
	struct io_timer *limit;
};

/* serve.c: what a part's callback or the control socket asks for. */

/* False: nothing has changed, and `p` says why. */
bool gateway_reload(struct gateway *g, struct config_problems *p);
/* Begins the graceful stop; again: at once. */
void gateway_stop(struct gateway *g);

/* health.c */
void gateway_health_start(struct gateway *g);
void gateway_health_stop(struct gateway *g);
/* "good", "anchor", "clock", "stripped", "silent", "unknown" */
const char *gateway_health_word(const struct gateway *g);
