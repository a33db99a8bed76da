/* One parcel's way: from host to host and address to address, until all have a fate. */
#include <errno.h>
#include <string.h>

#include "jobs/send/notice.h"
#include "jobs/send/queue_internal.h"

enum {
	RESTARTS_MAX = 5, /* with one address, after sessions that had died while they were idle */
};

static void try_next(struct send_parcel *p);

/* -------- memory */

static struct send_parcel **bucket_of(struct send_queue *q, uint64_t key)
{
	return &q->parcels[(key ^ key >> 13) % QUEUE_BUCKETS];
}

struct send_parcel *send_parcel_find(struct send_queue *q, uint64_t key)
{
	struct send_parcel *p = *bucket_of(q, key);

	while (p != NULL && p->stored.key != key)
		p = p->next_in_bucket;
	return p;
}

static void copy_stored(struct send_parcel *p, const struct store_parcel *stored)
{
	struct store_message *m = &p->stored.message;
	struct store_recipient *list;
	struct arena *a = &p->arena;

	p->stored = *stored;
	p->stored.hop = p->lane->hop;
	p->stored.evidence = NULL;
	m->from = arena_strdup(a, m->from);
	m->envid = arena_keep(a, m->envid);
	m->origin = arena_keep(a, m->origin);
	list = arena_calloc(a, m->n_recipients, sizeof(*list));
	for (size_t i = 0; i < m->n_recipients; i++) {
		list[i] = stored->message.recipients[i];
		list[i].path = arena_strdup(a, list[i].path);
		list[i].hop = p->lane->hop;
		list[i].orcpt = arena_keep(a, list[i].orcpt);
		list[i].status = arena_keep(a, list[i].status);
		list[i].reply = arena_keep(a, list[i].reply);
		list[i].detail = arena_keep(a, list[i].detail);
	}
	m->recipients = list;
}

/* They were read when they came in; here it only matters what they need. */
static struct mail_address address_of(const char *path)
{
	struct mail_address m = {.path = path, .local = ""};

	for (; *path != '\0'; path++)
		m.smtputf8 = m.smtputf8 || (uint8_t)*path > 127;
	return m;
}

static void make_envelopes(struct send_parcel *p)
{
	const struct store_message *m = &p->stored.message;
	size_t batch;

	p->from = address_of(m->from);
	for (size_t i = 0; i < m->n_recipients; i++)
		p->n += m->recipients[i].state == STORE_OPEN;
	p->addresses = arena_calloc(&p->arena, p->n, sizeof(*p->addresses));
	p->outs = arena_calloc(&p->arena, p->n, sizeof(*p->outs));
	p->envelopes = arena_calloc(&p->arena, p->n, sizeof(*p->envelopes));
	p->index = arena_calloc(&p->arena, p->n, sizeof(*p->index));
	for (size_t i = 0, n = 0; i < m->n_recipients; i++) {
		if (m->recipients[i].state != STORE_OPEN)
			continue;
		p->addresses[n] = address_of(m->recipients[i].path);
		p->outs[n].address = &p->addresses[n];
		p->envelopes[n].out = &p->outs[n];
		p->index[n++] = i;
	}
	batch = p->n < SEND_BATCH ? p->n : SEND_BATCH;
	p->batch = arena_calloc(&p->arena, batch, sizeof(struct send_envelope *));
	p->to = arena_calloc(&p->arena, batch, sizeof(*p->to));
	p->dsn = arena_calloc(&p->arena, batch, sizeof(*p->dsn));
}

/* At the end of the lane. NULL: it was in our hands already. */
struct send_parcel *send_parcel_new(struct send_lane *l, const struct store_parcel *stored,
				    usec_t lease_until)
{
	struct send_queue *q = l->queue;
	struct send_parcel *p = send_parcel_find(q, stored->key), **bucket;

	/* A lease that ran out (the clock was set): the attempt goes on under the new one. */
	if (p != NULL) {
		p->stored.fence = stored->fence;
		p->lease_until = lease_until;
		return NULL;
	}
	p = xcalloc(1, sizeof(*p));
	p->queue = q;
	p->lane = l;
	p->lease_until = lease_until;
	copy_stored(p, stored);
	make_envelopes(p);
	bucket = bucket_of(q, stored->key);
	p->next_in_bucket = *bucket;
	*bucket = p;
	p->next_all = q->all;
	if (p->next_all != NULL)
		p->next_all->previous_all = p;
	q->all = p;
	q->n_parcels++;
	q->n_recipients += p->stored.message.n_recipients;
	p->previous = l->last;
	if (l->last != NULL)
		l->last->next = p;
	else
		l->first = p;
	l->last = p;
	l->n_waiting++;
	return p;
}

