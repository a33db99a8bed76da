/* For the tests of edge/tls/server.h: a server of ours, made from files, and OpenSSL's client. */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pki.h"

#define NAME "mail.example.com"

static char dir[] = "/tmp/tls_server.XXXXXX";

/* --- files ------------------------------------------------------------------------------------ */

static const char *path_of(const char *file)
{
	static char paths[8][128];
	static size_t next;
	char *p = paths[next++ % 8];

	snprintf(p, 128, "%s/%s", dir, file);
	return p;
}

static const char *write_text(const char *file, const char *text)
{
	const char *path = path_of(file);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n = (ssize_t)strlen(text);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, (size_t)n), n);
	close(fd);
	return path;
}

/* "leaf ca2": these certificates and the key of the first. */
static void write_identity(const char *names, struct arena *a, struct tls_server_cert *ret)
{
	char *chain = pki_pem(names), *first = xstrndup(names, strcspn(names, " ")), *key;
	char file[64];

	key = pki_key_pem(first);
	snprintf(file, sizeof(file), "%s.pem", first);
	ret->chain = arena_strdup(a, write_text(file, chain));
	snprintf(file, sizeof(file), "%s.key", first);
	ret->key = arena_strdup(a, write_text(file, key));
	free(chain);
	free(first);
	free(key);
}

/* "leaf ca2, rsa, other": a server with these. */
static struct tls_server *server_of(const char *text, bool ask)
{
	struct tls_server_cert certs[16];
	struct tls_server *s;
	struct arena a = {0};
	struct err e = {0};
	size_t n = 0;

	while (*text != '\0') {
		size_t length = strcspn(text, ",");
		char *names = xstrndup(text, length);

		assert_true(n < ARRAY_SIZE(certs));
		write_identity(names, &a, &certs[n++]);
		free(names);
		text += length + strspn(text + length, ", ");
	}
	s = tls_server_new(certs, n, ask, &e);
	if (s == NULL)
		fail_msg("%s", e.text);
	arena_done(&a);
	return s;
}

/* --- pairs ------------------------------------------------------------------------------------ */

/* A server of ours and a client of OpenSSL's on a pair of sockets. */
struct pair {
	struct tls_conn *server;
	SSL_CTX *ctx;
	SSL *client;
	int fd[2];  /* the server's, the client's */
	int alerts; /* that the client has read, close_notify aside */
};

static void count_alert(const SSL *ssl, int where, int value)
{
	struct pair *p = SSL_get_ex_data(ssl, 0);

	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && (value & 0xff) != 0)
		p->alerts++;
}

static struct pair *pair_new(struct tls_server *s, int version)
{
	struct pair *p = xcalloc(1, sizeof(*p));

	p->ctx = SSL_CTX_new(TLS_client_method());
	/* Whatever openssl.cnf says: this is the peer, not what is tested. */
	SSL_CTX_set_security_level(p->ctx, 0);
	SSL_CTX_set_min_proto_version(p->ctx, version == 0 ? TLS1_VERSION : version);
	SSL_CTX_set_max_proto_version(p->ctx, version);
	SSL_CTX_clear_options(p->ctx, SSL_CTX_get_options(p->ctx));
	SSL_CTX_set_verify(p->ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_info_callback(p->ctx, count_alert);
	require(SSL_CTX_set_cipher_list(p->ctx, "DEFAULT:@SECLEVEL=0") == 1);
	require(SSL_CTX_set1_groups_list(p->ctx, "X25519:P-256:P-384:P-521") == 1);
	require(SSL_CTX_set1_sigalgs_list(p->ctx, "rsa_pss_rsae_sha256:RSA+SHA256:ECDSA+SHA256:"
						  "ECDSA+SHA384:ed25519:RSA+SHA1:ECDSA+SHA1") == 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fd), 0);
	p->server = tls_conn_new_server(s, p->fd[0]);
	return p;
}

/* After the test has bent `ctx` to its purpose. */
static void pair_start(struct pair *p, const char *sni)
{
	p->client = SSL_new(p->ctx);
	SSL_set_ex_data(p->client, 0, p);
	SSL_set_fd(p->client, p->fd[1]);
	SSL_set_connect_state(p->client);
	if (sni != NULL)
		assert_int_equal(SSL_set_tlsext_host_name(p->client, sni), 1);
}

static enum tls_step pair_handshake(struct pair *p)
{
	enum tls_step step = TLS_STEP_WANT_READ;

	for (int i = 0; i < 1000 && (step == TLS_STEP_WANT_READ || step == TLS_STEP_WANT_WRITE);
	     i++) {
		SSL_do_handshake(p->client);
		step = tls_conn_handshake(p->server);
	}
	SSL_do_handshake(p->client);
	ERR_clear_error();
	return step;
}

static void pair_free(struct pair *p)
{
	tls_conn_free(p->server);
	SSL_free(p->client);
	SSL_CTX_free(p->ctx);
	close(p->fd[0]);
	if (p->fd[1] >= 0)
		close(p->fd[1]);
	free(p);
	ERR_clear_error();
}

static void expect_failure(struct pair *p, const char *words)
{
	assert_int_equal(pair_handshake(p), TLS_STEP_FAILED);
	if (strstr(tls_conn_error(p->server), words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", tls_conn_error(p->server), words);
	assert_null(tls_conn_version(p->server));
	assert_null(tls_conn_chain(p->server));
	assert_int_equal(tls_conn_handshake(p->server), TLS_STEP_FAILED);
	assert_int_equal(tls_conn_shutdown(p->server), TLS_STEP_DONE);
}

static int set_up(void **state)
{
	(void)state;
	tls_init();
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	pki_done();
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}
