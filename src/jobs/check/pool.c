#include "jobs/check/pool.h"

#include <errno.h>
#include <search.h>
#include <string.h>

#include "edge/tls/cert.h"

enum state {
	STATE_QUEUED, /* for a place */
	STATE_RUNNING,
	STATE_DONE, /* facts are there */
};

/* One question, its session, its facts. */
struct shared {
	struct check_ask ask; /* first: what the tree compares */
	struct check_seat seat;
	struct check_pool *pool;
	enum state state;
	struct arena arena;
	struct probe_target target;
	struct probe_session *session;
	struct io_timer *limit, *finish;
	bool late; /* the limit has ended it */
	struct check_facts facts;
	size_t octets;              /* of its chain */
	struct check_wait *waiting; /* without those that are in the pool's ready list */
	size_t n_ready;             /* of those: the facts must stay until they are heard */
	struct shared *older, *newer;
};

struct check_wait {
	struct shared *shared;
	const struct check_wait_ops *ops;
	void *arg;
	struct check_wait *previous, *next;
	bool ready;
};

struct check_pool {
	struct io_loop *loop;
	struct tls_context *tls;
	struct check_pool_options options;
	struct check_places *places;
	void *tree;                            /* of struct shared */
	struct shared *oldest, *newest;        /* DONE, by last use */
	struct shared *running;                /* linked by older and newer too */
	size_t n_kept, weight, count;          /* `weight` of those that are DONE */
	struct check_wait *ready, *last_ready; /* whose facts are there */
	struct io_timer *deliver;
};

/* --- order ------------------------------------------------------------------------------------ */

static int compare(const void *left, const void *right)
{
	const struct check_ask *a = left, *b = right;
	int n = strcmp(a->address, b->address);

	if (n == 0)
		n = strcmp(a->name, b->name);
	if (n == 0)
		n = (int)a->port - (int)b->port;
	if (n == 0)
		n = (int)a->key - (int)b->key;
	return n != 0 ? n : (int)a->lax - (int)b->lax;
}

/* About: a certificate in memory is some three times as long as its DER. */
static size_t weight_of(const struct shared *s)
{
	return sizeof(*s) + s->arena.used + 4 * s->octets;
}

static void kept_remove(struct check_pool *p, struct shared *s)
{
	if (s->older != NULL)
		s->older->newer = s->newer;
	else
		p->oldest = s->newer;
	if (s->newer != NULL)
		s->newer->older = s->older;
	else
		p->newest = s->older;
	s->older = s->newer = NULL;
	p->n_kept--;
	p->weight -= weight_of(s);
}

static void kept_add(struct check_pool *p, struct shared *s)
{
	s->older = p->newest;
	if (p->newest != NULL)
		p->newest->newer = s;
	else
		p->oldest = s;
	p->newest = s;
	p->n_kept++;
	p->weight += weight_of(s);
}

static void running_add(struct shared *s)
{
	s->newer = s->pool->running;
	if (s->newer != NULL)
		s->newer->older = s;
	s->pool->running = s;
}

static void running_remove(struct shared *s)
{
	if (s->older != NULL)
		s->older->newer = s->newer;
	else
		s->pool->running = s->newer;
	if (s->newer != NULL)
		s->newer->older = s->older;
	s->older = s->newer = NULL;
}

static void shared_free(struct shared *s)
{
	struct check_pool *p = s->pool;

	tdelete(s, &p->tree, compare);
	probe_session_free(s->session);
	io_timer_free(s->limit);
	io_timer_free(s->finish);
	tls_chain_free(s->facts.chain);
	arena_done(&s->arena);
	free(s);
}

/* --- who waits -------------------------------------------------------------------------------- */

static void wait_link(struct check_wait *w)
{
	struct shared *s = w->shared;

	w->next = s->waiting;
	if (w->next != NULL)
		w->next->previous = w;
	s->waiting = w;
}

static void wait_unlink(struct check_wait *w)
{
	struct check_pool *p = w->shared->pool;

	if (w->previous != NULL)
		w->previous->next = w->next;
	else if (w->ready)
		p->ready = w->next;
	else
		w->shared->waiting = w->next;
	if (w->next != NULL)
		w->next->previous = w->previous;
	else if (w->ready)
		p->last_ready = w->previous;
	w->previous = w->next = NULL;
	w->shared->n_ready -= w->ready;
}

static void trim(struct check_pool *p)
{
	struct shared *s = p->oldest;

	while (s != NULL && (p->n_kept > p->options.kept || p->weight > p->options.weight)) {
		struct shared *next = s->newer;

		if (s->n_ready == 0) {
			kept_remove(p, s);
			shared_free(s);
		}
		s = next;
	}
}

