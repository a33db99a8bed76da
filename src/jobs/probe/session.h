/*
 * One SMTP session with one address: drives the client machine (core/smtp/client.h) over a real
 * connection, with TLS and the judgement of the certificate as the level demands. Delivery, the
 * tester and on-boarding share it.
 *
 *	s = probe_session_new(env, &target, &ops, arg);
 *	  -> ops.ready: the session is idle: probe_session_mail() or probe_session_quit()
 *	  -> ops.body:  the next piece of the message
 *	  -> ops.end:   over, whatever happened; read probe_session_report(), free by io_defer
 *
 * At level dane and encrypt nothing but EHLO, STARTTLS and QUIT goes out in clear, and inside TLS
 * nothing but QUIT until the certificate is judged (RFC 7672 section 2.2): the machine sees to it.
 */
#pragma once

#include "core/dane/decision.h"
#include "core/smtp/client.h"
#include "edge/io/loop.h"
#include "edge/tls/conn.h"

struct probe_target {
	const char *host;    /* SNI, where no TLSA base domain is known; an address: no SNI */
	const char *address; /* or the path of a Unix socket */
	uint16_t port;
	bool lmtp;
	enum dane_level level;        /* DANE, ENCRYPT or MAY */
	bool clear;                   /* MAY: do not try STARTTLS */
	enum tls_key_type key;        /* the tester's: ask for a certificate of this kind */
	const struct dane_host *dane; /* for DANE and ENCRYPT: base domain, names, records */
	struct mail_domain helo;
	usec_t connect_timeout;
	int64_t time; /* Unix seconds at which dates of certificates are judged; 0: now */
};

struct probe_session_ops {
	void (*ready)(void *arg);
	/*
	 * Up to `room` octets to `p`; `*ret_last` with the last ones. -EAGAIN: not yet; it is asked
	 * for again after probe_session_body_ready(). Another negative errno ends the session.
	 */
	ssize_t (*body)(void *arg, void *p, size_t room, bool *ret_last);
	void (*end)(void *arg);
};

struct probe_report {
	bool connected;
	const char *connect_error; /* a sentence if not connected, else NULL */
	struct smtp_report smtp;
	bool tls;        /* the handshake was completed */
	bool tls_broken; /* and later TLS itself broke: S16 */
	const char *tls_version, *tls_cipher;
	const struct tls_verdict *verdict; /* NULL without TLS */
};

struct probe_session;

/* Borrows loop and context; copies nothing of `target`: it must live as long as the session. */
struct probe_session *probe_session_new(struct io_loop *l, struct tls_context *tls,
					const struct probe_target *target,
					const struct probe_session_ops *ops, void *arg);
/* At any time but within an op; no op is called afterwards. */
struct probe_session *probe_session_free(struct probe_session *s);

/* From `ready`, or when idle since. Results: probe_session_result at the next `ready` or `end`. */
int probe_session_mail(struct probe_session *s, const struct smtp_mail *mail) _mustcheck_;
void probe_session_quit(struct probe_session *s);
/* What `body` had not at hand is there now. At any time but within an op. */
void probe_session_body_ready(struct probe_session *s);
/* Ends it as if time were over: for the owner's own deadline. */
void probe_session_give_up(struct probe_session *s);

const struct smtp_result *probe_session_result(const struct probe_session *s);
/* Valid until the session changes or is freed. */
struct probe_report probe_session_report(const struct probe_session *s);
/* The certificates that the server sent, freed by the caller; NULL without TLS or without any. */
struct tls_chain *probe_session_chain(const struct probe_session *s);
const struct smtp_caps *probe_session_caps(const struct probe_session *s);
