/* Files that a command reads and writes. */
#pragma once

#include <stdio.h>

#include "base/js.h"

/* Writes the contents; -EIO or another errno. */
typedef int cli_file_fn(void *arg, FILE *out);

/*
 * Whole or not at all: written beside it, flushed, renamed. -errno with path and reason; nothing
 * partial is left.
 */
int cli_file_write_by(const char *path, cli_file_fn *fn, void *arg, struct err *e) _mustcheck_;
int cli_file_write(const char *path, const struct js *v, struct err *e) _mustcheck_;

/*
 * NULL and `e` (which does not repeat the path) if it cannot be read, is larger, has a million
 * values or is no JSON.
 */
struct js *cli_file_read_json(const char *path, size_t max, struct err *e) _mustcheck_;
