/*
 * `daneway queue bounce`: returns what fits a filter to its senders, parcel by parcel: each is
 * taken under a lease (held or not, due or not), its open recipients fail, and the notice that is
 * due (jobs/send/notice.h) is recorded with that or not at all. What is being delivered at the
 * moment is left alone and counted.
 */
#pragma once

#include "main/gateway/gateway.h"

enum {
	GATEWAY_BOUNCE_LEASE = 300, /* seconds for one parcel */
};

struct gateway_bounce;

/* `result`: 0, or the store's error, with what was done before. Once; free it in there or later. */
typedef void gateway_bounce_fn(void *arg, int result, uint64_t returned, uint64_t busy);

/* `f`: its strings live until the end. */
struct gateway_bounce *gateway_bounce_new(struct gateway *g, const struct store_filter *f,
					  gateway_bounce_fn *fn, void *arg);
/* Also before the end: the parcel that it is at stays as it was, or is returned. */
struct gateway_bounce *gateway_bounce_free(struct gateway_bounce *b);
