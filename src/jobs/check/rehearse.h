/*
 * The inbound test (--to): at every address one session of its own, as a delivery would have it, up
 * to RCPT TO for the recipient, then RSET and QUIT. The recipient is named only where the level
 * allows mail: at level dane after the certificate matched.
 */
#pragma once

#include "core/dane/decision.h"
#include "core/smtp/client.h"
#include "jobs/check/pool.h"

enum {
	CHECK_REHEARSALS_MAX = 50, /* addresses of one domain, as many as a delivery tries */
};

struct check_inbound {
	const struct mail_address *to, *from;
	struct mail_domain helo;
	usec_t connect_timeout;
	int64_t at; /* as check_options.at */
};

struct check_rehearsal {
	const struct dane_host *host;
	const char *address;
	enum smtp_fate fate; /* OPEN: it did not come to that, for the reason in `text` */
	enum smtp_stage stage;
	const char *text;  /* the server's reply, or why there was none */
	enum smtp_end end; /* of the session; NOT_YET: its turn did not come */
	bool connected;
};

struct check_rehearsals;

/*
 * `fn` once when all have ended, never from within the call. Borrows all it is given. Each session
 * waits for its place in the pool.
 */
struct check_rehearsals *check_rehearsals_new(struct io_loop *l, struct tls_context *tls,
					      struct check_pool *pool,
					      const struct check_inbound *o,
					      const struct dane_decision *d, uint16_t port,
					      io_fn *fn, void *arg);
/* Sessions that are not over end as if timed out; `fn` is not called any more. */
void check_rehearsals_give_up(struct check_rehearsals *r);
struct check_rehearsals *check_rehearsals_free(struct check_rehearsals *r);

size_t check_rehearsals_count(const struct check_rehearsals *r); /* NULL: 0 */
const struct check_rehearsal *check_rehearsals_at(const struct check_rehearsals *r, size_t i);
