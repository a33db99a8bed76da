/* `daneway serve`: the gateway. */
#include "main/gateway/serve.h"

#include <stdio.h>

#include "main/cli/cli.h"
#include "main/cli/engine.h"

static void help(void)
{
	puts("Usage: daneway serve [OPTION...]\n\n"
	     "The gateway: takes mail in, keeps it, sends it as RFC 7672 allows, as "
	     "daneway.yaml(5)\n"
	     "says. Stays in the foreground and logs to standard error. SIGHUP: read the file "
	     "again;\n"
	     "SIGTERM: end.\n\nOptions:");
	config_print_options(stdout, CONFIG_SERVE);
}

static int exit_code(enum gateway_end end)
{
	switch (end) {
	case GATEWAY_ENDED:
		return CLI_OK;
	case GATEWAY_BAD_CONFIG:
		return CLI_CONFIG;
	case GATEWAY_NOT_ALLOWED:
		return CLI_NOT_ALLOWED;
	case GATEWAY_UNAVAILABLE:
		return CLI_UNAVAILABLE;
	}
	return CLI_UNAVAILABLE;
}

static int serve(struct config *c)
{
	struct gateway_start start = {
		.dns = {.root_hints = c->root_hints,
			.trust_anchor = c->trust_anchor,
			.forward = c->forward.items,
			.n_forward = c->forward.n,
			.timeout = c->dns_timeout},
	};
	struct arena a = {0};
	struct err e;
	enum gateway_end end;

	if (c->root_hints != NULL && c->forward.n > 0)
		return cli_fail(CLI_USAGE, "--forward and --root-hints exclude each other");
	if (cli_own_name(&a, c, &start.hostname, &e) < 0) {
		arena_done(&a);
		return cli_fail(CLI_USAGE, "serve: %s", e.text);
	}
	start.hostname = arena_strdup(&a, start.hostname);
	/* They are the file's, which a reload replaces. */
	start.dns.root_hints = arena_keep(&a, start.dns.root_hints);
	start.dns.trust_anchor = arena_keep(&a, start.dns.trust_anchor);
	for (size_t i = 0; i < c->forward.n; i++)
		c->forward.items[i] = arena_strdup(&a, c->forward.items[i]);
	start.file = TAKE(c->file);
	end = gateway_serve(&start, &e);
	arena_done(&a);
	return end == GATEWAY_ENDED ? CLI_OK : cli_fail(exit_code(end), "serve: %s", e.text);
}

int cli_serve(struct config *c, int argc, char **argv)
{
	struct err e;
	int first = config_parse(c, argc, argv, CONFIG_SERVE, false, &e), code;

	if (first < 0)
		return cli_fail(CLI_USAGE, "serve: %s; see \"daneway serve --help\"", e.text);
	if (c->help) {
		help();
		return CLI_OK;
	}
	if (first < argc)
		return cli_fail(CLI_USAGE, "serve: too many words; see \"daneway serve --help\"");
	code = cli_configure(c);
	if (code != CLI_OK)
		return code;
	if (c->file == NULL)
		return cli_fail(CLI_CONFIG,
				"serve: there is no %s; daneway config --defaults prints one",
				CONFIG_FILE_PATH);
	return serve(c);
}
