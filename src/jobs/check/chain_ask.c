/* Questions to all servers of a zone, and their answers grouped. */
#include "jobs/check/chain_data.h"

#include <string.h>

enum {
	SERVERS_NAMED = 16, /* in one sentence */
};

/* --- notes ------------------------------------------------------------------------------------ */

struct check_note *check_chain_note(struct check_chain *c, struct check_notes *notes,
				    enum check_kind kind, const char *subject, const char *record,
				    const struct check_zone *at, check_mask servers)
{
	static struct check_note overflow; /* written and never read */
	struct check_note *n;

	if (c->n_notes >= CHAIN_NOTES_MAX) {
		c->untold = true;
		return &overflow;
	}
	c->n_notes++;
	n = arena_alloc(&c->arena, sizeof(*n));
	*n = (struct check_note){
		.kind = kind, .subject = subject, .record = record, .at = at, .servers = servers};
	if (notes->last != NULL)
		notes->last->next = n;
	else
		notes->first = n;
	notes->last = n;
	return n;
}

const char *check_chain_servers(struct arena *a, const struct check_zone *z, check_mask servers)
{
	unsigned n = 0;
	struct buf text;
	const char *copy;

	buf_init(&text, SERVERS_NAMED * (DANE_NAME_TEXT_MAX + 64));
	for (size_t i = 0; z != NULL && i < z->n_servers; i++) {
		if ((servers & (check_mask)1 << i) == 0 || n++ >= SERVERS_NAMED)
			continue;
		require(buf_printf(&text, "%s%s[%s]", n > 1 ? ", " : "", z->servers[i].name,
				   z->servers[i].address) == 0);
	}
	if (n > SERVERS_NAMED)
		require(buf_printf(&text, " and %u more", n - SERVERS_NAMED) == 0);
	copy = n > 0 ? arena_text(a, buf_span(&text)) : "no server";
	buf_done(&text);
	return copy;
}

struct span check_chain_wire(struct check_chain *c, const char *name)
{
	uint8_t wire[DANE_NAME_WIRE_MAX];

	return arena_dup(&c->arena, span_of(wire, dane_name_to_wire(name, wire)));
}

/* --- questions -------------------------------------------------------------------------------- */

static void on_reply(void *arg, const struct dns_reply *reply)
{
	struct check_reply *r = arg;
	struct check_chain *c = r->ask->chain;

	r->open = NULL;
	r->reply = *reply;
	c->pending--;
	if (c->pending == 0)
		check_chain_advance(c);
}

static void ask_one(struct check_ask *a, size_t server)
{
	struct check_chain *c = a->chain;
	struct check_reply *r = &a->replies[server];
	struct dns_ask ask = {
		.address = a->at->servers[server].address,
		.name = a->name,
		.type = a->type,
		.tcp = a->tcp,
		.no_edns = a->plain,
		.timeout = c->request.timeout,
		.into = &c->arena,
		.room = c->request.room,
	};

	if (c->n_questions >= c->request.questions) {
		c->stopped = "the limit of questions is reached";
		c->halted = true;
		return;
	}
	if (c->arena.used >= c->request.room) {
		c->stopped = "the answers are more than the memory given to them";
		c->halted = true;
		return;
	}
	c->n_questions++;
	c->pending++;
	r->asked = true;
	r->open = dns_direct_ask(c->direct, &ask, on_reply, r);
}

struct check_ask *check_chain_ask(struct check_chain *c, struct check_zone *at, const char *name,
				  uint16_t type, bool tcp, bool plain, check_mask servers)
{
	struct check_ask *a = arena_alloc(&c->arena, sizeof(*a));

	a->chain = c;
	a->at = at;
	a->name = name;
	a->wire = check_chain_wire(c, name);
	a->type = type;
	a->tcp = tcp;
	a->plain = plain;
	a->replies = arena_calloc(&c->arena, at->n_servers + 1, sizeof(*a->replies));
	if (at->last_ask != NULL)
		at->last_ask->next = a;
	else
		at->asks = a;
	at->last_ask = a;
	for (size_t i = 0; i < at->n_servers; i++) {
		a->replies[i].ask = a;
		a->replies[i].reply.fault = DNS_FAULT_TIMEOUT; /* until it is answered */
		if ((servers & (check_mask)1 << i) != 0)
			ask_one(a, i);
	}
	return a;
}

