/* Records, their signatures and denials, judged. */
#include "jobs/check/chain_data.h"

#include <string.h>

enum {
	ENDS_SOON = 12 * 3600, /* seconds: Zonemaster's DNSSEC04 */
	TOO_LONG = 180 * 24 * 3600,
};

enum dane_security check_chain_worse(enum dane_security a, enum dane_security b)
{
	static const int rank[] = {[DANE_SECURE] = 0,
				   [DANE_INSECURE] = 1,
				   [DANE_FAILED] = 2,
				   [DANE_BOGUS] = 3,
				   [DANE_UNASKED] = 2};

	return rank[a] >= rank[b] ? a : b;
}

/* --- sets ------------------------------------------------------------------------------------- */

static bool fits(const struct dns_rr *rr, struct span owner, uint16_t type, bool signature)
{
	if (rr->class != 1 || !span_eq(rr->wire, owner))
		return false;
	if (!signature)
		return rr->type == type;
	return rr->type == DNS_TYPE_RRSIG && rr->rdata.n >= 2 &&
	       (rr->rdata.p[0] << 8 | rr->rdata.p[1]) == type;
}

static struct check_set collect(struct check_chain *c, const struct dns_section *s,
				struct span owner, uint16_t type, bool signature)
{
	struct check_set set = {0};
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += fits(&s->rr[i], owner, type, signature);
	set.rr = arena_calloc(&c->arena, n + 1, sizeof(*set.rr));
	for (size_t i = 0; i < s->n; i++)
		if (fits(&s->rr[i], owner, type, signature))
			set.rr[set.n++] = &s->rr[i];
	return set;
}

struct check_set check_chain_set(struct check_chain *c, const struct dns_section *s,
				 struct span owner, uint16_t type)
{
	return collect(c, s, owner, type, false);
}

struct check_set check_chain_signatures(struct check_chain *c, const struct dns_section *s,
					struct span owner, uint16_t type)
{
	return collect(c, s, owner, type, true);
}

/* --- signatures ------------------------------------------------------------------------------- */

static const char *span_of_time(struct arena *a, int64_t seconds)
{
	if (seconds < 0)
		seconds = -seconds;
	if (seconds >= 2 * 86400)
		return arena_printf(a, "%lld days", (long long)seconds / 86400);
	if (seconds >= 2 * 3600)
		return arena_printf(a, "%lld hours", (long long)seconds / 3600);
	return arena_printf(a, "%lld minutes", (long long)seconds / 60);
}

static const char *date_text(struct arena *a, uint32_t date, int64_t now)
{
	time_t when = (time_t)(now + dns_date_distance(date, now));
	struct tm tm;

	if (gmtime_r(&when, &tm) == NULL)
		return arena_printf(a, "%u", date);
	return arena_printf(a, "%04d-%02d-%02d %02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1,
			    tm.tm_mday, tm.tm_hour, tm.tm_min);
}

static enum check_kind kind_of(enum dns_signature s)
{
	switch (s) {
	case DNS_SIGNATURE_VALID:
	case DNS_SIGNATURE_BAD:
		return CHECK_DNSSEC_SIG_BAD;
	case DNS_SIGNATURE_EXPIRED:
		return CHECK_DNSSEC_SIG_EXPIRED;
	case DNS_SIGNATURE_NOT_YET:
		return CHECK_DNSSEC_SIG_EARLY;
	case DNS_SIGNATURE_KEY_UNFIT:
		return CHECK_DNSSEC_SIG_UNFIT;
	case DNS_SIGNATURE_NO_KEY:
		return CHECK_DNSSEC_SIG_NO_KEY;
	case DNS_SIGNATURE_ALGORITHM:
		return CHECK_DNSSEC_SIG_ALGORITHM;
	case DNS_SIGNATURE_LABELS:
		return CHECK_DNSSEC_SIG_LABELS;
	case DNS_SIGNATURE_SIGNER:
		return CHECK_DNSSEC_SIG_SIGNER;
	case DNS_SIGNATURE_MALFORMED:
		return CHECK_DNSSEC_SIG_MALFORMED;
	case DNS_SIGNATURE_LIMIT:
		break;
	}
	return CHECK_DNSSEC_SIG_LIMIT;
}

