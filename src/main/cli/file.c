#include "main/cli/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "edge/io/read.h"

enum {
	VALUES_MAX = 1000000, /* of a JSON file */
};

/* A device or pipe cannot be replaced by a new file: it is written as it is. */
static bool is_special(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

/* `mode` as fopen has it. */
static int write_to(const char *path, const char *mode, cli_file_fn *fn, void *arg)
{
	FILE *f = fopen(path, mode);
	int ret = 0;

	if (f == NULL)
		return -errno;
	errno = EIO;
	if (fn(arg, f) < 0 || fflush(f) != 0 || (fsync(fileno(f)) != 0 && errno != EINVAL))
		ret = -errno;
	if (fclose(f) != 0 && ret == 0)
		ret = -errno;
	return ret;
}

int cli_file_write_by(const char *path, cli_file_fn *fn, void *arg, struct err *e)
{
	struct arena a = {0};
	bool special = is_special(path);
	const char *target = special ? path : arena_printf(&a, "%s.%ld.tmp", path, (long)getpid());
	int ret;

	/* Whatever has that name, a link of somebody else's too, is not written through. */
	if (!special)
		unlink(target);
	ret = write_to(target, special ? "we" : "wxe", fn, arg);
	if (ret == 0 && !special && rename(target, path) != 0)
		ret = -errno;
	if (ret < 0) {
		err_set(e, ret, "%s: cannot be written: %s", path, strerror(-ret));
		if (!special)
			unlink(target);
	}
	arena_done(&a);
	return ret;
}

static int write_js(void *arg, FILE *out)
{
	return js_write(arg, out, 2);
}

int cli_file_write(const char *path, const struct js *v, struct err *e)
{
	return cli_file_write_by(path, write_js, (void *)(uintptr_t)v, e);
}

static int read_all(const char *path, struct buf *b, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return err_set(e, -errno, "%s", strerror(errno));
	ret = io_read_all(fd, b);
	close(fd);
	if (ret == -EFBIG)
		return err_set(e, ret, "larger than %zu bytes", b->max);
	return ret < 0 ? err_set(e, ret, "cannot be read: %s", strerror(-ret)) : 0;
}

/*
 * A value of two octets takes more than 200 once it is parsed, so their number has a limit too.
 * What stands in strings is counted with the rest: it is an upper bound.
 */
static int check_values(struct span text, struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == ',' || text.p[i] == '[' || text.p[i] == '{';
	return n <= VALUES_MAX ? 0 : err_set(e, -EFBIG, "more than %d values", VALUES_MAX);
}

struct js *cli_file_read_json(const char *path, size_t max, struct err *e)
{
	struct js *v = NULL;
	struct buf b;

	buf_init(&b, max);
	if (read_all(path, &b, e) == 0 && check_values(buf_span(&b), e) == 0)
		v = js_parse(buf_span(&b), e);
	buf_done(&b);
	return v;
}
