/*
 * Hostile name servers: the whole walk of a chain, with packets from the input in place of the
 * network. Only the two ways out are replaced, at link time: dns_direct_ask, whose packets are
 * judged by dns_direct_judge as those from a socket are, and dns_resolver_ask.
 *
 * Input: what to walk, at which question to break off, then packets, each behind its length. A
 * zone that is asked gets the packet with the same question that was used least; if none has it,
 * the next one in turn with its question exchanged, so that what a packet led to is answered too.
 * An empty packet is silence.
 *
 * What must hold: the walk ends, calls back once, stays within its limits; without a signature that
 * held nothing is secure; what is reported steers no terminal.
 */
#include <string.h>

#include "base/hex.h"
#include "jobs/check/chain_data.h"
#include "jobs/check/servers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	NOW = 1790000000, /* when the corpus was signed */
	PACKETS_MAX = 256,
	QUESTIONS = 400,
	ROOM = 8 * 1024 * 1024,
};

enum {
	HOW_WHAT = 7, /* a mask: which request */
	HOW_VALIDATOR = 8,
	HOW_TOP = 16,       /* begin at "example" */
	HOW_AGAIN = 32,     /* and again from what is known of it */
	HOW_FREE = 64,      /* break off: free the walk, else its time is over */
	HOW_RESOLVER = 128, /* the resolver knows nothing */
	STOP_DIFFER = 128,  /* of the second octet: servers of a zone say different things */
};

/* The one key that signs all zones of the corpus, as DNSKEY RDATA: the trust anchor. */
static const char key_of_corpus[] =
	"0101030d"
	"eca3b55f933ffad78a261b6c413d6b9b2ccd0b9f1cc5ab30b84b725a1ce15568"
	"d255b08b7f0447abd7827a6c3b355c47c0aa2b4bc12dbfc693676c7f0b761f7c";

struct packet {
	struct span wire;
	const char *name; /* of its question; NULL: none that can be read */
	uint16_t type;
	size_t end; /* of the question, octets from the start */
	unsigned uses;
};

/* The script, and where it is. */
static struct feed {
	struct io_loop *loop;
	struct arena arena;
	struct packet packets[PACKETS_MAX];
	size_t n, next, asked, stop_at;
	uint8_t how;
	bool differ;
	const struct check_ask *last; /* that got `chosen` */
	const struct packet *chosen;
	struct check_chain *chain;
	unsigned calls;
	size_t open;
} feed;

struct dns_exchange {
	struct dns_ask ask;
	dns_reply_fn *fn;
	void *arg;
	bool cancelled;
};

struct dns_question {
	char *name;
	uint16_t type;
	dns_answer_fn *fn;
	void *arg;
	bool cancelled;
};

/* --- packets ---------------------------------------------------------------------------------- */

static void read_packets(struct cursor *in)
{
	while (feed.n < PACKETS_MAX && cursor_left(in) >= 2) {
		struct packet *p = &feed.packets[feed.n++];
		size_t length = cursor_u16(in);
		struct dns_message m;
		struct arena scratch = {0};

		p->wire = cursor_take(in, length < cursor_left(in) ? length : cursor_left(in));
		(void)!dns_message_parse(&scratch, p->wire, &m);
		p->end = 12;
		if (p->wire.n > 12 && m.qname != NULL) {
			uint8_t wire[DANE_NAME_WIRE_MAX];

			p->name = arena_strdup(&feed.arena, m.qname);
			p->type = m.qtype;
			p->end += dane_name_to_wire(m.qname, wire) + 4;
		}
		arena_done(&scratch);
	}
}

/* The packet with this question in place of its own, and the id 0. */
static struct span reworded(struct arena *a, const struct packet *p, const struct dns_ask *ask)
{
	uint8_t *wire = arena_alloc(a, p->wire.n + 12 + DANE_NAME_WIRE_MAX + 4);
	size_t at = 12, rest = p->end < p->wire.n ? p->wire.n - p->end : 0;

