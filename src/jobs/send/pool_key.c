/* Which session serves whom: matrix A27, Q11, S20. */
#include <string.h>

#include "base/text.h"
#include "jobs/send/pool.h"

static int by_octets(const void *va, const void *vb)
{
	const struct span *a = va, *b = vb;
	size_t n = a->n < b->n ? a->n : b->n;
	int d = n > 0 ? memcmp(a->p, b->p, n) : 0;

	return d != 0 ? d : (a->n > b->n) - (a->n < b->n);
}

/* The records that a certificate may match, in an order that is not the answer's. */
static struct span usable_records(struct arena *a, const struct dane_host *h)
{
	struct span *list = arena_calloc(a, h->n_records + 1, sizeof(*list));
	size_t n = 0, size = 0, at = 0;
	uint8_t *out;

	for (size_t i = 0; i < h->n_records; i++) {
		if (h->records[i].unusable != DANE_USABLE)
			continue;
		list[n++] = h->records[i].tlsa.rdata;
		size += 4 + h->records[i].tlsa.rdata.n;
	}
	qsort(list, n, sizeof(*list), by_octets);
	out = arena_alloc(a, size + 1);
	for (size_t i = 0; i < n; i++) {
		for (int k = 3; k >= 0; k--)
			out[at++] = (uint8_t)(list[i].n >> (8 * k));
		memcpy(out + at, list[i].p, list[i].n);
		at += list[i].n;
	}
	return span_of(out, size);
}

struct send_key send_key_of(struct arena *a, const struct send_want *w)
{
	const struct dane_host *h = w->host;
	struct send_key k = {.address = w->address,
			     .port = w->port,
			     .lmtp = w->lmtp,
			     .clear = w->clear,
			     .level = w->level,
			     .sni = h->tlsa_base != NULL ? h->tlsa_base : h->name};

	if (w->level != DANE_LEVEL_DANE)
		return k;
	k.records = usable_records(a, h);
	k.identifiers = h->identifiers;
	k.n_identifiers = h->n_identifiers;
	return k;
}

static struct span without_dot(const char *name)
{
	struct span s = span_text(name);

	if (s.n > 0 && s.p[s.n - 1] == '.')
		s.n--;
	return s;
}

static bool same_name(struct span a, struct span b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
			return false;
	return true;
}

/* The certificate's name, which may begin with "*." for one label (N7, N8), and an identifier. */
static bool name_fits(const char *in_certificate, const char *identifier)
{
	struct span have = without_dot(in_certificate), want = without_dot(identifier);
	const uint8_t *dot;

	if (same_name(have, want))
		return true;
	if (have.n < 3 || have.p[0] != '*' || have.p[1] != '.')
		return false;
	dot = memchr(want.p, '.', want.n);
	return dot != NULL && dot != want.p &&
	       same_name(span_skip(have, 1), span_skip(want, (size_t)(dot - want.p)));
}

bool send_key_serves(const struct send_key *have, const char *ta_name, const struct send_key *want)
{
	if (strcmp(have->address, want->address) != 0 || have->port != want->port ||
	    have->lmtp != want->lmtp || have->clear != want->clear || have->level != want->level ||
	    strcmp(have->sni, want->sni) != 0 || !span_eq(have->records, want->records))
		return false;
	if (ta_name == NULL)
		return true;
	/* Usage 2: the server proved itself under this name, which must be one of the want's. */
	for (size_t i = 0; i < want->n_identifiers; i++)
		if (name_fits(ta_name, want->identifiers[i]))
			return true;
	return false;
}

bool send_key_is_same(const struct send_key *a, const struct send_key *b)
{
	if (!send_key_serves(a, NULL, b) || a->n_identifiers != b->n_identifiers)
		return false;
	for (size_t i = 0; i < a->n_identifiers; i++)
		if (strcmp(a->identifiers[i], b->identifiers[i]) != 0)
			return false;
	return true;
}
