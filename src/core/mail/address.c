#include "core/mail/address.h"

#include <errno.h>

#include "base/utf8.h"

/* RFC 5322 section 3.2.3. */
static bool is_atext(uint8_t c)
{
	c = ascii_lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* RFC 6531 section 3.3: UTF8-non-ascii, here without the control characters U+0080-U+009F. */
static size_t take_utf8(struct span s)
{
	uint32_t c;
	size_t n = utf8_decode(s, &c);

	return n > 1 && c >= 0xa0 ? n : 0;
}

/*
 *   Dot-string = Atom *("." Atom)
 * The octets of it at the front of `s`; 0 if there is none.
 */
static size_t take_dot_string(struct span s, bool *utf8)
{
	bool dot = true; /* a dot may not stand here */
	size_t at = 0;

	while (at < s.n) {
		size_t n = is_atext(s.p[at]) ? 1 : take_utf8(span_skip(s, at));

		if (n == 0 && (s.p[at] != '.' || dot))
			break;
		dot = n == 0;
		*utf8 = *utf8 || n > 1;
		at += n == 0 ? 1 : n;
	}
	return dot ? 0 : at;
}

/*
 *   Quoted-string = DQUOTE *(qtextSMTP / "\" %d32-126) DQUOTE
 * Without '<' and '>' (see the header).
 */
static size_t take_quoted_string(struct span s, bool *utf8)
{
	size_t at = 1;

	while (at < s.n && s.p[at] != '"') {
		bool pair = s.p[at] == '\\';
		size_t n = 1;

		if (pair && ++at == s.n)
			return 0;
		if (s.p[at] >= 0x80) {
			n = pair ? 0 : take_utf8(span_skip(s, at)); /* pairs quote ASCII only */
			*utf8 = true;
		} else if (s.p[at] < ' ' || s.p[at] == 127 || s.p[at] == '<' || s.p[at] == '>') {
			n = 0;
		}
		if (n == 0)
			return 0;
		at += n;
	}
	return at < s.n ? at + 1 : 0;
}

int mail_address_parse(struct arena *a, struct span text, struct mail_address *ret, struct err *e)
{
	struct mail_address out = {0};
	size_t n;
	int r;

	if (text.n == 0)
		return err_set(e, -EINVAL, "empty address");
	if (text.n > 4 * MAIL_PATH_MAX)
		return err_set(e, -EINVAL, "address of %zu octets: at most 254", text.n);
	n = text.p[0] == '"' ? take_quoted_string(text, &out.smtputf8)
			     : take_dot_string(text, &out.smtputf8);
	if (n == 0)
		return err_set(e, -EINVAL, "no valid local part in address");
	if (n == text.n)
		return err_set(e, -EINVAL, "address without @domain");
	if (text.p[n] != '@')
		return err_set(e, -EINVAL, "octet %zu (0x%02x) of the address cannot stand there",
			       n + 1, text.p[n]);
	if (n > MAIL_LOCAL_MAX)
		return err_set(e, -EINVAL, "local part of %zu octets: at most 64", n);
	r = mail_domain_parse(a, span_skip(text, n + 1), &out.domain, e);
	if (r < 0)
		return r;
	out.local = arena_text(a, span_of(text.p, n));
	out.path = arena_printf(a, "%s@%s", out.local, out.domain.text);
	if (strlen(out.path) > MAIL_PATH_MAX)
		return err_set(e, -EINVAL, "address of %zu octets: at most 254", strlen(out.path));
	require(mail_path_is_safe(out.path));
	*ret = out;
	return 0;
}

int mail_address_parse_reverse(struct arena *a, struct span text, struct mail_address *ret,
			       struct err *e)
{
	if (text.n > 0 && !span_is(text, "<>"))
		return mail_address_parse(a, text, ret, e);
	*ret = (struct mail_address){.path = "", .local = ""};
	return 0;
}

bool mail_path_is_safe(const char *path)
{
	size_t n = strnlen(path, MAIL_PATH_MAX + 1);

	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)path[i];

		if (c < ' ' || c == 127 || c == '<' || c == '>')
			return false;
	}
	return n <= MAIL_PATH_MAX;
}
