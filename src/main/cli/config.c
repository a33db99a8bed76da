/* `daneway config`, and the configuration of every other command. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "main/cli/cli.h"
#include "main/config/file.h"

static int problems(const char *path, struct config_problems *p)
{
	_cleanup_(freep) char *text = config_problems_text(p, path);

	fputs(text, stderr);
	config_problems_done(p);
	return CLI_CONFIG;
}

/* 0 with the file, or with NULL where none was named and there is none. */
static int load(const struct config *c, const char *path, struct config_file **ret)
{
	const char *named = path != NULL ? path : c->config;
	struct config_problems p = {0};
	int error;

	path = named != NULL ? named : CONFIG_FILE_PATH;
	*ret = config_file_load(path, &p, &error);
	if (named == NULL && (error == -ENOENT || error == -ENOTDIR)) {
		config_problems_done(&p);
		return CLI_OK;
	}
	return *ret != NULL ? CLI_OK : problems(path, &p);
}

int cli_configure(struct config *c)
{
	struct config_file *f;
	struct err e;
	int code;

	if (config_from_environment(c, &e) < 0)
		return cli_fail(CLI_USAGE, "%s", e.text);
	code = load(c, NULL, &f);
	if (f != NULL)
		config_from_file(c, f);
	return code;
}

/* --- the command ------------------------------------------------------------------------------ */

static void help(void)
{
	puts("Usage: daneway config --check [OPTION...] [FILE]\n"
	     "       daneway config --show [OPTION...] [FILE]\n"
	     "       daneway config --defaults\n\n"
	     "The configuration file: what is wrong with it, what it says, what it could say\n"
	     "(daneway.yaml(5)). Without FILE that of --config.\n\nOptions:");
	config_print_options(stdout, CONFIG_CONFIG);
}

static int written(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CLI_OK;
	return cli_fail(CLI_WRITE, "config: cannot write to standard output");
}

static int check(const struct config_file *f)
{
	struct config_problems p = {0};

	if (config_file_look_at_files(f, &p) > 0)
		return problems(f->path, &p);
	printf("%s: in order; %zu listener%s, %zu domain%s\n", f->path, f->listeners.n,
	       f->listeners.n == 1 ? "" : "s", f->domains.n, f->domains.n == 1 ? "" : "s");
	return written();
}

static int check_or_show(const struct config *c, const char *path)
{
	_cleanup_(config_file_freep) struct config_file *f = NULL;
	struct config_problems p = {0};
	int code = load(c, path, &f);

	if (code != CLI_OK)
		return code;
	if (f == NULL && c->check)
		return cli_fail(CLI_CONFIG, "config: there is no %s", CONFIG_FILE_PATH);
	if (f == NULL)
		f = config_file_read(CONFIG_FILE_PATH, span_text(""), &p);
	require(f != NULL);
	if (c->check)
		return check(f);
	config_file_print(stdout, f);
	return written();
}

int cli_config(struct config *c, int argc, char **argv)
{
	struct err e;
	int first = config_parse(c, argc, argv, CONFIG_CONFIG, false, &e);

	if (first < 0)
		return cli_fail(CLI_USAGE, "config: %s; see \"daneway config --help\"", e.text);
	if (c->help) {
		help();
		return CLI_OK;
	}
	if (config_from_environment(c, &e) < 0)
		return cli_fail(CLI_USAGE, "config: %s", e.text);
	if (c->check + c->show + c->defaults + c->man != 1)
		return cli_fail(CLI_USAGE,
				"config: one of --check, --show, --defaults and --man is "
				"wanted; see \"daneway config --help\"");
	if (argc - first > (c->check || c->show))
		return cli_fail(CLI_USAGE, "config: too many words; see \"daneway config --help\"");
	if (c->check || c->show)
		return check_or_show(c, first < argc ? argv[first] : NULL);
	if (c->defaults)
		config_file_print_defaults(stdout);
	else
		config_file_print_man(stdout);
	return written();
}
