/*
 * What Prometheus asks for: GET /metrics at `metrics.listen`, in its text format. Names begin with
 * daneway_, counters end in _total and begin at the start of the process. The queue is counted when
 * somebody asks, one count for all who wait for it.
 */
#pragma once

#include "base/buf.h"
#include "main/gateway/gateway.h"

struct gateway_metrics;

/* Takes over a listening socket. */
struct gateway_metrics *gateway_metrics_new(struct gateway *g, int fd);
struct gateway_metrics *gateway_metrics_free(struct gateway_metrics *m);

/* All of the page. `counts` NULL: the queue did not say. */
void gateway_metrics_write(const struct gateway *g, const struct store_counts *counts,
			   struct buf *ret);
