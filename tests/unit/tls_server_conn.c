/* TLS as a server on a socket: versions, client certificates, limits, cuts, ends. */
#include "test.h"

#include "tls_pair.h"

static void expect_done(struct pair *p)
{
	if (pair_handshake(p) != TLS_STEP_DONE)
		fail_msg("%s", tls_conn_error(p->server));
	assert_int_equal(SSL_is_init_finished(p->client), 1);
}

/* --- talking ---------------------------------------------------------------------------------- */

static void talk(struct tls_server *s, int version)
{
	struct pair *p = pair_new(s, version);
	uint8_t fingerprint[TLS_FINGERPRINT_SIZE];
	char text[100];
	size_t n, got;

	pair_start(p, NAME);
	assert_null(tls_conn_version(p->server));
	expect_done(p);
	assert_string_equal(tls_conn_version(p->server), SSL_get_version(p->client));
	assert_string_equal(tls_conn_cipher(p->server), SSL_get_cipher_name(p->client));
	assert_int_equal(tls_conn_verdict(p->server)->kind, TLS_VERDICT_NONE);
	/* The chain as the file has it, and the client has none. */
	assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(p->client)), 3);
	assert_int_equal(
		X509_cmp(sk_X509_value(SSL_get_peer_cert_chain(p->client), 2), pki_cert("root")),
		0);
	assert_null(tls_conn_chain(p->server));
	assert_false(tls_conn_fingerprint(p->server, fingerprint));
	assert_int_equal(tls_conn_read(p->server, text, sizeof(text), &n), TLS_STEP_WANT_READ);
	assert_int_equal(SSL_write_ex(p->client, "EHLO a\r\n", 8, &got), 1);
	assert_int_equal(tls_conn_read(p->server, text, 3, &n), TLS_STEP_DONE);
	assert_int_equal(n, 3);
	assert_int_equal(tls_conn_read(p->server, text, sizeof(text), &n), TLS_STEP_DONE);
	assert_int_equal(n, 5);
	assert_int_equal(tls_conn_write(p->server, span_text("250 b\r\n"), &n), TLS_STEP_DONE);
	assert_int_equal(SSL_read_ex(p->client, text, sizeof(text), &got), 1);
	assert_int_equal(got, 7);
	assert_int_equal(tls_conn_shutdown(p->server), TLS_STEP_DONE);
	assert_int_equal(SSL_read_ex(p->client, text, sizeof(text), &got), 0);
	assert_int_equal(SSL_get_error(p->client, 0), SSL_ERROR_ZERO_RETURN);
	pair_free(p);
}

static void talks_both_ways(void **state)
{
	struct tls_server *s = server_of("leaf ca2 root", false);

	(void)state;
	talk(s, TLS1_2_VERSION);
	talk(s, TLS1_3_VERSION);
	tls_server_free(s);
}

/*
 * What a reader must know before it waits for the socket. Records come with one recv() where they
 * can, so several may lie in OpenSSL while the socket has nothing.
 */
