/*
 * Fetches by HTTPS (libcurl on our own loop): one GET, one answer. Certificates are judged by a CA
 * store and the host's name, as RFC 8461 section 3.3 wants it: the one place where public CAs
 * count.
 *
 * What always holds: HTTPS only, TLS 1.2 and up; the addresses are the caller's, nothing is looked
 * up; no redirect is followed, no proxy, cookie, .netrc or cache is used, whatever the environment
 * says; one connection a fetch, never used again. Body, headers and time are bounded. So many
 * fetches run at a time, the others wait in their order.
 *
 * One loop owns it.
 */
#pragma once

#include "base/err.h"
#include "base/span.h"
#include "edge/io/loop.h"

enum {
	WEB_FETCHES = 200,       /* at a time; fewer where descriptors are few */
	WEB_HEADERS_MAX = 65536, /* octets of all header lines */
	WEB_ADDRESSES_MAX = 8,   /* of one host that are tried */
};

enum web_end {
	WEB_ANSWERED,    /* a whole response; its status may be anything */
	WEB_UNREACHED,   /* no address took the connection */
	WEB_TIMEOUT,     /* not in time, whatever was reached by then */
	WEB_TLS_NAME,    /* the certificate is of another name, or has no DNS name at all */
	WEB_TLS_EXPIRED, /* it, or an issuer's, has expired */
	WEB_TLS_CHAIN,   /* it leads to no CA that is trusted, or does not hold otherwise */
	WEB_TLS_FAILED,  /* the handshake fails before any certificate is judged */
	WEB_TOO_LONG,    /* more body or headers than the limit */
	WEB_BROKEN,      /* no whole HTTP response came */
	WEB_UNABLE,      /* our own trouble: the CA store cannot be read */
};

/* "answered", "unreached", "timeout", "tls-name" ... */
const char *web_end_to_string(enum web_end e);

struct web_config {
	const char *ca_file; /* PEM; NULL: the system's store */
	size_t fetches;      /* 0: WEB_FETCHES */
};

/* Strings are copied. */
struct web_request {
	const char *host; /* a name, A-labels: SNI, Host and what the certificate must have */
	const char *path; /* "/..." */
	uint16_t port;
	const char *const *addresses; /* IPv4 and IPv6 text, one at least */
	size_t n_addresses;           /* WEB_ADDRESSES_MAX of them are tried */
	size_t body_max;              /* octets */
	usec_t timeout;               /* from the connect to the last octet */
};

/* Lives for the call. Strings are never NULL. Octets of strings and body are the peer's. */
struct web_response {
	enum web_end end;
	unsigned status;      /* 0: no status line came */
	const char *type;     /* Content-Type as it came; "" without one */
	const char *location; /* of a redirect that was not followed; "" without one */
	const char *text;     /* what went wrong, in the library's words; "" */
	struct span body;
};

struct web;
struct web_fetch;

struct web_ops {
	/* It has its place and its time runs. Never from web_get. */
	void (*begun)(void *arg);
	/* Never from web_get; the fetch is gone. */
	void (*done)(void *arg, const struct web_response *r);
};

/* Borrows the loop. */
struct web *web_new(struct io_loop *l, const struct web_config *c);
/* No fetch may be open, and not from a callback. */
struct web *web_free(struct web *w);

struct web_fetch *web_get(struct web *w, const struct web_request *r, const struct web_ops *ops,
			  void *arg);
/* Cut without a callback; NULL is fine. Returns NULL. */
struct web_fetch *web_cancel(struct web_fetch *f);
