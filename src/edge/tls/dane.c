#include "edge/tls/dane.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>

#include "base/buf.h"
#include "base/hex.h"
#include "base/text.h"
#include "edge/tls/der.h"
#include "edge/tls/internal.h"

enum {
	HOST_MAX = 253,      /* characters */
	SHOWN_NAMES = 4,     /* of a certificate, in a sentence */
	SHOWN_NAME_MAX = 80, /* characters each */
};

const char *tls_verdict_to_string(enum tls_verdict_kind k)
{
	switch (k) {
	case TLS_VERDICT_NONE:
		return "none";
	case TLS_VERDICT_MATCH:
		return "match";
	case TLS_VERDICT_MISMATCH:
		return "mismatch";
	case TLS_VERDICT_EXPIRED:
		return "expired";
	case TLS_VERDICT_NOT_YET_VALID:
		return "not yet valid";
	case TLS_VERDICT_NAME_MISMATCH:
		return "name mismatch";
	case TLS_VERDICT_UNTRUSTED:
		return "untrusted";
	case TLS_VERDICT_WEAK:
		return "weak";
	case TLS_VERDICT_NO_CERTIFICATE:
		return "no certificate";
	case TLS_VERDICT_UNUSABLE:
		return "unusable";
	}
	return NULL;
}

const char *tls_auth_to_string(enum tls_auth a)
{
	switch (a) {
	case TLS_AUTH_NO:
		return "no";
	case TLS_AUTH_DANE_TA:
		return "dane-ta";
	case TLS_AUTH_DANE_EE:
		return "dane-ee";
	}
	return NULL;
}

/* --- arming ----------------------------------------------------------------------------------- */

struct span tls_name_trim(const char *name)
{
	struct span s = span_text(name);

	if (s.n > 1 && s.p[s.n - 1] == '.')
		s.n--;
	return s;
}

/*
 * A host name, no address (P4). OpenSSL would take ".example.com" for every name below it, an
 * address for an IP-ID and "" for "any": none of them gets through here.
 */
static bool reference_identifier(const char *name, char *ret)
{
	struct span s = tls_name_trim(name);

	if (!text_is_host(s))
		return false;
	memcpy(ret, s.p, s.n);
	ret[s.n] = '\0';
	return true;
}

static int set_names(SSL *ssl, const struct tls_dane_spec *spec, struct err *e)
{
	char name[HOST_MAX + 1] = "no-name.invalid";

	if (spec->base != NULL && !reference_identifier(spec->base, name))
		return err_set(e, -EINVAL, "\"%.100s\" is no host name", spec->base);
	/* SNI and first reference identifier in one (P4, N1). */
	if (SSL_dane_enable(ssl, name) <= 0)
		return err_set(e, -EINVAL, "OpenSSL does not take the name \"%s\"", name);
	if (spec->base == NULL) {
		require(X509_VERIFY_PARAM_set1_host(SSL_get0_param(ssl), NULL, 0) == 1);
		return 0;
	}
	for (size_t i = 0; i < spec->n_names; i++) {
		/* The end of an alias may be any name: one that no certificate can have. */
		if (!reference_identifier(spec->names[i], name))
			continue;
		if (SSL_add1_host(ssl, name) != 1)
			return err_set(e, -EINVAL, "OpenSSL does not take the name \"%s\"", name);
	}
	return 0;
}

/* How many OpenSSL took. It must not see what SMTP cannot use: it would take usages 0 and 1. */
static int add_records(SSL *ssl, const struct tls_dane_spec *spec)
{
	int n = 0;

	for (size_t i = 0; i < spec->n_records; i++) {
		const struct dane_tlsa *r = &spec->records[i];

		if (tls_tlsa_usability(r) != DANE_USABLE)
			continue;
		if (SSL_dane_tlsa_add(ssl, r->usage, r->selector, r->matching,
				      (const unsigned char *)r->data.p, r->data.n) > 0)
			n++;
		ERR_clear_error();
	}
	return n;
}

