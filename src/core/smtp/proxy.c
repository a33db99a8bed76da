#include "core/smtp/proxy.h"

#include "base/cursor.h"

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";
static const char version1[] = "PROXY ";

enum state {
	STATE_HEAD,
	STATE_ADDRESSES,
	STATE_REST, /* TLVs, or all of what LOCAL says */
	STATE_DONE,
	STATE_REFUSED,
};

enum {
	COMMAND_LOCAL = 0x20, /* with the version in the upper half */
	COMMAND_PROXY = 0x21,
	FAMILY_UNSPECIFIED = 0x00, /* with the transport in the lower half */
	FAMILY_TCP4 = 0x11,
	FAMILY_TCP6 = 0x21,
	FAMILY_UNIX = 0x31,
	UNIX_OCTETS = 216,
};

_Static_assert(SMTP_PROXY_LENGTH_MAX <= UINT16_MAX, "fits `left`");

static enum state refuse(struct smtp_proxy *p, const char *why)
{
	p->why = why;
	return STATE_REFUSED;
}

/* Each octet of the head is judged when it is there: nobody waits for the rest of what is wrong. */
static enum state look_at_head(struct smtp_proxy *p)
{
	uint8_t last = p->held[p->n - 1u];

	if (p->n <= sizeof(signature)) {
		if (last == signature[p->n - 1u])
			return STATE_HEAD;
		/* "PROXY" differs in its first octet from version 2. */
		return refuse(p, p->n == 1 && last == (uint8_t)version1[0]
					 ? "no PROXY header of version 2 (of version 1?)"
					 : "no PROXY header");
	}
	switch (p->n) {
	case 13:
		if (last >> 4 != 2)
			return refuse(p, "a PROXY header of an unknown version");
		if (last != COMMAND_LOCAL && last != COMMAND_PROXY)
			return refuse(p, "a PROXY header with an unknown command");
		return STATE_HEAD;
	case 14:
		if (p->held[12] == COMMAND_PROXY && last != FAMILY_UNSPECIFIED &&
		    last != FAMILY_TCP4 && last != FAMILY_TCP6 && last != FAMILY_UNIX)
			return refuse(p, "a PROXY header for another protocol than TCP");
		return STATE_HEAD;
	default:
		return STATE_HEAD;
	}
}

/* The head is whole: what follows it? */
static enum state begin_rest(struct smtp_proxy *p)
{
	struct cursor c = cursor_of(span_of(p->held + 14, 2));
	uint8_t family = p->held[13], least = 0;

	p->left = cursor_u16(&c);
	if (p->left > SMTP_PROXY_LENGTH_MAX)
		return refuse(p, "a PROXY header that is too long");
	if (p->held[12] == COMMAND_LOCAL) {
		p->kind = SMTP_PROXY_LOCAL;
		return STATE_REST;
	}
	if (family == FAMILY_UNSPECIFIED || family == FAMILY_UNIX) {
		p->kind = SMTP_PROXY_NO_ADDRESS;
		least = family == FAMILY_UNIX ? UNIX_OCTETS : 0;
	} else {
		p->kind = SMTP_PROXY_TCP;
		least = family == FAMILY_TCP4 ? 2 * (4 + 2) : 2 * (16 + 2);
	}
	if (p->left < least)
		return refuse(p, "a PROXY header without room for its addresses");
	if (p->kind != SMTP_PROXY_TCP)
		return STATE_REST;
	p->source.n = p->destination.n = family == FAMILY_TCP4 ? 4 : 16;
	p->n = 0;
	p->wanted = least;
	p->left = (uint16_t)(p->left - least);
	return STATE_ADDRESSES;
}

static enum state read_addresses(struct smtp_proxy *p)
{
	struct cursor c = cursor_of(span_of(p->held, p->wanted));

	memcpy(p->source.octets, cursor_take(&c, p->source.n).p, p->source.n);
	memcpy(p->destination.octets, cursor_take(&c, p->destination.n).p, p->destination.n);
	p->source.port = cursor_u16(&c);
	p->destination.port = cursor_u16(&c);
	require(!c.failed);
	return STATE_REST;
}

static enum state take_octet(struct smtp_proxy *p, uint8_t octet)
{
	enum state next;

	p->held[p->n++] = octet;
	if (p->state == STATE_ADDRESSES)
		return p->n == p->wanted ? read_addresses(p) : STATE_ADDRESSES;
	next = look_at_head(p);
	return next == STATE_HEAD && p->n == SMTP_PROXY_HEAD ? begin_rest(p) : next;
}

enum smtp_proxy_step smtp_proxy_feed(struct smtp_proxy *p, struct span *in)
{
	while (in->n > 0 && (p->state == STATE_HEAD || p->state == STATE_ADDRESSES)) {
		p->state = (uint8_t)take_octet(p, in->p[0]);
		*in = span_skip(*in, 1);
	}
	if (p->state == STATE_REST) {
		size_t n = p->left < in->n ? p->left : in->n;

		*in = span_skip(*in, n);
		p->left = (uint16_t)(p->left - n);
		if (p->left == 0)
			p->state = STATE_DONE;
	}
	return p->state == STATE_DONE      ? SMTP_PROXY_DONE
	       : p->state == STATE_REFUSED ? SMTP_PROXY_REFUSED
					   : SMTP_PROXY_MORE;
}
