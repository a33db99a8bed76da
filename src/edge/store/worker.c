#include "edge/store/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "edge/store/internal.h"

struct queue {
	pthread_mutex_t lock;
	struct store_op *first, *last;
};

struct store_worker {
	struct queue queue;
	pthread_cond_t wake;
	bool stop;
	pthread_t thread;
	store_work_fn *fn;
	void *arg;
};

struct store_answers {
	struct queue queue;
	int fd;
};

/* With the lock held. Returns whether it was empty. */
static bool append(struct queue *q, struct store_op *first, struct store_op *last)
{
	bool empty = q->first == NULL;

	last->next = NULL;
	if (empty)
		q->first = first;
	else
		q->last->next = first;
	q->last = last;
	return empty;
}

static struct store_op *take(struct queue *q)
{
	struct store_op *list = q->first;

	q->first = q->last = NULL;
	return list;
}

static void *run(void *arg)
{
	struct store_worker *w = arg;

	for (;;) {
		struct store_op *list;

		pthread_mutex_lock(&w->queue.lock);
		while (w->queue.first == NULL && !w->stop)
			pthread_cond_wait(&w->wake, &w->queue.lock);
		list = take(&w->queue);
		pthread_mutex_unlock(&w->queue.lock);
		if (list == NULL)
			return NULL; /* stopped, and nothing is left */
		w->fn(w->arg, list);
	}
}

struct store_worker *store_worker_new(store_work_fn *fn, void *arg)
{
	struct store_worker *w = xcalloc(1, sizeof(*w));
	sigset_t all, old;

	w->fn = fn;
	w->arg = arg;
	require(pthread_mutex_init(&w->queue.lock, NULL) == 0);
	require(pthread_cond_init(&w->wake, NULL) == 0);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	require(pthread_create(&w->thread, NULL, run, w) == 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return w;
}

struct store_worker *store_worker_free(struct store_worker *w)
{
	if (w == NULL)
		return NULL;
	pthread_mutex_lock(&w->queue.lock);
	w->stop = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->queue.lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->queue.lock);
	free(w);
	return NULL;
}

void store_worker_push(struct store_worker *w, struct store_op *op)
{
	pthread_mutex_lock(&w->queue.lock);
	if (append(&w->queue, op, op))
		pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->queue.lock);
}

struct store_answers *store_answers_new(void)
{
	struct store_answers *a = xcalloc(1, sizeof(*a));

	require(pthread_mutex_init(&a->queue.lock, NULL) == 0);
	a->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	require(a->fd >= 0);
	return a;
}

struct store_answers *store_answers_free(struct store_answers *a)
{
	if (a == NULL)
		return NULL;
	close(a->fd);
	pthread_mutex_destroy(&a->queue.lock);
	free(a);
	return NULL;
}

int store_answers_fd(const struct store_answers *a)
{
	return a->fd;
}

void store_answers_post(struct store_answers *a, struct store_op *first, struct store_op *last)
{
	uint64_t one = 1;
	bool wake;

	if (first == NULL)
		return;
	pthread_mutex_lock(&a->queue.lock);
	wake = append(&a->queue, first, last);
	pthread_mutex_unlock(&a->queue.lock);
	if (wake)
		require(write(a->fd, &one, sizeof(one)) == sizeof(one));
}

struct store_op *store_answers_take(struct store_answers *a)
{
	struct store_op *list;
	uint64_t n;

	/* Before the list: an answer that comes in between wakes us once more, for nothing. */
	require(read(a->fd, &n, sizeof(n)) == sizeof(n) || errno == EAGAIN);
	pthread_mutex_lock(&a->queue.lock);
	list = take(&a->queue);
	pthread_mutex_unlock(&a->queue.lock);
	return list;
}
