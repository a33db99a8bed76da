/* The trace of disk.c: records, each followed by its path and, of a write, its octets. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum disk_op {
	DISK_CREATE, /* a directory entry, with an empty file */
	DISK_UNLINK,
	DISK_WRITE,
	DISK_TRUNCATE,
	DISK_SYNC, /* a file's content, or a directory's entries ("" is the root) */
};

struct disk_record {
	uint32_t op, n_path;
	uint64_t at, n;
};
