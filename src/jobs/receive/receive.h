/*
 * Mail coming in: listeners, the sessions on them, and what they put into the queue.
 *
 *	r = receive_new(&env, rules);
 *	receive_listen(r, i, fd, &e);		// for each of rules->listeners
 *	...
 *	receive_set_rules(r, newer);		// reload
 *	receive_stop(r, on_stopped, x);		// then receive_free(r), then store_close()
 *
 * What always holds:
 *  - 250 after a message is said only after store_enqueue() said that it is on the disk. An error
 *    there is a 4xx, though the message may be there after a crash: the client tries again, and a
 *    second copy is better than none.
 *  - `verify: data` (docs/decisions/0070): the 250 waits, beyond that, for the first attempt to
 *    deliver, limits.verdict_timeout at most. A refusal is said only when the queue has
 *    recorded it.
 *  - A session keeps the rules under which it began. Old rules are handed back
 *    (`env.rules_unused`) when the last of their sessions has ended.
 *  - Memory: a session that waits for a command holds no buffer for input and no timer: one timer
 *    looks at all sessions once a second. An idle one costs 2 KiB in clear and 16.5 KiB in TLS
 *    (OpenSSL's), the kernel's socket aside: tests/system/test_receive.py measures it.
 *  - What a client can make grow is bounded: a line by the server machine; connections, messages
 *    and failed logins by `rules->limits`; unread input by RECEIVE_READ_MAX; all envelopes and
 *    bodies in memory together by `limits.memory`.
 *
 * One event loop owns it all. Log: edge/io/log.h, one line an event: "connect", "received",
 * "refused", "disconnect".
 */
#pragma once

#include "base/err.h"
#include "edge/dns/resolver.h"
#include "edge/io/loop.h"
#include "edge/store/store.h"
#include "edge/tls/context.h"
#include "jobs/receive/rules.h"

enum {
	RECEIVE_READ_MAX = 64 * 1024, /* octets read at a time, into one buffer for all sessions */
};

struct receive_env {
	struct io_loop *loop;
	struct store *store;
	const char *spool; /* directory whose file system must keep limits.free_space; or NULL */
	/*
	 * For recipients that the server behind is asked about: `tls` NULL: none is. Without a
	 * resolver only servers behind that are named by address can be asked (others: 451).
	 */
	struct tls_context *tls;
	struct dns_resolver *resolver;
	struct mail_domain helo;
	/* Something is in the queue. */
	void (*stored)(void *arg);
	/* Nobody uses this snapshot any more; it was handed in once. */
	void (*rules_unused)(void *arg, const struct receive_rules *rules);
	void *arg;
};

struct receive;

/* Copies `env`; `rules` live until they are handed back. */
struct receive *receive_new(const struct receive_env *env, const struct receive_rules *rules);
/*
 * Ends everything at once, without a word to the clients; what the store was given it keeps. After
 * it no callback comes, but `rules_unused` at the end of the turn for the rules that are left.
 * Resolver and TLS context may be freed then, the loop not yet.
 */
struct receive *receive_free(struct receive *r);

/*
 * Takes a socket over that listens, also when it fails. `listener`: index into the rules. One
 * listener may have several sockets.
 */
int receive_listen(struct receive *r, size_t listener, int fd, struct err *e) _mustcheck_;
/* A connection that stands: what the listener does with each. `peer`: its address, "" for none. */
void receive_accept(struct receive *r, size_t listener, int fd, const char *peer);

/*
 * New sessions get these. A socket goes on with the listener of its name; one whose name is gone
 * is closed, those that are new are the caller's to open.
 */
void receive_set_rules(struct receive *r, const struct receive_rules *rules);
bool receive_has_socket(const struct receive *r, const char *listener_name);

/*
 * The first attempt at message `id` ended in a refusal for all of its recipients, which is not
 * recorded yet. True: its client waits and will get `v` (copied) instead of a notice. From then on
 * no 250 is said for it.
 */
bool receive_refused(struct receive *r, const char *id, const struct smtp_server_verdict *v);
/*
 * What an attempt did is on the disk: a client that waits gets its answer. `recorded` false: it is
 * not, and what was refused is not.
 */
void receive_attempted(struct receive *r, const char *id, bool recorded);

/* It is there now, or (NULL) will be freed: what is asked of it is answered "not now". */
void receive_set_resolver(struct receive *r, struct dns_resolver *resolver);

/*
 * No new sessions. Those between messages get 421; a message under way may end, for
 * RECEIVE_STOP_SECONDS. Then `done`.
 */
enum {
	RECEIVE_STOP_SECONDS = 30,
};
void receive_stop(struct receive *r, io_fn *done, void *arg);

/* Why something was refused: for metrics and the log. */
enum receive_refusal {
	RECEIVE_REFUSED_CONNECTIONS, /* too many of all */
	RECEIVE_REFUSED_CLIENT,      /* too many of this client: connections, messages */
	RECEIVE_REFUSED_EARLY,       /* talked before the banner */
	RECEIVE_REFUSED_RELAY,       /* relaying denied, or not a client of the relay */
	RECEIVE_REFUSED_RECIPIENT,   /* no such recipient */
	RECEIVE_REFUSED_VERIFY,      /* not to be verified now */
	RECEIVE_REFUSED_AUTH,
	RECEIVE_REFUSED_LOOP,
	RECEIVE_REFUSED_FULL,    /* disk, store, memory */
	RECEIVE_REFUSED_MESSAGE, /* by the machine: size, line ends */
	RECEIVE_REFUSED_TIMEOUT,
	RECEIVE_REFUSED_PROTOCOL, /* smuggling, not SMTP, too many errors */
	RECEIVE_REFUSED_BEHIND,   /* the message, by the server behind */
	RECEIVE_REFUSALS,
};
const char *receive_refusal_to_string(enum receive_refusal r);

struct receive_stats {
	uint64_t sessions[2];        /* begun, by enum receive_kind */
	uint64_t open;               /* now */
	uint64_t messages[2];        /* stored */
	uint64_t recipients, octets; /* of them */
	uint64_t refused[RECEIVE_REFUSALS];
	uint64_t tls[2], tls_failed; /* handshakes: TLS 1.2, 1.3 */
	uint64_t auth;               /* logins */
};
struct receive_stats receive_stats(const struct receive *r);
