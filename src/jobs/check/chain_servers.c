/* A zone's own servers: what they answer for its apex, and where they differ or fail. */
#include "jobs/check/chain_data.h"

#include <arpa/inet.h>
#include <string.h>

check_mask check_chain_live(const struct check_zone *z)
{
	check_mask m = 0;

	for (size_t i = 0; i < z->n_servers; i++)
		if (!z->servers[i].silent)
			m |= (check_mask)1 << i;
	return m;
}

const char *check_chain_record(struct check_chain *c, const char *name, uint16_t type)
{
	return arena_printf(&c->arena, "%s %s", name, dns_type_to_text(&c->arena, type));
}

/* The deepest zone known that the name lies in; of DS, the one above it. */
/* --- notes on servers ------------------------------------------------------------------------- */

static bool is_plain_answer(const struct dns_reply *r)
{
	return r->message.rcode == DNS_RCODE_NOERROR || r->message.rcode == DNS_RCODE_NXDOMAIN;
}

/* What is wrong with single answers to one question, of servers that do answer others. */
void check_chain_note_replies(struct check_chain *c, struct check_ask *a, struct check_notes *notes)
{
	const char *record = check_chain_record(c, a->name, a->type);

	for (size_t i = 0; i < a->at->n_servers; i++) {
		const struct check_reply *r = &a->replies[i];
		check_mask bit = (check_mask)1 << i;

		if (!r->asked || a->at->servers[i].silent)
			continue;
		if (r->reply.fault != DNS_FAULT_NONE)
			check_chain_note(c, notes,
					 a->tcp ? CHECK_DNSSEC_SERVER_TCP
						: CHECK_DNSSEC_SERVER_FAULT,
					 a->at->name, record, a->at, bit)
				->detail = dns_fault_to_text(r->reply.fault);
		else if (!is_plain_answer(&r->reply))
			check_chain_note(c, notes, CHECK_DNSSEC_SERVER_RCODE, a->at->name, record,
					 a->at, bit)
				->detail = dns_rcode_to_text(&c->arena, r->reply.message.rcode);
		else if (!r->reply.message.edns)
			check_chain_note(c, notes, CHECK_DNSSEC_SERVER_STRIPPED, a->at->name, NULL,
					 a->at, bit);
		else if (!r->reply.message.aa && a->type == DNS_TYPE_SOA)
			check_chain_note(c, notes, CHECK_DNSSEC_SERVER_LAME, a->at->name, record,
					 a->at, bit);
	}
}

static bool holds(const struct dns_section *s, const struct dns_rr *rr)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->rr[i].type == rr->type && span_eq(s->rr[i].wire, rr->wire) &&
		    span_eq(s->rr[i].rdata, rr->rdata))
			return true;
	return false;
}

enum {
	COMPARED_MAX = 300, /* records of two answers, each with each */
};

/* The same data, signatures aside: those of one server may be newer than another's. */
static bool same_data(const struct dns_message *a, const struct dns_message *b)
{
	size_t n = 0, m = 0;

	if (a->rcode != b->rcode)
		return false;
	if (a->answer.n > COMPARED_MAX || b->answer.n > COMPARED_MAX)
		return a->answer.n == b->answer.n;
	for (size_t i = 0; i < a->answer.n; i++) {
		if (a->answer.rr[i].type == DNS_TYPE_RRSIG)
			continue;
		n++;
		if (!holds(&b->answer, &a->answer.rr[i]))
			return false;
	}
	for (size_t i = 0; i < b->answer.n; i++)
		m += b->answer.rr[i].type != DNS_TYPE_RRSIG;
	return n == m;
}

static const char *describe(struct check_chain *c, const struct dns_message *m)
{
	size_t n = 0, signatures = 0;

	for (size_t i = 0; i < m->answer.n; i++) {
		if (m->answer.rr[i].type == DNS_TYPE_RRSIG)
			signatures++;
		else
			n++;
	}
	if (m->rcode != DNS_RCODE_NOERROR)
		return dns_rcode_to_text(&c->arena, m->rcode);
	if (n == 0)
		return m->aa ? "no such record" : "a referral";
	return arena_printf(&c->arena, "%zu record%s%s", n, n == 1 ? "" : "s",
			    signatures > 0 ? ", signed" : ", not signed");
}

bool check_chain_is_signed(const struct dns_message *m)
{
	for (size_t i = 0; i < m->answer.n + m->authority.n; i++) {
		const struct dns_rr *rr =
			i < m->answer.n ? &m->answer.rr[i] : &m->authority.rr[i - m->answer.n];

		if (rr->type == DNS_TYPE_RRSIG)
			return true;
	}
	return false;
}

