/*
 * Why a TLSA record does not match the certificates that a server sends, and the record that
 * would. The mistakes of matrix sections 17a and 18, found by trying what their makers did.
 */
#pragma once

#include "core/dane/tlsa.h"
#include "edge/tls/cert.h"

enum check_cause {
	CHECK_CAUSE_MATCHES,     /* it does match by itself */
	CHECK_CAUSE_EMPTY_INPUT, /* the hash of nothing: U13 */
	CHECK_CAUSE_SELECTOR, /* the hash of the key under selector 0, or of the certificate under 1
			       */
	CHECK_CAUSE_MATCHING, /* right bytes, wrong matching type */
	CHECK_CAUSE_EE_HOLDS_CA,   /* usage 3 with an issuer's hash: C12, U14 */
	CHECK_CAUSE_TA_HOLDS_LEAF, /* usage 2 with the server's own hash: C20, U14 */
	CHECK_CAUSE_PEM,           /* the hash of the PEM text */
	CHECK_CAUSE_SHA1,          /* a SHA-1 hash, which TLSA does not have */
	CHECK_CAUSE_HEX_TEXT,      /* the hash of the hash written in hexadecimal */
	CHECK_CAUSE_DIGIT,         /* one or two hexadecimal digits differ */
	CHECK_CAUSE_PKIX_USAGE,    /* usage 0 or 1, the rest right: as 2 or 3 it would match */
	CHECK_CAUSE_AGILITY,   /* matches, but a stronger digest is published and does not: G1 */
	CHECK_CAUSE_TA_ABSENT, /* usage 2, and no certificate that is sent fits: C14, B6 */
	CHECK_CAUSE_OTHER_KEY, /* of another certificate or key: an old one, most likely */
};

struct check_diagnosis {
	enum check_cause cause;
	const char *sentence; /* for people: what the record holds */
	const char *as;       /* the same data in a record that would match, or NULL */
};

/*
 * One record against one chain. Strings live in the arena. `aside`: set aside by digest agility.
 */
struct check_diagnosis check_diagnose(const struct dane_tlsa *record, bool aside,
				      const struct tls_chain *chain, struct arena *a);
