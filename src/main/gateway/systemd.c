#include "main/gateway/systemd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"

enum {
	FIRST_SOCKET = 3, /* SD_LISTEN_FDS_START */
};

static bool number_from(const char *variable, uint64_t max, uint64_t *ret)
{
	const char *text = getenv(variable);

	return text != NULL && text_to_number(span_text(text), max, ret);
}

struct gateway_sockets gateway_sockets_take(void)
{
	struct gateway_sockets s = {0};
	const char *names = getenv("LISTEN_FDNAMES");
	uint64_t pid, n;

	if (number_from("LISTEN_PID", INT32_MAX, &pid) && (pid_t)pid == getpid() &&
	    number_from("LISTEN_FDS", GATEWAY_SOCKETS_MAX, &n)) {
		s.items = xcalloc(n, sizeof(*s.items));
		s.n = n;
	}
	for (size_t i = 0; i < s.n; i++) {
		size_t length = names != NULL ? strcspn(names, ":") : 0;

		s.items[i].fd = FIRST_SOCKET + (int)i;
		(void)fcntl(s.items[i].fd, F_SETFD, FD_CLOEXEC);
		s.items[i].name = xstrndup(names != NULL ? names : "", length);
		if (names != NULL)
			names += length + (names[length] == ':');
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return s;
}

int gateway_sockets_find(struct gateway_sockets *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++) {
		int fd = s->items[i].fd;

		if (fd >= 0 && strcmp(s->items[i].name, name) == 0) {
			s->items[i].fd = -1;
			return fd;
		}
	}
	return -1;
}

size_t gateway_sockets_done(struct gateway_sockets *s)
{
	size_t left = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (s->items[i].fd >= 0) {
			close(s->items[i].fd);
			left++;
		}
		free(s->items[i].name);
	}
	free(s->items);
	*s = (struct gateway_sockets){0};
	return left;
}

int gateway_notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	socklen_t length;
	size_t n;
	int fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@'))
		return -1;
	n = strlen(path);
	if (n >= sizeof(to.sun_path))
		return -1;
	memcpy(to.sun_path, path, n);
	if (path[0] == '@')
		to.sun_path[0] = '\0'; /* an abstract name */
	length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] == '/'));
	unsetenv("NOTIFY_SOCKET");
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, length) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

void gateway_notify(int fd, const char *text)
{
	if (fd >= 0)
		(void)!send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

usec_t gateway_watchdog_interval(void)
{
	uint64_t usec, pid;

	if (!number_from("WATCHDOG_USEC", INT64_MAX, &usec) || usec == 0)
		return USEC_NEVER;
	if (getenv("WATCHDOG_PID") != NULL &&
	    (!number_from("WATCHDOG_PID", INT32_MAX, &pid) || (pid_t)pid != getpid()))
		return USEC_NEVER;
	return (usec_t)(usec / 2);
}
