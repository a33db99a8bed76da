#include "edge/password.h"

#include <crypt.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct question {
	struct question *next;
	uint64_t ticket;
	char hash[CRYPT_OUTPUT_SIZE];
	char password[PASSWORD_MAX + 1];
	bool possible; /* it has a length and no NUL that crypt takes */
	bool right;
	bool forgotten; /* the loop's thread alone looks at it */
	password_fn *fn;
	void *arg;
};

struct list {
	struct question *first, *last;
};

struct password_checker {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* Under the lock. */
	struct list asked, answered;
	bool stop;
	/* Of the loop's thread. */
	struct question *open[PASSWORD_WAITING_MAX];
	uint64_t last_ticket;
	bool started;
	pthread_t thread;
	int fd; /* readable when there are answers */
	struct io_watch *watch;
};

static void append(struct list *l, struct question *q)
{
	q->next = NULL;
	if (l->first == NULL)
		l->first = q;
	else
		l->last->next = q;
	l->last = q;
}

static struct question *take(struct list *l)
{
	struct question *q = l->first;

	if (q != NULL)
		l->first = q->next;
	return q;
}

static void question_free(struct question *q)
{
	explicit_bzero(q->password, sizeof(q->password));
	free(q);
}

/* In a time that does not depend on where they differ. The length is that of the method. */
static bool equal(const char *a, const char *b)
{
	size_t n = strlen(a);
	uint8_t differ = 0;

	if (strlen(b) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		differ |= (uint8_t)(a[i] ^ b[i]);
	return differ == 0;
}

static bool is_right(const struct question *q)
{
	struct crypt_data *d = xcalloc(1, sizeof(*d));
	const char *made = crypt_rn(q->password, q->hash, d, (int)sizeof(*d));
	bool right = made != NULL && made[0] != '*' && equal(made, q->hash) && q->possible;

	explicit_bzero(d, sizeof(*d));
	free(d);
	return right;
}

static void *run(void *arg)
{
	struct password_checker *c = arg;
	uint64_t one = 1;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		struct question *q;
		bool right;

		while (c->asked.first == NULL && !c->stop)
			pthread_cond_wait(&c->wake, &c->lock);
		if (c->stop)
			break;
		q = c->asked.first; /* it stays there: whoever frees the checker finds it */
		pthread_mutex_unlock(&c->lock);
		right = is_right(q);
		explicit_bzero(q->password, sizeof(q->password));
		pthread_mutex_lock(&c->lock);
		q->right = right;
		append(&c->answered, take(&c->asked));
		require(write(c->fd, &one, sizeof(one)) == sizeof(one));
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static void forget_open(struct password_checker *c, const struct question *q)
{
	bool more = false;

	for (size_t i = 0; i < ARRAY_SIZE(c->open); i++) {
		if (c->open[i] == q)
			c->open[i] = NULL;
		more |= c->open[i] != NULL;
	}
	if (!more)
		io_watch_set(c->watch, 0); /* a loop with nothing else to do may end */
}

static void on_answers(void *arg, unsigned ready)
{
	struct password_checker *c = arg;
	struct question *list;
	uint64_t n;

	(void)ready;
	require(read(c->fd, &n, sizeof(n)) == sizeof(n) || errno == EAGAIN);
	pthread_mutex_lock(&c->lock);
	list = c->answered.first;
	c->answered.first = NULL;
	pthread_mutex_unlock(&c->lock);
	while (list != NULL) {
		struct question *q = list;

		list = q->next;
		forget_open(c, q);
		if (!q->forgotten)
			q->fn(q->arg, q->right);
		question_free(q);
	}
}

struct password_checker *password_checker_new(struct io_loop *l)
{
	struct password_checker *c = xcalloc(1, sizeof(*c));

	require(pthread_mutex_init(&c->lock, NULL) == 0);
	require(pthread_cond_init(&c->wake, NULL) == 0);
	c->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	require(c->fd >= 0);
	c->watch = io_watch_new(l, c->fd, on_answers, c);
	return c;
}

static void free_list(struct list *l)
{
	struct question *q;

	while ((q = take(l)) != NULL)
		question_free(q);
}

struct password_checker *password_checker_free(struct password_checker *c)
{
	if (c == NULL)
		return NULL;
	if (c->started) {
		pthread_mutex_lock(&c->lock);
		c->stop = true;
		pthread_cond_signal(&c->wake);
		pthread_mutex_unlock(&c->lock);
		pthread_join(c->thread, NULL);
	}
	free_list(&c->asked);
	free_list(&c->answered);
	io_watch_free(c->watch);
	close(c->fd);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return NULL;
}

static void start(struct password_checker *c)
{
	sigset_t all, old;

	if (c->started)
		return;
	c->started = true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	require(pthread_create(&c->thread, NULL, run, c) == 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

uint64_t password_check(struct password_checker *c, const char *hash, struct span password,
			password_fn *fn, void *arg)
{
	struct question *q;
	size_t place = 0;

	while (place < ARRAY_SIZE(c->open) && c->open[place] != NULL)
		place++;
	if (place == ARRAY_SIZE(c->open))
		return 0;
	q = c->open[place] = xcalloc(1, sizeof(*q));
	q->ticket = ++c->last_ticket;
	snprintf(q->hash, sizeof(q->hash), "%s", hash);
	q->fn = fn;
	q->arg = arg;
	q->possible = password.n > 0 && password.n <= PASSWORD_MAX &&
		      memchr(password.p, '\0', password.n) == NULL;
	if (q->possible)
		memcpy(q->password, password.p, password.n);
	start(c);
	io_watch_set(c->watch, IO_READ);
	pthread_mutex_lock(&c->lock);
	append(&c->asked, q);
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	return q->ticket;
}

void password_forget(struct password_checker *c, uint64_t ticket)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->open); i++)
		if (c->open[i] != NULL && c->open[i]->ticket == ticket)
			c->open[i]->forgotten = true;
}
