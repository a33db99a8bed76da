#include "edge/publish/command.h"

#include "base/js.h"
#include "edge/publish/internal.h"

struct command {
	struct publish base;
	struct publish_runner runner;
};

struct task {
	struct publish_task base;
	void *run;
};

/* RDATA in presentation form: the fifth word of a record's line, and all behind it. */
static struct js *records_to_js(struct arena *a, const struct publish_set *s,
				const struct span *rdata, size_t n)
{
	struct js *list = js_array();
	struct publish_set of = *s;

	of.rdata = rdata;
	of.n = n;
	for (size_t i = 0; i < n; i++) {
		const char *text = publish_record_to_text(a, &of, i);

		for (int word = 0; word < 4 && text != NULL; word++) {
			text = strchr(text, ' ');
			text = text != NULL ? text + 1 : NULL;
		}
		js_push_text(list, text);
	}
	return list;
}

static char *change_to_json(struct arena *a, const struct publish_change *c)
{
	struct js *j = js_object(), *sets = js_array();
	char *line;

	js_set_text(j, "zone", c->zone);
	for (size_t i = 0; i < c->n; i++) {
		const struct publish_set *s = &c->sets[i];
		struct js *one = js_object();

		js_set_text(one, "owner", s->owner);
		js_set_text(one, "type", dns_type_to_text(a, s->type));
		js_set_int(one, "ttl", s->ttl);
		js_set(one, "records", records_to_js(a, s, s->rdata, s->n));
		if (s->guarded)
			js_set(one, "was", records_to_js(a, s, s->was, s->n_was));
		else
			js_set_null(one, "was");
		js_push(sets, one);
	}
	js_set(j, "sets", sets);
	line = js_line(j);
	js_free(j);
	return line;
}

static void on_answer(struct task *t, int status, const struct js *j)
{
	const char *result = js_text(js_get(j, "result")), *detail = js_text(js_get(j, "detail"));

	if (result != NULL && strcmp(result, "applied") == 0 && status == 0)
		publish_finish(&t->base, PUBLISH_APPLIED, "%s", detail != NULL ? detail : "done");
	else if (result != NULL && strcmp(result, "refused") == 0 && status != 0)
		publish_finish(&t->base, PUBLISH_REFUSED, "%s",
			       detail != NULL ? detail : "refused by the command");
	else
		publish_finish(&t->base, PUBLISH_UNKNOWN, "the command gave status %d and %s",
			       status,
			       j == NULL ? "no answer in JSON" : "an answer that does not fit it");
}

static void on_run(void *arg, const struct publish_run *run)
{
	struct task *t = arg;
	struct js *j;

	t->run = NULL;
	switch (run->end) {
	case PUBLISH_RUN_EXITED:
		j = run->output.n <= PUBLISH_COMMAND_OUTPUT_MAX ? js_parse(run->output, NULL)
								: NULL;
		on_answer(t, run->status, j);
		js_free(j);
		return;
	case PUBLISH_RUN_FAILED:
		publish_finish(&t->base, PUBLISH_NOT_SENT, "the command: %s", run->words);
		return;
	case PUBLISH_RUN_KILLED:
		publish_finish(&t->base, PUBLISH_UNKNOWN, "the command: %s", run->words);
		return;
	}
}

static void begin(struct publish_task *base)
{
	struct task *t = (struct task *)base;
	struct command *c = (struct command *)base->by;
	char *input = change_to_json(&base->arena, &base->change);

	t->run = c->runner.start(c->runner.runner, span_text(input), on_run, t);
	free(input);
}

static void abandon(struct publish_task *base)
{
	struct task *t = (struct task *)base;
	struct command *c = (struct command *)base->by;

	if (t->run != NULL)
		c->runner.cancel(c->runner.runner, t->run);
}

static void done(struct publish *p)
{
	(void)p;
}

struct publish *publish_command_new(struct io_loop *l, const struct publish_runner *command)
{
	static const struct publish_ops ops = {
		.publisher_size = sizeof(struct command),
		.task_size = sizeof(struct task),
		.begin = begin,
		.abandon = abandon,
		.done = done,
	};
	struct command *c = (struct command *)publish_new(&ops, l);

	c->runner = *command;
	return &c->base;
}
