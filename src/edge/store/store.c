#include "edge/store/store.h"

#include <errno.h>
#include <string.h>

#include "edge/store/internal.h"
#include "edge/store/sqlite.h"

struct store_op *store_op_new(struct store *s, enum store_kind kind, void *arg)
{
	struct store_op *op = xcalloc(1, sizeof(*op));

	(void)s;
	op->kind = kind;
	op->arg = arg;
	return op;
}

void store_op_free(struct store_op *op)
{
	buf_done(&op->bytes.memory);
	/* Of the others it is the body's. */
	if (op->kind == STORE_OP_ENQUEUE || op->kind == STORE_OP_COMPLETE)
		free(op->bytes.file);
	arena_done(&op->arena);
	free(op);
}

uint64_t store_op_push(struct store *s, struct store_worker *w, struct store_op *op)
{
	op->ticket = ++s->next_ticket;
	op->pending = s->pending;
	if (s->pending != NULL)
		s->pending->before = op;
	s->pending = op;
	if (s->n_pending++ == 0)
		io_watch_set(s->watch, IO_READ);
	store_worker_push(w, op);
	return s->next_ticket;
}

static void unlink_pending(struct store *s, struct store_op *op)
{
	if (op->before != NULL)
		op->before->pending = op->pending;
	else
		s->pending = op->pending;
	if (op->pending != NULL)
		op->pending->before = op->before;
	if (--s->n_pending == 0)
		io_watch_set(s->watch, 0);
}

void store_forget(struct store *s, uint64_t ticket)
{
	struct store_op *op = s->pending;

	while (op != NULL && op->ticket > ticket)
		op = op->pending;
	if (op != NULL && op->ticket == ticket)
		op->forgotten = true;
}

static void opened(struct store *s, struct store_op *op, bool wanted)
{
	struct store_reading *r = TAKE(op->reading);

	if (r != NULL)
		r->store = s;
	if (wanted)
		op->fn.body(op->arg, op->result, r);
	else
		store_reading_free(r);
}

/* The caller's function, unless he has forgotten it or the store is closing. */
static void answer(struct store *s, struct store_op *op, bool closing)
{
	bool wanted = !op->forgotten && !closing;
	bool ok = op->result >= 0;

	switch (op->kind) {
	case STORE_OP_FILE_WRITE:
	case STORE_OP_FILE_DROP:
		store_body_answer(op, closing);
		break;
	case STORE_OP_BODY_READ:
		store_reading_answer(op, closing);
		break;
	case STORE_OP_BODY_OPEN:
		opened(s, op, wanted);
		break;
	case STORE_OP_HOPS:
		if (wanted)
			op->fn.hops(op->arg, op->result, op->hops, ok ? op->n : 0, op->next_due);
		break;
	case STORE_OP_CLAIM:
	case STORE_OP_LIST:
		if (wanted)
			op->fn.parcels(op->arg, op->result, op->parcels, ok ? op->n : 0);
		break;
	case STORE_OP_COUNT:
		if (wanted)
			op->fn.counts(op->arg, op->result, &op->counts);
		break;
	case STORE_OP_ENQUEUE:
	case STORE_OP_EXTEND:
	case STORE_OP_RELEASE:
	case STORE_OP_COMPLETE:
	case STORE_OP_ACT:
		if (wanted && op->fn.done != NULL)
			op->fn.done(op->arg, op->result);
		break;
	}
}

static void take_answers(struct store *s, bool closing)
{
	struct store_op *list = store_answers_take(s->answers);

	while (list != NULL) {
		struct store_op *op = list;

		list = op->next;
		unlink_pending(s, op);
		answer(s, op, closing);
		store_op_free(op);
	}
}

static void on_answers(void *arg, unsigned ready)
{
	(void)ready;
	take_answers(arg, false);
}

static void post_list(struct store *s, struct store_op *first)
{
	struct store_op *last = first;

	while (last != NULL && last->next != NULL)
		last = last->next;
	store_answers_post(s->answers, first, last);
}

static void write_some(void *arg, struct store_op *list)
{
	struct store *s = arg;

	while (list != NULL) {
		struct store_op *done = store_sqlite_write(s->engine, &list);

		while (done != NULL) {
			struct store_op *op = done;

			done = op->next;
			if (op->again)
				store_worker_push(s->writer, op);
			else
				store_answers_post(s->answers, op, op);
		}
		store_sqlite_tidy(s->engine);
	}
}

