/*
 * The log: one line an event to standard error, which the journal takes. Any thread may.
 *
 *	2026-11-25T12:40:00.000123Z info session=4f2a-1 event=received from=a@b.example size=4096
 *
 * What always holds: a line is one write(2) of at most IO_LOG_LINE_MAX octets, so lines of several
 * threads and processes never mix, also in a pipe (PIPE_BUF). Values may be a peer's: each is cut,
 * and nothing in it can begin a line, end its field or steer a terminal. A value is bare where it
 * can be, else in double quotes with \", \\ and \xNN; what is cut ends in "...", a line that has no
 * room for all its pairs in " cut=yes". Nothing here waits or fails: what cannot be written is
 * lost.
 *
 * Under systemd the time is left out and "<6>" stands in front, the level as sd-daemon(3) has it.
 * Nothing is logged before io_log_set_level: commands that do not serve stay silent.
 */
#pragma once

#include "base/base.h"

enum io_log_level {
	IO_LOG_ERROR,   /* somebody must do something */
	IO_LOG_WARNING, /* somebody should look */
	IO_LOG_INFO,    /* what happened: a message, a delivery, a session's end */
	IO_LOG_DEBUG,
};

enum {
	IO_LOG_LINE_MAX = 4096, /* octets, the newline included */
	IO_LOG_VALUE_MAX = 512, /* octets of a value, before it is escaped */
	IO_LOG_NUMBER_MAX = 24,
};

struct io_log_pair {
	const char *key;   /* letters, digits, "_": ours, written as it is */
	const char *value; /* NULL: the pair is left out */
};

/* Also looks (again) at what standard error is. */
void io_log_set_level(enum io_log_level l);
bool io_log_wants(enum io_log_level l);

/* `session` NULL: "-". */
void io_log(enum io_log_level l, const char *session, const char *event,
	    const struct io_log_pair *pairs, size_t n);

/* IO_LOG(IO_LOG_INFO, id, "received", {"from", from}, {"size", IO_LOG_NUMBER(n)}); the values are
 * computed only if the level is wanted. */
#define IO_LOG(l, session, event, ...)                                                             \
	(io_log_wants(l)                                                                           \
		 ? io_log((l), (session), (event), (const struct io_log_pair[]){__VA_ARGS__},      \
			  sizeof((const struct io_log_pair[]){__VA_ARGS__}) /                      \
				  sizeof(struct io_log_pair))                                      \
		 : (void)0)

/* Decimal digits, alive to the end of the block. */
#define IO_LOG_NUMBER(n) io_log_number((char[IO_LOG_NUMBER_MAX]){0}, (int64_t)(n))
const char *io_log_number(char *into, int64_t n);

/* "session=... event=... key=value ..." without a newline into `room` octets (64 at least), NUL
 * included. Returns the length. For tests, and for those who show the same elsewhere. */
size_t io_log_format(char *into, size_t room, const char *session, const char *event,
		     const struct io_log_pair *pairs, size_t n);
