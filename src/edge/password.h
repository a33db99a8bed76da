/*
 * Compares a password with a hash of crypt(3), on a thread of its own: a good hash takes tens of
 * milliseconds of CPU, and the loop has other sessions. One hash at a time, in order of asking;
 * PASSWORD_WAITING_MAX wait at most. The thread begins with the first question and runs until the
 * end.
 *
 * Passwords are wiped as soon as they are compared.
 */
#pragma once

#include "base/span.h"
#include "edge/io/loop.h"

enum {
	PASSWORD_WAITING_MAX = 100,
	PASSWORD_MAX = 511, /* octets; a longer one is wrong (crypt(3) takes no more) */
};

struct password_checker;

struct password_checker *password_checker_new(struct io_loop *l);
/* Waits for the hash that is being made. No callback comes any more. NULL is fine. */
struct password_checker *password_checker_free(struct password_checker *c);

typedef void password_fn(void *arg, bool right);

/* A ticket; 0: too many wait. */
uint64_t password_check(struct password_checker *c, const char *hash, struct span password,
			password_fn *fn, void *arg) _mustcheck_;
/* The answer is dropped. */
void password_forget(struct password_checker *c, uint64_t ticket);
