/*
 * DNS messages as plain data: what the tester reads from name servers, without a library.
 *
 * Names are text (core/dane/name.h: lower case, no trailing dot) and, beside it, uncompressed wire
 * bytes; RDATA is uncompressed, its letters as they came. Everything lives in the arena given.
 *
 * Strict: a compression pointer must lead back, a record must end where its length says. A message
 * has at most 65,535 octets, hence under 6,000 records; what its names may unfold to is limited
 * besides, since two octets of compression can stand for 255.
 */
#pragma once

#include "base/arena.h"
#include "core/dane/name.h"

enum {
	DNS_MESSAGE_MAX = 65535,
	/* Octets of names that one message may unfold to; a larger one is malformed (-EBADMSG). */
	DNS_MESSAGE_NAMES_MAX = 512 * 1024,
	DNS_QUERY_MAX = 12 + DANE_NAME_WIRE_MAX + 4 + 11,
};

/* Beside those of core/dane/answer.h. */
enum dns_type {
	DNS_TYPE_A = 1,
	DNS_TYPE_NS = 2,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_SOA = 6,
	DNS_TYPE_MX = 15,
	DNS_TYPE_TXT = 16,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_DNAME = 39,
	DNS_TYPE_OPT = 41,
	DNS_TYPE_DS = 43,
	DNS_TYPE_RRSIG = 46,
	DNS_TYPE_NSEC = 47,
	DNS_TYPE_DNSKEY = 48,
	DNS_TYPE_NSEC3 = 50,
	DNS_TYPE_NSEC3PARAM = 51,
	DNS_TYPE_TLSA = 52,
	DNS_TYPE_CDS = 59,
	DNS_TYPE_CDNSKEY = 60,
};

enum dns_rcode {
	DNS_RCODE_NOERROR = 0,
	DNS_RCODE_FORMERR = 1,
	DNS_RCODE_SERVFAIL = 2,
	DNS_RCODE_NXDOMAIN = 3,
	DNS_RCODE_NOTIMP = 4,
	DNS_RCODE_REFUSED = 5,
};

struct dns_rr {
	const char *owner;
	struct span wire; /* the owner, uncompressed, lower case */
	uint16_t type, class;
	uint32_t ttl; /* seconds; one with the highest bit set is 0 (RFC 2181 section 8) */
	struct span rdata;
};

struct dns_section {
	const struct dns_rr *rr;
	size_t n;
};

struct dns_message {
	uint16_t id, rcode; /* `rcode` with EDNS's upper bits */
	bool qr, aa, tc, rd, ra, ad, cd;
	/* The one question; NULL: none. */
	const char *qname;
	uint16_t qtype, qclass;
	struct dns_section answer, authority, additional; /* without OPT */
	bool edns, edns_do;
	uint8_t edns_version;
	uint16_t edns_size;
	size_t size; /* octets on the wire */
};

/* -EBADMSG: malformed; -EMSGSIZE: cut in a message with TC set, the rest of it is in `ret`. */
int dns_message_parse(struct arena *a, struct span wire, struct dns_message *ret) _mustcheck_;

/* A query with RD clear; `edns`: an OPT record with DO and a buffer of 1232. Its length. */
size_t dns_message_query(uint8_t ret[DNS_QUERY_MAX], uint16_t id, const char *name, uint16_t type,
			 bool edns);

/* --- RDATA; -EBADMSG for what does not have the form of its type -------------------------------
 */

struct dns_rrsig {
	uint16_t covered;
	uint8_t algorithm, labels;
	uint32_t original_ttl;
	uint32_t expiration, inception; /* seconds since 1970, modulo 2^32 (RFC 4034 3.1.5) */
	uint16_t tag;
	const char *signer;
	struct span signature;
};
int dns_rrsig_read(struct arena *a, struct span rdata, struct dns_rrsig *ret) _mustcheck_;

enum {
	DNS_KEY_ZONE = 0x0100,
	DNS_KEY_REVOKED = 0x0080,
	DNS_KEY_SEP = 0x0001,
};
struct dns_dnskey {
	uint16_t flags;
	uint8_t protocol, algorithm;
	struct span key;
	uint16_t tag; /* computed: RFC 4034 appendix B */
};
int dns_dnskey_read(struct span rdata, struct dns_dnskey *ret) _mustcheck_;

struct dns_ds {
	uint16_t tag;
	uint8_t algorithm, digest_type;
	struct span digest;
};
int dns_ds_read(struct span rdata, struct dns_ds *ret) _mustcheck_;

struct dns_nsec {
	struct span next; /* uncompressed wire name, letters as they came */
	struct span types;
};
int dns_nsec_read(struct span rdata, struct dns_nsec *ret) _mustcheck_;

enum {
	DNS_NSEC3_OPTOUT = 1,
};
struct dns_nsec3 {
	uint8_t algorithm, flags;
	uint16_t iterations;
	struct span salt, next; /* `next`: the hash, binary */
	struct span types;
};
int dns_nsec3_read(struct span rdata, struct dns_nsec3 *ret) _mustcheck_;

/* Whether a bitmap of NSEC or NSEC3 (checked when read) has the type. */
bool dns_types_has(struct span bitmap, uint16_t type);

/* The one name that RDATA of NS, CNAME, DNAME consists of, or that of MX; NULL: malformed. */
const char *dns_rdata_name(struct arena *a, uint16_t type, struct span rdata);

/* --- text --------------------------------------------------------------------------------------
 */

/* "TLSA", "TYPE65280". */
const char *dns_type_to_text(struct arena *a, uint16_t type);
/* 0: no type that can be asked for (unknown words, ANY, AXFR, OPT ...). */
uint16_t dns_type_from_text(const char *word);
/* "NXDOMAIN", "RCODE 23". */
const char *dns_rcode_to_text(struct arena *a, uint16_t rcode);
/* In presentation form, one line, printable ASCII only. */
const char *dns_rr_to_text(struct arena *a, const struct dns_rr *rr);
