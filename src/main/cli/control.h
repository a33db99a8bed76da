/* The commands' side of the gateway's control socket (main/gateway/control.h). */
#pragma once

#include "base/js.h"
#include "main/cli/cli.h"
#include "main/gateway/request.h"

/* `item`: lent. Returns CLI_OK, or an exit code that ends it. */
typedef int cli_item_fn(void *arg, const struct js *item);

/*
 * Asks the gateway of the configuration in `c` (or of the usual folder) and waits for the answer.
 * Items go to `fn`; the last line's "done" to `ret_done` (the caller's). CLI_OK, or an exit code
 * with its line written: 69 when none runs, 77 when it is not for us, 75 when it breaks off.
 */
int cli_control_ask(const struct config *c, const struct gateway_request *r, cli_item_fn *fn,
		    void *arg, struct js **ret_done);

/* A text for people: NULL and no text: `otherwise`. In `a`, without what a terminal obeys. */
const char *cli_plain(struct arena *a, const struct js *text, const char *otherwise);
/* CLI_OK, or 74 with its line written. */
int cli_written(const char *command);
