#include "jobs/send/pool.h"

#include <string.h>
#include <sys/random.h>

#include "jobs/send/envelope.h"
#include "jobs/send/pool_internal.h"

enum {
	TICK_S = 1,
};

static void tick_later(struct send_pool *pool)
{
	if (pool->ticking)
		return;
	pool->ticking = true;
	io_timer_set(pool->tick, usec_add(io_now(pool->loop), usec_seconds(TICK_S)));
}

/* -------- places */

static size_t bucket_of(const char *address, uint16_t port, bool lmtp)
{
	uint64_t h = 14695981039346656037u ^ port ^ (lmtp ? 1u << 16 : 0);

	for (; *address != '\0'; address++)
		h = (h ^ (uint8_t)*address) * 1099511628211u;
	return (size_t)(h >> 32) % POOL_BUCKETS;
}

static struct send_place *find_place(struct send_pool *pool, const struct send_want *w)
{
	size_t b = bucket_of(w->address, w->port, w->lmtp);
	struct send_place *p = pool->buckets[b];

	while (p != NULL &&
	       (p->port != w->port || p->lmtp != w->lmtp || strcmp(p->address, w->address) != 0))
		p = p->next;
	if (p != NULL)
		return p;
	p = xcalloc(1, sizeof(*p));
	p->pool = pool;
	p->address = arena_strdup(&p->arena, w->address);
	p->port = w->port;
	p->lmtp = w->lmtp;
	p->next = pool->buckets[b];
	pool->buckets[b] = p;
	pool->n_places++;
	tick_later(pool);
	return p;
}

static void free_place(struct send_pool *pool, struct send_place *p)
{
	struct send_place **at = &pool->buckets[bucket_of(p->address, p->port, p->lmtp)];

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	pool->n_places--;
	arena_done(&p->why_arena);
	arena_done(&p->arena);
	free(p);
}

/* Nobody has it in hand, and there is nothing to remember of it. */
static bool is_idle(const struct send_pool *pool, const struct send_place *p, usec_t now)
{
	bool remember = send_pace_is_closed(&p->pace, now) && pool->n_places < SEND_POOL_PLACES_MAX;

	return p->sessions == NULL && p->first == NULL && !p->dirty && !remember;
}

static void mark(struct send_pool *pool, struct send_place *p)
{
	if (p->dirty)
		return;
	p->dirty = true;
	p->next_dirty = pool->dirty;
	if (pool->dirty == NULL) {
		pool->marked_at = io_now(pool->loop);
		io_timer_set(pool->work, 0);
	}
	pool->dirty = p;
}

/* -------- who waits */

static void enqueue(struct send_place *p, struct send_want *w)
{
	w->place = p;
	w->next = NULL;
	w->previous = p->last;
	if (p->last != NULL)
		p->last->next = w;
	else
		p->first = w;
	p->last = w;
	p->n_wants++;
}

static void dequeue(struct send_want *w)
{
	struct send_place *p = w->place;

	if (w->previous != NULL)
		w->previous->next = w->next;
	else
		p->first = w->next;
	if (w->next != NULL)
		w->next->previous = w->previous;
	else
		p->last = w->previous;
	w->place = NULL;
	w->next = w->previous = NULL;
	arena_done(&w->arena);
	p->n_wants--;
}

static bool serves(const struct send_session *s, const struct send_want *w)
{
	return send_session_serves(s, &w->key);
}

/* A session, in whatever state, that this one will be served by. */
static bool has_session(const struct send_place *p, const struct send_want *w)
{
	for (struct send_session *s = p->sessions; s != NULL; s = s->next)
		if (s->state <= SESSION_BUSY && serves(s, w))
			return true;
	return false;
}

static bool is_impatient(const struct send_place *p, const struct send_want *w)
{
	return io_now(p->pool->loop) - w->since > SEND_POOL_PATIENCE_MS * 1000;
}

static bool has_room(const struct send_place *p)
{
	struct send_pool *pool = p->pool;

	return pool->n_all < pool->options.total &&
	       send_pace_allows(&p->pace, p->n_open, pool->options.per_address, io_now(pool->loop));
}

