/* One hop with work: its decision, its pace, and the parcels that wait their turn. */
#include <errno.h>
#include <string.h>

#include "jobs/send/queue_internal.h"

static uint64_t hash_text(const char *s)
{
	uint64_t h = 14695981039346656037u;

	for (; *s != '\0'; s++)
		h = (h ^ (uint8_t)*s) * 1099511628211u;
	return h;
}

/* -------- lists */

static struct send_lanes *list_of(struct send_lane *l)
{
	return l->state == LANE_ACTIVE ? &l->queue->active : &l->queue->resting;
}

static void list_add(struct send_lane *l)
{
	struct send_lanes *list = list_of(l);

	l->next = NULL;
	l->previous = list->last;
	if (list->last != NULL)
		list->last->next = l;
	else
		list->first = l;
	list->last = l;
	list->n++;
}

static void list_drop(struct send_lane *l)
{
	struct send_lanes *list = list_of(l);

	if (l->previous != NULL)
		l->previous->next = l->next;
	else
		list->first = l->next;
	if (l->next != NULL)
		l->next->previous = l->previous;
	else
		list->last = l->previous;
	list->n--;
}

static size_t weight_of(const struct send_lane *l)
{
	const struct send_choice *c = l->choice;

	return 500 + (c != NULL && c->decide != NULL
			      ? dane_decider_weight(probe_decide_decider(c->decide))
			      : 0);
}

static void drop_hungry(struct send_lane *l)
{
	struct send_lane **at = &l->queue->hungry;

	if (!l->hungry)
		return;
	while (*at != l)
		at = &(*at)->next_hungry;
	*at = l->next_hungry;
	if (l->queue->hungry_last == &l->next_hungry)
		l->queue->hungry_last = at;
	l->hungry = false;
}

void send_lane_free(struct send_lane *l)
{
	struct send_queue *q = l->queue;
	struct send_lane **at = &q->lanes[hash_text(l->hop) % QUEUE_BUCKETS];

	require(l->n_waiting + l->n_walking + l->n_settling == 0);
	if (l->state == LANE_RESTING)
		q->resting_weight -= weight_of(l);
	list_drop(l);
	drop_hungry(l);
	while (*at != l)
		at = &(*at)->next_in_bucket;
	*at = l->next_in_bucket;
	if (l->claim_ticket != 0) {
		store_forget(q->env.store, l->claim_ticket);
		q->n_claiming -= l->claim;
	}
	send_choice_replace(l);
	io_timer_free(l->decided);
	free(l->why_status);
	free(l->why_detail);
	free(l->hop);
	free(l);
}

/* No work: what was learned is kept while there is room. */
static void rest(struct send_lane *l)
{
	struct send_queue *q = l->queue;

	list_drop(l);
	drop_hungry(l);
	l->state = LANE_RESTING;
	list_add(l);
	if (l->choice != NULL)
		l->choice->fresh = false;
	q->resting_weight += weight_of(l);
	while (q->resting.n > SEND_QUEUE_RESTING || q->resting_weight > SEND_QUEUE_RESTING_WEIGHT)
		send_lane_free(q->resting.first);
	/* Hops were passed over for want of room. */
	if (q->unseen && !q->stopping)
		send_queue_look_at(q, 0);
}

static void on_decided(void *arg)
{
	send_lane_feed(arg);
}

struct send_lane *send_lane_get(struct send_queue *q, const char *hop, bool make)
{
	struct send_lane **bucket = &q->lanes[hash_text(hop) % QUEUE_BUCKETS], *l = *bucket;

	while (l != NULL && strcmp(l->hop, hop) != 0)
		l = l->next_in_bucket;
	if (l != NULL && l->state == LANE_ACTIVE)
		return l;
	if (!make || q->active.n >= SEND_QUEUE_LANES)
		return NULL;
	if (l == NULL) {
		l = xcalloc(1, sizeof(*l));
		l->queue = q;
		l->hop = xstrdup(hop);
		l->decided = io_timer_new(q->env.loop, on_decided, l);
		l->next_in_bucket = *bucket;
		*bucket = l;
	} else {
		q->resting_weight -= weight_of(l);
		list_drop(l);
	}
	l->state = LANE_ACTIVE;
	list_add(l);
	return l;
}