static void let_go(struct send_parcel *p)
{
	send_pool_cancel(p->queue->pool, &p->want);
	if (p->session != NULL)
		send_session_drop(TAKE(p->session));
	if (p->opening != 0)
		store_forget(p->queue->env.store, p->opening);
	p->opening = 0;
	p->reading = store_reading_free(p->reading);
	if (p->choice != NULL)
		send_choice_leave(TAKE(p->choice));
}

/* Of one that is in no list of its lane; the counts are the caller's. */
void send_parcel_free(struct send_parcel *p)
{
	struct send_queue *q = p->queue;
	struct send_parcel **at = bucket_of(q, p->stored.key);

	let_go(p);
	if (p->recording != 0)
		store_forget(q->env.store, p->recording);
	if (p->extending != 0)
		store_forget(q->env.store, p->extending);
	while (*at != p)
		at = &(*at)->next_in_bucket;
	*at = p->next_in_bucket;
	if (p->previous_all != NULL)
		p->previous_all->next_all = p->next_all;
	else
		q->all = p->next_all;
	if (p->next_all != NULL)
		p->next_all->previous_all = p->previous_all;
	q->n_parcels--;
	q->n_recipients -= p->stored.message.n_recipients;
	q->n_unrecorded -= p->unrecorded;
	send_notice_free(p->notice);
	io_timer_free(p->again);
	arena_done(&p->arena);
	free(p);
}

/* -------- the end of the way */

/* No server was ready for mail: that says something of the whole hop. */
static void judge_hop(struct send_parcel *p)
{
	struct send_lane *l = p->lane;
	const struct send_recipient *r = p->outs;

	if (p->reached)
		send_pace_succeeded(&l->pace, p->queue->settings.connections);
	else if (p->walk.n_tried > 0)
		send_lane_failed(l, r->status, r->detail);
}

static void walked(struct send_parcel *p)
{
	struct send_lane *l = p->lane;

	send_envelopes_defer_the_rest(p->envelopes, p->n);
	judge_hop(p);
	p->state = PARCEL_SETTLING;
	l->n_walking--;
	l->n_settling++;
	let_go(p);
	send_parcel_settle(p);
	send_lane_feed(l);
}

static void stop_here(struct send_parcel *p)
{
	struct send_lane *l = p->lane;
	bool answered = false;

	for (size_t i = 0; i < p->n; i++)
		answered = answered || p->envelopes[i].answered_in > 0;
	p->state = PARCEL_SETTLING;
	l->n_walking--;
	l->n_settling++;
	let_go(p);
	l->more = l->more || !p->queue->stopping; /* it will be due at once */
	if (answered)
		send_parcel_settle_part(p);
	else
		send_parcel_release(p);
}

/* R23: whoever waited for his first session longer than his decision holds. */
static bool is_stale(const struct send_parcel *p)
{
	const struct send_choice *c = p->choice;
	usec_t last = usec_add(c->expires, usec_seconds(QUEUE_DECISION_WAIT_S));

	return c->outdated ||
	       (p->walk.n_tried == 1 && p->facts == NULL && io_now(p->queue->env.loop) >= last);
}

/* Not a word was said: it waits for a decision again, as if it had never begun. */
static void begin_anew(struct send_parcel *p)
{
	struct send_lane *l = p->lane;

	if (p->walk.n_tried > 1 || p->facts != NULL || p->queue->stopping) {
		stop_here(p);
		return;
	}
	send_pool_cancel(p->queue->pool, &p->want);
	send_choice_leave(TAKE(p->choice));
	for (size_t i = 0; i < p->n; i++) {
		p->envelopes[i].dane = p->envelopes[i].other = NULL;
		p->envelopes[i].tried_in = 0;
	}
	p->reached = false;
	p->state = PARCEL_WAITING;
	l->n_walking--;
	send_lane_put_back(l, p);
}

void send_parcel_outdate(struct send_parcel *p)
{
	if (p->choice != NULL)
		p->choice->outdated = true;
	if (p->state == PARCEL_SEEKING)
		begin_anew(p);
}

