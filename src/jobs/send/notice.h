/*
 * From what an attempt brought to the notice that its sender gets (RFC 3461 section 5.2, 6): is one
 * due, about whom, and the message itself, ready for store_complete, so that result and notice are
 * recorded together or not at all.
 *
 *	n = send_notice_new(&env, &attempt, on_notice, me);	// NULL: none is due
 *	if (n == NULL)
 *		store_complete(store, &completion, NULL, NULL, ...);
 *
 *	on_notice(me, result, message, body):			// once, from the loop, later
 *		if (result < 0) give the parcel back and try again later
 *		else store_complete(store, &completion, message, body, ...);
 *	... afterwards: n = send_notice_free(n);
 *
 * What is due, for each recipient of the attempt:
 *	failed		unless NOTIFY is given without FAILURE
 *	deferred	once, when the message is older than delay_notice, unless NOTIFY is given
 *			without DELAY
 *	delivered	only if NOTIFY has SUCCESS, and the next server does no DSN itself (5.2.2)
 * None for a null reverse-path, none about a notice, none for NOTIFY=NEVER. One notice an attempt:
 * it names all recipients to be told of, and no other (5.2.8).
 *
 * The original is sent back whole only on RET=FULL, about a failure, up to full_max octets; else
 * its header (docs/decisions/0035). Memory: the recipients that are told of; for
 * SEND_NOTICE_AT_ONCE besides a window of the original and a piece of the notice.
 */
#pragma once

#include "edge/store/store.h"

enum {
	SEND_NOTICE_HEADER_MAX = 64 * 1024, /* octets of a header; the rest is cut, at a line */
	SEND_NOTICE_AT_ONCE = 50,           /* of one gate, from send_notice_new to _free */
};

/*
 * Thousands of parcels may fail at the same moment. Those that share a gate are made so many at a
 * time; the others wait, without body or window. Zeroed it is empty.
 */
struct send_notice_gate {
	size_t n;                         /* being made, or made and not yet freed */
	struct send_notice *first, *last; /* waiting */
};

struct send_notice_settings {
	const char *hostname;   /* who reports; in A-labels */
	const char *postmaster; /* From: his path */
	usec_t delay_notice;    /* 0: none about delays */
	uint64_t full_max;      /* octets of a message that is sent back whole */
};

struct send_notice_env {
	struct store *store;
	struct send_notice_gate *gate; /* or NULL: at once; it outlives its notices */
	struct send_notice_settings settings;
};

/* What the store does not keep of an outcome. */
struct send_notice_fact {
	const char *remote; /* the host that answered, as a name or "[address]"; or NULL */
	bool dsn;           /* smtp_result.dsn: it was asked to send the notices of success */
	bool mailbox;       /* it delivered (LMTP), it did not relay */
};

struct send_notice_attempt {
	const struct store_parcel *parcel;
	/* As they go to store_complete: `delay_noticed` is set of those that are told. */
	struct store_outcome *outcomes;
	const struct send_notice_fact *facts; /* as many; or NULL: nothing is known */
	size_t n_outcomes;
	usec_t now;         /* Unix time, the end of the attempt */
	usec_t retry_until; /* of those deferred */
};

/*
 * `m` lives until the callback returns; `body` is the callee's. An error is the store's: -ENOSPC,
 * -EIO, -EBUSY; then both are NULL. A message that cannot be read any more is no error: the notice
 * says so.
 */
typedef void send_notice_fn(void *arg, int result, const struct store_message *m,
			    struct store_body *body);

struct send_notice;

/*
 * NULL: none is due, `fn` is not called. Copies what it needs. The same attempt of the same parcel
 * makes a notice of the same id, so that the store keeps one however often it is completed.
 */
struct send_notice *send_notice_new(const struct send_notice_env *env,
				    const struct send_notice_attempt *a, send_notice_fn *fn,
				    void *arg);
/* Gives it up, or after the callback has returned; not inside. NULL in, NULL out. */
struct send_notice *send_notice_free(struct send_notice *n);
