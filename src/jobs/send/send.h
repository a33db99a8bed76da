/*
 * From a message and its recipients to attempts and results: one delivery, now, without a queue.
 *
 * Recipients are grouped by domain, and each domain is a destination of its own with its own
 * decision (A27, Q11): its MX hosts in order of preference, equals shuffled (M15, M16), each host's
 * addresses one after the other, until every recipient has a final reply or no host is left. What
 * merely failed is deferred, never failed for good (Q4).
 */
#pragma once

#include "base/js.h"
#include "core/dane/decision.h"
#include "core/smtp/client.h"
#include "edge/dns/resolver.h"
#include "edge/tls/conn.h"

enum {
	/*
	 * Addresses tried for one destination, and of one host, so that a host with dozens of dead
	 * ones does not hide the others (RFC 5321 section 5.1 allows a limit).
	 */
	SEND_ATTEMPTS_MAX = 50,
	SEND_HOST_ADDRESSES_MAX = 10,
	SEND_BATCH = 100, /* recipients in one transaction (RFC 5321 section 4.5.3.1.8) */
};

struct send_env {
	struct io_loop *loop;
	struct dns_resolver *resolver;
	struct tls_context *tls;
};

struct send_message {
	const struct mail_address *from;
	const struct mail_address *to;
	size_t n_to;
	int body;      /* a file, CRLF lines, read with pread */
	uint64_t size; /* octets in it */
	bool eightbit, smtputf8;
};

struct send_options {
	/* mode, half_dane, port, own_name; with next_hop set also hop. Its `domain` is not used. */
	struct dane_request request;
	struct mail_domain helo;
	usec_t connect_timeout;
	usec_t deadline; /* io_now's clock; USEC_NEVER: RFC 5321's limits alone */
};

enum send_outcome {
	SEND_DELIVERED,
	SEND_DEFERRED,
	SEND_FAILED,
	SEND_SKIPPED, /* attempts only: passed over on DNS grounds */
};

/* "delivered", "deferred", "failed", "skipped" */
const char *send_outcome_to_string(enum send_outcome o);

struct send_recipient {
	const struct mail_address *address;
	enum send_outcome outcome;
	const char *status; /* "2.0.0", "4.7.323": never NULL at the end */
	const char *reply;  /* the server's words, or NULL */
	const char *detail;
};

struct send_attempt {
	const char *domain, *host;
	const char *address; /* NULL: skipped */
	uint16_t port;
	enum dane_level level;
	bool tls;
	const char *version, *cipher, *authenticated, *matched; /* with `tls`; matched or NULL */
	enum send_outcome outcome;
	const char *status, *reply, *tlsrpt; /* reply, tlsrpt: or NULL */
	const char *detail;
};

struct send_result {
	enum send_outcome outcome;
	const char *status, *detail, *tlsrpt;
	const struct send_recipient *recipients;
	size_t n_recipients;
	const struct send_attempt *const *attempts;
	size_t n_attempts;
};

struct send;

/* Once, never from within send_new. `s` must outlive the call: free it by io_defer or later. */
typedef void send_fn(void *arg, const struct send_result *r);

/* Borrows everything; it must live as long as the delivery. */
struct send *send_new(const struct send_env *env, const struct send_message *m,
		      const struct send_options *o, send_fn *fn, void *arg);
struct send *send_free(struct send *s);

/* The object of the command-line contract, `deliver`. */
struct js *send_report(const struct send_result *r);
