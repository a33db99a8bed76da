/*
 * A disk that can lose its power: preloaded (LD_PRELOAD) into the writer, it notes in $DISK_TRACE
 * each write, truncation, fsync and directory entry below $DISK_ROOT, in order. power.c then builds
 * what a disk may hold after a cut at any of them. fsync itself is left out: the trace knows it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk.h"

enum {
	FDS = 1024,
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *paths[FDS]; /* below the root; "" the root itself */
static int trace = -1;
static const char *root;

static void *real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void begin(void)
{
	const char *to = getenv("DISK_TRACE");
	int (*open_)(const char *, int, ...) = (int (*)(const char *, int, ...))real("open64");

	root = getenv("DISK_ROOT");
	if (to != NULL && root != NULL)
		trace = open_(to, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
}

/* With the lock held. */
static void note(enum disk_op op, const char *path, uint64_t at, const void *p, size_t n)
{
	ssize_t (*write_)(int, const void *, size_t) =
		(ssize_t(*)(int, const void *, size_t))real("write");
	struct disk_record r = {.op = op, .n_path = (uint32_t)strlen(path), .at = at, .n = n};

	if (write_(trace, &r, sizeof(r)) != sizeof(r) ||
	    write_(trace, path, r.n_path) != r.n_path ||
	    (p != NULL && write_(trace, p, n) != (ssize_t)n))
		abort();
}

static const char *below(const char *path)
{
	size_t n = root != NULL ? strlen(root) : 0;
	const char *rest;

	if (trace < 0 || strncmp(path, root, n) != 0)
		return NULL;
	rest = path + n + (path[n] == '/');
	return strcmp(rest, ".") == 0 || strcmp(rest, "..") == 0 ? NULL : rest;
}

/* "" or a path, resolved against an open directory; NULL: not ours. In `out`. */
static const char *resolve(int dir, const char *path, char *out, size_t size)
{
	if (path[0] == '/' || dir == AT_FDCWD)
		return below(path);
	if (dir < 0 || dir >= FDS || paths[dir] == NULL)
		return NULL;
	if (strcmp(path, ".") == 0)
		return paths[dir];
	snprintf(out, size, "%s%s%s", paths[dir], paths[dir][0] != '\0' ? "/" : "", path);
	return out;
}

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
	int (*openat_)(int, const char *, int, ...) =
		(int (*)(int, const char *, int, ...))real("openat64");
	char text[300];
	const char *ours;
	struct stat st;
	bool there;
	int fd;

	pthread_mutex_lock(&lock);
	ours = resolve(dir, path, text, sizeof(text));
	there = fstatat(dir, path, &st, 0) == 0;
	fd = openat_(dir, path, flags, mode);
	if (fd >= 0 && fd < FDS && ours != NULL) {
		free(paths[fd]);
		paths[fd] = strdup(ours);
		if (!there && (flags & O_CREAT))
			note(DISK_CREATE, ours, 0, NULL, 0);
		if (there && (flags & O_TRUNC) && st.st_size > 0)
			note(DISK_TRUNCATE, ours, 0, NULL, 0);
	}
	pthread_mutex_unlock(&lock);
	return fd;
}

#define OPEN(name)                                                                                 \
	int name(const char *path, int flags, ...)                                                 \
	{                                                                                          \
		va_list ap;                                                                        \
		mode_t mode;                                                                       \
		va_start(ap, flags);                                                               \
		mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;                                   \
		va_end(ap);                                                                        \
		return open_at(AT_FDCWD, path, flags, mode);                                       \
	}
#define OPENAT(name)                                                                               \
	int name(int dir, const char *path, int flags, ...)                                        \
	{                                                                                          \
		va_list ap;                                                                        \
		mode_t mode;                                                                       \
		va_start(ap, flags);                                                               \
		mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;                                   \
		va_end(ap);                                                                        \
		return open_at(dir, path, flags, mode);                                            \
	}
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int close(int fd)
{
	int (*close_)(int) = (int (*)(int))real("close");
	int r;

	pthread_mutex_lock(&lock);
	if (fd >= 0 && fd < FDS) {
		free(paths[fd]);
		paths[fd] = NULL;
	}
	r = close_(fd);
	pthread_mutex_unlock(&lock);
	return r;
}

static const char *path_of(int fd)
{
	return trace >= 0 && fd >= 0 && fd < FDS ? paths[fd] : NULL;
}

ssize_t write(int fd, const void *p, size_t n)
{
	ssize_t (*write_)(int, const void *, size_t) =
		(ssize_t(*)(int, const void *, size_t))real("write");
	struct stat st;
	ssize_t r;

	pthread_mutex_lock(&lock);
	/* A descriptor that closedir() closed may be another thing now. */
	if (path_of(fd) != NULL && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		off_t at = lseek(fd, 0, SEEK_CUR);

		if (at >= 0)
			note(DISK_WRITE, path_of(fd),
			     (uint64_t)(fcntl(fd, F_GETFL) & O_APPEND ? st.st_size : at), p, n);
	}
	r = write_(fd, p, n);
	pthread_mutex_unlock(&lock);
	return r;
}

static ssize_t write_at(int fd, const void *p, size_t n, off_t at)
{
	ssize_t (*pwrite_)(int, const void *, size_t, off_t) =
		(ssize_t(*)(int, const void *, size_t, off_t))real("pwrite64");
	ssize_t r;

	pthread_mutex_lock(&lock);
	r = pwrite_(fd, p, n, at);
	if (path_of(fd) != NULL && r > 0)
		note(DISK_WRITE, path_of(fd), (uint64_t)at, p, (size_t)r);
	pthread_mutex_unlock(&lock);
	return r;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	return write_at(fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return write_at(fd, p, n, at);
}

static int truncate_to(int fd, off_t size)
{
	int (*ftruncate_)(int, off_t) = (int (*)(int, off_t))real("ftruncate64");
	int r;

	pthread_mutex_lock(&lock);
	r = ftruncate_(fd, size);
	if (path_of(fd) != NULL && r == 0)
		note(DISK_TRUNCATE, path_of(fd), (uint64_t)size, NULL, 0);
	pthread_mutex_unlock(&lock);
	return r;
}

int ftruncate(int fd, off_t size)
{
	return truncate_to(fd, size);
}

int ftruncate64(int fd, off_t size)
{
	return truncate_to(fd, size);
}

int fsync(int fd)
{
	pthread_mutex_lock(&lock);
	if (path_of(fd) != NULL)
		note(DISK_SYNC, path_of(fd), 0, NULL, 0);
	pthread_mutex_unlock(&lock);
	return 0;
}

int fdatasync(int fd)
{
	return fsync(fd);
}

int unlinkat(int dir, const char *path, int flags)
{
	int (*unlinkat_)(int, const char *, int) =
		(int (*)(int, const char *, int))real("unlinkat");
	char text[300];
	const char *ours;
	int r;

	pthread_mutex_lock(&lock);
	ours = resolve(dir, path, text, sizeof(text));
	r = unlinkat_(dir, path, flags);
	if (r == 0 && ours != NULL)
		note(DISK_UNLINK, ours, 0, NULL, 0);
	pthread_mutex_unlock(&lock);
	return r;
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}
