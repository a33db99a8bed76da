/* What became of a parcel: into the store, the log and the counters. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/js.h"
#include "edge/io/log.h"
#include "jobs/send/notice.h"
#include "jobs/send/queue_internal.h"

/* -------- words */

static const struct send_fact *fact_of(const struct send_parcel *p, size_t attempt)
{
	const struct send_fact *f = p->facts;

	while (f != NULL && f->attempt != attempt)
		f = f->next;
	return f;
}

/* The detail of one that stays, with how the server was reached. */
static const char *detail_of(struct send_parcel *p, const struct send_envelope *v)
{
	const struct send_fact *f = fact_of(p, v->answered_in);

	if (f == NULL)
		return v->out->detail;
	return arena_printf(&p->arena, "%s (level %s, %s%s%s)", v->out->detail,
			    dane_level_to_string(f->level), f->tls != NULL ? f->tls : "in clear",
			    f->matched != NULL ? ", matched " : "",
			    f->matched != NULL ? f->matched : "");
}

static struct js *host_evidence(const struct dane_host *h)
{
	struct js *v = js_object(), *records;

	js_set_text(v, "host", h->name);
	js_set_text(v, "level", dane_level_to_string(h->level));
	js_set_text(v, "reason", h->reason);
	if (h->tlsa_base == NULL)
		return v;
	js_set_text(v, "tlsa_base", h->tlsa_base);
	records = js_array();
	for (size_t i = 0; i < h->n_records && i < 8; i++) {
		struct arena a = {0};

		js_push_text(records, dane_tlsa_to_text(&a, &h->records[i].tlsa));
		arena_done(&a);
	}
	js_set(v, "tlsa", records);
	return v;
}

/* What the decision rests on, in a line of JSON; only its head where that would be long. */
static const char *evidence_of(struct send_parcel *p, const struct dane_decision *d)
{
	size_t n_hosts = d->n_hosts < 5 ? d->n_hosts : 5;
	struct js *v = js_object(), *hosts = js_array();
	_cleanup_(freep) char *line = NULL;
	const char *text;

	js_set_text(v, "outcome", dane_outcome_to_string(d->outcome));
	js_set_text(v, "detail", d->detail);
	js_set_text(v, "mx", dane_security_to_string(d->mx_security));
	for (size_t i = 0; i < n_hosts; i++)
		js_push(hosts, host_evidence(&d->hosts[i]));
	js_set_int(v, "n_hosts", (int64_t)d->n_hosts);
	js_set(v, "hosts", hosts);
	line = js_line(v);
	if (strlen(line) > QUEUE_EVIDENCE_MAX) {
		free(TAKE(line));
		js_set_null(v, "hosts");
		line = js_line(v);
	}
	text = strlen(line) <= QUEUE_EVIDENCE_MAX ? arena_strdup(&p->arena, line) : NULL;
	js_free(v);
	return text;
}

static void log_recipient(const struct send_parcel *p, const struct send_envelope *v)
{
	const struct send_fact *f = fact_of(p, v->answered_in);
	const struct send_recipient *r = v->out;
	usec_t delay = (io_unix_now() - p->stored.message.arrived) / 1000;

	IO_LOG(r->outcome == SEND_FAILED ? IO_LOG_WARNING : IO_LOG_INFO, p->stored.message.id.text,
	       send_outcome_to_string(r->outcome), {"to", r->address->path}, {"hop", p->lane->hop},
	       {"host", f != NULL ? f->where : NULL},
	       {"level", f != NULL ? dane_level_to_string(f->level) : NULL},
	       {"tls", f != NULL ? f->tls : NULL}, {"matched", f != NULL ? f->matched : NULL},
	       {"status", r->status}, {"reply", r->reply},
	       {"detail", r->reply == NULL ? r->detail : NULL}, {"delay_ms", IO_LOG_NUMBER(delay)});
}

/* -------- counters */

static void count_one(const struct send_parcel *p, const struct send_envelope *v)
{
	struct send_queue_stats *s = &p->queue->stats;
	const struct send_fact *f = fact_of(p, v->answered_in);
	const struct send_recipient *r = v->out;

	s->delivered += r->outcome == SEND_DELIVERED;
	s->deferred += r->outcome == SEND_DEFERRED;
	s->failed += r->outcome == SEND_FAILED;
	if (r->outcome == SEND_DELIVERED && f != NULL && f->level < DANE_LEVEL_UNREACHABLE)
		s->by_level[f->level]++;
	/* "4.7.321" to "5.7.325" */
	if (r->outcome != SEND_DELIVERED && strncmp(r->status + 1, ".7.32", 5) == 0 &&
	    r->status[6] >= '1' && r->status[6] <= '5')
		s->dane[r->status[6] - '1']++;
}

