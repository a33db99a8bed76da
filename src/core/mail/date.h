/* The date of a header field: "Thu, 24 Dec 2026 18:00:00 +0000" (RFC 5322 section 3.3). */
#pragma once

#include "base/when.h"

enum {
	MAIL_DATE_MAX = 40, /* octets with the NUL */
};

/* By no locale, in UTC. Years outside 1970-9999 become the nearest of these. Returns `ret`. */
const char *mail_date(usec_t unix_usec, char ret[MAIL_DATE_MAX]);
