/*
 * A cursor over wire data with a sticky error: a parser is a straight line of reads and one check
 * at its end. After a read past the end `failed` stays set and every read gives zero or an empty
 * span; nothing outside the span is ever touched.
 */
#pragma once

#include "base/span.h"

struct cursor {
	struct span in;
	size_t at;
	bool failed;
};

static inline struct cursor cursor_of(struct span in)
{
	return (struct cursor){.in = in};
}

static inline size_t cursor_left(const struct cursor *c)
{
	return c->failed ? 0 : c->in.n - c->at;
}

static inline struct span cursor_take(struct cursor *c, size_t n)
{
	if (n > cursor_left(c)) {
		c->failed = true;
		return span_of(NULL, 0);
	}
	c->at += n;
	return span_of(c->in.p + (c->at - n), n);
}

static inline uint8_t cursor_u8(struct cursor *c)
{
	struct span s = cursor_take(c, 1);

	return s.n == 1 ? s.p[0] : 0;
}

static inline uint16_t cursor_u16(struct cursor *c)
{
	struct span s = cursor_take(c, 2);

	return s.n == 2 ? (uint16_t)(s.p[0] << 8 | s.p[1]) : 0;
}

static inline struct span cursor_rest(struct cursor *c)
{
	return cursor_take(c, cursor_left(c));
}
