#include "edge/tls/context.h"

#include <errno.h>
#include <sys/socket.h>

#include "edge/tls/internal.h"

struct tls_context {
	SSL_CTX *strict; /* encrypt, dane */
	SSL_CTX *lax;    /* opportunistic */
	BIO_METHOD *socket;
};

/*
 * P8, P11: nothing anonymous, without encryption, below 112 bits or with a shared secret. Forward
 * secrecy first; plain RSA stays for servers that have nothing else (RFC 9325 section 4.1: should
 * not, not must not).
 */
static const char strict_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:HIGH"
				     ":!aNULL:!eNULL:!PSK:!SRP:!aDSS:!CAMELLIA:!ARIA";
static const char lax_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:HIGH:MEDIUM"
				  ":!aNULL:!eNULL:!EXPORT:!LOW:!RC4:!MD5:!PSK:!SRP";
/* SHA-256 first: its key schedule costs a server and a client a twelfth less (decision 0031). */
static const char suites[] =
	"TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
static const char groups[] = "X25519:P-256:P-384:P-521:X448";
static const char lax_signatures[] = TLS_SIGNATURES ":ECDSA+SHA1:RSA+SHA224:RSA+SHA1";

static const struct tls_settings strict = {
	.version = TLS1_2_VERSION,
	.level = 1,
	.ciphers = strict_ciphers,
	.suites = suites,
	.signatures = TLS_SIGNATURES,
};
/* The lax one also takes servers without RFC 5746; nothing ever renegotiates. */
static const struct tls_settings lax = {
	.version = TLS1_VERSION,
	.level = 0,
	.ciphers = lax_ciphers,
	.suites = suites,
	.signatures = lax_signatures,
	.options = SSL_OP_LEGACY_SERVER_CONNECT,
};

void tls_init(void)
{
	/* The first call decides for the process whether openssl.cnf is loaded. */
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

const char *tls_openssl_error(char *text, size_t room)
{
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_reason_error_string(code);

	if (code == 0)
		snprintf(text, room, "unknown error");
	else if (reason != NULL)
		snprintf(text, room, "%s", reason);
	else
		ERR_error_string_n(code, text, room);
	ERR_clear_error();
	return text;
}

/* --- a socket without SIGPIPE ----------------------------------------------------------------- */

static bool is_transient(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static int socket_read(BIO *b, char *p, int n)
{
	struct tls_socket *s = BIO_get_data(b);
	size_t room = (size_t)n < s->left ? (size_t)n : s->left;
	ssize_t got;

	BIO_clear_retry_flags(b);
	if (room == 0 && n > 0) { /* as if no more had come: the owner has other work too */
		s->error = EAGAIN;
		s->empty = false;
		BIO_set_retry_read(b);
		return -1;
	}
	got = recv(s->fd, p, room, 0);
	s->empty = got < (ssize_t)room;
	s->left -= got > 0 ? (size_t)got : 0;
	if (got < 0) {
		s->error = errno;
		if (is_transient(errno))
			BIO_set_retry_read(b);
	} else if (got == 0) {
		s->eof = true;
	}
	return (int)got;
}

static int socket_write(BIO *b, const char *p, int n)
{
	struct tls_socket *s = BIO_get_data(b);
	ssize_t sent = send(s->fd, p, (size_t)n, MSG_NOSIGNAL);

	BIO_clear_retry_flags(b);
	if (sent < 0) {
		s->error = errno;
		if (is_transient(errno))
			BIO_set_retry_write(b);
	}
	return (int)sent;
}

static long socket_ctrl(BIO *b, int command, long number, void *pointer)
{
	const struct tls_socket *s = BIO_get_data(b);

	(void)number;
	(void)pointer;
	if (command == BIO_CTRL_EOF)
		return s->eof ? 1 : 0;
	return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD *tls_socket_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");

	if (m != NULL && BIO_meth_set_read(m, socket_read) == 1 &&
	    BIO_meth_set_write(m, socket_write) == 1 && BIO_meth_set_ctrl(m, socket_ctrl) == 1)
		return m;
	BIO_meth_free(m);
	return NULL;
}

/* --- contexts --------------------------------------------------------------------------------- */

bool tls_configure(SSL_CTX *ctx, const struct tls_settings *t)
{
	X509_STORE *empty = X509_STORE_new();

	if (empty == NULL)
		return false;
	SSL_CTX_set_cert_store(ctx, empty); /* C15 */
	SSL_CTX_clear_options(ctx, SSL_CTX_get_options(ctx));
	SSL_CTX_set_options(ctx, t->options | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_TICKET | SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	/* One message a call: a peer that floods us with tickets cannot keep the loop's thread. */
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL); /* the verdict is read afterwards */
	SSL_CTX_set_max_cert_list(ctx, TLS_CHAIN_MAX);
	/* After the ciphers: a list of openssl.cnf could carry a level of its own. */
	if (SSL_CTX_set_cipher_list(ctx, t->ciphers) != 1)
		return false;
	SSL_CTX_set_security_level(ctx, t->level);
	return SSL_CTX_set_min_proto_version(ctx, t->version) == 1 &&
	       SSL_CTX_set_max_proto_version(ctx, 0) == 1 &&
	       SSL_CTX_set_ciphersuites(ctx, t->suites) == 1 &&
	       SSL_CTX_set1_groups_list(ctx, groups) == 1 &&
	       SSL_CTX_set1_sigalgs_list(ctx, t->signatures) == 1;
}

static SSL_CTX *client(const struct tls_settings *t)
{
	SSL_CTX *ctx = SSL_CTX_new_ex(tls_library(), NULL, TLS_client_method());

	if (ctx != NULL && tls_configure(ctx, t) && SSL_CTX_dane_enable(ctx) == 1)
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

struct tls_context *tls_context_new(struct err *e)
{
	struct tls_context *c = xcalloc(1, sizeof(*c));
	char text[200];

	tls_init();
	ERR_clear_error();
	c->strict = client(&strict);
	c->lax = client(&lax);
	c->socket = tls_socket_method();
	if (c->strict != NULL && c->lax != NULL && c->socket != NULL) {
		ERR_clear_error();
		return c;
	}
	err_set(e, -EIO, "OpenSSL cannot be used: %s", tls_openssl_error(text, sizeof(text)));
	return tls_context_free(c);
}

struct tls_context *tls_context_free(struct tls_context *c)
{
	if (c == NULL)
		return NULL;
	SSL_CTX_free(c->strict);
	SSL_CTX_free(c->lax);
	BIO_meth_free(c->socket);
	free(c);
	return NULL;
}

SSL_CTX *tls_context_ssl(const struct tls_context *c, enum tls_level level)
{
	switch (level) {
	case TLS_LEVEL_OPPORTUNISTIC:
		return c->lax;
	case TLS_LEVEL_ENCRYPT:
	case TLS_LEVEL_DANE:
		return c->strict;
	}
	return c->strict;
}

const BIO_METHOD *tls_context_socket(const struct tls_context *c)
{
	return c->socket;
}
