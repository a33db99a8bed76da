#include "world.h"

#include <string.h>

uint64_t world_random(struct world *w, uint64_t below)
{
	/* splitmix64 */
	uint64_t z = w->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return below == 0 ? 0 : (z ^ z >> 31) % below;
}

bool world_chance(struct world *w, unsigned percent)
{
	return world_random(w, 100) < percent;
}

usec_t world_lag(struct world *w, uint32_t max_s)
{
	usec_t max = usec_seconds(max_s);

	if (world_chance(w, 40))
		return max;
	if (world_chance(w, 20))
		return 0;
	return (usec_t)world_random(w, (uint64_t)max + 1);
}

/* The resolver asks that node now, or at the last moment when it could. */
static void fetch(struct world *w, const struct server *s, const struct node *n)
{
	struct owner *o = &w->owners[s->owner];
	struct version *v = &o->versions[n->version];
	usec_t at = usec_min(w->t, s->gone_at), ttl, alias, kept;

	if (v->left_at != USEC_NEVER && w->validity_s > 0)
		at = usec_min(at, v->left_at + usec_seconds(w->validity_s));
	if (at < n->since || at < o->alias_since)
		return;
	ttl = usec_seconds(v->set.n == 0 ? o->negative_ttl_s : v->ttl_s);
	alias = usec_seconds(o->alias_ttl_s);
	kept = ttl;
	if (w->second_cache)
		kept += alias > ttl ? alias : ttl;
	if (w->stale)
		kept += usec_seconds(w->policy.margin_s);
	if (at + kept > v->expiry)
		v->expiry = at + kept;
}

void world_fetch(struct world *w)
{
	for (size_t i = 0; i < SERVERS; i++)
		for (size_t k = 0; w->servers[i].used && k < w->servers[i].n_nodes; k++)
			fetch(w, &w->servers[i], &w->servers[i].nodes[k]);
}

static void transfer(struct world *w, struct server *s, struct node *n)
{
	struct owner *o = &w->owners[s->owner];
	size_t newest = 0;

	for (size_t k = 0; k < s->n_nodes; k++)
		newest = s->nodes[k].version > newest ? s->nodes[k].version : newest;
	n->next = w->t + usec_seconds(1) + world_lag(w, 3600);
	/* A server that gets no transfers; but its nodes agree within the bound. */
	if (n->version == o->n - 1 || (s->cut && n->version == newest))
		return;
	fetch(w, s, n);
	n->version = s->cut ? newest : o->n - 1;
	n->since = w->t;
	if (n->version == newest)
		return;
	for (size_t k = 0; k < s->n_nodes; k++) {
		usec_t by = w->t + world_lag(w, w->policy.propagation_s);

		if (&s->nodes[k] != n && s->nodes[k].version < n->version && by < s->nodes[k].next)
			s->nodes[k].next = by;
	}
}

void world_apply(struct world *w, size_t owner, const struct version *v)
{
	struct owner *o = &w->owners[owner];

	world_fetch(w);
	require(o->n < VERSIONS);
	o->versions[o->n - 1].left_at = w->t;
	o->versions[o->n] = *v;
	o->versions[o->n].left_at = USEC_NEVER;
	o->versions[o->n].expiry = 0;
	o->n++;
	for (size_t i = 0; i < SERVERS; i++)
		if (w->servers[i].used && w->servers[i].owner == owner && w->servers[i].primary &&
		    !w->servers[i].cut)
			transfer(w, &w->servers[i], &w->servers[i].nodes[0]);
}

static void arrive(struct world *w, size_t owner)
{
	struct owner *o = &w->owners[owner];

	o->pending_at = USEC_NEVER;
	world_apply(w, owner, &o->pending);
}

void world_update(struct world *w, uint32_t seq, const struct roll_set *set, uint32_t ttl_s)
{
	struct version v = {.set = *set, .ttl_s = ttl_s, .seq = seq};

	for (size_t i = 0; i < w->n_owners; i++) {
		struct owner *o = &w->owners[i];
		struct version *now = &o->versions[o->n - 1];

		if (o->pending_at != USEC_NEVER) {
			if (world_chance(w, 50))
				arrive(w, i);
			o->pending_at = USEC_NEVER;
			now = &o->versions[o->n - 1];
		}
		if (world_chance(w, 15))
			continue;
		if (now->seq == seq) {
			now->acked = true;
			continue;
		}
		o->pending = v;
		if (world_chance(w, 20)) {
			o->pending_at = w->t + world_lag(w, 600);
			continue;
		}
		o->pending.acked = world_chance(w, 80);
		arrive(w, i);
	}
}

/* The next thing to happen, if before `to`. */
static bool step(struct world *w, usec_t to)
{
	usec_t first = to;
	size_t owner = OWNERS;
	struct server *server = NULL;
	struct node *node = NULL;

	for (size_t i = 0; i < w->n_owners; i++)
		if (w->owners[i].pending_at <= first) {
			first = w->owners[i].pending_at;
			owner = i;
		}
	for (size_t i = 0; i < SERVERS; i++)
		for (size_t k = 0; w->servers[i].used && k < w->servers[i].n_nodes; k++)
			if (w->servers[i].nodes[k].next <= first) {
				first = w->servers[i].nodes[k].next;
				server = &w->servers[i];
				node = &server->nodes[k];
			}
	if (node == NULL && owner == OWNERS)
		return false;
	w->t = first > w->t ? first : w->t;
	if (node != NULL)
		transfer(w, server, node);
	else
		arrive(w, owner);
	return true;
}

void world_advance(struct world *w, usec_t to)
{
	while (step(w, to))
		;
	w->t = to;
	world_fetch(w);
}

