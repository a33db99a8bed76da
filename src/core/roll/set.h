/*
 * TLSA sets and what a server shows, as the timetable of key rollover sees them. Plain values: no
 * pointers, copied and compared as they are.
 *
 * Nothing is hashed here. What a certificate chain matches is handed in as the list of all TLSA
 * records that it would match (edge/tls computes it), so "record matches chain" is "the record is
 * in the list". Association data longer than a digest (matching type 0) is given as its SHA-256,
 * here and there: it is only compared.
 */
#pragma once

#include "base/err.h"

enum {
	ROLL_DATA_MAX = 64,  /* octets: SHA2-512 */
	ROLL_SET_MAX = 16,   /* records of one RRset, or that one chain matches */
	ROLL_CHAINS_MAX = 3, /* key types side by side: RSA, ECDSA, Ed25519 */
};

struct roll_record {
	uint8_t usage, selector, matching;
	uint8_t n;                   /* octets of data */
	uint8_t data[ROLL_DATA_MAX]; /* zeros behind them */
};

/* In order and without duplicates: equal sets are equal octet for octet. {0} is the empty set. */
struct roll_set {
	uint8_t n;
	struct roll_record records[ROLL_SET_MAX];
};

/* What a server shows with one configuration: a chain for each key type; a client may get any. */
struct roll_bundle {
	uint64_t id; /* the caller's, not 0 */
	uint8_t n_chains;
	struct roll_set chains[ROLL_CHAINS_MAX]; /* all that each chain matches */
	struct roll_set publish;                 /* the RRset to have while this alone is served */
};

/* -E2BIG: full. -EINVAL: data too long. A duplicate is no error. */
int roll_set_add(struct roll_set *s, uint8_t usage, uint8_t selector, uint8_t matching,
		 const uint8_t *data, size_t n) _mustcheck_;
bool roll_set_has(const struct roll_set *s, const struct roll_record *r);
bool roll_set_eq(const struct roll_set *a, const struct roll_set *b);
/* In order, lengths within bounds, as roll_set_add makes it: for what was read from outside. */
bool roll_set_is_sound(const struct roll_set *s);

/*
 * RFC 7671 section 8, matrix B8, B9, B24: each combination of usage, selector and matching type in
 * the set has a record for each chain of the bundle. So the bundle may be served to whoever holds
 * the set, whatever combinations they know. The empty set fits everything: no DANE.
 */
bool roll_set_fits(const struct roll_set *s, const struct roll_bundle *b);

/* An id, chains, records in order, and something to publish that fits it. */
bool roll_bundle_is_sound(const struct roll_bundle *b);

/* `s` has all records of `old`, and no combination that `old` has not: whatever fits old fits s. */
bool roll_set_extends(const struct roll_set *s, const struct roll_set *old);

/*
 * The set for the time between two bundles (RFC 7671 sections 8.1, 8.2; matrix B10, B14-B16): it
 * fits both, and has only combinations that both can have a record for. Those of a's own set
 * first; where none of these is common, those of b's. -ENOENT: none; -E2BIG.
 */
int roll_set_between(const struct roll_bundle *a, const struct roll_bundle *b, struct roll_set *ret)
	_mustcheck_;
