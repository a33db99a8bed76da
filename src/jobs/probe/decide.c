#include "jobs/probe/decide.h"

#include "edge/tls/der.h"

/* A question at the resolver. */
struct open_question {
	struct probe_decide *decide;
	struct open_question *next, *previous;
	struct dns_question *asked;
	uint32_t id;
};

struct probe_decide {
	struct dns_resolver *resolver;
	struct dane_decider *decider;
	struct io_timer *deadline; /* and, set to at once, the first step */
	struct io_timer *begin;
	struct open_question *open;
	probe_decide_fn *fn;
	void *arg;
	struct probe_room *room; /* or NULL */
	size_t held;             /* of the room */
	bool late;
};

static void step(struct probe_decide *p);

static void close_question(struct open_question *o)
{
	if (o->next != NULL)
		o->next->previous = o->previous;
	if (o->previous != NULL)
		o->previous->next = o->next;
	else
		o->decide->open = o->next;
	free(o);
}

static const struct dane_answer no_room = {
	.security = DANE_FAILED,
	.why = "there is no memory left for its answers",
	.late = true,
};

static bool has_room(const struct probe_decide *p, const struct dane_answer *answer)
{
	size_t weight = dane_answer_weight(answer);

	return p->room == NULL || p->held + weight <= p->room->share ||
	       p->room->held + weight <= p->room->max;
}

static void weigh(struct probe_decide *p)
{
	if (p->room == NULL)
		return;
	p->room->held -= p->held;
	p->held = dane_decider_weight(p->decider);
	p->room->held += p->held;
}

static void on_answer(void *arg, const struct dane_answer *answer)
{
	struct open_question *o = arg;
	struct probe_decide *p = o->decide;
	uint32_t id = o->id;

	close_question(o);
	if (!has_room(p, answer))
		answer = &no_room;
	require(dane_decider_answer(p->decider, id, answer) == 0);
	weigh(p);
	step(p);
}

static void ask(struct probe_decide *p, const struct dane_question *q)
{
	struct open_question *o = xcalloc(1, sizeof(*o));

	o->decide = p;
	o->id = q->id;
	o->next = p->open;
	if (o->next != NULL)
		o->next->previous = o;
	p->open = o;
	o->asked = dns_resolver_ask(p->resolver, q->name, q->type, on_answer, o);
}

static const struct dane_answer too_late = {
	.security = DANE_FAILED,
	.why = "the time for the whole domain is over",
	.late = true,
};

/* Poses what the machine wants to know now; ends when it has its result. */
static void step(struct probe_decide *p)
{
	const struct dane_question *q;

	while ((q = dane_decider_question(p->decider)) != NULL) {
		switch (q->ask) {
		case DANE_ASK_DNS:
			if (p->late)
				require(dane_decider_answer(p->decider, q->id, &too_late) == 0);
			else
				ask(p, q);
			break;
		case DANE_ASK_DER:
			require(dane_decider_answer_der(p->decider, q->id,
							tls_der_is_whole(q->selector, q->data)) ==
				0);
			break;
		}
	}
	if (dane_decider_result(p->decider) == NULL)
		return;
	require(p->open == NULL);
	io_timer_set(p->deadline, USEC_NEVER);
	p->fn(p->arg, p->decider);
}

static void on_begin(void *arg)
{
	step(arg);
}

static void on_deadline(void *arg)
{
	struct probe_decide *p = arg;

	p->late = true;
	io_timer_set(p->begin, USEC_NEVER);
	while (p->open != NULL) {
		struct open_question *o = p->open;
		uint32_t id = o->id;

		dns_resolver_cancel(p->resolver, o->asked);
		close_question(o);
		require(dane_decider_answer(p->decider, id, &too_late) == 0);
	}
	step(p);
}

struct probe_decide *probe_decide_new(struct io_loop *l, struct dns_resolver *r,
				      const struct dane_request *request, usec_t deadline,
				      probe_decide_fn *fn, void *arg)
{
	struct probe_decide *p = xcalloc(1, sizeof(*p));

	p->resolver = r;
	p->decider = dane_decider_new(request);
	p->fn = fn;
	p->arg = arg;
	p->deadline = io_timer_new(l, on_deadline, p);
	p->begin = io_timer_new(l, on_begin, p);
	io_timer_set(p->deadline, deadline);
	io_timer_set(p->begin, 0);
	return p;
}

void probe_decide_within(struct probe_decide *p, struct probe_room *room)
{
	p->room = room;
	weigh(p);
}

const struct dane_decider *probe_decide_decider(const struct probe_decide *p)
{
	return p->decider;
}

struct probe_decide *probe_decide_free(struct probe_decide *p)
{
	if (p == NULL)
		return NULL;
	while (p->open != NULL) {
		dns_resolver_cancel(p->resolver, p->open->asked);
		close_question(p->open);
	}
	io_timer_free(p->deadline);
	io_timer_free(p->begin);
	dane_decider_free(p->decider);
	if (p->room != NULL)
		p->room->held -= p->held;
	free(p);
	return NULL;
}