	memcpy(wire, p->wire.p, p->wire.n < 12 ? p->wire.n : 12);
	wire[0] = wire[1] = 0;
	if (p->name != NULL && strcmp(p->name, ask->name) == 0 && p->type == ask->type) {
		memcpy(wire, p->wire.p, p->wire.n);
		wire[0] = wire[1] = 0;
		return span_of(wire, p->wire.n);
	}
	at += dane_name_to_wire(ask->name, wire + at);
	wire[at++] = (uint8_t)(ask->type >> 8);
	wire[at++] = (uint8_t)ask->type;
	wire[at++] = 0;
	wire[at++] = 1;
	wire[4] = 0;
	wire[5] = 1;
	if (rest > 0)
		memcpy(wire + at, p->wire.p + p->end, rest);
	return span_of(wire, at + rest);
}

/* Of those with this question the one least used; else the next in turn. */
static const struct packet *choose(const struct check_ask *whose, const struct dns_ask *ask)
{
	struct packet *p = NULL;

	if (feed.last == whose && !feed.differ)
		return feed.chosen;
	for (size_t i = 0; i < feed.n; i++) {
		struct packet *other = &feed.packets[i];

		if (other->name != NULL && other->type == ask->type &&
		    strcmp(other->name, ask->name) == 0 && (p == NULL || other->uses < p->uses))
			p = other;
	}
	if (p == NULL)
		p = &feed.packets[feed.next++ % feed.n];
	p->uses++;
	feed.last = whose;
	feed.chosen = p;
	return p;
}

static struct dns_reply reply_to(const struct check_ask *whose, const struct dns_ask *ask)
{
	struct dns_reply r = {.fault = DNS_FAULT_TIMEOUT};
	struct arena scratch = {0};
	const struct packet *p;

	if (feed.n == 0 || (p = choose(whose, ask))->wire.n == 0)
		return r;
	r.fault = DNS_FAULT_LIMIT;
	if (ask->room == 0 || ask->into->used < ask->room)
		r.fault = dns_direct_judge(ask->into, reworded(&scratch, p, ask), 0, ask->name,
					   ask->type, &r.message);
	if (r.fault == DNS_FAULT_TRUNCATED) {
		r.truncated = true;
		r.tcp_fault = DNS_FAULT_MALFORMED;
	}
	arena_done(&scratch);
	return r;
}

/* --- in place of the network ------------------------------------------------------------------ */

struct dns_exchange *__wrap_dns_direct_ask(struct dns_direct *d, const struct dns_ask *ask,
					   dns_reply_fn *fn, void *arg);
void __wrap_dns_direct_cancel(struct dns_exchange *x);
struct dns_question *__wrap_dns_resolver_ask(struct dns_resolver *r, const char *name,
					     uint16_t type, dns_answer_fn *fn, void *arg);
void __wrap_dns_resolver_cancel(struct dns_resolver *r, struct dns_question *q);

static void break_off(void)
{
	if (++feed.asked != feed.stop_at)
		return;
	if ((feed.how & HOW_FREE) != 0)
		io_loop_stop(feed.loop);
	else
		io_timer_set(feed.chain->deadline, 0);
}

static void deliver_reply(void *arg)
{
	struct dns_exchange *x = arg;
	struct dns_reply r;

	feed.open--;
	if (!x->cancelled) {
		r = reply_to(((const struct check_reply *)x->arg)->ask, &x->ask);
		x->fn(x->arg, &r);
	}
	free(x);
}

struct dns_exchange *__wrap_dns_direct_ask(struct dns_direct *d, const struct dns_ask *ask,
					   dns_reply_fn *fn, void *arg)
{
	struct dns_exchange *x = xcalloc(1, sizeof(*x));

	(void)d;
	*x = (struct dns_exchange){.ask = *ask, .fn = fn, .arg = arg};
	feed.open++;
	io_defer(feed.loop, deliver_reply, x);
	break_off();
	return x;
}

