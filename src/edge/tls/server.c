#include "edge/tls/server.h"

#include <errno.h>

#include "base/text.h"
#include "edge/tls/internal.h"

/* OpenSSL keeps one certificate of each in a context. */
enum kind {
	KIND_ECDSA,
	KIND_RSA,
	KIND_RSA_PSS,
	KIND_ED25519,
	KIND_ED448,
	KIND_COUNT,
};

enum {
	NO_CERT = -1,
};

struct cert {
	const char *path; /* of the chain, for warnings; in the arena */
	struct tls_chain *chain;
	EVP_PKEY *key;
	enum kind kind;
	bool shown; /* in an identity */
};

/* A name as a certificate has it, in lower case: "mx1.example.org", "*.example.org". */
struct name {
	const char *text; /* in the arena */
	size_t cert;
};

/* What is shown together: a certificate of each kind at most, by index, and its context. */
struct identity {
	int certs[KIND_COUNT];
	SSL_CTX *ctx;
};

/* Each name once, sorted. */
struct entry {
	const char *text;
	size_t identity;
};

struct tls_server {
	BIO_METHOD *socket;
	struct cert *certs;
	size_t n_certs;
	struct name *names; /* sorted by text, then by certificate */
	size_t n_names, names_room;
	struct identity *identities; /* the first is the default */
	size_t n_identities;
	struct entry *entries;
	size_t n_entries;
	const char **warnings;
	size_t n_warnings;
	struct arena arena;
};

/*
 * RFC 9325 section 4.1: forward secrecy and AEAD first, and of these the ones with SHA-256, whose
 * handshake costs a twelfth less. Without finite-field Diffie-Hellman, which costs a server most.
 * CBC and RSA key transport stay at the end: who has nothing else would send in clear (section
 * 5.2).
 */
static const struct tls_settings settings = {
	.version = TLS1_2_VERSION,
	.level = 1,
	.ciphers = "ECDHE+AESGCM+AES128:ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+HIGH"
		   ":kRSA+AESGCM:kRSA+HIGH"
		   ":!aNULL:!eNULL:!PSK:!SRP:!aDSS:!CAMELLIA:!ARIA:!AESCCM",
	.suites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384",
	.signatures = TLS_SIGNATURES,
	.options = SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA,
};

static void warn(struct tls_server *s, const char *text)
{
	s->warnings = xrealloc(s->warnings, (s->n_warnings + 1) * sizeof(*s->warnings));
	s->warnings[s->n_warnings++] = text;
}

/* --- one certificate -------------------------------------------------------------------------- */

static X509 *leaf_of(const struct cert *c)
{
	return sk_X509_value(tls_chain_x509(c->chain), 0);
}

static int set_kind(struct cert *c, struct err *e)
{
	switch (EVP_PKEY_get_base_id(c->key)) {
	case EVP_PKEY_EC:
		c->kind = KIND_ECDSA;
		return 0;
	case EVP_PKEY_RSA:
		c->kind = KIND_RSA;
		return 0;
	case EVP_PKEY_RSA_PSS:
		c->kind = KIND_RSA_PSS;
		return 0;
	case EVP_PKEY_ED25519:
		c->kind = KIND_ED25519;
		return 0;
	case EVP_PKEY_ED448:
		c->kind = KIND_ED448;
		return 0;
	default:
		return err_set(e, -EINVAL, "%s: a key of a kind that TLS cannot use", c->path);
	}
}

/* Which certificate of the chain the key belongs to, if not to the first, says what is wrong. */
static int check_key(const struct cert *c, const char *key_path, struct err *e)
{
	STACK_OF(X509) *chain = tls_chain_x509(c->chain);
	int fits = -1;

	for (int i = 0; i < sk_X509_num(chain) && fits < 0; i++)
		fits = X509_check_private_key(sk_X509_value(chain, i), c->key) == 1 ? i : -1;
	ERR_clear_error();
	if (fits == 0)
		return 0;
	if (fits > 0)
		return err_set(e, -EINVAL,
			       "%s: the key fits certificate %d of %s, which must be the first",
			       key_path, fits + 1, c->path);
	return err_set(e, -EINVAL, "%s: the key does not fit the certificate in %s", key_path,
		       c->path);
}

