/*
 * Sections C, G, N of the matrix, and U where OpenSSL decides: each row by tls_dane_match and by a
 * real handshake over TLS 1.3 and 1.2, with the same verdict (DESIGN.md section 2).
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/tls/der.h"
#include "pki.h"

#define NAME "mail.example.com"

enum {
	RECORDS_MAX = 8,
	NAMES_MAX = 4,
};

static struct tls_context *context;

static const struct row {
	const char *id;
	const char *chain;
	const char *records;
	const char *names; /* base domain first */
	enum tls_verdict_kind kind;
	const char *matched; /* "3 1 1" */
	int depth;
} rows[] = {
	{"C1", "leaf ca2 ca1", "3 1 1 leaf", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"C2", "leaf", "3 1 2 leaf", NAME, TLS_VERDICT_MATCH, "3 1 2", 0},
	{"C2", "leaf", "3 0 1 leaf", NAME, TLS_VERDICT_MATCH, "3 0 1", 0},
	{"C2", "leaf", "3 0 2 leaf", NAME, TLS_VERDICT_MATCH, "3 0 2", 0},
	{"C2", "leaf", "3 1 0 leaf", NAME, TLS_VERDICT_MATCH, "3 1 0", 0},
	{"C2", "leaf", "3 0 0 leaf", NAME, TLS_VERDICT_MATCH, "3 0 0", 0},
	{"C2", "rsa", "3 1 1 rsa", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"C2", "p384", "3 1 1 p384", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"C2", "ed25519", "3 1 1 ed25519", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"C3", "expired ca2", "3 1 1 expired", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"C4", "future ca2", "3 1 1 future", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"C5", "other ca2", "3 1 1 other", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"C5", "other ca2", "3 0 1 other", NAME, TLS_VERDICT_MATCH, "3 0 1", 0},
	{"C6", "self", "3 1 1 self", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"C6", "leaf", "3 1 1 leaf", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"C6", "bad-signature ca2", "3 1 1 bad-signature", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"C6", "under-expired ca-expired", "3 1 1 under-expired", NAME, TLS_VERDICT_MATCH, "3 1 1",
	 0},
	{"C7", "client", "3 1 1 client", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"C7", "worst", "3 1 1 worst", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"C8", "leaf ca2 ca1", "3 1 1 leaf2", NAME, TLS_VERDICT_MISMATCH},
	{"C8", "leaf ca2 ca1", "3 0 1 leaf2", NAME, TLS_VERDICT_MISMATCH},
	{"C8", "leaf", "3 1 1 !leaf", NAME, TLS_VERDICT_MISMATCH},
	{"C8", "leaf", "3 0 0 leaf2", NAME, TLS_VERDICT_MISMATCH},
	{"C8", "leaf", "3 1 0 leaf2", NAME, TLS_VERDICT_MISMATCH},
	{"C9", "leaf ca2", "3 1 1 leaf2, 3 1 1 leaf", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"C9", "leaf ca2", "3 1 1 leaf, 3 1 1 leaf2", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"C10", "leaf ca2", "3 1 1 ca2", NAME, TLS_VERDICT_MISMATCH},
	{"C11", "leaf2 leaf", "3 1 1 leaf", NAME, TLS_VERDICT_MISMATCH},
	{"C12", "leaf ca2 ca1 root", "3 0 1 ca2", NAME, TLS_VERDICT_MISMATCH},
	{"C13", "leaf ca2 ca1", "2 0 1 ca2", NAME, TLS_VERDICT_MATCH, "2 0 1", 1},
	{"C13", "leaf ca2 ca1", "2 0 2 ca1", NAME, TLS_VERDICT_MATCH, "2 0 2", 2},
	{"C13", "leaf ca2 ca1", "2 1 1 ca1", NAME, TLS_VERDICT_MATCH, "2 1 1", 2},
	{"C13", "leaf ca2 ca1", "2 1 2 ca2", NAME, TLS_VERDICT_MATCH, "2 1 2", 1},
	{"C13", "leaf ca2 ca1 root", "2 0 1 root", NAME, TLS_VERDICT_MATCH, "2 0 1", 3},
	{"C13", "leaf ca2 ca1 root", "2 1 1 root", NAME, TLS_VERDICT_MATCH, "2 1 1", 3},
	{"C14", "leaf ca2", "2 0 1 ca2", NAME, TLS_VERDICT_MATCH, "2 0 1", 1},
	{"C14", "leaf ca2", "2 1 1 ca2", NAME, TLS_VERDICT_MATCH, "2 1 1", 1},
	{"C15", "leaf ca2 ca1", "2 0 1 root", NAME, TLS_VERDICT_MISMATCH},
	{"C15", "leaf ca2 ca1", "2 1 1 root", NAME, TLS_VERDICT_MISMATCH},
	{"C15", "leaf", "2 0 1 ca2", NAME, TLS_VERDICT_MISMATCH},
	{"C15", "leaf", "2 1 1 ca2", NAME, TLS_VERDICT_MISMATCH},
	{"C16", "leaf ca2 ca1", "2 0 0 root", NAME, TLS_VERDICT_MATCH, "2 0 0", 3},
	{"C16", "leaf", "2 0 0 ca2", NAME, TLS_VERDICT_MATCH, "2 0 0", 1},
	{"C17", "leaf ca2", "2 1 0 ca2", NAME, TLS_VERDICT_MATCH, "2 1 0", 1},
	{"C18", "leaf", "2 1 0 ca2", NAME, TLS_VERDICT_MATCH, "2 1 0", 0},
	{"C18", "leaf ca2 ca1", "2 1 0 root", NAME, TLS_VERDICT_MATCH, "2 1 0", 2},
	{"C18", "other", "2 1 0 ca2", NAME, TLS_VERDICT_NAME_MISMATCH},
	{"C18", "expired", "2 1 0 ca2", NAME, TLS_VERDICT_EXPIRED},
	{"C19", "leaf stranger", "2 0 1 stranger", NAME, TLS_VERDICT_MISMATCH},
	{"C19", "leaf ca2 ca1 stranger", "2 1 1 stranger", NAME, TLS_VERDICT_MISMATCH},
	{"C20", "leaf ca2", "2 0 1 leaf", NAME, TLS_VERDICT_MISMATCH},
	{"C20", "leaf ca2", "2 1 1 leaf", NAME, TLS_VERDICT_MISMATCH},
	{"C20", "self", "2 0 1 self", NAME, TLS_VERDICT_MISMATCH},
	{"C20", "self-ca", "2 1 1 self-ca", NAME, TLS_VERDICT_MISMATCH},
	{"C20", "self-ca", "2 1 0 self-ca", NAME, TLS_VERDICT_MATCH, "2 1 0", 0},
	{"C21", "expired ca2 ca1", "2 0 1 ca2", NAME, TLS_VERDICT_EXPIRED},
	{"C21", "expired ca2 ca1", "2 1 1 ca1", NAME, TLS_VERDICT_EXPIRED},
	{"C22", "future ca2", "2 1 1 ca2", NAME, TLS_VERDICT_NOT_YET_VALID},
	{"C22", "under-future ca-future ca1", "2 1 1 ca1", NAME, TLS_VERDICT_NOT_YET_VALID},
	{"C23", "under-expired ca-expired ca1", "2 1 1 ca1", NAME, TLS_VERDICT_EXPIRED},
	{"C24", "under-expired ca-expired", "2 1 1 ca-expired", NAME, TLS_VERDICT_MATCH, "2 1 1",
	 1},
	{"C24", "under-root-expired root-expired", "2 0 1 root-expired", NAME, TLS_VERDICT_MATCH,
	 "2 0 1", 1},
	{"C24", "under-root-expired root-expired", "2 1 0 root-expired", NAME, TLS_VERDICT_MATCH,
	 "2 1 0", 1},
	{"C24", "under-new-with-old new-with-old", "2 0 1 new-with-old", NAME, TLS_VERDICT_MATCH,
	 "2 0 1", 1},
	{"C18", "under-new-with-old new-with-old", "2 1 0 root", NAME, TLS_VERDICT_EXPIRED},
	{"C25", "bad-signature ca2", "2 1 1 ca2", NAME, TLS_VERDICT_UNTRUSTED},
	{"C26", "under-no-ca no-ca ca2", "2 1 1 ca2", NAME, TLS_VERDICT_UNTRUSTED},
	{"C26", "under-no-ca no-ca ca2", "2 1 1 no-ca", NAME, TLS_VERDICT_UNTRUSTED},
	{"C26", "under-no-sign no-sign ca1", "2 1 1 ca1", NAME, TLS_VERDICT_UNTRUSTED},
	{"C27", "under-short short-ca short", "2 0 1 short", NAME, TLS_VERDICT_UNTRUSTED},
	{"C27", "under-short short-ca short", "2 1 1 short", NAME, TLS_VERDICT_UNTRUSTED},
	{"C27", "under-narrow narrow", "2 0 1 narrow", NAME, TLS_VERDICT_UNTRUSTED},
	{"C28", "client ca2", "2 1 1 ca2", NAME, TLS_VERDICT_UNTRUSTED},
	{"C29", "leaf ca1 ca2", "2 1 1 ca1", NAME, TLS_VERDICT_MATCH, "2 1 1", 2},
	{"C29", "leaf stranger root ca1 ca2", "2 0 1 root", NAME, TLS_VERDICT_MATCH, "2 0 1", 3},
	{"C30", "leaf ca2", "3 1 1 leaf2, 2 0 1 ca2", NAME, TLS_VERDICT_MATCH, "2 0 1", 1},
	{"C30", "other ca2", "3 1 1 leaf2, 2 0 1 ca2", NAME, TLS_VERDICT_NAME_MISMATCH},
	{"C30", "expired ca2", "3 1 1 leaf2, 2 0 1 ca2", NAME, TLS_VERDICT_EXPIRED},
	{"C31", "other ca2", "3 1 1 other, 2 0 1 stranger", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"C31", "expired ca2", "2 0 1 ca2, 3 1 1 expired", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"C32", "leaf ca2", "1 1 1 leaf, 3 1 1 leaf2", NAME, TLS_VERDICT_MISMATCH},
	{"C32", "leaf ca2 ca1 root", "0 0 1 root, 3 1 1 leaf2", NAME, TLS_VERDICT_MISMATCH},
	{"C32", "leaf ca2", "1 1 1 leaf2, 3 1 1 leaf", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"U2", "leaf ca2", "1 1 1 leaf, 0 0 1 ca2", NAME, TLS_VERDICT_UNUSABLE},
	{"U4", "leaf", "4 1 1 leaf", NAME, TLS_VERDICT_UNUSABLE},
	{"U5", "leaf", "3 2 1 leaf", NAME, TLS_VERDICT_UNUSABLE},
	{"U6", "leaf", "3 1 3 leaf", NAME, TLS_VERDICT_UNUSABLE},
	{"U7", "leaf", "3 1 1 -leaf, 3 1 2 +leaf", NAME, TLS_VERDICT_UNUSABLE},
	{"U9", "leaf", "3 0 0 -leaf, 2 0 0 +ca2", NAME, TLS_VERDICT_UNUSABLE},
	{"U10", "leaf", "3 1 0 -leaf, 2 1 0 +ca2", NAME, TLS_VERDICT_UNUSABLE},
	{"T12", "leaf", "3 0 0 -leaf, 3 1 1 leaf", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"G1", "leaf", "3 1 1 leaf, 3 1 2 leaf2", NAME, TLS_VERDICT_MISMATCH},
	{"G1", "leaf", "3 1 2 leaf2, 3 1 1 leaf", NAME, TLS_VERDICT_MISMATCH},
	{"G1", "leaf", "3 1 1 leaf2, 3 1 2 leaf", NAME, TLS_VERDICT_MATCH, "3 1 2", 0},
	{"G1", "leaf ca2", "2 1 1 ca2, 2 1 2 ca1", NAME, TLS_VERDICT_MISMATCH},
	{"G2", "leaf", "3 1 1 leaf, 3 0 2 leaf2", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"G2", "leaf ca2", "2 0 1 ca2, 3 0 2 leaf2", NAME, TLS_VERDICT_MATCH, "2 0 1", 1},
	{"G3", "leaf", "3 1 0 leaf, 3 1 2 leaf2", NAME, TLS_VERDICT_MATCH, "3 1 0", 0},
	{"G4", "leaf", "3 1 2 -leaf2, 3 1 1 leaf", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"G4", "leaf", "1 1 2 leaf2, 3 1 1 leaf", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"N1", "two-names ca2", "2 1 1 ca2", NAME, TLS_VERDICT_MATCH, "2 1 1", 1},
	{"N2", "next-hop ca2", "2 1 1 ca2", NAME " example.org", TLS_VERDICT_MATCH, "2 1 1", 1},
	{"N3", "expanded ca2", "2 1 1 ca2", NAME " example.org expanded.example.net",
	 TLS_VERDICT_MATCH, "2 1 1", 1},
	{"N4", "leaf ca2", "2 1 1 ca2", "expanded.example.net example.org",
	 TLS_VERDICT_NAME_MISMATCH},
	{"N5", "next-hop ca2", "2 1 1 ca2", NAME, TLS_VERDICT_NAME_MISMATCH},
	{"N6", "next-hop ca2", "2 1 1 ca2", "expanded.example.net example.org", TLS_VERDICT_MATCH,
	 "2 1 1", 1},
	{"N7", "other ca2", "2 1 1 ca2", NAME " example.org", TLS_VERDICT_NAME_MISMATCH},
	{"N8", "cn-other ca2", "2 1 1 ca2", NAME, TLS_VERDICT_NAME_MISMATCH},
	{"N9", "cn ca2", "2 1 1 ca2", NAME, TLS_VERDICT_MATCH, "2 1 1", 1},
	{"N10", "cn-ip ca2", "2 1 1 ca2", NAME, TLS_VERDICT_MATCH, "2 1 1", 1},
	{"N10", "cn-mail ca2", "2 1 1 ca2", NAME, TLS_VERDICT_MATCH, "2 1 1", 1},
	{"N11", "wild ca2", "2 1 1 ca2", NAME, TLS_VERDICT_MATCH, "2 1 1", 1},
	{"N12", "wild ca2", "2 1 1 ca2", "a.mail.example.com", TLS_VERDICT_NAME_MISMATCH},
	{"N12", "wild ca2", "2 1 1 ca2", "example.com", TLS_VERDICT_NAME_MISMATCH},
	{"N13", "partial-tail ca2", "2 1 1 ca2", NAME, TLS_VERDICT_NAME_MISMATCH},
	{"N13", "partial-head ca2", "2 1 1 ca2", NAME, TLS_VERDICT_NAME_MISMATCH},
	{"N13", "partial-mid ca2", "2 1 1 ca2", NAME, TLS_VERDICT_NAME_MISMATCH},
	{"N13", "wild-mid ca2", "2 1 1 ca2", NAME, TLS_VERDICT_NAME_MISMATCH},
	{"N14", "wild ca2", "2 1 1 ca2", "mx.example.net next.example.com", TLS_VERDICT_MATCH,
	 "2 1 1", 1},
	{"N14", "partial-tail ca2", "2 1 1 ca2", "mx.example.net " NAME, TLS_VERDICT_NAME_MISMATCH},
	{"N15", "case ca2", "2 1 1 ca2", NAME, TLS_VERDICT_MATCH, "2 1 1", 1},
	{"N15", "leaf ca2", "2 1 1 ca2", "MAIL.example.com", TLS_VERDICT_MATCH, "2 1 1", 1},
	{"N15", "leaf ca2", "2 1 1 ca2", NAME ".", TLS_VERDICT_MATCH, "2 1 1", 1},
	{"N15", "next-hop ca2", "2 1 1 ca2", NAME ". example.org.", TLS_VERDICT_MATCH, "2 1 1", 1},
	{"N15", "nul ca2", "2 1 1 ca2", NAME, TLS_VERDICT_NAME_MISMATCH},
	{"N15", "cn-nul ca2", "2 1 1 ca2", NAME, TLS_VERDICT_NAME_MISMATCH},
	{"N16", "idn ca2", "2 1 1 ca2", "xn--bcher-kva.example", TLS_VERDICT_MATCH, "2 1 1", 1},
	{"N17", "uri ca2", "2 1 1 ca2", NAME, TLS_VERDICT_NAME_MISMATCH},
	{"P19", "rsa1024", "3 1 1 rsa1024", NAME, TLS_VERDICT_MATCH, "3 1 1", 0},
	{"P19", "rsa1024 ca2", "2 1 1 ca2", NAME, TLS_VERDICT_MATCH, "2 1 1", 1},
	{"P19", "rsa768", "3 1 1 rsa768", NAME, TLS_VERDICT_WEAK},
};

