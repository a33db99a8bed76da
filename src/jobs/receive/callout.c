#include "jobs/receive/callout.h"

#include <string.h>

#include "jobs/probe/decide.h"
#include "jobs/probe/session.h"

struct receive_callout {
	const struct receive_env *env;
	struct arena arena;
	struct receive_behind behind;
	struct mail_address from, to;
	struct dane_request request;
	struct probe_decide *decide;
	const struct dane_decision *decision;
	/* Where it stands in the decision, and what it tries. */
	size_t host, address, n_tried;
	struct probe_target target;
	struct probe_session *session;
	struct io_timer *timer; /* the limit of all; at once, for the next step */
	bool again;             /* the timer is for the next step */
	usec_t deadline;
	bool over;
	receive_callout_fn *fn;
	void *arg;
};

static void answer(struct receive_callout *c, enum receive_answer a, struct smtp_status status)
{
	if (c->over)
		return;
	c->over = true;
	io_timer_set(c->timer, USEC_NEVER);
	c->fn(c->arg, a, status);
}

static void later(struct receive_callout *c)
{
	answer(c, RECEIVE_ANSWER_LATER, (struct smtp_status){0});
}

/* Not from within the session's own call: that frees it. */
static void go_on_later(struct receive_callout *c)
{
	c->again = true;
	io_timer_set(c->timer, 0);
}

/* --- the session ------------------------------------------------------------------------------ */

static void on_ready(void *arg)
{
	struct receive_callout *c = arg;
	struct smtp_mail mail = {.from = &c->from, .to = &c->to, .n_to = 1, .rehearsal = true};

	if (probe_session_result(c->session) != NULL || probe_session_mail(c->session, &mail) < 0)
		probe_session_quit(c->session);
}

static ssize_t no_body(void *arg, void *p, size_t room, bool *ret_last)
{
	(void)arg;
	(void)p;
	(void)room;
	(void)ret_last;
	return -1; /* a rehearsal never asks */
}

/* Only what is said of the recipient counts: a refused MAIL FROM:<> says nothing of it. */
static bool is_no(const struct smtp_recipient *r)
{
	return r->fate == SMTP_FATE_FAILED &&
	       (r->reason != SMTP_REASON_REPLY || r->stage == SMTP_STAGE_RCPT);
}

static void on_end(void *arg)
{
	struct receive_callout *c = arg;
	const struct smtp_result *result = probe_session_result(c->session);
	const struct smtp_recipient *r =
		result != NULL && result->n_recipients > 0 ? &result->recipients[0] : NULL;
	struct probe_report report = probe_session_report(c->session);

	if (c->over) { /* the time was up before */
		return;
	} else if (r != NULL && r->fate == SMTP_FATE_ACCEPTED) {
		answer(c, RECEIVE_ANSWER_YES, r->status);
	} else if (r != NULL && is_no(r)) {
		answer(c, RECEIVE_ANSWER_NO, r->status);
	} else if (r != NULL && r->fate == SMTP_FATE_DEFERRED && r->reason == SMTP_REASON_REPLY) {
		later(c); /* its word holds for its other addresses, too */
	} else {
		/* RFC 7672 section 2.2: at `may` a failed handshake permits one try in clear. */
		c->target.clear = c->target.level == DANE_LEVEL_MAY && !c->target.clear &&
				  report.smtp.retry_in_clear;
		go_on_later(c);
	}
}

static const struct probe_session_ops ops = {.ready = on_ready, .body = no_body, .end = on_end};

static void connect_to(struct receive_callout *c)
{
	c->session = probe_session_free(c->session);
	c->session = probe_session_new(c->env->loop, c->env->tls, &c->target, &ops, c);
}

static enum dane_level level_of(const struct receive_callout *c, const struct dane_host *h)
{
	if (c->behind.tls == RECEIVE_BEHIND_ENCRYPT && h->level == DANE_LEVEL_MAY)
		return DANE_LEVEL_ENCRYPT;
	return h->level;
}

