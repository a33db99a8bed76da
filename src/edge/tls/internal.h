/* What the files of this room share, and its unit tests. The only header that shows OpenSSL. */
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "edge/tls/cert.h"
#include "edge/tls/conn.h"
#include "edge/tls/server.h"

/* What a client's and a server's contexts differ in. */
struct tls_settings {
	int version;                  /* the lowest */
	int level;                    /* OpenSSL's security level */
	const char *ciphers, *suites; /* of TLS 1.2 and older, of TLS 1.3 */
	const char *signatures;
	uint64_t options; /* besides those that all have */
};

/* The signature algorithms that all have. */
#define TLS_SIGNATURES                                                                             \
	"ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448:"                                    \
	"rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"                             \
	"rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:"                                \
	"RSA+SHA256:RSA+SHA384:RSA+SHA512"

/* All that openssl.cnf could have changed is set again: options, store, groups, signatures. */
bool tls_configure(SSL_CTX *ctx, const struct tls_settings *t) _mustcheck_;

/*
 * OpenSSL's default algorithms without the decoders that no certificate needs, for clients; made
 * once a process and never freed. NULL, OpenSSL's own library context, if that cannot be made.
 */
OSSL_LIB_CTX *tls_library(void);

SSL_CTX *tls_context_ssl(const struct tls_context *c, enum tls_level level);
SSL_CTX *tls_server_ssl(const struct tls_server *s);

/* A socket that raises no SIGPIPE; its data is a struct tls_socket. Freed with BIO_meth_free. */
BIO_METHOD *tls_socket_method(void);
const BIO_METHOD *tls_context_socket(const struct tls_context *c);
const BIO_METHOD *tls_server_socket(const struct tls_server *s);

/* Octets read in one call of this room's functions; see tls_conn_handshake. */
enum {
	TLS_CALL_MAX = 64 * 1024,
};

struct tls_socket {
	int fd;
	bool eof;
	bool empty;  /* the last read got less than it had room for */
	int error;   /* errno of the last failure */
	size_t left; /* of TLS_CALL_MAX in this call */
};

/*
 * The one function that arms DANE: flags, names, purpose, time, records. The number of records
 * that OpenSSL took, or -EINVAL for a base domain that is no host name.
 */
int tls_dane_prepare(SSL *ssl, const struct tls_dane_spec *spec, struct err *e) _mustcheck_;

/*
 * The one judge. `leaf`: the peer's certificate, NULL if it sent none. Reads OpenSSL's verdict
 * where the handshake or tls_dane_match left it.
 */
void tls_dane_judge(const SSL *ssl, X509 *leaf, struct arena *a, struct tls_verdict *ret);

/* Without one trailing dot. */
struct span tls_name_trim(const char *name);

/* The first error in OpenSSL's queue in words; the queue is empty afterwards. */
const char *tls_openssl_error(char *text, size_t room);

/* Takes its own references. */
struct tls_chain *tls_chain_from_x509(STACK_OF(X509) * certs);
STACK_OF(X509) * tls_chain_x509(const struct tls_chain *c);
SSL *tls_conn_ssl(const struct tls_conn *c);
/* A private key from a PEM file, to be freed by the caller; errors as tls_key_load's. */
int tls_private_key_load(const char *path, EVP_PKEY **ret, struct err *e) _mustcheck_;
/* DER of the certificate or of its key; freed with OPENSSL_free. 0 if it has none. */
size_t tls_x509_der(X509 *x, uint8_t selector, uint8_t **ret);
