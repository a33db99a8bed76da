/* daneway deliver: one message, now, under RFC 7672. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "jobs/send/send.h"
#include "main/cli/engine.h"
#include "main/cli/spool.h"

struct delivery {
	const struct config *config;
	struct arena arena;
	struct mail_address from;
	struct mail_address *to;
	size_t n_to;
	struct send_options options;
	struct send_message message;
	struct cli_engine engine;
	struct mail_message facts;
	int code;
};

static void help(void)
{
	puts("Usage: daneway deliver [OPTION...] --from ADDRESS --to ADDRESS [--to ...] < MESSAGE\n"
	     "\n"
	     "Delivers the message on standard input now, under RFC 7672, and prints as JSON what\n"
	     "became of it for each recipient and each address tried. Nothing is added to it but\n"
	     "the line ends and dots that SMTP wants; there is no queue.\n"
	     "\n"
	     "Examples:\n"
	     "  daneway deliver --from me@example.net --to you@example.org < message.eml\n"
	     "  daneway deliver --mode mandatory --from '<>' --to you@example.org < bounce.eml\n"
	     "  daneway deliver --next-hop '[relay.example]:25' --from a@b --to c@d < message.eml\n"
	     "\n"
	     "Exit status: 0 delivered, 75 deferred: try again later, 69 failed for good, 64 "
	     "usage,\n"
	     "65 an address is none, 74 no room for the message, 78 trust anchor, clock or a "
	     "file.\n"
	     "\n"
	     "Options:");
	config_print_options(stdout, CONFIG_DELIVER);
}

static int print_result(const struct send_result *r)
{
	struct js *v = send_report(r);
	int ret = js_write(v, stdout, 2);

	js_free(v);
	if (ret < 0 || fflush(stdout) != 0)
		return cli_fail(CLI_WRITE, "standard output: %s", strerror(errno));
	switch (r->outcome) {
	case SEND_DELIVERED:
		return CLI_OK;
	case SEND_DEFERRED:
		return CLI_TEMPORARY;
	case SEND_FAILED:
	case SEND_SKIPPED:
		break;
	}
	return CLI_UNAVAILABLE;
}

/* The message itself is the reason: nothing is sent, and the result says so for all. */
static int refuse(struct delivery *d, const char *status, const char *detail)
{
	struct send_recipient *list = arena_calloc(&d->arena, d->n_to, sizeof(*list));
	struct send_result r = {.outcome = SEND_FAILED,
				.status = status,
				.detail = detail,
				.recipients = list,
				.n_recipients = d->n_to};

	for (size_t i = 0; i < d->n_to; i++)
		list[i] = (struct send_recipient){.address = &d->to[i],
						  .outcome = SEND_FAILED,
						  .status = status,
						  .detail = detail};
	return print_result(&r);
}

static bool known(const struct delivery *d, const char *path)
{
	for (size_t i = 0; i < d->n_to; i++)
		if (strcmp(d->to[i].path, path) == 0)
			return true;
	return false;
}

static int read_addresses(struct delivery *d, const struct config *c, struct err *e)
{
	if (mail_address_parse_reverse(&d->arena, span_text(c->from), &d->from, e) < 0)
		return cli_fail(CLI_DATA, "--from %s: %s", c->from, e->text);
	d->to = arena_calloc(&d->arena, c->to.n, sizeof(*d->to));
	for (size_t i = 0; i < c->to.n; i++) {
		struct mail_address *to = &d->to[d->n_to];

		if (mail_address_parse(&d->arena, span_text(c->to.items[i]), to, e) < 0)
			return cli_fail(CLI_DATA, "--to %s: %s", c->to.items[i], e->text);
		if (!known(d, to->path)) /* the same one twice gets one copy */
			d->n_to++;
	}
	return 0;
}

static int read_options(struct delivery *d, const struct config *c, struct err *e)
{
	struct send_options *o = &d->options;

	o->request = (struct dane_request){.port = 25, .mode = c->mode, .half_dane = c->half_dane};
	o->connect_timeout = c->connect_timeout;
	if (c->next_hop != NULL && cli_next_hop(&d->arena, c->next_hop, &o->request, e) < 0)
		return cli_fail(CLI_USAGE, "--next-hop %s: %s", c->next_hop, e->text);
	if (cli_own_name(&d->arena, c, &o->request.own_name, e) < 0)
		return cli_fail(CLI_USAGE, "--helo %s: %s", c->helo, e->text);
	if (mail_domain_parse(&d->arena, span_text(o->request.own_name), &o->helo, e) < 0)
		return cli_fail(CLI_USAGE, "--helo: %s", e->text);
	return 0;
}

static void on_sent(void *arg, const struct send_result *r)
{
	struct delivery *d = arg;

	d->code = print_result(r);
	io_loop_stop(d->engine.loop);
}

static int send_spooled(struct delivery *d)
{
	struct send_env env;
	struct send *send;
	struct err e;
	int code = cli_engine_start(&d->engine, d->config);

	if (code != 0)
		return code;
	env = (struct send_env){d->engine.loop, d->engine.resolver, tls_context_new(&e)};
	if (env.tls == NULL)
		return cli_fail(CLI_CONFIG, "%s", e.text);
	d->options.deadline = d->config->timeout >= 0
				      ? usec_add(io_now(d->engine.loop), d->config->timeout)
				      : USEC_NEVER;
	send = send_new(&env, &d->message, &d->options, on_sent, d);
	io_loop_run(d->engine.loop);
	send_free(send);
	tls_context_free(env.tls);
	return d->code;
}

static int deliver(struct delivery *d)
{
	struct err e;
	int code = 0, fd = -1, ret;

	ret = cli_spool(STDIN_FILENO, (uint64_t)d->config->max_size, &d->facts, &fd, &e);
	if (ret == -EMSGSIZE)
		return refuse(d, "5.3.4", e.text);
	if (ret == -EINVAL)
		return refuse(d, "5.6.0", e.text);
	if (ret < 0)
		return cli_fail(CLI_WRITE, "%s", e.text);
	d->message = (struct send_message){
		.from = &d->from,
		.to = d->to,
		.n_to = d->n_to,
		.body = fd,
		.size = d->facts.octets,
		.eightbit = mail_message_is_8bit(&d->facts),
		.smtputf8 = d->facts.header_8bit && d->facts.header_utf8,
	};
	code = send_spooled(d);
	cli_engine_done(&d->engine);
	close(fd);
	return code;
}

int cli_deliver(struct config *c, int argc, char **argv)
{
	struct delivery d = {.config = c};
	struct err e;
	int first = config_parse(c, argc, argv, CONFIG_DELIVER, false, &e), code;

	if (first < 0)
		return cli_fail(CLI_USAGE, "deliver: %s; see \"daneway deliver --help\"", e.text);
	if (c->help) {
		help();
		return CLI_OK;
	}
	if (first < argc)
		return cli_fail(CLI_USAGE,
				"deliver: \"%s\" is no option; recipients are given by "
				"--to",
				argv[first]);
	if (c->from == NULL || c->to.n == 0)
		return cli_fail(CLI_USAGE, "deliver: --from and --to are wanted; see \"daneway "
					   "deliver --help\"");
	code = cli_configure(c);
	if (code == 0)
		code = read_addresses(&d, c, &e);
	if (code == 0)
		code = read_options(&d, c, &e);
	if (code == 0)
		code = deliver(&d);
	arena_done(&d.arena);
	return code;
}
