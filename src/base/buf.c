#include "base/buf.h"

#include <errno.h>
#include <stdio.h>

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_done(struct buf *b)
{
	free(b->p);
	buf_init(b, b->max);
}

void buf_clear(struct buf *b)
{
	b->n = 0;
}

/* Doubling, never beyond max. */
int buf_reserve(struct buf *b, size_t n)
{
	size_t room = b->room;

	if (n > b->max - b->n)
		return -EMSGSIZE;
	if (b->n + n <= room)
		return 0;
	while (room < b->n + n)
		room = room < 64 ? 64 : room * 2;
	if (room > b->max)
		room = b->max;
	b->p = xrealloc(b->p, room);
	b->room = room;
	return 0;
}

int buf_add(struct buf *b, const void *p, size_t n)
{
	int ret = buf_reserve(b, n);

	if (ret < 0)
		return ret;
	if (n > 0)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	return 0;
}

int buf_add_text(struct buf *b, const char *text)
{
	return buf_add(b, text, strlen(text));
}

int buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;
	char *text;
	int n, ret;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	require(n >= 0);
	ret = buf_add(b, text, (size_t)n);
	free(text);
	return ret;
}

void buf_drop(struct buf *b, size_t n)
{
	require(n <= b->n);
	b->n -= n;
	if (n > 0 && b->n > 0)
		memmove(b->p, b->p + n, b->n);
}
