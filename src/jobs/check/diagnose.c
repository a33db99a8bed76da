#include "jobs/check/diagnose.h"

#include <string.h>

#include "base/hex.h"
#include "edge/tls/facts.h"

enum {
	DEPTH_MAX = 10, /* certificates of the chain that are tried */
};

struct trial {
	const struct dane_tlsa *record;
	const struct tls_chain *chain;
	struct arena *a;
	size_t depth; /* certificates to try */
};

static struct check_diagnosis say(enum check_cause cause, const char *sentence, const char *as)
{
	return (struct check_diagnosis){cause, sentence, as};
}

static bool holds(const struct trial *t, size_t i, uint8_t selector, uint8_t matching)
{
	struct span bytes = tls_chain_der(t->chain, i, selector, t->a);
	struct span want = tls_digest(matching, bytes, t->a);

	return want.n > 0 && span_eq(t->record->data, want);
}

static const char *record_as(const struct trial *t, unsigned usage, unsigned selector,
			     unsigned matching)
{
	return arena_printf(t->a, "%u %u %u %s", usage, selector, matching,
			    hex_encode(t->a, t->record->data));
}

static const char *what(uint8_t selector)
{
	return selector == DANE_SELECTOR_CERT ? "certificate" : "key";
}

static const char *owner_of(const struct trial *t, size_t i)
{
	if (i == 0)
		return "the server's own";
	return arena_printf(t->a, "the issuer's (\"%s\")",
			    tls_chain_facts(t->chain, i, t->a).subject);
}

/* The data is right for some certificate of the chain; which field is wrong? */
static struct check_diagnosis misfiled(const struct trial *t, size_t i, uint8_t selector,
				       uint8_t matching)
{
	const struct dane_tlsa *r = t->record;
	unsigned usage = i == 0 ? DANE_USAGE_DANE_EE : DANE_USAGE_DANE_TA;
	const char *as = record_as(t, usage, selector, matching);
	bool fields = r->selector == selector && r->matching == matching;

	if (r->usage <= DANE_USAGE_PKIX_EE && fields)
		return say(CHECK_CAUSE_PKIX_USAGE,
			   arena_printf(t->a,
					"usage %u is not for SMTP (RFC 7672 section 3.1.3): as "
					"\"%s\" it would match",
					r->usage, as),
			   as);
	if (r->usage == usage && fields)
		return say(CHECK_CAUSE_MATCHES, "the record matches", NULL);
	if (r->usage == DANE_USAGE_DANE_EE && i > 0)
		return say(CHECK_CAUSE_EE_HOLDS_CA,
			   arena_printf(t->a, "the record holds %s %s: as \"%s\" it would match",
					owner_of(t, i), what(selector), as),
			   as);
	if (r->usage == DANE_USAGE_DANE_TA && i == 0)
		return say(CHECK_CAUSE_TA_HOLDS_LEAF,
			   arena_printf(t->a,
					"the record holds the server's own %s, and usage 2 wants "
					"an issuer's: as \"%s\" it would match",
					what(selector), as),
			   as);
	if (r->selector != selector)
		return say(CHECK_CAUSE_SELECTOR,
			   arena_printf(t->a,
					"the record says selector %u (%s) and holds the %s: as "
					"\"%s\" it would match",
					r->selector, what(r->selector), what(selector), as),
			   as);
	return say(CHECK_CAUSE_MATCHING,
		   arena_printf(t->a,
				"the record says matching type %u and holds matching type %u: as "
				"\"%s\" it would match",
				r->matching, matching, as),
		   as);
}

static bool find_misfiled(const struct trial *t, struct check_diagnosis *ret)
{
	for (size_t i = 0; i < t->depth; i++) {
		for (uint8_t selector = 0; selector <= 1; selector++) {
			for (uint8_t matching = 0; matching <= 2; matching++) {
				if (!holds(t, i, selector, matching))
					continue;
				*ret = misfiled(t, i, selector, matching);
				return true;
			}
		}
	}
	return false;
}