void __wrap_dns_direct_cancel(struct dns_exchange *x)
{
	require(!x->cancelled);
	x->cancelled = true;
}

static void deliver_answer(void *arg)
{
	static const uint8_t addresses[2][4] = {{192, 0, 2, 1}, {192, 0, 2, 2}};
	static const struct span records[2] = {{addresses[0], 4}, {addresses[1], 4}};
	struct dns_question *q = arg;
	struct dane_answer answer = {.security = DANE_SECURE, .content = DANE_NODATA};

	feed.open--;
	if ((feed.how & HOW_RESOLVER) != 0) {
		answer = (struct dane_answer){.security = DANE_FAILED, .why = "no answer\x1b[1m"};
	} else if (q->type == DANE_RR_A) {
		answer.content = DANE_RECORDS;
		answer.records = records;
		answer.n_records = 2;
	}
	if (!q->cancelled)
		q->fn(q->arg, &answer);
	free(q->name);
	free(q);
}

struct dns_question *__wrap_dns_resolver_ask(struct dns_resolver *r, const char *name,
					     uint16_t type, dns_answer_fn *fn, void *arg)
{
	struct dns_question *q = xcalloc(1, sizeof(*q));

	(void)r;
	*q = (struct dns_question){xstrdup(name), type, fn, arg, false};
	feed.open++;
	io_defer(feed.loop, deliver_answer, q);
	return q;
}

void __wrap_dns_resolver_cancel(struct dns_resolver *r, struct dns_question *q)
{
	(void)r;
	require(!q->cancelled);
	q->cancelled = true;
}

/* --- what must hold --------------------------------------------------------------------------- */

static void check_secure(const struct check_chain *c)
{
	for (const struct check_lookup *l = c->lookups; l != NULL; l = l->next) {
		if (l->security != DANE_SECURE)
			continue;
		require(l->zone != NULL && l->zone->security == DANE_SECURE);
		require(c->verify.left < DNS_VERIFY_TOTAL_MAX);
	}
	if ((feed.how & HOW_VALIDATOR) == 0 && c->verify.left == DNS_VERIFY_TOTAL_MAX)
		require(c->lookups == NULL || check_chain_verdict(c) != DANE_SECURE ||
			c->lookups->elsewhere);
}

static void check_text(const struct check_tree *t)
{
	struct check_style style = {.verbose = 1};
	struct buf out;

	buf_init(&out, 256u * 1024 * 1024);
	require(check_tree_text(t, &style, &out) == 0);
	for (size_t i = 0; i < out.n; i++)
		require(out.p[i] == '\n' || (out.p[i] >= ' ' && out.p[i] <= '~'));
	buf_done(&out);
}

static void check_picture(const struct check_chain *c)
{
	struct buf out;

	buf_init(&out, 256u * 1024 * 1024);
	require(check_chain_svg(c, true, &out) == 0);
	for (size_t i = 0; i < out.n; i++)
		require(out.p[i] == '\n' || out.p[i] >= ' ');
	buf_done(&out);
}

static void report(const struct check_chain *c)
{
	struct check_servers *servers;
	const char *const *hosts;
	struct arena a = {0};
	struct check_tree t;

	require(c->n_questions <= QUESTIONS && c->n_zones <= CHAIN_ZONES_MAX);
	require(c->n_lookups <= CHAIN_LOOKUPS_MAX && c->n_notes <= CHAIN_NOTES_MAX);
	check_secure(c);
	check_chain_elsewhere(c, &a, &hosts);
	check_tree_init(&t, "fuzz");
	check_chain_report(c, &t, NULL, 3);
	check_text(&t);
	check_tree_done(&t);
	js_free(check_chain_json(c));
	check_picture(c);
	servers = check_servers_new(c, 3);
	js_free(check_servers_save(servers));
	check_servers_free(servers);
	arena_done(&a);
}

