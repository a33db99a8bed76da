/* Words and small questions that the parts of the tree share. */
#include <time.h>

#include "core/dane/name.h"
#include "jobs/check/view.h"

const char *check_join(const struct check_view *v, const char *list, const char *item)
{
	return list == NULL ? item : arena_printf(&v->tree->arena, "%s, %s", list, item);
}

const char *check_owner(const struct check_view *v, const struct dane_host *h)
{
	const char *owner = dane_name_tlsa_owner(
		&v->tree->arena, h->tlsa_base != NULL ? h->tlsa_base : h->name, v->request->port);

	return owner != NULL ? owner : h->name;
}

const char *check_line(const struct check_view *v, const struct dane_host *h,
		       const struct tls_chain *chain)
{
	struct arena *a = &v->tree->arena;
	struct dane_tlsa r;

	if (chain == NULL || tls_chain_tlsa(chain, 0, DANE_USAGE_DANE_EE, DANE_SELECTOR_SPKI,
					    DANE_MATCHING_SHA256, a, &r, NULL) < 0)
		return arena_printf(a, "a TLSA record \"3 1 1 ...\" at %s. that fits its key",
				    check_owner(v, h));
	return arena_printf(a, "%s. IN TLSA %s", check_owner(v, h), dane_tlsa_to_text(a, &r));
}

static const char *and_more(const struct check_view *v, const char *list, size_t n)
{
	if (list == NULL)
		return "none";
	return n > CHECK_SHOWN_MAX
		       ? arena_printf(&v->tree->arena, "%s and %zu more", list, n - CHECK_SHOWN_MAX)
		       : list;
}

const char *check_records(const struct check_view *v, const struct dane_host *h)
{
	const char *list = NULL;

	for (size_t i = 0; i < h->n_records && i < CHECK_SHOWN_MAX; i++)
		list = check_join(v, list, dane_tlsa_to_text(&v->tree->arena, &h->records[i].tlsa));
	return and_more(v, list, h->n_records);
}

const char *check_answer_records(const struct check_view *v, const struct dane_answer *a)
{
	const char *list = NULL;

	for (size_t i = 0; i < a->n_records && i < CHECK_SHOWN_MAX; i++) {
		struct dane_tlsa r = dane_tlsa_from_wire(a->records[i]);

		list = check_join(v, list, dane_tlsa_to_text(&v->tree->arena, &r));
	}
	return and_more(v, list, a->n_records);
}

bool check_afford(const struct check_view *v, size_t n)
{
	if (*v->effort < n)
		return false;
	*v->effort -= n;
	return true;
}

struct check_diagnosis check_explain(const struct check_view *v, const struct dane_tlsa *record,
				     bool aside, const struct tls_chain *chain)
{
	/* Each certificate is tried in some ten ways. */
	if (!check_afford(v, 10 * tls_chain_count(chain)))
		return (struct check_diagnosis){
			.cause = CHECK_CAUSE_OTHER_KEY,
			.sentence = "not looked into: there are too many records and servers",
		};
	return check_diagnose(record, aside, chain, &v->tree->arena);
}

const char *check_time(const struct check_view *v, int64_t unix_seconds)
{
	char text[40] = "at an unreadable time";
	time_t t = (time_t)unix_seconds;
	struct tm tm;

	if (gmtime_r(&t, &tm) != NULL)
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	return arena_strdup(&v->tree->arena, text);
}

const char *check_key(const struct check_view *v, const struct check_probe *p)
{
	if (p->chain != NULL)
		return tls_chain_facts(p->chain, 0, &v->tree->arena).key;
	return tls_key_type_to_string(p->key);
}

const struct tls_chain *check_chain_of(const struct check_view *v, const struct dane_host *h)
{
	for (size_t i = 0; i < v->n_probes; i++)
		if (v->probes[i].host == h && v->probes[i].chain != NULL)
			return v->probes[i].chain;
	return NULL;
}

const struct dane_answer *check_evidence(const struct check_view *v, const char *name,
					 uint16_t type)
{
	size_t n = dane_decider_evidence_count(v->decider);

	for (size_t i = 0; i < n; i++) {
		struct dane_evidence e = dane_decider_evidence(v->decider, i);

		if (e.question.ask == DANE_ASK_DNS && e.question.type == type &&
		    strcmp(e.question.name, name) == 0)
			return e.dns;
	}
	return NULL;
}

struct tls_verdict check_would(const struct check_view *v, const struct dane_host *h,
			       const struct dane_tlsa *records, size_t n,
			       const struct tls_chain *chain)
{
	struct tls_verdict verdict = {.kind = TLS_VERDICT_NONE};
	const char *const names[] = {h->name, v->request->next_hop};
	struct tls_dane_spec spec = {
		.base = h->tlsa_base != NULL ? h->tlsa_base : h->name,
		.names = h->n_identifiers > 0 ? h->identifiers : names,
		.n_names = h->n_identifiers > 0 ? h->n_identifiers : ARRAY_SIZE(names),
		.records = records,
		.n_records = n,
		.time = v->now,
	};
	struct err e;

	if (tls_dane_match(v->tls, &spec, chain, &v->tree->arena, &verdict, &e) < 0)
		verdict.detail = arena_strdup(&v->tree->arena, e.text);
	return verdict;
}
