#pragma once
#include "jobs/receive/receive.h"
struct receive_verifier;
struct receive_verifier *receive_verifier_new(struct receive *r);
struct receive_verifier *receive_verifier_free(struct receive_verifier *v);
void receive_verify_reset(struct receive_verifier *v);
uint64_t receive_verify(struct receive_verifier *v, const struct receive_recipient *to,
			receive_verified_fn *fn, void *arg, struct smtp_server_verdict *ret);
void receive_verify_forget(struct receive_verifier *v, uint64_t ticket);
