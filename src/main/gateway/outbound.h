/*
 * The glue to jobs/send/queue: what a configuration says of next hops, modes, retries and
 * lifetimes.
 */
#pragma once

#include "edge/dns/resolver.h"
#include "edge/store/store.h"
#include "main/config/file.h"

struct gateway_outbound;

struct gateway_outbound_env {
	struct io_loop *loop;
	struct store *store;
	struct dns_resolver *resolver;
	const char *hostname;
};

/* NULL and `e`: TLS cannot be set up. `f` is borrowed until the next replace. */
struct gateway_outbound *gateway_outbound_new(const struct gateway_outbound_env *env,
					      const struct config_file *f, struct err *e)
	_mustcheck_;
void gateway_outbound_wake(struct gateway_outbound *out);
void gateway_outbound_replace(struct gateway_outbound *out, const struct config_file *f);
/* Nothing new; deliveries under way may end. `done` once, not from here. */
void gateway_outbound_stop(struct gateway_outbound *out, io_fn *done, void *arg);
struct gateway_outbound *gateway_outbound_free(struct gateway_outbound *out);