static const char *detail_of(struct check_chain *c, const struct dns_checked_signature *s)
{
	struct arena *a = &c->arena;
	int64_t now = c->verify.now;

	switch (s->result) {
	case DNS_SIGNATURE_EXPIRED:
		return arena_printf(a, "ended %s ago, on %s",
				    span_of_time(a, dns_date_distance(s->rrsig.expiration, now)),
				    date_text(a, s->rrsig.expiration, now));
	case DNS_SIGNATURE_NOT_YET:
		return arena_printf(a, "begins in %s, on %s",
				    span_of_time(a, dns_date_distance(s->rrsig.inception, now)),
				    date_text(a, s->rrsig.inception, now));
	case DNS_SIGNATURE_VALID:
	case DNS_SIGNATURE_BAD:
		return "it does not fit the records";
	case DNS_SIGNATURE_KEY_UNFIT:
		return "the key is revoked or no zone key";
	case DNS_SIGNATURE_NO_KEY:
	case DNS_SIGNATURE_ALGORITHM:
		return dns_algorithm_to_text(a, s->rrsig.algorithm);
	case DNS_SIGNATURE_LABELS:
		return arena_printf(a, "%u labels", s->rrsig.labels);
	case DNS_SIGNATURE_SIGNER:
		return strcmp(s->rrsig.signer, ".") == 0 ? "."
							 : arena_printf(a, "%s.", s->rrsig.signer);
	case DNS_SIGNATURE_MALFORMED:
		return "it cannot be read";
	case DNS_SIGNATURE_LIMIT:
		break;
	}
	return c->verify.left == 0 ? "the limit of verifications for one run is reached"
				   : arena_printf(a, "more than %d pairs of key and signature",
						  DNS_VERIFY_PER_SET_MAX);
}

static const char *spare_detail(struct check_chain *c, const struct dns_checked_signature *s)
{
	const char *detail = detail_of(c, s);

	switch (s->result) {
	case DNS_SIGNATURE_NO_KEY:
		return arena_printf(&c->arena, "%s, a key that is not in the DNSKEY RRset", detail);
	case DNS_SIGNATURE_ALGORITHM:
		return arena_printf(&c->arena, "%s is not known", detail);
	case DNS_SIGNATURE_SIGNER:
		return arena_printf(&c->arena, "it names %s as signer", detail);
	case DNS_SIGNATURE_EXPIRED:
	case DNS_SIGNATURE_NOT_YET:
		return arena_printf(&c->arena, "it %s", detail);
	case DNS_SIGNATURE_VALID:
	case DNS_SIGNATURE_BAD:
	case DNS_SIGNATURE_KEY_UNFIT:
	case DNS_SIGNATURE_LABELS:
	case DNS_SIGNATURE_MALFORMED:
	case DNS_SIGNATURE_LIMIT:
		break;
	}
	return detail;
}

struct judging {
	struct check_chain *c;
	struct check_zone *zone;
	struct check_notes *notes;
	check_mask servers;
	const char *record;
	uint32_t ttl;
};

static struct check_note *note(const struct judging *j, enum check_kind kind,
			       const struct dns_rrsig *sig)
{
	struct check_note *n =
		check_chain_note(j->c, j->notes, kind, j->record, j->record, j->zone, j->servers);

	n->tag = sig != NULL ? arena_printf(&j->c->arena, "%u", sig->tag) : NULL;
	return n;
}

static void note_dates(const struct judging *j, const struct dns_rrsig *sig)
{
	struct arena *a = &j->c->arena;
	int64_t left = dns_date_distance(sig->expiration, j->c->verify.now);

	if (left < ENDS_SOON)
		note(j, CHECK_DNSSEC_SIG_SOON, sig)->detail =
			arena_printf(a, "ends in %s, on %s", span_of_time(a, left),
				     date_text(a, sig->expiration, j->c->verify.now));
	else if ((int64_t)j->ttl > left)
		note(j, CHECK_DNSSEC_SIG_TTL, sig)->detail = arena_printf(
			a, "ends in %s; the TTL is %u s", span_of_time(a, left), j->ttl);
	if (j->ttl > sig->original_ttl)
		note(j, CHECK_DNSSEC_SIG_TTL_ORIGINAL, sig)->detail = arena_printf(
			a, "comes with a TTL of %u s; %u s were signed", j->ttl, sig->original_ttl);
	if ((int32_t)(sig->expiration - sig->inception) > TOO_LONG)
		note(j, CHECK_DNSSEC_SIG_LONG, sig)->detail =
			arena_printf(a, "is valid for %s in all",
				     span_of_time(a, (int32_t)(sig->expiration - sig->inception)));
}

