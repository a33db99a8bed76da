#include "edge/io/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "edge/io/hook_message.h"
#include "edge/io/hook_process.h"
#include "edge/io/log.h"

enum {
	PACKET_ROOM =
		4 * IO_HOOK_PACKET_MAX, /* of the socket's buffer, the kernel's part included */
	END_MS = 1000,                  /* the hook process has to end */
};

struct run {
	uint64_t id;
	size_t command;
	struct buf input; /* empty once it is sent */
	io_hook_fn *fn;   /* NULL: cancelled */
	void *arg;
	struct run *next;
};

struct io_hooks {
	const struct io_hook_command *commands;
	size_t n;
	int fd; /* -1: the hook process is lost */
	pid_t pid;
	struct io_loop *loop;
	struct io_watch *watch;
	struct io_timer *limit;
	io_fn *lost;
	void *lost_arg;
	uint64_t last_id;
	struct run *first, *last; /* the first is under way, if there is any */
	size_t n_runs;
	bool busy; /* until the callback of the first has come back: its output lies in `packet` */
	usec_t began;
	struct buf packet;
};

const char *io_hook_end_to_string(enum io_hook_end end)
{
	switch (end) {
	case IO_HOOK_EXITED:
		return "exited";
	case IO_HOOK_SIGNALLED:
		return "signalled";
	case IO_HOOK_TIMED_OUT:
		return "timed_out";
	case IO_HOOK_NOT_STARTED:
		return "not_started";
	case IO_HOOK_LOST:
		return "lost";
	}
	return "lost";
}

/* --- birth ------------------------------------------------------------------------------------ */

static int look_at(const struct io_hook_command *commands, size_t n, struct err *e)
{
	if (n == 0 || n > IO_HOOK_COMMANDS_MAX)
		return err_set(e, -EINVAL, "hooks: 1 to %d commands", IO_HOOK_COMMANDS_MAX);
	for (size_t i = 0; i < n; i++) {
		if (commands[i].argv[0] == NULL || commands[i].argv[0][0] != '/')
			return err_set(e, -EINVAL, "hooks: \"%.80s\" is no absolute path",
				       commands[i].argv[0] != NULL ? commands[i].argv[0] : "");
		if (commands[i].timeout <= 0 || commands[i].timeout == USEC_NEVER)
			return err_set(e, -EINVAL, "hooks: %.80s has no time-out",
				       commands[i].argv[0]);
	}
	return 0;
}

static ssize_t take_packet(struct io_hooks *h)
{
	ssize_t n;

	do
		n = recv(h->fd, h->packet.p, IO_HOOK_PACKET_MAX + 1, 0);
	while (n < 0 && errno == EINTR);
	return n;
}

/* Waits for the first packet. */
static int wait_ready(struct io_hooks *h, struct err *e)
{
	ssize_t n = take_packet(h);
	struct io_hook_reply r;

	if (n <= 0 || io_hook_reply_read(span_of(h->packet.p, (size_t)n), &r) < 0 || r.id != 0)
		return err_set(e, -EPIPE, "hooks: their process has ended at once");
	if (r.result.end != IO_HOOK_EXITED)
		return err_set(e, -r.result.code, "%.*s", (int)r.result.output.n,
			       (const char *)r.result.output.p);
	return 0;
}

struct io_hooks *io_hooks_fork(const struct io_hook_command *commands, size_t n,
			       io_hook_confine_fn *confine, void *arg, struct err *e)
{
	int pair[2], room = PACKET_ROOM;
	struct io_hooks *h;

	if (look_at(commands, n, e) < 0)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		err_set(e, -errno, "hooks: %s", strerror(errno));
		return NULL;
	}
	for (size_t i = 0; i < 2; i++)
		(void)setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	h = xcalloc(1, sizeof(*h));
	*h = (struct io_hooks){.commands = commands, .n = n, .fd = pair[0], .pid = fork()};
	if (h->pid == 0)
		io_hook_process(pair[1], commands, n, confine, arg);
	close(pair[1]);
	buf_init(&h->packet, IO_HOOK_PACKET_MAX + 1);
	require(buf_reserve(&h->packet, IO_HOOK_PACKET_MAX + 1) == 0);
	if (h->pid < 0)
		err_set(e, -errno, "hooks: %s", strerror(errno));
	if (h->pid < 0 || wait_ready(h, e) < 0)
		return io_hooks_free(h);
	(void)fcntl(h->fd, F_SETFL, O_NONBLOCK);
	return h;
}

/* --- runs ------------------------------------------------------------------------------------- */

static struct run *take_first(struct io_hooks *h)
{
	struct run *r = h->first;

	h->first = r->next;
	if (h->first == NULL)
		h->last = NULL;
	h->n_runs--;
	return r;
}

static void run_free(struct run *r)
{
	buf_done(&r->input);
	free(r);
}

static void finish_first(struct io_hooks *h, const struct io_hook_result *result)
{
	struct run *r = take_first(h);

	IO_LOG(result->end == IO_HOOK_EXITED && result->code == 0 ? IO_LOG_INFO : IO_LOG_WARNING,
	       NULL, "hook", {"command", h->commands[r->command].argv[0]},
	       {"number", IO_LOG_NUMBER(r->command)}, {"end", io_hook_end_to_string(result->end)},
	       {"code", IO_LOG_NUMBER(result->code)},
	       {"ms", IO_LOG_NUMBER((io_now(h->loop) - h->began) / 1000)});
	if (r->fn != NULL)
		r->fn(r->arg, result);
	run_free(r);
}

