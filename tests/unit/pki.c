#include "pki.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>

#include "base/hex.h"

#define DAY  (24 * 60 * 60)
#define NAME "mail.example.com"

static const struct definition {
	const char *name;
	const char *issuer; /* NULL: itself */
	const char *cn;
	const char *san; /* NULL: none */
	bool ca;
	const char *extension; /* "NAME=VALUE" of one more */
	long from_days, until_days;
	const char *key; /* NULL: a P-256 key of its own */
} definitions[] = {
	{"root", NULL, "Root", NULL, true},
	{"ca1", "root", "CA 1", NULL, true},
	{"ca2", "ca1", "CA 2", NULL, true},
	{"leaf", "ca2", "leaf", "DNS:" NAME},
	{"leaf2", "ca2", "leaf two", "DNS:" NAME},
	{"leaf-ca1", "ca1", "leaf", "DNS:" NAME},
	{"leaf-root", "root", "leaf", "DNS:" NAME},
	{"expired", "ca2", "expired", "DNS:" NAME, .from_days = -30, .until_days = -1},
	{"future", "ca2", "future", "DNS:" NAME, .from_days = 1, .until_days = 30},
	{"other", "ca2", "other", "DNS:other.example.net"},
	{"client", "ca2", "client", "DNS:" NAME, .extension = "extendedKeyUsage=clientAuth"},
	{"odd-usage", "ca2", "odd", "DNS:" NAME, .extension = "keyUsage=cRLSign"},
	/* self-signed, expired, of another name, for clients: all that usage 3 must not see */
	{"worst", NULL, "worst", "DNS:other.example.net",
	 .extension = "extendedKeyUsage=clientAuth", .from_days = -30, .until_days = -1},
	{"self", NULL, NAME, "DNS:" NAME},
	{"self-ca", NULL, NAME, "DNS:" NAME, true},
	{"cn", "ca2", NAME, NULL},
	{"cn-other", "ca2", NAME, "DNS:other.example.net"},
	{"cn-ip", "ca2", NAME, "IP:192.0.2.1"},
	{"cn-mail", "ca2", NAME, "email:postmaster@example.com"},
	{"wild", "ca2", "wild", "DNS:*.example.com"},
	{"partial-tail", "ca2", "partial", "DNS:m*.example.com"},
	{"partial-head", "ca2", "partial", "DNS:*l.example.com"},
	{"partial-mid", "ca2", "partial", "DNS:m*l.example.com"},
	{"wild-mid", "ca2", "wild", "DNS:mail.*.com"},
	{"nul", "ca2", "nul", "NUL"},
	{"cn-nul", "ca2", "NUL", NULL},
	{"next-hop", "ca2", "next hop", "DNS:example.org"},
	{"expanded", "ca2", "expanded", "DNS:expanded.example.net"},
	{"case", "ca2", "case", "DNS:MAIL.Example.COM"},
	{"idn", "ca2", "idn", "DNS:xn--bcher-kva.example"},
	{"uri", "ca2", "uri", "URI:smtp://" NAME},
	{"two-names", "ca2", "two", "DNS:other.example.net,DNS:" NAME},
	/* chains that must break */
	{"ca-expired", "ca1", "CA expired", NULL, true, .from_days = -30, .until_days = -1},
	{"under-expired", "ca-expired", "leaf", "DNS:" NAME},
	{"root-expired", NULL, "Root expired", NULL, true, .from_days = -30, .until_days = -1},
	{"under-root-expired", "root-expired", "leaf", "DNS:" NAME},
	/* a new key of the root's, signed with the old one: looks self-signed, and is not */
	{"new-with-old", "root", "Root", NULL, true, .from_days = -30, .until_days = -1},
	{"under-new-with-old", "new-with-old", "leaf", "DNS:" NAME},
	{"ca-future", "ca1", "CA future", NULL, true, .from_days = 1, .until_days = 30},
	{"under-future", "ca-future", "leaf", "DNS:" NAME},
	{"no-ca", "ca2", "no CA", "DNS:" NAME},
	{"under-no-ca", "no-ca", "leaf", "DNS:" NAME},
	{"no-sign", "ca1", "no sign", NULL, true, .extension = "keyUsage=digitalSignature"},
	{"under-no-sign", "no-sign", "leaf", "DNS:" NAME},
	{"bad-signature", "ca2", "bad", "DNS:" NAME},
	{"short", NULL, "pathlen 0", NULL, true, .extension = "pathlen"},
	{"short-ca", "short", "below pathlen 0", NULL, true},
	{"under-short", "short-ca", "leaf", "DNS:" NAME},
	{"narrow", "root", "constrained", NULL, true,
	 .extension = "nameConstraints=permitted;DNS:allowed.example"},
	{"under-narrow", "narrow", "leaf", "DNS:" NAME},
	{"stranger", NULL, "Stranger", NULL, true},
	{"rsa", "ca2", "rsa", "DNS:" NAME, .key = "RSA2048"},
	{"rsa1024", "ca2", "rsa", "DNS:" NAME, .key = "RSA1024"},
	{"rsa768", "ca2", "rsa", "DNS:" NAME, .key = "RSA768"},
	{"p384", "ca2", "p384", "DNS:" NAME, .key = "P-384"},
	{"ed25519", "ca2", "ed25519", "DNS:" NAME, .key = "ED25519"},
	/* 60,000 octets of it are a comment: two of them pass the limit of a chain */
	{"large", "ca2", "large", "DNS:" NAME, .extension = "60000"},
	{"huge", "ca2", "huge", "DNS:" NAME, .extension = "70000"},
};

