/*
 * A mail domain or host as a user writes it, made into what DNS, TLS and SMTP use: lower case,
 * A-labels (RFC 5890; matrix M31), no trailing dot; or an address literal (RFC 5321 section 4.1.3).
 *
 * What always holds for a domain read here: 1-253 octets, labels of 1-63, only letters, digits,
 * hyphens and underscores, no hyphen at a label's edge, last label not all digits. So it can
 * neither break a command line nor be taken for an address.
 *
 * ASCII is not checked against IDNA: an A-label that IDNA 2008 would not make still exists in DNS,
 * and mail to it works.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"

enum {
	MAIL_DOMAIN_MAX = 253, /* octets as text */
};

enum mail_domain_kind {
	MAIL_DOMAIN_NAME,
	MAIL_DOMAIN_IPV4,
	MAIL_DOMAIN_IPV6,
};

struct mail_domain {
	enum mail_domain_kind kind;
	const char *host; /* "example.org", "192.0.2.1", "2001:db8::1": for DNS and connect */
	const char *text; /* "example.org", "[192.0.2.1]", "[IPv6:2001:db8::1]": for SMTP */
};

/*
 * "Example.ORG.", "faß.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", "[2001:db8::1]". Strings
 * live in the arena. -EINVAL with the reason.
 */
int mail_domain_parse(struct arena *a, struct span text, struct mail_domain *ret, struct err *e)
	_mustcheck_;
