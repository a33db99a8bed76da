/* The walk as findings, and as plain JSON. */
#include "jobs/check/chain_data.h"

#include <string.h>

enum {
	LINES_MAX = 20000, /* records written at detail 3 */
	RECORDS_NAMED = 6, /* of those that share a fault */
};

struct report {
	const struct check_chain *c;
	struct check_tree *t;
	unsigned detail;
	size_t lines, packets;
};

static const char *word(enum dane_security s)
{
	return s == DANE_FAILED || s == DANE_UNASKED ? "unknown" : dane_security_to_string(s);
}

/* --- notes ------------------------------------------------------------------------------------ */

static bool same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool equal(const struct check_note *a, const struct check_note *b)
{
	return a->kind == b->kind && a->at == b->at && same(a->subject, b->subject) &&
	       same(a->record, b->record) && same(a->tag, b->tag) && same(a->detail, b->detail) &&
	       same(a->fix, b->fix);
}

/* The root is "" where a text adds the dot. */
static const char *zone_text(const struct check_zone *z)
{
	return z == NULL || strcmp(z->name, ".") == 0 ? "" : z->name;
}

/* A note with what was joined to it. */
struct joined {
	const struct check_note *note;
	check_mask servers;
	const char *records;
	unsigned n_records;
};

static void report_note(struct report *r, struct check_finding *parent, const struct check_zone *z,
			const struct joined *j)
{
	struct arena *a = &r->t->arena;
	const struct check_note *n = j->note;

	check_add(r->t, parent, n->kind, n->subject, "record", j->records, "tag", n->tag, "detail",
		  n->detail, "fix", n->fix != NULL ? n->fix : "", "zone",
		  zone_text(n->at != NULL ? n->at : z), "parent",
		  zone_text(z != NULL ? z->parent : NULL), "servers",
		  check_chain_servers(a, n->at, j->servers), NULL);
}

/* The same of several servers. */
static size_t join_servers(const struct report *r, const struct check_notes *notes,
			   struct joined *list)
{
	size_t n = 0;

	for (const struct check_note *o = notes->first; o != NULL; o = o->next) {
		size_t i;

		if (o->level > r->detail)
			continue;
		for (i = 0; i < n && !equal(list[i].note, o);)
			i++;
		if (i == n)
			list[n++] =
				(struct joined){.note = o, .records = o->record, .n_records = 1};
		list[i].servers |= o->servers;
	}
	return n;
}

/* The same of several records: a zone that was not signed in time says so once. */
static void join_records(struct report *r, struct joined *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct check_note one, two;

		if (list[i].note == NULL || list[i].note->record == NULL ||
		    list[i].note->kind == CHECK_DNSSEC_RRSIG)
			continue;
		for (size_t k = i + 1; k < n; k++) {
			if (list[k].note == NULL || list[k].servers != list[i].servers ||
			    list[k].note->record == NULL)
				continue;
			one = *list[i].note;
			two = *list[k].note;
			one.subject = two.subject = one.record = two.record = NULL;
			if (!equal(&one, &two))
				continue;
			if (list[i].n_records++ < RECORDS_NAMED)
				list[i].records = arena_printf(&r->t->arena, "%s, %s",
							       list[i].records, list[k].records);
			list[k].note = NULL;
		}
		if (list[i].n_records > RECORDS_NAMED)
			list[i].records =
				arena_printf(&r->t->arena, "%s and %u more", list[i].records,
					     list[i].n_records - RECORDS_NAMED);
	}
}

static void report_notes(struct report *r, struct check_finding *parent, const struct check_zone *z,
			 const struct check_notes *notes)
{
	struct joined *list;
	size_t n = 0;

	for (const struct check_note *o = notes->first; o != NULL; o = o->next)
		n++;
	list = xcalloc(n, sizeof(*list));
	n = join_servers(r, notes, list);
	join_records(r, list, n);
	for (size_t i = 0; i < n; i++)
		if (list[i].note != NULL)
			report_note(r, parent, z, &list[i]);
	free(list);
}

/* --- packets ---------------------------------------------------------------------------------- */

static void report_line(struct report *r, struct check_finding *parent, const char *section,
			const struct dns_rr *rr)
{
	if (r->lines++ >= LINES_MAX)
		return;
	check_add(r->t, parent, CHECK_DNSSEC_LINE, section, "detail",
		  dns_rr_to_text(&r->t->arena, rr), NULL);
}

static void report_section(struct report *r, struct check_finding *parent, const char *name,
			   const struct dns_section *s)
{
	for (size_t i = 0; i < s->n; i++)
		report_line(r, parent, name, &s->rr[i]);
}

static const char *flags_text(struct arena *a, const struct dns_message *m)
{
	return arena_printf(a, "%s%s%s%s%s%s", m->aa ? " aa" : "", m->tc ? " tc" : "",
			    m->rd ? " rd" : "", m->ra ? " ra" : "", m->ad ? " ad" : "",
			    m->edns_do ? " do" : "");
}

