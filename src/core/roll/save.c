/*
 * The saved state: one walk over the fields, in one order, that writes or reads. Big-endian. Format
 * changes by a new version; a state of another version is refused, not guessed at.
 */
#include "core/roll/roll.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"

#define MAGIC    0x44524f4c /* "DROL" */
#define VERSION  1

#define TIME_MAX (INT64_MAX / 4)

struct walk {
	struct buf *out; /* NULL: reading */
	struct cursor in;
	bool failed;
};

static void octets(struct walk *w, void *p, size_t n)
{
	struct span s;

	if (w->out != NULL) {
		require(buf_add(w->out, p, n) == 0);
		return;
	}
	s = cursor_take(&w->in, n);
	if (s.n == n)
		memcpy(p, s.p, n);
	else
		w->failed = true;
}

static uint64_t number(struct walk *w, uint64_t v, size_t n)
{
	uint8_t b[8];

	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
	octets(w, b, n);
	if (w->out != NULL)
		return v;
	v = 0;
	for (size_t i = 0; i < n && !w->failed; i++)
		v = v << 8 | b[i];
	return v;
}

static void u8(struct walk *w, uint8_t *p)
{
	*p = (uint8_t)number(w, *p, 1);
}

static void u32(struct walk *w, uint32_t *p)
{
	*p = (uint32_t)number(w, *p, 4);
}

static void u64(struct walk *w, uint64_t *p)
{
	*p = number(w, *p, 8);
}

/* A time; far from where sums would overflow, or one of the two that are no times. */
static void when(struct walk *w, usec_t *p)
{
	usec_t t = (usec_t)number(w, (uint64_t)*p, 8);

	if (t != USEC_NEVER && t != ROLL_NOT_THERE && (t < -TIME_MAX || t > TIME_MAX)) {
		w->failed = true;
		t = 0;
	}
	*p = t;
}

static void flag(struct walk *w, bool *p)
{
	uint64_t v = number(w, *p, 1);

	w->failed = w->failed || v > 1;
	*p = v == 1;
}

/* A number below `end`. */
static unsigned choice(struct walk *w, unsigned v, unsigned end)
{
	v = (unsigned)number(w, v, 1);
	if (v < end)
		return v;
	w->failed = true;
	return 0;
}

static void name(struct walk *w, char *p)
{
	octets(w, p, ROLL_NAME_MAX);
	if (p[ROLL_NAME_MAX - 1] != '\0') {
		w->failed = true;
		p[ROLL_NAME_MAX - 1] = '\0';
	}
}

static void set(struct walk *w, struct roll_set *s)
{
	s->n = (uint8_t)choice(w, s->n, ROLL_SET_MAX + 1);
	for (size_t i = 0; i < s->n; i++) {
		struct roll_record *r = &s->records[i];

		u8(w, &r->usage);
		u8(w, &r->selector);
		u8(w, &r->matching);
		r->n = (uint8_t)choice(w, r->n, ROLL_DATA_MAX + 1);
		octets(w, r->data, r->n);
	}
	w->failed = w->failed || !roll_set_is_sound(s);
}

static void bundle(struct walk *w, struct roll_bundle *b)
{
	u64(w, &b->id);
	b->n_chains = (uint8_t)choice(w, b->n_chains, ROLL_CHAINS_MAX + 1);
	for (size_t i = 0; i < b->n_chains; i++)
		set(w, &b->chains[i]);
	set(w, &b->publish);
}

static void address(struct walk *w, struct roll_address *a)
{
	flag(w, &a->used);
	if (!a->used)
		return;
	a->serving = choice(w, a->serving, ROLL_SERVING_MOVING + 1);
	u64(w, &a->bundle);
	name(w, a->name);
}

static void edition(struct walk *w, struct roll_edition *e)
{
	flag(w, &e->used);
	if (!e->used)
		return;
	u32(w, &e->seq);
	u32(w, &e->after);
	flag(w, &e->unknown);
	u32(w, &e->ttl_s);
	set(w, &e->set);
	for (size_t i = 0; i < ROLL_OWNERS_MAX; i++)
		when(w, &e->superseded[i]);
	for (size_t i = 0; i < ROLL_PLACES_MAX; i++)
		when(w, &e->off[i]);
}

