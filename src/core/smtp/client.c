#include "core/smtp/client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

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
	X(STARTTLS, STARTTLS, LIMIT_STARTTLS, reply_starttls)                                      \
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

static const struct state_row states[STAY];
static const struct command_row commands[COMMAND_QUIT + 1];

/* The only place that changes the state. */
static void move_to(struct smtp_client *c, enum state next)
{
	while (next != STAY) {
		c->state = next;
		next = states[next].enter(c);
	}
}

static const struct awaited *head_of(const struct smtp_client *c)
{
	return c->n_queue == 0 ? NULL : &c->queue[c->head];
}

static enum smtp_stage stage_now(const struct smtp_client *c)
{
	const struct awaited *head = head_of(c);

	if (head == NULL || c->state == FINAL)
		return states[c->state].stage;
	return commands[head->command].stage;
}

/* Every entry begins with it. */
static void begin(struct smtp_client *c, usec_t now)
{
	c->now = now;
	c->stage = stage_now(c);
}

static void rearm(struct smtp_client *c, int seconds)
{
	c->deadline = usec_add(c->now, usec_seconds(seconds));
}

static void await(struct smtp_client *c, enum command command, size_t recipient)
{
	require(c->n_queue < SMTP_PIPELINE_MAX);
	c->queue[(c->head + c->n_queue) % SMTP_PIPELINE_MAX] =
		(struct awaited){.command = command, .recipient = recipient, .end = c->written};
	if (c->n_queue++ == 0)
		rearm(c, commands[command].seconds);
}

static struct awaited answered(struct smtp_client *c)
{
	struct awaited a = c->queue[c->head];

	require(c->n_queue > 0);
	c->head = (c->head + 1) % SMTP_PIPELINE_MAX;
	c->deadline = USEC_NEVER;
	if (--c->n_queue > 0)
		rearm(c, commands[head_of(c)->command].seconds);
	return a;
}

/* The promise of the policy "required" (RFC 7672 section 2.2, 3.2; matrix S1-S5, S10). */
static bool may_say(const struct smtp_client *c, enum command command)
{
	bool harmless =
		command == COMMAND_QUIT ||
		(c->channel == CLEAR && (command == COMMAND_EHLO || command == COMMAND_STARTTLS));

	return c->tls != SMTP_TLS_REQUIRED || c->channel == ACCEPTED || harmless;
}

/* Everything that goes out passes here or through smtp_client_body. */
static void say(struct smtp_client *c, enum command command, size_t recipient, const char *text)
{
	size_t before = c->out.n;

	require(may_say(c, command));
	require(buf_printf(&c->out, "%s\r\n", text) == 0);
	c->written += c->out.n - before;
	await(c, command, recipient);
}

static bool is_loss(enum smtp_end why)
{
	return why == SMTP_END_EOF || why == SMTP_END_IO_ERROR || why == SMTP_END_TIMEOUT;
}

/* S5, S6, S8, S9, and the alert that shows only when the first reply inside TLS is awaited. */
static bool clear_may_help(const struct smtp_client *c, enum smtp_end why)
{
	if (c->tls != SMTP_TLS_OPPORTUNISTIC)
		return false;
	return why == SMTP_END_STARTTLS_GARBAGE || why == SMTP_END_STARTTLS_INJECTED ||
	       why == SMTP_END_HANDSHAKE || (is_loss(why) && c->stage == SMTP_STAGE_STARTTLS) ||
	       (is_loss(why) && c->stage == SMTP_STAGE_EHLO && c->channel == ENCRYPTED);
}

static struct smtp_status status_of_loss(enum smtp_end why)
{
	if (is_loss(why))
		return (struct smtp_status){4, 4, 2};
	return why == SMTP_END_PROTOCOL ? (struct smtp_status){4, 5, 0}
					: (struct smtp_status){4, 3, 0};
}

