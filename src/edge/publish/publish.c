#include "edge/publish/publish.h"

#include <errno.h>

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "edge/dns/denial.h"
#include "edge/publish/internal.h"

const char *publish_outcome_to_string(enum publish_outcome o)
{
	switch (o) {
	case PUBLISH_APPLIED:
		return "applied";
	case PUBLISH_REFUSED:
		return "refused";
	case PUBLISH_NOT_SENT:
		return "not-sent";
	case PUBLISH_UNKNOWN:
		return "unknown";
	}
	return "?";
}

/* --- what a change may be --------------------------------------------------------------------- */

/* RFC 1035 section 3.3.14: strings, at least one. */
static bool is_txt(struct span rdata)
{
	struct cursor c = cursor_of(rdata);

	do {
		cursor_take(&c, cursor_u8(&c));
	} while (cursor_left(&c) > 0);
	return !c.failed;
}

static bool is_rdata(uint16_t type, struct span rdata)
{
	struct arena a = {0};
	bool good = false;

	if (rdata.n > PUBLISH_RDATA_MAX)
		return false;
	switch (type) {
	case DNS_TYPE_A:
		return rdata.n == 4;
	case DNS_TYPE_AAAA:
		return rdata.n == 16;
	case DNS_TYPE_TLSA:
		return rdata.n > 3;
	case DNS_TYPE_TXT:
		return is_txt(rdata);
	case DNS_TYPE_CNAME:
	case DNS_TYPE_MX:
		good = dns_rdata_name(&a, type, rdata) != NULL;
		arena_done(&a);
		return good;
	default: /* any other number: not a type that is published */
		return false;
	}
}

static int check_records(uint16_t type, const struct span *rdata, size_t n, const char *owner,
			 struct err *e)
{
	if (n > PUBLISH_RECORDS_MAX)
		return err_set(e, -EINVAL, "%s: %zu records of one type; at most %d", owner, n,
			       PUBLISH_RECORDS_MAX);
	if (type == DNS_TYPE_CNAME && n > 1)
		return err_set(e, -EINVAL, "%s: a name has one CNAME at most", owner);
	for (size_t i = 0; i < n; i++)
		if (!is_rdata(type, rdata[i]))
			return err_set(e, -EINVAL, "%s: a record has not the form of its type",
				       owner);
	return 0;
}

static bool is_published_type(uint16_t type)
{
	return type == DNS_TYPE_A || type == DNS_TYPE_AAAA || type == DNS_TYPE_CNAME ||
	       type == DNS_TYPE_MX || type == DNS_TYPE_TLSA || type == DNS_TYPE_TXT;
}

/* Names are compared as texts: each has one form only (core/dane/name.h). */
static bool is_canonical(const char *name, struct span wire)
{
	struct arena a = {0};
	struct cursor c = cursor_of(wire);
	const char *again = dane_name_from_wire(&a, &c);
	bool same = again != NULL && strcmp(again, name) == 0;

	arena_done(&a);
	return same;
}

static int check_set(const struct publish_set *s, struct span zone, struct err *e)
{
	uint8_t wire[DANE_NAME_WIRE_MAX];
	struct span owner = span_of(wire, dane_name_to_wire(s->owner, wire));
	int error;

	if (owner.n == 0 || !is_canonical(s->owner, owner) || !dns_wire_is_below(owner, zone))
		return err_set(e, -EINVAL, "%s: not a name in the zone", s->owner);
	if (!is_published_type(s->type))
		return err_set(e, -EINVAL, "%s: type %u is not published", s->owner, s->type);
	if (s->type == DNS_TYPE_CNAME && owner.n == zone.n)
		return err_set(e, -EINVAL, "%s: no CNAME at a zone's apex", s->owner);
	if (s->ttl > INT32_MAX)
		return err_set(e, -EINVAL, "%s: a TTL above 2^31 - 1", s->owner);
	error = check_records(s->type, s->rdata, s->n, s->owner, e);
	if (error == 0 && s->guarded)
		error = check_records(s->type, s->was, s->n_was, s->owner, e);
	return error;
}

