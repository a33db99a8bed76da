#include "jobs/send/destination.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static void next_address(struct destination *d);

static struct arena *arena(struct destination *d)
{
	return &d->send->arena;
}

/* --- recipients ------------------------------------------------------------------------------- */

static bool all_final(const struct destination *d)
{
	for (size_t i = 0; i < d->n_envelopes; i++)
		if (!d->envelopes[i].final)
			return false;
	return true;
}

static void set_fate(struct envelope *v, enum send_outcome outcome, const char *status,
		     const char *reply, const char *detail, bool final)
{
	v->out->outcome = outcome;
	v->out->status = status;
	v->out->reply = reply;
	v->out->detail = detail;
	v->final = final;
}

static bool is_dane_status(const char *status)
{
	return strncmp(status, "4.7.32", 6) == 0;
}

/* A host or address was of no use: remembered for those that get no reply from any. */
static void note_failure(struct destination *d, const char *status, const char *detail)
{
	for (size_t i = 0; i < d->n_envelopes; i++) {
		struct envelope *v = &d->envelopes[i];

		if (v->final)
			continue;
		if (!is_dane_status(status)) {
			v->other = status;
			v->other_text = detail;
		} else if (v->dane == NULL) {
			v->dane = status;
			v->dane_text = detail;
		}
	}
}

/* The server's reply if one was reached; else the first DANE cause; else the last other one. */
static void defer_the_rest(struct destination *d)
{
	for (size_t i = 0; i < d->n_envelopes; i++) {
		struct envelope *v = &d->envelopes[i];

		if (v->final)
			continue;
		if (v->out->reply != NULL)
			v->final = true;
		else if (v->dane != NULL)
			set_fate(v, SEND_DEFERRED, v->dane, NULL, v->dane_text, true);
		else
			set_fate(v, SEND_DEFERRED, v->other != NULL ? v->other : "4.4.1", NULL,
				 v->other_text != NULL ? v->other_text : "no host answered", true);
	}
}

static void finish(struct destination *d)
{
	defer_the_rest(d);
	d->done = true;
	io_timer_set(d->step, USEC_NEVER);
	send_destination_ended(d);
}

/* --- one transaction -------------------------------------------------------------------------- */

static const char *where(struct destination *d)
{
	if (d->target.dane != NULL || strcmp(d->target.host, d->target.address) != 0)
		return arena_printf(arena(d), "%s[%s]:%u", d->target.host, d->target.address,
				    d->target.port);
	return arena_printf(arena(d), "[%s]:%u", d->target.address, d->target.port);
}

/* A fate that this attempt has brought. */
static void set_answer(const struct destination *d, struct envelope *v, enum send_outcome outcome,
		       const char *status, const char *reply, const char *detail, bool final)
{
	set_fate(v, outcome, status, reply, detail, final);
	v->answered_in = d->n_tried;
}

