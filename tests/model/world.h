/*
 * A world for the timetable of core/roll: zones with name servers that lag, addresses that serve
 * keys, and the worst resolver that honours TTLs.
 *
 * That resolver asks every node of every server at every moment, so also at the last one, and keeps
 * each set as long as any could: the promise is then checked for all resolvers at once, to the
 * microsecond. A second cache behind the first counts the largest TTL of the answer anew, or the
 * first one serves stale answers as long as the margin says.
 *
 * Nothing here uses what it judges: whether a set fits a key is computed again.
 */
#pragma once

#include "core/roll/roll.h"

enum {
	OWNERS = 2,
	SERVERS = 10, /* of all owners */
	NODES = 3,
	VERSIONS = 512, /* of one zone in one run */
	ADDRESSES = 3,
	BUNDLES = 128,
};

struct version {
	struct roll_set set;
	uint32_t ttl_s;
	uint32_t seq;   /* of the machine's publish; 0: somebody else's */
	bool acked;     /* the publisher knows that the primary has it */
	usec_t left_at; /* the signer made no more signatures of it */
	usec_t expiry;  /* the worst resolver holds it up to and including this; 0: never got it */
};

struct owner {
	struct version versions[VERSIONS];
	size_t n; /* the last is the zone's */
	uint32_t alias_ttl_s, negative_ttl_s;
	usec_t alias_since;
	struct version pending; /* an update on its way */
	usec_t pending_at;      /* USEC_NEVER: none */
};

struct node {
	size_t version;
	usec_t since, next; /* has the version; fetches the next */
};

struct server {
	bool used;
	uint8_t owner;
	size_t place, n_nodes;
	struct node nodes[NODES]; /* of the first server of an owner: [0] is the primary */
	bool primary;
	bool cut;         /* gets no transfers */
	bool unreachable; /* for us, not for resolvers */
	usec_t gone_at;
};

struct address {
	size_t bundle; /* index */
	size_t index;  /* the machine's */
};

struct world {
	uint64_t random;
	usec_t t;
	struct roll_policy policy;
	uint32_t validity_s; /* of signatures */
	bool second_cache;
	bool stale;   /* caches serve stale answers as long as the margin says: RFC 8767 */
	bool hidden;  /* no server of the delegation is the primary */
	bool serials; /* the caller can prove what a server has */
	size_t n_owners, n_addresses;
	struct owner owners[OWNERS];
	struct server servers[SERVERS];
	struct address addresses[ADDRESSES];
	struct roll_bundle bundles[BUNDLES];
	size_t n_bundles, staged;
	bool trace;
};

uint64_t world_random(struct world *w, uint64_t below);
bool world_chance(struct world *w, unsigned percent);
/* Often an end of the range. */
usec_t world_lag(struct world *w, uint32_t max_s);

/* Time goes on; what happens on the way happens. */
void world_advance(struct world *w, usec_t to);
/* The zone's set is changed, now. */
void world_apply(struct world *w, size_t owner, const struct version *v);
/* An update is sent to the primary of each owner: it may arrive, late or not at all. */
void world_update(struct world *w, uint32_t seq, const struct roll_set *set, uint32_t ttl_s);
/* The worst resolver asks everybody. */
void world_fetch(struct world *w);
/* What one node of the server says. False: with a signature that has run out. */
bool world_sight(struct world *w, const struct server *s, struct roll_sight *ret);
/* A server with the zone as it is now. NULL: too many. */
struct server *world_server(struct world *w, uint8_t owner);

/* A new bundle: a new key, or the key of `like` (an index; BUNDLES: none). Its index. */
size_t world_bundle(struct world *w, size_t like);
bool world_fits(const struct roll_set *s, const struct roll_bundle *b);

/* A set that the worst resolver holds and that does not fit what some address serves; or NULL. */
const struct version *world_broken(const struct world *w, size_t *ret_address);
/* The worst resolver holds an empty (a non-empty) set. */
bool world_holds(const struct world *w, bool empty);
