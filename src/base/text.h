/* Text from outside: is it a number, a host's name, can it be shown? ASCII and UTF-8, no locale. */
#pragma once

#include "base/span.h"

/* Decimal digits and nothing else, at most `max`. Leading zeros do not make it octal. */
bool text_to_number(struct span s, uint64_t max, uint64_t *ret);

/* What labels of host names are made of: letters, digits, hyphens; underscores, as some have. */
bool text_is_host_octet(uint8_t c);

/*
 * Whether it can be a host to connect to: labels of 1 to 63 such octets, either case, at most 253
 * octets in all, no dot at either end, and not all digits in the last label (that is an address:
 * matrix M18).
 */
bool text_is_host(struct span name);

/* No character that a terminal obeys: C0, DEL, C1. */
bool text_is_plain_character(uint32_t c);
/* All of it is UTF-8 and plain. */
bool text_is_plain(const char *text);
/*
 * Takes the next character off the front, or one octet that begins none, into `ret`. False if that
 * is not plain. `s` is not empty.
 */
bool text_take_plain(struct span *s, struct span *ret);
/* In place: a "?" for each character that is not plain and each octet that is no UTF-8. */
void text_make_plain(char *text);