static void report_ask(struct report *r, struct check_finding *parent, const struct check_ask *q)
{
	struct arena *a = &r->t->arena;
	const char *question =
		arena_printf(a, "%s %s%s%s", q->name, dns_type_to_text(a, q->type),
			     q->tcp ? " over TCP" : "", q->plain ? " without EDNS" : "");

	for (size_t i = 0; i < q->at->n_servers && r->packets < CHAIN_PACKETS_MAX; i++) {
		const struct check_reply *y = &q->replies[i];
		const struct dns_message *m = &y->reply.message;
		struct check_finding *f;
		bool first = false;

		if (!y->asked)
			continue;
		r->packets++;
		for (size_t v = 0; v < q->n_variants; v++)
			first = first || q->variants[v].message == m;
		f = check_add(
			r->t, parent, CHECK_DNSSEC_PACKET, question, "detail",
			y->reply.fault != DNS_FAULT_NONE
				? arena_printf(a, "%s[%s] %s", q->at->servers[i].name,
					       q->at->servers[i].address,
					       dns_fault_to_text(y->reply.fault))
				: arena_printf(a, "%s[%s]: %s,%s, %zu octets, %s%s, %.1f ms%s",
					       q->at->servers[i].name, q->at->servers[i].address,
					       dns_rcode_to_text(a, m->rcode), flags_text(a, m),
					       m->size, y->reply.truncated ? "UDP truncated, " : "",
					       y->reply.transport == DNS_TCP ? "TCP" : "UDP",
					       (double)y->reply.time / 1000,
					       first || q->plain ? "" : ", as the one before it"),
			NULL);
		if (y->reply.fault != DNS_FAULT_NONE || (!first && !q->plain))
			continue;
		report_section(r, f, "answer", &m->answer);
		report_section(r, f, "authority", &m->authority);
		report_section(r, f, "additional", &m->additional);
	}
}

/* `text` as a sentence; "" stays so. */
static const char *sentence(struct arena *a, const char *text)
{
	return *text != '\0' ? arena_printf(a, "%s.", text) : "";
}

/* --- names and zones -------------------------------------------------------------------------- */

static const char *content_text(const struct check_lookup *l)
{
	if (l->security == DANE_BOGUS || l->security == DANE_FAILED)
		return "";
	if (l->content == DANE_RECORDS)
		return "";
	return l->content == DANE_NXDOMAIN ? "There is no such name" : "There is no such record";
}

static void report_lookup(struct report *r, struct check_finding *parent,
			  const struct check_lookup *l)
{
	static const enum check_kind kinds[] = {[DANE_SECURE] = CHECK_DNSSEC_NAME_SECURE,
						[DANE_INSECURE] = CHECK_DNSSEC_NAME_INSECURE,
						[DANE_BOGUS] = CHECK_DNSSEC_NAME_BOGUS,
						[DANE_FAILED] = CHECK_DNSSEC_NAME_UNKNOWN,
						[DANE_UNASKED] = CHECK_DNSSEC_NAME_UNKNOWN};
	struct arena *a = &r->t->arena;
	const char *detail = content_text(l);
	struct check_finding *f;

	if (*detail == '\0' && l->why != NULL && l->security != DANE_SECURE)
		detail = l->why;
	else if (l->content == DANE_RECORDS && l->target == NULL)
		detail =
			arena_printf(a, "%zu record%s", l->records.n, l->records.n == 1 ? "" : "s");
	f = check_add(r->t, parent, kinds[l->security], l->name, "record",
		      arena_printf(a, "%s", dns_type_to_text(a, l->type)), "detail",
		      sentence(a, detail), NULL);
	for (size_t i = 0; i < l->records.n && r->detail > 0; i++) {
		if (r->lines++ >= LINES_MAX)
			break;
		check_add(r->t, f, CHECK_DNSSEC_RECORD, l->name, "detail",
			  dns_rr_to_text(a, l->records.rr[i]), NULL);
	}
	report_notes(r, f, l->zone, &l->notes);
}

static void report_zone_itself(struct report *r, struct check_finding **parent,
			       const struct check_zone *z)
{
	static const enum check_kind kinds[] = {[DANE_SECURE] = CHECK_DNSSEC_ZONE_SECURE,
						[DANE_INSECURE] = CHECK_DNSSEC_ZONE_INSECURE,
						[DANE_BOGUS] = CHECK_DNSSEC_ZONE_BOGUS,
						[DANE_FAILED] = CHECK_DNSSEC_ZONE_UNKNOWN,
						[DANE_UNASKED] = CHECK_DNSSEC_ZONE_UNKNOWN};
	struct arena *a = &r->t->arena;
	const char *detail = arena_printf(a, "%zu key%s, %zu server address%s", z->keys.n,
					  z->keys.n == 1 ? "" : "s", z->n_servers,
					  z->n_servers == 1 ? "" : "es");

	if (z->security != DANE_SECURE && z->why != NULL)
		detail = z->why;
	*parent = check_add(r->t, *parent, kinds[z->security], z->name, "detail",
			    sentence(a, detail), NULL);
	report_notes(r, *parent, z, &z->notes);
}

