#include "main/cli/fetch.h"

#include <errno.h>
#include <string.h>

#include "jobs/probe/decide.h"
#include "jobs/probe/session.h"
#include "main/cli/engine.h"

struct fetch {
	const struct config *config;
	struct cli_engine engine;
	struct tls_context *tls;
	struct dane_request request;
	struct mail_domain helo;
	const struct dane_host *host; /* of the decision */
	size_t address;               /* the one being tried */
	struct probe_decide *decide;
	struct probe_target target;
	struct probe_session *session;
	struct io_timer *deadline; /* of --timeout */
	bool late;
	struct tls_chain *chain;
	struct arena arena;
	const char *why; /* it failed, a sentence; NULL: nothing was tried */
};

static void next_address(void *arg);

static void on_ready(void *arg)
{
	struct fetch *f = arg;

	f->chain = probe_session_chain(f->session);
	if (f->chain == NULL)
		f->why = arena_printf(&f->arena, "[%s]: STARTTLS is not offered or was refused",
				      f->target.address);
	probe_session_quit(f->session);
}

static void on_end(void *arg)
{
	struct fetch *f = arg;
	struct probe_report r = probe_session_report(f->session);

	if (f->chain != NULL) {
		io_loop_stop(f->engine.loop);
		return;
	}
	if (!r.connected)
		f->why = arena_printf(&f->arena, "[%s]: %s", f->target.address, r.connect_error);
	else if (r.smtp.end != SMTP_END_QUIT)
		f->why = arena_printf(&f->arena, "[%s]: %s", f->target.address,
				      r.smtp.text[0] != '\0' ? r.smtp.text
							     : smtp_end_to_string(r.smtp.end));
	io_defer(f->engine.loop, next_address, f);
}

/* No message is ever sent here. */
static ssize_t no_body(void *arg, void *p, size_t room, bool *ret_last)
{
	(void)arg;
	(void)p;
	(void)room;
	(void)ret_last;
	return -EINVAL;
}

static const struct probe_session_ops ops = {.ready = on_ready, .body = no_body, .end = on_end};

static void next_address(void *arg)
{
	struct fetch *f = arg;

	f->session = probe_session_free(f->session);
	if (f->late || f->address == f->host->n_addresses) {
		io_loop_stop(f->engine.loop);
		return;
	}
	f->target = (struct probe_target){
		.host = f->host->name,
		.address = f->host->addresses[f->address++],
		.port = f->request.port,
		.level = DANE_LEVEL_MAY,
		.helo = f->helo,
		.connect_timeout = f->config->connect_timeout,
	};
	f->session = probe_session_new(f->engine.loop, f->tls, &f->target, &ops, f);
}

/* The lookups have the same deadline, and come to their end by themselves. */
static void on_deadline(void *arg)
{
	struct fetch *f = arg;

	f->late = true;
	if (f->session != NULL)
		probe_session_give_up(f->session);
}

static void on_decision(void *arg, struct dane_decider *d)
{
	struct fetch *f = arg;
	const struct dane_decision *r = dane_decider_result(d);

	f->host = &r->hosts[0];
	if (f->host->level == DANE_LEVEL_UNREACHABLE) {
		f->why = f->host->reason;
		io_loop_stop(f->engine.loop);
		return;
	}
	next_address(f);
}

/* A name is a host here: no MX lookup, no DANE. */
static int read_where(struct fetch *f, const char *where)
{
	struct err e;

	f->request = (struct dane_request){.domain = where, .port = 25, .mode = DANE_MODE_NONE};
	if (cli_next_hop(&f->arena, where, &f->request, &e) < 0)
		return cli_fail(CLI_USAGE,
				"--connect %s: %s (\"host\", \"host:port\" or \"[address]:port\" "
				"is wanted)",
				where, e.text);
	if (f->request.hop == DANE_HOP_DOMAIN)
		f->request.hop = DANE_HOP_HOST;
	if (cli_own_name(&f->arena, f->config, &f->request.own_name, &e) < 0 ||
	    mail_domain_parse(&f->arena, span_text(f->request.own_name), &f->helo, &e) < 0)
		return cli_fail(CLI_USAGE, "--helo: %s", e.text);
	return 0;
}

static int run(struct fetch *f, const char *where)
{
	usec_t timeout = f->config->timeout >= 0 ? f->config->timeout : usec_seconds(60), deadline;
	struct err e;
	int code = cli_engine_start(&f->engine, f->config);

	if (code != 0)
		return code;
	f->tls = tls_context_new(&e);
	if (f->tls == NULL)
		return cli_fail(CLI_CONFIG, "%s", e.text);
	deadline = usec_add(io_now(f->engine.loop), timeout);
	f->deadline = io_timer_new(f->engine.loop, on_deadline, f);
	io_timer_set(f->deadline, deadline);
	f->decide = probe_decide_new(f->engine.loop, f->engine.resolver, &f->request, deadline,
				     on_decision, f);
	io_loop_run(f->engine.loop);
	if (f->chain == NULL)
		return cli_fail(CLI_TEMPORARY, "--connect %s: %s", where,
				f->why != NULL ? f->why : "no certificate");
	return 0;
}

int cli_fetch_chain(const struct config *c, const char *where, struct tls_chain **ret)
{
	struct fetch f = {.config = c};
	int code = read_where(&f, where);

	if (code == 0)
		code = run(&f, where);
	*ret = f.chain;
	probe_session_free(f.session);
	probe_decide_free(f.decide);
	io_timer_free(f.deadline);
	tls_context_free(f.tls);
	cli_engine_done(&f.engine);
	arena_done(&f.arena);
	return code;
}
