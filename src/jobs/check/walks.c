#include "jobs/check/walks.h"

#include <search.h>
#include <string.h>

#include "jobs/check/trip.h"

struct check_walks {
	struct check_trips *trips;
	void *hosts;                    /* a tree of struct shared */
	struct shared *oldest, *newest; /* done and wanted by nobody, by last use */
	size_t n_kept, weight;
};

/* The walk of an MX host, and its result. */
struct shared {
	const char *name; /* first: what the tree compares */
	struct check_walks *walks;
	struct arena arena;
	struct check_trip *trip;       /* NULL: done */
	struct check_servers *servers; /* NULL: there was nothing to ask */
	size_t weight, n_wanted;
	struct wanted *waiting;
	struct shared *older, *newer;
};

/* A domain wants it. */
struct wanted {
	struct check_walk *walk;
	struct shared *shared;
	struct wanted *previous, *next; /* of those that wait for it */
	bool waits;
};

struct check_walk {
	struct check_walks *walks;
	const struct check_walk_ops *ops;
	void *arg;
	struct check_trip *trip;
	struct check_servers *own; /* of the domain's zone */
	struct wanted wanted[CHECK_WALKS_HOSTS];
	size_t n_wanted, n_waiting;
};

/* --- what is kept ----------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const struct shared *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void take_out(struct shared *s)
{
	struct check_walks *w = s->walks;

	if (s->older != NULL)
		s->older->newer = s->newer;
	else
		w->oldest = s->newer;
	if (s->newer != NULL)
		s->newer->older = s->older;
	else
		w->newest = s->older;
	s->older = s->newer = NULL;
	w->n_kept--;
	w->weight -= s->weight;
}

static void shared_free(struct shared *s)
{
	tdelete(s, &s->walks->hosts, compare);
	check_trip_free(s->trip);
	check_servers_free(s->servers);
	arena_done(&s->arena);
	free(s);
}

static void forget_some(struct check_walks *w)
{
	while (w->n_kept > CHECK_WALKS_KEPT || w->weight > CHECK_WALKS_WEIGHT) {
		struct shared *s = w->oldest;

		take_out(s);
		shared_free(s);
	}
}

/* Nobody wants it now. */
static void put_back(struct shared *s)
{
	struct check_walks *w = s->walks;

	if (s->trip != NULL) { /* it need not end, then */
		shared_free(s);
		return;
	}
	s->older = w->newest;
	if (w->newest != NULL)
		w->newest->newer = s;
	else
		w->oldest = s;
	w->newest = s;
	w->n_kept++;
	w->weight += s->weight;
	forget_some(w);
}

static void unwant(struct wanted *x)
{
	if (x->waits) {
		if (x->previous != NULL)
			x->previous->next = x->next;
		else
			x->shared->waiting = x->next;
		if (x->next != NULL)
			x->next->previous = x->previous;
		x->waits = false;
	}
	if (--x->shared->n_wanted == 0)
		put_back(x->shared);
}

/* --- the end of a domain's -------------------------------------------------------------------- */

static void walk_free(struct check_walk *walk)
{
	check_trip_free(walk->trip);
	check_servers_free(walk->own);
	for (size_t i = 0; i < walk->n_wanted; i++)
		unwant(&walk->wanted[i]);
	free(walk);
}

static void finish_if_all(struct check_walk *walk)
{
	struct check_servers *list[1 + CHECK_WALKS_HOSTS];
	const struct check_walk_ops *ops = walk->ops;
	void *arg = walk->arg;
	size_t n = 0;

	if (walk->n_waiting > 0)
		return;
	if (walk->own != NULL)
		list[n++] = TAKE(walk->own);
	for (size_t i = 0; i < walk->n_wanted; i++)
		if (walk->wanted[i].shared->servers != NULL)
			list[n++] = check_servers_copy(walk->wanted[i].shared->servers);
	walk_free(walk);
	ops->done(arg, list, n);
}

/* --- hosts ------------------------------------------------------------------------------------ */

static void host_begun(void *arg)
{
	(void)arg;
}

static void host_done(void *arg, struct check_servers *servers, const char *const *hosts, size_t n)
{
	struct shared *s = arg;

	(void)hosts;
	(void)n;
	s->trip = NULL;
	s->servers = servers;
	s->weight = sizeof(*s) + (servers != NULL ? check_servers_weight(servers) : 0);
	/* One at a time: each may end a domain, and none can begin to wait any more. */
	s->n_wanted++;
	while (s->waiting != NULL) {
		struct wanted *x = s->waiting;

		s->waiting = x->next;
		if (x->next != NULL)
			x->next->previous = NULL;
		x->waits = false;
		x->walk->n_waiting--;
		finish_if_all(x->walk);
	}
	if (--s->n_wanted == 0)
		put_back(s);
}

static const struct check_trip_ops host_ops = {.begun = host_begun, .done = host_done};

static struct shared *get_shared(struct check_walks *w, const char *host)
{
	struct shared key = {.name = host}, **found = tfind(&key, &w->hosts, compare), *s;

	if (found != NULL) {
		s = *found;
		if (s->n_wanted++ == 0)
			take_out(s);
		return s;
	}
	s = xcalloc(1, sizeof(*s));
	s->walks = w;
	s->name = arena_strdup(&s->arena, host);
	s->n_wanted = 1;
	require(tsearch(s, &w->hosts, compare) != NULL);
	s->trip = check_trip_new(w->trips, s->name, true, &host_ops, s);
	return s;
}

static void want(struct check_walk *walk, const char *host)
{
	struct wanted *x = &walk->wanted[walk->n_wanted++];

	x->walk = walk;
	x->shared = get_shared(walk->walks, host);
	if (x->shared->trip == NULL)
		return;
	x->waits = true;
	x->next = x->shared->waiting;
	if (x->next != NULL)
		x->next->previous = x;
	x->shared->waiting = x;
	walk->n_waiting++;
}

/* --- the domain's own ------------------------------------------------------------------------- */

static void own_begun(void *arg)
{
	struct check_walk *walk = arg;

	walk->ops->begun(walk->arg);
}

static void own_done(void *arg, struct check_servers *servers, const char *const *hosts, size_t n)
{
	struct check_walk *walk = arg;

	walk->trip = NULL;
	walk->own = servers;
	for (size_t i = 0; i < n && i < CHECK_WALKS_HOSTS; i++)
		want(walk, hosts[i]);
	finish_if_all(walk);
}

static const struct check_trip_ops own_ops = {.begun = own_begun, .done = own_done};

/* --- all -------------------------------------------------------------------------------------- */

struct check_walks *check_walks_new(struct io_loop *l, struct dns_resolver *r,
				    const struct check_walks_options *o)
{
	struct check_walks *w = xcalloc(1, sizeof(*w));

	w->trips = check_trips_new(l, r, o);
	return w;
}

struct check_walks *check_walks_free(struct check_walks *w)
{
	if (w == NULL)
		return NULL;
	while (w->oldest != NULL) {
		struct shared *s = w->oldest;

		take_out(s);
		shared_free(s);
	}
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
	walk->trip = check_trip_new(w->trips, domain, false, &own_ops, walk);
	return walk;
}

struct check_walk *check_walks_cancel(struct check_walk *walk)
{
	if (walk != NULL)
		walk_free(walk);
	return NULL;
}
