/*
 * Reading back: what each authoritative server of a zone has of a change, and whether it is signed
 * so that a validator takes it. A change counts when every server shows PUBLISH_SEEN_SIGNED for
 * every RRset of it.
 *
 * The caller knows the servers (of the parent and of the apex, all addresses: jobs/check walks
 * there) and the zone's keys (its DNSKEY RRset, validated: edge/dns/resolver.h gives it). Servers
 * are asked over UDP, then TCP; only signatures are believed, so it does not matter who answers.
 *
 * A signature is good when it verifies with one of the keys, now, and is not made for a wildcard:
 * a record that a wildcard makes up is not the one published. That an RRset is gone is seen when a
 * signed denial proves it (or a signed CNAME is there, beside which nothing else can be).
 *
 * The callback never comes before publish_readback_start returns, comes once, and never after
 * publish_readback_cancel.
 */
#pragma once

#include "edge/dns/direct.h"
#include "edge/publish/publish.h"

enum {
	PUBLISH_SERVERS_MAX = 64, /* addresses; further ones are an error */
	PUBLISH_KEYS_MAX = 64,
	/* Octets of answers kept; what comes later is PUBLISH_SEEN_NO_ANSWER. */
	PUBLISH_READBACK_ROOM = 16 * 1024 * 1024,
};

enum publish_seen {
	PUBLISH_SEEN_SIGNED,    /* as the change says, validly signed */
	PUBLISH_SEEN_UNSIGNED,  /* as the change says; no signature, or a denial that opts out */
	PUBLISH_SEEN_BAD,       /* as the change says; no signature or denial that holds */
	PUBLISH_SEEN_OTHER,     /* other records, or none: the old state */
	PUBLISH_SEEN_NO_ANSWER, /* nothing, an error, or no authority for the zone */
};
/* "signed", "unsigned", "bad-signature", "other", "no-answer". */
const char *publish_seen_to_string(enum publish_seen s);

struct publish_sight {
	enum publish_seen seen;
	/*
	 * How long a resolver may keep this answer, signed or not: the largest TTL of the records,
	 * of a denial that of the SOA record and its minimum (RFC 2308 section 5); 0: not known.
	 */
	uint32_t ttl;
	const char *detail; /* a few words, fit to be shown */
};

struct publish_readback_config {
	const struct publish_change *change; /* copied */
	const char *const *servers;          /* addresses; copied */
	size_t n_servers;
	uint16_t port;           /* 0: 53 */
	const struct span *keys; /* RDATA of the zone's DNSKEY records; copied */
	size_t n_keys;
	usec_t timeout; /* of one question; 0: 3 s */
};

/* `sights`: n_servers for the first RRset of the change, then for the second ...; borrowed. */
typedef void publish_readback_fn(void *arg, const struct publish_sight *sights, size_t n);

struct publish_readback;

/* `direct` bounds how many are asked at a time. NULL and `e`: -EINVAL, beyond the limits above. */
struct publish_readback *publish_readback_start(struct dns_direct *direct,
						const struct publish_readback_config *config,
						publish_readback_fn *fn, void *arg, struct err *e);
void publish_readback_cancel(struct publish_readback *r);

/* One server's answer to the question for one RRset of the zone, at Unix time v->now. Pure. */
struct publish_zone_keys {
	const char *zone;
	const struct dns_rr *const *keys;
	size_t n_keys;
};
struct dns_verify;
void publish_readback_judge(struct arena *a, struct dns_verify *v,
			    const struct publish_zone_keys *keys, const struct publish_set *set,
			    const struct dns_reply *reply, struct publish_sight *ret);
