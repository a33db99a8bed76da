/* The text face: the verdict, then the tree in columns. */
#include <string.h>

#include "base/text.h"
#include "base/utf8.h"
#include "jobs/check/write.h"

enum {
	SUBJECT_MOST = 48, /* columns of subjects that titles are aligned to */
	TITLE_LEAST = 30,  /* columns a title should have beside them */
	SIGN = 4,          /* "FAIL" */
};

/* --- escaping --------------------------------------------------------------------------------- */

/* C0, DEL and C1 steer a terminal; the rest turns the direction of text or breaks its lines. */
static bool is_steering(uint32_t c)
{
	return !text_is_plain_character(c) || c == 0x061c || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff ||
	       c == 0xfffe || c == 0xffff; /* no characters, and not allowed in XML */
}

int check_escape(struct buf *out, const char *text)
{
	struct span left = span_text(text);
	int ret = 0;

	while (ret == 0 && left.n > 0) {
		uint32_t c = 0;
		size_t n = utf8_decode(left, &c);
		bool whole = n > 0 && !is_steering(c);

		if (n == 0)
			n = 1;
		for (size_t i = 0; ret == 0 && !whole && i < n; i++)
			ret = buf_printf(out, "\\x%02x", left.p[i]);
		if (whole)
			ret = buf_add(out, left.p, n);
		left = span_skip(left, n);
	}
	return ret;
}

/* Columns, of text that is escaped: one a character. */
static size_t columns(struct span text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++)
		n += (text.p[i] & 0xc0) != 0x80;
	return n;
}

/* --- lines ------------------------------------------------------------------------------------ */

struct look {
	const char *sign, *on, *off;
};

static struct look look_of(enum check_status s, bool colour)
{
	static const char *const signs[] = {"ok", "info", "skip", "warn", "FAIL"};
	static const char *const colours[] = {"\033[32m", "", "\033[2m", "\033[33m", "\033[1;31m"};

	return (struct look){signs[s], colour ? colours[s] : "", colour ? "\033[0m" : ""};
}

/* The octets of the first `room` columns. */
static size_t cut(struct span text, size_t room)
{
	size_t n = 0;

	while (n < text.n && room > 0) {
		for (n++; n < text.n && (text.p[n] & 0xc0) == 0x80; n++)
			;
		room--;
	}
	return n;
}

/*
 * A TLSA record stays on one line, to be copied: no break behind "TLSA" or a lone digit before a
 * digit or hexadecimal data.
 */
static bool is_break(struct span text, size_t at)
{
	const uint8_t *p = text.p;
	bool lone = at >= 1 && p[at - 1] >= '0' && p[at - 1] <= '9' &&
		    (at == 1 || p[at - 2] == ' ' || p[at - 2] == '"');
	bool type = at >= 4 && memcmp(p + at - 4, "TLSA", 4) == 0;
	bool class = at + 8 <= text.n && memcmp(p + at, " IN TLSA", 8) == 0;
	bool after = at >= 3 && at + 5 <= text.n && memcmp(p + at - 3, " IN TLSA", 8) == 0;

	if (p[at] != ' ' || class || after)
		return false;
	return at + 1 >= text.n || !(lone || type) || strchr("0123456789abcdef", p[at + 1]) == NULL;
}

/* `text` broken at spaces; it begins where the cursor is, in `column`; other lines are indented. */
static int wrap(struct buf *out, const char *text, size_t column, size_t indent, size_t width)
{
	struct buf clean;
	struct span left;
	int ret;

	buf_init(&clean, out->max);
	ret = check_escape(&clean, text);
	left = buf_span(&clean);
	for (bool first = true; ret == 0 && left.n > 0; first = false) {
		size_t begin = first ? column : indent;
		size_t n = cut(left, width > begin + 20 ? width - begin : 20), whole = n;

		if (n < left.n) {
			while (n > 0 && !is_break(left, n))
				n--;
			if (n == 0) /* a long word, such as a record: it stays whole */
				for (n = whole; n < left.n && !is_break(left, n); n++)
					;
		}
		ret = buf_printf(out, "%*s%.*s\n", first ? 0 : (int)indent, "", (int)n, left.p);
		left = span_skip(left, n);
		while (left.n > 0 && left.p[0] == ' ')
			left = span_skip(left, 1);
	}
	buf_done(&clean);
	return ret;
}

static int block(struct buf *out, const char *label, const char *text, size_t indent, size_t width)
{
	int ret = 0;

	if (text == NULL)
		return 0;
	ret = buf_printf(out, "%*s%s", (int)indent, "", label);
	if (ret < 0)
		return ret;
	return wrap(out, text, indent + strlen(label), indent + (*label != '\0' ? 2 : 0), width);
}

/* --- the tree --------------------------------------------------------------------------------- */

struct table {
	const struct check_style *style;
	size_t width, titles; /* the column where titles begin; 0: behind each subject */
	size_t hidden;
};

static bool is_shown(const struct check_style *style, const struct check_finding *f)
{
	return style->verbose > 0 || check_text_of(f->kind)->status != CHECK_SKIP;
}

