/* Hexadecimal text: lower case out, either case in. */
#pragma once

#include "base/arena.h"
#include "base/span.h"

/* NUL-terminated, in the arena. */
char *hex_encode(struct arena *a, struct span bytes);
/* -EINVAL for an odd number of digits or a character that is none. */
int hex_decode(struct arena *a, struct span text, struct span *ret) _mustcheck_;
/* 0-15, or -1. */
int hex_digit(uint8_t c);
