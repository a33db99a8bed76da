/*
 * The hook process: starts programs for a process that may start none. It is forked early, before
 * threads, before the sandbox and before keys are read, so it has neither descriptor nor memory
 * with them; what it runs is fixed at that moment (docs/decisions/0040).
 *
 *	h = io_hooks_fork(commands, n, confine, arg, &e);	// then keys, sandbox, threads
 *	io_hooks_attach(h, loop, on_lost, x);
 *	io_hooks_run(h, 0, input, on_ran, y, &id);
 *	io_hooks_free(h);
 *
 * What always holds:
 *  - A command is named by its number; its argv is what was given at the fork, octet for octet. No
 *    shell, no PATH, nothing of a peer. What varies comes to it on standard input.
 *  - One at a time, in the order of the calls. It has a session of its own, "/" as its folder,
 *    umask 022, PATH and LC_ALL and no other variable, default signals, and the descriptors 0, 1
 *    and 2.
 *  - At its end or its time-out whatever it has started and left is killed, in its process group or
 *    not (this second part where /proc is mounted). The same if the caller's process ends.
 *  - Memory of the caller: IO_HOOK_WAITING_MAX inputs, 6.4 MB at most.
 *  - The hook process ends if it is sent what is not well formed; the caller lets go of it if it is
 *    answered so. It cannot be forked again: from then on io_hooks_run says -EPIPE.
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "base/span.h"
#include "edge/io/loop.h"

enum {
	IO_HOOK_COMMANDS_MAX = 100,
	IO_HOOK_INPUT_MAX = 64 * 1024,  /* octets */
	IO_HOOK_OUTPUT_MAX = 64 * 1024, /* octets; what comes after them is read and forgotten */
	IO_HOOK_WAITING_MAX = 100,      /* runs, the one under way included */
	IO_HOOK_GRACE = 10,             /* seconds after a time-out, within which it is told of */
};

struct io_hook_command {
	const char *const *argv; /* the first is an absolute path; NULL at the end */
	usec_t timeout;
};

enum io_hook_end {
	IO_HOOK_EXITED,      /* `code`: its exit code */
	IO_HOOK_SIGNALLED,   /* `code`: by which signal */
	IO_HOOK_TIMED_OUT,   /* killed */
	IO_HOOK_NOT_STARTED, /* `code`: errno */
	IO_HOOK_LOST,        /* the hook process has ended: it may have run, or not */
};
const char *io_hook_end_to_string(enum io_hook_end end);

struct io_hook_result {
	enum io_hook_end end;
	int code;
	bool cut;           /* the output was longer */
	struct span output; /* standard output and error as they came; valid for the call */
};

/* Called once, from the loop. It may call io_hooks_run, not io_hooks_free (see io_defer). */
typedef void io_hook_fn(void *arg, const struct io_hook_result *r);
/* In the hook process, once its descriptors are closed: gives up what it need not have. */
typedef int io_hook_confine_fn(void *arg, struct err *e);

struct io_hooks;

/*
 * `commands` and their strings live as long as the result. Waits until the hook process is ready.
 * NULL and `e`: it could not be made, `confine` failed, or a command has no absolute path.
 */
struct io_hooks *io_hooks_fork(const struct io_hook_command *commands, size_t n,
			       io_hook_confine_fn *confine, void *arg, struct err *e) _mustcheck_;
/*
 * Once, before the first run. `lost` (may be NULL): the hook process has ended by itself, all runs
 * have been told; it may not call io_hooks_free either. The log has it too ("hooks_lost").
 */
void io_hooks_attach(struct io_hooks *h, struct io_loop *loop, io_fn *lost, void *arg);
/*
 * Ends the hook process and what it runs; waits a second for it at most. Callbacks that are due do
 * not come. NULL is fine; returns NULL.
 */
struct io_hooks *io_hooks_free(struct io_hooks *h);

/*
 * Copies `input`. 0: `fn` will come, and `ret_id` (may be NULL) names the run. Else it will not:
 * -ENOENT no such command, -EMSGSIZE the input is too long, -EBUSY too many wait, -EPIPE there is
 * no hook process any more.
 */
int io_hooks_run(struct io_hooks *h, size_t command, struct span input, io_hook_fn *fn, void *arg,
		 uint64_t *ret_id) _mustcheck_;
/* Its `fn` will not come; the command may run all the same. An id that is over is fine. */
void io_hooks_cancel(struct io_hooks *h, uint64_t id);

bool io_hooks_lost(const struct io_hooks *h);
pid_t io_hooks_pid(const struct io_hooks *h);
