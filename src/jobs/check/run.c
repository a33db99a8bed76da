#include "jobs/check/run.h"

#include <string.h>

#include "jobs/check/judge.h"
#include "jobs/check/save.h"
#include "jobs/check/sts.h"
#include "jobs/probe/decide.h"

enum {
	KEY_TYPES = TLS_KEY_EDDSA + 1,
};

/* One address of one host: its questions to the pool follow one another. */
struct lane {
	struct check_run *run;
	const struct dane_host *host;
	const char *address;
	struct check_wait *wait;
	bool running;                          /* the session that it waits for is under way */
	bool lax;                              /* ... by the laxer rules */
	struct check_probe *probes[KEY_TYPES]; /* NULL: not wanted */
	int key;                               /* of the session that it waits for */
};

struct check_run {
	const struct check_env *env;
	const struct check_options *options;
	check_run_fn *fn;
	void *arg;
	struct arena arena;
	struct dane_request request;
	struct probe_decide *decide;
	struct dane_decider *decider;
	struct lane *lanes;
	size_t n_lanes, n_done;
	struct check_extra *extra;
	struct check_walk *walk; /* NULL: over, or not asked for */
	struct check_servers *servers[CHECK_WALKS_RESULTS];
	size_t n_servers;
	struct check_sts_fetch *fetch; /* NULL: over, or there is nothing to fetch */
	const struct check_sts *sts;   /* what came of it */
	struct check_rehearsals *rehearsals;
	bool extra_done, walk_runs, fetch_runs;
	struct check_probe *probes;
	size_t n_probes;
	struct io_timer *deadline, *end;
	usec_t began, until, left; /* `until` while the clock runs, `left` while it stands */
	size_t n_running;          /* what makes it run: questions and sessions under way */
	bool ended;
	struct check_tree tree;
	struct check_result result;
	int64_t now;              /* Unix seconds at which dates were judged */
	struct check_saved saved; /* of a replay: what the above points to */
};

/* --- the clock -------------------------------------------------------------------------------- */

static void clock_run(struct check_run *r)
{
	if (r->n_running++ > 0)
		return;
	r->until = usec_add(io_now(r->env->loop), r->left);
	io_timer_set(r->deadline, r->until);
}

