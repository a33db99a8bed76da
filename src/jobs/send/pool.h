/*
 * Sessions with servers, for whoever wants to send: kept idle for a few seconds and used again,
 * also for other destinations; so many at a time to one address, and in all.
 *
 *	send_pool_seek(pool, &want);
 *	  -> ops.got:    `want` has a session: send_session_mail()
 *	  -> ops.body:   the next piece of the message, as probe_session_ops.body
 *	  -> ops.ready:  the transaction is over: another one, or send_session_give_back()
 *	  -> ops.ended:  the session is over; its results can be read in this call
 *	  -> ops.failed: there is no session to be had with this address
 *
 * What always holds (matrix A27, Q11, S20): a session serves a want only if the want's own decision
 * would accept this very session. Address, port, protocol, level, SNI and the usable TLSA records
 * are the same; and if a record of usage 2 authenticated the server, the name in its certificate is
 * one of the want's own reference identifiers. So what was merely opportunistic never serves a DANE
 * or an encrypted destination, nor the other way round. A session is never resumed (S21).
 */
#pragma once

#include "base/arena.h"
#include "jobs/probe/session.h"
#include "jobs/send/meaning.h"
#include "jobs/send/schedule.h"

enum {
	/* Who waits longer ends sessions that serve others and not him. */
	SEND_POOL_PATIENCE_MS = 500,
	/* An address that failed is tried again after a minute at the latest (Q12). */
	SEND_POOL_CLOSED_S = 60,
	SEND_POOL_IDLE_S = 5, /* a session waits so long for more */
	/*
	 * When a turn of the loop takes longer, the processor is what everybody waits for: more
	 * sessions would make nothing faster, and the limit of an address grows no more.
	 */
	SEND_POOL_LAG_US = 2000,
	SEND_POOL_MESSAGES = 1000,   /* in one session */
	SEND_POOL_PLACES_MAX = 4096, /* addresses remembered for having failed */
};

struct send_pool;
struct send_session;
struct send_want;

/* Why there is no session. Lives for the call. */
struct send_refusal {
	struct send_meaning meaning;
	bool connected; /* something answered at the address */
	bool earlier;   /* not tried now: it failed a moment ago */
};

/* None is called from within send_pool_seek or send_session_mail. */
struct send_want_ops {
	void (*got)(void *arg, struct send_session *s);
	void (*failed)(void *arg, const struct send_refusal *why);
	void (*ready)(void *arg);
	ssize_t (*body)(void *arg, void *p, size_t room, bool *ret_last);
	void (*ended)(void *arg);
};

/* What makes sessions alike. */
struct send_key {
	const char *address;
	uint16_t port;
	bool lmtp, clear;
	enum dane_level level;
	const char *sni;
	struct span records; /* level dane: the usable ones, sorted, each after its length */
	const char *const *identifiers;
	size_t n_identifiers;
};

/* The caller's; it and what it points to live until `got` or `failed`, or send_pool_cancel. */
struct send_want {
	const struct send_want_ops *ops;
	void *arg;
	const struct dane_host *host;
	const char *address; /* or the path of a Unix socket */
	uint16_t port;
	bool lmtp;
	enum dane_level level; /* what is demanded: DANE, ENCRYPT or MAY */
	bool clear;            /* with MAY: no STARTTLS at all */
	/* The pool's, while it waits. */
	struct send_want *next, *previous;
	struct send_place *place;
	usec_t since;
	struct send_key key;
	struct arena arena;
};

/* Strings are the want's; the rest lives in the arena. */
struct send_key send_key_of(struct arena *a, const struct send_want *w);
/*
 * Whether a session made for `have` serves `want`. `ta_name`: the name in the certificate that
 * matched, if usage 2 authenticated it; else NULL.
 */
bool send_key_serves(const struct send_key *have, const char *ta_name, const struct send_key *want);
/* Whether what one was refused the other would be refused, too. */
bool send_key_is_same(const struct send_key *a, const struct send_key *b);

struct send_pool_options {
	struct mail_domain helo; /* lives until it is replaced */
	usec_t connect_timeout;
	unsigned per_address; /* sessions at a time */
	unsigned total;
};

/* Borrows loop and context. */
struct send_pool *send_pool_new(struct io_loop *l, struct tls_context *tls,
				const struct send_pool_options *o);
/* No call comes afterwards. */
struct send_pool *send_pool_free(struct send_pool *p);
/* Idle sessions are ended. */
void send_pool_set_options(struct send_pool *p, const struct send_pool_options *o);

void send_pool_seek(struct send_pool *p, struct send_want *w);
/* Of one that has neither got nor failed. */
void send_pool_cancel(struct send_pool *p, struct send_want *w);

int send_session_mail(struct send_session *s, const struct smtp_mail *mail) _mustcheck_;
void send_session_body_ready(struct send_session *s);
/* Results and facts, until it is given back or the `ended` has returned. */
const struct probe_session *send_session_probe(const struct send_session *s);
const struct probe_target *send_session_target(const struct send_session *s);
/* It had carried a message before this want got it. */
bool send_session_was_used(const struct send_session *s);
/* From `got` or `ready`, or between: no transaction runs. No op is called any more. */
void send_session_give_back(struct send_session *s);
/* At any time but within `body`: it is cut. No op is called any more. */
void send_session_drop(struct send_session *s);

struct send_pool_stats {
	uint64_t opened; /* connections begun */
	uint64_t reused; /* wants served by a session that had served before */
	unsigned open, idle;
	size_t places; /* addresses known */
};
struct send_pool_stats send_pool_stats(const struct send_pool *p);