/*
 * C24, docs/decisions/0012: the dates of the trust anchor itself do not count (RFC 5280
 * section 6.1: it is an input, no part of the path). OpenSSL sees to that for an anchor that is an
 * intermediate; of one that names itself as its issuer it looks at the dates, and goes on down the
 * chain when this returns 1. The anchor is the certificate that a record matched, nothing else: one
 * that is signed by a key in the DNS is on the path, however much it looks like a root (C18).
 */
static int on_certificate(int ok, X509_STORE_CTX *ctx)
{
	int error = X509_STORE_CTX_get_error(ctx);
	SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	X509 *anchor = NULL;

	if (ok == 1 ||
	    (error != X509_V_ERR_CERT_HAS_EXPIRED && error != X509_V_ERR_CERT_NOT_YET_VALID))
		return ok;
	/* Depth 0 is the server's own certificate: its dates count even if it were an anchor. */
	if (SSL_get0_dane_authority(ssl, &anchor, NULL) <= 0 || anchor == NULL ||
	    anchor != X509_STORE_CTX_get_current_cert(ctx))
		return ok;
	X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return 1;
}

int tls_dane_prepare(SSL *ssl, const struct tls_dane_spec *spec, struct err *e)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	int r;

	ERR_clear_error();
	r = set_names(ssl, spec, e);
	ERR_clear_error();
	if (r < 0)
		return r;
	/* C5: usage 3 has no names. N13: a wildcard is the whole first label. N9: CN without
	 * DNS-ID. */
	SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	require(X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER) == 1); /* C28 */
	if (spec->time != 0)
		X509_VERIFY_PARAM_set_time(param, (time_t)spec->time);
	/* The handshake ends whatever the certificate is; the judge decides, QUIT is still said. */
	SSL_set_verify(ssl, SSL_VERIFY_NONE, on_certificate);
	return add_records(ssl, spec);
}

/* --- judging ---------------------------------------------------------------------------------- */

/* OpenSSL's verdict, what it means, and what is reported of it (RFC 8460 section 4.3). */
static enum tls_verdict_kind kind_of(long result)
{
	switch (result) {
	case X509_V_ERR_DANE_NO_MATCH:
	/* With usage 2 a chain that reaches no anchor ends in one of these (C15, C20). */
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_UNTRUSTED:
		return TLS_VERDICT_MISMATCH;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return TLS_VERDICT_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return TLS_VERDICT_NOT_YET_VALID;
	case X509_V_ERR_HOSTNAME_MISMATCH:
		return TLS_VERDICT_NAME_MISMATCH;
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
	case X509_V_ERR_CA_MD_TOO_WEAK:
		return TLS_VERDICT_WEAK;
	default: /* OpenSSL's list is open: whatever it adds is no match */
		return TLS_VERDICT_UNTRUSTED;
	}
}

static const char *tlsrpt_of(enum tls_verdict_kind k)
{
	switch (k) {
	case TLS_VERDICT_NONE:
	case TLS_VERDICT_MATCH:
		return NULL;
	case TLS_VERDICT_MISMATCH:
	case TLS_VERDICT_NOT_YET_VALID:
	case TLS_VERDICT_UNTRUSTED:
		return "certificate-not-trusted";
	case TLS_VERDICT_EXPIRED:
		return "certificate-expired";
	case TLS_VERDICT_NAME_MISMATCH:
		return "certificate-host-mismatch";
	case TLS_VERDICT_WEAK:
	case TLS_VERDICT_NO_CERTIFICATE:
		return "validation-failure";
	case TLS_VERDICT_UNUSABLE:
		return "tlsa-invalid";
	}
	return NULL;
}

/* Names from the peer: printable ASCII only, cut. */
static void add_shown(struct buf *b, const uint8_t *p, int n)
{
	for (int i = 0; i < n && i < SHOWN_NAME_MAX; i++) {
		bool plain = p[i] > ' ' && p[i] < 0x7f && p[i] != '\\';

		/* The buffer is large enough for SHOWN_NAMES of these. */
		require((plain ? buf_add(b, p + i, 1) : buf_printf(b, "\\%03u", p[i])) == 0);
	}
	if (n > SHOWN_NAME_MAX)
		require(buf_add_text(b, "...") == 0);
}

