/*
 * What went wrong, in words. Functions return 0 or a positive value for success and a negative
 * errno for failure; the text travels in an optional last argument (NULL: not wanted).
 * Verdicts (a DANE level, a security status, a delivery result) are values, never errors.
 */
#pragma once

#include "base/base.h"

struct err {
	int code; /* negative errno */
	char text[240];
};

/* Fills `e` (if any) and returns `code`, so that "return err_set(...)" reads well. */
int err_set(struct err *e, int code, const char *format, ...) _printf_(3, 4);
