/*
 * Domain names as text: lower case, A-labels, no trailing dot; the root is ".". Octets that are not
 * printable, and dots and backslashes inside a label, are escaped (RFC 1035 section 5.1), so two
 * names are the same exactly when their texts are.
 */
#pragma once

#include "base/arena.h"
#include "base/cursor.h"
#include "base/err.h"

enum {
	DANE_NAME_WIRE_MAX = 255,  /* octets, RFC 1035 section 2.3.4 */
	DANE_LABEL_MAX = 63,       /* octets */
	DANE_NAME_TEXT_MAX = 1004, /* every octet as \DDD */
};

/* An uncompressed wire name at the cursor. NULL, and the cursor failed, if there is none. */
const char *dane_name_from_wire(struct arena *a, struct cursor *c);

/*
 * Reads a name as a user or a file gives it: any case, with or without the trailing dot, escapes
 * allowed. ASCII only (core/mail/domain.h makes A-labels). -EINVAL with the reason.
 */
int dane_name_from_text(struct arena *a, const char *text, const char **ret, struct err *e)
	_mustcheck_;

/*
 * The name uncompressed as on the wire; `ret` has room for DANE_NAME_WIRE_MAX octets. Returns how
 * many were written; 0 for a text that is no name.
 */
size_t dane_name_to_wire(const char *name, uint8_t *ret);

/* "_25._tcp.NAME"; NULL if the result would pass 255 octets (matrix F2: no TLSA possible). */
const char *dane_name_tlsa_owner(struct arena *a, const char *base, uint16_t port);

/*
 * Whether it can be a host to connect to: letters, digits, hyphens (and underscores, which some
 * hosts have), at most 253 characters, last label not all digits (that is an address: M18).
 */
bool dane_name_is_host(const char *name);

/* An IPv4 or IPv6 address in text, where a name was expected (M18). */
bool dane_name_is_address(const char *name);

/* 4 or 6 for an address in text, 0 for anything else. */
int dane_address_family(const char *text);

/* 4 or 16 octets as text (RFC 5952); NULL for another length. */
const char *dane_address_to_text(struct arena *a, struct span bytes);
