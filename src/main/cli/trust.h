/* The files in which a walk from the root begins: --trust-anchor and --root-hints. */
#pragma once

#include "jobs/check/chain.h"
#include "main/cli/cli.h"

/* What they hold, in the arena. 0, or 78 with its line written. */
int cli_trust_read(struct arena *a, const struct config *c, struct check_trust *ret);