static bool is_hash_of(const struct trial *t, struct span bytes)
{
	return span_eq(t->record->data, tls_digest(DANE_MATCHING_SHA256, bytes, t->a)) ||
	       span_eq(t->record->data, tls_digest(DANE_MATCHING_SHA512, bytes, t->a));
}

/* PEM text with and without its last line end. */
static bool is_hash_of_text(const struct trial *t, struct span text)
{
	return text.n > 0 && (is_hash_of(t, text) || is_hash_of(t, span_of(text.p, text.n - 1)));
}

/* The PEM file of the first 2, 3 ... certificates, as sent. */
static bool is_hash_of_chain_file(const struct trial *t)
{
	struct span all = tls_chain_pem(t->chain, 0, DANE_SELECTOR_CERT, t->a);

	for (size_t i = 1; i < t->depth; i++) {
		struct span more = tls_chain_pem(t->chain, i, DANE_SELECTOR_CERT, t->a);

		all = span_text(arena_printf(t->a, "%.*s%.*s", (int)all.n, (const char *)all.p,
					     (int)more.n, (const char *)more.p));
		if (is_hash_of_text(t, all))
			return true;
	}
	return false;
}

static bool is_hash_of_hex(const struct trial *t, size_t i, uint8_t selector)
{
	struct span der = tls_chain_der(t->chain, i, selector, t->a);
	const char *hex = hex_encode(t->a, tls_digest(DANE_MATCHING_SHA256, der, t->a));

	return is_hash_of(t, span_text(hex)) ||
	       is_hash_of(t, span_text(arena_printf(t->a, "%s\n", hex)));
}

static bool find_wrong_input(const struct trial *t, struct check_diagnosis *ret)
{
	if (is_hash_of(t, span_of("", 0))) {
		*ret = say(CHECK_CAUSE_EMPTY_INPUT,
			   "the record holds the hash of nothing: whatever made it read an empty "
			   "file",
			   NULL);
		return true;
	}
	if (is_hash_of_chain_file(t)) {
		*ret = say(CHECK_CAUSE_PEM,
			   "the record holds the hash of the file with the whole chain as PEM "
			   "text; it must be of the DER bytes of one certificate or key",
			   NULL);
		return true;
	}
	for (size_t i = 0; i < t->depth; i++) {
		for (uint8_t selector = 0; selector <= 1; selector++) {
			if (is_hash_of_text(t, tls_chain_pem(t->chain, i, selector, t->a))) {
				*ret = say(CHECK_CAUSE_PEM,
					   arena_printf(t->a,
							"the record holds the hash of %s %s as PEM "
							"text; it must be of the DER bytes",
							owner_of(t, i), what(selector)),
					   NULL);
				return true;
			}
			if (span_eq(t->record->data,
				    tls_sha1(tls_chain_der(t->chain, i, selector, t->a), t->a))) {
				*ret = say(CHECK_CAUSE_SHA1,
					   arena_printf(t->a,
							"the record holds the SHA-1 of %s %s; TLSA "
							"has SHA2-256 (1) and SHA2-512 (2) only",
							owner_of(t, i), what(selector)),
					   NULL);
				return true;
			}
			if (is_hash_of_hex(t, i, selector)) {
				*ret = say(CHECK_CAUSE_HEX_TEXT,
					   arena_printf(t->a,
							"the record holds the hash of a hash: that "
							"of %s %s, written in hexadecimal",
							owner_of(t, i), what(selector)),
					   NULL);
				return true;
			}
		}
	}
	return false;
}

/* How many hexadecimal digits differ; SIZE_MAX for data of another length. */
static size_t digits_apart(struct span a, struct span b)
{
	size_t n = 0;

	if (a.n != b.n)
		return SIZE_MAX;
	for (size_t i = 0; i < a.n; i++) {
		uint8_t x = a.p[i] ^ b.p[i];

		n += ((x & 0xf0) != 0) + ((x & 0x0f) != 0);
	}
	return n;
}

