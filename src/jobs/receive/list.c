#include "jobs/receive/list.h"

#include <errno.h>

#include "core/mail/address.h"

struct receive_list {
	char *text;    /* local parts as they are compared, each with a NUL behind it */
	char **sorted; /* into `text` */
	size_t n;
	bool all; /* "@domain" */
};

_Static_assert(RECEIVE_LOCAL_ROOM == MAIL_LOCAL_MAX + 1, "room for every local part");

void receive_local_plain(const char *local, char ret[RECEIVE_LOCAL_ROOM])
{
	bool quoted = local[0] == '"';
	size_t n = 0;

	for (const char *c = local + quoted; *c != '\0' && n < RECEIVE_LOCAL_ROOM - 1; c++) {
		if (quoted && *c == '"')
			break;
		if (quoted && *c == '\\' && c[1] != '\0')
			c++;
		ret[n++] = (char)ascii_lower((uint8_t)*c);
	}
	ret[n] = '\0';
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct span trim(struct span s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = span_skip(s, 1);
	while (s.n > 0 && memchr(" \t\r", s.p[s.n - 1], 3) != NULL)
		s.n--;
	return s;
}

static bool next_line(struct span *rest, struct span *ret)
{
	const uint8_t *lf;

	if (rest->n == 0)
		return false;
	lf = memchr(rest->p, '\n', rest->n);
	*ret = span_of(rest->p, lf == NULL ? rest->n : (size_t)(lf - rest->p));
	*rest = span_skip(*rest, ret->n + 1);
	*ret = trim(*ret);
	return true;
}

/* An address, or a local part alone: that has no '@' but in quotes. */
static int parse_line(struct arena *a, struct span line, const char *domain,
		      struct mail_address *ret, struct err *e)
{
	const char *text;

	if (mail_address_parse(a, line, ret, e) == 0)
		return 0;
	text = arena_printf(a, "%s@%s", arena_text(a, line), domain);
	if (memchr(line.p, '\0', line.n) != NULL)
		return err_set(e, -EINVAL, "NUL in an address");
	if (line.p[line.n - 1] != '"' && memchr(line.p, '@', line.n) != NULL)
		return -EINVAL; /* the first reason is the better one */
	return mail_address_parse(a, span_text(text), ret, e);
}

static int take_line(struct receive_list *l, struct span line, const char *domain, char **to,
		     struct err *e)
{
	struct arena a = {0};
	struct mail_address address;
	struct mail_domain whole;
	int r;

	if (line.p[0] == '@') {
		r = mail_domain_parse(&a, span_skip(line, 1), &whole, e);
		l->all |= r == 0 && strcmp(whole.text, domain) == 0;
	} else {
		r = parse_line(&a, line, domain, &address, e);
		if (r == 0 && strcmp(address.domain.text, domain) == 0) {
			receive_local_plain(address.local, *to);
			l->sorted[l->n++] = *to;
			*to += strlen(*to) + 1;
		}
	}
	arena_done(&a);
	return r;
}

int receive_list_parse(struct span text, const char *domain, struct receive_list **ret,
		       struct err *e)
{
	struct receive_list *l = xcalloc(1, sizeof(*l));
	struct span rest = text, line;
	size_t n = 1, number = 0;
	struct err why;
	char *to;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '\n';
	/* A line has room for what stands in it, and one more so that a whole local part fits. */
	l->text = to = xmalloc(text.n + n + RECEIVE_LOCAL_ROOM);
	l->sorted = xcalloc(n, sizeof(*l->sorted));
	while (next_line(&rest, &line)) {
		number++;
		if (line.n == 0 || line.p[0] == '#')
			continue;
		if (take_line(l, line, domain, &to, &why) < 0) {
			receive_list_free(l);
			return err_set(e, -EINVAL, "line %zu: %s", number, why.text);
		}
	}
	qsort(l->sorted, l->n, sizeof(*l->sorted), compare);
	*ret = l;
	return 0;
}

struct receive_list *receive_list_free(struct receive_list *l)
{
	if (l == NULL)
		return NULL;
	free(l->text);
	free(l->sorted);
	free(l);
	return NULL;
}

size_t receive_list_count(const struct receive_list *l)
{
	return l->n;
}

bool receive_list_names(const struct receive_list *l, const char *local)
{
	char plain[RECEIVE_LOCAL_ROOM];
	const char *key = plain;

	receive_local_plain(local, plain);
	return bsearch(&key, l->sorted, l->n, sizeof(*l->sorted), compare) != NULL;
}

bool receive_list_has(const struct receive_list *l, const char *local)
{
	return l->all || receive_list_names(l, local);
}
