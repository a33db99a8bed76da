#include "main/cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "edge/io/loop.h"
#include "main/cli/file.h"
#include "main/cli/resume.h"
#include "main/cli/style.h"

struct cli_output {
	const struct config *config;
	bool many;
	struct check_style style;
	struct check_count count;
	struct check_nagios *nagios;
	struct check_metrics *metrics;
	struct cli_names *seen; /* of metrics: no domain twice */
	struct check_html *html;
	struct cli_resume *resume;
	int failed; /* errno; 0: no */
	const char *failed_at;
};

static int open_form(struct cli_output *o)
{
	const struct config *c = o->config;
	struct err e;

	/* Either goes before --json, which may come from a configuration. */
	if (c->nagios && c->openmetrics)
		return cli_fail(CLI_USAGE, "check: --nagios and --openmetrics exclude each other");
	if (c->resume != NULL && (c->nagios || c->openmetrics))
		return cli_fail(CLI_USAGE, "check: --resume excludes --nagios and --openmetrics");
	if (c->resume != NULL && cli_resume_open(c->resume, &o->resume, &e) < 0)
		return cli_fail(CLI_CONFIG, "%s", e.text);
	if (c->nagios)
		o->nagios = check_nagios_new(o->many);
	if (c->openmetrics) {
		o->metrics = check_metrics_new();
		o->seen = cli_names_new();
	}
	if (c->html != NULL)
		o->html = check_html_new("DANE check");
	return 0;
}

int cli_output_open(const struct config *c, bool many, struct cli_output **ret)
{
	struct cli_output *o = xcalloc(1, sizeof(*o));
	int code;

	o->config = c;
	o->many = many;
	o->style = cli_style(c);
	o->failed_at = "standard output";
	code = open_form(o);
	if (code != 0)
		o = cli_output_free(o);
	else if (many)
		setvbuf(stdout, NULL, _IOLBF, 65536); /* each result when it is there */
	*ret = o;
	return code;
}

struct cli_output *cli_output_free(struct cli_output *o)
{
	if (o == NULL)
		return NULL;
	check_nagios_free(o->nagios);
	check_metrics_free(o->metrics);
	cli_names_free(o->seen);
	check_html_free(o->html);
	cli_resume_free(o->resume);
	free(o);
	return NULL;
}

/* --- one result ------------------------------------------------------------------------------- */

static int add_json(struct cli_output *o, const struct check_result *r)
{
	struct js *v = check_result_json(r);
	int ret;

	if (o->resume != NULL)
		ret = cli_resume_add(o->resume, v);
	else
		ret = js_write(v, stdout, o->many ? 0 : 2);
	js_free(v);
	return ret;
}

static int add_text(struct cli_output *o, const struct check_result *r)
{
	struct buf out;
	int ret;

	buf_init(&out, CHECK_REPORT_MAX);
	ret = check_result_text(r, &o->style, &out);
	if (ret == 0 && fwrite(out.p, 1, out.n, stdout) != out.n)
		ret = -EIO;
	if (ret == 0 && fflush(stdout) != 0)
		ret = -EIO;
	buf_done(&out);
	return ret;
}

static int add_form(struct cli_output *o, const struct check_result *r)
{
	if (o->nagios != NULL)
		return check_nagios_add(o->nagios, r);
	if (o->metrics != NULL) {
		if (!cli_names_add(o->seen, r->tree->root.subject, 0))
			return 0;
		return check_metrics_add(o->metrics, r);
	}
	return o->config->json || o->resume != NULL ? add_json(o, r) : add_text(o, r);
}

bool cli_output_has(struct cli_output *o, const char *domain)
{
	int verdict = o->resume != NULL ? cli_resume_find(o->resume, domain) : -1;

	if (verdict < 0)
		return false;
	o->count.of[verdict]++;
	return true;
}

static void note_failure(struct cli_output *o, const char *at)
{
	if (o->failed != 0)
		return;
	o->failed = errno != 0 ? errno : EIO;
	o->failed_at = at;
}

bool cli_output_add(struct cli_output *o, const struct check_result *r)
{
	if (o->failed != 0)
		return false;
	errno = 0;
	if (add_form(o, r) < 0)
		note_failure(o, o->resume != NULL ? o->config->resume : "standard output");
	else if (o->html != NULL && check_html_add(o->html, r) < 0)
		note_failure(o, "a temporary file");
	else
		o->count.of[r->verdict]++;
	return o->failed == 0;
}

const struct check_count *cli_output_count(const struct cli_output *o)
{
	return &o->count;
}

/* --- the end ---------------------------------------------------------------------------------- */

static int write_html(void *arg, FILE *out)
{
	return check_html_end(arg, io_unix_now(), out);
}

int cli_output_end(struct cli_output *o)
{
	struct err e;

	errno = 0;
	if (o->failed == 0 && ((o->nagios != NULL && check_nagios_end(o->nagios, stdout) < 0) ||
			       (o->metrics != NULL && check_metrics_end(o->metrics, stdout) < 0) ||
			       fflush(stdout) != 0 || ferror(stdout)))
		note_failure(o, "standard output");
	if (o->failed != 0)
		return cli_fail(CLI_WRITE, "%s: %s", o->failed_at, strerror(o->failed));
	if (o->html != NULL && cli_file_write_by(o->config->html, write_html, o->html, &e) < 0)
		return cli_fail(CLI_WRITE, "--html %s", e.text);
	return 0;
}
