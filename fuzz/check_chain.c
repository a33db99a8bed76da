/*
 * Any answers to the walk of a chain: DNSKEY, SOA, NS, DS and the records asked for, each a DNS
 * message behind its length. Judged within bounds; what the report prints steers no terminal; and
 * without a signature of the zone's key nothing is ever secure.
 */
#include "jobs/check/chain_data.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	NOW = 1790000000, /* when the corpus was signed */
};

/* The zone's key, of the corpus: its DS is the parent's. */
static const char ds_of_corpus[] =
	"46540d02cb1e86ec85646045f79849a82e7c2ed569849a899425f5717cd97c8e35863905";

static struct check_ask *make_ask(struct check_chain *c, struct check_zone *z, const char *name,
				  uint16_t type, struct cursor *in)
{
	struct check_ask *a = arena_alloc(&c->arena, sizeof(*a));
	struct span wire = cursor_take(in, cursor_u16(in));

	*a = (struct check_ask){.chain = c, .at = z, .name = name, .type = type};
	a->wire = check_chain_wire(c, name);
	a->replies = arena_calloc(&c->arena, 1, sizeof(*a->replies));
	a->replies[0].ask = a;
	a->replies[0].asked = true;
	a->replies[0].reply.fault = DNS_FAULT_MALFORMED;
	if (dns_message_parse(&c->arena, wire, &a->replies[0].reply.message) == 0)
		a->replies[0].reply.fault = DNS_FAULT_NONE;
	check_chain_group(a);
	a->next = z->asks;
	z->asks = a;
	return a;
}

static void add_zone(struct check_chain *c, struct check_zone *z, const char *name)
{
	z->name = name;
	z->wire = check_chain_wire(c, name);
	z->servers[0] = (struct check_server){"ns.example", "192.0.2.53", false};
	z->n_servers = 1;
	if (c->zones == NULL)
		c->zones = z;
	else
		c->last_zone->next = z;
	c->last_zone = z;
}

static void print(struct check_chain *c)
{
	struct check_style style = {.verbose = 1};
	struct check_tree t;
	struct buf out;
	struct js *v;

	check_tree_init(&t, "fuzz");
	check_chain_report(c, &t, NULL, 3);
	buf_init(&out, 256u * 1024 * 1024);
	require(check_tree_text(&t, &style, &out) == 0);
	for (size_t i = 0; i < out.n; i++)
		require(out.p[i] == '\n' || (out.p[i] >= ' ' && out.p[i] <= '~'));
	buf_done(&out);
	check_tree_done(&t);
	v = check_chain_json(c);
	js_free(v);
}

static struct dns_rr parent_ds(struct check_chain *c, const struct check_zone *z)
{
	static uint8_t rdata[36];
	struct cursor digits = cursor_of(span_text(ds_of_corpus));

	for (size_t i = 0; i < sizeof(rdata); i++) {
		unsigned high = cursor_u8(&digits), low = cursor_u8(&digits);

		rdata[i] = (uint8_t)((high <= '9' ? high - '0' : high - 'a' + 10) << 4 |
				     (low <= '9' ? low - '0' : low - 'a' + 10));
	}
	(void)c;
	return (struct dns_rr){.owner = z->name,
			       .wire = z->wire,
			       .type = DNS_TYPE_DS,
			       .class = 1,
			       .ttl = 300,
			       .rdata = span_of(rdata, sizeof(rdata))};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct check_chain *c = xcalloc(1, sizeof(*c));
	struct check_zone *parent = xcalloc(1, sizeof(*parent)), *z = xcalloc(1, sizeof(*z));
	struct cursor in = cursor_of(span_of(data, size));
	struct check_lookup lookup = {.chain = c, .name = "mx.fuzz.example", .type = DNS_TYPE_A};
	uint8_t how = cursor_u8(&in);
	struct dns_rr ds;
	const struct dns_rr *anchor[1] = {&ds};

	c->verify = (struct dns_verify){.left = 64, .now = NOW};
	c->request.name = lookup.name;
	add_zone(c, parent, "example");
	add_zone(c, z, "fuzz.example");
	z->parent = parent;
	parent->security = DANE_SECURE;
	ds = parent_ds(c, z);
	lookup.wire = check_chain_wire(c, lookup.name);
	lookup.type = (how & 2) != 0 ? DNS_TYPE_TLSA : DNS_TYPE_A;
	z->dnskey = make_ask(c, z, z->name, DNS_TYPE_DNSKEY, &in);
	z->soa = make_ask(c, z, z->name, DNS_TYPE_SOA, &in);
	z->ns = make_ask(c, z, z->name, DNS_TYPE_NS, &in);
	if ((how & 1) != 0) {
		/* The parent has no keys to judge by: its DS answer never holds. */
		z->ds = make_ask(c, parent, z->name, DNS_TYPE_DS, &in);
		check_chain_judge_ds(c, z);
		require(z->ds_security != DANE_SECURE);
	} else {
		z->ds_set = (struct check_set){anchor, 1};
		z->ds_security = DANE_SECURE;
	}
	check_chain_judge_zone(c, z);
	lookup.zone = z;
	lookup.ask = make_ask(c, z, lookup.name, lookup.type, &in);
	check_chain_judge_lookup(c, &lookup);
	if (c->verify.left == 64)
		require(lookup.security != DANE_SECURE);
	lookup.whole = lookup.security;
	lookup.validator = DANE_UNASKED;
	c->lookups = &lookup;
	print(c);
	arena_done(&c->arena);
	free(z);
	free(parent);
	free(c);
	return 0;
}
