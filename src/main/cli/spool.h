/* The message of `deliver` in an unlinked file: standard input, CRLF lines. */
#pragma once

#include "core/mail/message.h"

/*
 * Reads `in` to its end. 0 and a descriptor that the caller closes. -EMSGSIZE: more than
 * `max_size` octets; -EINVAL: NUL or a bare CR (docs/decisions/0002); else the spool or the input
 * failed, and `e` says how.
 */
int cli_spool(int in, uint64_t max_size, struct mail_message *ret_facts, int *ret_fd, struct err *e)
	_mustcheck_;
