#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "base/hex.h"
#include "edge/tls/der.h"
#include "pki.h"

static int parse_chain(const char *pem, size_t *ret_count, struct err *e)
{
	struct tls_chain *c = NULL;
	int r = tls_chain_parse(span_text(pem), &c, e);

	if (r == 0)
		*ret_count = tls_chain_count(c);
	tls_chain_free(c);
	return r;
}

static void chain_keeps_its_order(void **state)
{
	struct tls_chain *c = pki_chain("leaf ca2 ca1");

	(void)state;
	assert_int_equal(tls_chain_count(c), 3);
	assert_int_equal(X509_cmp(sk_X509_value(tls_chain_x509(c), 0), pki_cert("leaf")), 0);
	assert_int_equal(X509_cmp(sk_X509_value(tls_chain_x509(c), 2), pki_cert("ca1")), 0);
	tls_chain_free(c);
}

static void chain_passes_over_keys(void **state)
{
	char *key = pki_key_pem("leaf"), *cert = pki_pem("leaf ca2");
	struct arena a = {0};
	struct err e;
	size_t n = 0;

	(void)state;
	assert_int_equal(parse_chain(arena_printf(&a, "text before\n%s%s", key, cert), &n, &e), 0);
	assert_int_equal(n, 2);
	assert_int_equal(parse_chain(arena_printf(&a, "%s%s", cert, key), &n, &e), 0);
	assert_int_equal(n, 2);
	free(key);
	free(cert);
	arena_done(&a);
}

static void broken_chains_are_refused(void **state)
{
	char *pem = pki_pem("leaf ca2"), *key = pki_key_pem("leaf");
	size_t n, length = strlen(pem), first = strlen(pem) / 2, refused = 0;
	struct err e;

	(void)state;
	assert_int_equal(parse_chain("", &n, &e), -EINVAL);
	assert_int_equal(parse_chain("hello", &n, &e), -EINVAL);
	assert_int_equal(parse_chain(key, &n, &e), -EINVAL);
	assert_non_null(strstr(e.text, "no PEM certificate"));
	assert_int_equal(
		parse_chain("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", &n, &e),
		-EINVAL);
	/* Cut inside the second certificate: not a chain of one. */
	for (size_t cut = length - 2; cut > first + 100; cut -= 7) {
		char *part = xstrndup(pem, cut);

		refused += parse_chain(part, &n, &e) == -EINVAL;
		if (parse_chain(part, &n, &e) == 0)
			assert_true(n == 2 || cut < first + 100);
		free(part);
	}
	assert_true(refused > 10);
	/* A damaged second certificate is named. */
	pem[first + 200] = '*';
	assert_int_equal(parse_chain(pem, &n, &e), -EINVAL);
	assert_non_null(strstr(e.text, "certificate 2"));
	free(pem);
	free(key);
}

static void chain_is_bounded(void **state)
{
	char *one = pki_pem("leaf");
	size_t length = strlen(one), n = 0;
	char *many = xmalloc(length * 101 + 1);
	struct tls_chain *c;
	struct err e;

	(void)state;
	for (size_t i = 0; i < 101; i++)
		memcpy(many + i * length, one, length + 1);
	assert_int_equal(parse_chain(many + length, &n, &e), 0);
	assert_int_equal(n, 100);
	assert_int_equal(parse_chain(many, &n, &e), -EINVAL);
	assert_int_equal(tls_chain_parse(span_of(many, TLS_PEM_MAX + 1), &c, &e), -EFBIG);
	free(one);
	free(many);
}

static void usage_chooses_the_certificate(void **state)
{
	struct tls_chain *c = pki_chain("leaf ca2 ca1"), *odd = pki_chain("leaf ca1 leaf2"),
			 *none = pki_chain("leaf");
	struct err e;
	size_t i;

	(void)state;
	assert_int_equal(tls_chain_subject(c, 3, &i, &e), 0);
	assert_int_equal(i, 0);
	assert_int_equal(tls_chain_subject(c, 2, &i, &e), 0);
	assert_int_equal(i, 2);
	assert_int_equal(tls_chain_subject(odd, 2, &i, &e), 0);
	assert_int_equal(i, 1);
	assert_int_equal(tls_chain_subject(none, 2, &i, &e), -ENOENT);
	tls_chain_free(c);
	tls_chain_free(odd);
	tls_chain_free(none);
}

