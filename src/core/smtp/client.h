/*
 * The client's side of an SMTP session (RFC 5321, 3207, 2920, 1870, 3030, 6152, 6531, 3461; matrix
 * section S) as a machine: bytes, events and the time go in; bytes and wishes come out. No socket,
 * no clock, no callback. It decides nothing about DANE: the TLS policy and the verdict on the
 * certificate are handed in, and what happened is reported as values.
 *
 * What always holds, whatever the server sends and however the driver behaves:
 *  - SMTP_TLS_REQUIRED: in clear nothing is sent but EHLO, STARTTLS and QUIT; inside TLS nothing
 *    but QUIT before SMTP_EVENT_ACCEPTED.
 *  - What the server sent before the handshake is never taken for a reply after it, and a reply
 *    counts only when the command it answers has been handed out completely.
 *  - STARTTLS is done at most once in a session.
 *  - No CR or LF goes out but in CRLF; a message's end (final dot, last octet of BDAT) goes out
 *    only when exactly `size` octets of it did.
 *  - Memory is bounded: SMTP_OUTPUT_MAX, SMTP_REPLY_MAX, and what the transaction's recipients
 *    need (SMTP_RECIPIENTS_MAX times at most SMTP_REPLY_TEXT_MAX, an address and an ORCPT).
 *
 * A driver's loop:
 *
 *	c = smtp_client_new(&options);
 *	smtp_client_event(c, SMTP_EVENT_CONNECTED, NULL, now);
 *	for (;;) {
 *		out = smtp_client_output(c);	// write it, then smtp_client_sent(c, n, now)
 *		switch (smtp_client_want(c)) {
 *		case SMTP_WANT_IO:	 // wait for input (smtp_client_feed), until the deadline
 *		case SMTP_WANT_STARTTLS: // do the handshake; then event TLS_UP or TLS_FAILED
 *		case SMTP_WANT_VERDICT:	 // judge the certificate; then event ACCEPTED or REFUSED
 *		case SMTP_WANT_MAIL:	 // smtp_client_mail(), or smtp_client_quit()
 *		case SMTP_WANT_BODY:	 // smtp_client_body() with the next piece
 *		case SMTP_WANT_CLOSE:	 // close; read smtp_client_report(), smtp_client_result()
 *		}
 *	}
 *
 * When a write fails, read what has come before the event IO_ERROR: a server that refuses in the
 * middle of a message says why and closes.
 *
 * LMTP (RFC 2033) differs in the greeting word and in one final reply for each accepted recipient:
 * with options.lmtp.
 */
#pragma once

#include "base/when.h"
#include "core/smtp/caps.h"
#include "core/smtp/tx.h"

enum {
	SMTP_BODY_PIECE_MAX = 65536,  /* octets in one smtp_client_body() */
	SMTP_OUTPUT_MAX = 128 * 1024, /* octets that wait to be written */
	SMTP_PIPELINE_MAX = 100,      /* commands sent and not yet answered */
};

enum smtp_tls {
	SMTP_TLS_NONE,          /* never STARTTLS */
	SMTP_TLS_OPPORTUNISTIC, /* STARTTLS where offered; else in clear; nobody is authenticated */
	SMTP_TLS_REQUIRED,      /* TLS, and a verdict of the driver, before anything else */
};

struct smtp_client_options {
	enum smtp_tls tls;
	struct mail_domain helo; /* the own name or address literal; copied */
	bool lmtp;
};

enum smtp_event {
	SMTP_EVENT_CONNECTED,  /* the first event */
	SMTP_EVENT_TLS_UP,     /* the handshake that SMTP_WANT_STARTTLS asked for is done */
	SMTP_EVENT_TLS_FAILED, /* it failed; with text */
	SMTP_EVENT_ACCEPTED,   /* the verdict that SMTP_WANT_VERDICT asked for */
	SMTP_EVENT_REFUSED,    /* ... with text */
	SMTP_EVENT_EOF,        /* the peer closed, in order */
	SMTP_EVENT_IO_ERROR,   /* the connection failed, TLS included; with text */
	SMTP_EVENT_TIMEOUT,    /* the deadline is past, or the driver waits no more; text or NULL */
};

enum smtp_want {
	SMTP_WANT_IO,       /* write what there is, read */
	SMTP_WANT_STARTTLS, /* the 220 has come. Feed no more: bytes read too early are an attack */
	SMTP_WANT_VERDICT,  /* only under SMTP_TLS_REQUIRED */
	SMTP_WANT_MAIL,     /* idle: a transaction may begin; the result of the last one is there */
	SMTP_WANT_BODY,     /* write and read too; never in a rehearsal */
	SMTP_WANT_CLOSE,    /* over; nothing more may be written */
};