static const char *const tlsrpt[] = {
	[TLS_VERDICT_MISMATCH] = "certificate-not-trusted",
	[TLS_VERDICT_EXPIRED] = "certificate-expired",
	[TLS_VERDICT_NOT_YET_VALID] = "certificate-not-trusted",
	[TLS_VERDICT_NAME_MISMATCH] = "certificate-host-mismatch",
	[TLS_VERDICT_UNTRUSTED] = "certificate-not-trusted",
	[TLS_VERDICT_WEAK] = "validation-failure",
	[TLS_VERDICT_NO_CERTIFICATE] = "validation-failure",
	[TLS_VERDICT_UNUSABLE] = "tlsa-invalid",
};

static void spec_of(const struct row *row, struct arena *a, struct tls_dane_spec *spec)
{
	struct dane_tlsa *records = arena_calloc(a, RECORDS_MAX, sizeof(*records));
	const char **names = arena_calloc(a, NAMES_MAX, sizeof(*names));
	const char *s = row->names;

	*spec = (struct tls_dane_spec){.records = records, .names = names + 1};
	spec->n_records = pki_records(row->records, a, records, RECORDS_MAX);
	for (size_t i = 0; i < NAMES_MAX && *s != '\0'; i++) {
		size_t n = strcspn(s, " ");

		names[i] = arena_text(a, span_of(s, n));
		s += n + strspn(s + n, " ");
		spec->n_names = i;
	}
	spec->base = names[0];
}

