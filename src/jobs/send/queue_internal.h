/*
 * The inside of the queue: queue.c (life, looks into the store), queue_lane.c (one hop with work),
 * queue_parcel.c (one parcel's way through hosts and sessions), queue_settle.c (what became of it).
 */
#pragma once

#include "base/arena.h"
#include "jobs/probe/decide.h"
#include "jobs/send/envelope.h"
#include "jobs/send/notice.h"
#include "jobs/send/pool.h"
#include "jobs/send/queue.h"
#include "jobs/send/schedule.h"
#include "jobs/send/walk.h"

enum {
	QUEUE_BUCKETS = 4096,
	QUEUE_LEASE_S = 15 * 60,
	QUEUE_LOOK_S = 60, /* between two looks, at most */
	QUEUE_RETRY_S = 2, /* after an error of the store */
	QUEUE_DECIDE_S = 60,
	QUEUE_FAILURE_KEPT_S = 5,
	QUEUE_CLOSED_S = 600, /* a hop without a server that answers */
	QUEUE_DECISION_KEPT_S = 300,
	QUEUE_DECISION_WAIT_S = 10, /* longer: nobody waits for a session with it */
	QUEUE_CLAIM = 50,           /* parcels at a time, */
	QUEUE_CLAIM_FIRST = 5,
	QUEUE_EVIDENCE_MAX = 8192,
};

/* A decision, its route, and until when both hold. A lane has one; parcels on their way use it. */
struct send_choice {
	struct arena arena;
	struct send_queue_route route;
	struct dane_request request;
	struct probe_decide *decide;
	const struct dane_decision *decision; /* NULL: being made */
	usec_t expires;                       /* io_now's clock */
	unsigned users;                       /* parcels */
	bool fresh;                           /* nobody has used it */
	bool replaced;                        /* no lane has it: freed with its last user */
	bool outdated;                        /* made under earlier settings */
};

enum send_lane_state {
	LANE_RESTING, /* no work; its decision may be of use */
	LANE_ACTIVE,
};

struct send_lane {
	struct send_queue *queue;
	char *hop;
	enum send_lane_state state;
	struct send_lane *next_in_bucket;
	struct send_lane *next, *previous; /* of its state's list */
	struct send_lane *next_hungry;
	bool hungry;  /* waits for room */
	bool more;    /* the store may have more that is due */
	bool big;     /* the last claim was answered in full */
	size_t claim; /* parcels asked for, 0: none */
	uint64_t claim_ticket;
	bool feeding;
	struct send_choice *choice;
	struct io_timer *decided;
	struct send_pace pace;
	struct send_turns turns;
	struct send_parcel *first, *last; /* waiting */
	unsigned n_waiting, n_walking, n_settling;
	/* Why it is closed. */
	char *why_status, *why_detail;
};

struct send_lanes {
	struct send_lane *first, *last;
	size_t n;
};

enum send_parcel_state {
	PARCEL_WAITING, /* in its lane */
	PARCEL_SEEKING, /* a session */
	PARCEL_HOLDING, /* one */
	PARCEL_SETTLING,
};

/* How an attempt was made, for the log and the details. */
struct send_fact {
	struct send_fact *next;
	size_t attempt;
	const char *where, *remote; /* "host[address]:port"; the host alone */
	bool lmtp;
	enum dane_level level;
	const char *tls, *matched; /* or NULL */
	bool dsn;                  /* the server sends the notices */
};

struct send_parcel {
	struct send_queue *queue;
	struct send_lane *lane;
	enum send_parcel_state state;
	struct send_parcel *next, *previous; /* in the lane */
	struct send_parcel *next_in_bucket;
	struct send_parcel *next_all, *previous_all;
	struct arena arena;
	struct store_parcel stored; /* a copy */
	usec_t lease_until;         /* Unix time */
	uint64_t extending;         /* ticket, or 0 */
	uint64_t extended;          /* the fence under which */

	/* The recipients that were open when it was claimed. */
	struct mail_address from;
	struct mail_address *addresses;
	struct send_recipient *outs;
	struct send_envelope *envelopes;
	size_t *index; /* in stored.message.recipients */
	size_t n;

	struct send_choice *choice;
	struct send_walk walk;
	const struct dane_host *host;
	const char *address;
	struct send_want want;
	struct send_session *session;
	unsigned restarts; /* with this address: sessions that had died while idle */
	bool reached;      /* some server was ready for mail */
	struct send_fact *facts;

