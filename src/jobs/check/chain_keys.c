/* The link from parent to child: DS, DNSKEY; and what the zone's apex has besides. */
#include "jobs/check/chain_data.h"

#include <errno.h>
#include <string.h>

enum {
	MANY_KEYS = 12,
	SHORT_RSA = 2048, /* bits */
};

static const char *tag_text(struct check_chain *c, uint16_t tag)
{
	return arena_printf(&c->arena, "%u", tag);
}

static const char *ds_text(struct check_chain *c, const struct dns_ds *ds)
{
	return arena_printf(&c->arena, "%s, digest type %u",
			    dns_algorithm_to_text(&c->arena, ds->algorithm), ds->digest_type);
}

/* --- DS at the parent ------------------------------------------------------------------------- */

/* One server's answer to the question for DS. */
static enum dane_security judge_ds_variant(struct check_chain *c, struct check_zone *z,
					   const struct check_variant *v, struct check_set *ret)
{
	const struct dns_message *m = v->message;
	struct check_zone *parent = z->parent;
	const char *record = arena_printf(&c->arena, "%s DS", z->name);
	struct check_set set = check_chain_set(c, &m->answer, z->wire, DNS_TYPE_DS);
	struct dns_denial *d;
	enum dns_proof p;

	if (m->rcode != DNS_RCODE_NOERROR && m->rcode != DNS_RCODE_NXDOMAIN)
		return DANE_FAILED;
	if (set.n > 0) {
		if (!check_chain_prove(c, parent, &m->answer, &set, &z->notes, v->servers, false)
			     .valid)
			return DANE_BOGUS;
		*ret = set;
		return DANE_SECURE;
	}
	d = check_chain_denial(c, parent, m, &z->notes, v->servers);
	p = dns_denial_delegation(d, z->wire);
	if (p == DNS_PROOF_NO_RECORDS && !m->aa) {
		check_chain_note(c, &z->notes, CHECK_DNSSEC_DS_REFERRAL, z->name, record, parent,
				 v->servers)
			->detail = "the answer is a referral";
		return DANE_FAILED;
	}
	check_chain_note_proof(c, &z->notes, parent, p, record, v->servers);
	return dns_proof_is_good(p) ? DANE_INSECURE : DANE_BOGUS;
}

void check_chain_judge_ds(struct check_chain *c, struct check_zone *z)
{
	enum dane_security best = DANE_FAILED;

	for (size_t i = 0; i < z->ds->n_variants; i++) {
		struct check_set set = {0};
		enum dane_security s = judge_ds_variant(c, z, &z->ds->variants[i], &set);

		if (s == DANE_FAILED || (best != DANE_FAILED && check_chain_worse(s, best) == s))
			continue;
		best = s;
		z->ds_set = set;
	}
	z->ds_security = best;
}

/* --- DNSKEY ----------------------------------------------------------------------------------- */

/* How well a DS (or DNSKEY anchor) fits the keys of one answer. */
struct link {
	struct dns_ds ds;
	bool usable;    /* algorithm and digest are known, and no better digest is there */
	bool tag_found; /* a key with that tag and algorithm */
	bool match;     /* and that digest */
	bool unfit;     /* matched, but no zone key or revoked */
	bool signs;     /* matched, and its signature over the keys is valid */
	bool tried;     /* a signature by that tag is there: it is told what is wrong with it */
};

enum {
	LINKS_MAX = 64
};

struct links {
	struct link list[LINKS_MAX];
	size_t n;
	bool any_usable, any_signs;
};

/* RFC 4509 section 3: SHA-1 counts only where nothing better is. */
static void choose_digests(struct links *l)
{
	bool better = false;

	for (size_t i = 0; i < l->n; i++) {
		struct dns_ds *ds = &l->list[i].ds;

		l->list[i].usable = dns_algorithm_is_known(ds->algorithm) &&
				    dns_digest_is_known(ds->digest_type);
		better = better || (l->list[i].usable && ds->digest_type != 1);
	}
	for (size_t i = 0; i < l->n; i++) {
		if (better && l->list[i].ds.digest_type == 1)
			l->list[i].usable = false;
		l->any_usable = l->any_usable || l->list[i].usable;
	}
}

int check_chain_read_ds(const struct dns_rr *rr, struct dns_ds *ret)
{
	struct dns_dnskey key;

	if (rr->type != DNS_TYPE_DNSKEY)
		return dns_ds_read(rr->rdata, ret);
	if (dns_dnskey_read(rr->rdata, &key) < 0)
		return -EBADMSG;
	*ret = (struct dns_ds){key.tag, key.algorithm, 2, rr->rdata};
	return 0;
}