/* One line a signature, for detail 2: "RRSIG over mx.example.org A by key 4711, valid until ...".
 */
static void note_signature(const struct judging *j, const struct dns_checked_signature *s)
{
	struct check_chain *c = j->c;
	struct check_note *n = note(j, CHECK_DNSSEC_RRSIG, &s->rrsig);
	bool valid = s->result == DNS_SIGNATURE_VALID;

	n->level = 2;
	n->detail =
		arena_printf(&c->arena, "RRSIG by key %u, %s, of %s to %s: %s%s", s->rrsig.tag,
			     dns_algorithm_to_text(&c->arena, s->rrsig.algorithm),
			     date_text(&c->arena, s->rrsig.inception, c->verify.now),
			     date_text(&c->arena, s->rrsig.expiration, c->verify.now),
			     valid ? "valid, ends in " : "",
			     valid ? span_of_time(&c->arena, dns_date_distance(s->rrsig.expiration,
									       c->verify.now))
				   : spare_detail(c, s));
}

/* The last end of the valid ones counts, the first of all RRsets. */
static void note_end(const struct judging *j, const struct dns_checked_signature *checked, size_t n)
{
	int64_t end = 0, left;

	for (size_t i = 0; i < n; i++) {
		if (checked[i].result != DNS_SIGNATURE_VALID)
			continue;
		left = dns_date_distance(checked[i].rrsig.expiration, j->c->verify.now);
		if (end == 0 || j->c->verify.now + left > end)
			end = j->c->verify.now + left;
	}
	if (end == 0 || (j->zone->signatures_end != 0 && j->zone->signatures_end <= end))
		return;
	j->zone->signatures_end = end;
	j->zone->signatures_over = j->record;
}

static void remember(const struct judging *j, uint16_t covered,
		     const struct dns_checked_signature *s)
{
	struct check_signed *one;

	if (j->c->n_signatures >= CHAIN_SIGNATURES_MAX)
		return;
	j->c->n_signatures++;
	one = arena_alloc(&j->c->arena, sizeof(*one));
	*one = (struct check_signed){.by = j->zone,
				     .covered = covered,
				     .missing = s == NULL,
				     .next = j->notes->signatures};
	if (s != NULL) {
		one->tag = s->rrsig.tag;
		one->algorithm = s->rrsig.algorithm;
		one->result = s->result;
	}
	j->notes->signatures = one;
}

struct check_proved check_chain_prove(struct check_chain *c, struct check_zone *z,
				      const struct dns_section *s, const struct check_set *set,
				      struct check_notes *notes, check_mask servers, bool quiet)
{
	struct dns_checked_signature checked[DNS_VERIFY_SIGNATURES_MAX];
	const struct dns_rr *first = set->rr[0];
	struct check_set signatures = check_chain_signatures(c, s, first->wire, first->type);
	struct dns_signed_set all = {set->rr, set->n, signatures.rr, signatures.n};
	struct check_proved proved = {0};
	struct judging j = {
		.c = c,
		.zone = z,
		.notes = notes,
		.servers = servers,
		.ttl = first->ttl,
		.record = arena_printf(&c->arena, "%s %s", first->owner,
				       dns_type_to_text(&c->arena, first->type)),
	};
	size_t n = dns_verify_set(&c->verify, &c->arena, &all, z->name, z->keys.rr, z->keys.n,
				  checked);

