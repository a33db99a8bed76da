/*
 * The control socket: STATE/control, a Unix socket that only the gateway's user and root can use
 * (0600, and the peer's user id is looked at). What is asked and answered: main/gateway/request.h.
 *
 * Several clients at a time, each of which may ask again; the answers come in the order of the
 * questions. Bounded: clients, the length of a question, what waits to be read (a long list is made
 * in slices, each when the last one was read), the time of a client that says nothing or reads
 * nothing. Every command that changes something is logged with the user id that asked.
 */
#pragma once

#include "main/gateway/gateway.h"

enum {
	GATEWAY_CLIENTS_MAX = 16,
	GATEWAY_CLIENT_WAIT = 60,          /* seconds without a question, or without reading */
	GATEWAY_ANSWER_SLICE = 256 * 1024, /* octets that wait for a client before more are made */
};

struct gateway_control;

/* After the lock on the queue is had: an old socket is nobody's then. */
struct gateway_control *gateway_control_new(struct gateway *g, struct err *e) _mustcheck_;
/* Cuts all clients, removes the socket. */
struct gateway_control *gateway_control_free(struct gateway_control *c);