/* docs/decisions/0051. */
static bool is_alias(const struct publish_set *s)
{
	return s->type == DNS_TYPE_CNAME && s->n > 0;
}

int publish_check(const struct publish_change *change, struct err *e)
{
	uint8_t wire[DANE_NAME_WIRE_MAX];
	struct span zone = span_of(wire, dane_name_to_wire(change->zone, wire));

	if (zone.n == 0 || !is_canonical(change->zone, zone))
		return err_set(e, -EINVAL, "%s: no name of a zone", change->zone);
	if (change->n == 0 || change->n > PUBLISH_SETS_MAX)
		return err_set(e, -EINVAL, "%zu RRsets in one change; 1 to %d", change->n,
			       PUBLISH_SETS_MAX);
	for (size_t i = 0; i < change->n; i++) {
		const struct publish_set *s = &change->sets[i];
		int error = check_set(s, zone, e);

		if (error < 0)
			return error;
		for (size_t k = 0; k < i; k++) {
			const struct publish_set *o = &change->sets[k];

			if (strcmp(o->owner, s->owner) != 0)
				continue;
			if (o->type == s->type)
				return err_set(e, -EINVAL, "%s: twice in one change", s->owner);
			if (is_alias(o) || is_alias(s))
				return err_set(e, -EINVAL,
					       "%s: a CNAME and other records of one "
					       "name in one change",
					       s->owner);
		}
	}
	return 0;
}

const char *publish_record_to_text(struct arena *a, const struct publish_set *set, size_t i)
{
	uint8_t wire[DANE_NAME_WIRE_MAX];
	struct dns_rr rr = {
		.owner = set->owner,
		.wire = span_of(wire, dane_name_to_wire(set->owner, wire)),
		.type = set->type,
		.class = 1,
		.ttl = set->ttl,
		.rdata = set->rdata[i],
	};

	return dns_rr_to_text(a, &rr);
}

bool publish_same_rdata(uint16_t type, struct span a, struct span b)
{
	size_t i = type == DNS_TYPE_MX ? 2 : 0;

	if (type != DNS_TYPE_MX && type != DNS_TYPE_CNAME)
		return span_eq(a, b);
	/* Length octets of labels are below "A". */
	if (a.n != b.n || a.n < i || (i > 0 && memcmp(a.p, b.p, i) != 0))
		return false;
	for (; i < a.n; i++)
		if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
			return false;
	return true;
}

static bool holds(uint16_t type, const struct span *list, size_t n, struct span one)
{
	for (size_t i = 0; i < n; i++)
		if (publish_same_rdata(type, list[i], one))
			return true;
	return false;
}

bool publish_same_records(uint16_t type, const struct span *a, size_t n, const struct span *b,
			  size_t m)
{
	for (size_t i = 0; i < n; i++)
		if (!holds(type, b, m, a[i]))
			return false;
	for (size_t i = 0; i < m; i++)
		if (!holds(type, a, n, b[i]))
			return false;
	return true;
}

/* --- tasks ------------------------------------------------------------------------------------ */

static struct span *copy_records(struct arena *a, const struct span *rdata, size_t n)
{
	struct span *copy = arena_calloc(a, n, sizeof(*copy));

	for (size_t i = 0; i < n; i++)
		copy[i] = arena_dup(a, rdata[i]);
	return copy;
}

static struct publish_change copy_change(struct arena *a, const struct publish_change *c)
{
	struct publish_set *sets = arena_calloc(a, c->n, sizeof(*sets));

	for (size_t i = 0; i < c->n; i++) {
		sets[i] = c->sets[i];
		sets[i].owner = arena_strdup(a, c->sets[i].owner);
		sets[i].rdata = copy_records(a, c->sets[i].rdata, c->sets[i].n);
		sets[i].n_was = c->sets[i].guarded ? c->sets[i].n_was : 0;
		sets[i].was = copy_records(a, c->sets[i].was, sets[i].n_was);
	}
	return (struct publish_change){arena_strdup(a, c->zone), sets, c->n};
}

