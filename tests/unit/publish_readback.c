/* What one server's answer shows: the example of RFC 8080 section 6.1, and what is not proven. */
#include "dns_records.h"

#include "edge/dns/verify.h"
#include "edge/publish/readback.h"

#define KEY "example.com. 3600 IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4="
#define SIGNATURE                                                                                  \
	"example.com. 3600 IN RRSIG MX 15 2 3600 1440021600 1438207200 3613 example.com. "         \
	"oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg=="
#define MX  "example.com. 3600 IN MX 10 mail.example.com."
#define SOA "example.com. 900 IN SOA ns.example.com. h.example.com. 1 2 3 4 300"
#define NOW 1439000000 /* between the two dates */

struct fixture {
	struct arena arena;
	struct dns_rr answer[8], authority[8], key;
	const struct dns_rr *keys[1];
	struct dns_reply reply;
	struct span wanted;
	struct publish_set set;
};

static void begin(struct fixture *f, const char *wanted)
{
	*f = (struct fixture){0};
	f->key = rr_of(&f->arena, KEY);
	f->keys[0] = &f->key;
	f->reply.message.aa = true;
	f->reply.message.answer.rr = f->answer;
	f->reply.message.authority.rr = f->authority;
	if (wanted != NULL)
		f->wanted = rr_of(&f->arena, wanted).rdata;
	f->set = (struct publish_set){.owner = "example.com",
				      .type = DNS_TYPE_MX,
				      .rdata = &f->wanted,
				      .n = wanted != NULL};
}

static void answer(struct fixture *f, const char *text)
{
	f->answer[f->reply.message.answer.n++] = rr_of(&f->arena, text);
}

static void authority(struct fixture *f, const char *text)
{
	f->authority[f->reply.message.authority.n++] = rr_of(&f->arena, text);
}

static struct publish_sight look(struct fixture *f, int64_t now, size_t n_keys)
{
	struct publish_zone_keys keys = {"example.com", f->keys, n_keys};
	struct dns_verify v = {.left = 10, .now = now};
	struct publish_sight s;

	publish_readback_judge(&f->arena, &v, &keys, &f->set, &f->reply, &s);
	assert_non_null(s.detail);
	return s;
}

static void signatures(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, MX);
	answer(&f, MX);
	assert_int_equal(look(&f, NOW, 1).seen, PUBLISH_SEEN_UNSIGNED);
	answer(&f, SIGNATURE);
	assert_int_equal(look(&f, NOW, 1).seen, PUBLISH_SEEN_SIGNED);
	assert_int_equal(look(&f, NOW, 1).ttl, 3600);
	assert_int_equal(look(&f, 1440021601, 1).seen, PUBLISH_SEEN_BAD); /* expired */
	assert_int_equal(look(&f, 1438207199, 1).seen, PUBLISH_SEEN_BAD); /* not yet valid */
	assert_int_equal(look(&f, NOW, 0).seen, PUBLISH_SEEN_BAD);        /* no key is known */
	/* Another record beside, or in its place. */
	answer(&f, "example.com. 60 IN MX 20 other.example.com.");
	assert_int_equal(look(&f, NOW, 1).seen, PUBLISH_SEEN_OTHER);
	arena_done(&f.arena);
	begin(&f, "example.com. 3600 IN MX 11 mail.example.com.");
	answer(&f, MX);
	answer(&f, SIGNATURE);
	assert_int_equal(look(&f, NOW, 1).seen, PUBLISH_SEEN_OTHER);
	f.reply.message.aa = false;
	assert_int_equal(look(&f, NOW, 1).seen, PUBLISH_SEEN_NO_ANSWER);
	arena_done(&f.arena);
	begin(&f, NULL);
	answer(&f, MX);
	answer(&f, SIGNATURE);
	assert_int_equal(look(&f, NOW, 1).seen, PUBLISH_SEEN_OTHER); /* still there */
	arena_done(&f.arena);
}

