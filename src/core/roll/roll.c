#include "core/roll/roll.h"

#include "core/roll/without.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void roll_init(struct roll *r, const struct roll_policy *policy)
{
	memset(r, 0, sizeof(*r));
	roll_held_init(&r->held, policy);
}

void roll_set_policy(struct roll *r, const struct roll_policy *policy)
{
	r->held.policy = *policy;
}

static usec_t later(usec_t a, usec_t b)
{
	return a > b ? a : b;
}

static bool fits(const struct roll_edition *e, const struct roll_bundle *b)
{
	return !e->unknown && (ROLL_WITHOUT(FIT) || roll_set_fits(&e->set, b));
}

/* Until when a held set does not fit, or after an emergency may not fit, what may be served. */
static usec_t broken_until(const struct roll *r)
{
	usec_t until = ROLL_NOT_THERE;

	for (size_t i = 0; i < ROLL_EDITIONS_MAX; i++) {
		const struct roll_edition *e = &r->held.editions[i];
		bool bad = e->unknown ? r->emergency
				      : (r->current.id != 0 && !fits(e, &r->current)) ||
						(r->previous.id != 0 && !fits(e, &r->previous));

		if (e->used && bad)
			until = later(until, roll_held_until(&r->held, e));
	}
	return until;
}

/* Time that has passed since the last reading. */
static usec_t elapsed(const struct roll *r, const struct roll_clock *c)
{
	usec_t passed;
	bool same_boot = c->boot != 0 && c->boot == r->clock.boot;

	if (same_boot && !ROLL_WITHOUT(MONOTONIC))
		passed = c->mono_usec - r->clock.mono_usec;
	else
		passed = c->unix_usec - r->clock.unix_usec;
	return passed > 0 ? passed : 0;
}

void roll_clock(struct roll *r, struct roll_clock clock)
{
	usec_t passed = r->started ? elapsed(r, &clock) : 0;
	usec_t expected = r->clock.unix_usec + passed;

	r->now += passed;
	/*
	 * The wall clock at its highest. A clock that was set back and is right again at the next
	 * boot has then not run ahead.
	 */
	if (r->started && clock.unix_usec < expected && !ROLL_WITHOUT(LOW_CLOCK))
		clock.unix_usec = expected;
	r->clock = clock;
	r->started = true;
	if (r->emergency && !r->burned && broken_until(r) < r->now)
		r->emergency = false;
}

int roll_place(struct roll *r, uint8_t owner, const char *name, size_t *ret)
{
	return roll_held_place(&r->held, r->now, owner, name, ret);
}

void roll_leave(struct roll *r, size_t place, uint32_t ns_ttl_s)
{
	roll_held_leave(&r->held, r->now, place, ns_ttl_s);
}

void roll_look(struct roll *r, size_t place, const struct roll_sight *sight)
{
	roll_held_look(&r->held, r->now, place, sight);
}

void roll_look_failed(struct roll *r, size_t place)
{
	roll_held_fail(&r->held, place);
}

int roll_address(struct roll *r, const char *name, size_t *ret)
{
	for (size_t i = 0; i < ROLL_ADDRESSES_MAX; i++) {
		struct roll_address *a = &r->addresses[i];

		if (a->used)
			continue;
		*a = (struct roll_address){.used = true};
		memcpy(a->name, name, strnlen(name, ROLL_NAME_MAX - 1));
		*ret = i;
		return 0;
	}
	return -ENOSPC;
}

static void settle(struct roll *r)
{
	for (size_t i = 0; i < ROLL_ADDRESSES_MAX; i++) {
		const struct roll_address *a = &r->addresses[i];

		if (a->used && !ROLL_WITHOUT(VERIFIED) &&
		    (a->serving != ROLL_SERVING_ONE || a->bundle != r->current.id))
			return;
	}
	/* Every address was seen with the current bundle: the previous is history. */
	r->previous = (struct roll_bundle){0};
	r->burned = false;
}

void roll_address_gone(struct roll *r, size_t address)
{
	require(address < ROLL_ADDRESSES_MAX && r->addresses[address].used);
	r->addresses[address] = (struct roll_address){0};
	settle(r);
}

static const struct roll_bundle *bundle_by_id(const struct roll *r, uint64_t id)
{
	const struct roll_bundle *all[] = {&r->current, &r->next, &r->previous};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (id != 0 && all[i]->id == id)
			return all[i];
	return NULL;
}

