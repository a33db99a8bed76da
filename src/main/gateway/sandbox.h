/*
 * What the process may still do once it serves: Landlock for files, seccomp for system calls.
 * Entered once, after root is given up and before the first thread, so that all threads are in it.
 * There is no way out.
 *
 * Files: it reads beneath the folders that it is given and a few of the system's, writes beneath
 * its own, and nothing else; it executes nothing. Calls: no program is started and no process made
 * (only threads), nothing is traced, mounted or loaded; sockets are IPv4, IPv6 and Unix ones. The
 * list says what is refused, not what is allowed: the libraries change what they call with each
 * update (docs/decisions/0036). A refused call fails with EPERM.
 *
 * Where the kernel has one of the two not, the other is used, and it is said.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "main/gateway/privileges.h"

enum {
	GATEWAY_SANDBOX_PATHS = 64, /* that are given; further ones cannot be used */
};

struct gateway_sandbox {
	struct gateway_sandbox_list {
		const char *items[GATEWAY_SANDBOX_PATHS];
		size_t n;
	} read, write, sockets; /* folders, each once */
};

/*
 * Zero-initialised memory allows the system's folders alone. Strings go to the arena; too many are
 * left out. The folder that holds `path` (NULL: none), and the one where a symbolic link leads:
 */
void gateway_sandbox_read(struct gateway_sandbox *s, struct arena *a, const char *path);
void gateway_sandbox_write(struct gateway_sandbox *s, struct arena *a, const char *folder);
/* Unix sockets may be made in the folder of `path`, and removed. */
void gateway_sandbox_socket(struct gateway_sandbox *s, struct arena *a, const char *path);

/*
 * 0, with what was entered: the version of Landlock (0: the kernel has none) and whether calls are
 * filtered. Negative: it could not be entered though the kernel has it.
 */
int gateway_sandbox_enter(const struct gateway_sandbox *s, int *ret_landlock, bool *ret_seccomp,
			  struct err *e) _mustcheck_;
