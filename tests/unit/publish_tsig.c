/* Key files, and signatures of another implementation (dnspython 2.3). */
#include "publish_answer.h"

#define SECRET "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

static void keys(void **state)
{
	static const char *const good[] = {
		ANSWER_KEY_TEXT,
		"key k.example { secret " SECRET "; algorithm HMAC-SHA256; };",
		"# made by hand\n// so\n/* and\nso */ KEY \"K.Example.\" {\n"
		"algorithm \"hmac-sha256\"; # here\nsecret \"" SECRET "\";\n}; // end",
	};
	struct publish_key k;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(publish_key_parse(span_text(good[i]), &k, &e), 0);
		assert_string_equal(k.name, "k.example");
		assert_int_equal(k.digest, TLS_SHA256);
		assert_true(
			span_is(span_of(k.secret, k.secret_n), "0123456789abcdef0123456789abcdef"));
		publish_key_done(&k);
		assert_int_equal(k.secret_n, 0);
	}
	assert_int_equal(
		publish_key_parse(
			span_text("key \"k\" { algorithm hmac-sha512; secret \"" SECRET "\"; };"),
			&k, &e),
		0);
	assert_int_equal(k.digest, TLS_SHA512);
}

static void bad_keys(void **state)
{
	static const char *const bad[] = {
		"",
		"key",
		"key \"k\"",
		"key \"k\" {",
		"key \"\" { algorithm hmac-sha256; secret \"" SECRET "\"; };",
		"key \"a..b\" { algorithm hmac-sha256; secret \"" SECRET "\"; };",
		"key \"k\" { algorithm hmac-md5; secret \"" SECRET "\"; };",
		"key \"k\" { algorithm hmac-sha1; secret \"" SECRET "\"; };",
		"key \"k\" { algorithm hmac-sha256-128; secret \"" SECRET "\"; };",
		"key \"k\" { algorithm hmac-sha256; };",
		"key \"k\" { secret \"" SECRET "\"; };",
		"key \"k\" { secret \"" SECRET "\"; secret \"" SECRET "\"; };",
		"key \"k\" { algorithm hmac-sha256; algorithm hmac-sha256; };",
		"key \"k\" { algorithm hmac-sha256; secret \"" SECRET "\" };",
		"key \"k\" { algorithm hmac-sha256; secret \"" SECRET "\"; }",
		"key \"k\" { algorithm hmac-sha256; secret \"" SECRET "\"; }; key \"l\" {};",
		"key \"k\" { algorithm hmac-sha256; secret \"" SECRET "x\"; };",
		"key \"k\" { algorithm hmac-sha256; secret \"MDEyMzQ1Njc4OWFiY2Rl\"; };",
		"key \"k\" { algorithm hmac-sha256; secret \"" SECRET "; };",
		"key \"k\" { algorithm hmac-sha256; secret \"" SECRET "\"; }; /* no end",
	};
	struct publish_key k;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		e.text[0] = '\0';
		assert_true(publish_key_parse(span_text(bad[i]), &k, &e) < 0);
		assert_int_equal(k.secret_n, 0);
		assert_true(e.text[0] != '\0');
		assert_null(strstr(e.text, "MDEy"));
	}
}

/* The largest secret, and one octet more. */
static void key_limit(void **state)
{
	char text[600];
	struct publish_key k;

	(void)state;
	for (int extra = 0; extra < 2; extra++) {
		size_t groups = (PUBLISH_SECRET_MAX + (size_t)extra + 2) / 3;
		size_t n = (size_t)snprintf(text, sizeof(text),
					    "key k { algorithm hmac-sha512; secret \"");

		memset(text + n, 'A', groups * 4);
		n += groups * 4;
		for (size_t left = groups * 3; left > PUBLISH_SECRET_MAX + (size_t)extra; left--)
			text[n - 1 - (groups * 3 - left)] = '=';
		snprintf(text + n, sizeof(text) - n, "\"; };");
		assert_int_equal(publish_key_parse(span_text(text), &k, NULL) == 0, extra == 0);
	}
}

#define REQUEST_MAC "4b8827a7810f3091b885fd357bf4bae472359ba33d5bdfd2f279d07387f59537"
#define ANSWER                                                                                     \
	"1234a8000001000000000001076578616d706c65036f72670000060001016b076578616d706c650000fa00ff" \
	"00000000003d0b686d61632d7368613235360000006553f101012c0020e506cbbb24365090e62eccd02e5361" \
	"daa2350997702de179b90726bf7321b5fe123400000000"

static void of_another(void **state)
{
	struct arena a = {0};
	struct publish_key k;
	struct publish_mac request = {.n = 32};
	struct publish_signed s;
	struct span wire, mac;

	(void)state;
	assert_int_equal(publish_key_parse(span_text(ANSWER_KEY_TEXT), &k, NULL), 0);
	assert_int_equal(hex_decode(&a, span_text(ANSWER), &wire), 0);
	assert_int_equal(hex_decode(&a, span_text(REQUEST_MAC), &mac), 0);
	memcpy(request.octets, mac.p, 32);
	publish_tsig_verify(wire, &k, &request, 1700000000, &s);
	assert_int_equal(s.signature, PUBLISH_SIGNATURE_GOOD);
	assert_int_equal(s.error, 0);
	/* Each octet counts. */
	for (size_t i = 0; i < wire.n; i++) {
		((uint8_t *)wire.p)[i] ^= 0x10; /* not the case of a letter */
		publish_tsig_verify(wire, &k, &request, 1700000000, &s);
		if (s.signature == PUBLISH_SIGNATURE_GOOD)
			fail_msg("octet %zu does not count", i);
		((uint8_t *)wire.p)[i] ^= 0x10;
	}
	/* Cut anywhere. */
	for (size_t i = 0; i < wire.n; i++) {
		publish_tsig_verify(span_of(wire.p, i), &k, &request, 1700000000, &s);
		assert_int_not_equal(s.signature, PUBLISH_SIGNATURE_GOOD);
	}
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(keys), cmocka_unit_test(bad_keys),
					   cmocka_unit_test(key_limit),
					   cmocka_unit_test(of_another)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