static void drained(int version)
{
	struct tls_server *s = server_of("leaf", false);
	struct pair *p = pair_new(s, version);
	char text[100], some[20000];
	size_t n, got;
	ssize_t half;

	pair_start(p, NAME);
	expect_done(p);
	assert_int_equal(tls_conn_read(p->server, text, sizeof(text), &n), TLS_STEP_WANT_READ);
	assert_true(tls_conn_is_drained(p->server));
	/* Two records at once, and between them (1.3) a message that is no data. */
	assert_int_equal(SSL_write_ex(p->client, "one", 3, &got), 1);
	if (version == TLS1_3_VERSION)
		assert_int_equal(SSL_key_update(p->client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
	assert_int_equal(SSL_write_ex(p->client, "two", 3, &got), 1);
	assert_int_equal(tls_conn_read(p->server, text, sizeof(text), &n), TLS_STEP_DONE);
	assert_int_equal(n, 3);
	assert_int_equal(recv(p->fd[0], some, 1, MSG_PEEK), -1); /* the socket is empty */
	for (n = 0; n == 0;) {
		assert_false(tls_conn_is_drained(p->server));
		tls_conn_read(p->server, text, sizeof(text), &n);
	}
	assert_memory_equal(text, "two", 3);
	assert_true(tls_conn_is_drained(p->server));
	/* A part of a record is nothing to go on with. */
	memset(some, 'x', sizeof(some));
	SSL_set_fd(p->client, p->fd[0]); /* written to the wrong end: to be cut in two */
	assert_int_equal(SSL_write_ex(p->client, some, 1000, &got), 1);
	half = recv(p->fd[1], some, sizeof(some), 0);
	assert_true(half > 1000 && send(p->fd[1], some, 500, 0) == 500);
	assert_int_equal(tls_conn_read(p->server, text, sizeof(text), &n), TLS_STEP_WANT_READ);
	assert_true(tls_conn_is_drained(p->server));
	assert_true(send(p->fd[1], some + 500, (size_t)half - 500, 0) > 0);
	for (got = 0; got < 1000; got += n) {
		assert_int_equal(tls_conn_read(p->server, text, sizeof(text), &n), TLS_STEP_DONE);
		assert_true(got + n == 1000 || !tls_conn_is_drained(p->server));
	}
	pair_free(p);
	tls_server_free(s);
}

static void tells_whether_it_is_drained(void **state)
{
	(void)state;
	drained(TLS1_2_VERSION);
	drained(TLS1_3_VERSION);
}

/* --- versions, ciphers ------------------------------------------------------------------------ */

static void old_versions_are_refused(void **state)
{
	static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION};
	struct tls_server *s = server_of("leaf, rsa", false);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		struct pair *p = pair_new(s, versions[i]);

		pair_start(p, NAME);
		expect_failure(p, "unsupported protocol");
		assert_int_equal(p->alerts, 1); /* protocol_version: the client learns why */
		pair_free(p);
	}
	for (int open = 0; open <= 1; open++) {
		struct pair *p = pair_new(s, 0);

		SSL_CTX_set_max_proto_version(p->ctx, open ? 0 : TLS1_2_VERSION);
		pair_start(p, NAME);
		expect_done(p);
		assert_string_equal(tls_conn_version(p->server), open ? "TLSv1.3" : "TLSv1.2");
		pair_free(p);
	}
	tls_server_free(s);
}

/* RFC 9325 section 4.1, and 5.2: what has nothing better still gets TLS. */
static const struct {
	int version;
	const char *offered, *agreed; /* NULL: refused */
} ciphers[] = {
	{TLS1_2_VERSION,
	 "AES128-SHA:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-GCM-SHA256:"
	 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256",
	 "ECDHE-ECDSA-AES128-GCM-SHA256"},
	{TLS1_2_VERSION, "AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-GCM-SHA384",
	 "ECDHE-ECDSA-AES256-GCM-SHA384"},
	{TLS1_2_VERSION, "AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-GCM-SHA384",
	 "ECDHE-RSA-AES256-GCM-SHA384"},
	{TLS1_2_VERSION, "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"},
	{TLS1_2_VERSION, "AES128-SHA:ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES128-SHA"},
	{TLS1_2_VERSION, "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES256-SHA384"},
	{TLS1_2_VERSION, "AES128-GCM-SHA256", "AES128-GCM-SHA256"},
	{TLS1_2_VERSION, "AES256-SHA", "AES256-SHA"},
	{TLS1_2_VERSION, "DHE-RSA-AES256-GCM-SHA384", NULL},
	{TLS1_2_VERSION, "aNULL", NULL},
	{TLS1_2_VERSION, "eNULL", NULL},
	{TLS1_2_VERSION, "PSK-AES128-GCM-SHA256", NULL},
	{TLS1_2_VERSION, "CAMELLIA256-SHA", NULL},
	{TLS1_3_VERSION,
	 "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
	 "TLS_AES_128_GCM_SHA256"},
	{TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"},
	/* A client that has it first has no AES in hardware. */
	{TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
	 "TLS_CHACHA20_POLY1305_SHA256"},
};

static void ciphers_in_our_order(void **state)
{
	struct tls_server *s = server_of("leaf, rsa", false);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++) {
		struct pair *p = pair_new(s, ciphers[i].version);
		char list[300];

		snprintf(list, sizeof(list), "%s:@SECLEVEL=0", ciphers[i].offered);
		if (ciphers[i].version == TLS1_3_VERSION)
			assert_int_equal(SSL_CTX_set_ciphersuites(p->ctx, ciphers[i].offered), 1);
		else
			assert_int_equal(SSL_CTX_set_cipher_list(p->ctx, list), 1);
		pair_start(p, NAME);
		if (ciphers[i].agreed == NULL) {
			expect_failure(p, "");
		} else {
			expect_done(p);
			assert_string_equal(tls_conn_cipher(p->server), ciphers[i].agreed);
		}
		pair_free(p);
	}
	tls_server_free(s);
}