static void expect(const struct row *row, const char *how, const struct tls_verdict *v)
{
	struct arena a = {0};

	if (v->kind != row->kind)
		fail_msg("%s by %s, [%s] with [%s]: \"%s\" (%s), expected \"%s\"", row->id, how,
			 row->chain, row->records, tls_verdict_to_string(v->kind), v->detail,
			 tls_verdict_to_string(row->kind));
	assert_non_null(v->detail);
	if (v->kind == TLS_VERDICT_MATCH) {
		const char *text = dane_tlsa_to_text(&a, &v->record);

		if (strncmp(text, row->matched, 5) != 0 || v->depth != row->depth)
			fail_msg("%s by %s: %s at depth %d", row->id, how, text, v->depth);
		assert_int_equal(v->auth,
				 row->matched[0] == '3' ? TLS_AUTH_DANE_EE : TLS_AUTH_DANE_TA);
		assert_null(v->tlsrpt);
		assert_int_equal(v->name == NULL, row->matched[0] == '3');
	} else {
		assert_string_equal(v->tlsrpt, tlsrpt[row->kind]);
		assert_int_equal(v->auth, TLS_AUTH_NO);
		assert_int_equal(v->depth, -1);
	}
	arena_done(&a);
}

static void by_match(const struct row *row)
{
	struct arena a = {0};
	struct tls_dane_spec spec;
	struct tls_chain *chain = pki_chain(row->chain);
	struct tls_verdict v;
	struct err e;

	spec_of(row, &a, &spec);
	assert_int_equal(tls_dane_match(context, &spec, chain, &a, &v, &e), 0);
	expect(row, "match", &v);
	tls_chain_free(chain);
	arena_done(&a);
}

