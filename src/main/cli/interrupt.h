/* SIGINT and SIGTERM as an event of the loop: the run ends in order. */
#pragma once

#include "edge/io/loop.h"

struct cli_interrupt;

/* `fn` at the first of them; the next one ends the process as if nobody listened. */
struct cli_interrupt *cli_interrupt_new(struct io_loop *l, io_fn *fn, void *arg);
struct cli_interrupt *cli_interrupt_free(struct cli_interrupt *i);
