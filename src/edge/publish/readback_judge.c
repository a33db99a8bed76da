/* What one answer shows of one RRset. */
#include "edge/publish/readback.h"

#include "edge/dns/denial.h"
#include "edge/dns/verify.h"
#include "edge/publish/internal.h"

enum {
	/* Of one RRset or its signatures that are looked at: more is not what was published. */
	LOOKED_AT_MAX = 4 * PUBLISH_RECORDS_MAX,
};

struct found {
	const struct dns_rr *rr[LOOKED_AT_MAX];
	size_t n;
};

struct judging {
	struct arena *arena;
	struct dns_verify *verify;
	const struct publish_zone_keys *keys;
	const struct publish_set *set;
	const struct dns_message *message;
	struct span owner; /* wire */
};

static void collect(const struct dns_section *s, struct span owner, uint16_t type,
		    struct found *ret)
{
	ret->n = 0;
	for (size_t i = 0; i < s->n && ret->n < LOOKED_AT_MAX; i++)
		if (s->rr[i].type == type && s->rr[i].class == 1 && span_eq(s->rr[i].wire, owner))
			ret->rr[ret->n++] = &s->rr[i];
}

static void collect_signatures(const struct dns_section *s, const struct dns_rr *first,
			       struct found *ret)
{
	size_t n = 0;

	collect(s, first->wire, DNS_TYPE_RRSIG, ret);
	for (size_t i = 0; i < ret->n; i++) {
		const struct span *r = &ret->rr[i]->rdata;

		if (r->n >= 2 && (r->p[0] << 8 | r->p[1]) == first->type)
			ret->rr[n++] = ret->rr[i];
	}
	ret->n = n;
}

static const char *signature_words(enum dns_signature s)
{
	switch (s) {
	case DNS_SIGNATURE_VALID:
		return "signed";
	case DNS_SIGNATURE_EXPIRED:
		return "the signature has expired";
	case DNS_SIGNATURE_NOT_YET:
		return "the signature is not valid yet";
	case DNS_SIGNATURE_BAD:
		return "the signature does not hold";
	case DNS_SIGNATURE_KEY_UNFIT:
		return "signed by a key that may not sign";
	case DNS_SIGNATURE_NO_KEY:
		return "signed by a key that the zone does not have";
	case DNS_SIGNATURE_ALGORITHM:
		return "signed by an unknown algorithm";
	case DNS_SIGNATURE_LABELS:
		return "the signature is for a longer name";
	case DNS_SIGNATURE_SIGNER:
		return "signed by another zone";
	case DNS_SIGNATURE_MALFORMED:
		return "the signature is malformed";
	case DNS_SIGNATURE_LIMIT:
		return "too many signatures or keys";
	}
	return "?";
}

static enum publish_seen see(struct publish_sight *ret, enum publish_seen seen, const char *detail)
{
	ret->seen = seen;
	ret->detail = detail;
	return seen;
}

/* As the labels field of a signature counts (RFC 4034 section 3.1.3). */
static unsigned signed_labels(struct span owner)
{
	bool wildcard = owner.n > 2 && owner.p[0] == 1 && owner.p[1] == '*';

	return dns_wire_labels(owner) - wildcard;
}

/* The signatures of the RRset `set`, which is not empty, in section `s`. */
static enum publish_seen prove(const struct judging *j, const struct dns_section *s,
			       const struct found *set, struct publish_sight *ret)
{
	struct dns_checked_signature checked[DNS_VERIFY_SIGNATURES_MAX];
	enum dns_signature best = DNS_SIGNATURE_LIMIT;
	struct found signatures;
	struct dns_signed_set all;
	size_t n;

	require(set->n > 0);
	collect_signatures(s, set->rr[0], &signatures);
	if (signatures.n == 0)
		return see(ret, PUBLISH_SEEN_UNSIGNED, "no signature");
	all = (struct dns_signed_set){set->rr, set->n, signatures.rr, signatures.n};
	n = dns_verify_set(j->verify, j->arena, &all, j->keys->zone, j->keys->keys, j->keys->n_keys,
			   checked);
	for (size_t i = 0; i < n; i++) {
		if (checked[i].result == DNS_SIGNATURE_VALID &&
		    checked[i].rrsig.labels < signed_labels(set->rr[0]->wire))
			return see(ret, PUBLISH_SEEN_OTHER, "made from a wildcard");
		if (checked[i].result < best)
			best = checked[i].result;
	}
	return see(ret, best == DNS_SIGNATURE_VALID ? PUBLISH_SEEN_SIGNED : PUBLISH_SEEN_BAD,
		   signature_words(best));
}

/* --- records that shall be there -------------------------------------------------------------- */

static uint32_t largest_ttl(const struct found *f)
{
	uint32_t ttl = 0;

	for (size_t i = 0; i < f->n; i++)
		if (f->rr[i]->ttl > ttl)
			ttl = f->rr[i]->ttl;
	return ttl;
}

static bool is_as_published(const struct judging *j, const struct found *f)
{
	struct span rdata[LOOKED_AT_MAX];

	for (size_t i = 0; i < f->n; i++)
		rdata[i] = f->rr[i]->rdata;
	return publish_same_records(j->set->type, j->set->rdata, j->set->n, rdata, f->n);
}

