/* The walk as a picture: what stands in it, and what leads to what. */
#include "jobs/check/chain_data.h"
#include "jobs/check/picture.h"

#include <string.h>

enum {
	KEYS_MAX = 10,    /* of one zone that are drawn */
	SIGNERS_MAX = 6,  /* of one RRset */
	DESCRIBED = 4096, /* octets of the description, more or less */
	/* Rows of a zone's box. */
	ROW_ANCHOR = 0, /* the root's */
	ROW_ENTRY = 1,
	ROW_KEY = 2,
	ROW_SIGNED = 3,
};

/* What the signatures of one key over one RRset came to. */
struct signer {
	uint16_t tag;
	uint8_t algorithm;
	bool good, bad;
	enum dns_signature result; /* of a bad one */
};

struct signers {
	struct signer list[SIGNERS_MAX];
	size_t n;
	bool proven, missing;
};

struct key {
	struct dns_dnskey parsed;
	const struct dns_rr *rr; /* NULL: it is not there */
	bool signs_keys, signs_data;
	size_t node;
};

struct zone {
	const struct check_zone *of;
	size_t index;
	struct check_set set;
	struct key keys[KEYS_MAX];
	size_t n_keys;
};

struct place {
	size_t node, line;
};

struct drawing {
	const struct check_chain *c;
	struct check_picture *p;
	struct arena *a;
	struct zone *zones;
	size_t n_zones;
	const struct check_lookup **lookups; /* beside their places */
	struct place *places;
	struct signers *signers;
	size_t n_lookups;
};

static enum check_tone tone_of(enum dane_security s)
{
	switch (s) {
	case DANE_SECURE:
		return CHECK_TONE_HOLDS;
	case DANE_INSECURE:
		return CHECK_TONE_INSECURE;
	case DANE_BOGUS:
		return CHECK_TONE_BROKEN;
	case DANE_FAILED:
	case DANE_UNASKED:
		break;
	}
	return CHECK_TONE_UNKNOWN;
}

static const char *word_of(enum dane_security s)
{
	return s == DANE_FAILED || s == DANE_UNASKED ? "unknown" : dane_security_to_string(s);
}

static const char *dotted(struct arena *a, const char *name)
{
	return strcmp(name, ".") == 0 ? name : arena_printf(a, "%s.", name);
}

static struct zone *zone_of(struct drawing *d, const struct check_zone *z)
{
	for (size_t i = 0; i < d->n_zones; i++)
		if (d->zones[i].of == z)
			return &d->zones[i];
	return NULL;
}

/* --- signatures ------------------------------------------------------------------------------- */

/* The signatures over `type` (0: of any denial record) among what was remembered of it. */
static struct signers signers_of(const struct check_notes *notes, const struct check_zone *by,
				 uint16_t type)
{
	struct signers s = {0};

	for (const struct check_signed *o = notes->signatures; o != NULL; o = o->next) {
		bool denial = o->covered == DNS_TYPE_NSEC || o->covered == DNS_TYPE_NSEC3;
		size_t i;

		if (o->by != by || (type != 0 ? o->covered != type : !denial))
			continue;
		s.missing = s.missing || o->missing;
		if (o->missing)
			continue;
		for (i = 0; i < s.n; i++)
			if (s.list[i].tag == o->tag && s.list[i].algorithm == o->algorithm)
				break;
		if (i == SIGNERS_MAX)
			continue;
		if (i == s.n)
			s.list[s.n++] = (struct signer){.tag = o->tag, .algorithm = o->algorithm};
		if (o->result == DNS_SIGNATURE_VALID) {
			s.list[i].good = s.proven = true;
		} else {
			s.list[i].bad = true;
			s.list[i].result = o->result;
		}
	}
	return s;
}

