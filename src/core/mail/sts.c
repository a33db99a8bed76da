#include "core/mail/sts.h"

#include <errno.h>

#include "base/utf8.h"
#include "core/mail/domain.h"

enum {
	FIELD_MAX = 32, /* characters of a field's name */
	DIGITS_MAX = 10,
	MX_MIN = sizeof("mx:a"), /* octets of a line with a pattern, at least */
};

enum field {
	FIELD_VERSION,
	FIELD_MODE,
	FIELD_MAX_AGE,
	FIELD_MX,
	FIELD_OTHER,
};

static const char *const field_names[] = {"version", "mode", "max_age", "mx"};
static const char *const modes[] = {"enforce", "testing", "none"};

struct parser {
	struct arena *arena;
	struct mail_sts *out;
	const char **mx; /* room for every line that could hold one */
	bool seen[FIELD_OTHER];
	size_t line;
	struct err *err;
};

const char *mail_sts_mode_to_string(enum mail_sts_mode m)
{
	return modes[m];
}

static bool is_alnum(uint8_t c)
{
	return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

static int wrong(const struct parser *p, const char *what)
{
	return err_set(p->err, -EINVAL, "line %zu: %s", p->line, what);
}

/* --- values ----------------------------------------------------------------------------------- */

static int read_version(struct parser *p, struct span value)
{
	return span_is(value, "STSv1") ? 0 : wrong(p, "the version is not \"STSv1\"");
}

static int read_mode(struct parser *p, struct span value)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (!span_is(value, modes[i]))
			continue;
		p->out->mode = (enum mail_sts_mode)i;
		return 0;
	}
	return wrong(p, "the mode is none of \"enforce\", \"testing\" and \"none\"");
}

static int read_max_age(struct parser *p, struct span value)
{
	uint64_t age = 0;

	if (value.n > DIGITS_MAX)
		return wrong(p, "max_age is no number of at most ten digits");
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return wrong(p, "max_age is no number of seconds");
		age = age * 10 + (value.p[i] - '0');
	}
	if (age > MAIL_STS_AGE_MAX)
		return wrong(p, "max_age is larger than 31557600");
	p->out->max_age = (uint32_t)age;
	return 0;
}

/* ["*."] Domain: A-labels, no trailing dot, no address. */
static int read_mx(struct parser *p, struct span value)
{
	bool wild = value.n > 2 && value.p[0] == '*' && value.p[1] == '.';
	struct span name = wild ? span_skip(value, 2) : value;
	struct mail_domain domain;

	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] >= 0x80)
			return wrong(p, "an mx pattern is not written in A-labels (xn--...)");
	if (name.p[name.n - 1] == '.')
		return wrong(p, "an mx pattern ends with a dot");
	if (mail_domain_parse(p->arena, name, &domain, NULL) < 0 || domain.kind != MAIL_DOMAIN_NAME)
		return wrong(p, "an mx pattern is neither a host name nor \"*.\" before one");
	p->mx[p->out->n_mx++] = wild ? arena_printf(p->arena, "*.%s", domain.host) : domain.host;
	return 0;
}

/* sts-policy-ext-value: printable characters and blanks between them. Also right for the others. */
static bool is_value(struct span s)
{
	uint32_t c;

	if (s.n == 0)
		return false;
	while (s.n > 0) {
		size_t n = utf8_decode(s, &c);

		if (n == 0 || c < ' ' || c == 127)
			return false;
		s = span_skip(s, n);
	}
	return true;
}

/* --- lines ------------------------------------------------------------------------------------ */

static enum field field_of(struct span name)
{
	for (size_t i = 0; i < ARRAY_SIZE(field_names); i++)
		if (span_is(name, field_names[i]))
			return (enum field)i;
	return FIELD_OTHER;
}

