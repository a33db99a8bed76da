/* DNS messages: every field, every cut, every lie about a length; RFC 1035 section 4, RFC 6891. */
#include "dns_records.h"

#include <errno.h>

static const char *const sections[3][4] = {
	{"mx.Example. 300 IN MX 10 Mail.example.", "mx.example. 300 IN MX 20 mail2.example.",
	 "mx.example. 300 IN RRSIG MX 13 2 300 20261209000000 20261125000000 4711 example. "
	 "AAECAwQFBgcICQoLDA0ODw==",
	 NULL},
	{"example. 60 IN SOA ns.example. hostmaster.example. 1 7200 3600 86400 60",
	 "a.example. 60 IN NSEC c.example. A NS TYPE1234",
	 "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. 60 IN NSEC3 1 1 12 aabbccdd "
	 "2t7b4g4vsa5smi47k61mv5bv1a22bojr MX SOA",
	 NULL},
	{"mail.example. 300 IN A 192.0.2.1", "mail.example. 300 IN AAAA 2001:db8::1", NULL, NULL},
};

/* A whole answer, compressed by ldns. */
static struct span answer(struct arena *a, bool tc)
{
	ldns_pkt *p = ldns_pkt_new();
	uint8_t *wire;
	size_t n;
	struct span s;
	ldns_rr *rr;

	assert_int_equal(ldns_rr_new_question_frm_str(&rr, "mx.example. IN MX", NULL, NULL),
			 LDNS_STATUS_OK);
	ldns_pkt_push_rr(p, LDNS_SECTION_QUESTION, rr);
	for (int i = 0; i < 3; i++) {
		for (int k = 0; k < 4 && sections[i][k] != NULL; k++) {
			assert_int_equal(ldns_rr_new_frm_str(&rr, sections[i][k], 0, NULL, NULL),
					 LDNS_STATUS_OK);
			ldns_pkt_push_rr(p, (ldns_pkt_section)(LDNS_SECTION_ANSWER + i), rr);
		}
	}
	ldns_pkt_set_id(p, 0x1234);
	ldns_pkt_set_qr(p, true);
	ldns_pkt_set_aa(p, true);
	ldns_pkt_set_tc(p, tc);
	ldns_pkt_set_edns_udp_size(p, 1232);
	ldns_pkt_set_edns_do(p, true);
	assert_int_equal(ldns_pkt2wire(&wire, p, &n), LDNS_STATUS_OK);
	s = arena_dup(a, span_of(wire, n));
	free(wire);
	ldns_pkt_free(p);
	return s;
}

/* As dns_rr_to_text writes it: names in it keep their letters, owners are lower case. */
static void same_as_text(struct arena *a, const struct dns_rr *rr, const char *text)
{
	struct dns_rr want = rr_of(a, text);

	assert_string_equal(rr->owner, want.owner);
	assert_true(span_eq(rr->wire, want.wire));
	assert_int_equal(rr->type, want.type);
	assert_int_equal(rr->ttl, want.ttl);
	assert_true(span_eq(rr->rdata, want.rdata));
	assert_string_equal(dns_rr_to_text(a, rr), dns_rr_to_text(a, &want));
}

static void whole(void **state)
{
	struct arena a = {0};
	struct dns_message m;

	(void)state;
	assert_int_equal(dns_message_parse(&a, answer(&a, false), &m), 0);
	assert_int_equal(m.id, 0x1234);
	assert_true(m.qr && m.aa && !m.tc && !m.ra && m.edns && m.edns_do);
	assert_int_equal(m.edns_size, 1232);
	assert_string_equal(m.qname, "mx.example");
	assert_int_equal(m.qtype, DNS_TYPE_MX);
	assert_int_equal(m.answer.n, 3);
	assert_int_equal(m.authority.n, 3);
	assert_int_equal(m.additional.n, 2); /* without OPT */
	for (size_t i = 0; i < 3; i++) {
		same_as_text(&a, &m.answer.rr[i], sections[0][i]);
		same_as_text(&a, &m.authority.rr[i], sections[1][i]);
		if (i < 2)
			same_as_text(&a, &m.additional.rr[i], sections[2][i]);
	}
	assert_string_equal(dns_rdata_name(&a, DNS_TYPE_MX, m.answer.rr[0].rdata), "mail.example");
	arena_done(&a);
}

