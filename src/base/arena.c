#include "base/arena.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdio.h>

struct arena_chunk {
	struct arena_chunk *next;
	size_t used;
	size_t room;
	alignas(max_align_t) uint8_t bytes[];
};

enum {
	CHUNK = 4096 - sizeof(struct arena_chunk)
};

void arena_done(struct arena *a)
{
	struct arena_chunk *c = a->chunks;

	while (c != NULL) {
		struct arena_chunk *next = c->next;

		free(c);
		c = next;
	}
	*a = (struct arena){0};
}

static struct arena_chunk *chunk_new(size_t size)
{
	size_t room = size > CHUNK ? size : CHUNK;
	struct arena_chunk *c;

	require(room <= SIZE_MAX - sizeof(*c));
	c = xmalloc(sizeof(*c) + room);
	*c = (struct arena_chunk){.room = room};
	return c;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_chunk *c = a->chunks;
	size_t align = alignof(max_align_t);
	void *p;

	require(size <= SIZE_MAX - align);
	size = (size + align - 1) / align * align;
	if (c == NULL || c->room - c->used < size) {
		c = chunk_new(size);
		c->next = a->chunks;
		a->chunks = c;
	}
	p = c->bytes + c->used;
	c->used += size;
	a->used += size;
	return memset(p, 0, size);
}

void *arena_calloc(struct arena *a, size_t n, size_t size)
{
	size_t total;

	require(!__builtin_mul_overflow(n, size, &total));
	return arena_alloc(a, total);
}

char *arena_text(struct arena *a, struct span s)
{
	char *copy = arena_alloc(a, s.n + 1);

	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	return copy;
}

struct span arena_dup(struct arena *a, struct span s)
{
	return span_of(arena_text(a, s), s.n);
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_text(a, span_text(s));
}

const char *arena_keep(struct arena *a, const char *s)
{
	return s != NULL ? arena_strdup(a, s) : NULL;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
	va_list args;
	char *text, *copy;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	require(n >= 0);
	copy = arena_text(a, span_of(text, (size_t)n));
	free(text);
	return copy;
}
