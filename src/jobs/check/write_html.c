/* The HTML face: one page, no script, no other file. */
#include <errno.h>

#include "jobs/check/palette.h"
#include "jobs/check/write.h"

struct check_html {
	const char *title;
	FILE *index, *sections;
	size_t n;
};

static const char page_head[] =
	"<!DOCTYPE html>\n"
	"<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n"
	"<meta charset=\"utf-8\"/>\n"
	"<meta http-equiv=\"Content-Security-Policy\" "
	"content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
	"<meta name=\"color-scheme\" content=\"light dark\"/>\n"
	"<meta name=\"referrer\" content=\"no-referrer\"/>\n";

/* clang-format off */
#define ON_WHITE(name, white, black) "--" #name ":" white ";"
#define ON_BLACK(name, white, black) "--" #name ":" black ";"

static const char style[] =
	"<style>\n"
	":root{" CHECK_PALETTE(ON_WHITE) "}\n"
	"@media(prefers-color-scheme:dark){:root{" CHECK_PALETTE(ON_BLACK) "}}\n"
	"*{box-sizing:border-box}\n"
	"body{margin:0 auto;max-width:60rem;padding:1rem;background:var(--bg);color:var(--fg);"
	"font:1rem/1.45 system-ui,sans-serif}\n"
	"h1{font-size:1.3rem;margin:.2rem 0}h2{font-size:1.2rem;margin:0;overflow-wrap:anywhere}\n"
	".when,.skip>.s,.skip>details>summary>.s{color:var(--dim)}\n"
	"section{border-top:1px solid var(--line);margin-top:1.5rem;padding-top:1rem}\n"
	".b{display:inline-block;border:1px solid currentColor;border-radius:.3rem;"
	"padding:0 .45rem;font-weight:600;font-size:.85rem}\n"
	".b.pass{color:var(--pass)}.b.info{color:var(--info)}.b.skip{color:var(--skip)}"
	".b.warn{color:var(--warn)}.b.fail{color:var(--fail)}\n"
	"ul{list-style:none;margin:.4rem 0;padding:0}ul ul{border-left:2px solid var(--line);"
	"margin-left:.3rem;padding-left:.8rem}\n"
	"li{margin:.35rem 0;overflow-wrap:anywhere}summary{cursor:pointer}\n"
	".s{font-family:ui-monospace,monospace;font-size:.9rem}\n"
	"dl{margin:.2rem 0 .6rem 1.4rem}dt{color:var(--dim);font-size:.85rem;margin-top:.3rem}"
	"dd{margin:0}.fix{font-family:ui-monospace,monospace;font-size:.9rem}\n"
	"table{border-collapse:collapse;width:100%}td{border-top:1px solid var(--line);"
	"padding:.3rem .4rem;overflow-wrap:anywhere}td:first-child{width:1%;white-space:nowrap}"
	"a{color:inherit}\n"
	"@media(max-width:30rem){dl{margin-left:.4rem}ul ul{margin-left:.15rem;padding-left:.45rem}}\n"
	".picture{overflow-x:auto;margin:.8rem 0}.picture svg{margin:0 auto}"
	"@media screen and (min-width:64rem){.picture{margin-inline:calc((58rem - 100vw)/2 + 1.5rem)}}\n"
	"@media print{:root{--bg:#fff;--fg:#000;--dim:#444;--line:#999;--pass:#000;--info:#000;"
	"--skip:#444;--warn:#000;--fail:#000}body{max-width:none;padding:0;font-size:10pt}"
	"li,tr{break-inside:avoid}details::details-content{content-visibility:visible;"
	"block-size:auto}}\n"
	"</style>\n";
/* clang-format on */

struct check_html *check_html_new(const char *title)
{
	struct check_html *w = xcalloc(1, sizeof(*w));

	w->title = title;
	w->index = check_part_new();
	w->sections = check_part_new();
	return w;
}

struct check_html *check_html_free(struct check_html *w)
{
	if (w == NULL)
		return NULL;
	if (w->index != NULL)
		fclose(w->index);
	if (w->sections != NULL)
		fclose(w->sections);
	free(w);
	return NULL;
}

/* --- text ------------------------------------------------------------------------------------- */

