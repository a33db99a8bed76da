/*
 * Between the loop's side (store.c, body.c), the threads (worker.h) and the engine (sqlite.h).
 *
 * A request is one `struct store_op`. It belongs to the loop until it is pushed to a worker, to
 * that worker until it is posted, then to the loop again. Only `pending` and `forgotten` are the
 * loop's all the time.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "edge/store/store.h"
#include "edge/store/worker.h"

enum store_kind {
	STORE_OP_ENQUEUE,
	STORE_OP_HOPS,
	STORE_OP_CLAIM,
	STORE_OP_EXTEND,
	STORE_OP_RELEASE,
	STORE_OP_COMPLETE,
	STORE_OP_ACT,
	STORE_OP_LIST,
	STORE_OP_COUNT,
	STORE_OP_BODY_OPEN,
	STORE_OP_BODY_READ,
	STORE_OP_FILE_WRITE,
	STORE_OP_FILE_DROP,
};

/* A body that is being written to a file. The files' worker alone touches it. */
struct store_file {
	struct store_id name;
	int fd;    /* -1: not yet made */
	int error; /* the first one */
};

/* The bytes of a message on the way in: in memory or in a file. */
struct store_bytes {
	struct buf memory;
	struct store_file *file; /* or NULL */
	uint64_t size;
};

struct store_op {
	struct store_op *next;             /* in a worker's list, or the list of answers */
	struct store_op *before, *pending; /* the loop's list of what has no answer yet */
	uint64_t ticket;
	bool forgotten;
	enum store_kind kind;
	struct arena arena; /* what it was given, and what it found */
	int result;
	union {
		store_done_fn *done;
		store_hops_fn *hops;
		store_parcels_fn *parcels;
		store_body_fn *body;
		store_counts_fn *counts;
	} fn;
	void *arg;

	/* Given. */
	struct store_message message; /* enqueue, complete: id.text[0] == 0: none */
	struct store_bytes bytes;
	const char *hop; /* claim: NULL: the parcel `key` alone */
	size_t skip, max;
	usec_t now, until;
	uint64_t key, fence;
	struct store_completion completion;
	enum store_action action;
	struct store_filter filter;
	uint64_t offset;
	struct store_reading *reading;
	/* Found. */
	struct store_hop *hops;
	struct store_parcel *parcels;
	size_t n;
	usec_t next_due;
	struct store_counts counts;
	/* Between engine and worker. */
	bool again;                     /* one slice is done; more is to do */
	uint64_t done;                  /* parcels so far, `key` being the last of them */
	uint64_t slice_done, slice_key; /* so, once the slice at hand is committed */
	char **unlink; /* names of body files to remove once it is committed; in the arena */
	size_t n_unlink;
};

struct store_reading {
	struct store *store;
	uint64_t ticket; /* of the read that runs, or 0 */
	bool closed;     /* freed while one runs */
	int fd;          /* -1: all is in `window` */
	uint64_t size;
	uint64_t offset; /* of the window */
	uint8_t *window;
	size_t n;
};

struct store_engine;

struct store {
	struct io_loop *loop;
	struct io_watch *watch;
	struct store_engine *engine;
	uint64_t body_max;
	uint64_t next_ticket;
	struct store_op *pending; /* newest first */
	size_t n_pending;
	struct store_worker *writer, *reader, *files;
	struct store_answers *answers;
};

struct store_op *store_op_new(struct store *s, enum store_kind kind, void *arg);
void store_op_free(struct store_op *op);
/* Hands it to a worker; from then on it has a ticket, which is returned. */
uint64_t store_op_push(struct store *s, struct store_worker *w, struct store_op *op);
/* body.c: answers of its own requests. */
void store_body_answer(struct store_op *op, bool closing);
void store_reading_answer(struct store_op *op, bool closing);
/* Takes the bytes out of a body and frees it. Negative errno: it had failed (and is freed). */
int store_body_take(struct store_body *b, struct store_bytes *ret);