	for (size_t i = 0; i < n; i++) {
		if (checked[i].result != DNS_SIGNATURE_VALID)
			continue;
		if (!quiet && !proved.valid)
			note_dates(&j, &checked[i].rrsig);
		proved = (struct check_proved){true, checked[i].rrsig.labels};
	}
	if (!quiet)
		note_end(&j, checked, n);
	for (size_t i = 0; i < n && !quiet; i++) {
		struct check_note *told;

		note_signature(&j, &checked[i]);
		remember(&j, first->type, &checked[i]);
		if (checked[i].result == DNS_SIGNATURE_VALID)
			continue;
		told = note(&j, proved.valid ? CHECK_DNSSEC_SIG_SPARE : kind_of(checked[i].result),
			    &checked[i].rrsig);
		told->detail =
			proved.valid ? spare_detail(c, &checked[i]) : detail_of(c, &checked[i]);
	}
	if (n == 0 && !quiet) {
		note(&j, CHECK_DNSSEC_SIG_MISSING, NULL);
		remember(&j, first->type, NULL);
	}
	return proved;
}

/* --- denial ----------------------------------------------------------------------------------- */

static void note_nsec3(struct check_chain *c, struct check_notes *notes, struct check_zone *z,
		       const struct dns_rr *rr, check_mask servers)
{
	struct dns_nsec3 n;
	enum check_kind kind;

	if (dns_nsec3_read(rr->rdata, &n) < 0)
		return;
	if (n.salt.n > 0)
		check_chain_note(c, notes, CHECK_DNSSEC_NSEC3_SALT, z->name, NULL, z, servers)
			->detail = arena_printf(&c->arena, "%zu octets", n.salt.n);
	if (n.iterations == 0)
		return;
	kind = n.iterations > DNS_DENIAL_ITERATIONS_MAX ? CHECK_DNSSEC_NSEC3_MANY
							: CHECK_DNSSEC_NSEC3_ITERATIONS;
	check_chain_note(c, notes, kind, z->name, NULL, z, servers)->detail =
		arena_printf(&c->arena, "%u iterations", n.iterations);
}

/* The last NSEC leads back to the apex (RFC 4034 section 4.1.1). */
static void note_nsec(struct check_chain *c, struct check_notes *notes, struct check_zone *z,
		      const struct dns_rr *rr, check_mask servers)
{
	struct dns_nsec n;

	if (dns_nsec_read(rr->rdata, &n) < 0 || dns_wire_compare(n.next, rr->wire) > 0 ||
	    dns_wire_compare(n.next, z->wire) == 0)
		return;
	check_chain_note(c, notes, CHECK_DNSSEC_NSEC_LAST, z->name,
			 check_chain_record(c, rr->owner, DNS_TYPE_NSEC), z, servers);
}

struct dns_denial *check_chain_denial(struct check_chain *c, struct check_zone *z,
				      const struct dns_message *m, struct check_notes *notes,
				      check_mask servers)
{
	struct dns_denial *d = arena_alloc(&c->arena, sizeof(*d));
	bool told = false;
	size_t seen = 0;

	dns_denial_init(d, z->wire);
	for (size_t i = 0; i < m->authority.n; i++) {
		const struct dns_rr *rr = &m->authority.rr[i];
		struct check_set set;

		if ((rr->type != DNS_TYPE_NSEC && rr->type != DNS_TYPE_NSEC3) || rr->class != 1)
			continue;
		if (++seen > DNS_DENIAL_RECORDS_MAX)
			break;
		set = check_chain_set(c, &m->authority, rr->wire, rr->type);
		if (!told && rr->type == DNS_TYPE_NSEC3)
			note_nsec3(c, notes, z, rr, servers);
		told = true;
		if (rr->type == DNS_TYPE_NSEC)
			note_nsec(c, notes, z, rr, servers);
		if (check_chain_prove(c, z, &m->authority, &set, notes, servers, false).valid)
			dns_denial_add(d, rr);
	}
	return d;
}

void check_chain_note_proof(struct check_chain *c, struct check_notes *notes,
			    const struct check_zone *z, enum dns_proof p, const char *record,
			    check_mask servers)
{
	enum check_kind kind = CHECK_DNSSEC_DENIAL_WRONG;
	struct check_note *n;

	if (p == DNS_PROOF_HOLDS || p == DNS_PROOF_ITERATIONS)
		kind = CHECK_DNSSEC_DENIAL;
	else if (p == DNS_PROOF_OPTOUT)
		kind = CHECK_DNSSEC_DENIAL_OPTOUT;
	else if (p == DNS_PROOF_NO_RECORDS)
		kind = CHECK_DNSSEC_DENIAL_MISSING;
	n = check_chain_note(c, notes, kind, record, record, z, servers);
	n->detail = dns_proof_to_text(p);
	n->level = kind == CHECK_DNSSEC_DENIAL ? 1 : 0;
}

