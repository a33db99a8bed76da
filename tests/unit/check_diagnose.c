/* Why a record does not match: every mistake of matrix 17a that a record can hold. */
#include "test.h"

#include "base/hex.h"
#include "edge/tls/facts.h"
#include "jobs/check/diagnose.h"
#include "pki.h"

/* Where the data of the record comes from. */
enum data {
	AS_NAMED,   /* "3 1 1 leaf" as it stands */
	OF_PEM,     /* the SHA-256 of the certificate's PEM text */
	OF_PEM_CUT, /* without its last line end */
	OF_CHAIN,   /* of the PEM file of all certificates sent */
	OF_NOTHING,
	OF_HEX,     /* of the key's hash in hexadecimal */
	OF_HEX_EOL, /* with a line end */
	SHA_1,
	DIGITS, /* `digits` of them differ */
};

static const struct row {
	const char *name, *chain, *record;
	enum data data;
	unsigned digits;
	bool aside;
	enum check_cause cause;
	const char *sentence; /* in it */
	const char *as;       /* the record proposed begins so; NULL: none */
} rows[] = {
	{"match", "leaf ca2 ca1", "3 1 1 leaf", .cause = CHECK_CAUSE_MATCHES},
	{"match of an issuer", "leaf ca2 ca1", "2 0 1 ca1", .cause = CHECK_CAUSE_MATCHES},
	{"full", "leaf ca2", "3 0 0 leaf", .cause = CHECK_CAUSE_MATCHES},
	{"set aside", "leaf ca2", "3 1 1 leaf", .aside = true, .cause = CHECK_CAUSE_AGILITY,
	 .sentence = "only the strongest digest counts", .as = "3 1 2 "},
	{"set aside, of an issuer", "leaf ca2", "2 0 1 ca2", .aside = true,
	 .cause = CHECK_CAUSE_AGILITY, .sentence = "strongest", .as = "2 0 2 "},
	{"another key", "leaf ca2", "3 1 1 leaf2", .cause = CHECK_CAUSE_OTHER_KEY,
	 .sentence = "of another key"},
	{"another certificate", "leaf ca2", "3 0 1 leaf2", .cause = CHECK_CAUSE_OTHER_KEY,
	 .sentence = "of another certificate"},
	{"another key, full", "leaf ca2", "3 1 0 leaf2", .cause = CHECK_CAUSE_OTHER_KEY},
	{"key under selector 0", "leaf ca2", "3 1 1 leaf>3 0 1", .cause = CHECK_CAUSE_SELECTOR,
	 .sentence = "selector 0 (certificate) and holds the key", .as = "3 1 1 "},
	{"certificate under selector 1", "leaf ca2", "3 0 1 leaf>3 1 1",
	 .cause = CHECK_CAUSE_SELECTOR, .sentence = "selector 1 (key) and holds the certificate",
	 .as = "3 0 1 "},
	{"SHA-256 under matching 2", "leaf ca2", "3 1 1 leaf>3 1 2", .cause = CHECK_CAUSE_MATCHING,
	 .sentence = "says matching type 2 and holds matching type 1", .as = "3 1 1 "},
	{"SHA-512 under matching 1", "leaf ca2", "3 1 2 leaf>3 1 1", .cause = CHECK_CAUSE_MATCHING,
	 .as = "3 1 2 "},
	{"DER under matching 1", "leaf ca2", "3 1 0 leaf>3 1 1", .cause = CHECK_CAUSE_MATCHING,
	 .as = "3 1 0 "},
	{"issuer under usage 3", "leaf ca2 ca1", "2 0 1 ca2>3 0 1",
	 .cause = CHECK_CAUSE_EE_HOLDS_CA, .sentence = "the issuer's (\"CA 2\") certificate",
	 .as = "2 0 1 "},
	{"issuer's key under usage 3", "leaf ca2 ca1", "2 1 1 ca1>3 1 1",
	 .cause = CHECK_CAUSE_EE_HOLDS_CA, .sentence = "\"CA 1\"", .as = "2 1 1 "},
	{"leaf under usage 2", "leaf ca2", "3 1 1 leaf>2 1 1", .cause = CHECK_CAUSE_TA_HOLDS_LEAF,
	 .sentence = "usage 2 wants an issuer's", .as = "3 1 1 "},
	{"usage 1", "leaf ca2", "3 1 1 leaf>1 1 1", .cause = CHECK_CAUSE_PKIX_USAGE,
	 .sentence = "usage 1 is not for SMTP", .as = "3 1 1 "},
	{"usage 0", "leaf ca2", "2 0 1 ca2>0 0 1", .cause = CHECK_CAUSE_PKIX_USAGE,
	 .sentence = "usage 0 is not for SMTP", .as = "2 0 1 "},
	{"PEM", "leaf ca2", "3 0 1 leaf", OF_PEM, .cause = CHECK_CAUSE_PEM,
	 .sentence = "the server's own certificate as PEM text"},
	{"PEM without its end", "leaf ca2", "3 0 1 leaf", OF_PEM_CUT, .cause = CHECK_CAUSE_PEM},
	{"PEM of the chain", "leaf ca2", "3 0 1 leaf", OF_CHAIN, .cause = CHECK_CAUSE_PEM,
	 .sentence = "whole chain"},
	{"nothing", "leaf ca2", "3 1 1 leaf", OF_NOTHING, .cause = CHECK_CAUSE_EMPTY_INPUT,
	 .sentence = "the hash of nothing"},
	{"nothing, usage 2", "leaf ca2", "2 1 1 ca2", OF_NOTHING, .cause = CHECK_CAUSE_EMPTY_INPUT},
	{"hash of a hash", "leaf ca2", "3 1 1 leaf", OF_HEX, .cause = CHECK_CAUSE_HEX_TEXT,
	 .sentence = "hash of a hash"},
	{"hash of a line", "leaf ca2", "3 1 1 leaf", OF_HEX_EOL, .cause = CHECK_CAUSE_HEX_TEXT},
	{"SHA-1", "leaf ca2", "3 1 1 leaf", SHA_1, .cause = CHECK_CAUSE_SHA1,
	 .sentence = "SHA-1 of the server's own key"},
	{"one digit", "leaf ca2", "3 1 1 leaf", DIGITS, 1, .cause = CHECK_CAUSE_DIGIT,
	 .sentence = "one digit differs", .as = "3 1 1 "},
	{"two digits", "leaf ca2", "3 1 2 leaf", DIGITS, 2, .cause = CHECK_CAUSE_DIGIT,
	 .sentence = "two digits differ", .as = "3 1 2 "},
	{"three digits are no slip", "leaf ca2", "3 1 1 leaf", DIGITS, 3,
	 .cause = CHECK_CAUSE_OTHER_KEY},
	{"root not sent", "leaf ca2", "2 0 1 root", .cause = CHECK_CAUSE_TA_ABSENT,
	 .sentence = "(it sends \"CA 2\"): of \"CA 1\", which must be sent"},
	{"only the leaf sent", "leaf", "2 1 1 ca2", .cause = CHECK_CAUSE_TA_ABSENT,
	 .sentence = "sends no issuer): of \"CA 2\""},
	{"a former issuer", "leaf-root root", "2 1 1 ca1", .cause = CHECK_CAUSE_TA_ABSENT,
	 .sentence = "(it sends \"Root\"): of a former one"},
};

