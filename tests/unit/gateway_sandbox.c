/* What the sandbox refuses, each tried in a process of its own that may do it outside. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "edge/io/hook.h"
#include "main/gateway/sandbox.h"

static char own[64], foreign[64]; /* folders: given to the sandbox, and not */

static int in_folder(const char *folder, const char *name, int flags)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* Each: 0 if it can be done, else the error. */

static int write_own(void)
{
	char from[128], to[128];

	snprintf(from, sizeof(from), "%s/new", own);
	snprintf(to, sizeof(to), "%s/sub/renamed", own);
	if (in_folder(own, "new", O_WRONLY | O_CREAT | O_TRUNC) != 0 || truncate(from, 5) < 0 ||
	    rename(from, to) < 0 || unlink(to) < 0)
		return errno != 0 ? errno : EIO;
	return 0;
}

static int write_foreign(void)
{
	return in_folder(foreign, "new", O_WRONLY | O_CREAT);
}

static int read_foreign(void)
{
	return in_folder(foreign, "secret", O_RDONLY);
}

static int truncate_foreign(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/secret", foreign);
	return truncate(path, 0) < 0 ? errno : 0;
}

static int read_etc(void)
{
	return in_folder("/etc", "passwd", O_RDONLY);
}

static int write_etc(void)
{
	return in_folder("/etc", "passwd", O_WRONLY);
}

static int run_program(void)
{
	static char name[] = "true";
	char *const argv[] = {name, NULL}, *const none[] = {NULL};

	execve("/bin/true", argv, none);
	return errno;
}

static int make_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : 0;
}

static void *nothing(void *arg)
{
	return arg;
}

static int make_thread(void)
{
	pthread_t t;
	int r = pthread_create(&t, NULL, nothing, NULL);

	return r != 0 ? r : pthread_join(t, NULL);
}

static int open_socket(int family, int type)
{
	int fd = socket(family, type, 0);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int sockets(void)
{
	int r = open_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC);

	if (r == 0)
		r = open_socket(AF_UNIX, SOCK_STREAM);
	return r != 0 ? r : open_socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK);
}

static int netlink(void)
{
	return open_socket(AF_NETLINK, SOCK_DGRAM);
}

static int ax25(void)
{
	return open_socket(AF_AX25, SOCK_DGRAM) == EPERM ? EPERM : 0;
}

static int raw_socket(void)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 1);

	return fd < 0 ? errno : 0;
}

static int trace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? errno : 0;
}

static int uring(void)
{
	/* With its arguments wrong it fails otherwise, if it is tried at all. */
	return syscall(SYS_io_uring_setup, 0, NULL) < 0 && errno == EPERM ? EPERM : 0;
}

static int bpf_call(void)
{
	return syscall(SYS_bpf, -1, NULL, 0) < 0 && errno == EPERM ? EPERM : 0;
}

static int namespaces(void)
{
	return syscall(SYS_unshare, 0) < 0 ? errno : 0;
}

static int signal_parent(void)
{
	return kill(getppid(), 0) < 0 ? errno : 0;
}

/* The version of Landlock in the low bits, and 128 if calls are filtered. */
static int enter(void)
{
	struct gateway_sandbox s = {0};
	struct arena a = {0};
	struct err e;
	bool seccomp;
	int landlock;

	gateway_sandbox_write(&s, &a, own);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    gateway_sandbox_enter(&s, &landlock, &seccomp, &e) < 0)
		_exit(255);
	return landlock | (seccomp ? 128 : 0);
}

static void on_hook(void *arg, const struct io_hook_result *r)
{
	(void)arg;
	_exit(r->end == IO_HOOK_EXITED ? r->code : 255);
}

/* A hook process that was forked before still starts programs, and writes where this may not. */
static int hook_writes(void)
{
	static char path[128];
	static const char *const argv[] = {"/usr/bin/touch", path, NULL};
	const struct io_hook_command touch = {argv, usec_seconds(20)};
	struct io_loop *loop = io_loop_new();
	struct io_hooks *h;
	struct err e;

	snprintf(path, sizeof(path), "%s/new", foreign);
	h = io_hooks_fork(&touch, 1, NULL, NULL, &e);
	if (h == NULL)
		return -e.code;
	enter();
	io_hooks_attach(h, loop, NULL, NULL);
	if (io_hooks_run(h, 0, span_of(NULL, 0), on_hook, NULL, NULL) < 0)
		return EIO;
	io_loop_run(loop);
	return EIO;
}

/* The result of `fn` in a process of its own. */
static int result_of(int (*fn)(void), bool inside)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (inside)
			enter();
		_exit(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static void what_it_does_all_day_goes_on(void **state)
{
	static int (*const fns[])(void) = {write_own, read_etc, make_thread, sockets};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fns); i++)
		assert_int_equal(result_of(fns[i], true), 0);
}

static void calls_are_refused(void **state)
{
	static int (*const fns[])(void) = {
		run_program, ax25,       netlink, raw_socket,   uring,
		bpf_call,    namespaces, trace,   make_process, /* the last two: not under
								   AddressSanitizer */
	};
	size_t n = ARRAY_SIZE(fns);

#ifdef GATEWAY_TRACED
	n -= 2;
#endif
	(void)state;
	if ((result_of(enter, false) & 128) == 0)
		skip();
	for (size_t i = 0; i < n; i++)
		if (result_of(fns[i], true) != EPERM)
			fail_msg("call %zu is not refused", i);
	/* Outside they are not. */
	assert_int_equal(result_of(make_process, false), 0);
	assert_int_equal(result_of(netlink, false), 0);
	assert_int_equal(result_of(namespaces, false), 0);
	assert_int_equal(result_of(ax25, false), 0);
	assert_int_equal(result_of(uring, false), 0);
}

static void files_are_refused(void **state)
{
	int version = result_of(enter, false) & 127;

	(void)state;
	if (version == 0)
		skip();
	assert_int_equal(result_of(write_foreign, true), EACCES);
	assert_int_equal(result_of(read_foreign, true), EACCES);
	assert_int_equal(result_of(write_etc, true), EACCES);
	if (version >= 3)
		assert_int_equal(result_of(truncate_foreign, true), EACCES);
	if (version >= 6)
		assert_int_equal(result_of(signal_parent, true), EPERM);
	assert_int_equal(result_of(read_foreign, false), 0);
	assert_int_equal(result_of(write_foreign, false), 0);
	assert_int_equal(result_of(signal_parent, false), 0);
}

static void hooks_are_outside(void **state)
{
	(void)state;
	assert_int_equal(result_of(hook_writes, false), 0); /* it enters by itself */
}

static int make_folders(void **state)
{
	char path[128];

	(void)state;
	snprintf(own, sizeof(own), "/tmp/sandbox-own-XXXXXX");
	snprintf(foreign, sizeof(foreign), "/tmp/sandbox-foreign-XXXXXX");
	if (mkdtemp(own) == NULL || mkdtemp(foreign) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/sub", own);
	if (mkdir(path, 0700) < 0)
		return -1;
	return in_folder(foreign, "secret", O_WRONLY | O_CREAT);
}

static int remove_folders(void **state)
{
	static const char *const names[] = {"secret", "new"};
	char path[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", foreign, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/sub", own);
	rmdir(path);
	rmdir(own);
	return rmdir(foreign);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_does_all_day_goes_on),
		cmocka_unit_test(calls_are_refused),
		cmocka_unit_test(files_are_refused),
		cmocka_unit_test(hooks_are_outside),
	};

	return cmocka_run_group_tests(tests, make_folders, remove_folders);
}
