/* Why a certificate matches no record, and the exact record or step that mends it. */
#include "jobs/check/diagnose.h"
#include "jobs/check/view.h"

/* A session with the same host whose certificate matches, or NULL. */
static const struct check_probe *sibling(const struct check_view *v, const struct check_probe *p)
{
	for (size_t i = 0; i < v->n_probes; i++) {
		const struct check_probe *other = &v->probes[i];

		if (other != p && other->done && other->host == p->host &&
		    other->verdict.kind == TLS_VERDICT_MATCH)
			return other;
	}
	return NULL;
}

static bool counts(const struct dane_record *r)
{
	return r->unusable == DANE_USABLE || r->unusable == DANE_UNUSABLE_PKIX_USAGE;
}

const char *check_causes(const struct check_view *v, const struct check_probe *p)
{
	struct arena *a = &v->tree->arena;
	const struct check_probe *other = sibling(v, p);
	const char *list = NULL;

	for (size_t i = 0; i < p->host->n_records && i < CHECK_SHOWN_MAX; i++) {
		const struct dane_record *r = &p->host->records[i];

		if (!counts(r))
			continue;
		list = arena_printf(a, "%s%s%s: %s", list != NULL ? list : "",
				    list != NULL ? "; " : "", dane_tlsa_to_text(a, &r->tlsa),
				    check_explain(v, &r->tlsa, r->aside, p->chain).sentence);
	}
	if (list == NULL)
		return p->verdict.detail;
	if (p->host->n_records > CHECK_SHOWN_MAX)
		list = arena_printf(a, "%s; and %zu more records", list,
				    p->host->n_records - CHECK_SHOWN_MAX);
	if (other == NULL)
		return arena_printf(a, "%s.", list);
	return arena_printf(
		a,
		"%s. The %s certificate at %s matches: the servers or key types of one "
		"host differ, and the records must cover them all (RFC 7671 section 8).",
		list, check_key(v, other), other->address);
}

/* The record that the diagnosis proposes, if it holds what it promises. */
static const char *proposed(const struct check_view *v, const struct check_probe *p,
			    const struct check_diagnosis *d)
{
	struct dane_tlsa r;

	if (d->as == NULL || d->cause == CHECK_CAUSE_MATCHES ||
	    dane_tlsa_from_text(&v->tree->arena, d->as, &r, NULL) < 0)
		return NULL;
	return check_would(v, p->host, &r, 1, p->chain).kind == TLS_VERDICT_MATCH ? d->as : NULL;
}

static const char *publish(const struct check_view *v, const struct check_probe *p, const char *as,
			   const char *in_place_of)
{
	struct arena *a = &v->tree->arena;
	const char *line = check_line(v, p->host, p->chain);
	const char *first = arena_printf(a, "%s. IN TLSA %s", check_owner(v, p->host), as);

	if (strcmp(first, line) == 0)
		return arena_printf(a, "Publish %s in place of %s.", first, in_place_of);
	return arena_printf(a, "Publish %s in place of %s (or, better, %s).", first, in_place_of,
			    line);
}

static const char *mend_absent(const struct check_view *v, const struct check_probe *p)
{
	size_t top = tls_chain_count(p->chain) - 1;
	struct tls_facts facts = tls_chain_facts(p->chain, top, &v->tree->arena);
	const char *line = check_line(v, p->host, p->chain);

	if (facts.self_signed)
		return arena_printf(&v->tree->arena, "Publish %s in place of what is there.", line);
	return arena_printf(&v->tree->arena,
			    "Publish %s in place of what is there; or, if the record is of \"%s\", "
			    "append that certificate to the chain file of the server.",
			    line, facts.issuer);
}

const char *check_mend(const struct check_view *v, const struct check_probe *p)
{
	struct arena *a = &v->tree->arena;
	bool absent = false;

	if (sibling(v, p) != NULL)
		return arena_printf(a,
				    "Publish %s beside what is there, or give all addresses of %s "
				    "the same certificate.",
				    check_line(v, p->host, p->chain), p->host->name);
	for (size_t i = 0; i < p->host->n_records && i < CHECK_SHOWN_MAX; i++) {
		const struct dane_record *r = &p->host->records[i];
		struct check_diagnosis d = check_explain(v, &r->tlsa, r->aside, p->chain);
		const char *as = proposed(v, p, &d);

		absent = absent || (counts(r) && d.cause == CHECK_CAUSE_TA_ABSENT);
		if (as != NULL && d.cause == CHECK_CAUSE_AGILITY)
			return arena_printf(a,
					    "Publish %s. IN TLSA %s in place of the other SHA2-512 "
					    "record, or take that one out.",
					    check_owner(v, p->host), as);
		if (as != NULL)
			return publish(v, p, as, dane_tlsa_to_text(a, &r->tlsa));
	}
	if (absent)
		return mend_absent(v, p);
	return arena_printf(a, "Publish %s in place of what is there.",
			    check_line(v, p->host, p->chain));
}
