/* The states of the client machine: what is said on entering, what is made of the reply. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/smtp/machine.h"

/* --- the session ----------------------------------------------------------------------------- */

static enum state enter_nothing(struct smtp_client *c)
{
	(void)c;
	return STAY;
}

static enum state enter_greeting(struct smtp_client *c)
{
	smtp_machine_await(c, COMMAND_GREETING, 0);
	return STAY;
}

static enum state reply_greeting(struct smtp_client *c, const struct smtp_reply *r)
{
	if (r->code == 220)
		return EHLO;
	return smtp_reply_is_refusal(r)
		       ? smtp_machine_end_with_quit(c, SMTP_END_REPLY, "the greeting refuses")
		       : smtp_machine_unexpected(c);
}

static enum state enter_ehlo(struct smtp_client *c)
{
	char text[MAIL_DOMAIN_MAX + 16];

	c->caps = (struct smtp_caps){0};
	snprintf(text, sizeof(text), "%s %s", c->lmtp ? "LHLO" : "EHLO", c->helo);
	smtp_machine_say(c, COMMAND_EHLO, 0, text);
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
		return smtp_machine_end_with_quit(c, SMTP_END_STARTTLS_ABSENT,
						  "STARTTLS is not offered");
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
		return smtp_machine_end_with_quit(c, SMTP_END_REPLY, "EHLO is refused");
	if (smtp_reply_class(r) != 5)
		return smtp_machine_unexpected(c);
	if (c->channel == CLEAR)
		keep_starttls_reply(c);
	if (c->lmtp && c->tls != SMTP_TLS_REQUIRED) /* RFC 2033 section 4.1: there is no HELO */
		return smtp_machine_end_with_quit(c, SMTP_END_REPLY, "LHLO is refused");
	if (!c->lmtp && smtp_machine_may_say(c, COMMAND_HELO))
		return HELO;
	c->report.starttls = SMTP_STARTTLS_ABSENT; /* S2 */
	return smtp_machine_end_with_quit(c, SMTP_END_STARTTLS_ABSENT,
					  "EHLO is refused, so there is no STARTTLS");
}

static enum state enter_helo(struct smtp_client *c)
{
	char text[MAIL_DOMAIN_MAX + 16];

	snprintf(text, sizeof(text), "HELO %s", c->helo);
	smtp_machine_say(c, COMMAND_HELO, 0, text);
	return STAY;
}

static enum state reply_helo(struct smtp_client *c, const struct smtp_reply *r)
{
	if (smtp_reply_is_refusal(r))
		return smtp_machine_end_with_quit(c, SMTP_END_REPLY, "EHLO and HELO are refused");
	if (r->code != 250)
		return smtp_machine_unexpected(c);
	return c->channel == CLEAR ? after_clear_ehlo(c) : READY;
}

static enum state enter_starttls(struct smtp_client *c)
{
	c->report.starttls = SMTP_STARTTLS_OFFERED;
	smtp_machine_say(c, COMMAND_STARTTLS, 0, "STARTTLS");
	return STAY;
}

enum state smtp_dialogue_starttls(struct smtp_client *c, const struct smtp_reply *r)
{
	keep_starttls_reply(c);
	if (r->code == 220) {
		c->report.starttls = SMTP_STARTTLS_STARTED;
		return HANDSHAKE;
	}
	if (!smtp_reply_is_refusal(r)) /* S5 */
		return smtp_machine_end(c, SMTP_END_STARTTLS_GARBAGE,
					"the reply to STARTTLS is none of its own");
	c->report.starttls = SMTP_STARTTLS_REFUSED;
	if (c->tls == SMTP_TLS_REQUIRED) /* S3, S4 */
		return smtp_machine_end_with_quit(c, SMTP_END_STARTTLS_REFUSED,
						  "STARTTLS is refused");
	return READY;
}

static enum state enter_handshake(struct smtp_client *c)
{
	smtp_machine_rearm(c, LIMIT_HANDSHAKE);
	return STAY;
}

/* Everything learned in clear is forgotten here (RFC 3207 section 4.2; S11). */
enum state smtp_dialogue_tls_is_up(struct smtp_client *c)
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
	smtp_machine_say(c, COMMAND_QUIT, 0, "QUIT");
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
	smtp_machine_say(c, COMMAND_RSET, 0, "RSET");
	return STAY;
}

static enum state reply_rset(struct smtp_client *c, const struct smtp_reply *r)
{
	if (smtp_reply_class(r) != 2)
		return smtp_machine_unexpected(c);
	c->in_transaction = false;
	/* After a rehearsal there is nothing to go on with. */
	return c->tx->n_open > 0 ? ENVELOPE : READY;
}

