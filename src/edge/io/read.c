#include "edge/io/read.h"

#include <errno.h>
#include <unistd.h>

int io_read_all(int fd, struct buf *b)
{
	char part[16384];
	ssize_t n;

	while ((n = read(fd, part, sizeof(part))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (buf_add(b, part, (size_t)n) < 0)
			return -EFBIG;
	}
	return 0;
}
