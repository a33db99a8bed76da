/* The text and JSON faces of the tree. */
#include <string.h>

#include "base/utf8.h"
#include "jobs/check/finding.h"

/* --- JSON ---------------------------------------------------------------------------------------
 */

static struct js *senders_json(const struct check_finding *f)
{
	const struct check_text *text = check_text_of(f->kind);
	struct js *v = js_object();

	js_set_text(v, "postfix", f->postfix);
	js_set_text(v, "exchange", text->exchange);
	js_set_text(v, "tlsrpt", text->tlsrpt);
	return v;
}

struct js *check_tree_json(const struct check_tree *t)
{
	struct js *list = js_array();
	const struct check_finding *f = NULL;
	unsigned depth;

	while ((f = check_tree_next(t, f, &depth)) != NULL) {
		const struct check_text *text = check_text_of(f->kind);
		struct js *v = js_object();

		js_set_text(v, "id", text->id);
		js_set_text(v, "subject", f->subject);
		js_set_text(v, "status", check_status_to_string(text->status));
		js_set_text(v, "title", f->title);
		js_set_text(v, "detail", f->detail);
		js_set_text(v, "fix", f->fix);
		js_set_int(v, "depth", depth);
		js_set(v, "senders", senders_json(f));
		js_push(list, v);
	}
	return list;
}

/* --- text ---------------------------------------------------------------------------------------
 */

int check_escape(struct buf *out, const char *text)
{
	struct span left = span_text(text);
	int ret = 0;

	while (ret == 0 && left.n > 0) {
		uint32_t c = 0;
		size_t n = utf8_decode(left, &c);

		/* C0, DEL and C1 would steer a terminal. */
		if (n == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0)) {
			ret = buf_printf(out, "\\x%02x", left.p[0]);
			n = 1;
		} else {
			ret = buf_add(out, left.p, n);
		}
		left = span_skip(left, n);
	}
	return ret;
}

struct look {
	const char *sign, *on, *off;
};

static struct look look_of(enum check_status s, bool colour)
{
	static const char *const signs[] = {"ok  ", "info", "skip", "warn", "FAIL"};
	static const char *const colours[] = {"\033[32m", "", "\033[2m", "\033[33m", "\033[1;31m"};

	return (struct look){signs[s], colour ? colours[s] : "", colour ? "\033[0m" : ""};
}

/*
 * A TLSA record stays on one line, to be copied: no break around "IN", none behind "TLSA" or a lone
 * digit before a digit or hexadecimal data.
 */
static bool is_break(const struct buf *text, size_t at)
{
	const uint8_t *p = text->p;
	bool lone = at >= 1 && p[at - 1] >= '0' && p[at - 1] <= '9' &&
		    (at == 1 || p[at - 2] == ' ' || p[at - 2] == '"');
	bool type = at >= 4 && memcmp(p + at - 4, "TLSA", 4) == 0;
	bool class = at + 8 <= text->n && memcmp(p + at, " IN TLSA", 8) == 0;
	bool after = at >= 3 && at + 5 <= text->n && memcmp(p + at - 3, " IN TLSA", 8) == 0;

	if (p[at] != ' ' || class || after)
		return false;
	return at + 1 >= text->n || !(lone || type) ||
	       strchr("0123456789abcdef", p[at + 1]) == NULL;
}

/* `text` broken at spaces, each line indented. */
static int wrap(struct buf *out, const char *text, unsigned indent, unsigned width)
{
	struct buf clean;
	size_t at = 0;
	int ret;

	buf_init(&clean, out->max);
	ret = check_escape(&clean, text);
	while (ret == 0 && at < clean.n) {
		size_t room = width > indent + 20 ? width - indent : 20, n = clean.n - at;

		if (n > room) {
			for (n = room; n > 0 && !is_break(&clean, at + n); n--)
				;
			if (n == 0) /* a long word, such as a record: it stays whole */
				while (at + n < clean.n && !is_break(&clean, at + n))
					n++;
		}
		ret = buf_printf(out, "%*s%.*s\n", (int)indent, "", (int)n, clean.p + at);
		for (at += n; at < clean.n && clean.p[at] == ' '; at++)
			;
	}
	buf_done(&clean);
	return ret;
}

static int write_senders(struct buf *out, const struct check_finding *f, unsigned indent)
{
	const struct check_text *text = check_text_of(f->kind);
	int ret = 0;

	if (f->postfix != NULL) {
		ret = buf_printf(out, "%*sPostfix: ", (int)indent, "");
		if (ret == 0)
			ret = check_escape(out, f->postfix);
		if (ret == 0)
			ret = buf_add_text(out, "\n");
	}
	if (ret == 0 && text->exchange != NULL)
		ret = buf_printf(out, "%*sExchange Online: %s\n", (int)indent, "", text->exchange);
	if (ret == 0 && text->tlsrpt != NULL)
		ret = buf_printf(out, "%*sTLS report: %s\n", (int)indent, "", text->tlsrpt);
	return ret;
}

static int write_finding(struct buf *out, const struct check_finding *f, unsigned depth,
			 const struct check_style *style)
{
	const struct check_text *text = check_text_of(f->kind);
	struct look look = look_of(text->status, style->colour);
	unsigned indent = 2 + 2 * depth + 5, width = style->width > 0 ? style->width : 80;
	bool trouble = text->status == CHECK_WARN || text->status == CHECK_FAIL;
	int ret = buf_printf(out, "%*s%s%s%s ", (int)(2 + 2 * depth), "", look.on, look.sign,
			     look.off);

	if (ret == 0)
		ret = check_escape(out, f->subject);
	if (ret == 0)
		ret = buf_add_text(out, ": ");
	if (ret == 0)
		ret = check_escape(out, f->title);
	if (ret == 0)
		ret = buf_add_text(out, "\n");
	if (ret == 0 && f->detail != NULL && (trouble || style->verbose > 0))
		ret = wrap(out, f->detail, indent, width);
	if (ret == 0 && f->fix != NULL && (trouble || style->verbose > 0)) {
		ret = buf_printf(out, "%*sTo mend it:\n", (int)indent, "");
		if (ret == 0)
			ret = wrap(out, f->fix, indent + 2, width);
	}
	if (ret == 0 && style->verbose > 0)
		ret = write_senders(out, f, indent);
	return ret;
}

int check_tree_text(const struct check_tree *t, const struct check_style *style, struct buf *out)
{
	const struct check_finding *f = NULL;
	unsigned depth;
	int ret = 0;

	while (ret == 0 && (f = check_tree_next(t, f, &depth)) != NULL)
		ret = write_finding(out, f, depth, style);
	return ret;
}
