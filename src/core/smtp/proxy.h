/*
 * The PROXY header, version 2, in front of a session: a load balancer says who its client is
 * (HAProxy's proxy-protocol.txt, section 2.2). Only from a peer that is allowed to may it be
 * expected, and from such a one it must come: who connects without it is refused, and so is
 * version 1, which is text and cannot be told from a client's words.
 *
 *	struct smtp_proxy p = {0};
 *	switch (smtp_proxy_feed(&p, &in)) {	// moves `in` on over what it took, cut anywhere
 *	case SMTP_PROXY_MORE:			// read on; the caller limits the time
 *	case SMTP_PROXY_DONE:			// `in` is at the session's first octet
 *	case SMTP_PROXY_REFUSED:		// close, p.why for the log
 *	}
 *
 * Any part that cannot be right is refused at its octet. Memory: this struct. The TLVs behind the
 * addresses (TLS facts, checksums) are passed over unseen; together with the addresses they may
 * have SMTP_PROXY_LENGTH_MAX octets (the protocol would permit 65,535; balancers send some
 * hundred).
 */
#pragma once

#include "base/base.h"
#include "base/span.h"

enum {
	SMTP_PROXY_LENGTH_MAX = 4096, /* what the header's length field may say */
	SMTP_PROXY_HEAD = 16,         /* octets before the addresses */
};

enum smtp_proxy_step {
	SMTP_PROXY_MORE,
	SMTP_PROXY_DONE,
	SMTP_PROXY_REFUSED,
};

enum smtp_proxy_kind {
	/* The balancer itself, to see whether we live: who has connected is who it is. */
	SMTP_PROXY_LOCAL,
	/* TCP: `source` and `destination`. */
	SMTP_PROXY_TCP,
	/*
	 * A client without an address: of a Unix socket, or of a protocol that the balancer does
	 * not name. It has no right that comes with an address, least of all the balancer's.
	 */
	SMTP_PROXY_NO_ADDRESS,
};

struct smtp_proxy_address {
	uint8_t octets[16];
	uint8_t n; /* 4 or 16; 0 unless TCP */
	uint16_t port;
};

/* Zero-initialised: at the first octet. */
struct smtp_proxy {
	/* After DONE: */
	enum smtp_proxy_kind kind;
	struct smtp_proxy_address source, destination;
	/* After REFUSED: one sentence. */
	const char *why;
	/* How it goes on. */
	uint8_t state;
	uint8_t wanted;   /* octets of `held` before the next look */
	uint8_t n;        /* octets of `held` */
	uint8_t held[36]; /* the head, then the addresses */
	uint16_t left;    /* octets of the header behind the head */
};

/* DONE and REFUSED again, with nothing taken, when called again. */
enum smtp_proxy_step smtp_proxy_feed(struct smtp_proxy *p, struct span *in);
