/*
 * TSIG (RFC 8945): messages signed with a shared secret. Pure: octets in, octets out, the time is
 * an argument. By our own hand, HMAC apart: docs/decisions/0050.
 *
 * HMAC-SHA-256 and HMAC-SHA-512, never truncated; other algorithms are refused when the key is
 * read.
 */
#pragma once

#include "base/buf.h"
#include "core/dane/name.h"
#include "edge/tls/hmac.h"

enum {
	PUBLISH_SECRET_MIN = 16, /* octets */
	PUBLISH_SECRET_MAX = 256,
	PUBLISH_KEY_FILE_MAX = 4096,
	/* Seconds by which two clocks may differ (RFC 8945 section 10). */
	PUBLISH_FUDGE = 300,
	/* What a signature adds to a message, at most. */
	PUBLISH_TSIG_MAX = 2 * DANE_NAME_WIRE_MAX + 26 + TLS_HMAC_MAX,
};

/* A secret: never copied about, never shown; publish_key_done wipes it. */
struct publish_key {
	char name[DANE_NAME_TEXT_MAX + 1];
	enum tls_digest digest;
	uint8_t secret[PUBLISH_SECRET_MAX];
	size_t secret_n;
};

/*
 * One key in the form of BIND's files (tsig-keygen): key "NAME" { algorithm hmac-sha256; secret
 * "BASE64"; }; comments as there. -EINVAL with a reason that shows nothing of the secret. Whether
 * the file is private (0600) is the caller's to see, and `text` the caller's to wipe.
 */
int publish_key_parse(struct span text, struct publish_key *ret, struct err *e) _mustcheck_;
void publish_key_done(struct publish_key *k);

struct publish_mac {
	uint8_t octets[TLS_HMAC_MAX];
	size_t n;
};

/*
 * Signs the message in the buffer at Unix time `now` and appends the TSIG record; `ret` is what the
 * answer's signature is bound to. -EMSGSIZE: no room.
 */
int publish_tsig_sign(struct buf *message, const struct publish_key *key, int64_t now,
		      struct publish_mac *ret) _mustcheck_;

enum publish_signature {
	PUBLISH_SIGNATURE_GOOD,
	PUBLISH_SIGNATURE_NONE,      /* no TSIG record at the end */
	PUBLISH_SIGNATURE_EMPTY,     /* one with an error in it, and no signature */
	PUBLISH_SIGNATURE_OTHER_KEY, /* by another key or algorithm */
	PUBLISH_SIGNATURE_BAD,       /* it does not hold */
	PUBLISH_SIGNATURE_TIME,      /* it holds, and was made at another time */
	PUBLISH_SIGNATURE_MALFORMED, /* no DNS message */
};

enum publish_tsig_error {
	PUBLISH_BADSIG = 16,
	PUBLISH_BADKEY = 17,
	PUBLISH_BADTIME = 18,
	PUBLISH_BADTRUNC = 22,
};

struct publish_signed {
	enum publish_signature signature;
	/* Believed only where the signature is GOOD. */
	uint16_t error;      /* of the TSIG record */
	int64_t server_time; /* with BADTIME: the server's clock, Unix seconds; else 0 */
};

/* The answer to a message that was signed with `request`. */
void publish_tsig_verify(struct span wire, const struct publish_key *key,
			 const struct publish_mac *request, int64_t now,
			 struct publish_signed *ret);
