/* The JSON face, and what all faces share: counts and the parts kept in temporary files. */
#include <errno.h>

#include "jobs/check/write.h"

/* --- JSON ------------------------------------------------------------------------------------- */

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

struct js *check_result_json(const struct check_result *r)
{
	struct js *v = js_object();

	js_set_text(v, "domain", r->tree->root.subject);
	js_set_text(v, "verdict", check_verdict_to_string(r->verdict));
	js_set(v, "checks", check_tree_json(r->tree));
	return v;
}

/* --- counts ----------------------------------------------------------------------------------- */

size_t check_count_all(const struct check_count *c)
{
	size_t n = 0;

	for (int v = 0; v < CHECK_VERDICTS; v++)
		n += c->of[v];
	return n;
}

int check_count_exit(const struct check_count *c)
{
	static const enum check_verdict worst_first[] = {
		CHECK_VERDICT_BROKEN, CHECK_VERDICT_UNKNOWN, CHECK_VERDICT_PARTIAL,
		CHECK_VERDICT_NONE,   CHECK_VERDICT_DANE,
	};

	for (size_t i = 0; i < ARRAY_SIZE(worst_first); i++)
		if (c->of[worst_first[i]] > 0)
			return check_verdict_to_exit(worst_first[i]);
	return check_verdict_to_exit(CHECK_VERDICT_UNKNOWN);
}

/* --- parts ------------------------------------------------------------------------------------ */

FILE *check_part_new(void)
{
	return tmpfile(); /* NULL: the first addition says so */
}

int check_part_add(FILE *part, const struct buf *text)
{
	return part != NULL && fwrite(text->p, 1, text->n, part) == text->n ? 0 : -EIO;
}

int check_part_copy(FILE *part, FILE *out)
{
	char piece[16384];
	size_t n;

	if (part == NULL || fflush(part) != 0 || fseek(part, 0, SEEK_SET) != 0)
		return -EIO;
	while ((n = fread(piece, 1, sizeof(piece), part)) > 0)
		if (fwrite(piece, 1, n, out) != n)
			return -EIO;
	return ferror(part) ? -EIO : 0;
}
