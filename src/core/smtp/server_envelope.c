#include "core/smtp/server_machine.h"

/*
 * MAIL and RCPT: RFC 5321 section 4.1.1.2, 4.1.1.3, 4.1.2; parameters of RFC 1870, 6152, 6531,
 * 3461, 4954. Whatever is not read to its last octet is refused.
 */

/* What a parser found wrong. */
struct fault {
	unsigned code;
	const char *status;
	const char *text;
};

static bool fault(struct fault *f, unsigned code, const char *status, const char *text)
{
	*f = (struct fault){code, status, text};
	return false;
}

/* "FROM:<path>" or "TO:<path>" at the front of `*rest`. Spaces before the path are let pass. */
static bool take_path(struct span *rest, const char *word, struct span *ret_path)
{
	size_t n = strlen(word);
	const uint8_t *end;

	while (rest->n > 0 && rest->p[0] == ' ')
		*rest = span_skip(*rest, 1);
	if (rest->n < n || !span_is_nocase(span_of(rest->p, n), word))
		return false;
	*rest = span_skip(*rest, n);
	while (rest->n > 0 && rest->p[0] == ' ')
		*rest = span_skip(*rest, 1);
	if (rest->n == 0 || rest->p[0] != '<')
		return false;
	*rest = span_skip(*rest, 1);
	/* No '>' in a path, not even in quotes (docs/decisions/0002). */
	end = memchr(rest->p, '>', rest->n);
	if (end == NULL)
		return false;
	*ret_path = span_of(rest->p, (size_t)(end - rest->p));
	*rest = span_skip(*rest, ret_path->n + 1);
	return rest->n == 0 || rest->p[0] == ' ';
}

/* RFC 5321 section 4.1.2, appendix C: "@a,@b:" is taken and dropped. */
static struct span without_route(struct span path)
{
	const uint8_t *colon;

	if (path.n == 0 || path.p[0] != '@')
		return path;
	colon = memchr(path.p, ':', path.n);
	/* Nothing behind it is no null path; as it stands it is no address either. */
	if (colon == NULL || colon == path.p + path.n - 1)
		return path;
	return span_skip(path, (size_t)(colon - path.p) + 1);
}

static bool is_ascii(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] >= 0x80)
			return false;
	return true;
}

/* The next "keyword[=value]". `value.p` is NULL without a value. */
static bool take_parameter(struct span *rest, struct span *ret_key, struct span *ret_value)
{
	struct span word;
	const uint8_t *equals;

	if (!smtp_server_take_word(rest, &word))
		return false;
	equals = memchr(word.p, '=', word.n);
	*ret_key = word;
	*ret_value = span_of(NULL, 0);
	if (equals != NULL) {
		ret_key->n = (size_t)(equals - word.p);
		*ret_value = span_skip(word, ret_key->n + 1);
	}
	return true;
}

static const char *keep(struct smtp_server *s, struct span value)
{
	return arena_text(&s->arena, value);
}

static bool size_parameter(struct smtp_server *s, struct span v, struct fault *f)
{
	uint64_t size = 0;

	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] < '0' || v.p[i] > '9' || v.n > 20)
			return fault(f, 501, "5.5.4", "SIZE is no number");
		if (__builtin_mul_overflow(size, 10, &size) ||
		    __builtin_add_overflow(size, (uint64_t)(v.p[i] - '0'), &size))
			size = UINT64_MAX;
	}
	if (v.n == 0)
		return fault(f, 501, "5.5.4", "SIZE is no number");
	if (size > s->options.size_max) /* RFC 1870 section 6.1 */
		return fault(f, 552, "5.3.4", "message larger than the limit");
	s->mail.size = size;
	return true;
}

enum {
	P_SIZE = 1,
	P_BODY = 2,
	P_UTF8 = 4,
	P_RET = 8,
	P_ENVID = 16,
	P_AUTH = 32,
	P_NOTIFY = 64,
	P_ORCPT = 128
};

