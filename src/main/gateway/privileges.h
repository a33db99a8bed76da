/*
 * Giving up root, for good. Called once, after ports are bound and keys are read, and before the
 * first thread: capabilities belong to threads.
 *
 * What holds after success, looked at and not assumed: all three user and group ids are the user's,
 * also those of the supplementary groups; there is no way back; no capability is left in any set;
 * no program that is started gains any (PR_SET_NO_NEW_PRIVS); the process leaves no core dump, and
 * nobody but root reads its memory or its /proc files (PR_SET_DUMPABLE 0), for it holds keys.
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"

/*
 * AddressSanitizer searches for leaks by a process that traces this one: in its builds the process
 * stays dumpable, and the sandbox lets that process be.
 */
#if defined(__SANITIZE_ADDRESS__)
#define GATEWAY_TRACED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GATEWAY_TRACED
#endif
#endif

enum {
	GATEWAY_USER_MAX = 64, /* octets of a user's name, NUL included */
};

struct gateway_user {
	char name[GATEWAY_USER_MAX];
	uid_t uid;
	gid_t gid;
	bool change; /* started as root: become this user; else stay who we are */
};

/* -ENOENT: there is no such user. Without root the name plays no part. */
int gateway_user_find(const char *name, struct gateway_user *ret, struct err *e) _mustcheck_;
/* A failure leaves the process in any state: it must end. */
int gateway_privileges_drop(const struct gateway_user *u, struct err *e) _mustcheck_;
/*
 * Makes a folder (0700) that is the user's, if nothing is there. The folder above may be the user's
 * already, so no symbolic link is followed: root must not be led to give away what is another's.
 */
int gateway_folder_make(const char *path, const struct gateway_user *u, struct err *e) _mustcheck_;
/* The same care with a Unix socket that root has just made. */
int gateway_socket_give(const char *path, const struct gateway_user *u, struct err *e) _mustcheck_;
