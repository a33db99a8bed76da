/*
 * What the programs of the bench share: a list on standard input, a message, the cost of a stretch
 * of the run. Anything unexpected ends the program with a line on stderr: a figure of a run that
 * half failed would be worth nothing.
 */
#pragma once

#include <stdint.h>

#include "base/base.h"

struct bench_list {
	char **lines;
	size_t n;
};

/* All lines of standard input, without the line ends. Kept until the program ends. */
struct bench_list bench_read_list(void);

/* A message of exactly `size` octets (100 at least): a short header, lines of 76, CRLF. */
char *bench_message(size_t size);

/* A number from argv. */
size_t bench_number(const char *text);

_Noreturn void bench_die(const char *format, ...) _printf_(1, 2);

/*
 * From bench_cost_begin to bench_cost_print: processor time of all threads of the process, time on
 * the wall, and by how much the resident memory had grown when it was largest among the samples.
 */
struct bench_cost {
	double cpu, wall; /* seconds, at the beginning */
	size_t rss, rss_most;
};

void bench_cost_begin(struct bench_cost *c);
void bench_cost_sample_memory(struct bench_cost *c);
/* One line of JSON. */
void bench_cost_print(const struct bench_cost *c, size_t n_done);
