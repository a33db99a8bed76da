#include "main/cli/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"
#include "main/config/file.h"

enum {
	WAIT_S = 120, /* for the next line; a busy disk may take its time */
};

static const char *path_of(struct arena *a, const struct config *c)
{
	struct config_problems p = {0};
	struct config_file *standard;
	const char *path;

	if (c->file != NULL)
		return arena_printf(a, "%s/control", c->file->state);
	standard = config_file_read(CONFIG_FILE_PATH, span_text(""), &p);
	require(standard != NULL);
	path = arena_printf(a, "%s/control", standard->state);
	config_file_free(standard);
	config_problems_done(&p);
	return path;
}

static int refused(const char *path, int error)
{
	if (error == EACCES || error == EPERM)
		return cli_fail(CLI_NOT_ALLOWED,
				"%s: permission denied: it is for root and the gateway's user",
				path);
	if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR)
		return cli_fail(CLI_UNAVAILABLE,
				"no gateway answers at %s: is `daneway serve` running?", path);
	return cli_fail(CLI_UNAVAILABLE, "%s: %s", path, strerror(error));
}

/* An open stream, or an exit code. */
static int connect_to(const char *path, FILE **ret)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct timeval wait = {.tv_sec = WAIT_S};
	int fd, error;

	if (strlen(path) >= sizeof(at.sun_path))
		return refused(path, ENAMETOOLONG);
	memcpy(at.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return refused(path, errno);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		error = errno;
		close(fd);
		return refused(path, error);
	}
	*ret = fdopen(fd, "r+");
	require(*ret != NULL);
	return CLI_OK;
}

static bool send_request(FILE *to, const struct gateway_request *r)
{
	_cleanup_(js_freep) struct js *v = gateway_request_write(r);
	_cleanup_(freep) char *line = js_line(v);
	size_t n = strlen(line);

	line[n] = '\n'; /* in the place of the NUL */
	for (size_t at = 0; at <= n;) {
		ssize_t sent = send(fileno(to), line + at, n + 1 - at, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			return false;
		at += sent > 0 ? (size_t)sent : 0;
	}
	return true;
}

static int failed(const struct js *error)
{
	const char *code = js_text(js_get(error, "code")),
		   *detail = js_text(js_get(error, "detail"));
	int exit = CLI_TEMPORARY;

	if (code != NULL && strcmp(code, "usage") == 0)
		exit = CLI_USAGE;
	else if (code != NULL && strcmp(code, "config") == 0)
		exit = CLI_CONFIG;
	return cli_fail(exit, "%s", detail != NULL ? detail : "the gateway refuses");
}

static int read_answer(FILE *from, cli_item_fn *fn, void *arg, struct js **ret_done)
{
	_cleanup_(freep) char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int code = CLI_OK;

	while (code == CLI_OK && (n = getline(&line, &room, from)) > 0) {
		_cleanup_(js_freep) struct js *v = js_parse(span_of(line, (size_t)n), NULL);
		const struct js *done = js_get(v, "done"), *error = js_get(v, "error");

		if (error != NULL)
			return failed(error);
		if (done != NULL) {
			*ret_done = js_parse(span_of(line, (size_t)n), NULL);
			return CLI_OK;
		}
		if (js_get(v, "item") != NULL && fn != NULL)
			code = fn(arg, js_get(v, "item"));
	}
	return code != CLI_OK ? code
			      : cli_fail(CLI_TEMPORARY,
					 "the gateway broke the answer off: it ends, or has too "
					 "many such clients");
}

int cli_control_ask(const struct config *c, const struct gateway_request *r, cli_item_fn *fn,
		    void *arg, struct js **ret_done)
{
	struct arena a = {0};
	FILE *gateway = NULL;
	int code = connect_to(path_of(&a, c), &gateway);

	*ret_done = NULL;
	if (code == CLI_OK && !send_request(gateway, r))
		code = cli_fail(CLI_TEMPORARY, "the gateway closed the connection: it ends, or has "
					       "too many such clients");
	if (code == CLI_OK)
		code = read_answer(gateway, fn, arg, ret_done);
	if (gateway != NULL)
		fclose(gateway);
	arena_done(&a);
	return code;
}

const char *cli_plain(struct arena *a, const struct js *text, const char *otherwise)
{
	char *copy;

	if (js_text(text) == NULL)
		return otherwise;
	copy = arena_strdup(a, js_text(text));
	text_make_plain(copy);
	return copy;
}

int cli_written(const char *command)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CLI_OK;
	return cli_fail(CLI_WRITE, "%s: cannot write to standard output", command);
}
