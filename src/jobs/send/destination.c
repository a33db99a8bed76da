#include "jobs/send/destination.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct arena *arena(struct destination *d)
{
	return &d->send->arena;
}

static void note_failure(struct destination *d, const char *status, const char *detail)
{
	send_envelopes_note_failure(d->envelopes, d->n_envelopes, status, detail);
}

static void finish(struct destination *d)
{
	send_envelopes_defer_the_rest(d->envelopes, d->n_envelopes);
	d->done = true;
	io_timer_set(d->step, USEC_NEVER);
	send_destination_ended(d);
}

/* --- one transaction -------------------------------------------------------------------------- */

/* Takes over what the last transaction brought. */
static void take_results(struct destination *d)
{
	send_envelopes_take(arena(d), send_where(arena(d), &d->target), d->walk.n_tried, d->batch,
			    d->n_batch, probe_session_result(d->session));
	d->n_batch = 0;
}

static void submit_batch(struct destination *d)
{
	const struct send_message *m = d->send->message;
	struct mail_address *to = xcalloc(SEND_BATCH, sizeof(*to));
	struct smtp_mail mail = {.from = m->from,
				 .to = to,
				 .size = m->size,
				 .eightbit = m->eightbit,
				 .smtputf8 = m->smtputf8};

	d->n_batch =
		send_envelopes_batch(d->envelopes, d->n_envelopes, d->walk.n_tried, d->batch, to);
	mail.n_to = d->n_batch;
	d->body_at = 0;
	if (d->n_batch == 0 || probe_session_mail(d->session, &mail) < 0) {
		d->n_batch = 0;
		probe_session_quit(d->session);
	}
	free(to);
}

static void on_session_ready(void *arg)
{
	struct destination *d = arg;

	take_results(d);
	submit_batch(d);
}

static ssize_t on_session_body(void *arg, void *p, size_t room, bool *ret_last)
{
	struct destination *d = arg;
	const struct send_message *m = d->send->message;
	ssize_t n = pread(m->body, p, room, (off_t)d->body_at);

	if (n < 0)
		return -errno;
	d->body_at += (uint64_t)n;
	*ret_last = d->body_at >= m->size || n == 0;
	return n;
}

/* --- the attempt's record --------------------------------------------------------------------- */

static void record_tls(struct destination *d, const struct probe_report *r)
{
	struct send_attempt *a = d->attempt;
	bool match = r->verdict != NULL && r->verdict->kind == TLS_VERDICT_MATCH;

	a->tls = r->tls;
	if (!r->tls)
		return;
	a->version = arena_strdup(arena(d), r->tls_version);
	a->cipher = arena_strdup(arena(d), r->tls_cipher);
	a->authenticated = tls_auth_to_string(match ? r->verdict->auth : TLS_AUTH_NO);
	a->matched = match ? dane_tlsa_to_text(arena(d), &r->verdict->record) : NULL;
}

static const struct send_envelope *answered_best(const struct destination *d)
{
	return send_envelopes_best(d->envelopes, d->n_envelopes, d->walk.n_tried);
}

/* How the session ended, for the recipients that got no answer in it. */
static struct send_meaning note_end(struct destination *d, const struct probe_report *r,
				    const char **ret_detail)
{
	struct send_meaning m = send_meaning_of(arena(d), r, d->target.level);

	*ret_detail = send_meaning_detail(arena(d), send_where(arena(d), &d->target), &m);
	note_failure(d, m.status, *ret_detail);
	return m;
}

static void record_outcome(struct destination *d, const struct probe_report *r)
{
	const struct send_envelope *best = answered_best(d);
	struct send_attempt *a = d->attempt;
	struct send_meaning m;
	const char *detail;

	record_tls(d, r);
	if (d->target.level == DANE_LEVEL_ENCRYPT)
		a->tlsrpt = "tlsa-invalid";
	if (d->target.level != DANE_LEVEL_MAY && r->tls_broken) /* S16: a failure of TLS */
		a->tlsrpt = "validation-failure";
	m = note_end(d, r, &detail);
	if (best != NULL) {
		a->outcome = best->out->outcome;
		a->status = best->out->status;
		a->reply = best->out->reply;
		a->detail = best->out->detail;
		return;
	}
	a->outcome = SEND_DEFERRED;
	a->status = m.status;
	a->reply = m.reply;
	a->tlsrpt = m.tlsrpt != NULL ? m.tlsrpt : a->tlsrpt;
	a->detail = detail;
}

static void on_session_end(void *arg)
{
	struct destination *d = arg;
	struct probe_report r = probe_session_report(d->session);

	take_results(d);
	/* RFC 7672 section 2.2: at `may` a failed handshake permits one more try in clear. */
	d->clear = d->target.level == DANE_LEVEL_MAY && !d->target.clear && r.connected &&
		   r.smtp.retry_in_clear && answered_best(d) == NULL;
	if (d->clear)
		d->attempt->detail = arena_printf(arena(d), "%s: %s",
						  send_where(arena(d), &d->target), r.smtp.text);
	else
		record_outcome(d, &r);
	io_timer_set(d->step, 0);
}

