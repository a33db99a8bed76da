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
	s->stopped = arena_keep(&s->arena, stopped);
	s->signatures_end = check_chain_signatures_end(c, &record);
	s->signatures_over = arena_keep(&s->arena, record);
	s->n_answers = check_chain_tlsa(c, &s->arena, &s->answers);
	if (s->n_answers > CHECK_SERVERS_ANSWERS_MAX)
		s->n_answers = CHECK_SERVERS_ANSWERS_MAX;
	s->n_hidden = check_chain_hidden(c, &s->arena, &s->hidden);
	return s;
}

struct check_servers *check_servers_unfinished(const char *why)
{
	struct check_servers *s = xcalloc(1, sizeof(*s));

	check_tree_init(&s->tree, "");
	s->unfinished = true;
	s->stopped = arena_strdup(&s->arena, why);
	return s;
}

struct check_servers *check_servers_copy(const struct check_servers *from)
{
	struct check_servers *s = xcalloc(1, sizeof(*s));
	struct check_chain_answer *answers =
		arena_calloc(&s->arena, from->n_answers, sizeof(*answers));
	struct check_chain_hidden *hidden =
		arena_calloc(&s->arena, from->n_hidden, sizeof(*hidden));

	check_tree_init(&s->tree, "");
	check_tree_graft(&s->tree, &s->tree.root, &from->tree, true);
	s->n_zones = from->n_zones;
	s->n_addresses = from->n_addresses;
	s->unfinished = from->unfinished;
	s->stopped = arena_keep(&s->arena, from->stopped);
	s->signatures_end = from->signatures_end;
	s->signatures_over = arena_keep(&s->arena, from->signatures_over);
	for (size_t i = 0; i < from->n_answers; i++) {
		const struct check_chain_answer *a = &from->answers[i];

		answers[i] = (struct check_chain_answer){
			.owner = arena_keep(&s->arena, a->owner),
			.host = arena_keep(&s->arena, a->host),
			.servers = arena_keep(&s->arena, a->servers),
			.answer = dane_answer_copy(&s->arena, a->answer),
		};
	}
	for (size_t i = 0; i < from->n_hidden; i++)
		hidden[i] =
			(struct check_chain_hidden){arena_keep(&s->arena, from->hidden[i].owner),
						    arena_keep(&s->arena, from->hidden[i].above),
						    arena_keep(&s->arena, from->hidden[i].servers)};
	s->answers = answers;
	s->n_answers = from->n_answers;
	s->hidden = hidden;
	s->n_hidden = from->n_hidden;
	return s;
}

size_t check_servers_weight(const struct check_servers *s)
{
	return sizeof(*s) + s->arena.used + s->tree.arena.used;
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
	for (size_t i = 0; i < s->n_hidden; i++)
		check_add(v->tree, parent, CHECK_SERVERS_TLSA_HIDDEN, s->hidden[i].owner, "servers",
			  s->hidden[i].servers, "above", s->hidden[i].above, "owner",
			  s->hidden[i].owner, NULL);
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

static const char *number(const struct check_view *v, size_t n)
{
	return arena_printf(&v->tree->arena, "%zu", n);
}

void check_servers_tree(const struct check_view *v)
{
	size_t zones = 0, addresses = 0;
	struct check_finding *f;
	bool alike = true;

	for (size_t i = 0; i < v->n_servers; i++) {
		zones += v->servers[i]->n_zones;
		addresses += v->servers[i]->n_addresses;
		alike = alike && is_in_order(&v->servers[i]->tree);
		if (v->servers[i]->unfinished)
			check_add(v->tree, NULL, CHECK_SERVERS_UNFINISHED, v->request->domain,
				  "detail", v->servers[i]->stopped, "domain", v->request->domain,
				  NULL);
	}
	if (zones == 0)
		return;
	f = check_add(v->tree, NULL, alike ? CHECK_SERVERS_ALIKE : CHECK_SERVERS_TROUBLE,
		      v->request->domain, "zones", number(v, zones), "addresses",
		      number(v, addresses), NULL);
	for (size_t i = 0; i < v->n_servers; i++) {
		judge_answers(v, f, v->servers[i]);
		check_tree_graft(v->tree, f, &v->servers[i]->tree, v->options->detail > 0);
	}
}

/* --- the exact mend ----------------------------------------------------------------------------
 */

/* Whether `name` is at or below what a finding of the walk is about: "zone", or "zone TYPE". */
static bool is_on_the_way(const char *name, const char *subject)
{
	size_t n = strlen(name), z = strcspn(subject, " ");

	if (z == 0 || (z == 1 && *subject == '.'))
		return true;
	return n >= z && strncmp(name + n - z, subject, z) == 0 &&
	       (n == z || name[n - z - 1] == '.');
}

static bool is_of_dnssec(const struct check_finding *f)
{
	return strncmp(check_text_of(f->kind)->id, "dnssec.", 7) == 0;
}

/* The first broken link, from the top down, on the way to this name. */
static const struct check_finding *broken_link(const struct check_view *v, const char *name)
{
	const struct check_finding *f = NULL;
	unsigned depth;

	while ((f = check_tree_next(v->tree, f, &depth)) != NULL)
		if (is_of_dnssec(f) && check_text_of(f->kind)->status == CHECK_FAIL &&
		    f->fix != NULL && is_on_the_way(name, f->subject))
			return f;
	return NULL;
}

static void mend_below(const struct check_view *v, struct check_finding *parent)
{
	for (struct check_finding *f = parent->children; f != NULL; f = f->next) {
		const struct check_finding *link = NULL;

		if (f->kind == CHECK_MX_BOGUS || f->kind == CHECK_ADDRESS_BOGUS ||
		    f->kind == CHECK_TLSA_BOGUS)
			link = broken_link(v, f->subject);
		if (link != NULL)
			f->fix = link->fix;
		mend_below(v, f);
	}
}

void check_servers_mend(const struct check_view *v)
{
	if (v->n_servers > 0)
		mend_below(v, &v->tree->root);
}
