/* How far a run over many domains is: one line on standard error, if that is a terminal. */
#pragma once

#include "edge/io/loop.h"
#include "jobs/check/write.h"

struct cli_progress;

/* NULL if standard error is no terminal; every function takes NULL. `total` 0: not known. */
struct cli_progress *cli_progress_new(struct io_loop *l, size_t total,
				      const struct check_count *count);
struct cli_progress *cli_progress_free(struct cli_progress *p);
/* Takes the line away, for output that goes to the same terminal; it comes back by itself. */
void cli_progress_hide(struct cli_progress *p);