/* --- answers ---------------------------------------------------------------------------------- */

static int compare_spans(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	size_t n = x->n < y->n ? x->n : y->n;
	int difference = n > 0 ? memcmp(x->p, y->p, n) : 0;

	if (difference != 0)
		return difference;
	return x->n < y->n ? -1 : x->n > y->n;
}

static struct span flat(struct arena *a, const struct dns_rr *rr)
{
	size_t n = rr->wire.n + 8 + rr->rdata.n;
	uint8_t *p = arena_alloc(a, n);

	memcpy(p, rr->wire.p, rr->wire.n);
	p += rr->wire.n;
	*p++ = (uint8_t)(rr->type >> 8);
	*p++ = (uint8_t)rr->type;
	*p++ = (uint8_t)(rr->class >> 8);
	*p++ = (uint8_t)rr->class;
	for (int shift = 24; shift >= 0; shift -= 8)
		*p++ = (uint8_t)(rr->ttl >> shift);
	if (rr->rdata.n > 0)
		memcpy(p, rr->rdata.p, rr->rdata.n);
	return span_of(p - rr->wire.n - 8, n);
}

/* Answer and authority, in whatever order they came, and what the header says of them. */
static struct span canonical(struct check_chain *c, const struct dns_message *m)
{
	struct arena scratch = {0};
	size_t n = m->answer.n + m->authority.n, total = 8, at = 0;
	struct span *list = arena_calloc(&scratch, n + 1, sizeof(*list)), result;
	uint8_t *p;

	for (size_t i = 0; i < n; i++) {
		const struct dns_rr *rr =
			i < m->answer.n ? &m->answer.rr[i] : &m->authority.rr[i - m->answer.n];

		list[i] = flat(&scratch, rr);
		total += list[i].n;
	}
	qsort(list, m->answer.n, sizeof(*list), compare_spans);
	qsort(list + m->answer.n, m->authority.n, sizeof(*list), compare_spans);
	p = arena_alloc(&c->arena, total);
	p[at++] = (uint8_t)m->rcode;
	p[at++] = m->aa;
	p[at++] = (uint8_t)(m->answer.n >> 8);
	p[at++] = (uint8_t)m->answer.n;
	for (size_t i = 0; i < n; i++) {
		memcpy(p + at, list[i].p, list[i].n);
		at += list[i].n;
	}
	result = span_of(p, at);
	arena_done(&scratch);
	return result;
}

void check_chain_group(struct check_ask *a)
{
	struct check_chain *c = a->chain;

	a->variants = arena_calloc(&c->arena, a->at->n_servers + 1, sizeof(*a->variants));
	for (size_t i = 0; i < a->at->n_servers; i++) {
		struct check_reply *r = &a->replies[i];
		size_t first;

		if (!r->asked || r->reply.fault != DNS_FAULT_NONE)
			continue;
		r->canonical = canonical(c, &r->reply.message);
		for (first = 0; first < i; first++)
			if (a->replies[first].canonical.n > 0 &&
			    span_eq(a->replies[first].canonical, r->canonical))
				break;
		if (first == i) {
			a->variants[a->n_variants++] =
				(struct check_variant){&r->reply.message, (check_mask)1 << i};
			continue;
		}
		for (size_t v = 0; v < a->n_variants; v++)
			if ((a->variants[v].servers & (check_mask)1 << first) != 0)
				a->variants[v].servers |= (check_mask)1 << i;
	}
}
