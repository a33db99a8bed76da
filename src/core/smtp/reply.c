#include "core/smtp/reply.h"

#include <stdio.h>

#include "base/text.h"

enum {
	START, /* before the first octet of a reply */
	CODE,  /* before the first octet of a further line, or within the code */
	SEPARATOR,
	TEXT,
	LAST_TEXT,
	CR,
	LAST_CR,
	DONE,
	BAD,
};

void smtp_reply_reader_init(struct smtp_reply_reader *r)
{
	*r = (struct smtp_reply_reader){.state = START};
	buf_init(&r->reply.lines, SMTP_REPLY_MAX);
}

void smtp_reply_reader_done(struct smtp_reply_reader *r)
{
	buf_done(&r->reply.lines);
}

bool smtp_reply_reader_is_idle(const struct smtp_reply_reader *r)
{
	return r->state == START || r->state == DONE;
}

static uint8_t bad(struct smtp_reply_reader *r, const char *why)
{
	r->why = why;
	return BAD;
}

static uint8_t take_code(struct smtp_reply_reader *r, uint8_t c)
{
	if (c < '0' || c > '9')
		return bad(r, "a line that does not begin with a reply code");
	if (r->line == 1 && (c < '2' || c > '5'))
		return bad(r, "a reply code outside 200-599");
	r->code = r->code * 10 + (unsigned)(c - '0');
	if (r->line < 3)
		return CODE;
	if (r->reply.n_lines == 0)
		r->reply.code = r->code;
	else if (r->reply.code != r->code)
		return bad(r, "a reply that changes its code from line to line");
	return SEPARATOR;
}

static uint8_t take_text(struct smtp_reply_reader *r, uint8_t c)
{
	if (c == '\r')
		return r->state == TEXT ? CR : LAST_CR;
	if (c == '\n')
		return bad(r, "a line end without CR in a reply");
	if (c == '\0')
		return bad(r, "a NUL octet in a reply");
	if (buf_add(&r->reply.lines, &c, 1) < 0)
		return bad(r, "a reply of too many octets");
	return r->state;
}

static uint8_t take_line_end(struct smtp_reply_reader *r, uint8_t c)
{
	bool last = r->state == LAST_CR;

	if (c != '\n')
		return bad(r, "a CR that ends no line in a reply");
	if (buf_add(&r->reply.lines, "\n", 1) < 0)
		return bad(r, "a reply of too many octets");
	r->reply.n_lines++;
	if (!last && r->reply.n_lines >= SMTP_REPLY_LINES_MAX)
		return bad(r, "a reply of too many lines");
	r->line = 0;
	r->code = 0;
	return last ? DONE : CODE;
}

static uint8_t take(struct smtp_reply_reader *r, uint8_t c)
{
	r->line++;
	if (r->line > SMTP_REPLY_LINE_MAX)
		return bad(r, "a reply line of too many octets");
	switch (r->state) {
	case START:
	case CODE:
		return take_code(r, c);
	case SEPARATOR:
		if (c == '-')
			return TEXT;
		if (c == ' ')
			return LAST_TEXT;
		if (c == '\r') /* RFC 5321 section 4.2: a client must accept a code alone */
			return LAST_CR;
		return bad(r, "a reply code that is not followed by space or hyphen");
	case TEXT:
	case LAST_TEXT:
		return take_text(r, c);
	default:
		return take_line_end(r, c);
	}
}

enum smtp_reply_result smtp_reply_read(struct smtp_reply_reader *r, struct span *in)
{
	if (r->state == DONE) {
		buf_clear(&r->reply.lines);
		r->reply.n_lines = 0;
		r->state = START;
	}
	while (in->n > 0 && r->state != BAD) {
		r->state = take(r, in->p[0]);
		*in = span_skip(*in, 1);
		if (r->state == DONE) {
			struct span rest = buf_span(&r->reply.lines), first;

			require(smtp_reply_next_line(&rest, &first));
			r->reply.status = smtp_status_parse(first);
			if (r->reply.status.class != smtp_reply_class(&r->reply))
				r->reply.status = (struct smtp_status){0};
			return SMTP_REPLY_DONE;
		}
	}
	return r->state == BAD ? SMTP_REPLY_BAD : SMTP_REPLY_MORE;
}

bool smtp_reply_next_line(struct span *rest, struct span *ret_line)
{
	const uint8_t *end = rest->n == 0 ? NULL : memchr(rest->p, '\n', rest->n);

	if (end == NULL)
		return false;
	*ret_line = span_of(rest->p, (size_t)(end - rest->p));
	*rest = span_skip(*rest, ret_line->n + 1);
	return true;
}

/* 1-3 digits; false if there are none or more. */
static bool take_number(struct span *s, uint16_t *ret)
{
	size_t n = 0;

	*ret = 0;
	while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9') {
		if (n == 3)
			return false;
		*ret = (uint16_t)(*ret * 10 + (s->p[n] - '0'));
		n++;
	}
	*s = span_skip(*s, n);
	return n > 0;
}

static bool take_dot(struct span *s)
{
	if (s->n == 0 || s->p[0] != '.')
		return false;
	*s = span_skip(*s, 1);
	return true;
}

/*
 *	status-code = ("2" / "4" / "5") "." 1*3digit "." 1*3digit	(RFC 3463 section 2)
 */
struct smtp_status smtp_status_parse(struct span text)
{
	struct smtp_status none = {0}, s;

	if (!take_number(&text, &s.class) || (s.class != 2 && s.class != 4 && s.class != 5))
		return none;
	if (!take_dot(&text) || !take_number(&text, &s.subject))
		return none;
	if (!take_dot(&text) || !take_number(&text, &s.detail))
		return none;
	return text.n == 0 || text.p[0] == ' ' ? s : none;
}

/* Appends what is plain text of `line`; false when `b` is full. */
static bool add_plain(struct buf *b, struct span line)
{
	struct span one;

	while (line.n > 0) {
		bool plain = text_take_plain(&line, &one);

		if ((plain ? buf_add(b, one.p, one.n) : buf_add(b, "?", 1)) < 0)
			return false;
	}
	return true;
}

void smtp_reply_text(const struct smtp_reply *r, char ret[SMTP_REPLY_TEXT_MAX + 1])
{
	struct span rest = buf_span(&r->lines), line;
	const char *between = " ";
	struct buf b;

	buf_init(&b, SMTP_REPLY_TEXT_MAX);
	require(buf_printf(&b, "%u", r->code) == 0);
	while (smtp_reply_next_line(&rest, &line)) {
		if (line.n == 0)
			continue;
		if (buf_add_text(&b, between) < 0 || !add_plain(&b, line))
			break;
		between = "; ";
	}
	memcpy(ret, b.p, b.n);
	ret[b.n] = '\0';
	buf_done(&b);
}
