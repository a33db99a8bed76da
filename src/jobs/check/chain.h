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
 * Below a zone that is not the root only names in that zone and below it are looked at; MX hosts
 * elsewhere are named by check_chain_elsewhere.
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

/* Where a walk begins: at the root, or at a zone that the validating resolver knows (start.h). */
struct check_trust {
	const struct check_root *roots; /* its name servers */
	size_t n_roots;
	const struct dns_rr *anchors; /* its DS and DNSKEY */
	size_t n_anchors;
	const char *top, *above; /* the zone and what is above it; NULL: the root */
	bool top_unsigned;       /* there is provably no DS */
	bool above_unsigned;
	/* What an earlier walk found there (check_chain_top): its servers are not asked it again.
	 */
	bool known;
	enum dane_security security;
	const char *why; /* not secure; or NULL */
	const struct dns_rr *keys;
	size_t n_keys;
};

struct check_chain_request {
	const char *name;  /* core/dane/name.h */
	uint16_t type;     /* 0: the addresses, A and AAAA */
	bool mail;         /* MX, and of each host addresses and TLSA; `type` is then 0 */
	bool host;         /* addresses and TLSA of an MX host; so too */
	bool no_validator; /* is not asked: the caller knows what it says */
	bool zone;         /* the zone `top` itself and no name; so too */
	struct check_trust trust;
	struct dns_direct *direct; /* borrowed; NULL: one of its own */
	size_t questions, room;    /* at most, and octets; 0: the limits of chain_data.h */
	usec_t timeout;            /* of one question to one server */
	usec_t deadline;           /* of all, io_now's clock */
	int64_t now;               /* Unix seconds by which dates are judged; 0: the present */
	bool upkeep;               /* CDS, CDNSKEY and NSEC3PARAM of each zone too */
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

/* Why not all was looked at, in words; NULL: all was. */
const char *check_chain_stopped(const struct check_chain *c);
size_t check_chain_zones(const struct check_chain *c);
/* Addresses of name servers, those of a server of several zones once for each. */
size_t check_chain_addresses(const struct check_chain *c);

struct check_trust check_trust_copy(struct arena *a, const struct check_trust *t);
/* Where another walk may begin that need not ask the top's servers for it; in the arena. */
struct check_trust check_chain_top(const struct check_chain *c, struct arena *a);

/* MX hosts that are in no zone from `top` down; they were not looked at. Lives in the arena. */
size_t check_chain_elsewhere(const struct check_chain *c, struct arena *a, const char *const **ret);

/*
 * The first end, in Unix seconds, of a signature that the names looked up need, in the zones that
 * hold them; of several valid ones over the same records the last counts. 0: none. `record`:
 * "_25._tcp.mx.example.org TLSA".
 */
int64_t check_chain_signatures_end(const struct check_chain *c, const char **record);

/* What some of a zone's servers answer to the question for TLSA, by itself. */
struct check_chain_answer {
	const char *owner, *host; /* where an alias led, if one did; the MX host */
	const char *servers;      /* "ns1.example.org[192.0.2.1]" */
	const struct dane_answer *answer;
};
/* Servers that deny the name above a TLSA record. */
struct check_chain_hidden {
	const char *owner, *above; /* "_25._tcp.mx.example.org", "_tcp.mx.example.org" */
	const char *servers;
};
size_t check_chain_hidden(const struct check_chain *c, struct arena *a,
			  const struct check_chain_hidden **ret);
/* For every TLSA lookup, one for each different answer. Lives in the arena. */
size_t check_chain_tlsa(const struct check_chain *c, struct arena *a,
			const struct check_chain_answer **ret);

/*
 * Puts what was found under `parent` (NULL: the root). `detail`: 0 zones and faults, 1 DS, keys
 * and servers, 2 every signature with its dates, 3 every packet.
 */
void check_chain_report(const struct check_chain *c, struct check_tree *t,
			struct check_finding *parent, unsigned detail);

/* {"name", "type", "mail", "at", "verdict", "zones": [...], "names": [...]}; the caller's. */
struct js *check_chain_json(const struct check_chain *c);

/*
 * The picture (picture.h): one <svg> element, or with `standalone` a document. Whatever was not
 * drawn for its number is said in it.
 */
int check_chain_svg(const struct check_chain *c, bool standalone, struct buf *out) _mustcheck_;
