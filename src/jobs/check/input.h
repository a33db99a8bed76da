/* What a user gave as a domain. */
#pragma once

#include "base/arena.h"

/*
 * The domain as A-labels, in the arena. -EINVAL and a sentence without full stop in `ret_why`:
 * what is wrong, and, of a URL, a mail address and the like, which domain was meant, probably.
 */
int check_input_read(struct arena *a, const char *text, const char **ret_domain,
		     const char **ret_why) _mustcheck_;
