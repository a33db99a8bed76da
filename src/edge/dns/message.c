#include "edge/dns/message.h"

#include <errno.h>
#include "edge/dns/record.h"

/* --- names ------------------------------------------------------------------------------------ */

struct reader {
	struct arena *arena;
	struct cursor c;
	size_t names; /* octets unfolded so far */
	/* The last owner: records of one RRset share it. */
	size_t last_at;
	const char *last_text;
	struct span last_wire;
};

enum {
	NOWHERE = SIZE_MAX
};

/*
 * The wire name at the cursor, unfolded into `out` (DANE_NAME_WIRE_MAX). Each pointer must lead to
 * before the place where the part that it ends began: so it comes to an end. The length; 0: failed.
 */
static size_t unfold(struct reader *r, uint8_t *out)
{
	struct cursor *c = &r->c, at = *c;
	size_t n = 0, begin = at.at;
	bool jumped = false;

	for (;;) {
		uint8_t length = cursor_u8(&at);
		struct span label;

		if (!at.failed && (length & 0xc0) == 0xc0) {
			size_t to = (size_t)(length & 0x3f) << 8 | cursor_u8(&at);

			if (!jumped)
				*c = at;
			if (at.failed || to >= begin)
				break;
			jumped = true;
			at.at = begin = to;
			continue;
		}
		label = cursor_take(&at, length);
		if (at.failed || length > DANE_LABEL_MAX || n + 1 + length > DANE_NAME_WIRE_MAX)
			break;
		out[n++] = length;
		if (length > 0)
			memcpy(out + n, label.p, label.n);
		n += label.n;
		if (length > 0)
			continue;
		if (!jumped)
			*c = at;
		r->names += n;
		return n;
	}
	c->failed = true;
	return 0;
}

static struct span lower(struct arena *a, struct span name)
{
	uint8_t out[DANE_NAME_WIRE_MAX];

	for (size_t i = 0; i < name.n; i++)
		out[i] = ascii_lower(name.p[i]); /* a length octet is below "A" */
	return arena_dup(a, span_of(out, name.n));
}

static const char *read_owner(struct reader *r, struct span *ret_wire)
{
	uint8_t wire[DANE_NAME_WIRE_MAX];
	struct cursor at = r->c, name;
	uint8_t first = cursor_u8(&at);
	size_t to = (size_t)(first & 0x3f) << 8 | cursor_u8(&at), begin = r->c.at, n;

	if (!at.failed && (first & 0xc0) == 0xc0)
		begin = to;
	if (!at.failed && (first & 0xc0) == 0xc0 && to == r->last_at) {
		r->c = at;
		*ret_wire = r->last_wire;
		return r->last_text;
	}
	n = unfold(r, wire);
	if (r->c.failed)
		return NULL;
	r->names += n;
	*ret_wire = r->last_wire = lower(r->arena, span_of(wire, n));
	name = cursor_of(*ret_wire);
	r->last_text = dane_name_from_wire(r->arena, &name);
	r->last_at = begin;
	return r->last_text;
}

/* --- records ---------------------------------------------------------------------------------- */

/*
 * RDATA with names in it that may be compressed (RFC 3597 section 4; RRSIG and NSEC must not be,
 * and are read all the same): octets before the first name, names, octets behind (-1: any).
 */
static const struct {
	uint16_t type;
	int before, names, behind;
} shapes[] = {
	{DNS_TYPE_NS, 0, 1, 0},
	{3, 0, 1, 0},
	{4, 0, 1, 0},
	{DNS_TYPE_CNAME, 0, 1, 0},
	{DNS_TYPE_SOA, 0, 2, 20},
	{7, 0, 1, 0},
	{8, 0, 1, 0},
	{9, 0, 1, 0},
	{12, 0, 1, 0},
	{14, 0, 2, 0},
	{DNS_TYPE_MX, 2, 1, 0},
	{17, 0, 2, 0},
	{18, 2, 1, 0},
	{21, 2, 1, 0},
	{24, 18, 1, -1},
	{26, 2, 2, 0},
	{33, 6, 1, 0},
	{36, 2, 1, 0},
	{DNS_TYPE_DNAME, 0, 1, 0},
	{DNS_TYPE_RRSIG, 18, 1, -1},
	{DNS_TYPE_NSEC, 0, 1, -1},
};

