/*
 * What a zone tells its parent and its secondaries: CDS and CDNSKEY (RFC 7344, RFC 8078), and how
 * it denies (NSEC3PARAM). Nothing of it changes the verdict.
 */
#include "jobs/check/chain_data.h"

#include <string.h>

enum {
	TOLD_MAX = 8,       /* records of one kind named */
	COMPARED_MAX = 256, /* digests made for one zone */
};

/* --- questions -------------------------------------------------------------------------------- */

static struct check_set find_set(const struct check_ask *a, uint16_t type)
{
	struct check_set set = {0};

	for (size_t i = 0; a != NULL && i < a->n_variants && set.n == 0; i++)
		set = check_chain_set(a->chain, &a->variants[i].message->answer, a->wire, type);
	return set;
}

void check_chain_ask_upkeep(struct check_chain *c, struct check_zone *z)
{
	check_mask live = check_chain_live(z);

	if (!c->request.upkeep || find_set(z->dnskey, DNS_TYPE_DNSKEY).n == 0)
		return;
	z->nsec3param = check_chain_ask(c, z, z->name, DNS_TYPE_NSEC3PARAM, false, false, live);
	if (z->parent == NULL)
		return;
	z->cds = check_chain_ask(c, z, z->name, DNS_TYPE_CDS, false, false, live);
	z->cdnskey = check_chain_ask(c, z, z->name, DNS_TYPE_CDNSKEY, false, false, live);
}

static struct check_note *zone_note(struct check_chain *c, struct check_zone *z,
				    enum check_kind kind, const char *record, check_mask servers)
{
	return check_chain_note(c, &z->notes, kind, z->name, record, z, servers);
}

/* --- how the zone denies ---------------------------------------------------------------------- */

static bool is_denial(const struct dns_message *m)
{
	return m->rcode == DNS_RCODE_NOERROR && m->aa && m->answer.n == 0;
}

static const struct dns_rr *find_type(const struct dns_section *s, uint16_t type)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->rr[i].type == type && s->rr[i].class == 1)
			return &s->rr[i];
	return NULL;
}

/* NSEC3PARAM is as the beginning of NSEC3 (RFC 5155 section 4.2). */
static int read_parameters(struct span rdata, struct dns_nsec3 *ret)
{
	struct cursor at = cursor_of(rdata);

	*ret = (struct dns_nsec3){0};
	ret->algorithm = cursor_u8(&at);
	ret->flags = cursor_u8(&at);
	ret->iterations = cursor_u16(&at);
	ret->salt = cursor_take(&at, cursor_u8(&at));
	return at.failed ? -1 : 0;
}

static const char *parameters_text(struct arena *a, const char *what, const struct dns_nsec3 *n)
{
	return arena_printf(a, "%s with %u iterations, a salt of %zu octets%s", what, n->iterations,
			    n->salt.n, (n->flags & DNS_NSEC3_OPTOUT) != 0 ? ", opt-out" : "");
}

/* By what one answer denies, or the parameters that it is about; NULL: it does not tell. */
static const char *denial_text(struct check_chain *c, const struct dns_message *m)
{
	const struct dns_rr *param = find_type(&m->answer, DNS_TYPE_NSEC3PARAM);
	const struct dns_rr *nsec3 = find_type(&m->authority, DNS_TYPE_NSEC3);
	struct dns_nsec3 n;

	if (param != NULL && read_parameters(param->rdata, &n) == 0)
		return parameters_text(&c->arena, "NSEC3PARAM", &n);
	if (!is_denial(m))
		return NULL;
	if (nsec3 != NULL && read_parameters(nsec3->rdata, &n) == 0)
		return parameters_text(&c->arena, "NSEC3", &n);
	return find_type(&m->authority, DNS_TYPE_NSEC) != NULL ? "NSEC" : NULL;
}

