#include "edge/publish/update.h"

#include <stdarg.h>
#include <stdio.h>

enum {
	OPCODE_UPDATE = 5,
	CLASS_IN = 1,
	TYPE_ANY = 255,
	CLASS_NONE = 254,
	CLASS_ANY = 255,
};

/* --- building --------------------------------------------------------------------------------- */

/* A failure stays: one check at the end. */
struct writer {
	struct buf *out;
	int error;
	unsigned counts[2]; /* of prerequisites, of updates */
};

static void put(struct writer *w, const void *p, size_t n)
{
	if (w->error == 0)
		w->error = buf_add(w->out, p, n);
}

static void put_u16(struct writer *w, unsigned v)
{
	put(w, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static void put_name(struct writer *w, const char *name)
{
	uint8_t wire[DANE_NAME_WIRE_MAX];

	put(w, wire, dane_name_to_wire(name, wire));
}

static void put_record(struct writer *w, int section, const char *owner, uint16_t type,
		       uint16_t class, uint32_t ttl, struct span rdata)
{
	put_name(w, owner);
	put_u16(w, type);
	put_u16(w, class);
	put_u16(w, ttl >> 16);
	put_u16(w, ttl & 0xffff);
	put_u16(w, (unsigned)rdata.n);
	put(w, rdata.p, rdata.n);
	w->counts[section]++;
}

static bool names_cname(const struct publish_change *c, const char *owner)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->sets[i].type == DNS_TYPE_CNAME && strcmp(c->sets[i].owner, owner) == 0)
			return true;
	return false;
}

static void put_prerequisites(struct writer *w, const struct publish_change *c)
{
	const struct span none = {NULL, 0};

	for (size_t i = 0; i < c->n; i++) {
		const struct publish_set *s = &c->sets[i];

		/* A CNAME beside other records would be dropped: then the name is not in use. */
		if (s->guarded && s->n_was == 0)
			put_record(w, 0, s->owner,
				   s->type == DNS_TYPE_CNAME && s->n > 0 ? TYPE_ANY : s->type,
				   CLASS_NONE, 0, none);
		for (size_t k = 0; s->guarded && k < s->n_was; k++)
			put_record(w, 0, s->owner, s->type, CLASS_IN, 0, s->was[k]);
		if (s->n > 0 && !names_cname(c, s->owner))
			put_record(w, 0, s->owner, DNS_TYPE_CNAME, CLASS_NONE, 0, none);
	}
}

static void put_updates(struct writer *w, const struct publish_change *c)
{
	for (size_t i = 0; i < c->n; i++)
		put_record(w, 1, c->sets[i].owner, c->sets[i].type, CLASS_ANY, 0, span_of(NULL, 0));
	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < c->sets[i].n; k++)
			put_record(w, 1, c->sets[i].owner, c->sets[i].type, CLASS_IN,
				   c->sets[i].ttl, c->sets[i].rdata[k]);
}

int publish_update_build(const struct publish_change *change, const struct publish_key *key,
			 uint16_t id, int64_t now, struct publish_update *ret)
{
	struct writer w = {.out = &ret->wire};

	*ret = (struct publish_update){.id = id};
	buf_init(&ret->wire, DNS_MESSAGE_MAX);
	put_u16(&w, id);
	put_u16(&w, OPCODE_UPDATE << 11);
	put_u16(&w, 1);
	put(&w, (uint8_t[6]){0}, 6);
	put_name(&w, change->zone);
	put_u16(&w, DNS_TYPE_SOA);
	put_u16(&w, CLASS_IN);
	put_prerequisites(&w, change);
	put_updates(&w, change);
	if (w.error < 0)
		return w.error;
	for (size_t i = 0; i < 2; i++) {
		ret->wire.p[6 + 2 * i] = (uint8_t)(w.counts[i] >> 8);
		ret->wire.p[7 + 2 * i] = (uint8_t)w.counts[i];
	}
	return publish_tsig_sign(&ret->wire, key, now, &ret->mac);
}

void publish_update_done(struct publish_update *u)
{
	buf_done(&u->wire);
}

/* --- the answer ------------------------------------------------------------------------------- */

static void say(struct publish_verdict *v, enum publish_outcome outcome, const char *format, ...)
	_printf_(3, 4);
static void say(struct publish_verdict *v, enum publish_outcome outcome, const char *format, ...)
{
	va_list args;

	v->outcome = outcome;
	va_start(args, format);
	vsnprintf(v->words, sizeof(v->words), format, args);
	va_end(args);
}

