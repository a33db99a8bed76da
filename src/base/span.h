/*
 * A span: borrowed bytes. Valid for the call it is passed to, unless the header of the function
 * that returns one says how long it lives. Storing a span without that is a bug.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *p;
	size_t n;
};

static inline struct span span_of(const void *p, size_t n)
{
	return (struct span){.p = p, .n = n};
}

static inline struct span span_text(const char *s)
{
	return span_of(s, strlen(s));
}

static inline bool span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool span_is(struct span a, const char *text)
{
	return span_eq(a, span_text(text));
}

/* ASCII only, by no locale. */
static inline uint8_t ascii_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static inline bool span_is_nocase(struct span a, const char *text)
{
	size_t n = strlen(text);

	if (a.n != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (ascii_lower(a.p[i]) != ascii_lower((uint8_t)text[i]))
			return false;
	return true;
}

/* The rest after the first `n` bytes (all of them at most). */
static inline struct span span_skip(struct span a, size_t n)
{
	if (n > a.n)
		n = a.n;
	return span_of(a.p == NULL ? NULL : a.p + n, a.n - n);
}
