/*
 * DANE authentication of a server certificate (RFC 7672 section 3, RFC 7671; matrix C, G, N).
 *
 * One function sets flags, names and purpose, for a handshake (edge/tls/conn.h) and for
 * tls_dane_match, and one judge reads the verdict of both:
 *
 *   usage 3: the first certificate matches a record. No names, no dates, no chain (C1-C7).
 *   usage 2: a chain up to a matching CA certificate, with dates, purpose and names (C13-C29).
 *   Any record that matches is enough (C30, C31), after digest agility (G1-G4).
 *
 * Records that SMTP cannot use never reach OpenSSL (it would take usages 0 and 1: U2, C32).
 */
#pragma once

#include "core/dane/tlsa.h"

struct tls_context;
struct tls_chain;

struct tls_dane_spec {
	/*
	 * TLSA base domain: SNI and first reference identifier (P4, N1). A-label, a trailing dot
	 * is taken off. NULL only in tls_dane_match: names are not checked.
	 */
	const char *base;
	/* Further reference identifiers (N2, N3); one that is no host name is left out. */
	const char *const *names;
	size_t n_names;
	const struct dane_tlsa *records; /* all of the RRset: what is unusable is left out here */
	size_t n_records;
	int64_t time; /* Unix seconds at which dates are judged; 0: now */
};

enum tls_verdict_kind {
	TLS_VERDICT_NONE, /* nothing was judged: a level that does not authenticate */
	TLS_VERDICT_MATCH,
	TLS_VERDICT_MISMATCH, /* no record matches a certificate that counts */
	TLS_VERDICT_EXPIRED,  /* this and the next four: usage 2 only */
	TLS_VERDICT_NOT_YET_VALID,
	TLS_VERDICT_NAME_MISMATCH,
	TLS_VERDICT_UNTRUSTED,      /* signature, purpose, path length, no CA ... */
	TLS_VERDICT_WEAK,           /* key or digest below security level 1 (P19); usage 3 too */
	TLS_VERDICT_NO_CERTIFICATE, /* C33 */
	TLS_VERDICT_UNUSABLE,       /* no usable record: nothing to judge by */
};

const char *tls_verdict_to_string(enum tls_verdict_kind k);

enum tls_auth {
	TLS_AUTH_NO,
	TLS_AUTH_DANE_TA,
	TLS_AUTH_DANE_EE,
};

/* "no", "dane-ta", "dane-ee": the words of the command-line contract. */
const char *tls_auth_to_string(enum tls_auth a);

struct tls_verdict {
	enum tls_verdict_kind kind;
	/* With MATCH only: */
	enum tls_auth auth;
	struct dane_tlsa record; /* which matched; in the arena */
	int depth;               /* 0: the server's certificate */
	const char
		*name; /* the reference identifier's match in the certificate; NULL for usage 3 */
	/* Always: */
	const char *tlsrpt; /* RFC 8460 result type; NULL for MATCH and NONE */
	const char *detail; /* a sentence, printable ASCII */
};

/*
 * The verdict on a chain as a server would send it, without a handshake. 0 for every verdict;
 * -EINVAL: the base domain is no host name. Strings live in the arena.
 */
int tls_dane_match(struct tls_context *c, const struct tls_dane_spec *spec,
		   const struct tls_chain *chain, struct arena *a, struct tls_verdict *ret,
		   struct err *e) _mustcheck_;