/* The public half in PEM; freed by the caller. */
static char *public_pem(EVP_PKEY *key)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *p, *text;
	long n;

	require(PEM_write_bio_PUBKEY(b, key) == 1);
	n = BIO_get_mem_data(b, &p);
	text = xstrndup(p, (size_t)n);
	BIO_free(b);
	return text;
}

static void keys_and_certificates_agree(void **state)
{
	static const char *const names[] = {"leaf", "rsa", "p384", "ed25519", "rsa1024"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *texts[2] = {pki_key_pem(names[i]), public_pem(pki_key(names[i]))};
		struct tls_chain *c = pki_chain(names[i]);
		struct dane_tlsa from_cert, from_key, expected;
		struct arena a = {0};
		struct err e;

		for (uint8_t matching = 0; matching <= 2; matching++) {
			pki_records(arena_printf(&a, "3 1 %u %s", matching, names[i]), &a,
				    &expected, 1);
			assert_int_equal(tls_chain_tlsa(c, 0, 3, 1, matching, &a, &from_cert, &e),
					 0);
			assert_true(span_eq(from_cert.rdata, expected.rdata));
			for (size_t k = 0; k < 2; k++) {
				struct tls_key *key = NULL;

				assert_int_equal(tls_key_parse(span_text(texts[k]), &key, &e), 0);
				assert_int_equal(
					tls_key_tlsa(key, 3, 1, matching, &a, &from_key, &e), 0);
				assert_true(span_eq(from_key.rdata, expected.rdata));
				tls_key_free(key);
			}
		}
		free(texts[0]);
		free(texts[1]);
		tls_chain_free(c);
		arena_done(&a);
	}
}

/* F14: nothing that SMTP could not use is ever made. */
static void unusable_parameters_are_refused(void **state)
{
	static const uint8_t bad[][3] = {{0, 1, 1}, {1, 1, 1}, {4, 1, 1},
					 {3, 2, 1}, {3, 1, 3}, {255, 255, 255}};
	struct tls_chain *c = pki_chain("leaf"), *large = pki_chain("huge");
	char *pem = pki_key_pem("leaf");
	struct tls_key *key = NULL;
	struct arena a = {0};
	struct dane_tlsa r;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(tls_chain_tlsa(c, 0, bad[i][0], bad[i][1], bad[i][2], &a, &r, &e),
				 -EINVAL);
	assert_int_equal(tls_chain_tlsa(large, 0, 3, 0, 0, &a, &r, &e), -EINVAL);
	assert_int_equal(tls_key_parse(span_text(pem), &key, &e), 0);
	assert_int_equal(tls_key_tlsa(key, 3, 0, 1, &a, &r, &e), -EINVAL);
	tls_key_free(key);
	tls_chain_free(c);
	tls_chain_free(large);
	free(pem);
	arena_done(&a);
}

static void bad_keys_are_refused(void **state)
{
	char *cert = pki_pem("leaf"), *good = pki_key_pem("leaf");
	const char *const bad[] = {
		"",
		"\n",
		"hello",
		cert,
		"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n",
		"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct tls_key *k = NULL;
		struct err e = {0};

		if (tls_key_parse(span_text(bad[i]), &k, &e) != -EINVAL || e.text[0] == '\0')
			fail_msg("row %zu", i);
	}
	for (size_t cut = 0; cut < strlen(good) - 2; cut++) {
		struct tls_key *k = NULL;

		assert_int_equal(tls_key_parse(span_of(good, cut), &k, NULL), -EINVAL);
	}
	free(cert);
	free(good);
}

