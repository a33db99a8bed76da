#include "edge/tls/conn.h"

#include <errno.h>
#include <limits.h>

#include "base/text.h"
#include "edge/io/loop.h"
#include "edge/tls/internal.h"

/* No boolean where a state could say it: what may be called next follows from this alone. */
enum state {
	STATE_HANDSHAKE,
	STATE_OPEN,
	STATE_EOF,    /* the peer has closed; we may still write */
	STATE_CLOSED, /* our close_notify is out */
	STATE_FAILED,
};

struct tls_conn {
	SSL *ssl;
	struct tls_socket socket;
	enum tls_level level; /* ENCRYPT for a server */
	const char *peer;     /* "server", "client" */
	enum state state;
	bool truncated, broken;
	bool drained;                 /* after the last read or handshake */
	const char *version, *cipher; /* from the handshake's end on */
	struct arena arena;           /* of the verdict */
	struct tls_verdict verdict;
	char error[240];
};

/* --- birth ------------------------------------------------------------------------------------ */

static int set_sni(SSL *ssl, const char *base)
{
	struct span s = base != NULL ? tls_name_trim(base) : span_of(NULL, 0);
	char name[256];

	if (!text_is_host(s))
		return 0; /* P4: an address sends none */
	memcpy(name, s.p, s.n);
	name[s.n] = '\0';
	return SSL_set_tlsext_host_name(ssl, name) == 1 ? 0 : -EINVAL;
}

const char *tls_key_type_to_string(enum tls_key_type t)
{
	switch (t) {
	case TLS_KEY_ANY:
		return "any";
	case TLS_KEY_RSA:
		return "RSA";
	case TLS_KEY_ECDSA:
		return "ECDSA";
	case TLS_KEY_EDDSA:
		return "EdDSA";
	}
	return NULL;
}

/* A server with several certificates answers with one that it can sign by (P15). */
static int restrict_key(SSL *ssl, enum tls_key_type key)
{
	static const char *const lists[] = {
		[TLS_KEY_RSA] = "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
				"rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:"
				"RSA+SHA256:RSA+SHA384:RSA+SHA512:RSA+SHA1",
		[TLS_KEY_ECDSA] = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ECDSA+SHA1",
		[TLS_KEY_EDDSA] = "ed25519:ed448",
	};

	return key == TLS_KEY_ANY || SSL_set1_sigalgs_list(ssl, lists[key]) == 1 ? 0 : -EINVAL;
}

static int arm(SSL *ssl, const struct tls_client_spec *spec, struct err *e)
{
	int n;

	switch (spec->level) {
	case TLS_LEVEL_OPPORTUNISTIC:
	case TLS_LEVEL_ENCRYPT:
		if (set_sni(ssl, spec->dane.base) < 0)
			return err_set(e, -EINVAL, "OpenSSL does not take the server's name");
		return 0;
	case TLS_LEVEL_DANE:
		if (spec->dane.base == NULL)
			return err_set(e, -EINVAL, "DANE without a TLSA base domain");
		n = tls_dane_prepare(ssl, &spec->dane, e);
		if (n == 0)
			return err_set(e, -EINVAL, "no usable TLSA record");
		return n < 0 ? n : 0;
	}
	return err_set(e, -EINVAL, "no such level");
}

static struct tls_conn *conn_new(SSL_CTX *ctx, const BIO_METHOD *socket, int fd)
{
	struct tls_conn *c = xcalloc(1, sizeof(*c));
	BIO *bio = BIO_new(socket);

	c->socket.fd = fd;
	c->ssl = SSL_new(ctx);
	require(c->ssl != NULL && bio != NULL);
	BIO_set_data(bio, &c->socket);
	BIO_set_init(bio, 1);
	SSL_set_bio(c->ssl, bio, bio);
	return c;
}

struct tls_conn *tls_conn_new_server(struct tls_server *s, int fd)
{
	struct tls_conn *c = conn_new(tls_server_ssl(s), tls_server_socket(s), fd);

	c->level = TLS_LEVEL_ENCRYPT;
	c->peer = "client";
	SSL_set_accept_state(c->ssl);
	return c;
}

struct tls_conn *tls_conn_new(struct tls_context *context, int fd,
			      const struct tls_client_spec *spec, struct err *e)
{
	struct tls_conn *c =
		conn_new(tls_context_ssl(context, spec->level), tls_context_socket(context), fd);

	c->level = spec->level;
	c->peer = "server";
	SSL_set_connect_state(c->ssl);
	if (arm(c->ssl, spec, e) < 0)
		return tls_conn_free(c);
	if (restrict_key(c->ssl, spec->key) < 0) {
		err_set(e, -EINVAL, "OpenSSL does not know these signature algorithms");
		return tls_conn_free(c);
	}
	return c;
}

