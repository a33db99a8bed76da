/* Set-ups that work today: what makes them fragile, and what else senders look for. */
#include "core/dane/name.h"
#include "core/dane/tlsrpt.h"
#include "jobs/check/diagnose.h"
#include "jobs/check/view.h"

enum {
	RECORDS_MANY = 12,         /* beyond it answers grow large and some senders give up */
	TTL_LONG = 86400,          /* seconds; the resolver in the process shows no larger one */
	SHORT_LIVED = 100 * 86400, /* of a certificate, in seconds: what ACME gives */
	ENDS_SOON = 14 * 86400,    /* or a third of its life, whichever is less */
};

static struct arena *arena_of(const struct check_view *v)
{
	return &v->tree->arena;
}

static bool is_usable(const struct dane_record *r)
{
	return r->unusable == DANE_USABLE;
}

/* --- records against what was seen ------------------------------------------------------------ */

/* Whether a certificate of the chain fits the record by itself; also if that cannot be afforded. */
static bool fits(const struct check_view *v, const struct dane_tlsa *r,
		 const struct tls_chain *chain)
{
	size_t first = r->usage == DANE_USAGE_DANE_TA ? 1 : 0;
	size_t n = r->usage == DANE_USAGE_DANE_TA ? tls_chain_count(chain) : 1;
	struct arena scratch = {0};
	bool found = !check_afford(v, n);

	for (size_t i = first; i < n && !found; i++) {
		struct span der = tls_chain_der(chain, i, r->selector, &scratch);

		found = span_eq(tls_digest(r->matching, der, &scratch), r->data);
	}
	arena_done(&scratch);
	return found;
}

/* Every session with the host got a certificate; only then can it be said what covers nothing. */
static bool all_seen(const struct check_view *v, const struct dane_host *h)
{
	bool any = false;

	for (size_t i = 0; i < v->n_probes; i++) {
		const struct check_probe *p = &v->probes[i];

		if (p->host != h || !p->done || p->key != TLS_KEY_ANY)
			continue;
		if (p->verdict.kind != TLS_VERDICT_MATCH)
			return false;
		any = true;
	}
	return any;
}

static bool fits_some(const struct check_view *v, const struct dane_host *h,
		      const struct dane_tlsa *r)
{
	for (size_t i = 0; i < v->n_probes; i++)
		if (v->probes[i].host == h && v->probes[i].chain != NULL &&
		    fits(v, r, v->probes[i].chain))
			return true;
	return false;
}

static void lint_unseen(const struct check_view *v, struct check_finding *parent,
			const struct dane_host *h)
{
	const struct tls_chain *chain = check_chain_of(v, h);

	if (!all_seen(v, h))
		return;
	for (size_t i = 0; i < h->n_records && i < CHECK_SHOWN_MAX; i++) {
		const struct dane_tlsa *r = &h->records[i].tlsa;
		bool ta = r->usage == DANE_USAGE_DANE_TA;

		if (!is_usable(&h->records[i]) || fits_some(v, h, r))
			continue;
		check_add(v->tree, parent, ta ? CHECK_TLSA_TA_NOT_SENT : CHECK_TLSA_UNSEEN,
			  check_owner(v, h), "record", dane_tlsa_to_text(arena_of(v), r), "cause",
			  check_explain(v, r, false, chain).sentence, NULL);
	}
}

/* Several records, and all of them of the one key that is in use: mistaken for a roll-over. */
static void lint_one_key(const struct check_view *v, struct check_finding *parent,
			 const struct dane_host *h)
{
	const struct tls_chain *chain = check_chain_of(v, h);
	size_t n = 0;

	if (chain == NULL || !all_seen(v, h))
		return;
	for (size_t i = 0; i < h->n_records; i++) {
		if (!is_usable(&h->records[i]))
			continue;
		if (h->records[i].tlsa.usage != DANE_USAGE_DANE_EE ||
		    !fits(v, &h->records[i].tlsa, chain))
			return;
		n++;
	}
	if (n > 1)
		check_add(v->tree, parent, CHECK_TLSA_ONE_KEY, check_owner(v, h), "records",
			  check_records(v, h), NULL);
}

static void lint_sha512(const struct check_view *v, struct check_finding *parent,
			const struct dane_host *h)
{
	bool any = false;

	for (size_t i = 0; i < h->n_records; i++) {
		if (!is_usable(&h->records[i]))
			continue;
		if (h->records[i].tlsa.matching != DANE_MATCHING_SHA512)
			return;
		any = true;
	}
	if (any)
		check_add(v->tree, parent, CHECK_TLSA_ONLY_SHA512, check_owner(v, h), "records",
			  check_records(v, h), "record", check_line(v, h, check_chain_of(v, h)),
			  NULL);
}

