#include "edge/tls/cert.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/buf.h"
#include "edge/io/read.h"
#include "edge/tls/internal.h"

struct tls_chain {
	STACK_OF(X509) * certs;
};

struct tls_key {
	EVP_PKEY *key;
};

/* --- files ------------------------------------------------------------------------------------ */

static int read_file(const char *path, struct buf *b, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), r;

	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	r = io_read_all(fd, b);
	close(fd);
	if (r == -EFBIG)
		return err_set(e, r, "%s: larger than %d octets", path, TLS_PEM_MAX);
	if (r < 0)
		return err_set(e, r, "%s: %s", path, strerror(-r));
	return 0;
}

/* Private keys may have been in it. */
static void wipe(struct buf *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->n);
	buf_done(b);
}

static int prefix_path(const char *path, int r, struct err *e)
{
	struct err inner;

	if (r >= 0 || e == NULL)
		return r;
	inner = *e;
	return err_set(e, r, "%s: %s", path, inner.text);
}

/* --- chains ----------------------------------------------------------------------------------- */

/* Asked for a passphrase: says none, and that it was asked. Nothing is ever prompted for. */
static int no_passphrase(char *p, int room, int writing, void *asked)
{
	(void)p;
	(void)room;
	(void)writing;
	*(bool *)asked = true;
	return -1;
}

static int no_more(size_t n, struct err *e)
{
	unsigned long code = ERR_peek_last_error();
	bool end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
	char text[160];

	if (end && n > 0)
		return 0;
	if (end)
		return err_set(e, -EINVAL, "no PEM certificate in it");
	return err_set(e, -EINVAL, "certificate %zu cannot be read: %s", n + 1,
		       tls_openssl_error(text, sizeof(text)));
}

static int read_certificates(BIO *in, STACK_OF(X509) * certs, struct err *e)
{
	bool asked = false;
	X509 *x;

	while ((x = PEM_read_bio_X509(in, NULL, no_passphrase, &asked)) != NULL) {
		if (sk_X509_num(certs) >= TLS_CHAIN_CERTS_MAX) {
			X509_free(x);
			return err_set(e, -EINVAL, "more than %d certificates",
				       TLS_CHAIN_CERTS_MAX);
		}
		require(sk_X509_push(certs, x) > 0);
	}
	return no_more((size_t)sk_X509_num(certs), e);
}

int tls_chain_parse(struct span pem, struct tls_chain **ret, struct err *e)
{
	struct tls_chain *c;
	BIO *in;
	int r;

	if (pem.n > TLS_PEM_MAX)
		return err_set(e, -EFBIG, "larger than %d octets", TLS_PEM_MAX);
	if (pem.n == 0)
		return err_set(e, -EINVAL, "empty");
	tls_init();
	ERR_clear_error();
	c = xcalloc(1, sizeof(*c));
	c->certs = sk_X509_new_null();
	in = BIO_new_mem_buf(pem.p, (int)pem.n);
	require(in != NULL && c->certs != NULL);
	r = read_certificates(in, c->certs, e);
	BIO_free(in);
	ERR_clear_error();
	if (r < 0)
		tls_chain_free(c);
	else
		*ret = c;
	return r;
}

int tls_chain_load(const char *path, struct tls_chain **ret, struct err *e)
{
	struct buf b;
	int r;

	buf_init(&b, TLS_PEM_MAX);
	r = read_file(path, &b, e);
	if (r == 0)
		r = prefix_path(path, tls_chain_parse(buf_span(&b), ret, e), e);
	wipe(&b);
	return r;
}

struct tls_chain *tls_chain_from_x509(STACK_OF(X509) * certs)
{
	struct tls_chain *c = xcalloc(1, sizeof(*c));

	c->certs = X509_chain_up_ref(certs);
	require(c->certs != NULL);
	return c;
}

struct tls_chain *tls_chain_free(struct tls_chain *c)
{
	if (c != NULL)
		sk_X509_pop_free(c->certs, X509_free);
	free(c);
	return NULL;
}

struct tls_chain *tls_chain_copy(const struct tls_chain *c)
{
	return c != NULL ? tls_chain_from_x509(c->certs) : NULL;
}

void tls_chain_freep(struct tls_chain **c)
{
	tls_chain_free(*c);
}

size_t tls_chain_octets(const struct tls_chain *c)
{
	size_t octets = 0;

	for (int i = 0; c != NULL && i < sk_X509_num(c->certs); i++) {
		int n = i2d_X509(sk_X509_value(c->certs, i), NULL);

		octets += n > 0 ? (size_t)n : 0;
	}
	return octets;
}

size_t tls_chain_count(const struct tls_chain *c)
{
	return (size_t)sk_X509_num(c->certs);
}

STACK_OF(X509) * tls_chain_x509(const struct tls_chain *c)
{
	return c->certs;
}

int tls_chain_subject(const struct tls_chain *c, uint8_t usage, size_t *ret_index, struct err *e)
{
	size_t i = 0;

	if (usage == DANE_USAGE_DANE_TA) {
		for (i = tls_chain_count(c); i > 0; i--)
			if (X509_check_ca(sk_X509_value(c->certs, (int)i - 1)) == 1)
				break;
		if (i == 0)
			return err_set(e, -ENOENT, "no CA certificate for usage 2 in the chain");
		i--;
	}
	*ret_index = i;
	return 0;
}

/* --- keys ------------------------------------------------------------------------------------- */

static EVP_PKEY *read_key(struct span pem, bool private, bool *asked)
{
	BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
	EVP_PKEY *key;

	require(in != NULL);
	ERR_clear_error();
	key = private ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, asked)
		      : PEM_read_bio_PUBKEY(in, NULL, no_passphrase, asked);
	BIO_free(in);
	ERR_clear_error();
	return key;
}

