/*
 * A configured command, run by somebody else: publishers start no process themselves. The gateway
 * forks a hook process before its sandbox and its threads; it knows the argument vectors of the
 * configuration, runs them without a shell, with a time-out, an output limit and a clean
 * environment. One runner stands for one command.
 */
#pragma once

#include "base/span.h"

enum publish_run_end {
	PUBLISH_RUN_EXITED,
	PUBLISH_RUN_KILLED, /* by a signal, or for its time or its output */
	PUBLISH_RUN_FAILED, /* it was never started */
};

struct publish_run {
	enum publish_run_end end;
	int status;         /* of EXITED */
	struct span output; /* what it wrote to standard output; borrowed */
	const char *words;  /* of the other two: why; borrowed */
};
typedef void publish_run_fn(void *arg, const struct publish_run *run);

struct publish_runner {
	/*
	 * Starts the command with `input` (copied) on its standard input. The callback never comes
	 * before this returns, comes at most once, and never after cancel. The handle, never NULL,
	 * is valid until then.
	 */
	void *(*start)(void *runner, struct span input, publish_run_fn *fn, void *arg);
	/* Nobody waits any more; the command may go on. */
	void (*cancel)(void *runner, void *handle);
	void *runner;
};
