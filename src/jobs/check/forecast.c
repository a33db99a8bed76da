/* The first moment at which mail would break: one finding. */
#include "jobs/check/view.h"

struct end {
	int64_t when; /* 0: none */
	const char *why, *fix;
};

static void note(struct end *first, struct end e)
{
	if (first->when == 0 || e.when < first->when)
		*first = e;
}

/* Usage 2: every certificate up to the anchor; usage 3 has no dates (RFC 7672 section 3.1.1). */
static void note_session(const struct check_view *v, const struct check_probe *p, struct end *first)
{
	struct arena *a = &v->tree->arena;

	for (int i = 0; i <= p->verdict.depth; i++) {
		struct tls_facts f = tls_chain_facts(p->chain, (size_t)i, a);

		note(first,
		     (struct end){
			     f.not_after,
			     arena_printf(a,
					  "The certificate \"%s\" of %s[%s] ends then, and it "
					  "counts, for the record that matches is of usage 2",
					  f.subject, p->host->name, p->address),
			     arena_printf(a, "Renew it before, or publish %s beside what is there.",
					  check_line(v, p->host, p->chain)),
		     });
	}
}

/* Of all zones; NULL: not known. */
static const struct check_servers *first_signatures(const struct check_view *v)
{
	const struct check_servers *first = NULL;

	for (size_t i = 0; i < v->n_servers; i++)
		if (v->servers[i]->signatures_end != 0 &&
		    (first == NULL || v->servers[i]->signatures_end < first->signatures_end))
			first = v->servers[i];
	return first;
}

/* Signatures end first almost everywhere, and are renewed: what comes after them is told too. */
static void write_signatures(const struct check_view *v, const struct check_servers *s,
			     const struct end *after)
{
	struct arena *a = &v->tree->arena;
	const char *then = "";

	if (after->when != 0)
		then = arena_printf(a, ". After that, on %s: %s", check_time(v, after->when),
				    after->why);
	check_add(v->tree, NULL, CHECK_FORECAST_SIGNATURES, v->request->domain, "when",
		  check_time(v, s->signatures_end), "why",
		  arena_printf(a, "The signature over %s ends then", s->signatures_over), "then",
		  then, NULL);
}

void check_forecast(const struct check_view *v)
{
	enum check_verdict now = check_tree_verdict(v->tree);
	const struct check_servers *signatures = first_signatures(v);
	struct end first = {0};

	if (now != CHECK_VERDICT_DANE && now != CHECK_VERDICT_PARTIAL &&
	    now != CHECK_VERDICT_UNKNOWN)
		return;
	for (size_t i = 0; i < v->n_probes; i++) {
		const struct check_probe *p = &v->probes[i];

		if (p->done && p->chain != NULL && p->verdict.kind == TLS_VERDICT_MATCH &&
		    p->verdict.auth == TLS_AUTH_DANE_TA &&
		    p->verdict.depth < (int)tls_chain_count(p->chain))
			note_session(v, p, &first);
	}
	if (signatures != NULL && (first.when == 0 || signatures->signatures_end < first.when))
		write_signatures(v, signatures, &first);
	else if (first.when != 0)
		check_add(v->tree, NULL, CHECK_FORECAST_BREAKS, v->request->domain, "when",
			  check_time(v, first.when), "why", first.why, "fix", first.fix, NULL);
	else if (now == CHECK_VERDICT_DANE)
		check_add(v->tree, NULL, CHECK_FORECAST_NO_DATE, v->request->domain, NULL);
}