static struct made {
	X509 *x;
	EVP_PKEY *key;
} made[ARRAY_SIZE(definitions)];

static EVP_PKEY *make_key(const char *kind)
{
	if (kind == NULL)
		return EVP_EC_gen("P-256");
	if (strncmp(kind, "RSA", 3) == 0)
		return EVP_RSA_gen((size_t)strtol(kind + 3, NULL, 10));
	if (strcmp(kind, "ED25519") == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return EVP_EC_gen(kind);
}

static void set_subject(X509 *x, const char *cn)
{
	static const char nul[] = NAME "\0.evil.example";
	X509_NAME *n = X509_get_subject_name(x);
	bool is_nul = strcmp(cn, "NUL") == 0;

	require(X509_NAME_add_entry_by_txt(
			n, "CN", MBSTRING_ASC, (const uint8_t *)(is_nul ? nul : cn),
			is_nul ? (int)sizeof(nul) - 1 : (int)strlen(cn), -1, 0) == 1);
}

static void add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	require(ext != NULL && X509_add_ext(x, ext, -1) == 1);
	X509_EXTENSION_free(ext);
}

/* A name with a NUL inside, as an attacker's CA once signed it (N15). */
static void add_nul_san(X509 *x)
{
	static const char name[] = NAME "\0.evil.example";
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_IA5STRING *s = ASN1_IA5STRING_new();

	require(names != NULL && g != NULL && s != NULL);
	require(ASN1_STRING_set(s, name, sizeof(name) - 1) == 1);
	GENERAL_NAME_set0_value(g, GEN_DNS, s);
	require(sk_GENERAL_NAME_push(names, g) > 0);
	require(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1);
	GENERAL_NAMES_free(names);
}

static void add_comment(X509 *x, size_t n)
{
	ASN1_IA5STRING *s = ASN1_IA5STRING_new();
	char *text = xmalloc(n);

	memset(text, 'x', n);
	require(s != NULL && ASN1_STRING_set(s, text, (int)n) == 1);
	require(X509_add1_ext_i2d(x, NID_netscape_comment, s, 0, 0) == 1);
	ASN1_STRING_free(s);
	free(text);
}

static void add_extensions(X509 *x, const struct definition *d)
{
	const char *more = d->extension, *equals = more == NULL ? NULL : strchr(more, '=');
	char *name;

	if (more != NULL && strcmp(more, "pathlen") == 0)
		add_extension(x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
	else
		add_extension(x, NID_basic_constraints, d->ca ? "critical,CA:TRUE" : "CA:FALSE");
	if (d->san != NULL && strcmp(d->san, "NUL") == 0)
		add_nul_san(x);
	else if (d->san != NULL)
		add_extension(x, NID_subject_alt_name, d->san);
	if (equals != NULL) {
		name = xstrndup(more, (size_t)(equals - more));
		add_extension(x, OBJ_sn2nid(name), equals + 1);
		free(name);
	} else if (more != NULL && more[0] >= '0' && more[0] <= '9') {
		add_comment(x, (size_t)strtol(more, NULL, 10));
	}
}

static void spoil_signature(X509 *x)
{
	const ASN1_BIT_STRING *s;

	X509_get0_signature(&s, NULL, x);
	/* In the middle of s: still DER, no longer a signature. */
	s->data[s->length - 5] ^= 0x55;
}

static struct made *make(size_t i)
{
	static long serial = 1000;
	const struct definition *d = &definitions[i];
	struct made *m = &made[i];
	X509 *issuer;
	EVP_PKEY *signer;

	if (m->x != NULL)
		return m;
	m->key = make_key(d->key);
	m->x = X509_new();
	require(m->key != NULL && m->x != NULL);
	issuer = d->issuer == NULL ? m->x : pki_cert(d->issuer);
	signer = d->issuer == NULL ? m->key : pki_key(d->issuer);
	X509_set_version(m->x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(m->x), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(m->x), (d->from_days == 0 ? -60 : d->from_days) * DAY);
	X509_gmtime_adj(X509_getm_notAfter(m->x), (d->until_days == 0 ? 60 : d->until_days) * DAY);
	set_subject(m->x, d->cn);
	require(X509_set_issuer_name(m->x, X509_get_subject_name(issuer)) == 1);
	require(X509_set_pubkey(m->x, m->key) == 1);
	add_extensions(m->x, d);
	require(X509_sign(m->x, signer, EVP_sha256()) > 0);
	if (strcmp(d->name, "bad-signature") == 0)
		spoil_signature(m->x);
	return m;
}

static struct made *find(const char *name, size_t n)
{
	tls_init();
	for (size_t i = 0; i < ARRAY_SIZE(definitions); i++)
		if (strlen(definitions[i].name) == n && memcmp(definitions[i].name, name, n) == 0)
			return make(i);
	fprintf(stderr, "no certificate \"%.*s\"\n", (int)n, name);
	abort();
}

X509 *pki_cert(const char *name)
{
	return find(name, strlen(name))->x;
}

EVP_PKEY *pki_key(const char *name)
{
	return find(name, strlen(name))->key;
}

void pki_done(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
		X509_free(made[i].x);
		EVP_PKEY_free(made[i].key);
		made[i] = (struct made){0};
	}
}

