/*
 * A delivery status notification: the message by which a sender learns what became of his (RFC
 * 3461 section 6, RFC 3464, RFC 6522; RFC 6533 where addresses are not ASCII; RFC 3834).
 *
 * multipart/report with a text for people, message/delivery-status for programs, and the original
 * message or its header. The original is not here: the caller copies it between head and tail.
 *
 *	mail_dsn_begin(&w, &dsn);
 *	while (mail_dsn_next(&w, &out) > 0)	// at most MAIL_DSN_PIECE_MAX octets each
 *		...				// write `out`, clear it
 *	...					// the original: mail_dsn.original says what of it
 *	mail_dsn_tail(&dsn, &out);
 *
 * What always holds, whatever a peer wrote into addresses, ENVID, ORCPT and replies:
 *  - Nothing of it begins a header field, a body part or a line of its own: what is not printable
 *    is shown as '?', and every text is cut (MAIL_DSN_TEXT_MAX) before it is used.
 *  - Lines end in CRLF and have at most 998 octets.
 *  - The boundary has 128 random bits that no sender has seen, so no original can contain it, by
 *    chance or by design.
 *  - Memory does not grow with the number of recipients.
 */
#pragma once

#include "base/buf.h"
#include "base/when.h"
#include "core/mail/address.h"
#include "core/mail/xtext.h"

enum {
	MAIL_DSN_RANDOM = 16,           /* octets that make the boundary */
	MAIL_DSN_PIECE_MAX = 16 * 1024, /* room that mail_dsn_next and mail_dsn_tail need */
	MAIL_DSN_TEXT_MAX = 1000,       /* octets of a reply or a detail that are shown */
};

/* RFC 3464 section 2.3.3. In the order in which people are told. */
enum mail_dsn_action {
	MAIL_DSN_FAILED,    /* given up */
	MAIL_DSN_DELAYED,   /* still tried */
	MAIL_DSN_DELIVERED, /* into a mailbox (LMTP) */
	MAIL_DSN_RELAYED,   /* to a server that does no DSN itself */
};

/* What comes behind the head. */
enum mail_dsn_original {
	MAIL_DSN_NOTHING, /* it cannot be read: then two parts are all */
	MAIL_DSN_HEADER,  /* up to the empty line, with or without it, perhaps cut */
	MAIL_DSN_FULL,
};

struct mail_dsn_recipient {
	const char *path;  /* of the envelope, without < and > */
	const char *orcpt; /* "addr-type;xtext" as it came, or NULL */
	enum mail_dsn_action action;
	const char *status; /* "5.1.1"; NULL, malformed, or of no fitting class: "x.0.0" */
	const char *reply;  /* the server's, "550 5.1.1 no such user"; or NULL */
	const char *detail; /* what we know besides, or NULL */
	const char *remote; /* the host that replied; or NULL */
};

struct mail_dsn {
	const char *id;          /* of this message: [A-Za-z0-9.]+ */
	const char *hostname;    /* who reports */
	const char *postmaster;  /* From: his path */
	const char *to;          /* the original's reverse-path; not "" */
	const char *envid;       /* xtext as it came, or NULL */
	const char *original_id; /* in our queue, or NULL */
	usec_t now, arrived;     /* Unix time; of the original. So below */
	usec_t last_attempt;     /* 0: there was none */
	usec_t retry_until;      /* of those delayed */
	uint8_t random[MAIL_DSN_RANDOM];
	enum mail_dsn_original original;
	bool original_8bit; /* octets above 127 in what is copied */
	bool original_utf8; /* some of them in its header: message/global (RFC 6532) */
	bool too_large;     /* only the header, for the whole is larger than is sent back */
	const struct mail_dsn_recipient *recipients;
	size_t n_recipients; /* 1 or more */
};

/* The message needs BODY=8BITMIME; ... needs SMTPUTF8, for its own recipient's address does. */
bool mail_dsn_is_8bit(const struct mail_dsn *d);
bool mail_dsn_is_smtputf8(const struct mail_dsn *d);

struct mail_dsn_writer {
	const struct mail_dsn *dsn; /* borrowed until the head is written */
	struct arena arena;         /* of one piece */
	struct buf *out;
	int error;
	bool utf8; /* the text for people is not ASCII alone */
	unsigned step, action;
	size_t i; /* the recipient */
};

void mail_dsn_begin(struct mail_dsn_writer *w, const struct mail_dsn *d);
/* Appends the next piece: 1 there are more, 0 it was the last. -EMSGSIZE: no room. */
int mail_dsn_next(struct mail_dsn_writer *w, struct buf *out) _mustcheck_;
/* What follows the original. -EMSGSIZE. */
int mail_dsn_tail(const struct mail_dsn *d, struct buf *out) _mustcheck_;

/* What a status means to the people who write mail. */
struct mail_dsn_words {
	const char *why;  /* a sentence or two */
	const char *mend; /* what to do, and who; or NULL */
};

/* "4.7.323" and "5.7.323" mean the same. NULL: nothing is known of it. */
const struct mail_dsn_words *mail_dsn_words(const char *status);