static const struct send_envelope *envelope_of(const struct send_parcel *p, size_t outcome)
{
	size_t recipient = p->outcomes[outcome].recipient, k = outcome;

	/* Both in ascending order, some envelopes perhaps without an outcome. */
	while (p->index[k] != recipient)
		k++;
	return &p->envelopes[k];
}

static void tell(const struct send_parcel *p)
{
	for (size_t i = 0; i < p->completion.n_outcomes; i++) {
		count_one(p, envelope_of(p, i));
		log_recipient(p, envelope_of(p, i));
	}
}

/* -------- the record */

static void record(struct send_parcel *p);

static void on_again(void *arg)
{
	record(arg);
}

static void done(struct send_parcel *p, bool recorded)
{
	struct send_queue *q = p->queue;
	struct send_lane *l = p->lane;

	if (q->env.attempted != NULL)
		q->env.attempted(q->env.arg, &p->stored, recorded);
	l->n_settling--;
	send_parcel_free(p);
	send_lane_feed(l);
	send_lanes_feed_hungry(q);
	send_queue_check_stopped(q);
}

static void try_later(struct send_parcel *p, int result)
{
	struct send_queue *q = p->queue;

	IO_LOG(IO_LOG_ERROR, p->stored.message.id.text, "not_recorded", {"hop", p->lane->hop},
	       {"why", strerror(-result)});
	send_queue_unrecorded(p);
	if (p->again == NULL)
		p->again = io_timer_new(q->env.loop, on_again, p);
	io_timer_set(p->again, usec_add(io_now(q->env.loop), usec_seconds(QUEUE_RETRY_S)));
}

static void on_recorded(void *arg, int result)
{
	struct send_parcel *p = arg;

	p->recording = 0;
	if (result >= 0) {
		send_queue_recorded(p);
		tell(p);
		if (p->with_notice)
			send_queue_wake(p->queue);
		done(p, true);
	} else if (result != -ESTALE) {
		try_later(p, result);
	} else if (p->stored.fence != p->completion.fence) {
		/* Claimed again by ourselves meanwhile. */
		record(p);
	} else {
		p->queue->stats.leases_lost++;
		IO_LOG(IO_LOG_WARNING, p->stored.message.id.text, "lease_lost",
		       {"hop", p->lane->hop});
		done(p, false);
	}
}

static void complete(struct send_parcel *p, const struct store_message *notice,
		     struct store_body *body)
{
	p->with_notice = notice != NULL;
	p->completion.fence = p->stored.fence;
	p->recording =
		store_complete(p->queue->env.store, &p->completion, notice, body, on_recorded, p);
}

static void on_notice(void *arg, int result, const struct store_message *m, struct store_body *body)
{
	struct send_parcel *p = arg;

	if (result < 0)
		try_later(p, result);
	else
		complete(p, m, body);
}

/* What the notice tells of each outcome's server. */
static const struct send_notice_fact *notice_facts(struct send_parcel *p)
{
	size_t n = p->completion.n_outcomes;
	struct send_notice_fact *list = arena_calloc(&p->arena, n, sizeof(*list));

	for (size_t i = 0; i < n; i++) {
		const struct send_fact *f = fact_of(p, envelope_of(p, i)->answered_in);

		if (f != NULL)
			list[i] = (struct send_notice_fact){
				.remote = f->remote, .dsn = f->dsn, .mailbox = f->lmtp};
	}
	return list;
}

/* Whether the client that brought it still waits, and hears that all of it has failed. */
static bool pass_on(struct send_parcel *p)
{
	const struct send_queue_env *env = &p->queue->env;

	if (env->refused == NULL || p->stored.attempts > 0 ||
	    p->completion.n_outcomes < p->stored.message.n_recipients)
		return false;
	for (size_t i = 0; i < p->completion.n_outcomes; i++)
		if (p->outcomes[i].state != STORE_FAILED)
			return false;
	return env->refused(env->arg, &p->stored, p->outcomes, p->completion.n_outcomes);
}

/* With the notice that is due, or without; from the start each time, for a body is gone once it
 * was handed over. */
