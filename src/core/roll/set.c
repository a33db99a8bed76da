#include "core/roll/set.h"

#include <errno.h>
#include <string.h>

#include "core/roll/without.h"

static bool same_combination(const struct roll_record *a, const struct roll_record *b)
{
	if (ROLL_WITHOUT(COMBINATIONS))
		return true;
	return a->usage == b->usage && a->selector == b->selector && a->matching == b->matching;
}

static int compare(const struct roll_record *a, const struct roll_record *b)
{
	return memcmp(a, b, sizeof(*a));
}

static int insert(struct roll_set *s, const struct roll_record *r)
{
	size_t i = 0;

	while (i < s->n && compare(&s->records[i], r) < 0)
		i++;
	if (i < s->n && compare(&s->records[i], r) == 0)
		return 0;
	if (s->n == ROLL_SET_MAX)
		return -E2BIG;
	memmove(&s->records[i + 1], &s->records[i], (s->n - i) * sizeof(*r));
	s->records[i] = *r;
	s->n++;
	return 0;
}

int roll_set_add(struct roll_set *s, uint8_t usage, uint8_t selector, uint8_t matching,
		 const uint8_t *data, size_t n)
{
	struct roll_record r = {.usage = usage, .selector = selector, .matching = matching};

	if (n > ROLL_DATA_MAX)
		return -EINVAL;
	r.n = (uint8_t)n;
	if (n > 0)
		memcpy(r.data, data, n);
	return insert(s, &r);
}

bool roll_set_has(const struct roll_set *s, const struct roll_record *r)
{
	for (size_t i = 0; i < s->n; i++)
		if (compare(&s->records[i], r) == 0)
			return true;
	return false;
}

bool roll_set_eq(const struct roll_set *a, const struct roll_set *b)
{
	return a->n == b->n && memcmp(a->records, b->records, a->n * sizeof(a->records[0])) == 0;
}

bool roll_set_is_sound(const struct roll_set *s)
{
	if (s->n > ROLL_SET_MAX)
		return false;
	for (size_t i = 0; i < s->n; i++) {
		const struct roll_record *r = &s->records[i];

		if (r->n > ROLL_DATA_MAX)
			return false;
		for (size_t k = r->n; k < ROLL_DATA_MAX; k++)
			if (r->data[k] != 0)
				return false;
		if (i > 0 && compare(&s->records[i - 1], r) >= 0)
			return false;
	}
	return true;
}

/* A record of the set in that combination that the chain matches. */
static const struct roll_record *match(const struct roll_set *s, const struct roll_record *like,
				       const struct roll_set *chain)
{
	for (size_t i = 0; i < s->n; i++)
		if (same_combination(&s->records[i], like) && roll_set_has(chain, &s->records[i]))
			return &s->records[i];
	return NULL;
}

bool roll_set_fits(const struct roll_set *s, const struct roll_bundle *b)
{
	size_t chains = ROLL_WITHOUT(CHAINS) && b->n_chains > 1 ? 1 : b->n_chains;

	for (size_t c = 0; c < chains; c++)
		for (size_t i = 0; i < s->n; i++)
			if (match(s, &s->records[i], &b->chains[c]) == NULL)
				return false;
	return true;
}

bool roll_bundle_is_sound(const struct roll_bundle *b)
{
	if (b->id == 0 || b->n_chains == 0 || b->n_chains > ROLL_CHAINS_MAX)
		return false;
	for (size_t i = 0; i < b->n_chains; i++)
		if (!roll_set_is_sound(&b->chains[i]))
			return false;
	return roll_set_is_sound(&b->publish) && b->publish.n > 0 && roll_set_fits(&b->publish, b);
}

bool roll_set_extends(const struct roll_set *s, const struct roll_set *old)
{
	for (size_t i = 0; i < old->n; i++)
		if (!roll_set_has(s, &old->records[i]))
			return false;
	for (size_t i = 0; i < s->n; i++) {
		size_t k = 0;

		while (k < old->n && !same_combination(&s->records[i], &old->records[k]))
			k++;
		if (k == old->n)
			return false;
	}
	return true;
}

/* Records of the bundle in that combination, one for each chain; false if a chain has none. */
static bool have(const struct roll_bundle *b, const struct roll_record *like)
{
	for (size_t c = 0; c < b->n_chains; c++)
		if (match(&b->chains[c], like, &b->chains[c]) == NULL)
			return false;
	return true;
}

static int take(const struct roll_bundle *b, const struct roll_record *like, struct roll_set *ret)
{
	int r = 0;

	for (size_t c = 0; c < b->n_chains && r == 0; c++) {
		/* That which it publishes, where it does: of the anchors of a chain it chose one.
		 */
		const struct roll_record *rec = match(&b->publish, like, &b->chains[c]);

		if (rec == NULL)
			rec = match(&b->chains[c], like, &b->chains[c]);
		r = rec == NULL ? -ENOENT : insert(ret, rec);
	}
	return r;
}

static int common(const struct roll_set *combinations, const struct roll_bundle *a,
		  const struct roll_bundle *b, struct roll_set *ret)
{
	*ret = (struct roll_set){0};
	for (size_t i = 0; i < combinations->n; i++) {
		const struct roll_record *like = &combinations->records[i];
		int r;

		if (!have(a, like) || !have(b, like))
			continue;
		r = take(a, like, ret);
		if (r == 0)
			r = take(b, like, ret);
		if (r < 0)
			return r;
	}
	return ret->n == 0 ? -ENOENT : 0;
}

int roll_set_between(const struct roll_bundle *a, const struct roll_bundle *b, struct roll_set *ret)
{
	int r = common(&a->publish, a, b, ret);

	return r == -ENOENT ? common(&b->publish, a, b, ret) : r;
}