/* -------- the decision */

static void free_choice(struct send_choice *c)
{
	probe_decide_free(c->decide);
	arena_done(&c->arena);
	free(c);
}

void send_choice_leave(struct send_choice *c)
{
	if (--c->users == 0 && c->replaced)
		free_choice(c);
}

void send_choice_replace(struct send_lane *l)
{
	struct send_choice *c = TAKE(l->choice);

	if (c == NULL)
		return;
	c->replaced = true;
	if (c->users == 0)
		free_choice(c);
}

/* R23: not longer than the smallest TTL; what failed for seconds only (Q12). */
static usec_t kept_for(const struct dane_decider *d)
{
	int64_t s = QUEUE_DECISION_KEPT_S;

	for (size_t i = 0; i < dane_decider_evidence_count(d); i++) {
		const struct dane_answer *a = dane_decider_evidence(d, i).dns;

		if (a == NULL)
			continue;
		if ((a->security == DANE_BOGUS || a->security == DANE_FAILED) &&
		    s > QUEUE_FAILURE_KEPT_S)
			s = QUEUE_FAILURE_KEPT_S;
		else if (a->security != DANE_BOGUS && a->security != DANE_FAILED && a->ttl < s)
			s = a->ttl;
	}
	if (dane_decider_result(d)->outcome == DANE_OUTCOME_DEFER && s > QUEUE_FAILURE_KEPT_S)
		s = QUEUE_FAILURE_KEPT_S;
	return usec_seconds(s);
}

static void on_decision(void *arg, struct dane_decider *d)
{
	struct send_lane *l = arg;
	struct send_choice *c = l->choice;

	c->decision = dane_decider_result(d);
	c->expires = usec_add(io_now(l->queue->env.loop), kept_for(d));
	c->fresh = true;
	l->queue->stats.decisions++;
	/* Not from within: what follows may have the next one made, and free this. */
	io_timer_set(l->decided, 0);
}

static enum dane_mode mode_of(const struct send_queue_route *r)
{
	switch (r->tls) {
	case SEND_TLS_MODE:
		return r->mode;
	case SEND_TLS_NONE:
	case SEND_TLS_MAY:
	case SEND_TLS_ENCRYPT:
		return DANE_MODE_NONE;
	case SEND_TLS_DANE:
		return DANE_MODE_OPPORTUNISTIC;
	case SEND_TLS_DANE_ONLY:
		return DANE_MODE_MANDATORY;
	}
	return DANE_MODE_MANDATORY;
}

static void look_up_route(struct send_lane *l, struct send_choice *c)
{
	const struct send_queue_settings *s = &l->queue->settings;
	struct send_queue_route *r = &c->route;

	*r = (struct send_queue_route){.mode = s->mode};
	if (s->route != NULL && !s->route(s->route_arg, l->hop, r))
		*r = (struct send_queue_route){.mode = s->mode};
	r->name = arena_keep(&c->arena, r->name);
	if (r->port == 0)
		r->port = r->lmtp ? 24 : 25;
}

/* What is asked. False: the hop is no domain. */
static bool make_request(struct send_lane *l, struct send_choice *c)
{
	const struct send_queue_settings *s = &l->queue->settings;
	const struct send_queue_route *r = &c->route;
	struct dane_request *d = &c->request;
	struct mail_domain domain;
	const char *name = r->name != NULL ? r->name : l->hop;

	*d = (struct dane_request){.domain = l->hop, .port = r->port, .mode = mode_of(r)};
	switch (r->kind) {
	case SEND_ROUTE_ADDRESS:
	case SEND_ROUTE_UNIX:
		d->hop = DANE_HOP_ADDRESS;
		d->next_hop = name;
		return true;
	case SEND_ROUTE_HOST:
		d->hop = DANE_HOP_HOST;
		d->next_hop = name;
		return true;
	case SEND_ROUTE_MX:
		break;
	}
	if (mail_domain_parse(&c->arena, span_text(name), &domain, NULL) < 0)
		return false;
	d->hop = domain.kind == MAIL_DOMAIN_NAME ? DANE_HOP_DOMAIN : DANE_HOP_ADDRESS;
	d->next_hop = domain.host;
	d->half_dane = s->half_dane;
	d->own_name = s->hostname;
	return true;
}