static void nothing_is_renegotiated(void **state)
{
	struct tls_server *s = server_of("leaf", false);
	struct pair *p = pair_new(s, TLS1_2_VERSION);
	char text[10];
	size_t n;

	(void)state;
	pair_start(p, NAME);
	expect_done(p);
	assert_int_equal(SSL_renegotiate(p->client), 1);
	for (int i = 0; i < 10; i++) {
		SSL_do_handshake(p->client);
		tls_conn_read(p->server, text, sizeof(text), &n);
		assert_int_equal(n, 0);
	}
	assert_int_equal(SSL_total_renegotiations(tls_conn_ssl(p->server)), 0);
	assert_int_equal(p->alerts, 1); /* no_renegotiation */
	assert_int_equal(SSL_get_options(tls_conn_ssl(p->server)) &
				 (SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
				  SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION |
				  SSL_OP_IGNORE_UNEXPECTED_EOF),
			 SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	pair_free(p);
	tls_server_free(s);
}

/* docs/decisions/0031 */
static SSL_SESSION *kept;
static size_t n_kept;

static int keep(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(kept);
	kept = session;
	n_kept++;
	return 1;
}

static void nothing_is_resumed(void **state)
{
	struct tls_server *s = server_of("leaf", false);
	char text[10];

	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		n_kept = 0;
		for (int i = 0; i < 2; i++) {
			struct pair *p = pair_new(s, version);
			unsigned length;

			SSL_CTX_set_session_cache_mode(p->ctx, SSL_SESS_CACHE_CLIENT);
			SSL_CTX_sess_set_new_cb(p->ctx, keep);
			pair_start(p, NAME);
			if (i == 1 && kept != NULL)
				SSL_set_session(p->client, kept);
			expect_done(p);
			SSL_read(p->client, text, sizeof(text)); /* tickets would come here */
			assert_int_equal(SSL_session_reused(p->client), 0);
			assert_int_equal(SSL_SESSION_has_ticket(SSL_get_session(p->client)), 0);
			SSL_SESSION_get_id(SSL_get_session(p->client), &length);
			assert_int_equal(length, 0);
			if (i == 0) {
				SSL_SESSION_free(kept);
				kept = SSL_get1_session(p->client);
			}
			pair_free(p);
		}
		assert_int_equal(n_kept, 0);
		SSL_SESSION_free(TAKE(kept));
	}
	tls_server_free(s);
}

/* --- client certificates ---------------------------------------------------------------------- */

static void give_client(struct pair *p, const char *cert, EVP_PKEY *key)
{
	assert_int_equal(SSL_CTX_use_certificate(p->ctx, pki_cert(cert)), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(p->ctx, key), 1);
}

static void expect_fingerprint(struct pair *p, const char *cert)
{
	uint8_t got[TLS_FINGERPRINT_SIZE], want[EVP_MAX_MD_SIZE];
	struct tls_chain *chain = tls_conn_chain(p->server);
	unsigned n;

	assert_true(tls_conn_fingerprint(p->server, got));
	assert_int_equal(X509_digest(pki_cert(cert), EVP_sha256(), want, &n), 1);
	assert_memory_equal(got, want, sizeof(got));
	assert_int_equal(X509_cmp(sk_X509_value(tls_chain_x509(chain), 0), pki_cert(cert)), 0);
	tls_chain_free(chain);
}

static void client_certificates(void **state)
{
	/* Expired, of a CA that nobody knows, not for clients: only who it is counts. */
	static const char *const certs[] = {"leaf",    "worst",     "rsa",
					    "expired", "odd-usage", "bad-signature"};
	struct tls_server *asks = server_of("leaf ca2, other", true),
			  *silent = server_of("leaf", false);
	uint8_t fingerprint[TLS_FINGERPRINT_SIZE];

	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct pair *p;

		for (size_t i = 0; i < ARRAY_SIZE(certs); i++) {
			p = pair_new(asks, version);
			give_client(p, certs[i], pki_key(certs[i]));
			pair_start(p, i % 2 == 0 ? NAME : "other.example.net");
			expect_done(p);
			expect_fingerprint(p, certs[i]);
			/* Nothing was verified, and nothing says so. */
			assert_int_not_equal(SSL_get_verify_result(tls_conn_ssl(p->server)),
					     X509_V_OK);
			pair_free(p);
		}
		p = pair_new(asks, version); /* with a chain */
		give_client(p, "leaf", pki_key("leaf"));
		assert_int_equal(SSL_CTX_add1_chain_cert(p->ctx, pki_cert("ca2")), 1);
		pair_start(p, NAME);
		expect_done(p);
		expect_fingerprint(p, "leaf");
		pair_free(p);
		p = pair_new(asks, version); /* asked, and has none */
		pair_start(p, NAME);
		expect_done(p);
		assert_false(tls_conn_fingerprint(p->server, fingerprint));
		assert_null(tls_conn_chain(p->server));
		pair_free(p);
		p = pair_new(silent, version); /* not asked: it sends none */
		give_client(p, "leaf", pki_key("leaf"));
		pair_start(p, NAME);
		expect_done(p);
		assert_false(tls_conn_fingerprint(p->server, fingerprint));
		pair_free(p);
	}
	tls_server_free(asks);
	tls_server_free(silent);
}