/* Waiting for a place behind other domains' sessions does not count. */
static void clock_stand(struct check_run *r)
{
	if (--r->n_running > 0)
		return;
	r->left = r->until == USEC_NEVER ? USEC_NEVER : r->until - io_now(r->env->loop);
	io_timer_set(r->deadline, USEC_NEVER);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void list_sessions(struct check_run *r)
{
	struct check_session *list = arena_calloc(&r->arena, r->n_probes, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < r->n_probes; i++) {
		const struct check_probe *p = &r->probes[i];
		enum tls_key_type key = p->key;
		struct tls_facts facts;

		if (!p->done || p->finding == NULL)
			continue;
		list[n] = (struct check_session){
			.host = p->host->name,
			.address = p->address,
			.status = check_text_of(p->finding->kind)->status,
		};
		if (p->chain != NULL) {
			facts = tls_chain_facts(p->chain, 0, &r->arena);
			list[n].not_after = facts.not_after;
			key = key == TLS_KEY_ANY ? facts.key_type : key;
		}
		list[n++].key = tls_key_type_to_string(key);
	}
	r->result.sessions = list;
	r->result.n_sessions = n;
}

static struct check_view view_of(const struct check_run *r)
{
	struct check_view view = {
		.request = dane_decider_request(r->decider),
		.decision = dane_decider_result(r->decider),
		.decider = r->decider,
		.probes = r->probes,
		.n_probes = r->n_probes,
		.extra = r->extra,
		.sts = r->sts,
		.servers = r->saved.servers != NULL ? r->saved.servers : r->servers,
		.n_servers = r->saved.servers != NULL ? r->saved.n_servers : r->n_servers,
		.rehearsals = r->rehearsals,
		.options = r->options,
		.tls = r->env->tls,
		.now = r->now,
	};

	view.covered = view.decision->mx_security == DANE_SECURE;
	return view;
}

static void make_tree(struct check_run *r)
{
	struct check_view view = view_of(r);
	size_t effort = CHECK_EFFORT_MAX;

	view.tree = &r->tree;
	view.effort = &effort;
	check_mail_tree(&view);
	list_sessions(r);
	r->result.tree = &r->tree;
	r->result.at = usec_seconds(r->now);
}

static void on_end(void *arg)
{
	struct check_run *r = arg;

	r->now = r->options->at != 0 ? r->options->at : io_unix_now() / USEC_PER_SEC;
	make_tree(r);
	r->result.duration = io_now(r->env->loop) - r->began;
	r->fn(r->arg, r);
}

static void finish(struct check_run *r)
{
	if (r->ended)
		return;
	check_extra_give_up(r->extra);
	check_rehearsals_give_up(r->rehearsals);
	r->ended = true;
	io_timer_set(r->deadline, USEC_NEVER);
	io_timer_set(r->end, 0);
}

static void on_rehearsed(void *arg)
{
	finish(arg); /* it was begun when all else was done */
}

/* All servers are tested and all further questions answered; then --to, if it is asked for. */
static void finish_if_all(struct check_run *r)
{
	if (r->n_done < r->n_lanes || !r->extra_done || r->walk != NULL || r->fetch != NULL ||
	    r->rehearsals != NULL)
		return;
	if (r->options->inbound == NULL) {
		finish(r);
		return;
	}
	clock_run(r);
	r->rehearsals = check_rehearsals_new(r->env->loop, r->env->tls, r->env->pool,
					     r->options->inbound, dane_decider_result(r->decider),
					     r->request.port, on_rehearsed, r);
}

/* --- the MTA-STS policy ----------------------------------------------------------------------- */

static void fetch_stands(void *arg)
{
	struct check_run *r = arg;

	if (r->fetch_runs)
		clock_stand(r);
	r->fetch_runs = false;
}

static void fetch_runs(void *arg)
{
	struct check_run *r = arg;

	r->fetch_runs = true;
	clock_run(r);
}

static void on_fetched(void *arg, const struct check_sts *sts)
{
	struct check_run *r = arg;

	r->fetch = NULL;
	r->sts = check_sts_copy(&r->arena, sts);
	fetch_stands(r);
	finish_if_all(r);
}

static const struct check_sts_ops fetch_ops = {
	.waits = fetch_stands,
	.begun = fetch_runs,
	.done = on_fetched,
};

static void fetch_give_up(struct check_run *r)
{
	if (r->fetch == NULL)
		return;
	fetch_stands(r);
	r->fetch = check_sts_cancel(r->fetch);
	r->sts = check_sts_late(&r->arena, r->request.domain);
}

static void on_extra(void *arg)
{
	struct check_run *r = arg;

	r->extra_done = true;
	if (r->env->web != NULL && check_extra_announces_sts(r->extra))
		r->fetch = check_sts_fetch(r->env->loop, r->env->resolver, r->env->web,
					   r->request.domain, r->options->timeout, &fetch_ops, r);
	if (r->fetch != NULL)
		fetch_runs(r);
	clock_stand(r);
	finish_if_all(r);
}

/* --- name servers one by one ------------------------------------------------------------------ */

static void on_walk_begun(void *arg)
{
	struct check_run *r = arg;

	r->walk_runs = true;
	clock_run(r);
}

static void on_walked(void *arg, struct check_servers *const *servers, size_t n)
{
	struct check_run *r = arg;

	r->walk = NULL;
	r->n_servers = n;
	for (size_t i = 0; i < n; i++) {
		r->servers[i] = servers[i];
		if (r->options->at != 0) /* by then they are renewed or not, which nobody knows */
			servers[i]->signatures_end = 0;
	}
	if (r->walk_runs)
		clock_stand(r);
	finish_if_all(r);
}

static const struct check_walk_ops walk_ops = {.begun = on_walk_begun, .done = on_walked};

static void walk_give_up(struct check_run *r)
{
	if (r->walk == NULL)
		return;
	if (r->walk_runs)
		clock_stand(r);
	r->walk = check_walks_cancel(r->walk);
	r->servers[r->n_servers++] =
		check_servers_unfinished("The time for the whole domain is over");
}

/* --- one address ------------------------------------------------------------------------------ */

static void ask(struct lane *l);

/* `whole`: the session came to its end, so there is something to judge. */
static void record(struct lane *l, const struct check_facts *facts, bool whole)
{
	struct check_run *r = l->run;
	struct check_probe *p = l->probes[l->key];

	p->done = true;
	p->report = check_report_copy(&r->arena, &facts->report);
	tls_chain_free(p->chain); /* of a handshake that failed by the stricter rules: none */
	p->chain = tls_chain_copy(facts->chain);
	if (whole)
		check_judge(r->env->tls, p, r->options->at, &r->arena);
}

/*
 * The kinds of key beyond the one that the server chose first: only where DANE covers them, and
 * only if the first session got as far as a certificate.
 */
static void plan_more(struct lane *l)
{
	const struct check_probe *first = l->probes[TLS_KEY_ANY];
	enum tls_key_type chosen = TLS_KEY_ANY;
	bool wanted = l->host->level == DANE_LEVEL_DANE && !l->run->options->only_dane &&
		      first->chain != NULL;
	struct arena a = {0};

	if (first->chain != NULL)
		chosen = tls_chain_facts(first->chain, 0, &a).key_type;
	for (int key = TLS_KEY_RSA; key < KEY_TYPES; key++)
		if (!wanted || key == (int)chosen)
			l->probes[key] = NULL;
	arena_done(&a);
}

static void lane_done(struct check_run *r)
{
	r->n_done++;
	finish_if_all(r);
}

/* After a session: the laxer rules, the next kind of key, or the end of this address. */
static void next(struct lane *l)
{
	const struct check_probe *p = l->probes[l->key];

	if (!l->lax && check_judge_wants_lax(l->host, &p->report)) {
		l->lax = true;
		ask(l);
		return;
	}
	if (l->key == TLS_KEY_ANY)
		plan_more(l);
	do
		l->key++;
	while (l->key < KEY_TYPES && l->probes[l->key] == NULL);
	if (l->key < KEY_TYPES)
		ask(l);
	else
		lane_done(l->run);
}

static void on_begun(void *arg)
{
	struct lane *l = arg;

	l->running = true;
	clock_run(l->run);
}

static void stop_running(struct lane *l)
{
	if (l->running)
		clock_stand(l->run);
	l->running = false;
}

static void on_facts(void *arg, const struct check_facts *facts)
{
	struct lane *l = arg;

	l->wait = NULL;
	stop_running(l);
	record(l, facts, true);
	next(l);
}

static const struct check_wait_ops ops = {.begun = on_begun, .done = on_facts};

static void ask(struct lane *l)
{
	struct check_run *r = l->run;
	const struct check_ask question = {
		.address = l->address,
		.port = r->request.port,
		/* P4; behind `may` there is no base domain. */
		.name = l->host->tlsa_base != NULL ? l->host->tlsa_base : l->host->name,
		.key = (enum tls_key_type)l->key,
		.lax = l->lax,
	};

	l->wait = check_pool_ask(r->env->pool, &question, &ops, l);
}

/* --- the decision ----------------------------------------------------------------------------- */

static size_t count_addresses(const struct dane_decision *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_hosts; i++)
		if (d->hosts[i].level != DANE_LEVEL_UNREACHABLE)
			n += d->hosts[i].n_addresses;
	return n < CHECK_ADDRESSES_MAX ? n : CHECK_ADDRESSES_MAX;
}