static bool is_field_name(struct span s)
{
	if (s.n == 0 || s.n > FIELD_MAX || !is_alnum(s.p[0]))
		return false;
	for (size_t i = 1; i < s.n; i++)
		if (!is_alnum(s.p[i]) && memchr("_-.", s.p[i], 3) == NULL)
			return false;
	return true;
}

static int read_value(struct parser *p, enum field field, struct span value)
{
	switch (field) {
	case FIELD_VERSION:
		return read_version(p, value);
	case FIELD_MODE:
		return read_mode(p, value);
	case FIELD_MAX_AGE:
		return read_max_age(p, value);
	case FIELD_MX:
		return read_mx(p, value);
	case FIELD_OTHER:
		break;
	}
	return 0;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static int read_line(struct parser *p, struct span line)
{
	const uint8_t *colon = line.n > 0 ? memchr(line.p, ':', line.n) : NULL;
	struct span name, value;
	enum field field;

	if (line.n == 0)
		return wrong(p, "it is empty");
	if (colon == NULL)
		return wrong(p, "there is no \":\" after the field's name");
	name = span_of(line.p, (size_t)(colon - line.p));
	value = span_skip(line, name.n + 1);
	while (value.n > 0 && is_blank(value.p[0]))
		value = span_skip(value, 1);
	while (value.n > 0 && is_blank(value.p[value.n - 1]))
		value.n--;
	if (!is_field_name(name))
		return wrong(p, "what stands before the \":\" is no field name");
	if (!is_value(value))
		return wrong(p, "the value is empty or holds what is no text");
	field = field_of(name);
	if (field < FIELD_MX && p->seen[field]) {
		p->out->repeated = field_names[field];
		return 0;
	}
	if (field < FIELD_OTHER)
		p->seen[field] = true;
	return read_value(p, field, value);
}

static int whole(const struct parser *p)
{
	for (size_t i = 0; i < FIELD_OTHER; i++) {
		bool wanted = i != FIELD_MX || p->out->mode != MAIL_STS_NONE;

		if (wanted && !p->seen[i])
			return err_set(p->err, -EINVAL, "the field \"%s\" is missing",
				       field_names[i]);
	}
	return 0;
}

int mail_sts_parse(struct arena *a, struct span text, struct mail_sts *ret, struct err *e)
{
	struct parser p = {.arena = a, .out = ret, .err = e};

	*ret = (struct mail_sts){0};
	if (text.n > MAIL_STS_TEXT_MAX)
		return err_set(e, -EMSGSIZE, "longer than %d octets", MAIL_STS_TEXT_MAX);
	if (text.n == 0)
		return err_set(e, -EINVAL, "it is empty");
	p.mx = arena_calloc(a, text.n / MX_MIN + 1, sizeof(*p.mx));
	while (text.n > 0) {
		const uint8_t *end = memchr(text.p, '\n', text.n);
		struct span line = span_of(text.p, end != NULL ? (size_t)(end - text.p) : text.n);
		int error;

		text = span_skip(text, line.n + 1);
		if (end != NULL && line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		p.line++;
		error = read_line(&p, line);
		if (error < 0)
			return error;
	}
	ret->mx = p.mx;
	return whole(&p);
}

/* --- use -------------------------------------------------------------------------------------- */

bool mail_sts_matches(const char *pattern, const char *host)
{
	const char *dot;

	if (pattern[0] != '*')
		return strcmp(pattern, host) == 0;
	dot = strchr(host, '.');
	return dot != NULL && dot != host && strcmp(pattern + 1, dot) == 0;
}

bool mail_sts_allows(const struct mail_sts *p, const char *host)
{
	for (size_t i = 0; i < p->n_mx; i++)
		if (mail_sts_matches(p->mx[i], host))
			return true;
	return false;
}

bool mail_sts_is_id(const char *id)
{
	size_t n = strlen(id);

	for (size_t i = 0; i < n; i++)
		if (!is_alnum((uint8_t)id[i]))
			return false;
	return n > 0 && n <= MAIL_STS_ID_MAX;
}
