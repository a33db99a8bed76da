/* What came out of the walk, for those who judge by it. */
#include "jobs/check/chain_data.h"

enum dane_security check_chain_verdict(const struct check_chain *c)
{
	enum dane_security s = DANE_SECURE;

	for (const struct check_lookup *l = c->lookups; l != NULL; l = l->next)
		if (l->origin == NULL && !l->elsewhere)
			s = check_chain_worse(s, l->whole);
	return c->stopped != NULL ? check_chain_worse(s, DANE_FAILED) : s;
}

const char *check_chain_stopped(const struct check_chain *c)
{
	return c->stopped;
}

size_t check_chain_zones(const struct check_chain *c)
{
	return c->n_zones - c->zones->is_shell;
}

size_t check_chain_elsewhere(const struct check_chain *c, struct arena *a, const char *const **ret)
{
	const char **list = arena_calloc(a, c->n_hosts, sizeof(*list));
	size_t n = 0;

	for (const struct check_lookup *l = c->lookups; l != NULL; l = l->next)
		if (l->elsewhere && l->role == ROLE_A && l->origin == NULL)
			list[n++] = arena_strdup(a, l->name);
	*ret = list;
	return n;
}

size_t check_chain_addresses(const struct check_chain *c)
{
	size_t n = 0;

	for (const struct check_zone *z = c->zones; z != NULL; z = z->next)
		n += z->n_servers;
	return n;
}

static bool holds_a_name(const struct check_chain *c, const struct check_zone *z)
{
	for (const struct check_lookup *l = c->lookups; l != NULL; l = l->next)
		if (l->zone == z && l->done && l->security == DANE_SECURE)
			return true;
	return false;
}

int64_t check_chain_signatures_end(const struct check_chain *c, const char **record)
{
	int64_t end = 0;

	for (const struct check_zone *z = c->zones; z != NULL; z = z->next) {
		if (z->signatures_end == 0 || z->security != DANE_SECURE || !holds_a_name(c, z))
			continue;
		if (end != 0 && end <= z->signatures_end)
			continue;
		end = z->signatures_end;
		*record = z->signatures_over;
	}
	return end;
}

static struct check_chain_answer answer_of(const struct check_lookup *l,
					   const struct check_variant *v, struct arena *a)
{
	struct span *records = arena_calloc(a, v->records.n, sizeof(*records));
	struct dane_answer answer = {
		.security = check_chain_worse(v->security, l->zone->security),
		.content = v->content,
		.records = records,
		.n_records = v->records.n,
	};

	for (size_t i = 0; i < v->records.n; i++)
		records[i] = v->records.rr[i]->rdata;
	return (struct check_chain_answer){
		.owner = arena_strdup(a, l->name),
		.host = arena_strdup(a, l->host),
		.servers = check_chain_servers(a, l->zone, v->servers),
		.answer = dane_answer_copy(a, &answer),
	};
}

static bool is_tlsa(const struct check_lookup *l)
{
	return l->role == ROLE_TLSA && l->alias == NULL && l->ask != NULL && l->zone != NULL;
}

size_t check_chain_tlsa(const struct check_chain *c, struct arena *a,
			const struct check_chain_answer **ret)
{
	struct check_chain_answer *list;
	size_t n = 0;

	for (const struct check_lookup *l = c->lookups; l != NULL; l = l->next)
		n += is_tlsa(l) ? l->ask->n_variants : 0;
	list = arena_calloc(a, n, sizeof(*list));
	n = 0;
	for (const struct check_lookup *l = c->lookups; l != NULL; l = l->next)
		for (size_t i = 0; is_tlsa(l) && i < l->ask->n_variants; i++)
			list[n++] = answer_of(l, &l->ask->variants[i], a);
	*ret = list;
	return n;
}
