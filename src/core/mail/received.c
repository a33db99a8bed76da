#include "core/mail/received.h"

#include <limits.h>
#include <stdio.h>

#include "base/buf.h"
#include "core/mail/address.h"
#include "core/mail/date.h"

enum {
	LINE_MAX_OCTETS = 78, /* RFC 5322 section 2.1.1, without CRLF */
	NAME_MAX_OCTETS = 255,
	COMMENT_MAX = 100, /* octets of a HELO that is no name, before they are escaped */
};

/* --- writing ---------------------------------------------------------------------------------- */

struct writer {
	struct buf out;
	size_t column;
};

static void add(struct writer *w, const char *text)
{
	/* Every fact is cut before it comes here. */
	require(buf_add_text(&w->out, text) == 0);
	w->column += strlen(text);
}

static void fold(struct writer *w)
{
	add(w, "\r\n\t");
	w->column = 1;
}

/* Space and text, and the semicolon that may follow it, still have room on the line. */
static bool has_room(const struct writer *w, size_t n)
{
	return w->column + 1 + n + 1 <= LINE_MAX_OCTETS;
}

/* A word that is not split, after a space or at the start of a line. */
static void put_word(struct writer *w, const char *word)
{
	if (w->column > 1 && !has_room(w, strlen(word)))
		fold(w);
	else if (w->column > 1)
		add(w, " ");
	add(w, word);
}

/* Words that stay together on a line if a line can hold them. */
static void put(struct writer *w, const char *a, const char *b)
{
	size_t n = strlen(a) + 1 + strlen(b);

	if (!has_room(w, n) && n + 2 <= LINE_MAX_OCTETS)
		fold(w);
	put_word(w, a);
	put_word(w, b);
}

/* --- the client ------------------------------------------------------------------------------- */