static void read_some(void *arg, struct store_op *list)
{
	struct store *s = arg;

	for (struct store_op *op = list; op != NULL; op = op->next)
		store_sqlite_read(s->engine, op);
	post_list(s, list);
}

/* One at a time: a large file must not keep the answers to the others. */
static void file_some(void *arg, struct store_op *list)
{
	struct store *s = arg;

	while (list != NULL) {
		struct store_op *op = list;

		list = op->next;
		op->next = NULL;
		store_sqlite_file(s->engine, op);
		if (op->result == 0 &&
		    (op->kind == STORE_OP_ENQUEUE || op->kind == STORE_OP_COMPLETE))
			store_worker_push(s->writer, op);
		else
			store_answers_post(s->answers, op, op);
	}
}

int store_open(const struct store_options *o, struct io_loop *loop, struct store **ret,
	       struct err *e)
{
	struct store_engine *engine = NULL;
	struct store *s;
	int r = store_sqlite_open(o, &engine, e);

	if (r < 0)
		return r;
	s = xcalloc(1, sizeof(*s));
	s->loop = loop;
	s->engine = engine;
	s->body_max = o->body_max;
	s->answers = store_answers_new();
	s->watch = io_watch_new(loop, store_answers_fd(s->answers), on_answers, s);
	s->writer = store_worker_new(write_some, s);
	s->reader = store_worker_new(read_some, s);
	s->files = store_worker_new(file_some, s);
	*ret = s;
	return 0;
}

struct store *store_close(struct store *s)
{
	if (s == NULL)
		return NULL;
	/* In this order: the files' worker pushes to the writer. */
	s->files = store_worker_free(s->files);
	s->writer = store_worker_free(s->writer);
	s->reader = store_worker_free(s->reader);
	take_answers(s, true);
	require(s->pending == NULL);
	io_watch_free(s->watch);
	store_answers_free(s->answers);
	store_sqlite_close(s->engine);
	free(s);
	return NULL;
}

struct store_stats store_stats(const struct store *s)
{
	return store_sqlite_stats(s->engine);
}

/* -------- requests */

static const char *copy(struct arena *a, const char *s)
{
	return s == NULL ? NULL : arena_strdup(a, s);
}

/* What is kept of a text from a peer: bounded, and cut between characters. */
static const char *copy_cut(struct arena *a, const char *s)
{
	size_t n;

	if (s == NULL)
		return NULL;
	n = strnlen(s, STORE_TEXT_MAX);
	if (s[n] != '\0')
		while (n > 0 && ((uint8_t)s[n] & 0xc0) == 0x80)
			n--;
	return arena_text(a, span_of(s, n));
}

static void copy_message(struct store_op *op, const struct store_message *m)
{
	struct store_recipient *list;

	op->message = *m;
	op->message.from = copy(&op->arena, m->from);
	op->message.envid = copy(&op->arena, m->envid);
	op->message.origin = copy(&op->arena, m->origin);
	list = arena_calloc(&op->arena, m->n_recipients, sizeof(*list));
	for (size_t i = 0; i < m->n_recipients; i++) {
		list[i] = m->recipients[i];
		list[i].path = copy(&op->arena, m->recipients[i].path);
		list[i].orcpt = copy(&op->arena, m->recipients[i].orcpt);
		/* Neighbours often share it. */
		list[i].hop = i > 0 && strcmp(list[i - 1].hop, m->recipients[i].hop) == 0
				      ? list[i - 1].hop
				      : copy(&op->arena, m->recipients[i].hop);
	}
	op->message.recipients = list;
}

/* Refused here: it goes to the reader, which gives the result back. */
static uint64_t push(struct store *s, struct store_op *op, int error)
{
	bool file = op->bytes.file != NULL;

	if (error == 0 && s->n_pending >= STORE_PENDING_MAX)
		error = -EBUSY;
	op->result = error;
	if (file)
		return store_op_push(s, s->files, op);
	return store_op_push(s, error < 0 ? s->reader : s->writer, op);
}

static int take_message(struct store_op *op, const struct store_message *m, struct store_body *b)
{
	require(store_id_is_valid(m->id.text) && m->n_recipients > 0 &&
		m->n_recipients <= STORE_RECIPIENTS_MAX);
	copy_message(op, m);
	return store_body_take(b, &op->bytes);
}

uint64_t store_enqueue(struct store *s, const struct store_message *m, struct store_body *b,
		       store_done_fn *fn, void *arg)
{
	struct store_op *op = store_op_new(s, STORE_OP_ENQUEUE, arg);

	op->fn.done = fn;
	return push(s, op, take_message(op, m, b));
}

