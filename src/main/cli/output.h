/*
 * Where the results of `check` go: to standard output in one form, to the file of --resume
 * instead, to the page of --html besides.
 */
#pragma once

#include "jobs/check/write.h"
#include "main/cli/cli.h"

struct cli_output;

/* `many`: several domains, so one JSON object a line. 0, or an exit code with its line written. */
int cli_output_open(const struct config *c, bool many, struct cli_output **ret);
struct cli_output *cli_output_free(struct cli_output *o);

/* Whether the file of --resume has this domain's result; then it counts as one of this run. */
bool cli_output_has(struct cli_output *o, const char *domain);
/* False once anything could not be written: nothing more need be done. */
bool cli_output_add(struct cli_output *o, const struct check_result *r);
/* All results so far. */
const struct check_count *cli_output_count(const struct cli_output *o);
/* What can be written only now. 0, or 74 with its line written. */
int cli_output_end(struct cli_output *o);
