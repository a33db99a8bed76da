#include "edge/dns/setup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "core/dane/name.h"
#include "edge/dns/file.h"

/* ADDR or ADDR@PORT. */
static int check_forward(const char *text, struct err *e)
{
	const char *at = strchr(text, '@');
	char address[64];
	size_t n = at != NULL ? (size_t)(at - text) : strlen(text);

	if (at != NULL) {
		uint64_t port;

		if (!text_to_number(span_text(at + 1), 65535, &port) || port == 0)
			return err_set(e, -EINVAL, "--forward %s: not a port after \"@\"", text);
	}
	snprintf(address, sizeof(address), "%.*s", (int)(n < 63 ? n : 63), text);
	if (n >= sizeof(address) || dane_address_family(address) == 0)
		return err_set(e, -EINVAL,
			       "--forward %s: not an address (ADDR or ADDR@PORT is wanted)", text);
	return 0;
}

/* --- settings --------------------------------------------------------------------------------- */

enum {
	PORTS_MOST = 8192, /* sockets to name servers; a dead one holds a socket for seconds */
	PORTS_LEAST = 64,
};

static int set(struct ub_ctx *ctx, const char *option, const char *value, struct err *e)
{
	int error = ub_ctx_set_option(ctx, option, value);

	return error == 0 ? 0
			  : err_set(e, -EINVAL, "resolver: %s %s: %s", option, value,
				    ub_strerror(error));
}

static int set_number(struct ub_ctx *ctx, const char *option, size_t value, struct err *e)
{
	char text[24];

	snprintf(text, sizeof(text), "%zu", value);
	return set(ctx, option, text, e);
}

static const struct {
	const char *option, *value;
} settings[] = {
	{"module-config:", "validator iterator"},
	{"do-not-query-localhost:", "no"},
	{"val-log-level:", "2"}, /* or there is no reason with a bogus answer */
	{"use-syslog:", "no"},
	{"trust-anchor-signaling:", "no"},
	{"outgoing-num-tcp:", "256"},
	{"msg-cache-size:", "8m"},
	{"rrset-cache-size:", "16m"},
	{"key-cache-size:", "32m"},
	{"neg-cache-size:", "8m"},
	{"infra-cache-numhosts:", "100000"},
	{"unblock-lan-zones:", "yes"},
	{"infra-cache-max-rtt:", "4000"}, /* a dead server holds a socket for 10 s, not 17 */
};

/* Built-in answers of the library: with hints or forwarders of one's own the names are theirs. */
static const char *const local_zones[] = {
	"localhost.",
	"test.",
	"invalid.",
	"onion.",
	"home.arpa.",
	"127.in-addr.arpa.",
	"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.",
};

/*
 * A question whose servers never answer keeps a socket for some seconds. There must be far more
 * sockets than such questions, or healthy domains would wait behind them.
 */
static int set_limits(struct ub_ctx *ctx, size_t *ret_limit, struct err *e)
{
	size_t descriptors = io_raise_descriptor_limit(), ports = PORTS_MOST;

	if (descriptors / 2 < ports)
		ports = descriptors / 2;
	if (ports < PORTS_LEAST)
		ports = PORTS_LEAST;
	*ret_limit = ports > 2048 ? ports - ports / 8 : ports / 2;
	if (set_number(ctx, "outgoing-range:", ports, e) < 0)
		return -EINVAL;
	return set_number(ctx, "num-queries-per-thread:", ports, e);
}

static int configure(struct ub_ctx *ctx, const struct dns_config *c, size_t *ret_limit,
		     struct err *e)
{
	const char *anchor = c->trust_anchor != NULL ? c->trust_anchor : dns_file_anchor;
	struct dns_section records;
	struct arena a = {0};
	int ret = 0, error = 0;

	ub_ctx_debugout(ctx, NULL);
	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(settings); i++)
		ret = set(ctx, settings[i].option, settings[i].value, e);
	if (ret == 0)
		ret = set_limits(ctx, ret_limit, e);
	if (ret == 0)
		ret = dns_file_anchors(&a, anchor, &records, e);
	if (ret == 0 && c->root_hints != NULL)
		ret = dns_file_hints(&a, c->root_hints, &records, e);
	arena_done(&a);
	for (size_t i = 0; ret == 0 && i < c->n_forward; i++)
		ret = check_forward(c->forward[i], e);
	if (ret < 0)
		return ret;
	error = ub_ctx_add_ta_file(ctx, anchor);
	if (error == 0 && c->root_hints != NULL)
		error = ub_ctx_set_option(ctx, "root-hints:", c->root_hints);
	for (size_t i = 0; error == 0 && i < c->n_forward; i++)
		error = ub_ctx_set_fwd(ctx, c->forward[i]);
	if (error == 0)
		error = ub_ctx_async(ctx, 1);
	/* Last, since it seals the context: settings are read here. */
	for (size_t i = 0; error == 0 && i < ARRAY_SIZE(local_zones); i++)
		if (c->root_hints != NULL || c->n_forward > 0)
			error = ub_ctx_zone_remove(ctx, local_zones[i]);
	return error == 0 ? 0 : err_set(e, -EINVAL, "resolver: %s", ub_strerror(error));
}

struct ub_ctx *dns_setup(const struct dns_config *c, size_t *ret_limit, struct err *e)
{
	struct ub_ctx *ctx;

	if (c->root_hints != NULL && c->n_forward > 0) {
		err_set(e, -EINVAL, "--forward and --root-hints exclude each other");
		return NULL;
	}
	ctx = ub_ctx_create();
	require(ctx != NULL);
	if (configure(ctx, c, ret_limit, e) < 0) {
		ub_ctx_delete(ctx);
		return NULL;
	}
	return ctx;
}
