#include "jobs/check/extra.h"

#include "core/dane/name.h"
#include "core/dane/tlsrpt.h"
#include "core/mail/sts.h"

enum {
	/* Questions at most. */
	PER_HOST = 3,
	PER_DOMAIN = 2,
};

struct question {
	struct check_extra *extra;
	struct check_extra_answer out;
	struct dns_question *asked; /* NULL: answered, or given up */
};

struct check_extra {
	struct dns_resolver *resolver;
	struct arena arena;
	struct question *questions;
	size_t n, n_open, room;
	struct io_timer *end;
	io_fn *fn;
	void *arg;
};

static void on_end(void *arg)
{
	struct check_extra *x = arg;

	x->fn(x->arg);
}

static void on_answer(void *arg, const struct dane_answer *answer)
{
	struct question *q = arg;

	q->asked = NULL;
	q->out.answer = dane_answer_copy(&q->extra->arena, answer);
	if (--q->extra->n_open == 0)
		io_timer_set(q->extra->end, 0);
}

static void ask(struct check_extra *x, enum check_extra_kind kind, const struct dane_host *host,
		const char *name, uint16_t type)
{
	struct question *q;

	if (name == NULL || x->n == x->room)
		return; /* too long to exist */
	q = &x->questions[x->n++];
	x->n_open++;
	*q = (struct question){.extra = x, .out = {kind, host, name, NULL}};
	q->asked = dns_resolver_ask(x->resolver, name, type, on_answer, q);
}

/* `prefix` before a name that is valid; NULL if the result would be too long for a name. */
static const char *below(struct check_extra *x, const char *prefix, const char *name)
{
	const char *full = arena_printf(&x->arena, "%s.%s", prefix, name), *checked;

	return dane_name_from_text(&x->arena, full, &checked, NULL) == 0 ? checked : NULL;
}

static void ask_report(struct check_extra *x, const struct dane_host *host, const char *name)
{
	const char *full = below(x, "_smtp._tls", name);

	for (size_t i = 0; i < x->n && full != NULL; i++)
		if (x->questions[i].out.kind == CHECK_EXTRA_TLSRPT &&
		    strcmp(x->questions[i].out.name, full) == 0)
			return;
	ask(x, CHECK_EXTRA_TLSRPT, host, full, DANE_RR_TXT);
}

static void ask_about(struct check_extra *x, const struct dane_request *r,
		      const struct dane_host *h)
{
	if (h->tlsa_base != NULL) {
		ask_report(x, h, h->tlsa_base); /* RP1: the policy domain of DANE */
		return;
	}
	if (h->level != DANE_LEVEL_MAY || !dane_name_is_host(h->name))
		return;
	if (h->tlsa_security == DANE_UNASKED) {
		ask(x, CHECK_EXTRA_IGNORED, h, dane_name_tlsa_owner(&x->arena, h->name, r->port),
		    DANE_RR_TLSA);
		return;
	}
	ask(x, CHECK_EXTRA_BARE, h, h->name, DANE_RR_TLSA);
	ask(x, CHECK_EXTRA_HTTPS, h, dane_name_tlsa_owner(&x->arena, h->name, 443), DANE_RR_TLSA);
	if (strcmp(h->name, r->next_hop) != 0)
		ask(x, CHECK_EXTRA_DOMAIN, h, dane_name_tlsa_owner(&x->arena, r->next_hop, r->port),
		    DANE_RR_TLSA);
}

static void make_room(struct check_extra *x, size_t hosts)
{
	x->room = PER_HOST * hosts + PER_DOMAIN;
	x->questions = arena_calloc(&x->arena, x->room, sizeof(*x->questions));
}

struct check_extra *check_extra_new(struct io_loop *l, struct dns_resolver *r,
				    const struct dane_decider *d, io_fn *fn, void *arg)
{
	const struct dane_decision *decision = dane_decider_result(d);
	const struct dane_request *request = dane_decider_request(d);
	struct check_extra *x = xcalloc(1, sizeof(*x));

	make_room(x, decision->n_hosts < CHECK_EXTRA_HOSTS_MAX ? decision->n_hosts
							       : CHECK_EXTRA_HOSTS_MAX);
	x->resolver = r;
	x->fn = fn;
	x->arg = arg;
	x->end = io_timer_new(l, on_end, x);
	if (decision->n_hosts > 0) {
		ask_report(x, NULL, request->next_hop);
		ask(x, CHECK_EXTRA_STS, NULL, below(x, "_mta-sts", request->next_hop), DANE_RR_TXT);
	}
	for (size_t i = 0; i < decision->n_hosts && i < CHECK_EXTRA_HOSTS_MAX; i++)
		ask_about(x, request, &decision->hosts[i]);
	if (x->n == 0)
		io_timer_set(x->end, 0);
	return x;
}

void check_extra_give_up(struct check_extra *x)
{
	if (x == NULL)
		return;
	for (size_t i = 0; i < x->n; i++) {
		if (x->questions[i].asked != NULL)
			dns_resolver_cancel(x->resolver, x->questions[i].asked);
		x->questions[i].asked = NULL;
	}
	if (x->end != NULL)
		io_timer_set(x->end, USEC_NEVER);
}

struct check_extra *check_extra_free(struct check_extra *x)
{
	if (x == NULL)
		return NULL;
	check_extra_give_up(x);
	io_timer_free(x->end);
	arena_done(&x->arena);
	free(x);
	return NULL;
}

struct check_extra *check_extra_empty(void)
{
	struct check_extra *x = xcalloc(1, sizeof(*x));

	make_room(x, CHECK_EXTRA_HOSTS_MAX);
	return x;
}

void check_extra_add(struct check_extra *x, const struct check_extra_answer *known)
{
	struct question *q;

	if (x->n == x->room)
		return;
	q = &x->questions[x->n++];
	q->out = *known;
	q->out.name = arena_strdup(&x->arena, known->name);
	q->out.answer = dane_answer_copy(&x->arena, known->answer);
}

size_t check_extra_count(const struct check_extra *x)
{
	return x != NULL ? x->n : 0;
}

const struct check_extra_answer *check_extra_at(const struct check_extra *x, size_t i)
{
	require(i < check_extra_count(x));
	return &x->questions[i].out;
}

const struct check_extra_answer *check_extra_find(const struct check_extra *x,
						  enum check_extra_kind kind,
						  const struct dane_host *host)
{
	for (size_t i = 0; i < check_extra_count(x); i++)
		if (x->questions[i].out.kind == kind && x->questions[i].out.host == host)
			return &x->questions[i].out;
	return NULL;
}

bool check_extra_announces_sts(const struct check_extra *x)
{
	const struct check_extra_answer *txt = check_extra_find(x, CHECK_EXTRA_STS, NULL);
	struct dane_announcement got;
	struct arena a = {0};
	bool yes;

	if (txt == NULL || txt->answer == NULL)
		return false;
	got = dane_sts_read(&a, txt->answer->records, txt->answer->n_records);
	yes = got.what == DANE_ANNOUNCED_ONE && mail_sts_is_id(got.value);
	arena_done(&a);
	return yes;
}
