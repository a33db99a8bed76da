#include "jobs/receive/verify.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "jobs/receive/callout.h"

enum {
	BUCKETS = 8192,
	KEY_MAX = MAIL_PATH_MAX + MAIL_DOMAIN_MAX + 32, /* a recipient, and who is asked */
};

/* What is known of a recipient. In a bucket, and in the list of its kind, newest first. */
struct known {
	struct known *next;
	struct known *newer, *older;
	usec_t at;    /* when it was said */
	usec_t asked; /* when the server was last asked in vain */
	enum receive_answer answer;
	struct smtp_status status;
	char key[];
};

struct kind {
	struct known *newest, *oldest;
	size_t n;
};

struct waiter {
	struct waiter *next;
	uint64_t ticket;
	receive_verified_fn *fn; /* NULL: it waits no longer */
	void *arg;
};

struct question {
	struct question *next;
	struct receive_verifier *verifier; /* NULL: answered */
	struct receive_callout *callout;
	struct waiter *waiters;
	size_t n_waiters;
	bool given_up;
	char domain[MAIL_DOMAIN_MAX + 1];
	char key[KEY_MAX + 1];
};

struct receive_verifier {
	const struct receive_env *env;
	uint64_t secret;
	struct known *buckets[BUCKETS];
	struct kind kinds[3]; /* by enum receive_answer */
	struct question *questions;
	size_t n_questions;
	struct question *answered; /* freed by `reaper`, not in their own callback */
	struct io_timer *reaper;
	uint64_t last_ticket;
};

/* --- what is known ---------------------------------------------------------------------------- */

static struct known **bucket_of(struct receive_verifier *v, const char *key)
{
	uint64_t h = v->secret;

	for (const char *c = key; *c != '\0'; c++) {
		h = (h ^ (uint8_t)*c) * 0xff51afd7ed558ccdu;
		h ^= h >> 29;
	}
	return &v->buckets[h % BUCKETS];
}

static struct known *find(struct receive_verifier *v, const char *key)
{
	for (struct known *k = *bucket_of(v, key); k != NULL; k = k->next)
		if (strcmp(k->key, key) == 0)
			return k;
	return NULL;
}

static void drop(struct receive_verifier *v, struct known *k)
{
	struct kind *kind = &v->kinds[k->answer];
	struct known **at = bucket_of(v, k->key);

	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	*(k->newer != NULL ? &k->newer->older : &kind->newest) = k->older;
	*(k->older != NULL ? &k->older->newer : &kind->oldest) = k->newer;
	kind->n--;
	free(k);
}

static void keep(struct receive_verifier *v, const char *key, enum receive_answer answer,
		 struct smtp_status status)
{
	struct kind *kind = &v->kinds[answer];
	struct known *k = find(v, key), **bucket = bucket_of(v, key);

	if (k != NULL)
		drop(v, k);
	if (kind->n == RECEIVE_ANSWERS_MAX)
		drop(v, kind->oldest);
	k = xcalloc(1, sizeof(*k) + strlen(key) + 1);
	memcpy(k->key, key, strlen(key) + 1);
	k->at = io_now(v->env->loop);
	k->answer = answer;
	k->status = status;
	k->next = *bucket;
	*bucket = k;
	k->older = kind->newest;
	*(k->older != NULL ? &k->older->newer : &kind->oldest) = k;
	kind->newest = k;
	kind->n++;
}

void receive_verify_reset(struct receive_verifier *v)
{
	for (size_t i = 0; i < ARRAY_SIZE(v->kinds); i++)
		while (v->kinds[i].newest != NULL)
			drop(v, v->kinds[i].newest);
}

size_t receive_verify_count(const struct receive_verifier *v)
{
	return v->kinds[0].n + v->kinds[1].n + v->kinds[2].n;
}