/* Nothing goes to it any more; a process that hangs ends by the closed socket when it wakes. */
static void lose(struct io_hooks *h, const char *why)
{
	const struct io_hook_result lost = {.end = IO_HOOK_LOST};

	h->watch = io_watch_free(h->watch);
	io_timer_set(h->limit, USEC_NEVER);
	close(h->fd);
	h->fd = -1;
	IO_LOG(IO_LOG_ERROR, NULL, "hooks_lost", {"pid", IO_LOG_NUMBER(h->pid)}, {"reason", why},
	       {"mend", "restart daneway: until then no command is run"});
	while (h->first != NULL)
		finish_first(h, &lost);
	if (h->lost != NULL)
		h->lost(h->lost_arg);
}

/* A failure shows as the end of the socket, in the watch. */
static void send_first(struct io_hooks *h)
{
	struct io_hook_request request;
	struct run *r = h->first;

	if (r == NULL || h->fd < 0)
		return;
	h->busy = true;
	request = (struct io_hook_request){r->id, (uint32_t)r->command, buf_span(&r->input)};
	h->packet.n = 0;
	require(io_hook_request_write(&h->packet, &request) == 0);
	buf_done(&r->input);
	h->began = io_now(h->loop);
	io_timer_set(h->limit, usec_add(usec_add(h->began, h->commands[r->command].timeout),
					usec_seconds(IO_HOOK_GRACE)));
	if (send(h->fd, h->packet.p, h->packet.n, MSG_NOSIGNAL) < 0)
		(void)shutdown(h->fd, SHUT_RDWR);
}

static void on_packet(void *arg, unsigned ready)
{
	struct io_hooks *h = arg;
	ssize_t n = take_packet(h);
	struct io_hook_reply reply;

	(void)ready;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		lose(h, "it has ended");
		return;
	}
	if (io_hook_reply_read(span_of(h->packet.p, (size_t)n), &reply) < 0 || h->first == NULL ||
	    reply.id != h->first->id) {
		lose(h, "it said what makes no sense");
		return;
	}
	io_timer_set(h->limit, USEC_NEVER);
	finish_first(h, &reply.result);
	h->busy = false;
	send_first(h);
}

static void on_limit(void *arg)
{
	lose(arg, "it does not answer");
}

void io_hooks_attach(struct io_hooks *h, struct io_loop *loop, io_fn *lost, void *arg)
{
	h->loop = loop;
	h->lost = lost;
	h->lost_arg = arg;
	h->limit = io_timer_new(loop, on_limit, h);
	h->watch = io_watch_new(loop, h->fd, on_packet, h);
	io_watch_set(h->watch, IO_READ);
}

int io_hooks_run(struct io_hooks *h, size_t command, struct span input, io_hook_fn *fn, void *arg,
		 uint64_t *ret_id)
{
	struct run *r;

	if (command >= h->n)
		return -ENOENT;
	if (input.n > IO_HOOK_INPUT_MAX)
		return -EMSGSIZE;
	if (h->fd < 0)
		return -EPIPE;
	if (h->n_runs == IO_HOOK_WAITING_MAX)
		return -EBUSY;
	r = xcalloc(1, sizeof(*r));
	*r = (struct run){.id = ++h->last_id, .command = command, .fn = fn, .arg = arg};
	buf_init(&r->input, IO_HOOK_INPUT_MAX);
	require(buf_add(&r->input, input.p, input.n) == 0);
	if (h->last != NULL)
		h->last->next = r;
	else
		h->first = r;
	h->last = r;
	if (ret_id != NULL)
		*ret_id = r->id;
	h->n_runs++;
	if (!h->busy)
		send_first(h);
	return 0;
}

void io_hooks_cancel(struct io_hooks *h, uint64_t id)
{
	for (struct run *r = h->first; r != NULL; r = r->next)
		if (r->id == id)
			r->fn = NULL;
}

bool io_hooks_lost(const struct io_hooks *h)
{
	return h->fd < 0;
}

pid_t io_hooks_pid(const struct io_hooks *h)
{
	return h->pid;
}

/* --- death ------------------------------------------------------------------------------------ */

/* One that does not end in time is left to whoever inherits it. */
static void reap(pid_t pid)
{
	struct pollfd p = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};

	if (p.fd >= 0) {
		(void)poll(&p, 1, END_MS);
		close(p.fd);
	}
	(void)waitpid(pid, NULL, WNOHANG);
}

struct io_hooks *io_hooks_free(struct io_hooks *h)
{
	if (h == NULL)
		return NULL;
	io_watch_free(h->watch);
	io_timer_free(h->limit);
	if (h->fd >= 0)
		close(h->fd);
	if (h->pid > 0)
		reap(h->pid);
	while (h->first != NULL)
		run_free(take_first(h));
	buf_done(&h->packet);
	free(h);
	return NULL;
}
