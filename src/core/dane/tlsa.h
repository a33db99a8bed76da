/*
 * TLSA records: wire and text, and whether SMTP may use them.
 * RFC 6698 section 2, RFC 7218 (acronyms), RFC 7671 section 9 (digest agility), RFC 7672 section
 * 3.1; matrix sections F (formats), U (usability), G (agility).
 *
 * Everything read keeps what it read: an unusable or truncated record is a value with a reason,
 * because a secure RRset of only unusable records still demands TLS (T2, U12).
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"

enum {
	DANE_USAGE_PKIX_TA = 0,
	DANE_USAGE_PKIX_EE = 1,
	DANE_USAGE_DANE_TA = 2,
	DANE_USAGE_DANE_EE = 3,

	DANE_SELECTOR_CERT = 0,
	DANE_SELECTOR_SPKI = 1,

	DANE_MATCHING_FULL = 0,
	DANE_MATCHING_SHA256 = 1,
	DANE_MATCHING_SHA512 = 2,

	DANE_TLSA_TEXT_MAX = 4 * 65536, /* octets of text that the reader looks at */
};

enum dane_unusable {
	DANE_USABLE,
	DANE_UNUSABLE_TRUNCATED,       /* RDATA shorter than 3 octets: U12 */
	DANE_UNUSABLE_EMPTY,           /* no association data: U11 */
	DANE_UNUSABLE_PKIX_USAGE,      /* usage 0 or 1: U2 */
	DANE_UNUSABLE_USAGE,           /* usage 4-255: U4 */
	DANE_UNUSABLE_SELECTOR,        /* U5 */
	DANE_UNUSABLE_MATCHING,        /* U6 */
	DANE_UNUSABLE_DIGEST_LENGTH,   /* U7 */
	DANE_UNUSABLE_NOT_CERTIFICATE, /* matching 0, selector 0, not one DER certificate: U9 */
	DANE_UNUSABLE_NOT_KEY,         /* matching 0, selector 1, not one DER public key: U10 */
};

/* A short phrase for people ("unknown selector"); NULL for DANE_USABLE. */
const char *dane_unusable_to_string(enum dane_unusable why);

struct dane_tlsa {
	uint8_t usage, selector, matching; /* zero when truncated */
	struct span data;                  /* certificate association data */
	struct span rdata;                 /* the whole, as read */
};

/* Never fails: what is too short is kept as it is. Spans point into `rdata`. */
struct dane_tlsa dane_tlsa_from_wire(struct span rdata);

/*
 * Strict reader of the text of one record's RDATA (F8-F13, F16): "3 1 1 ab cd", parentheses,
 * comments, acronyms in any case, "TYPE52 \# 35 0301..." and "\# 35 0301...". A whole zone-file
 * line ("_25._tcp.mx.example. 3600 IN TLSA 3 1 1 ...") is accepted too; its owner is ignored.
 * -EINVAL with the reason and the column. Bytes live in the arena.
 */
int dane_tlsa_from_text(struct arena *a, const char *text, struct dane_tlsa *ret, struct err *e)
	_mustcheck_;

/* The same for text that is not NUL-terminated; a NUL octet in it is an error. */
int dane_tlsa_from_span(struct arena *a, struct span text, struct dane_tlsa *ret, struct err *e)
	_mustcheck_;

/* One field alone, as an option names it: a decimal of 0 to 255 or its RFC 7218 acronym. */
enum dane_tlsa_field {
	DANE_TLSA_USAGE,
	DANE_TLSA_SELECTOR,
	DANE_TLSA_MATCHING,
};
bool dane_tlsa_field_from_text(enum dane_tlsa_field field, const char *word, uint8_t *ret)
	_mustcheck_;

/*
 * "3 1 1 0123..."; "\# 2 0301" for what is too short to have fields, "\# 3 030101" for what has
 * no data. dane_tlsa_from_text reads it back to the same octets (F19).
 */
const char *dane_tlsa_to_text(struct arena *a, const struct dane_tlsa *r);

/*
 * Section U by form alone. Matching type 0 that passes here still needs a look at its DER (U9,
 * U10), which core cannot take: dane_tlsa_wants_der() says so, edge/tls answers.
 */
enum dane_unusable dane_tlsa_usability(const struct dane_tlsa *r);
bool dane_tlsa_wants_der(const struct dane_tlsa *r);

/*
 * Digest agility (RFC 7671 section 9; G1-G5): for each usage and selector only the strongest
 * digest counts; Full(0) always does. `usable[i]` in, `aside[i]` out: usable, but set aside.
 */
void dane_tlsa_agility(const struct dane_tlsa *records, const bool *usable, size_t n, bool *aside);
