/* What a publisher is made of. Only for edge/publish. */
#pragma once

#include "edge/publish/publish.h"

struct publish_ops {
	/* Sizes of what begins with a struct publish, and with a struct publish_task. */
	size_t publisher_size, task_size;
	/*
	 * Begins with the change; ends by publish_finish from the loop, or by publish_finish_soon
	 * from here.
	 */
	void (*begin)(struct publish_task *t);
	/* Closes what the task has open; it is freed afterwards. Also of one that did not begin. */
	void (*abandon)(struct publish_task *t);
	/* Frees what the publisher owns itself. */
	void (*done)(struct publish *p);
};

struct publish {
	const struct publish_ops *ops;
	struct io_loop *loop;
	struct publish_task *first, *last; /* the first one has begun */
	size_t n;
};

struct publish_task {
	struct publish *by;
	struct publish_task *next, *previous;
	struct arena arena;
	struct publish_change change; /* in the arena */
	publish_fn *fn;
	void *arg;
	bool bad; /* never begins: it is told only why */
	struct io_timer *soon;
	enum publish_outcome outcome; /* of publish_finish_soon, and its words */
	char words[PUBLISH_WORDS_MAX];
};

/* A publisher with nothing in it but its base. */
struct publish *publish_new(const struct publish_ops *ops, struct io_loop *l);

/* Tells the outcome and frees the task. Only from the loop, never from begin. */
void publish_finish(struct publish_task *t, enum publish_outcome outcome, const char *format, ...)
	_printf_(3, 4);
void publish_finish_soon(struct publish_task *t, enum publish_outcome outcome, const char *format,
			 ...) _printf_(3, 4);

/* Whether two pieces of RDATA of that type are the same record. */
bool publish_same_rdata(uint16_t type, struct span a, struct span b);
