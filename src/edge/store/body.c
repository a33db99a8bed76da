#include "edge/store/internal.h"

#include <errno.h>
#include <unistd.h>

struct store_body {
	struct store *store;
	struct store_bytes bytes;
	uint64_t pending; /* octets on the way to the file */
	size_t n_writes;  /* requests on the way: it lives until they are answered */
	int error;
	uint64_t max; /* octets, 0: no limit */
	bool waiting; /* `drained` is owed */
	bool closed;
	io_fn *drained;
	void *arg;
};

struct store_body *store_body_begin(struct store *s, io_fn *drained, void *arg)
{
	struct store_body *b = xcalloc(1, sizeof(*b));

	b->store = s;
	b->max = s->body_max;
	b->drained = drained;
	b->arg = arg;
	buf_init(&b->bytes.memory, STORE_BODY_MEMORY);
	return b;
}

void store_body_no_limit(struct store_body *b)
{
	b->max = 0;
}

uint64_t store_body_size(const struct store_body *b)
{
	return b->bytes.size;
}

/* What is in memory goes to the file; memory is empty again. */
static void spill(struct store_body *b)
{
	struct store_op *op = store_op_new(b->store, STORE_OP_FILE_WRITE, b);

	if (b->bytes.file == NULL) {
		b->bytes.file = xcalloc(1, sizeof(*b->bytes.file));
		b->bytes.file->fd = -1;
		b->bytes.file->name = store_id_new(io_unix_now());
	}
	op->bytes.file = b->bytes.file;
	op->bytes.memory = b->bytes.memory;
	buf_init(&b->bytes.memory, STORE_BODY_MEMORY);
	b->pending += op->bytes.memory.n;
	b->n_writes++;
	store_op_push(b->store, b->store->files, op);
}

int store_body_append(struct store_body *b, struct span bytes)
{
	if (b->error == 0 && b->max > 0 && bytes.n > b->max - b->bytes.size)
		b->error = -EMSGSIZE;
	if (b->error == 0 && b->pending > 4 * (uint64_t)STORE_BODY_PENDING)
		b->error = -ENOBUFS;
	if (b->error < 0)
		return b->error;
	while (bytes.n > 0) {
		size_t room = STORE_BODY_MEMORY - b->bytes.memory.n;
		size_t n = bytes.n < room ? bytes.n : room;

		require(buf_add(&b->bytes.memory, bytes.p, n) == 0);
		b->bytes.size += n;
		bytes = span_skip(bytes, n);
		/* A body of exactly that size stays in memory. */
		if (bytes.n > 0)
			spill(b);
	}
	b->waiting = b->pending > STORE_BODY_PENDING;
	return b->waiting ? 1 : 0;
}

static void bytes_drop(struct store *s, struct store_bytes *bytes)
{
	struct store_op *op;

	buf_done(&bytes->memory);
	if (bytes->file == NULL)
		return;
	op = store_op_new(s, STORE_OP_FILE_DROP, NULL);
	op->bytes.file = TAKE(bytes->file);
	store_op_push(s, s->files, op);
}

struct store_body *store_body_free(struct store_body *b)
{
	if (b == NULL)
		return NULL;
	bytes_drop(b->store, &b->bytes);
	b->closed = true;
	if (b->n_writes == 0)
		free(b);
	return NULL;
}

int store_body_take(struct store_body *b, struct store_bytes *ret)
{
	int error = b->error;

	if (error == 0) {
		if (b->bytes.file != NULL)
			spill(b);
		*ret = b->bytes;
		b->bytes = (struct store_bytes){.size = 0};
	}
	store_body_free(b);
	return error;
}

void store_body_answer(struct store_op *op, bool closing)
{
	struct store_body *b = op->arg;
	bool tell;

	if (b == NULL)
		return; /* a file dropped */
	b->n_writes--;
	b->pending -= op->bytes.memory.n;
	if (op->result < 0 && b->error == 0)
		b->error = op->result;
	if (b->closed) {
		if (b->n_writes == 0)
			free(b);
		return;
	}
	tell = b->waiting && (b->error < 0 || b->pending <= STORE_BODY_PENDING / 2);
	if (!tell || closing)
		return;
	b->waiting = false;
	if (b->drained != NULL)
		b->drained(b->arg);
}

/* -------- on the way out */

uint64_t store_body_open(struct store *s, uint64_t key, store_body_fn *fn, void *arg)
{
	struct store_op *op = store_op_new(s, STORE_OP_BODY_OPEN, arg);

	op->fn.body = fn;
	op->key = key;
	return store_op_push(s, s->reader, op);
}

uint64_t store_reading_size(const struct store_reading *r)
{
	return r->size;
}

struct span store_reading_at(const struct store_reading *r, uint64_t offset)
{
	/* While a fetch runs the window is the reader's. */
	if (r->ticket != 0 || offset < r->offset || offset >= r->offset + r->n)
		return span_of(NULL, 0);
	return span_of(r->window + (offset - r->offset), r->n - (size_t)(offset - r->offset));
}

uint64_t store_body_read(struct store_reading *r, uint64_t offset, store_done_fn *fn, void *arg)
{
	struct store_op *op = store_op_new(r->store, STORE_OP_BODY_READ, arg);

	require(r->ticket == 0);
	op->fn.done = fn;
	op->reading = r;
	op->offset = offset;
	r->ticket = store_op_push(r->store, r->store->reader, op);
	return r->ticket;
}

struct store_reading *store_reading_free(struct store_reading *r)
{
	if (r == NULL)
		return NULL;
	if (r->ticket != 0) {
		store_forget(r->store, r->ticket);
		r->closed = true;
		return NULL;
	}
	if (r->fd >= 0)
		close(r->fd);
	free(r->window);
	free(r);
	return NULL;
}

void store_reading_answer(struct store_op *op, bool closing)
{
	struct store_reading *r = op->reading;

	r->ticket = 0;
	if (r->closed)
		store_reading_free(r);
	else if (!op->forgotten && !closing)
		op->fn.done(op->arg, op->result);
}
