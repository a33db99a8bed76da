#include "core/smtp/client.h"

#include <errno.h>
#include <stdio.h>

#include "core/smtp/machine.h"

/* The only place that changes the state. */
static void move_to(struct smtp_client *c, enum state next)
{
	while (next != STAY) {
		c->state = next;
		next = smtp_states[next].enter(c);
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
		return smtp_states[c->state].stage;
	return smtp_commands[head->command].stage;
}

/* Every entry begins with it. */
static void begin(struct smtp_client *c, usec_t now)
{
	c->now = now;
	c->stage = stage_now(c);
}

void smtp_machine_rearm(struct smtp_client *c, int seconds)
{
	c->deadline = usec_add(c->now, usec_seconds(seconds));
}

void smtp_machine_await(struct smtp_client *c, enum command command, size_t recipient)
{
	require(c->n_queue < SMTP_PIPELINE_MAX);
	c->queue[(c->head + c->n_queue) % SMTP_PIPELINE_MAX] =
		(struct awaited){.command = command, .recipient = recipient, .end = c->written};
	if (c->n_queue++ == 0)
		smtp_machine_rearm(c, smtp_commands[command].seconds);
}

static struct awaited answered(struct smtp_client *c)
{
	struct awaited a = c->queue[c->head];

	require(c->n_queue > 0);
	c->head = (c->head + 1) % SMTP_PIPELINE_MAX;
	c->deadline = USEC_NEVER;
	if (--c->n_queue > 0)
		smtp_machine_rearm(c, smtp_commands[head_of(c)->command].seconds);
	return a;
}

/* The promise of the policy "required" (RFC 7672 section 2.2, 3.2; matrix S1-S5, S10). */
bool smtp_machine_may_say(const struct smtp_client *c, enum command command)
{
	bool harmless =
		command == COMMAND_QUIT ||
		(c->channel == CLEAR && (command == COMMAND_EHLO || command == COMMAND_STARTTLS));

	return c->tls != SMTP_TLS_REQUIRED || c->channel == ACCEPTED || harmless;
}

/* Everything that goes out passes here or through smtp_client_body. */
void smtp_machine_say(struct smtp_client *c, enum command command, size_t recipient,
		      const char *text)
{
	size_t before = c->out.n;

	require(smtp_machine_may_say(c, command));
	require(buf_printf(&c->out, "%s\r\n", text) == 0);
	c->written += c->out.n - before;
	smtp_machine_await(c, command, recipient);
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
enum state smtp_machine_end(struct smtp_client *c, enum smtp_end why, const char *text)
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
enum state smtp_machine_end_with_quit(struct smtp_client *c, enum smtp_end why, const char *text)
{
	smtp_machine_end(c, why, text);
	return QUIT;
}

enum state smtp_machine_unexpected(struct smtp_client *c)
{
	return smtp_machine_end(c, SMTP_END_PROTOCOL, "a reply code that this command cannot have");
}

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
		return smtp_machine_end(c, SMTP_END_STARTTLS_INJECTED, why);
	return smtp_machine_end(c, starttls ? SMTP_END_STARTTLS_GARBAGE : SMTP_END_PROTOCOL, why);
}

static enum state on_reply(struct smtp_client *c, const struct smtp_reply *r)
{
	struct awaited a;

	note_reply(c, r);
	if (r->code == 421) { /* RFC 5321 section 3.8: at any time, then the server closes */
		if (c->state == STARTTLS && !c->unasked && c->tls == SMTP_TLS_REQUIRED) {
			smtp_dialogue_starttls(c, r);
			return CLOSED;
		}
		return smtp_machine_end(c, SMTP_END_REPLY, "the server closes the session");
	}
	if (c->unasked)
		return on_bad_input(c, "a reply that came before its command");
	a = answered(c);
	c->recipient = a.recipient;
	return smtp_commands[a.command].reply(c, r);
}

void smtp_client_feed(struct smtp_client *c, struct span in, usec_t now)
{
	while (in.n > 0 && c->state != CLOSED) {
		begin(c, now);
		if (c->state == CONNECT) {
			move_to(c, smtp_machine_end(c, SMTP_END_DRIVER,
						    "input before the connection"));
			return;
		}
		if (c->state == HANDSHAKE) { /* S6; RFC 3207 section 6 */
			move_to(c, smtp_machine_end(c, SMTP_END_STARTTLS_INJECTED,
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
	return c->state == asked
		       ? next
		       : smtp_machine_end(c, SMTP_END_DRIVER, "an event that nothing asked for");
}

static enum state on_loss(struct smtp_client *c, enum smtp_end why, const char *text)
{
	return smtp_machine_end(c, c->state == HANDSHAKE ? SMTP_END_HANDSHAKE : why, text);
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
		next = c->state == HANDSHAKE ? smtp_dialogue_tls_is_up(c)
					     : on_expected(c, HANDSHAKE, STAY);
		break;
	case SMTP_EVENT_TLS_FAILED:
		if (c->state == HANDSHAKE)
			next = smtp_machine_end(c, SMTP_END_HANDSHAKE, text);
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
			next = smtp_machine_end_with_quit(c, SMTP_END_CERTIFICATE, text);
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
	return smtp_states[c->state].want;
}

usec_t smtp_client_deadline(const struct smtp_client *c)
{
	return c->deadline;
}

/* Nothing in it can end a command early. */
static bool is_safe(const struct smtp_mail *mail)
{
	if (!mail_path_is_safe(mail->from->path))
		return false;
	if (mail->envid != NULL &&
	    (strlen(mail->envid) > MAIL_ENVID_MAX || !mail_xtext_is_valid(span_text(mail->envid))))
		return false;
	for (size_t i = 0; i < mail->n_to; i++) {
		const char *orcpt = mail->dsn == NULL ? NULL : mail->dsn[i].orcpt;

		if (mail_address_is_null(&mail->to[i]) || !mail_path_is_safe(mail->to[i].path))
			return false;
		if (orcpt != NULL && !mail_orcpt_is_valid(span_text(orcpt)))
			return false;
	}
	return true;
}

int smtp_client_mail(struct smtp_client *c, const struct smtp_mail *mail, usec_t now)
{
	if (c->state != READY)
		return -EBUSY;
	if (mail->n_to == 0)
		return -EINVAL;
	if (mail->n_to > SMTP_RECIPIENTS_MAX)
		return -E2BIG;
	if (!is_safe(mail))
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
			move_to(c, smtp_machine_end(c, SMTP_END_DRIVER,
						    "a piece of body that nothing asked for"));
		return;
	}
	require(smtp_machine_may_say(c, COMMAND_BODY));
	if (smtp_body_add(&c->tx->body, piece, &c->out) < 0 ||
	    (last && !smtp_body_is_complete(&c->tx->body))) {
		move_to(c, smtp_machine_end(c, SMTP_END_DRIVER,
					    "the message is not as it was announced"));
		return;
	}
	if (last && !c->tx->chunking)
		require(buf_add(&c->out, ".\r\n", 3) == 0);
	c->tx->complete = last;
	c->written += c->out.n - before;
	smtp_machine_rearm(c, LIMIT_BLOCK);
	/* An empty last piece under BDAT, when all before it is written. */
	if (last && c->out.n == 0)
		move_to(c, FINAL);
}

void smtp_client_quit(struct smtp_client *c, usec_t now)
{
	if (c->state != READY)
		return;
	begin(c, now);
	move_to(c, smtp_machine_end_with_quit(c, SMTP_END_QUIT, ""));
}

/* --- the rest -------------------------------------------------------------------------------- */

struct smtp_client *smtp_client_new(const struct smtp_client_options *o)
{
	struct smtp_client *c = xcalloc(1, sizeof(*c));

	c->tls = o->tls;
	c->lmtp = o->lmtp;
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
	return smtp_states[c->state].name;
}
