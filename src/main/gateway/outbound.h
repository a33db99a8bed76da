/*
 * The glue to jobs/send/queue: what a configuration says of next hops, modes, retries and
 * lifetimes.
 */
#pragma once

#include "edge/dns/resolver.h"
#include "edge/store/store.h"
#include "core/smtp/server.h"
#include "jobs/send/queue.h"
#include "main/config/file.h"

struct gateway_outbound;

struct gateway_outbound_env {
	struct io_loop *loop;
	struct store *store;
	struct dns_resolver *resolver;
	const char *hostname;
	/* As in send_queue_env; `refused` has the reply that the client gets. */
	bool (*refused)(void *arg, const char *id, const struct smtp_server_verdict *v);
	void (*attempted)(void *arg, const char *id, bool recorded);
	void *arg;
};

/*
 * Where the mail of `domain` goes, Unix seconds `now`: own domains to the server behind, then an
 * exception that still holds, then the smart host. False: by MX, as the mode says. Pure.
 */
bool gateway_route(const struct config_file *f, const char *domain, int64_t now,
		   struct send_queue_route *ret);

/*
 * The refusal that a client gets for one by the server behind: its code, enhanced status and words
 * (RFC 5321 section 4.2); 554 for what has no reply of a server. `ret->text` lives as long as `o`.
 * Pure.
 */
void gateway_refusal(const struct store_outcome *o, struct smtp_server_verdict *ret);

/* NULL and `e`: TLS cannot be set up. `f` is borrowed until the next replace. */
struct gateway_outbound *gateway_outbound_new(const struct gateway_outbound_env *env,
					      const struct config_file *f, struct err *e)
	_mustcheck_;
void gateway_outbound_wake(struct gateway_outbound *out);
void gateway_outbound_replace(struct gateway_outbound *out, const struct config_file *f);
/* Nothing new; deliveries under way may end. `done` once, not from here. */
void gateway_outbound_stop(struct gateway_outbound *out, io_fn *done, void *arg);
struct send_queue_stats gateway_outbound_stats(const struct gateway_outbound *out);
struct gateway_outbound *gateway_outbound_free(struct gateway_outbound *out);
