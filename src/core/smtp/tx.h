/*
 * One mail transaction: a reverse-path, recipients, and what became of each of them. It is one
 * object and freed whole; its strings live in its arena. The machine (client.h) drives it.
 */
#pragma once

#include "core/mail/address.h"
#include "core/smtp/body.h"
#include "core/smtp/caps.h"
#include "core/smtp/dsn.h"

enum {
	SMTP_RECIPIENTS_MAX = 5000, /* in one transaction */
};

/* What was awaited: where the session ended, where a recipient's fate was sealed. */
enum smtp_stage {
	SMTP_STAGE_CONNECT,
	SMTP_STAGE_GREETING,
	SMTP_STAGE_EHLO, /* or HELO */
	SMTP_STAGE_STARTTLS,
	SMTP_STAGE_HANDSHAKE,
	SMTP_STAGE_VERDICT,
	SMTP_STAGE_IDLE,
	SMTP_STAGE_RSET,
	SMTP_STAGE_MAIL,
	SMTP_STAGE_RCPT,
	SMTP_STAGE_DATA,
	SMTP_STAGE_BODY,  /* from the 354, or BDAT, until the last octet is handed out */
	SMTP_STAGE_FINAL, /* after it */
	SMTP_STAGE_QUIT,
};

/* "greeting", "EHLO", "STARTTLS", "TLS handshake", "MAIL" ...: for people. */
const char *smtp_stage_to_string(enum smtp_stage s);

struct smtp_answer {
	unsigned code;             /* 0: there is none */
	struct smtp_status status; /* `class` 0: none */
	const char *text;          /* smtp_reply_text(); "" if there is none */
};

enum smtp_fate {
	SMTP_FATE_OPEN,
	SMTP_FATE_DELIVERED,
	SMTP_FATE_DEFERRED,
	SMTP_FATE_FAILED,
	SMTP_FATE_ACCEPTED, /* of a rehearsal only: RCPT was accepted, and nothing was sent */
};

enum smtp_reason {
	SMTP_REASON_REPLY,       /* the server said so: `answer` */
	SMTP_REASON_TOO_LARGE,   /* 5.3.4: larger than the limit offered; nothing was sent */
	SMTP_REASON_NO_8BITMIME, /* 5.6.3: nothing was sent (docs/decisions/0001) */
	SMTP_REASON_NO_SMTPUTF8, /* 5.6.7: nothing was sent for it (docs/decisions/0001) */
	SMTP_REASON_SESSION,     /* the session ended first: smtp_client_report() */
};

struct smtp_recipient {
	const char *path;
	bool smtputf8; /* the address needs it */
	bool accepted; /* RCPT was */
	enum smtp_fate fate;
	enum smtp_reason reason;
	enum smtp_stage stage;
	struct smtp_status status; /* always set with the fate; the server's, where it gave one */
	struct smtp_answer answer; /* of SMTP_REASON_REPLY, and where a 421 ended the session */
};

struct smtp_result {
	const struct smtp_recipient *recipients; /* in the order given */
	size_t n_recipients;
	size_t n_delivered, n_deferred, n_failed, n_accepted;
	/*
	 * The end of the message was handed out completely and no valid reply came: the recipients
	 * that were accepted are DEFERRED, and may have got it.
	 */
	bool maybe_delivered;
	/*
	 * The server does DSN and was told what was asked for: of recipients that it accepted it
	 * sends the notices (RFC 3461 section 5.2.1).
	 */
	bool dsn;
};

struct smtp_mail {
	const struct mail_address *from;
	const struct mail_address *to;
	size_t n_to;   /* 1 - SMTP_RECIPIENTS_MAX */
	uint64_t size; /* octets of the body, CRLF-normalised, exactly (mail_message.octets) */
	bool eightbit; /* mail_message_is_8bit() */
	bool smtputf8; /* the header needs it (the addresses say so themselves) */
	/*
	 * A rehearsal: MAIL and RCPT, then RSET. No DATA, no BDAT; the body is never asked for.
	 * Each recipient ends ACCEPTED, DEFERRED or FAILED.
	 */
	bool rehearsal;
	/*
	 * Passed on as it came, to a server that offers DSN; to others nothing of it is said (RFC
	 * 3461 section 5.2.1, 5.2.2).
	 */
	enum smtp_ret ret;
	const char *envid;          /* xtext, or NULL */
	const struct smtp_dsn *dsn; /* n_to of them, or NULL: nothing was asked for */
};

/* What comes next in the envelope. */
enum smtp_tx_step {
	SMTP_TX_MAIL,
	SMTP_TX_RCPT,
	SMTP_TX_DATA,
	SMTP_TX_SENT, /* the envelope is out */
};

struct smtp_tx {
	struct arena arena;
	const char *from;
	const char *parameters;       /* of MAIL, with the space before them */
	const char **rcpt_parameters; /* of each RCPT, likewise; NULL: of none */
	bool chunking;                /* BDAT instead of DATA */
	bool rehearsal;
	uint64_t size;
	struct smtp_recipient *recipients;
	struct smtp_result result; /* its `recipients` are those above */
	size_t n_open;             /* without a fate yet */
	size_t n_accepted;         /* RCPT accepted, and no fate yet */
	size_t n_stray;            /* RCPT accepted although the fate was sealed before */
	/* The way through it. */
	enum smtp_tx_step step;
	size_t next_recipient; /* to name */
	struct smtp_body body;
	bool complete; /* the whole message is in the output */
};

/*
 * Copies `mail`. What the server's offer already decides (RFC 1870, 6152, 6531) is decided: a
 * transaction with n_open 0 is over before it began.
 */
struct smtp_tx *smtp_tx_new(const struct smtp_mail *mail, const struct smtp_caps *caps);
struct smtp_tx *smtp_tx_free(struct smtp_tx *tx); /* NULL in, NULL out */

/*
 * Seals the fate of a recipient by a reply, unless it is sealed: 2xx delivered, 4xx deferred, 5xx
 * failed; 552 to RCPT is temporary (RFC 5321 section 4.5.3.1.10).
 */
void smtp_tx_settle(struct smtp_tx *tx, size_t i, enum smtp_stage stage,
		    const struct smtp_answer *answer);
/* All that are open. */
void smtp_tx_settle_all(struct smtp_tx *tx, enum smtp_stage stage,
			const struct smtp_answer *answer);
/* All that are open are deferred, for the session is over. */
void smtp_tx_lose(struct smtp_tx *tx, enum smtp_stage stage, struct smtp_status status);
/* RCPT was accepted; in a rehearsal that is the recipient's fate. */
void smtp_tx_accept(struct smtp_tx *tx, size_t i, const struct smtp_answer *answer);