/* RFC 2308 section 5. */
static uint32_t negative_ttl(const struct judging *j)
{
	const struct dns_section *s = &j->message->authority;

	for (size_t i = 0; i < s->n; i++) {
		const struct dns_rr *rr = &s->rr[i];
		const uint8_t *minimum = rr->rdata.p + rr->rdata.n - 4;
		uint32_t ttl;

		if (rr->type != DNS_TYPE_SOA || rr->rdata.n < 4)
			continue;
		ttl = (uint32_t)minimum[0] << 24 | (uint32_t)minimum[1] << 16 |
		      (uint32_t)minimum[2] << 8 | minimum[3];
		return ttl < rr->ttl ? ttl : rr->ttl;
	}
	return 0;
}

static void judge_records(const struct judging *j, const struct found *f, const struct found *alias,
			  struct publish_sight *ret)
{
	if (f->n == 0) {
		ret->ttl = alias->n > 0 ? largest_ttl(alias) : negative_ttl(j);
		see(ret, PUBLISH_SEEN_OTHER,
		    alias->n > 0                              ? "a CNAME"
		    : j->message->rcode == DNS_RCODE_NXDOMAIN ? "no such name"
							      : "no such records");
		return;
	}
	ret->ttl = largest_ttl(f);
	if (is_as_published(j, f))
		prove(j, &j->message->answer, f, ret);
	else
		see(ret, PUBLISH_SEEN_OTHER, "other records");
}

/* --- records that shall be gone --------------------------------------------------------------- */

/* The NSEC and NSEC3 records whose signatures hold; how many RRsets there are, in `ret_seen`. */
static struct dns_denial *proven_denials(const struct judging *j, size_t *ret_seen,
					 const char **ret_why)
{
	const struct dns_section *s = &j->message->authority;
	struct dns_denial *d = arena_alloc(j->arena, sizeof(*d));
	uint8_t zone[DANE_NAME_WIRE_MAX];
	size_t n = dane_name_to_wire(j->keys->zone, zone);

	*ret_seen = 0;
	*ret_why = "no denial";
	dns_denial_init(d, arena_dup(j->arena, span_of(zone, n)));
	for (size_t i = 0; i < s->n && *ret_seen < DNS_DENIAL_RECORDS_MAX; i++) {
		struct publish_sight sight;
		struct found one;

		if ((s->rr[i].type != DNS_TYPE_NSEC && s->rr[i].type != DNS_TYPE_NSEC3) ||
		    s->rr[i].class != 1)
			continue;
		(*ret_seen)++;
		collect(s, s->rr[i].wire, s->rr[i].type, &one);
		/* One made from a wildcard is no NSEC record of that name. */
		if (prove(j, s, &one, &sight) == PUBLISH_SEEN_SIGNED)
			dns_denial_add(d, &s->rr[i]);
		else
			*ret_why = sight.detail;
	}
	return d;
}

static void judge_denial(const struct judging *j, struct publish_sight *ret)
{
	const char *why;
	size_t seen;
	struct dns_denial *d = proven_denials(j, &seen, &why);
	enum dns_proof p = j->message->rcode == DNS_RCODE_NXDOMAIN
				   ? dns_denial_nxdomain(d, j->owner)
				   : dns_denial_nodata(d, j->owner, j->set->type);

	ret->ttl = negative_ttl(j);
	if (seen == 0)
		see(ret, PUBLISH_SEEN_UNSIGNED, why);
	else if (p == DNS_PROOF_HOLDS)
		see(ret, PUBLISH_SEEN_SIGNED, "gone, and signed so");
	else if (dns_proof_is_good(p))
		see(ret, PUBLISH_SEEN_UNSIGNED, "gone; the denial is insecure");
	else if (d->n_nsec + d->n_nsec3 == 0)
		see(ret, PUBLISH_SEEN_BAD, why);
	else
		see(ret, PUBLISH_SEEN_BAD,
		    arena_printf(j->arena, "the denial does not hold: %s", dns_proof_to_text(p)));
}

static void judge_gone(const struct judging *j, const struct found *f, const struct found *alias,
		       struct publish_sight *ret)
{
	if (f->n > 0) {
		ret->ttl = largest_ttl(f);
		see(ret, PUBLISH_SEEN_OTHER, "still there");
	} else if (alias->n > 0) {
		ret->ttl = largest_ttl(alias);
		if (prove(j, &j->message->answer, alias, ret) == PUBLISH_SEEN_SIGNED)
			ret->detail = "a CNAME in its place, signed";
	} else {
		judge_denial(j, ret);
	}
}

void publish_readback_judge(struct arena *a, struct dns_verify *v,
			    const struct publish_zone_keys *keys, const struct publish_set *set,
			    const struct dns_reply *reply, struct publish_sight *ret)
{
	const struct dns_message *m = &reply->message;
	uint8_t wire[DANE_NAME_WIRE_MAX];
	struct judging j = {a, v, keys, set, m, span_of(wire, dane_name_to_wire(set->owner, wire))};
	struct found records, alias;

	*ret = (struct publish_sight){0};
	if (reply->fault != DNS_FAULT_NONE) {
		see(ret, PUBLISH_SEEN_NO_ANSWER, dns_fault_to_text(reply->fault));
		return;
	}
	if (m->rcode != DNS_RCODE_NOERROR && m->rcode != DNS_RCODE_NXDOMAIN) {
		see(ret, PUBLISH_SEEN_NO_ANSWER,
		    arena_printf(a, "answers %s", dns_rcode_to_text(a, m->rcode)));
		return;
	}
	if (!m->aa) {
		see(ret, PUBLISH_SEEN_NO_ANSWER, "answers without authority");
		return;
	}
	collect(&m->answer, j.owner, set->type, &records);
	collect(&m->answer, j.owner, DNS_TYPE_CNAME, &alias);
	if (set->n > 0)
		judge_records(&j, &records, &alias, ret);
	else
		judge_gone(&j, &records, &alias, ret);
}