static struct span digest_of(enum data data, const struct tls_chain *chain,
			     const struct dane_tlsa *r, unsigned digits, struct arena *a)
{
	struct span pem = tls_chain_pem(chain, 0, r->selector, a), all = {NULL, 0};
	struct span der = tls_chain_der(chain, 0, r->selector, a), copy;
	const char *hex = hex_encode(a, tls_digest(1, der, a));

	switch (data) {
	case AS_NAMED:
		return r->data;
	case OF_PEM:
		return tls_digest(1, pem, a);
	case OF_PEM_CUT:
		return tls_digest(1, span_of(pem.p, pem.n - 1), a);
	case OF_CHAIN:
		for (size_t i = 0; i < tls_chain_count(chain); i++) {
			struct span more = tls_chain_pem(chain, i, 0, a);

			all = span_text(arena_printf(a, "%.*s%.*s", (int)all.n, (const char *)all.p,
						     (int)more.n, (const char *)more.p));
		}
		return tls_digest(1, all, a);
	case OF_NOTHING:
		return tls_digest(1, span_of("", 0), a);
	case OF_HEX:
		return tls_digest(1, span_text(hex), a);
	case OF_HEX_EOL:
		return tls_digest(1, span_text(arena_printf(a, "%s\n", hex)), a);
	case SHA_1:
		return tls_sha1(der, a);
	case DIGITS:
		copy = arena_dup(a, r->data);
		for (unsigned i = 0; i < digits; i++)
			((uint8_t *)copy.p)[i * 3] ^= 0x10;
		return copy;
	}
	return r->data;
}

