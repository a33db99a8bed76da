/*
 * A publisher by dynamic updates (RFC 2136) to the zone's primary server, signed with TSIG: over
 * TCP only, so that no size matters and nobody answers who is not on the way.
 *
 * One connection for each change. What fails before the first octet is written was not sent; all
 * that fails later is unknown.
 */
#pragma once

#include "edge/publish/publish.h"
#include "edge/publish/tsig.h"

struct publish_rfc2136 {
	const char *address;           /* of the primary: IPv4 or IPv6 text */
	uint16_t port;                 /* 0: 53 */
	const struct publish_key *key; /* copied */
	usec_t timeout;                /* of one change, all in all; 0: 15 s */
};

struct publish *publish_rfc2136_new(struct io_loop *l, const struct publish_rfc2136 *config);
