/*
 * What goes between the gateway and the hook process: one packet (SOCK_SEQPACKET) each way a run.
 * Pure. Numbers in network order.
 *
 *	request: id 8, command 4, input
 *	reply:   id 8, end 1, cut 1, code 4, output
 *
 * Each side takes the other for hostile: a packet that is not just so is -EPROTO.
 */
#pragma once

#include "base/buf.h"
#include "edge/io/hook.h"

enum {
	IO_HOOK_REQUEST_HEAD = 12,
	IO_HOOK_REPLY_HEAD = 14,
	IO_HOOK_PACKET_MAX = IO_HOOK_REPLY_HEAD + IO_HOOK_OUTPUT_MAX, /* of both */
};

struct io_hook_request {
	uint64_t id;
	uint32_t command;
	struct span input; /* into the packet */
};

struct io_hook_reply {
	uint64_t id;
	struct io_hook_result result; /* never IO_HOOK_LOST; `output` into the packet */
};

/* `n`: how many commands there are. */
int io_hook_request_read(struct span packet, size_t n, struct io_hook_request *ret) _mustcheck_;
int io_hook_reply_read(struct span packet, struct io_hook_reply *ret) _mustcheck_;
/* Append; -EMSGSIZE. */
int io_hook_request_write(struct buf *b, const struct io_hook_request *r) _mustcheck_;
int io_hook_reply_write(struct buf *b, const struct io_hook_reply *r) _mustcheck_;
