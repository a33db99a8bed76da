/* Which certificate a server shows: SNI, key types; what it cannot serve, and what is odd. */
#include "test.h"

#include <errno.h>

#include <openssl/pem.h>

#include "tls_pair.h"

/* --- B27: SNI --------------------------------------------------------------------------------- */

#define LABEL_63 "a23456789012345678901234567890123456789012345678901234567890123"
static const char long_name[] = LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63; /* 255 octets */

/* What is shown to this client, and that it saw no alert. */
static void expect_shown(struct tls_server *s, int version, const char *sni, const char *sigalgs,
			 const char *shown)
{
	struct pair *p = pair_new(s, version);
	X509 *leaf;

	if (sigalgs != NULL)
		assert_int_equal(SSL_CTX_set1_sigalgs_list(p->ctx, sigalgs), 1);
	pair_start(p, sni);
	if (pair_handshake(p) != TLS_STEP_DONE)
		fail_msg("%s: %s", sni == NULL ? "(none)" : sni, tls_conn_error(p->server));
	leaf = SSL_get0_peer_certificate(p->client);
	if (X509_cmp(leaf, pki_cert(shown)) != 0)
		fail_msg("\"%s\" is not shown \"%s\"", sni == NULL ? "(none)" : sni, shown);
	if (p->alerts != 0)
		fail_msg("\"%s\" is answered by an alert", sni == NULL ? "(none)" : sni);
	pair_free(p);
}

static void sni_chooses_the_certificate(void **state)
{
	static const struct {
		const char *sni, *shown;
	} rows[] = {
		{NULL, "leaf"},
		{NAME, "leaf"},
		{"MAIL.example.COM", "leaf"},
		{NAME ".", "leaf"},
		{"other.example.net", "other"},
		{"OTHER.example.net.", "other"},
		{"mx9.example.com", "wild"},
		{"xn--bcher-kva.example", "idn"},
		{NAME "pany.example", "leaf"}, /* unknown: from here on the default */
		{"unknown.example", "leaf"},
		{"a.b.example.com", "leaf"},
		{"example.com", "leaf"},
		{"com", "leaf"},
		{"example.net", "leaf"},
		{"*.example.com", "leaf"},
		{"192.0.2.1", "leaf"},
		{"[192.0.2.1]", "leaf"},
		{"2001:db8::1", "leaf"},
		{"other.example.net..", "leaf"},
		{".", "leaf"},
		{"..", "leaf"},
		{".other.example.net", "leaf"},
		{" other.example.net", "leaf"},
		{"other.example.net:25", "leaf"},
		{"b\xc3\xbc"
		 "cher.example",
		 "leaf"},
		{"\x01\x7f\xff\r\n", "leaf"},
		{long_name, "leaf"},
	};
	struct tls_server *s = server_of("leaf ca2, other, wild, idn", false);

	(void)state;
	assert_int_equal(strlen(long_name), 255);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		expect_shown(s, TLS1_2_VERSION, rows[i].sni, NULL, rows[i].shown);
		expect_shown(s, TLS1_3_VERSION, rows[i].sni, NULL, rows[i].shown);
	}
	tls_server_free(s);
	/* The same where there is nothing to choose. */
	s = server_of("other", false);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		expect_shown(s, TLS1_2_VERSION, rows[i].sni, NULL, "other");
		expect_shown(s, TLS1_3_VERSION, rows[i].sni, NULL, "other");
	}
	tls_server_free(s);
}

#define WANT_RSA   "rsa_pss_rsae_sha256:RSA+SHA256"
#define WANT_ECDSA "ECDSA+SHA256:ECDSA+SHA384"

