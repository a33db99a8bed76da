#include "jobs/check/rehearse.h"

#include "jobs/probe/session.h"

struct session {
	struct check_seat seat;
	struct check_rehearsals *all;
	struct check_rehearsal out;
	struct probe_target target;
	struct probe_session *probe; /* NULL: it waits for its place */
	bool over;
};

struct check_rehearsals {
	struct io_loop *loop;
	struct tls_context *tls;
	struct check_pool *pool;
	const struct check_inbound *options;
	struct arena arena;
	struct session sessions[CHECK_REHEARSALS_MAX];
	size_t n, n_open;
	struct io_timer *end;
	io_fn *fn;
	void *arg;
};

static void on_all_ended(void *arg)
{
	struct check_rehearsals *r = arg;

	r->fn(r->arg);
}

/* First the recipient, then, when its result is there, QUIT. */
static void on_ready(void *arg)
{
	struct session *s = arg;
	const struct check_inbound *o = s->all->options;
	struct smtp_mail mail = {.from = o->from, .to = o->to, .n_to = 1, .rehearsal = true};

	if (probe_session_result(s->probe) != NULL || probe_session_mail(s->probe, &mail) < 0)
		probe_session_quit(s->probe);
}

static ssize_t no_body(void *arg, void *p, size_t room, bool *ret_last)
{
	(void)arg;
	(void)p;
	(void)room;
	(void)ret_last;
	return -1; /* a rehearsal never asks */
}

static const char *text_of(const struct probe_report *report, const struct smtp_recipient *r)
{
	if (r != NULL && r->answer.code != 0)
		return r->answer.text;
	if (!report->connected)
		return report->connect_error;
	return report->smtp.text[0] != '\0' ? report->smtp.text
					    : smtp_end_to_string(report->smtp.end);
}

static void on_session_end(void *arg)
{
	struct session *s = arg;
	struct check_rehearsals *all = s->all;
	const struct smtp_result *result = probe_session_result(s->probe);
	const struct smtp_recipient *r =
		result != NULL && result->n_recipients > 0 ? &result->recipients[0] : NULL;
	struct probe_report report = probe_session_report(s->probe);

	s->over = true;
	s->out.end = report.smtp.end;
	s->out.connected = report.connected;
	s->out.text = arena_strdup(&all->arena, text_of(&report, r));
	s->out.stage = r != NULL ? r->stage : report.smtp.stage;
	s->out.fate = r != NULL ? r->fate : SMTP_FATE_OPEN;
	check_pool_leave_seat(all->pool, &s->seat);
	if (--all->n_open == 0)
		io_timer_set(all->end, 0);
}

static const struct probe_session_ops ops = {
	.ready = on_ready, .body = no_body, .end = on_session_end};

static void begin(struct check_seat *seat)
{
	struct session *s = (struct session *)((char *)seat - offsetof(struct session, seat));

	s->probe = probe_session_new(s->all->loop, s->all->tls, &s->target, &ops, s);
}

static void add(struct check_rehearsals *r, const struct dane_host *h, const char *address,
		uint16_t port)
{
	struct session *s = &r->sessions[r->n++];

	r->n_open++;
	s->all = r;
	s->seat.begin = begin;
	s->out.host = h;
	s->out.address = address;
	s->target = (struct probe_target){
		.host = h->name,
		.address = address,
		.port = port,
		.level = h->level,
		.dane = h->level == DANE_LEVEL_MAY ? NULL : h,
		.helo = r->options->helo,
		.connect_timeout = r->options->connect_timeout,
		.time = r->options->at,
	};
	check_pool_take_seat(r->pool, &s->seat, address);
}

struct check_rehearsals *check_rehearsals_new(struct io_loop *l, struct tls_context *tls,
					      struct check_pool *pool,
					      const struct check_inbound *o,
					      const struct dane_decision *d, uint16_t port,
					      io_fn *fn, void *arg)
{
	struct check_rehearsals *r = xcalloc(1, sizeof(*r));

	r->loop = l;
	r->tls = tls;
	r->pool = pool;
	r->options = o;
	r->fn = fn;
	r->arg = arg;
	r->end = io_timer_new(l, on_all_ended, r);
	for (size_t i = 0; i < d->n_hosts; i++) {
		const struct dane_host *h = &d->hosts[i];

		if (h->level == DANE_LEVEL_UNREACHABLE)
			continue; /* never connected to: T6 */
		for (size_t k = 0; k < h->n_addresses && r->n < CHECK_REHEARSALS_MAX; k++)
			add(r, h, h->addresses[k], port);
	}
	if (r->n == 0)
		io_timer_set(r->end, 0);
	return r;
}

static void never_began(struct session *s)
{
	check_pool_leave_seat(s->all->pool, &s->seat);
	s->over = true;
	s->out.end = SMTP_END_NOT_YET;
	s->out.text = "the time for the whole domain was over before its turn came";
}

void check_rehearsals_give_up(struct check_rehearsals *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++) /* first these: each end makes room for the next */
		if (r->sessions[i].probe == NULL)
			never_began(&r->sessions[i]);
	for (size_t i = 0; i < r->n; i++)
		if (!r->sessions[i].over)
			probe_session_give_up(r->sessions[i].probe);
	io_timer_set(r->end, USEC_NEVER);
}

struct check_rehearsals *check_rehearsals_free(struct check_rehearsals *r)
{
	if (r == NULL)
		return NULL;
	for (size_t i = 0; i < r->n; i++)
		if (r->sessions[i].probe == NULL)
			check_pool_leave_seat(r->pool, &r->sessions[i].seat);
	for (size_t i = 0; i < r->n; i++) {
		probe_session_free(r->sessions[i].probe);
		check_pool_leave_seat(r->pool, &r->sessions[i].seat);
	}
	io_timer_free(r->end);
	arena_done(&r->arena);
	free(r);
	return NULL;
}

size_t check_rehearsals_count(const struct check_rehearsals *r)
{
	return r != NULL ? r->n : 0;
}

const struct check_rehearsal *check_rehearsals_at(const struct check_rehearsals *r, size_t i)
{
	require(i < check_rehearsals_count(r));
	return &r->sessions[i].out;
}
