/*
 * A message on its way from a file or a pipe into the spool: line ends become CRLF (RFC 5321
 * section 2.3.8), a last line without one gets it, and what an SMTP client must know is noted. No
 * other octet is altered, ever (docs/decisions/0002): a NUL or a CR that ends no line is refused
 * with its line number.
 *
 *	struct mail_message m;
 *	mail_message_init(&m);
 *	while (more)
 *		mail_message_feed(&m, bytes, &out, &e);		// then write `out`, clear it
 *	mail_message_end(&m, &out, &e);
 *
 * The result does not depend on where the input is cut.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct mail_message {
	/* What is known so far; complete after mail_message_end. */
	uint64_t octets;  /* given out: the size for SIZE= and BDAT */
	uint64_t lines;   /* ended lines */
	uint64_t longest; /* the longest line, octets without its CRLF */
	bool header_8bit; /* an octet above 127 before the first empty line */
	bool header_utf8; /* ... and all of them are UTF-8: an internationalized header, RFC 6532 */
	bool body_8bit;   /* an octet above 127 after it */
	/* How it goes on. */
	bool in_body;
	bool after_cr;              /* a CR has been read, its LF not yet */
	uint64_t line;              /* octets of the current line */
	uint8_t utf8_left;          /* continuation octets that must follow */
	uint8_t utf8_from, utf8_to; /* bounds of the next one */
};

void mail_message_init(struct mail_message *m);

/*
 * Appends to `out`; one with room for 2 * in.n + 2 octets never fills. -EINVAL: NUL or bare CR;
 * -EMSGSIZE: `out` is full. After an error only the facts so far are of use.
 */
int mail_message_feed(struct mail_message *m, struct span in, struct buf *out, struct err *e)
	_mustcheck_;
int mail_message_end(struct mail_message *m, struct buf *out, struct err *e) _mustcheck_;

/* More than 7-bit ASCII anywhere: MAIL needs BODY=8BITMIME (RFC 6152). */
static inline bool mail_message_is_8bit(const struct mail_message *m)
{
	return m->header_8bit || m->body_8bit;
}
