/* daneway policy: what a sender must do for a domain, from DNS alone. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/dane/report.h"
#include "jobs/probe/decide.h"
#include "main/cli/engine.h"
#include "main/cli/file.h"
#include "main/cli/lines.h"

enum {
	IN_FLIGHT = 2000,       /* domains at a time */
	DOMAIN_LINE_MAX = 2048, /* of "policy -": the longest name takes 1004 */
	EVIDENCE_MAX = 64 * 1024 * 1024,
	HELD_MAX = 96 * 1024 * 1024, /* octets of all decisions that are under way */
	SHARE = 48 * 1024,           /* of one of them that is never refused: most take 5 KiB */
};

struct run {
	const struct config *config;
	struct cli_engine engine;
	struct cli_lines *lines; /* NULL: one domain */
	size_t in_flight, most;
	struct probe_room room;
	bool input_ended, deferred, invalid, failed_write, failed_save;
	struct job *freed; /* finished in this turn */
};

struct job {
	struct run *run;
	struct arena arena;
	struct dane_request request;
	struct probe_decide *decide;
};

static void help(void)
{
	puts("Usage: daneway policy [OPTION...] DOMAIN\n"
	     "       daneway policy [OPTION...] -        (one domain a line from standard input)\n"
	     "\n"
	     "Says what a sender must do for mail to DOMAIN, by RFC 7672, from DNS alone: one "
	     "JSON\n"
	     "object, or with --explain words. Nothing is connected to.\n"
	     "\n"
	     "Examples:\n"
	     "  daneway policy --explain example.org\n"
	     "  daneway policy - < domains.txt > policies.jsonl\n"
	     "  daneway policy --save evidence.json example.org\n"
	     "  daneway policy --replay evidence.json --explain\n"
	     "  daneway policy --next-hop '[relay.example]:587' --mode mandatory example.org\n"
	     "\n"
	     "Exit status: 0 decided, 75 deferred (or not to be told now), 65 no domain, 64 "
	     "usage,\n"
	     "74 a file cannot be written, 78 trust anchor, clock or another file.\n"
	     "\n"
	     "Options:");
	config_print_options(stdout, CONFIG_POLICY);
}

/* --- output ----------------------------------------------------------------------------------- */

static int print_explanation(const struct dane_decider *d)
{
	struct buf text;
	int ret;

	buf_init(&text, EVIDENCE_MAX);
	ret = dane_report_explain(d, &text);
	if (ret == 0 && fwrite(text.p, 1, text.n, stdout) != text.n)
		ret = -EIO;
	buf_done(&text);
	return ret;
}

static int print_decision(const struct config *c, const struct dane_decider *d, bool one_line)
{
	struct js *v;
	int ret;

	if (c->explain && !c->json)
		return print_explanation(d);
	v = dane_report_policy(d);
	ret = js_write(v, stdout, one_line ? 0 : 2);
	js_free(v);
	return ret;
}

static int print_invalid(const char *domain, const char *why)
{
	struct js *v = js_object();
	int ret;

	js_set_text(v, "domain", domain);
	js_set_text(v, "outcome", "invalid");
	js_set_text(v, "detail", why);
	ret = js_write(v, stdout, 0);
	js_free(v);
	return ret;
}

static int save(const char *path, const struct dane_decider *d)
{
	struct js *v = dane_evidence_save(d);
	struct err e;
	int ret = cli_file_write(path, v, &e);

	js_free(v);
	return ret == 0 ? 0 : cli_fail(CLI_WRITE, "%s", e.text);
}

/* --- one domain ------------------------------------------------------------------------------- */

static void run_check_end(struct run *run)
{
	if (run->in_flight == 0 && run->input_ended)
		io_loop_stop(run->engine.loop);
}

/* Standard output is gone: what is under way comes to its end, nothing more begins. */
static void output_failed(struct run *run)
{
	run->failed_write = true;
	run->input_ended = true;
	if (run->lines != NULL)
		cli_lines_want(run->lines, false);
	run_check_end(run);
}

/* Nothing new begins while what is under way holds much. */
static bool wants_more(const struct run *run)
{
	return run->in_flight < run->most && run->room.held <= HELD_MAX / 2;
}

static void job_end(void *arg)
{
	struct job *job = arg;
	struct run *run = job->run;

	probe_decide_free(job->decide);
	arena_done(&job->arena);
	free(job);
	run->in_flight--;
	if (run->lines != NULL && !run->failed_write && wants_more(run))
		cli_lines_want(run->lines, true);
	run_check_end(run);
}

static void on_decision(void *arg, struct dane_decider *d)
{
	struct job *job = arg;
	struct run *run = job->run;
	const struct config *c = run->config;

	if (dane_decider_result(d)->outcome == DANE_OUTCOME_DEFER)
		run->deferred = true;
	if (!run->failed_write && print_decision(c, d, run->lines != NULL) < 0)
		output_failed(run);
	if (c->save != NULL && save(c->save, d) != 0)
		run->failed_save = true;
	io_defer(run->engine.loop, job_end, job);
}