static void read_links(const struct check_zone *z, struct links *l)
{
	*l = (struct links){0};
	for (size_t i = 0; i < z->ds_set.n && l->n < LINKS_MAX; i++)
		l->n += check_chain_read_ds(z->ds_set.rr[i], &l->list[l->n].ds) == 0;
	choose_digests(l);
}

enum dns_ds_match check_chain_compare(const struct dns_ds *ds, const struct dns_rr *key)
{
	struct dns_dnskey parsed;

	/* No digest is as long as a key: this is an anchor's key. */
	if (ds->digest.n <= 48)
		return dns_verify_ds(ds, key);
	if (dns_dnskey_read(key->rdata, &parsed) < 0 || parsed.tag != ds->tag)
		return DNS_DS_OTHER;
	return span_eq(key->rdata, ds->digest) ? DNS_DS_MATCH : DNS_DS_MISMATCH;
}

/* Whether a signature over the keys by that one key is valid. */
static bool signs_keys(struct check_chain *c, struct check_zone *z, const struct dns_message *m,
		       const struct check_set *keys, const struct dns_rr *by)
{
	struct check_set all = z->keys;
	const struct dns_rr *one[1] = {by};
	struct check_proved p;

	z->keys = (struct check_set){one, 1};
	p = check_chain_prove(c, z, &m->answer, keys, NULL, 0, true);
	z->keys = all;
	return p.valid;
}

/* Whether what is wrong shows in the signatures: there is none, or one claims to be by that key. */
static bool tells_itself(struct check_chain *c, struct check_zone *z, const struct dns_message *m,
			 const struct dns_ds *ds)
{
	struct check_set set = check_chain_signatures(c, &m->answer, z->wire, DNS_TYPE_DNSKEY);
	struct dns_rrsig sig;

	for (size_t i = 0; i < set.n; i++)
		if (dns_rrsig_read(&c->arena, set.rr[i]->rdata, &sig) == 0 && sig.tag == ds->tag &&
		    sig.algorithm == ds->algorithm)
			return true;
	return set.n == 0;
}

static void join_links(struct check_chain *c, struct check_zone *z, struct links *l,
		       const struct dns_message *m, const struct check_set *keys)
{
	unsigned compared = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct link *k = &l->list[i];

		for (size_t n = 0; n < keys->n && n < DNS_VERIFY_KEYS_MAX; n++) {
			struct dns_dnskey key;

			if (dns_dnskey_read(keys->rr[n]->rdata, &key) < 0 || key.tag != k->ds.tag ||
			    key.algorithm != k->ds.algorithm)
				continue;
			k->tag_found = true;
			/* Many keys of one tag cost a hash each: no more than for signatures. */
			if (k->match || !k->usable || ++compared > 2 * DNS_VERIFY_PER_SET_MAX ||
			    check_chain_compare(&k->ds, keys->rr[n]) != DNS_DS_MATCH)
				continue;
			k->match = true;
			k->unfit = (key.flags & DNS_KEY_ZONE) == 0 ||
				   (key.flags & DNS_KEY_REVOKED) != 0;
			k->tried = tells_itself(c, z, m, &k->ds);
			k->signs = !k->unfit && signs_keys(c, z, m, keys, keys->rr[n]);
			l->any_signs = l->any_signs || k->signs;
		}
	}
}

/* " The DS of its key: ..." for a fix: of the first key that signs, else of the first with SEP. */
static const char *offer_ds(struct check_chain *c, const struct check_zone *z, const char *before)
{
	const struct dns_rr *best = NULL;

	for (size_t i = 0; i < z->keys.n && i < DNS_VERIFY_KEYS_MAX; i++) {
		struct dns_dnskey key;

		if (dns_dnskey_read(z->keys.rr[i]->rdata, &key) < 0 ||
		    (key.flags & DNS_KEY_ZONE) == 0 || (key.flags & DNS_KEY_REVOKED) != 0)
			continue;
		if (best == NULL || (key.flags & DNS_KEY_SEP) != 0)
			best = z->keys.rr[i];
		if ((key.flags & DNS_KEY_SEP) != 0)
			break;
	}
	if (best == NULL)
		return "";
	return arena_printf(&c->arena, "%s%s. IN DS %s", before, z->name,
			    dns_verify_make_ds(&c->arena, best));
}

