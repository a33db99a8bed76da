/* One session of the pool: from the connection to its end. */
#include <errno.h>

#include "jobs/send/pool_internal.h"

/* The one place that changes the state; the place's counts follow. */
static void move_to(struct send_session *s, enum send_session_state next)
{
	struct send_place *p = s->place;

	p->n_open -= s->state <= SESSION_BUSY;
	p->n_connecting -= s->state == SESSION_CONNECTING;
	p->n_idle -= s->state == SESSION_IDLE;
	s->pool->stats.idle -= s->state == SESSION_IDLE;
	s->state = next;
	p->n_open += s->state <= SESSION_BUSY;
	p->n_connecting += s->state == SESSION_CONNECTING;
	p->n_idle += s->state == SESSION_IDLE;
	s->pool->stats.idle += s->state == SESSION_IDLE;
	if (next == SESSION_IDLE)
		s->idle_since = io_now(s->pool->loop);
	if (next != SESSION_BUSY)
		s->user = NULL;
}

/* -------- what it is made for */

/* The pool's own copy: the decision that it comes from may go. */
static void copy_host(struct send_session *s, const struct dane_host *h)
{
	struct dane_record *records = arena_calloc(&s->arena, h->n_records + 1, sizeof(*records));

	s->host = *h;
	s->host.name = arena_strdup(&s->arena, h->name);
	s->host.addresses = NULL;
	s->host.n_addresses = 0;
	s->host.tlsa_base = arena_keep(&s->arena, h->tlsa_base);
	s->host.reason = s->host.status = s->host.tlsrpt = NULL;
	for (size_t i = 0; i < h->n_records; i++) {
		records[i] = h->records[i];
		records[i].tlsa =
			dane_tlsa_from_wire(arena_dup(&s->arena, h->records[i].tlsa.rdata));
	}
	s->host.records = records;
	for (size_t i = 0; i < h->n_identifiers; i++)
		s->host.identifiers[i] = arena_strdup(&s->arena, h->identifiers[i]);
}

static void begin(struct send_session *s, bool clear);

/* -------- what becomes of it */

static const char *ta_name(const struct send_session *s)
{
	const struct tls_verdict *v = probe_session_report(s->probe).verdict;

	if (v == NULL || v->kind != TLS_VERDICT_MATCH || v->auth != TLS_AUTH_DANE_TA)
		return NULL;
	return v->name != NULL ? v->name : ""; /* which fits nobody */
}

bool send_session_serves(const struct send_session *s, const struct send_key *want)
{
	return send_key_serves(&s->key, s->state == SESSION_CONNECTING ? NULL : ta_name(s), want);
}

void send_session_take(struct send_session *s, struct send_want *w)
{
	require(s->state == SESSION_IDLE);
	s->was_used = s->n_mails > 0;
	s->pool->stats.reused += s->was_used;
	move_to(s, SESSION_BUSY);
	s->user = w;
	w->ops->got(w->arg, s);
}

void send_session_end(struct send_session *s)
{
	require(s->state == SESSION_IDLE);
	move_to(s, SESSION_ENDING);
	probe_session_quit(s->probe);
}

static void on_ready(void *arg)
{
	struct send_session *s = arg;

	switch (s->state) {
	case SESSION_CONNECTING:
		send_pace_reached(&s->place->pace);
		move_to(s, SESSION_IDLE);
		if (!send_place_serve(s->place, s))
			send_place_look(s->place);
		break;
	case SESSION_BUSY:
		s->user->ops->ready(s->user->arg);
		break;
	case SESSION_IDLE:
	case SESSION_ENDING:
	case SESSION_OVER:
		break;
	}
}

static ssize_t on_body(void *arg, void *p, size_t room, bool *ret_last)
{
	struct send_session *s = arg;

	if (s->state != SESSION_BUSY) /* dropped a moment ago */
		return -ECANCELED;
	return s->user->ops->body(s->user->arg, p, room, ret_last);
}

/* RFC 7672 section 2.2: at `may` a failed handshake permits one more try in clear. */
static bool may_try_in_clear(const struct send_session *s, const struct probe_report *r)
{
	return s->target.level == DANE_LEVEL_MAY && !s->target.clear && r->connected &&
	       r->smtp.retry_in_clear;
}

static void never_ready(struct send_session *s)
{
	struct probe_report r = probe_session_report(s->probe);
	struct arena a = {0};
	struct send_refusal why = {.meaning = send_meaning_of(&a, &r, s->target.level),
				   .connected = r.connected};

	move_to(s, SESSION_OVER);
	send_place_failed(s->place, s, &why);
	arena_done(&a);
}

/* After a session's end, outside its callback. */
static void on_after(void *arg)
{
	struct send_session *s = arg;
	struct send_pool *pool = s->pool;
	struct send_place *place = s->place;

	if (s->state == SESSION_CONNECTING) {
		s->probe = probe_session_free(s->probe);
		begin(s, true);
		return;
	}
	send_session_free(s);
	send_pool_ended(pool, place);
}

