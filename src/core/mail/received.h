/*
 * The trace: our own Received header field, and the count of those that a message already has.
 *
 *	span = mail_received(&arena, &facts);		// goes in front of the message
 *
 *	struct mail_hops h = {0};
 *	while (more)
 *		mail_hops_feed(&h, bytes);		// cut anywhere
 *	if (h.received >= MAIL_HOPS_MAX) 554 5.4.6;	// RFC 5321 section 6.3
 */
#pragma once

#include "base/arena.h"

enum {
	MAIL_HOPS_MAX = 100,      /* RFC 5321 section 6.3: "at least 100 Received entries" */
	MAIL_RECEIVED_MAX = 2048, /* octets of the field, whatever the facts are */
};

struct mail_received {
	const char *helo;      /* as the client said it, printable ASCII; NULL: nothing */
	const char *address;   /* "192.0.2.1", "2001:db8::1"; NULL or "": a local socket */
	const char *by;        /* the own name */
	const char *id;        /* in the queue: an atom; NULL: left out */
	const char *recipient; /* a path, only if the message has no other (section 7.2); NULL */
	bool esmtp, authenticated, smtputf8;
	const char *tls_version, *tls_cipher; /* both NULL: in clear */
	int64_t unix_time;                    /* seconds */
};

/*
 * The whole field with its last CRLF, in the arena (RFC 5321 section 4.4):
 *
 *	Received: from mail.example.net ([192.0.2.1]) by mx1.example.org with ESMTPS
 *	<tab>(TLSv1.3 TLS_AES_256_GCM_SHA384) id 4f2a for <b@example.org>; Wed, 25 Nov ...
 *
 * Lines have at most 78 octets where a single word permits it, never more than 500. What the client
 * said is the name only if it has a name's form; else it stands in a comment, cut, and nothing in
 * it can end that. "with" as RFC 3848 and RFC 6531 section 4.3 have it; HELO is "SMTP", also inside
 * TLS, for which there is no word. A recipient that is not ASCII is left out unless the message is
 * internationalized itself (`smtputf8`).
 */
struct span mail_received(struct arena *a, const struct mail_received *r);

/* Zero-initialised: at the first octet of a message. */
struct mail_hops {
	unsigned received; /* Received fields, in any case of letters; sticks at its maximum */
	uint64_t octets;   /* of the header so far, with the empty line at its end */
	bool in_body;      /* the empty line has come: nothing behind it counts */
	/* How it goes on. */
	uint8_t state, matched;
};

/* How many octets of `in` belong to the header; 0 from its end on. */
size_t mail_hops_feed(struct mail_hops *h, struct span in);
