/*
 * A test's evidence as JSON, and the same tree from it offline: what the DNS answered, how each
 * session went, the certificates that were shown, the time. The inbound test is not part of it.
 */
#pragma once

#include "jobs/check/view.h"

/* {"format": "daneway-check 1", "time", "decision", "sessions", "extra", "sts", "servers"} */
struct js *check_save(const struct check_view *v);

/* What a file holds, read back. */
struct check_saved {
	struct arena arena;
	struct dane_decider *decider;
	struct check_probe *probes;
	size_t n_probes;
	struct check_extra *extra;
	const struct check_sts *sts; /* NULL: none */
	struct check_servers **servers;
	size_t n_servers;
	int64_t now;
};

/* -EINVAL with the reason: not saved so, or damaged. check_saved_done in either case. */
int check_restore(const struct js *saved, struct check_saved *ret, struct err *e) _mustcheck_;
void check_saved_done(struct check_saved *s);
