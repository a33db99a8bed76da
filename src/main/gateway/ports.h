/*
 * The listening sockets of the gateway, by the text of their place in the configuration. They are
 * opened before root is given up and outlive a reload: a place that the new file names too keeps
 * its socket and the connections that wait in it.
 *
 * "[::]:25" takes IPv4 too, unless another listener has "0.0.0.0:25"; where the kernel has no IPv6
 * it is 0.0.0.0. A single address beside it ("192.0.2.1:25") has its own clients: the kernel
 * prefers the more exact socket.
 */
#pragma once

#include "main/config/file.h"
#include "main/gateway/privileges.h"
#include "main/gateway/systemd.h"

enum {
	GATEWAY_PORT_SOCKETS = 16, /* of one name of systemd's */
};

struct gateway_port {
	const char *text; /* as in the file */
	int fds[GATEWAY_PORT_SOCKETS];
	size_t n_fds;
	char *path; /* of a Unix socket of ours, to be removed; NULL */
	bool wanted;
};

struct gateway_ports {
	struct gateway_port **items;
	size_t n;
};

/*
 * Adds those that a file names and that are not open. `s`: what systemd has handed over. `u`: whose
 * a Unix socket is (0660). A failure names the listener; what was added then is gone again.
 */
int gateway_ports_open(struct gateway_ports *p, const struct config_file *f,
		       struct gateway_sockets *s, const struct gateway_user *u, struct err *e)
	_mustcheck_;
/* NULL: none. */
struct gateway_port *gateway_ports_find(const struct gateway_ports *p, const char *text);
/* Closes those that `f` does not name. NULL: all. */
void gateway_ports_close(struct gateway_ports *p, const struct config_file *f);

/* One socket for the metrics or a test: an address or a Unix socket. -errno. */
int gateway_port_socket(const struct config_endpoint *at, bool only_v6, bool shared, struct err *e)
	_mustcheck_;
/* "[::]:25" as the socket says it, into `ret`: the kernel's choice where the port is 0. */
void gateway_port_name(int fd, char *ret, size_t room);
