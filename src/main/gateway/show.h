/* The gateway's facts as JSON, for the control socket. Inside the room only. */
#pragma once

#include "base/js.h"
#include "main/gateway/gateway.h"

/* The contract's object of `daneway queue list`: one open recipient of a parcel. */
struct js *gateway_show_line(const struct store_parcel *p, size_t recipient);
/* `queue show`: a parcel without its recipients, and one of them. */
struct js *gateway_show_parcel(const struct store_parcel *p);
struct js *gateway_show_recipient(const struct store_parcel *p, size_t recipient);
/* `status`; `counts` NULL: the store did not say, because of `error`. */
struct js *gateway_show_status(const struct gateway *g, const struct store_counts *counts,
			       int error);
