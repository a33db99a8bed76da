/* `daneway queue`: what waits in the gateway, and what to do with it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "main/cli/cli.h"
#include "main/cli/control.h"

static void help(void)
{
	puts("Usage: daneway queue list [OPTION...] [ID...]\n"
	     "       daneway queue show [OPTION...] ID...\n"
	     "       daneway queue retry|hold|release|bounce|delete [OPTION...] ID...\n\n"
	     "The queue of the gateway that serves with this configuration. Messages are named by\n"
	     "ids or by the options below; all that is given must fit. delete tells nobody, "
	     "bounce\n"
	     "returns them to their senders.\n\nOptions:");
	config_print_options(stdout, CONFIG_QUEUE);
}

/* --- list ------------------------------------------------------------------------------------- */

struct listing {
	const struct config *c;
	struct arena arena;
	uint64_t n;
};

/* "2026-11-25 12:40:00" of an RFC 3339 time. */
static const char *short_time(struct arena *a, const struct js *v, const char *otherwise)
{
	const char *text = cli_plain(a, v, NULL);
	char *copy;

	if (text == NULL || strlen(text) < 19)
		return otherwise;
	copy = arena_text(a, span_of(text, 19));
	copy[10] = ' ';
	return copy;
}

static void print_line(struct listing *l, const struct js *v)
{
	struct arena *a = &l->arena;
	const char *status = cli_plain(a, js_get(v, "status"), NULL);
	const char *detail = cli_plain(a, js_get(v, "detail"), NULL);
	const char *from = cli_plain(a, js_get(v, "from"), "");

	if (l->n == 0)
		printf("%-16s %10s  %-19s  %5s  %-19s  %s\n", "ID", "SIZE", "ARRIVED (UTC)",
		       "TRIES", "NEXT TRY", "FROM, TO");
	printf("%-16s %10lld  %-19s  %5lld  %-19s  %s -> %s\n", cli_plain(a, js_get(v, "id"), "?"),
	       (long long)js_int(js_get(v, "size"), 0), short_time(a, js_get(v, "arrived"), "?"),
	       (long long)js_int(js_get(v, "attempts"), 0),
	       short_time(a, js_get(v, "next_try"), cli_plain(a, js_get(v, "state"), "?")),
	       from[0] != '\0' ? from : "<>", cli_plain(a, js_get(v, "to"), "?"));
	if (status != NULL || detail != NULL)
		printf("                 %s%s%s\n", status != NULL ? status : "",
		       status != NULL && detail != NULL ? " " : "", detail != NULL ? detail : "");
}

static int on_line(void *arg, const struct js *item)
{
	struct listing *l = arg;

	if (l->c->json)
		(void)!js_write(item, stdout, 0);
	else
		print_line(l, item);
	l->n++;
	arena_done(&l->arena);
	l->arena = (struct arena){0};
	return ferror(stdout) ? cli_written("queue") : CLI_OK;
}

/* --- show ------------------------------------------------------------------------------------- */

/* Lines of a parcel come together: its own, then one a recipient. */
struct showing {
	const struct config *c;
	struct js *parcel;
	struct js *recipients;
};

static void print_recipient(struct arena *a, const struct js *v)
{
	const char *status = cli_plain(a, js_get(v, "status"), NULL);
	const char *reply = cli_plain(a, js_get(v, "reply"), NULL);
	const char *detail = cli_plain(a, js_get(v, "detail"), NULL);

	printf("  to         %s: %s%s%s\n", cli_plain(a, js_get(v, "to"), "?"),
	       cli_plain(a, js_get(v, "state"), "?"), status != NULL ? ", " : "",
	       status != NULL ? status : "");
	if (detail != NULL)
		printf("             %s\n", detail);
	if (reply != NULL)
		printf("             reply: %s\n", reply);
}

static void print_parcel(const struct js *v, const struct js *recipients)
{
	struct arena a = {0};
	const char *from = cli_plain(&a, js_get(v, "from"), "");

	printf("%s\n  from       %s\n  size       %lld\n  arrived    %s\n",
	       cli_plain(&a, js_get(v, "id"), "?"), from[0] != '\0' ? from : "<>",
	       (long long)js_int(js_get(v, "size"), 0), cli_plain(&a, js_get(v, "arrived"), "?"));
	printf("  origin     %s\n", cli_plain(&a, js_get(v, "origin"), "not known"));
	printf("  next hop   %s: %s, %lld tr%s\n", cli_plain(&a, js_get(v, "next_hop"), "?"),
	       cli_plain(&a, js_get(v, "state"), "?"), (long long)js_int(js_get(v, "attempts"), 0),
	       js_int(js_get(v, "attempts"), 0) == 1 ? "y" : "ies");
	printf("  last try   %s\n  next try   %s\n", cli_plain(&a, js_get(v, "last_try"), "none"),
	       cli_plain(&a, js_get(v, "next_try"), "none"));
	for (size_t i = 0; i < js_count(recipients); i++)
		print_recipient(&a, js_at(recipients, i));
	if (js_is_object(js_get(v, "evidence"))) {
		puts("  evidence of the last decision:");
		(void)!js_write(js_get(v, "evidence"), stdout, 2);
	}
	arena_done(&a);
}

