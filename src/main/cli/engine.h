/* What `policy` and `deliver` have in common: the loop, the resolver, the self-test. */
#pragma once

#include "core/dane/decision.h"
#include "edge/dns/resolver.h"
#include "main/cli/cli.h"

struct cli_engine {
	struct io_loop *loop;
	struct dns_resolver *resolver;
};

/*
 * Makes both and runs the self-test (the contract: nothing is sent before it passes). 0, or the
 * exit code with its line written: 64, 78 for anchor, clock and files, 75 if the root's keys could
 * not be fetched.
 */
int cli_engine_start(struct cli_engine *engine, const struct config *c);
void cli_engine_done(struct cli_engine *engine);

/*
 * The request for one destination: `domain` as a user wrote it, --next-hop, --mode, --helo.
 * Strings go to the arena. -EINVAL with the reason: it is no domain.
 */
int cli_request(struct arena *a, const struct config *c, const char *domain,
		struct dane_request *ret, struct err *e) _mustcheck_;

/* --next-hop alone: "[host]:port", "[address]:port", "domain[:port]". NULL: `ret` says domain. */
int cli_next_hop(struct arena *a, const char *text, struct dane_request *ret, struct err *e)
	_mustcheck_;

/* --helo, else the host's name; lower case, A-labels. -EINVAL for one that is no host name. */
int cli_own_name(struct arena *a, const struct config *c, const char **ret, struct err *e)
	_mustcheck_;
