#include "jobs/check/walks.h"

struct check_walk {
	struct check_walks *walks;
	struct arena arena;
	const char *domain;
	const struct check_walk_ops *ops; /* NULL: nobody waits */
	void *arg;
	struct check_chain *chain; /* NULL: it waits */
	struct check_walk *previous, *next;
};

struct list {
	struct check_walk *first, *last;
};

struct check_walks {
	struct io_loop *loop;
	struct dns_resolver *resolver;
	struct check_walks_options options;
	struct list waiting, running, over; /* `over`: to be let go outside their callbacks */
	size_t n_running;
	struct io_timer *next;
};

static void link_last(struct list *l, struct check_walk *w)
{
	w->previous = l->last;
	w->next = NULL;
	if (l->last != NULL)
		l->last->next = w;
	else
		l->first = w;
	l->last = w;
}

static void unlink_from(struct list *l, struct check_walk *w)
{
	if (w->previous != NULL)
		w->previous->next = w->next;
	else
		l->first = w->next;
	if (w->next != NULL)
		w->next->previous = w->previous;
	else
		l->last = w->previous;
}

static void walk_free(struct check_walk *w)
{
	check_chain_free(w->chain);
	arena_done(&w->arena);
	free(w);
}

/* --- one walk --------------------------------------------------------------------------------- */

/* It holds no place any more; the rest is done outside whatever callback this is. */
static void retire(struct check_walk *w)
{
	struct check_walks *all = w->walks;

	w->ops = NULL;
	if (w->chain != NULL) {
		unlink_from(&all->running, w);
		all->n_running--;
	} else {
		unlink_from(&all->waiting, w);
	}
	link_last(&all->over, w);
	io_timer_set(all->next, 0);
}

static void on_over(void *arg, struct check_chain *chain)
{
	struct check_walk *w = arg;
	const struct check_walk_ops *ops = w->ops;

	retire(w);
	ops->done(w->arg, check_servers_new(chain, w->walks->options.detail));
}

static void begin(struct check_walk *w)
{
	struct check_walks *all = w->walks;
	struct check_chain_request request = {
		.name = w->domain,
		.mail = true,
		.trust = all->options.trust,
		.timeout = all->options.question,
		.deadline = usec_add(io_now(all->loop), all->options.timeout),
	};

	unlink_from(&all->waiting, w);
	link_last(&all->running, w);
	all->n_running++;
	w->chain = check_chain_new(all->loop, all->resolver, &request, on_over, w);
	w->ops->begun(w->arg);
}

static void begin_some(struct check_walks *all)
{
	while (all->waiting.first != NULL && all->n_running < CHECK_WALKS_AT_A_TIME)
		begin(all->waiting.first);
}

static void let_go(struct list *l)
{
	while (l->first != NULL) {
		struct check_walk *w = l->first;

		unlink_from(l, w);
		walk_free(w);
	}
}

static void on_next(void *arg)
{
	struct check_walks *all = arg;

	let_go(&all->over);
	begin_some(all);
}

/* --- all -------------------------------------------------------------------------------------- */

struct check_walks *check_walks_new(struct io_loop *l, struct dns_resolver *r,
				    const struct check_walks_options *o)
{
	struct check_walks *all = xcalloc(1, sizeof(*all));

	all->loop = l;
	all->resolver = r;
	all->options = *o;
	all->next = io_timer_new(l, on_next, all);
	return all;
}

struct check_walks *check_walks_free(struct check_walks *all)
{
	if (all == NULL)
		return NULL;
	let_go(&all->over);
	let_go(&all->running);
	let_go(&all->waiting);
	io_timer_free(all->next);
	free(all);
	return NULL;
}

struct check_walk *check_walks_ask(struct check_walks *all, const char *domain,
				   const struct check_walk_ops *ops, void *arg)
{
	struct check_walk *w = xcalloc(1, sizeof(*w));

	w->walks = all;
	w->domain = arena_strdup(&w->arena, domain);
	w->ops = ops;
	w->arg = arg;
	link_last(&all->waiting, w);
	begin_some(all);
	return w;
}

struct check_walk *check_walks_cancel(struct check_walk *w)
{
	if (w != NULL)
		retire(w);
	return NULL;
}
