#include "edge/io/hook_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "edge/io/hook_message.h"

enum {
	SOCKET = 3,      /* where the socket is; in a command until exec: where an errno goes */
	PIPE_READS = 64, /* of PIECE octets: more than a pipe holds */
	PIECE = 4096,
	KILL_ROUNDS = 1000, /* a millisecond each */
};

struct process {
	const struct io_hook_command *commands;
	size_t n;
	struct buf in, out; /* packets */
};

/* A command that runs. Descriptors are -1 once closed. */
struct run {
	pid_t pid;
	int pidfd, input, output;
	struct span left; /* of the input */
	struct buf text;
	bool cut, timed_out;
	int error; /* errno of a start that failed */
};

static usec_t now(void)
{
	struct timespec ts;

	require(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
	return usec_seconds(ts.tv_sec) + ts.tv_nsec / 1000;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* --- the child -------------------------------------------------------------------------------- */

/* By the kernel: the C library keeps signals 32 and 33 to itself, and they may come ignored. */
static void default_signals(void)
{
	static const unsigned long action[8]; /* struct sigaction of any kernel: SIG_DFL, nothing */
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)syscall(SYS_rt_sigaction, i, action, NULL, (size_t)8);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* All descriptors given are above SOCKET. */
static _Noreturn void become(const char *const *argv, int input, int output, int failure)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C.UTF-8";
	char *const env[] = {path, locale, NULL};
	int error;

	if (dup3(failure, SOCKET, O_CLOEXEC) < 0)
		_exit(127);
	if (setsid() >= 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && dup2(input, 0) == 0 &&
	    dup2(output, 1) == 1 && dup2(output, 2) == 2 && close_range(SOCKET + 1, ~0U, 0) == 0 &&
	    chdir("/") == 0) {
		umask(022);
		default_signals();
		execve(argv[0], (char *const *)argv, env);
	}
	error = errno;
	(void)!write(SOCKET, &error, sizeof(error));
	_exit(127);
}

/* False: `r->error` says why not. */
static bool start(struct run *r, const char *const *argv)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, failure[2] = {-1, -1};

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 ||
	    pipe2(failure, O_CLOEXEC) < 0 || (r->pid = fork()) < 0)
		r->error = errno;
	else if (r->pid == 0)
		become(argv, in[0], out[1], failure[1]);
	close_fd(&in[0]);
	close_fd(&out[1]);
	close_fd(&failure[1]);
	r->input = in[1];
	r->output = out[0];
	if (r->error == 0) {
		/* Its end is the exec. */
		if (read(failure[0], &r->error, sizeof(r->error)) < 0)
			r->error = errno;
		r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
		if (r->pidfd < 0 && r->error == 0)
			r->error = errno;
		(void)fcntl(r->input, F_SETFL, O_NONBLOCK);
		(void)fcntl(r->output, F_SETFL, O_NONBLOCK);
	}
	close_fd(&failure[0]);
	return r->error == 0;
}

/* --- while it runs ---------------------------------------------------------------------------- */

static void write_input(struct run *r)
{
	ssize_t n = r->left.n > 0 ? write(r->input, r->left.p, r->left.n) : 0;

	if (n > 0)
		r->left = span_skip(r->left, (size_t)n);
	/* One that does not read it all does not want it. */
	if (r->left.n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_fd(&r->input);
}

/* False: no more for now. */
static bool read_output(struct run *r)
{
	char piece[PIECE];
	ssize_t n = read(r->output, piece, sizeof(piece));
	size_t room = IO_HOOK_OUTPUT_MAX - r->text.n, take;

	if (n == 0)
		close_fd(&r->output);
	if (n <= 0)
		return false;
	take = (size_t)n < room ? (size_t)n : room;
	r->cut |= take < (size_t)n;
	require(buf_add(&r->text, piece, take) == 0);
	return true;
}

/*
 * Children that are left. This process is their subreaper: who leaves the group and loses its
 * parent comes here. Without /proc they cannot be found, and live on.
 */
static void kill_children(void)
{
	char path[64], text[PIECE], *at = text, *end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return;
	text[n] = '\0';
	/* A number that is cut has no blank behind it. */
	for (long pid; (pid = strtol(at, &end, 10)) > 1 && *end == ' '; at = end)
		(void)kill((pid_t)pid, SIGKILL);
}

/* None of its is left then; the group goes first, while the leader still holds its number. */
static void kill_all(pid_t leader)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	(void)kill(-leader, SIGKILL);
	(void)kill(leader, SIGKILL); /* one that has not come to its setsid */
	for (int i = 0; i < KILL_ROUNDS; i++) {
		pid_t pid;

		do
			pid = waitpid(-1, NULL, WNOHANG);
		while (pid > 0);
		if (pid < 0)
			return;
		kill_children();
		(void)nanosleep(&pause, NULL);
	}
}

