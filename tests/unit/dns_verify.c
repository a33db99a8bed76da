/* Signatures and DS: the examples of RFC 8080 section 6, and each reason for refusal (V2-V6, V22).
 */
#include "dns_records.h"

#include "edge/dns/verify.h"

#define KEY "example.com. 3600 IN DNSKEY 257 3 15 QgocA/ppOwvErsrsB763SyY9cBGzpoDnxtEVinJ8ZeM="
#define SIGNATURE                                                                                  \
	"W+IA0WzP5qytrQ/OeZzoV3GQncncantHwyzgtIEuy8IgniJm0HGbO99oeGrDsrIhFzNHvqqPhaGHPlD7KYwwBg=="
#define MX  "example.com. 3600 IN MX 10 mail.example.com."
#define NOW 1439000000 /* between 1438207200 and 1440021600 */

static const char *rrsig(struct arena *a, const char *fields, const char *signer)
{
	return arena_printf(a, "example.com. 3600 IN RRSIG MX %s 26064 %s " SIGNATURE, fields,
			    signer);
}

/* One RRset, `n` signatures, `n_keys` keys; the result of the first signature. */
static enum dns_signature check(struct arena *a, const char *mx, const char *signature,
				const char *key, int64_t now)
{
	struct dns_rr records[3] = {rr_of(a, mx), rr_of(a, signature), rr_of(a, key)};
	const struct dns_rr *set[1] = {&records[0]}, *sigs[1] = {&records[1]},
			    *keys[1] = {&records[2]};
	struct dns_signed_set s = {set, 1, sigs, 1};
	struct dns_verify v = {.left = 10, .now = now};
	struct dns_checked_signature ret[DNS_VERIFY_SIGNATURES_MAX];

	assert_int_equal(dns_verify_set(&v, a, &s, "example.com", keys, 1, ret), 1);
	return ret[0].result;
}

#define FIELDS "15 2 3600 20150819220000 20150729220000"

static void reasons(void **state)
{
	struct arena a = {0};
	const char *good = rrsig(&a, FIELDS, "example.com.");
	const char *revoked = "example.com. 3600 IN DNSKEY 385 3 15 "
			      "QgocA/ppOwvErsrsB763SyY9cBGzpoDnxtEVinJ8ZeM=";
	struct dns_dnskey key;
	struct dns_rr rr = rr_of(&a, revoked);

	(void)state;
	assert_int_equal(check(&a, MX, good, KEY, NOW), DNS_SIGNATURE_VALID);
	/* Letters of names in old types do not count; those of the owner neither. */
	assert_int_equal(check(&a, "EXAMPLE.com. 3600 IN MX 10 Mail.Example.COM.", good, KEY, NOW),
			 DNS_SIGNATURE_VALID);
	/* The TTL may have run down. */
	assert_int_equal(check(&a, "example.com. 5 IN MX 10 mail.example.com.", good, KEY, NOW),
			 DNS_SIGNATURE_VALID);
	assert_int_equal(check(&a, MX, good, KEY, 1440021601), DNS_SIGNATURE_EXPIRED);
	assert_int_equal(check(&a, MX, good, KEY, 1440021600), DNS_SIGNATURE_VALID);
	assert_int_equal(check(&a, MX, good, KEY, 1438207199), DNS_SIGNATURE_NOT_YET);
	assert_int_equal(check(&a, MX, good, KEY, 1438207200), DNS_SIGNATURE_VALID);
	assert_int_equal(check(&a, "example.com. 3600 IN MX 11 mail.example.com.", good, KEY, NOW),
			 DNS_SIGNATURE_BAD);
	assert_int_equal(check(&a, MX, rrsig(&a, FIELDS, "example.org."), KEY, NOW),
			 DNS_SIGNATURE_SIGNER);
	assert_int_equal(check(&a, MX, rrsig(&a, FIELDS, "com."), KEY, NOW), DNS_SIGNATURE_SIGNER);
	assert_int_equal(check(&a, MX,
			       rrsig(&a, "15 3 3600 20150819220000 20150729220000", "example.com."),
			       KEY, NOW),
			 DNS_SIGNATURE_LABELS);
	assert_int_equal(
		check(&a, MX, rrsig(&a, "253 2 3600 20150819220000 20150729220000", "example.com."),
		      KEY, NOW),
		DNS_SIGNATURE_ALGORITHM);
	assert_int_equal(check(&a, MX,
			       rrsig(&a, "13 2 3600 20150819220000 20150729220000", "example.com."),
			       KEY, NOW),
			 DNS_SIGNATURE_NO_KEY);
	assert_int_equal(dns_dnskey_read(rr.rdata, &key), 0);
	assert_int_equal(check(&a, MX,
			       arena_printf(&a,
					    "example.com. 3600 IN RRSIG MX " FIELDS
					    " %u example.com. " SIGNATURE,
					    key.tag),
			       revoked, NOW),
			 DNS_SIGNATURE_KEY_UNFIT);
	arena_done(&a);
}

