#include "edge/dns/verify.h"

#include "edge/dns/record.h"

/* --- to the library --------------------------------------------------------------------------- */

static ldns_rr_list *set_to_ldns(const struct dns_rr *const *rr, size_t n)
{
	ldns_rr_list *list = ldns_rr_list_new();

	for (size_t i = 0; i < n; i++) {
		ldns_rr *one = dns_record_to_ldns(rr[i]);

		if (one == NULL || !ldns_rr_list_push_rr(list, one)) {
			ldns_rr_free(one);
			ldns_rr_list_deep_free(list);
			return NULL;
		}
	}
	return list;
}

static bool crypto(const struct dns_signed_set *set, const struct dns_rr *signature,
		   const struct dns_rr *key)
{
	ldns_rr_list *rrset = set_to_ldns(set->rr, set->n), *keys = set_to_ldns(&key, 1);
	ldns_rr_list *good = ldns_rr_list_new();
	ldns_rr *rrsig = dns_record_to_ldns(signature);
	bool valid = false;

	if (rrset != NULL && keys != NULL && rrsig != NULL)
		valid = ldns_verify_rrsig_keylist_notime(rrset, rrsig, keys, good) ==
			LDNS_STATUS_OK;
	ldns_rr_list_free(good); /* its records are those of `keys` */
	ldns_rr_list_deep_free(rrset);
	ldns_rr_list_deep_free(keys);
	ldns_rr_free(rrsig);
	return valid;
}

/* --- algorithms ------------------------------------------------------------------------------- */

static const struct {
	uint8_t number;
	const char *word;
	bool known;
} algorithms[] = {
	{1, "RSAMD5", false},
	{3, "DSA", false},
	{5, "RSASHA1", true},
	{6, "DSA-NSEC3-SHA1", false},
	{7, "RSASHA1-NSEC3-SHA1", true},
	{8, "RSASHA256", true},
	{10, "RSASHA512", true},
	{12, "ECC-GOST", false},
	{13, "ECDSAP256SHA256", true},
	{14, "ECDSAP384SHA384", true},
	{15, "ED25519", true},
	{16, "ED448", true},
};

bool dns_algorithm_is_known(uint8_t algorithm)
{
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++)
		if (algorithms[i].number == algorithm)
			return algorithms[i].known;
	return false;
}

bool dns_digest_is_known(uint8_t digest_type)
{
	return digest_type == 1 || digest_type == 2 || digest_type == 4;
}

const char *dns_algorithm_to_text(struct arena *a, uint8_t algorithm)
{
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++)
		if (algorithms[i].number == algorithm)
			return arena_printf(a, "%s (%u)", algorithms[i].word, algorithm);
	return arena_printf(a, "algorithm %u", algorithm);
}

/* --- signatures ------------------------------------------------------------------------------- */

static unsigned owner_labels(struct span name)
{
	unsigned n = 0;
	size_t at = 0;

	/* The label of a wildcard is not counted (RFC 4034 section 3.1.3). */
	if (name.n > 2 && name.p[0] == 1 && name.p[1] == '*')
		at = 2;
	for (; at < name.n && name.p[at] != 0; at += 1u + name.p[at])
		n++;
	return n;
}

static bool is_candidate(const struct dns_rr *key, const struct dns_rrsig *sig,
			 struct dns_dnskey *ret)
{
	return dns_dnskey_read(key->rdata, ret) == 0 && ret->tag == sig->tag &&
	       ret->algorithm == sig->algorithm && ret->protocol == 3;
}

/* What can be told of a signature before its keys are looked at; VALID: nothing is wrong so far. */
static enum dns_signature inspect(const struct dns_rr *rr, const struct dns_rr *owner,
				  const char *zone, struct arena *a, struct dns_rrsig *ret)
{
	if (dns_rrsig_read(a, rr->rdata, ret) < 0) {
		*ret = (struct dns_rrsig){.signer = "?"};
		return DNS_SIGNATURE_MALFORMED;
	}
	if (strcmp(ret->signer, zone) != 0)
		return DNS_SIGNATURE_SIGNER;
	if (ret->labels > owner_labels(owner->wire))
		return DNS_SIGNATURE_LABELS;
	if (!dns_algorithm_is_known(ret->algorithm))
		return DNS_SIGNATURE_ALGORITHM;
	return DNS_SIGNATURE_VALID;
}

static size_t count_candidates(const struct dns_rrsig *sig, const struct dns_rr *const *keys,
			       size_t n_keys)
{
	struct dns_dnskey key;
	size_t n = 0;

	for (size_t i = 0; i < n_keys; i++)
		n += is_candidate(keys[i], sig, &key);
	return n;
}

static bool same_record(const struct dns_rr *a, const struct dns_rr *b)
{
	return a->type == b->type && a->class == b->class && span_eq(a->wire, b->wire) &&
	       span_eq(a->rdata, b->rdata);
}

/* All octets that go into the verification are compared. */
static bool is_the_same(const struct dns_verified *d, const struct dns_signed_set *set,
			const struct dns_rr *signature, const struct dns_rr *key)
{
	if (d->key == NULL || d->n != set->n || !same_record(d->signature, signature) ||
	    !same_record(d->key, key))
		return false;
	for (size_t i = 0; i < set->n; i++)
		if (!same_record(d->rr[i], set->rr[i]))
			return false;
	return true;
}

