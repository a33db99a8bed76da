/*
 * Certificates and keys from PEM, and the TLSA records that fit them.
 *
 * A file is read whole up to TLS_PEM_MAX octets. Errors name the path and the reason: -ENOENT and
 * its kind from the system, -EFBIG, -EINVAL for what is no certificate or key. Nothing ever asks
 * for a passphrase: a key that needs one is an error that says so.
 */
#pragma once

#include "core/dane/tlsa.h"

enum {
	TLS_PEM_MAX = 1024 * 1024, /* octets of a file */
	TLS_CHAIN_CERTS_MAX = 100, /* certificates of a chain */
};

struct tls_chain; /* certificates in the order of the file, one at least */
struct tls_key;   /* a public key; of a private key only that is kept */

/* Other PEM blocks (a private key) are passed over; a broken certificate is an error. */
int tls_chain_parse(struct span pem, struct tls_chain **ret, struct err *e) _mustcheck_;
int tls_chain_load(const char *path, struct tls_chain **ret, struct err *e) _mustcheck_;
struct tls_chain *tls_chain_free(struct tls_chain *c);
struct tls_chain *tls_chain_copy(const struct tls_chain *c); /* NULL gives NULL */
void tls_chain_freep(struct tls_chain **c);
size_t tls_chain_count(const struct tls_chain *c);
/* Of all certificates as DER; 0 for NULL. */
size_t tls_chain_octets(const struct tls_chain *c);
/*
 * The certificate that a record of this usage speaks of: the first for DANE-EE, the last CA
 * certificate for DANE-TA (-ENOENT if the chain has none).
 */
int tls_chain_subject(const struct tls_chain *c, uint8_t usage, size_t *ret_index, struct err *e)
	_mustcheck_;

/* A private or a public key. */
int tls_key_parse(struct span pem, struct tls_key **ret, struct err *e) _mustcheck_;
int tls_key_load(const char *path, struct tls_key **ret, struct err *e) _mustcheck_;
struct tls_key *tls_key_free(struct tls_key *k);
void tls_key_freep(struct tls_key **k);

/*
 * The record that matches, in the arena. -EINVAL for parameters that make no usable record, for a
 * certificate whose key cannot be read, and for a key with selector 0.
 */
int tls_chain_tlsa(const struct tls_chain *c, size_t index, uint8_t usage, uint8_t selector,
		   uint8_t matching, struct arena *a, struct dane_tlsa *ret, struct err *e)
	_mustcheck_;
int tls_key_tlsa(const struct tls_key *k, uint8_t usage, uint8_t selector, uint8_t matching,
		 struct arena *a, struct dane_tlsa *ret, struct err *e) _mustcheck_;
