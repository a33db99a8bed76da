#include "main/cli/lines.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct cli_lines {
	struct io_watch *watch; /* NULL for a regular file, which epoll refuses */
	struct io_timer *turn;
	int fd;
	int error;
	cli_line_fn *fn;
	void *arg;
	bool wanted, ended, told, skipping;
	char input[65536];
	size_t at, n; /* what of `input` is unread */
	char *line;
	size_t length, max;
};

static void end_line(struct cli_lines *s, bool too_long)
{
	if (s->length > 0 && s->line[s->length - 1] == '\r')
		s->length--;
	s->line[s->length] = '\0';
	s->length = 0;
	s->fn(s->arg, s->line, too_long);
}

/* Hands out the lines that are in, as long as they are wanted. */
static void hand_out(struct cli_lines *s)
{
	while (s->wanted && s->at < s->n) {
		char c = s->input[s->at++];

		if (c == '\n') {
			if (!s->skipping)
				end_line(s, false);
			s->skipping = false;
		} else if (s->skipping) {
			continue; /* the rest of a line that is told already */
		} else if (s->length < s->max) {
			s->line[s->length++] = c == '\0' ? '\x01' : c; /* NUL is no name's octet */
		} else {
			s->skipping = true;
			end_line(s, true);
		}
	}
	if (!s->wanted || !s->ended || s->at < s->n || s->told)
		return;
	if (s->length > 0) {
		end_line(s, false);
		if (!s->wanted)
			return;
	}
	s->told = true;
	s->fn(s->arg, NULL, false);
}

/* Only once for each readiness: a second read could block. */
static void fill(struct cli_lines *s)
{
	ssize_t n;

	if (s->ended || s->at < s->n)
		return;
	s->at = s->n = 0;
	n = read(s->fd, s->input, sizeof(s->input));
	if (n > 0) {
		s->n = (size_t)n;
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		s->ended = true;
		s->error = n < 0 ? -errno : 0;
	}
}

/* Waits for what is to come next. */
static void wait_more(struct cli_lines *s)
{
	bool more = s->wanted && !s->told;
	bool at_once = more && (s->watch == NULL || s->at < s->n || s->ended);

	io_timer_set(s->turn, at_once ? 0 : USEC_NEVER);
	if (s->watch != NULL)
		io_watch_set(s->watch, more && !at_once ? IO_READ : 0);
}

static void on_turn(void *arg)
{
	struct cli_lines *s = arg;

	if (s->watch == NULL)
		fill(s);
	hand_out(s);
	wait_more(s);
}

static void on_ready(void *arg, unsigned ready)
{
	struct cli_lines *s = arg;

	(void)ready;
	fill(s);
	hand_out(s);
	wait_more(s);
}

struct cli_lines *cli_lines_new(struct io_loop *l, int fd, size_t max, cli_line_fn *fn, void *arg)
{
	struct cli_lines *s = xcalloc(1, sizeof(*s));
	struct stat st;

	s->fd = fd;
	s->fn = fn;
	s->arg = arg;
	s->max = max;
	s->line = xmalloc(max + 1);
	s->turn = io_timer_new(l, on_turn, s);
	if (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || isatty(fd)))
		s->watch = io_watch_new(l, fd, on_ready, s);
	cli_lines_want(s, true);
	return s;
}

struct cli_lines *cli_lines_free(struct cli_lines *s)
{
	if (s != NULL) {
		io_watch_free(s->watch);
		io_timer_free(s->turn);
		free(s->line);
		free(s);
	}
	return NULL;
}

void cli_lines_want(struct cli_lines *s, bool wanted)
{
	s->wanted = wanted;
	wait_more(s);
}

int cli_lines_error(const struct cli_lines *s)
{
	return s != NULL ? s->error : 0;
}