static void cut_at_every_octet(void **state)
{
	struct arena a = {0};

	(void)state;
	for (int tc = 0; tc < 2; tc++) {
		struct span s = answer(&a, tc);

		for (size_t n = 0; n < s.n; n++) {
			uint8_t *copy = xmalloc(n); /* so that a read behind it is seen */
			struct dns_message m;
			int ret;

			if (n > 0)
				memcpy(copy, s.p, n);
			ret = dns_message_parse(&a, span_of(copy, n), &m);
			assert_int_equal(ret, tc && n >= 28 ? -EMSGSIZE : -EBADMSG);
			free(copy);
		}
	}
	arena_done(&a);
}

static void trailing_octets(void **state)
{
	struct arena a = {0};
	struct span s = answer(&a, false);
	uint8_t *longer = arena_alloc(&a, s.n + 1);
	struct dns_message m;

	(void)state;
	memcpy(longer, s.p, s.n);
	assert_int_equal(dns_message_parse(&a, span_of(longer, s.n + 1), &m), -EBADMSG);
	arena_done(&a);
}

/* A header with one question, then `n` octets of records. */
static int parse_with(struct arena *a, const uint8_t *records, size_t n, unsigned answers,
		      struct dns_message *m)
{
	static const uint8_t head[] = {0, 1, 0x80, 0, 0,   1,   0, 0, 0, 0, 0,
				       0, 1, 'a',  2, 'b', 'c', 0, 0, 1, 0, 1};
	uint8_t *wire = arena_alloc(a, sizeof(head) + n);

	memcpy(wire, head, sizeof(head));
	wire[6] = (uint8_t)(answers >> 8);
	wire[7] = (uint8_t)answers;
	memcpy(wire + sizeof(head), records, n);
	return dns_message_parse(a, span_of(wire, sizeof(head) + n), m);
}

#define TAIL 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1

static void names(void **state)
{
	static const struct {
		const char *what;
		uint8_t record[40];
		size_t n;
		int ret;
	} rows[] = {
		{"a pointer back", {0xc0, 12, TAIL}, 16, 0},
		{"a label, then a pointer back", {1, 'x', 0xc0, 14, TAIL}, 18, 0},
		{"a pointer to itself", {0xc0, 22, TAIL}, 16, -EBADMSG},
		{"a pointer ahead", {0xc0, 24, TAIL}, 16, -EBADMSG},
		{"a label, then a pointer to it", {1, 'x', 0xc0, 22, TAIL}, 18, -EBADMSG},
		{"a pointer into the header", {0xc0, 4, TAIL}, 16, 0}, /* octets are octets */
		{"a label type of old", {0x41, 1, 0, TAIL}, 17, -EBADMSG},
		{"CNAME: octets behind its name",
		 {0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 3, 0xc0, 12, 0},
		 15,
		 -EBADMSG},
		{"CNAME: its name goes on behind its end",
		 {0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 1, 0xc0, 12},
		 14,
		 -EBADMSG},
		{"MX: no name", {0xc0, 12, 0, 15, 0, 1, 0, 0, 0, 60, 0, 2, 0, 10}, 14, -EBADMSG},
		{"more RDATA than there is",
		 {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 5, 1, 2, 3, 4},
		 16,
		 -EBADMSG},
	};
	struct arena a = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct dns_message m;
		int ret = parse_with(&a, rows[i].record, rows[i].n, 1, &m);

		if (ret != rows[i].ret)
			fail_msg("%s: %d", rows[i].what, ret);
	}
	arena_done(&a);
}

/* A count in the header that no message can hold costs no memory. */
static void counts_that_lie(void **state)
{
	static const uint8_t one[] = {0xc0, 12, TAIL};
	struct arena a = {0};
	struct dns_message m;

	(void)state;
	assert_int_equal(parse_with(&a, one, sizeof(one), 65535, &m), -EBADMSG);
	assert_true(a.used < 4096);
	arena_done(&a);
}