/* Under settings that hold no more no other host is tried. */
static void go_on(struct send_parcel *p)
{
	if (send_envelopes_are_final(p->envelopes, p->n))
		walked(p);
	else if (p->queue->stopping || p->choice->outdated)
		stop_here(p);
	else
		try_next(p);
}

static void on_released(void *arg, int result)
{
	struct send_parcel *p = arg;
	struct send_queue *q = p->queue;
	struct send_lane *l = p->lane;

	(void)result; /* a lease that is lost is one that we no longer want */
	p->recording = 0;
	l->n_settling--;
	send_parcel_free(p);
	send_lane_feed(l);
	send_queue_check_stopped(q);
}

void send_parcel_release(struct send_parcel *p)
{
	p->state = PARCEL_SETTLING;
	p->recording =
		store_release(p->queue->env.store, p->stored.key, p->stored.fence, on_released, p);
}

void send_parcel_lost(struct send_parcel *p)
{
	struct send_lane *l = p->lane;
	struct send_queue *q = p->queue;

	q->stats.leases_lost++;
	switch (p->state) {
	case PARCEL_SETTLING:
		return; /* its record will tell */
	case PARCEL_WAITING:
		send_lane_take_out(l, p);
		break;
	case PARCEL_SEEKING:
	case PARCEL_HOLDING:
		l->n_walking--;
		break;
	}
	send_parcel_free(p);
	send_lane_feed(l);
	send_lanes_feed_hungry(q);
	send_queue_check_stopped(q);
}

void send_parcel_stop(struct send_parcel *p, bool at_once)
{
	struct send_lane *l = p->lane;

	if (p->state == PARCEL_SEEKING || (p->state == PARCEL_HOLDING && at_once)) {
		stop_here(p);
	} else if (p->state == PARCEL_SETTLING && at_once && p->recording == 0) {
		/* The store cannot take it: the next start sends it once more. */
		l->n_settling--;
		send_parcel_free(p);
	} else if (p->state == PARCEL_WAITING) {
		send_lane_take_out(l, p);
		l->n_settling++;
		send_parcel_release(p);
	}
}

/* -------- one session */

static const char *where(struct send_parcel *p)
{
	return send_where(&p->arena, send_session_target(p->session));
}

static void note_fact(struct send_parcel *p, const struct probe_report *r,
		      const struct smtp_result *result)
{
	const struct probe_target *t = send_session_target(p->session);
	struct send_fact *f = arena_alloc(&p->arena, sizeof(*f));
	bool match = r->verdict != NULL && r->verdict->kind == TLS_VERDICT_MATCH;

	f->next = p->facts;
	p->facts = f;
	f->attempt = p->walk.n_tried;
	f->where = where(p);
	f->remote = strcmp(t->host, t->address) != 0 ? arena_strdup(&p->arena, t->host)
						     : arena_printf(&p->arena, "[%s]", t->address);
	f->lmtp = t->lmtp;
	f->level = t->level;
	f->tls = r->tls ? arena_strdup(&p->arena, r->tls_version) : NULL;
	f->matched = match ? dane_tlsa_to_text(&p->arena, &r->verdict->record) : NULL;
	f->dsn = result != NULL && result->dsn;
}

/* Takes over what the last transaction brought. */
static void take_results(struct send_parcel *p)
{
	const struct probe_session *s = send_session_probe(p->session);
	struct probe_report r = probe_session_report(s);

	if (p->n_batch == 0)
		return;
	if (p->facts == NULL || p->facts->attempt != p->walk.n_tried)
		note_fact(p, &r, probe_session_result(s));
	send_envelopes_take(&p->arena, p->facts->where, p->walk.n_tried, p->batch, p->n_batch,
			    probe_session_result(s));
	p->n_batch = 0;
}

static enum smtp_ret ret_of(enum store_ret r)
{
	switch (r) {
	case STORE_RET_DEFAULT:
		return SMTP_RET_NONE;
	case STORE_RET_FULL:
		return SMTP_RET_FULL;
	case STORE_RET_HDRS:
		return SMTP_RET_HDRS;
	}
	return SMTP_RET_NONE;
}

_Static_assert((int)STORE_NOTIFY_NEVER == (int)SMTP_NOTIFY_NEVER &&
		       (int)STORE_NOTIFY_SUCCESS == (int)SMTP_NOTIFY_SUCCESS &&
		       (int)STORE_NOTIFY_FAILURE == (int)SMTP_NOTIFY_FAILURE &&
		       (int)STORE_NOTIFY_DELAY == (int)SMTP_NOTIFY_DELAY,
	       "the same bits");