static const char *rcode_words(unsigned rcode)
{
	static const char *const words[] = {
		[DNS_RCODE_FORMERR] = "FORMERR: the server does not understand the update",
		[DNS_RCODE_NXDOMAIN] = "NXDOMAIN: a name that should be there is not",
		[DNS_RCODE_NOTIMP] = "NOTIMP: the server does no updates",
		[DNS_RCODE_REFUSED] = "REFUSED: the server does not let this key change that",
		[6] = "YXDOMAIN: a name is there that should not be",
		[7] = "YXRRSET: records are there that should not be, perhaps a CNAME",
		[8] = "NXRRSET: the records there are not the ones expected; nothing was changed",
		[9] = "NOTAUTH: the server is not primary for the zone, or does not take the key",
		[10] = "NOTZONE: a name is not in the zone",
	};

	return rcode < ARRAY_SIZE(words) ? words[rcode] : NULL;
}

/* What an unsigned answer claims, for the reader of the log; it may be anybody's. */
static const char *claim_words(unsigned rcode, uint16_t error)
{
	switch (error) {
	case PUBLISH_BADSIG:
		return "BADSIG: the key's secret is another one there";
	case PUBLISH_BADKEY:
		return "BADKEY: the key is not known there, or may not do that";
	case PUBLISH_BADTIME:
		return "BADTIME: the clocks differ";
	default:
		break;
	}
	if (rcode == DNS_RCODE_REFUSED)
		return "REFUSED: some servers say so when the key or the time is wrong";
	return rcode == 0 ? "NOERROR" : rcode_words(rcode);
}

static void judge_unsigned(const struct publish_signed *s, unsigned rcode,
			   struct publish_verdict *ret)
{
	const char *claim = claim_words(rcode, s->error);

	switch (s->signature) {
	case PUBLISH_SIGNATURE_GOOD:
	case PUBLISH_SIGNATURE_NONE:
	case PUBLISH_SIGNATURE_EMPTY:
		say(ret, PUBLISH_UNKNOWN, "the answer is not signed; it says %s",
		    claim != NULL ? claim : "an error");
		return;
	case PUBLISH_SIGNATURE_OTHER_KEY:
		say(ret, PUBLISH_UNKNOWN, "the answer is signed with another key");
		return;
	case PUBLISH_SIGNATURE_BAD:
		say(ret, PUBLISH_UNKNOWN, "the answer's signature does not hold");
		return;
	case PUBLISH_SIGNATURE_TIME:
		say(ret, PUBLISH_UNKNOWN, "the answer was signed at another time");
		return;
	case PUBLISH_SIGNATURE_MALFORMED:
		say(ret, PUBLISH_UNKNOWN, "the answer is malformed");
		return;
	}
}

static void judge_signed(const struct publish_signed *s, unsigned rcode, int64_t now,
			 struct publish_verdict *ret)
{
	const char *words = rcode_words(rcode);

	if (s->error == PUBLISH_BADTIME)
		say(ret, PUBLISH_REFUSED,
		    "BADTIME: the server's clock is %lld s %s ours; one of the two is wrong",
		    (long long)(s->server_time > now ? s->server_time - now : now - s->server_time),
		    s->server_time > now ? "ahead of" : "behind");
	else if (s->error != 0)
		say(ret, PUBLISH_REFUSED, "TSIG error %u", s->error);
	else if (rcode == DNS_RCODE_NOERROR)
		say(ret, PUBLISH_APPLIED, "done");
	else if (rcode == DNS_RCODE_SERVFAIL)
		say(ret, PUBLISH_UNKNOWN, "SERVFAIL: the server failed in the midst of it");
	else if (words != NULL)
		say(ret, PUBLISH_REFUSED, "%s", words);
	else
		say(ret, PUBLISH_REFUSED, "RCODE %u", rcode);
}

void publish_update_judge(const struct publish_update *u, const struct publish_key *key,
			  struct span answer, int64_t now, struct publish_verdict *ret)
{
	struct publish_signed s;
	unsigned flags, rcode;

	if (answer.n < 12) {
		say(ret, PUBLISH_UNKNOWN, "the answer is malformed");
		return;
	}
	flags = (unsigned)(answer.p[2] << 8 | answer.p[3]);
	rcode = flags & 15;
	if ((answer.p[0] << 8 | answer.p[1]) != u->id || (flags & 0x8000) == 0 ||
	    (flags >> 11 & 15) != OPCODE_UPDATE) {
		say(ret, PUBLISH_UNKNOWN, "the answer is to another question");
		return;
	}
	publish_tsig_verify(answer, key, &u->mac, now, &s);
	if (s.signature == PUBLISH_SIGNATURE_GOOD)
		judge_signed(&s, rcode, now, ret);
	else
		judge_unsigned(&s, rcode, ret);
}