static void lint_answer(const struct check_view *v, struct check_finding *parent,
			const struct dane_host *h)
{
	const char *owner = check_owner(v, h);
	const struct dane_answer *answer = check_evidence(v, owner, DANE_RR_TLSA);

	if (h->n_records > RECORDS_MANY)
		check_add(v->tree, parent, CHECK_TLSA_TOO_MANY, owner, "count",
			  arena_printf(arena_of(v), "%zu", h->n_records), "owner", owner, NULL);
	if (answer != NULL && answer->ttl >= TTL_LONG)
		check_add(v->tree, parent, CHECK_TLSA_LONG_TTL, owner, "ttl",
			  arena_printf(arena_of(v), "%u", answer->ttl), "owner", owner, NULL);
}

/* --- certificates ----------------------------------------------------------------------------- */

/* The record of the whole certificate is the only thing that matches, and it will not last. */
static void lint_whole_certificate(const struct check_view *v, struct check_finding *parent,
				   const struct check_probe *p, const char *subject)
{
	const struct dane_tlsa *r = &p->verdict.record;
	struct tls_facts f = tls_chain_facts(p->chain, 0, arena_of(v));

	if (r->usage != DANE_USAGE_DANE_EE || r->selector != DANE_SELECTOR_CERT ||
	    f.not_after - f.not_before >= SHORT_LIVED)
		return;
	for (size_t i = 0; i < p->host->n_records; i++) {
		const struct dane_record *other = &p->host->records[i];

		if (is_usable(other) && other->tlsa.selector == DANE_SELECTOR_SPKI &&
		    other->tlsa.usage == DANE_USAGE_DANE_EE && fits(v, &other->tlsa, p->chain))
			return;
	}
	check_add(v->tree, parent, CHECK_TLSA_WHOLE_CERTIFICATE, subject, "record",
		  dane_tlsa_to_text(arena_of(v), r), "days",
		  arena_printf(arena_of(v), "%lld",
			       (long long)((f.not_after - f.not_before) / 86400)),
		  "end", check_time(v, f.not_after), "line", check_line(v, p->host, p->chain),
		  NULL);
}

static bool ends_soon(const struct check_view *v, const struct tls_facts *f)
{
	int64_t third = (f->not_after - f->not_before) / 3;
	int64_t soon = third < ENDS_SOON ? third : ENDS_SOON;

	return f->not_after - v->now < soon;
}

static void lint_end(const struct check_view *v, struct check_finding *parent,
		     const struct check_probe *p, const char *subject)
{
	bool ee = p->verdict.auth == TLS_AUTH_DANE_EE;
	size_t last = ee ? 0 : (size_t)p->verdict.depth;

	for (size_t i = 0; i <= last && i < tls_chain_count(p->chain); i++) {
		struct tls_facts f = tls_chain_facts(p->chain, i, arena_of(v));

		if (ends_soon(v, &f))
			check_add(v->tree, parent,
				  ee ? CHECK_CERT_ENDS_HARMLESSLY : CHECK_CERT_ENDS_SOON, subject,
				  "key", check_key(v, p), "name", f.subject, "end",
				  check_time(v, f.not_after), "line",
				  check_line(v, p->host, p->chain), NULL);
	}
}

/* --- one host --------------------------------------------------------------------------------- */

static void lint_alias(const struct check_view *v, struct check_finding *parent,
		       const struct dane_host *h)
{
	const struct dane_answer *a = check_evidence(v, h->name, DANE_RR_A);

	if (a == NULL || a->n_aliases == 0)
		a = check_evidence(v, h->name, DANE_RR_AAAA);
	if (a != NULL && a->n_aliases > 0)
		check_add(v->tree, parent, CHECK_MX_ALIAS, h->name, "host", h->name, "target",
			  dane_answer_canonical(a, h->name), NULL);
}

static void lint_report(const struct check_view *v, struct check_finding *parent,
			const struct check_extra_answer *x, const char *subject,
			enum check_kind none)
{
	const char *domain = v->request->domain;
	struct dane_announcement got;

	/* A failed lookup says nothing. */
	if (x == NULL || x->answer == NULL ||
	    (x->answer->security != DANE_SECURE && x->answer->security != DANE_INSECURE))
		return;
	got = dane_tlsrpt_read(arena_of(v), x->answer->records, x->answer->n_records);
	switch (got.what) {
	case DANE_ANNOUNCED_NONE:
		check_add(v->tree, parent, none, subject, "name", x->name, "domain", domain, NULL);
		break;
	case DANE_ANNOUNCED_ONE:
		check_add(v->tree, parent, CHECK_TLSRPT_PRESENT, subject, "name", x->name, "rua",
			  got.value, NULL);
		break;
	case DANE_ANNOUNCED_SEVERAL:
		check_add(v->tree, parent, CHECK_TLSRPT_SEVERAL, subject, "name", x->name, NULL);
		break;
	case DANE_ANNOUNCED_BROKEN:
		check_add(v->tree, parent, CHECK_TLSRPT_BROKEN, subject, "name", x->name, "text",
			  got.text, "domain", domain, NULL);
		break;
	}
}

