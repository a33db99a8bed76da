#include "jobs/send/queue.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "edge/io/log.h"
#include "jobs/send/queue_internal.h"

enum {
	LOOK_HOPS = 200,       /* of one answer */
	LOOK_PAUSE_US = 10000, /* between two looks, at least */
	STOP_S = 30,
};

uint32_t send_queue_dice(void)
{
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		r = 0; /* jitter, no secret */
	return r;
}

/* -------- what is due */

static void look(struct send_queue *q);

/* Nothing more would find room. */
static bool is_full(const struct send_queue *q)
{
	size_t room;

	return q->active.n >= SEND_QUEUE_LANES || !send_queue_has_room(q, &room);
}

/* False: there is no room for all of them. */
static bool take_hops(struct send_queue *q, const struct store_hop *hops, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t before = q->active.n;
		struct send_lane *l = send_lane_get(q, hops[i].name, true);

		if (l == NULL)
			return false;
		q->n_found += q->active.n > before;
		l->more = true;
		send_lane_feed(l);
	}
	return n < LOOK_HOPS || !is_full(q);
}

static void on_hops(void *arg, int result, const struct store_hop *hops, size_t n, usec_t next_due)
{
	struct send_queue *q = arg;

	q->looking = 0;
	if (q->stopping)
		return;
	if (result < 0) {
		send_queue_look_at(q, usec_add(io_now(q->env.loop), usec_seconds(QUEUE_RETRY_S)));
		return;
	}
	q->unseen = !take_hops(q, hops, n);
	if (next_due != USEC_NEVER)
		send_queue_due(q, next_due);
	if (n == LOOK_HOPS && !q->unseen) {
		q->skip += n;
		look(q);
		return;
	}
	/* What is done meanwhile moves the later ones to the front, where they were passed over. */
	if (q->look_again || (q->skip > 0 && q->n_found > 0))
		send_queue_look_at(q, 0);
	q->skip = q->n_found = 0;
	q->look_again = false;
}

static void look(struct send_queue *q)
{
	if (q->skip == 0) {
		q->looked_at = io_now(q->env.loop);
		/* In any case from time to time: the clock may have been set. */
		q->look_at = usec_add(q->looked_at, usec_seconds(QUEUE_LOOK_S));
		io_timer_set(q->look, q->look_at);
	}
	q->looking = store_hops(q->env.store, io_unix_now(), q->skip, LOOK_HOPS, on_hops, q);
}

static void on_look(void *arg)
{
	struct send_queue *q = arg;

	q->look_at = USEC_NEVER;
	if (q->stopping)
		return;
	if (q->looking != 0)
		q->look_again = true;
	else
		look(q);
}

void send_queue_look_at(struct send_queue *q, usec_t when)
{
	usec_t soonest = usec_add(q->looked_at, LOOK_PAUSE_US);

	if (when < soonest)
		when = soonest;
	if (when >= q->look_at || q->stopping)
		return;
	q->look_at = when;
	io_timer_set(q->look, when);
}

void send_queue_due(struct send_queue *q, usec_t unix_due)
{
	usec_t wait = unix_due - io_unix_now();

	send_queue_look_at(q, usec_add(io_now(q->env.loop), wait > 0 ? wait : 0));
}

void send_queue_wake(struct send_queue *q)
{
	if (q->looking != 0)
		q->look_again = true;
	else
		send_queue_look_at(q, 0);
}

bool send_queue_has_room(const struct send_queue *q, size_t *ret_parcels)
{
	size_t taken = q->n_parcels + q->n_claiming;

	*ret_parcels = taken < SEND_QUEUE_PARCELS ? SEND_QUEUE_PARCELS - taken : 0;
	return *ret_parcels > 0 && q->n_recipients < SEND_QUEUE_RECIPIENTS;
}

/* -------- a store in trouble */

void send_queue_unrecorded(struct send_parcel *p)
{
	p->queue->n_unrecorded += !p->unrecorded;
	p->unrecorded = true;
}

void send_queue_recorded(struct send_parcel *p)
{
	struct send_queue *q = p->queue;
	struct send_lane *next;

	if (!p->unrecorded)
		return;
	p->unrecorded = false;
	if (--q->n_unrecorded > 0)
		return;
	for (struct send_lane *l = q->active.first; l != NULL; l = next) {
		next = l->next;
		send_lane_feed(l);
	}
}

/* -------- leases */

static void on_extended(void *arg, int result)
{
	struct send_parcel *p = arg;

	p->extending = 0;
	if (result != -ESTALE || p->stored.fence != p->extended)
		return;
	IO_LOG(IO_LOG_WARNING, p->stored.message.id.text, "lease_lost", {"hop", p->lane->hop});
	send_parcel_lost(p);
}

static void extend(struct send_parcel *p, usec_t until)
{
	p->extended = p->stored.fence;
	p->lease_until = until;
	p->extending = store_extend(p->queue->env.store, p->stored.key, p->stored.fence, until,
				    on_extended, p);
}

static void sweep_later(struct send_queue *q)
{
	usec_t wait = q->env.lease / 15;

	if (wait < usec_seconds(1))
		wait = usec_seconds(1);
	io_timer_set(q->sweep, usec_add(io_now(q->env.loop), wait));
}

static void on_sweep(void *arg)
{
	struct send_queue *q = arg;
	usec_t now = io_unix_now(), soon = usec_add(now, q->env.lease / 2);

	for (struct send_parcel *p = q->all; p != NULL; p = p->next_all)
		if (p->lease_until < soon && p->extending == 0)
			extend(p, usec_add(now, q->env.lease));
	sweep_later(q);
}

/* -------- settings */