bool send_place_serve(struct send_place *p, struct send_session *s)
{
	struct send_want *w = p->first;

	/* The one who waits longest must not starve behind others who share this session. */
	if (w != NULL && !serves(s, w) && is_impatient(p, w) && !has_room(p) &&
	    !has_session(p, w)) {
		send_session_end(s);
		return false;
	}
	while (w != NULL && !serves(s, w))
		w = w->next;
	if (w == NULL)
		return false;
	dequeue(w);
	send_session_take(s, w);
	return true;
}

/* All at once: an op may come back for another place, or this one. */
static void refuse(struct send_place *p, const struct send_session *s, const struct send_refusal *r)
{
	struct send_want *list = NULL, **last = &list, *next;

	for (struct send_want *w = p->first; w != NULL; w = next) {
		next = w->next;
		if (s != NULL && !send_key_is_same(&s->key, &w->key))
			continue;
		dequeue(w);
		*last = w;
		last = &w->next;
	}
	while ((next = list) != NULL) {
		list = next->next;
		next->next = NULL;
		next->ops->failed(next->arg, r);
	}
}

static uint32_t dice(void)
{
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		r = 0; /* jitter, no secret */
	return r;
}

static void remember(struct send_place *p, const struct send_refusal *r)
{
	arena_done(&p->why_arena);
	p->why = *r;
	p->why.earlier = true;
	p->why.meaning.status = arena_strdup(&p->why_arena, r->meaning.status);
	p->why.meaning.tlsrpt = arena_keep(&p->why_arena, r->meaning.tlsrpt);
	p->why.meaning.reply = arena_keep(&p->why_arena, r->meaning.reply);
	p->why.meaning.text = arena_printf(&p->why_arena, "%s (a moment ago)", r->meaning.text);
}

/* Sessions ready for mail that would do for those who wanted `s`. */
static unsigned count_alike(const struct send_place *p, const struct send_session *s)
{
	unsigned n = 0;

	for (struct send_session *x = p->sessions; x != NULL; x = x->next)
		n += (x->state == SESSION_IDLE || x->state == SESSION_BUSY) &&
		     send_session_serves(x, &s->key);
	return n;
}

/* Whether TLS, the certificate or its judge is the cause: another key may fare better. */
static bool is_about_tls(const struct send_refusal *r)
{
	return r->connected && send_status_is_dane(r->meaning.status);
}

void send_place_failed(struct send_place *p, struct send_session *s, const struct send_refusal *r)
{
	struct send_pool *pool = s->pool;

	if (is_about_tls(r)) {
		refuse(p, s, r);
	} else if (count_alike(p, s) > 0) {
		/* It serves us, and wants no more sessions than it has. */
		send_pace_full(&p->pace, p->n_open);
	} else {
		send_pace_failed(&p->pace, io_now(pool->loop), usec_seconds(SEND_POOL_CLOSED_S),
				 dice());
		remember(p, r);
		refuse(p, NULL, r);
	}
	mark(pool, p);
}

/* -------- opening */

/* The session that has been idle longest makes room, if there is one. */
static bool make_room(struct send_pool *pool)
{
	struct send_session *oldest = NULL;

	for (struct send_session *s = pool->all; s != NULL; s = s->next_all)
		if (s->state == SESSION_IDLE &&
		    (oldest == NULL || s->idle_since < oldest->idle_since))
			oldest = s;
	if (oldest == NULL)
		return false;
	send_session_end(oldest);
	return true;
}

static struct send_want *nth_want(struct send_place *p, unsigned n)
{
	struct send_want *w = p->first;

	while (w != NULL && n-- > 0)
		w = w->next;
	return w;
}

/* An idle session of which nobody here has any use gives way to one that is wanted. */
static void end_useless(struct send_place *p)
{
	for (struct send_session *s = p->sessions; s != NULL; s = s->next) {
		if (s->state == SESSION_IDLE) {
			send_session_end(s);
			return;
		}
	}
}

static void open_sessions(struct send_pool *pool, struct send_place *p)
{
	unsigned max = pool->options.per_address;
	usec_t now = io_now(pool->loop);

	while (p->n_wants > p->n_connecting) {
		if (send_pace_is_closed(&p->pace, now))
			return;
		if (!send_pace_allows(&p->pace, p->n_open, max, now)) {
			if (p->n_idle == 0)
				return;
			end_useless(p);
			continue;
		}
		if (pool->n_all >= pool->options.total) {
			pool->crowded = true;
			(void)make_room(pool); /* and on when it has ended */
			return;
		}
		send_session_new(pool, p, nth_want(p, p->n_connecting));
	}
}

