/*
 * A file of results, one JSON object a line, that a run adds to: domains whose lines it holds are
 * not done again. A line that an earlier run could not finish is taken off.
 */
#pragma once

#include "base/err.h"
#include "jobs/check/write.h"

struct cli_resume;

/* -errno and `e`: cannot be opened (a second run has it, too), or holds something else. */
int cli_resume_open(const char *path, struct cli_resume **ret, struct err *e) _mustcheck_;
struct cli_resume *cli_resume_free(struct cli_resume *r);
/* The verdict in the file, -1 if it has none. By a keyed hash of 64 bits: a million in 32 MiB. */
int cli_resume_find(const struct cli_resume *r, const char *domain);
/* -EIO if it cannot be written. */
int cli_resume_add(struct cli_resume *r, const struct js *result) _mustcheck_;

/* The same memory of names, for itself. True if it was not in yet. */
struct cli_names;
struct cli_names *cli_names_new(void);
struct cli_names *cli_names_free(struct cli_names *n);
bool cli_names_add(struct cli_names *n, const char *name, int value);
/* -1: not in. */
int cli_names_find(const struct cli_names *n, const char *name);
