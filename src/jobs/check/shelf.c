#include "jobs/check/shelf.h"

#include <search.h>
#include <string.h>

struct check_shelf {
	size_t number_most, weight_most;
	check_shelf_drop_fn *drop;
	void *tree;                           /* of struct check_shared */
	struct check_shared *oldest, *newest; /* that nobody wants */
	size_t n, weight;                     /* of those */
};

static int compare(const void *a, const void *b)
{
	const struct check_shared *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void drop(struct check_shared *s)
{
	tdelete(s, &s->shelf->tree, compare);
	s->shelf->drop(s);
}

static void take_out(struct check_shared *s)
{
	struct check_shelf *shelf = s->shelf;

	if (s->older != NULL)
		s->older->newer = s->newer;
	else
		shelf->oldest = s->newer;
	if (s->newer != NULL)
		s->newer->older = s->older;
	else
		shelf->newest = s->older;
	s->older = s->newer = NULL;
	shelf->n--;
	shelf->weight -= s->weight;
}

static void put_in(struct check_shared *s)
{
	struct check_shelf *shelf = s->shelf;

	s->older = shelf->newest;
	if (shelf->newest != NULL)
		shelf->newest->newer = s;
	else
		shelf->oldest = s;
	shelf->newest = s;
	shelf->n++;
	shelf->weight += s->weight;
	while (shelf->n > shelf->number_most || shelf->weight > shelf->weight_most) {
		struct check_shared *oldest = shelf->oldest;

		take_out(oldest);
		drop(oldest);
	}
}

static void release(struct check_shared *s)
{
	if (--s->wanted > 0)
		return;
	if (s->made)
		put_in(s);
	else
		drop(s);
}

static void stop_waiting(struct check_waiter *w)
{
	if (w->previous != NULL)
		w->previous->next = w->next;
	else
		w->at->waiting = w->next;
	if (w->next != NULL)
		w->next->previous = w->previous;
	w->at = NULL;
}

struct check_shelf *check_shelf_new(size_t number, size_t weight, check_shelf_drop_fn *fn)
{
	struct check_shelf *shelf = xcalloc(1, sizeof(*shelf));

	shelf->number_most = number;
	shelf->weight_most = weight;
	shelf->drop = fn;
	return shelf;
}

struct check_shelf *check_shelf_free(struct check_shelf *shelf)
{
	if (shelf == NULL)
		return NULL;
	while (shelf->oldest != NULL) {
		struct check_shared *oldest = shelf->oldest;

		take_out(oldest);
		drop(oldest);
	}
	require(shelf->tree == NULL);
	free(shelf);
	return NULL;
}

struct check_shared *check_shelf_take(struct check_shelf *shelf, const char *name)
{
	struct check_shared key = {.name = name}, **found = tfind(&key, &shelf->tree, compare);

	if (found == NULL)
		return NULL;
	if ((*found)->wanted++ == 0)
		take_out(*found);
	return *found;
}

void check_shelf_add(struct check_shelf *shelf, struct check_shared *s)
{
	s->shelf = shelf;
	s->wanted = 1;
	require(tsearch(s, &shelf->tree, compare) != NULL);
}

void check_shelf_wait(struct check_shared *s, struct check_waiter *w)
{
	require(!s->made);
	w->at = s;
	w->previous = NULL;
	w->next = s->waiting;
	if (w->next != NULL)
		w->next->previous = w;
	s->waiting = w;
}

void check_shelf_made(struct check_shared *s, size_t weight)
{
	s->made = true;
	s->weight = weight;
	s->wanted++; /* until all are called */
	while (s->waiting != NULL) {
		struct check_waiter *w = s->waiting;

		stop_waiting(w);
		w->made(w->arg);
	}
	release(s);
}

void check_shelf_give_back(struct check_shared *s, struct check_waiter *w)
{
	if (w != NULL && w->at != NULL)
		stop_waiting(w);
	release(s);
}
