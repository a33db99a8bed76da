/* daneway check: test mail domains; say what is wrong, what senders will do, and how to mend it. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/check/input.h"
#include "jobs/check/run.h"
#include "main/cli/ask.h"
#include "main/cli/engine.h"
#include "main/cli/file.h"
#include "main/cli/interrupt.h"
#include "main/cli/lines.h"
#include "main/cli/output.h"
#include "main/cli/progress.h"
#include "main/cli/trust.h"

enum {
	/* One question is tried twice over UDP and once over TCP within --dns-timeout. */
	ATTEMPTS = 3,
	IN_FLIGHT = 2000,       /* domains at a time */
	DOMAIN_LINE_MAX = 2048, /* of "check -" */
	SAVED_MAX = 64 * 1024 * 1024,
};

struct run {
	struct config *config;
	struct cli_engine engine;
	struct check_env env;
	struct check_options options;
	struct check_trust trust;
	struct cli_ask ask;
	struct arena arena;
	struct cli_output *output;
	struct cli_progress *progress;
	struct cli_interrupt *interrupt;
	struct cli_lines *lines; /* NULL: the arguments */
	char **arguments;
	size_t n_arguments, next;
	size_t in_flight, most;
	bool many, input_ended, interrupted, failed_save;
	struct job *jobs;     /* under way */
	struct job *finished; /* and not yet freed */
	struct io_timer *reap;
};

struct job {
	struct run *run;
	struct check_run *check;
	struct cli_letter *letter; /* --send */
	struct job *previous, *next;
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
	     "  daneway check --html report.html example.org example.net\n"
	     "  daneway check --resume results.jsonl - < domains.txt\n"
	     "\n"
	     "Exit status (the worst of several): 0 dane: all is protected; 1 partial or none;\n"
	     "2 broken: senders that do DANE will not deliver; 3 unknown: it could not be told.\n"
	     "64 usage, 74 output cannot be written, 78 trust anchor, clock or a file.\n"
	     "\n"
	     "Options:");
	config_print_options(stdout, CONFIG_CHECK);
}

/* --- one domain ------------------------------------------------------------------------------- */

static void next_arguments(struct run *run);

/* Takes no more input: the output has failed. What is under way need not end either. */
static void stop(struct run *run)
{
	run->input_ended = true;
	if (run->lines != NULL)
		cli_lines_want(run->lines, false);
	io_loop_stop(run->engine.loop);
}

static void add_result(struct run *run, const struct check_result *r)
{
	cli_progress_hide(run->progress);
	if (!cli_output_add(run->output, r))
		stop(run);
}

static void job_unlink(struct job **list, struct job *job)
{
	if (job->previous != NULL)
		job->previous->next = job->next;
	else
		*list = job->next;
	if (job->next != NULL)
		job->next->previous = job->previous;
	job->previous = job->next = NULL;
}

static void job_link(struct job **list, struct job *job)
{
	job->next = *list;
	if (job->next != NULL)
		job->next->previous = job;
	*list = job;
}

static void free_jobs(struct job **list)
{
	while (*list != NULL) {
		struct job *job = *list;

		job_unlink(list, job);
		cli_letter_free(job->letter);
		check_run_free(job->check);
		free(job);
	}
}

static void end_if_done(struct run *run)
{
	if (run->in_flight == 0 && run->input_ended)
		io_loop_stop(run->engine.loop);
}

