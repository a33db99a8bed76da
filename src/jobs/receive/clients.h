/*
 * What each client has of us: connections, messages and failed logins of this minute. A client is
 * an IPv4 address or an IPv6 /64 (whoever has one address there has them all).
 *
 * Bounded: RECEIVE_CLIENTS_MAX of them; when there are more, those without a connection are
 * forgotten, and their counts begin anew. Finding one takes the same time whatever addresses a
 * peer chooses (the table is keyed by a secret). No clock: time is handed in.
 */
#pragma once

#include "base/when.h"
#include "jobs/receive/rules.h"

enum {
	RECEIVE_CLIENTS_MAX = 50000, /* without a connection */
};

struct receive_clients;

/* One client; it lives at least as long as one of its connections. */
struct receive_peer {
	struct receive_peer *next;
	uint64_t key[2];
	size_t connections;
	usec_t minute; /* when the counts below began */
	unsigned messages, auth_failures;
};

struct receive_clients *receive_clients_new(uint64_t secret);
struct receive_clients *receive_clients_free(struct receive_clients *c);
size_t receive_clients_count(const struct receive_clients *c);

/* One more connection. */
struct receive_peer *receive_clients_enter(struct receive_clients *c,
					   const struct receive_address *a, usec_t now);
/* One less; `p` may be gone after it. */
void receive_clients_leave(struct receive_clients *c, struct receive_peer *p);

/* The counts of this minute. */
void receive_peer_refresh(struct receive_peer *p, usec_t now);
/* Now and then: forgets those without connection and counts. */
void receive_clients_sweep(struct receive_clients *c, usec_t now);
