/*
 * The body of a message on its way to the wire: dot stuffing for DATA (RFC 5321 section 4.5.2),
 * nothing for BDAT, and the last guard of matrix S22: text that is not in CRLF lines, or not as
 * long as was announced, does not pass.
 */
#pragma once

#include "base/buf.h"

struct smtp_body {
	uint64_t left; /* octets that must still come */
	bool stuff;    /* double a dot at the start of a line */
	bool in_line;  /* octets since the last CRLF */
	bool after_cr; /* a CR was taken and is held back until its LF comes */
};

void smtp_body_init(struct smtp_body *b, uint64_t octets, bool stuff);

/*
 * Takes a piece, appends it to `out`, which grows by at most (piece.n + 1) * 4 / 3 octets.
 * -EINVAL: a bare CR or LF, a NUL, or more octets than announced; -EMSGSIZE: `out` is full. After
 * an error the body is lost.
 */
int smtp_body_add(struct smtp_body *b, struct span piece, struct buf *out) _mustcheck_;

/* Everything has come, and it ends with a CRLF (or was empty). */
static inline bool smtp_body_is_complete(const struct smtp_body *b)
{
	return b->left == 0 && !b->in_line && !b->after_cr;
}
