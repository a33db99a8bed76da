/*
 * The validating resolver in the process (libunbound): questions out, answers with their security
 * back (core/dane/answer.h). It iterates from the root, or asks the forwarders it is given, and
 * validates here in both cases; the system's resolver and its AD bit are never used (R1-R5).
 *
 * One loop owns it. A callback never comes before dns_resolver_ask returns, comes at most once,
 * and never after dns_resolver_cancel.
 *
 * Every question has a deadline (R12): what is late is answered DANE_FAILED, and what the library
 * says afterwards is dropped. Questions that the library is still busy with count against the
 * limit also when nobody waits for them any more, so that servers which never answer cannot pile
 * up work without bound; the limit is so high (thousands) that they do not keep others waiting.
 */
#pragma once

#include "base/err.h"
#include "core/dane/answer.h"
#include "edge/io/loop.h"

struct dns_config {
	const char *root_hints;     /* file, or NULL: the built-in list */
	const char *trust_anchor;   /* file, or NULL: the installed anchor of the root */
	const char *const *forward; /* ADDR or ADDR@PORT; excludes root_hints */
	size_t n_forward;
	usec_t timeout; /* of one question */
};

struct dns_resolver;
struct dns_question;

/* `answer` is borrowed. */
typedef void dns_answer_fn(void *arg, const struct dane_answer *answer);

/* NULL and `e`: a file cannot be read or holds no such records (-ENOENT, -EINVAL ...). */
struct dns_resolver *dns_resolver_new(struct io_loop *l, const struct dns_config *c, struct err *e);
/* Open questions are dropped without a callback. */
struct dns_resolver *dns_resolver_free(struct dns_resolver *r);

/* `name` as in core/dane/name.h. The handle is valid until the callback or the cancel. */
struct dns_question *dns_resolver_ask(struct dns_resolver *r, const char *name, uint16_t type,
				      dns_answer_fn *fn, void *arg);
void dns_resolver_cancel(struct dns_resolver *r, struct dns_question *q);

/* How many questions the library may have at a time; more wait, before their deadline begins. */
size_t dns_resolver_limit(const struct dns_resolver *r);
/* Questions asked of the library and not yet finished there, waited for or not. */
size_t dns_resolver_busy(const struct dns_resolver *r);

/*
 * The self-test: what is `. DNSKEY`? With a wrong or missing trust anchor everything would be
 * insecure or bogus without any other sign (R1, V18, V19).
 */
enum dns_health {
	DNS_HEALTH_GOOD,
	DNS_HEALTH_ANCHOR,   /* the trust anchor does not fit the root */
	DNS_HEALTH_CLOCK,    /* signatures are not valid at this clock's time */
	DNS_HEALTH_STRIPPED, /* the forwarder leaves signatures out */
	DNS_HEALTH_SILENT,   /* could not be fetched; may pass */
};

/* `text`: a sentence that names what to mend. */
typedef void dns_health_fn(void *arg, enum dns_health health, const char *text);
void dns_resolver_check(struct dns_resolver *r, dns_health_fn *fn, void *arg);
