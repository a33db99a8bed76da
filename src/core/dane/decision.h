/*
 * The RFC 7672 decision for one destination, as a machine that asks questions and takes answers.
 *
 * It knows no resolver and no clock. Its owner hands each question to whoever can answer it, in
 * any order, and gives each answer back once:
 *
 *	struct dane_decider *d = dane_decider_new(&request);
 *	while ((decision = dane_decider_result(d)) == NULL) {
 *		while ((q = dane_decider_question(d)) != NULL)
 *			pose(q);                      // answered later, by its id
 *		dane_decider_answer(d, id, &answer);  // or dane_decider_answer_der()
 *	}
 *	dane_decider_free(d);
 *
 * A question that cannot be answered in time is answered DANE_FAILED: the machine then ends by
 * itself. It always ends: questions are bounded by DANE_HOSTS_MAX and the size of DNS messages.
 *
 * Each step cites its row of the matrix (R M A T U Q D) in decision.c and host.c.
 */
#pragma once

#include "core/dane/answer.h"
#include "core/dane/tlsa.h"

enum {
	/* MX hosts looked at, best preference first (docs/decisions/0019); the rest is counted. */
	DANE_HOSTS_MAX = 100,
	/* Hosts whose questions are under way at a time. */
	DANE_HOSTS_ACTIVE = 20,
	/* Addresses kept of one host, of each family: many of one do not hide the other. */
	DANE_ADDRESSES_MAX = 64,
};

enum dane_mode {
	DANE_MODE_OPPORTUNISTIC, /* RFC 7672: use DANE where it is published */
	DANE_MODE_MANDATORY,     /* nothing without DANE: section D */
	DANE_MODE_NONE,          /* DANE off for this destination: T15 */
};

const char *dane_mode_to_string(enum dane_mode m);
bool dane_mode_from_string(const char *word, enum dane_mode *ret);

enum dane_hop {
	DANE_HOP_DOMAIN,  /* subject to MX lookup */
	DANE_HOP_HOST,    /* a configured host, no MX lookup: M25 */
	DANE_HOP_ADDRESS, /* an address literal: M19 */
};

struct dane_request {
	const char *domain; /* the destination, as the report names it */
	enum dane_hop hop;
	const char *next_hop; /* the name or address that is asked about; often == domain */
	uint16_t port;
	enum dane_mode mode;
	bool half_dane;       /* also behind an insecure MX: M2, M3 */
	const char *own_name; /* M17; NULL: not looked for */
};

enum dane_level {
	DANE_LEVEL_DANE,        /* AUTH: TLS and DANE authentication, or not at all */
	DANE_LEVEL_ENCRYPT,     /* ENC: TLS or not at all, certificate not judged */
	DANE_LEVEL_MAY,         /* OPP: opportunistic */
	DANE_LEVEL_UNREACHABLE, /* NEXT: pass over this host */
};

/* "dane", "encrypt", "may", "unreachable" */
const char *dane_level_to_string(enum dane_level l);

enum dane_outcome {
	DANE_OUTCOME_DANE,
	DANE_OUTCOME_ENCRYPT,
	DANE_OUTCOME_MAY,
	DANE_OUTCOME_MIXED, /* the reachable hosts differ */
	DANE_OUTCOME_DEFER,
	DANE_OUTCOME_BOUNCE,
};

/* "dane", "encrypt", "may", "mixed", "defer", "bounce" */
const char *dane_outcome_to_string(enum dane_outcome o);

enum dane_mx_kind {
	DANE_MX_UNKNOWN, /* NXDOMAIN, or the lookup failed: null in the report */
	DANE_MX_MX,
	DANE_MX_IMPLICIT,
	DANE_MX_NULL,
	DANE_MX_CONFIGURED,
};

struct dane_record {
	struct dane_tlsa tlsa;
	enum dane_unusable unusable; /* section U; DANE_USABLE */
	bool aside;                  /* usable, but a stronger digest is there: G1 */
};

struct dane_host {
	const char *name; /* an address in text for DANE_HOP_ADDRESS */
	uint16_t preference;

	const char *const *addresses; /* in text, as answered: IPv6 after IPv4 */
	size_t n_addresses;
	enum dane_security address_security; /* UNASKED: literal, or provably no address */

	const char *tlsa_base;            /* set where a secure non-empty RRset fixed it */
	enum dane_security tlsa_security; /* UNASKED: not asked */
	const struct dane_record *records;
	size_t n_records;
	/* Usage 2 accepts these names: the base domain first (RFC 7672 section 3.2.2). */
	const char *identifiers[3];
	size_t n_identifiers;

	enum dane_level level;
	const char *reason; /* a sentence */
	const char *status; /* for UNREACHABLE: the enhanced status code, e.g. "4.7.324" */
	const char *tlsrpt; /* RFC 8460 result type that DNS alone decided, or NULL */
	bool proven_absent; /* UNREACHABLE since it provably has no address */
	bool late;          /* UNREACHABLE since the caller's own time was over */
};

struct dane_decision {
	enum dane_outcome outcome;
	const char *status; /* for DEFER and BOUNCE, else NULL */
	const char *detail; /* a sentence */
	const char *tlsrpt; /* for DEFER, or NULL */
	enum dane_security mx_security;
	enum dane_mx_kind mx_kind;
	const struct dane_host *hosts; /* by preference */
	size_t n_hosts;
	size_t n_hosts_beyond; /* MX hosts beyond DANE_HOSTS_MAX, not looked at */
};

enum dane_ask {
	DANE_ASK_DNS, /* name, type */
	DANE_ASK_DER, /* is `data` exactly one DER certificate (selector 0) or public key (1)? */
};

struct dane_question {
	uint32_t id;
	enum dane_ask ask;
	const char *host; /* the MX host it is about; NULL: the destination's MX question */
	const char *name;
	uint16_t type;
	uint8_t selector;
	struct span data;
};

struct dane_decider;

/* Copies the request. */
struct dane_decider *dane_decider_new(const struct dane_request *r);
struct dane_decider *dane_decider_free(struct dane_decider *d);

/* The next question that has not been handed out; NULL when there is none now. */
const struct dane_question *dane_decider_question(struct dane_decider *d);

/* Copies the answer. -ENOENT for an id that waits for no answer of this kind. */
int dane_decider_answer(struct dane_decider *d, uint32_t id, const struct dane_answer *answer)
	_mustcheck_;
int dane_decider_answer_der(struct dane_decider *d, uint32_t id, bool well_formed) _mustcheck_;

/* NULL while answers are missing. Lives as long as the machine. */
const struct dane_decision *dane_decider_result(const struct dane_decider *d);

const struct dane_request *dane_decider_request(const struct dane_decider *d);

/*
 * The evidence: every question that was handed out, in order, with its answer (`dns` NULL and
 * `der_known` false while it is missing). Replaying them gives the same decision.
 */
struct dane_evidence {
	struct dane_question question;
	const struct dane_answer *dns;
	bool der_known, der_well_formed;
};
/* What it holds, in octets, about. */
size_t dane_decider_weight(const struct dane_decider *d);
size_t dane_decider_evidence_count(const struct dane_decider *d);
struct dane_evidence dane_decider_evidence(const struct dane_decider *d, size_t i);