static void check_dates(struct tls_server *s, const struct cert *c)
{
	STACK_OF(X509) *chain = tls_chain_x509(c->chain);

	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *x = sk_X509_value(chain, i);
		const char *what = X509_cmp_current_time(X509_get0_notAfter(x)) < 0 ? "has expired"
				   : X509_cmp_current_time(X509_get0_notBefore(x)) > 0
					   ? "is not yet valid"
					   : NULL;

		if (what != NULL)
			warn(s, arena_printf(&s->arena, "%s: certificate %d %s", c->path, i + 1,
					     what));
	}
	for (int i = 0; i + 1 < sk_X509_num(chain); i++)
		if (X509_check_issued(sk_X509_value(chain, i + 1), sk_X509_value(chain, i)) !=
		    X509_V_OK) {
			warn(s, arena_printf(&s->arena,
					     "%s: certificate %d is not issued by the next one",
					     c->path, i + 1));
			break;
		}
	ERR_clear_error();
}

static void add_name(struct tls_server *s, size_t cert, struct span name)
{
	struct span host = name.n > 2 && memcmp(name.p, "*.", 2) == 0 ? span_skip(name, 2) : name;
	char *text;

	if (!text_is_host(host)) /* no client can ask for it */
		return;
	text = arena_text(&s->arena, name);
	for (char *p = text; *p != '\0'; p++)
		*p = (char)ascii_lower((uint8_t)*p);
	if (s->n_names == s->names_room) {
		s->names_room = s->names_room > 0 ? s->names_room * 2 : 16;
		s->names = xrealloc(s->names, s->names_room * sizeof(*s->names));
	}
	s->names[s->n_names++] = (struct name){text, cert};
}

static struct span string_span(const ASN1_STRING *a)
{
	return span_of(ASN1_STRING_get0_data(a), (size_t)ASN1_STRING_length(a));
}

static void add_names(struct tls_server *s, size_t cert)
{
	X509 *leaf = leaf_of(&s->certs[cert]);
	GENERAL_NAMES *list = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	X509_NAME *subject = X509_get_subject_name(leaf);
	int cn = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	size_t dns_names = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(list); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(list, i);

		if (n->type != GEN_DNS)
			continue;
		dns_names++;
		add_name(s, cert, string_span(n->d.dNSName));
	}
	GENERAL_NAMES_free(list);
	if (dns_names == 0 && cn >= 0) /* N9, N10 */
		add_name(s, cert,
			 string_span(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, cn))));
	ERR_clear_error();
}

static int load(struct tls_server *s, size_t i, const struct tls_server_cert *from, struct err *e)
{
	struct cert *c = &s->certs[i];
	int r = tls_chain_load(from->chain, &c->chain, e);

	c->path = arena_strdup(&s->arena, from->chain);
	if (r == 0)
		r = tls_private_key_load(from->key, &c->key, e);
	if (r == 0)
		r = set_kind(c, e);
	if (r == 0)
		r = check_key(c, from->key, e);
	if (r < 0)
		return r;
	check_dates(s, c);
	add_names(s, i);
	return 0;
}

/* --- identities ------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int order = strcmp(x->text, y->text);

	if (order != 0)
		return order;
	return x->cert < y->cert ? -1 : x->cert > y->cert;
}

/* The first of the names that are `text`; n_names if there is none. */
static size_t first_name(const struct tls_server *s, const char *text)
{
	size_t low = 0, high = s->n_names;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(s->names[middle].text, text) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->n_names && strcmp(s->names[low].text, text) == 0 ? low : s->n_names;
}

/* Where a kind is still open, the first certificate with this very name. */
static void choose_by_name(const struct tls_server *s, const char *text, int certs[KIND_COUNT])
{
	for (size_t i = first_name(s, text); i < s->n_names && strcmp(s->names[i].text, text) == 0;
	     i++) {
		int *slot = &certs[s->certs[s->names[i].cert].kind];

		if (*slot == NO_CERT)
			*slot = (int)s->names[i].cert;
	}
}

/* "*.example.org" for "mx1.example.org"; NULL if there is only one label or a wildcard already. */
static const char *wildcard_of(const char *name, char room[256])
{
	const char *dot = strchr(name, '.');

	if (dot == NULL || name[0] == '*')
		return NULL;
	snprintf(room, 256, "*%s", dot);
	return room;
}