static const struct dane_decision no_domain = {
	.outcome = DANE_OUTCOME_BOUNCE,
	.status = "5.1.2",
	.detail = "what stands behind the @ is no domain",
};

static void decide(struct send_lane *l)
{
	struct send_queue *q = l->queue;
	struct send_choice *c = xcalloc(1, sizeof(*c));
	usec_t now = io_now(q->env.loop);

	send_choice_replace(l);
	l->choice = c;
	look_up_route(l, c);
	if (!make_request(l, c)) {
		c->decision = &no_domain;
		c->expires = usec_add(now, usec_seconds(QUEUE_FAILURE_KEPT_S));
		return;
	}
	c->decide = probe_decide_new(q->env.loop, q->env.resolver, &c->request,
				     usec_add(now, usec_seconds(QUEUE_DECIDE_S)), on_decision, l);
	probe_decide_within(c->decide, &q->room);
}

/* Whether there is one that holds; else one is on its way, and the lane is fed when it is there. */
static bool has_decision(struct send_lane *l)
{
	struct send_choice *c = l->choice;

	if (c != NULL && c->decision == NULL)
		return false;
	/* One that holds for no time at all is good for those who waited for it. */
	if (c == NULL || (!c->fresh && io_now(l->queue->env.loop) >= c->expires))
		decide(l);
	c = l->choice;
	if (c->decision == NULL)
		return false;
	c->fresh = false;
	return true;
}

/* -------- claims */

void send_lanes_feed_hungry(struct send_queue *q)
{
	size_t room;

	while (q->hungry != NULL && !q->stopping && send_queue_has_room(q, &room)) {
		struct send_lane *l = q->hungry;

		drop_hungry(l);
		send_lane_feed(l);
	}
}

static void on_claimed(void *arg, int result, const struct store_parcel *list, size_t n)
{
	struct send_lane *l = arg;
	struct send_queue *q = l->queue;
	size_t n_recipients = 0;

	q->n_claiming -= l->claim;
	for (size_t i = 0; i < n; i++) {
		n_recipients += list[i].message.n_recipients;
		send_parcel_new(l, &list[i], usec_add(io_unix_now(), q->env.lease));
	}
	/* Many recipients: the answer may have been cut for its size. */
	l->more = result == 0 && (n == l->claim || n_recipients > 1000);
	l->big = l->more;
	l->claim = 0;
	l->claim_ticket = 0;
	if (result < 0)
		send_queue_look_at(q, usec_add(io_now(q->env.loop), usec_seconds(QUEUE_RETRY_S)));
	send_lane_feed(l);
	send_lanes_feed_hungry(q);
	send_queue_check_stopped(q);
}

static void claim(struct send_lane *l)
{
	struct send_queue *q = l->queue;
	usec_t now = io_unix_now();
	size_t room;

	if (l->claim_ticket != 0 || q->stopping || q->n_unrecorded > 0)
		return;
	if (!send_queue_has_room(q, &room)) {
		if (!l->hungry) {
			l->hungry = true;
			l->next_hungry = NULL;
			*q->hungry_last = l;
			q->hungry_last = &l->next_hungry;
		}
		return;
	}
	/* Most hops have little; what is asked for is kept free until the answer is there. */
	l->claim = l->big ? QUEUE_CLAIM : QUEUE_CLAIM_FIRST;
	if (l->claim > room)
		l->claim = room;
	q->n_claiming += l->claim;
	l->claim_ticket =
		store_claim(q->env.store, l->hop, l->claim, now, q->env.lease, on_claimed, l);
}

/* -------- whose turn it is */

void send_lane_take_out(struct send_lane *l, struct send_parcel *p)
{
	if (p->previous != NULL)
		p->previous->next = p->next;
	else
		l->first = p->next;
	if (p->next != NULL)
		p->next->previous = p->previous;
	else
		l->last = p->previous;
	p->next = p->previous = NULL;
	l->n_waiting--;
}

