#include "edge/dns/denial.h"

#include <errno.h>
#include <ldns/ldns.h>

/* --- names ------------------------------------------------------------------------------------ */

enum {
	LABELS_MAX = 128
};

/* Offsets of the labels, the root's not; their number. */
static unsigned offsets(struct span name, uint8_t ret[LABELS_MAX])
{
	unsigned n = 0;

	for (size_t at = 0; at < name.n && name.p[at] != 0 && n < LABELS_MAX; at += 1u + name.p[at])
		ret[n++] = (uint8_t)at;
	return n;
}

unsigned dns_wire_labels(struct span name)
{
	uint8_t at[LABELS_MAX];

	return offsets(name, at);
}

static int compare_label(const uint8_t *a, const uint8_t *b)
{
	size_t n = a[0] < b[0] ? a[0] : b[0];

	for (size_t i = 1; i <= n; i++) {
		int difference = ascii_lower(a[i]) - ascii_lower(b[i]);

		if (difference != 0)
			return difference;
	}
	return a[0] - b[0];
}

int dns_wire_compare(struct span a, struct span b)
{
	uint8_t at_a[LABELS_MAX], at_b[LABELS_MAX];
	unsigned n = offsets(a, at_a), m = offsets(b, at_b);

	while (n > 0 && m > 0) {
		int difference = compare_label(a.p + at_a[--n], b.p + at_b[--m]);

		if (difference != 0)
			return difference;
	}
	return (int)n - (int)m;
}

struct span dns_wire_parent(struct span name, unsigned n)
{
	while (n-- > 0 && name.n > 1)
		name = span_skip(name, 1u + name.p[0]);
	return name;
}

bool dns_wire_is_below(struct span name, struct span zone)
{
	unsigned n = dns_wire_labels(name), m = dns_wire_labels(zone);

	return n >= m && dns_wire_compare(dns_wire_parent(name, n - m), zone) == 0;
}

/* The labels that two names share, from the root. */
static unsigned shared_labels(struct span a, struct span b)
{
	uint8_t at_a[LABELS_MAX], at_b[LABELS_MAX];
	unsigned n = offsets(a, at_a), m = offsets(b, at_b), shared = 0;

	while (n > 0 && m > 0 && compare_label(a.p + at_a[--n], b.p + at_b[--m]) == 0)
		shared++;
	return shared;
}

/* "*." before `name`. */
static struct span wildcard_of(struct span name, uint8_t room[DANE_NAME_WIRE_MAX + 2])
{
	room[0] = 1;
	room[1] = '*';
	memcpy(room + 2, name.p, name.n);
	return span_of(room, name.n + 2);
}

/* --- records ---------------------------------------------------------------------------------- */

void dns_denial_init(struct dns_denial *d, struct span zone)
{
	d->zone = zone;
	d->n_nsec = d->n_nsec3 = 0;
	d->too_many_iterations = false;
}

static int base32hex_digit(uint8_t c)
{
	c = ascii_lower(c);
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'v' ? c - 'a' + 10 : -1;
}

/* The hash that an NSEC3 owner's first label stands for. */
static bool owner_hash(struct span owner, uint8_t ret[DNS_HASH_SIZE])
{
	uint64_t bits = 0;
	unsigned n = 0, out = 0;

	if (owner.n < 34 || owner.p[0] != 32)
		return false;
	for (unsigned i = 1; i <= 32; i++) {
		int digit = base32hex_digit(owner.p[i]);

		if (digit < 0)
			return false;
		bits = bits << 5 | (unsigned)digit;
		for (n += 5; n >= 8; n -= 8)
			ret[out++] = (uint8_t)(bits >> (n - 8));
	}
	return true;
}

static void add_nsec(struct dns_denial *d, const struct dns_rr *rr)
{
	if (d->n_nsec == DNS_DENIAL_RECORDS_MAX || !dns_wire_is_below(rr->wire, d->zone) ||
	    dns_nsec_read(rr->rdata, &d->nsec[d->n_nsec].nsec) < 0)
		return;
	d->nsec[d->n_nsec++].owner = rr->wire;
}

