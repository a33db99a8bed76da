/* daneway check: test mail domains; say what is wrong, what senders will do, and how to mend it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "jobs/check/run.h"
#include "main/cli/ask.h"
#include "main/cli/engine.h"
#include "main/cli/file.h"
#include "main/cli/lines.h"
#include "main/cli/style.h"

enum {
	IN_FLIGHT = 500,             /* domains at a time */
	DOMAIN_LINE_MAX = 2048,      /* of "check -" */
	TEXT_MAX = 64 * 1024 * 1024, /* one domain's report */
	SAVED_MAX = 64 * 1024 * 1024,
};

struct run {
	const struct config *config;
	struct cli_engine engine;
	struct check_env env;
	struct check_options options;
	struct cli_ask ask;
	struct arena arena;
	struct cli_lines *lines; /* NULL: the arguments */
	char **arguments;
	size_t n_arguments, next;
	size_t in_flight;
	bool many, input_ended, failed_write, failed_save;
	int worst; /* the largest of the verdicts' exit codes, by severity() */
};

struct job {
	struct run *run;
	struct check_run *check;
	struct cli_letter *letter; /* --send */
};

static void help(void)
{
	puts("Usage: daneway check [OPTION...] DOMAIN...\n"
	     "       daneway check [OPTION...] -         (one domain a line from standard input)\n"
	     "\n"
	     "Tests how mail to DOMAIN fares with senders that do DANE (RFC 7672): MX, addresses "
	     "and\n"
	     "TLSA records validated from the root down, then every MX host at every address with\n"
	     "every type of key it has. Says what is wrong, where, what senders will do, and the\n"
	     "record or command that mends it. No mail is sent, but with --send.\n"
	     "\n"
	     "Examples:\n"
	     "  daneway check example.org\n"
	     "  daneway check -v example.org\n"
	     "  daneway check --json - < domains.txt > results.jsonl\n"
	     "  daneway check --nagios example.org\n"
	     "  daneway check --cert new.pem --at 2026-12-24T18:00:00Z example.org\n"
	     "  daneway check --to postmaster@example.org\n"
	     "  daneway check --save evidence.json example.org\n"
	     "  daneway check --replay evidence.json -v\n"
	     "\n"
	     "Exit status (the worst of several): 0 dane: all is protected; 1 partial or none;\n"
	     "2 broken: senders that do DANE will not deliver; 3 unknown: it could not be told.\n"
	     "64 usage, 74 output cannot be written, 78 trust anchor, clock or a file.\n"
	     "\n"
	     "Options:");
	config_print_options(stdout, CONFIG_CHECK);
}

/* --- output ----------------------------------------------------------------------------------- */

/* In a postmaster's words. */
static const char *verdict_in_words(enum check_verdict v)
{
	switch (v) {
	case CHECK_VERDICT_DANE:
		return "Senders that do DANE deliver here over authenticated TLS, and nowhere "
		       "else.";
	case CHECK_VERDICT_NONE:
		return "There is no DANE here: who sits in the path can read the mail.";
	case CHECK_VERDICT_PARTIAL:
		return "DANE protects a part only: an attacker steers the mail to the other part.";
	case CHECK_VERDICT_UNKNOWN:
		return "It could not be told; that is not to say that anything is wrong or right.";
	case CHECK_VERDICT_BROKEN:
		break;
	}
	return "Senders that do DANE will delay this mail and then return it.";
}

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

static int write_text(const struct config *c, const struct check_run *check)
{
	const struct check_tree *t = check_run_tree(check);
	enum check_verdict v = check_run_verdict(check);
	struct check_style style = cli_style(c);
	struct buf out;
	int ret;

	buf_init(&out, TEXT_MAX);
	ret = buf_printf(&out, "%s%s: %s%s\n%s\n\n", style.colour ? colour_of(v) : "",
			 t->root.subject, check_verdict_to_string(v), style.colour ? "\033[0m" : "",
			 verdict_in_words(v));
	if (ret == 0)
		ret = check_tree_text(t, &style, &out);
	if (ret == 0)
		ret = buf_add_text(&out, "\n");
	if (ret == 0 && fwrite(out.p, 1, out.n, stdout) != out.n)
		ret = -EIO;
	buf_done(&out);
	return ret;
}