static const char *label_of(enum dns_signature s)
{
	static const char *const words[] = {
		[DNS_SIGNATURE_VALID] = NULL,
		[DNS_SIGNATURE_EXPIRED] = "expired",
		[DNS_SIGNATURE_NOT_YET] = "not valid yet",
		[DNS_SIGNATURE_BAD] = "does not fit",
		[DNS_SIGNATURE_KEY_UNFIT] = "the key may not sign",
		[DNS_SIGNATURE_NO_KEY] = "no such key",
		[DNS_SIGNATURE_ALGORITHM] = "algorithm not known",
		[DNS_SIGNATURE_LABELS] = "wrong labels",
		[DNS_SIGNATURE_SIGNER] = "another signer",
		[DNS_SIGNATURE_MALFORMED] = "malformed",
		[DNS_SIGNATURE_LIMIT] = "too many to verify",
	};

	return words[s];
}

/* One of several signatures that does not hold breaks nothing. */
static enum check_tone tone_of_signer(const struct signers *s, const struct signer *one)
{
	if (!one->bad)
		return CHECK_TONE_HOLDS;
	return s->proven ? CHECK_TONE_UNKNOWN : CHECK_TONE_BROKEN;
}

static const char *label_of_signer(const struct signer *one)
{
	if (one->good && one->bad)
		return "not from every server";
	return one->bad ? label_of(one->result) : NULL;
}

/* The key's node; where the zone has no such key, one that says so. */
static size_t key_node(struct drawing *d, struct zone *z, uint16_t tag, uint8_t algorithm,
		       enum check_tone tone)
{
	struct key *k;
	const char *name;

	for (size_t i = 0; i < z->n_keys; i++)
		if (z->keys[i].parsed.tag == tag && z->keys[i].parsed.algorithm == algorithm)
			return z->keys[i].node;
	if (z->n_keys == KEYS_MAX) {
		d->p->left_out = true;
		return CHECK_PICTURE_NONE;
	}
	k = &z->keys[z->n_keys++];
	*k = (struct key){.parsed = {.tag = tag, .algorithm = algorithm}};
	name = arena_printf(d->a, "key %u", tag);
	k->node = check_picture_add_node(d->p, z->index, ROW_ENTRY, CHECK_SHAPE_KEY, tone,
					 arena_printf(d->a, "%s, %s: the zone %s does not have it",
						      name, dns_algorithm_to_text(d->a, algorithm),
						      dotted(d->a, z->of->name)));
	check_picture_add_line(d->p, k->node, tone, name, "is not in the zone");
	return k->node;
}

static void add_signers(struct drawing *d, struct zone *by, const struct signers *s, size_t to)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct signer *one = &s->list[i];
		enum check_tone tone = tone_of_signer(s, one);

		check_picture_add_edge(d->p, CHECK_EDGE_SIGNS, tone,
				       key_node(d, by, one->tag, one->algorithm, tone), to,
				       label_of_signer(one));
	}
	/* What no signature comes with hangs on the key that should have made one. */
	for (size_t i = by->n_keys; s->n == 0 && i-- > 0;)
		if (by->keys[i].signs_data || i == 0) {
			check_picture_add_edge(d->p, CHECK_EDGE_SIGNS, CHECK_TONE_BROKEN,
					       by->keys[i].node, to, "no signature");
			return;
		}
}

/* --- keys ------------------------------------------------------------------------------------- */

static struct check_set find_set(const struct check_ask *a, uint16_t type)
{
	struct check_set set = {0};

	for (size_t i = 0; a != NULL && i < a->n_variants && set.n == 0; i++)
		set = check_chain_set(a->chain, &a->variants[i].message->answer, a->wire, type);
	return set;
}

static bool signs(const struct check_notes *notes, const struct check_zone *z,
		  const struct dns_dnskey *k, bool keys)
{
	for (const struct check_signed *o = notes->signatures; o != NULL; o = o->next)
		if (o->by == z && !o->missing && o->tag == k->tag && o->algorithm == k->algorithm &&
		    (o->covered == DNS_TYPE_DNSKEY) == keys)
			return true;
	return false;
}

static bool signs_any(const struct drawing *d, const struct check_zone *z,
		      const struct dns_dnskey *k)
{
	bool any = signs(&z->notes, z, k, false);

	for (const struct check_lookup *l = d->c->lookups; l != NULL && !any; l = l->next)
		any = l->zone == z && signs(&l->notes, z, k, false);
	for (const struct check_zone *o = d->c->zones; o != NULL && !any; o = o->next)
		any = o->parent == z && signs(&o->notes, z, k, false);
	return any;
}

