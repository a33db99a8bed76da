/*
 * TXT records that announce a policy: TLS reports (RFC 8460 section 3; matrix RP9) and MTA-STS (RFC
 * 8461 section 3.1). Of the TXT records at the name those that begin with the version are kept;
 * exactly one must remain. Strings of a record are joined; fields that are not known are ignored.
 */
#pragma once

#include "base/arena.h"

enum {
	DANE_TXT_MAX = 8192, /* octets of one record that are looked at */
};

enum dane_announced {
	DANE_ANNOUNCED_NONE,    /* no record begins with the version */
	DANE_ANNOUNCED_ONE,     /* one, and the field that must be there is */
	DANE_ANNOUNCED_SEVERAL, /* more than one: as if there were none */
	DANE_ANNOUNCED_BROKEN,  /* one, without that field */
};

struct dane_announcement {
	enum dane_announced what;
	const char *text;  /* of the first record that counts; NULL with NONE */
	const char *value; /* of the field, with ONE only */
};

/* `records`: RDATA of TXT records. Strings live in the arena; octets are the peer's. */
struct dane_announcement dane_tlsrpt_read(struct arena *a, const struct span *records, size_t n);
struct dane_announcement dane_sts_read(struct arena *a, const struct span *records, size_t n);
