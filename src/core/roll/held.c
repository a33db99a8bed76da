#include "core/roll/held.h"

#include "core/roll/without.h"

#include <errno.h>
#include <string.h>

/* The used editions, one by one: from NULL to NULL. */
static struct roll_edition *next(struct roll_held *h, struct roll_edition *e)
{
	for (e = e == NULL ? h->editions : e + 1; e < h->editions + ROLL_EDITIONS_MAX; e++)
		if (e->used)
			return e;
	return NULL;
}

void roll_held_init(struct roll_held *h, const struct roll_policy *policy)
{
	memset(h, 0, sizeof(*h));
	h->policy = *policy;
}

const struct roll_edition *roll_held_newest(const struct roll_held *h)
{
	const struct roll_edition *newest = NULL;

	for (size_t i = 0; i < ROLL_EDITIONS_MAX; i++) {
		const struct roll_edition *e = &h->editions[i];

		if (e->used && (newest == NULL || e->seq > newest->seq))
			newest = e;
	}
	return newest;
}

/* Until when resolvers may get the edition from that place. */
static usec_t served_until(const struct roll_held *h, const struct roll_edition *e, size_t place)
{
	const struct roll_place *p = &h->places[place];
	const struct roll_owner *o = &h->owners[p->owner];
	usec_t until = e->off[place], superseded = e->superseded[p->owner];

	if (!p->used || until == ROLL_NOT_THERE)
		return ROLL_NOT_THERE;
	until = usec_min(until, p->gone_at);
	if (superseded == USEC_NEVER)
		return until;
	/*
	 * No signature was made of it after a newer one was there: RFC 7671 section 11. But a
	 * server that can be asked is asked: there the zone may have been put back.
	 */
	if (o->validity > 0 && p->failing)
		until = usec_min(until, usec_add(superseded, o->validity));
	if (ROLL_WITHOUT(SIGNATURE) && p->failing)
		until = usec_min(until, superseded);
	return until;
}

/* How long caches keep what they got at the last moment: B11. */
static usec_t kept_for(const struct roll_held *h, const struct roll_edition *e, uint8_t owner)
{
	const struct roll_policy *policy = &h->policy;
	usec_t ttl = usec_seconds(e->ttl_s), alias = usec_seconds(h->owners[owner].alias_ttl_s),
	       kept;

	if (ROLL_WITHOUT(LONGEST_TTL) && !e->unknown)
		ttl = usec_seconds(roll_held_newest(h)->ttl_s);
	if (ROLL_WITHOUT(NEGATIVE) && e->set.n == 0 && !e->unknown)
		ttl = 0;
	if (ROLL_WITHOUT(ALIAS))
		alias = 0;
	/* A cache that got it at the last moment, and one behind it that counts anew. */
	kept = ttl + (alias > ttl ? alias : ttl);
	if (ROLL_WITHOUT(SECOND_TTL))
		kept = alias > ttl ? alias : ttl;
	if (ROLL_WITHOUT(TTL))
		kept = 0;
	if (!ROLL_WITHOUT(PROPAGATION))
		kept += usec_seconds(policy->propagation_s);
	if (!ROLL_WITHOUT(MARGIN))
		kept += usec_seconds(policy->margin_s);
	if (ROLL_WITHOUT(SECOND))
		kept -= USEC_PER_SEC;
	return kept;
}

static usec_t held_at(const struct roll_held *h, const struct roll_edition *e, size_t place)
{
	usec_t until = served_until(h, e, place);

	if (until == ROLL_NOT_THERE)
		return ROLL_NOT_THERE;
	return usec_add(until, kept_for(h, e, h->places[place].owner));
}

usec_t roll_held_until(const struct roll_held *h, const struct roll_edition *e)
{
	usec_t until = ROLL_NOT_THERE;

	for (size_t p = 0; p < ROLL_PLACES_MAX; p++) {
		usec_t there = held_at(h, e, p);

		if (there > until)
			until = there;
	}
	return until;
}

int roll_held_where(const struct roll_held *h, const struct roll_edition *e)
{
	for (size_t p = 0; p < ROLL_PLACES_MAX; p++)
		if (held_at(h, e, p) == USEC_NEVER)
			return (int)p;
	return -1;
}