static bool has_ds(const struct check_set *ds, const struct dns_dnskey *k)
{
	struct dns_ds one;

	for (size_t i = 0; i < ds->n; i++)
		if (check_chain_read_ds(ds->rr[i], &one) == 0 && one.tag == k->tag &&
		    one.algorithm == k->algorithm)
			return true;
	return false;
}

static struct check_set ds_of(const struct check_zone *z)
{
	return z->ds_set.n > 0 ? z->ds_set : find_set(z->ds, DNS_TYPE_DS);
}

static void add_key(struct drawing *d, struct zone *z, const struct dns_rr *rr,
		    const struct dns_dnskey *parsed)
{
	struct key *k = &z->keys[z->n_keys++];
	bool sep = (parsed->flags & DNS_KEY_SEP) != 0, revoked;
	enum check_tone tone = tone_of(z->of->security);
	const char *role, *name, *algorithm = dns_algorithm_to_text(d->a, parsed->algorithm);

	*k = (struct key){.parsed = *parsed, .rr = rr};
	k->signs_keys = signs(&z->of->notes, z->of, parsed, true);
	k->signs_data = signs_any(d, z->of, parsed);
	revoked = (parsed->flags & DNS_KEY_REVOKED) != 0;
	role = revoked ? "revoked" : !sep ? "ZSK" : k->signs_data ? "KSK+ZSK" : "KSK";
	name = arena_printf(d->a, "DNSKEY %u, %s", parsed->tag, role);
	k->node = check_picture_add_node(
		d->p, z->index, sep ? ROW_ENTRY : ROW_KEY, CHECK_SHAPE_KEY, tone,
		arena_printf(d->a, "%s %s, %s, flags %u", dotted(d->a, z->of->name), name,
			     algorithm, parsed->flags));
	check_picture_add_line(d->p, k->node, tone, name, algorithm);
}

/* Those with a part in it first. */
static void add_keys(struct drawing *d, struct zone *z)
{
	struct check_set ds = ds_of(z->of);

	z->set = z->of->keys.n > 0 ? z->of->keys : find_set(z->of->dnskey, DNS_TYPE_DNSKEY);
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < z->set.n && i < DNS_VERIFY_KEYS_MAX; i++) {
			struct dns_dnskey k;

			if (dns_dnskey_read(z->set.rr[i]->rdata, &k) < 0 ||
			    (pass == 0) != (signs(&z->of->notes, z->of, &k, true) ||
					    has_ds(&ds, &k) || signs_any(d, z->of, &k)))
				continue;
			if (z->n_keys == KEYS_MAX) {
				d->p->left_out = true;
				return;
			}
			add_key(d, z, z->set.rr[i], &k);
		}
	}
}

static void add_key_signatures(struct drawing *d, struct zone *z)
{
	struct signers s = signers_of(&z->of->notes, z->of, DNS_TYPE_DNSKEY);
	size_t own = z->n_keys;

	for (size_t i = 0; i < s.n; i++) {
		enum check_tone tone = tone_of_signer(&s, &s.list[i]);
		const char *label = label_of_signer(&s.list[i]);
		size_t from = key_node(d, z, s.list[i].tag, s.list[i].algorithm, tone);

		check_picture_add_edge(d->p, CHECK_EDGE_SELF, tone, from, from, label);
		for (size_t k = 0; k < own; k++)
			if (!z->keys[k].signs_keys && z->keys[k].node != from)
				check_picture_add_edge(d->p, CHECK_EDGE_SIGNS, tone, from,
						       z->keys[k].node, label);
	}
	for (size_t k = 0; s.missing && s.n == 0 && k < own; k++)
		check_picture_add_edge(d->p, CHECK_EDGE_SELF, CHECK_TONE_BROKEN, z->keys[k].node,
				       z->keys[k].node, "no signature");
}

/* --- DS --------------------------------------------------------------------------------------- */