static struct span read_shaped(struct reader *r, size_t n, size_t shape)
{
	uint8_t out[18 + 2 * DANE_NAME_WIRE_MAX];
	struct cursor whole = r->c;
	struct span rest, all;
	uint8_t *joined;
	size_t at, end = r->c.at + n;

	r->c.in.n = end; /* nothing of this record lies behind it */
	rest = cursor_take(&r->c, (size_t)shapes[shape].before);
	at = rest.n;
	if (rest.n > 0)
		memcpy(out, rest.p, rest.n);
	for (int i = 0; i < shapes[shape].names; i++)
		at += unfold(r, out + at);
	rest = cursor_rest(&r->c);
	r->c.in = whole.in;
	if (r->c.failed || (shapes[shape].behind >= 0 && rest.n != (size_t)shapes[shape].behind)) {
		r->c.failed = true;
		return span_of(NULL, 0);
	}
	joined = arena_alloc(r->arena, at + rest.n + 1);
	memcpy(joined, out, at);
	if (rest.n > 0)
		memcpy(joined + at, rest.p, rest.n);
	all = span_of(joined, at + rest.n);
	return all;
}

static struct span read_rdata(struct reader *r, uint16_t type, size_t n)
{
	if (n > cursor_left(&r->c)) {
		r->c.failed = true;
		return span_of(NULL, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		if (shapes[i].type == type)
			return read_shaped(r, n, i);
	return arena_dup(r->arena, cursor_take(&r->c, n));
}

static uint32_t read_u32(struct cursor *c)
{
	uint32_t high = cursor_u16(c);

	return high << 16 | cursor_u16(c);
}

static void read_opt(struct dns_message *m, uint16_t class, uint32_t ttl)
{
	m->edns = true;
	m->edns_size = class;
	m->rcode = (uint16_t)(m->rcode | (ttl >> 24) << 4);
	m->edns_version = (uint8_t)(ttl >> 16);
	m->edns_do = (ttl & 0x8000) != 0;
}

/* `count` records; the section's array grows as they come, not as the header says. */
static void read_section(struct reader *r, struct dns_message *m, unsigned count,
			 struct dns_section *ret)
{
	struct dns_rr *list;
	size_t n = 0, most = cursor_left(&r->c) / 11 + 1; /* the shortest record has 11 octets */

	list = arena_calloc(r->arena, count < most ? count : most, sizeof(*list));
	for (unsigned i = 0; i < count && !r->c.failed; i++) {
		struct dns_rr rr = {0};
		uint16_t length;

		rr.owner = read_owner(r, &rr.wire);
		rr.type = cursor_u16(&r->c);
		rr.class = cursor_u16(&r->c);
		rr.ttl = read_u32(&r->c);
		length = cursor_u16(&r->c);
		/* Updates name RRsets by records without RDATA (RFC 2136 section 2.4, 2.5). */
		if (length > 0 || (rr.class != 254 && rr.class != 255))
			rr.rdata = read_rdata(r, rr.type, length);
		if (r->c.failed || r->names > DNS_MESSAGE_NAMES_MAX)
			break;
		if (rr.type == DNS_TYPE_OPT) {
			read_opt(m, rr.class, rr.ttl);
			continue;
		}
		if ((rr.ttl & 0x80000000u) != 0)
			rr.ttl = 0;
		list[n++] = rr;
	}
	*ret = (struct dns_section){list, n};
}

int dns_message_parse(struct arena *a, struct span wire, struct dns_message *ret)
{
	struct reader r = {.arena = a, .c = cursor_of(wire), .last_at = NOWHERE};
	struct span name;
	uint16_t flags, questions, counts[3];

	*ret = (struct dns_message){.size = wire.n, .id = cursor_u16(&r.c)};
	flags = cursor_u16(&r.c);
	questions = cursor_u16(&r.c);
	for (size_t i = 0; i < 3; i++)
		counts[i] = cursor_u16(&r.c);
	if (r.c.failed || questions > 1 || wire.n > DNS_MESSAGE_MAX)
		return -EBADMSG;
	ret->qr = (flags & 0x8000) != 0;
	ret->aa = (flags & 0x0400) != 0;
	ret->tc = (flags & 0x0200) != 0;
	ret->rd = (flags & 0x0100) != 0;
	ret->ra = (flags & 0x0080) != 0;
	ret->ad = (flags & 0x0020) != 0;
	ret->cd = (flags & 0x0010) != 0;
	ret->rcode = flags & 0x000f;
	if (questions == 1) {
		ret->qname = read_owner(&r, &name);
		ret->qtype = cursor_u16(&r.c);
		ret->qclass = cursor_u16(&r.c);
		if (r.c.failed) {
			ret->qname = NULL;
			return -EBADMSG;
		}
	}
	read_section(&r, ret, counts[0], &ret->answer);
	read_section(&r, ret, r.c.failed ? 0 : counts[1], &ret->authority);
	read_section(&r, ret, r.c.failed ? 0 : counts[2], &ret->additional);
	if (r.names > DNS_MESSAGE_NAMES_MAX)
		return -EBADMSG;
	if (r.c.failed)
		return ret->tc ? -EMSGSIZE : -EBADMSG;
	return cursor_left(&r.c) == 0 ? 0 : -EBADMSG;
}

size_t dns_message_query(uint8_t ret[DNS_QUERY_MAX], uint16_t id, const char *name, uint16_t type,
			 bool edns)
{
	static const uint8_t opt[] = {0, 0, DNS_TYPE_OPT, 1232 >> 8, 1232 & 0xff, 0, 0, 0x80, 0,
				      0, 0};
	size_t n = 12;

	memset(ret, 0, n);
	ret[0] = (uint8_t)(id >> 8);
	ret[1] = (uint8_t)id;
	ret[5] = 1;
	ret[11] = edns;
	n += dane_name_to_wire(name, ret + n);
	require(n > 12);
	ret[n++] = (uint8_t)(type >> 8);
	ret[n++] = (uint8_t)type;
	ret[n++] = 0;
	ret[n++] = 1;
	if (edns) {
		memcpy(ret + n, opt, sizeof(opt));
		n += sizeof(opt);
	}
	return n;
}

/* --- RDATA ------------------------------------------------------------------------------------ */

int dns_rrsig_read(struct arena *a, struct span rdata, struct dns_rrsig *ret)
{
	struct cursor c = cursor_of(rdata);

	ret->covered = cursor_u16(&c);
	ret->algorithm = cursor_u8(&c);
	ret->labels = cursor_u8(&c);
	ret->original_ttl = read_u32(&c);
	ret->expiration = read_u32(&c);
	ret->inception = read_u32(&c);
	ret->tag = cursor_u16(&c);
	ret->signer = dane_name_from_wire(a, &c);
	ret->signature = cursor_rest(&c);
	return c.failed ? -EBADMSG : 0;
}

/* RFC 4034 appendix B; B.1 for algorithm 1. */
static uint16_t key_tag(struct span rdata)
{
	uint32_t sum = 0;

	if (rdata.p[3] == 1)
		return rdata.n >= 7 ? (uint16_t)(rdata.p[rdata.n - 3] << 8 | rdata.p[rdata.n - 2])
				    : 0;
	for (size_t i = 0; i < rdata.n; i++)
		sum += i % 2 == 0 ? (uint32_t)rdata.p[i] << 8 : rdata.p[i];
	return (uint16_t)(sum + (sum >> 16));
}

int dns_dnskey_read(struct span rdata, struct dns_dnskey *ret)
{
	struct cursor c = cursor_of(rdata);

	ret->flags = cursor_u16(&c);
	ret->protocol = cursor_u8(&c);
	ret->algorithm = cursor_u8(&c);
	ret->key = cursor_rest(&c);
	if (c.failed)
		return -EBADMSG;
	ret->tag = key_tag(rdata);
	return 0;
}

int dns_ds_read(struct span rdata, struct dns_ds *ret)
{
	struct cursor c = cursor_of(rdata);

	ret->tag = cursor_u16(&c);
	ret->algorithm = cursor_u8(&c);
	ret->digest_type = cursor_u8(&c);
	ret->digest = cursor_rest(&c);
	return c.failed ? -EBADMSG : 0;
}

/* RFC 4034 section 4.1.2: windows ascend, 1-32 octets each. */
static bool types_are_good(struct span bitmap)
{
	struct cursor c = cursor_of(bitmap);
	int last = -1;

	while (cursor_left(&c) > 0) {
		int window = cursor_u8(&c), n = cursor_u8(&c);

		cursor_take(&c, (size_t)n);
		if (c.failed || window <= last || n < 1 || n > 32)
			return false;
		last = window;
	}
	return true;
}

bool dns_types_has(struct span bitmap, uint16_t type)
{
	struct cursor c = cursor_of(bitmap);

	while (cursor_left(&c) > 0) {
		unsigned window = cursor_u8(&c);
		struct span bits = cursor_take(&c, cursor_u8(&c));
		unsigned low = type & 0xff;

		if (window == type >> 8)
			return low / 8 < bits.n && (bits.p[low / 8] & 0x80 >> low % 8) != 0;
	}
	return false;
}

int dns_nsec_read(struct span rdata, struct dns_nsec *ret)
{
	size_t n = 0;

	while (n < rdata.n && rdata.p[n] > 0 && rdata.p[n] <= DANE_LABEL_MAX)
		n += 1u + rdata.p[n];
	if (n >= rdata.n || rdata.p[n] != 0 || n >= DANE_NAME_WIRE_MAX)
		return -EBADMSG;
	ret->next = span_of(rdata.p, n + 1);
	ret->types = span_skip(rdata, n + 1);
	return types_are_good(ret->types) ? 0 : -EBADMSG;
}

int dns_nsec3_read(struct span rdata, struct dns_nsec3 *ret)
{
	struct cursor c = cursor_of(rdata);

	ret->algorithm = cursor_u8(&c);
	ret->flags = cursor_u8(&c);
	ret->iterations = cursor_u16(&c);
	ret->salt = cursor_take(&c, cursor_u8(&c));
	ret->next = cursor_take(&c, cursor_u8(&c));
	ret->types = cursor_rest(&c);
	return c.failed || ret->next.n == 0 || !types_are_good(ret->types) ? -EBADMSG : 0;
}

const char *dns_rdata_name(struct arena *a, uint16_t type, struct span rdata)
{
	struct cursor c = cursor_of(rdata);
	const char *name;

	if (type == DNS_TYPE_MX)
		cursor_u16(&c);
	name = dane_name_from_wire(a, &c);
	return cursor_left(&c) == 0 ? name : NULL;
}

/* --- text ------------------------------------------------------------------------------------- */

const char *dns_type_to_text(struct arena *a, uint16_t type)
{
	char *text = ldns_rr_type2str((ldns_rr_type)type);
	const char *copy = text != NULL ? arena_strdup(a, text) : "?";

	free(text);
	return copy;
}

uint16_t dns_type_from_text(const char *word)
{
	ldns_rr_type type;

	if (strlen(word) > 16)
		return 0;
	type = ldns_get_rr_type_by_name(word);
	/* RFC 6895 section 3.1: 0, OPT, and 128-255 are questions and machinery, not data. */
	if (type <= 0 || type > 65279 || type == LDNS_RR_TYPE_OPT || (type >= 128 && type <= 255))
		return 0;
	return (uint16_t)type;
}

const char *dns_rcode_to_text(struct arena *a, uint16_t rcode)
{
	static const char *const words[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
					    "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
					    "NXRRSET", "NOTAUTH", "NOTZONE"};

	if (rcode == 16)
		return "BADVERS";
	return rcode < ARRAY_SIZE(words) ? words[rcode] : arena_printf(a, "RCODE %u", rcode);
}

/* RFC 3597 section 5: the form for data that does not have the form of its type. */
static const char *generic_text(struct arena *a, const struct dns_rr *rr)
{
	char *hex = arena_alloc(a, rr->rdata.n * 2 + 1);

	for (size_t i = 0; i < rr->rdata.n; i++)
		snprintf(hex + 2 * i, 3, "%02x", rr->rdata.p[i]);
	return arena_printf(a, "%s %u IN %s \\# %zu %s", rr->owner, rr->ttl,
			    dns_type_to_text(a, rr->type), rr->rdata.n, hex);
}

const char *dns_rr_to_text(struct arena *a, const struct dns_rr *rr)
{
	ldns_rr *parsed = dns_record_to_ldns(rr);
	char *text = parsed != NULL ? ldns_rr2str(parsed) : NULL, *copy;
	size_t n;

	ldns_rr_free(parsed);
	if (text == NULL)
		return generic_text(a, rr);
	n = strlen(text);
	copy = arena_text(a, span_of(text, n > 0 && text[n - 1] == '\n' ? n - 1 : n));
	free(text);
	for (char *p = copy; *p != '\0'; p++) {
		if (*p == '\t')
			*p = ' ';
		else if (*p < ' ' || *p > '~')
			*p = '?';
	}
	return copy;
}