void roll_probe(struct roll *r, size_t address, uint64_t bundle)
{
	struct roll_address *a;

	require(address < ROLL_ADDRESSES_MAX && r->addresses[address].used);
	a = &r->addresses[address];
	a->serving = bundle_by_id(r, bundle) == NULL ? ROLL_SERVING_OTHER : ROLL_SERVING_ONE;
	a->bundle = a->serving == ROLL_SERVING_ONE ? bundle : 0;
	settle(r);
}

int roll_serve(struct roll *r, const struct roll_bundle *current, struct err *e)
{
	if (r->current.id != 0)
		return err_set(e, -EBUSY, "a key is in service already");
	if (!roll_bundle_is_sound(current))
		return err_set(e, -EINVAL,
			       "the certificates and the records to publish do not fit");
	r->current = *current;
	return 0;
}

void roll_want_dane(struct roll *r, enum roll_dane dane)
{
	r->dane = dane;
}

int roll_stage(struct roll *r, const struct roll_bundle *next, struct err *e)
{
	struct roll_set between;
	int ret;

	if (r->next.id != 0)
		return err_set(e, -EBUSY, "another key is staged: abort or activate it first");
	if (r->previous.id != 0)
		return err_set(e, -EBUSY, "the last change is not yet seen at every address");
	if (r->current.id == 0 || !roll_bundle_is_sound(next) || next->id == r->current.id)
		return err_set(e, -EINVAL,
			       "the certificates and the records to publish do not fit");
	ret = roll_set_between(&r->current, next, &between);
	if (ret == 0)
		ret = roll_set_between(next, &r->current, &between); /* after an abort */
	if (ret == -ENOENT)
		return err_set(e, ret, "no kind of record matches both the old and the new key");
	if (ret < 0)
		return err_set(e, ret, "the records of both keys are more than %d", ROLL_SET_MAX);
	r->next = *next;
	return 0;
}

/* When no held set is left that does not fit; those that do not fit `unless` either not counted. */
static usec_t fit_from(const struct roll *r, const struct roll_bundle *b,
		       const struct roll_bundle *unless, const struct roll_edition **ret_last)
{
	usec_t from = ROLL_NOT_THERE;

	for (size_t i = 0; i < ROLL_EDITIONS_MAX; i++) {
		const struct roll_edition *e = &r->held.editions[i];
		usec_t until;

		if (!e->used || fits(e, b) || (unless != NULL && !e->unknown && !fits(e, unless)))
			continue;
		until = roll_held_until(&r->held, e);
		if (until > from) {
			from = until;
			if (ret_last != NULL)
				*ret_last = e;
		}
	}
	return from == USEC_NEVER || from == ROLL_NOT_THERE ? from : from + 1;
}

/* When no empty (or: no non-empty) set is held any more. */
static usec_t none_from(const struct roll *r, bool empty)
{
	usec_t from = ROLL_NOT_THERE;

	for (size_t i = 0; i < ROLL_EDITIONS_MAX; i++) {
		const struct roll_edition *e = &r->held.editions[i];

		if (e->used && (e->unknown || (e->set.n == 0) == empty)) {
			usec_t until = roll_held_until(&r->held, e);

			from = until > from ? until : from;
		}
	}
	return from == USEC_NEVER || from == ROLL_NOT_THERE ? from : from + 1;
}

static struct roll_set wanted_set(const struct roll *r)
{
	struct roll_set set = {0};
	const struct roll_bundle *other = r->next.id != 0 ? &r->next : &r->previous;

	if (r->dane == ROLL_DANE_AS_IS && roll_held_newest(&r->held) != NULL)
		return roll_held_newest(&r->held)->set;
	if (r->dane != ROLL_DANE_ON || r->current.id == 0)
		return set;
	if (other->id == 0 || r->burned)
		return r->current.publish;
	/* roll_stage() has seen that there is one. */
	require(roll_set_between(other == &r->previous ? other : &r->current,
				 other == &r->previous ? &r->current : other, &set) == 0);
	return set;
}

/* Whether the set may be published: it fits what each address may serve. Else that address. */
static bool may_publish(const struct roll *r, const struct roll_set *set, int *ret_address)
{
	const struct roll_edition *newest = roll_held_newest(&r->held);
	size_t n = 0;

	*ret_address = -1;
	if (set->n == 0 || r->burned || ROLL_WITHOUT(VERIFIED))
		return true;
	/* More records in the same combinations never make it worse. */
	if (newest != NULL && !newest->unknown && newest->set.n > 0 &&
	    roll_set_extends(set, &newest->set))
		return true;
	for (size_t i = 0; i < ROLL_ADDRESSES_MAX; i++) {
		const struct roll_address *a = &r->addresses[i];
		bool good = false;

		if (!a->used)
			continue;
		n++;
		switch (a->serving) {
		case ROLL_SERVING_UNKNOWN:
		case ROLL_SERVING_OTHER:
			break;
		case ROLL_SERVING_ONE:
			good = bundle_by_id(r, a->bundle) != NULL &&
			       roll_set_fits(set, bundle_by_id(r, a->bundle));
			break;
		case ROLL_SERVING_MOVING:
			good = roll_set_fits(set, &r->current) && roll_set_fits(set, &r->previous);
			break;
		}
		if (!good) {
			*ret_address = (int)i;
			return false;
		}
	}
	return n > 0; /* B1, B12: nothing for a server that was not seen */
}