static const char *digest_of(struct arena *a, uint8_t type)
{
	static const char *const words[] = {NULL, "SHA-1", "SHA-256", NULL, "SHA-384"};

	return type < ARRAY_SIZE(words) && words[type] != NULL ? words[type]
							       : arena_printf(a, "digest %u", type);
}

/* From the DS to its key: how well it fits. */
static void add_link(struct drawing *d, struct zone *z, size_t from, const struct dns_ds *ds)
{
	bool holds = z->of->security == DANE_SECURE, tag = false;
	enum check_tone bad = holds                              ? CHECK_TONE_UNKNOWN
			      : z->of->security == DANE_INSECURE ? CHECK_TONE_INSECURE
								 : CHECK_TONE_BROKEN;
	const char *label = "no such key";

	for (size_t i = 0; i < z->n_keys; i++) {
		const struct key *k = &z->keys[i];
		enum dns_ds_match m;

		if (k->rr == NULL || k->parsed.tag != ds->tag ||
		    k->parsed.algorithm != ds->algorithm)
			continue;
		tag = true;
		m = check_chain_compare(ds, k->rr);
		label = m == DNS_DS_MATCH     ? "does not sign the keys"
			: m == DNS_DS_UNKNOWN ? "digest not known"
					      : "the digest differs";
		if (m == DNS_DS_MATCH && k->signs_keys)
			label = NULL;
		check_picture_add_edge(d->p, CHECK_EDGE_SIGNS,
				       label == NULL ? CHECK_TONE_HOLDS : bad, from, k->node,
				       label);
	}
	if (!tag && z->set.n > 0)
		check_picture_add_edge(d->p, CHECK_EDGE_SIGNS, bad, from,
				       key_node(d, z, ds->tag, ds->algorithm, bad), label);
	else if (!tag)
		check_picture_add_edge(d->p, CHECK_EDGE_ZONE, bad, from, z->index,
				       z->of->security == DANE_BOGUS ? "no key" : NULL);
}

static void add_ds(struct drawing *d, struct zone *z, struct zone *at, const struct check_set *set)
{
	enum check_tone tone = tone_of(z->of->ds_security);
	const char *what = z->of->parent != NULL ? "DS" : "trust anchor";
	size_t node = check_picture_add_node(
		d->p, at->index, z->of->parent != NULL ? ROW_SIGNED : ROW_ANCHOR,
		CHECK_SHAPE_RECORDS, tone,
		arena_printf(d->a, "%s of %s: %s", what, dotted(d->a, z->of->name),
			     word_of(z->of->ds_security)));
	struct signers s;

	for (size_t i = 0; i < set->n; i++) {
		struct dns_ds ds;

		if (check_chain_read_ds(set->rr[i], &ds) < 0)
			continue;
		check_picture_add_line(
			d->p, node, tone, set->rr[i]->type == DNS_TYPE_DS ? "DS" : "key",
			arena_printf(d->a, "%u %s%s", ds.tag, digest_of(d->a, ds.digest_type),
				     z->of->parent != NULL ? "" : " (trust anchor)"));
		if (i < KEYS_MAX)
			add_link(d, z, node, &ds);
	}
	if (z->of->parent == NULL || at->set.n == 0)
		return;
	s = signers_of(&z->of->notes, at->of, DNS_TYPE_DS);
	add_signers(d, at, &s, node);
}

/* There is none: proven, not proven, or not known. */
static void add_no_ds(struct drawing *d, struct zone *z, struct zone *at)
{
	enum check_tone tone = tone_of(z->of->ds_security);
	const char *words[] = {"no DS", "no DS, proven", "DS not known", "no DS, not proven"};
	struct signers s;
	size_t node;

	if (at->of->security == DANE_INSECURE || at->set.n == 0) {
		check_picture_add_edge(d->p, CHECK_EDGE_ZONE, tone, CHECK_PICTURE_NONE, z->index,
				       at->of->security == DANE_INSECURE ? "unsigned above" : NULL);
		return;
	}
	node = check_picture_add_node(
		d->p, at->index, ROW_SIGNED, CHECK_SHAPE_RECORDS, tone,
		arena_printf(d->a, "DS of %s: %s", dotted(d->a, z->of->name), words[tone]));
	check_picture_add_line(d->p, node, tone, words[tone],
			       arena_printf(d->a, "for %s", dotted(d->a, z->of->name)));
	s = signers_of(&z->of->notes, at->of, 0);
	if (s.n > 0 || tone == CHECK_TONE_BROKEN)
		add_signers(d, at, &s, node);
	check_picture_add_edge(d->p, CHECK_EDGE_ZONE, tone, node, z->index,
			       tone == CHECK_TONE_INSECURE ? "insecure delegation" : NULL);
}

