/* The hook process with real programs: what they get, what is refused, what is left of them. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "edge/io/hook.h"
#include "edge/io/hook_message.h"
#include "edge/io/hook_process.h"
#include "edge/io/loop.h"

#define SECOND USEC_PER_SEC

/* AddressSanitizer keeps for a while what is freed. */
#if defined(__SANITIZE_ADDRESS__)
#define KEEPS_FREED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS_FREED
#endif
#endif
#ifdef KEEPS_FREED
#define GROWTH_PAGES 8192
#else
#define GROWTH_PAGES 64
#endif

enum {
	ARGV,
	ENVIRONMENT,
	DESCRIPTORS,
	STATE,
	CAT,
	TRUE,
	FLOOD,
	MISSING,
	KILLED,
	HANGS,
	LEAVES,
	CODE,
	N_COMMANDS,
};

/* clang-format off */
static const char *const argvs[N_COMMANDS][9] = {
	[ARGV] = {"/bin/sh", "-c", "for a; do echo \"[$a]\"; done", "sh", "a b", "$HOME; `id` *", "",
		  "\"'\\"},
	[ENVIRONMENT] = {"/usr/bin/env"},
	[DESCRIPTORS] = {"/bin/ls", "/proc/self/fd"},
	[STATE] = {"/bin/sh", "-c", "pwd; umask; grep -E '^(SigBlk|SigIgn)' /proc/self/status; "
		   "read p c s r g id rest </proc/self/stat; test $g = $id && test $p = $g || echo no"},
	[CAT] = {"/bin/cat"},
	[TRUE] = {"/bin/true"},
	[FLOOD] = {"/usr/bin/head", "-c", "300000", "/dev/zero"},
	[MISSING] = {"/nonexistent/program"},
	[KILLED] = {"/bin/sh", "-c", "kill -TERM $$"},
	/* One in the group, one in a session of its own whose parent is gone, one that will not end. */
	[HANGS] = {"/bin/sh", "-c", "trap '' TERM; echo $$; sleep 300 & echo $!; "
		   "(setsid sh -c 'echo $$; exec sleep 300' & ) ; sleep 300"},
	[LEAVES] = {"/bin/sh", "-c", "sleep 300 & echo $!; (setsid sh -c 'echo $$; exec sleep 300' & ); "
		    "sleep 0.2; exit 3"},
	[CODE] = {"/bin/sh", "-c", "echo out; echo err >&2; exit 7"},
};
/* clang-format on */

static struct io_hook_command commands[N_COMMANDS];

struct world {
	struct io_loop *loop;
	struct io_timer *limit;
	struct io_hooks *hooks;
	struct io_hook_result result; /* the last, its output in `text` */
	char text[IO_HOOK_OUTPUT_MAX + 1];
	int n, stop_at, lost, again;
};

static void on_limit(void *arg)
{
	struct world *w = arg;

	io_loop_stop(w->loop);
}

static void on_ran(void *arg, const struct io_hook_result *r)
{
	struct world *w = arg;

	w->result = *r;
	assert_true(r->output.n <= IO_HOOK_OUTPUT_MAX);
	if (r->output.n > 0)
		memcpy(w->text, r->output.p, r->output.n);
	w->text[r->output.n] = '\0';
	if (w->again > 0) {
		w->again--;
		assert_int_equal(io_hooks_run(w->hooks, CODE, span_of(NULL, 0), on_ran, w, NULL),
				 0);
		if (r->output.n > 0)
			assert_memory_equal(w->text, r->output.p, r->output.n); /* still there */
	}
	if (++w->n == w->stop_at)
		io_loop_stop(w->loop);
}

static void on_lost(void *arg)
{
	struct world *w = arg;

	w->lost++;
	io_loop_stop(w->loop);
}

static void wait_for(struct world *w, int n)
{
	w->stop_at = n;
	io_timer_set(w->limit, io_now(w->loop) + 60 * SECOND);
	io_loop_run(w->loop);
	io_timer_set(w->limit, USEC_NEVER);
}

static void run(struct world *w, size_t command, struct span input)
{
	assert_int_equal(io_hooks_run(w->hooks, command, input, on_ran, w, NULL), 0);
	wait_for(w, w->n + 1);
}

static struct world *world_confined(io_hook_confine_fn *confine)
{
	struct world *w = xcalloc(1, sizeof(*w));
	struct err e;

