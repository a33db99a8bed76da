/*
 * TLS on a connected, non-blocking socket. The client's side is made here, the server's by
 * tls_conn_new_server (edge/tls/server.h); the other functions serve both. The owner waits and
 * calls again; nothing here waits or loops, closes the socket, or raises SIGPIPE.
 *
 *	c = tls_conn_new(context, fd, &spec, &e);
 *	while ((step = tls_conn_handshake(c)) == TLS_STEP_WANT_READ || ... ) wait for fd;
 *	if (step == TLS_STEP_DONE && spec.level == TLS_LEVEL_DANE
 *	    && tls_conn_verdict(c)->kind == TLS_VERDICT_MATCH) speak SMTP, else QUIT;
 *
 * A handshake that ends says nothing about the certificate: the verdict does, and at level dane
 * nothing but QUIT may be sent before it is read (RFC 7672 section 2.2; S10).
 */
#pragma once

#include "base/span.h"
#include "edge/tls/context.h"
#include "edge/tls/dane.h"

enum tls_step {
	TLS_STEP_DONE,
	TLS_STEP_WANT_READ,  /* call again when the socket is readable */
	TLS_STEP_WANT_WRITE, /* ... writable */
	TLS_STEP_EOF,        /* the peer has closed, with or without close_notify */
	TLS_STEP_FAILED,     /* tls_conn_error says why; only tls_conn_free may follow */
};

enum {
	TLS_FINGERPRINT_SIZE = 32, /* octets of SHA-256 */
};

/*
 * The same for a session without TLS: what recv() (`direction` IO_READ) or send() (IO_WRITE) has
 * returned, with errno as it left it. `*ret_n` is set with DONE alone.
 */
enum tls_step tls_step_of_socket(ssize_t n, size_t *ret_n, unsigned direction);

/* Which of its certificates a server shall choose: by the signatures that are offered to it. */
enum tls_key_type {
	TLS_KEY_ANY,
	TLS_KEY_RSA,
	TLS_KEY_ECDSA,
	TLS_KEY_EDDSA,
};

/* "any", "RSA", "ECDSA", "EdDSA" */
const char *tls_key_type_to_string(enum tls_key_type t);

struct tls_client_spec {
	enum tls_level level;
	enum tls_key_type key; /* the tester's: other than ANY restricts the signature algorithms */
	/*
	 * dane.base is the SNI at every level (P4-P6; an address or what cannot be a host name
	 * sends none); NULL: none. The rest counts at level dane only.
	 */
	struct tls_dane_spec dane;
};

/*
 * Borrows `context` and `fd`; `spec` is not kept. NULL and `e`: at level dane without a base domain
 * that is a host name, or without a usable record (-EINVAL).
 */
struct tls_conn *tls_conn_new(struct tls_context *context, int fd,
			      const struct tls_client_spec *spec, struct err *e) _mustcheck_;
/* NULL is fine; returns NULL. */
struct tls_conn *tls_conn_free(struct tls_conn *c);

/*
 * DONE, WANT_*, or FAILED (an end of the stream too). DONE again when called again. A call reads a
 * bounded number of octets: OpenSSL would pass over HelloRequest messages (RFC 5246 section
 * 7.4.1.1) as long as they come, and no deadline would be looked at.
 */
enum tls_step tls_conn_handshake(struct tls_conn *c);
/*
 * DONE with 1 to `room` octets. Read until WANT_READ: decrypted octets may wait inside, of which
 * the socket knows nothing. After WANT_READ the socket knows all there is, but may be readable at
 * once: a call takes one message that is no data (a ticket), not all that a peer floods us with.
 */
enum tls_step tls_conn_read(struct tls_conn *c, void *p, size_t room, size_t *ret_n);
/*
 * After a read: nothing is left, neither decrypted nor in the socket at that time. The socket's
 * readiness says when there is more; without this the owner reads once more for nothing.
 */
bool tls_conn_is_drained(const struct tls_conn *c);
/* DONE with 1 to `in.n` octets taken. After WANT_* the same octets come first in the next call. */
enum tls_step tls_conn_write(struct tls_conn *c, struct span in, size_t *ret_n);
/* Sends close_notify; does not wait for the peer's. DONE also when there is no one to tell. */
enum tls_step tls_conn_shutdown(struct tls_conn *c);

/* Why FAILED: one sentence, printable ASCII. "" before. Lives as long as the connection. */
const char *tls_conn_error(const struct tls_conn *c);
/* After EOF: whether it came without close_notify. SMTP ends with QUIT, so that is no error. */
bool tls_conn_is_truncated(const struct tls_conn *c);

/* After FAILED: TLS itself broke after the handshake (an alert, a record that does not verify), not
 * merely the connection under it. */
bool tls_conn_is_broken(const struct tls_conn *c);

/* From the handshake's end on, also after FAILED: "TLSv1.3", "TLS_AES_256_GCM_SHA384"; NULL before.
 */
const char *tls_conn_version(const struct tls_conn *c);
const char *tls_conn_cipher(const struct tls_conn *c);
/* What the peer sent, to be freed by the caller; NULL before the handshake or without one. */
struct tls_chain *tls_conn_chain(const struct tls_conn *c);
/*
 * SHA-256 of the DER of the peer's own certificate, whose key it has proved to hold. False before
 * the handshake's end or without a certificate. A comparison, and nothing else, tells who it is.
 */
bool tls_conn_fingerprint(const struct tls_conn *c, uint8_t ret[TLS_FINGERPRINT_SIZE]) _mustcheck_;
/* NONE before the handshake's end and at other levels than dane. Lives as long as `c`. */
const struct tls_verdict *tls_conn_verdict(const struct tls_conn *c);
