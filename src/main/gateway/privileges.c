#include "main/gateway/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef GATEWAY_TRACED
static const int dumpable = 1;
#else
static const int dumpable = 0;
#endif

int gateway_user_find(const char *name, struct gateway_user *ret, struct err *e)
{
	struct passwd *p;

	*ret = (struct gateway_user){.uid = geteuid(), .gid = getegid()};
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	if (geteuid() != 0)
		return 0;
	errno = 0;
	p = getpwnam(name);
	if (p == NULL)
		return err_set(e, errno != 0 ? -errno : -ENOENT,
			       "user: there is no user %s to run as (make one, or name another)",
			       name);
	if (strcmp(ret->name, p->pw_name) != 0)
		return err_set(e, -EINVAL, "user: the name is too long");
	ret->uid = p->pw_uid;
	ret->gid = p->pw_gid;
	ret->change = true;
	return 0;
}

static int folder_give(const char *path, const struct gateway_user *u, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r = 0;
	struct stat st;

	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || fchown(fd, u->uid, u->gid) < 0)
		r = err_set(e, -EPERM, "%s: cannot be given to %s", path, u->name);
	close(fd);
	return r;
}

int gateway_folder_make(const char *path, const struct gateway_user *u, struct err *e)
{
	if (mkdir(path, 0700) < 0) {
		if (errno == EEXIST)
			return 0;
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	}
	return u->change ? folder_give(path, u, e) : 0;
}

int gateway_socket_give(const char *path, const struct gateway_user *u, struct err *e)
{
	if (u->change && lchown(path, u->uid, u->gid) < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

/* --- dropping --------------------------------------------------------------------------------- */

static int capabilities_clear(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	/* So that none could come back by execve. Those beyond the kernel's last are refused. */
	for (unsigned long i = 0; i < 64; i++)
		(void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

static bool has_no_capability(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct have[2];

	if (syscall(SYS_capget, &head, have) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(have); i++)
		if ((have[i].effective | have[i].permitted | have[i].inheritable) != 0)
			return false;
	return true;
}

static int change_user(const struct gateway_user *u, struct err *e)
{
	if (initgroups(u->name, u->gid) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
	    setresuid(u->uid, u->uid, u->uid) < 0)
		return err_set(e, -errno, "user: cannot become %s: %s", u->name, strerror(errno));
	return 0;
}

static int verify(const struct gateway_user *u, struct err *e)
{
	uid_t uid[3];
	gid_t gid[3];

	if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || getresgid(&gid[0], &gid[1], &gid[2]) < 0)
		return err_set(e, -errno, "user: %s", strerror(errno));
	for (size_t i = 0; i < 3; i++)
		if (uid[i] != u->uid || gid[i] != u->gid)
			return err_set(e, -EPERM, "user: did not become %s", u->name);
	if (u->uid != 0 && (setuid(0) == 0 || setgid(0) == 0))
		return err_set(e, -EPERM, "user: root can still be had back");
	if (!has_no_capability())
		return err_set(e, -EPERM, "user: capabilities are left");
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ||
	    prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != dumpable)
		return err_set(e, -EPERM, "user: the process could gain or leak something");
	return 0;
}

int gateway_privileges_drop(const struct gateway_user *u, struct err *e)
{
	/* setgid-only programs and odd launchers: what is not changed must still be ours alone. */
	struct gateway_user own = {"the one that started it", getuid(), getgid(), false};
	int r = 0;

	/* Before the ids: the bounding set takes a capability to change. */
	for (unsigned long i = 0; u->change && i < 64; i++)
		(void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	if (u->change)
		r = change_user(u, e);
	else if (geteuid() != getuid() || getegid() != getgid())
		return err_set(e, -EPERM, "daneway is not made to be set-user-ID");
	if (r < 0)
		return r;
	r = capabilities_clear();
	if (r < 0)
		return err_set(e, r, "user: cannot give up capabilities: %s", strerror(-r));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0) < 0)
		return err_set(e, -errno, "user: %s", strerror(errno));
	return verify(u->change ? u : &own, e);
}
