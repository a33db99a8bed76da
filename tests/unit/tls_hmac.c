/* The test cases of RFC 4231, and what is not equal. */
#include "test.h"

#include "base/hex.h"
#include "edge/tls/hmac.h"

static const struct {
	enum tls_digest digest;
	const char *key, *data, *mac; /* hexadecimal */
} cases[] = {
	{TLS_SHA256, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
	 "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
	{TLS_SHA512, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
	 "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
	 "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"},
	{TLS_SHA256, "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
	 "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
};

static void known(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct arena a = {0};
		struct span key, data, mac;
		uint8_t got[TLS_HMAC_MAX];
		size_t n;

		assert_int_equal(hex_decode(&a, span_text(cases[i].key), &key), 0);
		assert_int_equal(hex_decode(&a, span_text(cases[i].data), &data), 0);
		assert_int_equal(hex_decode(&a, span_text(cases[i].mac), &mac), 0);
		n = tls_hmac(cases[i].digest, key, data, got);
		assert_true(tls_hmac_equal(span_of(got, n), mac));
		assert_false(tls_hmac_equal(span_of(got, n - 1), mac));
		assert_false(tls_hmac_equal(span_of(got, n - 1), span_of(mac.p, n - 1 - 16)));
		got[n - 1] ^= 1;
		assert_false(tls_hmac_equal(span_of(got, n), mac));
		arena_done(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(known)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
