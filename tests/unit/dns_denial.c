/*
 * Denial: the zones of RFC 4035 appendix A and RFC 5155 appendix A, and what must not pass as a
 * proof (matrix V9-V14, V21).
 */
#include "dns_records.h"

#include <errno.h>

#include "edge/dns/denial.h"

/* RFC 4035 appendix A, names only; `sub` hangs below a DNAME, `b` and `a` are delegations. */
static const char *const nsec_zone[] = {
	"example. NSEC a.example. NS SOA MX RRSIG NSEC DNSKEY",
	"a.example. NSEC ai.example. NS DS RRSIG NSEC",
	"ai.example. NSEC b.example. A HINFO AAAA RRSIG NSEC",
	"b.example. NSEC dn.example. NS RRSIG NSEC",
	"dn.example. NSEC ns1.example. DNAME RRSIG NSEC",
	"ns1.example. NSEC ns2.example. A RRSIG NSEC",
	"ns2.example. NSEC *.w.example. A RRSIG NSEC",
	"*.w.example. NSEC x.w.example. MX RRSIG NSEC",
	"x.w.example. NSEC x.y.w.example. MX RRSIG NSEC",
	"x.y.w.example. NSEC al.xx.example. MX RRSIG NSEC",
	"al.xx.example. NSEC xx.example. CNAME RRSIG NSEC",
	"xx.example. NSEC example. A HINFO AAAA RRSIG NSEC",
};

/* RFC 5155 appendix A: salt aabbccdd, 12 iterations, opt-out (flag 1). */
#define P " NSEC3 1 1 12 aabbccdd "
static const char *const nsec3_zone[] = {
	"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example." P
	"2t7b4g4vsa5smi47k61mv5bv1a22bojr MX DNSKEY NS SOA NSEC3PARAM RRSIG",
	"2t7b4g4vsa5smi47k61mv5bv1a22bojr.example." P "2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG",
	"2vptu5timamqttgl4luu9kg21e0aor3s.example." P "35mthgpgcu1qg68fab165klnsnk3dpvl MX RRSIG",
	"35mthgpgcu1qg68fab165klnsnk3dpvl.example." P
	"b4um86eghhds6nea196smvmlo4ors995 NS DS RRSIG",
	"b4um86eghhds6nea196smvmlo4ors995.example." P "gjeqe526plbf1g8mklp59enfd789njgi MX RRSIG",
	"gjeqe526plbf1g8mklp59enfd789njgi.example." P
	"ji6neoaepv8b5o6k4ev33abha8ht9fgc HINFO A AAAA RRSIG",
	"ji6neoaepv8b5o6k4ev33abha8ht9fgc.example." P "k8udemvp1j2f7eg6jebps17vp3n8i58h",
	"k8udemvp1j2f7eg6jebps17vp3n8i58h.example." P "kohar7mbb8dc2ce8a9qvl8hon4k53uhi",
	"kohar7mbb8dc2ce8a9qvl8hon4k53uhi.example." P "q04jkcevqvmu85r014c7dkba38o0ji5r A RRSIG",
	"q04jkcevqvmu85r014c7dkba38o0ji5r.example." P "r53bq7cc2uvmubfu5ocmm6pers9tk9en A RRSIG",
	"r53bq7cc2uvmubfu5ocmm6pers9tk9en.example." P "t644ebqk9bibcna874givr6joj62mlhv MX RRSIG",
	"t644ebqk9bibcna874givr6joj62mlhv.example." P
	"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom HINFO A AAAA RRSIG",
};

static struct dns_denial *zone_of(struct arena *a, const char *const *lines, size_t n)
{
	struct dns_denial *d = arena_alloc(a, sizeof(*d));

	dns_denial_init(d, wire_of(a, "example"));
	for (size_t i = 0; i < n; i++) {
		struct dns_rr rr = rr_of(a, lines[i]);

		dns_denial_add(d, &rr);
	}
	return d;
}

static void expect(const char *what, enum dns_proof got, enum dns_proof want)
{
	if (got != want)
		fail_msg("%s: %s, not %s", what, dns_proof_to_text(got), dns_proof_to_text(want));
}

