#include "core/smtp/caps.h"

static struct span take_word(struct span *line)
{
	size_t n = 0;

	while (n < line->n && line->p[n] != ' ')
		n++;
	struct span word = span_of(line->p, n);

	*line = span_skip(*line, n + 1);
	return word;
}

/*
 *	SIZE [ SP 1*20digit ]	(RFC 1870 section 3)
 * A number that is none, or too large for us, limits nothing.
 */
static uint64_t take_size(struct span digits)
{
	uint64_t n = 0;

	for (size_t i = 0; i < digits.n; i++) {
		if (digits.p[i] < '0' || digits.p[i] > '9')
			return 0;
		if (__builtin_mul_overflow(n, (uint64_t)10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(digits.p[i] - '0'), &n))
			return 0;
	}
	return n;
}

struct smtp_caps smtp_caps_from_ehlo(const struct smtp_reply *r)
{
	struct smtp_caps caps = {.esmtp = true};
	struct span rest = buf_span(&r->lines), line;

	/* The first line is the server's name and greeting. */
	if (!smtp_reply_next_line(&rest, &line))
		return caps;
	while (smtp_reply_next_line(&rest, &line)) {
		struct span word = take_word(&line);

		if (span_is_nocase(word, "STARTTLS"))
			caps.starttls = true;
		else if (span_is_nocase(word, "PIPELINING"))
			caps.pipelining = true;
		else if (span_is_nocase(word, "8BITMIME"))
			caps.eightbit = true;
		else if (span_is_nocase(word, "SMTPUTF8"))
			caps.smtputf8 = true;
		else if (span_is_nocase(word, "CHUNKING"))
			caps.chunking = true;
		else if (span_is_nocase(word, "DSN"))
			caps.dsn = true;
		else if (span_is_nocase(word, "SIZE")) {
			caps.size = true;
			caps.size_limit = take_size(take_word(&line));
		}
	}
	return caps;
}
