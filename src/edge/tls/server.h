/*
 * TLS as a server: the certificates that are shown, and connections made from them. After
 * tls_conn_new_server the connection is driven by the functions of edge/tls/conn.h.
 *
 *	s = tls_server_new(certs, n, false, &e);	// `e` names file and cause
 *	for (i = 0; (text = tls_server_warning(s, i)) != NULL; i++) log it;
 *	c = tls_conn_new_server(s, fd);
 *	while ((step = tls_conn_handshake(c)) == TLS_STEP_WANT_READ || ... ) wait for fd;
 *
 * Which certificate is shown. Each certificate stands for the DNS names in it (subjectAltName; the
 * common name if there are none). For a name that the client asks for (SNI), the candidates are all
 * certificates that have that name; for each key type the first of the list is taken, and one that
 * has the name itself comes before a wildcard (`*.`, one label). Among the key types the client's
 * and the server's signature algorithms decide, ECDSA first: every certificate that fits a name
 * must match its TLSA records (RFC 7671 section 8, matrix B24).
 *
 * Without SNI, with a name that no certificate has, and with one that is no host name, the default
 * is shown: what the first name of the first certificate would get. SNI is never enforced, no alert
 * answers it (RFC 7672 section 8.1, matrix B27). Only a ClientHello that does not parse (lengths
 * that do not fit, a NUL or more than 255 octets in the name) is refused, by OpenSSL.
 *
 * Always: TLS 1.2 or 1.3; no compression, no renegotiation, no early data, no session resumed and
 * no ticket given (docs/decisions/0031); the server's order of ciphers; openssl.cnf plays no part.
 * A client's certificate is asked for only with `ask_client_cert`; the client may have none, and
 * none is refused for its chain, names or dates: tls_conn_fingerprint says which it is.
 *
 * Memory, measured: 31 KiB for the certificates of a name; a connection 57 KiB during the handshake
 * and 12 KiB after it, between records. A peer can make that 190 KiB by a ClientHello of OpenSSL's
 * limit (131,396 octets), which it must send; with a client's certificate asked for, by a chain of
 * TLS_CHAIN_MAX too. tls_conn_handshake reads a bounded number of octets a call; the caller limits
 * the time.
 */
#pragma once

#include "edge/tls/conn.h"

struct tls_server_cert {
	const char *chain, *key; /* PEM files; may be one file */
};

enum {
	TLS_SERVER_CERTS_MAX = 10000,
};

/*
 * NULL and `e`: no certificate at all, one that cannot be read or is of a kind that cannot be used,
 * a key that does not fit (-EINVAL, or the system's error). Nothing of `certs` is kept. Who may
 * read the key's file is the caller's check. Read-only once made; any number of threads may use it.
 */
struct tls_server *tls_server_new(const struct tls_server_cert *certs, size_t n,
				  bool ask_client_cert, struct err *e) _mustcheck_;
/* After the last connection made from it. NULL is fine; returns NULL. */
struct tls_server *tls_server_free(struct tls_server *s);

/*
 * What is odd about the certificates, though they are served: expired, not yet valid, never shown
 * because another comes first, a chain out of order. One sentence, with the file's name; NULL after
 * the last.
 */
const char *tls_server_warning(const struct tls_server *s, size_t i);
/* Whether a certificate has this name, by itself or by a wildcard. */
bool tls_server_has_name(const struct tls_server *s, const char *name);

/* Borrows `s` and `fd`. Never NULL. */
struct tls_conn *tls_conn_new_server(struct tls_server *s, int fd);