int roll_held_behind(const struct roll_held *h)
{
	const struct roll_edition *newest = roll_held_newest(h);

	for (size_t p = 0; p < ROLL_PLACES_MAX; p++)
		if (h->places[p].used && h->places[p].gone_at == USEC_NEVER &&
		    (newest == NULL || h->places[p].seen_seq != newest->seq))
			return (int)p;
	return -1;
}

bool roll_held_is_everywhere(const struct roll_held *h)
{
	return roll_held_newest(h) != NULL && roll_held_behind(h) < 0;
}

/* A server showed it last, if only with signatures that have run out. */
static bool is_shown(const struct roll_held *h, const struct roll_edition *e)
{
	for (size_t p = 0; p < ROLL_PLACES_MAX; p++)
		if (h->places[p].used && h->places[p].seen_seq == e->seq)
			return true;
	return false;
}

/* Forgets what no resolver holds any more; the newest is what stands in the zone. */
static void prune(struct roll_held *h, usec_t now)
{
	const struct roll_edition *newest = roll_held_newest(h);

	for (size_t p = 0; p < ROLL_PLACES_MAX; p++) {
		struct roll_place *place = &h->places[p];
		bool held = false;

		if (!place->used || place->gone_at == USEC_NEVER)
			continue;
		for (struct roll_edition *e = next(h, NULL); e != NULL; e = next(h, e))
			held = held || held_at(h, e, p) >= now;
		if (held)
			continue;
		place->used = false;
		for (struct roll_edition *e = next(h, NULL); e != NULL; e = next(h, e))
			e->off[p] = ROLL_NOT_THERE;
	}
	for (struct roll_edition *e = next(h, NULL); e != NULL; e = next(h, e))
		if (e != newest && roll_held_until(h, e) < now && !is_shown(h, e))
			e->used = false;
}

static usec_t later(usec_t a, usec_t b)
{
	return a > b ? a : b;
}

/* `into` becomes a set that nobody knows, held wherever and as long as either. */
static void merge(struct roll_edition *into, const struct roll_edition *from)
{
	into->unknown = true;
	into->set = (struct roll_set){0};
	into->seq = into->seq > from->seq ? into->seq : from->seq;
	into->ttl_s = into->ttl_s > from->ttl_s ? into->ttl_s : from->ttl_s;
	for (size_t o = 0; o < ROLL_OWNERS_MAX; o++)
		into->superseded[o] = later(into->superseded[o], from->superseded[o]);
	for (size_t p = 0; p < ROLL_PLACES_MAX; p++)
		into->off[p] = later(into->off[p], from->off[p]);
}

/* The two oldest become one. */
static struct roll_edition *make_room(struct roll_held *h)
{
	struct roll_edition *a = NULL, *b = NULL;

	for (struct roll_edition *e = next(h, NULL); e != NULL; e = next(h, e)) {
		if (a == NULL || e->seq < a->seq) {
			b = a;
			a = e;
		} else if (b == NULL || e->seq < b->seq) {
			b = e;
		}
	}
	if (!ROLL_WITHOUT(CROWDED))
		merge(b, a);
	return a;
}

/* A new edition, nowhere yet. */
static struct roll_edition *edition_new(struct roll_held *h, usec_t now, uint32_t seq)
{
	struct roll_edition *free_slot = NULL;

	prune(h, now);
	for (size_t i = 0; i < ROLL_EDITIONS_MAX && free_slot == NULL; i++)
		if (!h->editions[i].used)
			free_slot = &h->editions[i];
	if (free_slot == NULL)
		free_slot = make_room(h);
	memset(free_slot, 0, sizeof(*free_slot));
	free_slot->used = true;
	free_slot->seq = seq;
	for (size_t o = 0; o < ROLL_OWNERS_MAX; o++)
		free_slot->superseded[o] = USEC_NEVER;
	for (size_t p = 0; p < ROLL_PLACES_MAX; p++)
		free_slot->off[p] = ROLL_NOT_THERE;
	return free_slot;
}

/* Whether the edition was ever at that owner. */
static bool at_owner(const struct roll_held *h, const struct roll_edition *e, uint8_t owner)
{
	for (size_t p = 0; p < ROLL_PLACES_MAX; p++)
		if (h->places[p].used && h->places[p].owner == owner && e->off[p] != ROLL_NOT_THERE)
			return true;
	return false;
}