static void the_key_type_follows_the_client(void **state)
{
	static const struct {
		const char *certs, *sni, *sigalgs, *shown;
	} rows[] = {
		{"leaf, rsa", NAME, WANT_RSA, "rsa"},
		{"leaf, rsa", NAME, WANT_ECDSA, "leaf"},
		{"leaf, rsa", NAME, WANT_RSA ":" WANT_ECDSA, "leaf"}, /* the server's order */
		{"rsa, leaf", NAME, WANT_RSA ":" WANT_ECDSA, "leaf"},
		{"rsa, leaf", NAME, WANT_RSA, "rsa"},
		{"rsa, leaf", NULL, WANT_ECDSA, "leaf"}, /* the default has both */
		{"rsa, leaf", "unknown.example", WANT_RSA, "rsa"},
		{"ed25519, rsa", NAME, "ed25519", "ed25519"},
		{"ed25519, rsa", NAME, WANT_RSA, "rsa"},
		{"p384, rsa", NAME, WANT_ECDSA, "p384"},
		/* Of one type the first; the very name before the wildcard. */
		{"leaf2, leaf", NAME, NULL, "leaf2"},
		{"wild, leaf", NAME, NULL, "leaf"},
		{"wild, leaf", "mx9.example.com", NULL, "wild"},
		{"wild, leaf", NULL, NULL, "wild"},
		/* An RSA certificate by its name, an ECDSA one by a wildcard: both fit. */
		{"other, wild, rsa", NAME, WANT_RSA, "rsa"},
		{"other, wild, rsa", NAME, WANT_ECDSA, "wild"},
		{"other, wild, rsa", NULL, WANT_ECDSA, "other"},
		/* Several names, names in capitals, a name in the common name only. */
		{"leaf, two-names", "other.example.net", NULL, "two-names"},
		{"other, case", NAME, NULL, "case"},
		{"other, cn", NAME, NULL, "cn"},
		{"other, cn-ip", NAME, NULL, "cn-ip"},
		{"leaf, cn-other", "other.example.net", NULL, "cn-other"},
		{"next-hop, cn-other", NAME, NULL, "next-hop"}, /* N8: not the common name */
		/* A NUL in a name, a star elsewhere: no names. */
		{"other, nul", NAME, NULL, "other"},
		{"other, cn-nul", NAME, NULL, "other"},
		{"other, partial-tail", NAME, NULL, "other"},
		{"other, wild-mid", NAME, NULL, "other"},
		/* Without a name it can be the default, and nothing else. */
		{"root, leaf", NULL, NULL, "root"},
		{"root, leaf", NAME, NULL, "leaf"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tls_server *s = server_of(rows[i].certs, false);

		expect_shown(s, TLS1_2_VERSION, rows[i].sni, rows[i].sigalgs, rows[i].shown);
		expect_shown(s, TLS1_3_VERSION, rows[i].sni, rows[i].sigalgs, rows[i].shown);
		tls_server_free(s);
	}
}

/* Of another name's certificate its TLSA records know nothing: rather none at all. */
static void no_other_names_certificate(void **state)
{
	struct tls_server *s = server_of("leaf, rsa, other", false);

	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct pair *p = pair_new(s, version);

		assert_int_equal(SSL_CTX_set1_sigalgs_list(p->ctx, WANT_RSA), 1);
		pair_start(p, "other.example.net");
		expect_failure(p, version == TLS1_2_VERSION ? "no shared cipher"
							    : "no suitable signature algorithm");
		pair_free(p);
	}
	tls_server_free(s);
}

static void names_are_known(void **state)
{
	struct tls_server *s = server_of("leaf, wild, other", false);

	(void)state;
	assert_true(tls_server_has_name(s, NAME));
	assert_true(tls_server_has_name(s, "Other.example.net."));
	assert_true(tls_server_has_name(s, "mx9.example.com"));
	assert_false(tls_server_has_name(s, "example.com"));
	assert_false(tls_server_has_name(s, "unknown.example"));
	assert_false(tls_server_has_name(s, "192.0.2.1"));
	assert_false(tls_server_has_name(s, ""));
	tls_server_free(s);
}

/* --- what cannot be served, and what is odd --------------------------------------------------- */

static void expect_refused(const char *chain, const char *key, int code, const char *words)
{
	struct tls_server_cert cert = {chain, key};
	struct err e = {0};

	assert_null(tls_server_new(&cert, 1, false, &e));
	if (strstr(e.text, words) == NULL || strstr(e.text, dir) == NULL)
		fail_msg("\"%s\" does not name the file and \"%s\"", e.text, words);
	assert_int_equal(e.code, code);
}

static char *other_pem(bool encrypted, EVP_PKEY *key)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *p, *text;
	long n;

	if (encrypted)
		assert_int_equal(PEM_write_bio_PrivateKey(b, key, EVP_aes_128_cbc(), NULL, 0, NULL,
							  (void *)"secret"),
				 1);
	else
		assert_int_equal(PEM_write_bio_PUBKEY(b, key), 1);
	n = BIO_get_mem_data(b, &p);
	text = xstrndup(p, (size_t)n);
	BIO_free(b);
	return text;
}

