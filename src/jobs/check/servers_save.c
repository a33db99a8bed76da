/* What the walk found as JSON, and read back. */
#include "jobs/check/servers.h"

#include <errno.h>

#include "core/dane/report.h"

/* --- save ------------------------------------------------------------------------------------- */

static struct js *answer_json(const struct check_chain_answer *from)
{
	struct js *v = js_object();

	js_set_text(v, "owner", from->owner);
	js_set_text(v, "host", from->host);
	js_set_text(v, "servers", from->servers);
	js_set(v, "answer", dane_answer_save(from->answer));
	return v;
}

static struct js *finding_json(const struct check_finding *f, unsigned depth)
{
	struct js *v = js_object();

	js_set_text(v, "id", check_text_of(f->kind)->id);
	js_set_int(v, "depth", depth);
	js_set_text(v, "subject", f->subject);
	js_set_text(v, "title", f->title);
	js_set_text(v, "detail", f->detail);
	js_set_text(v, "fix", f->fix);
	return v;
}

struct js *check_servers_save(const struct check_servers *s)
{
	struct js *v = js_object(), *answers = js_array(), *findings = js_array();
	struct js *hidden = js_array();
	const struct check_finding *f = NULL;
	unsigned depth;

	js_set_int(v, "zones", (int64_t)s->n_zones);
	js_set_int(v, "addresses", (int64_t)s->n_addresses);
	js_set_bool(v, "unfinished", s->unfinished);
	js_set_text(v, "stopped", s->stopped);
	js_set_int(v, "signatures_end", s->signatures_end);
	js_set_text(v, "signatures_over", s->signatures_over);
	for (size_t i = 0; i < s->n_answers; i++)
		js_push(answers, answer_json(&s->answers[i]));
	js_set(v, "answers", answers);
	for (size_t i = 0; i < s->n_hidden; i++) {
		struct js *h = js_object();

		js_set_text(h, "owner", s->hidden[i].owner);
		js_set_text(h, "above", s->hidden[i].above);
		js_set_text(h, "servers", s->hidden[i].servers);
		js_push(hidden, h);
	}
	js_set(v, "hidden", hidden);
	while ((f = check_tree_next(&s->tree, f, &depth)) != NULL)
		js_push(findings, finding_json(f, depth));
	js_set(v, "findings", findings);
	return v;
}

/* --- restore ---------------------------------------------------------------------------------- */

static const char *keep(struct check_servers *s, const struct js *v)
{
	return arena_keep(&s->arena, js_text(v));
}

static int read_answers(struct check_servers *s, const struct js *list)
{
	size_t n = js_count(list);
	struct check_chain_answer *answers;

	if (n > CHECK_SERVERS_ANSWERS_MAX)
		return -EINVAL;
	answers = arena_calloc(&s->arena, n, sizeof(*answers));
	for (size_t i = 0; i < n; i++) {
		const struct js *v = js_at(list, i);
		struct dane_answer answer;

		answers[i].owner = keep(s, js_get(v, "owner"));
		answers[i].host = keep(s, js_get(v, "host"));
		answers[i].servers = keep(s, js_get(v, "servers"));
		if (answers[i].owner == NULL || answers[i].host == NULL ||
		    answers[i].servers == NULL ||
		    dane_answer_restore(&s->arena, js_get(v, "answer"), &answer) < 0)
			return -EINVAL;
		answers[i].answer = dane_answer_copy(&s->arena, &answer);
	}
	s->answers = answers;
	s->n_answers = n;
	return 0;
}

static int read_hidden(struct check_servers *s, const struct js *list)
{
	size_t n = js_count(list);
	struct check_chain_hidden *hidden;

	if (n > CHECK_SERVERS_ANSWERS_MAX)
		return -EINVAL;
	hidden = arena_calloc(&s->arena, n, sizeof(*hidden));
	for (size_t i = 0; i < n; i++) {
		const struct js *v = js_at(list, i);

		hidden[i].owner = keep(s, js_get(v, "owner"));
		hidden[i].above = keep(s, js_get(v, "above"));
		hidden[i].servers = keep(s, js_get(v, "servers"));
		if (hidden[i].owner == NULL || hidden[i].above == NULL || hidden[i].servers == NULL)
			return -EINVAL;
	}
	s->hidden = hidden;
	s->n_hidden = n;
	return 0;
}

/* Findings as they were: what the packets said is not judged anew. */
static int read_findings(struct check_servers *s, const struct js *list)
{
	struct check_finding *last = NULL;
	int64_t depth = 0;

	if (js_count(list) > CHECK_SERVERS_FINDINGS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < js_count(list); i++) {
		const struct js *v = js_at(list, i);
		const char *id = js_text(js_get(v, "id"));
		int64_t at = js_int(js_get(v, "depth"), -1);
		int kind = id != NULL ? check_kind_from_id(id) : -1;
		struct check_finding f = {.subject = js_text(js_get(v, "subject")),
					  .title = js_text(js_get(v, "title")),
					  .detail = js_text(js_get(v, "detail")),
					  .fix = js_text(js_get(v, "fix"))};

		/* What these decide was decided by the answers. */
		if (kind < 0 || check_text_of((enum check_kind)kind)->effect != CHECK_EFFECT_NONE ||
		    f.subject == NULL || f.title == NULL || at < 0 || at > depth + (last != NULL))
			return -EINVAL;
		f.kind = (enum check_kind)kind;
		for (; last != NULL && depth >= at; depth--)
			last = last->parent != &s->tree.root ? last->parent : NULL;
		last = check_tree_copy(&s->tree, last, &f);
		depth = at;
	}
	return 0;
}

struct check_servers *check_servers_restore(const struct js *saved, struct err *e)
{
	struct check_servers *s = xcalloc(1, sizeof(*s));
	int64_t zones = js_int(js_get(saved, "zones"), 0),
		addresses = js_int(js_get(saved, "addresses"), 0);

	check_tree_init(&s->tree, "");
	s->n_zones = zones > 0 ? (size_t)zones : 0;
	s->n_addresses = addresses > 0 ? (size_t)addresses : 0;
	s->stopped = keep(s, js_get(saved, "stopped"));
	s->unfinished = s->stopped != NULL && js_bool(js_get(saved, "unfinished"), false);
	s->signatures_over = keep(s, js_get(saved, "signatures_over"));
	if (s->signatures_over != NULL)
		s->signatures_end = js_int(js_get(saved, "signatures_end"), 0);
	if (read_answers(s, js_get(saved, "answers")) < 0 ||
	    read_hidden(s, js_get(saved, "hidden")) < 0) {
		err_set(e, -EINVAL, "its answers of name servers are damaged");
		return check_servers_free(s);
	}
	if (read_findings(s, js_get(saved, "findings")) < 0) {
		err_set(e, -EINVAL, "its findings on name servers are damaged");
		return check_servers_free(s);
	}
	return s;
}