uint64_t store_complete(struct store *s, const struct store_completion *c,
			const struct store_message *notice, struct store_body *body,
			store_done_fn *fn, void *arg)
{
	struct store_op *op = store_op_new(s, STORE_OP_COMPLETE, arg);
	struct store_outcome *list = arena_calloc(&op->arena, c->n_outcomes, sizeof(*list));
	int error = 0;

	op->fn.done = fn;
	op->completion = *c;
	op->completion.evidence = copy(&op->arena, c->evidence);
	op->completion.outcomes = list;
	for (size_t i = 0; i < c->n_outcomes; i++) {
		list[i] = c->outcomes[i];
		list[i].status = copy_cut(&op->arena, c->outcomes[i].status);
		list[i].reply = copy_cut(&op->arena, c->outcomes[i].reply);
		list[i].detail = copy_cut(&op->arena, c->outcomes[i].detail);
	}
	if (notice != NULL)
		error = take_message(op, notice, body);
	return push(s, op, error);
}

uint64_t store_hops(struct store *s, usec_t now, size_t skip, size_t max, store_hops_fn *fn,
		    void *arg)
{
	struct store_op *op = store_op_new(s, STORE_OP_HOPS, arg);

	op->fn.hops = fn;
	op->now = now;
	op->skip = skip;
	op->max = max < STORE_CLAIM_MAX ? max : STORE_CLAIM_MAX;
	op->next_due = USEC_NEVER;
	return push(s, op, 0);
}

uint64_t store_claim(struct store *s, const char *hop, size_t max, usec_t now, usec_t lease,
		     store_parcels_fn *fn, void *arg)
{
	struct store_op *op = store_op_new(s, STORE_OP_CLAIM, arg);

	op->fn.parcels = fn;
	op->hop = copy(&op->arena, hop);
	op->max = max < STORE_CLAIM_MAX ? max : STORE_CLAIM_MAX;
	op->now = now;
	op->until = usec_add(now, lease);
	return push(s, op, 0);
}

uint64_t store_take(struct store *s, uint64_t key, usec_t now, usec_t lease, store_parcels_fn *fn,
		    void *arg)
{
	struct store_op *op = store_op_new(s, STORE_OP_CLAIM, arg);

	op->fn.parcels = fn;
	op->key = key;
	op->max = 1;
	op->now = now;
	op->until = usec_add(now, lease);
	return push(s, op, 0);
}

uint64_t store_extend(struct store *s, uint64_t key, uint64_t fence, usec_t until,
		      store_done_fn *fn, void *arg)
{
	struct store_op *op = store_op_new(s, STORE_OP_EXTEND, arg);

	op->fn.done = fn;
	op->key = key;
	op->fence = fence;
	op->until = until;
	return push(s, op, 0);
}

uint64_t store_release(struct store *s, uint64_t key, uint64_t fence, store_done_fn *fn, void *arg)
{
	struct store_op *op = store_op_new(s, STORE_OP_RELEASE, arg);

	op->fn.done = fn;
	op->key = key;
	op->fence = fence;
	return push(s, op, 0);
}

static void copy_filter(struct store_op *op, const struct store_filter *f)
{
	op->filter = *f;
	op->filter.id = copy(&op->arena, f->id);
	op->filter.hop = copy(&op->arena, f->hop);
	op->filter.from = copy(&op->arena, f->from);
	op->filter.domain = copy(&op->arena, f->domain);
}

uint64_t store_act(struct store *s, enum store_action a, const struct store_filter *f, usec_t now,
		   store_done_fn *fn, void *arg)
{
	struct store_op *op = store_op_new(s, STORE_OP_ACT, arg);

	op->fn.done = fn;
	op->action = a;
	op->now = now;
	copy_filter(op, f);
	return push(s, op, 0);
}

uint64_t store_list(struct store *s, const struct store_filter *f, uint64_t after, size_t max,
		    store_parcels_fn *fn, void *arg)
{
	struct store_op *op = store_op_new(s, STORE_OP_LIST, arg);

	op->fn.parcels = fn;
	op->key = after;
	op->max = max < STORE_CLAIM_MAX ? max : STORE_CLAIM_MAX;
	copy_filter(op, f);
	return store_op_push(s, s->reader, op);
}

uint64_t store_count(struct store *s, usec_t now, store_counts_fn *fn, void *arg)
{
	struct store_op *op = store_op_new(s, STORE_OP_COUNT, arg);

	op->fn.counts = fn;
	op->now = now;
	return store_op_push(s, s->reader, op);
}