static void nsec(void **state)
{
	static const struct {
		const char *name;
		uint16_t type; /* 0: the name */
		enum dns_proof want;
	} rows[] = {
		{"ml.example", 0, DNS_PROOF_HOLDS},            /* RFC 4035 B.2 */
		{"ns1.example", DNS_TYPE_MX, DNS_PROOF_HOLDS}, /* B.3 */
		{"ns1.example", DNS_TYPE_A, DNS_PROOF_TYPE_EXISTS},
		{"ns1.example", 0, DNS_PROOF_NAME_EXISTS},
		{"a.z.w.example", DNS_TYPE_A, DNS_PROOF_HOLDS}, /* B.7: wildcard without type */
		{"a.z.w.example", DNS_TYPE_MX, DNS_PROOF_TYPE_EXISTS},
		{"a.z.w.example", 0, DNS_PROOF_WILDCARD}, /* the wildcard makes the name exist */
		{"y.w.example", DNS_TYPE_A, DNS_PROOF_HOLDS}, /* an empty non-terminal */
		{"y.w.example", 0, DNS_PROOF_NAME_EXISTS},
		{"al.xx.example", DNS_TYPE_A, DNS_PROOF_ALIAS_EXISTS}, /* V9 */
		{"al.xx.example", DNS_TYPE_CNAME, DNS_PROOF_TYPE_EXISTS},
		{"x.b.example", 0, DNS_PROOF_ANCESTOR}, /* V10 */
		{"x.b.example", DNS_TYPE_A, DNS_PROOF_ANCESTOR},
		{"b.example", DNS_TYPE_A, DNS_PROOF_ANCESTOR}, /* the parent's NSEC */
		{"b.example", DNS_TYPE_DS, DNS_PROOF_HOLDS},
		{"example", DNS_TYPE_DS, DNS_PROOF_ANCESTOR}, /* the child's NSEC */
		{"x.dn.example", 0, DNS_PROOF_ANCESTOR},      /* V11 */
		{"x.dn.example", DNS_TYPE_A, DNS_PROOF_ANCESTOR},
		{"example.org", 0, DNS_PROOF_NAME_NOT_COVERED},
		{"zz.example", 0, DNS_PROOF_HOLDS}, /* behind the last, which leads to the apex */
		{"EXAMPLE", DNS_TYPE_A, DNS_PROOF_HOLDS},
	};
	struct arena a = {0};
	struct dns_denial *d = zone_of(&a, nsec_zone, ARRAY_SIZE(nsec_zone));

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct span name = wire_of(&a, rows[i].name);

		expect(rows[i].name,
		       rows[i].type == 0 ? dns_denial_nxdomain(d, name)
					 : dns_denial_nodata(d, name, rows[i].type),
		       rows[i].want);
	}
	expect("b", dns_denial_delegation(d, wire_of(&a, "b.example")), DNS_PROOF_HOLDS);
	expect("a", dns_denial_delegation(d, wire_of(&a, "a.example")), DNS_PROOF_TYPE_EXISTS);
	/* V12: no NS bit, no delegation. */
	expect("ns1", dns_denial_delegation(d, wire_of(&a, "ns1.example")),
	       DNS_PROOF_NOT_DELEGATED);
	/* V21 */
	expect("wild", dns_denial_wildcard(d, wire_of(&a, "a.z.w.example"), 2), DNS_PROOF_HOLDS);
	expect("wild", dns_denial_wildcard(d, wire_of(&a, "x.w.example"), 2),
	       DNS_PROOF_NAME_NOT_COVERED);
	expect("wild", dns_denial_wildcard(d, wire_of(&a, "a.z.w.example"), 1), DNS_PROOF_WILDCARD);
	arena_done(&a);
}

static void nsec3(void **state)
{
	static const struct {
		const char *name;
		uint16_t type;
		enum dns_proof want;
	} rows[] = {
		{"a.c.x.w.example", 0, DNS_PROOF_OPTOUT}, /* RFC 5155 B.1, in an opt-out zone */
		{"ns1.example", DNS_TYPE_MX, DNS_PROOF_HOLDS}, /* B.2 */
		{"ns1.example", DNS_TYPE_A, DNS_PROOF_TYPE_EXISTS},
		{"y.w.example", DNS_TYPE_A, DNS_PROOF_HOLDS},       /* B.2.1 */
		{"c.example", DNS_TYPE_DS, DNS_PROOF_OPTOUT},       /* B.3 */
		{"a.z.w.example", DNS_TYPE_AAAA, DNS_PROOF_OPTOUT}, /* B.5 */
		{"example", DNS_TYPE_DS, DNS_PROOF_ANCESTOR},       /* B.6 */
		{"x.a.example", 0, DNS_PROOF_ANCESTOR},
		{"ns2.example", 0, DNS_PROOF_NAME_EXISTS},
		{"a.example", DNS_TYPE_A, DNS_PROOF_ANCESTOR},
	};
	struct arena a = {0};
	struct dns_denial *d = zone_of(&a, nsec3_zone, ARRAY_SIZE(nsec3_zone)), *without;

	(void)state;
	assert_int_equal(d->n_nsec3, ARRAY_SIZE(nsec3_zone));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct span name = wire_of(&a, rows[i].name);

		expect(rows[i].name,
		       rows[i].type == 0 ? dns_denial_nxdomain(d, name)
					 : dns_denial_nodata(d, name, rows[i].type),
		       rows[i].want);
	}
	expect("wild", dns_denial_wildcard(d, wire_of(&a, "a.z.w.example"), 2), DNS_PROOF_OPTOUT);
	/* Without the record of the apex no closest encloser is known. */
	without = zone_of(&a, nsec3_zone + 1, 1);
	expect("encloser", dns_denial_nxdomain(without, wire_of(&a, "c.example")),
	       DNS_PROOF_NO_ENCLOSER);
	without = zone_of(&a, nsec3_zone, 1);
	expect("cover", dns_denial_nxdomain(without, wire_of(&a, "c.example")),
	       DNS_PROOF_NAME_NOT_COVERED);
	arena_done(&a);
}

