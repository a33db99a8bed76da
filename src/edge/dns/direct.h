/*
 * One question to one name server: UDP, then TCP when the answer is truncated (RFC 7766 section 5),
 * or TCP only. What the tester asks authoritative servers with; it validates nothing.
 *
 * Each UDP attempt has a socket of its own, connected (so that the kernel drops what comes from
 * another address) at a port that the kernel chose at random, and a random id. A packet with
 * another id or another question is not the answer: waiting goes on.
 *
 * All on the loop; a callback never comes before dns_direct_ask returns, comes at most once, and
 * never after dns_direct_cancel. Questions above the limit wait for their turn; their time runs
 * from their start.
 */
#pragma once

#include "edge/dns/message.h"
#include "edge/io/loop.h"

enum dns_transport {
	DNS_UDP,
	DNS_TCP,
};

/* Why there is no answer. */
enum dns_fault {
	DNS_FAULT_NONE,
	DNS_FAULT_TIMEOUT,     /* nothing came */
	DNS_FAULT_REFUSED,     /* nobody listens at that port */
	DNS_FAULT_UNREACHABLE, /* no route, or no IPv6 here */
	DNS_FAULT_CLOSED,      /* TCP: closed before the answer was whole */
	DNS_FAULT_MALFORMED,   /* no DNS message, or one cut short */
	DNS_FAULT_FOREIGN,     /* only packets with another id or question came */
	DNS_FAULT_LIMIT,       /* the arena is full: the answer was not read */
	DNS_FAULT_TRUNCATED,   /* UDP: truncated; TCP failed: see `tcp_fault` */
};

/* A few words that end a sentence "the server ...": "does not answer". */
const char *dns_fault_to_text(enum dns_fault fault);

struct dns_ask {
	const char *address; /* IPv4 or IPv6 */
	const char *name;
	uint16_t type;
	uint16_t port;      /* 0: 53 */
	bool tcp;           /* TCP from the start */
	bool no_edns;       /* a plain question of 1987 */
	unsigned attempts;  /* over UDP; 0: 2, at most 5 */
	usec_t timeout;     /* of one attempt */
	struct arena *into; /* where the message goes; outlives the question */
	size_t room;        /* bytes in it above which no answer is read; 0: no limit */
};

struct dns_reply {
	enum dns_fault fault, tcp_fault;
	struct dns_message message; /* when fault is NONE */
	enum dns_transport transport;
	bool truncated; /* the answer over UDP was; this one came over TCP */
	usec_t time;    /* from the (last) question to its answer */
};

struct dns_direct;
struct dns_exchange;

typedef void dns_reply_fn(void *arg, const struct dns_reply *reply);

/* `limit`: questions, hence sockets, at a time. */
struct dns_direct *dns_direct_new(struct io_loop *l, size_t limit);
/* Open questions are dropped without a callback. */
struct dns_direct *dns_direct_free(struct dns_direct *d);

struct dns_exchange *dns_direct_ask(struct dns_direct *d, const struct dns_ask *ask,
				    dns_reply_fn *fn, void *arg);
void dns_direct_cancel(struct dns_exchange *x);

/*
 * Whether `wire` is an answer to that question, and what it says. NONE: in `ret`; MALFORMED;
 * FOREIGN: not for us; TRUNCATED: it says so, the rest may be in `ret`.
 */
enum dns_fault dns_direct_judge(struct arena *a, struct span wire, uint16_t id, const char *name,
				uint16_t type, struct dns_message *ret);