/* "3 1 1 leaf>2 1 1": the data of the one under the fields of the other. */
static struct dane_tlsa record_of(const struct row *row, const struct tls_chain *chain,
				  struct arena *a)
{
	const char *other = strchr(row->record, '>');
	char *first = arena_strdup(a, row->record);
	struct dane_tlsa r;

	if (other != NULL)
		first[other - row->record] = '\0';
	assert_int_equal(pki_records(first, a, &r, 1), 1);
	r.data = digest_of(row->data, chain, &r, row->digits, a);
	if (other != NULL) {
		r.usage = (uint8_t)(other[1] - '0');
		r.selector = (uint8_t)(other[3] - '0');
		r.matching = (uint8_t)(other[5] - '0');
	}
	return r;
}

static void causes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct arena a = {0};
		struct tls_chain *chain = pki_chain(row->chain);
		struct dane_tlsa r = record_of(row, chain, &a);
		struct check_diagnosis d = check_diagnose(&r, row->aside, chain, &a);

		if (d.cause != row->cause)
			fail_msg("%s: %d: %s", row->name, d.cause, d.sentence);
		if (row->sentence != NULL && strstr(d.sentence, row->sentence) == NULL)
			fail_msg("%s: %s", row->name, d.sentence);
		if ((row->as == NULL) != (d.as == NULL) ||
		    (row->as != NULL && strncmp(d.as, row->as, strlen(row->as)) != 0))
			fail_msg("%s: as %s", row->name, d.as);
		arena_done(&a);
		tls_chain_free(chain);
	}
}

/* What it proposes is a record, and that record matches. */
static void proposals_match(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct arena a = {0};
		struct tls_chain *chain = pki_chain(rows[i].chain);
		struct dane_tlsa r = record_of(&rows[i], chain, &a), again;
		struct check_diagnosis d = check_diagnose(&r, rows[i].aside, chain, &a);

		if (d.as != NULL) {
			assert_int_equal(dane_tlsa_from_text(&a, d.as, &again, NULL), 0);
			assert_int_equal(check_diagnose(&again, false, chain, &a).cause,
					 CHECK_CAUSE_MATCHES);
		}
		arena_done(&a);
		tls_chain_free(chain);
	}
}

/* Records of every shape, of no meaning: an answer, and no crash. */
static void any_record(void **state)
{
	struct tls_chain *chain = pki_chain("leaf ca2");
	uint8_t data[70] = {0};

	(void)state;
	for (unsigned fields = 0; fields < 256; fields++) {
		for (size_t n = 0; n <= sizeof(data); n += 10) {
			struct arena a = {0};
			struct dane_tlsa r = {.usage = (uint8_t)(fields & 7),
					      .selector = (uint8_t)(fields >> 3 & 3),
					      .matching = (uint8_t)(fields >> 5),
					      .data = span_of(data, n)};

			assert_non_null(check_diagnose(&r, fields & 1, chain, &a).sentence);
			arena_done(&a);
		}
	}
	tls_chain_free(chain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(causes),
		cmocka_unit_test(proposals_match),
		cmocka_unit_test(any_record),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	pki_done();
	return failed;
}
