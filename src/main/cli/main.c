/* The program: a table of commands. */
#include "main/cli/cli.h"

#include <fcntl.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "edge/tls/context.h"

static const struct {
	const char *name;
	cli_command_fn *run;
	const char *help;
} commands[] = {
	{"check", cli_check, "test a mail domain: say why, and how to mend it"},
	{"config", cli_config, "check a configuration file, show it, print the defaults"},
	{"deliver", cli_deliver, "deliver a message now, under RFC 7672"},
	{"dnssec", cli_dnssec, "the chain of trust of a name, zone by zone from the root"},
	{"policy", cli_policy, "what a sender must do for a domain, from DNS alone"},
	{"queue", cli_queue, "the gateway's queue: list, show, retry, hold, delete ..."},
	{"serve", cli_serve, "the gateway: take mail in, keep it, send it"},
	{"status", cli_status, "how the gateway is"},
	{"tlsa", cli_tlsa, "make TLSA records, match and read them"},
};

int cli_fail(int code, const char *format, ...)
{
	char text[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	text_make_plain(text); /* one line, and nothing that a terminal obeys */
	fprintf(stderr, "daneway: %s\n", text);
	return code;
}

static void help(FILE *out)
{
	fputs("daneway: SMTP DANE with DNSSEC\n\nUsage: daneway [OPTION...] COMMAND ...\n\n"
	      "Commands:\n",
	      out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	fputs("\nOptions, before or after the command:\n", out);
	config_print_options(out, CONFIG_ANY);
	fputs("\n\"daneway COMMAND --help\" tells more, daneway(1) everything.\n", out);
}

static int dispatch(struct config *c, int argc, char **argv)
{
	struct err e;
	int first = config_parse(c, argc, argv, CONFIG_ANY, true, &e);

	if (first < 0)
		return cli_fail(CLI_USAGE, "%s; see \"daneway --help\"", e.text);
	if (c->version) {
		puts("daneway " DANEWAY_VERSION);
		return CLI_OK;
	}
	if (c->help) {
		help(stdout);
		return CLI_OK;
	}
	if (first == argc)
		return cli_fail(CLI_USAGE, "which command? See \"daneway --help\"");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(argv[first], commands[i].name) == 0)
			return commands[i].run(c, argc - first, argv + first);
	return cli_fail(CLI_USAGE, "no command \"%s\"; see \"daneway --help\"", argv[first]);
}

/*
 * A closed standard descriptor must not become the number of a spool or socket. The wrong mode
 * makes each use fail, as it would on the closed one.
 */
static void hold_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0)
			abort();
}

int main(int argc, char **argv)
{
	struct config c;
	int code;

	hold_standard_descriptors();
	tls_init(); /* before any library reads the system's openssl.cnf */
	setlocale(LC_CTYPE, "");
	config_init(&c);
	code = dispatch(&c, argc, argv);
	config_done(&c);
	return code;
}