/* --- what was looked up ----------------------------------------------------------------------- */

static const char *text_of(struct drawing *d, const struct check_lookup *l)
{
	const char *what = "", *more = "";

	if (l->target != NULL)
		what = arena_printf(d->a, "alias of %s", dotted(d->a, l->target));
	else if (l->security == DANE_BOGUS || l->security == DANE_FAILED)
		what = l->why == NULL ? ""
		       : l->why == l->zone->why
			       ? arena_printf(d->a, "the zone is %s", word_of(l->zone->security))
			       : l->why;
	else if (l->content == DANE_RECORDS)
		what = arena_printf(d->a, "%zu record%s", l->records.n,
				    l->records.n == 1 ? "" : "s");
	else
		what = l->content == DANE_NXDOMAIN ? "no such name" : "no such record";
	if (l->target != NULL && l->security != DANE_SECURE && l->why != NULL)
		more = arena_printf(d->a, "; %s", l->why);
	return arena_printf(d->a, "%s %s: %s%s", dns_type_to_text(d->a, l->type),
			    dotted(d->a, l->name), what, more);
}

/* All that vouches for an answer: over its records, or over the records that deny it. */
static struct signers signers_of_lookup(const struct check_lookup *l)
{
	static const uint16_t aliases[] = {DNS_TYPE_CNAME, DNS_TYPE_DNAME};
	struct signers s = signers_of(&l->notes, l->zone, l->type);

	for (size_t i = 0; i < ARRAY_SIZE(aliases) && s.n == 0 && !s.missing; i++)
		s = signers_of(&l->notes, l->zone, aliases[i]);
	return s.n == 0 && !s.missing ? signers_of(&l->notes, l->zone, 0) : s;
}

static bool same_signers(const struct signers *a, const struct signers *b)
{
	if (a->n != b->n || a->proven != b->proven || a->missing != b->missing)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->list[i].tag != b->list[i].tag ||
		    a->list[i].algorithm != b->list[i].algorithm ||
		    a->list[i].good != b->list[i].good || a->list[i].bad != b->list[i].bad ||
		    a->list[i].result != b->list[i].result)
			return false;
	return true;
}

/* Those with the same signatures share a frame. */
static void add_lookup(struct drawing *d, const struct check_lookup *l)
{
	struct zone *z = zone_of(d, l->zone);
	enum check_tone tone = tone_of(l->security);
	struct signers s = signers_of_lookup(l);
	const char *text = text_of(d, l);
	size_t node = CHECK_PICTURE_NONE, i;

	for (i = 0; i < d->n_lookups; i++)
		if (d->lookups[i]->zone == l->zone && d->lookups[i]->security == l->security &&
		    same_signers(&d->signers[i], &s))
			node = d->places[i].node;
	if (node == CHECK_PICTURE_NONE) {
		node = check_picture_add_node(
			d->p, z->index, ROW_SIGNED, CHECK_SHAPE_RECORDS, tone,
			arena_printf(d->a, "%s, %s", text, word_of(l->security)));
		if (z->set.n > 0 && z->of->security != DANE_INSECURE &&
		    (s.n > 0 || tone == CHECK_TONE_BROKEN))
			add_signers(d, z, &s, node);
	}
	d->lookups[d->n_lookups] = l;
	d->signers[d->n_lookups] = s;
	d->places[d->n_lookups++] = (struct place){
		node, check_picture_add_line(d->p, node, tone, word_of(l->security), text)};
}

