/* Inside jobs/send: what the end of a session means, as status codes and words. */
#pragma once

#include "base/arena.h"
#include "jobs/probe/session.h"

/* What a session's end means, where it left recipients without a reply. */
struct send_meaning {
	const char *status; /* 4.x.x */
	const char *tlsrpt; /* or NULL */
	const char *reply;  /* or NULL */
	const char *text;   /* the sub-reason */
};
struct send_meaning send_meaning_of(struct arena *a, const struct probe_report *r,
				    enum dane_level level);
/* "host[address]:port: the sub-reason (reply)" */
const char *send_meaning_detail(struct arena *a, const char *where, const struct send_meaning *m);
/* "5.1.1" of the server; `class` from the fate, should the server have given another. */
const char *send_status(struct arena *a, struct smtp_status status, enum smtp_fate fate);