/* Servers that say different things; `kind` tells how bad that is. */
void check_chain_note_difference(struct check_chain *c, struct check_ask *a,
				 struct check_notes *notes, enum check_kind kind)
{
	const char *text = "";
	bool differ = false;

	for (size_t i = 1; i < a->n_variants; i++)
		differ = differ || !same_data(a->variants[0].message, a->variants[i].message);
	if (!differ)
		return;
	for (size_t i = 0; i < a->n_variants && i < 8; i++)
		text = arena_printf(&c->arena, "%s%s%s: %s", text, i > 0 ? "; " : "",
				    check_chain_servers(&c->arena, a->at, a->variants[i].servers),
				    describe(c, a->variants[i].message));
	check_chain_note(c, notes, kind, a->at->name, check_chain_record(c, a->name, a->type),
			 a->at, 0)
		->detail = arena_printf(&c->arena, "%s.", text);
}

/* --- a zone's own servers --------------------------------------------------------------------- */

enum chain_state check_chain_basics(struct check_chain *c)
{
	struct check_zone *z = c->zone;

	z->dnskey =
		check_chain_ask(c, z, z->name, DNS_TYPE_DNSKEY, false, false, check_chain_live(z));
	z->soa = check_chain_ask(c, z, z->name, DNS_TYPE_SOA, false, false, check_chain_live(z));
	z->ns = check_chain_ask(c, z, z->name, DNS_TYPE_NS, false, false, check_chain_live(z));
	z->soa_tcp = check_chain_ask(c, z, z->name, DNS_TYPE_SOA, true, false, check_chain_live(z));
	return CHAIN_BASICS_JUDGE;
}

/* Over UDP nothing usable came from it. */
static bool is_silent(const struct check_zone *z, size_t i)
{
	return z->dnskey->replies[i].reply.fault != DNS_FAULT_NONE &&
	       z->soa->replies[i].reply.fault != DNS_FAULT_NONE &&
	       z->ns->replies[i].reply.fault != DNS_FAULT_NONE;
}

enum chain_state check_chain_basics_judge(struct check_chain *c)
{
	struct check_zone *z = c->zone;
	check_mask again = 0;

	check_chain_group(z->dnskey);
	check_chain_group(z->soa);
	check_chain_group(z->ns);
	check_chain_group(z->soa_tcp);
	for (size_t i = 0; i < z->n_servers; i++) {
		const struct dns_reply *soa = &z->soa->replies[i].reply;

		z->servers[i].silent = is_silent(z, i);
		if (soa->fault == DNS_FAULT_TIMEOUT ||
		    (soa->fault == DNS_FAULT_NONE && (soa->message.rcode == DNS_RCODE_FORMERR ||
						      soa->message.rcode == DNS_RCODE_NOTIMP)))
			again |= (check_mask)1 << i;
	}
	c->ask = again != 0 ? check_chain_ask(c, z, z->name, DNS_TYPE_SOA, false, true, again)
			    : NULL;
	check_chain_ask_upkeep(c, z);
	return CHAIN_EDNS_JUDGE;
}

static void note_silent(struct check_chain *c, struct check_zone *z, size_t i)
{
	enum dns_fault fault = z->soa->replies[i].reply.fault;
	check_mask bit = (check_mask)1 << i;
	struct check_note *n;

	if (fault == DNS_FAULT_UNREACHABLE) {
		check_chain_note(c, &z->notes, CHECK_DNSSEC_SERVER_UNREACHABLE, z->name, NULL, z,
				 bit);
		return;
	}
	n = check_chain_note(c, &z->notes, CHECK_DNSSEC_SERVER_SILENT, z->name, NULL, z, bit);
	n->detail = dns_fault_to_text(fault);
}

/* RFC 1918, RFC 4193, loopback, link-local: nobody else reaches a server there. */
static bool is_private(const char *text)
{
	uint8_t a[16];

	if (inet_pton(AF_INET, text, a) == 1)
		return a[0] == 10 || a[0] == 127 || a[0] == 0 || (a[0] == 172 && a[1] >> 4 == 1) ||
		       (a[0] == 192 && a[1] == 168) || (a[0] == 169 && a[1] == 254);
	return inet_pton(AF_INET6, text, a) == 1 &&
	       ((a[0] & 0xfe) == 0xfc || (a[0] == 0xfe && a[1] >> 6 == 2) ||
		strcmp(text, "::1") == 0);
}