static void by_handshake(const struct row *row, int version)
{
	struct arena a = {0};
	struct tls_client_spec spec = {.level = TLS_LEVEL_DANE};
	SSL_CTX *server_ctx = pki_server(row->chain);
	SSL *server = SSL_new(server_ctx);
	enum tls_step step = TLS_STEP_WANT_READ;
	struct tls_conn *c;
	struct err e;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	SSL_set_max_proto_version(server, version);
	SSL_set_fd(server, fd[1]);
	SSL_set_accept_state(server);
	spec_of(row, &a, &spec.dane);
	c = tls_conn_new(context, fd[0], &spec, &e);
	if (row->kind == TLS_VERDICT_UNUSABLE) {
		/* Nothing to authenticate by: never a connection that looks as if it were. */
		assert_null(c);
	} else {
		assert_non_null(c);
		for (int i = 0; i < 100 && step == TLS_STEP_WANT_READ; i++) {
			step = tls_conn_handshake(c);
			SSL_do_handshake(server);
		}
		if (step != TLS_STEP_DONE)
			fail_msg("%s by handshake: %s", row->id, tls_conn_error(c));
		expect(row, version == TLS1_2_VERSION ? "TLS 1.2" : "TLS 1.3", tls_conn_verdict(c));
		tls_conn_free(c);
	}
	SSL_free(server);
	SSL_CTX_free(server_ctx);
	close(fd[0]);
	close(fd[1]);
	ERR_clear_error();
	arena_done(&a);
}

