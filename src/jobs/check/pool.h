/*
 * Sessions shared by all domains of a run: each distinct question (address, port, name, kind of
 * key) is connected for once, however many domains ask, and its facts are kept: how far the
 * dialogue came, TLS version, cipher, chain. What the facts mean for a domain is judged for each
 * domain by itself (judge.h), since its records and names are its own.
 *
 * TLS is done as levels `dane` and `encrypt` demand (TLS 1.2, security level 1), without DANE: a
 * handshake does not depend on records. A server that fails it may still do for `may`; only then
 * the lax question is a session of its own.
 *
 * Bounded: finished facts are kept up to a number and up to a weight (a server decides how long its
 * chain is), the least recently used go first; sessions by places.h. One loop owns it.
 */
#pragma once

#include "base/arena.h"
#include "edge/tls/conn.h"
#include "jobs/check/places.h"
#include "jobs/probe/session.h"

enum {
	CHECK_POOL_KEPT = 5000,                /* facts */
	CHECK_POOL_WEIGHT = 100 * 1024 * 1024, /* octets of all of them, about */
	CHECK_POOL_NETWORK = 8,                /* sessions with one /24 or /48 at a time */
	CHECK_POOL_SESSIONS = 1000, /* at most, at a time; fewer where descriptors are few */
};

/* What is asked; one session answers it. Strings are copied. */
struct check_ask {
	const char *address;
	uint16_t port;
	const char *name; /* SNI: the TLSA base domain, else the host */
	enum tls_key_type key;
	bool lax; /* TLS as `may` takes it */
};

struct check_facts {
	struct probe_report report; /* without a verdict */
	struct tls_chain *chain;    /* NULL: none was seen */
};

struct check_pool_options {
	struct mail_domain helo;
	usec_t connect_timeout;
	usec_t timeout;                         /* of one session */
	size_t kept, weight, network, sessions; /* 0: the numbers above */
};

struct check_pool;
struct check_wait;

struct check_wait_ops {
	/* The session is under way: until here only others were waited for. May come from ask. */
	void (*begun)(void *arg);
	/* `facts` are borrowed for the call. Never from ask; the wait is gone. */
	void (*done)(void *arg, const struct check_facts *facts);
};

/* Borrows loop and context. */
struct check_pool *check_pool_new(struct io_loop *l, struct tls_context *tls,
				  const struct check_pool_options *o);
/* Sessions under way are cut. Nobody may wait any more. */
struct check_pool *check_pool_free(struct check_pool *p);

struct check_wait *check_pool_ask(struct check_pool *p, const struct check_ask *ask,
				  const struct check_wait_ops *ops, void *arg);
/* The session goes on: others may want its facts. */
struct check_wait *check_pool_cancel(struct check_wait *w);
/* The report so far of a session that is under way; false: it waits for its turn. */
bool check_pool_peek(const struct check_wait *w, struct check_facts *ret);

/*
 * A place for a session that is the caller's own, within the pool's limits and behind those that
 * wait already. Zero-initialised; lives until it is left. `begin` may come from within take_seat,
 * leave_seat and check_pool_cancel, of any seat.
 */
struct check_seat {
	struct check_place place;
	void (*begin)(struct check_seat *seat);
};
void check_pool_take_seat(struct check_pool *p, struct check_seat *seat, const char *address);
/* Once it has begun, or while it waits; fine if neither. */
void check_pool_leave_seat(struct check_pool *p, struct check_seat *seat);

/* Sessions begun since the beginning. */
size_t check_pool_count(const struct check_pool *p);

/* A copy whose texts live in the arena. */
struct probe_report check_report_copy(struct arena *a, const struct probe_report *r);