static int job_begin(struct run *run, const char *domain, struct err *e)
{
	struct job *job = xcalloc(1, sizeof(*job));
	usec_t timeout = run->config->timeout >= 0 ? run->config->timeout : usec_seconds(60);

	job->run = run;
	if (cli_request(&job->arena, run->config, domain, &job->request, e) < 0) {
		arena_done(&job->arena);
		free(job);
		return -EINVAL;
	}
	run->in_flight++;
	job->decide =
		probe_decide_new(run->engine.loop, run->engine.resolver, &job->request,
				 usec_add(io_now(run->engine.loop), timeout), on_decision, job);
	probe_decide_within(job->decide, &run->room);
	return 0;
}

/* --- many ------------------------------------------------------------------------------------- */

static void on_line(void *arg, const char *line, bool too_long)
{
	struct run *run = arg;
	struct err e = {.text = "the line is too long"};

	if (line == NULL) {
		run->input_ended = true;
		run_check_end(run);
		return;
	}
	if (*line == '\0')
		return;
	if (too_long || job_begin(run, line, &e) < 0) {
		run->invalid = true;
		if (print_invalid(line, e.text) < 0)
			output_failed(run);
	}
	if (!wants_more(run))
		cli_lines_want(run->lines, false);
}

static int finish(const struct run *run)
{
	if (run->failed_write || fflush(stdout) != 0 || ferror(stdout))
		return cli_fail(CLI_WRITE, "standard output: %s", strerror(errno));
	if (run->failed_save)
		return CLI_WRITE;
	if (cli_lines_error(run->lines) < 0)
		return cli_fail(CLI_CONFIG, "standard input: %s",
				strerror(-cli_lines_error(run->lines)));
	if (run->deferred)
		return CLI_TEMPORARY;
	return run->invalid ? CLI_DATA : CLI_OK;
}

static int run_live(const struct config *c, const char *domain)
{
	struct run run = {.config = c, .room = {.max = HELD_MAX, .share = SHARE}};
	struct arena check = {0};
	struct dane_request request;
	struct err e;
	int code = 0;

	if (c->next_hop != NULL && cli_next_hop(&check, c->next_hop, &request, &e) < 0)
		code = cli_fail(CLI_USAGE, "policy: --next-hop %s: %s", c->next_hop, e.text);
	else if (cli_own_name(&check, c, &request.own_name, &e) < 0)
		code = cli_fail(CLI_USAGE, "policy: --helo %s: %s", c->helo, e.text);
	if (code != 0) {
		arena_done(&check);
		return code;
	}
	if (strcmp(domain, "-") != 0 && cli_request(&check, c, domain, &request, &e) < 0) {
		arena_done(&check);
		return cli_fail(CLI_DATA, "%s: %s", domain, e.text);
	}
	arena_done(&check);
	code = cli_engine_start(&run.engine, c);
	if (code == 0) {
		if (strcmp(domain, "-") == 0) {
			run.most = dns_resolver_limit(run.engine.resolver) / 2;
			if (run.most > IN_FLIGHT)
				run.most = IN_FLIGHT;
			setvbuf(stdout, NULL, _IOLBF, 65536); /* each line when it is decided */
			run.lines = cli_lines_new(run.engine.loop, STDIN_FILENO, DOMAIN_LINE_MAX,
						  on_line, &run);
		} else {
			run.input_ended = true;
			require(job_begin(&run, domain, &e) == 0);
		}
		io_loop_run(run.engine.loop);
		code = finish(&run);
	}
	cli_lines_free(run.lines);
	cli_engine_done(&run.engine);
	return code;
}

static int replay(const struct config *c)
{
	struct dane_decider *d = NULL;
	struct js *saved;
	struct err e;
	int code = CLI_OK;

	saved = cli_file_read_json(c->replay, EVIDENCE_MAX, &e);
	if (saved != NULL)
		d = dane_evidence_replay(saved, &e);
	js_free(saved);
	if (d == NULL)
		return cli_fail(CLI_CONFIG, "%s: %s", c->replay, e.text);
	if (dane_decider_result(d)->outcome == DANE_OUTCOME_DEFER)
		code = CLI_TEMPORARY;
	if (print_decision(c, d, false) < 0 || fflush(stdout) != 0)
		code = cli_fail(CLI_WRITE, "standard output: %s", strerror(errno));
	if (c->save != NULL && save(c->save, d) != 0)
		code = CLI_WRITE;
	dane_decider_free(d);
	return code;
}

int cli_policy(struct config *c, int argc, char **argv)
{
	struct err e;
	int first = config_parse(c, argc, argv, CONFIG_POLICY, false, &e), code;

	if (first < 0)
		return cli_fail(CLI_USAGE, "policy: %s; see \"daneway policy --help\"", e.text);
	if (c->help) {
		help();
		return CLI_OK;
	}
	if (c->replay != NULL && first == argc)
		return replay(c);
	if (argc - first != 1 || c->replay != NULL)
		return cli_fail(CLI_USAGE, "policy: one domain (or \"-\", or --replay FILE) is "
					   "wanted; see \"daneway policy --help\"");
	if (c->save != NULL && strcmp(argv[first], "-") == 0)
		return cli_fail(CLI_USAGE, "policy: --save is for one domain");
	code = cli_configure(c);
	return code != 0 ? code : run_live(c, argv[first]);
}