void check_lint_host(const struct check_view *v, struct check_finding *parent,
		     const struct dane_host *h)
{
	lint_alias(v, parent, h);
	if (h->level != DANE_LEVEL_DANE)
		return;
	lint_answer(v, parent, h);
	lint_unseen(v, parent, h);
	lint_one_key(v, parent, h);
	lint_sha512(v, parent, h);
	for (size_t i = 0; i < v->n_probes; i++) {
		const struct check_probe *p = &v->probes[i];
		const char *subject = arena_printf(arena_of(v), "%s[%s]", h->name, p->address);

		if (p->host != h || p->chain == NULL || p->verdict.kind != TLS_VERDICT_MATCH)
			continue;
		lint_whole_certificate(v, parent, p, subject);
		lint_end(v, parent, p, subject);
	}
	lint_report(v, parent, check_extra_find(v->extra, CHECK_EXTRA_TLSRPT, h), h->tlsa_base,
		    CHECK_TLSRPT_NONE_AT_HOST);
}

/* --- a record that is missing ----------------------------------------------------------------- */

static void lint_alias_of_owner(const struct check_view *v, struct check_finding *parent,
				const struct dane_host *h)
{
	const char *owner = check_owner(v, h);
	const struct dane_answer *a = check_evidence(v, owner, DANE_RR_TLSA);

	if (a != NULL && a->n_aliases > 0 && a->content != DANE_RECORDS)
		check_add(v->tree, parent, CHECK_TLSA_ALIAS, owner, "owner", owner, "target",
			  dane_answer_canonical(a, owner), "record",
			  check_line(v, h, check_chain_of(v, h)), NULL);
}

void check_lint_missing(const struct check_view *v, struct check_finding *parent,
			const struct dane_host *h)
{
	const char *owner = check_owner(v, h);

	lint_alias_of_owner(v, parent, h);
	for (size_t i = 0; i < check_extra_count(v->extra); i++) {
		const struct check_extra_answer *x = check_extra_at(v->extra, i);
		bool ignored = x->kind == CHECK_EXTRA_IGNORED;

		if (x->host != h || x->kind > CHECK_EXTRA_IGNORED || x->answer == NULL ||
		    x->answer->n_records == 0)
			continue;
		check_add(v->tree, parent, ignored ? CHECK_TLSA_IGNORED : CHECK_TLSA_MISPLACED,
			  x->name, "records", check_answer_records(v, x->answer), "name", x->name,
			  "owner", owner, "host", h->name, "record",
			  check_line(v, h, check_chain_of(v, h)), NULL);
	}
}

/* --- the domain ------------------------------------------------------------------------------- */

/* The host names of the MX records as they came, the root for a null MX. */
static const char *exchange_of(const struct check_view *v, struct span rdata)
{
	struct cursor c = cursor_of(rdata);

	(void)cursor_u16(&c);
	return dane_name_from_wire(arena_of(v), &c);
}

static size_t count_name(const char *const *names, size_t n, const char *name)
{
	size_t times = 0;

	for (size_t i = 0; i < n; i++)
		times += names[i] != NULL && strcmp(names[i], name) == 0;
	return times;
}

static void lint_mx(const struct check_view *v, struct check_finding *parent)
{
	const char *domain = v->request->domain;
	const struct dane_answer *mx = check_evidence(v, v->request->next_hop, DANE_RR_MX);
	size_t n = mx != NULL ? mx->n_records : 0, n_null;
	const char **names = arena_calloc(arena_of(v), n, sizeof(*names));

	for (size_t i = 0; i < n; i++)
		names[i] = exchange_of(v, mx->records[i]);
	n_null = count_name(names, n, ".");
	if (n_null > 0 && n_null < n)
		check_add(v->tree, parent, CHECK_MX_NULL_MIXED, domain, "domain", domain, NULL);
	for (size_t i = 0; i < v->decision->n_hosts; i++)
		if (count_name(names, n, v->decision->hosts[i].name) > 1)
			check_add(v->tree, parent, CHECK_MX_REPEATED, domain, "host",
				  v->decision->hosts[i].name, NULL);
}

void check_lint_domain(const struct check_view *v, struct check_finding *parent)
{
	lint_mx(v, parent);
	lint_report(v, parent, check_extra_find(v->extra, CHECK_EXTRA_TLSRPT, NULL),
		    v->request->domain, CHECK_TLSRPT_NONE);
	check_lint_sts(v, parent);
}
