/*
 * The chain of trust of a name, looked at from outside: from the root's trust anchor down, zone by
 * zone, every authoritative server of each zone asked at every address, over UDP and TCP.
 *
 * It validates by its own arithmetic (edge/dns/verify.h, denial.h) so that it can say why, and asks
 * the validating resolver the same at the end: where the two differ, that is a finding.
 *
 * The verdict on a name is that of a validator which goes on to the next server when one's answer
 * does not hold: secure if any server's answer is proven, whatever the others say. What the others
 * say is a finding each.
 *
 * No recursion on what a peer sends; bounded are zones, servers, lookups, alias hops, questions,
 * memory and time (chain_data.h). What a limit stops is DANE_FAILED ("unknown"), never insecure.
 */
#pragma once

#include "edge/dns/direct.h"
#include "edge/dns/resolver.h"
#include "edge/dns/verify.h"
#include "jobs/check/finding.h"

/* A root server, from the hints. */
struct check_root {
	const char *name, *address;
};

struct check_chain_request {
	const char *name; /* core/dane/name.h */
	uint16_t type;    /* 0: the addresses, A and AAAA */
	bool mail;        /* MX, and of each host addresses and TLSA; `type` is then 0 */
	const struct check_root *roots;
	size_t n_roots;
	const struct dns_rr *anchors; /* DS and DNSKEY of the root */
	size_t n_anchors;
	usec_t timeout;  /* of one question to one server */
	usec_t deadline; /* of all, io_now's clock */
};

struct check_chain;

typedef void check_chain_fn(void *arg, struct check_chain *chain);

/* The request's strings and records stay the caller's. The callback comes once, from the loop. */
struct check_chain *check_chain_new(struct io_loop *l, struct dns_resolver *r,
				    const struct check_chain_request *request, check_chain_fn *fn,
				    void *arg);
/* Not from within the callback: io_defer. */
struct check_chain *check_chain_free(struct check_chain *c);

/* When it is over: the worst of the names looked up (bogus, failed, insecure, secure). */
enum dane_security check_chain_verdict(const struct check_chain *c);

/*
 * Puts what was found under `parent` (NULL: the root). `detail`: 0 zones and faults, 1 DS, keys
 * and servers, 2 every signature with its dates, 3 every packet.
 */
void check_chain_report(const struct check_chain *c, struct check_tree *t,
			struct check_finding *parent, unsigned detail);

/* {"name", "type", "mail", "verdict", "zones": [...], "names": [...]}; the caller's. */
struct js *check_chain_json(const struct check_chain *c);