void receive_verify_age(struct receive_verifier *v, usec_t by)
{
	for (size_t i = 0; i < ARRAY_SIZE(v->kinds); i++) {
		for (struct known *k = v->kinds[i].newest; k != NULL; k = k->older) {
			k->at -= by;
			k->asked -= k->asked != 0 ? by : 0;
		}
	}
}

static struct smtp_server_verdict verdict_of(enum receive_answer answer, struct smtp_status status)
{
	switch (answer) {
	case RECEIVE_ANSWER_YES:
		return (struct smtp_server_verdict){.code = 0};
	case RECEIVE_ANSWER_NO:
		return (struct smtp_server_verdict){
			550, status.class == 5 ? status : (struct smtp_status){5, 1, 1},
			"the recipient's server refuses it"};
	case RECEIVE_ANSWER_LATER:
		break;
	}
	return (struct smtp_server_verdict){451, {4, 3, 0}, "the recipient cannot be verified now"};
}

static bool holds(const struct known *k, usec_t now)
{
	static const int64_t seconds[] = {
		[RECEIVE_ANSWER_LATER] = RECEIVE_LATER_SECONDS,
		[RECEIVE_ANSWER_YES] = RECEIVE_YES_SECONDS,
		[RECEIVE_ANSWER_NO] = RECEIVE_NO_SECONDS,
	};

	return now - k->at < usec_seconds(seconds[k->answer]) ||
	       (k->asked != 0 && now - k->asked < usec_seconds(RECEIVE_LATER_SECONDS));
}

/* --- questions -------------------------------------------------------------------------------- */

static void question_free(struct question *q)
{
	while (q->waiters != NULL) {
		struct waiter *w = q->waiters;

		q->waiters = w->next;
		free(w);
	}
	receive_callout_free(q->callout);
	free(q);
}

static void free_list(struct question **list)
{
	while (*list != NULL) {
		struct question *q = *list;

		*list = q->next;
		question_free(q);
	}
}

static void reap(void *arg)
{
	struct receive_verifier *v = arg;

	free_list(&v->answered);
}

static void unlink_question(struct question *q)
{
	struct question **at = &q->verifier->questions;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	q->verifier->n_questions--;
	q->verifier = NULL;
}

/* A server that cannot be asked leaves a yes of last week standing. */
static enum receive_answer settle(struct receive_verifier *v, const char *key,
				  enum receive_answer answer, struct smtp_status status)
{
	struct known *k = find(v, key);
	usec_t now = io_now(v->env->loop);

	if (answer == RECEIVE_ANSWER_LATER && k != NULL && k->answer == RECEIVE_ANSWER_YES &&
	    now - k->at < usec_seconds(RECEIVE_YES_LAST_SECONDS)) {
		k->asked = now;
		return RECEIVE_ANSWER_YES;
	}
	keep(v, key, answer, status);
	return answer;
}

static void on_answer(void *arg, enum receive_answer answer, struct smtp_status status)
{
	struct question *q = arg;
	struct receive_verifier *v = q->verifier;
	struct smtp_server_verdict verdict;

	answer = settle(v, q->key, answer, status);
	verdict = verdict_of(answer, status);
	unlink_question(q); /* who is answered may ask the next one */
	for (struct waiter *w = q->waiters; w != NULL; w = w->next)
		if (w->fn != NULL)
			w->fn(w->arg, &verdict);
	q->next = v->answered;
	v->answered = q;
	io_timer_set(v->reaper, 0);
}

static uint64_t wait_for(struct receive_verifier *v, struct question *q, receive_verified_fn *fn,
			 void *arg)
{
	struct waiter *w = xcalloc(1, sizeof(*w));

	w->ticket = ++v->last_ticket;
	w->fn = fn;
	w->arg = arg;
	w->next = q->waiters;
	q->waiters = w;
	q->n_waiters++;
	return w->ticket;
}

