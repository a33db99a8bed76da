/*
 * A publisher by a file that a zone file includes ($INCLUDE), and a command that has the zone
 * signed and loaded again: for name servers without dynamic updates (NSD with ldns-signzone). The
 * command also sees to the serial number.
 *
 * The file belongs to this publisher: a record a line, "OWNER. TTL IN TYPE RDATA". It is read
 * before each change; one with a line of another form is left alone, and the change refused. It is
 * written beside itself, synced and renamed, so that a reader sees the old or the new one, and a
 * power cut leaves one of the two.
 *
 * Files are read and written on the loop: they are small (PUBLISH_ZONEFILE_MAX).
 */
#pragma once

#include "base/buf.h"
#include "edge/publish/publish.h"
#include "edge/publish/runner.h"

enum {
	PUBLISH_ZONEFILE_MAX = 16 * 1024 * 1024,
};

/* `path` is copied; the runner outlives the publisher. */
struct publish *publish_zonefile_new(struct io_loop *l, const char *path,
				     const struct publish_runner *reload);

/*
 * The file's text after the change: its own RRsets replaced, all others kept. -EINVAL: a line that
 * is not of this publisher; -ESTALE: a guarded RRset is not as it should be; -EMSGSIZE: too large.
 * Pure.
 */
int publish_zonefile_edit(struct span old, const struct publish_change *change, struct buf *ret,
			  struct err *e) _mustcheck_;