static void make_ready(struct check_wait *w)
{
	struct check_pool *p = w->shared->pool;

	w->ready = true;
	w->shared->n_ready++;
	w->next = NULL;
	w->previous = p->last_ready;
	if (p->last_ready != NULL)
		p->last_ready->next = w;
	else
		p->ready = w;
	p->last_ready = w;
	io_timer_set(p->deliver, 0);
}

static void on_deliver(void *arg)
{
	struct check_pool *p = arg;
	struct check_wait *last = p->last_ready, *w;
	bool more = true;

	/* Not those that a call adds: other work has its turn first. */
	while (more && (w = p->ready) != NULL) {
		const struct check_facts *facts = &w->shared->facts;
		const struct check_wait_ops *ops = w->ops;
		void *owner = w->arg;

		more = w != last;
		wait_unlink(w);
		free(w);
		ops->done(owner, facts); /* trim(), which frees facts, comes below */
	}
	trim(p);
	io_timer_set(p->deliver, p->ready != NULL ? 0 : USEC_NEVER);
}

/* --- sessions --------------------------------------------------------------------------------- */

static struct smtp_answer copy_answer(struct arena *a, struct smtp_answer answer)
{
	if (answer.text != NULL)
		answer.text = arena_strdup(a, answer.text);
	return answer;
}

struct probe_report check_report_copy(struct arena *a, const struct probe_report *r)
{
	struct probe_report c = *r;

	c.verdict = NULL;
	c.connect_error = arena_keep(a, r->connect_error);
	c.tls_version = arena_keep(a, r->tls_version);
	c.tls_cipher = arena_keep(a, r->tls_cipher);
	c.smtp.text = arena_keep(a, r->smtp.text);
	c.smtp.reply = copy_answer(a, r->smtp.reply);
	c.smtp.starttls_reply = copy_answer(a, r->smtp.starttls_reply);
	return c;
}

static void on_ready(void *arg)
{
	struct shared *s = arg;

	probe_session_quit(s->session);
}

static ssize_t no_body(void *arg, void *p, size_t room, bool *ret_last)
{
	(void)arg;
	(void)p;
	(void)room;
	(void)ret_last;
	return -EINVAL; /* nothing is sent here */
}

static void on_session_end(void *arg)
{
	struct shared *s = arg;

	io_timer_set(s->limit, USEC_NEVER);
	io_timer_set(s->finish, 0);
}

static const char too_slow[] = "the session did not end in time";

/* Outside the session's own callback: keep the facts, free the session, tell those who wait. */
static void on_finish(void *arg)
{
	struct shared *s = arg;
	struct check_pool *p = s->pool;
	struct probe_report r = probe_session_report(s->session);

	s->facts.report = check_report_copy(&s->arena, &r);
	s->facts.chain = probe_session_chain(s->session);
	s->octets = tls_chain_octets(s->facts.chain);
	if (s->late) {
		s->facts.report.smtp.text = too_slow;
		if (!r.connected)
			s->facts.report.connect_error = too_slow;
	}
	s->session = probe_session_free(s->session);
	s->limit = io_timer_free(s->limit);
	s->finish = io_timer_free(s->finish);
	s->state = STATE_DONE;
	running_remove(s);
	kept_add(p, s);
	while (s->waiting != NULL) {
		struct check_wait *w = s->waiting;

		wait_unlink(w);
		make_ready(w);
	}
	check_pool_leave_seat(p, &s->seat);
	trim(p); /* last: it may be `s` that goes */
}

static void on_limit(void *arg)
{
	struct shared *s = arg;

	s->late = true;
	probe_session_give_up(s->session);
}

static const struct probe_session_ops session_ops = {
	.ready = on_ready, .body = no_body, .end = on_session_end};

static void begin_session(struct check_seat *seat)
{
	struct shared *s = (struct shared *)((char *)seat - offsetof(struct shared, seat));
	struct check_pool *p = s->pool;

	s->state = STATE_RUNNING;
	s->target = (struct probe_target){
		.host = s->ask.name,
		.address = s->ask.address,
		.port = s->ask.port,
		.level = s->ask.lax ? DANE_LEVEL_MAY : DANE_LEVEL_ENCRYPT,
		.key = s->ask.key,
		.helo = p->options.helo,
		.connect_timeout = p->options.connect_timeout,
	};
	p->count++;
	running_add(s);
	s->finish = io_timer_new(p->loop, on_finish, s);
	s->limit = io_timer_new(p->loop, on_limit, s);
	io_timer_set(s->limit, usec_add(io_now(p->loop), p->options.timeout));
	s->session = probe_session_new(p->loop, p->tls, &s->target, &session_ops, s);
	for (struct check_wait *w = s->waiting; w != NULL; w = w->next)
		w->ops->begun(w->arg);
}