/* One answer to the same question is by NSEC and another by NSEC3, or by another kind of it. */
static bool note_ways(struct check_chain *c, struct check_zone *z, const struct check_ask *a)
{
	const char *first = NULL, *text = NULL;
	bool differ = false;

	for (size_t i = 0; a != NULL && i < a->n_variants; i++) {
		const char *one = denial_text(c, a->variants[i].message);

		if (one == NULL)
			continue;
		differ = differ || (first != NULL && strcmp(first, one) != 0);
		first = first != NULL ? first : one;
		if (i < TOLD_MAX)
			text = arena_printf(
				&c->arena, "%s%s%s: %s", text != NULL ? text : "",
				text != NULL ? "; " : "",
				check_chain_servers(&c->arena, z, a->variants[i].servers), one);
	}
	if (differ)
		zone_note(c, z, CHECK_DNSSEC_NSEC3_DIFFER, NULL, 0)->detail =
			arena_printf(&c->arena, "%s.", text);
	return differ;
}

/* A server builds denials by NSEC3PARAM; its NSEC3 records must be of that kind. */
static void note_mismatch(struct check_chain *c, struct check_zone *z, const struct check_ask *a)
{
	for (size_t i = 0; a != NULL && i < z->n_servers; i++) {
		const struct check_reply *p = &z->nsec3param->replies[i], *d = &a->replies[i];
		const struct dns_rr *param, *nsec3;
		struct dns_nsec3 x, y;

		if (p->reply.fault != DNS_FAULT_NONE || d->reply.fault != DNS_FAULT_NONE ||
		    !is_denial(&d->reply.message))
			continue;
		param = find_type(&p->reply.message.answer, DNS_TYPE_NSEC3PARAM);
		nsec3 = find_type(&d->reply.message.authority, DNS_TYPE_NSEC3);
		if (param == NULL || nsec3 == NULL || read_parameters(param->rdata, &x) < 0 ||
		    read_parameters(nsec3->rdata, &y) < 0 ||
		    (x.iterations == y.iterations && span_eq(x.salt, y.salt)))
			continue;
		zone_note(c, z, CHECK_DNSSEC_NSEC3_PARAM, NULL, (check_mask)1 << i)->detail =
			arena_printf(&c->arena, "%s; %s",
				     parameters_text(&c->arena, "NSEC3PARAM", &x),
				     parameters_text(&c->arena, "NSEC3", &y));
	}
}

/* The apex has no such record: every server must be able to prove it. */
static void judge_denial(struct check_chain *c, struct check_zone *z, const struct check_ask *a)
{
	for (size_t i = 0; a != NULL && z->keys.n > 0 && i < a->n_variants; i++) {
		const struct check_variant *v = &a->variants[i];
		struct dns_denial *d;
		enum dns_proof p;

		if (!is_denial(v->message))
			continue;
		d = check_chain_denial(c, z, v->message, &z->notes, v->servers);
		p = dns_denial_nodata(d, z->wire, a->type);
		if (!dns_proof_is_good(p))
			check_chain_note_proof(c, &z->notes, z, p,
					       check_chain_record(c, z->name, a->type), v->servers);
	}
}

static bool has_denial(const struct check_ask *a)
{
	for (size_t i = 0; a != NULL && i < a->n_variants; i++)
		if (is_denial(a->variants[i].message))
			return true;
	return false;
}

static void judge_denials(struct check_chain *c, struct check_zone *z)
{
	/* A question that the apex denies: each of these is there at most in some zones. */
	const struct check_ask *a = has_denial(z->cdnskey) ? z->cdnskey
				    : has_denial(z->cds)   ? z->cds
							   : z->nsec3param;

	if (!note_ways(c, z, z->nsec3param))
		note_ways(c, z, a);
	note_mismatch(c, z, a);
	judge_denial(c, z, a);
}

/* --- CDS and CDNSKEY -------------------------------------------------------------------------- */

struct request {
	struct check_chain *c;
	struct check_zone *zone;
	struct check_set keys; /* of the zone, trusted or not */
	struct check_set cds, cdnskey;
	unsigned compared;
};

static bool is_delete(const struct dns_rr *rr)
{
	/* The algorithm, of either form, is 0 (RFC 8078 section 4). */
	return rr->rdata.n >= 4 && rr->rdata.p[rr->type == DNS_TYPE_CDS ? 2 : 3] == 0;
}

