#include "main/cli/progress.h"

#include <stdio.h>
#include <unistd.h>

enum {
	EVERY_MS = 300,
	BAR = 20, /* columns */
};

struct cli_progress {
	struct io_loop *loop;
	struct io_timer *timer;
	const struct check_count *count;
	size_t total;
	usec_t began;
	bool shown;
};

static void draw_bar(const struct cli_progress *p, size_t done)
{
	size_t full = done >= p->total ? BAR : done * BAR / p->total;

	fputc('[', stderr);
	for (size_t i = 0; i < BAR; i++)
		fputc(i < full ? '#' : '.', stderr);
	fprintf(stderr, "] %zu/%zu", done, p->total);
}

static void draw(struct cli_progress *p)
{
	double seconds = (double)(io_now(p->loop) - p->began) / (double)USEC_PER_SEC;
	size_t done = check_count_all(p->count);

	fputs("\r\033[K", stderr);
	if (p->total > 0)
		draw_bar(p, done);
	else
		fprintf(stderr, "%zu", done);
	fprintf(stderr, " domains, %.0f/s", seconds > 0.1 ? (double)done / seconds : 0.0);
	for (int v = 0; v < CHECK_VERDICTS; v++)
		if (p->count->of[v] > 0)
			fprintf(stderr, ", %zu %s", p->count->of[v], check_verdict_to_string(v));
	fflush(stderr);
	p->shown = true;
}

static void on_timer(void *arg)
{
	struct cli_progress *p = arg;

	draw(p);
	io_timer_set(p->timer, usec_add(io_now(p->loop), EVERY_MS * 1000));
}

struct cli_progress *cli_progress_new(struct io_loop *l, size_t total,
				      const struct check_count *count)
{
	struct cli_progress *p;

	if (!isatty(STDERR_FILENO))
		return NULL;
	p = xcalloc(1, sizeof(*p));
	p->loop = l;
	p->total = total;
	p->count = count;
	p->began = io_now(l);
	p->timer = io_timer_new(l, on_timer, p);
	io_timer_set(p->timer, usec_add(p->began, EVERY_MS * 1000));
	return p;
}

void cli_progress_hide(struct cli_progress *p)
{
	if (p == NULL || !p->shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	p->shown = false;
}

struct cli_progress *cli_progress_free(struct cli_progress *p)
{
	if (p == NULL)
		return NULL;
	cli_progress_hide(p);
	io_timer_free(p->timer);
	free(p);
	return NULL;
}