/* The private half of one key under the public half of another. */
static EVP_PKEY *forged_key(EVP_PKEY *public_half, EVP_PKEY *private_half)
{
	OSSL_PARAM *all = NULL, *stolen = NULL, *p;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *forged = NULL;
	BIGNUM *n = NULL;

	assert_int_equal(EVP_PKEY_todata(public_half, EVP_PKEY_KEYPAIR, &all), 1);
	assert_int_equal(EVP_PKEY_todata(private_half, EVP_PKEY_KEYPAIR, &stolen), 1);
	assert_int_equal(OSSL_PARAM_get_BN(OSSL_PARAM_locate(stolen, "priv"), &n), 1);
	p = OSSL_PARAM_locate(all, "priv");
	assert_int_equal(OSSL_PARAM_set_BN(p, n), 1);
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &forged, EVP_PKEY_KEYPAIR, all), 1);
	BN_free(n);
	OSSL_PARAM_free(all);
	OSSL_PARAM_free(stolen);
	EVP_PKEY_CTX_free(ctx);
	return forged;
}

/* The certificate is public: who cannot sign with its key is not who it names. */
static void a_borrowed_certificate_is_refused(void **state)
{
	struct tls_server *s = server_of("leaf", true);
	EVP_PKEY *forged = forged_key(pki_key("other"), pki_key("leaf2"));
	uint8_t fingerprint[TLS_FINGERPRINT_SIZE];

	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct pair *p = pair_new(s, version);

		give_client(p, "other", forged);
		pair_start(p, NAME);
		expect_failure(p, "bad signature");
		assert_false(tls_conn_fingerprint(p->server, fingerprint));
		pair_free(p);
	}
	EVP_PKEY_free(forged);
	tls_server_free(s);
}

static void client_chains_are_bounded(void **state)
{
	struct tls_server *s = server_of("leaf", true);

	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct pair *p = pair_new(s, version);

		give_client(p, "large", pki_key("large"));
		pair_start(p, NAME);
		expect_done(p);
		pair_free(p);
		p = pair_new(s, version);
		give_client(p, "huge", pki_key("huge"));
		pair_start(p, NAME);
		expect_failure(p, "too large");
		pair_free(p);
	}
	tls_server_free(s);
}

/* --- garbage, cuts, ends ---------------------------------------------------------------------- */

static void garbage_is_refused(void **state)
{
	static const uint8_t v2[] = {0x80, 0x2e, 0x01, 0x00, 0x02},
			     alert[] = {21, 3, 1, 0, 2, 2, 40},
			     data[] = {23, 3, 3, 0, 3, 'a', 'b', 'c'},
			     finished[] = {22, 3, 3, 0, 4, 20, 0, 0, 0},
			     empty[] = {22, 3, 1, 0, 4, 1, 0, 0, 0},
			     large[] = {22, 3, 1, 0, 4, 1, 2, 1, 0x45}, /* 131,397 octets */
		more[64] = {0};
	const struct {
		struct span bytes;
		const char *words;
	} rows[] = {
		{span_text("EHLO client.example\r\n"), "what the client sent is not TLS"},
		{span_text("GET / HTTP/1.0\r\n\r\n"), "what the client sent is not TLS"},
		{span_text("\r\n\r\n\r\n"), "what the client sent is not TLS"},
		{span_of(v2, sizeof(v2)), ""},
		{span_of(alert, sizeof(alert)), ""},
		{span_of(data, sizeof(data)), ""},
		{span_of(finished, sizeof(finished)), ""},
		{span_of(empty, sizeof(empty)), ""},
		{span_of(large, sizeof(large)), "too large"},
	};
	struct tls_server *s = server_of("leaf", false);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct pair *p = pair_new(s, 0);
		ssize_t n = (ssize_t)rows[i].bytes.n;

		assert_int_equal(write(p->fd[1], rows[i].bytes.p, (size_t)n), n);
		/* Something behind it, as a real client would have sent. */
		assert_int_equal(write(p->fd[1], more, sizeof(more)), sizeof(more));
		if (tls_conn_handshake(p->server) != TLS_STEP_FAILED)
			fail_msg("row %zu is not refused", i);
		if (strstr(tls_conn_error(p->server), rows[i].words) == NULL)
			fail_msg("row %zu: \"%s\"", i, tls_conn_error(p->server));
		pair_free(p);
	}
	tls_server_free(s);
}