static void errors_name_file_and_cause(void **state)
{
	struct arena a = {0};
	struct tls_server_cert leaf, other, chain;
	struct err e;
	char *text;

	(void)state;
	write_identity("leaf ca2", &a, &leaf);
	write_identity("other", &a, &other);
	write_identity("ca2 leaf2", &a, &chain);
	expect_refused(path_of("absent.pem"), leaf.key, -ENOENT, "No such file");
	expect_refused(leaf.chain, path_of("absent.key"), -ENOENT, "absent.key: No such file");
	expect_refused(dir, leaf.key, -EISDIR, "Is a directory");
	expect_refused(write_text("empty.pem", ""), leaf.key, -EINVAL, "empty");
	expect_refused(write_text("text.pem", "hello\n"), leaf.key, -EINVAL, "no PEM certificate");
	expect_refused(leaf.chain, path_of("text.pem"), -EINVAL, "no PEM private key");
	expect_refused(leaf.chain, leaf.chain, -EINVAL, "leaf.pem: no PEM private key");
	expect_refused(leaf.chain, other.key, -EINVAL,
		       "other.key: the key does not fit the certificate in");
	text = pki_key_pem("leaf2");
	expect_refused(chain.chain, write_text("leaf2.key", text), -EINVAL,
		       "the key fits certificate 2 of");
	free(text);
	text = other_pem(true, pki_key("leaf"));
	expect_refused(leaf.chain, write_text("secret.key", text), -EINVAL,
		       "secret.key: the key is protected by a passphrase");
	free(text);
	text = other_pem(false, pki_key("leaf"));
	expect_refused(leaf.chain, write_text("public.key", text), -EINVAL, "no PEM private key");
	free(text);
	write_identity("rsa768", &a, &chain);
	expect_refused(chain.chain, chain.key, -EINVAL, "cannot be served: ee key too small");
	assert_null(tls_server_new(NULL, 0, false, &e));
	assert_string_equal(e.text, "no certificate");
	arena_done(&a);
}

/* Chain and key may be one file. */
static void one_file_will_do(void **state)
{
	char *chain = pki_pem("leaf ca2"), *key = pki_key_pem("leaf"), both[8192];
	struct tls_server_cert cert;
	struct tls_server *s;
	struct err e;

	(void)state;
	snprintf(both, sizeof(both), "%s%s", key, chain);
	cert.chain = cert.key = write_text("both.pem", both);
	s = tls_server_new(&cert, 1, false, &e);
	assert_non_null(s);
	assert_null(tls_server_warning(s, 0));
	expect_shown(s, TLS1_3_VERSION, NAME, NULL, "leaf");
	tls_server_free(s);
	free(chain);
	free(key);
}

static void expect_warning(const char *certs, const char *words)
{
	struct tls_server *s = server_of(certs, false);
	const char *text = tls_server_warning(s, 0);

	if (text == NULL || strstr(text, words) == NULL || strstr(text, dir) == NULL)
		fail_msg("\"%s\": \"%s\" does not say \"%s\"", certs, text == NULL ? "" : text,
			 words);
	assert_null(tls_server_warning(s, 1));
	tls_server_free(s);
}

static void what_is_odd_is_served_with_a_warning(void **state)
{
	struct tls_server *s = server_of("expired", false);

	(void)state;
	expect_shown(s, TLS1_3_VERSION, NAME, NULL, "expired"); /* C5: usage 3 has no dates */
	tls_server_free(s);
	expect_warning("expired", "expired.pem: certificate 1 has expired");
	expect_warning("under-expired ca-expired", "certificate 2 has expired");
	expect_warning("future", "certificate 1 is not yet valid");
	expect_warning("leaf, leaf2", "leaf2.pem: never shown");
	expect_warning("leaf ca1 ca2", "certificate 1 is not issued by the next one");
	s = server_of("leaf ca2 ca1 root, rsa ca2, other, wild", false);
	assert_null(tls_server_warning(s, 0));
	tls_server_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sni_chooses_the_certificate),
		cmocka_unit_test(the_key_type_follows_the_client),
		cmocka_unit_test(no_other_names_certificate),
		cmocka_unit_test(names_are_known),
		cmocka_unit_test(errors_name_file_and_cause),
		cmocka_unit_test(one_file_will_do),
		cmocka_unit_test(what_is_odd_is_served_with_a_warning),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