/* Whether DNS wants a change: what was published last is not `set`, or not at every owner. */
static bool wants_publish(const struct roll *r, const struct roll_set *set)
{
	const struct roll_edition *newest = roll_held_newest(&r->held);

	if (r->dane == ROLL_DANE_AS_IS)
		return false;
	if (newest == NULL || newest->unknown)
		return set->n > 0;
	if (!roll_set_eq(&newest->set, set))
		return true;
	if (set->n == 0)
		return false;
	for (size_t p = 0; p < ROLL_PLACES_MAX; p++)
		if (r->held.places[p].used && r->held.places[p].gone_at == USEC_NEVER &&
		    newest->off[p] == ROLL_NOT_THERE && !ROLL_WITHOUT(UNANSWERED))
			return true;
	return newest->ttl_s > r->held.policy.ttl_max_s &&
	       newest->ttl_s > r->held.policy.ttl_s + ROLL_EDITIONS_MAX;
}

uint32_t roll_publish(struct roll *r)
{
	struct roll_set set = wanted_set(r);
	int address;

	if (!wants_publish(r, &set) || !may_publish(r, &set, &address))
		return 0;
	return roll_held_publish(&r->held, r->now, &set);
}

static usec_t to_unix(const struct roll *r, usec_t t)
{
	if (t == USEC_NEVER)
		return t;
	if (t <= r->now)
		return r->clock.unix_usec;
	return usec_add(r->clock.unix_usec, t - r->now);
}

int roll_activate(struct roll *r, enum roll_force force, struct err *e)
{
	const struct roll_bundle *unless = force == ROLL_FORCE_HARMLESS ? &r->current : NULL;
	usec_t from;

	if (r->next.id == 0)
		return err_set(e, -ENOENT, "no key is staged");
	from = fit_from(r, &r->next, unless, NULL);
	if (from > r->now && force != ROLL_FORCE_EMERGENCY) {
		if (from == USEC_NEVER)
			return err_set(e, -EAGAIN, "a set without the new key may still be served");
		return err_set(e, -EAGAIN,
			       "resolvers may hold a set without the new key for %lld s",
			       (long long)((from - r->now + USEC_PER_SEC - 1) / USEC_PER_SEC));
	}
	r->burned = force == ROLL_FORCE_EMERGENCY;
	r->emergency = r->emergency || r->burned;
	r->previous = r->current;
	r->current = r->next;
	r->next = (struct roll_bundle){0};
	for (size_t i = 0; i < ROLL_ADDRESSES_MAX; i++)
		if (r->addresses[i].used && r->addresses[i].serving == ROLL_SERVING_ONE)
			r->addresses[i].serving = ROLL_SERVING_MOVING;
	return 0;
}

int roll_abort(struct roll *r, struct err *e)
{
	struct roll_bundle given_up;

	if (r->next.id != 0) {
		for (size_t i = 0; i < ROLL_ADDRESSES_MAX; i++)
			if (r->addresses[i].used && r->addresses[i].bundle == r->next.id)
				return err_set(e, -EAGAIN, "%s serves the staged key already",
					       r->addresses[i].name);
		r->next = (struct roll_bundle){0};
		return 0;
	}
	if (r->previous.id == 0)
		return err_set(e, -ENOENT, "no key is staged, no change is under way");
	if (r->burned)
		return err_set(e, -EBUSY, "the old key is compromised and is not served again");
	if (fit_from(r, &r->previous, NULL, NULL) > r->now)
		return err_set(e, -EAGAIN, "resolvers may hold a set without the old key");
	given_up = r->current;
	r->current = r->previous;
	r->previous = given_up;
	for (size_t i = 0; i < ROLL_ADDRESSES_MAX; i++)
		if (r->addresses[i].used && r->addresses[i].serving == ROLL_SERVING_ONE)
			r->addresses[i].serving = ROLL_SERVING_MOVING;
	return 0;
}