static struct send_pool_options pool_options(const struct send_queue *q)
{
	const struct send_queue_settings *s = &q->settings;
	unsigned each = s->connections_per_address;

	if (each == 0)
		each = s->connections;
	return (struct send_pool_options){
		.helo = s->helo,
		.connect_timeout = s->connect_timeout,
		.per_address = each > 0 ? each : 1,
		.total = s->sessions > 0 && s->sessions < SEND_QUEUE_SESSIONS ? s->sessions
									      : SEND_QUEUE_SESSIONS,
	};
}

static void copy_settings(struct send_queue *q, const struct send_queue_settings *s)
{
	struct send_queue_settings *own = &q->settings;
	usec_t *retry;

	require(s->n_retry > 0);
	*own = *s;
	own->helo.host = arena_keep(&q->arena, s->helo.host);
	own->helo.text = arena_strdup(&q->arena, s->helo.text);
	own->hostname = arena_keep(&q->arena, s->hostname);
	own->postmaster = s->postmaster != NULL
				  ? arena_strdup(&q->arena, s->postmaster)
				  : arena_printf(&q->arena, "postmaster@%s",
						 s->hostname != NULL ? s->hostname : s->helo.text);
	retry = arena_calloc(&q->arena, s->n_retry, sizeof(*retry));
	memcpy(retry, s->retry, s->n_retry * sizeof(*retry));
	own->retry = retry;
	if (own->connections == 0)
		own->connections = 1;
	q->schedule = (struct send_schedule){.retry = retry,
					     .n_retry = s->n_retry,
					     .lifetime = s->lifetime,
					     .dane_lifetime = s->dane_lifetime};
}

void send_queue_set_settings(struct send_queue *q, const struct send_queue_settings *s)
{
	struct arena old = q->arena;
	struct send_pool_options o;
	struct send_lane *next;

	q->arena = (struct arena){0};
	copy_settings(q, s);
	o = pool_options(q);
	send_pool_set_options(q->pool, &o);
	while (q->resting.first != NULL)
		send_lane_free(q->resting.first);
	for (struct send_parcel *p = q->all; p != NULL; p = p->next_all)
		send_parcel_outdate(p);
	for (struct send_lane *l = q->active.first; l != NULL; l = next) {
		next = l->next;
		send_choice_replace(l);
		send_lane_feed(l);
	}
	/* Sessions under way have said their EHLO long ago, or say it by the old name. */
	arena_done(&old);
}

/* -------- life */

struct send_queue *send_queue_new(const struct send_queue_env *env,
				  const struct send_queue_settings *s)
{
	struct send_queue *q = xcalloc(1, sizeof(*q));
	struct send_pool_options o;

	q->env = *env;
	copy_settings(q, s);
	o = pool_options(q);
	q->pool = send_pool_new(env->loop, env->tls, &o);
	q->hungry_last = &q->hungry;
	q->room = (struct probe_room){.max = SEND_QUEUE_DECISIONS_MAX,
				      .share = SEND_QUEUE_DECISION_SHARE};
	q->look = io_timer_new(env->loop, on_look, q);
	q->sweep = io_timer_new(env->loop, on_sweep, q);
	q->look_at = USEC_NEVER;
	if (q->env.lease == 0)
		q->env.lease = usec_seconds(QUEUE_LEASE_S);
	sweep_later(q);
	return q;
}

struct send_queue *send_queue_free(struct send_queue *q)
{
	if (q == NULL)
		return NULL;
	q->stopping = true;
	if (q->looking != 0)
		store_forget(q->env.store, q->looking);
	while (q->all != NULL)
		send_parcel_free(q->all);
	for (size_t i = 0; i < 2; i++) {
		struct send_lanes *list = i == 0 ? &q->active : &q->resting;

		while (list->first != NULL) {
			list->first->n_waiting = list->first->n_walking = 0;
			list->first->n_settling = 0;
			send_lane_free(list->first);
		}
	}
	send_pool_free(q->pool);
	io_timer_free(q->look);
	io_timer_free(q->sweep);
	io_timer_free(q->limit);
	arena_done(&q->arena);
	free(q);
	return NULL;
}

void send_queue_check_stopped(struct send_queue *q)
{
	io_fn *fn = q->stopped;

	if (!q->stopping || q->n_parcels + q->n_claiming > 0 || fn == NULL)
		return;
	q->stopped = NULL;
	/* Not from within: the caller may free the queue. */
	io_defer(q->env.loop, fn, q->stopped_arg);
}

static void stop_all(struct send_queue *q, bool at_once)
{
	struct send_parcel *next;

	for (struct send_parcel *p = q->all; p != NULL; p = next) {
		next = p->next_all;
		send_parcel_stop(p, at_once);
	}
}

static void on_limit(void *arg)
{
	stop_all(arg, true);
	send_queue_check_stopped(arg);
}

void send_queue_stop(struct send_queue *q, io_fn *done, void *arg)
{
	q->stopping = true;
	q->stopped = done;
	q->stopped_arg = arg;
	q->limit = io_timer_new(q->env.loop, on_limit, q);
	io_timer_set(q->limit, usec_add(io_now(q->env.loop), usec_seconds(STOP_S)));
	io_timer_set(q->look, USEC_NEVER);
	stop_all(q, false);
	send_queue_check_stopped(q);
}

struct send_queue_stats send_queue_stats(const struct send_queue *q)
{
	struct send_queue_stats s = q->stats;
	struct send_pool_stats p = send_pool_stats(q->pool);

	s.connections = p.opened;
	s.reused = p.reused;
	s.sessions = p.open;
	s.idle_sessions = p.idle;
	s.lanes = q->active.n;
	s.parcels = q->n_parcels;
	return s;
}
