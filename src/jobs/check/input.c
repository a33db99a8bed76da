#include "jobs/check/input.h"

#include <errno.h>
#include <string.h>

#include "core/mail/domain.h"

static size_t find(struct span s, const char *any)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '\0' && strchr(any, s.p[i]) != NULL)
			return i;
	return s.n;
}

static bool begins(struct span s, const char *word)
{
	size_t n = strlen(word);

	return s.n >= n && span_is_nocase(span_of(s.p, n), word);
}

/* What stands where a domain would, in "https://user@www.example.org:443/path", "A <b@c.d>". */
static struct span probable(struct span s)
{
	bool url = false;

	while (s.n > 0 && find(span_of(s.p, 1), " \t<\"'(") == 0)
		s = span_skip(s, 1);
	for (size_t i = 0; i + 3 <= s.n; i++)
		if (memcmp(s.p + i, "://", 3) == 0) {
			s = span_skip(s, i + 3);
			s.n = find(s, "/?#");
			url = true;
			break;
		}
	for (size_t i = s.n; i > 0; i--)
		if (s.p[i - 1] == '@') {
			s = span_skip(s, i);
			break;
		}
	s.n = find(s, " \t>\"'),;:/?#");
	if (url && begins(s, "www."))
		s = span_skip(s, 4);
	return s;
}

int check_input_read(struct arena *a, const char *text, const char **ret_domain,
		     const char **ret_why)
{
	struct span guess = probable(span_text(text));
	struct mail_domain domain;
	struct err e;

	if (mail_domain_parse(a, span_text(text), &domain, &e) == 0) {
		if (domain.kind == MAIL_DOMAIN_NAME) {
			*ret_domain = domain.host;
			return 0;
		}
		*ret_why = "an address has no DANE: TLSA records belong to names";
		return -EINVAL;
	}
	*ret_why = arena_strdup(a, e.text);
	if (guess.n > 0 && mail_domain_parse(a, guess, &domain, NULL) == 0 &&
	    domain.kind == MAIL_DOMAIN_NAME)
		*ret_why = arena_printf(a, "%s; \"%s\" is meant, perhaps", e.text, domain.text);
	return -EINVAL;
}
