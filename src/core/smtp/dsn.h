/*
 * What an envelope asks of delivery status notifications (RFC 3461): a server machine reads it, a
 * client machine passes it on.
 */
#pragma once

#include "core/mail/xtext.h"

enum smtp_ret {
	SMTP_RET_NONE,
	SMTP_RET_FULL,
	SMTP_RET_HDRS,
};

enum { /* NOTIFY, as bits; 0: not given */
	SMTP_NOTIFY_NEVER = 1,
	SMTP_NOTIFY_SUCCESS = 2,
	SMTP_NOTIFY_FAILURE = 4,
	SMTP_NOTIFY_DELAY = 8,
};

/* Of one recipient. */
struct smtp_dsn {
	unsigned notify;   /* SMTP_NOTIFY_ bits */
	const char *orcpt; /* "addr-type;xtext" as it came, or NULL */
};
