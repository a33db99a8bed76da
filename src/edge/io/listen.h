/*
 * Accepts connections from a listening socket, TCP or AF_UNIX, ours or handed over (systemd): each
 * comes out non-blocking and close-on-exec, with its peer's address.
 *
 *	l = io_listener_new(loop, fd, on_connection, arg, &e);
 *	io_listener_pause(l);	// as many sessions as may be: the kernel's queue holds the rest
 *	io_listener_resume(l);
 *	io_listener_free(l);
 *
 * Where the process or the system is out of descriptors or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM)
 * it rests for IO_LISTENER_REST_MS instead of turning in circles, and says so in the log once in
 * IO_LISTENER_LOG_SECONDS. A connection that is gone before it was accepted is passed over.
 */
#pragma once

#include "base/err.h"
#include "base/span.h"
#include "edge/io/loop.h"

enum {
	IO_LISTENER_BATCH = 32, /* connections in one turn of the loop: others have work too */
	IO_LISTENER_REST_MS = 200,
	IO_LISTENER_LOG_SECONDS = 60,
	IO_PEER_ADDRESS = 46, /* octets of an address as text, NUL included */
};

struct io_peer {
	/* "192.0.2.1", also for an IPv4 client of a socket on "[::]"; "2001:db8::1"; "" for AF_UNIX
	 */
	char address[IO_PEER_ADDRESS];
	uint8_t octets[16];
	uint8_t n_octets; /* 4, 16; 0 for AF_UNIX */
	uint16_t port;    /* 0 for AF_UNIX */
};

/* From 4 or 16 octets of an address in network order (any other number: as AF_UNIX). */
struct io_peer io_peer_of(struct span address, uint16_t port);

/*
 * `fd` is the callee's. It may pause the listener, after which no more come, but not free it (see
 * io_defer). `peer` is borrowed for the call.
 */
typedef void io_listener_fn(void *arg, int fd, const struct io_peer *peer);

struct io_listener;

/*
 * Borrows `fd`, makes it non-blocking, and accepts at once. NULL and `e`: -EINVAL if it is no
 * stream socket that listens.
 */
struct io_listener *io_listener_new(struct io_loop *loop, int fd, io_listener_fn *fn, void *arg,
				    struct err *e) _mustcheck_;
/* `fd` stays open, what waits in its queue stays there. NULL is fine; returns NULL. */
struct io_listener *io_listener_free(struct io_listener *l);
void io_listener_pause(struct io_listener *l);
void io_listener_resume(struct io_listener *l);
