/*
 * The peer of `daneway policy -`: the questions that RFC 7672 needs for a domain with one MX host
 * (MX; A and AAAA; TLSA), put to libunbound with the settings of daneway, and nothing done with
 * the answers but to see that they are secure.
 *
 *	bare_unbound ROOT_HINTS TRUST_ANCHOR IN_FLIGHT [check] < DOMAINS
 *
 * With `check`, what `daneway check -` asks besides: the TXT records of TLSRPT and MTA-STS, and the
 * zone, its DS and its name server (of the lab: ns.DOMAIN).
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unbound.h>

#include "common.h"
#include "edge/dns/setup.h"

enum {
	TYPE_A = 1,
	TYPE_NS = 2,
	TYPE_MX = 15,
	TYPE_TXT = 16,
	TYPE_AAAA = 28,
	TYPE_DS = 43,
	TYPE_TLSA = 52,
	CLASS_IN = 1,
	TEXT_MAX = 1024, /* a name of 255 octets, each octet escaped */
};

static struct {
	struct ub_ctx *ctx;
	struct bench_list domains;
	size_t next, in_flight, n_done;
	bool check;
} run;

struct domain {
	const char *name;
	char host[TEXT_MAX];
	int open;
};

static void begin_next(void);

/* A wire name of letters, digits, hyphens, underscores: the lab has no others. */
static void wire_to_text(const unsigned char *p, size_t n, char *ret)
{
	size_t at = 0;

	while (at < n && p[at] != 0 && at + 1 + p[at] < n) {
		memcpy(ret + at, p + at + 1, p[at]);
		at += 1U + p[at];
		ret[at - 1] = '.';
	}
	ret[at] = '\0';
}

static void ask(struct domain *d, const char *name, int type, ub_callback_type fn)
{
	int error = ub_resolve_async(run.ctx, name, type, CLASS_IN, d, fn, NULL);

	if (error != 0)
		bench_die("%s: %s", name, ub_strerror(error));
	d->open++;
}

static struct domain *take(void *arg, int error, struct ub_result *result)
{
	struct domain *d = arg;

	if (error != 0 || !result->secure)
		bench_die("%s: not secure", d->name);
	d->open--;
	return d;
}

static void end_if_all(struct domain *d)
{
	if (d->open > 0)
		return;
	free(d);
	run.in_flight--;
	run.n_done++;
	begin_next();
}

static void on_more(void *arg, int error, struct ub_result *result)
{
	struct domain *d = take(arg, error, result);

	ub_resolve_free(result);
	end_if_all(d);
}

static void ask_more(struct domain *d)
{
	static const struct {
		const char *front;
		bool host;
		int type;
	} more[] = {
		{"_smtp._tls.", false, TYPE_TXT},
		{"_mta-sts.", false, TYPE_TXT},
		{"_smtp._tls.", true, TYPE_TXT},
		{"", false, TYPE_NS},
		{"", false, TYPE_DS},
		{"ns.", false, TYPE_A},
		{"ns.", false, TYPE_AAAA},
	};
	char name[TEXT_MAX + 16];

	for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
		snprintf(name, sizeof(name), "%s%s", more[i].front,
			 more[i].host ? d->host : d->name);
		ask(d, name, more[i].type, on_more);
	}
}

static void on_tlsa(void *arg, int error, struct ub_result *result)
{
	struct domain *d = take(arg, error, result);

	if (!result->havedata)
		bench_die("%s: no TLSA records", d->name);
	ub_resolve_free(result);
	if (run.check)
		ask_more(d);
	end_if_all(d);
}

static void on_address(void *arg, int error, struct ub_result *result)
{
	struct domain *d = take(arg, error, result);
	char base[TEXT_MAX + 16];

	ub_resolve_free(result);
	if (d->open > 0)
		return;
	snprintf(base, sizeof(base), "_25._tcp.%s", d->host);
	ask(d, base, TYPE_TLSA, on_tlsa);
}

static void on_mx(void *arg, int error, struct ub_result *result)
{
	struct domain *d = take(arg, error, result);

	if (!result->havedata || result->len[0] < 3 || result->len[0] > 2 + 255)
		bench_die("%s: no MX record", d->name);
	wire_to_text((const unsigned char *)result->data[0] + 2, (size_t)result->len[0] - 2,
		     d->host);
	ub_resolve_free(result);
	ask(d, d->host, TYPE_A, on_address);
	ask(d, d->host, TYPE_AAAA, on_address);
}

static void begin_next(void)
{
	struct domain *d;

	if (run.next == run.domains.n)
		return;
	d = xcalloc(1, sizeof(*d));
	d->name = run.domains.lines[run.next++];
	run.in_flight++;
	ask(d, d->name, TYPE_MX, on_mx);
}

int main(int argc, char **argv)
{
	struct dns_config config = {0};
	struct pollfd ready = {.events = POLLIN};
	struct bench_cost cost;
	struct err e;
	size_t limit, most;

	run.check = argc == 5 && strcmp(argv[4], "check") == 0;
	if (argc != 4 + run.check)
		bench_die("usage: bare_unbound ROOT_HINTS TRUST_ANCHOR IN_FLIGHT [check] "
			  "< DOMAINS");
	config.root_hints = argv[1];
	config.trust_anchor = argv[2];
	most = bench_number(argv[3]);
	run.domains = bench_read_list();
	bench_cost_begin(&cost);
	run.ctx = dns_setup(&config, &limit, &e);
	if (run.ctx == NULL)
		bench_die("%s", e.text);
	while (run.in_flight < most && run.next < run.domains.n)
		begin_next();
	ready.fd = ub_fd(run.ctx);
	while (run.in_flight > 0) {
		poll(&ready, 1, -1);
		ub_process(run.ctx);
	}
	ub_ctx_delete(run.ctx);
	bench_cost_print(&cost, run.n_done);
	return 0;
}