/* The next command of the envelope; false when there is none. */
static bool say_next(struct smtp_client *c)
{
	char text[MAIL_PATH_MAX + MAIL_ENVID_MAX + MAIL_ORCPT_MAX + 128];
	struct smtp_tx *tx = c->tx;
	size_t i = tx->next_recipient;

	switch (tx->step) {
	case SMTP_TX_MAIL:
		snprintf(text, sizeof(text), "MAIL FROM:<%s>%s", tx->from, tx->parameters);
		smtp_machine_say(c, COMMAND_MAIL, 0, text);
		tx->step = SMTP_TX_RCPT;
		return true;
	case SMTP_TX_RCPT:
		while (i < tx->result.n_recipients && tx->recipients[i].fate != SMTP_FATE_OPEN)
			i++;
		tx->next_recipient = i + 1;
		if (i < tx->result.n_recipients) {
			snprintf(text, sizeof(text), "RCPT TO:<%s>%s", tx->recipients[i].path,
				 tx->rcpt_parameters == NULL ? "" : tx->rcpt_parameters[i]);
			smtp_machine_say(c, COMMAND_RCPT, i, text);
			return true;
		}
		tx->step = tx->chunking || tx->rehearsal ? SMTP_TX_SENT : SMTP_TX_DATA;
		return tx->step == SMTP_TX_DATA;
	case SMTP_TX_DATA:
		tx->step = SMTP_TX_SENT;
		/* Nobody is left to get it: do not begin (RFC 5321 section 4.1.1.4). */
		if (tx->n_open > 0)
			smtp_machine_say(c, COMMAND_DATA, 0, "DATA");
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
	if (c->tx->rehearsal) /* which leaves nothing behind at the server */
		return c->in_transaction ? RSET : READY;
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
	else if (smtp_reply_is_refusal(r))
		smtp_tx_settle_all(c->tx, SMTP_STAGE_MAIL, &c->report.reply);
	else
		return smtp_machine_unexpected(c);
	return say_envelope(c);
}

static enum state reply_rcpt(struct smtp_client *c, const struct smtp_reply *r)
{
	if (smtp_reply_class(r) == 2)
		smtp_tx_accept(c->tx, c->recipient, &c->report.reply);
	else if (smtp_reply_is_refusal(r))
		smtp_tx_settle(c->tx, c->recipient, SMTP_STAGE_RCPT, &c->report.reply);
	else
		return smtp_machine_unexpected(c);
	return say_envelope(c);
}

static enum state reply_data(struct smtp_client *c, const struct smtp_reply *r)
{
	if (smtp_reply_is_refusal(r)) {
		smtp_tx_settle_all(c->tx, SMTP_STAGE_DATA, &c->report.reply);
		return READY;
	}
	if (r->code != 354)
		return smtp_machine_unexpected(c);
	if (c->tx->n_accepted > 0)
		return BODY;
	/* MAIL refused, yet RCPT and DATA accepted: an empty message would reach somebody. */
	if (c->tx->n_stray > 0)
		return smtp_machine_end(c, SMTP_END_PROTOCOL,
					"MAIL is refused, RCPT and DATA are not");
	return EMPTY;
}

static enum state enter_body(struct smtp_client *c)
{
	char text[64];

	if (c->tx->chunking) {
		snprintf(text, sizeof(text), "BDAT %" PRIu64 " LAST", c->tx->size);
		smtp_machine_say(c, COMMAND_BODY, 0, text);
		/* Of an empty message the command is all: its reply may come at once. */
		c->tx->complete = c->tx->size == 0;
	} else {
		require(smtp_machine_may_say(c, COMMAND_BODY));
		smtp_machine_await(c, COMMAND_BODY, 0);
	}
	return STAY;
}

static enum state enter_final(struct smtp_client *c)
{
	smtp_machine_rearm(c, LIMIT_FINAL);
	return STAY;
}

/* RFC 2033 section 4.2: a reply for each recipient that was accepted, in their order. */
static enum state reply_for_one(struct smtp_client *c)
{
	struct smtp_tx *tx = c->tx;
	size_t i = 0;

	while (i < tx->result.n_recipients && tx->recipients[i].fate != SMTP_FATE_OPEN)
		i++;
	smtp_tx_settle(tx, i, SMTP_STAGE_FINAL, &c->report.reply);
	c->in_transaction = tx->n_open > 0;
	if (tx->n_open == 0)
		return READY;
	smtp_machine_await(c, COMMAND_BODY, 0);
	smtp_machine_rearm(c, LIMIT_FINAL);
	return STAY;
}

static enum state reply_body(struct smtp_client *c, const struct smtp_reply *r)
{
	enum smtp_stage stage = c->state == FINAL ? SMTP_STAGE_FINAL : SMTP_STAGE_BODY;

	if (!smtp_reply_is_refusal(r) && (stage != SMTP_STAGE_FINAL || smtp_reply_class(r) != 2))
		return smtp_machine_end(c, SMTP_END_PROTOCOL,
					"a reply in the middle of the message");
	if (c->lmtp && stage == SMTP_STAGE_FINAL)
		return reply_for_one(c);
	smtp_tx_settle_all(c->tx, stage, &c->report.reply);
	/* A refusal before the end: the rest of the message would be read as commands. */
	if (stage != SMTP_STAGE_FINAL)
		return smtp_machine_end(c, SMTP_END_REPLY,
					"refused before the message was complete");
	if (smtp_reply_class(r) == 2)
		c->in_transaction = false;
	return READY;
}

/* RFC 2920 section 3.1: 354 although no recipient was accepted is answered by an empty message. */
static enum state enter_empty(struct smtp_client *c)
{
	smtp_machine_say(c, COMMAND_EMPTY, 0, ".");
	return STAY;
}

static enum state reply_empty(struct smtp_client *c, const struct smtp_reply *r)
{
	(void)c;
	(void)r;
	return READY;
}

const struct state_row smtp_states[STAY] = {
#define X(name, enter, want, stage) [name] = {#name, enter, SMTP_WANT_##want, SMTP_STAGE_##stage},
	CLIENT_STATES(X)
#undef X
};

const struct command_row smtp_commands[COMMAND_QUIT + 1] = {
#define X(name, stage, seconds, handler) [COMMAND_##name] = {SMTP_STAGE_##stage, seconds, handler},
	CLIENT_COMMANDS(X)
#undef X
};