/* A place that was never looked at may have shown anything. */
static void unknown_past(struct roll_held *h, usec_t now, size_t place)
{
	struct roll_edition *past = NULL;

	for (struct roll_edition *e = next(h, NULL); e != NULL; e = next(h, e))
		if (e->seq == 0)
			past = e;
	if (past == NULL)
		past = edition_new(h, now, 0);
	past->unknown = true;
	past->ttl_s = h->policy.history_ttl_s;
	past->superseded[h->places[place].owner] = USEC_NEVER;
	past->off[place] = ROLL_WITHOUT(HISTORY) ? ROLL_NOT_THERE : USEC_NEVER;
}

int roll_held_place(struct roll_held *h, usec_t now, uint8_t owner, const char *name, size_t *ret)
{
	size_t p = 0, n = strnlen(name, ROLL_NAME_MAX - 1);
	struct roll_place *place;

	if (owner >= ROLL_OWNERS_MAX)
		return -EINVAL;
	prune(h, now);
	while (p < ROLL_PLACES_MAX && h->places[p].used)
		p++;
	if (p == ROLL_PLACES_MAX)
		return -ENOSPC;
	place = &h->places[p];
	memset(place, 0, sizeof(*place));
	for (struct roll_edition *e = next(h, NULL); e != NULL; e = next(h, e))
		e->off[p] = at_owner(h, e, owner) ? USEC_NEVER : ROLL_NOT_THERE;
	place->used = true;
	place->owner = owner;
	place->seen_seq = UINT32_MAX;
	place->gone_at = USEC_NEVER;
	memcpy(place->name, name, n);
	unknown_past(h, now, p);
	*ret = p;
	return 0;
}

void roll_held_leave(struct roll_held *h, usec_t now, size_t place, uint32_t ns_ttl_s)
{
	require(place < ROLL_PLACES_MAX && h->places[place].used);
	h->places[place].gone_at =
		ROLL_WITHOUT(DELEGATION) ? now : usec_add(now, usec_seconds(ns_ttl_s));
}

void roll_held_fail(struct roll_held *h, size_t place)
{
	require(place < ROLL_PLACES_MAX && h->places[place].used);
	h->places[place].failing = true;
}

/*
 * Once it has left a place it does not come back: what looks like it is a node that lags, or a new
 * publish by somebody. Nobody can tell, so it is taken for the latter.
 */
static bool may_be_there(const struct roll_edition *e, size_t place)
{
	usec_t off = e->off[place];

	if (off == ROLL_NOT_THERE)
		return ROLL_WITHOUT(UNANSWERED);
	return off == USEC_NEVER || ROLL_WITHOUT(DOUBT);
}

static bool looks_like(const struct roll_edition *e, const struct roll_sight *sight)
{
	if (!e->used || e->unknown || !roll_set_eq(&e->set, &sight->set))
		return false;
	/* The negative TTL is not ours to choose: it tells no editions apart. */
	return sight->set.n == 0 || e->ttl_s == sight->ttl_s;
}

/*
 * The edition that a server showed. Of equal ones the oldest that it may be: then nothing is taken
 * for gone that may still come.
 */
static struct roll_edition *recognise(struct roll_held *h, size_t place,
				      const struct roll_sight *sight)
{
	struct roll_edition *found = NULL;
	bool found_on = false;

	for (struct roll_edition *e = next(h, NULL); e != NULL; e = next(h, e)) {
		bool on = e->off[place] == USEC_NEVER;

		if (!looks_like(e, sight) || e->seq < sight->has_seq || !may_be_there(e, place))
			continue;
		if (ROLL_WITHOUT(EQUAL_SETS)) {
			if (found == NULL || e->seq > found->seq)
				found = e;
			continue;
		}
		if (found == NULL || (on && !found_on) || (on == found_on && e->seq < found->seq)) {
			found = e;
			found_on = on;
		}
	}
	return found;
}

/*
 * A set that others published, or that the publisher gave another TTL: the publish of ours that it
 * must have come after, since nobody had these records before. 0: none.
 */
static uint32_t born_with(const struct roll_held *h, const struct roll_edition *e)
{
	const struct roll_edition *first = NULL;

	for (size_t i = 0; i < ROLL_EDITIONS_MAX; i++) {
		const struct roll_edition *other = &h->editions[i];

		if (!other->used || other == e)
			continue;
		if (other->unknown)
			return 0;
		if (roll_set_eq(&other->set, &e->set) && (first == NULL || other->seq < first->seq))
			first = other;
	}
	return first == NULL ? 0 : first->after;
}

