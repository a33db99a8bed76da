/*
 * The inside of the client machine, shared by client.c (what comes in and goes out, the one place
 * that changes the state) and dialogue.c (what is said on entering a state, what is made of a
 * reply). Nobody else includes it.
 */
#pragma once

#include "core/smtp/client.h"
#include "core/smtp/tx.h"

enum {
	/* No further command or piece of body is put into the output beyond this. */
	OUTPUT_ENOUGH = 16 * 1024,
};

/*
 * Matrix S23, RFC 5321 section 4.5.3.2, in seconds, for a whole reply or block. EHLO and STARTTLS
 * have none there; the handshake's and QUIT's are ours: nothing is lost when they end early.
 */
enum {
	LIMIT_GREETING = 300,
	LIMIT_EHLO = 300,
	LIMIT_STARTTLS = 120,
	LIMIT_HANDSHAKE = 120,
	LIMIT_MAIL = 300,
	LIMIT_RCPT = 300,
	LIMIT_DATA = 120,
	LIMIT_BLOCK = 180,
	LIMIT_FINAL = 600,
	LIMIT_RSET = 120,
	LIMIT_QUIT = 10,
};

/*	  state      on entering      what the driver is asked for   stage, if no reply is awaited
 */
#define CLIENT_STATES(X)                                                                           \
	X(CONNECT, enter_nothing, IO, CONNECT)                                                     \
	X(GREETING, enter_greeting, IO, GREETING)                                                  \
	X(EHLO, enter_ehlo, IO, EHLO)                                                              \
	X(HELO, enter_helo, IO, EHLO)                                                              \
	X(STARTTLS, enter_starttls, IO, STARTTLS)                                                  \
	X(HANDSHAKE, enter_handshake, STARTTLS, HANDSHAKE)                                         \
	X(VERDICT, enter_nothing, VERDICT, VERDICT)                                                \
	X(READY, enter_nothing, MAIL, IDLE)                                                        \
	X(RSET, enter_rset, IO, RSET)                                                              \
	X(ENVELOPE, enter_envelope, IO, MAIL)                                                      \
	X(BODY, enter_body, BODY, BODY)                                                            \
	X(FINAL, enter_final, IO, FINAL)                                                           \
	X(EMPTY, enter_empty, IO, DATA)                                                            \
	X(QUIT, enter_quit, IO, QUIT)                                                              \
	X(CLOSED, enter_closed, CLOSE, IDLE)

enum state {
#define X(name, enter, want, stage) name,
	CLIENT_STATES(X)
#undef X
	STAY,
};

/*	  awaited   stage     seconds   what we make of the reply */
#define CLIENT_COMMANDS(X)                                                                         \
	X(GREETING, GREETING, LIMIT_GREETING, reply_greeting)                                      \
	X(EHLO, EHLO, LIMIT_EHLO, reply_ehlo)                                                      \
	X(HELO, EHLO, LIMIT_EHLO, reply_helo)                                                      \
	X(STARTTLS, STARTTLS, LIMIT_STARTTLS, smtp_dialogue_starttls)                              \
	X(RSET, RSET, LIMIT_RSET, reply_rset)                                                      \
	X(MAIL, MAIL, LIMIT_MAIL, reply_mail)                                                      \
	X(RCPT, RCPT, LIMIT_RCPT, reply_rcpt)                                                      \
	X(DATA, DATA, LIMIT_DATA, reply_data)                                                      \
	X(BODY, BODY, LIMIT_BLOCK, reply_body)                                                     \
	X(EMPTY, DATA, LIMIT_FINAL, reply_empty)                                                   \
	X(QUIT, QUIT, LIMIT_QUIT, reply_quit)

enum command {
#define X(name, stage, seconds, handler) COMMAND_##name,
	CLIENT_COMMANDS(X)
#undef X
};

/* A command that was put into the output and is not yet answered. */
struct awaited {
	enum command command;
	size_t recipient;
	uint64_t end; /* of the command, in octets of output since the beginning */
};

/* What the peer can be told. Only forward. */
enum channel {
	CLEAR,
	ENCRYPTED,
	ACCEPTED,
};

struct smtp_client {
	enum smtp_tls tls;
	struct arena arena; /* of the options */
	const char *helo;
	bool lmtp;

	enum state state;
	enum channel channel;
	enum smtp_stage stage; /* what was awaited when the present input came */
	usec_t now;
	usec_t deadline;

	struct buf out;
	uint64_t written; /* octets of output put in since the beginning */
	uint64_t sent;    /* and written by the driver */

	struct smtp_reply_reader reader;
	bool unasked; /* the reply being read began before its command was out */
	struct awaited queue[SMTP_PIPELINE_MAX];
	size_t head, n_queue;
	size_t recipient; /* of the reply being handled */

	struct smtp_caps caps;
	struct smtp_tx *tx;
	bool in_transaction; /* the server holds a transaction that RSET must end */

	struct smtp_report report;
	char end_text[240];
	char reply_text[SMTP_REPLY_TEXT_MAX + 1];
	char starttls_text[SMTP_REPLY_TEXT_MAX + 1];
};

struct state_row {
	const char *name;
	enum state (*enter)(struct smtp_client *);
	enum smtp_want want;
	enum smtp_stage stage;
};

struct command_row {
	enum smtp_stage stage;
	int seconds;
	enum state (*reply)(struct smtp_client *, const struct smtp_reply *);
};

extern const struct state_row smtp_states[STAY];
extern const struct command_row smtp_commands[COMMAND_QUIT + 1];

/* --- client.c, for the handlers --- */

/* The deadline of what is awaited: `seconds` from now. */
void smtp_machine_rearm(struct smtp_client *c, int seconds);
/* The next reply belongs to `command`. */
void smtp_machine_await(struct smtp_client *c, enum command command, size_t recipient);
/* Whether the TLS policy lets it be said now. */
bool smtp_machine_may_say(const struct smtp_client *c, enum command command);
/* Puts one command line into the output, and awaits its reply. */
void smtp_machine_say(struct smtp_client *c, enum command command, size_t recipient,
		      const char *text);
/* The session has ended: says why, once. Returns the next state, as a handler does. */
enum state smtp_machine_end(struct smtp_client *c, enum smtp_end why, const char *text);
/* The same, with a QUIT: where the server is still able to read it. */
enum state smtp_machine_end_with_quit(struct smtp_client *c, enum smtp_end why, const char *text);
enum state smtp_machine_unexpected(struct smtp_client *c);

/* --- dialogue.c --- */

enum state smtp_dialogue_tls_is_up(struct smtp_client *c);
enum state smtp_dialogue_starttls(struct smtp_client *c, const struct smtp_reply *r);