int check_add_xml(struct buf *out, const char *text)
{
	struct buf clean;
	int ret;

	buf_init(&clean, out->max);
	ret = check_escape(&clean, text);
	for (size_t i = 0; ret == 0 && i < clean.n; i++) {
		switch (clean.p[i]) {
		case '<':
			ret = buf_add_text(out, "&lt;");
			break;
		case '>':
			ret = buf_add_text(out, "&gt;");
			break;
		case '&':
			ret = buf_add_text(out, "&amp;");
			break;
		case '"':
			ret = buf_add_text(out, "&quot;");
			break;
		case '\'':
			ret = buf_add_text(out, "&#39;");
			break;
		default:
			ret = buf_add(out, &clean.p[i], 1);
		}
	}
	buf_done(&clean);
	return ret;
}

/* before + text + after: `before` and `after` are markup, `text` is not. */
static int add(struct buf *out, const char *before, const char *text, const char *after)
{
	int ret = buf_add_text(out, before);

	if (ret == 0)
		ret = check_add_xml(out, text);
	return ret == 0 ? buf_add_text(out, after) : ret;
}

static int add_badge(struct buf *out, const char *tone, const char *word)
{
	int ret = buf_printf(out, "<span class=\"b %s\">", tone);

	return ret == 0 ? add(out, "", word, "</span>") : ret;
}

/* --- a finding -------------------------------------------------------------------------------- */

static int add_row(struct buf *out, const char *term, const char *class, const char *text)
{
	int ret;

	if (text == NULL)
		return 0;
	ret = buf_printf(out, "<dt>%s</dt><dd%s>", term, class);
	return ret == 0 ? add(out, "", text, "</dd>") : ret;
}

static int add_details(struct buf *out, const struct check_finding *f)
{
	const struct check_text *t = check_text_of(f->kind);
	int ret = buf_add_text(out, "<dl>");

	if (ret == 0)
		ret = add_row(out, "What was found", "", f->detail);
	if (ret == 0)
		ret = add_row(out, "To mend it", " class=\"fix\"", f->fix);
	if (ret == 0)
		ret = add_row(out, "Postfix logs", "", f->postfix);
	if (ret == 0)
		ret = add_row(out, "Exchange Online returns", "", t->exchange);
	if (ret == 0)
		ret = add_row(out, "TLS reports say", "", t->tlsrpt);
	return ret == 0 ? buf_add_text(out, "</dl>") : ret;
}

static int add_finding(struct buf *out, const struct check_finding *f)
{
	const struct check_text *t = check_text_of(f->kind);
	const char *status = check_status_to_string(t->status);
	bool more = f->detail != NULL || f->fix != NULL || t->postfix != NULL ||
		    t->exchange != NULL || t->tlsrpt != NULL;
	int ret = buf_printf(out, "<li class=\"%s\">%s", status,
			     !more                     ? ""
			     : t->status >= CHECK_WARN ? "<details open=\"open\"><summary>"
						       : "<details><summary>");

	if (ret == 0)
		ret = add_badge(out, status, status);
	if (ret == 0)
		ret = add(out, " <span class=\"s\">", f->subject, "</span> ");
	if (ret == 0)
		ret = check_add_xml(out, f->title);
	if (ret == 0 && more)
		ret = buf_add_text(out, "</summary>");
	if (ret == 0 && more)
		ret = add_details(out, f);
	return ret == 0 && more ? buf_add_text(out, "</details>") : ret;
}

/* Lists within list items, as deep as the tree. */
static int add_findings(struct buf *out, const struct check_tree *t)
{
	const struct check_finding *f = NULL;
	unsigned depth, open = 0; /* lists that are open */
	int ret = 0;

	while (ret == 0 && (f = check_tree_next(t, f, &depth)) != NULL) {
		if (depth + 1 > open) {
			ret = buf_add_text(out, "<ul>");
			open++;
		} else {
			ret = buf_add_text(out, "</li>\n");
			for (; ret == 0 && open > depth + 1; open--)
				ret = buf_add_text(out, "</ul></li>\n");
		}
		if (ret == 0)
			ret = add_finding(out, f);
	}
	for (; ret == 0 && open > 0; open--)
		ret = buf_add_text(out, "</li></ul>\n");
	return ret;
}

