/* The library context for clients: fewer decoders, and the same keys, verdicts and refusals. */
#include "test.h"

#include <openssl/decoder.h>
#include <openssl/dsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "pki.h"

static void count(OSSL_DECODER *d, void *arg)
{
	(void)d;
	++*(size_t *)arg;
}

static size_t decoders_of(OSSL_LIB_CTX *l)
{
	size_t n = 0;

	OSSL_DECODER_do_all_provided(l, count, &n);
	return n;
}

static void few_decoders(void **state)
{
	OSSL_LIB_CTX *usual = OSSL_LIB_CTX_new();
	size_t n = decoders_of(tls_library());

	(void)state;
	assert_non_null(tls_library());
	assert_ptr_equal(tls_library(), tls_library());
	if (n < 5 || 3 * n > decoders_of(usual))
		fail_msg("%zu decoders of %zu", n, decoders_of(usual));
	OSSL_LIB_CTX_free(usual);
}

/* A certificate for this key, signed by it where it can sign, as DER. */
static size_t certificate_for(EVP_PKEY *key, uint8_t **ret)
{
	X509 *x = X509_new();
	bool bare = EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448");
	int n;

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	assert_int_equal(X509_set_pubkey(x, key), 1);
	if (X509_sign(x, key, bare ? NULL : EVP_sha256()) <= 0)
		assert_true(X509_sign(x, pki_key("leaf"), EVP_sha256()) > 0);
	*ret = NULL;
	n = i2d_X509(x, ret);
	assert_true(n > 0);
	X509_free(x);
	ERR_clear_error();
	return (size_t)n;
}

static X509 *read_in(OSSL_LIB_CTX *l, const uint8_t *der, size_t n)
{
	X509 *x = X509_new_ex(l, NULL), *read;
	const uint8_t *p = der;

	read = d2i_X509(&x, &p, (long)n);
	ERR_clear_error();
	return read;
}

static void expect_same(const uint8_t *der, size_t n, const char *what)
{
	X509 *lean = read_in(tls_library(), der, n), *usual = read_in(NULL, der, n);
	EVP_PKEY *a = lean == NULL ? NULL : X509_get0_pubkey(lean),
		 *b = usual == NULL ? NULL : X509_get0_pubkey(usual);

	if ((lean == NULL) != (usual == NULL) || (a == NULL) != (b == NULL))
		fail_msg("%s: read by one alone", what);
	if (a != NULL && (EVP_PKEY_eq(a, b) != 1 || EVP_PKEY_get_bits(a) != EVP_PKEY_get_bits(b) ||
			  EVP_PKEY_get_base_id(a) != EVP_PKEY_get_base_id(b)))
		fail_msg("%s: not the same key", what);
	if (lean != NULL && b != NULL && X509_verify(lean, a) != X509_verify(usual, b))
		fail_msg("%s: not the same verdict on a signature", what);
	X509_free(lean);
	X509_free(usual);
	ERR_clear_error();
}

static EVP_PKEY *dsa_key(void)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "DSA", NULL);
	EVP_PKEY *parameters = NULL, *key = NULL;

	assert_true(EVP_PKEY_paramgen_init(c) > 0 &&
		    EVP_PKEY_CTX_set_dsa_paramgen_bits(c, 1024) > 0 &&
		    EVP_PKEY_paramgen(c, &parameters) > 0);
	EVP_PKEY_CTX_free(c);
	c = EVP_PKEY_CTX_new_from_pkey(NULL, parameters, NULL);
	assert_true(EVP_PKEY_keygen_init(c) > 0 && EVP_PKEY_keygen(c, &key) > 0);
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(parameters);
	return key;
}

static EVP_PKEY *make(const char *kind)
{
	EVP_PKEY_CTX *c;
	EVP_PKEY *key = NULL;

	if (strcmp(kind, "DSA") == 0)
		return dsa_key();
	if (strncmp(kind, "EC ", 3) == 0)
		return EVP_EC_gen(kind + 3);
	c = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
	assert_true(EVP_PKEY_keygen_init(c) > 0);
	if (strncmp(kind, "RSA", 3) == 0)
		assert_true(EVP_PKEY_CTX_set_rsa_keygen_bits(c, 1024) > 0);
	assert_true(EVP_PKEY_keygen(c, &key) > 0);
	EVP_PKEY_CTX_free(c);
	return key;
}

static void every_kind_of_key(void **state)
{
	static const char *const kinds[] = {
		"RSA",      "RSA-PSS",  "DSA",          "EC P-256",
		"EC P-384", "EC P-521", "EC secp256k1", "EC brainpoolP256r1",
		"ED25519",  "ED448",    "X25519",       "X448",
		"SM2",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		EVP_PKEY *key = make(kinds[i]);
		uint8_t *der;
		size_t n;

		if (key == NULL)
			fail_msg("%s: no key", kinds[i]);
		n = certificate_for(key, &der);
		expect_same(der, n, kinds[i]);
		OPENSSL_free(der);
		EVP_PKEY_free(key);
	}
}

/* Each octet turned: what one cannot read, the other cannot either. */
static void every_broken_certificate(void **state)
{
	static const char *const names[] = {"leaf", "rsa", "ed25519"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		uint8_t *der = NULL;
		size_t n = (size_t)i2d_X509(pki_cert(names[i]), &der);

		for (size_t at = 0; at < n; at++) {
			der[at] ^= 0x11;
			expect_same(der, n, names[i]);
			der[at] ^= 0x11;
			if (at % 8 == 0)
				expect_same(der, at, names[i]);
		}
		OPENSSL_free(der);
	}
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
		cmocka_unit_test(few_decoders),
		cmocka_unit_test(every_kind_of_key),
		cmocka_unit_test(every_broken_certificate),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
