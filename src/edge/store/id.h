/*
 * The id of a queued message: what stands in its Received field, in the log and in `daneway queue`.
 * 16 characters of an alphabet without vowels (no words) in ASCII order: 8 say the millisecond of
 * the arrival, so that ids sort by time, 8 are random (45 bits), so that they collide on no node
 * and cannot be guessed. Whoever accepts a message makes its id before it is stored: storing it a
 * second time under the same id does nothing.
 */
#pragma once

#include "base/when.h"

enum {
	STORE_ID_LEN = 16,
	STORE_ID_RANDOM = 8, /* random octets that make one */
};

struct store_id {
	char text[STORE_ID_LEN + 1];
};

/* Pure. `unix_usec` before 1970 counts as 1970. */
struct store_id store_id_make(usec_t unix_usec, const uint8_t random[STORE_ID_RANDOM]);
/* The smallest id of that millisecond: a bound for comparisons by age. */
struct store_id store_id_first(usec_t unix_usec);
/* With random octets from the kernel. */
struct store_id store_id_new(usec_t unix_usec);
bool store_id_is_valid(const char *text);
