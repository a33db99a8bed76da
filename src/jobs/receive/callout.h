/*
 * One question to the server behind a domain: would you take this recipient? A rehearsal (EHLO,
 * MAIL FROM:<>, RCPT, RSET, QUIT) over the same route, with the same TLS policy and DANE, that a
 * delivery would take; nothing is sent.
 */
#pragma once

#include "jobs/receive/receive.h"

enum {
	RECEIVE_CALLOUT_SECONDS = 20,  /* the whole of it */
	RECEIVE_CALLOUT_ADDRESSES = 3, /* tried, one after the other */
};

enum receive_answer {
	RECEIVE_ANSWER_LATER, /* not to be known now */
	RECEIVE_ANSWER_YES,
	RECEIVE_ANSWER_NO, /* a 5xx to RCPT */
};

struct receive_callout;

/* `status`: of a NO. Once, never from within receive_callout_new; free it by io_defer or later. */
typedef void receive_callout_fn(void *arg, enum receive_answer answer, struct smtp_status status);

/*
 * Copies `behind` and `path`; borrows loop, resolver and TLS context of `env`. Without a resolver
 * only an address can be asked.
 */
struct receive_callout *receive_callout_new(const struct receive_env *env,
					    const struct receive_behind *behind, const char *domain,
					    const char *path, receive_callout_fn *fn, void *arg);
struct receive_callout *receive_callout_free(struct receive_callout *c);
/* Answers LATER now, unless it has answered. Not from within its own call. */
void receive_callout_give_up(struct receive_callout *c);