static int write_json(const struct run *run, const struct check_run *check)
{
	struct js *v = check_run_json(check);
	int ret = js_write(v, stdout, run->many ? 0 : 2);

	js_free(v);
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

static int write_nagios(const struct check_run *check)
{
	static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
	enum check_verdict v = check_run_verdict(check);
	const struct check_tree *t = check_run_tree(check);
	const struct check_finding *f = most_serious(t);
	struct buf out;
	int ret;

	buf_init(&out, TEXT_MAX);
	ret = buf_printf(&out, "DANE %s - %s: %s", words[check_verdict_to_exit(v)], t->root.subject,
			 check_verdict_to_string(v));
	if (ret == 0 && f != NULL)
		ret = buf_add_text(&out, "; ");
	if (ret == 0 && f != NULL)
		ret = check_escape(&out, f->subject);
	if (ret == 0 && f != NULL)
		ret = buf_add_text(&out, ": ");
	if (ret == 0 && f != NULL)
		ret = check_escape(&out, f->title);
	if (ret == 0)
		ret = buf_add_text(&out, "\n");
	if (ret == 0 && fwrite(out.p, 1, out.n, stdout) != out.n)
		ret = -EIO;
	buf_done(&out);
	return ret;
}

static int write_result(const struct run *run, const struct check_run *check)
{
	if (run->config->nagios)
		return write_nagios(check);
	return run->config->json ? write_json(run, check) : write_text(run->config, check);
}

/* --- one domain ------------------------------------------------------------------------------- */

/* The contract's order of severity: 2, 3, 1, 0. */
static int severity(int code)
{
	static const int order[] = {0, 1, 3, 2};

	return order[code];
}

static void note_verdict(struct run *run, enum check_verdict v)
{
	int code = check_verdict_to_exit(v);

	if (severity(code) > severity(run->worst))
		run->worst = code;
}

static void next_arguments(struct run *run);

static void job_end(void *arg)
{
	struct job *job = arg;
	struct run *run = job->run;

	cli_letter_free(job->letter);
	check_run_free(job->check);
	free(job);
	run->in_flight--;
	if (run->lines != NULL && !run->failed_write)
		cli_lines_want(run->lines, true);
	next_arguments(run);
	if (run->in_flight == 0 && run->input_ended)
		io_loop_stop(run->engine.loop);
}

static int save(const char *path, const struct check_run *check)
{
	struct js *v = check_run_save(check);
	struct err e;
	int ret = cli_file_write(path, v, &e);

	js_free(v);
	return ret == 0 ? 0 : cli_fail(CLI_WRITE, "%s", e.text);
}

static void report(void *arg)
{
	struct job *job = arg;
	struct run *run = job->run;
	const struct check_run *check = job->check;

	note_verdict(run, check_run_verdict(check));
	if (!run->failed_write && write_result(run, check) < 0) {
		run->failed_write = run->input_ended = true;
		if (run->lines != NULL)
			cli_lines_want(run->lines, false);
	}
	if (run->config->save != NULL && save(run->config->save, check) != 0)
		run->failed_save = true;
	io_defer(run->engine.loop, job_end, job);
}

static void on_checked(void *arg, struct check_run *check)
{
	struct job *job = arg;
	struct run *run = job->run;
	struct err e;

	if (run->config->send) {
		job->letter = cli_letter_new(&run->env, &run->options,
					     check_run_tree_to_extend(check), report, job, &e);
		if (job->letter != NULL)
			return;
		cli_fail(CLI_WRITE, "%s", e.text);
	}
	report(job);
}

/* A line or argument that is no domain: a result of its own, and the run goes on. */
static void write_invalid(struct run *run, const char *text, const char *why)
{
	struct check_tree t;
	struct js *v;

	note_verdict(run, CHECK_VERDICT_UNKNOWN);
	check_tree_init(&t, text);
	check_add(&t, NULL, CHECK_INPUT_INVALID, text, "detail", why, NULL);
	if (run->config->json) {
		v = js_object();
		js_set_text(v, "domain", text);
		js_set_text(v, "verdict", check_verdict_to_string(CHECK_VERDICT_UNKNOWN));
		js_set(v, "checks", check_tree_json(&t));
		if (js_write(v, stdout, run->many ? 0 : 2) < 0)
			run->failed_write = true;
		js_free(v);
	} else {
		struct buf out;

		buf_init(&out, TEXT_MAX);
		if (check_escape(&out, text) == 0 && buf_printf(&out, ": unknown: %s\n", why) == 0)
			run->failed_write = fwrite(out.p, 1, out.n, stdout) != out.n;
		buf_done(&out);
	}
	check_tree_done(&t);
}

static void job_begin(struct run *run, const char *text)
{
	struct mail_domain domain;
	struct arena a = {0};
	struct job *job;
	struct err e;

	if (mail_domain_parse(&a, span_text(text), &domain, &e) < 0) {
		write_invalid(run, text, e.text);
	} else if (domain.kind != MAIL_DOMAIN_NAME) {
		write_invalid(run, text, "DANE does not apply to an address");
	} else if (run->options.inbound != NULL &&
		   strcmp(domain.host, run->options.inbound->to->domain.host) != 0) {
		write_invalid(run, text, "--to names another domain");
	} else {
		job = xcalloc(1, sizeof(*job));
		job->run = run;
		run->in_flight++;
		job->check = check_run_new(&run->env, &run->options, domain.host, on_checked, job);
	}
	arena_done(&a);
}

/* --- many ------------------------------------------------------------------------------------- */

static void on_line(void *arg, const char *line, bool too_long)
{
	struct run *run = arg;

	if (line == NULL) {
		run->input_ended = true;
		if (run->in_flight == 0)
			io_loop_stop(run->engine.loop);
		return;
	}
	if (too_long)
		write_invalid(run, line, "the line is too long");
	else if (*line != '\0')
		job_begin(run, line);
	if (run->in_flight >= IN_FLIGHT)
		cli_lines_want(run->lines, false);
}

static void next_arguments(struct run *run)
{
	if (run->lines != NULL)
		return;
	while (run->next < run->n_arguments && run->in_flight < IN_FLIGHT)
		job_begin(run, run->arguments[run->next++]);
	run->input_ended = run->next == run->n_arguments;
}

static int prepare(struct run *run)
{
	const struct config *c = run->config;
	struct err e;
	int code;

	run->options.connect_timeout = c->connect_timeout;
	run->options.timeout = c->timeout >= 0 ? c->timeout : usec_seconds(120);
	if (cli_own_name(&run->arena, c, &run->options.own_name, &e) < 0 ||
	    mail_domain_parse(&run->arena, span_text(run->options.own_name), &run->options.helo,
			      &e) < 0)
		return cli_fail(CLI_USAGE, "--helo %s: %s", c->helo != NULL ? c->helo : "", e.text);
	code = cli_ask_read(&run->ask, c, run->options.own_name, &run->options);
	if (code != 0)
		return code;
	run->env.tls = tls_context_new(&e);
	return run->env.tls != NULL ? 0 : cli_fail(CLI_CONFIG, "%s", e.text);
}

static int go(struct run *run)
{
	int code = prepare(run);

	if (code == 0)
		code = cli_engine_start(&run->engine, run->config);
	if (code == CLI_TEMPORARY)
		return 3; /* the contract: unknown, where policy says 75 */
	if (code != 0)
		return code;
	run->env.loop = run->engine.loop;
	run->env.resolver = run->engine.resolver;
	if (run->n_arguments == 1 && strcmp(run->arguments[0], "-") == 0)
		run->lines = cli_lines_new(run->engine.loop, STDIN_FILENO, DOMAIN_LINE_MAX, on_line,
					   run);
	else
		next_arguments(run);
	if (run->lines != NULL || run->in_flight > 0)
		io_loop_run(run->engine.loop);
	if (run->failed_write || fflush(stdout) != 0)
		return cli_fail(CLI_WRITE, "standard output: %s", strerror(errno));
	return run->failed_save ? CLI_WRITE : run->worst;
}

/* The same from a file: no resolver, no network. */
static int replay(struct run *run)
{
	int code = prepare(run);
	struct check_run *check = NULL;
	struct js *saved;
	struct err e;

	if (code != 0)
		return code;
	saved = cli_file_read_json(run->config->replay, SAVED_MAX, &e);
	if (saved != NULL)
		check = check_run_replay(&run->env, &run->options, saved, &e);
	js_free(saved);
	if (check == NULL)
		return cli_fail(CLI_CONFIG, "%s: %s", run->config->replay, e.text);
	note_verdict(run, check_run_verdict(check));
	if (write_result(run, check) < 0 || fflush(stdout) != 0)
		code = cli_fail(CLI_WRITE, "standard output: %s", strerror(errno));
	check_run_free(check);
	return code != 0 ? code : run->worst;
}

/* What stands behind the last "@"; NULL without one. The address itself is checked later. */
static char *domain_part(const char *address)
{
	char *at = strrchr(address, '@');

	return at != NULL ? at + 1 : NULL;
}

/* A plug-in that was called wrongly is UNKNOWN: Nagios knows no 64. */
static int usage_code(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--nagios") == 0)
			return 3;
	return CLI_USAGE;
}

int cli_check(struct config *c, int argc, char **argv)
{
	struct run run = {.config = c};
	struct err e;
	char *to_domain = NULL;
	int usage = usage_code(argc, argv), code;
	int first = config_parse(c, argc, argv, CONFIG_CHECK, false, &e);

	if (first < 0)
		return cli_fail(usage, "check: %s; see \"daneway check --help\"", e.text);
	if (c->help) {
		help();
		return CLI_OK;
	}
	if (first == argc && c->to.n == 1)
		to_domain = domain_part(c->to.items[0]);
	if (c->replay != NULL && (first < argc || c->to.n > 0 || c->at != NULL || c->save != NULL))
		return cli_fail(usage, "check: --replay goes without a domain, --to, --at and "
				       "--save");
	if (first == argc && to_domain == NULL && c->replay == NULL)
		return cli_fail(usage, "check: which domain? See \"daneway check --help\"");
	if (c->save != NULL &&
	    (argc - first > 1 || (first < argc && strcmp(argv[first], "-") == 0)))
		return cli_fail(usage, "check: --save is for one domain");
	run.arguments = to_domain != NULL ? &to_domain : argv + first;
	run.n_arguments = to_domain != NULL ? 1 : (size_t)(argc - first);
	run.many =
		run.n_arguments > 1 || (run.n_arguments == 1 && strcmp(run.arguments[0], "-") == 0);
	code = c->replay != NULL ? replay(&run) : go(&run);
	if (code == CLI_USAGE || code == CLI_DATA)
		code = usage == CLI_USAGE ? code : usage;
	cli_lines_free(run.lines);
	tls_context_free(run.env.tls);
	cli_ask_done(&run.ask);
	cli_engine_done(&run.engine);
	arena_done(&run.arena);
	return code;
}