/* `public_too`: a public key will do. */
static int parse_key(struct span pem, bool public_too, EVP_PKEY **ret, struct err *e)
{
	bool asked = false;
	EVP_PKEY *key;

	if (pem.n > TLS_PEM_MAX)
		return err_set(e, -EFBIG, "larger than %d octets", TLS_PEM_MAX);
	if (pem.n == 0)
		return err_set(e, -EINVAL, "empty");
	tls_init();
	key = read_key(pem, true, &asked);
	if (key == NULL && !asked && public_too)
		key = read_key(pem, false, &asked);
	if (asked) {
		EVP_PKEY_free(key);
		return err_set(e, -EINVAL, "the key is protected by a passphrase");
	}
	if (key == NULL)
		return err_set(e, -EINVAL, "no PEM private %skey in it that can be read",
			       public_too ? "or public " : "");
	*ret = key;
	return 0;
}

static int load_key(const char *path, bool public_too, EVP_PKEY **ret, struct err *e)
{
	struct buf b;
	int r;

	buf_init(&b, TLS_PEM_MAX);
	r = read_file(path, &b, e);
	if (r == 0)
		r = prefix_path(path, parse_key(buf_span(&b), public_too, ret, e), e);
	wipe(&b);
	return r;
}

int tls_private_key_load(const char *path, EVP_PKEY **ret, struct err *e)
{
	return load_key(path, false, ret, e);
}

static int wrap(int r, EVP_PKEY *key, struct tls_key **ret)
{
	if (r < 0)
		return r;
	*ret = xcalloc(1, sizeof(**ret));
	(*ret)->key = key;
	return 0;
}

int tls_key_parse(struct span pem, struct tls_key **ret, struct err *e)
{
	EVP_PKEY *key = NULL;
	int r = parse_key(pem, true, &key, e);

	return wrap(r, key, ret);
}

int tls_key_load(const char *path, struct tls_key **ret, struct err *e)
{
	EVP_PKEY *key = NULL;
	int r = load_key(path, true, &key, e);

	return wrap(r, key, ret);
}

struct tls_key *tls_key_free(struct tls_key *k)
{
	if (k != NULL)
		EVP_PKEY_free(k->key);
	free(k);
	return NULL;
}

void tls_key_freep(struct tls_key **k)
{
	tls_key_free(*k);
}

/* --- records ---------------------------------------------------------------------------------- */

size_t tls_x509_der(X509 *x, uint8_t selector, uint8_t **ret)
{
	int n;

	*ret = NULL;
	if (selector == DANE_SELECTOR_CERT)
		n = i2d_X509(x, ret);
	else
		n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), ret);
	ERR_clear_error();
	return n > 0 ? (size_t)n : 0;
}

/* RDATA from DER, judged like a record from the DNS: nothing unusable is ever made (F14). */
static int make_record(struct span der, uint8_t usage, uint8_t selector, uint8_t matching,
		       struct arena *a, struct dane_tlsa *ret, struct err *e)
{
	uint8_t digest[EVP_MAX_MD_SIZE], head[3] = {usage, selector, matching}, *rdata;
	struct span data = der;
	struct dane_tlsa r;
	unsigned n = 0;

	if (matching != DANE_MATCHING_FULL) {
		const EVP_MD *md = matching == DANE_MATCHING_SHA256 ? EVP_sha256() : EVP_sha512();

		require(EVP_Digest(der.p, der.n, digest, &n, md, NULL) == 1);
		data = span_of(digest, n);
	}
	if (data.n > 65535 - sizeof(head))
		return err_set(e, -EINVAL, "too large for a record with matching type 0");
	rdata = arena_alloc(a, sizeof(head) + data.n);
	memcpy(rdata, head, sizeof(head));
	memcpy(rdata + sizeof(head), data.p, data.n);
	r = dane_tlsa_from_wire(span_of(rdata, sizeof(head) + data.n));
	if (dane_tlsa_usability(&r) != DANE_USABLE)
		return err_set(e, -EINVAL, "%u %u %u: %s", (unsigned)usage, (unsigned)selector,
			       (unsigned)matching,
			       dane_unusable_to_string(dane_tlsa_usability(&r)));
	*ret = r;
	return 0;
}

int tls_chain_tlsa(const struct tls_chain *c, size_t index, uint8_t usage, uint8_t selector,
		   uint8_t matching, struct arena *a, struct dane_tlsa *ret, struct err *e)
{
	X509 *x = sk_X509_value(c->certs, (int)index);
	uint8_t *der = NULL;
	size_t n;
	int r;

	require(x != NULL);
	if (X509_get0_pubkey(x) == NULL) {
		ERR_clear_error();
		return err_set(e, -EINVAL, "the certificate's key cannot be read");
	}
	n = tls_x509_der(x, selector, &der);
	if (n == 0)
		return err_set(e, -EINVAL, "the certificate cannot be encoded");
	r = make_record(span_of(der, (size_t)n), usage, selector, matching, a, ret, e);
	OPENSSL_free(der);
	return r;
}

int tls_key_tlsa(const struct tls_key *k, uint8_t usage, uint8_t selector, uint8_t matching,
		 struct arena *a, struct dane_tlsa *ret, struct err *e)
{
	uint8_t *der = NULL;
	int n, r;

	if (selector != DANE_SELECTOR_SPKI)
		return err_set(e, -EINVAL, "selector 0 wants a certificate, not a key");
	n = i2d_PUBKEY(k->key, &der);
	ERR_clear_error();
	if (n <= 0)
		return err_set(e, -EINVAL, "the public key cannot be encoded");
	r = make_record(span_of(der, (size_t)n), usage, selector, matching, a, ret, e);
	OPENSSL_free(der);
	return r;
}
