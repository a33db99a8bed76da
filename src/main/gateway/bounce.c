#include "main/gateway/bounce.h"

#include <errno.h>
#include <stdio.h>

#include "jobs/send/notice.h"

enum {
	AT_ONCE = 50, /* keys of one look into the store */
};

static const char status[] = "5.0.0";
static const char detail[] = "returned by the administrator";

struct gateway_bounce {
	struct gateway *g;
	struct store_filter filter;
	gateway_bounce_fn *fn;
	void *arg;
	uint64_t ticket; /* of the store; 0: none */
	uint64_t keys[AT_ONCE];
	size_t n, at;
	uint64_t after;
	uint64_t returned, busy;
	/* The parcel that is at hand. */
	struct arena arena;
	struct store_outcome *outcomes;
	size_t n_outcomes;
	struct store_completion completion;
	struct send_notice *notice;
	struct io_timer *later; /* the notice failed */
	int error;
	char postmaster[300];
};

static void next(struct gateway_bounce *b);

static void finish(struct gateway_bounce *b, int result)
{
	b->fn(b->arg, result, b->returned, b->busy);
}

static void parcel_done(struct gateway_bounce *b)
{
	b->notice = send_notice_free(b->notice);
	arena_done(&b->arena);
	b->arena = (struct arena){0};
}

static void on_recorded(void *arg, int result)
{
	struct gateway_bounce *b = arg;

	b->ticket = 0;
	parcel_done(b);
	/* -ESTALE: removed meanwhile, or the notice took so long that another has it. */
	if (result < 0 && result != -ESTALE) {
		finish(b, result);
		return;
	}
	b->returned += result >= 0;
	b->busy += result < 0;
	next(b);
}

static void record(struct gateway_bounce *b, const struct store_message *m, struct store_body *body)
{
	b->completion.now = io_unix_now();
	b->completion.due = b->completion.now;
	b->ticket = store_complete(b->g->store, &b->completion, m, body, on_recorded, b);
}

/* The notice may not be freed in here. */
static void fail_later(void *arg)
{
	struct gateway_bounce *b = arg;

	parcel_done(b);
	finish(b, b->error);
}

static void on_notice(void *arg, int result, const struct store_message *m, struct store_body *body)
{
	struct gateway_bounce *b = arg;

	if (result >= 0) {
		record(b, m, body);
		return;
	}
	store_release(b->g->store, b->completion.key, b->completion.fence, NULL, NULL);
	b->error = result;
	io_timer_set(b->later, 0);
}

static void set_outcomes(struct gateway_bounce *b, const struct store_parcel *p)
{
	b->outcomes = arena_calloc(&b->arena, p->message.n_recipients, sizeof(*b->outcomes));
	b->n_outcomes = 0;
	for (size_t i = 0; i < p->message.n_recipients; i++)
		if (p->message.recipients[i].state == STORE_OPEN)
			b->outcomes[b->n_outcomes++] = (struct store_outcome){.recipient = i,
									      .state = STORE_FAILED,
									      .status = status,
									      .detail = detail};
	b->completion = (struct store_completion){.key = p->key,
						  .fence = p->fence,
						  .outcomes = b->outcomes,
						  .n_outcomes = b->n_outcomes};
}

static void on_taken(void *arg, int result, const struct store_parcel *p, size_t n)
{
	struct gateway_bounce *b = arg;
	const struct config_file *f = b->g->file;
	struct send_notice_env env = {.store = b->g->store};
	struct send_notice_attempt attempt;

	b->ticket = 0;
	if (result < 0) {
		finish(b, result);
		return;
	}
	if (n == 0) {
		b->busy++;
		next(b);
		return;
	}
	set_outcomes(b, p);
	snprintf(b->postmaster, sizeof(b->postmaster), "postmaster@%s", b->g->hostname);
	env.settings = (struct send_notice_settings){
		.hostname = b->g->hostname,
		.postmaster = f->postmaster != NULL ? f->postmaster : b->postmaster,
		.full_max = (uint64_t)f->limits.message_size,
	};
	attempt = (struct send_notice_attempt){.parcel = p,
					       .outcomes = b->outcomes,
					       .n_outcomes = b->n_outcomes,
					       .now = io_unix_now()};
	b->notice = send_notice_new(&env, &attempt, on_notice, b);
	if (b->notice == NULL)
		record(b, NULL, NULL);
}

static void on_listed(void *arg, int result, const struct store_parcel *p, size_t n)
{
	struct gateway_bounce *b = arg;

	b->ticket = 0;
	b->at = 0;
	b->n = n < AT_ONCE ? n : AT_ONCE;
	for (size_t i = 0; i < b->n; i++)
		b->after = b->keys[i] = p[i].key;
	if (result < 0 || n == 0)
		finish(b, result);
	else
		next(b);
}

static void next(struct gateway_bounce *b)
{
	if (b->at < b->n)
		b->ticket = store_take(b->g->store, b->keys[b->at++], io_unix_now(),
				       usec_seconds(GATEWAY_BOUNCE_LEASE), on_taken, b);
	else
		b->ticket = store_list(b->g->store, &b->filter, b->after, AT_ONCE, on_listed, b);
}

struct gateway_bounce *gateway_bounce_new(struct gateway *g, const struct store_filter *f,
					  gateway_bounce_fn *fn, void *arg)
{
	struct gateway_bounce *b = xcalloc(1, sizeof(*b));

	b->g = g;
	b->filter = *f;
	/* Not the notices that it makes itself: they fit, too. */
	if (f->arrived_before == 0)
		b->filter.arrived_before = io_unix_now();
	b->fn = fn;
	b->arg = arg;
	b->later = io_timer_new(g->loop, fail_later, b);
	next(b);
	return b;
}

struct gateway_bounce *gateway_bounce_free(struct gateway_bounce *b)
{
	if (b == NULL)
		return NULL;
	if (b->ticket != 0)
		store_forget(b->g->store, b->ticket);
	io_timer_free(b->later);
	parcel_done(b);
	free(b);
	return NULL;
}