static void add_nsec3(struct dns_denial *d, const struct dns_rr *rr)
{
	struct dns_nsec3 n, *first = &d->nsec3[0].nsec3;

	if (d->n_nsec3 == DNS_DENIAL_RECORDS_MAX || dns_nsec3_read(rr->rdata, &n) < 0 ||
	    dns_wire_compare(dns_wire_parent(rr->wire, 1), d->zone) != 0 ||
	    !owner_hash(rr->wire, d->nsec3[d->n_nsec3].hash))
		return;
	/* RFC 5155 sections 8.1, 8.2: unknown hashes and flags are ignored. */
	if (n.algorithm != 1 || (n.flags & ~DNS_NSEC3_OPTOUT) != 0 || n.next.n != DNS_HASH_SIZE)
		return;
	if (n.iterations > DNS_DENIAL_ITERATIONS_MAX) {
		d->too_many_iterations = true;
		return;
	}
	if (d->n_nsec3 > 0 && (n.iterations != first->iterations || !span_eq(n.salt, first->salt)))
		return;
	d->nsec3[d->n_nsec3++].nsec3 = n;
}

void dns_denial_add(struct dns_denial *d, const struct dns_rr *rr)
{
	if (rr->class != 1)
		return;
	if (rr->type == DNS_TYPE_NSEC)
		add_nsec(d, rr);
	else if (rr->type == DNS_TYPE_NSEC3)
		add_nsec3(d, rr);
}

/* --- what one record says -----------------------------------------------------------------------
 */

/* A record of the name itself as proof that it has no `type`. */
static enum dns_proof types_deny(struct span types, uint16_t type, bool is_root)
{
	bool ns = dns_types_has(types, DNS_TYPE_NS), soa = dns_types_has(types, DNS_TYPE_SOA);

	if (dns_types_has(types, type))
		return DNS_PROOF_TYPE_EXISTS;
	if (dns_types_has(types, DNS_TYPE_CNAME))
		return DNS_PROOF_ALIAS_EXISTS;
	/* The parent's record speaks about DS only, the child's about all but DS (6840 4.1). */
	if (type == DNS_TYPE_DS ? soa && !is_root : ns && !soa)
		return DNS_PROOF_ANCESTOR;
	return DNS_PROOF_HOLDS;
}

/* Whether names below this record's are someone else's: a zone cut, or a DNAME. */
static bool hides_below(struct span types)
{
	return (dns_types_has(types, DNS_TYPE_NS) && !dns_types_has(types, DNS_TYPE_SOA)) ||
	       dns_types_has(types, DNS_TYPE_DNAME);
}

static bool is_root(struct span name)
{
	return name.n == 1;
}

/* --- NSEC ------------------------------------------------------------------------------------- */

static const struct dns_nsec *nsec_match(const struct dns_denial *d, struct span name)
{
	for (size_t i = 0; i < d->n_nsec; i++)
		if (dns_wire_compare(d->nsec[i].owner, name) == 0)
			return &d->nsec[i].nsec;
	return NULL;
}

/* The record whose span has `name` inside; its place, or -1. */
static int nsec_cover(const struct dns_denial *d, struct span name)
{
	for (size_t i = 0; i < d->n_nsec; i++) {
		struct span owner = d->nsec[i].owner, next = d->nsec[i].nsec.next;
		bool last = dns_wire_compare(owner, next) >= 0; /* `next` is the apex again */

		if (dns_wire_compare(owner, name) < 0 && (last || dns_wire_compare(name, next) < 0))
			return (int)i;
	}
	return -1;
}

/* `name` is covered, by a record that may speak for it. Fills the closest encloser. */
static enum dns_proof nsec_covers(const struct dns_denial *d, struct span name,
				  struct span *ret_encloser, int *ret_at)
{
	int at = nsec_cover(d, name);
	unsigned labels = dns_wire_labels(name), a, b;