static void link_task(struct publish_task *t)
{
	struct publish *p = t->by;

	t->previous = p->last;
	if (p->last != NULL)
		p->last->next = t;
	else
		p->first = t;
	p->last = t;
	p->n++;
}

static void unlink_task(struct publish_task *t)
{
	struct publish *p = t->by;

	if (t->previous != NULL)
		t->previous->next = t->next;
	else
		p->first = t->next;
	if (t->next != NULL)
		t->next->previous = t->previous;
	else
		p->last = t->previous;
	p->n--;
}

static void task_free(struct publish_task *t)
{
	t->by->ops->abandon(t);
	io_timer_free(t->soon);
	arena_done(&t->arena);
	free(t);
}

/* One that is not made at all has its turn too: only to be told so. */
static void begin(struct publish_task *t)
{
	if (!t->bad)
		t->by->ops->begin(t);
}

/* Takes the task out; the next one begins if this one had its turn. */
static void end_task(struct publish_task *t)
{
	struct publish *p = t->by;
	bool had_turn = p->first == t;

	unlink_task(t);
	task_free(t);
	if (had_turn && p->first != NULL)
		begin(p->first);
}

/* Server's words may be among them. */
static void __attribute__((format(printf, 2, 0)))
set_words(char words[PUBLISH_WORDS_MAX], const char *format, va_list args)
{
	vsnprintf(words, PUBLISH_WORDS_MAX, format, args);
	text_make_plain(words);
}

void publish_finish(struct publish_task *t, enum publish_outcome outcome, const char *format, ...)
{
	char words[PUBLISH_WORDS_MAX];
	struct publish_result result = {outcome, words};
	publish_fn *fn = t->fn;
	void *arg = t->arg;
	va_list args;

	va_start(args, format);
	set_words(words, format, args);
	va_end(args);
	end_task(t);
	fn(arg, &result);
}

void publish_finish_soon(struct publish_task *t, enum publish_outcome outcome, const char *format,
			 ...)
{
	va_list args;

	va_start(args, format);
	set_words(t->words, format, args);
	va_end(args);
	t->outcome = outcome;
	io_timer_set(t->soon, 0);
}

static void on_soon(void *arg)
{
	struct publish_task *t = arg;

	publish_finish(t, t->outcome, "%s", t->words);
}

struct publish_task *publish_change(struct publish *p, const struct publish_change *change,
				    publish_fn *fn, void *arg)
{
	struct publish_task *t = xcalloc(1, p->ops->task_size);
	struct err e;

	t->by = p;
	t->fn = fn;
	t->arg = arg;
	t->soon = io_timer_new(p->loop, on_soon, t);
	link_task(t);
	if (publish_check(change, &e) < 0) {
		t->bad = true;
		publish_finish_soon(t, PUBLISH_REFUSED, "%s", e.text);
		return t;
	}
	if (p->n > PUBLISH_WAITING_MAX) {
		t->bad = true;
		publish_finish_soon(t, PUBLISH_NOT_SENT, "%d changes wait already",
				    PUBLISH_WAITING_MAX);
		return t;
	}
	t->change = copy_change(&t->arena, change);
	if (p->first == t)
		begin(t);
	return t;
}

void publish_cancel(struct publish_task *t)
{
	end_task(t);
}

struct publish *publish_new(const struct publish_ops *ops, struct io_loop *l)
{
	struct publish *p = xcalloc(1, ops->publisher_size);

	p->ops = ops;
	p->loop = l;
	return p;
}

struct publish *publish_free(struct publish *p)
{
	if (p == NULL)
		return NULL;
	while (p->first != NULL) {
		struct publish_task *t = p->first;

		unlink_task(t);
		task_free(t);
	}
	p->ops->done(p);
	free(p);
	return NULL;
}
