/*
 * The publisher that publishes nothing: it shows the records to enter by hand. Its outcome is
 * always unknown; reading back (edge/publish/readback.h), again and again, sees when it is done.
 */
#pragma once

#include "edge/publish/publish.h"

/*
 * The change in words and lines of a zone file: for each RRset "; replace OWNER TYPE by:" and its
 * records, or "; remove OWNER TYPE". Printable ASCII.
 */
const char *publish_manual_text(struct arena *a, const struct publish_change *change);

/* `text` is borrowed. Called from within publish_change or from the loop. */
typedef void publish_show_fn(void *arg, const char *text);
struct publish *publish_manual_new(struct io_loop *l, publish_show_fn *show, void *arg);
