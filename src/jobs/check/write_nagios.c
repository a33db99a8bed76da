/*
 * The Nagios plug-in face (Monitoring Plugins Development Guidelines): "status line | performance
 * data", then long output. The bar begins performance data: it stands in no other text.
 */
#include <errno.h>

#include "jobs/check/write.h"

enum {
	LINE_MAX_OCTETS = 1024, /* of a status line's text: what old NRPE takes */
};

struct check_nagios {
	bool many;
	FILE *more; /* long output */
	struct check_count count;
	usec_t duration;
	size_t sessions, failed;
	int64_t not_after; /* the earliest; 0: none known */
	usec_t at;
	struct buf first; /* the status line's text, of a single domain */
};

struct check_nagios *check_nagios_new(bool many)
{
	struct check_nagios *w = xcalloc(1, sizeof(*w));

	w->many = many;
	w->more = check_part_new();
	buf_init(&w->first, CHECK_REPORT_MAX);
	return w;
}

struct check_nagios *check_nagios_free(struct check_nagios *w)
{
	if (w == NULL)
		return NULL;
	if (w->more != NULL)
		fclose(w->more);
	buf_done(&w->first);
	free(w);
	return NULL;
}

static int add_plain(struct buf *out, const char *text)
{
	size_t at = out->n;
	int ret = check_escape(out, text);

	for (; ret == 0 && at < out->n; at++)
		if (out->p[at] == '|')
			out->p[at] = '/';
	return ret;
}

/* What is worth a line: the first failure, else the first warning. */
static const struct check_finding *most_serious(const struct check_tree *t)
{
	const struct check_finding *f = NULL, *best = NULL;
	unsigned depth;

	while ((f = check_tree_next(t, f, &depth)) != NULL) {
		enum check_status s = check_text_of(f->kind)->status;

		if (s >= CHECK_WARN && (best == NULL || s > check_text_of(best->kind)->status))
			best = f;
	}
	return best;
}

static int add_headline(struct buf *out, const struct check_result *r)
{
	const struct check_finding *f = most_serious(r->tree);
	size_t most = out->n + LINE_MAX_OCTETS;
	int ret = add_plain(out, r->tree->root.subject);

	if (ret == 0)
		ret = buf_printf(out, ": %s", check_verdict_to_string(r->verdict));
	if (ret == 0 && f != NULL) {
		ret = buf_add_text(out, "; ");
		if (ret == 0)
			ret = add_plain(out, f->subject);
		if (ret == 0)
			ret = buf_add_text(out, ": ");
		if (ret == 0)
			ret = add_plain(out, f->title);
	}
	if (ret == 0 && out->n > most) {
		out->n = most;
		while (out->n > 0 && (out->p[out->n - 1] & 0xc0) == 0x80) /* no half character */
			out->n--;
		if (out->n > 0 && out->p[out->n - 1] >= 0xc0)
			out->n--;
		ret = buf_add_text(out, "...");
	}
	return ret;
}

static int add_finding(struct buf *out, const struct check_finding *f)
{
	int ret = buf_printf(out, "%s ", check_status_to_string(check_text_of(f->kind)->status));

	if (ret == 0)
		ret = add_plain(out, f->subject);
	if (ret == 0)
		ret = buf_add_text(out, ": ");
	if (ret == 0)
		ret = add_plain(out, f->title);
	if (ret == 0 && f->detail != NULL) {
		ret = buf_add_text(out, "\n  ");
		if (ret == 0)
			ret = add_plain(out, f->detail);
	}
	if (ret == 0 && f->fix != NULL) {
		ret = buf_add_text(out, "\n  To mend it: ");
		if (ret == 0)
			ret = add_plain(out, f->fix);
	}
	return ret == 0 ? buf_add_text(out, "\n") : ret;
}

/* Of one domain: each finding that is not in order. */
static int add_findings(struct buf *out, const struct check_result *r)
{
	const struct check_finding *f = NULL;
	unsigned depth;
	int ret = 0;

	while (ret == 0 && (f = check_tree_next(r->tree, f, &depth)) != NULL)
		if (check_text_of(f->kind)->status >= CHECK_WARN)
			ret = add_finding(out, f);
	return ret;
}

/* Of one among many: a line if there is trouble. */
static int add_line(struct buf *out, const struct check_result *r)
{
	int ret;

	if (r->verdict == CHECK_VERDICT_DANE)
		return 0;
	ret = add_headline(out, r);
	return ret == 0 ? buf_add_text(out, "\n") : ret;
}

static void add_figures(struct check_nagios *w, const struct check_result *r)
{
	w->count.of[r->verdict]++;
	w->at = r->at;
	w->duration = r->duration > w->duration ? r->duration : w->duration;
	w->sessions += r->n_sessions;
	for (size_t i = 0; i < r->n_sessions; i++) {
		const struct check_session *s = &r->sessions[i];

		w->failed += s->status == CHECK_FAIL;
		if (s->not_after != 0 && (w->not_after == 0 || s->not_after < w->not_after))
			w->not_after = s->not_after;
	}
}

int check_nagios_add(struct check_nagios *w, const struct check_result *r)
{
	struct buf text;
	int ret = 0;

	add_figures(w, r);
	buf_init(&text, CHECK_REPORT_MAX);
	if (!w->many)
		ret = add_headline(&w->first, r);
	if (ret == 0)
		ret = w->many ? add_line(&text, r) : add_findings(&text, r);
	if (ret == 0)
		ret = check_part_add(w->more, &text);
	buf_done(&text);
	return ret;
}

static int write_counts(const struct check_nagios *w, FILE *out)
{
	size_t all = check_count_all(&w->count);

	if (fprintf(out, "%zu domain%s", all, all == 1 ? "" : "s") < 0)
		return -EIO;
	for (int v = CHECK_VERDICT_BROKEN, shown = 0; v >= 0; v--)
		if (w->count.of[v] > 0 && fprintf(out, "%s %zu %s", shown++ > 0 ? "," : ":",
						  w->count.of[v], check_verdict_to_string(v)) < 0)
			return -EIO;
	return 0;
}

int check_nagios_end(struct check_nagios *w, FILE *out)
{
	static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
	struct span first = buf_span(&w->first);

	if (fprintf(out, "DANE %s - ", words[check_count_exit(&w->count)]) < 0)
		return -EIO;
	if (w->many ? write_counts(w, out) < 0 : fwrite(first.p, 1, first.n, out) != first.n)
		return -EIO;
	if (fprintf(out, " | time=%.3fs;;;0 domains=%zu;;;0 sessions=%zu;;;0 failed=%zu;;;0",
		    (double)w->duration / (double)USEC_PER_SEC, check_count_all(&w->count),
		    w->sessions, w->failed) < 0)
		return -EIO;
	if (w->not_after != 0 &&
	    fprintf(out, " certificate_days=%lld",
		    (long long)(w->not_after - w->at / USEC_PER_SEC) / (24 * 3600)) < 0)
		return -EIO;
	return fputc('\n', out) == EOF ? -EIO : check_part_copy(w->more, out);
}