/* The next address of the best host that can be reached. */
static const struct dane_host *next_address(struct receive_callout *c, const char **ret)
{
	const struct dane_decision *d = c->decision;

	for (; c->host < d->n_hosts; c->host++, c->address = 0) {
		const struct dane_host *h = &d->hosts[c->host];

		if (h->level == DANE_LEVEL_UNREACHABLE || c->address == h->n_addresses)
			continue;
		*ret = h->addresses[c->address++];
		return h;
	}
	return NULL;
}

static void try_next(struct receive_callout *c)
{
	const struct dane_host *h;
	const char *address;

	if (c->n_tried++ == RECEIVE_CALLOUT_ADDRESSES || (h = next_address(c, &address)) == NULL) {
		later(c);
		return;
	}
	c->target = (struct probe_target){
		.host = h->name,
		.address = address,
		.port = c->behind.port,
		.lmtp = c->behind.lmtp,
		.level = level_of(c, h),
		.clear = c->behind.tls == RECEIVE_BEHIND_CLEAR,
		.helo = c->env->helo,
		.connect_timeout = usec_seconds(RECEIVE_CALLOUT_SECONDS / 2),
	};
	if (c->target.level != DANE_LEVEL_MAY)
		c->target.dane = h;
	connect_to(c);
}

/* --- the decision ----------------------------------------------------------------------------- */

static void on_decision(void *arg, struct dane_decider *d)
{
	struct receive_callout *c = arg;

	c->decision = dane_decider_result(d);
	if (!c->over)
		go_on_later(c);
}

static void on_timer(void *arg)
{
	struct receive_callout *c = arg;

	if (!c->again) {
		later(c);
		return;
	}
	c->again = false;
	io_timer_set(c->timer, c->deadline);
	if (c->decision == NULL)
		later(c);
	else if (c->session != NULL && c->target.clear && c->behind.tls != RECEIVE_BEHIND_CLEAR)
		connect_to(c);
	else
		try_next(c);
}

static enum dane_mode mode_of(enum receive_behind_tls tls)
{
	switch (tls) {
	case RECEIVE_BEHIND_CLEAR:
	case RECEIVE_BEHIND_MAY:
	case RECEIVE_BEHIND_ENCRYPT:
		return DANE_MODE_NONE;
	case RECEIVE_BEHIND_DANE:
		return DANE_MODE_OPPORTUNISTIC;
	case RECEIVE_BEHIND_DANE_ONLY:
		return DANE_MODE_MANDATORY;
	}
	return DANE_MODE_MANDATORY;
}

struct receive_callout *receive_callout_new(const struct receive_env *env,
					    const struct receive_behind *behind, const char *domain,
					    const char *path, receive_callout_fn *fn, void *arg)
{
	struct receive_callout *c = xcalloc(1, sizeof(*c));

	c->env = env;
	c->fn = fn;
	c->arg = arg;
	c->behind = *behind;
	c->behind.name = arena_strdup(&c->arena, behind->name);
	c->timer = io_timer_new(env->loop, on_timer, c);
	c->deadline = usec_add(io_now(env->loop), usec_seconds(RECEIVE_CALLOUT_SECONDS));
	if (mail_address_parse_reverse(&c->arena, span_of(NULL, 0), &c->from, NULL) < 0 ||
	    mail_address_parse(&c->arena, span_text(path), &c->to, NULL) < 0 ||
	    (env->resolver == NULL && behind->hop != DANE_HOP_ADDRESS)) {
		go_on_later(c);
		return c;
	}
	io_timer_set(c->timer, c->deadline);
	c->request = (struct dane_request){
		.domain = arena_strdup(&c->arena, domain),
		.hop = behind->hop,
		.next_hop = c->behind.name,
		.port = behind->port,
		.mode = mode_of(behind->tls),
	};
	c->decide = probe_decide_new(env->loop, env->resolver, &c->request, c->deadline,
				     on_decision, c);
	return c;
}

void receive_callout_give_up(struct receive_callout *c)
{
	later(c);
	c->session = probe_session_free(c->session);
	c->decide = probe_decide_free(c->decide); /* the resolver may go now */
	c->decision = NULL;
}

struct receive_callout *receive_callout_free(struct receive_callout *c)
{
	if (c == NULL)
		return NULL;
	probe_session_free(c->session);
	probe_decide_free(c->decide);
	io_timer_free(c->timer);
	arena_done(&c->arena);
	free(c);
	return NULL;
}