static void every_row_by_match(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		by_match(&rows[i]);
	assert_int_equal(ERR_peek_error(), 0);
}

static void every_row_by_handshake(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		by_handshake(&rows[i], TLS1_3_VERSION);
		by_handshake(&rows[i], TLS1_2_VERSION);
	}
}

/* Dates are judged at the time asked for, by usage 2 only. */
static void time_is_an_argument(void **state)
{
	static const struct {
		int64_t offset_days;
		enum tls_verdict_kind kind;
	} times[] = {
		{-61, TLS_VERDICT_NOT_YET_VALID},
		{-1, TLS_VERDICT_MATCH},
		{59, TLS_VERDICT_MATCH},
		{61, TLS_VERDICT_EXPIRED},
	};
	struct tls_chain *chain = pki_chain("leaf ca2");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		struct row row = {"time", "leaf ca2", "2 1 1 ca2", NAME, times[i].kind, "2 1 1", 1};
		struct tls_dane_spec spec;
		struct tls_verdict v;
		struct arena a = {0};

		spec_of(&row, &a, &spec);
		spec.time = (int64_t)time(NULL) + times[i].offset_days * 24 * 60 * 60;
		assert_int_equal(tls_dane_match(context, &spec, chain, &a, &v, NULL), 0);
		expect(&row, "match", &v);
		row = (struct row){"time",  "leaf ca2", "3 1 1 leaf", NAME, TLS_VERDICT_MATCH,
				   "3 1 1", 0};
		spec.n_records = pki_records(row.records, &a, (struct dane_tlsa *)spec.records, 1);
		assert_int_equal(tls_dane_match(context, &spec, chain, &a, &v, NULL), 0);
		expect(&row, "match", &v);
		arena_done(&a);
	}
	tls_chain_free(chain);
}