static bool mail_parameter(struct smtp_server *s, struct span key, struct span v, unsigned *seen,
			   struct fault *f)
{
	struct smtp_server_mail *m = &s->mail;
	unsigned which = span_is_nocase(key, "SIZE")       ? P_SIZE
			 : span_is_nocase(key, "BODY")     ? P_BODY
			 : span_is_nocase(key, "SMTPUTF8") ? P_UTF8
			 : span_is_nocase(key, "RET")      ? P_RET
			 : span_is_nocase(key, "ENVID")    ? P_ENVID
			 : span_is_nocase(key, "AUTH")     ? P_AUTH
							   : 0;
	bool ok = false;

	if (which == 0 || (which == P_AUTH && !(s->options.auth && s->in_tls)))
		return fault(f, 555, "5.5.4", "unknown parameter of MAIL");
	if (*seen & which)
		return fault(f, 501, "5.5.4", "a parameter twice");
	*seen |= which;
	switch (which) {
	case P_SIZE:
		return size_parameter(s, v, f);
	case P_BODY:
		m->eightbit = span_is_nocase(v, "8BITMIME");
		ok = m->eightbit || span_is_nocase(v, "7BIT");
		break;
	case P_UTF8:
		ok = m->smtputf8 = v.p == NULL;
		break;
	case P_RET:
		m->ret = span_is_nocase(v, "FULL") ? SMTP_RET_FULL : SMTP_RET_HDRS;
		ok = m->ret == SMTP_RET_FULL || span_is_nocase(v, "HDRS");
		break;
	case P_ENVID:
		ok = mail_xtext_is_valid(v) && v.n <= MAIL_ENVID_MAX;
		m->envid = keep(s, v);
		break;
	case P_AUTH: /* RFC 4954 section 5 */
		ok = (mail_xtext_is_valid(v) || span_is(v, "<>")) && v.n <= 500;
		m->auth = keep(s, v);
		break;
	}
	return ok || fault(f, 501, "5.5.4", "wrong value of a parameter");
}

