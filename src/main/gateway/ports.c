#include "main/gateway/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	BACKLOG = 4096, /* the kernel cuts it to net.core.somaxconn */
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un un;
};

/* --- one socket ------------------------------------------------------------------------------- */

static socklen_t address_of(const struct config_endpoint *at, union address *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET6, at->name, &ret->v6.sin6_addr) == 1) {
		ret->v6.sin6_family = AF_INET6;
		ret->v6.sin6_port = htons(at->port);
		return sizeof(ret->v6);
	}
	require(inet_pton(AF_INET, at->name, &ret->v4.sin_addr) == 1);
	ret->v4.sin_family = AF_INET;
	ret->v4.sin_port = htons(at->port);
	return sizeof(ret->v4);
}

static bool is_any_v6(const struct config_endpoint *at)
{
	union address a;

	return at->kind == CONFIG_ENDPOINT_ADDRESS && address_of(at, &a) == sizeof(a.v6) &&
	       IN6_IS_ADDR_UNSPECIFIED(&a.v6.sin6_addr);
}

static int finish(int fd, const union address *a, socklen_t n, const char *text, struct err *e)
{
	int error;

	if (bind(fd, &a->any, n) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	error = errno;
	close(fd);
	return err_set(e, -error, "cannot listen on %s: %s", text, strerror(error));
}

static int tcp_socket(const struct config_endpoint *at, bool only_v6, bool shared, struct err *e)
{
	union address a;
	socklen_t n = address_of(at, &a);
	int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, only = only_v6;

	if (fd < 0 && errno == EAFNOSUPPORT && is_any_v6(at) && !only_v6) {
		struct config_endpoint v4 = *at;

		v4.name = "0.0.0.0";
		return tcp_socket(&v4, false, shared, e);
	}
	if (fd < 0)
		return err_set(e, -errno, "cannot listen on %s: %s", at->text, strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (shared)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (a.any.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	return finish(fd, &a, n, at->text, e);
}

/* What a process that is gone has left; not what another listens on. */
static void remove_stale(const struct sockaddr_un *un)
{
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && lstat(un->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    connect(fd, (const struct sockaddr *)un, sizeof(*un)) < 0 && errno == ECONNREFUSED)
		unlink(un->sun_path);
	if (fd >= 0)
		close(fd);
}

static int unix_socket(const struct config_endpoint *at, struct err *e)
{
	union address a = {.un = {.sun_family = AF_UNIX}};
	int fd;

	if (strlen(at->name) >= sizeof(a.un.sun_path))
		return err_set(e, -ENAMETOOLONG,
			       "cannot listen on %s: a socket's path has at most %zu characters",
			       at->text, sizeof(a.un.sun_path) - 1);
	memcpy(a.un.sun_path, at->name, strlen(at->name) + 1);
	remove_stale(&a.un);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(e, -errno, "cannot listen on %s: %s", at->text, strerror(errno));
	/* Owner and group from the first moment: umask, for the socket has no fchmod. */
	mode_t before = umask(0117);
	fd = finish(fd, &a, sizeof(a.un), at->text, e);
	umask(before);
	return fd;
}

int gateway_port_socket(const struct config_endpoint *at, bool only_v6, bool shared, struct err *e)
{
	return at->kind == CONFIG_ENDPOINT_UNIX ? unix_socket(at, e)
						: tcp_socket(at, only_v6, shared, e);
}

void gateway_port_name(int fd, char *ret, size_t room)
{
	union address a = {.any = {.sa_family = AF_UNSPEC}};
	socklen_t n = sizeof(a);
	char text[INET6_ADDRSTRLEN] = "";

	snprintf(ret, room, "?");
	if (getsockname(fd, &a.any, &n) < 0)
		return;
	if (a.any.sa_family == AF_INET6 &&
	    inet_ntop(AF_INET6, &a.v6.sin6_addr, text, sizeof(text)) != NULL)
		snprintf(ret, room, "[%s]:%u", text, ntohs(a.v6.sin6_port));
	else if (a.any.sa_family == AF_INET &&
		 inet_ntop(AF_INET, &a.v4.sin_addr, text, sizeof(text)) != NULL)
		snprintf(ret, room, "%s:%u", text, ntohs(a.v4.sin_port));
	else if (a.any.sa_family == AF_UNIX)
		snprintf(ret, room, "unix:%.*s", (int)sizeof(a.un.sun_path), a.un.sun_path);
}

/* --- those of a file -------------------------------------------------------------------------- */

/* Another listener on the same port: both must be marked before the kernel has them side by side.
 */
static bool is_shared(const struct config_file *f, const struct config_endpoint *at)
{
	for (size_t i = 0; i < f->listeners.n; i++) {
		const struct config_endpoint *other = &f->listeners.items[i].at;

		if (other->kind == CONFIG_ENDPOINT_ADDRESS && other->port == at->port &&
		    strcmp(other->text, at->text) != 0)
			return true;
	}
	return false;
}

static bool has_any_v4(const struct config_file *f, uint16_t port)
{
	for (size_t i = 0; i < f->listeners.n; i++) {
		const struct config_endpoint *other = &f->listeners.items[i].at;

		if (other->kind == CONFIG_ENDPOINT_ADDRESS && other->port == port &&
		    strcmp(other->name, "0.0.0.0") == 0)
			return true;
	}
	return false;
}

static int take_from_systemd(struct gateway_port *p, const struct config_endpoint *at,
			     struct gateway_sockets *s, struct err *e)
{
	int fd, listening = 0;
	socklen_t n = sizeof(listening);

	while (p->n_fds < GATEWAY_PORT_SOCKETS && (fd = gateway_sockets_find(s, at->name)) >= 0) {
		p->fds[p->n_fds++] = fd;
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) < 0 || !listening)
			return err_set(e, -ENOTSOCK,
				       "%s: what systemd hands over under this name does not "
				       "listen for connections",
				       at->text);
	}
	if (p->n_fds == 0)
		return err_set(e, -ENOENT,
			       "%s: systemd has handed over no socket of this name "
			       "(FileDescriptorName= in the .socket unit)",
			       at->text);
	return 0;
}

static int port_open(struct gateway_port *p, const struct config_file *f,
		     const struct config_endpoint *at, struct gateway_sockets *s,
		     const struct gateway_user *u, struct err *e)
{
	bool address = at->kind == CONFIG_ENDPOINT_ADDRESS;
	int fd;

	if (at->kind == CONFIG_ENDPOINT_SYSTEMD)
		return take_from_systemd(p, at, s, e);
	fd = gateway_port_socket(at, address && is_any_v6(at) && has_any_v4(f, at->port),
				 address && is_shared(f, at), e);
	if (fd < 0)
		return fd;
	p->fds[p->n_fds++] = fd;
	if (address)
		return 0;
	p->path = xstrdup(at->name);
	return gateway_socket_give(at->name, u, e);
}

static void port_free(struct gateway_port *p)
{
	for (size_t i = 0; i < p->n_fds; i++)
		close(p->fds[i]);
	if (p->path != NULL)
		(void)unlink(p->path);
	free(p->path);
	free((char *)p->text);
	free(p);
}

struct gateway_port *gateway_ports_find(const struct gateway_ports *p, const char *text)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->items[i]->text, text) == 0)
			return p->items[i];
	return NULL;
}