static void show_parcel(struct showing *s)
{
	if (s->parcel == NULL)
		return;
	if (s->c->json) {
		js_set(s->parcel, "recipients", TAKE(s->recipients));
		(void)!js_write(s->parcel, stdout, 0);
	} else {
		print_parcel(s->parcel, s->recipients);
	}
	js_free(TAKE(s->parcel));
	js_free(TAKE(s->recipients));
}

static int on_shown(void *arg, const struct js *item)
{
	struct showing *s = arg;
	const char *kind = js_text(js_get(item, "kind"));

	if (kind != NULL && strcmp(kind, "parcel") == 0) {
		show_parcel(s);
		s->parcel = js_copy(item);
		s->recipients = js_array();
	} else if (s->parcel != NULL) {
		js_push(s->recipients, js_copy(item));
	}
	return ferror(stdout) ? cli_written("queue") : CLI_OK;
}

/* --- the command ------------------------------------------------------------------------------ */

static int unknown_ids(const struct js *done)
{
	const struct js *list = js_get(done, "unknown");

	for (size_t i = 0; i < js_count(list); i++)
		cli_fail(0, "queue: no such message: %s", js_text(js_at(list, i)));
	return js_count(list) > 0 ? CLI_DATA : CLI_OK;
}

static int run(const struct config *c, const struct gateway_request *r)
{
	_cleanup_(js_freep) struct js *answer = NULL;
	struct listing list = {.c = c};
	struct showing show = {.c = c};
	const struct js *done;
	int code, ids;

	if (r->command == GATEWAY_LIST)
		code = cli_control_ask(c, r, on_line, &list, &answer);
	else
		code = cli_control_ask(c, r, on_shown, &show, &answer);
	if (code == CLI_OK)
		show_parcel(&show);
	js_free(show.parcel);
	js_free(show.recipients);
	if (code != CLI_OK)
		return code;
	done = js_get(answer, "done");
	if (r->command == GATEWAY_LIST && !c->json)
		printf(list.n == 0 ? "the queue is empty\n" : "%llu recipient%s\n",
		       (unsigned long long)list.n, list.n == 1 ? "" : "s");
	else if (r->command != GATEWAY_LIST && r->command != GATEWAY_SHOW && c->json)
		(void)!js_write(done, stdout, 0);
	else if (r->command != GATEWAY_LIST && r->command != GATEWAY_SHOW)
		printf("%s: %lld\n", gateway_command_to_string(r->command),
		       (long long)js_int(js_get(done, "parcels"), 0));
	ids = unknown_ids(done);
	if (js_int(js_get(done, "busy"), 0) > 0)
		ids = cli_fail(CLI_TEMPORARY,
			       "queue: %lld left alone, being delivered just now: try again",
			       (long long)js_int(js_get(done, "busy"), 0));
	code = cli_written("queue");
	return code != CLI_OK ? code : ids;
}

/* What the words say, checked here as the gateway checks it, so that a slip needs none to run. */
static int ask(struct config *c, enum gateway_command command, int n, char **ids)
{
	struct gateway_request r = {.command = command,
				    .ids = (const char **)ids,
				    .n_ids = (size_t)n,
				    .domain = c->domain,
				    .sender = c->sender,
				    .older = (c->older + USEC_PER_SEC - 1) / USEC_PER_SEC,
				    .all = c->all};
	_cleanup_(js_freep) struct js *v = gateway_request_write(&r);
	_cleanup_(freep) char *line = js_line(v);
	struct arena a = {0};
	struct err e;
	int code;

	if (gateway_request_read(&a, span_text(line), &r, &e) < 0)
		code = cli_fail(CLI_USAGE, "queue: %s; see \"daneway queue --help\"", e.text);
	else
		code = run(c, &r);
	arena_done(&a);
	return code;
}

int cli_queue(struct config *c, int argc, char **argv)
{
	enum gateway_command command;
	struct err e;
	int first = config_parse(c, argc, argv, CONFIG_QUEUE, false, &e), code;

	if (first < 0)
		return cli_fail(CLI_USAGE, "queue: %s; see \"daneway queue --help\"", e.text);
	if (c->help) {
		help();
		return CLI_OK;
	}
	if (first == argc || !gateway_command_from_string(argv[first], &command) ||
	    !gateway_command_is_of_queue(command))
		return cli_fail(CLI_USAGE,
				"queue: list, show, retry, hold, release, bounce or delete? See "
				"\"daneway queue --help\"");
	code = cli_configure(c);
	return code == CLI_OK ? ask(c, command, argc - first - 1, argv + first + 1) : code;
}
