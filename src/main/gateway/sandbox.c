#include "main/gateway/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than Debian 12's headers; asked of the kernel at run time. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* version 3 */
#endif
#define FS_IOCTL_DEV        (1ULL << 15) /* version 5 */
#define SCOPE_ABSTRACT_UNIX (1ULL << 0)  /* version 6 */
#define SCOPE_SIGNAL        (1ULL << 1)

struct ruleset {
	uint64_t fs, net, scoped;
};

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE                                                                                   \
	(FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |                \
	 LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_DIR |                             \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REFER |   \
	 LANDLOCK_ACCESS_FS_TRUNCATE)

#define FS_SOCKETS (LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE)

/* Beneath these everybody may read, and the libraries do. */
static const char *const system_folders[] = {
	"/etc",  "/usr/share", "/usr/lib", "/lib", "/lib64", "/sys/devices/system/cpu",
#ifdef GATEWAY_TRACED
	"/proc",
#endif
};

/* --- which folders ---------------------------------------------------------------------------- */

static void add_folder(struct gateway_sandbox_list *l, const char *folder)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->items[i], folder) == 0)
			return;
	if (l->n < GATEWAY_SANDBOX_PATHS)
		l->items[l->n++] = folder;
}

static const char *folder_of(struct arena *a, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return ".";
	return slash == path ? "/" : arena_text(a, span_of(path, (size_t)(slash - path)));
}

void gateway_sandbox_read(struct gateway_sandbox *s, struct arena *a, const char *path)
{
	_cleanup_(freep) char *real = path != NULL ? realpath(path, NULL) : NULL;

	if (path != NULL)
		add_folder(&s->read, folder_of(a, path));
	if (real != NULL)
		add_folder(&s->read, folder_of(a, real));
}

void gateway_sandbox_write(struct gateway_sandbox *s, struct arena *a, const char *folder)
{
	add_folder(&s->write, arena_strdup(a, folder));
}

void gateway_sandbox_socket(struct gateway_sandbox *s, struct arena *a, const char *path)
{
	add_folder(&s->sockets, folder_of(a, path));
}

/* --- Landlock --------------------------------------------------------------------------------- */

static uint64_t known_to(int version)
{
	uint64_t all = (1ULL << 13) - 1; /* version 1: all up to MAKE_SYM */

	if (version >= 2)
		all |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		all |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (version >= 5)
		all |= FS_IOCTL_DEV;
	return all;
}

/* A folder that is not there now cannot be used later either. */
static int allow(int rules, const char *folder, uint64_t access)
{
	struct landlock_path_beneath_attr beneath = {.allowed_access = access};
	int r = 0;

	beneath.parent_fd = open(folder, O_PATH | O_CLOEXEC | O_DIRECTORY);
	if (beneath.parent_fd < 0)
		return 0;
	if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0)
		r = -errno;
	close(beneath.parent_fd);
	return r;
}

static int add_rules(int rules, const struct gateway_sandbox *s, uint64_t known)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(system_folders); i++)
		r = allow(rules, system_folders[i], FS_READ & known);
	for (size_t i = 0; r == 0 && i < s->read.n; i++)
		r = allow(rules, s->read.items[i], FS_READ & known);
	for (size_t i = 0; r == 0 && i < s->write.n; i++)
		r = allow(rules, s->write.items[i], FS_WRITE & known);
	for (size_t i = 0; r == 0 && i < s->sockets.n; i++)
		r = allow(rules, s->sockets.items[i], FS_SOCKETS & known);
	return r;
}

static int enter_landlock(const struct gateway_sandbox *s, int *ret_version, struct err *e)
{
	struct ruleset set = {0};
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int rules, r;

	*ret_version = 0;
	if (version <= 0)
		return 0; /* ENOSYS, EOPNOTSUPP: the kernel has none, or it is off */
	set.fs = known_to((int)version);
	if (version >= 6)
		set.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
	rules = (int)syscall(SYS_landlock_create_ruleset, &set,
			     version >= 6   ? sizeof(set)
			     : version >= 4 ? offsetof(struct ruleset, scoped)
					    : offsetof(struct ruleset, net),
			     0);
	if (rules < 0)
		return err_set(e, -errno, "Landlock: %s", strerror(errno));
	r = add_rules(rules, s, set.fs);
	if (r == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		r = -errno;
	close(rules);
	*ret_version = (int)version;
	return r < 0 ? err_set(e, r, "Landlock: %s", strerror(-r)) : 0;
}

/* --- seccomp ---------------------------------------------------------------------------------- */

static const int refused[] = {
	SCMP_SYS(acct),
	SCMP_SYS(add_key),
	SCMP_SYS(adjtimex),
	SCMP_SYS(bpf),
	SCMP_SYS(chroot),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(clock_settime),
	SCMP_SYS(delete_module),
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fanotify_init),
	SCMP_SYS(finit_module),
	SCMP_SYS(fork),
	SCMP_SYS(fsopen),
	SCMP_SYS(init_module),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(ioperm),
	SCMP_SYS(iopl),
	SCMP_SYS(kcmp),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(kexec_load),
	SCMP_SYS(keyctl),
	SCMP_SYS(mount),
	SCMP_SYS(move_mount),
	SCMP_SYS(name_to_handle_at),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(open_tree),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(personality),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(pivot_root),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
#ifndef GATEWAY_TRACED
	SCMP_SYS(ptrace),
#endif
	SCMP_SYS(quotactl),
	SCMP_SYS(reboot),
	SCMP_SYS(request_key),
	SCMP_SYS(setns),
	SCMP_SYS(settimeofday),
	SCMP_SYS(swapoff),
	SCMP_SYS(swapon),
	SCMP_SYS(umount2),
	SCMP_SYS(unshare),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(vfork),
};

static int add_filters(scmp_filter_ctx f)
{
	const uint32_t no = SCMP_ACT_ERRNO(EPERM);
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(refused); i++)
		r = seccomp_rule_add(f, no, refused[i], 0);
#ifndef GATEWAY_TRACED
	/* Threads, not processes. clone3 hides its flags from a filter; the C library then takes
	 * clone. */
	if (r == 0)
		r = seccomp_rule_add(f, no, SCMP_SYS(clone), 1,
				     SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
#endif
	/* Families but AF_UNIX (1), AF_INET (2) and AF_INET6 (10). */
	if (r == 0)
		r = seccomp_rule_add(f, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GT, AF_INET6));
	for (unsigned family = AF_INET + 1; r == 0 && family < AF_INET6; family++)
		r = seccomp_rule_add(f, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, family));
	if (r == 0)
		r = seccomp_rule_add(f, no, SCMP_SYS(socket), 1,
				     SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_RAW));
	return r;
}

static int enter_seccomp(bool *ret_entered, struct err *e)
{
	scmp_filter_ctx f;
	int r;

	*ret_entered = false;
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
		return 0; /* the kernel has none */
	f = seccomp_init(SCMP_ACT_ALLOW);
	require(f != NULL);
	r = add_filters(f);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	*ret_entered = r == 0;
	return r < 0 ? err_set(e, r, "seccomp: %s", strerror(-r)) : 0;
}

int gateway_sandbox_enter(const struct gateway_sandbox *s, int *ret_landlock, bool *ret_seccomp,
			  struct err *e)
{
	int r = enter_landlock(s, ret_landlock, e);

	return r < 0 ? r : enter_seccomp(ret_seccomp, e);
}
