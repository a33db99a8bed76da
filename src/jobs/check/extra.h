/*
 * Questions beyond the decision: where a missing TLSA record might stand by mistake, whether
 * senders can report (RFC 8460) and whether MTA-STS is announced (RFC 8461). None of them decides
 * anything; one that fails or comes too late is as if it had not been asked.
 */
#pragma once

#include "core/dane/decision.h"
#include "edge/dns/resolver.h"

enum {
	CHECK_EXTRA_HOSTS_MAX = 20, /* hosts whose hints and reports are asked about */
};

enum check_extra_kind {
	CHECK_EXTRA_BARE,    /* TLSA at the MX host's own name */
	CHECK_EXTRA_HTTPS,   /* TLSA at _443._tcp.HOST */
	CHECK_EXTRA_DOMAIN,  /* TLSA at _25._tcp.DOMAIN */
	CHECK_EXTRA_IGNORED, /* TLSA at _25._tcp.HOST though its address is not signed */
	CHECK_EXTRA_TLSRPT,  /* TXT at _smtp._tls.NAME, the domain or a TLSA base domain */
	CHECK_EXTRA_STS,     /* TXT at _mta-sts.DOMAIN */
};

struct check_extra_answer {
	enum check_extra_kind kind;
	const struct dane_host *host; /* NULL: about the domain */
	const char *name;
	const struct dane_answer *answer; /* NULL: none yet */
};

struct check_extra;

/*
 * Asks all at once. `fn` once when all is answered, never from within check_extra_new; also when
 * there is nothing to ask. The decider must live as long and have its result.
 */
struct check_extra *check_extra_new(struct io_loop *l, struct dns_resolver *r,
				    const struct dane_decider *d, io_fn *fn, void *arg);
/* What is open stays unanswered; `fn` is not called any more. */
void check_extra_give_up(struct check_extra *x);
struct check_extra *check_extra_free(struct check_extra *x);

/* For answers that are known already: none asked, nothing called. Copies the answer. */
struct check_extra *check_extra_empty(void);
void check_extra_add(struct check_extra *x, const struct check_extra_answer *known);

size_t check_extra_count(const struct check_extra *x); /* NULL: 0 */
const struct check_extra_answer *check_extra_at(const struct check_extra *x, size_t i);
/* The answer of this kind about the host (or NULL: the domain), or NULL. */
const struct check_extra_answer *check_extra_find(const struct check_extra *x,
						  enum check_extra_kind kind,
						  const struct dane_host *host);
/* Whether one valid MTA-STS record is there, so that a policy is to be fetched. */
bool check_extra_announces_sts(const struct check_extra *x);
