/*
 * What systemd and a service tell each other: sockets that were opened for us (sd_listen_fds(3))
 * and notes on our state (sd_notify(3)). Without systemd nothing is handed over and notes go
 * nowhere.
 */
#pragma once

#include "base/base.h"
#include "base/when.h"

enum {
	GATEWAY_SOCKETS_MAX = 1000,
};

struct gateway_sockets {
	struct gateway_socket {
		int fd; /* -1: taken */
		char *name;
	} * items;
	size_t n;
};

/* Those of LISTEN_FDS, close-on-exec from now on; the variables are gone afterwards. */
struct gateway_sockets gateway_sockets_take(void);
/* The next one of that name, the caller's from now on; -1: there is none. */
int gateway_sockets_find(struct gateway_sockets *s, const char *name);
/* Closes those that nobody took. Returns how many. */
size_t gateway_sockets_done(struct gateway_sockets *s);

/* Opens the way to NOTIFY_SOCKET (it stays open: a sandbox comes later). -1: there is none. */
int gateway_notify_open(void);
/* "READY=1\nSTATUS=..."; fd -1: nothing. */
void gateway_notify(int fd, const char *text);
/* How often WATCHDOG=1 is due: half of WATCHDOG_USEC; USEC_NEVER: not wanted. */
usec_t gateway_watchdog_interval(void);
