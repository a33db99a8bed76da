/*
 * The server's side of an SMTP session (RFC 5321, 3207, 2920, 1870, 3030, 6152, 6531, 3461, 4954,
 * 2034, 9422) as a machine: the caller hands in its input buffer and takes events out; bytes to
 * write gather in the output. No socket, no clock, no callback. It decides nothing about mail: who
 * may send to whom, whether a message is kept, which certificate is shown, are the caller's
 * verdicts, given now or later.
 *
 * What always holds, whatever the client sends and wherever the input is cut:
 *  - Only CRLF ends a line and only CRLF "." CRLF ends DATA (RFC 5321 section 2.3.8, matrix S22). A
 *    bare CR, a bare LF or a NUL in a command ends the session; a message with one is refused after
 *    its true end, and if it came by DATA the session ends then (docs/decisions/0004).
 *  - MAIL comes only after EHLO or HELO, RCPT after MAIL, DATA and END after an accepted RCPT.
 *  - Nothing from before TLS is left after it: no EHLO, no AUTH, no transaction, no octet (RFC 3207
 *    section 4.2, matrix B35). STARTTLS with input behind it ends the session. No STARTTLS inside
 *    TLS, no AUTH outside it, and neither is offered there. What EHLO offers depends on the options
 *    and on TLS alone, never on the client (B36).
 *  - What was meant as BDAT and cannot be read ends the session: the octets behind it are no
 *    commands. Chunks behind one that failed are discarded and get the same reply (RFC 3030
 *    section 2).
 *  - While a verdict is awaited no input is taken: the caller's buffer fills, so it stops reading.
 *  - Memory is bounded: SMTP_SERVER_LINE_MAX for a line that is not whole yet (released when it
 *    is), SMTP_SERVER_OUTPUT_MAX (all but 1 KiB released when it is written), and one command's
 *    arena. The message is never here.
 *  - Each reply line ends in CRLF and has at most 512 octets, whatever the caller's text is.
 *
 * A caller's loop; `in` is a span over what lies unread in its buffer:
 *
 *	s = smtp_server_new(&options);
 *	smtp_server_greet(s, NULL);
 *	for (;;) {
 *		e = smtp_server_next(s, &in);		// moves `in` on over what it took
 *		switch (e.kind) {
 *		case SMTP_SERVER_NEEDS_INPUT:	// write the output, read more
 *		case SMTP_SERVER_NEEDS_OUTPUT:	// write the output first, then call again
 *		case SMTP_SERVER_NEEDS_VERDICT:	// smtp_server_answer() is due; read no more
 *		case SMTP_SERVER_EHLO:		// from here to STARTTLS: smtp_server_answer()
 *		case SMTP_SERVER_MAIL:
 *		case SMTP_SERVER_RCPT:
 *		case SMTP_SERVER_AUTH:
 *		case SMTP_SERVER_BEGIN:		// a message follows: open a body
 *		case SMTP_SERVER_END:		// all was handed out; 250 when it is safe
 *		case SMTP_SERVER_STARTTLS:
 *		case SMTP_SERVER_DATA:		// append e.data
 *		case SMTP_SERVER_RESET:		// drop the transaction
 *		case SMTP_SERVER_HANDSHAKE:	// write, handshake, then ..._tls_up()
 *		case SMTP_SERVER_CLOSE:		// write the output, close
 *		}
 *	}
 *
 * The output may be written whenever there is some; replies of a pipelined group leave together
 * when it is written at NEEDS_INPUT and NEEDS_VERDICT (RFC 2920 section 3.2).
 */
#pragma once

#include "core/mail/address.h"
#include "core/smtp/dsn.h"
#include "core/smtp/reply.h"

enum {
	SMTP_SERVER_COMMAND_MAX = 512,    /* octets with CRLF, RFC 5321 section 4.5.3.1.4 */
	SMTP_SERVER_ENVELOPE_MAX = 2048,  /* MAIL and RCPT with parameters (RFC 3461, 4954, 6531) */
	SMTP_SERVER_LINE_MAX = 12288,     /* AUTH and its answers, RFC 4954 section 4 */
	SMTP_SERVER_OUTPUT_MAX = 32768,   /* octets that wait to be written */
	SMTP_SERVER_OUTPUT_ENOUGH = 8192, /* with so many no more input is taken */
	SMTP_SERVER_REPLY_LINE_MAX = 512, /* octets with CRLF, section 4.5.3.1.5 */
};

