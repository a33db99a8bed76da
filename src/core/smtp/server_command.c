#include "core/smtp/server_machine.h"

#include <stdio.h>

/* The next word of `*rest`, which may begin with spaces; false when there is none. */
bool smtp_server_take_word(struct span *rest, struct span *ret_word)
{
	size_t n = 0;

	while (rest->n > 0 && rest->p[0] == ' ')
		*rest = span_skip(*rest, 1);
	while (n < rest->n && rest->p[n] != ' ')
		n++;
	*ret_word = span_of(rest->p, n);
	*rest = span_skip(*rest, n);
	return n > 0;
}

static bool is_empty(struct span rest)
{
	struct span word;

	return !smtp_server_take_word(&rest, &word);
}

/* --- what is offered ------------------------------------------------------------------------- */

static void offer_line(struct smtp_server *s, const char *text)
{
	require(buf_printf(&s->out, "250-%s\r\n", text) == 0);
}

void smtp_server_offer(struct smtp_server *s)
{
	const struct smtp_server_options *o = &s->options;
	char text[128];

	if (!s->esmtp) {
		smtp_server_say(s, 250, "", s->host);
		return;
	}
	offer_line(s, s->host);
	offer_line(s, "PIPELINING");
	snprintf(text, sizeof(text), "SIZE %llu", (unsigned long long)o->size_max);
	offer_line(s, text);
	if (o->starttls && !s->in_tls) /* RFC 3207 section 4.2, S12 from the other side */
		offer_line(s, "STARTTLS");
	if (o->auth && s->in_tls)
		offer_line(s, "AUTH PLAIN LOGIN");
	offer_line(s, "ENHANCEDSTATUSCODES");
	offer_line(s, "8BITMIME");
	offer_line(s, "DSN");
	offer_line(s, "SMTPUTF8");
	offer_line(s, "CHUNKING");
	snprintf(text, sizeof(text), "LIMITS RCPTMAX=%u MAILMAX=%u", o->recipients_max,
		 o->messages_max);
	smtp_server_say(s, 250, "", text);
}

/* --- commands -------------------------------------------------------------------------------- */

static void hello(struct smtp_server *s, struct span rest, bool esmtp)
{
	struct span name, word;

	if (!smtp_server_take_word(&rest, &name) || smtp_server_take_word(&rest, &word) ||
	    name.n > 255) {
		smtp_server_reject(s, 501, "5.5.4", "one name or address literal");
		return;
	}
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] < ' ' || name.p[i] > '~') {
			smtp_server_reject(s, 501, "5.5.2", "the name is not printable ASCII");
			return;
		}
	}
	smtp_server_drop_tx(s); /* RFC 5321 section 4.1.4 */
	s->helo = false;
	s->esmtp = esmtp;
	smtp_server_ask(s, SMTP_SERVER_EHLO);
	s->event.helo = arena_text(&s->arena, name);
	s->event.esmtp = esmtp;
}

static void ehlo(struct smtp_server *s, struct span rest)
{
	hello(s, rest, true);
}

static void helo(struct smtp_server *s, struct span rest)
{
	hello(s, rest, false);
}

static void data(struct smtp_server *s, struct span rest)
{
	if (is_empty(rest)) {
		smtp_server_data_command(s);
		return;
	}
	s->sync = true;
	smtp_server_reject(s, 501, "5.5.4", "DATA has no parameters");
}

static void rset(struct smtp_server *s, struct span rest)
{
	if (!is_empty(rest)) {
		smtp_server_reject(s, 501, "5.5.4", "RSET has no parameters");
		return;
	}
	if (s->tx != NULL)
		smtp_server_tell(s, SMTP_SERVER_RESET);
	smtp_server_drop_tx(s);
	smtp_server_say(s, 250, "2.0.0", "ok");
}

static void noop(struct smtp_server *s, struct span rest)
{
	(void)rest;
	smtp_server_say(s, 250, "2.0.0", "ok");
}

static void vrfy(struct smtp_server *s, struct span rest)
{
	if (is_empty(rest))
		smtp_server_reject(s, 501, "5.5.4", "VRFY name");
	else /* RFC 5321 section 3.5.3, 7.3 */
		smtp_server_say(s, 252, "2.5.0", "send mail to find out");
}

static void expn(struct smtp_server *s, struct span rest)
{
	(void)rest;
	smtp_server_reject(s, 502, "5.5.1", "not here");
}

static void help(struct smtp_server *s, struct span rest)
{
	(void)rest;
	smtp_server_say(s, 214, "2.0.0", "see RFC 5321");
}

static void quit(struct smtp_server *s, struct span rest)
{
	if (is_empty(rest))
		smtp_server_close(s, SMTP_SERVER_END_QUIT, 221, "2.0.0", "bye");
	else
		smtp_server_reject(s, 501, "5.5.4", "QUIT has no parameters");
}

