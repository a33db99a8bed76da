/*
 * Who may send to whom. Pure: no socket, file or clock. The one place where a recipient is judged;
 * whatever the spelling, it is judged by what core/mail made of it (lower case, A-labels, no
 * trailing dot, no source route).
 *
 * What always holds:
 *  - Listener mx: a recipient is taken only if its domain is exactly one of the gateway's. A
 *    subdomain is another domain; an address literal is nobody's. A local part that routes on
 *    ('%', '!', '@' in quotes) is refused unless the domain's list names it: the server behind
 * might obey it and trusts us.
 *  - Listener relay: any recipient, but only from a client that the listener names: by network, by
 *    the certificate it showed, or by AUTH. Others get nothing at all, not even own domains.
 *  - "postmaster" without a domain (RFC 5321 section 4.5.1) goes to the gateway's postmaster, and
 * no list keeps postmaster out.
 *
 * A snapshot: made whole by the gateway, immutable, swapped at a reload (jobs/receive/receive.h).
 * Pointers are the maker's and live as long as the snapshot.
 */
#pragma once

#include "base/when.h"
#include "core/dane/decision.h"
#include "core/smtp/server.h"
#include "jobs/receive/list.h"
#include "jobs/receive/passwords.h"

struct tls_server; /* edge/tls/server.h */

enum receive_kind {
	RECEIVE_MX,    /* from anyone to the gateway's domains */
	RECEIVE_RELAY, /* from named clients to anyone */
};

enum receive_tls {
	RECEIVE_TLS_OFFERED,
	RECEIVE_TLS_REQUIRED, /* no MAIL before STARTTLS */
	RECEIVE_TLS_IMPLICIT, /* from the first octet: port 465 */
	RECEIVE_TLS_NONE,
};

struct receive_address {
	uint8_t family; /* 4, 6; 0: none (a Unix socket) */
	uint8_t bytes[16];
};

/* "192.0.2.1", "2001:db8::1"; "::ffff:192.0.2.1" is the IPv4 address. What is none: family 0. */
struct receive_address receive_address_of(const char *text);

struct receive_network {
	uint8_t family; /* 4, 6 */
	uint8_t bits;   /* 0-32 or 0-128 */
	uint8_t bytes[16];
};

struct receive_networks {
	const struct receive_network *items;
	size_t n;
};

bool receive_networks_have(const struct receive_networks *n, const struct receive_address *a);

struct receive_listener {
	const char *name; /* where it listens, in words; each has its own */
	enum receive_kind kind;
	enum receive_tls tls;
	struct receive_networks networks; /* relay: clients that may */
	const char *const *fingerprints;  /* relay: SHA-256 of certificates, 64 small hex digits */
	size_t n_fingerprints;
	const struct receive_passwords *passwords; /* relay: NULL: no AUTH */
	struct receive_networks proxy;             /* who begins with a PROXY header */
};

enum receive_verify {
	RECEIVE_VERIFY_NONE,
	RECEIVE_VERIFY_RECIPIENTS, /* the server behind is asked */
	RECEIVE_VERIFY_DATA,       /* and its word on the message is awaited */
};

enum receive_behind_tls {
	RECEIVE_BEHIND_CLEAR,
	RECEIVE_BEHIND_MAY,
	RECEIVE_BEHIND_ENCRYPT, /* TLS or not at all; the certificate is not judged */
	RECEIVE_BEHIND_DANE,
	RECEIVE_BEHIND_DANE_ONLY,
};

/* The server behind a domain: where recipients are verified. */
struct receive_behind {
	enum dane_hop hop; /* by MX, host, address (or the path of a Unix socket) */
	const char *name;  /* NULL: not known, nothing is verified */
	uint16_t port;
	bool lmtp;
	enum receive_behind_tls tls;
};

struct receive_domain {
	const char *name;                      /* lower case, A-labels */
	const struct receive_list *recipients; /* NULL: no list */
	enum receive_verify verify;            /* recipients: where there is no list */
	struct receive_behind behind;
};

/* 0 in a limit of number means none of it is allowed, but where it says otherwise. */
struct receive_limits {
	uint64_t message_size;
	unsigned recipients;               /* of one message; STORE_RECIPIENTS_MAX at most */
	unsigned errors;                   /* of one session */
	unsigned messages;                 /* of one session */
	unsigned hops;                     /* Received fields */
	size_t connections;                /* of all */
	size_t connections_per_client;     /* an IPv4 address, an IPv6 /64 */
	unsigned messages_per_client;      /* a minute; 0: any number */
	unsigned auth_failures_per_client; /* a minute; 0: any number */
	usec_t command_timeout;            /* a whole command, RFC 5321 section 4.5.3.2.7 */
	usec_t data_timeout;               /* the next block of a message, section 4.5.3.2.5 */
	usec_t handshake_timeout;          /* TLS, and a PROXY header */
	usec_t mail_timeout;               /* without a message taken */
	usec_t verdict_timeout;            /* of the server behind on a message; then 250 */
	usec_t crowded_timeout; /* mx: instead of command_timeout when 4/5 of `connections` are open
				 */
	usec_t greet_delay;     /* mx: before the banner, to catch early talkers; 0: none */
	uint64_t data_rate;     /* octets a second after data_timeout; 0: any */
	size_t memory;       /* octets of all envelopes and bodies in memory together; else 452 */
	uint64_t free_space; /* octets that stay free; else 452 */
};

struct receive_rules {
	const char *hostname;
	const char *postmaster;          /* an address, for "postmaster" alone */
	struct tls_server *certificates; /* NULL: no TLS anywhere */
	const struct receive_listener *listeners;
	size_t n_listeners;
	const struct receive_domain *domains; /* sorted by name */
	size_t n_domains;
	struct receive_limits limits;
};

/* 100 MiB, 1000 recipients, as daneway.yaml(5) has it. */
struct receive_limits receive_limits_defaults(void);

/* What is known of a client. */
struct receive_client {
	struct receive_address address;
	bool in_tls;
	const char *fingerprint; /* of the certificate it showed and has the key of; NULL: none */
	const char *user;        /* by AUTH; NULL: none */
};

/* Why a client may send to anyone. */
enum receive_right {
	RECEIVE_RIGHT_NONE,
	RECEIVE_RIGHT_NETWORK,
	RECEIVE_RIGHT_CERTIFICATE,
	RECEIVE_RIGHT_AUTH,
};

enum receive_right receive_rules_right(const struct receive_listener *l,
				       const struct receive_client *c);
const char *receive_right_to_string(enum receive_right r);

/* NULL: it is none of the gateway's. */
const struct receive_domain *receive_rules_domain(const struct receive_rules *r, const char *name);

/* On MAIL: whether this client may send at all. `code` 0: yes. */
struct smtp_server_verdict receive_rules_mail(const struct receive_listener *l,
					      const struct receive_client *c);

struct receive_recipient {
	const char *path;                    /* in the arena or the rules */
	const char *hop;                     /* its domain: "example.org", "[192.0.2.1]" */
	const struct receive_domain *domain; /* NULL: not the gateway's */
	bool verify; /* it is for the server behind to say whether it exists */
	bool await;  /* mx: the client waits for the word of the server behind on the message */
};

/* On RCPT. `code` 0: yes (unless it is to be verified first), and `ret` is filled. */
struct smtp_server_verdict receive_rules_rcpt(const struct receive_rules *r,
					      const struct receive_listener *l,
					      const struct receive_client *c,
					      const struct mail_address *to, struct arena *a,
					      struct receive_recipient *ret);
