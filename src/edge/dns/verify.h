/*
 * DNSSEC's cryptography for the tester (ldns and OpenSSL behind it): DS against DNSKEY, RRSIG
 * against RRset and keys, each with the reason why not.
 *
 * Bounded before any cryptography is done (KeyTrap; matrix V22): signatures and candidate keys of
 * one RRset, and verifications of one run. A key is a candidate for a signature when algorithm and
 * tag agree.
 */
#pragma once

#include "edge/dns/message.h"

enum {
	DNS_VERIFY_SIGNATURES_MAX = 32, /* of one RRset that are looked at */
	DNS_VERIFY_PER_SET_MAX = 16,    /* verifications of one RRset */
	DNS_VERIFY_TOTAL_MAX = 4000,    /* of one run */
	DNS_VERIFY_KEPT = 32,           /* results that are not worked out again */
	DNS_VERIFY_KEYS_MAX = 1024,     /* of one DNSKEY RRset; more are passed over */
};

/* A verification that was done: the same one comes up again (a zone's SOA in each denial). */
struct dns_verified {
	const struct dns_rr *const *rr;
	size_t n;
	const struct dns_rr *signature, *key; /* NULL: an empty place */
	bool good;
};

struct dns_verify {
	unsigned left; /* verifications of this run; starts at DNS_VERIFY_TOTAL_MAX */
	int64_t now;   /* Unix seconds: what dates are judged by */
	/* The last ones. They point to the records given, which must live as long, as their arena.
	 */
	struct dns_verified done[DNS_VERIFY_KEPT];
	size_t next_done;
};

/* Ordered by how near to valid it came. */
enum dns_signature {
	DNS_SIGNATURE_VALID,
	DNS_SIGNATURE_EXPIRED,
	DNS_SIGNATURE_NOT_YET,
	DNS_SIGNATURE_BAD,       /* a key with that tag is there, the signature is not its own */
	DNS_SIGNATURE_KEY_UNFIT, /* the key is no zone key, or is revoked */
	DNS_SIGNATURE_NO_KEY,    /* no such key in the DNSKEY RRset */
	DNS_SIGNATURE_ALGORITHM, /* not known here */
	DNS_SIGNATURE_LABELS,    /* more labels than the owner has */
	DNS_SIGNATURE_SIGNER,    /* another zone signed */
	DNS_SIGNATURE_MALFORMED,
	DNS_SIGNATURE_LIMIT, /* too many signatures or keys: not verified */
};

struct dns_checked_signature {
	struct dns_rrsig rrsig;
	enum dns_signature result;
};

/* An RRset and what signs it, as pointers into a message. */
struct dns_signed_set {
	const struct dns_rr *const *rr;
	size_t n;
	const struct dns_rr *const *signatures; /* RRSIGs that cover the type, same owner */
	size_t n_signatures;
};

/*
 * Checks every signature of the set against the keys of `zone`. `ret` has room for
 * DNS_VERIFY_SIGNATURES_MAX; returns how many were filled in.
 */
size_t dns_verify_set(struct dns_verify *v, struct arena *a, const struct dns_signed_set *set,
		      const char *zone, const struct dns_rr *const *keys, size_t n_keys,
		      struct dns_checked_signature *ret);

enum dns_ds_match {
	DNS_DS_MATCH,
	DNS_DS_MISMATCH, /* tag and algorithm agree, the digest does not */
	DNS_DS_OTHER,    /* of another key */
	DNS_DS_UNKNOWN,  /* digest type not known here */
};

/* The key and its owner as a record. */
enum dns_ds_match dns_verify_ds(const struct dns_ds *ds, const struct dns_rr *key);
/* The DS (digest type 2) that a parent should have for this key: "TAG ALGORITHM 2 HEX". */
const char *dns_verify_make_ds(struct arena *a, const struct dns_rr *key);

/* Known here; DS with others are as if they were not there (RFC 4035 section 5.2; V3). */
bool dns_algorithm_is_known(uint8_t algorithm);
bool dns_digest_is_known(uint8_t digest_type);
/* "ECDSAP256SHA256 (13)". */
const char *dns_algorithm_to_text(struct arena *a, uint8_t algorithm);

/* Seconds until (positive) or since a date of an RRSIG, serial arithmetic as RFC 4034 3.1.5. */
static inline int64_t dns_date_distance(uint32_t date, int64_t now)
{
	return (int32_t)(date - (uint32_t)now);
}
