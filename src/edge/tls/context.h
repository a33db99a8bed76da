/*
 * What all TLS connections of the process share: protocol versions, ciphers, limits.
 *
 * Always: no session is resumed and no ticket taken (a resumed session looks verified and was not:
 * S21), nothing anonymous or without encryption is offered (P8-P11), no compression, no
 * renegotiation (P18), an empty trust store (C15: a CA that the system trusts never helps), and a
 * certificate chain of at most TLS_CHAIN_MAX octets.
 *
 *   level           TLS            security level   certificate
 *   opportunistic   1.0 or later   0                not checked    (P2: a refusal would mean clear)
 *   encrypt, dane   1.2 or later   1                not / by DANE  (P1, P3, P19)
 *
 * docs/decisions/0003-tls-versions.md says why. The system's openssl.cnf plays no part: it is not
 * loaded, and what it could set is set here again.
 */
#pragma once

#include "base/err.h"

enum tls_level {
	TLS_LEVEL_OPPORTUNISTIC,
	TLS_LEVEL_ENCRYPT,
	TLS_LEVEL_DANE,
};

enum {
	TLS_CHAIN_MAX = 64 * 1024, /* octets of a Certificate message */
};

/*
 * First in main(), before any library can load openssl.cnf; a second call does nothing. Every
 * function of this room that needs it calls it, so that tests need not.
 */
void tls_init(void);

/* Read-only once made; any number of threads may use it. NULL and `e` if OpenSSL is unusable. */
struct tls_context *tls_context_new(struct err *e) _mustcheck_;
/* After the last connection made from it. NULL is fine; returns NULL. */
struct tls_context *tls_context_free(struct tls_context *c);
