/* Updates as octets, and what is made of answers: what is not signed is not believed. */
#include "publish_answer.h"

#include "edge/dns/message.h"

static const struct span TLSA = {(const uint8_t *)"\3\1\1abcdefghabcdefghabcdefghabcdefgh", 35};
static const struct span OLD = {(const uint8_t *)"\3\1\1ABCDEFGHABCDEFGHABCDEFGHABCDEFGH", 35};

static struct publish_set tlsa(void)
{
	return (struct publish_set){.owner = "_25._tcp.mx.example.org",
				    .type = DNS_TYPE_TLSA,
				    .ttl = 300,
				    .rdata = &TLSA,
				    .n = 1};
}

struct fixture {
	struct arena arena;
	struct publish_key key;
	struct publish_update update;
	struct dns_message message;
};

static void begin(struct fixture *f, const struct publish_set *sets, size_t n)
{
	struct publish_change c = {"example.org", sets, n};

	*f = (struct fixture){0};
	assert_int_equal(publish_key_parse(span_text(ANSWER_KEY_TEXT), &f->key, NULL), 0);
	assert_int_equal(publish_check(&c, NULL), 0);
	assert_int_equal(publish_update_build(&c, &f->key, 0x1234, ANSWER_NOW, &f->update), 0);
	assert_int_equal(dns_message_parse(&f->arena, buf_span(&f->update.wire), &f->message), 0);
}

static void end(struct fixture *f)
{
	publish_update_done(&f->update);
	publish_key_done(&f->key);
	arena_done(&f->arena);
}

static void is_record(const struct dns_rr *rr, uint16_t type, uint16_t class, uint32_t ttl,
		      struct span rdata)
{
	assert_string_equal(rr->owner, "_25._tcp.mx.example.org");
	assert_int_equal(rr->type, type);
	assert_int_equal(rr->class, class);
	assert_int_equal(rr->ttl, ttl);
	assert_true(span_eq(rr->rdata, rdata));
}

#define NOTHING span_of(NULL, 0)

static void replaced(void **state)
{
	struct publish_set s = tlsa();
	struct fixture f;

	(void)state;
	begin(&f, &s, 1);
	assert_int_equal(f.message.id, 0x1234);
	assert_int_equal(f.update.wire.p[2] >> 3, 5);
	assert_string_equal(f.message.qname, "example.org");
	assert_int_equal(f.message.qtype, DNS_TYPE_SOA);
	assert_int_equal(f.message.answer.n, 1); /* prerequisites */
	is_record(&f.message.answer.rr[0], DNS_TYPE_CNAME, 254, 0, NOTHING);
	assert_int_equal(f.message.authority.n, 2); /* updates */
	is_record(&f.message.authority.rr[0], DNS_TYPE_TLSA, 255, 0, NOTHING);
	is_record(&f.message.authority.rr[1], DNS_TYPE_TLSA, 1, 300, TLSA);
	assert_int_equal(f.message.additional.n, 1);
	assert_int_equal(f.message.additional.rr[0].type, 250);
	end(&f);
}

static void guarded(void **state)
{
	struct publish_set s = tlsa();
	struct fixture f;

	(void)state;
	s.guarded = true;
	s.was = &OLD;
	s.n_was = 1;
	begin(&f, &s, 1);
	assert_int_equal(f.message.answer.n, 2);
	is_record(&f.message.answer.rr[0], DNS_TYPE_TLSA, 1, 0, OLD);
	end(&f);
	s.n_was = 0;
	s.n = 0;
	begin(&f, &s, 1);
	assert_int_equal(f.message.answer.n, 1);
	is_record(&f.message.answer.rr[0], DNS_TYPE_TLSA, 254, 0, NOTHING);
	assert_int_equal(f.message.authority.n, 1);
	is_record(&f.message.authority.rr[0], DNS_TYPE_TLSA, 255, 0, NOTHING);
	end(&f);
}

/* From an alias to records of its own: all deletions come first, and no CNAME is forbidden. */
static void from_alias(void **state)
{
	struct publish_set sets[2] = {tlsa(), tlsa()};
	struct fixture f;

	(void)state;
	sets[1].type = DNS_TYPE_CNAME;
	sets[1].n = 0;
	begin(&f, sets, 2);
	assert_int_equal(f.message.answer.n, 0);
	assert_int_equal(f.message.authority.n, 3);
	is_record(&f.message.authority.rr[0], DNS_TYPE_TLSA, 255, 0, NOTHING);
	is_record(&f.message.authority.rr[1], DNS_TYPE_CNAME, 255, 0, NOTHING);
	is_record(&f.message.authority.rr[2], DNS_TYPE_TLSA, 1, 300, TLSA);
	end(&f);
}

/* An alias where nothing was: the name must not be in use. */
static void new_alias(void **state)
{
	struct span target = span_of("\1t\7example\3org", 15);
	struct publish_set s = tlsa();
	struct fixture f;

	(void)state;
	s.type = DNS_TYPE_CNAME;
	s.rdata = &target;
	s.guarded = true;
	begin(&f, &s, 1);
	assert_int_equal(f.message.answer.n, 1);
	is_record(&f.message.answer.rr[0], 255, 254, 0, NOTHING);
	assert_int_equal(f.message.authority.n, 2);
	is_record(&f.message.authority.rr[1], DNS_TYPE_CNAME, 1, 300, target);
	end(&f);
}