/* Pointers make names of 255 octets out of two: what they unfold to is limited. */
static void unfolding_is_limited(void **state)
{
	struct arena a = {0};
	uint8_t *records = arena_alloc(&a, 65000);
	struct dns_message m;
	size_t n = 0, rest = 0;
	int ret;

	(void)state;
	/* One owner of 240 octets, then as many owners "x" + pointer as fit, each one unfolded. */
	for (int i = 0; i < 4; i++) {
		records[n++] = 58;
		memset(records + n, 'a', 58);
		n += 58;
	}
	records[n++] = 0xc0;
	records[n++] = 12;
	memcpy(records + n, (const uint8_t[]){TAIL}, 14);
	n += 14;
	for (rest = 1; n + 18 < 65000; rest++) {
		records[n++] = 1;
		records[n++] = 'x';
		records[n++] = 0xc0;
		records[n++] = 22;
		memcpy(records + n, (const uint8_t[]){TAIL}, 14);
		n += 14;
	}
	ret = parse_with(&a, records, n, (unsigned)rest, &m);
	assert_true(ret == 0 || ret == -EBADMSG);
	assert_true(a.used < 32u * 1024 * 1024);
	arena_done(&a);
}

static void flags_and_rcodes(void **state)
{
	static const uint8_t opt[] = {0, 0, 41, 4, 208, 1, 0, 0, 0, 0, 0}; /* BADVERS */
	static const uint8_t old[] = {0xc0, 12, 0, 1, 0, 1, 0x80, 0, 0, 60, 0, 4, 1, 2, 3, 4};
	struct arena a = {0};
	struct dns_message m;

	(void)state;
	assert_int_equal(parse_with(&a, opt, sizeof(opt), 1, &m), 0);
	assert_int_equal(m.rcode, 16);
	assert_string_equal(dns_rcode_to_text(&a, m.rcode), "BADVERS");
	assert_false(m.edns_do);
	assert_int_equal(parse_with(&a, old, sizeof(old), 1, &m), 0);
	assert_int_equal(m.answer.rr[0].ttl, 0);
	arena_done(&a);
}

static void queries(void **state)
{
	uint8_t wire[DNS_QUERY_MAX];
	struct arena a = {0};
	struct dns_message m;
	size_t n = dns_message_query(wire, 0xabcd, "_25._tcp.mx\\.1.example", DNS_TYPE_TLSA, true);

	(void)state;
	assert_int_equal(dns_message_parse(&a, span_of(wire, n), &m), 0);
	assert_int_equal(m.id, 0xabcd);
	assert_true(!m.qr && !m.rd && m.edns && m.edns_do);
	assert_int_equal(m.edns_size, 1232);
	assert_string_equal(m.qname, "_25._tcp.mx\\.1.example");
	assert_int_equal(m.qtype, DNS_TYPE_TLSA);
	n = dns_message_query(wire, 1, ".", DNS_TYPE_NS, false);
	assert_int_equal(n, 17);
	assert_int_equal(dns_message_parse(&a, span_of(wire, n), &m), 0);
	assert_false(m.edns);
	arena_done(&a);
}