	w->hooks = io_hooks_fork(commands, N_COMMANDS, confine, NULL, &e);
	if (w->hooks == NULL)
		fail_msg("%s", e.text);
	w->loop = io_loop_new();
	w->limit = io_timer_new(w->loop, on_limit, w);
	io_hooks_attach(w->hooks, w->loop, on_lost, w);
	return w;
}

static struct world *world_new(void)
{
	return world_confined(NULL);
}

static void world_free(struct world *w)
{
	pid_t pid = io_hooks_pid(w->hooks);

	w->hooks = io_hooks_free(w->hooks);
	assert_int_equal(kill(pid, 0), -1); /* ended, and no zombie */
	io_timer_free(w->limit);
	io_loop_free(w->loop);
	free(w);
}

static const struct span nothing = {NULL, 0};

/* --- what a command gets ---------------------------------------------------------------------- */

static void argv_is_exact(void **state)
{
	struct world *w = world_new();

	(void)state;
	run(w, ARGV, nothing);
	assert_int_equal(w->result.end, IO_HOOK_EXITED);
	assert_int_equal(w->result.code, 0);
	assert_string_equal(w->text, "[a b]\n[$HOME; `id` *]\n[]\n[\"'\\]\n");
	world_free(w);
}

/* One that the C library keeps to itself, as some callers leave it to their children. */
static void kernel_signal(int number, void (*what)(int))
{
	unsigned long action[8] = {(unsigned long)what};

	assert_int_equal(syscall(SYS_rt_sigaction, number, action, NULL, (size_t)8), 0);
}

static void nothing_is_inherited(void **state)
{
	int fds[2], copy;
	struct world *w;

	(void)state;
	/* Without close-on-exec, low and high. */
	assert_int_equal(pipe(fds), 0);
	copy = fcntl(fds[0], F_DUPFD, 500);
	setenv("SECRET", "secret", 1);
	signal(SIGUSR1, SIG_IGN);
	kernel_signal(32, SIG_IGN);
	w = world_new();
	kernel_signal(32, SIG_DFL);
	run(w, ENVIRONMENT, nothing);
	assert_string_equal(w->text, "PATH=/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C.UTF-8\n");
	run(w, DESCRIPTORS, nothing);
	assert_string_equal(w->text, "0\n1\n2\n3\n"); /* the last is the folder that ls reads */
	run(w, STATE, nothing);
	assert_string_equal(w->text, "/\n0022\nSigBlk:\t0000000000000000\n"
				     "SigIgn:\t0000000000000000\n");
	signal(SIGUSR1, SIG_DFL);
	unsetenv("SECRET");
	world_free(w);
	close(fds[0]);
	close(fds[1]);
	close(copy);
}

static size_t count_descriptors(pid_t pid)
{
	char path[64];
	size_t n = 0;

	for (int fd = 0; fd < 1024; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
		n += faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	}
	return n;
}

static void input_and_output(void **state)
{
	struct world *w = world_new();
	uint8_t *input = xmalloc(IO_HOOK_INPUT_MAX + 1);

	(void)state;
	memset(input, 'x', IO_HOOK_INPUT_MAX + 1);
	input[10] = '\0';
	run(w, CAT, span_of(input, IO_HOOK_INPUT_MAX));
	assert_int_equal(w->result.end, IO_HOOK_EXITED);
	assert_int_equal(w->result.output.n, IO_HOOK_INPUT_MAX);
	assert_memory_equal(w->text, input, IO_HOOK_INPUT_MAX);
	assert_false(w->result.cut);
	run(w, TRUE, span_of(input, IO_HOOK_INPUT_MAX)); /* which does not read it */
	assert_int_equal(w->result.code, 0);
	run(w, CODE, nothing);
	assert_int_equal(w->result.code, 7);
	assert_string_equal(w->text, "out\nerr\n");
	run(w, FLOOD, nothing);
	assert_int_equal(w->result.end, IO_HOOK_EXITED);
	assert_int_equal(w->result.code, 0);
	assert_int_equal(w->result.output.n, IO_HOOK_OUTPUT_MAX);
	assert_true(w->result.cut);
	assert_int_equal(
		io_hooks_run(w->hooks, CAT, span_of(input, IO_HOOK_INPUT_MAX + 1), on_ran, w, NULL),
		-EMSGSIZE);
	free(input);
	world_free(w);
}