static struct question *ask(struct receive_verifier *v, const struct receive_recipient *to,
			    const char *key)
{
	struct question *q;
	size_t n_domain = 0;

	for (q = v->questions; q != NULL; q = q->next)
		n_domain += strcmp(q->domain, to->hop) == 0;
	if (v->n_questions == RECEIVE_QUESTIONS_MAX || n_domain == RECEIVE_QUESTIONS_DOMAIN_MAX)
		return NULL;
	q = xcalloc(1, sizeof(*q));
	q->verifier = v;
	snprintf(q->domain, sizeof(q->domain), "%s", to->hop);
	snprintf(q->key, sizeof(q->key), "%s", key);
	q->next = v->questions;
	v->questions = q;
	v->n_questions++;
	q->callout =
		receive_callout_new(v->env, &to->domain->behind, to->hop, to->path, on_answer, q);
	return q;
}

/*
 * The recipient as it is compared, and who is asked how: under new rules that may be another, and a
 * session of the old ones goes on beside them.
 */
static void key_of(const struct receive_recipient *to, char key[KEY_MAX + 1])
{
	const struct receive_behind *b = &to->domain->behind;
	const char *at = strrchr(to->path, '@');
	char *local = xstrndup(to->path, (size_t)(at - to->path)), plain[RECEIVE_LOCAL_ROOM];

	receive_local_plain(local, plain);
	free(local);
	snprintf(key, KEY_MAX + 1, "%s@%s %d %d %d %u %s", plain, to->hop, (int)b->hop, b->lmtp,
		 (int)b->tls, b->port, b->name);
}

uint64_t receive_verify(struct receive_verifier *v, const struct receive_recipient *to,
			receive_verified_fn *fn, void *arg, struct smtp_server_verdict *ret)
{
	char key[KEY_MAX + 1];
	struct question *q;
	struct known *k;

	key_of(to, key);
	k = find(v, key);
	if (k != NULL && holds(k, io_now(v->env->loop))) {
		*ret = verdict_of(k->answer, k->status);
		return 0;
	}
	for (q = v->questions; q != NULL; q = q->next)
		if (strcmp(q->key, key) == 0)
			break;
	if (q == NULL)
		q = ask(v, to, key);
	if (q != NULL && q->n_waiters < RECEIVE_WAITERS_MAX)
		return wait_for(v, q, fn, arg);
	*ret = verdict_of(RECEIVE_ANSWER_LATER, (struct smtp_status){0});
	return 0;
}

void receive_verify_forget(struct receive_verifier *v, uint64_t ticket)
{
	for (struct question *q = v->questions; q != NULL; q = q->next)
		for (struct waiter *w = q->waiters; w != NULL; w = w->next)
			if (w->ticket == ticket)
				w->fn = NULL;
}

static struct question *given_up(struct receive_verifier *v)
{
	struct question *q = v->questions;

	while (q != NULL && !q->given_up)
		q = q->next;
	return q;
}

/* Whoever is answered may ask anew: that is another question. */
void receive_verify_give_up(struct receive_verifier *v)
{
	struct question *q;

	for (q = v->questions; q != NULL; q = q->next)
		q->given_up = true;
	while ((q = given_up(v)) != NULL)
		receive_callout_give_up(q->callout);
}

/* --- life ------------------------------------------------------------------------------------- */

struct receive_verifier *receive_verifier_new(const struct receive_env *env)
{
	struct receive_verifier *v = xcalloc(1, sizeof(*v));

	v->env = env;
	v->reaper = io_timer_new(env->loop, reap, v);
	require(getrandom(&v->secret, sizeof(v->secret), 0) == (ssize_t)sizeof(v->secret));
	return v;
}

struct receive_verifier *receive_verifier_free(struct receive_verifier *v)
{
	if (v == NULL)
		return NULL;
	free_list(&v->questions);
	free_list(&v->answered);
	io_timer_free(v->reaper);
	receive_verify_reset(v);
	free(v);
	return NULL;
}