/* RFC 3461 section 4.1: NEVER alone, or a list of the others. */
static bool notify_parameter(struct span v, unsigned *ret)
{
	static const char *const words[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
	unsigned bits = 0;

	for (bool more = true; more;) {
		const uint8_t *comma = v.n == 0 ? NULL : memchr(v.p, ',', v.n);
		struct span word = span_of(v.p, comma == NULL ? v.n : (size_t)(comma - v.p));
		unsigned bit = 0;

		for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
			if (span_is_nocase(word, words[i]))
				bit = 1u << i;
		if (bit == 0)
			return false;
		bits |= bit;
		more = comma != NULL;
		v = span_skip(v, word.n + 1);
	}
	*ret = bits;
	return bits == SMTP_NOTIFY_NEVER || !(bits & SMTP_NOTIFY_NEVER);
}

static bool rcpt_parameter(struct smtp_server *s, struct span key, struct span v, unsigned *seen,
			   struct fault *f)
{
	unsigned which = span_is_nocase(key, "NOTIFY")  ? P_NOTIFY
			 : span_is_nocase(key, "ORCPT") ? P_ORCPT
							: 0;

	if (which == 0)
		return fault(f, 555, "5.5.4", "unknown parameter of RCPT");
	if (*seen & which)
		return fault(f, 501, "5.5.4", "a parameter twice");
	*seen |= which;
	if (which == P_NOTIFY && !notify_parameter(v, &s->rcpt.notify))
		return fault(f, 501, "5.5.4", "wrong value of NOTIFY");
	if (which == P_ORCPT && !mail_orcpt_is_valid(v))
		return fault(f, 501, "5.5.4", "wrong value of ORCPT");
	if (which == P_ORCPT)
		s->rcpt.orcpt = keep(s, v);
	return true;
}

static bool parameters(struct smtp_server *s, struct span rest,
		       bool (*one)(struct smtp_server *s, struct span key, struct span v,
				   unsigned *seen, struct fault *f),
		       struct fault *f)
{
	struct span key, value;
	unsigned seen = 0;

	while (take_parameter(&rest, &key, &value)) {
		if (!s->esmtp)
			return fault(f, 555, "5.5.4", "parameters need EHLO");
		if (!one(s, key, value, &seen, f))
			return false;
	}
	return true;
}

static bool parse_mail(struct smtp_server *s, struct span rest, struct fault *f)
{
	struct span path;
	struct err e;

	if (!take_path(&rest, "FROM:", &path))
		return fault(f, 501, "5.5.4", "MAIL FROM:<address>");
	if (!parameters(s, rest, mail_parameter, f))
		return false;
	if (!is_ascii(path) && !s->mail.smtputf8) /* RFC 6531 section 3.5 */
		return fault(f, 550, "5.6.7", "a UTF-8 address without SMTPUTF8");
	if (mail_address_parse_reverse(&s->arena, without_route(path), &s->mail.from, &e) < 0)
		return fault(f, 553, "5.1.7", "not a mail address");
	return true;
}

static bool parse_rcpt(struct smtp_server *s, struct span rest, struct fault *f)
{
	struct span path;
	struct err e;

	if (!take_path(&rest, "TO:", &path))
		return fault(f, 501, "5.5.4", "RCPT TO:<address>");
	if (!parameters(s, rest, rcpt_parameter, f))
		return false;
	if (!is_ascii(path) && !s->tx->smtputf8)
		return fault(f, 553, "5.6.7", "a UTF-8 address without SMTPUTF8");
	if (span_is_nocase(path, "postmaster")) { /* RFC 5321 section 4.5.1 */
		s->rcpt.to = (struct mail_address){.path = "postmaster", .local = "postmaster"};
		return true;
	}
	if (mail_address_parse(&s->arena, without_route(path), &s->rcpt.to, &e) < 0)
		return fault(f, 553, "5.1.3", "not a mail address");
	return true;
}

static void forget_command(struct smtp_server *s)
{
	arena_done(&s->arena);
	s->arena = (struct arena){0};
}

void smtp_server_mail_command(struct smtp_server *s, struct span rest)
{
	struct fault f;

	if (!s->helo) {
		smtp_server_reject(s, 503, "5.5.1", "EHLO first");
	} else if (s->options.tls_required && !s->in_tls) { /* RFC 3207 section 4; S19 */
		smtp_server_reject(s, 530, "5.7.0", "STARTTLS first");
	} else if (s->options.auth_required && !s->authenticated) {
		smtp_server_reject(s, 530, "5.7.0", "AUTH first");
	} else if (s->tx != NULL) {
		smtp_server_reject(s, 503, "5.5.1", "one MAIL at a time");
	} else if (s->n_messages >= s->options.messages_max) { /* RFC 9422 section 4.1 */
		smtp_server_close(s, SMTP_SERVER_END_MESSAGES, 421, "4.7.0",
				  "too many messages in this session");
	} else {
		s->mail = (struct smtp_server_mail){0};
		if (!parse_mail(s, rest, &f)) {
			forget_command(s);
			smtp_server_reject(s, f.code, f.status, f.text);
			return;
		}
		s->n_messages++;
		smtp_server_ask(s, SMTP_SERVER_MAIL);
		s->event.mail = &s->mail;
	}
}

enum {
	TRIES = 10
}; /* RCPT commands, times recipients_max */

void smtp_server_rcpt_command(struct smtp_server *s, struct span rest)
{
	struct fault f;

	if (s->tx == NULL || s->tx->chunking) {
		smtp_server_reject(s, 503, "5.5.1", "MAIL first");
	} else if (s->tx->n_tried++ / TRIES >= s->options.recipients_max) {
		smtp_server_close(s, SMTP_SERVER_END_ERRORS, 421, "4.7.0", "too many recipients");
	} else if (s->tx->n_recipients >= s->options.recipients_max) {
		/* RFC 5321 section 4.5.3.1.10, RFC 9422 section 4.2 */
		smtp_server_say(s, 452, "4.5.3", "too many recipients");
	} else {
		s->rcpt = (struct smtp_server_rcpt){0};
		if (!parse_rcpt(s, rest, &f)) {
			forget_command(s);
			smtp_server_reject(s, f.code, f.status, f.text);
			return;
		}
		smtp_server_ask(s, SMTP_SERVER_RCPT);
		s->event.rcpt = &s->rcpt;
	}
}