bool world_sight(struct world *w, const struct server *s, struct roll_sight *ret)
{
	const struct owner *o = &w->owners[s->owner];
	size_t at = s->nodes[world_random(w, s->n_nodes)].version;
	const struct version *v = &o->versions[at];
	struct roll_sight sight = {
		.set = v->set,
		.ttl_s = v->set.n == 0 ? o->negative_ttl_s : v->ttl_s,
		.alias_ttl_s = o->alias_ttl_s,
		.signed_from = w->validity_s == 0 ? 0 : 1000,
		.signed_until = w->validity_s == 0 ? 0 : 1000 + (int64_t)w->validity_s,
	};

	for (size_t i = 0; w->serials && i <= at; i++)
		if (o->versions[i].acked && o->versions[i].seq > sight.has_seq)
			sight.has_seq = o->versions[i].seq;
	*ret = sight;
	return w->validity_s == 0 || v->left_at == USEC_NEVER ||
	       w->t <= v->left_at + usec_seconds(w->validity_s);
}

struct server *world_server(struct world *w, uint8_t owner)
{
	struct server *s = NULL;
	bool first = true;

	for (size_t i = 0; i < SERVERS; i++) {
		if (!w->servers[i].used)
			s = s == NULL ? &w->servers[i] : s;
		else if (w->servers[i].owner == owner)
			first = false;
	}
	if (s == NULL)
		return NULL;
	*s = (struct server){.used = true,
			     .owner = owner,
			     .gone_at = USEC_NEVER,
			     .primary = first && !w->hidden};
	s->n_nodes = first ? 1 : 1 + world_random(w, NODES);
	for (size_t k = 0; k < s->n_nodes; k++)
		s->nodes[k] = (struct node){
			.version = w->owners[owner].n - 1, .since = w->t, .next = w->t};
	return s;
}

static void add(struct roll_set *s, uint8_t usage, uint8_t selector, uint64_t what)
{
	uint8_t data[32] = {0};

	memcpy(data, &what, sizeof(what));
	require(roll_set_add(s, usage, selector, 1, data, sizeof(data)) == 0);
}

/* Data: what * 8 + chain; keys, certificates and anchors are numbers. */
size_t world_bundle(struct world *w, size_t like)
{
	size_t index = w->n_bundles++;
	struct roll_bundle *b = &w->bundles[index];
	uint64_t n = index + 1, key = n, anchor = 1000 + world_random(w, 3);
	bool has_anchor = world_chance(w, 50);

	require(index < BUNDLES);
	*b = (struct roll_bundle){.id = n, .n_chains = world_chance(w, 40) ? 2 : 1};
	if (like < BUNDLES) {
		/* A key type more, or less. */
		if (world_chance(w, 70))
			b->n_chains = w->bundles[like].n_chains;
		/* Its key, in its 3 1 1 record. */
		for (size_t i = 0; i < w->bundles[like].chains[0].n; i++)
			if (w->bundles[like].chains[0].records[i].selector == 1)
				memcpy(&key, w->bundles[like].chains[0].records[i].data,
				       sizeof(key));
		key /= 8;
	}
	for (size_t c = 0; c < b->n_chains; c++) {
		add(&b->chains[c], 3, 1, key * 8 + c);
		add(&b->chains[c], 3, 0, (2000 + n) * 8 + c);
		if (has_anchor)
			add(&b->chains[c], 2, 0, anchor * 8);
	}
	if (!has_anchor || world_chance(w, 70))
		for (size_t c = 0; c < b->n_chains; c++)
			add(&b->publish, 3, 1, key * 8 + c);
	if (has_anchor && (b->publish.n == 0 || world_chance(w, 50)))
		add(&b->publish, 2, 0, anchor * 8);
	if (world_chance(w, 10))
		for (size_t c = 0; c < b->n_chains; c++)
			add(&b->publish, 3, 0, (2000 + n) * 8 + c);
	return index;
}

static bool matches(const struct roll_set *chain, const struct roll_record *r)
{
	for (size_t i = 0; i < chain->n; i++)
		if (memcmp(&chain->records[i], r, sizeof(*r)) == 0)
			return true;
	return false;
}

bool world_fits(const struct roll_set *s, const struct roll_bundle *b)
{
	for (size_t i = 0; i < s->n; i++)
		for (size_t c = 0; c < b->n_chains; c++) {
			bool good = false;

			for (size_t k = 0; k < s->n; k++)
				if (s->records[k].usage == s->records[i].usage &&
				    s->records[k].selector == s->records[i].selector &&
				    matches(&b->chains[c], &s->records[k]))
					good = true;
			if (!good)
				return false;
		}
	return true;
}

const struct version *world_broken(const struct world *w, size_t *ret_address)
{
	for (size_t i = 0; i < w->n_owners; i++)
		for (size_t k = 0; k < w->owners[i].n; k++) {
			const struct version *v = &w->owners[i].versions[k];

			if (v->expiry < w->t || v->expiry == 0)
				continue;
			for (size_t a = 0; a < w->n_addresses; a++)
				if (!world_fits(&v->set, &w->bundles[w->addresses[a].bundle])) {
					*ret_address = a;
					return v;
				}
		}
	return NULL;
}

bool world_holds(const struct world *w, bool empty)
{
	for (size_t i = 0; i < w->n_owners; i++)
		for (size_t k = 0; k < w->owners[i].n; k++) {
			const struct version *v = &w->owners[i].versions[k];

			if (v->expiry >= w->t && v->expiry > 0 && (v->set.n == 0) == empty)
				return true;
		}
	return false;
}