static void ed448(void **state)
{
	struct arena a = {0};

	(void)state;
	assert_int_equal(
		check(&a, MX,
		      "example.com. 3600 IN RRSIG MX 16 2 3600 20150819220000 20150729220000 39597 "
		      "example.com. "
		      "bcCCMoNE277a7M/Fp0xvIdNuBinXz0WRLf7Ny3+4c1cRTqABFs0tyd3LEQTFrlJqdjxJCvo5kGCA"
		      "whhQiuLOmI+7ZCctxwxY+4tF7/BRzcb8mrP7a9nyXIW1QjcnR68n1NN/bNc/"
		      "xJkmaoUu4eoyxxYA",
		      "example.com. 3600 IN DNSKEY 257 3 16 "
		      "g2rtCK9Srs1a0pibh6X3YmWSfpdJJNX6q++fmAeH7PeWaQjlWh+ZHSlL"
		      "thwN9RykakGwCza8JKwA",
		      NOW),
		DNS_SIGNATURE_VALID);
	arena_done(&a);
}

static void delegation_signers(void **state)
{
	struct arena a = {0};
	struct dns_rr key = rr_of(&a, "example.com. 3600 IN DNSKEY 257 3 15 "
				      "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4="),
		      ds = rr_of(&a, "example.com. 3600 IN DS 3613 15 2 "
				     "3aa5ab37efce57f737fc1627013fee07bdf241b"
				     "d10f3b1964ab55c78e79a304b");
	struct dns_ds parsed;
	uint8_t digest[32];

	(void)state;
	assert_int_equal(dns_ds_read(ds.rdata, &parsed), 0);
	assert_int_equal(dns_verify_ds(&parsed, &key), DNS_DS_MATCH);
	assert_string_equal(dns_verify_make_ds(&a, &key),
			    "3613 15 2 3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a"
			    "304b");
	memcpy(digest, parsed.digest.p, sizeof(digest));
	digest[31] ^= 1;
	parsed.digest = span_of(digest, 32);
	assert_int_equal(dns_verify_ds(&parsed, &key), DNS_DS_MISMATCH);
	parsed.digest = span_of(digest, 31);
	assert_int_equal(dns_verify_ds(&parsed, &key), DNS_DS_MISMATCH);
	parsed.digest_type = 200;
	assert_int_equal(dns_verify_ds(&parsed, &key), DNS_DS_UNKNOWN);
	parsed.tag++;
	assert_int_equal(dns_verify_ds(&parsed, &key), DNS_DS_OTHER);
	arena_done(&a);
}