static void record(struct send_parcel *p)
{
	const struct send_queue_settings *s = &p->queue->settings;
	struct send_notice_env env = {
		.store = p->queue->env.store,
		.gate = &p->queue->notices,
		.settings = {.hostname = s->hostname != NULL ? s->hostname : s->helo.text,
			     .postmaster = s->postmaster,
			     .delay_notice = s->delay_notice,
			     .full_max = SEND_QUEUE_NOTICE_FULL}};
	struct send_notice_attempt a = {.parcel = &p->stored,
					.outcomes = p->outcomes,
					.facts = notice_facts(p),
					.n_outcomes = p->completion.n_outcomes,
					.now = p->completion.now,
					.retry_until = p->retry_until};

	p->notice = send_notice_free(p->notice);
	/* Once passed on it stays so: the client may have gone meanwhile, and comes again. */
	p->passed_on = p->passed_on || pass_on(p);
	if (!p->passed_on)
		p->notice = send_notice_new(&env, &a, on_notice, p);
	if (p->notice == NULL)
		complete(p, NULL, NULL);
}

static enum store_state state_of(enum send_outcome o)
{
	switch (o) {
	case SEND_DELIVERED:
		return STORE_DELIVERED;
	case SEND_FAILED:
		return STORE_FAILED;
	case SEND_DEFERRED:
	case SEND_SKIPPED:
		break;
	}
	return STORE_OPEN;
}

/* Its time is over: what was temporary is final now (Q8). Returns when it will be, else. */
static usec_t give_up_if_over(struct send_parcel *p, struct send_envelope *v, usec_t now)
{
	struct send_queue *q = p->queue;
	struct send_recipient *r = v->out;
	bool dane = send_status_is_dane(r->status);
	usec_t end = send_schedule_end(&q->schedule, p->stored.message.arrived, dane);

	if (now < end)
		return end;
	r->outcome = SEND_FAILED;
	r->detail = arena_printf(
		&p->arena, "given up after %lld hours: %s",
		(long long)((now - p->stored.message.arrived) / usec_seconds(3600)), r->detail);
	r->status = dane ? arena_printf(&p->arena, "5%s", r->status + 1) : "5.4.7";
	return USEC_NEVER;
}

static void add_outcome(struct send_parcel *p, const struct send_envelope *v)
{
	struct store_outcome *o = &p->outcomes[p->completion.n_outcomes++];
	const struct send_recipient *r = v->out;

	*o = (struct store_outcome){.recipient = p->index[v - p->envelopes],
				    .state = state_of(r->outcome),
				    .status = r->status,
				    .reply = r->reply,
				    .detail = r->detail};
}

static void begin_completion(struct send_parcel *p, usec_t now)
{
	p->state = PARCEL_SETTLING;
	p->outcomes = arena_calloc(&p->arena, p->n, sizeof(*p->outcomes));
	p->completion = (struct store_completion){
		.key = p->stored.key, .now = now, .due = now, .outcomes = p->outcomes};
}

void send_parcel_settle(struct send_parcel *p)
{
	struct send_queue *q = p->queue;
	const struct send_choice *c = p->lane->choice;
	usec_t now = io_unix_now(), end = USEC_NEVER;
	bool open = false;

	begin_completion(p, now);
	for (size_t i = 0; i < p->n; i++) {
		struct send_envelope *v = &p->envelopes[i];

		if (v->out->outcome == SEND_DEFERRED)
			end = usec_min(end, give_up_if_over(p, v, now));
		open = open || v->out->outcome == SEND_DEFERRED;
	}
	for (size_t i = 0; i < p->n; i++) {
		struct send_envelope *v = &p->envelopes[i];

		if (open || v->out->outcome == SEND_FAILED)
			v->out->detail = detail_of(p, v);
		add_outcome(p, v);
	}
	p->retry_until = end;
	if (open) {
		p->completion.due = send_schedule_next(&q->schedule, p->stored.attempts + 1, now,
						       end, send_queue_dice());
		if (p->due_at_most > 0)
			p->completion.due = usec_min(p->completion.due, p->due_at_most);
		if (c != NULL && c->decision != NULL)
			p->completion.evidence = evidence_of(p, c->decision);
		send_queue_due(q, p->completion.due);
	}
	record(p);
}

void send_parcel_settle_all(struct send_parcel *p, enum send_outcome outcome, const char *status,
			    const char *detail)
{
	status = arena_strdup(&p->arena, status);
	detail = arena_strdup(&p->arena, detail);
	for (size_t i = 0; i < p->n; i++)
		send_envelope_set(&p->envelopes[i], outcome, status, NULL, detail, true);
	send_parcel_settle(p);
}

void send_parcel_settle_part(struct send_parcel *p)
{
	begin_completion(p, io_unix_now());
	for (size_t i = 0; i < p->n; i++)
		if (p->envelopes[i].answered_in > 0)
			add_outcome(p, &p->envelopes[i]);
	record(p);
}