static void no_certs(int certs[KIND_COUNT])
{
	for (int k = 0; k < KIND_COUNT; k++)
		certs[k] = NO_CERT;
}

static void choose(const struct tls_server *s, const char *name, int certs[KIND_COUNT])
{
	char room[256];
	const char *wildcard = wildcard_of(name, room);

	no_certs(certs);
	choose_by_name(s, name, certs);
	if (wildcard != NULL)
		choose_by_name(s, wildcard, certs);
}

static int accept_any(X509_STORE_CTX *ctx, void *arg)
{
	(void)arg;
	/* Nothing was verified, and nothing shall look as if it had been. */
	X509_STORE_CTX_set_error(ctx, X509_V_ERR_APPLICATION_VERIFICATION);
	return 1;
}

static int use(SSL_CTX *ctx, const struct cert *c, struct err *e)
{
	STACK_OF(X509) *chain = tls_chain_x509(c->chain);
	char text[160];
	bool ok = SSL_CTX_use_certificate(ctx, leaf_of(c)) == 1 &&
		  SSL_CTX_use_PrivateKey(ctx, c->key) == 1;

	for (int i = 1; i < sk_X509_num(chain) && ok; i++)
		ok = SSL_CTX_add1_chain_cert(ctx, sk_X509_value(chain, i)) == 1;
	if (ok)
		return 0;
	return err_set(e, -EINVAL, "%s: cannot be served: %s", c->path,
		       tls_openssl_error(text, sizeof(text)));
}

static int make_context(struct tls_server *s, struct identity *id, bool ask, struct err *e)
{
	SSL_CTX *ctx = id->ctx = SSL_CTX_new(TLS_server_method());
	char text[160];

	ERR_clear_error();
	if (ctx == NULL || !tls_configure(ctx, &settings) || SSL_CTX_set_num_tickets(ctx, 0) != 1)
		return err_set(e, -EIO, "OpenSSL cannot be used: %s",
			       tls_openssl_error(text, sizeof(text)));
	/* A record with one recv(), not its head and body with one each. */
	SSL_CTX_set_read_ahead(ctx, 1);
	/* The chain is sent as the file has it: usage 2 may need the root in it (B6). */
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_verify(ctx, ask ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, accept_any, NULL);
	for (int k = 0; k < KIND_COUNT; k++) {
		struct cert *c = id->certs[k] == NO_CERT ? NULL : &s->certs[id->certs[k]];
		int r = c == NULL ? 0 : use(ctx, c, e);

		if (r < 0)
			return r;
		if (c != NULL)
			c->shown = true;
	}
	return 0;
}

/* The identity of these certificates, a new one if they were not together before. */
static size_t identity_of(struct tls_server *s, const int certs[KIND_COUNT])
{
	struct identity *id;

	for (size_t i = 0; i < s->n_identities; i++)
		if (memcmp(s->identities[i].certs, certs, sizeof(s->identities[i].certs)) == 0)
			return i;
	s->identities = xrealloc(s->identities, (s->n_identities + 1) * sizeof(*s->identities));
	id = &s->identities[s->n_identities];
	*id = (struct identity){.ctx = NULL};
	memcpy(id->certs, certs, sizeof(id->certs));
	return s->n_identities++;
}

/* `first`: the first name of the first certificate. That one alone if it has none. */
static void add_default(struct tls_server *s, const char *first)
{
	int certs[KIND_COUNT];

	no_certs(certs);
	if (first != NULL)
		choose(s, first, certs);
	certs[s->certs[0].kind] = 0;
	identity_of(s, certs);
}

static void add_entries(struct tls_server *s)
{
	int certs[KIND_COUNT];

	s->entries = xcalloc(s->n_names, sizeof(*s->entries));
	for (size_t i = 0; i < s->n_names; i++) {
		if (i > 0 && strcmp(s->names[i].text, s->names[i - 1].text) == 0)
			continue;
		choose(s, s->names[i].text, certs);
		s->entries[s->n_entries++] =
			(struct entry){s->names[i].text, identity_of(s, certs)};
	}
}

/* --- the client's wish ------------------------------------------------------------------------ */

