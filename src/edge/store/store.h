/*
 * The durable queue. Everything here returns at once; the work is done by threads of the store, and
 * the answer comes as a callback from the event loop. Nothing waits for a disk in the loop.
 *
 * What always holds:
 * - An answer of success to a change comes after the change is on the disk (fsync). Changes that
 *   arrive while one fsync runs share the next.
 * - A change that is answered by an error may have happened all the same only where the header says
 *   so; a message is then stored once, however often it is tried again under its id.
 * - A message is there whole or not at all.
 * - Nothing assumes that the caller is the only one who works on the queue: work is claimed for a
 *   time, and what a claim did counts only while its fence is the latest.
 *
 * A message's recipients with the same next hop are one **parcel**: the unit that is due, claimed,
 * held and retried. `hop` is whatever text the caller groups by; the store only compares it.
 *
 *	receive:  b = store_body_begin(s, on_drained, session);
 *	          store_body_append(b, bytes);                // > 0: read no more until on_drained
 *	          store_enqueue(s, &message, b, on_stored, session);     // 0: say 250
 *	send:     store_hops(s, now, 0, 100, on_hops, x);    // where is work due, and when next
 *	          store_claim(s, hop, 20, now, lease, on_claimed, x);
 *	          store_body_open(s, parcel->key, on_body, x);
 *	          store_complete(s, &completion, NULL, NULL, on_recorded, x);
 *
 * Errors: -ENOSPC the disk is full (answer 4.3.1); -EIO it failed: nothing is written until the
 * store has opened and checked the queue again, which it tries by itself; -ESTALE the lease is
 * lost; -ENOENT no such message; -EMSGSIZE too large; -EBUSY too much is waiting.
 *
 * Each call with a callback returns a ticket, never 0; store_forget(ticket) drops the answer (not
 * the work). Times are Unix time, microseconds. Strings and lists that are passed are copied; those
 * handed to a callback live until it returns.
 */
#pragma once

#include "base/err.h"
#include "base/span.h"
#include "edge/io/loop.h"
#include "edge/store/id.h"

enum {
	STORE_RECIPIENTS_MAX = 5000,      /* of one message */
	STORE_BODY_MEMORY = 64 * 1024,    /* larger bodies go to a file: docs/decisions/0030 */
	STORE_BODY_PENDING = 256 * 1024,  /* append says "wait" above it */
	STORE_PENDING_MAX = 20000,        /* requests without an answer; then -EBUSY */
	STORE_CLAIM_MAX = 1000,           /* parcels of one claim, hops or parcels of one list */
	STORE_TEXT_MAX = 2048,            /* a status, reply or detail is cut there */
	STORE_RESERVE = 32 * 1024 * 1024, /* a good store_options.reserve */
};

struct store;
struct store_body;    /* being written */
struct store_reading; /* being read */

struct store_options {
	const char *directory; /* made if it is not there; 0700 */
	uint64_t body_max;     /* octets of one body; 0: no limit */
	/*
	 * Octets of the file system that new messages leave free (-ENOSPC), so that results can
	 * still be recorded on a full disk, which empties the queue. 0: none.
	 */
	uint64_t reserve;
};

typedef void store_done_fn(void *arg, int result);

/*
 * Opens the queue and takes the lock on it: -EBUSY with the reason when another process has it.
 * Blocks (this is the start of the program), seconds at most: it reads no message.
 */
int store_open(const struct store_options *o, struct io_loop *loop, struct store **ret,
	       struct err *e) _mustcheck_;
/*
 * Ends when all changes requested are done (or have failed); their callbacks are not called. Bodies
 * and readings must be freed before.
 */
struct store *store_close(struct store *s);
void store_forget(struct store *s, uint64_t ticket);

/* -------- a body on its way in */

/* `drained` (may be NULL) after an append that said "wait", once more may come, or on an error. */
struct store_body *store_body_begin(struct store *s, io_fn *drained, void *arg);
/*
 * 0; 1: taken, but wait for `drained`; negative: the body has failed, and every later append and
 * the enqueue give the same. -ENOBUFS: the caller did not wait.
 */
int store_body_append(struct store_body *b, struct span bytes) _mustcheck_;
/* For a body that is made here, and bounded by who makes it: body_max does not count. At the start.
 */