	if (at < 0)
		return DNS_PROOF_NAME_NOT_COVERED;
	if (dns_wire_is_below(name, d->nsec[at].owner) && hides_below(d->nsec[at].nsec.types))
		return DNS_PROOF_ANCESTOR;
	a = shared_labels(name, d->nsec[at].owner);
	b = shared_labels(name, d->nsec[at].nsec.next);
	*ret_encloser = dns_wire_parent(name, labels - (a > b ? a : b));
	*ret_at = at;
	return DNS_PROOF_HOLDS;
}

static enum dns_proof nsec_nxdomain(const struct dns_denial *d, struct span name)
{
	uint8_t room[DANE_NAME_WIRE_MAX + 2];
	struct span encloser;
	int at;
	enum dns_proof p;

	if (nsec_match(d, name) != NULL)
		return DNS_PROOF_NAME_EXISTS;
	p = nsec_covers(d, name, &encloser, &at);
	if (p != DNS_PROOF_HOLDS)
		return p;
	/* The next name is below this one: an empty non-terminal, which exists. */
	if (dns_wire_is_below(d->nsec[at].nsec.next, name))
		return DNS_PROOF_NAME_EXISTS;
	return nsec_cover(d, wildcard_of(encloser, room)) >= 0 ? DNS_PROOF_HOLDS
							       : DNS_PROOF_WILDCARD;
}

static enum dns_proof nsec_nodata(const struct dns_denial *d, struct span name, uint16_t type)
{
	const struct dns_nsec *match = nsec_match(d, name);
	uint8_t room[DANE_NAME_WIRE_MAX + 2];
	struct span encloser;
	int at;
	enum dns_proof p;

	if (match != NULL)
		return types_deny(match->types, type, is_root(name));
	p = nsec_covers(d, name, &encloser, &at);
	if (p != DNS_PROOF_HOLDS)
		return p;
	if (dns_wire_is_below(d->nsec[at].nsec.next, name))
		return DNS_PROOF_HOLDS; /* an empty non-terminal */
	match = nsec_match(d, wildcard_of(encloser, room));
	return match != NULL ? types_deny(match->types, type, false) : DNS_PROOF_WILDCARD;
}

/* --- NSEC3 ------------------------------------------------------------------------------------ */

int dns_nsec3_hash(struct span name, const struct dns_nsec3 *parameters, uint8_t ret[DNS_HASH_SIZE])
{
	uint8_t in[DANE_NAME_WIRE_MAX + DNS_HASH_SIZE + 255];
	size_t n = 0;

	if (parameters->iterations > DNS_DENIAL_ITERATIONS_MAX || name.n > DANE_NAME_WIRE_MAX ||
	    parameters->salt.n > 255)
		return -E2BIG;
	for (; n < name.n; n++)
		in[n] = ascii_lower(name.p[n]);
	for (unsigned i = 0; i <= parameters->iterations; i++) {
		if (parameters->salt.n > 0)
			memcpy(in + n, parameters->salt.p, parameters->salt.n);
		ldns_sha1(in, (unsigned)(n + parameters->salt.n), ret);
		memcpy(in, ret, DNS_HASH_SIZE);
		n = DNS_HASH_SIZE;
	}
	return 0;
}

static const struct dns_nsec3 *nsec3_match(const struct dns_denial *d, struct span name)
{
	uint8_t hash[DNS_HASH_SIZE];

	if (dns_nsec3_hash(name, &d->nsec3[0].nsec3, hash) < 0)
		return NULL;
	for (size_t i = 0; i < d->n_nsec3; i++)
		if (memcmp(d->nsec3[i].hash, hash, DNS_HASH_SIZE) == 0)
			return &d->nsec3[i].nsec3;
	return NULL;
}