static bool is_right_delete(const struct dns_rr *rr)
{
	static const uint8_t cds[] = {0, 0, 0, 0, 0}, cdnskey[] = {0, 0, 3, 0, 0};

	return span_eq(rr->rdata, rr->type == DNS_TYPE_CDS ? span_of(cds, sizeof(cds))
							   : span_of(cdnskey, sizeof(cdnskey)));
}

/* Whether the DS (or CDS) is of one of these keys (DNSKEY or CDNSKEY). */
static const struct dns_rr *key_of(struct request *r, const struct dns_ds *ds,
				   const struct check_set *keys)
{
	for (size_t i = 0; i < keys->n && i < DNS_VERIFY_KEYS_MAX; i++) {
		struct dns_rr key = *keys->rr[i];
		struct dns_dnskey parsed;

		key.type = DNS_TYPE_DNSKEY;
		if (dns_dnskey_read(key.rdata, &parsed) < 0 || parsed.tag != ds->tag ||
		    parsed.algorithm != ds->algorithm || r->compared++ > COMPARED_MAX)
			continue;
		if (check_chain_compare(ds, &key) == DNS_DS_MATCH)
			return keys->rr[i];
	}
	return NULL;
}

static bool holds(const struct check_set *set, const struct dns_rr *rr)
{
	for (size_t i = 0; i < set->n; i++)
		if (span_eq(set->rr[i]->rdata, rr->rdata))
			return true;
	return false;
}

/* The key that a CDS or CDNSKEY asks a DS for; NULL: the zone has none like it. */
static const struct dns_rr *wanted_key(struct request *r, const struct dns_rr *rr)
{
	struct dns_ds ds;

	if (rr->type == DNS_TYPE_CDS)
		return dns_ds_read(rr->rdata, &ds) == 0 ? key_of(r, &ds, &r->keys) : NULL;
	for (size_t i = 0; i < r->keys.n && i < DNS_VERIFY_KEYS_MAX; i++)
		if (span_eq(r->keys.rr[i]->rdata, rr->rdata))
			return r->keys.rr[i];
	return NULL;
}

static unsigned tag_of(const struct dns_rr *rr)
{
	struct dns_dnskey key;
	struct dns_ds ds;

	if (rr->type == DNS_TYPE_DNSKEY || rr->type == DNS_TYPE_CDNSKEY)
		return dns_dnskey_read(rr->rdata, &key) == 0 ? key.tag : 0;
	return dns_ds_read(rr->rdata, &ds) == 0 ? ds.tag : 0;
}

static const char *tags_text(struct check_chain *c, const struct check_set *set)
{
	const char *text = "none";

	for (size_t i = 0; i < set->n && i < TOLD_MAX; i++) {
		struct dns_ds ds;
		const char *one = arena_printf(&c->arena, "%u", tag_of(set->rr[i]));

		if (set->rr[i]->type != DNS_TYPE_CDNSKEY &&
		    dns_ds_read(set->rr[i]->rdata, &ds) == 0)
			one = arena_printf(&c->arena, "%u (digest type %u)", ds.tag,
					   ds.digest_type);
		text = i == 0 ? one : arena_printf(&c->arena, "%s, %s", text, one);
	}
	return text;
}

/* By a key that a DS names: else the parent must not act on it (RFC 7344 section 4.1). */
static void judge_signature(struct request *r, const struct check_ask *a)
{
	struct check_chain *c = r->c;
	struct check_zone *z = r->zone;
	struct check_set all = z->keys, entry = {0};

	if (z->ds_security != DANE_SECURE || all.n == 0)
		return;
	entry.rr = arena_calloc(&c->arena, z->ds_set.n + 1, sizeof(*entry.rr));
	for (size_t i = 0; i < z->ds_set.n; i++) {
		struct dns_ds ds;
		const struct dns_rr *key = NULL;

		if (check_chain_read_ds(z->ds_set.rr[i], &ds) == 0)
			key = key_of(r, &ds, &all);
		if (key != NULL)
			entry.rr[entry.n++] = key;
	}
	for (size_t i = 0; i < a->n_variants; i++) {
		const struct dns_section *s = &a->variants[i].message->answer;
		struct check_set set = check_chain_set(c, s, z->wire, a->type);
		bool by_entry, by_any;

		if (set.n == 0)
			continue;
		z->keys = entry;
		by_entry = check_chain_prove(c, z, s, &set, NULL, 0, true).valid;
		z->keys = all;
		if (by_entry)
			continue;
		by_any = check_chain_prove(c, z, s, &set, NULL, 0, true).valid;
		zone_note(c, z, CHECK_DNSSEC_CDS_UNSIGNED, check_chain_record(c, z->name, a->type),
			  a->variants[i].servers)
			->detail = by_any ? "its signature is by a key that no DS names"
					  : "it has no valid signature";
	}
}