void store_body_no_limit(struct store_body *b);
uint64_t store_body_size(const struct store_body *b);
/* Gives it up. */
struct store_body *store_body_free(struct store_body *b);

/* -------- in */

/* RFC 3461 section 4.1. */
enum store_notify {
	STORE_NOTIFY_DEFAULT = 0, /* none given: failure, and delay if the sender of DSNs wishes */
	STORE_NOTIFY_NEVER = 1,
	STORE_NOTIFY_SUCCESS = 2,
	STORE_NOTIFY_FAILURE = 4,
	STORE_NOTIFY_DELAY = 8,
};

enum store_ret {
	STORE_RET_DEFAULT,
	STORE_RET_FULL,
	STORE_RET_HDRS,
};

enum store_flags {
	STORE_8BIT = 1,
	STORE_SMTPUTF8 = 2,
	STORE_NOTICE = 4, /* made here (a DSN) */
};

/* What is known of a recipient. */
enum store_state {
	STORE_OPEN,
	STORE_DELIVERED,
	STORE_FAILED,
};

struct store_recipient {
	const char *path;  /* RCPT's, without < and > */
	const char *hop;   /* in: its next hop (not NULL). Out: the parcel's */
	unsigned notify;   /* STORE_NOTIFY_ bits */
	const char *orcpt; /* as given, xtext; or NULL */
	/* Out only. */
	enum store_state state;
	bool delay_noticed;                  /* a delay DSN has been sent */
	const char *status, *reply, *detail; /* of the last attempt, or NULL */
};

struct store_message {
	struct store_id id;
	const char *from; /* reverse-path without < and >; "" for none */
	usec_t arrived;
	unsigned flags; /* STORE_8BIT ... */
	enum store_ret ret;
	const char *envid;  /* or NULL */
	const char *origin; /* facts of the arrival in the receiver's words (client, HELO, TLS), or
			       NULL */
	uint64_t size;      /* out: octets of the body */
	const struct store_recipient *recipients;
	size_t n_recipients;
};

/*
 * The message and its recipients, due at once (`m->arrived`). Takes the body over, also on failure.
 * 0: stored; 1: a message of that id was stored before, nothing was done. With an error the message
 * may be there after a crash (the commit was lost on its way back): try again under the same id.
 */
uint64_t store_enqueue(struct store *s, const struct store_message *m, struct store_body *b,
		       store_done_fn *fn, void *arg);

/* -------- out */

struct store_hop {
	const char *name;
	usec_t due; /* at or before the first of its parcels */
};

/*
 * Hops with a parcel that is due and not claimed, longest waiting first, and when the first of the
 * others will be (USEC_NEVER: none). `skip`: hops to pass over at the start of the order.
 */
typedef void store_hops_fn(void *arg, int result, const struct store_hop *hops, size_t n,
			   usec_t next_due);
uint64_t store_hops(struct store *s, usec_t now, size_t skip, size_t max, store_hops_fn *fn,
		    void *arg);

enum store_parcel_state {
	STORE_READY, /* waits until it is due, or is claimed */
	STORE_HELD,  /* until an administrator releases it */
};

struct store_parcel {
	uint64_t key;
	uint64_t fence; /* of the claim; 0: not claimed */
	enum store_parcel_state state;
	const char *hop;
	usec_t due;
	usec_t last; /* the end of the last attempt, 0: none */
	unsigned attempts;
	const char *evidence; /* of the last attempt's decision, or NULL */
	/* Its message; `recipients` are the parcel's, finished ones too. */
	struct store_message message;
};

typedef void store_parcels_fn(void *arg, int result, const struct store_parcel *parcels, size_t n);

/* Parcels of `hop` that are due, oldest due first, for this caller alone until now + lease. */
uint64_t store_claim(struct store *s, const char *hop, size_t max, usec_t now, usec_t lease,
		     store_parcels_fn *fn, void *arg);
/*
 * One parcel, held or not due as it may be, for an administrator: as store_claim. Nothing if it is
 * gone or under a lease.
 */
uint64_t store_take(struct store *s, uint64_t key, usec_t now, usec_t lease, store_parcels_fn *fn,
		    void *arg);
