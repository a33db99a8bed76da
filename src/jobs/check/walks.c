#include "jobs/check/walks.h"

#include "jobs/check/zones.h"

struct check_walks {
	bool many;
	struct dns_resolver *resolver;
	struct check_trips *trips;
	struct check_zones *zones;
	struct check_shelf *hosts;
};

/* The walk of one name: where it begins, the zone that holds it, the name itself. */
struct job {
	struct check_walks *walks;
	enum check_trip_kind kind;
	struct arena arena;
	const char *name;
	void (*begun)(void *arg), (*done)(void *arg);
	void *arg;
	struct check_start *start;
	struct check_known_zone *zone; /* NULL: not from there, or there is none */
	struct check_waiter waiter;
	struct check_trip *trip;
	struct check_servers *servers; /* NULL: there was nothing to ask */
	const char *const *hosts;      /* MX hosts of other zones */
	size_t n_hosts;
};

/* An MX host, shared. */
struct host {
	struct check_shared shared; /* by its name */
	struct job job;
};

struct wanted {
	struct host *host;
	struct check_waiter waiter;
};

struct check_walk {
	struct check_walks *walks;
	const struct check_walk_ops *ops;
	void *arg;
	struct job own;
	bool own_done;
	struct wanted wanted[CHECK_WALKS_HOSTS];
	size_t n_wanted;
};

/* --- one name --------------------------------------------------------------------------------- */

static void on_begun(void *arg)
{
	struct job *j = arg;

	if (j->begun != NULL)
		j->begun(j->arg);
}

static void on_over(void *arg, const struct check_chain *chain)
{
	struct job *j = arg;

	j->trip = NULL;
	j->servers = check_servers_new(chain, check_trips_detail(j->walks->trips));
	j->n_hosts = check_chain_elsewhere(chain, &j->arena, &j->hosts);
	j->done(j->arg);
}

static const struct check_trip_ops trip_ops = {.begun = on_begun, .done = on_over};

static void on_zone(void *arg)
{
	struct job *j = arg;
	const struct check_trust *trust = check_zone_trust(j->zone);

	if (trust->n_roots > 0)
		j->trip = check_trip_new(j->walks->trips, j->kind, j->name, trust, &trip_ops, j);
	else
		j->done(j->arg); /* no server of the zone answers, which the zone's findings tell */
}

static void on_start(void *arg, enum check_start_result result, const struct check_trust *trust)
{
	struct job *j = arg;

	switch (result) {
	case CHECK_START_FOUND:
		j->zone = check_zones_want(j->walks->zones, trust, &j->waiter);
		if (check_zone_is_known(j->zone))
			on_zone(j);
		break;
	case CHECK_START_BROKEN:
		j->servers = check_servers_unfinished("The chain of trust down to its zone is "
						      "broken, or gives no answer");
		j->done(j->arg);
		break;
	case CHECK_START_NONE:
		j->done(j->arg);
		break;
	}
}

/* `begun`, `done` and `arg` are set. Neither comes from here, unless it goes from the root. */
static void job_begin(struct job *j, struct check_walks *w, const char *name,
		      enum check_trip_kind kind)
{
	j->walks = w;
	j->kind = kind;
	j->name = arena_strdup(&j->arena, name);
	j->waiter = (struct check_waiter){.made = on_zone, .arg = j};
	if (w->many)
		j->start = check_start_new(w->resolver, j->name, on_start, j);
	else
		j->trip = check_trip_new(w->trips, kind, j->name, NULL, &trip_ops, j);
}

static void job_end(struct job *j)
{
	check_start_free(j->start);
	check_trip_free(j->trip);
	if (j->zone != NULL)
		check_zones_give_back(j->zone, &j->waiter);
	check_servers_free(j->servers);
	arena_done(&j->arena);
}

/* --- hosts ------------------------------------------------------------------------------------ */

static void host_drop(struct check_shared *s)
{
	struct host *h = (struct host *)s;

	job_end(&h->job);
	free(h);
}

static void host_done(void *arg)
{
	struct host *h = arg;
	size_t weight = sizeof(*h) + h->job.arena.used;

	if (h->job.servers != NULL)
		weight += check_servers_weight(h->job.servers);
	check_shelf_made(&h->shared, weight);
}

static struct host *get_host(struct check_walks *w, const char *name)
{
	struct host *h = (struct host *)check_shelf_take(w->hosts, name);

