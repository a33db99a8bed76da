/* A whole file, or what a pipe brings, into a buffer: its maximum is the limit. */
#pragma once

#include "base/buf.h"

/* To the end of it. -EFBIG: more than the buffer may hold; else the negative errno of read(). */
int io_read_all(int fd, struct buf *b) _mustcheck_;