/* The lease runs until `until`. -ESTALE. */
uint64_t store_extend(struct store *s, uint64_t key, uint64_t fence, usec_t until,
		      store_done_fn *fn, void *arg);
/* Given back untried: no attempt is counted. -ESTALE. */
uint64_t store_release(struct store *s, uint64_t key, uint64_t fence, store_done_fn *fn, void *arg);

struct store_outcome {
	size_t recipient;                    /* index in the parcel's message.recipients */
	enum store_state state;              /* STORE_OPEN: deferred */
	bool delay_noticed;                  /* set it from now on */
	const char *status, *reply, *detail; /* or NULL */
};

struct store_completion {
	uint64_t key, fence;
	usec_t now;
	usec_t due;                           /* of the next attempt, if a recipient stays open */
	const struct store_outcome *outcomes; /* recipients that are not named stay as they are */
	size_t n_outcomes;
	const char *evidence; /* kept while the parcel lives, or NULL */
};

/*
 * What an attempt did. With `notice` (a DSN; `body` taken over) both are recorded together or not
 * at all (1: a message of the notice's id was there). The parcel goes when no recipient is open,
 * the message with its last parcel. -ESTALE: nothing was recorded, and another may have it. After
 * -ENOSPC nothing is recorded, after -EIO nothing or all of it; the lease stands: try again.
 */
uint64_t store_complete(struct store *s, const struct store_completion *c,
			const struct store_message *notice, struct store_body *body,
			store_done_fn *fn, void *arg);

/* -------- a body on its way out */

/* The reading is the callee's. -ENOENT: the message is gone. */
typedef void store_body_fn(void *arg, int result, struct store_reading *r);
uint64_t store_body_open(struct store *s, uint64_t key, store_body_fn *fn, void *arg);
uint64_t store_reading_size(const struct store_reading *r);
/* What is at hand from `offset`; empty: fetch it, or one runs. Valid until the next fetch. */
struct span store_reading_at(const struct store_reading *r, uint64_t offset);
/* Brings octets from `offset` to hand. One at a time. */
uint64_t store_body_read(struct store_reading *r, uint64_t offset, store_done_fn *fn, void *arg);
/* Also while a fetch runs: its answer is dropped. */
struct store_reading *store_reading_free(struct store_reading *r);

/* -------- administration */

/* All that is set must fit. */
struct store_filter {
	const char *id;        /* or NULL */
	const char *hop;       /* or NULL */
	const char *from;      /* the whole reverse-path, or NULL */
	const char *domain;    /* a recipient's, in A-labels, or NULL */
	usec_t arrived_before; /* 0: any */
	bool held_only;
};

enum store_action {
	STORE_HOLD,
	STORE_UNHOLD,
	STORE_RETRY,  /* due now */
	STORE_REMOVE, /* without a DSN; a claim that runs is lost */
};

/*
 * On all parcels that fit; the answer is how many. In slices, so that the queue goes on beside it:
 * after an error some may be done.
 */
uint64_t store_act(struct store *s, enum store_action a, const struct store_filter *f, usec_t now,
		   store_done_fn *fn, void *arg);
/*
 * In order of key (oldest first), those after the key `after` (0: from the start). The end is an
 * empty list: one of less than `max` may have been cut for its size.
 */
uint64_t store_list(struct store *s, const struct store_filter *f, uint64_t after, size_t max,
		    store_parcels_fn *fn, void *arg);

enum {
	STORE_AGES = 6, /* up to a minute, 10 minutes, an hour, a day, 5 days, older */
};

struct store_counts {
	uint64_t messages;
	uint64_t by_age[STORE_AGES]; /* messages */
	uint64_t due, waiting, held; /* parcels; claimed ones are due or waiting */
	uint64_t hops;
};

typedef void store_counts_fn(void *arg, int result, const struct store_counts *c);
uint64_t store_count(struct store *s, usec_t now, store_counts_fn *fn, void *arg);

/* What the writer has done since the start: for metrics. */
struct store_stats {
	uint64_t groups, changes; /* transactions (an fsync each), and changes in them */
	bool broken;              /* -EIO until it is reopened */
};
struct store_stats store_stats(const struct store *s);
