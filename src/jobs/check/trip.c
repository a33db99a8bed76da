#include "jobs/check/trip.h"

#include <stddef.h>
#include <string.h>

enum {
	/* Of one domain of many: a walk below the root needs some dozens of questions. */
	QUESTIONS = 1000,
	ROOM = 16 * 1024 * 1024,
};

struct check_trip {
	struct check_trips *all;
	struct arena arena;
	const char *name;
	bool host;
	const struct check_trip_ops *ops; /* NULL: nothing is called any more */
	void *arg;
	struct check_start *start;
	const struct check_trust *trust; /* where it begins */
	struct check_place place;
	struct check_chain *chain;
	bool queued;                        /* from the root: it waits */
	struct check_trip *previous, *next; /* all->waiting, all->over */
};

struct list {
	struct check_trip *first, *last;
};

struct check_trips {
	struct io_loop *loop;
	struct dns_resolver *resolver;
	struct check_walks_options options;
	struct dns_direct *direct;
	struct check_places *places;
	struct list waiting; /* from the root */
	struct list over;    /* to be let go outside their callbacks */
	size_t n_from_root;
	struct io_timer *next;
};

static void link_last(struct list *l, struct check_trip *t)
{
	t->previous = l->last;
	t->next = NULL;
	if (l->last != NULL)
		l->last->next = t;
	else
		l->first = t;
	l->last = t;
}

static void unlink_from(struct list *l, struct check_trip *t)
{
	if (t->previous != NULL)
		t->previous->next = t->next;
	else
		l->first = t->next;
	if (t->next != NULL)
		t->next->previous = t->previous;
	else
		l->last = t->previous;
}

/* --- its end ---------------------------------------------------------------------------------- */

/* Gives back what others wait for; the rest is freed outside whatever callback this is. */
static void retire(struct check_trip *t)
{
	struct check_trips *all = t->all;

	t->ops = NULL;
	if (t->queued)
		unlink_from(&all->waiting, t);
	else if (all->options.many)
		check_places_give_back(all->places, &t->place);
	else
		all->n_from_root--;
	link_last(&all->over, t);
	io_timer_set(all->next, 0);
}

static void let_go(struct list *l)
{
	while (l->first != NULL) {
		struct check_trip *t = l->first;

		unlink_from(l, t);
		check_chain_free(t->chain);
		check_start_free(t->start);
		arena_done(&t->arena);
		free(t);
	}
}

static void finish(struct check_trip *t, struct check_servers *servers)
{
	const struct check_trip_ops *ops = t->ops;
	const char *const *hosts = NULL;
	size_t n = 0;

	if (t->chain != NULL)
		n = check_chain_elsewhere(t->chain, &t->arena, &hosts);
	retire(t);
	ops->done(t->arg, servers, hosts, n);
}

static void on_over(void *arg, struct check_chain *chain)
{
	struct check_trip *t = arg;

	if (t->ops != NULL)
		finish(t, check_servers_new(chain, t->all->options.detail));
}

/* --- the walk --------------------------------------------------------------------------------- */

static void begin(struct check_trip *t)
{
	struct check_trips *all = t->all;
	bool many = all->options.many;
	struct check_chain_request request = {
		.name = t->name,
		.mail = !t->host,
		.host = t->host,
		.trust = *t->trust,
		.direct = many ? all->direct : NULL,
		.questions = many ? QUESTIONS : 0,
		.room = many ? ROOM : 0,
		.timeout = all->options.question,
		.deadline = usec_add(io_now(all->loop), all->options.timeout),
	};

	t->chain = check_chain_new(all->loop, all->resolver, &request, on_over, t);
	t->ops->begun(t->arg);
}

static void on_place(struct check_place *place)
{
	begin((struct check_trip *)((char *)place - offsetof(struct check_trip, place)));
}

/* The same server for all zones that have the same servers. */
static const char *first_server(const struct check_trust *trust)
{
	const char *first = trust->roots[0].address;

	for (size_t i = 1; i < trust->n_roots; i++)
		if (strcmp(trust->roots[i].address, first) < 0)
			first = trust->roots[i].address;
	return first;
}

static void on_start(void *arg, enum check_start_result result, const struct check_trust *trust)
{
	struct check_trip *t = arg;

	if (t->ops == NULL)
		return;
	switch (result) {
	case CHECK_START_FOUND:
		t->trust = trust;
		check_places_ask(t->all->places, &t->place, first_server(trust));
		break;
	case CHECK_START_BROKEN:
		finish(t, check_servers_unfinished("The chain of trust down to its zone is broken, "
						   "or gives no answer"));
		break;
	case CHECK_START_NONE:
		finish(t, NULL);
		break;
	}
}

/* --- from the root ---------------------------------------------------------------------------- */

static void on_next(void *arg)
{
	struct check_trips *all = arg;

	let_go(&all->over);
	while (all->waiting.first != NULL && all->n_from_root < CHECK_WALKS_FROM_ROOT) {
		struct check_trip *t = all->waiting.first;

		unlink_from(&all->waiting, t);
		t->queued = false;
		all->n_from_root++;
		begin(t);
	}
}

/* --- life ------------------------------------------------------------------------------------- */

struct check_trips *check_trips_new(struct io_loop *l, struct dns_resolver *r,
				    const struct check_walks_options *o)
{
	const struct check_places_limits limits = {CHECK_WALKS_BELOW, CHECK_WALKS_NETWORK};
	struct check_trips *all = xcalloc(1, sizeof(*all));

	all->loop = l;
	all->resolver = r;
	all->options = *o;
	all->direct = dns_direct_new(l, CHECK_WALKS_QUESTIONS);
	all->places = check_places_new(&limits, on_place);
	all->next = io_timer_new(l, on_next, all);
	return all;
}

struct check_trips *check_trips_free(struct check_trips *all)
{
	if (all == NULL)
		return NULL;
	let_go(&all->over);
	check_places_free(all->places);
	dns_direct_free(all->direct);
	io_timer_free(all->next);
	free(all);
	return NULL;
}

struct check_trip *check_trip_new(struct check_trips *all, const char *name, bool host,
				  const struct check_trip_ops *ops, void *arg)
{
	struct check_trip *t = xcalloc(1, sizeof(*t));

	t->all = all;
	t->name = arena_strdup(&t->arena, name);
	t->host = host;
	t->ops = ops;
	t->arg = arg;
	if (all->options.many) {
		t->start = check_start_new(all->resolver, t->name, on_start, t);
		return t;
	}
	t->trust = &all->options.trust;
	t->queued = true;
	link_last(&all->waiting, t);
	io_timer_set(all->next, 0);
	return t;
}

struct check_trip *check_trip_free(struct check_trip *t)
{
	if (t != NULL && t->ops != NULL)
		retire(t);
	return NULL;
}