struct smtp_server_options {
	const char *host;         /* the own name, in the banner and EHLO; copied, <= 253 octets */
	uint64_t size_max;        /* octets of a message, announced in SIZE; > 0 */
	unsigned recipients_max;  /* in a transaction, announced (RCPTMAX); more: 452 4.5.3 */
	unsigned messages_max;    /* MAIL commands in a session, announced (MAILMAX); more: 421 */
	unsigned idle_max;        /* commands that are no mail between two messages; more: 421 */
	unsigned errors_max;      /* refused commands in a session; more: 421 */
	bool starttls;            /* offered in clear, to everyone (B36) */
	bool tls_required;        /* MAIL in clear gets 530 5.7.0; never for a public MX (S19) */
	bool auth;                /* offered inside TLS: PLAIN and LOGIN */
	bool auth_required;       /* MAIL without AUTH gets 530 5.7.0 */
	bool refuse_early_talker; /* input before the banner ends the session */
	bool tls_from_start;      /* all of it is inside TLS (port 465, RFC 8314 section 3.3) */
};

/* 100 recipients and messages, 100 idle commands, 20 errors, 50 MiB, STARTTLS. `host` is unset. */
struct smtp_server_options smtp_server_defaults(void);

enum smtp_server_kind {
	SMTP_SERVER_NEEDS_INPUT,
	SMTP_SERVER_NEEDS_OUTPUT,
	SMTP_SERVER_NEEDS_VERDICT,
	/* These want smtp_server_answer(). */
	SMTP_SERVER_EHLO,     /* `helo`; any transaction is gone, as after RESET */
	SMTP_SERVER_MAIL,     /* `mail` */
	SMTP_SERVER_RCPT,     /* `rcpt` */
	SMTP_SERVER_AUTH,     /* `auth` */
	SMTP_SERVER_BEGIN,    /* DATA, or the first BDAT */
	SMTP_SERVER_END,      /* whole and within the limits; the verdict ends the transaction */
	SMTP_SERVER_STARTTLS, /* 454 by the caller if there is no certificate now */
	/* These do not. */
	SMTP_SERVER_DATA, /* `data`: octets of the message, never empty */
	/* RSET, or a message that the machine refuses: what came of the transaction is void. */
	SMTP_SERVER_RESET,
	SMTP_SERVER_HANDSHAKE, /* again at each call until smtp_server_tls_up() */
	SMTP_SERVER_CLOSE,     /* again at each call; an open transaction is void */
};

/* Spans and pointers are valid until the next call that changes the machine; copy what you keep. */
struct smtp_server_mail {
	struct mail_address from; /* may be null */
	uint64_t size;            /* as declared; 0: not */
	bool eightbit;            /* BODY=8BITMIME */
	bool smtputf8;
	enum smtp_ret ret;
	const char *envid; /* xtext as it came, or NULL */
	const char *auth;  /* AUTH= as it came (xtext or "<>"), inside AUTH only; else NULL */
};

struct smtp_server_rcpt {
	/*
	 * Never null. A source route is dropped (RFC 5321 section 3.6.1). "postmaster" without a
	 * domain (section 4.1.1.3) has NULLs in `to.domain`.
	 */
	struct mail_address to;
	unsigned notify;   /* SMTP_NOTIFY_ bits; 0: not given */
	const char *orcpt; /* "rfc822;xtext" as it came, or NULL */
};

struct smtp_server_auth {
	const char *mechanism; /* "PLAIN", "LOGIN" */
	/* Without NUL inside; neither escaped nor prepared. Wiped after the verdict. */
	struct span authorize, user, password;
};

struct smtp_server_event {
	enum smtp_server_kind kind;
	struct span data; /* in the caller's buffer (or a constant CRLF) */
	const char *helo; /* printable ASCII without space, as given; not verified */
	bool esmtp;       /* EHLO, not HELO */
	const struct smtp_server_mail *mail;
	const struct smtp_server_rcpt *rcpt;
	const struct smtp_server_auth *auth;
};

