/* daneway dnssec: the chain of trust of a name, zone by zone from the root. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mail/domain.h"
#include "jobs/check/chain.h"
#include "jobs/check/write.h"
#include "main/cli/ask.h"
#include "main/cli/engine.h"
#include "main/cli/file.h"
#include "main/cli/style.h"
#include "main/cli/trust.h"

enum {
	TEXT_MAX = 256 * 1024 * 1024,
	/* One question is tried twice over UDP and once over TCP within --dns-timeout. */
	ATTEMPTS = 3,
};

struct run {
	const struct config *config;
	struct cli_engine engine;
	struct arena arena;
	struct check_chain_request request;
	struct check_chain *chain;
};

static void help(void)
{
	puts("Usage: daneway dnssec [OPTION...] NAME [TYPE]\n"
	     "       daneway dnssec [OPTION...] --mail DOMAIN\n"
	     "\n"
	     "Walks the chain of trust of NAME from the root's trust anchor down: every "
	     "authoritative\n"
	     "server of each zone is asked at each of its addresses, over UDP and TCP, for DS, "
	     "DNSKEY,\n"
	     "SOA, NS and the records or their denial; aliases are followed into other zones. What "
	     "is\n"
	     "wrong is told with server, record and key tag, and how to mend it. Without TYPE: A "
	     "and\n"
	     "AAAA.\n"
	     "\n"
	     "-v tells servers, DS, keys and records, -vv every signature with its dates, -vvv "
	     "every\n"
	     "packet.\n"
	     "\n"
	     "Examples:\n"
	     "  daneway dnssec example.org MX\n"
	     "  daneway dnssec -v _25._tcp.mx1.example.org TLSA\n"
	     "  daneway dnssec --mail example.org\n"
	     "  daneway dnssec --json --mail example.org\n"
	     "  daneway dnssec --html chain.html --svg chain.svg --mail example.org\n"
	     "\n"
	     "Exit status (the worst of several names): 0 secure, 1 insecure, 2 bogus, 3 unknown.\n"
	     "64 usage, 65 no name, 74 output cannot be written, 78 trust anchor, clock or a "
	     "file.\n"
	     "\n"
	     "Options:");
	config_print_options(stdout, CONFIG_DNSSEC);
}

/* --- output ----------------------------------------------------------------------------------- */

static const char *word(enum dane_security s)
{
	return s == DANE_FAILED ? "unknown" : dane_security_to_string(s);
}

static const char *in_words(enum dane_security s)
{
	switch (s) {
	case DANE_SECURE:
		return "Every link holds, from the root to the records.";
	case DANE_INSECURE:
		return "Provably not signed: validators accept it, and anybody can forge it.";
	case DANE_BOGUS:
		return "Signed, and the chain is broken: validators refuse it, senders that do "
		       "DANE "
		       "delay\nmail and then return it.";
	case DANE_FAILED:
	case DANE_UNASKED:
		break;
	}
	return "It could not be told; that is not to say that anything is wrong or right.";
}

static int exit_code(enum dane_security s)
{
	switch (s) {
	case DANE_SECURE:
		return 0;
	case DANE_INSECURE:
		return 1;
	case DANE_BOGUS:
		return 2;
	case DANE_FAILED:
	case DANE_UNASKED:
		break;
	}
	return 3;
}

static int write_text(const struct run *run, const struct check_tree *t)
{
	static const char *const colours[] = {"\033[1;32m", "\033[1;33m", "\033[1;31m",
					      "\033[1;33m", "\033[1;33m"};
	enum dane_security s = check_chain_verdict(run->chain);
	struct check_style style = cli_style(run->config);
	struct buf out;
	int ret;

	buf_init(&out, TEXT_MAX);
	ret = buf_printf(&out, "%s%s%s: %s%s\n%s\n\n", style.colour ? colours[s] : "",
			 t->root.subject, run->config->mail ? " (mail)" : "", word(s),
			 style.colour ? "\033[0m" : "", in_words(s));
	if (ret == 0)
		ret = check_tree_text(t, &style, &out);
	if (ret == 0 && fwrite(out.p, 1, out.n, stdout) != out.n)
		ret = -EIO;
	buf_done(&out);
	return ret;
}

static int write_json(const struct run *run, const struct check_tree *t)
{
	struct js *v = check_chain_json(run->chain);
	int ret;

	js_set(v, "checks", check_tree_json(t));
	ret = js_write(v, stdout, 2);
	js_free(v);
	return ret;
}

/* --- files ------------------------------------------------------------------------------------ */

static int copy(void *arg, FILE *out)
{
	const struct buf *text = arg;

	return fwrite(text->p, 1, text->n, out) == text->n ? 0 : -EIO;
}

static int write_svg(const struct run *run)
{
	struct buf text;
	struct err e;
	int ret;

	buf_init(&text, CHECK_REPORT_MAX);
	ret = check_chain_svg(run->chain, true, &text);
	if (ret < 0)
		err_set(&e, ret, "%s: %s", run->config->svg, strerror(-ret));
	else
		ret = cli_file_write_by(run->config->svg, copy, &text, &e);
	buf_done(&text);
	return ret == 0 ? 0 : cli_fail(CLI_WRITE, "--svg %s", e.text);
}

static int end_html(void *arg, FILE *out)
{
	return check_html_end(arg, io_unix_now(), out);
}

static enum check_status tone_of(enum dane_security s)
{
	return s == DANE_SECURE ? CHECK_PASS : s == DANE_BOGUS ? CHECK_FAIL : CHECK_WARN;
}

static const char *one_line(struct arena *a, const char *text)
{
	char *line = arena_strdup(a, text);

	for (char *c = line; *c != '\0'; c++)
		if (*c == '\n')
			*c = ' ';
	return line;
}