static bool verify(struct dns_verify *v, struct arena *a, const struct dns_signed_set *set,
		   const struct dns_rr *signature, const struct dns_rr *key)
{
	struct dns_verified *d;
	const struct dns_rr **rr;

	for (size_t i = 0; i < DNS_VERIFY_KEPT; i++)
		if (is_the_same(&v->done[i], set, signature, key))
			return v->done[i].good;
	rr = arena_calloc(a, set->n, sizeof(const struct dns_rr *));
	for (size_t i = 0; i < set->n; i++)
		rr[i] = set->rr[i];
	d = &v->done[v->next_done++ % DNS_VERIFY_KEPT];
	*d = (struct dns_verified){rr, set->n, signature, key, crypto(set, signature, key)};
	return d->good;
}

static enum dns_signature verify_one(struct dns_verify *v, struct arena *a,
				     const struct dns_signed_set *set,
				     const struct dns_rr *signature, const struct dns_rrsig *sig,
				     const struct dns_rr *const *keys, size_t n_keys)
{
	enum dns_signature best = DNS_SIGNATURE_NO_KEY;
	struct dns_dnskey key;
	bool good = false;

	for (size_t i = 0; i < n_keys && !good; i++) {
		if (!is_candidate(keys[i], sig, &key))
			continue;
		if ((key.flags & DNS_KEY_ZONE) == 0 || (key.flags & DNS_KEY_REVOKED) != 0) {
			if (best > DNS_SIGNATURE_KEY_UNFIT)
				best = DNS_SIGNATURE_KEY_UNFIT;
			continue;
		}
		best = DNS_SIGNATURE_BAD;
		if (v->left == 0)
			return DNS_SIGNATURE_LIMIT;
		v->left--;
		good = verify(v, a, set, signature, keys[i]);
	}
	if (!good)
		return best;
	if (dns_date_distance(sig->inception, v->now) > 0)
		return DNS_SIGNATURE_NOT_YET;
	return dns_date_distance(sig->expiration, v->now) < 0 ? DNS_SIGNATURE_EXPIRED
							      : DNS_SIGNATURE_VALID;
}

size_t dns_verify_set(struct dns_verify *v, struct arena *a, const struct dns_signed_set *set,
		      const char *zone, const struct dns_rr *const *keys, size_t n_keys,
		      struct dns_checked_signature *ret)
{
	size_t n = set->n_signatures, work = 0;

	if (n > DNS_VERIFY_SIGNATURES_MAX)
		n = DNS_VERIFY_SIGNATURES_MAX;
	if (n_keys > DNS_VERIFY_KEYS_MAX)
		n_keys = DNS_VERIFY_KEYS_MAX;
	for (size_t i = 0; i < n; i++) {
		ret[i].result = inspect(set->signatures[i], set->rr[0], zone, a, &ret[i].rrsig);
		if (ret[i].result == DNS_SIGNATURE_VALID)
			work += count_candidates(&ret[i].rrsig, keys, n_keys);
	}
	for (size_t i = 0; i < n; i++) {
		if (ret[i].result != DNS_SIGNATURE_VALID)
			continue;
		ret[i].result = work > DNS_VERIFY_PER_SET_MAX
					? DNS_SIGNATURE_LIMIT
					: verify_one(v, a, set, set->signatures[i], &ret[i].rrsig,
						     keys, n_keys);
	}
	return n;
}

/* --- DS --------------------------------------------------------------------------------------- */

enum dns_ds_match dns_verify_ds(const struct dns_ds *ds, const struct dns_rr *key)
{
	static const ldns_hash hashes[] = {[1] = LDNS_SHA1, [2] = LDNS_SHA256, [4] = LDNS_SHA384};
	struct dns_dnskey parsed;
	ldns_rr *dnskey, *made;
	bool equal = false;

	if (dns_dnskey_read(key->rdata, &parsed) < 0 || parsed.tag != ds->tag ||
	    parsed.algorithm != ds->algorithm)
		return DNS_DS_OTHER;
	if (!dns_digest_is_known(ds->digest_type))
		return DNS_DS_UNKNOWN;
	dnskey = dns_record_to_ldns(key);
	made = dnskey != NULL ? ldns_key_rr2ds(dnskey, hashes[ds->digest_type]) : NULL;
	if (made != NULL) {
		const ldns_rdf *digest = ldns_rr_rdf(made, 3);

		equal = span_eq(ds->digest, span_of(ldns_rdf_data(digest), ldns_rdf_size(digest)));
	}
	ldns_rr_free(made);
	ldns_rr_free(dnskey);
	return equal ? DNS_DS_MATCH : DNS_DS_MISMATCH;
}

const char *dns_verify_make_ds(struct arena *a, const struct dns_rr *key)
{
	ldns_rr *dnskey = dns_record_to_ldns(key);
	ldns_rr *made = dnskey != NULL ? ldns_key_rr2ds(dnskey, LDNS_SHA256) : NULL;
	struct dns_dnskey parsed;
	const char *text = NULL;

	if (made != NULL && dns_dnskey_read(key->rdata, &parsed) == 0) {
		char *hex = ldns_rdf2str(ldns_rr_rdf(made, 3));

		text = arena_printf(a, "%u %u 2 %s", parsed.tag, parsed.algorithm, hex);
		free(hex);
	}
	ldns_rr_free(made);
	ldns_rr_free(dnskey);
	return text;
}
