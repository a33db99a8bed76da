/* Sockets to an address, not blocking: TCP connections, and UDP. */
#pragma once

#include "base/err.h"

/*
 * A socket on its way to `address`: IPv4 or IPv6 text, or the path of a Unix socket (it begins with
 * a slash; `port` plays no part). It becomes writable when the connection
 * stands or has failed; io_connect_result tells which. Negative errno at once for what cannot
 * begin: no route, no IPv6 here.
 */
int io_connect(const char *address, uint16_t port) _mustcheck_;
/* 0, or the negative errno of the failure. */
int io_connect_result(int fd) _mustcheck_;

/*
 * A UDP socket connected to `address`: only its packets come in, ICMP errors come back as errors.
 * The kernel chooses the local port at random. Negative errno.
 */
int io_connect_udp(const char *address, uint16_t port) _mustcheck_;
