/*
 * Threads of the store, and the two kinds of mailbox: requests to one worker, answers to the loop.
 * No other lock is held anywhere in the store. Signals stay with the threads that were there
 * before.
 */
#pragma once

#include "base/base.h"

struct store_op;
struct store_worker;
struct store_answers;

/* Gets all that waits, in order, as a list by `next`; what it is given it posts or pushes on. */
typedef void store_work_fn(void *arg, struct store_op *list);

struct store_worker *store_worker_new(store_work_fn *fn, void *arg);
/* Runs what was pushed, then ends the thread. */
struct store_worker *store_worker_free(struct store_worker *w);
void store_worker_push(struct store_worker *w, struct store_op *op);

struct store_answers *store_answers_new(void);
struct store_answers *store_answers_free(struct store_answers *a);
/* Readable while there are answers. */
int store_answers_fd(const struct store_answers *a);
/* A list, in order; wakes the loop once. */
void store_answers_post(struct store_answers *a, struct store_op *first, struct store_op *last);
/* All of them, in order. */
struct store_op *store_answers_take(struct store_answers *a);
