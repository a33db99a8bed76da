/*
 * A publisher by a command of the operator's, for any DNS service with an interface of its own.
 * The change comes to it as JSON on its standard input:
 *
 *   {"zone": "hoster.example", "sets": [{"owner": "_25._tcp.mx.hoster.example", "type": "TLSA",
 *     "ttl": 300, "records": ["3 1 1 0123..."], "was": ["3 1 1 4567..."] | null}]}
 *
 * Each RRset is to be replaced whole; no records: it is to be gone; `was`, unless null: only if it
 * is that now. The command answers on its standard output, {"result": "applied"} with status 0, or
 * {"result": "refused", "detail": "a sentence"} with any other status when it has changed nothing.
 * Everything else (another status, no or other JSON, killed) leaves the change unknown.
 */
#pragma once

#include "edge/publish/publish.h"
#include "edge/publish/runner.h"

enum {
	PUBLISH_COMMAND_OUTPUT_MAX = 65536, /* octets of an answer; more: unknown */
};

/* The runner outlives the publisher. */
struct publish *publish_command_new(struct io_loop *l, const struct publish_runner *command);