/* --- a tree ----------------------------------------------------------------------------------- */

/* Wide ones are scrolled sideways: made small they could not be read. */
static int add_picture(struct buf *out, struct span picture)
{
	int ret = buf_add_text(out, "<div class=\"picture\" tabindex=\"0\">\n");

	if (ret == 0)
		ret = buf_add(out, picture.p, picture.n);
	return ret == 0 ? buf_add_text(out, "</div>\n") : ret;
}

static int section(struct buf *out, size_t number, const struct check_tree *t,
		   const struct check_html_head *head)
{
	int ret = buf_printf(out, "<section id=\"d%zu\">\n", number);

	if (ret == 0)
		ret = add(out, "<h2>", t->root.subject, " ");
	if (ret == 0)
		ret = add_badge(out, check_status_to_string(head->tone), head->word);
	if (ret == 0)
		ret = buf_add_text(out, "</h2>\n");
	if (ret == 0 && head->sentence != NULL)
		ret = add(out, "<p>", head->sentence, "</p>\n");
	if (ret == 0 && head->picture.n > 0)
		ret = add_picture(out, head->picture);
	if (ret == 0)
		ret = add_findings(out, t);
	return ret == 0 ? buf_add_text(out, "</section>\n") : ret;
}

static int index_row(struct buf *out, size_t number, const struct check_tree *t,
		     const struct check_html_head *head)
{
	int ret = buf_add_text(out, "<tr><td>");

	if (ret == 0)
		ret = add_badge(out, check_status_to_string(head->tone), head->word);
	if (ret == 0)
		ret = buf_printf(out, "</td><td><a href=\"#d%zu\">", number);
	return ret == 0 ? add(out, "", t->root.subject, "</a></td></tr>\n") : ret;
}

int check_html_add_tree(struct check_html *w, const struct check_tree *t,
			const struct check_html_head *head)
{
	struct buf text;
	int ret;

	w->n++;
	buf_init(&text, CHECK_REPORT_MAX);
	ret = section(&text, w->n, t, head);
	if (ret == 0)
		ret = check_part_add(w->sections, &text);
	buf_clear(&text);
	if (ret == 0)
		ret = index_row(&text, w->n, t, head);
	if (ret == 0)
		ret = check_part_add(w->index, &text);
	buf_done(&text);
	return ret;
}

static enum check_status tone_of(enum check_verdict v)
{
	switch (v) {
	case CHECK_VERDICT_DANE:
		return CHECK_PASS;
	case CHECK_VERDICT_NONE:
	case CHECK_VERDICT_PARTIAL:
	case CHECK_VERDICT_UNKNOWN:
		return CHECK_WARN;
	case CHECK_VERDICT_BROKEN:
		break;
	}
	return CHECK_FAIL;
}

int check_html_add(struct check_html *w, const struct check_result *r)
{
	struct check_html_head head = {
		.word = check_verdict_to_string(r->verdict),
		.sentence = check_tree_in_words(r->tree, r->verdict),
		.tone = tone_of(r->verdict),
	};

	return check_html_add_tree(w, r->tree, &head);
}

int check_html_end(struct check_html *w, usec_t now, FILE *out)
{
	time_t seconds = (time_t)(now / USEC_PER_SEC);
	char when[40];
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL ||
	    strftime(when, sizeof(when), "%Y-%m-%d %H:%M UTC", &tm) == 0)
		snprintf(when, sizeof(when), "an unknown time");
	if (fprintf(out,
		    "%s<title>%s</title>\n%s</head>\n<body>\n<header><h1>%s</h1>\n"
		    "<p class=\"when\">%s, by daneway %s</p></header>\n",
		    page_head, w->title, style, w->title, when, DANEWAY_VERSION) < 0)
		return -EIO;
	if (w->n > 1 &&
	    (fputs("<nav><table>\n", out) == EOF || check_part_copy(w->index, out) < 0 ||
	     fputs("</table></nav>\n", out) == EOF))
		return -EIO;
	if (fputs("<main>\n", out) == EOF || check_part_copy(w->sections, out) < 0 ||
	    fputs("</main>\n</body>\n</html>\n", out) == EOF)
		return -EIO;
	return 0;
}
