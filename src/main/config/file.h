/*
 * What daneway.yaml says, as one plain struct. Made whole by reading a file, immutable afterwards:
 * a reload makes a new one and swaps. All strings and arrays are in its arena and die with it.
 *
 * What always holds for one that was read: every default is filled in; names are lower case and
 * A-labels; domains and destinations are sorted and differ; an exception has owner, reason and end.
 * Whether the files that it names exist and are good is not known here (config_file_look_at_files).
 *
 * The keys, their defaults and their help: main/config/keys.c. daneway.yaml(5) is made from there.
 */
#pragma once

#include <stdio.h>

#include "core/dane/decision.h"
#include "main/config/options.h"
#include "main/config/tree.h"

/* Where to listen. */
struct config_endpoint {
	enum {
		CONFIG_ENDPOINT_NONE,
		CONFIG_ENDPOINT_ADDRESS,
		CONFIG_ENDPOINT_UNIX,
		CONFIG_ENDPOINT_SYSTEMD, /* a socket that systemd hands over (FileDescriptorName=)
					  */
	} kind;
	const char *text; /* as it is written in messages */
	const char *name; /* the address without brackets, the path, or systemd's name */
	uint16_t port;
};

/* Where to deliver. */
struct config_hop {
	enum {
		CONFIG_HOP_NONE,
		CONFIG_HOP_SMTP,
		CONFIG_HOP_LMTP,
	} protocol;
	enum {
		CONFIG_HOP_DOMAIN,  /* by its MX records; SMTP only */
		CONFIG_HOP_HOST,    /* in brackets: no MX lookup */
		CONFIG_HOP_ADDRESS, /* in brackets */
		CONFIG_HOP_UNIX,    /* LMTP only */
	} kind;
	const char *text;
	const char *name; /* domain, host, address without brackets, or path */
	uint16_t port;
};

struct config_network {
	uint8_t family;    /* 4 or 6 */
	uint8_t bits;      /* 0-32 or 0-128; the bytes behind them are zero */
	uint8_t bytes[16]; /* 4 or 16 of them count */
};

struct config_networks {
	struct config_network *items;
	size_t n;
};

struct config_durations {
	usec_t *items;
	size_t n;
};

struct config_certificate {
	const char *chain, *key; /* paths */
};

enum config_tls_in {
	CONFIG_TLS_IN_OFFERED,
	CONFIG_TLS_IN_REQUIRED, /* no MAIL before STARTTLS */
	CONFIG_TLS_IN_IMPLICIT, /* TLS from the first byte (port 465) */
	CONFIG_TLS_IN_NONE,
};

struct config_listener {
	bool is_mx; /* else a relay */
	struct config_endpoint at;
	struct config_endpoint mx, relay; /* as written; one of them is `at` */
	enum config_tls_in tls;
	struct config_networks networks; /* relay: clients that may */
	struct config_list fingerprints; /* relay: SHA-256 of client certificates, 64 hex digits */
	const char *passwords;           /* relay: file for AUTH; NULL: no AUTH */
	struct config_networks proxy;    /* who sends a PROXY header; empty: nobody */
};

enum config_tls_out {
	CONFIG_TLS_OUT_NONE,
	CONFIG_TLS_OUT_MAY,
	CONFIG_TLS_OUT_ENCRYPT,
	CONFIG_TLS_OUT_DANE,      /* as RFC 7672 says: may where there is no TLSA */
	CONFIG_TLS_OUT_DANE_ONLY, /* nothing without DANE */
};

enum config_verify {
	CONFIG_VERIFY_NONE,
	CONFIG_VERIFY_RECIPIENTS, /* RCPT is asked of the server behind, and kept for a while */
	CONFIG_VERIFY_DATA,       /* and its answer to the message is passed on in the session */
};

struct config_domain {
	const char *name;
	struct config_hop next_hop;
	enum config_tls_out tls;
	const char *recipients; /* file with a list; NULL: none */
	enum config_verify verify;
};