static void add_lane(struct check_run *r, const struct dane_host *h, const char *address)
{
	struct lane *l = &r->lanes[r->n_lanes++];

	l->run = r;
	l->host = h;
	l->address = address;
	for (int key = TLS_KEY_ANY; key < KEY_TYPES; key++) {
		struct check_probe *p = &r->probes[r->n_probes++];

		*p = (struct check_probe){
			.host = h, .address = address, .key = (enum tls_key_type)key};
		l->probes[key] = p;
	}
}

static void on_decision(void *arg, struct dane_decider *d)
{
	struct check_run *r = arg;
	const struct dane_decision *decision = dane_decider_result(d);
	size_t n = count_addresses(decision);

	r->decider = d;
	if (r->ended)
		return;
	r->lanes = arena_calloc(&r->arena, n, sizeof(*r->lanes));
	r->probes = arena_calloc(&r->arena, n * KEY_TYPES, sizeof(*r->probes));
	for (size_t i = 0; i < decision->n_hosts; i++) {
		const struct dane_host *h = &decision->hosts[i];

		if (h->level == DANE_LEVEL_UNREACHABLE)
			continue;
		for (size_t k = 0; k < h->n_addresses && r->n_lanes < n; k++)
			add_lane(r, h, h->addresses[k]);
	}
	for (size_t i = 0; i < r->n_lanes; i++)
		ask(&r->lanes[i]);
	if (r->options->only_dane) {
		on_extra(r); /* nothing further: the clock stands as it would after the answers */
		return;
	}
	/* The clock runs on for these questions. */
	r->extra = check_extra_new(r->env->loop, r->env->resolver, d, on_extra, r);
}

