/*
 * The way out of the queue: takes what is due in the store, decides per next hop what RFC 7672
 * allows, delivers, and records what became of each recipient.
 *
 *	q = send_queue_new(&env, &settings);
 *	send_queue_wake(q);            // something is in the store: at the start, and after each
 *	                               // store_enqueue that was answered
 *	send_queue_set_settings(q, &new_settings);
 *	send_queue_stop(q, on_stopped, arg);   // then send_queue_free
 *
 * What always holds:
 *  - A parcel is in the hands of one attempt at a time, under a lease of the store; what became of
 *    it is recorded before it is let go. After a crash it is tried again: at most one more copy,
 *    where the final dot was out and the result was not yet on the disk.
 *  - Each hop has its own decision (A27, Q11), made anew when the smallest TTL of its answers is
 *    over, after seconds if it failed (Q6, Q12). What merely failed is tried until its lifetime
 *    ends (Q4, Q8): 5.7.32x for what DANE kept back, else 5.4.7.
 *  - Memory is bounded, however much waits in the store: SEND_QUEUE_ numbers below.
 *
 * The hop of a parcel is a domain (A-labels, lower case) or an address literal; its route is looked
 * up when it is delivered, so that new settings hold for what waits, too.
 */
#pragma once

#include "core/dane/decision.h"
#include "core/mail/domain.h"
#include "edge/dns/resolver.h"
#include "edge/io/loop.h"
#include "edge/store/store.h"
#include "edge/tls/conn.h"

enum {
	SEND_QUEUE_LANES = 2000,                      /* hops that are worked on at a time */
	SEND_QUEUE_RESTING = 2000,                    /* hops without work whose decision is kept */
	SEND_QUEUE_RESTING_WEIGHT = 32 * 1024 * 1024, /* octets of those decisions, about */
	/* Octets of all decisions, about, without what is within the share of each. */
	SEND_QUEUE_DECISIONS_MAX = 64 * 1024 * 1024,
	SEND_QUEUE_DECISION_SHARE = 32 * 1024,
	SEND_QUEUE_PARCELS = 5000,      /* in memory */
	SEND_QUEUE_RECIPIENTS = 100000, /* in memory, before nothing more is claimed */
	SEND_QUEUE_SESSIONS = 1000,     /* at a time, to all servers; fewer by `sessions` */
};

enum {
	SEND_QUEUE_NOTICE_FULL =
		1024 * 1024, /* octets of a message that a notice gives back whole */
};

struct send_queue;

struct send_queue_env {
	struct io_loop *loop;
	struct store *store;
	struct dns_resolver *resolver;
	struct tls_context *tls;
	usec_t lease; /* of what is in hand, renewed in time; 0: a quarter of an hour */
	/*
	 * For a client that waits for the fate of its message (docs/decisions/0070). Both or none.
	 * `refused`: every recipient of this parcel has failed at its first attempt. True: the
	 * client will hear it in place of a notice, which is not made then. May come twice.
	 * `attempted`: what became of an attempt is on the disk; `recorded` false: the parcel is
	 * another's, and nothing was recorded.
	 */
	bool (*refused)(void *arg, const struct store_parcel *p, const struct store_outcome *list,
			size_t n);
	void (*attempted)(void *arg, const struct store_parcel *p, bool recorded);
	void *arg;
};

enum send_route_kind {
	SEND_ROUTE_MX,      /* of `name`, or of the domain itself if that is NULL */
	SEND_ROUTE_HOST,    /* `name`, without MX lookup */
	SEND_ROUTE_ADDRESS, /* `name`: IPv4 or IPv6 text */
	SEND_ROUTE_UNIX,    /* `name`: the path of a Unix socket; LMTP */
};

enum send_route_tls {
	SEND_TLS_MODE,      /* as `mode` says */
	SEND_TLS_NONE,      /* in clear */
	SEND_TLS_MAY,       /* opportunistic, without DANE */
	SEND_TLS_ENCRYPT,   /* TLS or not at all; the certificate is not judged */
	SEND_TLS_DANE,      /* as RFC 7672 says */
	SEND_TLS_DANE_ONLY, /* nothing without DANE */
};

struct send_queue_route {
	enum send_route_kind kind;
	const char *name;
	uint16_t port; /* 0: 25, for LMTP 24 */
	bool lmtp;
	enum send_route_tls tls;
	enum dane_mode mode;
};

/* False: nothing is said of this domain: by MX, with the mode of the settings. */
typedef bool send_route_fn(void *arg, const char *domain, struct send_queue_route *ret);

struct send_queue_settings {
	struct mail_domain helo;
	const char *hostname; /* also the own name of M17 */
	enum dane_mode mode;
	bool half_dane;
	const usec_t *retry; /* at least one */
	size_t n_retry;
	usec_t lifetime, dane_lifetime;
	usec_t delay_notice;  /* 0: none */
	unsigned connections; /* at a time, to one hop */
	/* At a time, to one address, whatever hops share it; 0: as `connections`. */
	unsigned connections_per_address;
	unsigned sessions; /* at a time, to all; 0: SEND_QUEUE_SESSIONS */
	usec_t connect_timeout;
	const char *postmaster; /* who sends notices; NULL: postmaster@ the host name */
	/* Both live until they are replaced; what the function returns lives until the next call.
	 */
	send_route_fn *route;
	void *route_arg;
};

/* Copies the settings; borrows what is in `env`. */
struct send_queue *send_queue_new(const struct send_queue_env *env,
				  const struct send_queue_settings *s);
/* At any time but within one of its callbacks. What was under way is tried again by the next. */
struct send_queue *send_queue_free(struct send_queue *q);
/* Something may be due. Cheap; many calls are one look. */
void send_queue_wake(struct send_queue *q);
void send_queue_set_settings(struct send_queue *q, const struct send_queue_settings *s);
/*
 * Takes up nothing more; transactions under way may end, half a minute at most; the rest is given
 * back. Then `done`, once.
 */
void send_queue_stop(struct send_queue *q, io_fn *done, void *arg);

/* Since the start, but for the last group. */
struct send_queue_stats {
	uint64_t delivered, deferred, failed; /* recipients; deferred: each time */
	uint64_t by_level[3];                 /* delivered at dane, encrypt, may */
	uint64_t dane[5];                     /* deferred or failed by 7.321 - 7.325 */
	uint64_t attempts;                    /* parcels tried */
	uint64_t leases_lost;
	uint64_t decisions;
	uint64_t connections, reused;
	/* Now. */
	size_t lanes, parcels;
	unsigned sessions, idle_sessions;
};
struct send_queue_stats send_queue_stats(const struct send_queue *q);
