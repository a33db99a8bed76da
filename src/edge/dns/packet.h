/* What is read from whole DNS messages. */
#pragma once

#include "core/dane/answer.h"
#include "base/arena.h"

/*
 * The alias chain from the name in the packet's question as far as the answer section goes:
 * fills ret->aliases,
 * with the hops' security as far as ret->security tells it. A synthesized CNAME of a DNAME counts
 * (R19). Bounded by DNS_ALIASES_MAX; a longer chain or a malformed packet is -EBADMSG (R12, R18).
 */
enum {
	DNS_ALIASES_MAX = 32,
};
int dns_packet_aliases(struct arena *a, const void *packet, size_t n, struct dane_answer *ret)
	_mustcheck_;