/* Names that OpenSSL would understand as something wider are refused before it sees them. */
static void odd_reference_names_are_refused(void **state)
{
	static const char *const bad[] = {"",
					  ".",
					  ".example.com",
					  "mail..example.com",
					  "mail.example.com..",
					  "192.0.2.1",
					  "2001:db8::1",
					  "[192.0.2.1]",
					  "*.example.com",
					  "mail example.com",
					  "b\303\274cher.example"};
	struct arena a = {0};
	struct dane_tlsa record;
	struct tls_chain *chain = pki_chain("leaf ca2");
	struct tls_verdict v;
	char long_name[300];
	struct err e;

	(void)state;
	pki_records("2 1 1 ca2", &a, &record, 1);
	memset(long_name, 'a', sizeof(long_name));
	long_name[299] = '\0';
	for (size_t i = 0; i <= ARRAY_SIZE(bad); i++) {
		const char *name = i < ARRAY_SIZE(bad) ? bad[i] : long_name;
		struct tls_dane_spec base = {.base = name, .records = &record, .n_records = 1};
		struct tls_dane_spec further = {.base = "mx.example.net",
						.names = &name,
						.n_names = 1,
						.records = &record,
						.n_records = 1};

		assert_int_equal(tls_dane_match(context, &base, chain, &a, &v, &e), -EINVAL);
		/* As a further name it can come from an alias: it fits nothing and harms nothing.
		 */
		assert_int_equal(tls_dane_match(context, &further, chain, &a, &v, &e), 0);
		assert_int_equal(v.kind, TLS_VERDICT_NAME_MISMATCH);
		further.base = NAME;
		assert_int_equal(tls_dane_match(context, &further, chain, &a, &v, &e), 0);
		assert_int_equal(v.kind, TLS_VERDICT_MATCH);
	}
	tls_chain_free(chain);
	arena_done(&a);
}