struct tls_conn *tls_conn_free(struct tls_conn *c)
{
	if (c == NULL)
		return NULL;
	SSL_free(c->ssl);
	arena_done(&c->arena);
	free(c);
	return NULL;
}

SSL *tls_conn_ssl(const struct tls_conn *c)
{
	return c->ssl;
}

/* --- steps ------------------------------------------------------------------------------------ */

static bool in_handshake(const struct tls_conn *c)
{
	return c->state == STATE_HANDSHAKE;
}

/* The alert that the peer sent, -1 if the queue has none (alert n is reason 1000 + n). */
static int received_alert(unsigned long code)
{
	int why = ERR_GET_REASON(code);

	if (ERR_GET_LIB(code) != ERR_LIB_SSL || why < SSL_AD_REASON_OFFSET ||
	    why > SSL_AD_REASON_OFFSET + 255)
		return -1;
	return why - SSL_AD_REASON_OFFSET;
}

static const char *when(const struct tls_conn *c)
{
	return in_handshake(c) ? "TLS handshake" : "TLS connection";
}

static void explain_protocol(struct tls_conn *c)
{
	unsigned long code = ERR_peek_error();
	int why = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
	int alert = received_alert(code);
	char text[160];

	c->broken = !in_handshake(c);
	if (alert >= 0)
		snprintf(c->error, sizeof(c->error), "%s failed: the %s sent the alert \"%s\" (%d)",
			 when(c), c->peer, SSL_alert_desc_string_long(alert), alert);
	else if (why == SSL_R_EXCESSIVE_MESSAGE_SIZE)
		snprintf(c->error, sizeof(c->error),
			 "%s failed: a message is too large (certificate chain above %d octets)",
			 when(c), TLS_CHAIN_MAX);
	else if (why == SSL_R_WRONG_VERSION_NUMBER || why == SSL_R_HTTP_REQUEST)
		snprintf(c->error, sizeof(c->error), "%s failed: what the %s sent is not TLS",
			 when(c), c->peer);
	else
		snprintf(c->error, sizeof(c->error), "%s failed: %s", when(c),
			 tls_openssl_error(text, sizeof(text)));
}

static enum tls_step fail(struct tls_conn *c)
{
	c->state = STATE_FAILED;
	ERR_clear_error();
	return TLS_STEP_FAILED;
}

static enum tls_step ended(struct tls_conn *c, bool truncated)
{
	c->truncated = truncated;
	if (!in_handshake(c)) {
		c->state = STATE_EOF;
		ERR_clear_error();
		return TLS_STEP_EOF;
	}
	snprintf(c->error, sizeof(c->error), "the %s closed the connection during the handshake",
		 c->peer);
	return fail(c);
}

static bool is_unexpected_eof(void)
{
	unsigned long code = ERR_peek_error();

	return ERR_GET_LIB(code) == ERR_LIB_SSL &&
	       ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
}

/* What OpenSSL's refusal to go on means for the owner. */
static enum tls_step refused(struct tls_conn *c, int result)
{
	switch (SSL_get_error(c->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return TLS_STEP_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_STEP_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return ended(c, false);
	case SSL_ERROR_SSL:
		if (is_unexpected_eof())
			return ended(c, true);
		explain_protocol(c);
		return fail(c);
	case SSL_ERROR_SYSCALL:
		if (c->socket.error == 0)
			return ended(c, true);
		snprintf(c->error, sizeof(c->error), "%s lost: %s", when(c),
			 strerror(c->socket.error));
		return fail(c);
	default:
		explain_protocol(c);
		return fail(c);
	}
}

/* Misuse by the owner is told apart from what a peer can cause. */
static bool begin(struct tls_conn *c)
{
	if (c->state == STATE_FAILED)
		return false;
	ERR_clear_error();
	c->socket.error = 0;
	c->socket.left = TLS_CALL_MAX;
	return true;
}

/* Octets may lie in OpenSSL (with read-ahead also a part of a record), or in the socket. */
static void look_if_drained(struct tls_conn *c, bool got)
{
	c->drained =
		c->socket.empty && (got ? SSL_has_pending(c->ssl) == 0 : c->socket.error == EAGAIN);
}

enum tls_step tls_conn_handshake(struct tls_conn *c)
{
	int result;

