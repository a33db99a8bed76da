/* Dynamic updates (RFC 2136) as octets: the signed message, and what its answer means. Pure. */
#pragma once

#include "edge/publish/publish.h"
#include "edge/publish/tsig.h"

struct publish_update {
	struct buf wire;
	struct publish_mac mac;
	uint16_t id;
};

/*
 * The change as one update, which a server does whole or not at all: every RRset is deleted, then
 * the records are added. Prerequisites:
 * - a guarded RRset is as it was (2.4.1-2.4.3); where a CNAME was not and shall be, the name is
 *   not in use at all (2.4.5);
 * - no CNAME where other records are added: a server would drop these silently (3.4.2.2).
 * The change is one that publish_check has found good. -EMSGSIZE: more than a message holds. In
 * both cases publish_update_done frees it.
 */
int publish_update_build(const struct publish_change *change, const struct publish_key *key,
			 uint16_t id, int64_t now, struct publish_update *ret) _mustcheck_;
void publish_update_done(struct publish_update *u);

/*
 * What an answer means. Only one with a good signature is believed, be it yes or no: whoever can
 * write on the wire could else have us think that a record is there, or try for ever. SERVFAIL
 * tells nothing: a server that forwards updates may say so of one that was done.
 */
struct publish_verdict {
	enum publish_outcome outcome; /* never NOT_SENT */
	char words[PUBLISH_WORDS_MAX];
};
void publish_update_judge(const struct publish_update *u, const struct publish_key *key,
			  struct span answer, int64_t now, struct publish_verdict *ret);
