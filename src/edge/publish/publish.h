/*
 * Records into the DNS: one interface, several ways (publishers) behind it.
 *
 * A change says how RRsets shall be: each RRset named is replaced whole, so the same change may be
 * made again and again. What a publisher says of its success is a claim. A change counts when it is
 * read back, signed, from every authoritative server (edge/publish/readback.h); that also decides
 * what an unknown outcome was.
 *
 * One loop owns a publisher. It makes one change at a time, in the order of the calls: two changes
 * of the same RRset never overtake each other. A callback never comes before publish_change
 * returns, comes at most once, and never after publish_cancel or publish_free.
 */
#pragma once

#include "base/arena.h"
#include "edge/dns/message.h"
#include "edge/io/loop.h"

enum {
	PUBLISH_SETS_MAX = 64,      /* RRsets of one change */
	PUBLISH_RECORDS_MAX = 64,   /* records of one RRset */
	PUBLISH_RDATA_MAX = 1024,   /* octets of one record */
	PUBLISH_WAITING_MAX = 1000, /* changes that wait for their turn */
	PUBLISH_WORDS_MAX = 400,
};

/*
 * One RRset of class IN. Types: A, AAAA, CNAME, MX, TLSA, TXT. Names as in core/dane/name.h; names
 * in RDATA uncompressed.
 */
struct publish_set {
	const char *owner; /* the zone's apex or below it */
	uint16_t type;
	uint32_t ttl; /* seconds, below 2^31; of no meaning when n is 0 */
	const struct span *rdata;
	size_t n; /* 0: the RRset shall be gone */
	/*
	 * What must be there now, or nothing is changed at all (TTLs do not count; n_was 0: no such
	 * RRset): so that what another hand has changed in between is not wiped out. A change that
	 * was made, and whose answer was lost, is refused the second time: read back first.
	 */
	bool guarded;
	const struct span *was;
	size_t n_was;
};

struct publish_change {
	const char *zone;
	/*
	 * At most one for each owner and type; one that makes a CNAME is the only one for its
	 * owner: where an alias takes the place of other records, these go by a change of their own
	 * first.
	 */
	const struct publish_set *sets;
	size_t n;
};

enum publish_outcome {
	PUBLISH_APPLIED,  /* the publisher says that it is done */
	PUBLISH_REFUSED,  /* not done, and it will not be by merely trying again */
	PUBLISH_NOT_SENT, /* not done: it was not even asked; may pass */
	PUBLISH_UNKNOWN,  /* done or not: only reading back tells */
};
/* "applied", "refused", "not-sent", "unknown". */
const char *publish_outcome_to_string(enum publish_outcome o);

struct publish_result {
	enum publish_outcome outcome;
	const char *words; /* a sentence, fit to be shown; borrowed */
};
typedef void publish_fn(void *arg, const struct publish_result *result);

struct publish;
struct publish_task;

/* The change is copied. The handle is valid until the callback or the cancel. */
struct publish_task *publish_change(struct publish *p, const struct publish_change *change,
				    publish_fn *fn, void *arg);
/* Nobody waits any more; what was sent may still be done. */
void publish_cancel(struct publish_task *t);
/* Open changes are dropped without a callback. NULL is fine. */
struct publish *publish_free(struct publish *p);

/* -EINVAL with the reason: not a change that any publisher would make. */
int publish_check(const struct publish_change *change, struct err *e) _mustcheck_;
/* "OWNER. TTL IN TYPE RDATA", one line. */
const char *publish_record_to_text(struct arena *a, const struct publish_set *set, size_t i);
/* The same records in any order; names in them by their letters' case as RFC 4343 says. */
bool publish_same_records(uint16_t type, const struct span *a, size_t n, const struct span *b,
			  size_t m);