/* The page folds what it tells: it has servers, keys and records even without -v. */
static int add_html(const struct run *run, struct check_html *page)
{
	enum dane_security s = check_chain_verdict(run->chain);
	struct check_html_head head = {.word = word(s), .tone = tone_of(s)};
	struct check_tree t;
	struct buf picture;
	int ret;

	buf_init(&picture, CHECK_REPORT_MAX);
	check_tree_init(&t, run->request.name);
	head.sentence = one_line(&t.arena, in_words(s));
	check_chain_report(run->chain, &t, NULL,
			   run->config->verbose > 0 ? run->config->verbose : 1);
	ret = check_chain_svg(run->chain, false, &picture);
	head.picture = buf_span(&picture);
	if (ret == 0)
		ret = check_html_add_tree(page, &t, &head);
	check_tree_done(&t);
	buf_done(&picture);
	return ret;
}

static int write_html(const struct run *run)
{
	struct check_html *page = check_html_new("DNSSEC chain");
	struct err e;
	int ret = add_html(run, page);

	if (ret < 0)
		err_set(&e, ret, "%s: %s", run->config->html, strerror(-ret));
	else
		ret = cli_file_write_by(run->config->html, end_html, page, &e);
	check_html_free(page);
	return ret == 0 ? 0 : cli_fail(CLI_WRITE, "--html %s", e.text);
}

static int print(const struct run *run)
{
	struct check_tree t;
	int ret;

	check_tree_init(&t, run->request.name);
	check_chain_report(run->chain, &t, NULL, run->config->verbose);
	ret = run->config->json ? write_json(run, &t) : write_text(run, &t);
	check_tree_done(&t);
	if (ret < 0 || fflush(stdout) != 0)
		return cli_fail(CLI_WRITE, "standard output: %s", strerror(errno));
	if (run->config->svg != NULL && (ret = write_svg(run)) != 0)
		return ret;
	if (run->config->html != NULL && (ret = write_html(run)) != 0)
		return ret;
	return exit_code(check_chain_verdict(run->chain));
}

/* --- input ------------------------------------------------------------------------------------ */

/* A domain as users write it (IDN too), or any name that DNS can have, escapes allowed. */
static int read_name(struct run *run, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-_.*\\";
	struct mail_domain domain;
	struct err e;

	if (mail_domain_parse(&run->arena, span_text(text), &domain, &e) == 0) {
		if (domain.kind != MAIL_DOMAIN_NAME)
			return cli_fail(CLI_DATA, "%s: a name is wanted, not an address", text);
		run->request.name = domain.host;
		return 0;
	}
	if (dane_name_is_address(text))
		return cli_fail(CLI_DATA, "%s: a name is wanted, not an address", text);
	if (run->config->mail || strspn(text, plain) != strlen(text))
		return cli_fail(CLI_DATA, "%s: %s", text, e.text);
	if (dane_name_from_text(&run->arena, text, &run->request.name, &e) < 0)
		return cli_fail(CLI_DATA, "%s: %s", text, e.text);
	return 0;
}

/* --- the run ---------------------------------------------------------------------------------- */

static void on_over(void *arg, struct check_chain *chain)
{
	struct run *run = arg;

	(void)chain;
	io_loop_stop(run->engine.loop);
}

static int go(struct run *run)
{
	const struct config *c = run->config;
	int code = cli_trust_read(&run->arena, c, &run->request.trust);

	if (code != 0)
		return code;
	code = cli_engine_start(&run->engine, c);
	if (code == CLI_TEMPORARY)
		return 3; /* as `check`: unknown */
	if (code != 0)
		return code;
	run->request.mail = c->mail;
	run->request.upkeep = true;
	run->request.timeout = c->dns_timeout / ATTEMPTS;
	run->request.deadline = usec_add(io_now(run->engine.loop),
					 c->timeout >= 0 ? c->timeout : usec_seconds(120));
	run->chain = check_chain_new(run->engine.loop, run->engine.resolver, &run->request, on_over,
				     run);
	io_loop_run(run->engine.loop);
	return print(run);
}

static int read_arguments(struct run *run, int n, char **argv)
{
	const struct config *c = run->config;

	if (n < 1 || n > 2 || (c->mail && n != 1))
		return cli_fail(CLI_USAGE, "dnssec: a name and perhaps a type is wanted, or --mail "
					   "and a domain; see \"daneway dnssec --help\"");
	if (c->forward.n > 0)
		return cli_fail(CLI_USAGE, "dnssec: --forward cannot be used: the name servers "
					   "themselves are asked");
	if (c->at != NULL && cli_time(c->at, &run->request.now) < 0)
		return cli_fail(CLI_USAGE,
				"--at %s: a time such as 2026-12-24T18:00:00Z, or seconds since "
				"1970, is wanted",
				c->at);
	if (n == 2) {
		run->request.type = dns_type_from_text(argv[1]);
		if (run->request.type == 0)
			return cli_fail(CLI_USAGE, "dnssec: no record type \"%s\"", argv[1]);
	}
	return read_name(run, argv[0]);
}

int cli_dnssec(struct config *c, int argc, char **argv)
{
	struct run run = {.config = c};
	struct err e;
	int first = config_parse(c, argc, argv, CONFIG_DNSSEC, false, &e), code;

	if (first < 0)
		return cli_fail(CLI_USAGE, "dnssec: %s; see \"daneway dnssec --help\"", e.text);
	if (c->help) {
		help();
		return CLI_OK;
	}
	code = cli_configure(c);
	if (code == 0)
		code = read_arguments(&run, argc - first, argv + first);
	if (code == 0)
		code = go(&run);
	check_chain_free(run.chain);
	cli_engine_done(&run.engine);
	arena_done(&run.arena);
	return code;
}