/* Nobody here published it. It is the newest thing known, and on its way to every server. */
static struct roll_edition *outside(struct roll_held *h, usec_t now, uint8_t owner,
				    const struct roll_sight *sight)
{
	struct roll_edition *e = edition_new(h, now, ++h->last_seq);

	e->set = sight->set;
	e->ttl_s = sight->ttl_s;
	e->after = born_with(h, e);
	for (size_t p = 0; p < ROLL_PLACES_MAX; p++)
		if (h->places[p].used && h->places[p].owner == owner && !ROLL_WITHOUT(OUTSIDE))
			e->off[p] = USEC_NEVER;
	return e;
}

static void learn(struct roll_owner *o, const struct roll_sight *sight)
{
	usec_t validity = 0;

	if (sight->alias_ttl_s > o->alias_ttl_s)
		o->alias_ttl_s = sight->alias_ttl_s;
	if (sight->signed_from > 0 && sight->signed_until > sight->signed_from &&
	    sight->signed_until - sight->signed_from <= UINT32_MAX)
		validity = usec_seconds(sight->signed_until - sight->signed_from);
	o->validity = later(o->validity, validity);
}

void roll_held_look(struct roll_held *h, usec_t now, size_t place, const struct roll_sight *sight)
{
	struct roll_edition *seen;
	struct roll_place *p;
	uint32_t behind;

	require(place < ROLL_PLACES_MAX && h->places[place].used);
	p = &h->places[place];
	learn(&h->owners[p->owner], sight);
	seen = recognise(h, place, sight);
	if (seen == NULL)
		seen = outside(h, now, p->owner, sight);
	p->failing = false;
	p->seen_seq = seen->seq;
	if (ROLL_WITHOUT(DOUBT) && seen->off[place] != USEC_NEVER &&
	    seen->off[place] != ROLL_NOT_THERE)
		return;
	seen->off[place] = USEC_NEVER;
	/* Signed until now, perhaps: it may have been published again. */
	if (seen->superseded[p->owner] != USEC_NEVER)
		seen->superseded[p->owner] = now;
	if (sight->set.n == 0 && sight->ttl_s > seen->ttl_s)
		seen->ttl_s = sight->ttl_s;
	/* The unknown past is over with the first look. */
	behind = seen->after > sight->has_seq ? seen->after : sight->has_seq;
	behind = behind > 0 ? behind : 1;
	for (struct roll_edition *e = next(h, NULL); e != NULL; e = next(h, e)) {
		if (e->seq >= behind)
			continue;
		if (e->superseded[p->owner] == USEC_NEVER)
			e->superseded[p->owner] = now;
		for (size_t k = 0; k < ROLL_PLACES_MAX; k++)
			if ((k == place || (ROLL_WITHOUT(EVERY_SERVER) && h->places[k].used &&
					    h->places[k].owner == p->owner)) &&
			    e->off[k] == USEC_NEVER)
				e->off[k] = now;
	}
	prune(h, now);
}

uint32_t roll_held_ttl(const struct roll_held *h, const struct roll_set *set)
{
	uint32_t ttl_s = h->policy.ttl_s;

	if (set->n == 0 || ROLL_WITHOUT(EQUAL_SETS))
		return set->n == 0 ? 0 : ttl_s;
	/* Of ROLL_EDITIONS_MAX + 1 TTLs one is free. */
	for (size_t i = 0; i < ROLL_EDITIONS_MAX; i++) {
		const struct roll_edition *e = &h->editions[i];

		if (!e->used || e->unknown || e->ttl_s != ttl_s || !roll_set_eq(&e->set, set))
			continue;
		ttl_s = ttl_s > 1 ? ttl_s - 1 : h->policy.ttl_s + ROLL_EDITIONS_MAX;
		i = SIZE_MAX; /* from the first again */
	}
	return ttl_s;
}

uint32_t roll_held_publish(struct roll_held *h, usec_t now, const struct roll_set *set)
{
	uint32_t ttl_s = roll_held_ttl(h, set);
	struct roll_edition *e = edition_new(h, now, ++h->last_seq);

	e->set = *set;
	e->after = e->seq;
	e->ttl_s = ttl_s;
	for (size_t p = 0; p < ROLL_PLACES_MAX; p++)
		if (h->places[p].used && !ROLL_WITHOUT(UNANSWERED))
			e->off[p] = USEC_NEVER;
	return e->seq;
}