static void begin_seat(struct check_place *place)
{
	struct check_seat *seat =
		(struct check_seat *)((char *)place - offsetof(struct check_seat, place));

	seat->begin(seat);
}

void check_pool_take_seat(struct check_pool *p, struct check_seat *seat, const char *address)
{
	check_places_ask(p->places, &seat->place, address);
}

void check_pool_leave_seat(struct check_pool *p, struct check_seat *seat)
{
	check_places_give_back(p->places, &seat->place);
}

/* --- what others call ------------------------------------------------------------------------- */

/* The resolver takes half of them at most. */
static size_t sessions_by_descriptors(void)
{
	size_t n = io_raise_descriptor_limit() / 4;

	return n < CHECK_POOL_NETWORK    ? CHECK_POOL_NETWORK
	       : n > CHECK_POOL_SESSIONS ? CHECK_POOL_SESSIONS
					 : n;
}

struct check_pool *check_pool_new(struct io_loop *l, struct tls_context *tls,
				  const struct check_pool_options *o)
{
	struct check_pool *p = xcalloc(1, sizeof(*p));
	struct check_places_limits limits;

	p->loop = l;
	p->tls = tls;
	p->options = *o;
	if (o->kept == 0)
		p->options.kept = CHECK_POOL_KEPT;
	if (o->weight == 0)
		p->options.weight = CHECK_POOL_WEIGHT;
	limits.network = o->network > 0 ? o->network : CHECK_POOL_NETWORK;
	limits.all = o->sessions > 0 ? o->sessions : sessions_by_descriptors();
	p->places = check_places_new(&limits, begin_seat);
	p->deliver = io_timer_new(l, on_deliver, p);
	return p;
}

struct check_pool *check_pool_free(struct check_pool *p)
{
	if (p == NULL)
		return NULL;
	/* Nobody waits: what is QUEUED had gone with its last wait, so no place wakes another. */
	require(p->ready == NULL);
	while (p->running != NULL) {
		struct shared *s = p->running;

		running_remove(s);
		check_pool_leave_seat(p, &s->seat);
		shared_free(s);
	}
	while (p->oldest != NULL) {
		struct shared *s = p->oldest;

		kept_remove(p, s);
		shared_free(s);
	}
	check_places_free(p->places);
	io_timer_free(p->deliver);
	free(p);
	return NULL;
}

struct check_wait *check_pool_ask(struct check_pool *p, const struct check_ask *ask,
				  const struct check_wait_ops *ops, void *arg)
{
	struct shared *const *found = tfind(ask, &p->tree, compare);
	struct check_wait *w = xcalloc(1, sizeof(*w));
	struct shared *s = found != NULL ? *found : NULL;
	bool fresh = s == NULL;

	if (fresh) {
		s = xcalloc(1, sizeof(*s));
		s->pool = p;
		s->seat.begin = begin_session;
		s->ask = *ask;
		s->ask.address = arena_strdup(&s->arena, ask->address);
		s->ask.name = arena_strdup(&s->arena, ask->name);
		require(tsearch(s, &p->tree, compare) != NULL);
	}
	*w = (struct check_wait){.shared = s, .ops = ops, .arg = arg};
	switch (s->state) {
	case STATE_QUEUED:
		wait_link(w);
		break;
	case STATE_RUNNING:
		wait_link(w);
		ops->begun(arg);
		break;
	case STATE_DONE:
		kept_remove(p, s);
		kept_add(p, s); /* the newest again */
		make_ready(w);
		break;
	}
	if (fresh)
		check_pool_take_seat(p, &s->seat, s->ask.address);
	return w;
}

struct check_wait *check_pool_cancel(struct check_wait *w)
{
	struct shared *s;

	if (w == NULL)
		return NULL;
	s = w->shared;
	wait_unlink(w);
	free(w);
	if (s->state == STATE_QUEUED && s->waiting == NULL) { /* nobody wants it any more */
		check_pool_leave_seat(s->pool, &s->seat);
		shared_free(s);
	}
	return NULL;
}

bool check_pool_peek(const struct check_wait *w, struct check_facts *ret)
{
	const struct shared *s = w->shared;

	switch (s->state) {
	case STATE_QUEUED:
		return false;
	case STATE_RUNNING:
		*ret = (struct check_facts){.report = probe_session_report(s->session)};
		return true;
	case STATE_DONE:
		break;
	}
	*ret = s->facts;
	return true;
}

size_t check_pool_count(const struct check_pool *p)
{
	return p->count;
}
