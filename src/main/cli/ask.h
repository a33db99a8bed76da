/* The options of check that ask for more: --at, --cert, --record, --to, --from, --send. */
#pragma once

#include "jobs/check/run.h"
#include "jobs/send/send.h"
#include "main/cli/cli.h"

struct cli_ask {
	struct arena arena;
	struct tls_chain *cert;
	struct mail_address to, from;
	struct check_inbound inbound;
};

/*
 * Fills in what the options say; `own_name` is what EHLO says. 0, or the exit code with its line
 * written.
 */
int cli_ask_read(struct cli_ask *ask, const struct config *c, const char *own_name,
		 struct check_options *ret);
void cli_ask_done(struct cli_ask *ask);

/*
 * Seconds since 1970, or RFC 3339: "2026-12-24T18:00:00Z", "2026-12-24T19:00:00+01:00", or a day.
 * -EINVAL for anything else.
 */
int cli_time(const char *text, int64_t *ret) _mustcheck_;

/* --send: a test message on its way. */
struct cli_letter;

/* `fn` once, never from within cli_letter_new; the finding is in the tree then. */
struct cli_letter *cli_letter_new(const struct check_env *env, const struct check_options *o,
				  struct check_tree *t, io_fn *fn, void *arg, struct err *e);
struct cli_letter *cli_letter_free(struct cli_letter *l);
