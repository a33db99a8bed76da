#include "core/smtp/server.h"

#include <stdio.h>

#include "core/smtp/server_machine.h"

enum {
	OUTPUT_KEPT = 1024, /* octets of room that an idle session keeps: a reply to EHLO fits */
};

/* The only place that changes the state. */
void smtp_server_move(struct smtp_server *s, enum smtp_server_state next)
{
	s->state = next;
}

void smtp_server_say(struct smtp_server *s, unsigned code, const char *status, const char *text)
{
	char line[SMTP_SERVER_REPLY_LINE_MAX - 1]; /* NUL stands where CR will */
	int n = snprintf(line, sizeof(line), "%u %s%s%s", code, status, status[0] ? " " : "", text);

	require(n > 0);
	for (char *p = line; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	require(buf_printf(&s->out, "%s\r\n", line) == 0);
}

void smtp_server_reject(struct smtp_server *s, unsigned code, const char *status, const char *text)
{
	if (++s->n_errors > s->options.errors_max)
		smtp_server_close(s, SMTP_SERVER_END_ERRORS, 421, "4.7.0", "too many errors");
	else
		smtp_server_say(s, code, status, text);
}

void smtp_server_close(struct smtp_server *s, enum smtp_server_end why, unsigned code,
		       const char *status, const char *text)
{
	if (s->state == SERVER_CLOSED)
		return;
	if (code != 0)
		smtp_server_say(s, code, status, text);
	s->end = why;
	s->awaited = SMTP_SERVER_NEEDS_INPUT;
	smtp_server_drop_tx(s);
	smtp_server_wipe(s);
	smtp_server_move(s, SERVER_CLOSED);
}

void smtp_server_tell(struct smtp_server *s, enum smtp_server_kind kind)
{
	require(s->event.kind == SMTP_SERVER_NEEDS_INPUT);
	s->event.kind = kind;
}

void smtp_server_ask(struct smtp_server *s, enum smtp_server_kind kind)
{
	smtp_server_tell(s, kind);
	s->awaited = kind;
}

void smtp_server_drop_tx(struct smtp_server *s)
{
	free(TAKE(s->tx));
}

void smtp_server_wipe(struct smtp_server *s)
{
	if (s->secret.p != NULL)
		explicit_bzero(s->secret.p, s->secret.room);
	buf_done(&s->secret);
	s->auth = (struct smtp_server_auth){0};
}

/* --- verdicts -------------------------------------------------------------------------------- */

static struct smtp_server_refusal refusal_of(const struct smtp_server_verdict *v)
{
	struct smtp_server_refusal r = {.code = v->code, .status = v->status};

	require(v->code >= 400 && v->code <= 599);
	if (r.status.class != v->code / 100)
		r.status = (struct smtp_status){(uint16_t)(v->code / 100), 0, 0};
	snprintf(r.text, sizeof(r.text), "%s", v->text == NULL ? "refused" : v->text);
	return r;
}

/* A refusal for now is not the client's error. */
void smtp_server_say_refusal(struct smtp_server *s, const struct smtp_server_refusal *r)
{
	char status[24];

	snprintf(status, sizeof(status), "%u.%u.%u", r->status.class, r->status.subject,
		 r->status.detail);
	if (r->code == 421)
		smtp_server_close(s, SMTP_SERVER_END_CALLER, 421, status, r->text);
	else if (r->code >= 500)
		smtp_server_reject(s, r->code, status, r->text);
	else
		smtp_server_say(s, r->code, status, r->text);
}

static bool is_refusal(const struct smtp_server_verdict *v)
{
	return v != NULL && v->code != 0;
}

static void refused(struct smtp_server *s, enum smtp_server_kind kind,
		    const struct smtp_server_verdict *v)
{
	struct smtp_server_refusal r = refusal_of(v);

	if (kind == SMTP_SERVER_BEGIN && s->tx->chunking && v->code != 421) {
		smtp_server_refuse_tx(s, &r, true); /* the chunk comes in any case */
		return;
	}
	if (kind == SMTP_SERVER_BEGIN || kind == SMTP_SERVER_END)
		smtp_server_drop_tx(s);
	s->sync = kind == SMTP_SERVER_BEGIN;
	smtp_server_say_refusal(s, &r);
}

static void accepted(struct smtp_server *s, enum smtp_server_kind kind, const char *text)
{
	switch (kind) {
	case SMTP_SERVER_EHLO:
		s->helo = true;
		smtp_server_offer(s);
		break;
	case SMTP_SERVER_MAIL:
		s->tx = xcalloc(1, sizeof(*s->tx));
		s->tx->smtputf8 = s->mail.smtputf8;
		smtp_server_say(s, 250, "2.1.0", "ok");
		break;
	case SMTP_SERVER_RCPT:
		s->tx->n_recipients++;
		smtp_server_say(s, 250, "2.1.5", "ok");
		break;
	case SMTP_SERVER_AUTH:
		s->authenticated = true;
		smtp_server_say(s, 235, "2.7.0", "authenticated");
		break;
	case SMTP_SERVER_BEGIN:
		smtp_server_begin(s);
		break;
	case SMTP_SERVER_END:
		smtp_server_drop_tx(s);
		s->n_idle = 0;
		smtp_server_say(s, 250, "2.0.0", text == NULL ? "ok" : text);
		break;
	case SMTP_SERVER_STARTTLS:
		smtp_server_say(s, 220, "2.0.0", "ready to start TLS");
		smtp_server_move(s, SERVER_HANDSHAKE);
		break;
	case SMTP_SERVER_NEEDS_INPUT:
	case SMTP_SERVER_NEEDS_OUTPUT:
	case SMTP_SERVER_NEEDS_VERDICT:
	case SMTP_SERVER_DATA:
	case SMTP_SERVER_RESET:
	case SMTP_SERVER_HANDSHAKE:
	case SMTP_SERVER_CLOSE:
		require(false);
	}
}

void smtp_server_answer(struct smtp_server *s, const struct smtp_server_verdict *v)
{
	enum smtp_server_kind kind = s->awaited;

	if (s->state == SERVER_CLOSED) /* stopped while the verdict was on its way */
		return;
	require(kind != SMTP_SERVER_NEEDS_INPUT);
	s->awaited = SMTP_SERVER_NEEDS_INPUT;
	if (is_refusal(v))
		refused(s, kind, v);
	else
		accepted(s, kind, v == NULL ? NULL : v->text);
	smtp_server_wipe(s);
	arena_done(&s->arena);
	s->arena = (struct arena){0};
}

void smtp_server_refuse_message(struct smtp_server *s, const struct smtp_server_verdict *v)
{
	struct smtp_server_refusal r = refusal_of(v);

	if (s->state == SERVER_CLOSED)
		return;
	require(s->tx != NULL && s->tx->begun && s->awaited == SMTP_SERVER_NEEDS_INPUT);
	smtp_server_refuse_tx(s, &r, true);
}

void smtp_server_greet(struct smtp_server *s, const struct smtp_server_verdict *v)
{
	if (s->state == SERVER_CLOSED)
		return;
	require(s->state == SERVER_BANNER);
	smtp_server_move(s, SERVER_COMMAND);
	if (is_refusal(v))
		smtp_server_stop(s, v);
	else
		require(buf_printf(&s->out, "220 %s ESMTP\r\n", s->host) == 0);
}

void smtp_server_stop(struct smtp_server *s, const struct smtp_server_verdict *v)
{
	struct smtp_server_refusal r = refusal_of(v);
	char status[24];

	snprintf(status, sizeof(status), "%u.%u.%u", r.status.class, r.status.subject,
		 r.status.detail);
	/* Between the 220 and the end of the handshake nothing can be said. */
	smtp_server_close(s, SMTP_SERVER_END_CALLER, s->state == SERVER_HANDSHAKE ? 0 : r.code,
			  status, r.text);
}

/* RFC 3207 section 4.2, matrix B35. */
void smtp_server_tls_up(struct smtp_server *s)
{
	if (s->state == SERVER_CLOSED)
		return;
	require(s->state == SERVER_HANDSHAKE && s->out.n == 0 && s->line.n == 0 && !s->overlong);
	smtp_server_drop_tx(s);
	smtp_server_wipe(s);
	s->helo = s->esmtp = s->authenticated = s->sync = false;
	s->n_messages = s->n_idle = s->n_errors = 0;
	s->in_tls = true;
	smtp_server_move(s, SERVER_COMMAND);
}

/* --- what comes in --------------------------------------------------------------------------- */

static void release_line(struct smtp_server *s)
{
	if (s->line.p == NULL)
		return;
	explicit_bzero(s->line.p, s->line.room);
	buf_done(&s->line);
	buf_init(&s->line, SMTP_SERVER_LINE_MAX);
}

/* `auth`: an answer to 334, or AUTH with one. RFC 4954 section 6. */
static void too_long(struct smtp_server *s, bool auth)
{
	if (s->state == SERVER_AUTH)
		smtp_server_move(s, SERVER_COMMAND);
	smtp_server_wipe(s);
	smtp_server_reject(s, 500, auth ? "5.5.6" : "5.5.2", "line too long");
}

static void bad_line_end(struct smtp_server *s)
{
	smtp_server_close(s, SMTP_SERVER_END_LINE_ENDS, 554, "5.5.2",
			  "bare CR, bare LF or NUL in a command");
}

/* Everything up to the LF, which is the last octet. S22: only CRLF ends a line. */
static void whole_line(struct smtp_server *s, struct span line, bool more)
{
	if (line.n < 2 || line.p[line.n - 2] != '\r' || memchr(line.p, '\r', line.n - 2) != NULL ||
	    memchr(line.p, '\0', line.n) != NULL) {
		bad_line_end(s);
		return;
	}
	if (line.n > smtp_server_line_limit(s, line)) {
		if (smtp_server_begins_chunk(s, line))
			smtp_server_lost_chunk(s);
		else
			too_long(s, false);
		return;
	}
	line.n -= 2;
	if (s->state == SERVER_AUTH)
		smtp_server_auth_line(s, line);
	else
		smtp_server_command(s, line, more);
}

static void overlong_line(struct smtp_server *s, struct span part, bool whole)
{
	bool cr = part.n >= 2 ? part.p[part.n - 2] == '\r' : s->over_cr;

	s->over_cr = part.p[part.n - 1] == '\r';
	if (!whole)
		return;
	s->overlong = s->over_cr = false;
	if (cr)
		too_long(s, s->over_auth);
	else
		bad_line_end(s);
}

/* The line is about to be dropped: the first octets of it are all that is known. */
static void begin_overlong(struct smtp_server *s, struct span part)
{
	uint8_t head[5];
	size_t n = s->line.n < sizeof(head) ? s->line.n : sizeof(head);

	memcpy(head, s->line.p != NULL ? s->line.p : part.p, n);
	for (size_t i = 0; n < sizeof(head) && i < part.n; i++)
		head[n++] = part.p[i];
	s->overlong = true;
	s->over_auth = s->state == SERVER_AUTH || span_is_nocase(span_of(head, n), "AUTH ");
	s->over_cr = s->line.n > 0 && s->line.p[s->line.n - 1] == '\r';
	release_line(s);
	if (smtp_server_begins_chunk(s, span_of(head, n)))
		smtp_server_lost_chunk(s);
}

static void read_line(struct smtp_server *s, struct span *in)
{
	const uint8_t *lf = memchr(in->p, '\n', in->n);
	struct span part = span_of(in->p, lf == NULL ? in->n : (size_t)(lf - in->p) + 1);
	size_t most =
		s->in_tls && s->options.auth ? SMTP_SERVER_LINE_MAX : SMTP_SERVER_ENVELOPE_MAX;

	*in = span_skip(*in, part.n);
	if (!s->overlong && s->line.n + part.n > most)
		begin_overlong(s, part);
	if (s->state == SERVER_CLOSED)
		return;
	if (s->overlong) {
		overlong_line(s, part, lf != NULL);
		return;
	}
	if (lf != NULL && s->line.n == 0) {
		whole_line(s, part, in->n > 0);
		return;
	}
	/* It may be a password. */
	if (most == SMTP_SERVER_LINE_MAX)
		require(buf_reserve(&s->line, most - s->line.n) == 0);
	require(buf_add(&s->line, part.p, part.n) == 0);
	if (lf == NULL)
		return;
	whole_line(s, buf_span(&s->line), in->n > 0);
	release_line(s);
}

static void refuse_wrong_input(struct smtp_server *s)
{
	if (s->state == SERVER_BANNER && s->options.refuse_early_talker) {
		smtp_server_close(s, SMTP_SERVER_END_EARLY, 554, "5.5.0",
				  "input before the banner");
		return;
	}
	if (s->state == SERVER_HANDSHAKE) { /* the 220 is out or on its way */
		smtp_server_close(s, SMTP_SERVER_END_STARTTLS, 0, "", "");
		return;
	}
	/* The text of a message whose DATA was refused would be taken for commands. */
	if (s->sync && s->out.n > 0 && s->state != SERVER_CLOSED) {
		smtp_server_close(s, SMTP_SERVER_END_SYNC, 421, "4.5.0",
				  "input behind DATA before its reply");
		return;
	}
	s->sync = false;
}

/* What can be said without looking at input; NEEDS_INPUT: nothing. */
static enum smtp_server_kind standing(const struct smtp_server *s)
{
	if (s->state == SERVER_CLOSED)
		return SMTP_SERVER_CLOSE;
	if (s->awaited != SMTP_SERVER_NEEDS_INPUT || s->state == SERVER_BANNER)
		return SMTP_SERVER_NEEDS_VERDICT;
	if (s->state == SERVER_HANDSHAKE)
		return SMTP_SERVER_HANDSHAKE;
	return s->out.n >= SMTP_SERVER_OUTPUT_ENOUGH ? SMTP_SERVER_NEEDS_OUTPUT
						     : SMTP_SERVER_NEEDS_INPUT;
}

struct smtp_server_event smtp_server_next(struct smtp_server *s, struct span *in)
{
	s->event = (struct smtp_server_event){.kind = SMTP_SERVER_NEEDS_INPUT};
	while (s->event.kind == SMTP_SERVER_NEEDS_INPUT) {
		enum smtp_server_kind kind;

		if (in->n > 0 && s->awaited == SMTP_SERVER_NEEDS_INPUT)
			refuse_wrong_input(s);
		kind = standing(s);
		if (kind != SMTP_SERVER_NEEDS_INPUT) {
			s->event.kind = kind;
			break;
		}
		if (in->n == 0 && !(s->state == SERVER_CHUNK && s->chunk_left == 0))
			break;
		if (s->state == SERVER_DATA || s->state == SERVER_CHUNK)
			smtp_server_text(s, in);
		else
			read_line(s, in);
	}
	return s->event;
}

/* --- the rest -------------------------------------------------------------------------------- */

struct span smtp_server_output(const struct smtp_server *s)
{
	return buf_span(&s->out);
}

void smtp_server_sent(struct smtp_server *s, size_t n)
{
	buf_drop(&s->out, n);
	if (s->out.n == 0 && s->out.room > OUTPUT_KEPT)
		buf_done(&s->out);
}

struct smtp_server_options smtp_server_defaults(void)
{
	return (struct smtp_server_options){.size_max = 50u << 20,
					    .recipients_max = 100,
					    .messages_max = 100,
					    .idle_max = 100,
					    .errors_max = 20,
					    .starttls = true};
}

struct smtp_server *smtp_server_new(const struct smtp_server_options *o)
{
	struct smtp_server *s = xcalloc(1, sizeof(*s));

	require(o->size_max > 0 && strlen(o->host) <= MAIL_DOMAIN_MAX);
	s->options = *o;
	snprintf(s->host, sizeof(s->host), "%s", o->host);
	s->options.host = s->host;
	s->in_tls = o->tls_from_start;
	buf_init(&s->line, SMTP_SERVER_LINE_MAX);
	buf_init(&s->out, SMTP_SERVER_OUTPUT_MAX);
	buf_init(&s->secret, SMTP_SERVER_LINE_MAX);
	return s;
}

void smtp_server_free(struct smtp_server *s)
{
	if (s == NULL)
		return;
	smtp_server_drop_tx(s);
	smtp_server_wipe(s);
	release_line(s);
	buf_done(&s->out);
	buf_done(&s->secret);
	arena_done(&s->arena);
	free(s);
}

enum smtp_server_phase smtp_server_phase(const struct smtp_server *s)
{
	static const enum smtp_server_phase phases[] = {
		[SERVER_BANNER] = SMTP_SERVER_PHASE_BANNER,
		[SERVER_COMMAND] = SMTP_SERVER_PHASE_COMMAND,
		[SERVER_AUTH] = SMTP_SERVER_PHASE_AUTH,
		[SERVER_DATA] = SMTP_SERVER_PHASE_DATA,
		[SERVER_CHUNK] = SMTP_SERVER_PHASE_DATA,
		[SERVER_HANDSHAKE] = SMTP_SERVER_PHASE_HANDSHAKE,
		[SERVER_CLOSED] = SMTP_SERVER_PHASE_CLOSED,
	};

	if (s->awaited != SMTP_SERVER_NEEDS_INPUT)
		return SMTP_SERVER_PHASE_VERDICT;
	return phases[s->state];
}

enum smtp_server_end smtp_server_ended(const struct smtp_server *s)
{
	return s->end;
}

const char *smtp_server_end_to_string(enum smtp_server_end e)
{
	static const char *const names[] = {
		[SMTP_SERVER_END_NOT_YET] = "not ended",
		[SMTP_SERVER_END_QUIT] = "quit",
		[SMTP_SERVER_END_CALLER] = "ended here",
		[SMTP_SERVER_END_LINE_ENDS] = "bare CR, LF or NUL",
		[SMTP_SERVER_END_EARLY] = "input before the banner",
		[SMTP_SERVER_END_STARTTLS] = "input behind STARTTLS",
		[SMTP_SERVER_END_SYNC] = "input behind a refused DATA",
		[SMTP_SERVER_END_NOT_SMTP] = "not SMTP",
		[SMTP_SERVER_END_ERRORS] = "too many errors",
		[SMTP_SERVER_END_IDLE] = "too many commands without mail",
		[SMTP_SERVER_END_MESSAGES] = "too many messages",
		[SMTP_SERVER_END_ENDLESS] = "refused message without end",
		[SMTP_SERVER_END_CHUNK_SYNTAX] = "BDAT without a size",
	};

	require((size_t)e < ARRAY_SIZE(names));
	return names[e];
}

bool smtp_server_in_tls(const struct smtp_server *s)
{
	return s->in_tls;
}

bool smtp_server_in_transaction(const struct smtp_server *s)
{
	return s->tx != NULL;
}

size_t smtp_server_held(const struct smtp_server *s)
{
	return s->line.n;
}
