#include "jobs/receive/passwords.h"

#include <errno.h>

struct entry {
	const char *user, *hash; /* into `text` */
};

struct receive_passwords {
	char *text; /* lines, cut into strings */
	size_t size;
	struct entry *sorted;
	size_t n;
};

/* The hash of no password; where the file has no user. */
static const char nobody[] = "$6$daneway$";

static const char *const good[] = {"$y$", "$gy$", "$7$", "$2b$", "$2a$", "$2y$", "$6$", "$5$"};

static bool is_hash(const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (strncmp(s, good[i], strlen(good[i])) == 0)
			return strlen(s) > 20 && strpbrk(s, " \t") == NULL;
	return false;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->user, ((const struct entry *)b)->user);
}

static int take_line(struct receive_passwords *p, char *line, size_t number, struct err *e)
{
	char *colon = strchr(line, ':'), *end;

	if (line[0] == '\0' || line[0] == '#')
		return 0;
	if (colon == NULL || colon == line)
		return err_set(e, -EINVAL, "line %zu: not USER:HASH", number);
	*colon = '\0';
	end = strchr(colon + 1, ':');
	if (end != NULL)
		*end = '\0';
	if (!is_hash(colon + 1))
		return err_set(
			e, -EINVAL,
			"line %zu: no hash of crypt(3) that is good today (yescrypt, scrypt, "
			"bcrypt, SHA-512, SHA-256)",
			number);
	p->sorted[p->n++] = (struct entry){line, colon + 1};
	return 0;
}

static int take_lines(struct receive_passwords *p, struct err *e)
{
	char *line = p->text;

	for (size_t number = 1; line != NULL; number++) {
		char *next = strchr(line, '\n');

		if (next != NULL)
			*next++ = '\0';
		line[strcspn(line, "\r")] = '\0';
		if (take_line(p, line, number, e) < 0)
			return -EINVAL;
		line = next;
	}
	qsort(p->sorted, p->n, sizeof(*p->sorted), compare);
	for (size_t i = 1; i < p->n; i++)
		if (compare(&p->sorted[i - 1], &p->sorted[i]) == 0)
			return err_set(e, -EINVAL, "a user stands there twice");
	return 0;
}

int receive_passwords_parse(struct span text, struct receive_passwords **ret, struct err *e)
{
	struct receive_passwords *p = xcalloc(1, sizeof(*p));
	size_t lines = 1;

	for (size_t i = 0; i < text.n; i++)
		lines += text.p[i] == '\n';
	p->size = text.n + 1;
	p->text = xcalloc(1, p->size);
	if (text.n > 0)
		memcpy(p->text, text.p, text.n);
	p->sorted = xcalloc(lines, sizeof(*p->sorted));
	if (strlen(p->text) != text.n) {
		receive_passwords_free(p);
		return err_set(e, -EINVAL, "a NUL in a file of passwords");
	}
	if (take_lines(p, e) < 0) {
		receive_passwords_free(p);
		return -EINVAL;
	}
	*ret = p;
	return 0;
}

struct receive_passwords *receive_passwords_free(struct receive_passwords *p)
{
	if (p == NULL)
		return NULL;
	explicit_bzero(p->text, p->size);
	free(p->text);
	free(p->sorted);
	free(p);
	return NULL;
}

size_t receive_passwords_count(const struct receive_passwords *p)
{
	return p->n;
}

const char *receive_passwords_hash(const struct receive_passwords *p, struct span user,
				   bool *ret_known)
{
	/* All of them, whoever it is: the time says nothing of the name. */
	const char *hash = p->n > 0 ? p->sorted[0].hash : nobody;

	*ret_known = false;
	for (size_t i = 0; i < p->n; i++) {
		if (span_is(user, p->sorted[i].user)) {
			hash = p->sorted[i].hash;
			*ret_known = true;
		}
	}
	return hash;
}
