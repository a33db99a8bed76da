#include "edge/tls/facts.h"

#include <openssl/pem.h>

#include "base/text.h"
#include "edge/tls/internal.h"

static X509 *at(const struct tls_chain *c, size_t i)
{
	require(i < tls_chain_count(c));
	return sk_X509_value(tls_chain_x509(c), (int)i);
}

/* A BIO's text without what is not printable, in the arena; the BIO is freed. */
static const char *take_text(BIO *bio, struct arena *a)
{
	char *p, *copy;
	long n = BIO_get_mem_data(bio, &p);

	copy = arena_text(a, span_of(p, n > 0 ? (size_t)n : 0));
	text_make_plain(copy);
	BIO_free(bio);
	return copy;
}

static const char *name_text(X509_NAME *name, struct arena *a)
{
	int i = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	BIO *bio = BIO_new(BIO_s_mem());

	require(bio != NULL);
	if (i >= 0)
		ASN1_STRING_print_ex(bio, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)),
				     ASN1_STRFLGS_UTF8_CONVERT | ASN1_STRFLGS_ESC_CTRL);
	else
		X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
	return take_text(bio, a);
}

static int64_t unix_time(const ASN1_TIME *t)
{
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days = 0, seconds = 0;

	require(epoch != NULL);
	if (ASN1_TIME_diff(&days, &seconds, epoch, t) != 1)
		days = seconds = 0;
	ASN1_TIME_free(epoch);
	return (int64_t)days * 86400 + seconds;
}

static void read_names(X509 *x, struct arena *a, struct tls_facts *f)
{
	GENERAL_NAMES *list = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	const char **names = arena_calloc(a, TLS_NAMES_MAX, sizeof(*names));

	for (int i = 0; i < sk_GENERAL_NAME_num(list) && f->n_names < TLS_NAMES_MAX; i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(list, i);
		BIO *bio;

		if (n->type != GEN_DNS)
			continue;
		bio = BIO_new_mem_buf(ASN1_STRING_get0_data(n->d.dNSName),
				      ASN1_STRING_length(n->d.dNSName));
		require(bio != NULL);
		names[f->n_names++] = take_text(bio, a);
	}
	GENERAL_NAMES_free(list);
	if (f->n_names == 0) /* N9, N10 */
		names[f->n_names++] = f->subject;
	f->names = names;
}

static void read_key(X509 *x, struct arena *a, struct tls_facts *f)
{
	EVP_PKEY *key = X509_get0_pubkey(x);
	char group[64] = "";
	size_t n = 0;

	f->key = "unreadable";
	if (key == NULL)
		return;
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		f->key_type = TLS_KEY_RSA;
		f->key = arena_printf(a, "RSA %d", EVP_PKEY_get_bits(key));
		break;
	case EVP_PKEY_EC:
		f->key_type = TLS_KEY_ECDSA;
		EVP_PKEY_get_group_name(key, group, sizeof(group), &n);
		f->key = strcmp(group, "prime256v1") == 0  ? "P-256"
			 : strcmp(group, "secp384r1") == 0 ? "P-384"
			 : strcmp(group, "secp521r1") == 0 ? "P-521"
							   : arena_strdup(a, group);
		break;
	case EVP_PKEY_ED25519:
		f->key_type = TLS_KEY_EDDSA;
		f->key = "Ed25519";
		break;
	case EVP_PKEY_ED448:
		f->key_type = TLS_KEY_EDDSA;
		f->key = "Ed448";
		break;
	default:
		f->key = "another kind";
	}
}

struct tls_facts tls_chain_facts(const struct tls_chain *c, size_t i, struct arena *a)
{
	X509 *x = at(c, i);
	struct tls_facts f = {
		.subject = name_text(X509_get_subject_name(x), a),
		.issuer = name_text(X509_get_issuer_name(x), a),
		.not_before = unix_time(X509_get0_notBefore(x)),
		.not_after = unix_time(X509_get0_notAfter(x)),
		.ca = X509_check_ca(x) > 0,
		.self_signed = X509_check_issued(x, x) == X509_V_OK,
	};

	read_names(x, a, &f);
	read_key(x, a, &f);
	ERR_clear_error();
	return f;
}

struct span tls_chain_der(const struct tls_chain *c, size_t i, uint8_t selector, struct arena *a)
{
	uint8_t *der = NULL;
	size_t n = tls_x509_der(at(c, i), selector, &der);
	struct span copy = arena_dup(a, span_of(der, n));

	if (n > 0)
		OPENSSL_free(der);
	return copy;
}

struct span tls_chain_pem(const struct tls_chain *c, size_t i, uint8_t selector, struct arena *a)
{
	BIO *bio = BIO_new(BIO_s_mem());
	EVP_PKEY *key = X509_get0_pubkey(at(c, i));
	struct span copy;
	char *p;
	long n;

	require(bio != NULL);
	if (selector == DANE_SELECTOR_CERT)
		PEM_write_bio_X509(bio, at(c, i));
	else if (key != NULL)
		PEM_write_bio_PUBKEY(bio, key);
	n = BIO_get_mem_data(bio, &p);
	copy = arena_dup(a, span_of(p, n > 0 ? (size_t)n : 0));
	BIO_free(bio);
	ERR_clear_error();
	return copy;
}

static struct span digest(const EVP_MD *md, struct span bytes, struct arena *a)
{
	uint8_t out[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	require(EVP_Digest(bytes.p, bytes.n, out, &n, md, NULL) == 1);
	return arena_dup(a, span_of(out, n));
}

struct span tls_digest(uint8_t matching, struct span bytes, struct arena *a)
{
	switch (matching) {
	case DANE_MATCHING_FULL:
		return arena_dup(a, bytes);
	case DANE_MATCHING_SHA256:
		return digest(EVP_sha256(), bytes, a);
	case DANE_MATCHING_SHA512:
		return digest(EVP_sha512(), bytes, a);
	default:
		return span_of(NULL, 0);
	}
}

struct span tls_sha1(struct span bytes, struct arena *a)
{
	return digest(EVP_sha1(), bytes, a);
}