/* --- the walk --------------------------------------------------------------------------------- */

static void on_over(void *arg, struct check_chain *c)
{
	(void)arg;
	require(c == feed.chain && feed.calls++ == 0);
	io_loop_stop(feed.loop);
}

static void stop(void *arg)
{
	(void)arg;
	io_loop_stop(feed.loop);
}

/* What was cancelled is still in the loop. */
static void drain(void)
{
	while (feed.open > 0) {
		io_defer(feed.loop, stop, NULL);
		io_loop_run(feed.loop);
	}
}

static void walk(const struct check_chain_request *request, struct arena *a,
		 struct check_trust *known)
{
	bool over;

	feed.calls = 0;
	feed.last = NULL;
	feed.chain = check_chain_new(feed.loop, NULL, request, on_over, NULL);
	feed.chain->verify.now = NOW;
	io_loop_run(feed.loop);
	over = feed.calls == 1;
	require(over || (feed.stop_at > 0 && feed.asked >= feed.stop_at));
	if (over) {
		report(feed.chain);
		*known = check_chain_top(feed.chain, a);
	}
	feed.chain = check_chain_free(feed.chain);
	drain();
}

static void set_request(struct check_chain_request *r)
{
	r->name = "fuzz.example";
	switch (feed.how & HOW_WHAT) {
	case 0:
		r->mail = true;
		break;
	case 1:
		r->host = true;
		r->name = "mx.fuzz.example";
		break;
	case 2:
		r->zone = (feed.how & HOW_TOP) != 0;
		break;
	case 3:
		r->type = DNS_TYPE_DS;
		break;
	case 4:
		r->type = DNS_TYPE_TLSA;
		r->name = "_25._tcp.mx.fuzz.example";
		break;
	case 5:
		r->name = "www.deep.er.fuzz.example";
		break;
	case 6:
		r->name = "alias.fuzz.example";
		break;
	default:
		r->type = DNS_TYPE_TXT;
		r->name = "x.dname.fuzz.example";
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct check_root root = {"ns.test", "192.0.2.53"};
	struct cursor in = cursor_of(span_of(data, size));
	struct dns_rr key = {.type = DNS_TYPE_DNSKEY, .class = 1, .ttl = 300};
	struct check_chain_request request = {
		.questions = QUESTIONS, .room = ROOM, .deadline = USEC_NEVER};
	struct check_trust known = {0};
	struct io_loop *loop = feed.loop != NULL ? feed.loop : io_loop_new();

	feed = (struct feed){.loop = loop, .how = cursor_u8(&in)};
	feed.stop_at = cursor_u8(&in);
	feed.differ = (feed.stop_at & STOP_DIFFER) != 0;
	feed.stop_at %= STOP_DIFFER;
	read_packets(&in);
	set_request(&request);
	request.upkeep = (feed.how & HOW_WHAT) == 5 || (feed.how & HOW_WHAT) == 7;
	request.no_validator = (feed.how & HOW_VALIDATOR) == 0;
	request.trust = (struct check_trust){.roots = &root, .n_roots = 1};
	if ((feed.how & HOW_TOP) != 0) {
		request.trust.top = "example";
		request.trust.above = ".";
	}
	key.owner = request.trust.top != NULL ? request.trust.top : ".";
	key.wire = request.trust.top != NULL ? span_of((const uint8_t *)"\7example", 9)
					     : span_of((const uint8_t *)"", 1);
	require(hex_decode(&feed.arena, span_text(key_of_corpus), &key.rdata) == 0);
	request.trust.anchors = &key;
	request.trust.n_anchors = 1;
	walk(&request, &feed.arena, &known);
	if ((feed.how & HOW_AGAIN) != 0 && known.known && known.top != NULL && !request.zone) {
		request.trust = known;
		walk(&request, &feed.arena, &known);
	}
	arena_done(&feed.arena);
	return 0;
}