/* What was asked of notifications for the batch, or NULL. */
static const struct smtp_dsn *dsn_of(struct send_parcel *p)
{
	const struct store_message *m = &p->stored.message;
	bool any = m->envid != NULL || m->ret != STORE_RET_DEFAULT;

	for (size_t i = 0; i < p->n_batch; i++) {
		size_t n = p->index[p->batch[i] - p->envelopes];

		p->dsn[i] = (struct smtp_dsn){.notify = m->recipients[n].notify,
					      .orcpt = m->recipients[n].orcpt};
		any = any || p->dsn[i].notify != 0 || p->dsn[i].orcpt != NULL;
	}
	return any ? p->dsn : NULL;
}

/* The session is given back after `p` may be gone: its place at the server goes to the next. */
static void leave_session(struct send_parcel *p)
{
	struct send_session *s = TAKE(p->session);

	go_on(p);
	send_session_give_back(s);
}

/* The decision that led to this session holds no more. */
static void leave_unused(struct send_parcel *p)
{
	struct send_session *s = TAKE(p->session);
	struct send_lane *l = p->lane;

	begin_anew(p);
	send_session_give_back(s);
	send_lane_feed(l);
}

static void submit(struct send_parcel *p)
{
	const struct store_message *m = &p->stored.message;
	struct smtp_mail mail = {.from = &p->from,
				 .to = p->to,
				 .size = m->size,
				 .eightbit = m->flags & STORE_8BIT,
				 .smtputf8 = m->flags & STORE_SMTPUTF8,
				 .ret = ret_of(m->ret),
				 .envid = m->envid};

	int ret;

	p->n_batch = send_envelopes_batch(p->envelopes, p->n, p->walk.n_tried, p->batch, p->to);
	mail.n_to = p->n_batch;
	mail.dsn = dsn_of(p);
	p->body_at = 0;
	ret = p->n_batch > 0 ? send_session_mail(p->session, &mail) : 0;
	if (p->n_batch == 0) {
		leave_session(p);
	} else if (ret < 0) {
		/* What is stored was looked at when it came: no server would ever get it. */
		for (size_t i = 0; i < p->n_batch; i++)
			send_envelope_set(p->batch[i], SEND_FAILED, "5.1.3", NULL,
					  "an address of the envelope cannot be sent", true);
		p->n_batch = 0;
		leave_session(p);
	}
}

static void on_opened(void *arg, int result, struct store_reading *r)
{
	struct send_parcel *p = arg;

	p->opening = 0;
	p->reading = r;
	if (result == -ENOENT) {
		send_parcel_lost(p); /* removed by an administrator */
		return;
	}
	if (p->state != PARCEL_HOLDING)
		return;
	if (is_stale(p)) {
		leave_unused(p);
		return;
	}
	if (result < 0) {
		send_envelopes_note_failure(p->envelopes, p->n, "4.3.0",
					    "the message cannot be read from the queue");
		p->walk.at = p->walk.decision->n_hosts; /* no other host would help */
		leave_session(p);
		return;
	}
	submit(p);
}

static void on_got(void *arg, struct send_session *s)
{
	struct send_parcel *p = arg;

	p->state = PARCEL_HOLDING;
	p->session = s;
	if (is_stale(p)) {
		leave_unused(p);
		return;
	}
	p->reached = true;
	if (p->reading != NULL)
		submit(p);
	else if (p->opening == 0)
		p->opening = store_body_open(p->queue->env.store, p->stored.key, on_opened, p);
}

static void on_ready(void *arg)
{
	struct send_parcel *p = arg;

	/* It was idle while the body was being opened. */
	if (p->n_batch == 0)
		return;
	take_results(p);
	if (p->queue->stopping)
		leave_session(p);
	else
		submit(p);
}

