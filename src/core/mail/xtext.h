/*
 * xtext: how ENVID and ORCPT carry text inside a command (RFC 3461 section 4). "+" and two upper
 * case hex digits stand for an octet, so that a value without a CR can mean one that has it.
 */
#pragma once

#include "base/arena.h"
#include "base/span.h"

enum {
	MAIL_ENVID_MAX = 100, /* octets of xtext, RFC 3461 section 4.4 */
	MAIL_ORCPT_MAX = 500, /* octets of "addr-type;xtext", section 4.2 */
};

/* Not empty, printable ASCII without space and '=', '+' only before two digits. */
bool mail_xtext_is_valid(struct span s);
/* "addr-type;xtext", MAIL_ORCPT_MAX octets at most. RFC 6533's "utf-8" type in its ASCII form. */
bool mail_orcpt_is_valid(struct span s);

/*
 * What it means, as it may stand in a header field: printable ASCII and spaces. Section 4.4 and 4.2
 * allow nothing else; another octet, encoded or not, becomes a '?', so that no value begins a field
 * of its own. Never longer than `s`.
 */
struct span mail_xtext_decode(struct arena *a, struct span s);
