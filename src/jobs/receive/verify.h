/*
 * Whether recipients exist, as the servers behind say it (callout.h), and what they said before.
 * docs/decisions/0032 says why it is as it is:
 *
 *  - yes: holds for RECEIVE_YES_SECONDS without a question; after that it is asked again, and holds
 *    on, if the server cannot be asked, for RECEIVE_YES_LAST_SECONDS
 *  - no: 550 with the server's status, for RECEIVE_NO_SECONDS
 *  - neither: 451 4.3.0, and no new question for RECEIVE_LATER_SECONDS
 *
 * Bounded: answers kept (the oldest goes; a flood of wrong addresses drives out no right one),
 * questions under way in all and to one domain (more: 451), sessions that wait for one of them.
 */
#pragma once

#include "jobs/receive/receive.h"

enum {
	RECEIVE_YES_SECONDS = 2 * 3600,
	RECEIVE_YES_LAST_SECONDS = 7 * 86400,
	RECEIVE_NO_SECONDS = 600,
	RECEIVE_LATER_SECONDS = 10,
	RECEIVE_ANSWERS_MAX = 25000, /* of each kind */
	RECEIVE_QUESTIONS_MAX = 100,
	RECEIVE_QUESTIONS_DOMAIN_MAX = 20,
	RECEIVE_WAITERS_MAX = 1000, /* for one question */
};

struct receive_verifier;

/* Borrows `env`, which needs tls and helo, and may get another resolver after give_up. */
struct receive_verifier *receive_verifier_new(const struct receive_env *env);
struct receive_verifier *receive_verifier_free(struct receive_verifier *v);
/* Forgets all answers: there are new rules. */
void receive_verify_reset(struct receive_verifier *v);

/* All that is being asked is answered 451 now. */
void receive_verify_give_up(struct receive_verifier *v);

typedef void receive_verified_fn(void *arg, const struct smtp_server_verdict *v);

/* 0: `ret` is the answer. Else a ticket, and `fn` brings it. */
uint64_t receive_verify(struct receive_verifier *v, const struct receive_recipient *to,
			receive_verified_fn *fn, void *arg, struct smtp_server_verdict *ret);
/* `fn` will not be called. */
void receive_verify_forget(struct receive_verifier *v, uint64_t ticket);
/* For tests: how many answers are kept; and as if so much time had passed. */
size_t receive_verify_count(const struct receive_verifier *v);
void receive_verify_age(struct receive_verifier *v, usec_t by);