static void serve_idle(struct send_place *p)
{
	struct send_session *next;

	for (struct send_session *s = p->sessions; s != NULL && p->first != NULL; s = next) {
		next = s->next;
		if (s->state == SESSION_IDLE)
			(void)send_place_serve(p, s);
	}
}

static void work_at(struct send_pool *pool, struct send_place *p)
{
	usec_t now = io_now(pool->loop);

	if (p->first != NULL && send_pace_is_closed(&p->pace, now) && p->n_open == 0)
		refuse(p, NULL, &p->why);
	serve_idle(p);
	open_sessions(pool, p);
	if (is_idle(pool, p, now))
		free_place(pool, p);
}

static void on_work(void *arg)
{
	struct send_pool *pool = arg;
	struct send_place *list = TAKE(pool->dirty);

	pool->lag += (io_now(pool->loop) - pool->marked_at - pool->lag) / 8;
	while (list != NULL) {
		struct send_place *p = list;

		list = p->next_dirty;
		p->next_dirty = NULL;
		p->dirty = false;
		work_at(pool, p);
	}
}

void send_place_look(struct send_place *p)
{
	mark(p->pool, p);
}

/* A session has gone: whoever waited for room may have it. */
void send_pool_ended(struct send_pool *pool, struct send_place *place)
{
	mark(pool, place);
	if (!pool->crowded)
		return;
	pool->crowded = false;
	for (size_t i = 0; i < POOL_BUCKETS; i++)
		for (struct send_place *p = pool->buckets[i]; p != NULL; p = p->next)
			if (p->first != NULL)
				mark(pool, p);
}

/* -------- time */

static void on_tick(void *arg)
{
	struct send_pool *pool = arg;
	usec_t now = io_now(pool->loop);

	for (struct send_session *s = pool->all; s != NULL; s = s->next_all)
		if (s->state == SESSION_IDLE &&
		    now - s->idle_since >= usec_seconds(SEND_POOL_IDLE_S))
			send_session_end(s);
	for (size_t i = 0; i < POOL_BUCKETS; i++) {
		struct send_place *next;

		for (struct send_place *p = pool->buckets[i]; p != NULL; p = next) {
			next = p->next;
			if (p->first != NULL)
				mark(pool, p); /* it may no longer be closed */
			else if (is_idle(pool, p, now))
				free_place(pool, p);
		}
	}
	pool->ticking = false;
	if (pool->n_places > 0)
		tick_later(pool);
}

/* -------- life */

struct send_pool *send_pool_new(struct io_loop *l, struct tls_context *tls,
				const struct send_pool_options *o)
{
	struct send_pool *pool = xcalloc(1, sizeof(*pool));

	pool->loop = l;
	pool->tls = tls;
	pool->options = *o;
	pool->work = io_timer_new(l, on_work, pool);
	pool->tick = io_timer_new(l, on_tick, pool);
	return pool;
}

struct send_pool *send_pool_free(struct send_pool *pool)
{
	if (pool == NULL)
		return NULL;
	while (pool->all != NULL)
		send_session_free(pool->all);
	for (size_t i = 0; i < POOL_BUCKETS; i++)
		while (pool->buckets[i] != NULL)
			free_place(pool, pool->buckets[i]);
	io_timer_free(pool->work);
	io_timer_free(pool->tick);
	free(pool);
	return NULL;
}

void send_pool_set_options(struct send_pool *pool, const struct send_pool_options *o)
{
	pool->options = *o;
	for (struct send_session *s = pool->all; s != NULL; s = s->next_all)
		if (s->state == SESSION_IDLE)
			send_session_end(s);
}

void send_pool_seek(struct send_pool *pool, struct send_want *w)
{
	struct send_place *p = find_place(pool, w);

	require(w->level != DANE_LEVEL_UNREACHABLE);
	w->key = send_key_of(&w->arena, w);
	w->since = io_now(pool->loop);
	enqueue(p, w);
	mark(pool, p);
}

void send_pool_cancel(struct send_pool *pool, struct send_want *w)
{
	struct send_place *p = w->place;

	if (p == NULL)
		return;
	dequeue(w);
	mark(pool, p);
}

struct send_pool_stats send_pool_stats(const struct send_pool *pool)
{
	struct send_pool_stats s = pool->stats;

	s.places = pool->n_places;
	return s;
}