/* Of a zone that an earlier walk told of, only the names. */
static void report_zone(struct report *r, struct check_finding *f, const struct check_zone *z)
{
	if (!z->is_known)
		report_zone_itself(r, &f, z);
	for (const struct check_lookup *l = r->c->lookups; l != NULL; l = l->next)
		if (l->zone == z)
			report_lookup(r, f, l);
	for (const struct check_ask *q = z->asks; q != NULL && r->detail >= 3; q = q->next)
		report_ask(r, f, q);
}

void check_chain_report(const struct check_chain *c, struct check_tree *t,
			struct check_finding *parent, unsigned detail)
{
	struct report r = {.c = c, .t = t, .detail = detail};

	for (const struct check_zone *z = c->zones; z != NULL; z = z->next)
		if (!z->is_shell)
			report_zone(&r, parent, z);
	for (const struct check_lookup *l = c->lookups; l != NULL; l = l->next)
		if (l->zone == NULL && !l->elsewhere)
			report_lookup(&r, parent, l);
	if (c->untold)
		check_add(t, parent, CHECK_DNSSEC_UNTOLD, c->request.name, "detail",
			  "There was more to tell than one report can hold", NULL);
	if (c->stopped != NULL)
		check_add(t, parent, CHECK_DNSSEC_LIMIT, c->request.name, "detail", c->stopped,
			  NULL);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static struct js *zone_json(const struct check_zone *z)
{
	struct js *v = js_object(), *servers = js_array(), *keys = js_array(), *ds = js_array();

	js_set_text(v, "zone", z->name);
	js_set_text(v, "parent", z->parent != NULL ? z->parent->name : NULL);
	js_set_text(v, "security", word(z->security));
	js_set_text(v, "reason", z->why);
	for (size_t i = 0; i < z->n_servers; i++) {
		struct js *s = js_object();

		js_set_text(s, "name", z->servers[i].name);
		js_set_text(s, "address", z->servers[i].address);
		js_set_bool(s, "answers", !z->servers[i].silent && z->soa != NULL);
		js_push(servers, s);
	}
	for (size_t i = 0; i < z->keys.n; i++) {
		struct dns_dnskey key;
		struct js *k;

		if (dns_dnskey_read(z->keys.rr[i]->rdata, &key) < 0)
			continue;
		k = js_object();
		js_set_int(k, "tag", key.tag);
		js_set_int(k, "algorithm", key.algorithm);
		js_set_int(k, "flags", key.flags);
		js_push(keys, k);
	}
	for (size_t i = 0; i < z->ds_set.n; i++) {
		struct dns_ds one;
		struct js *d;

		if (z->ds_set.rr[i]->type != DNS_TYPE_DS ||
		    dns_ds_read(z->ds_set.rr[i]->rdata, &one) < 0)
			continue;
		d = js_object();
		js_set_int(d, "tag", one.tag);
		js_set_int(d, "algorithm", one.algorithm);
		js_set_int(d, "digest", one.digest_type);
		js_push(ds, d);
	}
	js_set(v, "servers", servers);
	js_set(v, "ds", ds);
	js_set(v, "keys", keys);
	return v;
}

static struct js *lookup_json(const struct check_lookup *l)
{
	static const char *const contents[] = {"records", "nodata", "nxdomain"};
	struct js *v = js_object(), *records = js_array();
	struct arena a = {0};

	js_set_text(v, "name", l->name);
	js_set_text(v, "type", dns_type_to_text(&a, l->type));
	js_set_text(v, "zone", l->zone != NULL ? l->zone->name : NULL);
	js_set_text(v, "security", word(l->security));
	js_set_text(v, "reason", l->security != DANE_SECURE ? l->why : NULL);
	js_set_text(v, "content",
		    l->security == DANE_BOGUS || l->security == DANE_FAILED ? NULL
									    : contents[l->content]);
	js_set_text(v, "alias", l->target);
	js_set_text(v, "alias_of", l->origin != NULL ? l->origin->name : NULL);
	js_set_text(v, "validator",
		    l->validator == DANE_UNASKED ? NULL : dane_security_to_string(l->validator));
	for (size_t i = 0; i < l->records.n; i++)
		js_push_text(records, dns_rr_to_text(&a, l->records.rr[i]));
	js_set(v, "records", records);
	arena_done(&a);
	return v;
}

struct js *check_chain_json(const struct check_chain *c)
{
	struct js *v = js_object(), *zones = js_array(), *names = js_array();
	struct arena a = {0};

	js_set_text(v, "name", c->request.name);
	js_set_text(v, "type", c->request.type != 0 ? dns_type_to_text(&a, c->request.type) : NULL);
	js_set_bool(v, "mail", c->request.mail);
	if (c->request.now != 0)
		js_set_int(v, "at", c->request.now);
	else
		js_set_null(v, "at");
	js_set_text(v, "verdict", word(check_chain_verdict(c)));
	for (const struct check_zone *z = c->zones; z != NULL; z = z->next)
		js_push(zones, zone_json(z));
	for (const struct check_lookup *l = c->lookups; l != NULL; l = l->next)
		js_push(names, lookup_json(l));
	js_set(v, "zones", zones);
	js_set(v, "names", names);
	arena_done(&a);
	return v;
}