static char *bio_text(BIO *b)
{
	char *p, *text;
	long n = BIO_get_mem_data(b, &p);

	text = xstrndup(p, (size_t)n);
	BIO_free(b);
	return text;
}

char *pki_pem(const char *names)
{
	BIO *b = BIO_new(BIO_s_mem());

	while (*names != '\0') {
		size_t n = strcspn(names, " ");

		require(PEM_write_bio_X509(b, find(names, n)->x) == 1);
		names += n + strspn(names + n, " ");
	}
	return bio_text(b);
}

char *pki_key_pem(const char *name)
{
	BIO *b = BIO_new(BIO_s_mem());

	require(PEM_write_bio_PrivateKey(b, pki_key(name), NULL, NULL, 0, NULL, NULL) == 1);
	return bio_text(b);
}

struct tls_chain *pki_chain(const char *names)
{
	char *pem = pki_pem(names);
	struct tls_chain *c;
	struct err e;

	if (tls_chain_parse(span_text(pem), &c, &e) < 0) {
		fprintf(stderr, "%s: %s\n", names, e.text);
		abort();
	}
	free(pem);
	return c;
}

/* "3 1 1 !leaf" without the comma. */
static struct dane_tlsa make_record(const char *s, size_t n, struct arena *a)
{
	uint8_t head[3] = {(uint8_t)(s[0] - '0'), (uint8_t)(s[2] - '0'), (uint8_t)(s[4] - '0')};
	const char *name = s + 6, *end = s + n;
	char twist = *name;
	uint8_t *der, digest[64], *rdata;
	unsigned digest_n = 0;
	struct span data;

	if (twist == '!' || twist == '-' || twist == '+')
		name++;
	data.n = tls_x509_der(find(name, (size_t)(end - name))->x, head[1], &der);
	data.p = der;
	if (head[2] != 0) {
		EVP_Digest(der, data.n, digest, &digest_n,
			   head[2] == 1 ? EVP_sha256() : EVP_sha512(), NULL);
		data = span_of(digest, digest_n);
	}
	rdata = arena_alloc(a, 3 + data.n + 1);
	memcpy(rdata, head, 3);
	memcpy(rdata + 3, data.p, data.n);
	OPENSSL_free(der);
	data.n += 3;
	if (twist == '!')
		rdata[data.n - 1] ^= 1;
	else if (twist == '-')
		data.n--;
	else if (twist == '+')
		data.n++;
	return dane_tlsa_from_wire(span_of(rdata, data.n));
}

size_t pki_records(const char *text, struct arena *a, struct dane_tlsa *ret, size_t room)
{
	size_t count = 0;

	while (*text != '\0') {
		size_t n = strcspn(text, ",");

		require(count < room);
		ret[count++] = make_record(text, n, a);
		text += n + strspn(text + n, ", ");
	}
	return count;
}

SSL_CTX *pki_server(const char *chain)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	size_t n = strcspn(chain, " ");

	require(ctx != NULL);
	/* Whatever openssl.cnf says: this is the peer, not what is tested. */
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(ctx, 0);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_clear_options(ctx, SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
	require(SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0") == 1);
	require(SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384:P-521") == 1);
	require(SSL_CTX_set1_sigalgs_list(ctx, "ECDSA+SHA256:ECDSA+SHA384:ed25519:"
					       "rsa_pss_rsae_sha256:RSA+SHA256:ECDSA+SHA1:"
					       "RSA+SHA1") == 1);
	if (*chain == '\0')
		return ctx;
	require(SSL_CTX_use_certificate(ctx, find(chain, n)->x) == 1);
	require(SSL_CTX_use_PrivateKey(ctx, find(chain, n)->key) == 1);
	for (chain += n + strspn(chain + n, " "); *chain != '\0';
	     chain += n + strspn(chain + n, " ")) {
		n = strcspn(chain, " ");
		require(SSL_CTX_add1_chain_cert(ctx, find(chain, n)->x) == 1);
	}
	return ctx;
}