/* Without a base domain names are not checked, and the verdict says so. */
static void match_without_a_name(void **state)
{
	struct arena a = {0};
	struct dane_tlsa record;
	struct tls_dane_spec spec = {.records = &record, .n_records = 1};
	struct tls_chain *chain = pki_chain("other ca2");
	struct tls_verdict v;

	(void)state;
	pki_records("2 1 1 ca2", &a, &record, 1);
	assert_int_equal(tls_dane_match(context, &spec, chain, &a, &v, NULL), 0);
	assert_int_equal(v.kind, TLS_VERDICT_MATCH);
	assert_null(v.name);
	assert_non_null(strstr(v.detail, "names were not checked"));
	tls_chain_free(chain);
	arena_done(&a);
}

/* What a certificate says of itself cannot break a line of a log. */
static void details_are_printable(void **state)
{
	struct arena a = {0};
	struct dane_tlsa record;
	struct tls_dane_spec spec = {.base = NAME, .records = &record, .n_records = 1};
	struct tls_chain *chain = pki_chain("nul ca2");
	struct tls_verdict v;

	(void)state;
	pki_records("2 1 1 ca2", &a, &record, 1);
	assert_int_equal(tls_dane_match(context, &spec, chain, &a, &v, NULL), 0);
	assert_non_null(strstr(v.detail, "mail.example.com\\000.evil.example"));
	tls_chain_free(chain);
	arena_done(&a);
}

/* --- two agreements ----------------------------------------------------------------------------
 */

/* Whether OpenSSL takes the record; usages 0 and 1 it would (U2 is settled before). */
static bool openssl_takes(const struct dane_tlsa *r)
{
	SSL *ssl = SSL_new(tls_context_ssl(context, TLS_LEVEL_DANE));
	int n;

	assert_true(SSL_dane_enable(ssl, NAME) > 0);
	n = SSL_dane_tlsa_add(ssl, r->usage, r->selector, r->matching, r->data.p, r->data.n);
	SSL_free(ssl);
	ERR_clear_error();
	return n > 0;
}

static uint32_t random_state = 20240229;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % n;
}

/* A record of the test's certificates with fields, length and octets changed at random. */
static struct dane_tlsa random_record(struct arena *a)
{
	static const char *const names[] = {"leaf", "ca2", "leaf2", "rsa", "ed25519"};
	static const uint8_t values[] = {0, 1, 2, 3, 4, 255};
	char text[40];
	struct dane_tlsa r;
	uint8_t *rdata;
	size_t n;

	snprintf(text, sizeof(text), "%u %u %u %s", random_below(4), random_below(2),
		 random_below(3), names[random_below(ARRAY_SIZE(names))]);
	pki_records(text, a, &r, 1);
	n = r.rdata.n;
	rdata = arena_alloc(a, n + 8);
	memcpy(rdata, r.rdata.p, n);
	switch (random_below(8)) {
	case 0:
		rdata[random_below(3)] = values[random_below(ARRAY_SIZE(values))];
		break;
	case 1:
		n -= random_below((uint32_t)n - 3) + 1;
		break;
	case 2:
		n += random_below(8);
		break;
	case 3: /* the DER's frame */
		rdata[3 + random_below(8)] ^= (uint8_t)(1 << random_below(8));
		break;
	case 4:
		rdata[3 + random_below((uint32_t)n - 3)] ^= (uint8_t)(1 << random_below(8));
		break;
	default:
		break;
	}
	return dane_tlsa_from_wire(span_of(rdata, n));
}

