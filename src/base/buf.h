/*
 * An owned, growing byte buffer. Its maximum is fixed at birth; an append that would pass it fails
 * with -EMSGSIZE and leaves the buffer as it was. Zero-initialised memory is no buffer: init it.
 */
#pragma once

#include <stdarg.h>

#include "base/base.h"
#include "base/span.h"

struct buf {
	uint8_t *p; /* NULL while empty */
	size_t n;
	size_t room;
	size_t max;
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);
/* Empty again, memory kept. */
void buf_clear(struct buf *b);

/*
 * Room for `n` more bytes: adding them moves nothing. For secrets, of which growth would leave
 * copies behind that nobody wipes.
 */
int buf_reserve(struct buf *b, size_t n) _mustcheck_;

int buf_add(struct buf *b, const void *p, size_t n) _mustcheck_;
int buf_add_text(struct buf *b, const char *text) _mustcheck_;
int buf_printf(struct buf *b, const char *format, ...) _mustcheck_ _printf_(2, 3);
/* Drops the first `n` bytes (n <= b->n). */
void buf_drop(struct buf *b, size_t n);

/* Valid until the buffer changes. */
static inline struct span buf_span(const struct buf *b)
{
	return span_of(b->p, b->n);
}