static void rdata(void **state)
{
	struct arena a = {0};
	struct dns_rr rr;
	struct dns_rrsig sig;
	struct dns_dnskey key;
	struct dns_nsec nsec;
	struct dns_nsec3 nsec3;
	struct dns_ds ds;

	(void)state;
	rr = rr_of(&a, sections[0][2]);
	assert_int_equal(dns_rrsig_read(&a, rr.rdata, &sig), 0);
	assert_int_equal(sig.covered, DNS_TYPE_MX);
	assert_int_equal(sig.algorithm, 13);
	assert_int_equal(sig.labels, 2);
	assert_int_equal(sig.tag, 4711);
	assert_int_equal(sig.expiration - sig.inception, 14 * 86400);
	assert_string_equal(sig.signer, "example");
	assert_int_equal(sig.signature.n, 16);
	for (size_t n = 0; n < 27; n++)
		assert_int_equal(dns_rrsig_read(&a, span_of(rr.rdata.p, n), &sig), -EBADMSG);
	rr = rr_of(&a, sections[1][1]);
	assert_int_equal(dns_nsec_read(rr.rdata, &nsec), 0);
	assert_true(dns_types_has(nsec.types, DNS_TYPE_A) && dns_types_has(nsec.types, 1234));
	assert_false(dns_types_has(nsec.types, DNS_TYPE_MX) || dns_types_has(nsec.types, 65535));
	for (size_t n = 0; n < rr.rdata.n; n++) /* cut between windows it is whole: no types */
		if (dns_nsec_read(span_of(rr.rdata.p, n), &nsec) == 0)
			assert_true(n == 11 || n == 14);
	rr = rr_of(&a, sections[1][2]);
	assert_int_equal(dns_nsec3_read(rr.rdata, &nsec3), 0);
	assert_int_equal(nsec3.iterations, 12);
	assert_int_equal(nsec3.salt.n, 4);
	assert_int_equal(nsec3.next.n, 20);
	for (size_t n = 0; n < 30; n++)
		assert_int_equal(dns_nsec3_read(span_of(rr.rdata.p, n), &nsec3), -EBADMSG);
	rr = rr_of(&a, "example.com. DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=");
	assert_int_equal(dns_dnskey_read(rr.rdata, &key), 0);
	assert_int_equal(key.tag, 3613); /* RFC 8080 section 6.1 */
	assert_int_equal(dns_dnskey_read(span_of(rr.rdata.p, 3), &key), -EBADMSG);
	rr = rr_of(&a, "example.com. DNSKEY 257 3 1 AQPSKmynfzW4kyBv015MUG2DeIQ3");
	assert_int_equal(dns_dnskey_read(rr.rdata, &key), 0);
	assert_int_equal(dns_dnskey_read(span_of((const uint8_t *)"\1\1\3\1", 4), &key), 0);
	assert_int_equal(dns_ds_read(span_of((const uint8_t *)"\1\1\3", 3), &ds), -EBADMSG);
	arena_done(&a);
}

static void types(void **state)
{
	static const struct {
		const char *word;
		uint16_t type;
	} rows[] = {{"A", 1},     {"tlsa", 52}, {"TYPE65280", 0}, {"TYPE1234", 1234}, {"ANY", 0},
		    {"AXFR", 0},  {"OPT", 0},   {"", 0},          {"NOSUCH", 0},      {"TYPE0", 0},
		    {"CAA", 257}, {"TSIG", 0},  {"TYPE99999", 0}, {"A A", 0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (dns_type_from_text(rows[i].word) != rows[i].type)
			fail_msg("%s: %u", rows[i].word, dns_type_from_text(rows[i].word));
}

/* RDATA that does not have its type's form is written as RFC 3597 has it; never a raw octet. */
static void text_is_printable(void **state)
{
	struct arena a = {0};
	struct dns_rr rr = {.owner = "a.example",
			    .wire = wire_of(&a, "a.example"),
			    .type = DNS_TYPE_DNSKEY,
			    .class = 1,
			    .rdata = span_of((const uint8_t *)"\x01", 1)};

	(void)state;
	assert_string_equal(dns_rr_to_text(&a, &rr), "a.example 0 IN DNSKEY \\# 1 01");
	rr.type = DNS_TYPE_TXT;
	for (unsigned c = 0; c < 256; c++) {
		uint8_t txt[2] = {1, (uint8_t)c};

		rr.rdata = span_of(txt, 2);
		for (const char *p = dns_rr_to_text(&a, &rr); *p != '\0'; p++)
			assert_true(*p >= ' ' && *p <= '~');
	}
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(cut_at_every_octet),
		cmocka_unit_test(trailing_octets),
		cmocka_unit_test(names),
		cmocka_unit_test(counts_that_lie),
		cmocka_unit_test(unfolding_is_limited),
		cmocka_unit_test(flags_and_rcodes),
		cmocka_unit_test(queries),
		cmocka_unit_test(rdata),
		cmocka_unit_test(types),
		cmocka_unit_test(text_is_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
