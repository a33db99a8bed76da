/*
 * Any file as `check --replay FILE`: refused in words, or a tree that every writer can write, whose
 * text steers no terminal, and which comes out the same when it is saved and replayed again.
 */
#include <string.h>

#include "base/text.h"
#include "jobs/check/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct check_env env;
static const struct check_options options = {.detail = 3};

static void check_text(const struct check_result *r)
{
	struct check_style style = {.verbose = 1};
	struct buf out;

	buf_init(&out, CHECK_REPORT_MAX);
	require(check_result_text(r, &style, &out) == 0);
	for (struct span rest = buf_span(&out), one; rest.n > 0;)
		require(text_take_plain(&rest, &one) || span_is(one, "\n"));
	buf_done(&out);
}

static void check_files(const struct check_result *r)
{
	struct check_nagios *nagios = check_nagios_new(false);
	struct check_metrics *metrics = check_metrics_new();
	struct check_html *html = check_html_new("fuzz");
	FILE *out = fopen("/dev/null", "we");

	require(out != NULL);
	require(check_nagios_add(nagios, r) == 0 && check_nagios_end(nagios, out) == 0);
	require(check_metrics_add(metrics, r) == 0 && check_metrics_end(metrics, out) == 0);
	require(check_html_add(html, r) == 0 && check_html_end(html, 0, out) == 0);
	fclose(out);
	check_nagios_free(nagios);
	check_metrics_free(metrics);
	check_html_free(html);
}

static char *line_of(const struct check_run *run)
{
	struct check_result r = check_run_result(run);
	struct js *v = check_result_json(&r);
	char *line = js_line(v);

	js_free(v);
	return line;
}

static void check_again(const struct check_run *run)
{
	struct js *saved = check_run_save(run);
	struct err e = {0};
	struct check_run *again = check_run_replay(&env, &options, saved, &e);
	char *a, *b;

	require(again != NULL);
	a = line_of(run);
	b = line_of(again);
	require(strcmp(a, b) == 0);
	free(a);
	free(b);
	check_run_free(again);
	js_free(saved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = {0};
	struct js *saved = js_parse(span_of(data, size), &e);
	struct check_run *run;
	struct check_result r;

	if (env.tls == NULL)
		env.tls = tls_context_new(&e);
	require(env.tls != NULL);
	if (saved == NULL)
		return 0;
	run = check_run_replay(&env, &options, saved, &e);
	if (run == NULL) {
		require(e.text[0] != '\0');
	} else {
		r = check_run_result(run);
		check_text(&r);
		check_files(&r);
		check_again(run);
	}
	check_run_free(run);
	js_free(saved);
	return 0;
}