static enum dane_security security_of(enum dns_proof p)
{
	if (p == DNS_PROOF_HOLDS)
		return DANE_SECURE;
	return dns_proof_is_good(p) ? DANE_INSECURE : DANE_BOGUS;
}

/* --- lookups ---------------------------------------------------------------------------------- */

/* What one answer says. */
struct verdict {
	enum dane_security security;
	enum dane_content content;
	const char *why;
	struct check_set records;
	const char *target;
};

static struct verdict from_set(struct check_chain *c, struct check_lookup *l,
			       const struct check_variant *v, struct check_set set)
{
	struct check_zone *z = l->zone;
	struct verdict r = {.security = z->security, .content = DANE_RECORDS, .records = set};
	struct check_proved proved;
	enum dns_proof p;

	if (z->keys.n == 0)
		return r;
	proved = check_chain_prove(c, z, &v->message->answer, &set, &l->notes, v->servers, false);
	if (!proved.valid) {
		r.security = DANE_BOGUS;
		r.why = "no valid signature";
		return r;
	}
	/* Made from a wildcard: the answer must show that nothing closer is there (V21). */
	if (proved.labels >= dns_wire_labels(set.rr[0]->wire) ||
	    (set.rr[0]->wire.n > 2 && set.rr[0]->wire.p[0] == 1 && set.rr[0]->wire.p[1] == '*'))
		return r;
	p = dns_denial_wildcard(check_chain_denial(c, z, v->message, &l->notes, v->servers),
				set.rr[0]->wire, proved.labels);
	check_chain_note_proof(
		c, &l->notes, z, p,
		arena_printf(&c->arena, "%s (made from a wildcard)", set.rr[0]->owner), v->servers);
	r.security = check_chain_worse(r.security, security_of(p));
	if (!dns_proof_is_good(p))
		r.why = "the wildcard may not apply";
	return r;
}

/* `name` with its end `owner` replaced by `target` (RFC 6672 section 2.2); NULL: too long. */
static const char *substitute(struct check_chain *c, struct span name, struct span owner,
			      struct span target)
{
	uint8_t out[2 * DANE_NAME_WIRE_MAX];
	size_t n = name.n - owner.n;
	struct cursor at;

	if (n + target.n > DANE_NAME_WIRE_MAX)
		return NULL;
	memcpy(out, name.p, n);
	memcpy(out + n, target.p, target.n);
	at = cursor_of(span_of(out, n + target.n));
	return dane_name_from_wire(&c->arena, &at);
}

/* The DNAME above the name; n is 0 if there is none. */
static struct check_set find_dname(struct check_chain *c, const struct check_lookup *l,
				   const struct dns_message *m)
{
	for (size_t i = 0; i < m->answer.n; i++) {
		const struct dns_rr *rr = &m->answer.rr[i];

		if (rr->type == DNS_TYPE_DNAME && rr->class == 1 &&
		    dns_wire_is_below(l->wire, rr->wire) && !span_eq(l->wire, rr->wire) &&
		    dns_wire_is_below(rr->wire, l->zone->wire))
			return check_chain_set(c, &m->answer, rr->wire, DNS_TYPE_DNAME);
	}
	return (struct check_set){0};
}

/* The CNAME that comes with a DNAME must be what follows from it (RFC 6672 section 3.1). */
static void compare_cname(struct check_chain *c, struct check_lookup *l,
			  const struct check_variant *v, const char *target)
{
	struct check_set set = check_chain_set(c, &v->message->answer, l->wire, DNS_TYPE_CNAME);
	const char *other =
		set.n > 0 ? dns_rdata_name(&c->arena, DNS_TYPE_CNAME, set.rr[0]->rdata) : NULL;

	if (other != NULL && target != NULL && strcmp(other, target) != 0)
		check_chain_note(c, &l->notes, CHECK_DNSSEC_DNAME_CNAME, l->name, l->name, l->zone,
				 v->servers)
			->detail = target;
}