/* B35. What lies behind it is seen in smtp_server_command(). */
static void starttls(struct smtp_server *s, struct span rest)
{
	if (s->in_tls)
		smtp_server_reject(s, 503, "5.5.1", "TLS is active");
	else if (!s->options.starttls)
		smtp_server_reject(s, 502, "5.5.1", "not offered");
	else if (!is_empty(rest))
		smtp_server_reject(s, 501, "5.5.4", "STARTTLS has no parameters");
	else if (!s->esmtp || !s->helo)
		smtp_server_reject(s, 503, "5.5.1", "EHLO first");
	else if (s->tx != NULL)
		smtp_server_reject(s, 503, "5.5.1", "not in a transaction");
	else
		smtp_server_ask(s, SMTP_SERVER_STARTTLS);
}

static const struct verb {
	const char *name;
	void (*run)(struct smtp_server *s, struct span rest);
	unsigned line_max;
	bool idle; /* no mail: counted */
} verbs[] = {
	{"MAIL", smtp_server_mail_command, SMTP_SERVER_ENVELOPE_MAX, false},
	{"RCPT", smtp_server_rcpt_command, SMTP_SERVER_ENVELOPE_MAX, false},
	{"DATA", data, SMTP_SERVER_COMMAND_MAX, false},
	{"BDAT", smtp_server_bdat_command, SMTP_SERVER_COMMAND_MAX, false},
	{"EHLO", ehlo, SMTP_SERVER_COMMAND_MAX, true},
	{"HELO", helo, SMTP_SERVER_COMMAND_MAX, true},
	{"STARTTLS", starttls, SMTP_SERVER_COMMAND_MAX, true},
	{"AUTH", smtp_server_auth_command, SMTP_SERVER_LINE_MAX, true},
	{"RSET", rset, SMTP_SERVER_COMMAND_MAX, true},
	{"NOOP", noop, SMTP_SERVER_COMMAND_MAX, true},
	{"VRFY", vrfy, SMTP_SERVER_COMMAND_MAX, true},
	{"EXPN", expn, SMTP_SERVER_COMMAND_MAX, true},
	{"HELP", help, SMTP_SERVER_COMMAND_MAX, true},
	{"QUIT", quit, SMTP_SERVER_COMMAND_MAX, false},
};

static const struct verb *verb_of(struct span name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (span_is_nocase(name, verbs[i].name))
			return &verbs[i];
	return NULL;
}

static bool is_http(struct span verb)
{
	static const char *const words[] = {"GET",     "POST",    "PUT",   "HEAD",  "DELETE",
					    "OPTIONS", "CONNECT", "PATCH", "TRACE", "Host:"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (span_is_nocase(verb, words[i]))
			return true;
	return false;
}

/* A command ends at a space, or at the line's end. Nothing stands before it. */
static struct span verb_in(struct span line)
{
	size_t n = 0;

	while (n < line.n && line.p[n] != ' ' && line.p[n] != '\r')
		n++;
	return span_of(line.p, n);
}

bool smtp_server_begins_chunk(const struct smtp_server *s, struct span line)
{
	return s->state == SERVER_COMMAND && line.n >= 4 &&
	       span_is_nocase(span_of(line.p, 4), "BDAT");
}

size_t smtp_server_line_limit(const struct smtp_server *s, struct span line)
{
	const struct verb *verb = verb_of(verb_in(line));

	if (s->state == SERVER_AUTH)
		return SMTP_SERVER_LINE_MAX;
	return verb == NULL ? SMTP_SERVER_COMMAND_MAX : verb->line_max;
}

void smtp_server_command(struct smtp_server *s, struct span line, bool more)
{
	struct span name = verb_in(line);
	const struct verb *verb = verb_of(name);

	if (verb == NULL || verb->run != smtp_server_bdat_command)
		s->failed.code = 0;
	if (verb == NULL && smtp_server_begins_chunk(s, line)) {
		smtp_server_lost_chunk(s);
	} else if (verb == NULL && is_http(name)) {
		smtp_server_close(s, SMTP_SERVER_END_NOT_SMTP, 554, "5.5.1", "this is SMTP");
	} else if (verb == NULL) {
		smtp_server_reject(s, 500, "5.5.1", "unknown command");
	} else if (verb->run == starttls && more) { /* B35; RFC 3207 section 4.2, 6 */
		smtp_server_close(s, SMTP_SERVER_END_STARTTLS, 554, "5.5.1",
				  "input behind STARTTLS");
	} else if (verb->idle && ++s->n_idle > s->options.idle_max) {
		smtp_server_close(s, SMTP_SERVER_END_IDLE, 421, "4.7.0",
				  "too many commands without mail");
	} else {
		verb->run(s, span_skip(line, name.n));
	}
}