static void hashes(void **state)
{
	static const struct {
		const char *name, *hash;
	} rows[] = {
		{"example", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"},
		{"A.Example", "35mthgpgcu1qg68fab165klnsnk3dpvl"},
		{"*.w.example", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"},
	};
	struct arena a = {0};
	struct dns_nsec3 p = {.algorithm = 1,
			      .iterations = 12,
			      .salt = span_of((const uint8_t *)"\xaa\xbb\xcc\xdd", 4)};
	uint8_t hash[DNS_HASH_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ldns_rdf *want = NULL;

		assert_int_equal(dns_nsec3_hash(wire_of(&a, rows[i].name), &p, hash), 0);
		assert_int_equal(ldns_str2rdf_b32_ext(&want, rows[i].hash), LDNS_STATUS_OK);
		assert_memory_equal(hash, ldns_rdf_data(want) + 1, DNS_HASH_SIZE);
		ldns_rdf_deep_free(want);
	}
	p.iterations = DNS_DENIAL_ITERATIONS_MAX;
	assert_int_equal(dns_nsec3_hash(wire_of(&a, "example"), &p, hash), 0);
	p.iterations++;
	assert_int_equal(dns_nsec3_hash(wire_of(&a, "example"), &p, hash), -E2BIG);
	arena_done(&a);
}

/* V14, and what is passed over: other zones' records, unknown algorithms and flags, the 65th. */
static void limits(void **state)
{
	static const char *const many[] = {
		"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. NSEC3 1 0 151 - "
		"2t7b4g4vsa5smi47k61mv5bv1a22bojr A"};
	static const char *const strange[] = {
		"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.other. NSEC3 1 0 0 - "
		"2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
		"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. NSEC3 2 0 0 - "
		"2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
		"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. NSEC3 1 2 0 - "
		"2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
		"short.example. NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
		"a.other. NSEC b.other. A",
	};
	struct arena a = {0};
	struct dns_denial *d = zone_of(&a, many, 1);

	(void)state;
	expect("iterations", dns_denial_nxdomain(d, wire_of(&a, "c.example")),
	       DNS_PROOF_ITERATIONS);
	d = zone_of(&a, strange, ARRAY_SIZE(strange));
	expect("strange", dns_denial_nxdomain(d, wire_of(&a, "c.example")), DNS_PROOF_NO_RECORDS);
	d = zone_of(&a, nsec_zone, 1);
	for (int i = 0; i < 200; i++) {
		struct dns_rr rr = rr_of(&a, nsec_zone[1]);

		dns_denial_add(d, &rr);
	}
	assert_int_equal(d->n_nsec, DNS_DENIAL_RECORDS_MAX);
	arena_done(&a);
}

/* RFC 4034 section 6.1. */
static void order(void **state)
{
	static const char *const sorted[] = {
		"example",         "a.example",      "yljkjljk.a.example",
		"z.a.example",     "zabc.a.example", "z.example",
		"\\001.z.example", "*.z.example",    "\\200.z.example",
	};
	struct arena a = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++)
		for (size_t k = 0; k < ARRAY_SIZE(sorted); k++) {
			int got = dns_wire_compare(wire_of(&a, sorted[i]), wire_of(&a, sorted[k]));

			assert_int_equal(got < 0 ? -1 : got > 0, i < k ? -1 : i > k);
		}
	assert_true(dns_wire_is_below(wire_of(&a, "a.b.example"), wire_of(&a, "B.example")));
	assert_false(dns_wire_is_below(wire_of(&a, "ab.example"), wire_of(&a, "b.example")));
	assert_true(dns_wire_is_below(wire_of(&a, "example"), wire_of(&a, ".")));
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nsec),   cmocka_unit_test(nsec3), cmocka_unit_test(hashes),
		cmocka_unit_test(limits), cmocka_unit_test(order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