static void core_and_openssl_agree_on_usability(void **state)
{
	size_t usable = 0;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct arena a = {0};
		struct dane_tlsa r = random_record(&a);
		enum dane_unusable why = tls_tlsa_usability(&r);

		if (r.rdata.n >= 3 && r.usage > DANE_USAGE_PKIX_EE &&
		    openssl_takes(&r) != (why == DANE_USABLE))
			fail_msg("%s: %s", dane_tlsa_to_text(&a, &r), dane_unusable_to_string(why));
		usable += why == DANE_USABLE;
		arena_done(&a);
	}
	assert_in_range(usable, 2000, 18000); /* both kinds were there */
}

/* Which records a usage-3 match may rest on, by core/dane's rules alone. */
static bool core_matches(const struct dane_tlsa *r, size_t n, const struct dane_tlsa *own)
{
	bool usable[RECORDS_MAX], aside[RECORDS_MAX];

	for (size_t i = 0; i < n; i++)
		usable[i] = tls_tlsa_usability(&r[i]) == DANE_USABLE;
	dane_tlsa_agility(r, usable, n, aside);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < 6; k++)
			if (usable[i] && !aside[i] && span_eq(r[i].rdata, own[k].rdata))
				return true;
	return false;
}

/* Random sets: what core says after agility is what OpenSSL says of the certificate. */
static void core_and_openssl_agree_on_agility(void **state)
{
	struct tls_chain *chain = pki_chain("leaf");
	struct arena own_arena = {0};
	struct dane_tlsa own[6];
	size_t matches = 0, set_aside = 0;

	(void)state;
	pki_records("3 0 0 leaf, 3 0 1 leaf, 3 0 2 leaf, 3 1 0 leaf, 3 1 1 leaf, 3 1 2 leaf",
		    &own_arena, own, 6);
	for (int i = 0; i < 5000; i++) {
		struct arena a = {0};
		struct dane_tlsa r[RECORDS_MAX];
		size_t n = 1 + random_below(RECORDS_MAX);
		struct tls_dane_spec spec = {.base = NAME, .records = r, .n_records = n};
		struct tls_verdict v;
		bool any = false, core;

		for (size_t k = 0; k < n; k++) {
			r[k] = random_record(&a);
			for (size_t o = 0; o < 6; o++)
				any = any || span_eq(r[k].rdata, own[o].rdata);
		}
		core = core_matches(r, n, own);
		assert_int_equal(tls_dane_match(context, &spec, chain, &a, &v, NULL), 0);
		if (core != (v.kind == TLS_VERDICT_MATCH && v.auth == TLS_AUTH_DANE_EE) &&
		    v.auth != TLS_AUTH_DANE_TA) {
			for (size_t k = 0; k < n; k++)
				print_message("%.80s\n", dane_tlsa_to_text(&a, &r[k]));
			fail_msg("core says %d, OpenSSL: %s", core, v.detail);
		}
		matches += core;
		set_aside += any && !core;
		arena_done(&a);
	}
	assert_true(matches > 100 && set_aside > 20); /* the interesting cases were there */
	tls_chain_free(chain);
	arena_done(&own_arena);
}

static int set_up(void **state)
{
	struct err e;

	(void)state;
	context = tls_context_new(&e);
	return context == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	context = tls_context_free(context);
	pki_done();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_by_match),
		cmocka_unit_test(every_row_by_handshake),
		cmocka_unit_test(time_is_an_argument),
		cmocka_unit_test(odd_reference_names_are_refused),
		cmocka_unit_test(match_without_a_name),
		cmocka_unit_test(details_are_printable),
		cmocka_unit_test(core_and_openssl_agree_on_usability),
		cmocka_unit_test(core_and_openssl_agree_on_agility),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
