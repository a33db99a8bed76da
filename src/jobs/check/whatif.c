/* What if: another certificate against what is published, other records against what is served. */
#include "jobs/check/diagnose.h"
#include "jobs/check/view.h"

static const char *cause_of(const struct check_view *v, const struct dane_tlsa *records, size_t n,
			    const struct tls_chain *chain)
{
	struct arena *a = &v->tree->arena;
	const char *list = NULL;

	for (size_t i = 0; i < n && i < CHECK_SHOWN_MAX; i++) {
		enum dane_unusable why = dane_tlsa_usability(&records[i]);
		struct check_diagnosis d = check_explain(v, &records[i], false, chain);

		list = arena_printf(a, "%s%s%s: %s%s%s", list != NULL ? list : "",
				    list != NULL ? "; " : "", dane_tlsa_to_text(a, &records[i]),
				    why != DANE_USABLE ? dane_unusable_to_string(why) : "",
				    why != DANE_USABLE ? "; " : "", d.sentence);
	}
	return list != NULL ? arena_printf(a, "%s.", list) : "There is no record.";
}

static void try_certificate(const struct check_view *v, struct check_finding *parent,
			    const struct dane_host *h)
{
	struct arena *a = &v->tree->arena;
	const struct tls_chain *chain = v->options->cert;
	struct dane_tlsa *records = arena_calloc(a, h->n_records, sizeof(*records));
	const char *key = tls_chain_facts(chain, 0, a).key, *line = check_line(v, h, chain);
	struct tls_verdict verdict;

	for (size_t i = 0; i < h->n_records; i++)
		records[i] = h->records[i].tlsa;
	if (h->level != DANE_LEVEL_DANE) {
		check_add(v->tree, parent, CHECK_WHATIF_CERT_FREE, h->name, "host", h->name, "line",
			  line, NULL);
		return;
	}
	verdict = check_would(v, h, records, h->n_records, chain);
	if (verdict.kind == TLS_VERDICT_MATCH)
		check_add(v->tree, parent, CHECK_WHATIF_CERT_MATCH, h->name, "key", key, "matched",
			  dane_tlsa_to_text(a, &verdict.record), NULL);
	else if (verdict.kind == TLS_VERDICT_MISMATCH)
		check_add(v->tree, parent, CHECK_WHATIF_CERT_MISMATCH, h->name, "cause",
			  cause_of(v, records, h->n_records, chain), "line", line, NULL);
	else
		check_add(v->tree, parent, CHECK_WHATIF_CERT_REFUSED, h->name, "detail",
			  verdict.detail, "line", line, NULL);
}

static void try_records(const struct check_view *v, struct check_finding *parent,
			const struct check_probe *p)
{
	struct arena *a = &v->tree->arena;
	const struct check_options *o = v->options;
	const char *subject = arena_printf(a, "%s[%s]", p->host->name, p->address);
	const char *key = check_key(v, p);
	struct tls_verdict verdict = check_would(v, p->host, o->records, o->n_records, p->chain);

	if (verdict.kind == TLS_VERDICT_MATCH)
		check_add(v->tree, parent, CHECK_WHATIF_RECORD_MATCH, subject, "key", key,
			  "matched", dane_tlsa_to_text(a, &verdict.record), NULL);
	else
		check_add(
			v->tree, parent, CHECK_WHATIF_RECORD_MISMATCH, subject, "key", key, "cause",
			verdict.kind == TLS_VERDICT_MISMATCH || verdict.kind == TLS_VERDICT_UNUSABLE
				? cause_of(v, o->records, o->n_records, p->chain)
				: arena_printf(a, "%s.", verdict.detail),
			"line", check_line(v, p->host, p->chain), NULL);
}

void check_whatif_host(const struct check_view *v, struct check_finding *parent,
		       const struct dane_host *h)
{
	if (v->options->cert != NULL)
		try_certificate(v, parent, h);
	for (size_t i = 0; i < v->n_probes && v->options->n_records > 0; i++)
		if (v->probes[i].host == h && v->probes[i].chain != NULL)
			try_records(v, parent, &v->probes[i]);
}