static bool is_let_dig(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Domain of RFC 5321 section 4.1.2: labels of letters, digits and inner hyphens. */
static bool is_name(const char *s)
{
	char before = '.';

	for (const char *p = s; *p != '\0'; p++) {
		if (*p == '.' ? !is_let_dig(before) : *p == '-' ? before == '.' : !is_let_dig(*p))
			return false;
		before = *p;
	}
	return is_let_dig(before) && strlen(s) <= NAME_MAX_OCTETS;
}

static bool is_literal(struct arena *a, const char *s)
{
	struct mail_domain d;

	return s[0] == '[' && strlen(s) <= NAME_MAX_OCTETS &&
	       mail_domain_parse(a, span_text(s), &d, NULL) == 0 && strcmp(d.text, s) == 0;
}

static const char *literal(struct arena *a, const char *address)
{
	return arena_printf(a, strchr(address, ':') != NULL ? "[IPv6:%s]" : "[%s]", address);
}

/* RFC 5322 section 3.2.2: in a comment parentheses and backslashes are quoted. */
static const char *comment(struct arena *a, const char *said)
{
	char text[2 * COMMENT_MAX + 1];
	size_t n = 0, i;

	for (i = 0; said[i] != '\0' && i < COMMENT_MAX; i++) {
		if (said[i] == '(' || said[i] == ')' || said[i] == '\\')
			text[n++] = '\\';
		text[n++] = said[i] > ' ' && said[i] < 0x7f ? said[i] : '?';
	}
	text[n] = '\0';
	return arena_printf(a, "%s%s)", text, said[i] == '\0' ? "" : "...");
}

static void put_client(struct writer *w, struct arena *a, const struct mail_received *r)
{
	bool local = r->address == NULL || r->address[0] == '\0';
	const char *address = local ? NULL : literal(a, r->address);
	bool named = r->helo != NULL && (is_name(r->helo) || is_literal(a, r->helo));

	put(w, "from", named ? r->helo : local ? "localhost" : address);
	if (!local)
		put_word(w, arena_printf(a, "(%s)", address));
	if (r->helo != NULL && !named)
		put(w, "(HELO", comment(a, r->helo));
}

/* --- the field -------------------------------------------------------------------------------- */

/* RFC 3848; RFC 6531 section 4.3. */
static const char *protocol(struct arena *a, const struct mail_received *r)
{
	if (!r->esmtp)
		return "SMTP";
	return arena_printf(a, "%s%s%s", r->smtputf8 ? "UTF8SMTP" : "ESMTP",
			    r->tls_version != NULL ? "S" : "", r->authenticated ? "A" : "");
}

static bool is_ascii(const char *s)
{
	for (; *s != '\0'; s++)
		if ((*s & 0x80) != 0)
			return false;
	return true;
}

static bool names_recipient(const struct mail_received *r)
{
	return r->recipient != NULL && strlen(r->recipient) <= MAIL_PATH_MAX &&
	       mail_path_is_safe(r->recipient) && (r->smtputf8 || is_ascii(r->recipient));
}

struct span mail_received(struct arena *a, const struct mail_received *r)
{
	bool tls = r->tls_version != NULL && r->tls_cipher != NULL;
	struct writer w = {.column = 0};
	char date[MAIL_DATE_MAX];
	struct span field;

	buf_init(&w.out, MAIL_RECEIVED_MAX);
	add(&w, "Received:");
	put_client(&w, a, r);
	put(&w, "by", arena_printf(a, "%.*s", NAME_MAX_OCTETS, r->by));
	put(&w, "with", protocol(a, r));
	if (tls)
		put(&w, arena_printf(a, "(%.20s", r->tls_version),
		    arena_printf(a, "%.60s)", r->tls_cipher));
	if (r->id != NULL)
		put(&w, "id", arena_printf(a, "%.60s", r->id));
	if (names_recipient(r))
		put(&w, "for", arena_printf(a, "<%s>", r->recipient));
	add(&w, ";");
	mail_date(r->unix_time * USEC_PER_SEC, date);
	if (w.column + 1 + strlen(date) > LINE_MAX_OCTETS)
		fold(&w);
	else
		add(&w, " ");
	add(&w, date);
	add(&w, "\r\n");
	field = arena_dup(a, buf_span(&w.out));
	buf_done(&w.out);
	return field;
}

/* --- counting --------------------------------------------------------------------------------- */

enum state {
	STATE_NAME, /* at a line's start, or in what may be "Received" */
	STATE_COLON,
	STATE_LINE,
	STATE_EMPTY, /* a CR at a line's start */
};

static const char field_name[] = "received";

/* One octet outside of STATE_LINE; the next state. */
static enum state take(struct mail_hops *h, uint8_t c)
{
	switch ((enum state)h->state) {
	case STATE_NAME:
		if (h->matched == 0 && c == '\r')
			return STATE_EMPTY;
		h->in_body = h->matched == 0 && c == '\n';
		if (ascii_lower(c) != (uint8_t)field_name[h->matched])
			return STATE_LINE;
		return field_name[++h->matched] == '\0' ? STATE_COLON : STATE_NAME;
	case STATE_COLON: /* RFC 5322 section 4.5: white space before it was once allowed */
		if (c == ' ' || c == '\t')
			return STATE_COLON;
		if (c == ':' && h->received < UINT_MAX)
			h->received++;
		return STATE_LINE;
	case STATE_EMPTY:
		h->in_body = c == '\n';
		return STATE_LINE;
	case STATE_LINE:
		break;
	}
	return STATE_LINE;
}

size_t mail_hops_feed(struct mail_hops *h, struct span in)
{
	size_t i = 0;

	while (i < in.n && !h->in_body) {
		if (h->state == STATE_LINE) {
			const uint8_t *lf = memchr(in.p + i, '\n', in.n - i);

			if (lf == NULL) {
				i = in.n;
				break;
			}
			i = (size_t)(lf - in.p) + 1;
			h->state = STATE_NAME;
			h->matched = 0;
			continue;
		}
		h->state = (uint8_t)take(h, in.p[i]);
		/* A line's end is for STATE_LINE to see, unless it ended the header. */
		if (h->state != STATE_LINE || in.p[i] != '\n' || h->in_body)
			i++;
	}
	h->octets += i;
	return i;
}