/* The session has ended: say why, once, and what that means for the transaction. */
static enum state end(struct smtp_client *c, enum smtp_end why, const char *text)
{
	if (c->report.end != SMTP_END_NOT_YET)
		return CLOSED;
	c->report.retry_in_clear = clear_may_help(c, why);
	c->report.end = why;
	c->report.stage = c->stage;
	snprintf(c->end_text, sizeof(c->end_text), "%s", text == NULL ? "" : text);
	if (c->tx == NULL || c->tx->n_open == 0)
		return CLOSED;
	if (why == SMTP_END_REPLY) {
		smtp_tx_settle_all(c->tx, c->stage, &c->report.reply);
		return CLOSED;
	}
	c->tx->result.maybe_delivered = c->state == FINAL;
	smtp_tx_lose(c->tx, c->stage, status_of_loss(why));
	return CLOSED;
}

/* The same, with a QUIT: where the server is still able to read it. */
static enum state end_with_quit(struct smtp_client *c, enum smtp_end why, const char *text)
{
	end(c, why, text);
	return QUIT;
}

static enum state unexpected(struct smtp_client *c)
{
	return end(c, SMTP_END_PROTOCOL, "a reply code that this command cannot have");
}

static bool is_refusal(const struct smtp_reply *r)
{
	return smtp_reply_class(r) == 4 || smtp_reply_class(r) == 5;
}

/* --- the session ----------------------------------------------------------------------------- */

static enum state enter_nothing(struct smtp_client *c)
{
	(void)c;
	return STAY;
}

static enum state enter_greeting(struct smtp_client *c)
{
	await(c, COMMAND_GREETING, 0);
	return STAY;
}

static enum state reply_greeting(struct smtp_client *c, const struct smtp_reply *r)
{
	if (r->code == 220)
		return EHLO;
	return is_refusal(r) ? end_with_quit(c, SMTP_END_REPLY, "the greeting refuses")
			     : unexpected(c);
}

static enum state enter_ehlo(struct smtp_client *c)
{
	char text[MAIL_DOMAIN_MAX + 16];

	c->caps = (struct smtp_caps){0};
	snprintf(text, sizeof(text), "EHLO %s", c->helo);
	say(c, COMMAND_EHLO, 0, text);
	return STAY;
}

/* Why there is, or will be, no TLS: kept, for a session may go on without it. */
static void keep_starttls_reply(struct smtp_client *c)
{
	memcpy(c->starttls_text, c->reply_text, sizeof(c->starttls_text));
	c->report.starttls_reply = c->report.reply;
	c->report.starttls_reply.text = c->starttls_text;
}

/* After an EHLO in clear: STARTTLS, or on without it, or no further. */
static enum state after_clear_ehlo(struct smtp_client *c)
{
	switch (c->tls) {
	case SMTP_TLS_NONE:
		return READY;
	case SMTP_TLS_OPPORTUNISTIC:
		if (c->caps.starttls)
			return STARTTLS;
		c->report.starttls = SMTP_STARTTLS_ABSENT;
		return READY;
	case SMTP_TLS_REQUIRED:
		if (c->caps.starttls)
			return STARTTLS;
		c->report.starttls = SMTP_STARTTLS_ABSENT;
		return end_with_quit(c, SMTP_END_STARTTLS_ABSENT, "STARTTLS is not offered");
	}
	require(false);
}

static enum state reply_ehlo(struct smtp_client *c, const struct smtp_reply *r)
{
	if (r->code == 250) {
		c->caps = smtp_caps_from_ehlo(r);
		/* Inside TLS the offer of STARTTLS means nothing (S12). */
		return c->channel == CLEAR ? after_clear_ehlo(c) : READY;
	}
	if (smtp_reply_class(r) == 4)
		return end_with_quit(c, SMTP_END_REPLY, "EHLO is refused");
	if (smtp_reply_class(r) != 5)
		return unexpected(c);
	if (c->channel == CLEAR)
		keep_starttls_reply(c);
	if (may_say(c, COMMAND_HELO))
		return HELO;
	c->report.starttls = SMTP_STARTTLS_ABSENT; /* S2 */
	return end_with_quit(c, SMTP_END_STARTTLS_ABSENT,
			     "EHLO is refused, so there is no STARTTLS");
}