/* Until it ends or its time is over. */
static void attend(struct run *r, usec_t deadline)
{
	for (;;) {
		struct pollfd fds[] = {{.fd = SOCKET},
				       {.fd = r->pidfd, .events = POLLIN},
				       {.fd = r->input, .events = POLLOUT},
				       {.fd = r->output, .events = POLLIN}};
		usec_t left = deadline - now();

		if (left <= 0) {
			r->timed_out = true;
			return;
		}
		if (left > usec_seconds(3600)) /* poll() counts in int */
			left = usec_seconds(3600);
		if (poll(fds, ARRAY_SIZE(fds), (int)(left / 1000) + 1) <= 0)
			continue;
		if (fds[0].revents != 0) { /* whoever asked is gone */
			kill_all(r->pid);
			_exit(0);
		}
		if (fds[2].revents != 0)
			write_input(r);
		if (fds[3].revents != 0)
			(void)read_output(r);
		if (fds[1].revents != 0)
			return;
	}
}

static void set_result(const struct run *r, const siginfo_t *info, struct io_hook_result *ret)
{
	if (r->error != 0) {
		ret->end = IO_HOOK_NOT_STARTED;
		ret->code = r->error;
	} else if (r->timed_out) {
		ret->end = IO_HOOK_TIMED_OUT;
	} else {
		ret->end = info->si_code == CLD_EXITED ? IO_HOOK_EXITED : IO_HOOK_SIGNALLED;
		ret->code = info->si_status;
	}
	ret->cut = r->cut;
	ret->output = buf_span(&r->text);
}

static void run(struct process *p, const struct io_hook_request *request)
{
	const struct io_hook_command *c = &p->commands[request->command];
	struct run r = {.pid = -1, .pidfd = -1, .input = -1, .output = -1, .left = request->input};
	struct io_hook_reply reply = {.id = request->id};
	siginfo_t info = {0};

	buf_init(&r.text, IO_HOOK_OUTPUT_MAX);
	if (start(&r, c->argv)) {
		attend(&r, usec_add(now(), c->timeout));
		if (!r.timed_out)
			require(waitid(P_PID, (id_t)r.pid, &info, WEXITED | WNOWAIT) == 0);
	}
	if (r.pid > 0)
		kill_all(r.pid);
	for (int i = 0; i < PIPE_READS && r.output >= 0 && read_output(&r); i++)
		;
	set_result(&r, &info, &reply.result);
	close_fd(&r.pidfd);
	close_fd(&r.input);
	close_fd(&r.output);
	buf_clear(&p->out);
	require(io_hook_reply_write(&p->out, &reply) == 0);
	buf_done(&r.text);
	if (send(SOCKET, p->out.p, p->out.n, MSG_NOSIGNAL) != (ssize_t)p->out.n)
		_exit(0);
}

/* --- its life --------------------------------------------------------------------------------- */

/* 0, 1: /dev/null; 2 stays; SOCKET; nothing else. */
static int settle(int socket, struct err *e)
{
	int null;

	if (socket != SOCKET && dup2(socket, SOCKET) < 0)
		_exit(1);
	if (close_range(SOCKET + 1, ~0U, 0) < 0)
		return err_set(e, -errno, "hooks: close_range: %s", strerror(errno));
	(void)fcntl(SOCKET, F_SETFD, FD_CLOEXEC);
	null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    (fcntl(2, F_GETFD) < 0 && dup2(null, 2) < 0))
		return err_set(e, -errno, "hooks: /dev/null: %s", strerror(errno));
	if (null > 2)
		close(null);
	return 0;
}

static int set_up(int socket, io_hook_confine_fn *confine, void *arg, struct err *e)
{
	int r = settle(socket, e);

	/*
	 * Signals to the service are for its main process (systemd's TERM goes to all of them);
	 * this one ends with it. Ctrl-C does not reach another session.
	 */
	(void)setsid();
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGCHLD, SIG_DFL);
	(void)prctl(PR_SET_NAME, "daneway-hook");
	if (r == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		r = err_set(e, -errno, "hooks: %s", strerror(errno));
	if (r == 0 && confine != NULL)
		r = confine(arg, e);
	return r;
}

static void tell_state(int error, const char *text)
{
	struct io_hook_reply reply = {.id = 0};
	struct buf b;

	if (error != 0)
		reply.result = (struct io_hook_result){IO_HOOK_NOT_STARTED, .code = -error,
						       .output = span_text(text)};
	buf_init(&b, IO_HOOK_PACKET_MAX);
	if (io_hook_reply_write(&b, &reply) < 0 || send(SOCKET, b.p, b.n, MSG_NOSIGNAL) < 0)
		_exit(1);
	buf_done(&b);
}

void io_hook_process(int socket, const struct io_hook_command *commands, size_t n,
		     io_hook_confine_fn *confine, void *arg)
{
	struct process p = {.commands = commands, .n = n};
	struct err e = {.text = ""};
	int r = set_up(socket, confine, arg, &e);

	tell_state(r, e.text);
	if (r < 0)
		_exit(1);
	buf_init(&p.in, IO_HOOK_PACKET_MAX + 1);
	buf_init(&p.out, IO_HOOK_PACKET_MAX);
	if (buf_reserve(&p.in, IO_HOOK_PACKET_MAX + 1) < 0)
		_exit(1);
	for (;;) {
		struct io_hook_request request;
		ssize_t got = recv(SOCKET, p.in.p, IO_HOOK_PACKET_MAX + 1, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			_exit(0);
		if (io_hook_request_read(span_of(p.in.p, (size_t)got), p.n, &request) < 0)
			_exit(1);
		run(&p, &request);
	}
}
