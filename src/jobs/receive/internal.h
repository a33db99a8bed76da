/*
 * Inside of the receiver; for jobs/receive/ only. receive.c has listeners, rules, the clock and the
 * end; open.c the beginning of a connection, session.c the rest of it; mail.c one transaction;
 * verify.c the questions to the servers behind.
 */
#pragma once

#include "core/mail/received.h"
#include "edge/io/log.h"
#include "edge/password.h"
#include "edge/tls/conn.h"
#include "jobs/receive/clients.h"
#include "jobs/receive/receive.h"

struct receive_verifier;

/* The rules and how many use them: sessions, and the receiver itself. */
struct receive_snapshot {
	const struct receive_rules *rules;
	size_t users;
};

enum receive_state {
	RECEIVE_PROXY,     /* the header of a load balancer is due */
	RECEIVE_HANDSHAKE, /* TLS from the first octet, or after STARTTLS */
	RECEIVE_GREETING,  /* the banner is held back */
	RECEIVE_OPEN,
	RECEIVE_LINGER, /* all is said; what the client still sends is read away */
	RECEIVE_OVER,   /* freed at the end of the turn */
};

struct receive_session {
	struct receive_session *next, **at; /* in receive.sessions */
	struct receive *receive;
	struct receive_snapshot *snapshot;
	const struct receive_listener *listener;
	enum receive_state state;
	int fd;
	struct io_watch *watch;
	struct smtp_server *smtp;
	struct tls_conn *tls;
	struct smtp_proxy *proxy; /* in state PROXY */
	/* Input that the machine did not take yet: a copy from the receiver's buffer. */
	uint8_t *held;
	size_t held_n, held_at;
	bool drained;  /* the last read left nothing in the socket */
	bool again;    /* a turn was cut short: another is deferred */
	bool blocked;  /* the store takes no more of the body now */
	bool progress; /* in this turn: a command or an output was completed */
	/* Who it is. */
	struct receive_client client;
	struct receive_peer *peer;
	enum receive_right right;
	char name[48]; /* the client's address as text; "" for a Unix socket */
	char *helo;
	bool esmtp;
	struct store_id id;
	/* Time (monotonic). */
	usec_t deadline;
	usec_t idle_since; /* a command is awaited */
	usec_t mail_due;   /* a message must have been taken by then */
	usec_t blocked_at;
	usec_t data_began;            /* this stretch of message text; 0: none */
	uint64_t data_read;           /* octets since then */
	enum smtp_server_phase phase; /* at the end of the last turn */
	/* What is awaited. */
	struct receive_mail *mail; /* the transaction; NULL: none */
	uint64_t password_ticket;
	char *login; /* the user whose password is being checked */
	uint64_t verify_ticket;
	struct receive_recipient verifying; /* strings in the transaction's arena */
	unsigned verifying_notify;
	const char *verifying_orcpt;
	unsigned messages; /* stored in this session */
};

struct receive {
	struct receive_env env;
	struct receive_snapshot *snapshot; /* for new sessions */
	struct receive_socket *sockets;
	struct receive_session *sessions;
	size_t n_sessions;
	struct receive_mail *storing; /* handed to the store, their clients not answered */
	struct receive_clients *clients;
	struct password_checker *passwords;
	struct receive_verifier *verifier;
	struct io_timer *clock; /* each second, while there are sessions */
	bool ticking;
	bool full;        /* too little space on the disk */
	size_t envelopes; /* octets held by transactions */
	usec_t stop_at;   /* receive_stop's limit; 0: not stopping */
	io_fn *stopped;
	void *stopped_arg;
	struct receive_stats stats;
	uint8_t random[512]; /* for ids */
	size_t random_at;
	uint8_t buffer[RECEIVE_READ_MAX]; /* what a session reads in its turn */
};

/* --- receive.c */
struct store_id receive_id(struct receive *r, usec_t unix_now);
void receive_count(struct receive *r, enum receive_refusal why);
void receive_snapshot_release(struct receive *r, struct receive_snapshot *s);
/* A session or a store request less: a stop may be complete. */
void receive_look_for_end(struct receive *r);

/* --- open.c */
void receive_session_new(struct receive *r, size_t listener, int fd, const char *peer);
/* A step of reading the PROXY header: the IO_ bits that it waits for, 0 with input or without. */
unsigned receive_open_proxy(struct receive_session *s, struct span *ret_in);

/* --- session.c */
/* `timeout` 0: the end of the turn sets the deadline. */
void receive_session_move(struct receive_session *s, enum receive_state next, usec_t timeout);
/* Into the receiver's buffer. 0: there is input, or there is none, or the session is over. */
unsigned receive_session_read(struct receive_session *s, struct span *in);
/* Keeps what the machine did not take. */
void receive_session_hold(struct receive_session *s, struct span in);
void receive_session_ready(void *arg, unsigned ready); /* of the watch */
/* Time has passed. */
void receive_session_tick(struct receive_session *s, usec_t now);
/* Ends it without a word; freed at the end of the turn. */
void receive_session_close(struct receive_session *s, const char *why);
/* No more messages: between two of them 421. */
void receive_session_finish(struct receive_session *s);
/* The verdict that the machine waits for; then the session goes on. */
void receive_session_answer(struct receive_session *s, const struct smtp_server_verdict *v);
/* Something else that it waited for has come. */
void receive_session_go(struct receive_session *s);
void receive_session_log(struct receive_session *s, enum receive_refusal why, const char *command,
			 const char *subject, const struct smtp_server_verdict *v);

/* --- mail.c: a transaction. What returns a verdict: `code` 0 accepts. */
struct smtp_server_verdict receive_mail_begin(struct receive_session *s,
					      const struct smtp_server_mail *m);
void receive_mail_rcpt(struct receive_session *s, const struct smtp_server_rcpt *r);
struct smtp_server_verdict receive_mail_body(struct receive_session *s);
void receive_mail_data(struct receive_session *s, struct span data);
void receive_mail_store(struct receive_session *s);
/* 250, if it waits for the server behind and that has said nothing until `now`. */
void receive_mail_wait_no_more(struct receive_session *s, usec_t now);
void receive_mail_drop(struct receive_session *s);
/* Everything that the store has not answered is forgotten; the store goes on with it. */
void receive_mail_forget_all(struct receive *r);
