#include "core/mail/domain.h"

#include <arpa/inet.h>
#include <errno.h>
#include <idn2.h>

#include "base/text.h"

enum {
	/* No domain of 253 octets in A-labels has more octets than this in UTF-8. */
	INPUT_MAX = 1024,
	LABEL_MAX = 63,
};

/* RFC 1035 section 2.3.1 with RFC 1123's leading digit, and the underscore that some hosts have. */
static int check_label(struct span label, struct err *e)
{
	if (label.n == 0)
		return err_set(e, -EINVAL, "empty label in domain");
	if (label.n > LABEL_MAX)
		return err_set(e, -EINVAL, "label of %zu octets in domain: at most 63", label.n);
	for (size_t i = 0; i < label.n; i++) {
		uint8_t c = label.p[i];

		if (!text_is_host_octet(c))
			return err_set(e, -EINVAL, "character %s%c%s (0x%02x) in domain",
				       c > ' ' && c < 127 ? "'" : "", c > ' ' && c < 127 ? c : '?',
				       c > ' ' && c < 127 ? "'" : "", c);
	}
	if (label.p[0] == '-' || label.p[label.n - 1] == '-')
		return err_set(e, -EINVAL, "label begins or ends with a hyphen in domain");
	return 0;
}

static bool all_digits(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return true;
}

/* `name` is ASCII, without the trailing dot. */
static int check_name(struct span name, struct err *e)
{
	struct span rest = name, label;
	const uint8_t *dot;

	if (name.n == 0)
		return err_set(e, -EINVAL, "empty domain");
	if (name.n > MAIL_DOMAIN_MAX)
		return err_set(e, -EINVAL, "domain of %zu octets: at most 253", name.n);
	do {
		int ret;

		dot = memchr(rest.p, '.', rest.n);
		label = span_of(rest.p, dot == NULL ? rest.n : (size_t)(dot - rest.p));
		ret = check_label(label, e);
		if (ret < 0)
			return ret;
		rest = span_skip(rest, label.n + 1);
	} while (dot != NULL && rest.n > 0);
	if (dot != NULL)
		return err_set(e, -EINVAL, "empty label in domain");
	if (all_digits(label)) /* M18 */
		return err_set(e, -EINVAL,
			       "last label of domain is a number (an address is written in []: "
			       "[192.0.2.1])");
	return 0;
}

/* One dot at the end only says that the name is complete. */
static int take_name(struct arena *a, struct span name, struct mail_domain *ret, struct err *e)
{
	char *text;
	int r;

	if (name.n > 1 && name.p[name.n - 1] == '.')
		name.n--;
	r = check_name(name, e);
	if (r < 0)
		return r;
	text = arena_text(a, name);
	for (char *c = text; *c != '\0'; c++)
		*c = (char)ascii_lower((uint8_t)*c);
	*ret = (struct mail_domain){.kind = MAIL_DOMAIN_NAME, .host = text, .text = text};
	return 0;
}

static int take_unicode(struct arena *a, struct span text, struct mail_domain *ret, struct err *e)
{
	const char *in = arena_text(a, text);
	char *out = NULL;
	int r;

	/*
	 * Never with IDN2_USE_STD3_ASCII_RULES: it drops underscores silently. Nothing that it
	 * would refuse passes check_name.
	 */
	r = idn2_lookup_u8((const uint8_t *)in, (uint8_t **)&out,
			   IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (r != IDN2_OK)
		return err_set(e, -EINVAL, "no internationalized domain: %s", idn2_strerror(r));
	r = take_name(a, span_text(out), ret, e);
	idn2_free(out);
	return r;
}

/* `text` is what stands between the brackets. */
static int take_literal(struct arena *a, struct span text, struct mail_domain *ret, struct err *e)
{
	static const char tag[] = "IPv6:";
	struct span inside = text;
	char canonical[INET6_ADDRSTRLEN];
	struct in6_addr v6;
	struct in_addr v4;
	const char *s;

	if (text.n == 0 || text.n > 64 || memchr(text.p, '\0', text.n) != NULL)
		return err_set(e, -EINVAL, "no address between [ and ]");
	if (text.n > strlen(tag) && span_is_nocase(span_of(text.p, strlen(tag)), tag))
		inside = span_skip(text, strlen(tag));
	s = arena_text(a, inside);
	if (inside.p == text.p && inet_pton(AF_INET, s, &v4) == 1) {
		ret->kind = MAIL_DOMAIN_IPV4;
		require(inet_ntop(AF_INET, &v4, canonical, sizeof(canonical)) != NULL);
		ret->host = arena_strdup(a, canonical);
		ret->text = arena_printf(a, "[%s]", canonical);
		return 0;
	}
	if (inet_pton(AF_INET6, s, &v6) == 1) {
		ret->kind = MAIL_DOMAIN_IPV6;
		require(inet_ntop(AF_INET6, &v6, canonical, sizeof(canonical)) != NULL);
		ret->host = arena_strdup(a, canonical);
		ret->text = arena_printf(a, "[IPv6:%s]", canonical);
		return 0;
	}
	return err_set(e, -EINVAL, "no IPv4 or IPv6 address between [ and ]");
}

int mail_domain_parse(struct arena *a, struct span text, struct mail_domain *ret, struct err *e)
{
	if (text.n == 0)
		return err_set(e, -EINVAL, "empty domain");
	if (text.n > INPUT_MAX)
		return err_set(e, -EINVAL, "domain of %zu octets: at most 253", text.n);
	if (text.p[0] == '[') {
		if (text.p[text.n - 1] != ']')
			return err_set(e, -EINVAL, "address literal without ]");
		return take_literal(a, span_of(text.p + 1, text.n - 2), ret, e);
	}
	if (memchr(text.p, '\0', text.n) != NULL)
		return err_set(e, -EINVAL, "NUL in domain");
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] >= 0x80)
			return take_unicode(a, text, ret, e);
	return take_name(a, text, ret, e);
}
