/*
 * What one EHLO reply offers (RFC 5321 section 4.1.1.1). Each EHLO makes a new one, so nothing that
 * was learned in clear is left after STARTTLS (RFC 3207 section 4.2, matrix S11). Unknown keywords
 * are nothing (matrix S7: a mangled STARTTLS is none).
 */
#pragma once

#include "core/smtp/reply.h"

struct smtp_caps {
	bool esmtp;          /* an EHLO was answered with 250; false after HELO */
	bool starttls;       /* RFC 3207 */
	bool pipelining;     /* RFC 2920 */
	bool size;           /* RFC 1870 */
	bool eightbit;       /* 8BITMIME, RFC 6152 */
	bool smtputf8;       /* RFC 6531 */
	bool chunking;       /* RFC 3030 */
	bool dsn;            /* RFC 3461 */
	uint64_t size_limit; /* octets; 0: none said */
};

/* `r` is a 250 to EHLO. */
struct smtp_caps smtp_caps_from_ehlo(const struct smtp_reply *r);
