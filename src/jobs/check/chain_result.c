/* What came out of the walk, for those who judge by it. */
#include "jobs/check/chain_data.h"

enum dane_security check_chain_verdict(const struct check_chain *c)
{
	enum dane_security s = DANE_SECURE;

	for (const struct check_lookup *l = c->lookups; l != NULL; l = l->next)
		if (l->origin == NULL && !l->elsewhere && l->role != ROLE_ABOVE)
			s = check_chain_worse(s, l->whole);
	return c->stopped != NULL ? check_chain_worse(s, DANE_FAILED) : s;
}

const char *check_chain_stopped(const struct check_chain *c)
{
	return c->stopped;
}

size_t check_chain_zones(const struct check_chain *c)
{
	size_t n = 0;

	for (const struct check_zone *z = c->zones; z != NULL; z = z->next)
		n += !z->is_shell && !z->is_known;
	return n;
}

static const struct dns_rr *copy_records(struct arena *a, const struct dns_rr *from, size_t n)
{
	struct dns_rr *list = arena_calloc(a, n, sizeof(*list));

	for (size_t i = 0; i < n; i++) {
		list[i] = from[i];
		list[i].owner = arena_strdup(a, from[i].owner);
		list[i].wire = arena_dup(a, from[i].wire);
		list[i].rdata = arena_dup(a, from[i].rdata);
	}
	return list;
}

struct check_trust check_trust_copy(struct arena *a, const struct check_trust *t)
{
	struct check_root *servers = arena_calloc(a, t->n_roots, sizeof(*servers));
	struct check_trust copy = *t;

	for (size_t i = 0; i < t->n_roots; i++)
		servers[i] = (struct check_root){arena_strdup(a, t->roots[i].name),
						 arena_strdup(a, t->roots[i].address)};
	copy.roots = servers;
	copy.anchors = copy_records(a, t->anchors, t->n_anchors);
	copy.top = arena_keep(a, t->top);
	copy.above = arena_keep(a, t->above);
	copy.why = arena_keep(a, t->why);
	copy.keys = copy_records(a, t->keys, t->n_keys);
	return copy;
}

struct check_trust check_chain_top(const struct check_chain *c, struct arena *a)
{
	const struct check_zone *top = c->zones->is_shell ? c->zones->next : c->zones;
	struct check_trust t = c->request.trust;
	struct check_root servers[CHAIN_SERVERS_MAX];
	struct arena scratch = {0};
	struct dns_rr *keys = arena_calloc(&scratch, top->keys.n, sizeof(*keys));

	t.known = true;
	t.security = top->security;
	t.why = top->why;
	t.roots = servers;
	t.n_roots = 0;
	for (size_t i = 0; i < top->n_servers; i++)
		if (!top->servers[i].silent)
			servers[t.n_roots++] =
				(struct check_root){top->servers[i].name, top->servers[i].address};
	for (size_t i = 0; i < top->keys.n; i++)
		keys[i] = *top->keys.rr[i];
	t.keys = keys;
	t.n_keys = top->keys.n;
	t = check_trust_copy(a, &t);
	arena_done(&scratch);
	return t;
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
		n += z->is_known ? 0 : z->n_servers;
	return n;
}

static bool holds_a_name(const struct check_chain *c, const struct check_zone *z)
{
	if (c->request.zone)
		return true;
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

size_t check_chain_hidden(const struct check_chain *c, struct arena *a,
			  const struct check_chain_hidden **ret)
{
	struct check_chain_hidden *list = arena_calloc(a, c->n_hosts * 2, sizeof(*list));
	size_t n = 0;

	for (const struct check_lookup *l = c->lookups; l != NULL && n < c->n_hosts * 2;
	     l = l->next)
		if (l->hides != NULL)
			list[n++] = (struct check_chain_hidden){
				.owner = arena_strdup(a, l->hides),
				.above = arena_strdup(a, l->name),
				.servers = check_chain_servers(a, l->zone, l->hiding)};
	*ret = list;
	return n;
}