/* --- hosts and addresses ---------------------------------------------------------------------- */

static const struct probe_session_ops session_ops = {
	.ready = on_session_ready,
	.body = on_session_body,
	.end = on_session_end,
};

static void connect_current(struct destination *d)
{
	const struct dane_host *h = d->host;
	struct send *s = d->send;

	d->target = (struct probe_target){
		.host = h->name,
		.address = d->address,
		.port = d->request.port,
		.level = h->level,
		.clear = d->clear,
		.dane = h->level == DANE_LEVEL_MAY ? NULL : h,
		.helo = s->options->helo,
		.connect_timeout = s->options->connect_timeout,
	};
	if (!d->clear) {
		d->attempt = send_attempt_new(s, d, h);
		d->attempt->address = d->target.address;
	}
	d->session = probe_session_new(s->env.loop, s->env.tls, &d->target, &session_ops, d);
}

static void skip_host(struct destination *d, const struct dane_host *h)
{
	struct send_attempt *a = send_attempt_new(d->send, d, h);

	a->outcome = SEND_SKIPPED;
	a->status = h->status;
	a->tlsrpt = h->tlsrpt;
	a->detail = arena_printf(arena(d), "%s: %s", h->name, h->reason);
	note_failure(d, send_skip_status(h), a->detail);
}

/* Goes to the next address that may be connected to; none left: the end. */
static void next_address(struct destination *d)
{
	while ((d->host = send_walk_next(&d->walk, &d->address)) != NULL) {
		if (d->address != NULL) {
			connect_current(d);
			return;
		}
		skip_host(d, d->host);
	}
	finish(d);
}

static void on_step(void *arg)
{
	struct destination *d = arg;

	d->session = probe_session_free(d->session);
	if (send_envelopes_are_final(d->envelopes, d->n_envelopes))
		finish(d);
	else if (d->clear)
		connect_current(d);
	else
		next_address(d);
}

/* --- the decision ----------------------------------------------------------------------------- */

/* The decision ends it without a connection: bounce, or deferred before any host was known. */
static void end_by_decision(struct destination *d)
{
	const struct dane_decision *r = d->decision;
	bool bounce = r->outcome == DANE_OUTCOME_BOUNCE;

	for (size_t i = 0; i < r->n_hosts; i++)
		skip_host(d, &r->hosts[i]);
	if (d->send->result.tlsrpt == NULL)
		d->send->result.tlsrpt = r->tlsrpt;
	for (size_t i = 0; i < d->n_envelopes; i++)
		send_envelope_set(&d->envelopes[i], bounce ? SEND_FAILED : SEND_DEFERRED, r->status,
				  NULL, r->detail, true);
	finish(d);
}

static void on_decision(void *arg, struct dane_decider *decider)
{
	struct destination *d = arg;

	if (d->done) /* given up a moment ago */
		return;
	d->decision = dane_decider_result(decider);
	send_walk_begin(&d->walk, arena(d), d->decision);
	switch (d->decision->outcome) {
	case DANE_OUTCOME_BOUNCE:
	case DANE_OUTCOME_DEFER:
		end_by_decision(d);
		return;
	case DANE_OUTCOME_DANE:
	case DANE_OUTCOME_ENCRYPT:
	case DANE_OUTCOME_MAY:
	case DANE_OUTCOME_MIXED:
		next_address(d);
		return;
	}
}

void send_destination_begin(struct destination *d)
{
	struct send *s = d->send;

	d->batch = arena_calloc(&s->arena, SEND_BATCH, sizeof(struct send_envelope *));
	d->step = io_timer_new(s->env.loop, on_step, d);
	/* Without a deadline of its own: when time is over, send_destination_give_up() says so;
	 * answers that had no time to come are no failed lookups. */
	d->decide = probe_decide_new(s->env.loop, s->env.resolver, &d->request, USEC_NEVER,
				     on_decision, d);
}

void send_destination_give_up(struct destination *d)
{
	if (d->done)
		return;
	if (d->session != NULL)
		probe_session_give_up(d->session);
	for (size_t i = 0; i < d->n_envelopes; i++) {
		struct send_envelope *v = &d->envelopes[i];

		if (v->final)
			continue;
		if (v->out->reply == NULL)
			send_envelope_set(
				v, SEND_DEFERRED, "4.4.2", NULL,
				arena_printf(
					arena(d), "%s%sthe time for the whole delivery is over",
					d->session != NULL ? send_where(arena(d), &d->target) : "",
					d->session != NULL ? ": " : ""),
				true);
		v->final = true;
	}
	finish(d);
}

void send_destination_done(struct destination *d)
{
	d->session = probe_session_free(d->session);
	d->decide = probe_decide_free(d->decide);
	d->step = io_timer_free(d->step);
}
