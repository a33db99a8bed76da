/*
 * Time as a value: microseconds, signed. Monotonic time drives deadlines, Unix time stands in
 * records and reports; a name says which. Nothing here or in core/ reads a clock: it is handed in.
 */
#pragma once

#include "base/base.h"

typedef int64_t usec_t;

#define USEC_PER_SEC ((usec_t)1000000)
#define USEC_NEVER   INT64_MAX

static inline usec_t usec_seconds(int64_t seconds)
{
	return seconds * USEC_PER_SEC;
}

/* The sum, or USEC_NEVER where either is that or the sum would pass it. */
static inline usec_t usec_add(usec_t a, usec_t b)
{
	usec_t sum;

	if (a == USEC_NEVER || b == USEC_NEVER || __builtin_add_overflow(a, b, &sum))
		return USEC_NEVER;
	return sum;
}

static inline usec_t usec_min(usec_t a, usec_t b)
{
	return a < b ? a : b;
}