static const struct dns_nsec3 *nsec3_cover(const struct dns_denial *d, struct span name)
{
	uint8_t hash[DNS_HASH_SIZE];

	if (dns_nsec3_hash(name, &d->nsec3[0].nsec3, hash) < 0)
		return NULL;
	for (size_t i = 0; i < d->n_nsec3; i++) {
		const uint8_t *owner = d->nsec3[i].hash, *next = d->nsec3[i].nsec3.next.p;
		bool after = memcmp(owner, hash, DNS_HASH_SIZE) < 0;
		bool before = memcmp(hash, next, DNS_HASH_SIZE) < 0;
		bool last = memcmp(owner, next, DNS_HASH_SIZE) >= 0;

		/* The last span goes round; a lone record covers all but itself. */
		if (last ? after || before : after && before)
			return &d->nsec3[i].nsec3;
	}
	return NULL;
}

/*
 * The closest encloser proof (RFC 5155 section 8.3): the longest ancestor that is matched, and the
 * name one label longer is covered. Fills the encloser, and whether that span is opt-out.
 */
static enum dns_proof nsec3_encloser(const struct dns_denial *d, struct span name,
				     struct span *ret_encloser, bool *ret_optout)
{
	unsigned below = dns_wire_labels(name) - dns_wire_labels(d->zone);

	for (unsigned up = 1; up <= below; up++) {
		struct span encloser = dns_wire_parent(name, up);
		const struct dns_nsec3 *match = nsec3_match(d, encloser), *cover;

		if (match == NULL)
			continue;
		if (hides_below(match->types))
			return DNS_PROOF_ANCESTOR;
		cover = nsec3_cover(d, dns_wire_parent(name, up - 1));
		if (cover == NULL)
			return DNS_PROOF_NAME_NOT_COVERED;
		*ret_encloser = encloser;
		*ret_optout = (cover->flags & DNS_NSEC3_OPTOUT) != 0;
		return DNS_PROOF_HOLDS;
	}
	return DNS_PROOF_NO_ENCLOSER;
}

static enum dns_proof nsec3_nxdomain(const struct dns_denial *d, struct span name)
{
	uint8_t room[DANE_NAME_WIRE_MAX + 2];
	struct span encloser;
	bool optout;
	enum dns_proof p;

	if (nsec3_match(d, name) != NULL)
		return DNS_PROOF_NAME_EXISTS;
	p = nsec3_encloser(d, name, &encloser, &optout);
	if (p != DNS_PROOF_HOLDS)
		return p;
	if (nsec3_cover(d, wildcard_of(encloser, room)) == NULL)
		return DNS_PROOF_WILDCARD;
	return optout ? DNS_PROOF_OPTOUT : DNS_PROOF_HOLDS;
}

static enum dns_proof nsec3_nodata(const struct dns_denial *d, struct span name, uint16_t type)
{
	const struct dns_nsec3 *match = nsec3_match(d, name);
	uint8_t room[DANE_NAME_WIRE_MAX + 2];
	struct span encloser;
	bool optout;
	enum dns_proof p;

	if (match != NULL)
		return types_deny(match->types, type, is_root(name));
	p = nsec3_encloser(d, name, &encloser, &optout);
	if (p != DNS_PROOF_HOLDS)
		return p;
	/* Section 8.6: an unsigned delegation in an opt-out span has no record of its own. */
	if (type == DNS_TYPE_DS && optout)
		return DNS_PROOF_OPTOUT;
	match = nsec3_match(d, wildcard_of(encloser, room));
	if (match == NULL)
		return optout ? DNS_PROOF_OPTOUT : DNS_PROOF_WILDCARD;
	p = types_deny(match->types, type, false);
	return p == DNS_PROOF_HOLDS && optout ? DNS_PROOF_OPTOUT : p;
}

/* --- the proofs ------------------------------------------------------------------------------- */

/* Whether there is anything to prove with, and the name belongs to the zone. */
static enum dns_proof begin(const struct dns_denial *d, struct span name)
{
	if (!dns_wire_is_below(name, d->zone))
		return DNS_PROOF_NAME_NOT_COVERED;
	if (d->n_nsec == 0 && d->n_nsec3 == 0)
		return d->too_many_iterations ? DNS_PROOF_ITERATIONS : DNS_PROOF_NO_RECORDS;
	return DNS_PROOF_HOLDS;
}