static struct check_note *zone_note(struct check_chain *c, struct check_zone *z,
				    enum check_kind kind, check_mask servers)
{
	return check_chain_note(c, &z->notes, kind, z->name, NULL, z, servers);
}

static void note_link(struct check_chain *c, struct check_zone *z, const struct link *k,
		      const struct links *l, check_mask servers)
{
	enum check_kind kind;
	struct check_note *n;

	if (k->signs || !k->usable || (k->match && !k->unfit && k->tried))
		return;
	if (k->match)
		kind = k->unfit ? CHECK_DNSSEC_KEYS_UNFIT : CHECK_DNSSEC_KEYS_UNSIGNED;
	else if (k->tag_found)
		kind = CHECK_DNSSEC_DS_MISMATCH;
	else
		kind = CHECK_DNSSEC_DS_NO_KEY;
	if (l->any_signs) /* another link holds */
		kind = CHECK_DNSSEC_DS_STALE;
	n = zone_note(c, z, kind, servers);
	n->tag = tag_text(c, k->ds.tag);
	n->detail = k->unfit ? "is revoked, or no zone key (flags)" : ds_text(c, &k->ds);
	n->fix = offer_ds(c, z,
			  kind == CHECK_DNSSEC_DS_MISMATCH ? " by: "
							   : " The DS of the key that is there: ");
}

/* There is provably no DS. A host's zone can be left, one's own cannot. */
static void note_unsigned(struct check_chain *c, struct check_zone *z, check_mask servers)
{
	bool others = (c->request.mail || c->request.host) &&
		      !dns_wire_is_below(check_chain_wire(c, c->request.name), z->wire);

	if (z->has_keys)
		zone_note(c, z, CHECK_DNSSEC_DS_MISSING, servers)->fix = offer_ds(c, z, "");
	else
		zone_note(c, z, CHECK_DNSSEC_DS_NONE, 0)->fix =
			others ? " Or take an MX host in a signed zone." : "";
}

/* One server's keys against the DS set. */
static enum dane_security judge_keys(struct check_chain *c, struct check_zone *z,
				     const struct check_variant *v, struct check_set *ret)
{
	const struct dns_message *m = v->message;
	struct check_set keys = check_chain_set(c, &m->answer, z->wire, DNS_TYPE_DNSKEY);
	struct links l;
	bool limit = false;

	if (m->rcode != DNS_RCODE_NOERROR || !m->aa)
		return DANE_FAILED;
	read_links(z, &l);
	if (keys.n == 0) {
		struct check_note *n = zone_note(c, z, CHECK_DNSSEC_KEYS_MISSING, v->servers);

		n->tag = l.n > 0 ? tag_text(c, l.list[0].ds.tag) : NULL;
		return DANE_BOGUS;
	}
	*ret = keys;
	z->keys = keys;
	join_links(c, z, &l, m, &keys);
	for (size_t i = 0; i < l.n; i++)
		note_link(c, z, &l.list[i], &l, v->servers);
	/* Every signature over the keys, told with its dates. */
	check_chain_prove(c, z, &m->answer, &keys, &z->notes, v->servers, limit);
	return l.any_signs ? DANE_SECURE : DANE_BOGUS;
}

/* Keys whatever they are worth: the zone may be signed without a DS. */
static void find_keys(struct check_chain *c, struct check_zone *z)
{
	check_mask servers = 0;

	for (size_t i = 0; i < z->dnskey->n_variants; i++) {
		const struct check_variant *v = &z->dnskey->variants[i];
		struct check_set keys =
			check_chain_set(c, &v->message->answer, z->wire, DNS_TYPE_DNSKEY);

		if (keys.n == 0)
			continue;
		z->has_keys = true;
		z->keys = keys;
		servers |= v->servers;
	}
	if (z->ds_security == DANE_INSECURE && z->parent != NULL &&
	    z->parent->security == DANE_SECURE)
		note_unsigned(c, z, servers);
}

/* --- what keys and DS are like ---------------------------------------------------------------- */

/* RFC 3110: the bits of the modulus. */
static unsigned rsa_bits(struct span key)
{
	struct cursor at = cursor_of(key);
	size_t exponent = cursor_u8(&at);
	struct span modulus;

	if (exponent == 0)
		exponent = cursor_u16(&at);
	cursor_take(&at, exponent);
	modulus = cursor_rest(&at);
	while (modulus.n > 0 && modulus.p[0] == 0)
		modulus = span_skip(modulus, 1);
	return at.failed ? 0 : (unsigned)modulus.n * 8;
}