/* Whether any of these keys signs the DNSKEY RRset, as far as that was looked at. */
static bool any_signs(const struct request *r, const struct dns_rr *key)
{
	struct dns_dnskey k;

	if (dns_dnskey_read(key->rdata, &k) < 0)
		return false;
	for (const struct check_signed *s = r->zone->notes.signatures; s != NULL; s = s->next)
		if (s->by == r->zone && s->covered == DNS_TYPE_DNSKEY && s->tag == k.tag &&
		    s->algorithm == k.algorithm && !s->missing && s->result == DNS_SIGNATURE_VALID)
			return true;
	return false;
}

static void judge_keys(struct request *r, const struct check_set *set, uint16_t type)
{
	struct check_chain *c = r->c;
	struct check_zone *z = r->zone;
	const char *record = check_chain_record(c, z->name, type);
	size_t fit = 0, sign = 0;

	for (size_t i = 0; i < set->n; i++) {
		const struct dns_rr *key = wanted_key(r, set->rr[i]);

		fit += key != NULL;
		sign += key != NULL && (z->keys.n == 0 || any_signs(r, key));
		if (key == NULL && i < TOLD_MAX)
			zone_note(c, z, CHECK_DNSSEC_CDS_NO_KEY, record, 0)->tag =
				arena_printf(&c->arena, "%u", tag_of(set->rr[i]));
	}
	if (sign == 0)
		zone_note(c, z, CHECK_DNSSEC_CDS_BREAKS, record, 0)->detail =
			fit == 0 ? "none of them is of a key that the zone has"
				 : "none of their keys signs the zone's DNSKEY RRset";
}

/* True: it asks for removal, rightly or not, and there is nothing more to say of it. */
static bool judge_delete(struct request *r, const struct check_set *set, uint16_t type)
{
	const char *record = check_chain_record(r->c, r->zone->name, type);
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++)
		n += is_delete(set->rr[i]);
	if (n == 0)
		return false;
	if (set->n > 1 || !is_right_delete(set->rr[0]))
		zone_note(r->c, r->zone, CHECK_DNSSEC_CDS_DELETE_WRONG, record, 0)->detail =
			set->n > 1 ? "other records stand beside it" : "its other fields are not 0";
	else
		zone_note(r->c, r->zone, CHECK_DNSSEC_CDS_DELETE, record, 0);
	return true;
}

/* They must ask for the same (RFC 7344 section 4). */
static void judge_both(struct request *r)
{
	size_t unmatched = 0;
	struct dns_ds ds;

	if (r->cds.n == 0 || r->cdnskey.n == 0) {
		struct check_note *n = zone_note(r->c, r->zone, CHECK_DNSSEC_CDS_ONE_ONLY, NULL, 0);

		n->level = 1;
		n->detail = r->cds.n > 0 ? "CDS and no CDNSKEY" : "CDNSKEY and no CDS";
		return;
	}
	for (size_t i = 0; i < r->cds.n; i++)
		unmatched += !is_delete(r->cds.rr[i]) &&
			     (dns_ds_read(r->cds.rr[i]->rdata, &ds) < 0 ||
			      (key_of(r, &ds, &r->cdnskey) == NULL && r->compared < COMPARED_MAX));
	for (size_t k = 0; k < r->cdnskey.n; k++) {
		bool found = is_delete(r->cdnskey.rr[k]);

		for (size_t i = 0; i < r->cds.n && !found; i++)
			found = tag_of(r->cds.rr[i]) == tag_of(r->cdnskey.rr[k]);
		unmatched += !found;
	}
	if (is_delete(r->cds.rr[0]) != is_delete(r->cdnskey.rr[0]) || unmatched > 0)
		zone_note(r->c, r->zone, CHECK_DNSSEC_CDS_MISMATCH, NULL, 0)->detail =
			arena_printf(&r->c->arena, "CDS: %s; CDNSKEY: %s", tags_text(r->c, &r->cds),
				     tags_text(r->c, &r->cdnskey));
}