int gateway_ports_open(struct gateway_ports *p, const struct config_file *f,
		       struct gateway_sockets *s, const struct gateway_user *u, struct err *e)
{
	size_t before = p->n;

	for (size_t i = 0; i < f->listeners.n; i++) {
		const struct config_endpoint *at = &f->listeners.items[i].at;
		struct gateway_port *port;
		int r;

		if (gateway_ports_find(p, at->text) != NULL)
			continue;
		port = xcalloc(1, sizeof(*port));
		port->text = xstrdup(at->text);
		r = port_open(port, f, at, s, u, e);
		p->items = xrealloc(p->items, (p->n + 1) * sizeof(struct gateway_port *));
		p->items[p->n++] = port;
		if (r < 0) {
			while (p->n > before)
				port_free(p->items[--p->n]);
			return r;
		}
	}
	return 0;
}

void gateway_ports_close(struct gateway_ports *p, const struct config_file *f)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->n; i++)
		p->items[i]->wanted = false;
	for (size_t i = 0; f != NULL && i < f->listeners.n; i++) {
		struct gateway_port *port = gateway_ports_find(p, f->listeners.items[i].at.text);

		if (port != NULL)
			port->wanted = true;
	}
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i]->wanted)
			p->items[kept++] = p->items[i];
		else
			port_free(p->items[i]);
	p->n = kept;
	if (kept == 0) {
		free(p->items);
		p->items = NULL;
	}
}