static void add_aliases(struct drawing *d)
{
	for (size_t i = 0; i < d->n_lookups; i++)
		for (size_t k = 0; k < d->n_lookups; k++)
			if (d->lookups[i]->alias == d->lookups[k])
				check_picture_add_alias(d->p, tone_of(d->lookups[i]->security),
							d->places[i].node, d->places[i].line,
							d->places[k].node, d->places[k].line);
}

/* --- the whole -------------------------------------------------------------------------------- */

static void add_zones(struct drawing *d)
{
	for (const struct check_zone *z = d->c->zones; z != NULL; z = z->next) {
		struct zone *parent = z->parent != NULL ? zone_of(d, z->parent) : NULL;
		struct zone *own = &d->zones[d->n_zones++];

		own->of = z;
		own->index = check_picture_add_zone(
			d->p, parent != NULL ? parent->index : CHECK_PICTURE_NONE,
			tone_of(z->security),
			strcmp(z->name, ".") == 0 ? ". (root)" : dotted(d->a, z->name),
			word_of(z->security), z->security != DANE_SECURE ? z->why : NULL);
		add_keys(d, own);
	}
}

static void draw(struct drawing *d)
{
	add_zones(d);
	for (size_t i = 0; i < d->n_zones; i++) {
		struct zone *z = &d->zones[i];
		struct zone *at = z->of->parent != NULL ? zone_of(d, z->of->parent) : z;
		struct check_set set = ds_of(z->of);

		add_key_signatures(d, z);
		if (set.n > 0)
			add_ds(d, z, at, &set);
		else if (at != z)
			add_no_ds(d, z, at);
	}
	for (const struct check_lookup *l = d->c->lookups; l != NULL; l = l->next)
		if (l->zone != NULL && (l->role != ROLE_ABOVE || l->security == DANE_BOGUS))
			add_lookup(d, l);
	add_aliases(d);
}

/* The picture in words, for those who do not see it. */
static const char *describe(const struct check_chain *c, struct arena *a)
{
	struct buf text;
	const char *copy;
	int ret = 0;

	buf_init(&text, 4 * DESCRIBED);
	for (const struct check_zone *z = c->zones; z != NULL && ret == 0 && text.n < DESCRIBED;
	     z = z->next)
		ret = buf_printf(&text, "Zone %s is %s%s%s. ", dotted(a, z->name),
				 word_of(z->security),
				 z->security != DANE_SECURE && z->why != NULL ? ": " : "",
				 z->security != DANE_SECURE && z->why != NULL ? z->why : "");
	for (const struct check_lookup *l = c->lookups; l != NULL && ret == 0 && text.n < DESCRIBED;
	     l = l->next)
		ret = buf_printf(&text, "%s %s is %s%s%s. ", dns_type_to_text(a, l->type),
				 dotted(a, l->name), word_of(l->security),
				 l->security != DANE_SECURE && l->why != NULL ? ": " : "",
				 l->security != DANE_SECURE && l->why != NULL ? l->why : "");
	copy = arena_text(a, buf_span(&text));
	buf_done(&text);
	return copy;
}

int check_chain_svg(const struct check_chain *c, bool standalone, struct buf *out)
{
	struct arena a = {0};
	struct check_picture p;
	struct drawing d = {.c = c, .p = &p, .a = &a};
	const char *type = c->request.type != 0 ? dns_type_to_text(&a, c->request.type) : NULL;
	int ret;

	check_picture_init(&p,
			   arena_printf(&a, "Chain of trust of %s%s%s%s: %s",
					dotted(&a, c->request.name), type != NULL ? " " : "",
					type != NULL ? type : "", c->request.mail ? " (mail)" : "",
					word_of(check_chain_verdict(c))),
			   describe(c, &a));
	d.zones = arena_calloc(&a, c->n_zones, sizeof(*d.zones));
	d.lookups = arena_calloc(&a, c->n_lookups, sizeof(*d.lookups));
	d.places = arena_calloc(&a, c->n_lookups, sizeof(*d.places));
	d.signers = arena_calloc(&a, c->n_lookups, sizeof(*d.signers));
	draw(&d);
	p.left_out = p.left_out || c->stopped != NULL;
	ret = check_picture_svg(&p, standalone, out);
	check_picture_done(&p);
	arena_done(&a);
	return ret;
}
