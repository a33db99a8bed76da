/*
 * Memory that dies together: a transaction's or a decision's strings and arrays. Nothing taken
 * from an arena is freed by itself; pointers stay valid until arena_done.
 */
#pragma once

#include "base/base.h"
#include "base/span.h"

struct arena {
	struct arena_chunk *chunks;
	size_t used; /* bytes handed out so far, for limits and reports */
};

/* Zero-initialised memory is an empty arena. */
void arena_done(struct arena *a);

/* Zeroed, aligned for any object. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_calloc(struct arena *a, size_t n, size_t size);
char *arena_strdup(struct arena *a, const char *s);
const char *arena_keep(struct arena *a, const char *s); /* the same; NULL stays NULL */
/* A copy with a NUL behind it that the span does not count. */
struct span arena_dup(struct arena *a, struct span s);
char *arena_text(struct arena *a, struct span s);
char *arena_printf(struct arena *a, const char *format, ...) _printf_(2, 3);
