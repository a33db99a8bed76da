/*
 * The event loop: descriptors, timers and work for the end of a turn. One loop belongs to one
 * thread. libevent is behind it and is seen nowhere else.
 *
 * What a callback is about may be freed in that callback: watches and timers freed there are not
 * touched again by the loop. Objects that own them are freed by io_defer() at the end of the turn,
 * never inside their own callback.
 */
#pragma once

#include "base/base.h"
#include "base/when.h"

struct io_loop;
struct io_watch;
struct io_timer;

enum {
	IO_READ = 1,
	IO_WRITE = 2,
};

/* `ready`: the IO_ bits that are. */
typedef void io_watch_fn(void *arg, unsigned ready);
typedef void io_fn(void *arg);

/* Ignores SIGPIPE for the process: a peer's closed socket is an error, never a signal. */
struct io_loop *io_loop_new(void);
struct io_loop *io_loop_free(struct io_loop *l);
/* Until io_loop_stop, or until nothing is left to wait for. */
void io_loop_run(struct io_loop *l);
void io_loop_stop(struct io_loop *l);

/* Monotonic time. */
usec_t io_now(const struct io_loop *l);
/* Seconds and microseconds since 1970, UTC. */
usec_t io_unix_now(void);

/* Watches nothing until io_watch_set. The descriptor stays the caller's. */
struct io_watch *io_watch_new(struct io_loop *l, int fd, io_watch_fn *fn, void *arg);
struct io_watch *io_watch_free(struct io_watch *w);
void io_watch_set(struct io_watch *w, unsigned events);

struct io_timer *io_timer_new(struct io_loop *l, io_fn *fn, void *arg);
struct io_timer *io_timer_free(struct io_timer *t);
/* Once at `when` (io_now's clock), replacing an earlier setting; USEC_NEVER stops it. */
void io_timer_set(struct io_timer *t, usec_t when);

/* `fn` at the end of this turn, in the order of the calls. */
void io_defer(struct io_loop *l, io_fn *fn, void *arg);

/* As many descriptors as the hard limit permits. Returns how many that is. */
size_t io_raise_descriptor_limit(void);