/* The answers to the question without EDNS, where one was asked. */
static void note_edns(struct check_chain *c, struct check_zone *z)
{
	for (size_t i = 0; c->ask != NULL && i < z->n_servers; i++) {
		const struct check_reply *r = &c->ask->replies[i];
		const struct dns_reply *soa = &z->soa->replies[i].reply;

		if (!r->asked || r->reply.fault != DNS_FAULT_NONE || !is_plain_answer(&r->reply))
			continue;
		check_chain_note(c, &z->notes, CHECK_DNSSEC_SERVER_EDNS, z->name, NULL, z,
				 (check_mask)1 << i)
			->detail =
			soa->fault != DNS_FAULT_NONE
				? "answers only questions without EDNS"
				: arena_printf(&c->arena,
					       "answers questions with EDNS "
					       "with %s",
					       dns_rcode_to_text(&c->arena, soa->message.rcode));
	}
}

const char *check_chain_names(struct check_chain *c, const char *const *names, size_t n)
{
	const char *text = "";

	for (size_t i = 0; i < n; i++)
		text = arena_printf(&c->arena, "%s%s%s", text, i > 0 ? ", " : "", names[i]);
	return text;
}

/* The NS records of the zone itself against those that the parent gave. */
static void note_names(struct check_chain *c, struct check_zone *z)
{
	const char *own[CHAIN_NAMES_MAX];
	struct check_set set = {0};
	size_t n = 0, common = 0;

	for (size_t i = 0; i < z->ns->n_variants && set.n == 0; i++)
		set = check_chain_set(c, &z->ns->variants[i].message->answer, z->wire, DNS_TYPE_NS);
	for (size_t i = 0; i < set.n && n < CHAIN_NAMES_MAX; i++) {
		own[n] = dns_rdata_name(&c->arena, DNS_TYPE_NS, set.rr[i]->rdata);
		n += own[n] != NULL;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < z->n_names; k++)
			common += strcmp(own[i], z->names[k]) == 0;
	if (n == 0 || z->n_names == 0 || (common == n && n == z->n_names))
		return;
	check_chain_note(c, &z->notes, CHECK_DNSSEC_NS_DIFFER, z->name, NULL, z, 0)->detail =
		arena_printf(&c->arena, "The parent names %s; the zone itself %s.",
			     check_chain_names(c, z->names, z->n_names),
			     check_chain_names(c, own, n));
}

static void note_servers(struct check_chain *c, struct check_zone *z)
{
	for (size_t i = 0; i < z->n_servers; i++) {
		const struct dns_reply *r = &z->soa->replies[i].reply;
		struct check_note *n = check_chain_note(c, &z->notes, CHECK_DNSSEC_SERVER, z->name,
							NULL, z, (check_mask)1 << i);

		n->level = 1;
		n->detail = arena_printf(
			&c->arena, "%s[%s] %s", z->servers[i].name, z->servers[i].address,
			r->fault == DNS_FAULT_NONE ? arena_printf(&c->arena, "answers in %.1f ms",
								  (double)r->time / 1000)
						   : dns_fault_to_text(r->fault));
		if (z->servers[i].silent)
			note_silent(c, z, i);
		if (is_private(z->servers[i].address))
			check_chain_note(c, &z->notes, CHECK_DNSSEC_NS_PRIVATE, z->name, NULL, z,
					 (check_mask)1 << i);
	}
}

enum chain_state check_chain_edns_judge(struct check_chain *c)
{
	struct check_zone *z = c->zone;

	note_servers(c, z);
	note_edns(c, z);
	check_chain_note_replies(c, z->dnskey, &z->notes);
	check_chain_note_replies(c, z->soa, &z->notes);
	check_chain_note_replies(c, z->ns, &z->notes);
	check_chain_note_replies(c, z->soa_tcp, &z->notes);
	check_chain_note_difference(c, z->dnskey, &z->notes, CHECK_DNSSEC_DIFFER);
	check_chain_note_difference(c, z->soa, &z->notes, CHECK_DNSSEC_SERIAL);
	check_chain_note_difference(c, z->ns, &z->notes, CHECK_DNSSEC_DIFFER);
	note_names(c, z);
	check_chain_judge_zone(c, z);
	check_chain_judge_upkeep(c, z);
	return c->lookup != NULL ? CHAIN_ASK : CHAIN_LOOKUP;
}