static enum state enter_helo(struct smtp_client *c)
{
	char text[MAIL_DOMAIN_MAX + 16];

	snprintf(text, sizeof(text), "HELO %s", c->helo);
	say(c, COMMAND_HELO, 0, text);
	return STAY;
}

static enum state reply_helo(struct smtp_client *c, const struct smtp_reply *r)
{
	if (is_refusal(r))
		return end_with_quit(c, SMTP_END_REPLY, "EHLO and HELO are refused");
	if (r->code != 250)
		return unexpected(c);
	return c->channel == CLEAR ? after_clear_ehlo(c) : READY;
}

static enum state enter_starttls(struct smtp_client *c)
{
	c->report.starttls = SMTP_STARTTLS_OFFERED;
	say(c, COMMAND_STARTTLS, 0, "STARTTLS");
	return STAY;
}

static enum state reply_starttls(struct smtp_client *c, const struct smtp_reply *r)
{
	keep_starttls_reply(c);
	if (r->code == 220) {
		c->report.starttls = SMTP_STARTTLS_STARTED;
		return HANDSHAKE;
	}
	if (!is_refusal(r)) /* S5 */
		return end(c, SMTP_END_STARTTLS_GARBAGE,
			   "the reply to STARTTLS is none of its own");
	c->report.starttls = SMTP_STARTTLS_REFUSED;
	if (c->tls == SMTP_TLS_REQUIRED) /* S3, S4 */
		return end_with_quit(c, SMTP_END_STARTTLS_REFUSED, "STARTTLS is refused");
	return READY;
}

static enum state enter_handshake(struct smtp_client *c)
{
	rearm(c, LIMIT_HANDSHAKE);
	return STAY;
}

/* Everything learned in clear is forgotten here (RFC 3207 section 4.2; S11). */
static enum state tls_is_up(struct smtp_client *c)
{
	require(smtp_reply_reader_is_idle(&c->reader)); /* S6: HANDSHAKE takes no byte */
	c->caps = (struct smtp_caps){0};
	c->channel = ENCRYPTED;
	c->report.starttls = SMTP_STARTTLS_DONE;
	c->deadline = USEC_NEVER;
	return c->tls == SMTP_TLS_REQUIRED ? VERDICT : EHLO;
}

static enum state enter_quit(struct smtp_client *c)
{
	say(c, COMMAND_QUIT, 0, "QUIT");
	return STAY;
}

static enum state reply_quit(struct smtp_client *c, const struct smtp_reply *r)
{
	(void)c;
	(void)r;
	return CLOSED;
}

/* What was not written will not be. */
static enum state enter_closed(struct smtp_client *c)
{
	buf_clear(&c->out);
	c->n_queue = 0;
	c->deadline = USEC_NEVER;
	return STAY;
}

/* --- the transaction ------------------------------------------------------------------------- */

static enum state enter_rset(struct smtp_client *c)
{
	say(c, COMMAND_RSET, 0, "RSET");
	return STAY;
}

static enum state reply_rset(struct smtp_client *c, const struct smtp_reply *r)
{
	if (smtp_reply_class(r) != 2)
		return unexpected(c);
	c->in_transaction = false;
	return ENVELOPE;
}

