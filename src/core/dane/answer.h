/*
 * A question to the DNS and its answer, as values.
 *
 * An answer carries its security (RFC 7672 section 2.1.1, matrix R6-R12): a failure and a proven
 * absence are different values, and nothing can mix them up:
 *
 *   security   content                    means
 *   SECURE     RECORDS|NODATA|NXDOMAIN    validated from the trust anchor down, denials too
 *   INSECURE   RECORDS|NODATA|NXDOMAIN    provably not signed, somewhere on the way
 *   BOGUS      (no meaning, no records)   signed, and the signature does not hold
 *   FAILED     (no meaning, no records)   no usable answer: SERVFAIL, REFUSED, time-out, malformed
 *
 * With an alias chain `security` is that of the whole chain and its target (R14-R16): secure only
 * when every hop is.
 */
#pragma once

#include "base/arena.h"
#include "base/span.h"

enum dane_security {
	DANE_SECURE,
	DANE_INSECURE,
	DANE_BOGUS,
	DANE_FAILED,
	/* Never in an answer: no question was asked, or there is provably nothing to ask about. */
	DANE_UNASKED,
};

/* "secure", "insecure", "bogus", "failed", "none": the words of the command-line contract. */
const char *dane_security_to_string(enum dane_security s);
/* The first four of them; false for any other word. */
bool dane_security_from_string(const char *word, enum dane_security *ret);

enum dane_content {
	DANE_RECORDS,
	DANE_NODATA,
	DANE_NXDOMAIN,
};

/* The record types that are asked for; values from the IANA registry. */
enum dane_rrtype {
	DANE_RR_A = 1,
	DANE_RR_CNAME = 5,
	DANE_RR_MX = 15,
	DANE_RR_TXT = 16,
	DANE_RR_AAAA = 28,
	DANE_RR_DNSKEY = 48,
	DANE_RR_TLSA = 52,
};

/* "A", "MX" ...; NULL for a type that is not above. */
const char *dane_rrtype_to_string(uint16_t type);
/* 0 for a word that is none of them. */
uint16_t dane_rrtype_from_string(const char *word);

/*
 * One hop. Its security: that of the alias itself. Of a secure answer every hop is secure (R14). Of
 * an insecure one the answer alone does not tell which hop it was (R20): UNASKED, until the CNAME
 * question for the first hop is answered; behind an insecure hop all are insecure (R15).
 */
struct dane_alias {
	const char *owner;
	const char *target;
	enum dane_security security;
};

struct dane_answer {
	enum dane_security security;
	enum dane_content content;
	/* RDATA of the RRset asked for, names in it uncompressed, in the order of the answer. */
	const struct span *records;
	size_t n_records;
	/* The chain from the name asked to the owner of the records, first hop first. */
	const struct dane_alias *aliases;
	size_t n_aliases;
	uint32_t ttl;    /* seconds; the smallest on the chain */
	const char *why; /* why bogus or failed, in words; else NULL */
	/* Of FAILED: the caller's own time was over, or its memory. It says nothing of the domain's
	 * DNS. */
	bool late;
};

/*
 * A copy that lives in the arena. Records of an answer that has none by its security are dropped,
 * and "records" without a record becomes NODATA.
 */
const struct dane_answer *dane_answer_copy(struct arena *a, const struct dane_answer *in);

/* What a copy takes, in octets, about. */
size_t dane_answer_weight(const struct dane_answer *a);

/* The name that owns the records: the end of the alias chain, else `asked`. */
static inline const char *dane_answer_canonical(const struct dane_answer *a, const char *asked)
{
	return a->n_aliases > 0 ? a->aliases[a->n_aliases - 1].target : asked;
}
