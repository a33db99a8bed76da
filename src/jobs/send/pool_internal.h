/* Inside the pool: pool.c (who waits, who is served) and pool_session.c (one session's life). */
#pragma once

#include "base/arena.h"
#include "jobs/send/pool.h"

enum send_session_state {
	SESSION_CONNECTING, /* until it is ready for mail */
	SESSION_IDLE,
	SESSION_BUSY,   /* has a want */
	SESSION_ENDING, /* QUIT is under way; no longer counted at its place */
	SESSION_OVER,   /* to be freed */
};

struct send_session {
	struct send_pool *pool;
	struct send_place *place;
	struct send_session *next, *previous;         /* of the place */
	struct send_session *next_all, *previous_all; /* of the pool */
	enum send_session_state state;
	struct arena arena; /* of target, host and key */
	struct dane_host host;
	struct probe_target target;
	struct send_key key;
	struct probe_session *probe;
	struct io_timer *after; /* what follows the end of `probe`, outside its callback */
	struct send_want *user; /* of BUSY */
	unsigned n_mails;
	bool was_used; /* when its present user got it */
	usec_t idle_since;
};

/* An address with a port: who waits for it, and its sessions. */
struct send_place {
	struct send_pool *pool;
	struct send_place *next; /* of the bucket */
	struct send_place *next_dirty;
	bool dirty;
	struct arena arena;
	const char *address;
	uint16_t port;
	bool lmtp;
	struct send_session *sessions;
	unsigned n_open; /* CONNECTING, IDLE and BUSY */
	unsigned n_connecting, n_idle;
	struct send_want *first, *last;
	size_t n_wants;
	struct send_pace pace;
	struct arena why_arena; /* of the refusal that closed it */
	struct send_refusal why;
};

enum {
	POOL_BUCKETS = 1024,
};

struct send_pool {
	struct io_loop *loop;
	struct tls_context *tls;
	struct send_pool_options options;
	struct send_place *buckets[POOL_BUCKETS];
	size_t n_places;
	usec_t marked_at;         /* when `work` was set */
	usec_t lag;               /* how late it comes: a moving average */
	struct send_place *dirty; /* have something to be looked at */
	struct io_timer *work, *tick;
	struct send_session *all;
	unsigned n_all;
	bool ticking;
	bool crowded; /* somebody waits for a session of another place to end */
	struct send_pool_stats stats;
};

/* pool.c */
void send_place_look(struct send_place *p);
void send_place_failed(struct send_place *p, struct send_session *s, const struct send_refusal *r);
/* Gives an idle session to the first who waits and may have it. */
bool send_place_serve(struct send_place *p, struct send_session *s);
void send_pool_ended(struct send_pool *p, struct send_place *place);

/* pool_session.c */
struct send_session *send_session_new(struct send_pool *p, struct send_place *place,
				      const struct send_want *w);
struct send_session *send_session_free(struct send_session *s);
bool send_session_serves(const struct send_session *s, const struct send_key *want);
void send_session_take(struct send_session *s, struct send_want *w);
/* Ends an idle one in order. */
void send_session_end(struct send_session *s);
