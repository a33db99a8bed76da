/* Base64 (RFC 4648 section 4), strict: full groups, padding at the end, unused bits zero. */
#pragma once

#include "base/buf.h"

/*
 * Appends what the text stands for; false: it is no such text, or more than the buffer may hold,
 * and then a part may have been appended. The buffer takes all its memory at once, so that a secret
 * in it never moves and can be wiped where it lies.
 */
bool base64_decode(struct span in, struct buf *out) _mustcheck_;
