/* HMAC (RFC 2104) by OpenSSL, for signatures with a shared secret. */
#pragma once

#include "base/span.h"

enum tls_digest {
	TLS_SHA256,
	TLS_SHA512,
};

enum {
	TLS_HMAC_MAX = 64, /* octets */
};

/* `ret` has room for TLS_HMAC_MAX octets. Returns how many were written: 32 or 64. */
size_t tls_hmac(enum tls_digest digest, struct span key, struct span data, uint8_t *ret);
/* In a time that does not depend on where the two differ. */
bool tls_hmac_equal(struct span a, struct span b);