const char *roll_step_to_string(enum roll_step s)
{
	switch (s) {
	case ROLL_STEP_REST:
		return "rest";
	case ROLL_STEP_PUBLISH:
		return "publish";
	case ROLL_STEP_LOOK:
		return "look";
	case ROLL_STEP_PROBE:
		return "probe";
	case ROLL_STEP_WAIT:
		return "wait";
	case ROLL_STEP_READY:
		return "ready";
	}
	return "?";
}

_printf_(2, 3) static void why(struct roll_report *ret, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(ret->why, sizeof(ret->why), format, ap);
	va_end(ap);
}

static void want_probe(const struct roll *r, struct roll_report *ret)
{
	ret->step = ROLL_STEP_PROBE;
	for (int i = 0; i < ROLL_ADDRESSES_MAX && ret->address < 0; i++) {
		const struct roll_address *a = &r->addresses[i];

		if (a->used && (a->serving != ROLL_SERVING_ONE || a->bundle != r->current.id))
			ret->address = i;
	}
	if (ret->address < 0)
		why(ret, "no address is known where the key is served");
	else
		why(ret, "%s was not yet seen with the key that is in use",
		    r->addresses[ret->address].name);
}

static void want_look(const struct roll *r, int place, struct roll_report *ret)
{
	ret->step = ROLL_STEP_LOOK;
	ret->place = place;
	if (place < 0)
		why(ret, "no name server is known");
	else if (r->held.places[place].failing)
		why(ret, "%s does not answer; it may serve an older set",
		    r->held.places[place].name);
	else
		why(ret, "%s was not yet seen with the new set", r->held.places[place].name);
}

/* A key is staged and all is published: when may it be served? */
static void want_key(const struct roll *r, struct roll_report *ret)
{
	const struct roll_edition *last = NULL;
	usec_t from = fit_from(r, &r->next, NULL, &last);

	if (from == USEC_NEVER) {
		want_look(r, roll_held_where(&r->held, last), ret);
	} else if (from > r->now) {
		ret->step = ROLL_STEP_WAIT;
		why(ret, "resolvers may hold %s without the new key for %lld s",
		    last->unknown ? "an earlier set" : "a set",
		    (long long)((from - r->now + USEC_PER_SEC - 1) / USEC_PER_SEC));
	} else {
		ret->step = ROLL_STEP_READY;
		why(ret, "every set that a resolver may hold matches the new key");
	}
}

static bool serves_other(const struct roll *r)
{
	const struct roll_edition *newest = roll_held_newest(&r->held);

	for (size_t i = 0; i < ROLL_ADDRESSES_MAX; i++)
		if (r->addresses[i].used && r->addresses[i].serving == ROLL_SERVING_OTHER)
			return newest != NULL && newest->set.n > 0;
	return false;
}

static void facts(const struct roll *r, struct roll_report *ret)
{
	const struct roll_edition *newest = roll_held_newest(&r->held);
	usec_t full = none_from(r, true), empty = none_from(r, false);

	if (newest == NULL || newest->unknown || newest->set.n == 0)
		full = USEC_NEVER;
	if (newest == NULL || newest->unknown || newest->set.n != 0)
		empty = USEC_NEVER;
	ret->in_force = full <= r->now;
	ret->in_force_from = to_unix(r, full);
	ret->gone = empty <= r->now;
	ret->gone_from = to_unix(r, empty);
	if (broken_until(r) >= r->now)
		ret->outage_until = to_unix(r, usec_add(broken_until(r), 1));
	ret->broken = ret->outage_until != 0 || serves_other(r);
	if (r->next.id != 0) {
		ret->safe_from = to_unix(r, fit_from(r, &r->next, NULL, NULL));
		ret->harmless_from = to_unix(r, fit_from(r, &r->next, &r->current, NULL));
	}
}

void roll_report(const struct roll *r, struct roll_report *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->place = ret->address = -1;
	ret->set = wanted_set(r);
	ret->ttl_s = roll_held_newest(&r->held) == NULL ? 0 : roll_held_newest(&r->held)->ttl_s;
	ret->bundle = r->current.id;
	facts(r, ret);
	if (wants_publish(r, &ret->set)) {
		ret->ttl_s = roll_held_ttl(&r->held, &ret->set);
		if (may_publish(r, &ret->set, &ret->address)) {
			ret->step = ROLL_STEP_PUBLISH;
			why(ret, "the set in DNS is not the one that is wanted");
		} else {
			want_probe(r, ret);
		}
	} else if (r->previous.id != 0) {
		want_probe(r, ret);
	} else if (r->next.id != 0) {
		want_key(r, ret);
	} else if (!roll_held_is_everywhere(&r->held)) {
		want_look(r, roll_held_behind(&r->held), ret);
	} else {
		why(ret, "nothing is to be done");
	}
}