void send_lane_put_back(struct send_lane *l, struct send_parcel *p)
{
	p->next = l->first;
	if (l->first != NULL)
		l->first->previous = p;
	else
		l->last = p;
	l->first = p;
	l->n_waiting++;
}

static struct send_parcel *pick(struct send_lane *l)
{
	uint64_t who[2 * QUEUE_CLAIM];
	struct send_parcel *p = l->first;
	size_t n = 0;

	for (; p != NULL && n < ARRAY_SIZE(who); p = p->next)
		who[n++] = hash_text(p->stored.message.from) | 1;
	n = send_turns_take(&l->turns, who, n);
	for (p = l->first; n > 0; n--)
		p = p->next;
	send_lane_take_out(l, p);
	return p;
}

static void settle_waiting(struct send_lane *l, enum send_outcome outcome, const char *status,
			   const char *detail, usec_t due)
{
	while (l->first != NULL) {
		struct send_parcel *p = l->first;

		send_lane_take_out(l, p);
		l->n_settling++;
		/* What was never tried need not wait as long as what was. */
		if (p->stored.attempts == 0)
			p->due_at_most = due;
		send_parcel_settle_all(p, outcome, status, detail);
	}
}

/* Unix time, when the door is open again, a little spread. */
static usec_t opens_at(const struct send_lane *l)
{
	usec_t wait = l->pace.closed_until - io_now(l->queue->env.loop);

	return usec_add(io_unix_now(), wait + send_queue_dice() % usec_seconds(10));
}

static void begin_waiting(struct send_lane *l)
{
	struct send_queue *q = l->queue;

	while (l->first != NULL && send_pace_allows(&l->pace, l->n_walking, q->settings.connections,
						    io_now(q->env.loop))) {
		struct send_parcel *p = pick(l);

		l->n_walking++;
		p->choice = l->choice;
		p->choice->users++;
		q->stats.attempts++;
		send_parcel_begin(p);
	}
}

/* What waits goes on its way, or gets the fate of the whole hop. */
static void serve(struct send_lane *l)
{
	const struct dane_decision *d;

	if (l->first == NULL || l->queue->stopping || l->queue->n_unrecorded > 0 ||
	    !has_decision(l))
		return;
	d = l->choice->decision;
	if (d->outcome == DANE_OUTCOME_BOUNCE)
		settle_waiting(l, SEND_FAILED, d->status, d->detail, USEC_NEVER);
	else if (d->outcome == DANE_OUTCOME_DEFER)
		settle_waiting(l, SEND_DEFERRED, d->status, d->detail, USEC_NEVER);
	else if (send_pace_is_closed(&l->pace, io_now(l->queue->env.loop)))
		settle_waiting(l, SEND_DEFERRED, l->why_status, l->why_detail, opens_at(l));
	else
		begin_waiting(l);
}

void send_lane_feed(struct send_lane *l)
{
	unsigned before;

	/* What is begun here may end at once, and come back here. */
	if (l->feeding)
		return;
	l->feeding = true;
	do {
		before = l->n_waiting;
		serve(l);
	} while (l->n_waiting > 0 && l->n_waiting < before);
	l->feeding = false;
	if (l->more && l->n_waiting < QUEUE_CLAIM / 2)
		claim(l);
	if (l->n_waiting + l->n_walking + l->n_settling == 0 && l->claim_ticket == 0 && !l->more &&
	    (l->choice == NULL || l->choice->decision != NULL))
		rest(l);
}

void send_lane_failed(struct send_lane *l, const char *status, const char *detail)
{
	/* Open again before the first of its parcels comes back: a try of the schedule is one. */
	usec_t most = usec_min(usec_seconds(QUEUE_CLOSED_S), l->queue->schedule.retry[0] * 2 / 3);

	send_pace_failed(&l->pace, io_now(l->queue->env.loop), most, send_queue_dice());
	free(l->why_status);
	free(l->why_detail);
	l->why_status = xstrdup(status);
	l->why_detail = xstrdup(detail);
}
