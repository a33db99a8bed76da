/*
 * A mail address as it goes into MAIL and RCPT: RFC 5321 section 4.1.2 (Mailbox), RFC 6531 section
 * 3.3 (UTF-8 in the local part).
 *
 * What always holds for one read here: no CR, LF, NUL or other control character, no '<' and no
 * '>' anywhere (RFC 5321 would allow the last two inside quotes; too many receivers cut the path
 * there, so they are refused); local part at most 64 octets, the whole at most 254. The local part
 * is never altered: only its own server knows what it means. The domain is in A-labels, so
 * SMTPUTF8 is needed for the local part alone.
 */
#pragma once

#include "core/mail/domain.h"

enum {
	MAIL_LOCAL_MAX = 64, /* octets, RFC 5321 section 4.5.3.1.1 */
	MAIL_PATH_MAX = 254, /* octets without < and >, section 4.5.3.1.3 */
};

struct mail_address {
	const char *path;          /* what goes between < and >; "" for the null reverse-path */
	const char *local;         /* as given, with its quotes; "" for the null reverse-path */
	struct mail_domain domain; /* all NULL for the null reverse-path */
	bool smtputf8;             /* not ASCII: can only be sent with SMTPUTF8 (RFC 6531) */
};

/* "user@example.org", without < and >. Strings live in the arena. -EINVAL with the reason. */
int mail_address_parse(struct arena *a, struct span text, struct mail_address *ret, struct err *e)
	_mustcheck_;

/* The same, and "" or "<>": nobody (bounces are sent from there; RFC 5321 section 4.5.5). */
int mail_address_parse_reverse(struct arena *a, struct span text, struct mail_address *ret,
			       struct err *e) _mustcheck_;

static inline bool mail_address_is_null(const struct mail_address *a)
{
	return a->path[0] == '\0';
}

/* The last line of defence before a command is written: nothing in `path` can end it early. */
bool mail_path_is_safe(const char *path);