static struct verdict from_alias(struct check_chain *c, struct check_lookup *l,
				 const struct check_variant *v, struct check_set set)
{
	struct verdict r = from_set(c, l, v, set);
	const struct dns_rr *rr = set.rr[0];

	if (rr->type == DNS_TYPE_DNAME)
		r.target = substitute(c, l->wire, rr->wire, rr->rdata);
	else
		r.target = dns_rdata_name(&c->arena, rr->type, rr->rdata);
	if (rr->type == DNS_TYPE_DNAME)
		compare_cname(c, l, v, r.target);
	if (r.target == NULL) {
		r.security = DANE_FAILED;
		r.why = "the alias leads to no name";
	}
	return r;
}

static struct verdict from_denial(struct check_chain *c, struct check_lookup *l,
				  const struct check_variant *v)
{
	struct check_zone *z = l->zone;
	bool nxdomain = v->message->rcode == DNS_RCODE_NXDOMAIN;
	struct verdict r = {.security = z->security,
			    .content = nxdomain ? DANE_NXDOMAIN : DANE_NODATA};
	struct dns_denial *d;
	enum dns_proof p;

	if (z->keys.n == 0)
		return r;
	d = check_chain_denial(c, z, v->message, &l->notes, v->servers);
	p = nxdomain ? dns_denial_nxdomain(d, l->wire) : dns_denial_nodata(d, l->wire, l->type);
	check_chain_note_proof(
		c, &l->notes, z, p,
		arena_printf(&c->arena, "%s%s%s", l->name, nxdomain ? "" : " ",
			     nxdomain ? " (the name)" : dns_type_to_text(&c->arena, l->type)),
		v->servers);
	r.security = check_chain_worse(r.security, security_of(p));
	if (!dns_proof_is_good(p))
		r.why = "the denial is not proven";
	return r;
}

static struct verdict judge_variant(struct check_chain *c, struct check_lookup *l,
				    const struct check_variant *v)
{
	const struct dns_message *m = v->message;
	struct verdict r = {.security = DANE_FAILED};
	struct check_set set;

	if (m->rcode != DNS_RCODE_NOERROR && m->rcode != DNS_RCODE_NXDOMAIN) {
		r.why = dns_rcode_to_text(&c->arena, m->rcode);
		return r;
	}
	set = check_chain_set(c, &m->answer, l->wire, l->type);
	if (set.n > 0)
		return from_set(c, l, v, set);
	set = find_dname(c, l, m);
	if (set.n == 0)
		set = check_chain_set(c, &m->answer, l->wire, DNS_TYPE_CNAME);
	if (set.n > 0)
		return from_alias(c, l, v, set);
	if (!m->aa) {
		r.why = "the answer is neither authoritative nor a referral";
		return r;
	}
	return from_denial(c, l, v);
}

/* What a validator ends with that goes on to the next server. */
static bool is_better(const struct verdict *a, const struct verdict *b)
{
	return a->security != b->security &&
	       check_chain_worse(a->security, b->security) == b->security;
}

void check_chain_judge_lookup(struct check_chain *c, struct check_lookup *l)
{
	struct verdict best = {.security = DANE_FAILED, .why = "no server answers"};
	bool any = false;

	for (size_t i = 0; i < l->ask->n_variants; i++) {
		struct verdict r = judge_variant(c, l, &l->ask->variants[i]);

		l->ask->variants[i].security = r.security;
		l->ask->variants[i].content = r.content;
		l->ask->variants[i].records = r.records;
		if (!any || (best.security == DANE_FAILED && r.security != DANE_FAILED) ||
		    (r.security != DANE_FAILED && is_better(&r, &best)))
			best = r;
		any = true;
	}
	/* A zone that is bogus or unknown makes all of its data so. */
	if (l->zone->security == DANE_BOGUS || l->zone->security == DANE_FAILED) {
		best.security = check_chain_worse(best.security, l->zone->security);
		best.why = best.why != NULL ? best.why : l->zone->why;
	}
	if (l->zone->security == DANE_INSECURE && best.security == DANE_BOGUS)
		best.security = DANE_INSECURE;
	l->security = best.security;
	l->content = best.content;
	l->why = best.why;
	l->records = best.records;
	l->target = best.target;
}
