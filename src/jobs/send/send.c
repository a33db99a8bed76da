#include "jobs/send/send.h"

#include <string.h>

#include "jobs/send/destination.h"

/* --- the result ------------------------------------------------------------------------------- */

/* Deferred if any recipient is, else failed if any is, else delivered. */
static const struct send_recipient *deciding(const struct send *s)
{
	const struct send_recipient *found = &s->recipients[0];

	for (size_t i = 0; i < s->message->n_to; i++) {
		const struct send_recipient *r = &s->recipients[i];

		if (r->outcome == SEND_DEFERRED)
			return r;
		if (r->outcome == SEND_FAILED && found->outcome != SEND_FAILED)
			found = r;
	}
	return found;
}

/* The type that a report would name: of the host that took it, else of the first that failed. */
static const char *overall_tlsrpt(const struct send *s)
{
	const char *type = s->result.tlsrpt;

	for (size_t i = 0; type == NULL && i < s->n_attempts; i++) {
		bool took = s->attempts[i]->outcome == SEND_DELIVERED;

		if (took == (s->result.outcome == SEND_DELIVERED))
			type = s->attempts[i]->tlsrpt;
	}
	return type;
}

static void on_end(void *arg)
{
	struct send *s = arg;
	const struct send_recipient *r = deciding(s);

	s->result.outcome = r->outcome;
	s->result.status = r->status;
	s->result.detail = r->detail;
	s->result.recipients = s->recipients;
	s->result.n_recipients = s->message->n_to;
	s->result.attempts = (const struct send_attempt *const *)s->attempts;
	s->result.n_attempts = s->n_attempts;
	s->result.tlsrpt = overall_tlsrpt(s);
	s->fn(s->arg, &s->result);
}

void send_destination_ended(struct destination *d)
{
	struct send *s = d->send;

	if (--s->n_open > 0)
		return;
	io_timer_set(s->deadline, USEC_NEVER);
	io_timer_set(s->end, 0);
}

struct send_attempt *send_attempt_new(struct send *s, const struct destination *d,
				      const struct dane_host *host)
{
	struct send_attempt *a = arena_alloc(&s->arena, sizeof(*a));

	if (s->n_attempts == s->room) {
		s->room = s->room > 0 ? s->room * 2 : 8;
		s->attempts = xrealloc(s->attempts, s->room * sizeof(struct send_attempt *));
	}
	s->attempts[s->n_attempts++] = a;
	a->domain = d->request.domain;
	a->host = host->name;
	a->port = d->request.port;
	a->level = host->level;
	a->outcome = SEND_DEFERRED;
	a->status = "4.4.2";
	a->detail = "not finished";
	return a;
}

/* --- life ------------------------------------------------------------------------------------- */

static struct destination *destination_for(struct send *s, const struct mail_domain *domain)
{
	struct destination **at = &s->destinations, *d;
	const struct dane_request *wanted = &s->options->request;

	for (; *at != NULL; at = &(*at)->next)
		if (strcmp((*at)->request.domain, domain->text) == 0)
			return *at;
	*at = d = arena_alloc(&s->arena, sizeof(*d));
	d->send = s;
	d->request = *wanted;
	d->request.domain = domain->text;
	if (wanted->next_hop == NULL) {
		d->request.hop =
			domain->kind == MAIL_DOMAIN_NAME ? DANE_HOP_DOMAIN : DANE_HOP_ADDRESS;
		d->request.next_hop = domain->host;
	}
	s->n_open++;
	return d;
}

static void group_recipients(struct send *s)
{
	const struct send_message *m = s->message;

	for (size_t i = 0; i < m->n_to; i++)
		destination_for(s, &m->to[i].domain)->n_envelopes++;
	for (struct destination *d = s->destinations; d != NULL; d = d->next) {
		d->envelopes = arena_calloc(&s->arena, d->n_envelopes, sizeof(*d->envelopes));
		d->n_envelopes = 0;
	}
	for (size_t i = 0; i < m->n_to; i++) {
		struct destination *d = destination_for(s, &m->to[i].domain);

		s->recipients[i].address = &m->to[i];
		d->envelopes[d->n_envelopes++].out = &s->recipients[i];
	}
}

static void on_deadline(void *arg)
{
	struct send *s = arg;

	for (struct destination *d = s->destinations; d != NULL; d = d->next)
		send_destination_give_up(d);
}

struct send *send_new(const struct send_env *env, const struct send_message *m,
		      const struct send_options *o, send_fn *fn, void *arg)
{
	struct send *s = xcalloc(1, sizeof(*s));

	require(m->n_to > 0);
	s->env = *env;
	s->message = m;
	s->options = o;
	s->fn = fn;
	s->arg = arg;
	s->recipients = arena_calloc(&s->arena, m->n_to, sizeof(*s->recipients));
	s->deadline = io_timer_new(env->loop, on_deadline, s);
	s->end = io_timer_new(env->loop, on_end, s);
	io_timer_set(s->deadline, o->deadline);
	group_recipients(s);
	for (struct destination *d = s->destinations; d != NULL; d = d->next)
		send_destination_begin(d);
	return s;
}

struct send *send_free(struct send *s)
{
	if (s == NULL)
		return NULL;
	for (struct destination *d = s->destinations; d != NULL; d = d->next)
		send_destination_done(d);
	io_timer_free(s->deadline);
	io_timer_free(s->end);
	free(s->attempts);
	arena_done(&s->arena);
	free(s);
	return NULL;
}