struct smtp_server_verdict {
	unsigned code; /* 0: accepted, with the usual reply; else 4xx or 5xx. 421 closes */
	struct smtp_status status; /* `class` 0: x.0.0 of the code's class */
	const char *text; /* one line; what is not printable ASCII is sent as '?', and cut */
};

struct smtp_server;

struct smtp_server *smtp_server_new(const struct smtp_server_options *o);
void smtp_server_free(struct smtp_server *s); /* NULL is fine */

/*
 * The banner: NULL or an accepting verdict for 220; a refusal closes, so let it be 421: after 554
 * RFC 5321 section 3.1 wants QUIT awaited. Once, first.
 */
void smtp_server_greet(struct smtp_server *s, const struct smtp_server_verdict *v);
struct smtp_server_event smtp_server_next(struct smtp_server *s, struct span *in);
/* For the event that awaits it. NULL accepts; END's `text`, if accepted, stands in the 250. */
void smtp_server_answer(struct smtp_server *s, const struct smtp_server_verdict *v);
/*
 * Between BEGIN's acceptance and END: the caller refuses the message (disk full, header too large).
 * No DATA and no END come any more; the verdict is the reply at its end.
 */
void smtp_server_refuse_message(struct smtp_server *s, const struct smtp_server_verdict *v);
/* The handshake that HANDSHAKE asked for is done. What was before is forgotten. */
void smtp_server_tls_up(struct smtp_server *s);
/* The caller ends the session: time-out (421 4.4.2), shutdown (421 4.3.2). Then CLOSE comes. */
void smtp_server_stop(struct smtp_server *s, const struct smtp_server_verdict *v);

/* What waits to be written; valid until the next call that changes the machine. */
struct span smtp_server_output(const struct smtp_server *s);
void smtp_server_sent(struct smtp_server *s, size_t n);

/* For time limits (RFC 5321 section 4.5.3.2.7, 4.5.3.2.5; matrix S23) and logs. */
enum smtp_server_phase {
	SMTP_SERVER_PHASE_BANNER,    /* smtp_server_greet() is due */
	SMTP_SERVER_PHASE_COMMAND,   /* the client's: 5 minutes */
	SMTP_SERVER_PHASE_AUTH,      /* the client's answer to a 334: 5 minutes */
	SMTP_SERVER_PHASE_DATA,      /* the client's next block: 3 minutes */
	SMTP_SERVER_PHASE_VERDICT,   /* the caller's own */
	SMTP_SERVER_PHASE_HANDSHAKE, /* the caller's own */
	SMTP_SERVER_PHASE_CLOSED,
};

enum smtp_server_phase smtp_server_phase(const struct smtp_server *s);

enum smtp_server_end {
	SMTP_SERVER_END_NOT_YET,
	SMTP_SERVER_END_QUIT,
	SMTP_SERVER_END_CALLER,       /* refused banner, 421 verdict, smtp_server_stop() */
	SMTP_SERVER_END_LINE_ENDS,    /* bare CR, LF, NUL in a command or in DATA */
	SMTP_SERVER_END_EARLY,        /* input before the banner */
	SMTP_SERVER_END_STARTTLS,     /* input behind STARTTLS */
	SMTP_SERVER_END_SYNC,         /* input behind a DATA that was refused */
	SMTP_SERVER_END_NOT_SMTP,     /* HTTP */
	SMTP_SERVER_END_ERRORS,       /* too many */
	SMTP_SERVER_END_IDLE,         /* too many commands without mail */
	SMTP_SERVER_END_MESSAGES,     /* too many */
	SMTP_SERVER_END_ENDLESS,      /* a refused message that does not end */
	SMTP_SERVER_END_CHUNK_SYNTAX, /* a BDAT whose size cannot be read */
};

enum smtp_server_end smtp_server_ended(const struct smtp_server *s);
const char *smtp_server_end_to_string(enum smtp_server_end e);
bool smtp_server_in_tls(const struct smtp_server *s);
bool smtp_server_in_transaction(const struct smtp_server *s);
/* Octets held of a line that is not whole. */
size_t smtp_server_held(const struct smtp_server *s);