/* The next command of the envelope; false when there is none. */
static bool say_next(struct smtp_client *c)
{
	char text[MAIL_PATH_MAX + 128];
	struct smtp_tx *tx = c->tx;
	size_t i = tx->next_recipient;

	switch (tx->step) {
	case SMTP_TX_MAIL:
		snprintf(text, sizeof(text), "MAIL FROM:<%s>%s", tx->from, tx->parameters);
		say(c, COMMAND_MAIL, 0, text);
		tx->step = SMTP_TX_RCPT;
		return true;
	case SMTP_TX_RCPT:
		while (i < tx->result.n_recipients && tx->recipients[i].fate != SMTP_FATE_OPEN)
			i++;
		tx->next_recipient = i + 1;
		if (i < tx->result.n_recipients) {
			snprintf(text, sizeof(text), "RCPT TO:<%s>", tx->recipients[i].path);
			say(c, COMMAND_RCPT, i, text);
			return true;
		}
		tx->step = tx->chunking ? SMTP_TX_SENT : SMTP_TX_DATA;
		return tx->step == SMTP_TX_DATA;
	case SMTP_TX_DATA:
		tx->step = SMTP_TX_SENT;
		/* Nobody is left to get it: do not begin (RFC 5321 section 4.1.1.4). */
		if (tx->n_open > 0)
			say(c, COMMAND_DATA, 0, "DATA");
		return false;
	case SMTP_TX_SENT:
		return false;
	}
	require(false);
}

/*
 * One command, or with PIPELINING a group of them, DATA last in it (RFC 2920 section 3.1). BDAT
 * waits for the replies: with no recipient left the whole message would go to nobody.
 */
static enum state say_envelope(struct smtp_client *c)
{
	size_t most = c->caps.pipelining ? SMTP_PIPELINE_MAX : 1;

	while (c->n_queue < most && c->out.n < OUTPUT_ENOUGH)
		if (!say_next(c))
			break;
	if (c->n_queue > 0)
		return STAY;
	/* All is answered and DATA was not said. */
	return c->tx->n_open > 0 ? BODY : READY;
}

static enum state enter_envelope(struct smtp_client *c)
{
	return say_envelope(c);
}

static enum state reply_mail(struct smtp_client *c, const struct smtp_reply *r)
{
	if (smtp_reply_class(r) == 2)
		c->in_transaction = true;
	else if (is_refusal(r))
		smtp_tx_settle_all(c->tx, SMTP_STAGE_MAIL, &c->report.reply);
	else
		return unexpected(c);
	return say_envelope(c);
}

static enum state reply_rcpt(struct smtp_client *c, const struct smtp_reply *r)
{
	if (smtp_reply_class(r) == 2)
		smtp_tx_accept(c->tx, c->recipient);
	else if (is_refusal(r))
		smtp_tx_settle(c->tx, c->recipient, SMTP_STAGE_RCPT, &c->report.reply);
	else
		return unexpected(c);
	return say_envelope(c);
}

static enum state reply_data(struct smtp_client *c, const struct smtp_reply *r)
{
	if (is_refusal(r)) {
		smtp_tx_settle_all(c->tx, SMTP_STAGE_DATA, &c->report.reply);
		return READY;
	}
	if (r->code != 354)
		return unexpected(c);
	if (c->tx->n_accepted > 0)
		return BODY;
	/* MAIL refused, yet RCPT and DATA accepted: an empty message would reach somebody. */
	if (c->tx->n_stray > 0)
		return end(c, SMTP_END_PROTOCOL, "MAIL is refused, RCPT and DATA are not");
	return EMPTY;
}

static enum state enter_body(struct smtp_client *c)
{
	char text[64];

	if (c->tx->chunking) {
		snprintf(text, sizeof(text), "BDAT %" PRIu64 " LAST", c->tx->size);
		say(c, COMMAND_BODY, 0, text);
	} else {
		require(may_say(c, COMMAND_BODY));
		await(c, COMMAND_BODY, 0);
	}
	return STAY;
}

static enum state enter_final(struct smtp_client *c)
{
	rearm(c, LIMIT_FINAL);
	return STAY;
}

static enum state reply_body(struct smtp_client *c, const struct smtp_reply *r)
{
	enum smtp_stage stage = c->state == FINAL ? SMTP_STAGE_FINAL : SMTP_STAGE_BODY;

