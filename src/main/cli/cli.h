/*
 * The commands: one file each. A command gets its own name in argv[0] and returns the exit code
 * (docs/man/daneway.1, "EXIT STATUS").
 */
#pragma once

#include "main/config/options.h"

enum {
	CLI_OK = 0,
	CLI_USAGE = 64,       /* EX_USAGE */
	CLI_DATA = 65,        /* EX_DATAERR: a bad domain or address */
	CLI_UNAVAILABLE = 69, /* EX_UNAVAILABLE: failed for good */
	CLI_WRITE = 74,       /* EX_IOERR */
	CLI_TEMPORARY = 75,   /* EX_TEMPFAIL */
	CLI_NOT_ALLOWED = 77, /* EX_NOPERM */
	CLI_CONFIG = 78,      /* EX_CONFIG: anchor, clock, files */
};

/* `c` holds the global options given before the command's name. */
typedef int cli_command_fn(struct config *c, int argc, char **argv);

cli_command_fn cli_check, cli_config, cli_deliver, cli_dnssec, cli_policy, cli_queue, cli_serve,
	cli_status, cli_tlsa;

/*
 * What the command line left open, from the environment and daneway.yaml; a command calls it when
 * its own options are read. 0, or an exit code with its lines written: 64 for the environment, 78
 * for the file. A file that nobody named need not be there.
 */
int cli_configure(struct config *c);

/* "daneway: COMMAND: text" as one line on stderr; returns `code`. */
int cli_fail(int code, const char *format, ...) _printf_(2, 3);