/* What a lane waits for when time is over counts as not answered: "don't know", never "none". */
static void give_up(struct lane *l)
{
	static const char too_late[] = "the time for the whole domain is over";
	struct check_facts facts = {.report.connect_error = too_late};
	struct smtp_report *r = &facts.report.smtp;

	if (check_pool_peek(l->wait, &facts)) {
		r->end = SMTP_END_TIMEOUT;
		r->text = arena_printf(&l->run->arena,
				       r->stage == SMTP_STAGE_GREETING
					       ? "%s, and no %s has come from the server"
					       : "%s, and the session is still at %s",
				       too_late, smtp_stage_to_string(r->stage));
		if (!facts.report.connected)
			facts.report.connect_error =
				"the time for the whole domain is over, and the server has "
				"not taken the connection";
	}
	record(l, &facts, false);
	stop_running(l);
	l->wait = check_pool_cancel(l->wait);
}

static void on_deadline(void *arg)
{
	struct check_run *r = arg;

	if (r->decider == NULL)
		return; /* the decision's own deadline comes first; this one is not reached */
	r->n_running++; /* the clock is not set again */
	for (size_t i = 0; i < r->n_lanes; i++)
		if (r->lanes[i].wait != NULL)
			give_up(&r->lanes[i]);
	walk_give_up(r);
	fetch_give_up(r);
	finish(r);
}

/* --- life ------------------------------------------------------------------------------------- */

struct check_run *check_run_new(const struct check_env *env, const struct check_options *o,
				const char *domain, check_run_fn *fn, void *arg)
{
	struct check_run *r = xcalloc(1, sizeof(*r));

	r->env = env;
	r->options = o;
	r->fn = fn;
	r->arg = arg;
	check_tree_init(&r->tree, domain);
	r->request = (struct dane_request){
		.domain = r->tree.root.subject,
		.hop = DANE_HOP_DOMAIN,
		.next_hop = r->tree.root.subject,
		.port = 25,
		.half_dane = true, /* what stands behind an unsigned MX is looked at too */
		.own_name = o->own_name,
	};
	r->began = io_now(env->loop);
	r->left = o->timeout;
	r->deadline = io_timer_new(env->loop, on_deadline, r);
	r->end = io_timer_new(env->loop, on_end, r);
	clock_run(r); /* for the decision */
	if (env->walks != NULL && !o->only_dane)
		r->walk = check_walks_ask(env->walks, r->request.domain, &walk_ops, r);
	/* The DNS may take half of the time, so that servers can be tested in the other half. */
	r->decide = probe_decide_new(env->loop, env->resolver, &r->request,
				     usec_add(r->began, o->timeout / 2), on_decision, r);
	return r;
}

struct js *check_run_save(const struct check_run *r)
{
	struct check_view view = view_of(r);

	return check_save(&view);
}

struct check_run *check_run_replay(const struct check_env *env, const struct check_options *o,
				   const struct js *saved, struct err *e)
{
	struct check_run *r = xcalloc(1, sizeof(*r));

	r->env = env;
	r->options = o;
	r->ended = true;
	if (check_restore(saved, &r->saved, e) < 0) {
		check_saved_done(&r->saved);
		free(r);
		return NULL;
	}
	r->decider = r->saved.decider;
	r->probes = r->saved.probes;
	r->n_probes = r->saved.n_probes;
	r->extra = r->saved.extra;
	r->sts = r->saved.sts;
	r->now = r->saved.now;
	check_tree_init(&r->tree, dane_decider_request(r->decider)->domain);
	make_tree(r);
	return r;
}

static void free_live(struct check_run *r)
{
	for (size_t i = 0; i < r->n_lanes; i++)
		check_pool_cancel(r->lanes[i].wait);
	for (size_t i = 0; i < r->n_probes; i++)
		tls_chain_free(r->probes[i].chain);
	check_walks_cancel(r->walk);
	check_sts_cancel(r->fetch);
	for (size_t i = 0; i < r->n_servers; i++)
		check_servers_free(r->servers[i]);
	check_extra_free(r->extra); /* these two point into the decision */
	check_rehearsals_free(r->rehearsals);
	probe_decide_free(r->decide);
	io_timer_free(r->deadline);
	io_timer_free(r->end);
}

struct check_run *check_run_free(struct check_run *r)
{
	if (r == NULL)
		return NULL;
	if (r->saved.decider != NULL)
		check_saved_done(&r->saved);
	else
		free_live(r);
	check_tree_done(&r->tree);
	arena_done(&r->arena);
	free(r);
	return NULL;
}

/* The verdict is taken now: a caller may have extended the tree. */
struct check_result check_run_result(const struct check_run *r)
{
	struct check_result result = r->result;

	result.verdict = check_tree_verdict(&r->tree);
	return result;
}

struct check_tree *check_run_tree_to_extend(struct check_run *r)
{
	return &r->tree;
}
