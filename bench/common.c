#include "common.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

void bench_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

struct bench_list bench_read_list(void)
{
	struct bench_list list = {0};
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while ((n = getline(&line, &room, stdin)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		list.lines = xrealloc(list.lines, (list.n + 1) * sizeof(*list.lines));
		list.lines[list.n++] = xstrdup(line);
	}
	free(line);
	if (list.n == 0)
		bench_die("standard input: a list is wanted");
	return list;
}

char *bench_message(size_t size)
{
	static const char header[] = "From: <bench@sender.lab.invalid>\r\nSubject: bench\r\n\r\n";
	size_t n = sizeof(header) - 1;
	char *text = xmalloc(size);

	require(size >= 100);
	memcpy(text, header, n);
	for (size_t i = n; i < size; i++)
		text[i] = (char)('a' + i % 26);
	for (size_t end = n + 76; end + 2 < size - 2; end += 78)
		memcpy(text + end, "\r\n", 2);
	memcpy(text + size - 2, "\r\n", 2);
	return text;
}

size_t bench_number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0')
		bench_die("not a number: %s", text);
	return n;
}

/* --- cost ------------------------------------------------------------------------------------- */

static double cpu_now(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double wall_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t rss_now(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long whole = 0, resident = 0;

	if (f == NULL || fscanf(f, "%lu %lu", &whole, &resident) != 2)
		bench_die("/proc/self/statm cannot be read");
	fclose(f);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

void bench_cost_begin(struct bench_cost *c)
{
	c->rss = c->rss_most = rss_now();
	c->wall = wall_now();
	c->cpu = cpu_now();
}

void bench_cost_sample_memory(struct bench_cost *c)
{
	size_t rss = rss_now();

	if (rss > c->rss_most)
		c->rss_most = rss;
}

void bench_cost_print(const struct bench_cost *c, size_t n_done)
{
	double cpu = cpu_now() - c->cpu, wall = wall_now() - c->wall;

	printf("{\"done\": %zu, \"cpu\": %.6f, \"wall\": %.6f, \"memory\": %zu}\n", n_done, cpu,
	       wall, c->rss_most - c->rss);
}