/* Sixty-four RRsets of sixty-four records each do not fit: an error, no cut message. */
static void too_large(void **state)
{
	struct arena a = {0};
	struct publish_set sets[PUBLISH_SETS_MAX];
	struct span records[PUBLISH_RECORDS_MAX];
	struct publish_change c = {"example.org", sets, PUBLISH_SETS_MAX};
	struct publish_key key;
	struct publish_update u;

	(void)state;
	for (size_t i = 0; i < PUBLISH_RECORDS_MAX; i++)
		records[i] = span_text(arena_printf(&a, "\3\1\1%064zu", i));
	for (size_t i = 0; i < PUBLISH_SETS_MAX; i++)
		sets[i] = (struct publish_set){.owner = arena_printf(&a, "h%zu.example.org", i),
					       .type = DNS_TYPE_TLSA,
					       .ttl = 60,
					       .rdata = records,
					       .n = PUBLISH_RECORDS_MAX};
	assert_int_equal(publish_key_parse(span_text(ANSWER_KEY_TEXT), &key, NULL), 0);
	assert_int_equal(publish_check(&c, NULL), 0);
	assert_true(publish_update_build(&c, &key, 1, ANSWER_NOW, &u) < 0);
	publish_update_done(&u);
	arena_done(&a);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void judged(struct fixture *f, const struct answer *an, enum publish_outcome want,
		   const char *word)
{
	struct publish_verdict v;
	struct buf b;

	buf_init(&b, 1 << 16);
	answer_make(an, &f->update, &f->key, &b);
	publish_update_judge(&f->update, &f->key, buf_span(&b), ANSWER_NOW, &v);
	if (v.outcome != want || strstr(v.words, word) == NULL)
		fail_msg("%s: %s", publish_outcome_to_string(v.outcome), v.words);
	buf_done(&b);
}

static void signed_answers(void **state)
{
	struct publish_set s = tlsa();
	struct fixture f;
	struct answer an;

	(void)state;
	begin(&f, &s, 1);
	an = answer_good(&f.update);
	judged(&f, &an, PUBLISH_APPLIED, "done");
	for (unsigned rcode = 1; rcode < 16; rcode++) {
		an.rcode = (uint16_t)rcode;
		judged(&f, &an, rcode == 2 ? PUBLISH_UNKNOWN : PUBLISH_REFUSED,
		       rcode == 5   ? "REFUSED"
		       : rcode == 8 ? "NXRRSET"
		       : rcode == 9 ? "NOTAUTH"
				    : "");
	}
	an.rcode = 9;
	an.error = PUBLISH_BADTIME;
	an.server_time = ANSWER_NOW + 3600;
	judged(&f, &an, PUBLISH_REFUSED, "3600 s ahead of ours");
	an.server_time = ANSWER_NOW - 86400;
	judged(&f, &an, PUBLISH_REFUSED, "86400 s behind ours");
	end(&f);
}

static void disbelieved(void **state)
{
	struct publish_set s = tlsa();
	struct fixture f;
	struct answer an;

	(void)state;
	begin(&f, &s, 1);
#define WITH(change, word)                                                                         \
	an = answer_good(&f.update);                                                               \
	change;                                                                                    \
	judged(&f, &an, PUBLISH_UNKNOWN, word)
	WITH(an.no_request = true, "does not hold"); /* an answer to something else, replayed */
	WITH(an.mac_n = 31, "does not hold");        /* truncated */
	WITH(an.mac_n = 16, "does not hold");
	WITH(an.mac_n = 0, "not signed");
	WITH(an.key_wire = "\1l\7example", "another key");
	WITH(an.time = ANSWER_NOW + 301, "another time");
	WITH(an.time = ANSWER_NOW - 301, "another time");
	WITH(an.id ^= 1, "another question");
	WITH(an.flags = 0x2800, "another question"); /* QR clear: our own message, reflected */
	WITH(an.flags = 0x8000, "another question"); /* no update */
	WITH((an.mac_n = 0, an.rcode = 9, an.error = PUBLISH_BADKEY), "BADKEY");
	WITH((an.mac_n = 0, an.rcode = 9, an.error = PUBLISH_BADSIG), "BADSIG");
#undef WITH
	an = answer_good(&f.update);
	an.time = ANSWER_NOW + 300;
	judged(&f, &an, PUBLISH_APPLIED, "done");
	end(&f);
}

/* The plain answers of one who has no key. */
static void unsigned_answers(void **state)
{
	struct publish_set s = tlsa();
	struct publish_verdict v;
	struct fixture f;
	uint8_t header[12] = {0x12, 0x34, 0xa8, 0};

	(void)state;
	begin(&f, &s, 1);
	for (unsigned rcode = 0; rcode < 16; rcode++) {
		header[3] = (uint8_t)rcode;
		publish_update_judge(&f.update, &f.key, span_of(header, 12), ANSWER_NOW, &v);
		assert_int_equal(v.outcome, PUBLISH_UNKNOWN);
		assert_non_null(strstr(v.words, "not signed"));
	}
	for (size_t n = 0; n < 12; n++) {
		publish_update_judge(&f.update, &f.key, span_of(header, n), ANSWER_NOW, &v);
		assert_int_equal(v.outcome, PUBLISH_UNKNOWN);
	}
	/* The update itself, reflected as an answer: its signature is over another sum. */
	f.update.wire.p[2] |= 0x80;
	publish_update_judge(&f.update, &f.key, buf_span(&f.update.wire), ANSWER_NOW, &v);
	assert_int_equal(v.outcome, PUBLISH_UNKNOWN);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replaced),    cmocka_unit_test(guarded),
		cmocka_unit_test(from_alias),  cmocka_unit_test(new_alias),
		cmocka_unit_test(too_large),   cmocka_unit_test(signed_answers),
		cmocka_unit_test(disbelieved), cmocka_unit_test(unsigned_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