struct config_destination {
	const char *name;
	enum dane_mode mode;
	struct config_hop next_hop; /* SMTP; CONFIG_HOP_NONE: by MX */
	const char *owner, *reason;
	int64_t until; /* Unix seconds, the first at which it holds no longer; 0: for ever */
};

struct config_outbound {
	enum dane_mode mode;
	bool half_dane;
	struct config_hop next_hop; /* for all without one of their own */
	int64_t connections;        /* at a time, to one destination */
	usec_t connect_timeout;
	struct {
		struct config_destination *items;
		size_t n;
	} destinations;
};

struct config_queue {
	const char *directory;
	struct config_durations retry; /* at least one; the last again and again */
	usec_t lifetime;
	usec_t dane_lifetime; /* of what is kept back by a DANE failure */
	usec_t delay_notice;  /* 0: none */
	int64_t free_space;   /* bytes that stay free: 452 before */
};

struct config_limits {
	int64_t message_size; /* bytes */
	int64_t recipients, errors, hops;
	int64_t connections, connections_per_client, messages_per_client; /* the last: a minute */
	usec_t command_timeout, data_timeout;
};

struct config_dns {
	const char *root_hints, *trust_anchor; /* paths; NULL: those of the system */
	struct config_list forward;            /* ADDR or ADDR@PORT; excludes root_hints */
	usec_t timeout;
};

enum config_log_level {
	CONFIG_LOG_ERROR,
	CONFIG_LOG_WARNING,
	CONFIG_LOG_INFO,
	CONFIG_LOG_DEBUG,
};

struct config_file {
	struct arena arena;
	const char *path;
	const char *hostname; /* NULL: the host's name */
	const char *state;
	const char *user;
	const char *postmaster; /* NULL: postmaster@ the hostname */
	int64_t threads;
	bool sandbox;
	struct {
		struct config_certificate *items;
		size_t n;
	} certificates;
	struct {
		struct config_listener *items;
		size_t n;
	} listeners;
	struct {
		struct config_domain *items;
		size_t n;
	} domains; /* sorted by name */
	struct config_outbound outbound;
	struct config_queue queue;
	struct config_limits limits;
	struct config_dns dns;
	struct {
		struct config_endpoint listen;
	} metrics;
	struct {
		enum config_log_level level;
	} log;
};

#define CONFIG_FILE_PATH "/etc/daneway/daneway.yaml"

/*
 * Reads a file. NULL and all that is wrong with it in `p` (its first CONFIG_PROBLEMS_MAX);
 * -errno in `ret_error` where it could not even be read, with its one problem.
 */
struct config_file *config_file_load(const char *path, struct config_problems *p, int *ret_error);
/* The same of a text; `path` is what it is called. */
struct config_file *config_file_read(const char *path, struct span text, struct config_problems *p);
struct config_file *config_file_free(struct config_file *f);
void config_file_freep(struct config_file **f);

/*
 * Before serving: certificates, keys, lists and directories that the file names. Adds a problem
 * for each that cannot be read, and for each secret that others can read. Returns how many.
 */
size_t config_file_look_at_files(const struct config_file *f, struct config_problems *p);

/* The entry for exactly this domain (lower case, A-labels); NULL: none. */
const struct config_domain *config_file_domain(const struct config_file *f, const char *name);
const struct config_destination *config_file_destination(const struct config_file *f,
							 const char *name);
/* Whether the exception of a destination still holds (it ends by itself). */
bool config_destination_holds(const struct config_destination *d, int64_t now);
/* 4 or 16 bytes of an address in one of the networks. */
bool config_networks_have(const struct config_networks *n, struct span address);

/*
 * The first key (such as "queue.directory", in the arena) that differs and takes effect only at a
 * start; NULL: the new file can take the place of the old.
 */
const char *config_file_needs_restart(struct arena *a, const struct config_file *old,
				      const struct config_file *new);

/* Every key with its help, as a valid file with the defaults; what has none is commented out. */
void config_file_print_defaults(FILE *out);
/* The values in force, as a valid file. Contents of secret files are never read. */
void config_file_print(FILE *out, const struct config_file *f);
/* daneway.yaml(5), in mdoc. */
void config_file_print_man(FILE *out);