static const char *shown_names(X509 *leaf, struct arena *a)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	struct buf b;
	const char *text;
	int shown = 0;

	buf_init(&b, SHOWN_NAMES * (4 * SHOWN_NAME_MAX + 16) + 64);
	for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

		if (g->type != GEN_DNS)
			continue;
		if (shown++ == SHOWN_NAMES) {
			require(buf_add_text(&b, " and more") == 0);
			break;
		}
		if (shown > 1)
			require(buf_add_text(&b, ", ") == 0);
		add_shown(&b, ASN1_STRING_get0_data(g->d.dNSName),
			  ASN1_STRING_length(g->d.dNSName));
	}
	if (shown == 0)
		require(buf_add_text(&b, "no DNS name") == 0);
	text = arena_text(a, buf_span(&b));
	buf_done(&b);
	GENERAL_NAMES_free(names);
	ERR_clear_error();
	return text;
}

static const char *shown_end(X509 *x, struct arena *a)
{
	char text[40] = "an unreadable time";
	struct tm tm;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) == 1)
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	ERR_clear_error();
	return arena_strdup(a, text);
}

/* What would have matched: what an administrator compares first. */
static const char *own_record(X509 *leaf, struct arena *a)
{
	uint8_t *der, digest[32];
	size_t n = tls_x509_der(leaf, DANE_SELECTOR_SPKI, &der);
	const char *text;

	if (n == 0 || EVP_Digest(der, n, digest, NULL, EVP_sha256(), NULL) != 1)
		text = "unknown";
	else
		text = arena_printf(a, "3 1 1 %s", hex_encode(a, span_of(digest, sizeof(digest))));
	OPENSSL_free(der);
	return text;
}

static const char *reason(const SSL *ssl, enum tls_verdict_kind k, X509 *leaf, struct arena *a)
{
	const char *words = X509_verify_cert_error_string(SSL_get_verify_result(ssl));

	switch (k) {
	case TLS_VERDICT_NONE:
	case TLS_VERDICT_MATCH:
	case TLS_VERDICT_UNUSABLE:
		break;
	case TLS_VERDICT_NO_CERTIFICATE:
		return "the server sent no certificate";
	case TLS_VERDICT_MISMATCH:
		return arena_printf(a, "no TLSA record matches (%s); the server's key is %s", words,
				    own_record(leaf, a));
	case TLS_VERDICT_EXPIRED:
		return arena_printf(a,
				    "a certificate in the chain has expired (usage 2 checks dates; "
				    "the server's own is valid until %s)",
				    shown_end(leaf, a));
	case TLS_VERDICT_NOT_YET_VALID:
		return "a certificate in the chain is not yet valid (usage 2 checks dates)";
	case TLS_VERDICT_NAME_MISMATCH:
		return arena_printf(a,
				    "no name of the certificate fits (usage 2 checks names; it is "
				    "for: %s)",
				    shown_names(leaf, a));
	case TLS_VERDICT_UNTRUSTED:
		return arena_printf(a, "the chain does not hold: %s", words);
	case TLS_VERDICT_WEAK:
		return arena_printf(a, "below security level 1: %s", words);
	}
	return words;
}

static void set_matched(const SSL *ssl, int depth, struct arena *a, struct tls_verdict *v)
{
	SSL *s = (SSL *)(uintptr_t)ssl; /* OpenSSL's readers take no const */
	const unsigned char *data = NULL;
	uint8_t head[3], *rdata;
	const char *name = SSL_get0_peername(s);
	size_t n = 0;

	/* A depth that is not negative has its record: OpenSSL sets both together. */
	require(SSL_get0_dane_tlsa(s, &head[0], &head[1], &head[2], &data, &n) == depth &&
		data != NULL);
	rdata = arena_alloc(a, sizeof(head) + n);
	memcpy(rdata, head, sizeof(head));
	memcpy(rdata + sizeof(head), data, n);
	v->record = dane_tlsa_from_wire(span_of(rdata, sizeof(head) + n));
	v->depth = depth;
	v->auth = head[0] == DANE_USAGE_DANE_EE ? TLS_AUTH_DANE_EE : TLS_AUTH_DANE_TA;
	if (v->auth == TLS_AUTH_DANE_EE) {
		v->detail = arena_printf(a, "TLSA %u %u %u matches the server's certificate",
					 head[0], head[1], head[2]);
		return;
	}
	v->name = name == NULL ? NULL : arena_strdup(a, name);
	v->detail = arena_printf(a, "TLSA %u %u %u matches the trust anchor at depth %d; %s%s",
				 head[0], head[1], head[2], depth,
				 name == NULL ? "names were not checked" : "the name fits ",
				 name == NULL ? "" : name);
}

