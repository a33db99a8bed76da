#include "main/cli/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
	PIECE = 65536,
};

/* A file without a name in $TMPDIR, else /tmp. */
static int open_spool(struct err *e)
{
	const char *dir = getenv("TMPDIR");
	char path[4096];
	int fd;

	if (dir == NULL || *dir == '\0')
		dir = "/tmp";
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	if (snprintf(path, sizeof(path), "%s/daneway-XXXXXX", dir) >= (int)sizeof(path))
		return err_set(e, -ENAMETOOLONG, "TMPDIR is too long");
	fd = mkostemp(path, O_CLOEXEC); /* no O_TMPFILE on this file system */
	if (fd < 0)
		return err_set(e, -errno, "the message cannot be spooled to %s: %s", dir,
			       strerror(errno));
	unlink(path);
	return fd;
}

static int write_all(int fd, struct buf *b, struct err *e)
{
	size_t at = 0;

	while (at < b->n) {
		ssize_t n = write(fd, b->p + at, b->n - at);

		if (n < 0 && errno != EINTR)
			return err_set(e, -errno, "the message cannot be spooled: %s",
				       strerror(errno));
		at += n > 0 ? (size_t)n : 0;
	}
	buf_clear(b);
	return 0;
}

static int copy(int in, int fd, uint64_t max_size, struct mail_message *m, struct buf *out,
		struct err *e)
{
	uint8_t piece[PIECE];
	ssize_t n;
	int ret = 0;

	while (ret == 0 && (n = read(in, piece, sizeof(piece))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, -errno, "standard input: %s", strerror(errno));
		ret = mail_message_feed(m, span_of(piece, (size_t)n), out, e);
		if (ret == 0 && m->octets > max_size)
			ret = err_set(e, -EMSGSIZE, "the message is larger than %llu octets",
				      (unsigned long long)max_size);
		if (ret == 0)
			ret = write_all(fd, out, e);
	}
	if (ret == 0)
		ret = mail_message_end(m, out, e);
	if (ret == 0 && m->octets > max_size)
		ret = err_set(e, -EMSGSIZE, "the message is larger than %llu octets",
			      (unsigned long long)max_size);
	return ret == 0 ? write_all(fd, out, e) : ret;
}

int cli_spool(int in, uint64_t max_size, struct mail_message *ret_facts, int *ret_fd, struct err *e)
{
	int fd = open_spool(e), ret;
	struct buf out;

	if (fd < 0)
		return fd;
	mail_message_init(ret_facts);
	buf_init(&out, 2 * PIECE + 2);
	ret = copy(in, fd, max_size, ret_facts, &out, e);
	buf_done(&out);
	if (ret == 0)
		*ret_fd = fd;
	else
		close(fd);
	return ret;
}
