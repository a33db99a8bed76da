/*
 * `daneway serve`: the gateway from its start to its end.
 *
 * The order of the start: the process for hooks is forked, if there are any (edge/io/hook.h),
 * before there is anything that it should not have. Sockets are bound and keys read (as root, if it
 * was started so), folders are made, root is given up for good, then threads begin: the store's,
 * the resolver's, the loop's. It is ready once it listens. DNS is looked at beside that
 * (dns_resolver_check): as long as the root's keys are not good it accepts and stores mail and
 * sends none.
 *
 * SIGTERM and SIGINT: no new sessions, those that run may end what they are at, for
 * GATEWAY_STOP_MAX at most; a second one ends it at once. Nothing is lost either way. SIGHUP: the
 * file is read again and takes the old one's place whole, or not at all.
 */
#pragma once

#include "edge/dns/resolver.h"
#include "edge/io/hook.h"
#include "main/config/file.h"

enum {
	GATEWAY_STOP_MAX = 60, /* seconds; systemd waits 90 */
};

enum gateway_end {
	GATEWAY_ENDED,       /* as it was told to */
	GATEWAY_BAD_CONFIG,  /* the file names what is not there, or not good */
	GATEWAY_NOT_ALLOWED, /* a port, a folder, a user: permission */
	GATEWAY_UNAVAILABLE, /* a port is taken, the queue is another's, the disk fails */
};

struct gateway_start {
	struct config_file *file; /* taken over */
	const char *hostname;
	struct dns_config dns; /* strings live until the end */
	/* Commands that may be run, alive until the end; no key of the file names any yet. */
	const struct io_hook_command *hooks;
	size_t n_hooks;
};

/* Returns when it is all over; `e` says why if it is not GATEWAY_ENDED. */
enum gateway_end gateway_serve(const struct gateway_start *start, struct err *e);
