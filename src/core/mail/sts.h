/*
 * An MTA-STS policy (RFC 8461 section 3.2; matrix ST20): text in, values out. Strict: what a sender
 * may refuse is refused with its line, so that a tester can name it. Lines end with LF or CRLF,
 * unknown fields are ignored, of a field given twice the first counts ("mx" may be repeated).
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"

enum {
	MAIL_STS_TEXT_MAX = 65536,   /* octets of a policy (section 3.3) */
	MAIL_STS_AGE_MAX = 31557600, /* seconds */
	MAIL_STS_ID_MAX = 32,        /* characters of the TXT record's id */
};

enum mail_sts_mode {
	MAIL_STS_ENFORCE,
	MAIL_STS_TESTING,
	MAIL_STS_NONE,
};

/* "enforce", "testing", "none" */
const char *mail_sts_mode_to_string(enum mail_sts_mode m);

struct mail_sts {
	enum mail_sts_mode mode;
	uint32_t max_age;      /* seconds, MAIL_STS_AGE_MAX at most */
	const char *const *mx; /* A-labels in lower case, some with "*." before them; at least one
				  unless the mode is none; in the policy's order */
	size_t n_mx;
	const char *repeated; /* a field of which all but the first were ignored; or NULL */
};

/* Strings live in the arena. -EINVAL with the reason, which names the line; -EMSGSIZE: too long. */
int mail_sts_parse(struct arena *a, struct span text, struct mail_sts *ret, struct err *e)
	_mustcheck_;

/* Section 4.1: "*." stands for exactly one label. Both in lower case, without a trailing dot. */
bool mail_sts_matches(const char *pattern, const char *host);
/* Whether some pattern does. */
bool mail_sts_allows(const struct mail_sts *p, const char *host);

/* Section 3.1: 1-32 letters and digits. */
bool mail_sts_is_id(const char *id);
