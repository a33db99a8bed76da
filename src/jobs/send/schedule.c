#include "jobs/send/schedule.h"

usec_t send_schedule_end(const struct send_schedule *s, usec_t arrived, bool dane)
{
	return usec_add(arrived, dane ? usec_min(s->dane_lifetime, s->lifetime) : s->lifetime);
}

/* Up to an eighth of `wait`. */
static usec_t jitter(usec_t wait, uint32_t random)
{
	return (usec_t)((double)wait / 8 * (double)random / (double)UINT32_MAX);
}

usec_t send_schedule_next(const struct send_schedule *s, unsigned attempts, usec_t now, usec_t end,
			  uint32_t random)
{
	size_t i = attempts > 0 ? attempts - 1 : 0;
	usec_t wait;

	require(s->n_retry > 0);
	wait = s->retry[i < s->n_retry ? i : s->n_retry - 1];
	wait = usec_add(now, usec_add(wait, jitter(wait, random)));
	return end > now ? usec_min(wait, end) : wait;
}

static unsigned limit_of(const struct send_pace *p, unsigned max)
{
	unsigned limit = p->limit > 0 ? p->limit : SEND_PACE_FIRST;

	if (p->failures > 0)
		return 1;
	return limit < max ? limit : max;
}

bool send_pace_is_closed(const struct send_pace *p, usec_t now)
{
	return now < p->closed_until;
}

bool send_pace_allows(const struct send_pace *p, unsigned under_way, unsigned max, usec_t now)
{
	return !send_pace_is_closed(p, now) && under_way < limit_of(p, max);
}

void send_pace_reached(struct send_pace *p)
{
	p->failures = 0;
	p->closed_until = 0;
}

void send_pace_succeeded(struct send_pace *p, unsigned max)
{
	if (p->limit == 0)
		p->limit = SEND_PACE_FIRST;
	send_pace_reached(p);
	if (p->limit >= max) {
		p->limit = max;
		p->good = 0;
	} else if (++p->good >= p->limit) {
		p->limit++;
		p->good = 0;
	}
}

void send_pace_failed(struct send_pace *p, usec_t now, usec_t most, uint32_t random)
{
	usec_t wait = most;

	if (send_pace_is_closed(p, now))
		return;
	if (p->failures < 10)
		wait = usec_min(wait, usec_seconds((int64_t)SEND_PACE_CLOSED_S << p->failures));
	p->limit = (p->limit > 0 ? p->limit : SEND_PACE_FIRST) / 2;
	if (p->limit == 0)
		p->limit = 1;
	p->good = 0;
	p->failures++;
	p->closed_until = usec_add(now, usec_add(wait, jitter(wait, random)));
}

void send_pace_full(struct send_pace *p, unsigned under_way)
{
	p->limit = under_way > 0 ? under_way : 1;
	p->good = 0;
}

/* How many were served since `who` was; SEND_TURNS: he is not known. */
static size_t age_of(const struct send_turns *t, uint64_t who)
{
	for (size_t i = 0; i < SEND_TURNS; i++)
		if (t->last[(t->at + SEND_TURNS - 1 - i) % SEND_TURNS] == who)
			return i;
	return SEND_TURNS;
}

size_t send_turns_take(struct send_turns *t, const uint64_t *who, size_t n)
{
	size_t best = 0, best_age = age_of(t, who[0]);

	require(n > 0);
	for (size_t i = 1; i < n && best_age < SEND_TURNS; i++) {
		size_t age = age_of(t, who[i]);

		if (age > best_age) {
			best = i;
			best_age = age;
		}
	}
	t->last[t->at] = who[best];
	t->at = (t->at + 1) % SEND_TURNS;
	return best;
}