enum dns_proof dns_denial_nxdomain(const struct dns_denial *d, struct span name)
{
	enum dns_proof p = begin(d, name);

	if (p != DNS_PROOF_HOLDS)
		return p;
	return d->n_nsec > 0 ? nsec_nxdomain(d, name) : nsec3_nxdomain(d, name);
}

enum dns_proof dns_denial_nodata(const struct dns_denial *d, struct span name, uint16_t type)
{
	enum dns_proof p = begin(d, name);

	if (p != DNS_PROOF_HOLDS)
		return p;
	return d->n_nsec > 0 ? nsec_nodata(d, name, type) : nsec3_nodata(d, name, type);
}

enum dns_proof dns_denial_delegation(const struct dns_denial *d, struct span name)
{
	enum dns_proof p = dns_denial_nodata(d, name, DNS_TYPE_DS);
	const struct dns_nsec *nsec = nsec_match(d, name);
	const struct dns_nsec3 *nsec3 = d->n_nsec3 > 0 ? nsec3_match(d, name) : NULL;
	struct span types = span_of(NULL, 0);

	if (p != DNS_PROOF_HOLDS)
		return p;
	if (d->n_nsec > 0 && nsec != NULL)
		types = nsec->types;
	else if (d->n_nsec == 0 && nsec3 != NULL)
		types = nsec3->types;
	return dns_types_has(types, DNS_TYPE_NS) ? DNS_PROOF_HOLDS : DNS_PROOF_NOT_DELEGATED;
}

enum dns_proof dns_denial_wildcard(const struct dns_denial *d, struct span name, unsigned labels)
{
	unsigned own = dns_wire_labels(name);
	enum dns_proof p = begin(d, name);
	const struct dns_nsec3 *cover;
	struct span encloser;
	int at;

	if (p != DNS_PROOF_HOLDS)
		return p;
	if (labels >= own)
		return DNS_PROOF_NO_ENCLOSER;
	if (d->n_nsec > 0) {
		p = nsec_covers(d, name, &encloser, &at);
		if (p != DNS_PROOF_HOLDS)
			return p;
		/* The wildcard must be the one that applies: its parent the closest encloser. */
		return dns_wire_labels(encloser) == labels ? DNS_PROOF_HOLDS : DNS_PROOF_WILDCARD;
	}
	cover = nsec3_cover(d, dns_wire_parent(name, own - labels - 1));
	if (cover == NULL)
		return DNS_PROOF_NAME_NOT_COVERED;
	return (cover->flags & DNS_NSEC3_OPTOUT) != 0 ? DNS_PROOF_OPTOUT : DNS_PROOF_HOLDS;
}

const char *dns_proof_to_text(enum dns_proof p)
{
	switch (p) {
	case DNS_PROOF_HOLDS:
		return "the denial holds";
	case DNS_PROOF_OPTOUT:
		return "the denial goes through an NSEC3 opt-out span: it is insecure";
	case DNS_PROOF_ITERATIONS:
		return "NSEC3 has more iterations than validators do: the denial is insecure";
	case DNS_PROOF_NO_RECORDS:
		return "no signed NSEC or NSEC3 record is in the answer";
	case DNS_PROOF_NAME_NOT_COVERED:
		return "no NSEC or NSEC3 record covers the name";
	case DNS_PROOF_NO_ENCLOSER:
		return "no NSEC3 record matches a closest encloser";
	case DNS_PROOF_WILDCARD:
		return "no record shows that no wildcard applies";
	case DNS_PROOF_TYPE_EXISTS:
		return "the record itself says that the type exists";
	case DNS_PROOF_ALIAS_EXISTS:
		return "the record itself says that a CNAME exists";
	case DNS_PROOF_NAME_EXISTS:
		return "a record shows that the name exists";
	case DNS_PROOF_ANCESTOR:
		return "the record stands above a zone cut or a DNAME and cannot speak for the "
		       "name";
	case DNS_PROOF_NOT_DELEGATED:
		return "the record does not show a delegation (no NS bit)";
	}
	return "?";
}
