#include "core/smtp/server_machine.h"

#include "base/base64.h"

/* AUTH PLAIN (RFC 4616) and LOGIN, inside TLS only (RFC 4954 section 4). */

static void fail(struct smtp_server *s, const char *text)
{
	smtp_server_wipe(s);
	smtp_server_reject(s, 501, "5.5.2", text);
}

static void ask(struct smtp_server *s, const char *mechanism)
{
	s->auth.mechanism = mechanism;
	smtp_server_ask(s, SMTP_SERVER_AUTH);
	s->event.auth = &s->auth;
}

/* [authzid] NUL authcid NUL passwd */
static void plain(struct smtp_server *s, struct span answer)
{
	struct span parts[3], rest;
	size_t n = 0;

	if (!base64_decode(answer, &s->secret)) {
		fail(s, "not base64");
		return;
	}
	rest = buf_span(&s->secret);
	while (n < 3) {
		const uint8_t *nul = rest.n == 0 ? NULL : memchr(rest.p, '\0', rest.n);

		parts[n] = span_of(rest.p, nul == NULL ? rest.n : (size_t)(nul - rest.p));
		rest = span_skip(rest, parts[n++].n + 1);
		if (nul == NULL)
			break;
		if (n == 3) { /* a third NUL */
			fail(s, "not as RFC 4616 has it");
			return;
		}
	}
	if (n != 3 || parts[1].n == 0 || parts[2].n == 0) {
		fail(s, "not as RFC 4616 has it");
		return;
	}
	s->auth.authorize = parts[0];
	s->auth.user = parts[1];
	s->auth.password = parts[2];
	ask(s, "PLAIN");
}

/* The user's name stays in `secret`, the password comes behind it. */
static void login(struct smtp_server *s, struct span answer)
{
	size_t before = s->secret.n;
	struct span got;

	if (!base64_decode(answer, &s->secret)) {
		fail(s, "not base64");
		return;
	}
	got = span_skip(buf_span(&s->secret), before);
	if (got.n == 0 || memchr(got.p, '\0', got.n) != NULL) {
		fail(s, "empty, or with a NUL");
		return;
	}
	if (s->mechanism == MECHANISM_LOGIN_USER) {
		s->user_n = got.n;
		s->mechanism = MECHANISM_LOGIN_PASSWORD;
		smtp_server_say(s, 334, "", "UGFzc3dvcmQ6"); /* "Password:" */
		smtp_server_move(s, SERVER_AUTH);
		return;
	}
	s->auth.user = span_of(s->secret.p, s->user_n);
	s->auth.password = got;
	ask(s, "LOGIN");
}

void smtp_server_auth_line(struct smtp_server *s, struct span line)
{
	smtp_server_move(s, SERVER_COMMAND);
	if (span_is(line, "*"))
		fail(s, "cancelled");
	else if (s->mechanism == MECHANISM_PLAIN)
		plain(s, line);
	else
		login(s, line);
}

static void begin(struct smtp_server *s, struct span initial)
{
	if (initial.n > 0) { /* "=": an empty one */
		smtp_server_auth_line(s, span_is(initial, "=") ? span_of(NULL, 0) : initial);
		return;
	}
	smtp_server_say(s, 334, "", s->mechanism == MECHANISM_PLAIN ? "" : "VXNlcm5hbWU6");
	smtp_server_move(s, SERVER_AUTH);
}

void smtp_server_auth_command(struct smtp_server *s, struct span rest)
{
	struct span mechanism, initial, more;

	if (!s->options.auth) {
		smtp_server_reject(s, 502, "5.5.1", "not offered");
	} else if (!s->in_tls) { /* RFC 4954 section 4, 6 */
		smtp_server_reject(s, 538, "5.7.11", "STARTTLS first");
	} else if (!s->helo || !s->esmtp) {
		smtp_server_reject(s, 503, "5.5.1", "EHLO first");
	} else if (s->authenticated || s->tx != NULL) {
		smtp_server_reject(s, 503, "5.5.1", "not now");
	} else if (!smtp_server_take_word(&rest, &mechanism)) {
		smtp_server_reject(s, 501, "5.5.4", "AUTH mechanism");
	} else {
		smtp_server_take_word(&rest, &initial);
		smtp_server_wipe(s);
		if (smtp_server_take_word(&rest, &more)) {
			smtp_server_reject(s, 501, "5.5.4", "AUTH mechanism [initial-response]");
		} else if (span_is_nocase(mechanism, "PLAIN")) {
			s->mechanism = MECHANISM_PLAIN;
			begin(s, initial);
		} else if (span_is_nocase(mechanism, "LOGIN")) {
			s->mechanism = MECHANISM_LOGIN_USER;
			begin(s, initial);
		} else {
			smtp_server_reject(s, 504, "5.5.4", "PLAIN or LOGIN");
		}
	}
}
