/* Zone-format files of the root: its trust anchor, its servers. */
#pragma once

#include "base/err.h"
#include "edge/dns/message.h"

/* Installed by Debian's package dns-root-data. */
extern const char dns_file_anchor[], dns_file_hint[];

enum {
	DNS_FILE_RECORDS_MAX = 1000, /* of one file */
};

/*
 * Reads a file whole: the DS and DNSKEY records of the root, or the A and AAAA records. Records
 * live in the arena. Negative errno, with file and line, if it cannot be read or has no such
 * record.
 */
int dns_file_anchors(struct arena *a, const char *path, struct dns_section *ret, struct err *e)
	_mustcheck_;
int dns_file_hints(struct arena *a, const char *path, struct dns_section *ret, struct err *e)
	_mustcheck_;
