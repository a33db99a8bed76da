/* Certificates for the tests of edge/tls, made with OpenSSL when first asked for by name. */
#pragma once

#include "edge/tls/internal.h"

/* Borrowed until pki_done. Unknown names end the test. */
X509 *pki_cert(const char *name);
EVP_PKEY *pki_key(const char *name);
void pki_done(void);

/* "leaf ca2 ca1": PEM of these certificates in this order; freed by the caller. */
char *pki_pem(const char *names);
/* The same as a chain. */
struct tls_chain *pki_chain(const char *names);
char *pki_key_pem(const char *name);

/*
 * "3 1 1 leaf, 2 0 1 !ca1": records of these certificates. '!' makes the data wrong, '-' cuts its
 * last octet, '+' adds one. Returns how many; they live in the arena.
 */
size_t pki_records(const char *text, struct arena *a, struct dane_tlsa *ret, size_t room);

/* A server for this chain, with the key of its first certificate, TLS 1.0 or later. */
SSL_CTX *pki_server(const char *chain);
