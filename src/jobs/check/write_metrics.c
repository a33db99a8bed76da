/*
 * The OpenMetrics face (openmetrics.io, text format 1.0). All samples of a family stand together,
 * so each family is a part of its own until the end.
 */
#include <errno.h>

#include "jobs/check/write.h"

enum family {
	FAMILY_VERDICT,
	FAMILY_FINDINGS,
	FAMILY_SESSION,
	FAMILY_CERTIFICATE,
	FAMILY_DURATION,
	FAMILY_TIME,
	FAMILIES,
};

static const struct {
	const char *name, *type, *unit, *help;
} families[FAMILIES] = {
	[FAMILY_VERDICT] = {"daneway_check_verdict", "stateset", NULL,
			    "Verdict on the mail domain."},
	[FAMILY_FINDINGS] = {"daneway_check_findings", "gauge", NULL, "Findings by status."},
	[FAMILY_SESSION] = {"daneway_check_session", "stateset", NULL,
			    "Outcome at one address of an MX host with one type of key."},
	[FAMILY_CERTIFICATE] = {"daneway_check_certificate_not_after_seconds", "gauge", "seconds",
				"End of the certificate's validity, Unix time."},
	[FAMILY_DURATION] = {"daneway_check_duration_seconds", "gauge", "seconds",
			     "How long the check took."},
	[FAMILY_TIME] = {"daneway_check_time_seconds", "gauge", "seconds",
			 "When it ended, Unix time."},
};

struct check_metrics {
	FILE *parts[FAMILIES];
};

struct check_metrics *check_metrics_new(void)
{
	struct check_metrics *w = xcalloc(1, sizeof(*w));

	for (int i = 0; i < FAMILIES; i++)
		w->parts[i] = check_part_new();
	return w;
}

struct check_metrics *check_metrics_free(struct check_metrics *w)
{
	if (w == NULL)
		return NULL;
	for (int i = 0; i < FAMILIES; i++)
		if (w->parts[i] != NULL)
			fclose(w->parts[i]);
	free(w);
	return NULL;
}

/* name="value", with the value harmless first and then in the form's own escapes. */
static int add_label(struct buf *out, const char *name, const char *value)
{
	struct buf clean;
	int ret = buf_printf(out, "%s=\"", name);

	buf_init(&clean, out->max);
	if (ret == 0)
		ret = check_escape(&clean, value);
	for (size_t i = 0; ret == 0 && i < clean.n; i++) {
		if (clean.p[i] == '\\' || clean.p[i] == '"')
			ret = buf_add(out, "\\", 1);
		if (ret == 0)
			ret = buf_add(out, &clean.p[i], 1);
	}
	buf_done(&clean);
	return ret == 0 ? buf_add_text(out, "\"") : ret;
}

/* What stands before the value: the family's name and the labels of a domain or a session. */
static int begin(struct buf *out, enum family f, const char *domain, const struct check_session *s)
{
	int ret = buf_printf(out, "%s{", families[f].name);

	if (ret == 0)
		ret = add_label(out, "domain", domain);
	if (ret < 0 || s == NULL)
		return ret;
	ret = buf_add_text(out, ",");
	if (ret == 0)
		ret = add_label(out, "host", s->host);
	if (ret == 0)
		ret = buf_add_text(out, ",");
	if (ret == 0)
		ret = add_label(out, "address", s->address);
	return ret == 0 ? buf_printf(out, ",key=\"%s\"", s->key) : ret;
}

static int add_verdict(struct buf *out, const struct check_result *r)
{
	int ret = 0;

	for (int v = 0; ret == 0 && v < CHECK_VERDICTS; v++) {
		ret = begin(out, FAMILY_VERDICT, r->tree->root.subject, NULL);
		if (ret == 0)
			ret = buf_printf(out, ",%s=\"%s\"} %d\n", families[FAMILY_VERDICT].name,
					 check_verdict_to_string(v), (int)r->verdict == v);
	}
	return ret;
}

static int add_findings(struct buf *out, const struct check_result *r)
{
	size_t count[CHECK_FAIL + 1] = {0};
	const struct check_finding *f = NULL;
	unsigned depth;
	int ret = 0;

	while ((f = check_tree_next(r->tree, f, &depth)) != NULL)
		count[check_text_of(f->kind)->status]++;
	for (int s = 0; ret == 0 && s <= CHECK_FAIL; s++) {
		ret = begin(out, FAMILY_FINDINGS, r->tree->root.subject, NULL);
		if (ret == 0)
			ret = buf_printf(out, ",status=\"%s\"} %zu\n", check_status_to_string(s),
					 count[s]);
	}
	return ret;
}

static int add_sessions(struct buf *out, const struct check_result *r)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < r->n_sessions; i++)
		for (int s = 0; ret == 0 && s <= CHECK_FAIL; s++) {
			ret = begin(out, FAMILY_SESSION, r->tree->root.subject, &r->sessions[i]);
			if (ret == 0)
				ret = buf_printf(
					out, ",%s=\"%s\"} %d\n", families[FAMILY_SESSION].name,
					check_status_to_string(s), (int)r->sessions[i].status == s);
		}
	return ret;
}

static int add_certificates(struct buf *out, const struct check_result *r)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < r->n_sessions; i++) {
		if (r->sessions[i].not_after == 0)
			continue;
		ret = begin(out, FAMILY_CERTIFICATE, r->tree->root.subject, &r->sessions[i]);
		if (ret == 0)
			ret = buf_printf(out, "} %lld\n", (long long)r->sessions[i].not_after);
	}
	return ret;
}

static int add_time(struct buf *out, enum family f, const struct check_result *r, usec_t value)
{
	int ret = begin(out, f, r->tree->root.subject, NULL);

	return ret == 0 ? buf_printf(out, "} %lld.%06lld\n", (long long)(value / USEC_PER_SEC),
				     (long long)(value % USEC_PER_SEC))
			: ret;
}

static int add_family(struct buf *out, enum family f, const struct check_result *r)
{
	switch (f) {
	case FAMILY_VERDICT:
		return add_verdict(out, r);
	case FAMILY_FINDINGS:
		return add_findings(out, r);
	case FAMILY_SESSION:
		return add_sessions(out, r);
	case FAMILY_CERTIFICATE:
		return add_certificates(out, r);
	case FAMILY_DURATION:
		return add_time(out, f, r, r->duration);
	case FAMILY_TIME:
		return add_time(out, f, r, r->at);
	case FAMILIES:
		break;
	}
	return 0;
}

int check_metrics_add(struct check_metrics *w, const struct check_result *r)
{
	struct buf text;
	int ret = 0;

	buf_init(&text, CHECK_REPORT_MAX);
	for (int f = 0; ret == 0 && f < FAMILIES; f++) {
		buf_clear(&text);
		ret = add_family(&text, (enum family)f, r);
		if (ret == 0)
			ret = check_part_add(w->parts[f], &text);
	}
	buf_done(&text);
	return ret;
}

int check_metrics_end(struct check_metrics *w, FILE *out)
{
	int ret = 0;

	for (int f = 0; ret == 0 && f < FAMILIES; f++) {
		const char *name = families[f].name, *unit = families[f].unit;

		if (fprintf(out, "# TYPE %s %s\n", name, families[f].type) < 0 ||
		    (unit != NULL && fprintf(out, "# UNIT %s %s\n", name, unit) < 0) ||
		    fprintf(out, "# HELP %s %s\n", name, families[f].help) < 0)
			return -EIO;
		ret = check_part_copy(w->parts[f], out);
	}
	return ret == 0 && fputs("# EOF\n", out) == EOF ? -EIO : ret;
}