/* The same as the DS at the parent, or a change that waits for it. */
static bool is_in_force(struct request *r)
{
	const struct check_set *ds = &r->zone->ds_set;
	bool same = true;

	if (r->cds.n > 0) {
		for (size_t i = 0; i < r->cds.n; i++)
			same = same && holds(ds, r->cds.rr[i]);
		for (size_t i = 0; i < ds->n; i++)
			same = same && holds(&r->cds, ds->rr[i]);
		return same;
	}
	for (size_t i = 0; i < ds->n; i++) {
		struct dns_ds one;

		same = same && dns_ds_read(ds->rr[i]->rdata, &one) == 0 &&
		       key_of(r, &one, &r->cdnskey) != NULL;
	}
	for (size_t i = 0; i < r->cdnskey.n; i++) {
		bool found = false;

		for (size_t k = 0; k < ds->n && !found; k++)
			found = tag_of(ds->rr[k]) == tag_of(r->cdnskey.rr[i]);
		same = same && found;
	}
	return same && ds->n > 0;
}

static void judge_pending(struct request *r)
{
	const struct check_set *set = r->cds.n > 0 ? &r->cds : &r->cdnskey;
	enum dane_security ds = r->zone->ds_security;
	bool in_force = is_in_force(r);
	struct check_note *n;

	if (ds != DANE_SECURE && ds != DANE_INSECURE)
		return;
	n = zone_note(r->c, r->zone, in_force ? CHECK_DNSSEC_CDS_CURRENT : CHECK_DNSSEC_CDS_PENDING,
		      NULL, 0);
	n->level = in_force ? 1 : 0;
	n->detail = arena_printf(&r->c->arena, "%s; the DS at the parent: %s", tags_text(r->c, set),
				 tags_text(r->c, &r->zone->ds_set));
}

static void judge_request(struct check_chain *c, struct check_zone *z)
{
	struct request r = {.c = c,
			    .zone = z,
			    .keys = find_set(z->dnskey, DNS_TYPE_DNSKEY),
			    .cds = find_set(z->cds, DNS_TYPE_CDS),
			    .cdnskey = find_set(z->cdnskey, DNS_TYPE_CDNSKEY)};
	bool gone = false;

	if (z->keys.n > 0)
		r.keys = z->keys;
	if (r.cds.n == 0 && r.cdnskey.n == 0)
		return;
	judge_signature(&r, z->cds);
	judge_signature(&r, z->cdnskey);
	judge_both(&r);
	if (r.cds.n > 0 && (gone = judge_delete(&r, &r.cds, DNS_TYPE_CDS)) == false)
		judge_keys(&r, &r.cds, DNS_TYPE_CDS);
	if (r.cdnskey.n > 0 && !judge_delete(&r, &r.cdnskey, DNS_TYPE_CDNSKEY))
		judge_keys(&r, &r.cdnskey, DNS_TYPE_CDNSKEY);
	else
		gone = gone || r.cdnskey.n > 0;
	if (!gone)
		judge_pending(&r);
}

void check_chain_judge_upkeep(struct check_chain *c, struct check_zone *z)
{
	struct check_ask *asks[] = {z->nsec3param, z->cds, z->cdnskey};

	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		if (asks[i] == NULL)
			continue;
		check_chain_group(asks[i]);
		check_chain_note_replies(c, asks[i], &z->notes);
		if (asks[i]->type != DNS_TYPE_NSEC3PARAM)
			check_chain_note_difference(c, asks[i], &z->notes, CHECK_DNSSEC_CDS_DIFFER);
	}
	if (z->nsec3param != NULL)
		judge_denials(c, z);
	if (z->cds != NULL)
		judge_request(c, z);
}
