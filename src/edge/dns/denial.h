/*
 * Proofs that something is not there: NSEC (RFC 4035 section 5.4, RFC 6840 section 4) and NSEC3
 * (RFC 5155 section 8). Arithmetic on records whose signatures have been verified by the caller;
 * no signature is looked at here.
 *
 * Bounded: records of one NSEC3 parameter set only (the first one's), at most
 * DNS_DENIAL_RECORDS_MAX of each kind, no hash of more than DNS_DENIAL_ITERATIONS_MAX iterations
 * (RFC 9276 section 3.2), one hash for each label of the name.
 */
#pragma once

#include "edge/dns/message.h"

enum {
	DNS_DENIAL_RECORDS_MAX = 64,
	DNS_DENIAL_ITERATIONS_MAX = 150,
	DNS_HASH_SIZE = 20,
};

enum dns_proof {
	DNS_PROOF_HOLDS,
	/* The proof goes through an opt-out span: insecure (RFC 5155 section 9.2; matrix V13). */
	DNS_PROOF_OPTOUT,
	/* More iterations than validators do: insecure to them (V14). */
	DNS_PROOF_ITERATIONS,
	/* It does not hold: */
	DNS_PROOF_NO_RECORDS,       /* no NSEC or NSEC3 record at all */
	DNS_PROOF_NAME_NOT_COVERED, /* no record covers the name (or, NSEC3, the next closer) */
	DNS_PROOF_NO_ENCLOSER,      /* NSEC3: no closest encloser is matched */
	DNS_PROOF_WILDCARD,         /* no record shows that no wildcard applies */
	DNS_PROOF_TYPE_EXISTS,      /* the record says that the type is there */
	DNS_PROOF_ALIAS_EXISTS,     /* it says that a CNAME is there (V9) */
	DNS_PROOF_NAME_EXISTS,      /* NXDOMAIN, and a record says that the name is there */
	DNS_PROOF_ANCESTOR,         /* a record from above a zone cut or DNAME (V10, V11) */
	DNS_PROOF_NOT_DELEGATED,    /* no NS bit: this is no unsigned delegation (V12) */
};

/* The words after "the denial does not hold: "; for the first three a sentence of their own. */
const char *dns_proof_to_text(enum dns_proof p);
static inline bool dns_proof_is_good(enum dns_proof p)
{
	return p <= DNS_PROOF_ITERATIONS;
}

struct dns_denial {
	struct span zone; /* wire, lower case */
	size_t n_nsec, n_nsec3;
	struct {
		struct span owner;
		struct dns_nsec nsec;
	} nsec[DNS_DENIAL_RECORDS_MAX];
	struct {
		uint8_t hash[DNS_HASH_SIZE];
		struct dns_nsec3 nsec3;
	} nsec3[DNS_DENIAL_RECORDS_MAX];
	bool too_many_iterations;
};

/* `zone` stays the caller's, as the records do. */
void dns_denial_init(struct dns_denial *d, struct span zone);
/* Takes in an NSEC or NSEC3 record; others, foreign and malformed ones are passed over. */
void dns_denial_add(struct dns_denial *d, const struct dns_rr *rr);

/* Names as wire, any case. There is no such name. */
enum dns_proof dns_denial_nxdomain(const struct dns_denial *d, struct span name);
/* The name (or a wildcard for it) is there, the type is not. */
enum dns_proof dns_denial_nodata(const struct dns_denial *d, struct span name, uint16_t type);
/* No DS at `name`, and it is delegated (NS bit, or opt-out): the zone below is insecure. */
enum dns_proof dns_denial_delegation(const struct dns_denial *d, struct span name);
/* An answer from a wildcard (its signature has `labels` labels): nothing closer is there. */
enum dns_proof dns_denial_wildcard(const struct dns_denial *d, struct span name, unsigned labels);

/* --- names on the wire -------------------------------------------------------------------------
 */

/* Canonical order (RFC 4034 section 6.1): <0, 0, >0. */
int dns_wire_compare(struct span a, struct span b);
/* Without the root. */
unsigned dns_wire_labels(struct span name);
/* Whether `name` is `zone` or below it. */
bool dns_wire_is_below(struct span name, struct span zone);
/* The name without its first `n` labels. */
struct span dns_wire_parent(struct span name, unsigned n);

/* SHA-1 with iterations (RFC 5155 section 5); -E2BIG above the limit. */
int dns_nsec3_hash(struct span name, const struct dns_nsec3 *parameters, uint8_t ret[DNS_HASH_SIZE])
	_mustcheck_;