static bool find_digit(const struct trial *t, struct check_diagnosis *ret)
{
	const struct dane_tlsa *r = t->record;

	for (size_t i = 0; i < t->depth; i++) {
		struct span der, want;
		size_t apart;

		if (r->selector > 1 || r->matching < 1 || r->matching > 2)
			return false;
		der = tls_chain_der(t->chain, i, r->selector, t->a);
		want = tls_digest(r->matching, der, t->a);
		apart = digits_apart(r->data, want);
		if (apart == 0 || apart > 2)
			continue;
		*ret = say(CHECK_CAUSE_DIGIT,
			   arena_printf(t->a, "%s: a slip in copying; it should be %s",
					apart == 1 ? "one digit differs" : "two digits differ",
					hex_encode(t->a, want)),
			   arena_printf(t->a, "%u %u %u %s", r->usage, r->selector, r->matching,
					hex_encode(t->a, want)));
		return true;
	}
	return false;
}

/* Which certificate the record may be of that the server does not send: a guess, and said so. */
static struct check_diagnosis absent(const struct trial *t)
{
	struct tls_facts top = tls_chain_facts(t->chain, t->depth - 1, t->a);
	const char *sent = NULL;

	for (size_t i = 1; i < t->depth; i++)
		sent = arena_printf(t->a, "%s%s\"%s\"", sent != NULL ? sent : "",
				    sent != NULL ? ", " : "",
				    tls_chain_facts(t->chain, i, t->a).subject);
	if (top.self_signed)
		return say(CHECK_CAUSE_TA_ABSENT,
			   arena_printf(t->a,
					"the record is of an issuer that the server does not send "
					"(it sends %s): of a former one, most likely, for CAs "
					"replace theirs without notice",
					sent != NULL ? sent : "no issuer"),
			   NULL);
	return say(CHECK_CAUSE_TA_ABSENT,
		   arena_printf(t->a,
				"the record is of an issuer that the server does not send (it "
				"sends %s): of \"%s\", which must be sent for usage 2 to work (RFC "
				"7672 section 3.1.2), or of a former one, for CAs replace theirs "
				"without notice",
				sent != NULL ? sent : "no issuer", top.issuer),
		   NULL);
}

/* It matches, but a stronger digest counts; the record with that digest would do. */
static struct check_diagnosis set_aside(const struct trial *t)
{
	const struct dane_tlsa *r = t->record;
	const char *as = NULL;

	for (size_t i = 0; i < t->depth; i++) {
		struct span der = tls_chain_der(t->chain, i, r->selector, t->a);

		if (holds(t, i, r->selector, r->matching)) {
			as = arena_printf(
				t->a, "%u %u %u %s", r->usage, r->selector, DANE_MATCHING_SHA512,
				hex_encode(t->a, tls_digest(DANE_MATCHING_SHA512, der, t->a)));
			break;
		}
	}
	return say(CHECK_CAUSE_AGILITY,
		   "the record matches, but for its usage and selector a SHA2-512 record is "
		   "published too, and only the strongest digest counts (RFC 7671 section 9)",
		   as);
}

static struct check_diagnosis diagnose(const struct trial *t, bool aside)
{
	const struct dane_tlsa *r = t->record;
	struct check_diagnosis d;

	if (find_misfiled(t, &d))
		return d.cause == CHECK_CAUSE_MATCHES && aside ? set_aside(t) : d;
	if (find_wrong_input(t, &d) || find_digit(t, &d))
		return d;
	if (r->usage == DANE_USAGE_DANE_TA)
		return absent(t);
	return say(CHECK_CAUSE_OTHER_KEY,
		   arena_printf(t->a,
				"the record is of another %s, most likely an old one: it was "
				"replaced on the server and not in the DNS",
				r->selector == DANE_SELECTOR_CERT ? "certificate" : "key"),
		   NULL);
}

struct check_diagnosis check_diagnose(const struct dane_tlsa *record, bool aside,
				      const struct tls_chain *chain, struct arena *a)
{
	struct arena scratch = {0}; /* copies of certificates: not to be kept */
	struct trial t = {record, chain, &scratch, tls_chain_count(chain)};
	struct check_diagnosis d;

	if (t.depth > DEPTH_MAX)
		t.depth = DEPTH_MAX;
	d = diagnose(&t, aside);
	d.sentence = arena_strdup(a, d.sentence);
	d.as = arena_keep(a, d.as);
	arena_done(&scratch);
	return d;
}