	if (!begin(c))
		return TLS_STEP_FAILED;
	if (!in_handshake(c))
		return TLS_STEP_DONE;
	result = SSL_do_handshake(c->ssl);
	if (result != 1)
		return refused(c, result);
	c->state = STATE_OPEN;
	look_if_drained(c, true);
	c->version = SSL_get_version(c->ssl);
	c->cipher = SSL_get_cipher_name(c->ssl);
	if (c->level == TLS_LEVEL_DANE)
		tls_dane_judge(c->ssl, SSL_get0_peer_certificate(c->ssl), &c->arena, &c->verdict);
	return TLS_STEP_DONE;
}

enum tls_step tls_conn_read(struct tls_conn *c, void *p, size_t room, size_t *ret_n)
{
	int result;

	require(!in_handshake(c) && room > 0);
	*ret_n = 0;
	if (!begin(c))
		return TLS_STEP_FAILED;
	if (c->state == STATE_EOF)
		return TLS_STEP_EOF;
	result = SSL_read_ex(c->ssl, p, room, ret_n);
	look_if_drained(c, result == 1);
	if (result == 1)
		return TLS_STEP_DONE;
	*ret_n = 0;
	return refused(c, result);
}

bool tls_conn_is_drained(const struct tls_conn *c)
{
	return c->drained;
}

enum tls_step tls_conn_write(struct tls_conn *c, struct span in, size_t *ret_n)
{
	int result;

	require(!in_handshake(c) && in.n > 0);
	*ret_n = 0;
	if (!begin(c))
		return TLS_STEP_FAILED;
	result = SSL_write_ex(c->ssl, in.p, in.n, ret_n);
	if (result == 1)
		return TLS_STEP_DONE;
	*ret_n = 0;
	return refused(c, result);
}

enum tls_step tls_conn_shutdown(struct tls_conn *c)
{
	int result;
	enum tls_step step;

	if (c->state == STATE_FAILED || c->state == STATE_CLOSED || in_handshake(c) || c->truncated)
		return TLS_STEP_DONE;
	begin(c);
	result = SSL_shutdown(c->ssl);
	step = result >= 0 ? TLS_STEP_DONE : refused(c, result);
	if (step == TLS_STEP_WANT_WRITE || step == TLS_STEP_WANT_READ)
		return step;
	if (c->state != STATE_FAILED)
		c->state = STATE_CLOSED;
	return TLS_STEP_DONE;
}

/* --- facts ------------------------------------------------------------------------------------ */

const char *tls_conn_error(const struct tls_conn *c)
{
	return c->error;
}

bool tls_conn_is_truncated(const struct tls_conn *c)
{
	return c->truncated;
}

bool tls_conn_is_broken(const struct tls_conn *c)
{
	return c->broken;
}

const char *tls_conn_version(const struct tls_conn *c)
{
	return c->version;
}

const char *tls_conn_cipher(const struct tls_conn *c)
{
	return c->cipher;
}

static X509 *peer_leaf(const struct tls_conn *c)
{
	return c->version == NULL ? NULL : SSL_get0_peer_certificate(c->ssl);
}

struct tls_chain *tls_conn_chain(const struct tls_conn *c)
{
	X509 *leaf = peer_leaf(c);
	STACK_OF(X509) *sent = leaf == NULL ? NULL : SSL_get_peer_cert_chain(c->ssl), *whole;
	struct tls_chain *chain;

	if (leaf == NULL)
		return NULL;
	if (!SSL_is_server(c->ssl))
		return sent == NULL ? NULL : tls_chain_from_x509(sent);
	/* A server's list is without the client's own certificate. */
	whole = sent == NULL ? sk_X509_new_null() : sk_X509_dup(sent);
	require(whole != NULL && sk_X509_unshift(whole, leaf) > 0);
	chain = tls_chain_from_x509(whole);
	sk_X509_free(whole);
	return chain;
}

bool tls_conn_fingerprint(const struct tls_conn *c, uint8_t ret[TLS_FINGERPRINT_SIZE])
{
	X509 *leaf = peer_leaf(c);
	unsigned n = TLS_FINGERPRINT_SIZE;

	return leaf != NULL && X509_digest(leaf, EVP_sha256(), ret, &n) == 1 &&
	       n == TLS_FINGERPRINT_SIZE;
}

const struct tls_verdict *tls_conn_verdict(const struct tls_conn *c)
{
	return &c->verdict;
}

enum tls_step tls_step_of_socket(ssize_t n, size_t *ret_n, unsigned direction)
{
	if (n > 0) {
		*ret_n = (size_t)n;
		return TLS_STEP_DONE;
	}
	if (n == 0 && direction == IO_READ)
		return TLS_STEP_EOF;
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return direction == IO_READ ? TLS_STEP_WANT_READ : TLS_STEP_WANT_WRITE;
	return TLS_STEP_FAILED;
}