static void place(struct walk *w, struct roll_place *p)
{
	flag(w, &p->used);
	if (!p->used)
		return;
	flag(w, &p->failing);
	p->owner = (uint8_t)choice(w, p->owner, ROLL_OWNERS_MAX);
	u32(w, &p->seen_seq);
	when(w, &p->gone_at);
	name(w, p->name);
}

static void held(struct walk *w, struct roll_held *h)
{
	u32(w, &h->policy.ttl_s);
	u32(w, &h->policy.ttl_max_s);
	u32(w, &h->policy.propagation_s);
	u32(w, &h->policy.margin_s);
	u32(w, &h->policy.history_ttl_s);
	u32(w, &h->last_seq);
	for (size_t i = 0; i < ROLL_EDITIONS_MAX; i++)
		edition(w, &h->editions[i]);
	for (size_t i = 0; i < ROLL_PLACES_MAX; i++)
		place(w, &h->places[i]);
	for (size_t i = 0; i < ROLL_OWNERS_MAX; i++) {
		u32(w, &h->owners[i].alias_ttl_s);
		when(w, &h->owners[i].validity);
	}
}

static void all(struct walk *w, struct roll *r)
{
	when(w, &r->now);
	flag(w, &r->started);
	when(w, &r->clock.unix_usec);
	when(w, &r->clock.mono_usec);
	u64(w, &r->clock.boot);
	r->dane = choice(w, r->dane, ROLL_DANE_OFF + 1);
	flag(w, &r->burned);
	flag(w, &r->emergency);
	bundle(w, &r->current);
	bundle(w, &r->next);
	bundle(w, &r->previous);
	for (size_t i = 0; i < ROLL_ADDRESSES_MAX; i++)
		address(w, &r->addresses[i]);
	held(w, &r->held);
}

void roll_save(const struct roll *r, struct buf *to)
{
	struct roll copy = *r;
	struct walk w = {.out = to};

	number(&w, MAGIC, 4);
	number(&w, VERSION, 4);
	all(&w, &copy);
}

/* What the machine takes for granted, beyond the ranges: it must not meet require() later. */
static bool is_sound(const struct roll *r)
{
	const struct roll_bundle *other = r->next.id != 0 ? &r->next : &r->previous;
	const struct roll_bundle *bundles[] = {&r->current, &r->next, &r->previous};
	struct roll_set between;

	if (r->now < 0 || r->now > TIME_MAX || r->clock.unix_usec < 0 ||
	    r->clock.unix_usec > TIME_MAX || r->clock.mono_usec < 0 ||
	    r->clock.mono_usec > TIME_MAX)
		return false;
	for (size_t i = 0; i < ROLL_OWNERS_MAX; i++)
		if (r->held.owners[i].validity < 0 || r->held.owners[i].validity > TIME_MAX)
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(bundles); i++)
		if (bundles[i]->id != 0 && !roll_bundle_is_sound(bundles[i]))
			return false;
	if ((r->current.id == 0 && other->id != 0))
		return false;
	if (other->id == 0)
		return true;
	return (r->next.id == 0 || r->previous.id == 0) &&
	       roll_set_between(&r->current, other, &between) == 0 &&
	       roll_set_between(other, &r->current, &between) == 0;
}

int roll_load(struct roll *r, struct span from, struct err *e)
{
	struct walk w = {.in = cursor_of(from)};
	uint64_t magic, version;

	memset(r, 0, sizeof(*r));
	magic = number(&w, 0, 4);
	version = number(&w, 0, 4);
	if (w.failed || magic != MAGIC)
		return err_set(e, -EINVAL, "this is no saved rollover");
	if (version != VERSION)
		return err_set(e, -EINVAL,
			       "a saved rollover of version %llu; this program knows %d",
			       (unsigned long long)version, VERSION);
	all(&w, r);
	if (w.failed || cursor_left(&w.in) > 0 || !is_sound(r))
		return err_set(e, -EINVAL, "the saved rollover is damaged");
	return 0;
}