/* Why the session ended. */
enum smtp_end {
	SMTP_END_NOT_YET,
	SMTP_END_QUIT,              /* as asked */
	SMTP_END_REPLY,             /* a reply ended it: refused greeting or EHLO, 421 (S14, S15) */
	SMTP_END_STARTTLS_ABSENT,   /* required and not offered, or no EHLO (S1, S2, S7) */
	SMTP_END_STARTTLS_REFUSED,  /* required and refused with 4xx or 5xx (S3, S4) */
	SMTP_END_STARTTLS_GARBAGE,  /* neither 220 nor a refusal (S5) */
	SMTP_END_STARTTLS_INJECTED, /* bytes before the handshake that may not be there (S6) */
	SMTP_END_HANDSHAKE,         /* failed, closed, timed out (S8, S9) */
	SMTP_END_CERTIFICATE,       /* SMTP_EVENT_REFUSED (S10) */
	SMTP_END_PROTOCOL,          /* the server broke the protocol */
	SMTP_END_EOF,
	SMTP_END_IO_ERROR,
	SMTP_END_TIMEOUT,
	SMTP_END_DRIVER, /* the driver broke this interface, or the body was not as announced */
};

const char *smtp_end_to_string(enum smtp_end e);

enum smtp_starttls {
	SMTP_STARTTLS_UNKNOWN, /* no EHLO reply yet, or policy SMTP_TLS_NONE */
	SMTP_STARTTLS_ABSENT,
	SMTP_STARTTLS_OFFERED, /* and asked for; not (yet) answered in order */
	SMTP_STARTTLS_REFUSED,
	SMTP_STARTTLS_STARTED, /* 220 */
	SMTP_STARTTLS_DONE,    /* TLS is up */
};

struct smtp_report {
	enum smtp_end end;     /* set as soon as it is known; the QUIT may still be under way */
	enum smtp_stage stage; /* with `end` set: where; else what is awaited now */
	const char *text; /* a sentence about `end`: TLS and I/O errors, protocol errors; or "" */
	enum smtp_starttls starttls;
	struct smtp_answer starttls_reply; /* to STARTTLS, or the refusal of EHLO */
	struct smtp_answer reply;          /* the last one; with `end` set, the one that ended it */
	/*
	 * Under SMTP_TLS_OPPORTUNISTIC only: the failure was TLS's, before any mail; one new
	 * connection in clear may work (RFC 7672 section 2.2, S5, S6, S8, S9). Also when the
	 * server goes away before its first reply inside TLS: so a late handshake alert looks.
	 */
	bool retry_in_clear;
};

struct smtp_client;

struct smtp_client *smtp_client_new(const struct smtp_client_options *o);
void smtp_client_free(struct smtp_client *c); /* NULL is fine */

void smtp_client_event(struct smtp_client *c, enum smtp_event event, const char *text, usec_t now);
/* Bytes from the peer, as they come; decrypted when TLS is up. */
void smtp_client_feed(struct smtp_client *c, struct span in, usec_t now);
/* What waits to be written; valid until the next call that changes the machine. */
struct span smtp_client_output(const struct smtp_client *c);
/* The first `n` octets of it have been written. */
void smtp_client_sent(struct smtp_client *c, size_t n, usec_t now);

enum smtp_want smtp_client_want(const struct smtp_client *c);
/* Monotonic; USEC_NEVER when nothing is awaited from the peer. Past it: SMTP_EVENT_TIMEOUT. */
usec_t smtp_client_deadline(const struct smtp_client *c);

/*
 * When SMTP_WANT_MAIL. Everything is copied. The result of the transaction before is freed. When
 * the offer of the server already decides (size, 8-bit, UTF-8), the result is there at once.
 * -EBUSY: the machine is not idle; -EINVAL: no recipient, or an address, ENVID or ORCPT that is
 * none; -E2BIG: too many.
 */
int smtp_client_mail(struct smtp_client *c, const struct smtp_mail *mail, usec_t now) _mustcheck_;
/*
 * When SMTP_WANT_BODY: the next piece, at most SMTP_BODY_PIECE_MAX octets, cut anywhere. `last`
 * with the last one, which may be empty. A body that is not in CRLF lines or not of the announced
 * size ends the session (SMTP_END_DRIVER) before the message is complete.
 */
void smtp_client_body(struct smtp_client *c, struct span piece, bool last, usec_t now);
/* When SMTP_WANT_MAIL; elsewhere nothing happens. */
void smtp_client_quit(struct smtp_client *c, usec_t now);

/* Valid until the next transaction begins or the machine is freed. NULL before the first one. */
const struct smtp_result *smtp_client_result(const struct smtp_client *c);
/* Valid until the machine changes. */
struct smtp_report smtp_client_report(const struct smtp_client *c);
/* Of the last EHLO; empty before it. */
const struct smtp_caps *smtp_client_caps(const struct smtp_client *c);
bool smtp_client_tls_active(const struct smtp_client *c);
/* The state's name, for traces and tests. */
const char *smtp_client_state(const struct smtp_client *c);