	if (h != NULL)
		return h;
	h = xcalloc(1, sizeof(*h));
	h->job.done = host_done;
	h->job.arg = h;
	job_begin(&h->job, w, name, CHECK_TRIP_HOST);
	h->shared.name = h->job.name;
	check_shelf_add(w->hosts, &h->shared);
	return h;
}

/* --- a mail domain ---------------------------------------------------------------------------- */

static void walk_free(struct check_walk *walk)
{
	for (size_t i = 0; i < walk->n_wanted; i++)
		check_shelf_give_back(&walk->wanted[i].host->shared, &walk->wanted[i].waiter);
	job_end(&walk->own);
	free(walk);
}

struct results {
	struct check_servers *list[CHECK_WALKS_RESULTS];
	size_t n;
};

static void add_copy(struct results *r, const struct check_servers *s)
{
	if (s != NULL)
		r->list[r->n++] = check_servers_copy(s);
}

/* Hosts may share a zone, which is told once. */
static void add_host_zone(struct results *r, const struct check_walk *walk, size_t i)
{
	const struct check_known_zone *zone = walk->wanted[i].host->job.zone;

	if (zone == NULL || zone == walk->own.zone)
		return;
	for (size_t k = 0; k < i; k++)
		if (walk->wanted[k].host->job.zone == zone)
			return;
	add_copy(r, check_zone_servers(zone));
}

static void on_any(void *arg)
{
	struct check_walk *walk = arg;
	const struct check_walk_ops *ops = walk->ops;
	struct results r = {.n = 0};

	if (!walk->own_done)
		return;
	for (size_t i = 0; i < walk->n_wanted; i++)
		if (!walk->wanted[i].host->shared.made)
			return;
	if (walk->own.zone != NULL)
		add_copy(&r, check_zone_servers(walk->own.zone));
	if (walk->own.servers != NULL)
		r.list[r.n++] = TAKE(walk->own.servers);
	for (size_t i = 0; i < walk->n_wanted; i++) {
		add_host_zone(&r, walk, i);
		add_copy(&r, walk->wanted[i].host->job.servers);
	}
	arg = walk->arg;
	walk_free(walk);
	ops->done(arg, r.list, r.n);
}

static void own_begun(void *arg)
{
	struct check_walk *walk = arg;

	walk->ops->begun(walk->arg);
}

static void own_done(void *arg)
{
	struct check_walk *walk = arg;

	for (size_t i = 0; i < walk->own.n_hosts && i < CHECK_WALKS_HOSTS; i++) {
		struct wanted *x = &walk->wanted[walk->n_wanted++];

		x->host = get_host(walk->walks, walk->own.hosts[i]);
		x->waiter = (struct check_waiter){.made = on_any, .arg = walk};
		if (!x->host->shared.made)
			check_shelf_wait(&x->host->shared, &x->waiter);
	}
	walk->own_done = true;
	on_any(walk);
}

/* --- all -------------------------------------------------------------------------------------- */

struct check_walks *check_walks_new(struct io_loop *l, struct dns_resolver *r,
				    const struct check_walks_options *o)
{
	struct check_walks *w = xcalloc(1, sizeof(*w));

	w->many = o->many;
	w->resolver = r;
	w->trips = check_trips_new(l, r, o);
	w->zones = check_zones_new(w->trips);
	w->hosts = check_shelf_new(CHECK_WALKS_KEPT, CHECK_WALKS_WEIGHT, host_drop);
	return w;
}

struct check_walks *check_walks_free(struct check_walks *w)
{
	if (w == NULL)
		return NULL;
	check_shelf_free(w->hosts); /* hosts want zones, and both have trips */
	check_zones_free(w->zones);
	check_trips_free(w->trips);
	free(w);
	return NULL;
}

struct check_walk *check_walks_ask(struct check_walks *w, const char *domain,
				   const struct check_walk_ops *ops, void *arg)
{
	struct check_walk *walk = xcalloc(1, sizeof(*walk));

	walk->walks = w;
	walk->ops = ops;
	walk->arg = arg;
	walk->own.begun = own_begun;
	walk->own.done = own_done;
	walk->own.arg = walk;
	job_begin(&walk->own, w, domain, CHECK_TRIP_MAIL);
	return walk;
}

struct check_walk *check_walks_cancel(struct check_walk *walk)
{
	if (walk != NULL)
		walk_free(walk);
	return NULL;
}
