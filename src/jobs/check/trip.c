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
	enum check_trip_kind kind;
	const char *name;
	const struct check_trip_ops *ops; /* NULL: nothing is called any more */
	void *arg;
	struct check_trust below; /* where it begins, if not at the root */
	bool from_root;
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
	else if (t->from_root)
		all->n_from_root--;
	else
		check_places_give_back(all->places, &t->place);
	link_last(&all->over, t);
	io_timer_set(all->next, 0);
}

static void let_go(struct list *l)
{
	while (l->first != NULL) {
		struct check_trip *t = l->first;

		unlink_from(l, t);
		check_chain_free(t->chain);
		arena_done(&t->arena);
		free(t);
	}
}

static void on_over(void *arg, struct check_chain *chain)
{
	struct check_trip *t = arg;
	const struct check_trip_ops *ops = t->ops;

	if (ops == NULL)
		return;
	retire(t);
	ops->done(t->arg, chain);
}

/* --- the walk --------------------------------------------------------------------------------- */

static void begin(struct check_trip *t)
{
	struct check_trips *all = t->all;
	struct check_chain_request request = {
		.name = t->name,
		.mail = t->kind == CHECK_TRIP_MAIL,
		.host = t->kind == CHECK_TRIP_HOST,
		.zone = t->kind == CHECK_TRIP_ZONE,
		.no_validator = !t->from_root, /* the decision was made by it */
		.trust = t->from_root ? all->options.trust : t->below,
		.direct = t->from_root ? NULL : all->direct,
		.questions = t->from_root ? 0 : QUESTIONS,
		.room = t->from_root ? 0 : ROOM,
		.timeout = all->options.question,
		.deadline = usec_add(io_now(all->loop), all->options.timeout),
	};

	t->chain = check_chain_new(all->loop, all->resolver, &request, on_over, t);
	if (t->ops->begun != NULL)
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

unsigned check_trips_detail(const struct check_trips *all)
{
	return all->options.detail;
}

struct check_trip *check_trip_new(struct check_trips *all, enum check_trip_kind kind,
				  const char *name, const struct check_trust *trust,
				  const struct check_trip_ops *ops, void *arg)
{
	struct check_trip *t = xcalloc(1, sizeof(*t));

	t->all = all;
	t->kind = kind;
	t->name = arena_strdup(&t->arena, name);
	t->ops = ops;
	t->arg = arg;
	t->from_root = trust == NULL;
	if (t->from_root) {
		t->queued = true;
		link_last(&all->waiting, t);
		io_timer_set(all->next, 0);
	} else {
		t->below = check_trust_copy(&t->arena, trust);
		check_places_ask(all->places, &t->place, first_server(&t->below));
	}
	return t;
}

struct check_trip *check_trip_free(struct check_trip *t)
{
	if (t != NULL)
		retire(t);
	return NULL;
}