void tls_dane_judge(const SSL *ssl, X509 *leaf, struct arena *a, struct tls_verdict *ret)
{
	SSL *s = (SSL *)(uintptr_t)ssl;
	long result = SSL_get_verify_result(ssl);
	int depth = SSL_get0_dane_authority(s, NULL, NULL);

	*ret = (struct tls_verdict){.depth = -1};
	if (leaf == NULL)
		ret->kind = TLS_VERDICT_NO_CERTIFICATE; /* C33: the library says "ok" to it */
	else if (result != X509_V_OK)
		ret->kind = kind_of(result);
	else if (depth < 0 || SSL_session_reused(s))
		ret->kind = TLS_VERDICT_UNTRUSTED; /* "ok", but not by a record of ours (S21) */
	else
		ret->kind = TLS_VERDICT_MATCH;
	ret->tlsrpt = tlsrpt_of(ret->kind);
	if (ret->kind == TLS_VERDICT_MATCH)
		set_matched(ssl, depth, a, ret);
	else if (result == X509_V_OK && leaf != NULL)
		ret->detail = "no TLSA record was matched in this session";
	else
		ret->detail = reason(ssl, ret->kind, leaf, a);
	ERR_clear_error();
}

/* --- without a handshake ---------------------------------------------------------------------- */

/* What OpenSSL does when a Certificate message has come, with the same parameters. */
static void verify(SSL *ssl, STACK_OF(X509) * certs)
{
	X509_STORE *empty = SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl));
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;

	require(ctx != NULL &&
		X509_STORE_CTX_init(ctx, empty, sk_X509_value(certs, 0), certs) == 1);
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_auth_level(param, SSL_get_security_level(ssl));
	X509_STORE_CTX_set0_dane(ctx, SSL_get0_dane(ssl));
	require(X509_STORE_CTX_set_default(ctx, "ssl_server") == 1);
	require(X509_VERIFY_PARAM_set1(param, SSL_get0_param(ssl)) == 1);
	require(X509_STORE_CTX_set_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx(), ssl) == 1);
	X509_STORE_CTX_set_verify_cb(ctx, SSL_get_verify_callback(ssl));
	/* Less than 1 leaves its reason in the context; never X509_V_OK. */
	(void)X509_verify_cert(ctx);
	SSL_set_verify_result(ssl, X509_STORE_CTX_get_error(ctx));
	X509_VERIFY_PARAM_move_peername(SSL_get0_param(ssl), param);
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
}

int tls_dane_match(struct tls_context *c, const struct tls_dane_spec *spec,
		   const struct tls_chain *chain, struct arena *a, struct tls_verdict *ret,
		   struct err *e)
{
	SSL *ssl = SSL_new(tls_context_ssl(c, TLS_LEVEL_DANE));
	int n;

	require(ssl != NULL);
	n = tls_dane_prepare(ssl, spec, e);
	if (n == 0) {
		*ret = (struct tls_verdict){.kind = TLS_VERDICT_UNUSABLE, .depth = -1};
		ret->tlsrpt = tlsrpt_of(ret->kind);
		ret->detail = "no TLSA record is usable";
	} else if (n > 0) {
		verify(ssl, tls_chain_x509(chain));
		tls_dane_judge(ssl, sk_X509_value(tls_chain_x509(chain), 0), a, ret);
	}
	SSL_free(ssl);
	return n < 0 ? n : 0;
}