static void on_end(void *arg)
{
	struct send_session *s = arg;
	struct probe_report r = probe_session_report(s->probe);

	io_timer_set(s->after, 0);
	switch (s->state) {
	case SESSION_CONNECTING:
		if (!may_try_in_clear(s, &r))
			never_ready(s);
		break;
	case SESSION_BUSY:
		s->user->ops->ended(s->user->arg);
		move_to(s, SESSION_OVER);
		break;
	case SESSION_IDLE:
	case SESSION_ENDING:
		move_to(s, SESSION_OVER);
		break;
	case SESSION_OVER:
		break;
	}
}

static const struct probe_session_ops ops = {
	.ready = on_ready,
	.body = on_body,
	.end = on_end,
};

/* -------- its user's */

int send_session_mail(struct send_session *s, const struct smtp_mail *mail)
{
	require(s->state == SESSION_BUSY);
	s->n_mails++;
	return probe_session_mail(s->probe, mail);
}

void send_session_body_ready(struct send_session *s)
{
	probe_session_body_ready(s->probe);
}

const struct probe_session *send_session_probe(const struct send_session *s)
{
	return s->probe;
}

const struct probe_target *send_session_target(const struct send_session *s)
{
	return &s->target;
}

bool send_session_was_used(const struct send_session *s)
{
	return s->was_used;
}

void send_session_give_back(struct send_session *s)
{
	struct send_place *p = s->place;

	require(s->state == SESSION_BUSY);
	if (s->pool->lag < SEND_POOL_LAG_US)
		send_pace_succeeded(&p->pace, s->pool->options.per_address);
	move_to(s, SESSION_IDLE);
	if (s->n_mails >= SEND_POOL_MESSAGES)
		send_session_end(s);
	else if (send_place_serve(p, s))
		return;
	/* Somebody at another place waits for this one's room. */
	else if (s->state == SESSION_IDLE && s->pool->crowded && p->first == NULL)
		send_session_end(s);
	send_place_look(p);
}

void send_session_drop(struct send_session *s)
{
	if (s->state == SESSION_OVER)
		return;
	move_to(s, SESSION_OVER);
	io_timer_set(s->after, 0);
}

/* -------- life */

static void begin(struct send_session *s, bool clear)
{
	s->target.clear = clear;
	s->pool->stats.opened++;
	s->probe = probe_session_new(s->pool->loop, s->pool->tls, &s->target, &ops, s);
}

struct send_session *send_session_new(struct send_pool *p, struct send_place *place,
				      const struct send_want *w)
{
	struct send_session *s = xcalloc(1, sizeof(*s));
	struct send_want own;

	s->pool = p;
	s->place = place;
	s->state = SESSION_OVER;
	copy_host(s, w->host);
	own = *w;
	own.host = &s->host;
	own.address = place->address;
	s->key = send_key_of(&s->arena, &own);
	s->target = (struct probe_target){
		.host = s->host.name,
		.address = place->address,
		.port = place->port,
		.lmtp = place->lmtp,
		.level = w->level,
		/* Without a base domain the host's name is the SNI, and nothing is judged. */
		.dane = w->level != DANE_LEVEL_MAY && s->host.tlsa_base != NULL ? &s->host : NULL,
		.helo = {.kind = p->options.helo.kind,
			 .host = arena_keep(&s->arena, p->options.helo.host),
			 .text = arena_strdup(&s->arena, p->options.helo.text)},
		.connect_timeout = p->options.connect_timeout,
	};
	s->after = io_timer_new(p->loop, on_after, s);
	s->next = place->sessions;
	if (s->next != NULL)
		s->next->previous = s;
	place->sessions = s;
	s->next_all = p->all;
	if (s->next_all != NULL)
		s->next_all->previous_all = s;
	p->all = s;
	p->n_all++;
	p->stats.open = p->n_all;
	move_to(s, SESSION_CONNECTING);
	begin(s, w->clear);
	return s;
}

struct send_session *send_session_free(struct send_session *s)
{
	struct send_pool *p = s->pool;

	if (s->state != SESSION_OVER)
		move_to(s, SESSION_OVER);
	if (s->previous != NULL)
		s->previous->next = s->next;
	else
		s->place->sessions = s->next;
	if (s->next != NULL)
		s->next->previous = s->previous;
	if (s->previous_all != NULL)
		s->previous_all->next_all = s->next_all;
	else
		p->all = s->next_all;
	if (s->next_all != NULL)
		s->next_all->previous_all = s->previous_all;
	p->n_all--;
	p->stats.open = p->n_all;
	probe_session_free(s->probe);
	io_timer_free(s->after);
	arena_done(&s->arena);
	free(s);
	return NULL;
}