	if (!is_refusal(r) && (stage != SMTP_STAGE_FINAL || smtp_reply_class(r) != 2))
		return end(c, SMTP_END_PROTOCOL, "a reply in the middle of the message");
	smtp_tx_settle_all(c->tx, stage, &c->report.reply);
	/* A refusal before the end: the rest of the message would be read as commands. */
	if (stage != SMTP_STAGE_FINAL)
		return end(c, SMTP_END_REPLY, "refused before the message was complete");
	if (smtp_reply_class(r) == 2)
		c->in_transaction = false;
	return READY;
}

/* RFC 2920 section 3.1: 354 although no recipient was accepted is answered by an empty message. */
static enum state enter_empty(struct smtp_client *c)
{
	say(c, COMMAND_EMPTY, 0, ".");
	return STAY;
}

static enum state reply_empty(struct smtp_client *c, const struct smtp_reply *r)
{
	(void)c;
	(void)r;
	return READY;
}

static const struct state_row states[STAY] = {
#define X(name, enter, want, stage) [name] = {#name, enter, SMTP_WANT_##want, SMTP_STAGE_##stage},
	CLIENT_STATES(X)
#undef X
};

static const struct command_row commands[COMMAND_QUIT + 1] = {
#define X(name, stage, seconds, handler) [COMMAND_##name] = {SMTP_STAGE_##stage, seconds, handler},
	CLIENT_COMMANDS(X)
#undef X
};

/* --- what comes in --------------------------------------------------------------------------- */

static void note_reply(struct smtp_client *c, const struct smtp_reply *r)
{
	if (c->report.end != SMTP_END_NOT_YET)
		return;
	smtp_reply_text(r, c->reply_text);
	c->report.reply =
		(struct smtp_answer){.code = r->code, .status = r->status, .text = c->reply_text};
}

/* Whether a reply that begins now can be the one that is awaited. */
static bool is_asked_for(const struct smtp_client *c)
{
	const struct awaited *head = head_of(c);

	return head != NULL && head->end <= c->sent;
}

static enum state on_bad_input(struct smtp_client *c, const char *why)
{
	const struct awaited *head = head_of(c);
	bool starttls = head != NULL && head->command == COMMAND_STARTTLS;

	if (starttls && c->unasked)
		return end(c, SMTP_END_STARTTLS_INJECTED, why);
	return end(c, starttls ? SMTP_END_STARTTLS_GARBAGE : SMTP_END_PROTOCOL, why);
}

static enum state on_reply(struct smtp_client *c, const struct smtp_reply *r)
{
	struct awaited a;

	if (c->state == QUIT)
		return CLOSED;
	note_reply(c, r);
	if (r->code == 421) { /* RFC 5321 section 3.8: at any time, then the server closes */
		if (c->state == STARTTLS && !c->unasked && c->tls == SMTP_TLS_REQUIRED) {
			reply_starttls(c, r);
			return CLOSED;
		}
		return end(c, SMTP_END_REPLY, "the server closes the session");
	}
	if (c->unasked)
		return on_bad_input(c, "a reply that came before its command");
	a = answered(c);
	c->recipient = a.recipient;
	return commands[a.command].reply(c, r);
}

void smtp_client_feed(struct smtp_client *c, struct span in, usec_t now)
{
	while (in.n > 0 && c->state != CLOSED) {
		begin(c, now);
		if (c->state == CONNECT) {
			move_to(c, end(c, SMTP_END_DRIVER, "input before the connection"));
			return;
		}
		if (c->state == HANDSHAKE) { /* S6; RFC 3207 section 6 */
			move_to(c, end(c, SMTP_END_STARTTLS_INJECTED,
				       "bytes in clear behind the reply to STARTTLS"));
			return;
		}
		if (smtp_reply_reader_is_idle(&c->reader))
			c->unasked = !is_asked_for(c);
		switch (smtp_reply_read(&c->reader, &in)) {
		case SMTP_REPLY_MORE:
			return;
		case SMTP_REPLY_BAD:
			move_to(c, on_bad_input(c, c->reader.why));
			return;
		case SMTP_REPLY_DONE:
			move_to(c, on_reply(c, &c->reader.reply));
			break;
		}
	}
}