/* Takes over what the last transaction brought. */
static void take_results(struct destination *d)
{
	const struct smtp_result *r = probe_session_result(d->session);

	for (size_t i = 0; r != NULL && i < d->n_batch; i++) {
		const struct smtp_recipient *one = &r->recipients[i];
		const char *status = send_status(arena(d), one->status, one->fate);
		const char *reply =
			one->answer.code != 0 ? arena_strdup(arena(d), one->answer.text) : NULL;
		const char *detail = arena_printf(
			arena(d), "%s: %s: %s", where(d), smtp_stage_to_string(one->stage),
			reply != NULL ? reply
			: one->reason == SMTP_REASON_TOO_LARGE
				? "the message is larger than this server takes"
			: one->reason == SMTP_REASON_NO_8BITMIME
				? "the message has 8-bit text, and this server does not take it"
			: one->reason == SMTP_REASON_NO_SMTPUTF8
				? "the message needs SMTPUTF8, which this server does not offer"
				: "no answer");

		switch (one->fate) {
		case SMTP_FATE_DELIVERED:
			set_answer(d, d->batch[i], SEND_DELIVERED, status, reply, detail, true);
			break;
		case SMTP_FATE_FAILED:
			set_answer(d, d->batch[i], SEND_FAILED, status, reply, detail, true);
			break;
		case SMTP_FATE_DEFERRED:
			if (one->reason == SMTP_REASON_SESSION && r->maybe_delivered)
				/* Another host would make a second copy likely. */
				set_answer(
					d, d->batch[i], SEND_DEFERRED, "4.4.2", NULL,
					arena_printf(arena(d),
						     "%s: the connection was lost after the end "
						     "of the message: it may have been delivered",
						     where(d)),
					true);
			else if (one->answer.code != 0)
				set_answer(d, d->batch[i], SEND_DEFERRED, status, reply, detail,
					   false);
			break;
		case SMTP_FATE_ACCEPTED:
		case SMTP_FATE_OPEN:
			break;
		}
	}
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

	/* One that this very session has answered with 4xx is not asked again in it. */
	for (size_t i = 0; i < d->n_envelopes && d->n_batch < SEND_BATCH; i++) {
		struct envelope *v = &d->envelopes[i];

		if (v->final || v->tried_in == d->n_tried)
			continue;
		v->tried_in = d->n_tried;
		to[d->n_batch] = *v->out->address;
		d->batch[d->n_batch++] = v;
	}
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

/* What became of the recipients that were tried here: delivered if one was, else deferred first. */
static const struct envelope *answered_best(const struct destination *d)
{
	const struct envelope *best = NULL;

	for (size_t i = 0; i < d->n_envelopes; i++) {
		const struct envelope *v = &d->envelopes[i];

		if (v->answered_in != d->n_tried)
			continue;
		if (best == NULL || v->out->outcome < best->out->outcome)
			best = v;
	}
	return best;
}

/* How the session ended, for the recipients that got no answer in it. */
static struct send_meaning note_end(struct destination *d, const struct probe_report *r,
				    const char **ret_detail)
{
	struct send_meaning m = send_meaning_of(arena(d), r, d->target.level);

	*ret_detail = arena_printf(arena(d), "%s: %s%s%s%s", where(d), m.text,
				   m.reply != NULL ? " (" : "", m.reply != NULL ? m.reply : "",
				   m.reply != NULL ? ")" : "");
	note_failure(d, m.status, *ret_detail);
	return m;
}

static void record_outcome(struct destination *d, const struct probe_report *r)
{
	const struct envelope *best = answered_best(d);
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
		d->attempt->detail = arena_printf(arena(d), "%s: %s", where(d), r.smtp.text);
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

static const struct dane_host *current_host(const struct destination *d)
{
	return &d->decision->hosts[d->order[d->host]];
}

/* IPv6 first, then IPv4; within a family as answered. */
static const char *current_address(const struct destination *d)
{
	const struct dane_host *h = current_host(d);
	size_t n_v4 = 0;

	while (n_v4 < h->n_addresses && strchr(h->addresses[n_v4], ':') == NULL)
		n_v4++;
	return h->addresses[(n_v4 + d->address) % h->n_addresses];
}

static void connect_current(struct destination *d)
{
	const struct dane_host *h = current_host(d);
	struct send *s = d->send;

	d->target = (struct probe_target){
		.host = h->name,
		.address = current_address(d),
		.port = d->request.port,
		.level = h->level,
		.clear = d->clear,
		.dane = h->level == DANE_LEVEL_MAY ? NULL : h,
		.helo = s->options->helo,
		.connect_timeout = s->options->connect_timeout,
	};
	if (!d->clear) {
		d->n_tried++;
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
	note_failure(d, h->proven_absent ? "4.4.4" : h->status, a->detail);
}

/* Goes to the next address that may be connected to; none left: the end. */
static void next_address(struct destination *d)
{
	for (; d->host < d->decision->n_hosts; d->host++, d->address = 0) {
		const struct dane_host *h = current_host(d);

		if (h->level == DANE_LEVEL_UNREACHABLE) {
			skip_host(d, h);
			continue;
		}
		if (d->address < h->n_addresses && d->address < SEND_HOST_ADDRESSES_MAX &&
		    d->n_tried < SEND_ATTEMPTS_MAX) {
			connect_current(d);
			d->address++;
			return;
		}
	}
	finish(d);
}

static void on_step(void *arg)
{
	struct destination *d = arg;

	d->session = probe_session_free(d->session);
	if (all_final(d)) {
		finish(d);
	} else if (d->clear) {
		d->address--;
		connect_current(d);
		d->address++;
	} else {
		next_address(d);
	}
}

/* --- the decision ----------------------------------------------------------------------------- */

static size_t below(size_t n)
{
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		r = 0; /* an order, no secret: any will do, and so will a bias of n / 2^32 */
	return r % n;
}

/* By preference, equals in random order: RFC 5321 section 5.1, M15, M16. */
static void order_hosts(struct destination *d)
{
	const struct dane_decision *r = d->decision;

	d->order = arena_calloc(arena(d), r->n_hosts, sizeof(*d->order));
	for (size_t i = 0; i < r->n_hosts; i++)
		d->order[i] = i;
	for (size_t from = 0, to; from < r->n_hosts; from = to) {
		for (to = from; to < r->n_hosts; to++)
			if (r->hosts[to].preference != r->hosts[from].preference)
				break;
		for (size_t i = to - 1; i > from; i--) {
			size_t k = from + below(i - from + 1), swap = d->order[i];

			d->order[i] = d->order[k];
			d->order[k] = swap;
		}
	}
}

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
		set_fate(&d->envelopes[i], bounce ? SEND_FAILED : SEND_DEFERRED, r->status, NULL,
			 r->detail, true);
	finish(d);
}

static void on_decision(void *arg, struct dane_decider *decider)
{
	struct destination *d = arg;

	if (d->done) /* given up a moment ago */
		return;
	d->decision = dane_decider_result(decider);
	order_hosts(d);
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

	d->batch = arena_calloc(&s->arena, SEND_BATCH, sizeof(struct envelope *));
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
		struct envelope *v = &d->envelopes[i];

		if (v->final)
			continue;
		if (v->out->reply == NULL)
			set_fate(v, SEND_DEFERRED, "4.4.2", NULL,
				 arena_printf(arena(d),
					      "%s%sthe time for the whole delivery is over",
					      d->session != NULL ? where(d) : "",
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
