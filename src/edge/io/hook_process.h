/* The other side of edge/io/hook.h: what the hook process does all its life. Inside the room. */
#pragma once

#include "edge/io/hook.h"

/*
 * In the child of a fork, single-threaded. Its first packet is a reply with id 0: EXITED when it is
 * ready, NOT_STARTED with the error and words if not. Ends when the other end of `socket` closes.
 */
_Noreturn void io_hook_process(int socket, const struct io_hook_command *commands, size_t n,
			       io_hook_confine_fn *confine, void *arg);