/* KeyTrap: sixteen pairs are done, the seventeenth makes that none is. */
static void limits(void **state)
{
	struct arena a = {0};
	struct dns_rr mx = rr_of(&a, MX), key = rr_of(&a, KEY),
		      sig = rr_of(&a, rrsig(&a, "15 2 3600 20150819220000 20150729220000",
					    "example.com."));
	const struct dns_rr *set[1] = {&mx}, *sigs[40], *keys[20];
	struct dns_checked_signature ret[DNS_VERIFY_SIGNATURES_MAX];
	struct dns_verify v = {.left = 100, .now = NOW};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sigs); i++)
		sigs[i] = &sig;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		keys[i] = &key;
	for (size_t n = 1; n <= ARRAY_SIZE(keys); n++) {
		struct dns_signed_set s = {set, 1, sigs, 1};
		bool over = n > DNS_VERIFY_PER_SET_MAX;
		unsigned before = v.left;

		assert_int_equal(dns_verify_set(&v, &a, &s, "example.com", keys, n, ret), 1);
		assert_int_equal(ret[0].result, over ? DNS_SIGNATURE_LIMIT : DNS_SIGNATURE_VALID);
		assert_int_equal(before - v.left, over ? 0 : 1);
	}
	for (size_t n = 1; n <= ARRAY_SIZE(sigs); n++) {
		struct dns_signed_set s = {set, 1, sigs, n};
		bool over = n > DNS_VERIFY_PER_SET_MAX;
		size_t seen;

		v.left = 100;
		seen = dns_verify_set(&v, &a, &s, "example.com", keys, 1, ret);
		assert_int_equal(seen,
				 n < DNS_VERIFY_SIGNATURES_MAX ? n : DNS_VERIFY_SIGNATURES_MAX);
		assert_int_equal(100 - v.left, over ? 0 : n);
		assert_int_equal(ret[0].result, over ? DNS_SIGNATURE_LIMIT : DNS_SIGNATURE_VALID);
	}
	{
		struct dns_signed_set s = {set, 1, sigs, 3};

		v.left = 2; /* of the whole run */
		assert_int_equal(dns_verify_set(&v, &a, &s, "example.com", keys, 1, ret), 3);
		assert_int_equal(ret[1].result, DNS_SIGNATURE_VALID);
		assert_int_equal(ret[2].result, DNS_SIGNATURE_LIMIT);
	}
	arena_done(&a);
}

/* What was worked out is taken again only for the very same octets. */
static void the_same_again(void **state)
{
	struct arena a = {0};
	struct dns_rr mx = rr_of(&a, MX),
		      other = rr_of(&a, "example.com. 3600 IN MX 11 mail.example.com."),
		      key = rr_of(&a, KEY), sig = rr_of(&a, rrsig(&a, FIELDS, "example.com."));
	struct dns_rr wrong_sig = sig;
	const struct dns_rr *sets[] = {&mx, &other}, *sigs[] = {&sig, &wrong_sig}, *keys[] = {&key};
	struct dns_checked_signature ret[DNS_VERIFY_SIGNATURES_MAX];
	struct dns_verify v = {.left = 1000, .now = NOW};
	uint8_t octets[256];

	(void)state;
	memcpy(octets, sig.rdata.p, sig.rdata.n);
	octets[sig.rdata.n - 1] ^= 1;
	wrong_sig.rdata = arena_dup(&a, span_of(octets, sig.rdata.n));
	for (unsigned round = 0; round < 3 * DNS_VERIFY_KEPT; round++) {
		for (size_t i = 0; i < 2; i++) {
			for (size_t k = 0; k < 2; k++) {
				struct dns_signed_set s = {&sets[i], 1, &sigs[k], 1};

				assert_int_equal(
					dns_verify_set(&v, &a, &s, "example.com", keys, 1, ret), 1);
				assert_int_equal(ret[0].result, i + k == 0 ? DNS_SIGNATURE_VALID
									   : DNS_SIGNATURE_BAD);
			}
		}
	}
	assert_int_equal(v.next_done, 4); /* once each */
	v.now = 1440021601;               /* dates are judged each time */
	{
		struct dns_signed_set s = {sets, 1, sigs, 1};

		assert_int_equal(dns_verify_set(&v, &a, &s, "example.com", keys, 1, ret), 1);
		assert_int_equal(ret[0].result, DNS_SIGNATURE_EXPIRED);
	}
	arena_done(&a);
}

/* Serial arithmetic: dates go on after 2106. */
static void dates(void **state)
{
	(void)state;
	assert_int_equal(dns_date_distance(10, 0xfffffff6), 20);
	assert_int_equal(dns_date_distance(0xfffffff6, 0x10000000aLL), -20);
	assert_int_equal(dns_date_distance(1000, 400), 600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reasons),
		cmocka_unit_test(ed448),
		cmocka_unit_test(delegation_signers),
		cmocka_unit_test(limits),
		cmocka_unit_test(the_same_again),
		cmocka_unit_test(dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