static void note_key(struct check_chain *c, struct check_zone *z, const struct dns_dnskey *key)
{
	struct check_note *n = zone_note(c, z, CHECK_DNSSEC_DNSKEY, 0);
	bool rsa = key->algorithm == 5 || key->algorithm == 7 || key->algorithm == 8 ||
		   key->algorithm == 10;
	unsigned bits = rsa ? rsa_bits(key->key) : 0;

	n->level = 1;
	n->detail = arena_printf(&c->arena, "DNSKEY %u: %s%s%s%s", key->tag,
				 dns_algorithm_to_text(&c->arena, key->algorithm),
				 rsa ? arena_printf(&c->arena, ", %u bits", bits) : "",
				 (key->flags & DNS_KEY_SEP) != 0 ? ", entry point" : "",
				 (key->flags & DNS_KEY_REVOKED) != 0 ? ", revoked" : "");
	if (key->algorithm == 5 || key->algorithm == 7) {
		n = zone_note(c, z, CHECK_DNSSEC_ALGORITHM_OLD, 0);
		n->detail = dns_algorithm_to_text(&c->arena, key->algorithm);
		n->tag = tag_text(c, key->tag);
	} else if (key->algorithm == 16) {
		n = zone_note(c, z, CHECK_DNSSEC_ALGORITHM_ED448, 0);
		n->tag = tag_text(c, key->tag);
	}
	if (rsa && bits > 0 && bits + 7 < SHORT_RSA) {
		n = zone_note(c, z, CHECK_DNSSEC_KEY_SMALL, 0);
		n->detail = arena_printf(&c->arena, "%u", bits);
		n->tag = tag_text(c, key->tag);
	}
}

static void note_keys(struct check_chain *c, struct check_zone *z)
{
	check_mask all = 0;

	for (size_t i = 0; i < z->dnskey->n_variants; i++)
		all |= z->dnskey->variants[i].servers;
	if (z->keys.n > MANY_KEYS)
		zone_note(c, z, CHECK_DNSSEC_KEYS_MANY, all)->detail =
			arena_printf(&c->arena, "%zu keys", z->keys.n);
	for (size_t i = 0; i < z->keys.n && i <= MANY_KEYS; i++) {
		struct dns_dnskey key;

		if (dns_dnskey_read(z->keys.rr[i]->rdata, &key) == 0)
			note_key(c, z, &key);
	}
}

static void note_ds(struct check_chain *c, struct check_zone *z, const struct links *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct dns_ds *ds = &l->list[i].ds;
		struct check_note *n = zone_note(c, z, CHECK_DNSSEC_DS, 0);

		n->level = 1;
		n->detail = arena_printf(&c->arena, "%s for key %u: %s",
					 z->parent != NULL ? "DS" : "Trust anchor", ds->tag,
					 ds_text(c, ds));
		if (!dns_digest_is_known(ds->digest_type) && l->any_usable) {
			n = zone_note(c, z, CHECK_DNSSEC_DS_DIGEST, 0);
			n->tag = tag_text(c, ds->tag);
			n->detail = arena_printf(&c->arena, "%u", ds->digest_type);
		}
		if (ds->digest_type != 1 || z->parent == NULL)
			continue;
		n = zone_note(c, z, CHECK_DNSSEC_DS_SHA1, 0);
		n->tag = tag_text(c, ds->tag);
		n->fix = offer_ds(c, z, " It is: ");
	}
}

/* Whether a signature of that algorithm comes with the RRset, whatever it is worth. */
static bool is_signed_with(struct check_chain *c, const struct check_zone *z,
			   const struct dns_message *m, uint16_t type, uint8_t algorithm)
{
	struct check_set set = check_chain_signatures(c, &m->answer, z->wire, type);

	for (size_t i = 0; i < set.n && i < DNS_VERIFY_SIGNATURES_MAX; i++)
		if (set.rr[i]->rdata.n > 2 && set.rr[i]->rdata.p[2] == algorithm)
			return true;
	return set.n == 0; /* told as missing */
}

/*
 * Every algorithm of the DNSKEY RRset signs everything (RFC 4035 section 2.2). Validators need not
 * insist (RFC 6840 section 5.11); some do, against downgrade.
 */
