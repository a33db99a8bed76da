/* What a certificate says of itself, for reports and for the diagnosis of mismatches. */
#pragma once

#include "edge/tls/cert.h"
#include "edge/tls/conn.h"

enum {
	TLS_NAMES_MAX = 100, /* DNS names of a certificate that are reported */
};

struct tls_facts {
	const char *subject, *issuer; /* the common name, else the whole name; printable */
	const char *const *names;     /* DNS-IDs; the CN where there is none (RFC 7672 3.2.3) */
	size_t n_names;
	int64_t not_before, not_after; /* Unix seconds */
	enum tls_key_type key_type;    /* ANY: another kind */
	const char *key;               /* "RSA 2048", "P-256", "Ed25519" */
	bool ca, self_signed;
};

/* `i` < tls_chain_count. Strings live in the arena. */
struct tls_facts tls_chain_facts(const struct tls_chain *c, size_t i, struct arena *a);

/*
 * The bytes that a TLSA record of this selector speaks of: the certificate's or its key's DER. In
 * the arena; empty if it has no readable key.
 */
struct span tls_chain_der(const struct tls_chain *c, size_t i, uint8_t selector, struct arena *a);
/* The same as PEM text, as `openssl x509` and `openssl pkey -pubout` write it. */
struct span tls_chain_pem(const struct tls_chain *c, size_t i, uint8_t selector, struct arena *a);

/* By matching type: the bytes themselves, their SHA-256, their SHA-512; empty for another type. */
struct span tls_digest(uint8_t matching, struct span bytes, struct arena *a);
/* SHA-1: what no TLSA record may hold, and some do. */
struct span tls_sha1(struct span bytes, struct arena *a);
