/* A zone below: its DS, its name servers and their addresses. */
#include "jobs/check/chain_data.h"

#include <string.h>

struct check_zone *check_chain_add_zone(struct check_chain *c, const char *name,
					struct check_zone *parent)
{
	struct check_zone *z;

	if (c->n_zones >= CHAIN_ZONES_MAX) {
		c->stopped = "the limit of zones is reached";
		return NULL;
	}
	z = arena_alloc(&c->arena, sizeof(*z));
	z->name = name;
	z->wire = check_chain_wire(c, name);
	z->parent = parent;
	z->ds_security = z->security = DANE_FAILED;
	if (c->last_zone != NULL)
		c->last_zone->next = z;
	else
		c->zones = z;
	c->last_zone = z;
	c->n_zones++;
	return z;
}

void check_chain_add_server(struct check_chain *c, struct check_zone *z, const char *name,
			    const char *address)
{
	for (size_t i = 0; i < z->n_servers; i++)
		if (strcmp(z->servers[i].address, address) == 0)
			return;
	if (z->n_servers == CHAIN_SERVERS_MAX)
		return;
	z->servers[z->n_servers++] = (struct check_server){arena_strdup(&c->arena, name),
							   arena_strdup(&c->arena, address), false};
}

/* --- a zone below ----------------------------------------------------------------------------- */

enum chain_state check_chain_cut(struct check_chain *c)
{
	struct check_zone *parent = c->zone, *z = check_chain_add_zone(c, c->cut_name, parent);

	c->cut = z;
	if (z == NULL)
		return CHAIN_FINISH;
	z->ds = c->ask;
	if (z->ds == NULL && parent->keys.n > 0)
		z->ds = check_chain_ask(c, parent, z->name, DNS_TYPE_DS, false, false,
					check_chain_live(parent));
	if (!c->referred)
		c->cut_ns = check_chain_ask(c, parent, z->name, DNS_TYPE_NS, false, false,
					    check_chain_live(parent));
	return CHAIN_CUT_JUDGE;
}

static void add_name(struct check_chain *c, struct check_zone *z, const char *name)
{
	for (size_t i = 0; i < z->n_names; i++)
		if (strcmp(z->names[i], name) == 0)
			return;
	if (z->n_names < CHAIN_NAMES_MAX) {
		z->names[z->n_names++] = name;
	} else if (!z->more_names) {
		z->more_names = true;
		check_chain_note(c, &z->notes, CHECK_DNSSEC_UNTOLD, z->name, NULL, z, 0)->detail =
			arena_printf(&c->arena, "Only %d of the name servers were asked",
				     CHAIN_NAMES_MAX);
	}
}

static void take_names(struct check_chain *c, struct check_zone *z, const struct dns_section *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const char *name;

		if (s->rr[i].type != DNS_TYPE_NS || !span_eq(s->rr[i].wire, z->wire))
			continue;
		name = dns_rdata_name(&c->arena, DNS_TYPE_NS, s->rr[i].rdata);
		if (name != NULL)
			add_name(c, z, name);
	}
}

/* Addresses that came with a referral, of names that the parent may speak for. */
static void take_glue(struct check_chain *c, struct check_zone *z, const struct dns_section *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct dns_rr *rr = &s->rr[i];
		bool named = false;

		for (size_t k = 0; k < z->n_names; k++)
			named = named || strcmp(z->names[k], rr->owner) == 0;
		if (!named || !dns_wire_is_below(rr->wire, z->parent->wire))
			continue;
		if ((rr->type == DNS_TYPE_A && rr->rdata.n == 4) ||
		    (rr->type == DNS_TYPE_AAAA && rr->rdata.n == 16))
			check_chain_add_server(c, z, rr->owner,
					       dane_address_to_text(&c->arena, rr->rdata));
	}
}

static void take_servers(struct check_chain *c, struct check_zone *z, struct check_ask *a)
{
	if (a == NULL)
		return;
	if (a->variants == NULL)
		check_chain_group(a);
	for (size_t i = 0; i < a->n_variants; i++) {
		take_names(c, z, &a->variants[i].message->authority);
		take_names(c, z, &a->variants[i].message->answer);
	}
	for (size_t i = 0; i < a->n_variants; i++)
		take_glue(c, z, &a->variants[i].message->additional);
}

static void on_address(void *arg, const struct dane_answer *answer)
{
	struct check_address *a = arg;
	struct check_chain *c = a->chain;

	a->question = NULL;
	for (size_t i = 0; i < answer->n_records; i++) {
		const char *text = dane_address_to_text(&c->arena, answer->records[i]);

		if (text != NULL)
			check_chain_add_server(c, a->zone, a->name, text);
	}
	c->pending--;
	if (c->pending == 0)
		check_chain_advance(c);
}

static void find_address(struct check_chain *c, struct check_zone *z, const char *name,
			 uint16_t type)
{
	struct check_address *a = arena_alloc(&c->arena, sizeof(*a));

	*a = (struct check_address){.chain = c, .zone = z, .name = name, .next = c->addresses};
	c->addresses = a;
	c->pending++;
	a->question = dns_resolver_ask(c->resolver, name, type, on_address, a);
}

static void find_addresses(struct check_chain *c, struct check_zone *z)
{
	for (size_t i = 0; i < z->n_names; i++) {
		bool known = false;

		for (size_t k = 0; k < z->n_servers; k++)
			known = known || strcmp(z->servers[k].name, z->names[i]) == 0;
		if (known)
			continue;
		find_address(c, z, z->names[i], DANE_RR_A);
		find_address(c, z, z->names[i], DANE_RR_AAAA);
	}
}

enum chain_state check_chain_cut_judge(struct check_chain *c)
{
	struct check_zone *z = c->cut;

	if (z->ds != NULL) {
		if (z->ds->variants == NULL)
			check_chain_group(z->ds);
		check_chain_note_replies(c, z->ds, &z->notes);
		check_chain_note_difference(c, z->ds, &z->notes, CHECK_DNSSEC_DIFFER);
		check_chain_judge_ds(c, z);
	}
	if (z->parent->security != DANE_SECURE)
		z->ds_security = z->parent->security;
	take_servers(c, z, c->cut_ns != NULL ? c->cut_ns : c->lookup->ask);
	find_addresses(c, z);
	return CHAIN_SERVERS;
}

enum chain_state check_chain_servers_known(struct check_chain *c)
{
	struct check_zone *z = c->zone = c->cut;

	if (z->n_servers > 0)
		return CHAIN_BASICS;
	z->security = check_chain_worse(z->ds_security, DANE_FAILED);
	z->why = "no address of a name server is known";
	check_chain_note(c, &z->notes, CHECK_DNSSEC_NO_SERVERS, z->name, NULL, z, 0)->detail =
		z->n_names > 0 ? arena_printf(&c->arena, "The name servers %s have no address",
					      check_chain_names(c, z->names, z->n_names))
			       : "There is no NS record";
	return CHAIN_ASK;
}