static void other_ends(void **state)
{
	struct world *w = world_new();

	(void)state;
	run(w, MISSING, nothing);
	assert_int_equal(w->result.end, IO_HOOK_NOT_STARTED);
	assert_int_equal(w->result.code, ENOENT);
	run(w, KILLED, nothing);
	assert_int_equal(w->result.end, IO_HOOK_SIGNALLED);
	assert_int_equal(w->result.code, SIGTERM);
	assert_int_equal(io_hooks_run(w->hooks, N_COMMANDS, nothing, on_ran, w, NULL), -ENOENT);
	run(w, CODE, nothing);
	assert_int_equal(w->result.code, 7);
	world_free(w);
}

/* --- what is left of it ----------------------------------------------------------------------- */

/* The pids that a command has told, all of them gone. */
static int count_gone(const char *text)
{
	char *end;
	int n = 0;

	for (long pid; (pid = strtol(text, &end, 10)) > 1; text = end, n++)
		if (kill((pid_t)pid, 0) == 0 || errno != ESRCH)
			fail_msg("%ld still runs", pid);
	return n;
}

/* As the gateway does it: also then it finds what its commands have left. */
static int give_up(void *arg, struct err *e)
{
	(void)arg;
	if (geteuid() == 0 &&
	    (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0))
		return err_set(e, -errno, "setresuid");
	return prctl(PR_SET_DUMPABLE, 0) < 0 ? err_set(e, -errno, "prctl") : 0;
}

static void a_time_out_ends_all_of_it(void **state)
{
	struct world *w = world_confined(give_up);
	usec_t began = io_now(w->loop);

	(void)state;
	run(w, HANGS, nothing);
	assert_int_equal(w->result.end, IO_HOOK_TIMED_OUT);
	assert_true(io_now(w->loop) - began < 20 * SECOND);
	assert_int_equal(count_gone(w->text), 3);
	run(w, LEAVES, nothing);
	assert_int_equal(w->result.end, IO_HOOK_EXITED);
	assert_int_equal(w->result.code, 3);
	assert_int_equal(count_gone(w->text), 2);
	world_free(w);
}

static long resident(pid_t pid)
{
	char path[64], text[128] = "";
	long all = 0, pages = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	all = strtol(text, NULL, 10);
	pages = strtol(strchr(text, ' '), NULL, 10);
	assert_true(all > 0);
	return pages;
}

static void a_thousand_runs(void **state)
{
	struct world *w = world_new();
	pid_t pid = io_hooks_pid(w->hooks);
	long pages = 0;
	size_t fds = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		run(w, i % 3 == 2 ? MISSING : i % 3, nothing);
		if (i == 50) {
			pages = resident(pid);
			fds = count_descriptors(pid);
		}
	}
	assert_int_equal(fds, 4);
	assert_int_equal(count_descriptors(pid), fds);
	if (resident(pid) > pages + GROWTH_PAGES)
		fail_msg("%ld pages have become %ld", pages, resident(pid));
	world_free(w);
}

static void in_order_and_bounded(void **state)
{
	struct world *w = world_new();
	uint64_t id = 0;

	(void)state;
	for (int i = 0; i < IO_HOOK_WAITING_MAX; i++)
		assert_int_equal(io_hooks_run(w->hooks, i == 99 ? CODE : TRUE, nothing, on_ran, w,
					      i == 5 ? &id : NULL),
				 0);
	assert_int_equal(io_hooks_run(w->hooks, TRUE, nothing, on_ran, w, NULL), -EBUSY);
	io_hooks_cancel(w->hooks, id);
	wait_for(w, IO_HOOK_WAITING_MAX - 1);
	assert_int_equal(w->n, IO_HOOK_WAITING_MAX - 1);
	assert_int_equal(w->result.code, 7);
	/* A callback that asks again. */
	w->again = 3;
	run(w, TRUE, nothing);
	wait_for(w, w->n + 3);
	assert_int_equal(w->n, IO_HOOK_WAITING_MAX + 3);
	io_hooks_cancel(w->hooks, id);
	/* Freed while some wait: none comes. */
	assert_int_equal(io_hooks_run(w->hooks, TRUE, nothing, on_ran, w, NULL), 0);
	assert_int_equal(io_hooks_run(w->hooks, TRUE, nothing, on_ran, w, NULL), 0);
	world_free(w);
}

/* --- what the hook process has ---------------------------------------------------------------- */

