#include "jobs/check/run.h"

#include <string.h>

#include "jobs/check/save.h"
#include "jobs/probe/decide.h"

/* One address of one host: its sessions follow one another, so that no server feels attacked. */
struct lane {
	struct check_run *run;
	const struct dane_host *host;
	const char *address;
	struct probe_session *session;
	struct probe_target target;
	struct check_probe *probes[4]; /* by enum tls_key_type; NULL: not wanted */
	int key;                       /* of the session under way */
	struct io_timer *step;
	bool begun, done;
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
	size_t n_lanes, n_active, n_done;
	struct check_extra *extra;
	struct check_rehearsals *rehearsals;
	bool extra_done, rehearsed;
	struct check_probe *probes;
	size_t n_probes;
	struct io_timer *deadline, *end;
	bool ended;
	struct check_tree tree;
	int64_t now;              /* Unix seconds at which dates were judged */
	struct check_saved saved; /* of a replay: what the above points to */
};

static void begin_lanes(struct check_run *r);

/* --- the end ---------------------------------------------------------------------------------- */

static struct check_view view_of(const struct check_run *r)
{
	struct check_view view = {
		.request = dane_decider_request(r->decider),
		.decision = dane_decider_result(r->decider),
		.decider = r->decider,
		.probes = r->probes,
		.n_probes = r->n_probes,
		.extra = r->extra,
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
}

static void on_end(void *arg)
{
	struct check_run *r = arg;

	r->now = r->options->at != 0 ? r->options->at : io_unix_now() / USEC_PER_SEC;
	make_tree(r);
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

static void on_rehearsed(void *arg);

/* All servers are tested, then --to, and all further questions are answered. */
static void finish_if_all(struct check_run *r)
{
	if (r->n_done < r->n_lanes)
		return;
	if (r->options->inbound != NULL && r->rehearsals == NULL)
		r->rehearsals = check_rehearsals_new(r->env->loop, r->env->tls, r->options->inbound,
						     dane_decider_result(r->decider),
						     r->request.port, on_rehearsed, r);
	if (r->extra_done && (r->options->inbound == NULL || r->rehearsed))
		finish(r);
}

static void on_rehearsed(void *arg)
{
	struct check_run *r = arg;

	r->rehearsed = true;
	finish_if_all(r);
}

static void on_extra(void *arg)
{
	struct check_run *r = arg;

	r->extra_done = true;
	finish_if_all(r);
}

/* --- one address ------------------------------------------------------------------------------ */

static const char *keep(struct check_run *r, const char *text)
{
	return text != NULL ? arena_strdup(&r->arena, text) : NULL;
}

static struct smtp_answer keep_answer(struct check_run *r, struct smtp_answer a)
{
	a.text = keep(r, a.text);
	return a;
}

static void record(struct lane *l)
{
	struct check_run *r = l->run;
	struct check_probe *p = l->probes[l->key];

	p->done = true;
	p->report = probe_session_report(l->session);
	if (p->report.verdict != NULL) {
		p->verdict = *p->report.verdict;
		p->verdict.detail = keep(r, p->verdict.detail);
		p->verdict.name = keep(r, p->verdict.name);
		p->verdict.record.rdata = arena_dup(&r->arena, p->verdict.record.rdata);
		p->verdict.record = dane_tlsa_from_wire(p->verdict.record.rdata);
	}
	p->report.verdict = NULL;
	p->report.connect_error = keep(r, p->report.connect_error);
	p->report.tls_version = keep(r, p->report.tls_version);
	p->report.tls_cipher = keep(r, p->report.tls_cipher);
	p->report.smtp.text = keep(r, p->report.smtp.text);
	p->report.smtp.reply = keep_answer(r, p->report.smtp.reply);
	p->report.smtp.starttls_reply = keep_answer(r, p->report.smtp.starttls_reply);
	p->chain = probe_session_chain(l->session);
}

static void lane_done(struct lane *l)
{
	struct check_run *r = l->run;

	if (l->done)
		return;
	l->done = true;
	r->n_active--;
	r->n_done++;
	begin_lanes(r);
	finish_if_all(r);
}

static void on_ready(void *arg)
{
	struct lane *l = arg;

	probe_session_quit(l->session);
}

static ssize_t no_body(void *arg, void *p, size_t room, bool *ret_last)
{
	(void)arg;
	(void)p;
	(void)room;
	(void)ret_last;
	return -1; /* nothing is sent here */
}

static void on_session_end(void *arg)
{
	struct lane *l = arg;

	record(l);
	io_timer_set(l->step, 0);
}

static const struct probe_session_ops ops = {
	.ready = on_ready, .body = no_body, .end = on_session_end};

static void connect_lane(struct lane *l)
{
	struct check_run *r = l->run;
	const struct dane_host *h = l->host;

	l->target = (struct probe_target){
		.host = h->name,
		.address = l->address,
		.port = r->request.port,
		.level = h->level,
		.key = (enum tls_key_type)l->key,
		.dane = h->level == DANE_LEVEL_MAY ? NULL : h,
		.helo = r->options->helo,
		.connect_timeout = r->options->connect_timeout,
		.time = r->options->at,
	};
	l->session = probe_session_new(r->env->loop, r->env->tls, &l->target, &ops, l);
}

/*
 * The kinds of key beyond the one that the server chose first: only where DANE covers them, and
 * only if the first session got as far as a certificate.
 */
static void plan_more(struct lane *l)
{
	const struct check_probe *first = l->probes[TLS_KEY_ANY];
	enum tls_key_type chosen = TLS_KEY_ANY;
	struct arena a = {0};

	if (first->chain != NULL)
		chosen = tls_chain_facts(first->chain, 0, &a).key_type;
	for (int key = TLS_KEY_RSA; key <= TLS_KEY_EDDSA; key++)
		if (l->host->level != DANE_LEVEL_DANE || first->chain == NULL || key == (int)chosen)
			l->probes[key] = NULL;
	arena_done(&a);
}

/* After a session: the next kind of key, or the end of this address. */
static void on_step(void *arg)
{
	struct lane *l = arg;

	if (l->session != NULL && l->key == TLS_KEY_ANY)
		plan_more(l);
	l->session = probe_session_free(l->session);
	do
		l->key++;
	while (l->key <= TLS_KEY_EDDSA && l->probes[l->key] == NULL);
	if (l->key > TLS_KEY_EDDSA)
		lane_done(l);
	else
		connect_lane(l);
}

static void begin_lanes(struct check_run *r)
{
	for (size_t i = 0; i < r->n_lanes && r->n_active < CHECK_SESSIONS_ACTIVE; i++) {
		struct lane *l = &r->lanes[i];

		if (l->begun)
			continue;
		l->begun = true;
		r->n_active++;
		l->key = TLS_KEY_ANY;
		connect_lane(l);
	}
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
	l->step = io_timer_new(r->env->loop, on_step, l);
	for (int key = TLS_KEY_ANY; key <= TLS_KEY_EDDSA; key++) {
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
	r->probes = arena_calloc(&r->arena, n * 4, sizeof(*r->probes));
	for (size_t i = 0; i < decision->n_hosts; i++) {
		const struct dane_host *h = &decision->hosts[i];

		if (h->level == DANE_LEVEL_UNREACHABLE)
			continue;
		for (size_t k = 0; k < h->n_addresses && r->n_lanes < n; k++)
			add_lane(r, h, h->addresses[k]);
	}
	r->extra = check_extra_new(r->env->loop, r->env->resolver, d, on_extra, r);
	begin_lanes(r);
}

/* Time is over: what is under way counts as not answered. */
static void on_deadline(void *arg)
{
	struct check_run *r = arg;

	for (size_t i = 0; i < r->n_lanes; i++) {
		struct lane *l = &r->lanes[i];

		if (l->done || l->session == NULL)
			continue;
		if (!l->probes[l->key]->done)
			probe_session_give_up(l->session);
		io_timer_set(l->step, USEC_NEVER);
	}
	finish(r);
}

/* --- life ------------------------------------------------------------------------------------- */

struct check_run *check_run_new(const struct check_env *env, const struct check_options *o,
				const char *domain, check_run_fn *fn, void *arg)
{
	struct check_run *r = xcalloc(1, sizeof(*r));
	usec_t until = usec_add(io_now(env->loop), o->timeout);

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
	r->deadline = io_timer_new(env->loop, on_deadline, r);
	r->end = io_timer_new(env->loop, on_end, r);
	io_timer_set(r->deadline, until);
	/* The DNS may take half of the time, so that servers can be tested in the other half. */
	r->decide = probe_decide_new(env->loop, env->resolver, &r->request,
				     usec_add(io_now(env->loop), o->timeout / 2), on_decision, r);
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
	r->now = r->saved.now;
	check_tree_init(&r->tree, dane_decider_request(r->decider)->domain);
	make_tree(r);
	return r;
}

struct check_run *check_run_free(struct check_run *r)
{
	if (r == NULL)
		return NULL;
	if (r->saved.decider != NULL) {
		check_saved_done(&r->saved);
		check_tree_done(&r->tree);
		free(r);
		return NULL;
	}
	for (size_t i = 0; i < r->n_lanes; i++) {
		probe_session_free(r->lanes[i].session);
		io_timer_free(r->lanes[i].step);
	}
	for (size_t i = 0; i < r->n_probes; i++)
		tls_chain_free(r->probes[i].chain);
	check_extra_free(r->extra); /* these two point into the decision */
	check_rehearsals_free(r->rehearsals);
	probe_decide_free(r->decide);
	io_timer_free(r->deadline);
	io_timer_free(r->end);
	check_tree_done(&r->tree);
	arena_done(&r->arena);
	free(r);
	return NULL;
}

const struct check_tree *check_run_tree(const struct check_run *r)
{
	return &r->tree;
}

struct check_tree *check_run_tree_to_extend(struct check_run *r)
{
	return &r->tree;
}

enum check_verdict check_run_verdict(const struct check_run *r)
{
	return check_tree_verdict(&r->tree);
}

struct js *check_run_json(const struct check_run *r)
{
	struct js *v = js_object();

	js_set_text(v, "domain", r->tree.root.subject);
	js_set_text(v, "verdict", check_verdict_to_string(check_run_verdict(r)));
	js_set(v, "checks", check_tree_json(&r->tree));
	return v;
}