static size_t carry(int from, int to, size_t room)
{
	char octets[256];
	ssize_t n = read(from, octets, room < sizeof(octets) ? room : sizeof(octets));

	if (n <= 0)
		return 0;
	assert_int_equal(write(to, octets, (size_t)n), n);
	return (size_t)n;
}

/*
 * The client's octets come one at a time, and no more than `limit` of them; then the stream ends.
 * The octet at `flip` comes with a bit turned. Returns how many came.
 */
static size_t dribble(struct tls_server *s, int version, size_t limit, size_t flip,
		      enum tls_step *ret_step)
{
	struct pair *p = pair_new(s, version);
	size_t carried = 0, idle = 0;
	int wire[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, wire), 0);
	give_client(p, "leaf", pki_key("leaf"));
	pair_start(p, NAME);
	SSL_set_fd(p->client, wire[1]);
	*ret_step = TLS_STEP_WANT_READ;
	while (*ret_step == TLS_STEP_WANT_READ && idle < 10) {
		size_t n = 0;

		while (carry(p->fd[1], wire[0], 256) > 0)
			continue;
		SSL_do_handshake(p->client);
		if (carried < limit && carried != flip) {
			n = carry(wire[0], p->fd[1], 1);
		} else if (carried < limit) {
			uint8_t octet;

			if (read(wire[0], &octet, 1) == 1) {
				octet ^= 0x04;
				n = 1;
				assert_int_equal(write(p->fd[1], &octet, 1), 1);
			}
		} else {
			shutdown(p->fd[1], SHUT_WR);
		}
		carried += n;
		idle = n == 0 ? idle + 1 : 0;
		*ret_step = tls_conn_handshake(p->server);
	}
	close(wire[0]);
	close(wire[1]);
	pair_free(p);
	return carried;
}

static void every_cut_of_the_handshake(void **state)
{
	struct tls_server *s = server_of("leaf ca2, rsa, other", true);
	enum tls_step step;

	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		/* 8: signatures differ in size. */
		size_t whole = dribble(s, version, SIZE_MAX, SIZE_MAX, &step);

		assert_int_equal(step, TLS_STEP_DONE);
		for (size_t limit = 0; limit < whole - 8; limit += 11) {
			dribble(s, version, limit, SIZE_MAX, &step);
			assert_int_equal(step, TLS_STEP_FAILED);
		}
		/* One bit turned: it fails, or waits for octets that a length promises; no DONE. */
		for (size_t flip = 0; flip < whole - 8; flip += 11) {
			dribble(s, version, SIZE_MAX, flip, &step);
			assert_int_not_equal(step, TLS_STEP_DONE);
		}
	}
	tls_server_free(s);
}

static void closed_in_the_handshake(void **state)
{
	struct tls_server *s = server_of("leaf", false);
	struct pair *p = pair_new(s, 0);

	(void)state;
	assert_int_equal(tls_conn_handshake(p->server), TLS_STEP_WANT_READ);
	close(p->fd[1]);
	p->fd[1] = -1;
	assert_int_equal(tls_conn_handshake(p->server), TLS_STEP_FAILED);
	assert_string_equal(tls_conn_error(p->server),
			    "the client closed the connection during the handshake");
	pair_free(p);
	tls_server_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(talks_both_ways),
		cmocka_unit_test(tells_whether_it_is_drained),
		cmocka_unit_test(old_versions_are_refused),
		cmocka_unit_test(ciphers_in_our_order),
		cmocka_unit_test(nothing_is_renegotiated),
		cmocka_unit_test(nothing_is_resumed),
		cmocka_unit_test(client_certificates),
		cmocka_unit_test(a_borrowed_certificate_is_refused),
		cmocka_unit_test(client_chains_are_bounded),
		cmocka_unit_test(garbage_is_refused),
		cmocka_unit_test(every_cut_of_the_handshake),
		cmocka_unit_test(closed_in_the_handshake),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