/* Whether these octets are anywhere in that process. */
static bool has_in_memory(pid_t pid, const void *what, size_t n)
{
	enum {
		ROOM = 1 << 20
	};
	char path[64], *line = NULL;
	uint8_t *piece = xmalloc(ROOM);
	size_t room = 0;
	bool found = false;
	FILE *maps;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	assert_true(fd >= 0 && maps != NULL);
	while (!found && getline(&line, &room, maps) > 0) {
		char *at;
		unsigned long from = strtoul(line, &at, 16), to = strtoul(at + 1, NULL, 16);

		if (to - from > 1UL << 30) /* a sanitizer's */
			continue;
		while (!found && from < to) {
			ssize_t got = pread(fd, piece, ROOM, (off_t)from);

			if (got <= 0)
				break;
			found = memmem(piece, (size_t)got, what, n) != NULL;
			from += (size_t)got > n ? (size_t)got - n + 1 : (size_t)got;
		}
	}
	free(line);
	fclose(maps);
	close(fd);
	free(piece);
	return found;
}

static void no_key_in_its_memory(void **state)
{
	uint8_t before[32], *after;
	struct world *w;
	pid_t pid;
	int fd;

	(void)state;
	assert_int_equal(getrandom(before, sizeof(before), 0), sizeof(before));
	w = world_new();
	pid = io_hooks_pid(w->hooks);
	/* As a key that is read after the fork: in memory, and in a descriptor. */
	fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	after = xmalloc(32);
	assert_int_equal(read(fd, after, 32), 32);
	run(w, TRUE, nothing);
	if (access("/proc/self/mem", R_OK) != 0)
		skip();
	assert_true(has_in_memory(pid, before, 32)); /* the search finds what is there */
	assert_true(has_in_memory(getpid(), after, 32));
	assert_false(has_in_memory(pid, after, 32));
	assert_int_equal(count_descriptors(pid), 4);
	close(fd);
	free(after);
	world_free(w);
}

static int confine_not(void *arg, struct err *e)
{
	return err_set(e, -EPERM, "%s", (const char *)arg);
}

static int confine(void *arg, struct err *e)
{
	/* Seen by the command. */
	struct rlimit none = {.rlim_cur = 77, .rlim_max = 77};

	(void)arg;
	return setrlimit(RLIMIT_NOFILE, &none) < 0 ? err_set(e, -errno, "rlimit") : 0;
}

static void confined_first(void **state)
{
	static const char *const argv[] = {"/bin/sh", "-c", "ulimit -n", NULL};
	static const char *const relative[] = {"sh", NULL};
	struct io_hook_command one = {argv, 5 * SECOND};
	char why[] = "not allowed here";
	struct world w = {.loop = io_loop_new()};
	struct err e;

	(void)state;
	assert_null(io_hooks_fork(&one, 1, confine_not, why, &e));
	assert_int_equal(e.code, -EPERM);
	assert_string_equal(e.text, why);
	w.limit = io_timer_new(w.loop, on_limit, &w);
	w.hooks = io_hooks_fork(&one, 1, confine, NULL, &e);
	assert_non_null(w.hooks);
	io_hooks_attach(w.hooks, w.loop, NULL, NULL);
	run(&w, 0, nothing);
	assert_string_equal(w.text, "77\n");
	io_hooks_free(w.hooks);
	io_timer_free(w.limit);
	io_loop_free(w.loop);
	one.argv = relative;
	assert_null(io_hooks_fork(&one, 1, NULL, NULL, &e));
	assert_int_equal(e.code, -EINVAL);
	one = (struct io_hook_command){argv, 0};
	assert_null(io_hooks_fork(&one, 1, NULL, NULL, &e));
	assert_int_equal(e.code, -EINVAL);
	assert_null(io_hooks_free(NULL));
}

/* --- ends ------------------------------------------------------------------------------------- */

static void lost_is_told(void **state)
{
	struct world *w = world_new();

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(io_hooks_run(w->hooks, HANGS, nothing, on_ran, w, NULL), 0);
	assert_false(io_hooks_lost(w->hooks));
	kill(io_hooks_pid(w->hooks), SIGKILL);
	wait_for(w, -1);
	assert_int_equal(w->lost, 1);
	assert_int_equal(w->n, 3);
	assert_int_equal(w->result.end, IO_HOOK_LOST);
	assert_true(io_hooks_lost(w->hooks));
	assert_int_equal(io_hooks_run(w->hooks, TRUE, nothing, on_ran, w, NULL), -EPIPE);
	world_free(w);
}

