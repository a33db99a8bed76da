#include "edge/publish/manual.h"

#include "edge/publish/internal.h"

struct manual {
	struct publish base;
	publish_show_fn *show;
	void *arg;
};

const char *publish_manual_text(struct arena *a, const struct publish_change *change)
{
	const char *text = "";

	for (size_t i = 0; i < change->n; i++) {
		const struct publish_set *s = &change->sets[i];
		const char *type = dns_type_to_text(a, s->type);

		text = s->n > 0 ? arena_printf(a, "%s; replace %s %s by:\n", text, s->owner, type)
				: arena_printf(a, "%s; remove %s %s\n", text, s->owner, type);
		for (size_t k = 0; k < s->n; k++)
			text = arena_printf(a, "%s%s\n", text, publish_record_to_text(a, s, k));
	}
	return text;
}

static void begin(struct publish_task *t)
{
	struct manual *m = (struct manual *)t->by;

	m->show(m->arg, publish_manual_text(&t->arena, &t->change));
	publish_finish_soon(t, PUBLISH_UNKNOWN, "to be entered by hand");
}

static void abandon(struct publish_task *t)
{
	(void)t;
}

static void done(struct publish *p)
{
	(void)p;
}

struct publish *publish_manual_new(struct io_loop *l, publish_show_fn *show, void *arg)
{
	static const struct publish_ops ops = {
		.publisher_size = sizeof(struct manual),
		.task_size = sizeof(struct publish_task),
		.begin = begin,
		.abandon = abandon,
		.done = done,
	};
	struct manual *m = (struct manual *)publish_new(&ops, l);

	m->show = show;
	m->arg = arg;
	return &m->base;
}