static const struct entry *find(const struct tls_server *s, const char *text)
{
	size_t low = 0, high = s->n_entries;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(s->entries[middle].text, text);

		if (order == 0)
			return &s->entries[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static const struct entry *entry_for(const struct tls_server *s, const char *name)
{
	struct span trimmed = tls_name_trim(name);
	char lower[256], room[256];
	const struct entry *found;
	const char *wildcard;

	if (!text_is_host(trimmed))
		return NULL;
	for (size_t i = 0; i < trimmed.n; i++)
		lower[i] = (char)ascii_lower(trimmed.p[i]);
	lower[trimmed.n] = '\0';
	found = find(s, lower);
	if (found != NULL)
		return found;
	wildcard = wildcard_of(lower, room);
	return wildcard == NULL ? NULL : find(s, wildcard);
}

/* B27: whatever comes, the handshake goes on. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
	const struct tls_server *s = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct entry *found = name == NULL ? NULL : entry_for(s, name);

	(void)alert;
	if (found == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	if (found->identity > 0)
		SSL_set_SSL_CTX(ssl, s->identities[found->identity].ctx);
	return SSL_TLSEXT_ERR_OK;
}

/* --- birth ------------------------------------------------------------------------------------ */

static void warn_of_the_hidden(struct tls_server *s)
{
	for (size_t i = 0; i < s->n_certs; i++)
		if (!s->certs[i].shown)
			warn(s, arena_printf(&s->arena, "%s: never shown: others come first",
					     s->certs[i].path));
}

static int load_all(struct tls_server *s, const struct tls_server_cert *certs, struct err *e)
{
	const char *first = NULL;
	int r = 0;

	for (size_t i = 0; i < s->n_certs && r == 0; i++) {
		r = load(s, i, &certs[i], e);
		if (i == 0 && s->n_names > 0)
			first = s->names[0].text;
	}
	if (r < 0)
		return r;
	if (s->n_names > 0)
		qsort(s->names, s->n_names, sizeof(*s->names), by_text);
	add_default(s, first);
	add_entries(s);
	return 0;
}

struct tls_server *tls_server_new(const struct tls_server_cert *certs, size_t n,
				  bool ask_client_cert, struct err *e)
{
	struct tls_server *s;
	int r;

	if (n == 0 || n > TLS_SERVER_CERTS_MAX) {
		err_set(e, -EINVAL, n == 0 ? "no certificate" : "more than %d certificates",
			TLS_SERVER_CERTS_MAX);
		return NULL;
	}
	tls_init();
	s = xcalloc(1, sizeof(*s));
	s->socket = tls_socket_method();
	require(s->socket != NULL);
	s->certs = xcalloc(n, sizeof(*s->certs));
	s->n_certs = n;
	r = load_all(s, certs, e);
	for (size_t i = 0; i < s->n_identities && r == 0; i++)
		r = make_context(s, &s->identities[i], ask_client_cert, e);
	ERR_clear_error();
	if (r < 0)
		return tls_server_free(s);
	warn_of_the_hidden(s);
	SSL_CTX_set_tlsext_servername_callback(s->identities[0].ctx, on_server_name);
	SSL_CTX_set_tlsext_servername_arg(s->identities[0].ctx, s);
	return s;
}

struct tls_server *tls_server_free(struct tls_server *s)
{
	if (s == NULL)
		return NULL;
	for (size_t i = 0; i < s->n_identities; i++)
		SSL_CTX_free(s->identities[i].ctx);
	for (size_t i = 0; i < s->n_certs; i++) {
		tls_chain_free(s->certs[i].chain);
		EVP_PKEY_free(s->certs[i].key);
	}
	BIO_meth_free(s->socket);
	free(s->certs);
	free(s->names);
	free(s->identities);
	free(s->entries);
	free(s->warnings);
	arena_done(&s->arena);
	free(s);
	return NULL;
}

const char *tls_server_warning(const struct tls_server *s, size_t i)
{
	return i < s->n_warnings ? s->warnings[i] : NULL;
}

bool tls_server_has_name(const struct tls_server *s, const char *name)
{
	return entry_for(s, name) != NULL;
}

SSL_CTX *tls_server_ssl(const struct tls_server *s)
{
	return s->identities[0].ctx;
}

const BIO_METHOD *tls_server_socket(const struct tls_server *s)
{
	return s->socket;
}