static void signals_to_all_are_not_its_own(void **state)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};
	struct world *w = world_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		kill(io_hooks_pid(w->hooks), signals[i]);
	run(w, CODE, nothing);
	assert_int_equal(w->result.code, 7);
	world_free(w);
}

/* The caller ends by force: its hook process, and what that runs, end too. */
static void ends_with_its_caller(void **state)
{
	int out[2], status;
	pid_t caller;
	char text[64] = "";
	long hook, command = 0;

	(void)state;
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	caller = fork();
	if (caller == 0) {
		struct world *w = world_new();
		char path[64], pid[32];
		int fd, n;

		(void)!io_hooks_run(w->hooks, HANGS, nothing, on_ran, w, NULL);
		snprintf(path, sizeof(path), "/proc/%d/task/%d/children",
			 (int)io_hooks_pid(w->hooks), (int)io_hooks_pid(w->hooks));
		do {
			usleep(20000);
			fd = open(path, O_RDONLY | O_CLOEXEC);
			n = fd >= 0 ? (int)read(fd, pid, sizeof(pid) - 1) : 0;
			close(fd);
		} while (n == 0);
		pid[n > 0 ? n : 0] = '\0';
		dprintf(out[1], "%d %s", (int)io_hooks_pid(w->hooks), pid);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(caller, &status, 0), caller);
	assert_true(read(out[0], text, sizeof(text) - 1) > 0);
	hook = strtol(text, NULL, 10);
	command = strtol(strchr(text, ' '), NULL, 10);
	assert_true(hook > 1 && command > 1);
	for (int i = 0; i < 200 && (kill((pid_t)hook, 0) == 0 || kill((pid_t)command, 0) == 0); i++)
		usleep(20000);
	/* Whoever inherits them may not have reaped them yet: a zombie has no memory. */
	if (kill((pid_t)hook, 0) == 0)
		assert_int_equal(resident((pid_t)hook), 0);
	if (kill((pid_t)command, 0) == 0)
		assert_int_equal(resident((pid_t)command), 0);
	close(out[0]);
	close(out[1]);
}

/* --- packets ---------------------------------------------------------------------------------- */

static void a_bad_packet_ends_it(void **state)
{
	static const struct {
		const char *octets;
		size_t n;
	} rows[] = {
		{"x", 1},
		{"\0\0\0\0\0\0\0\1\0\0\0", 11},
		{"\0\0\0\0\0\0\0\1\0\0\0\xff", 12}, /* no such command */
		{"\0\0\0\0\0\0\0\1\x80\0\0\0", 12},
		{NULL, IO_HOOK_PACKET_MAX + 1},
		{NULL, IO_HOOK_REQUEST_HEAD + IO_HOOK_INPUT_MAX + 1},
	};
	static uint8_t large[IO_HOOK_PACKET_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int pair[2], status;
		char ready[64];
		pid_t pid;

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
		pid = fork();
		if (pid == 0)
			io_hook_process(pair[1], commands, N_COMMANDS, NULL, NULL);
		close(pair[1]);
		assert_int_equal(recv(pair[0], ready, sizeof(ready), 0), IO_HOOK_REPLY_HEAD);
		assert_int_equal(send(pair[0],
				      rows[i].octets != NULL ? (const void *)rows[i].octets : large,
				      rows[i].n, MSG_NOSIGNAL),
				 rows[i].n);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
		close(pair[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(argv_is_exact),
		cmocka_unit_test(nothing_is_inherited),
		cmocka_unit_test(input_and_output),
		cmocka_unit_test(other_ends),
		cmocka_unit_test(a_time_out_ends_all_of_it),
		cmocka_unit_test(a_thousand_runs),
		cmocka_unit_test(in_order_and_bounded),
		cmocka_unit_test(no_key_in_its_memory),
		cmocka_unit_test(confined_first),
		cmocka_unit_test(lost_is_told),
		cmocka_unit_test(signals_to_all_are_not_its_own),
		cmocka_unit_test(ends_with_its_caller),
		cmocka_unit_test(a_bad_packet_ends_it),
	};

	for (size_t i = 0; i < N_COMMANDS; i++)
		commands[i] = (struct io_hook_command){argvs[i], i == HANGS ? SECOND : 30 * SECOND};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