/* Denials that would prove it, were they signed. */
static void denials(void **state)
{
	static const char *const nsec = "example.com. 300 IN NSEC a.example.com. NS SOA RRSIG NSEC "
					"DNSKEY";
	struct fixture f;

	(void)state;
	begin(&f, NULL);
	authority(&f, SOA);
	assert_int_equal(look(&f, NOW, 1).seen, PUBLISH_SEEN_UNSIGNED);
	assert_int_equal(look(&f, NOW, 1).ttl, 300);
	authority(&f, nsec);
	assert_int_equal(look(&f, NOW, 1).seen, PUBLISH_SEEN_BAD);
	/* With a signature that is for something else. */
	authority(&f, "example.com. 3600 IN RRSIG NSEC 15 2 3600 1440021600 1438207200 3613 "
		      "example.com. oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+"
		      "QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg==");
	assert_int_equal(look(&f, NOW, 1).seen, PUBLISH_SEEN_BAD);
	f.reply.message.rcode = DNS_RCODE_NXDOMAIN;
	assert_int_equal(look(&f, NOW, 1).seen, PUBLISH_SEEN_BAD);
	arena_done(&f.arena);
	/* Of another class: it is no record of this zone. */
	begin(&f, NULL);
	authority(&f, nsec);
	f.authority[0].class = 3;
	assert_int_equal(look(&f, NOW, 1).seen, PUBLISH_SEEN_UNSIGNED);
	arena_done(&f.arena);
	/* A CNAME in its place proves as much as its signature does. */
	begin(&f, NULL);
	answer(&f, "example.com. 20 IN CNAME other.example.org.");
	assert_int_equal(look(&f, NOW, 1).seen, PUBLISH_SEEN_UNSIGNED);
	assert_int_equal(look(&f, NOW, 1).ttl, 20);
	arena_done(&f.arena);
}

static void no_answers(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, MX);
	for (unsigned rcode = 1; rcode < 24; rcode++) {
		f.reply.message.rcode = (uint16_t)rcode;
		assert_int_equal(look(&f, NOW, 1).seen, rcode == DNS_RCODE_NXDOMAIN
								? PUBLISH_SEEN_OTHER
								: PUBLISH_SEEN_NO_ANSWER);
	}
	f.reply.message.rcode = 0;
	f.reply.fault = DNS_FAULT_TIMEOUT;
	assert_int_equal(look(&f, NOW, 1).seen, PUBLISH_SEEN_NO_ANSWER);
	arena_done(&f.arena);
}

static void never(void *arg, const struct publish_sight *sights, size_t n)
{
	(void)arg;
	(void)sights;
	fail_msg("%zu sights", n);
}

static void limits(void **state)
{
	struct publish_set s = {.owner = "a.example.com", .type = DNS_TYPE_A};
	struct publish_change c = {"example.com", &s, 1};
	const char *servers[PUBLISH_SERVERS_MAX + 1];
	struct span keys[PUBLISH_KEYS_MAX + 1] = {0};
	struct publish_readback_config config = {.change = &c, .servers = servers, .keys = keys};
	struct io_loop *l = io_loop_new();
	struct dns_direct *d = dns_direct_new(l, 1);
	struct publish_readback *r;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(servers); i++)
		servers[i] = "192.0.2.1";
	assert_null(publish_readback_start(d, &config, never, NULL, &e));
	config.n_servers = PUBLISH_SERVERS_MAX + 1;
	assert_null(publish_readback_start(d, &config, never, NULL, &e));
	config.n_servers--;
	config.n_keys = PUBLISH_KEYS_MAX + 1;
	assert_null(publish_readback_start(d, &config, never, NULL, &e));
	config.n_keys--;
	r = publish_readback_start(d, &config, never, NULL, &e);
	assert_non_null(r);
	publish_readback_cancel(r);
	dns_direct_free(d);
	io_loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(signatures), cmocka_unit_test(denials),
					   cmocka_unit_test(no_answers), cmocka_unit_test(limits)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