/* The column behind the longest subject, if titles have room there. */
static size_t measure(const struct check_tree *t, const struct check_style *style, size_t width)
{
	const struct check_finding *f = NULL;
	size_t widest = 0;
	unsigned depth;

	while ((f = check_tree_next(t, f, &depth)) != NULL) {
		size_t n = 2 * depth + columns(span_text(f->subject));

		if (is_shown(style, f) && n <= SUBJECT_MOST && n > widest)
			widest = n;
	}
	widest += 2 + SIGN + 2 + 2;
	return widest + TITLE_LEAST <= width ? widest : 0;
}

static int write_subject(struct buf *out, const struct check_finding *f, unsigned depth,
			 const struct table *table)
{
	struct look look = look_of(check_text_of(f->kind)->status, table->style->colour);
	size_t begin = 2 + SIGN + 2 + 2 * depth, used;
	struct buf subject;
	int ret;

	buf_init(&subject, out->max);
	ret = check_escape(&subject, f->subject);
	used = begin + columns(buf_span(&subject));
	if (ret == 0)
		ret = buf_printf(out, "  %s%-*s%s  %*s%.*s", look.on, SIGN, look.sign, look.off,
				 (int)(2 * depth), "", (int)subject.n,
				 subject.n > 0 ? (const char *)subject.p : "");
	buf_done(&subject);
	if (ret < 0)
		return ret;
	if (table->titles == 0 || used + 2 > table->titles) {
		ret = buf_printf(out, "\n%*s", (int)begin + 2, "");
		return ret == 0 ? wrap(out, f->title, begin + 2, begin + 2, table->width) : ret;
	}
	ret = buf_printf(out, "%*s", (int)(table->titles - used), "");
	return ret == 0 ? wrap(out, f->title, table->titles, table->titles, table->width) : ret;
}

/* What is to be mended is told in full: troubles, and whatever else keeps the domain from DANE. */
static bool told_in_full(const struct check_text *text)
{
	return text->status >= CHECK_WARN ||
	       (text->status == CHECK_INFO && text->effect != CHECK_EFFECT_NONE);
}

static int write_finding(struct buf *out, const struct check_finding *f, unsigned depth,
			 const struct table *table)
{
	const struct check_text *text = check_text_of(f->kind);
	size_t indent = 2 + SIGN + 2 + 2 * depth + 2, width = table->width;
	bool verbose = table->style->verbose > 0;
	int ret = write_subject(out, f, depth, table);

	if (ret == 0 && (told_in_full(text) || verbose))
		ret = block(out, "", f->detail, indent, width);
	if (ret == 0 && (text->status >= CHECK_INFO || verbose))
		ret = block(out, "To mend it: ", f->fix, indent, width);
	if (!verbose)
		return ret;
	if (ret == 0)
		ret = block(out, "Postfix: ", f->postfix, indent, width);
	if (ret == 0)
		ret = block(out, "Exchange Online: ", text->exchange, indent, width);
	if (ret == 0)
		ret = block(out, "TLS report: ", text->tlsrpt, indent, width);
	return ret;
}

int check_tree_text(const struct check_tree *t, const struct check_style *style, struct buf *out)
{
	struct table table = {.style = style, .width = style->width > 0 ? style->width : 80};
	const struct check_finding *f = NULL;
	size_t hidden = 0;
	unsigned depth;
	int ret = 0;

	table.titles = measure(t, style, table.width);
	while (ret == 0 && (f = check_tree_next(t, f, &depth)) != NULL) {
		if (is_shown(style, f))
			ret = write_finding(out, f, depth, &table);
		else
			hidden++;
	}
	if (ret == 0 && hidden > 0)
		ret = buf_printf(out, "  (%zu skipped; -v shows %s)\n", hidden,
				 hidden == 1 ? "it" : "them");
	return ret;
}

/* --- the report ------------------------------------------------------------------------------- */

static const char *colour_of(enum check_verdict v)
{
	switch (v) {
	case CHECK_VERDICT_DANE:
		return "\033[1;32m";
	case CHECK_VERDICT_NONE:
	case CHECK_VERDICT_PARTIAL:
	case CHECK_VERDICT_UNKNOWN:
		return "\033[1;33m";
	case CHECK_VERDICT_BROKEN:
		break;
	}
	return "\033[1;31m";
}

int check_result_text(const struct check_result *r, const struct check_style *style,
		      struct buf *out)
{
	bool colour = style->colour;
	int ret = check_escape(out, r->tree->root.subject);

	if (ret == 0)
		ret = buf_printf(out, ": %s%s%s\n", colour ? colour_of(r->verdict) : "",
				 check_verdict_to_string(r->verdict), colour ? "\033[0m" : "");
	if (ret == 0)
		ret = wrap(out, check_tree_in_words(r->tree, r->verdict), 0, 0,
			   style->width > 0 ? style->width : 80);
	if (ret == 0)
		ret = buf_add_text(out, "\n");
	if (ret == 0)
		ret = check_tree_text(r->tree, style, out);
	return ret == 0 ? buf_add_text(out, "\n") : ret;
}
