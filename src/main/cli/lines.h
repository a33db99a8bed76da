/*
 * Lines of a descriptor, read while the loop goes on: as many at a time as the owner can use.
 * Works for pipes, terminals and regular files.
 */
#pragma once

#include "edge/io/loop.h"

struct cli_lines;

/* `line` without its end, borrowed; NULL at the end of input. Longer than `max`: cut, `too_long`.
 */
typedef void cli_line_fn(void *arg, const char *line, bool too_long);

struct cli_lines *cli_lines_new(struct io_loop *l, int fd, size_t max, cli_line_fn *fn, void *arg);
struct cli_lines *cli_lines_free(struct cli_lines *s);
/* At the end of input: 0, or the negative errno of the read that failed. NULL is fine. */
int cli_lines_error(const struct cli_lines *s);
/* Whether lines are wanted now. After `false` no call comes until `true`. */
void cli_lines_want(struct cli_lines *s, bool wanted);
