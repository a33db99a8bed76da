/*
 * What must hold for every notification, whatever went into it: for tests/unit/mail_dsn.c and
 * fuzz/mail_dsn.c. Aborts where it does not.
 */
#pragma once

#include <stdio.h>

#include "core/mail/dsn.h"

/* The whole message, with `original` between head and tail. */
static inline void judge_write(const struct mail_dsn *d, struct span original, struct buf *out)
{
	struct mail_dsn_writer w;
	struct buf piece;
	int r = 1;

	buf_init(&piece, MAIL_DSN_PIECE_MAX);
	mail_dsn_begin(&w, d);
	while (r > 0) {
		r = mail_dsn_next(&w, &piece);
		require(r >= 0);
		require(buf_add(out, piece.p, piece.n) == 0);
		buf_clear(&piece);
	}
	if (d->original != MAIL_DSN_NOTHING)
		require(buf_add(out, original.p, original.n) == 0);
	require(mail_dsn_tail(d, &piece) == 0);
	require(buf_add(out, piece.p, piece.n) == 0);
	buf_done(&piece);
}

static inline void judge_fail(const char *what, struct span line)
{
	fprintf(stderr, "notification: %s: '%.*s'\n", what, (int)line.n, (const char *)line.p);
	abort();
}

/* The next line without its CRLF. */
static inline bool judge_line(struct span *rest, struct span *ret)
{
	const uint8_t *lf;

	if (rest->n == 0)
		return false;
	lf = memchr(rest->p, '\n', rest->n);
	if (lf == NULL || lf == rest->p || lf[-1] != '\r')
		judge_fail("a line that does not end in CRLF", *rest);
	*ret = span_of(rest->p, (size_t)(lf - rest->p) - 1);
	*rest = span_skip(*rest, ret->n + 2);
	return true;
}

static inline bool judge_begins(struct span line, const char *word)
{
	size_t n = strlen(word);

	return line.n >= n && memcmp(line.p, word, n) == 0;
}

static inline void judge_octets(struct span line, bool eightbit)
{
	if (line.n > 998)
		judge_fail("a line too long", line);
	for (size_t i = 0; i < line.n; i++)
		if ((line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] == 0x7f ||
		    (line.p[i] >= 0x80 && !eightbit))
			judge_fail("an octet that may not be there", line);
}

static inline void judge_field(struct span line, const char *const *names, size_t n)
{
	if (line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t'))
		return;
	for (size_t i = 0; i < n; i++)
		if (judge_begins(line, names[i]))
			return;
	judge_fail("a field that nobody put there", line);
}

/* With `d->original` MAIL_DSN_NOTHING; n of one kind of line in the fields of recipients. */
static inline void judge_message(const struct mail_dsn *d, struct span text)
{
	static const char *const header[] = {"From: Mail Delivery System <",
					     "To: <",
					     "Subject: ",
					     "Date: ",
					     "Message-ID: <",
					     "Auto-Submitted: auto-replied",
					     "MIME-Version: 1.0",
					     "Content-Type: multipart/report; report-type=",
					     "Content-Transfer-Encoding: "};
	static const char *const fields[] = {"Content-Type: message/",
					     "Content-Transfer-Encoding: ",
					     "Reporting-MTA: dns; ",
					     "Original-Envelope-Id: ",
					     "Arrival-Date: ",
					     "X-Daneway-Id: ",
					     "Original-Recipient: ",
					     "Final-Recipient: ",
					     "Action: ",
					     "Status: ",
					     "Remote-MTA: dns; ",
					     "Diagnostic-Code: ",
					     "Last-Attempt-Date: ",
					     "Will-Retry-Until: "};
	bool eightbit = mail_dsn_is_8bit(d), in_header = true;
	size_t n_boundaries = 0, n_recipients = 0, n_lines = 0;
	struct span line;

	while (judge_line(&text, &line)) {
		judge_octets(line, eightbit);
		n_lines++;
		if (judge_begins(line, "--=_daneway_")) {
			n_boundaries++;
			continue;
		}
		if (line.n == 0)
			in_header = false;
		else if (in_header)
			judge_field(line, header, ARRAY_SIZE(header));
		else if (n_boundaries == 2)
			judge_field(line, fields, ARRAY_SIZE(fields));
		if (n_boundaries == 2 && judge_begins(line, "Final-Recipient: "))
			n_recipients++;
	}
	if (n_boundaries != 3 || n_recipients != d->n_recipients)
		judge_fail("not the parts it should have", line);
}