/* Events that only the state that asked for them can take; CLOSED if it did not. */
static enum state on_expected(struct smtp_client *c, enum state asked, enum state next)
{
	return c->state == asked ? next
				 : end(c, SMTP_END_DRIVER, "an event that nothing asked for");
}

static enum state on_loss(struct smtp_client *c, enum smtp_end why, const char *text)
{
	return end(c, c->state == HANDSHAKE ? SMTP_END_HANDSHAKE : why, text);
}

void smtp_client_event(struct smtp_client *c, enum smtp_event event, const char *text, usec_t now)
{
	enum state next = CLOSED;

	begin(c, now);
	if (c->state == CLOSED)
		return;
	switch (event) {
	case SMTP_EVENT_CONNECTED:
		next = on_expected(c, CONNECT, GREETING);
		break;
	case SMTP_EVENT_TLS_UP:
		next = c->state == HANDSHAKE ? tls_is_up(c) : on_expected(c, HANDSHAKE, STAY);
		break;
	case SMTP_EVENT_TLS_FAILED:
		if (c->state == HANDSHAKE)
			next = end(c, SMTP_END_HANDSHAKE, text);
		else
			next = on_expected(c, HANDSHAKE, STAY);
		break;
	case SMTP_EVENT_ACCEPTED:
		next = on_expected(c, VERDICT, EHLO);
		if (next == EHLO)
			c->channel = ACCEPTED;
		break;
	case SMTP_EVENT_REFUSED:
		if (c->state == VERDICT) /* S10; RFC 3207 section 4.1 */
			next = end_with_quit(c, SMTP_END_CERTIFICATE, text);
		else
			next = on_expected(c, VERDICT, STAY);
		break;
	case SMTP_EVENT_EOF:
		next = on_loss(c, SMTP_END_EOF,
			       text == NULL ? "the server closed the connection" : text);
		break;
	case SMTP_EVENT_IO_ERROR:
		next = on_loss(c, SMTP_END_IO_ERROR, text);
		break;
	case SMTP_EVENT_TIMEOUT:
		next = on_loss(c, SMTP_END_TIMEOUT, text == NULL ? "no answer in time" : text);
		break;
	}
	move_to(c, next);
}

/* --- what goes out --------------------------------------------------------------------------- */

struct span smtp_client_output(const struct smtp_client *c)
{
	return buf_span(&c->out);
}

void smtp_client_sent(struct smtp_client *c, size_t n, usec_t now)
{
	begin(c, now);
	buf_drop(&c->out, n);
	c->sent += n;
	if (c->state == BODY && c->tx->complete && c->out.n == 0)
		move_to(c, FINAL);
}

enum smtp_want smtp_client_want(const struct smtp_client *c)
{
	if (c->state == BODY && (c->tx->complete || c->out.n >= OUTPUT_ENOUGH))
		return SMTP_WANT_IO;
	return states[c->state].want;
}

usec_t smtp_client_deadline(const struct smtp_client *c)
{
	return c->deadline;
}

int smtp_client_mail(struct smtp_client *c, const struct smtp_mail *mail, usec_t now)
{
	if (c->state != READY)
		return -EBUSY;
	if (mail->n_to == 0)
		return -EINVAL;
	if (mail->n_to > SMTP_RECIPIENTS_MAX)
		return -E2BIG;
	if (!mail_path_is_safe(mail->from->path))
		return -EINVAL;
	for (size_t i = 0; i < mail->n_to; i++)
		if (mail_address_is_null(&mail->to[i]) || !mail_path_is_safe(mail->to[i].path))
			return -EINVAL;
	begin(c, now);
	smtp_tx_free(c->tx);
	c->tx = smtp_tx_new(mail, &c->caps);
	if (c->tx->n_open > 0)
		move_to(c, c->in_transaction ? RSET : ENVELOPE);
	return 0;
}

