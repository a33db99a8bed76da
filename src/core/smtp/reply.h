/*
 * SMTP replies, read as they come.
 *
 *	Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
 *	Reply-code = %x32-35 DIGIT DIGIT		(RFC 5321 section 4.2)
 *
 * What always holds: lines end in CRLF and nothing else (matrix S22): a bare CR, a bare LF or a
 * NUL, a code outside 200-599, or a code that changes from line to line is no reply. A reader never
 * holds more than SMTP_REPLY_MAX octets, whatever the peer sends. The result does not depend on
 * where the input is cut.
 */
#pragma once

#include "base/buf.h"

enum {
	/* RFC 5321 section 4.5.3.1.5 has 512 octets a line; some servers write more. */
	SMTP_REPLY_LINE_MAX = 2048,
	SMTP_REPLY_LINES_MAX = 128,
	SMTP_REPLY_MAX = 16384,    /* octets of text in all lines */
	SMTP_REPLY_TEXT_MAX = 400, /* octets of smtp_reply_text(), without its NUL */
};

/* An enhanced status code (RFC 3463): "5.7.1". `class` 0: none. */
struct smtp_status {
	uint16_t class, subject, detail;
};

struct smtp_reply {
	unsigned code; /* 200-599 */
	unsigned n_lines;
	/* Only a code whose class is that of the reply counts (RFC 2034 section 4). */
	struct smtp_status status;
	struct buf lines; /* what follows the code and its separator, each with a LF behind it */
};

/* What the first digit says. */
static inline unsigned smtp_reply_class(const struct smtp_reply *r)
{
	return r->code / 100;
}

/* 4yz or 5yz: the command was not done. */
static inline bool smtp_reply_is_refusal(const struct smtp_reply *r)
{
	return smtp_reply_class(r) == 4 || smtp_reply_class(r) == 5;
}

/*
 * The whole reply on one line for logs and people: "550 5.1.1 no such user; really none". Printable
 * UTF-8 only, other octets as '?'; cut at SMTP_REPLY_TEXT_MAX.
 */
void smtp_reply_text(const struct smtp_reply *r, char ret[SMTP_REPLY_TEXT_MAX + 1]);

/* The next line of `*rest`, which begins as buf_span(&r->lines); false when there is none. */
bool smtp_reply_next_line(struct span *rest, struct span *ret_line);

enum smtp_reply_result {
	SMTP_REPLY_MORE, /* all input taken, the reply goes on */
	SMTP_REPLY_DONE, /* one reply is complete; what follows it is left in the input */
	SMTP_REPLY_BAD,  /* this is no SMTP reply, or too long; `why` says it. Stays so */
};

struct smtp_reply_reader {
	struct smtp_reply reply; /* after DONE, until the next call */
	const char *why;         /* after BAD */
	uint8_t state;
	unsigned code; /* of the line being read */
	size_t line;   /* octets of the line being read */
};

void smtp_reply_reader_init(struct smtp_reply_reader *r);
void smtp_reply_reader_done(struct smtp_reply_reader *r);

enum smtp_reply_result smtp_reply_read(struct smtp_reply_reader *r, struct span *in);

/* Nothing of the next reply has been read. */
bool smtp_reply_reader_is_idle(const struct smtp_reply_reader *r);

/* "2.1.5" at the front of `text`, followed by a space or nothing. `class` 0 if there is none. */
struct smtp_status smtp_status_parse(struct span text);