static void note_algorithms(struct check_chain *c, struct check_zone *z)
{
	const struct check_ask *asks[] = {z->dnskey, z->soa, z->ns};
	bool seen[256] = {false};

	for (size_t i = 0; i < z->keys.n && i < DNS_VERIFY_KEYS_MAX; i++) {
		struct dns_dnskey k;

		if (dns_dnskey_read(z->keys.rr[i]->rdata, &k) < 0 || seen[k.algorithm] ||
		    (k.flags & DNS_KEY_ZONE) == 0 || !dns_algorithm_is_known(k.algorithm))
			continue;
		seen[k.algorithm] = true;
		for (size_t a = 0; a < ARRAY_SIZE(asks); a++)
			for (size_t v = 0; v < asks[a]->n_variants; v++) {
				const struct check_variant *one = &asks[a]->variants[v];

				if (is_signed_with(c, z, one->message, asks[a]->type, k.algorithm))
					continue;
				check_chain_note(c, &z->notes, CHECK_DNSSEC_ALGORITHM_IDLE, z->name,
						 check_chain_record(c, z->name, asks[a]->type), z,
						 one->servers)
					->detail = dns_algorithm_to_text(&c->arena, k.algorithm);
			}
	}
}

/* --- the zone --------------------------------------------------------------------------------- */

/* SOA and NS at the apex, from every server. */
static void judge_apex(struct check_chain *c, struct check_zone *z, struct check_ask *a)
{
	for (size_t i = 0; i < a->n_variants; i++) {
		const struct check_variant *v = &a->variants[i];
		struct check_set set = check_chain_set(c, &v->message->answer, z->wire, a->type);

		if (set.n > 0 && z->keys.n > 0)
			check_chain_prove(c, z, &v->message->answer, &set, &z->notes, v->servers,
					  false);
	}
}

static enum dane_security judge_trust(struct check_chain *c, struct check_zone *z,
				      const struct links *l)
{
	enum dane_security best = DANE_FAILED;
	struct check_set keys = {0};

	if (!l->any_usable) {
		const char *text = l->n > 0 ? ds_text(c, &l->list[0].ds) : "none can be read";
		struct check_note *n = zone_note(c, z, CHECK_DNSSEC_DS_UNSUPPORTED, 0);

		n->detail = arena_printf(&c->arena, "DS for key %u: %s",
					 l->n > 0 ? l->list[0].ds.tag : 0, text);
		z->why = "no DS has an algorithm and digest that are known";
		return DANE_INSECURE;
	}
	for (size_t i = 0; i < z->dnskey->n_variants; i++) {
		struct check_set set = {0};
		enum dane_security s = judge_keys(c, z, &z->dnskey->variants[i], &set);

		if (s == DANE_FAILED || (best != DANE_FAILED && check_chain_worse(s, best) == s))
			continue;
		best = s;
		keys = set;
	}
	z->keys = keys;
	if (best == DANE_BOGUS)
		z->why = "no key that the DS promises signs the zone's keys";
	if (best == DANE_FAILED)
		z->why = "no server gives a usable answer for DNSKEY";
	return best;
}

void check_chain_judge_zone(struct check_chain *c, struct check_zone *z)
{
	struct links l;

	find_keys(c, z);
	read_links(z, &l);
	note_ds(c, z, &l);
	switch (z->ds_security) {
	case DANE_SECURE:
		z->security = judge_trust(c, z, &l);
		break;
	case DANE_INSECURE:
		z->security = DANE_INSECURE;
		z->why = z->parent != NULL && z->parent->security == DANE_INSECURE
				 ? "the zone above is unsigned"
				 : "the parent proves that there is no DS";
		break;
	case DANE_BOGUS:
		z->security = DANE_BOGUS;
		z->why = z->parent != NULL && z->parent->security == DANE_BOGUS
				 ? "the chain is broken above"
				 : "the parent's answer for DS does not hold";
		break;
	case DANE_FAILED:
	case DANE_UNASKED:
		z->security = DANE_FAILED;
		z->why = "no usable answer for DS";
		break;
	}
	note_keys(c, z);
	/* An unsigned zone's signatures mean nothing; a broken one's are judged by its own keys. */
	if (z->security == DANE_INSECURE || !z->has_keys)
		z->keys = (struct check_set){0};
	note_algorithms(c, z);
	judge_apex(c, z, z->soa);
	judge_apex(c, z, z->ns);
}