void smtp_client_body(struct smtp_client *c, struct span piece, bool last, usec_t now)
{
	size_t before = c->out.n;

	begin(c, now);
	if (smtp_client_want(c) != SMTP_WANT_BODY || piece.n > SMTP_BODY_PIECE_MAX) {
		if (c->state != CLOSED)
			move_to(c,
				end(c, SMTP_END_DRIVER, "a piece of body that nothing asked for"));
		return;
	}
	require(may_say(c, COMMAND_BODY));
	if (smtp_body_add(&c->tx->body, piece, &c->out) < 0 ||
	    (last && !smtp_body_is_complete(&c->tx->body))) {
		move_to(c, end(c, SMTP_END_DRIVER, "the message is not as it was announced"));
		return;
	}
	if (last && !c->tx->chunking)
		require(buf_add(&c->out, ".\r\n", 3) == 0);
	c->tx->complete = last;
	c->written += c->out.n - before;
	rearm(c, LIMIT_BLOCK);
	/* An empty message under BDAT whose command is written already. */
	if (last && c->out.n == 0)
		move_to(c, FINAL);
}

void smtp_client_quit(struct smtp_client *c, usec_t now)
{
	if (c->state != READY)
		return;
	begin(c, now);
	move_to(c, end_with_quit(c, SMTP_END_QUIT, ""));
}

/* --- the rest -------------------------------------------------------------------------------- */

struct smtp_client *smtp_client_new(const struct smtp_client_options *o)
{
	struct smtp_client *c = xcalloc(1, sizeof(*c));

	c->tls = o->tls;
	c->helo = arena_strdup(&c->arena, o->helo.text);
	require(strlen(c->helo) <= MAIL_DOMAIN_MAX);
	c->deadline = USEC_NEVER;
	c->report.reply.text = c->report.starttls_reply.text = "";
	buf_init(&c->out, SMTP_OUTPUT_MAX);
	smtp_reply_reader_init(&c->reader);
	return c;
}

void smtp_client_free(struct smtp_client *c)
{
	if (c == NULL)
		return;
	smtp_tx_free(c->tx);
	smtp_reply_reader_done(&c->reader);
	buf_done(&c->out);
	arena_done(&c->arena);
	free(c);
}

const struct smtp_result *smtp_client_result(const struct smtp_client *c)
{
	return c->tx == NULL ? NULL : &c->tx->result;
}

struct smtp_report smtp_client_report(const struct smtp_client *c)
{
	struct smtp_report r = c->report;

	if (r.end == SMTP_END_NOT_YET)
		r.stage = stage_now(c);
	r.text = c->end_text;
	return r;
}

const struct smtp_caps *smtp_client_caps(const struct smtp_client *c)
{
	return &c->caps;
}

bool smtp_client_tls_active(const struct smtp_client *c)
{
	return c->channel != CLEAR;
}

const char *smtp_end_to_string(enum smtp_end e)
{
	static const char *const names[] = {
		[SMTP_END_NOT_YET] = "not ended",
		[SMTP_END_QUIT] = "quit",
		[SMTP_END_REPLY] = "ended by a reply",
		[SMTP_END_STARTTLS_ABSENT] = "STARTTLS not offered",
		[SMTP_END_STARTTLS_REFUSED] = "STARTTLS refused",
		[SMTP_END_STARTTLS_GARBAGE] = "STARTTLS answered with garbage",
		[SMTP_END_STARTTLS_INJECTED] = "bytes injected before the TLS handshake",
		[SMTP_END_HANDSHAKE] = "TLS handshake failed",
		[SMTP_END_CERTIFICATE] = "certificate refused",
		[SMTP_END_PROTOCOL] = "protocol error",
		[SMTP_END_EOF] = "connection closed",
		[SMTP_END_IO_ERROR] = "connection failed",
		[SMTP_END_TIMEOUT] = "timed out",
		[SMTP_END_DRIVER] = "internal error",
	};

	require((size_t)e < ARRAY_SIZE(names));
	return names[e];
}

const char *smtp_client_state(const struct smtp_client *c)
{
	return states[c->state].name;
}
