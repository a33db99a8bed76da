#include "base/base.h"

#include <stdio.h>
#include <string.h>

void base_require_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "daneway: bug: %s:%d: \"%s\" does not hold\n", file, line, what);
	abort();
}

static void *checked(void *p)
{
	if (p == NULL) {
		fputs("daneway: out of memory\n", stderr);
		abort();
	}
	return p;
}

void *xmalloc(size_t size)
{
	return checked(malloc(size > 0 ? size : 1));
}

void *xcalloc(size_t n, size_t size)
{
	return checked(n > 0 && size > 0 ? calloc(n, size) : calloc(1, 1));
}

void *xrealloc(void *p, size_t size)
{
	return checked(realloc(p, size > 0 ? size : 1));
}

char *xstrdup(const char *s)
{
	return checked(strdup(s));
}

char *xstrndup(const char *s, size_t n)
{
	size_t length = strnlen(s, n);
	char *copy = xmalloc(length + 1);

	memcpy(copy, s, length);
	copy[length] = '\0';
	return copy;
}
