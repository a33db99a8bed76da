#include "edge/io/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "edge/io/loop.h"

static const char cut_mark[] = " cut=yes";

static const struct {
	const char *name;
	char priority; /* syslog(3) */
} levels[] = {
	[IO_LOG_ERROR] = {"error", '3'},
	[IO_LOG_WARNING] = {"warning", '4'},
	[IO_LOG_INFO] = {"info", '6'},
	[IO_LOG_DEBUG] = {"debug", '7'},
};

static atomic_int most = -1; /* the level; -1: nothing */
static atomic_bool journal;

/* --- one line --------------------------------------------------------------------------------- */

struct line {
	char *p;
	size_t n, room; /* `room` without the NUL */
	bool full;
};

static void add(struct line *l, const void *p, size_t n)
{
	if (l->full || n > l->room - l->n) {
		l->full = true;
		return;
	}
	memcpy(l->p + l->n, p, n);
	l->n += n;
}

static void add_text(struct line *l, const char *text)
{
	add(l, text, strlen(text));
}

/* Whether it can stand without quotes: nothing that ends a field or is read as something else. */
static bool is_bare(struct span value)
{
	struct span one;

	if (value.n == 0)
		return false;
	while (value.n > 0)
		if (!text_take_plain(&value, &one) || one.p[0] == ' ' || one.p[0] == '"' ||
		    one.p[0] == '\\' || one.p[0] == '=')
			return false;
	return true;
}

/* Whole characters only. */
static struct span cut_value(const char *text, bool *ret_cut)
{
	struct span all = span_of(text, strnlen(text, IO_LOG_VALUE_MAX + 4)), rest = all, one;

	*ret_cut = all.n > IO_LOG_VALUE_MAX;
	if (!*ret_cut)
		return all;
	while ((size_t)(rest.p - all.p) <= IO_LOG_VALUE_MAX) {
		all.n = (size_t)(rest.p - all.p);
		text_take_plain(&rest, &one);
	}
	return all;
}

static void add_quoted(struct line *l, struct span value, bool cut)
{
	static const char digits[] = "0123456789abcdef";
	struct span one;

	add_text(l, "\"");
	while (value.n > 0) {
		bool plain = text_take_plain(&value, &one);

		if (plain && (one.p[0] == '"' || one.p[0] == '\\'))
			add_text(l, "\\");
		if (plain)
			add(l, one.p, one.n);
		/* A character of C1 has two octets. */
		for (size_t i = 0; !plain && i < one.n; i++)
			add(l, (char[]){'\\', 'x', digits[one.p[i] >> 4], digits[one.p[i] & 15]},
			    4);
	}
	add_text(l, cut ? "...\"" : "\"");
}

static void add_pair(struct line *l, const char *key, const char *text)
{
	bool cut;
	struct span value = cut_value(text, &cut);

	if (l->n > 0)
		add_text(l, " ");
	add_text(l, key);
	add_text(l, "=");
	if (!is_bare(value)) {
		add_quoted(l, value, cut);
		return;
	}
	add(l, value.p, value.n);
	if (cut)
		add_text(l, "...");
}

size_t io_log_format(char *into, size_t room, const char *session, const char *event,
		     const struct io_log_pair *pairs, size_t n)
{
	struct line l = {.p = into, .room = room - sizeof(cut_mark)};
	bool cut = false;

	require(room >= 64);
	/* A pair has its place whole or not at all; a later, shorter one may still have it. */
	for (size_t i = 0; i < n + 2; i++) {
		size_t before = l.n;

		if (i == 0)
			add_pair(&l, "session", session != NULL ? session : "-");
		else if (i == 1)
			add_pair(&l, "event", event);
		else if (pairs[i - 2].value != NULL)
			add_pair(&l, pairs[i - 2].key, pairs[i - 2].value);
		if (l.full)
			l.n = before;
		cut = cut || l.full;
		l.full = false;
	}
	l.room += sizeof(cut_mark) - 1;
	if (cut)
		add_text(&l, cut_mark);
	l.p[l.n] = '\0';
	return l.n;
}

/* --- out -------------------------------------------------------------------------------------- */

/* "DEVICE:INODE" of the journal's socket, if that is where standard error goes. */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char own[64];
	struct stat st;

	if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
		return false;
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, own) == 0;
}

void io_log_set_level(enum io_log_level l)
{
	atomic_store(&journal, is_journal());
	atomic_store(&most, (int)l);
}

bool io_log_wants(enum io_log_level l)
{
	return (int)l <= atomic_load_explicit(&most, memory_order_relaxed);
}

/* "<6>", or the time and the level. */
static size_t format_head(char *into, size_t room, enum io_log_level l)
{
	usec_t now;
	time_t seconds;
	struct tm tm;
	size_t n;

	if (atomic_load(&journal))
		return (size_t)snprintf(into, room, "<%c>", levels[l].priority);
	now = io_unix_now();
	seconds = (time_t)(now / USEC_PER_SEC);
	n = gmtime_r(&seconds, &tm) != NULL ? strftime(into, room, "%Y-%m-%dT%H:%M:%S", &tm) : 0;
	return n + (size_t)snprintf(into + n, room - n, ".%06dZ %s ", (int)(now % USEC_PER_SEC),
				    levels[l].name);
}

void io_log(enum io_log_level l, const char *session, const char *event,
	    const struct io_log_pair *pairs, size_t n)
{
	char line[IO_LOG_LINE_MAX];
	size_t length;
	int error = errno; /* whoever logs a failure may still want its number */

	if (!io_log_wants(l))
		return;
	length = format_head(line, sizeof(line), l);
	length += io_log_format(line + length, sizeof(line) - length, session, event, pairs, n);
	line[length++] = '\n'; /* in the place of the NUL */
	while (write(STDERR_FILENO, line, length) < 0 && errno == EINTR)
		;
	errno = error;
}

const char *io_log_number(char *into, int64_t n)
{
	snprintf(into, IO_LOG_NUMBER_MAX, "%lld", (long long)n);
	return into;
}