/* A server ends sessions that are idle as it likes: one that had died before it was used again. */
static bool was_dead(const struct send_parcel *p, const struct probe_report *r)
{
	switch (r->smtp.stage) {
	case SMTP_STAGE_IDLE:
	case SMTP_STAGE_RSET:
	case SMTP_STAGE_MAIL:
		return send_session_was_used(p->session) && p->restarts < RESTARTS_MAX;
	case SMTP_STAGE_CONNECT:
	case SMTP_STAGE_GREETING:
	case SMTP_STAGE_EHLO:
	case SMTP_STAGE_STARTTLS:
	case SMTP_STAGE_HANDSHAKE:
	case SMTP_STAGE_VERDICT:
	case SMTP_STAGE_RCPT:
	case SMTP_STAGE_DATA:
	case SMTP_STAGE_BODY:
	case SMTP_STAGE_FINAL:
	case SMTP_STAGE_QUIT:
		break;
	}
	return false;
}

static void seek(struct send_parcel *p)
{
	p->state = PARCEL_SEEKING;
	send_pool_seek(p->queue->pool, &p->want);
}

static void on_ended(void *arg)
{
	struct send_parcel *p = arg;
	struct probe_report r = probe_session_report(send_session_probe(p->session));
	struct send_meaning m;
	bool dead = was_dead(p, &r);

	if (dead) {
		for (size_t i = 0; i < p->n_batch; i++)
			p->batch[i]->tried_in = 0;
		p->n_batch = 0;
		p->session = NULL;
		p->restarts++;
		seek(p);
		return;
	}
	take_results(p);
	m = send_meaning_of(&p->arena, &r, p->want.level);
	send_envelopes_note_failure(p->envelopes, p->n, m.status,
				    send_meaning_detail(&p->arena, where(p), &m));
	p->session = NULL;
	go_on(p);
}

static void on_failed(void *arg, const struct send_refusal *why)
{
	struct send_parcel *p = arg;
	struct probe_target t = {.host = p->host->name,
				 .address = p->address,
				 .port = p->want.port,
				 .dane = p->host};
	const char *detail =
		send_meaning_detail(&p->arena, send_where(&p->arena, &t), &why->meaning);

	send_envelopes_note_failure(p->envelopes, p->n,
				    arena_strdup(&p->arena, why->meaning.status), detail);
	go_on(p);
}

static void on_fetched(void *arg, int result)
{
	struct send_parcel *p = arg;

	p->fetching = false;
	p->body_error = result < 0 ? result : 0;
	if (p->session != NULL)
		send_session_body_ready(p->session);
}

static ssize_t on_body(void *arg, void *to, size_t room, bool *ret_last)
{
	struct send_parcel *p = arg;
	uint64_t size = store_reading_size(p->reading);
	struct span s = store_reading_at(p->reading, p->body_at);

	if (p->body_error < 0)
		return p->body_error;
	if (s.n == 0 && p->body_at < size) {
		if (!p->fetching)
			store_body_read(p->reading, p->body_at, on_fetched, p);
		p->fetching = true;
		return -EAGAIN;
	}
	if (s.n > room)
		s.n = room;
	if (s.n > 0)
		memcpy(to, s.p, s.n);
	p->body_at += s.n;
	*ret_last = p->body_at >= size;
	return (ssize_t)s.n;
}

static const struct send_want_ops ops = {
	.got = on_got,
	.failed = on_failed,
	.ready = on_ready,
	.body = on_body,
	.ended = on_ended,
};

/* -------- from host to host */

static enum dane_level level_of(const struct send_choice *c, const struct dane_host *h)
{
	/* A configured next hop with its own policy of TLS, without DANE. */
	if (c->route.tls == SEND_TLS_ENCRYPT && h->level == DANE_LEVEL_MAY)
		return DANE_LEVEL_ENCRYPT;
	return h->level;
}

static void try_next(struct send_parcel *p)
{
	const struct send_choice *c = p->choice;
	const struct dane_host *h;

	while ((h = send_walk_next(&p->walk, &p->address)) != NULL) {
		if (p->address == NULL) {
			send_envelopes_note_failure(
				p->envelopes, p->n, send_skip_status(h),
				arena_printf(&p->arena, "%s: %s", h->name, h->reason));
			continue;
		}
		p->host = h;
		p->restarts = 0;
		p->want = (struct send_want){.ops = &ops,
					     .arg = p,
					     .host = h,
					     .address = p->address,
					     .port = c->request.port,
					     .lmtp = c->route.lmtp,
					     .level = level_of(c, h),
					     .clear = c->route.tls == SEND_TLS_NONE};
		seek(p);
		return;
	}
	walked(p);
}

void send_parcel_begin(struct send_parcel *p)
{
	send_walk_begin(&p->walk, &p->arena, p->choice->decision);
	try_next(p);
}
