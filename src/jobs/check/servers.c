/* Name servers one by one: from the walk to the domain's tree. */
#include "jobs/check/servers.h"

#include <string.h>

#include "jobs/check/view.h"

/* --- what the walk found ---------------------------------------------------------------------- */

struct check_servers *check_servers_new(const struct check_chain *c, unsigned detail)
{
	struct check_servers *s = xcalloc(1, sizeof(*s));
	const char *record = NULL, *stopped = check_chain_stopped(c);

	check_tree_init(&s->tree, "");
	check_chain_report(c, &s->tree, NULL, detail);
	s->n_zones = check_chain_zones(c);
	s->n_addresses = check_chain_addresses(c);
	s->stopped = stopped != NULL ? arena_strdup(&s->arena, stopped) : NULL;
	s->signatures_end = check_chain_signatures_end(c, &record);
	s->signatures_over = record != NULL ? arena_strdup(&s->arena, record) : NULL;
	s->n_answers = check_chain_tlsa(c, &s->arena, &s->answers);
	if (s->n_answers > CHECK_SERVERS_ANSWERS_MAX)
		s->n_answers = CHECK_SERVERS_ANSWERS_MAX;
	return s;
}

struct check_servers *check_servers_unfinished(const char *why)
{
	struct check_servers *s = xcalloc(1, sizeof(*s));

	check_tree_init(&s->tree, "");
	s->stopped = arena_strdup(&s->arena, why);
	return s;
}

struct check_servers *check_servers_free(struct check_servers *s)
{
	if (s == NULL)
		return NULL;
	check_tree_done(&s->tree);
	arena_done(&s->arena);
	free(s);
	return NULL;
}

/* --- answers that are not the decision's ------------------------------------------------------ */

static struct dane_tlsa *read_records(const struct check_view *v, const struct dane_answer *answer)
{
	struct dane_tlsa *list = arena_calloc(&v->tree->arena, answer->n_records, sizeof(*list));

	for (size_t i = 0; i < answer->n_records; i++)
		list[i] = dane_tlsa_from_wire(answer->records[i]);
	return list;
}

static bool has_record(const struct dane_answer *a, struct span rdata)
{
	for (size_t i = 0; i < a->n_records; i++)
		if (span_eq(a->records[i], rdata))
			return true;
	return false;
}

static bool is_same(const struct dane_answer *decided, const struct dane_answer *answer)
{
	if (decided->content != DANE_RECORDS || answer->content != DANE_RECORDS)
		return decided->content != DANE_RECORDS && answer->content != DANE_RECORDS;
	for (size_t i = 0; i < answer->n_records; i++)
		if (!has_record(decided, answer->records[i]))
			return false;
	return decided->n_records == answer->n_records;
}

static const char *records_text(const struct check_view *v, const struct dane_tlsa *records,
				size_t n)
{
	const char *list = NULL;

	for (size_t i = 0; i < n && i < CHECK_SHOWN_MAX; i++)
		list = check_join(v, list, dane_tlsa_to_text(&v->tree->arena, &records[i]));
	return list != NULL ? list : "no TLSA record";
}

/* Whether every certificate that this host showed matches these records. */
static bool all_match(const struct check_view *v, const struct dane_host *h,
		      const struct dane_tlsa *records, size_t n, bool *any)
{
	bool all = true;

	*any = false;
	for (size_t i = 0; i < v->n_probes; i++) {
		const struct check_probe *p = &v->probes[i];

		if (p->host != h || !p->done || p->chain == NULL || !check_afford(v, n))
			continue;
		*any = true;
		all = all && check_would(v, h, records, n, p->chain).kind == TLS_VERDICT_MATCH;
	}
	return all;
}

/* The decision's question for this host that the walk asked too; NULL: it was not asked. */
static const struct dane_answer *decided_answer(const struct check_view *v,
						const struct dane_host *h,
						const struct check_chain_answer *answer)
{
	const char *owner = check_owner(v, h);
	const struct dane_answer *a = check_evidence(v, owner, DNS_TYPE_TLSA);

	if (a == NULL || a->security != DANE_SECURE)
		return NULL;
	return strcmp(dane_answer_canonical(a, owner), answer->owner) == 0 ? a : NULL;
}

/*
 * Validators take any of a zone's servers, so an answer that is validly signed and not the
 * decision's is what other senders decide by.
 */
static void judge_answer(const struct check_view *v, struct check_finding *parent,
			 const struct dane_host *h, const struct check_chain_answer *from)
{
	const struct dane_answer *decided = decided_answer(v, h, from), *answer = from->answer;
	struct dane_tlsa *records;
	bool any, match;

	if (decided == NULL || answer->security != DANE_SECURE || is_same(decided, answer))
		return;
	if (answer->content != DANE_RECORDS) {
		check_add(v->tree, parent, CHECK_SERVERS_TLSA_DENIED, h->name, "servers",
			  from->servers, "owner", from->owner, NULL);
		return;
	}
	records = read_records(v, answer);
	match = all_match(v, h, records, answer->n_records, &any);
	if (any)
		check_add(v->tree, parent,
			  match ? CHECK_SERVERS_TLSA_OTHER_MATCH : CHECK_SERVERS_TLSA_OTHER,
			  h->name, "servers", from->servers, "owner", from->owner, "records",
			  records_text(v, records, answer->n_records), NULL);
}

static void judge_answers(const struct check_view *v, struct check_finding *parent,
			  const struct check_servers *s)
{
	for (size_t i = 0; i < s->n_answers; i++)
		for (size_t k = 0; k < v->decision->n_hosts; k++)
			if (strcmp(v->decision->hosts[k].name, s->answers[i].host) == 0)
				judge_answer(v, parent, &v->decision->hosts[k], &s->answers[i]);
}

/* --- the tree --------------------------------------------------------------------------------- */

static bool is_in_order(const struct check_tree *t)
{
	const struct check_finding *f = NULL;
	unsigned depth;

	while ((f = check_tree_next(t, f, &depth)) != NULL)
		if (check_text_of(f->kind)->status >= CHECK_WARN)
			return false;
	return true;
}

void check_servers_tree(const struct check_view *v)
{
	const struct check_servers *s = v->servers;
	struct arena *a = &v->tree->arena;
	struct check_finding *f;

	if (s == NULL)
		return;
	if (s->n_zones == 0) {
		check_add(v->tree, NULL, CHECK_SERVERS_UNFINISHED, v->request->domain, "detail",
			  s->stopped, NULL);
		return;
	}
	f = check_add(v->tree, NULL,
		      is_in_order(&s->tree) ? CHECK_SERVERS_ALIKE : CHECK_SERVERS_TROUBLE,
		      v->request->domain, "zones", arena_printf(a, "%zu", s->n_zones), "addresses",
		      arena_printf(a, "%zu", s->n_addresses), NULL);
	judge_answers(v, f, s);
	check_tree_graft(v->tree, f, &s->tree, v->options->detail > 0);
}
