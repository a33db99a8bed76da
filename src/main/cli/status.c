/* `daneway status`: how the gateway is. */
#include <stdio.h>
#include <string.h>

#include "main/cli/cli.h"
#include "main/cli/control.h"

static void help(void)
{
	puts("Usage: daneway status [OPTION...]\n\n"
	     "How the gateway is that serves with this configuration: listeners, DNS, queue,\n"
	     "exceptions. 0: it runs and sends; 75: it runs and does not send; 69: none "
	     "answers.\n\n"
	     "Options:");
	config_print_options(stdout, CONFIG_STATUS);
}

static void print_queue(struct arena *a, const struct js *q)
{
	static const char *const ages[] = {"1m", "10m", "1h", "1d", "5d", "older"};
	static const char *const words[] = {"under a minute", "under 10 minutes", "under an hour",
					    "under a day",    "under 5 days",     "older"};
	const struct js *by_age = js_get(q, "by_age");

	if (js_bool(js_get(q, "broken"), false))
		puts("queue      BROKEN: the disk fails; nothing is accepted until it is well");
	if (js_text(js_get(q, "error")) != NULL) {
		printf("queue      %s\n", cli_plain(a, js_get(q, "error"), ""));
		return;
	}
	printf("queue      %lld message%s; to %lld next hop%s: %lld due, %lld waiting, %lld held\n",
	       (long long)js_int(js_get(q, "messages"), 0),
	       js_int(js_get(q, "messages"), 0) == 1 ? "" : "s",
	       (long long)js_int(js_get(q, "next_hops"), 0),
	       js_int(js_get(q, "next_hops"), 0) == 1 ? "" : "s",
	       (long long)js_int(js_get(q, "due"), 0), (long long)js_int(js_get(q, "waiting"), 0),
	       (long long)js_int(js_get(q, "held"), 0));
	for (size_t i = 0; i < ARRAY_SIZE(ages); i++) {
		int64_t n = js_int(js_get(by_age, ages[i]), 0);

		if (n > 0)
			printf("             %-16s %lld\n", words[i], (long long)n);
	}
}

static void print_exceptions(struct arena *a, const struct js *list)
{
	for (size_t i = 0; i < js_count(list); i++) {
		const struct js *v = js_at(list, i);

		printf("exception  %s: %s, until %s%s; %s: %s\n",
		       cli_plain(a, js_get(v, "domain"), ""), cli_plain(a, js_get(v, "mode"), ""),
		       cli_plain(a, js_get(v, "until"), "further notice"),
		       js_bool(js_get(v, "holds"), false) ? "" : " (over)",
		       cli_plain(a, js_get(v, "owner"), "nobody"),
		       cli_plain(a, js_get(v, "reason"), "no reason given"));
	}
}

static void print_status(struct arena *a, const struct js *v)
{
	const struct js *listeners = js_get(v, "listeners"), *dns = js_get(v, "dns");

	printf("daneway %s on %s, process %lld, %s\n", cli_plain(a, js_get(v, "version"), "?"),
	       cli_plain(a, js_get(v, "hostname"), "?"), (long long)js_int(js_get(v, "pid"), 0),
	       cli_plain(a, js_get(v, "state"), "?"));
	printf("started    %s\nconfig     %s, read %s\n", cli_plain(a, js_get(v, "started"), "?"),
	       cli_plain(a, js_get(v, "config"), "?"), cli_plain(a, js_get(v, "loaded"), "?"));
	for (size_t i = 0; i < js_count(listeners); i++)
		printf("listener   %s %s\n", cli_plain(a, js_get(js_at(listeners, i), "kind"), ""),
		       cli_plain(a, js_get(js_at(listeners, i), "address"), ""));
	printf("DNS        %s%s%s\n", cli_plain(a, js_get(dns, "health"), "?"),
	       js_bool(js_get(v, "sending"), false) ? "" : "; NOTHING IS SENT: ",
	       js_bool(js_get(v, "sending"), false)
		       ? ""
		       : cli_plain(a, js_get(dns, "detail"), "it is being looked at"));
	print_queue(a, js_get(v, "queue"));
	if (span_is(span_text(cli_plain(a, js_get(js_get(v, "hooks"), "state"), "")), "lost"))
		puts("hooks      LOST: their process has ended; no command is run until a restart");
	print_exceptions(a, js_get(v, "exceptions"));
}

static int show(struct config *c)
{
	struct gateway_request r = {.command = GATEWAY_STATUS};
	_cleanup_(js_freep) struct js *answer = NULL;
	struct arena a = {0};
	const struct js *v;
	int code = cli_control_ask(c, &r, NULL, NULL, &answer);

	if (code != CLI_OK)
		return code;
	v = js_get(answer, "done");
	if (c->json)
		(void)!js_write(v, stdout, 1);
	else
		print_status(&a, v);
	arena_done(&a);
	code = cli_written("status");
	if (code == CLI_OK && !js_bool(js_get(v, "sending"), false))
		code = CLI_TEMPORARY;
	return code;
}

int cli_status(struct config *c, int argc, char **argv)
{
	struct err e;
	int first = config_parse(c, argc, argv, CONFIG_STATUS, false, &e), code;

	if (first < 0)
		return cli_fail(CLI_USAGE, "status: %s; see \"daneway status --help\"", e.text);
	if (c->help) {
		help();
		return CLI_OK;
	}
	if (first < argc)
		return cli_fail(CLI_USAGE, "status: too many words; see \"daneway status --help\"");
	code = cli_configure(c);
	return code == CLI_OK ? show(c) : code;
}