/* Outside their own callbacks: those that are finished are freed, others begin. */
static void on_reap(void *arg)
{
	struct run *run = arg;

	free_jobs(&run->finished);
	if (run->lines != NULL && !run->input_ended)
		cli_lines_want(run->lines, true);
	next_arguments(run);
	end_if_done(run);
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
	struct check_result r = check_run_result(job->check);

	job_unlink(&run->jobs, job);
	job_link(&run->finished, job);
	run->in_flight--;
	io_timer_set(run->reap, 0);
	if (run->config->save != NULL && save(run->config->save, job->check) != 0)
		run->failed_save = true;
	add_result(run, &r);
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
static void add_invalid(struct run *run, const char *text, const char *why)
{
	struct check_tree t;
	struct check_result r = {.tree = &t, .verdict = CHECK_VERDICT_UNKNOWN, .at = io_unix_now()};

	if (cli_output_has(run->output, text))
		return;
	check_tree_init(&t, text);
	check_add(&t, NULL, CHECK_INPUT_INVALID, text, "detail", why, NULL);
	add_result(run, &r);
	check_tree_done(&t);
}

static void job_begin(struct run *run, const char *text)
{
	const char *domain, *why;
	struct arena a = {0};
	struct job *job;

	if (check_input_read(&a, text, &domain, &why) < 0) {
		add_invalid(run, text, why);
	} else if (run->options.inbound != NULL &&
		   strcmp(domain, run->options.inbound->to->domain.host) != 0) {
		add_invalid(run, text, "--to names another domain");
	} else if (!cli_output_has(run->output, domain)) {
		job = xcalloc(1, sizeof(*job));
		job->run = run;
		job_link(&run->jobs, job);
		run->in_flight++;
		job->check = check_run_new(&run->env, &run->options, domain, on_checked, job);
	}
	arena_done(&a);
}

/* --- many ------------------------------------------------------------------------------------- */

static void on_line(void *arg, const char *line, bool too_long)
{
	struct run *run = arg;

	if (line == NULL) {
		run->input_ended = true;
		end_if_done(run);
		return;
	}
	if (too_long)
		add_invalid(run, line, "the line is longer than 2048 octets");
	else if (*line != '\0')
		job_begin(run, line);
	if (run->in_flight >= run->most || run->input_ended)
		cli_lines_want(run->lines, false);
}

static void next_arguments(struct run *run)
{
	if (run->lines != NULL || run->input_ended)
		return;
	while (run->next < run->n_arguments && run->in_flight < run->most && !run->input_ended)
		job_begin(run, run->arguments[run->next++]);
	if (run->next == run->n_arguments)
		run->input_ended = true;
}

static void on_interrupt(void *arg)
{
	struct run *run = arg;

	run->interrupted = true;
	stop(run);
}

/* --- the run ---------------------------------------------------------------------------------- */

static int prepare(struct run *run)
{
	const struct config *c = run->config;
	struct check_options *o = &run->options;
	struct err e;
	int code;

	if (c->only != NULL && strcmp(c->only, "dane") != 0)
		return cli_fail(CLI_USAGE, "check: --only %s: \"dane\" is wanted", c->only);
	o->only_dane = c->only != NULL;
	o->detail = c->verbose;
	o->timeout = c->timeout >= 0 ? c->timeout : usec_seconds(120);
	if (cli_own_name(&run->arena, c, &o->own_name, &e) < 0 ||
	    mail_domain_parse(&run->arena, span_text(o->own_name), &o->helo, &e) < 0)
		return cli_fail(CLI_USAGE, "--helo %s: %s", c->helo != NULL ? c->helo : "", e.text);
	code = cli_ask_read(&run->ask, c, o->own_name, o);
	if (code != 0)
		return code;
	run->env.tls = tls_context_new(&e);
	return run->env.tls != NULL ? 0 : cli_fail(CLI_CONFIG, "%s", e.text);
}

/* How many lines standard input has, if that can be known beforehand. */
static size_t count_lines(void)
{
	char piece[65536];
	struct stat st;
	off_t at = lseek(STDIN_FILENO, 0, SEEK_CUR);
	size_t lines = 0;
	ssize_t n;

	if (at < 0 || fstat(STDIN_FILENO, &st) != 0 || !S_ISREG(st.st_mode))
		return 0;
	while ((n = pread(STDIN_FILENO, piece, sizeof(piece), at)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			lines += piece[i] == '\n';
		at += n;
	}
	return lines;
}

static void begin(struct run *run)
{
	bool from_stdin = run->n_arguments == 1 && strcmp(run->arguments[0], "-") == 0;
	struct check_pool_options pool = {
		.helo = run->options.helo,
		.connect_timeout = run->config->connect_timeout,
		.timeout = run->options.timeout,
	};
	struct web_config web = {.ca_file = run->config->ca_file};
	struct check_walks_options walks = {
		.trust = run->trust,
		.many = from_stdin,
		.question = run->config->dns_timeout / ATTEMPTS,
		/* Its end is to come before that of the domain. */
		.timeout = run->options.timeout - run->options.timeout / 8,
		.detail = run->options.detail > 0 ? run->options.detail - 1 : 0,
	};

	run->env.loop = run->engine.loop;
	run->env.resolver = run->engine.resolver;
	run->env.pool = check_pool_new(run->engine.loop, run->env.tls, &pool);
	run->env.web = web_new(run->engine.loop, &web);
	if (run->config->forward.n == 0)
		run->env.walks = check_walks_new(run->engine.loop, run->engine.resolver, &walks);
	run->most = dns_resolver_limit(run->engine.resolver) / 2;
	if (run->most > IN_FLIGHT)
		run->most = IN_FLIGHT;
	run->reap = io_timer_new(run->engine.loop, on_reap, run);
	run->interrupt = cli_interrupt_new(run->engine.loop, on_interrupt, run);
	if (run->many && isatty(STDERR_FILENO))
		run->progress = cli_progress_new(run->engine.loop,
						 from_stdin ? count_lines() : run->n_arguments,
						 cli_output_count(run->output));
	if (from_stdin)
		run->lines = cli_lines_new(run->engine.loop, STDIN_FILENO, DOMAIN_LINE_MAX, on_line,
					   run);
	else
		next_arguments(run);
}

static int finish(struct run *run)
{
	const struct check_count *count = cli_output_count(run->output);
	int code;

	run->progress = cli_progress_free(run->progress);
	code = cli_output_end(run->output);
	if (run->interrupted)
		fprintf(stderr, "daneway: interrupted; %zu domains are done, %zu were under way\n",
			check_count_all(count), run->in_flight);
	if (code == 0 && run->lines != NULL && cli_lines_error(run->lines) < 0)
		code = cli_fail(CLI_CONFIG, "standard input: %s",
				strerror(-cli_lines_error(run->lines)));
	/* An empty list is no trouble. */
	if (code == 0 && run->failed_save)
		code = CLI_WRITE;
	if (code == 0 && (run->interrupted || check_count_all(count) > 0))
		code = check_count_exit(count);
	return code;
}

static int go(struct run *run)
{
	int code = prepare(run);

	if (code == 0)
		code = cli_output_open(run->config, run->many, &run->output);
	if (code == 0 && run->config->forward.n == 0)
		code = cli_trust_read(&run->arena, run->config, &run->trust);
	if (code == 0)
		code = cli_engine_start(&run->engine, run->config);
	if (code == CLI_TEMPORARY)
		return 3; /* the contract: unknown, where policy says 75 */
	if (code != 0)
		return code;
	begin(run);
	if (run->lines != NULL || run->in_flight > 0)
		io_loop_run(run->engine.loop);
	return finish(run);
}

/* The same from a file: no resolver, no network. */
static int replay(struct run *run)
{
	const char *path = run->config->replay;
	struct check_run *check = NULL;
	struct check_result r;
	struct js *saved;
	struct err e;
	int code = prepare(run);

	if (code == 0)
		code = cli_output_open(run->config, false, &run->output);
	if (code != 0)
		return code;
	saved = cli_file_read_json(path, SAVED_MAX, &e);
	if (saved != NULL)
		check = check_run_replay(&run->env, &run->options, saved, &e);
	js_free(saved);
	if (check == NULL)
		return cli_fail(CLI_CONFIG, "%s: %s", path, e.text);
	r = check_run_result(check);
	cli_output_add(run->output, &r);
	check_run_free(check);
	return finish(run);
}

static void done(struct run *run)
{
	free_jobs(&run->jobs);
	free_jobs(&run->finished);
	io_timer_free(run->reap);
	cli_lines_free(run->lines);
	cli_progress_free(run->progress);
	cli_interrupt_free(run->interrupt);
	check_walks_free(run->env.walks);
	check_pool_free(run->env.pool);
	web_free(run->env.web);
	tls_context_free(run->env.tls);
	cli_ask_done(&run->ask);
	cli_engine_done(&run->engine);
	cli_output_free(run->output);
	arena_done(&run->arena);
}

/* Nagios knows no 64 and reads standard output: what is no verdict is UNKNOWN. */
static int code_for(const struct run *run, bool nagios, int code)
{
	if (!nagios || code < CLI_USAGE)
		return code;
	if (run->output == NULL || check_count_all(cli_output_count(run->output)) == 0)
		puts("DANE UNKNOWN - the check could not run; standard error says why");
	return 3;
}

static bool wants_nagios(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--nagios") == 0)
			return true;
	return false;
}

/* What stands behind the last "@"; NULL without one. The address itself is checked later. */
static char *domain_part(const char *address)
{
	char *at = strrchr(address, '@');

	return at != NULL ? at + 1 : NULL;
}

static int start(struct run *run, int argc, char **argv)
{
	struct config *c = run->config;
	char *to_domain = NULL;
	struct err e;
	int first = config_parse(c, argc, argv, CONFIG_CHECK, false, &e), code;

	if (first < 0)
		return cli_fail(CLI_USAGE, "check: %s; see \"daneway check --help\"", e.text);
	if (c->help) {
		help();
		return CLI_OK;
	}
	if (first == argc && c->to.n == 1)
		to_domain = domain_part(c->to.items[0]);
	if (c->replay != NULL && (first < argc || c->to.n > 0 || c->at != NULL || c->save != NULL))
		return cli_fail(CLI_USAGE, "check: --replay goes without a domain, --to, --at and "
					   "--save");
	if (c->replay != NULL)
		return replay(run);
	if (first == argc && to_domain == NULL)
		return cli_fail(CLI_USAGE, "check: which domain? See \"daneway check --help\"");
	run->arguments = to_domain != NULL ? &to_domain : argv + first;
	run->n_arguments = to_domain != NULL ? 1 : (size_t)(argc - first);
	run->many = run->n_arguments > 1 || strcmp(run->arguments[0], "-") == 0;
	if (c->save != NULL && run->many)
		return cli_fail(CLI_USAGE, "check: --save is for one domain");
	code = cli_configure(c);
	return code != 0 ? code : go(run);
}

int cli_check(struct config *c, int argc, char **argv)
{
	struct run run = {.config = c};
	bool nagios = wants_nagios(argc, argv);
	int code = code_for(&run, nagios, start(&run, argc, argv));

	done(&run);
	return code;
}
