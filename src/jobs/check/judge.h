/*
 * From the facts of a session that many domains share to what one domain's sender would have met.
 */
#pragma once

#include "jobs/check/run.h"

/*
 * `p` holds host, key, report and chain; sets the verdict, and makes the report what a session at
 * the host's own level would have said: a certificate that does not match ends it at level dane
 * (RFC 7672 section 2.2), trouble with TLS means mail in clear at level may. `at`: Unix seconds at
 * which dates count, 0 for now. Texts go to the arena.
 */
void check_judge(struct tls_context *tls, struct check_probe *p, int64_t at, struct arena *a);

/* At level may: whether a handshake by the laxer rules is still to be tried. */
bool check_judge_wants_lax(const struct dane_host *h, const struct probe_report *r);