/* Neither a prompt nor a wait: standard input is no terminal here, but a key must not ask. */
static void passphrase_is_a_clear_error(void **state)
{
	BIO *forms[2] = {BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem())};

	(void)state;
	require(PEM_write_bio_PrivateKey(forms[0], pki_key("leaf"), EVP_aes_128_cbc(),
					 (const uint8_t *)"secret", 6, NULL, NULL) == 1);
	require(PEM_write_bio_PrivateKey_traditional(forms[1], pki_key("leaf"), EVP_aes_128_cbc(),
						     (const uint8_t *)"secret", 6, NULL,
						     NULL) == 1);
	for (size_t i = 0; i < 2; i++) {
		struct tls_key *k = NULL;
		struct err e;
		char *p;
		long n = BIO_get_mem_data(forms[i], &p);

		assert_int_equal(tls_key_parse(span_of(p, (size_t)n), &k, &e), -EINVAL);
		assert_non_null(strstr(e.text, "passphrase"));
		BIO_free(forms[i]);
	}
}

static void files_name_their_trouble(void **state)
{
	char path[] = "/tmp/daneway-test-XXXXXX";
	int fd = mkstemp(path);
	char *pem = pki_pem("leaf");
	struct tls_chain *c;
	struct tls_key *k;
	struct err e;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(tls_chain_load("/nonexistent/chain.pem", &c, &e), -ENOENT);
	assert_non_null(strstr(e.text, "/nonexistent/chain.pem: "));
	assert_int_equal(tls_chain_load("/", &c, &e), -EISDIR);
	assert_int_equal(tls_chain_load(path, &c, &e), -EINVAL); /* empty */
	assert_non_null(strstr(e.text, path));
	assert_int_equal(write(fd, pem, strlen(pem)), (ssize_t)strlen(pem));
	assert_int_equal(tls_chain_load(path, &c, &e), 0);
	tls_chain_free(c);
	assert_int_equal(tls_key_load(path, &k, &e), -EINVAL);
	assert_int_equal(ftruncate(fd, TLS_PEM_MAX + 1), 0);
	assert_int_equal(tls_key_load(path, &k, &e), -EFBIG);
	close(fd);
	unlink(path);
	free(pem);
}

/* U9, U10: exactly one, nothing behind it, nothing less. */
static void der_is_exactly_one(void **state)
{
	(void)state;
	for (uint8_t selector = 0; selector <= 1; selector++) {
		uint8_t *der, *more;
		size_t n = tls_x509_der(pki_cert("leaf"), selector, &der);

		assert_true(n > 0);
		more = xcalloc(1, n + 1);
		memcpy(more, der, n);
		assert_true(tls_der_is_whole(selector, span_of(der, n)));
		assert_false(tls_der_is_whole(selector, span_of(more, n + 1)));
		for (size_t cut = 0; cut < n; cut++)
			assert_false(tls_der_is_whole(selector, span_of(der, cut)));
		/* A certificate is no key, a key no certificate, and there is no third selector. */
		assert_false(tls_der_is_whole(1 - selector, span_of(der, n)));
		assert_false(tls_der_is_whole(2, span_of(der, n)));
		free(more);
		OPENSSL_free(der);
	}
	assert_false(tls_der_is_whole(0, span_of(NULL, 0)));
	assert_int_equal(ERR_peek_error(), 0);
}

static int tear_down(void **state)
{
	(void)state;
	pki_done();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chain_keeps_its_order),
		cmocka_unit_test(chain_passes_over_keys),
		cmocka_unit_test(broken_chains_are_refused),
		cmocka_unit_test(chain_is_bounded),
		cmocka_unit_test(usage_chooses_the_certificate),
		cmocka_unit_test(keys_and_certificates_agree),
		cmocka_unit_test(unusable_parameters_are_refused),
		cmocka_unit_test(bad_keys_are_refused),
		cmocka_unit_test(passphrase_is_a_clear_error),
		cmocka_unit_test(files_name_their_trouble),
		cmocka_unit_test(der_is_exactly_one),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