	struct store_reading *reading;
	uint64_t opening; /* ticket, or 0 */
	bool fetching;
	int body_error;
	uint64_t body_at;
	struct send_envelope **batch;
	struct mail_address *to;
	struct smtp_dsn *dsn;
	size_t n_batch;

	struct store_outcome *outcomes;
	struct store_completion completion;
	usec_t due_at_most;         /* Unix time; 0: as the schedule says */
	usec_t retry_until;         /* Unix time, of those deferred */
	struct send_notice *notice; /* being made, or made */
	bool with_notice;
	bool unrecorded;        /* the store has refused to record it */
	bool passed_on;         /* its client hears of the failure: no notice */
	struct io_timer *again; /* the record, after an error of the store */
	uint64_t recording;     /* ticket, or 0 */
};

struct send_queue {
	struct send_queue_env env;
	struct arena arena; /* of the settings */
	struct send_queue_settings settings;
	struct send_schedule schedule;
	struct send_pool *pool;
	struct send_notice_gate notices;
	struct send_lane *lanes[QUEUE_BUCKETS];
	struct send_lanes active, resting;
	size_t resting_weight;
	struct probe_room room; /* for decisions */
	struct send_lane *hungry, **hungry_last;
	struct send_parcel *parcels[QUEUE_BUCKETS];
	struct send_parcel *all;
	size_t n_parcels, n_recipients, n_claiming; /* the last: asked for */
	size_t n_unrecorded;                        /* nothing is begun while there are any */

	struct io_timer *look, *sweep, *limit;
	uint64_t looking; /* ticket, or 0 */
	size_t skip;
	bool look_again;
	size_t n_found; /* hops that this look found and nobody worked on */
	bool unseen;    /* the last look ended early: there was no room for all it found */
	usec_t looked_at, look_at; /* io_now's clock */

	bool stopping;
	io_fn *stopped;
	void *stopped_arg;
	struct send_queue_stats stats;
};

/* queue.c */
void send_queue_look_at(struct send_queue *q, usec_t when); /* io_now's clock */
void send_queue_due(struct send_queue *q, usec_t unix_due);
bool send_queue_has_room(const struct send_queue *q, size_t *ret_parcels);
void send_queue_check_stopped(struct send_queue *q);
uint32_t send_queue_dice(void);
/* What is sent while the store records nothing would be sent again after a crash: it waits. */
void send_queue_unrecorded(struct send_parcel *p);
void send_queue_recorded(struct send_parcel *p);

/* queue_lane.c */
struct send_lane *send_lane_get(struct send_queue *q, const char *hop, bool make);
/* `l` may be gone afterwards. */
void send_lane_feed(struct send_lane *l);
/* Off the list of those that wait. */
void send_lane_take_out(struct send_lane *l, struct send_parcel *p);
/* Back on it, in front. */
void send_lane_put_back(struct send_lane *l, struct send_parcel *p);
void send_lane_failed(struct send_lane *l, const char *status, const char *detail);
void send_lane_free(struct send_lane *l);
void send_lanes_feed_hungry(struct send_queue *q);
void send_choice_leave(struct send_choice *c);
void send_choice_replace(struct send_lane *l);

/* queue_parcel.c */
struct send_parcel *send_parcel_find(struct send_queue *q, uint64_t key);
struct send_parcel *send_parcel_new(struct send_lane *l, const struct store_parcel *stored,
				    usec_t lease_until);
void send_parcel_free(struct send_parcel *p);
void send_parcel_begin(struct send_parcel *p);
/* Gives it back to the store, untried. */
void send_parcel_release(struct send_parcel *p);
/* The queue is stopping: nothing more is begun. */
void send_parcel_stop(struct send_parcel *p, bool at_once);
void send_parcel_lost(struct send_parcel *p);
/* There are new settings: what has not begun to speak is decided anew. */
void send_parcel_outdate(struct send_parcel *p);

/* queue_settle.c */
/* All that are open get this fate. */
void send_parcel_settle_all(struct send_parcel *p, enum send_outcome outcome, const char *status,
			    const char *detail);
/* Records what the envelopes say. */
void send_parcel_settle(struct send_parcel *p);
/* Those of whom nothing is known stay as they are, and the parcel is due at once. */
void send_parcel_settle_part(struct send_parcel *p);
