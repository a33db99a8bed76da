/*
 * Which TLSA sets a resolver may still hold, and until when: the ground of the timetable.
 *
 * An *owner* is a name with a TLSA RRset; a *place* is one owner at one authoritative server. An
 * *edition* is a set with a TTL that was published, or seen, at some time. It is held at a place
 * from the moment it may be published until a newer one is seen there, or the server is out of the
 * delegation, or its signatures have run out; and afterwards in caches for
 *
 *	propagation + max(2 x TTL, alias TTL + TTL) + margin
 *
 * (matrix B10, B11, B12; RFC 7671 section 8.1; RFC 8767 for the margin). What is not known is held
 * against us: a publish that nobody answered may be everywhere; equal sets that cannot be told
 * apart are the older one; a set that others published may be older than any other, and newer,
 * and so may one that comes back to a server that had left it;
 * before the first look there was an unknown set with the TTL that the policy assumes; sets that
 * are too many to keep become one unknown set that fits no key.
 *
 * What it rests on and cannot see: resolvers validate, and take no set whose signature has run out;
 * one signer per zone, whose signatures keep their length; a node behind a server's address lags by
 * the propagation bound at most; sets published by others are seen while they are there.
 *
 * Time is the machine's own (roll.h), in microseconds, never going back. Bounded: ROLL_*_MAX.
 */
#pragma once

#include "base/when.h"
#include "core/roll/set.h"

enum {
	ROLL_EDITIONS_MAX = 16,
	ROLL_PLACES_MAX = 32,
	ROLL_OWNERS_MAX = 8,
	ROLL_NAME_MAX = 128, /* octets with the NUL; longer names are cut, in reports only */
};
#define ROLL_NOT_THERE INT64_MIN /* an edition that was never at a place */

struct roll_policy {
	uint32_t ttl_s;         /* of what we publish */
	uint32_t ttl_max_s;     /* a set that others published is let stand up to this TTL */
	uint32_t propagation_s; /* from the first node of a server to its last */
	uint32_t margin_s;      /* more, for resolvers that serve stale answers: RFC 8767, days */
	uint32_t history_ttl_s; /* the longest TTL that may have been there before the first look */
};

struct roll_edition {
	uint32_t seq;   /* later ones are newer; the unknown past is 0 */
	uint32_t after; /* who shows it has left those with a lower number behind */
	bool used;      /* the slot */
	bool unknown;   /* fits no key; `set` is empty */
	uint32_t ttl_s; /* of an empty set: the negative TTL */
	struct roll_set set;
	/* The first sight of a newer one, or the last of itself after that; USEC_NEVER. */
	usec_t superseded[ROLL_OWNERS_MAX];
	usec_t off[ROLL_PLACES_MAX]; /* seen to be gone; USEC_NEVER; ROLL_NOT_THERE */
};

struct roll_place {
	bool used;
	bool failing; /* the last look was not answered */
	uint8_t owner;
	uint32_t seen_seq; /* edition at the last look that was answered; UINT32_MAX: none yet */
	usec_t gone_at;    /* nobody asks it after this; USEC_NEVER: in the delegation */
	char name[ROLL_NAME_MAX];
};

struct roll_owner {
	uint32_t alias_ttl_s; /* the largest sum that was ever seen on its path */
	usec_t validity;      /* the longest signature that was ever seen; 0: none */
};

struct roll_held {
	struct roll_policy policy;
	uint32_t last_seq;
	struct roll_edition editions[ROLL_EDITIONS_MAX];
	struct roll_place places[ROLL_PLACES_MAX];
	struct roll_owner owners[ROLL_OWNERS_MAX];
};

/* What one authoritative server answered, from itself, not through a cache. */
struct roll_sight {
	struct roll_set set; /* empty: a proven denial */
	uint32_t ttl_s;      /* empty set: min(SOA TTL, SOA minimum), RFC 2308 section 5 */
	uint32_t alias_ttl_s;
	int64_t signed_from, signed_until; /* of its RRSIG, Unix seconds; 0: not known */
	/*
	 * The number of a publish (roll_held_publish) that this server is known to have taken: it
	 * was asked for its SOA before it was asked for the set, and its serial is not older than
	 * that of the primary after the publish was acknowledged. 0: not known.
	 */
	uint32_t has_seq;
};

void roll_held_init(struct roll_held *h, const struct roll_policy *policy);

/* A place, its index in `ret`. -ENOSPC when all are in use, -EINVAL for an owner out of range. */
int roll_held_place(struct roll_held *h, usec_t now, uint8_t owner, const char *name, size_t *ret)
	_mustcheck_;
/* It left the delegation; resolvers may ask it until the TTL of the old NS set is over. */
void roll_held_leave(struct roll_held *h, usec_t now, size_t place, uint32_t ns_ttl_s);

void roll_held_look(struct roll_held *h, usec_t now, size_t place, const struct roll_sight *sight);
void roll_held_fail(struct roll_held *h, size_t place);

/*
 * The set will be published at every owner: from now on it may be seen. Its number; call it and
 * save before anything is sent. A try again of the same publish is no new one: for that it is not
 * called.
 */
uint32_t roll_held_publish(struct roll_held *h, usec_t now, const struct roll_set *set);

/*
 * The TTL to publish the set with: the policy's, or a second less for each equal set that may still
 * be about, so that they can be told apart. The empty set has none.
 */
uint32_t roll_held_ttl(const struct roll_held *h, const struct roll_set *set);

/* The edition that was published last; NULL only while no place is known. */
const struct roll_edition *roll_held_newest(const struct roll_held *h);
/* Resolvers may hold it up to and including this moment. USEC_NEVER: it may still be at a server.
 */
usec_t roll_held_until(const struct roll_held *h, const struct roll_edition *e);
/* Why that is USEC_NEVER: a place where it may still be. -1: none. */
int roll_held_where(const struct roll_held *h, const struct roll_edition *e);
/* Every place of the delegation was last seen with the newest edition. */
bool roll_held_is_everywhere(const struct roll_held *h);
/* A place that was not; -1: none. */
int roll_held_behind(const struct roll_held *h);
