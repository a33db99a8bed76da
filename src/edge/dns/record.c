#include "edge/dns/record.h"

#include <errno.h>

ldns_rr *dns_record_to_ldns(const struct dns_rr *rr)
{
	uint8_t *wire = xmalloc(rr->wire.n + 10 + rr->rdata.n + 1);
	size_t n = rr->wire.n, at = 0;
	ldns_rr *parsed = NULL;

	memcpy(wire, rr->wire.p, n);
	wire[n++] = (uint8_t)(rr->type >> 8);
	wire[n++] = (uint8_t)rr->type;
	wire[n++] = (uint8_t)(rr->class >> 8);
	wire[n++] = (uint8_t)rr->class;
	for (int shift = 24; shift >= 0; shift -= 8)
		wire[n++] = (uint8_t)(rr->ttl >> shift);
	wire[n++] = (uint8_t)(rr->rdata.n >> 8);
	wire[n++] = (uint8_t)rr->rdata.n;
	if (rr->rdata.n > 0)
		memcpy(wire + n, rr->rdata.p, rr->rdata.n);
	n += rr->rdata.n;
	if (ldns_wire2rr(&parsed, wire, n, &at, LDNS_SECTION_ANSWER) != LDNS_STATUS_OK)
		parsed = NULL;
	free(wire);
	return parsed;
}

int dns_record_from_ldns(struct arena *a, const ldns_rr *rr, struct dns_rr *ret)
{
	uint8_t *wire = NULL;
	size_t n = 0;
	struct cursor c;
	struct span name;

	if (ldns_rr2wire(&wire, rr, LDNS_SECTION_ANSWER, &n) != LDNS_STATUS_OK)
		return -EINVAL;
	c = cursor_of(span_of(wire, n));
	ret->owner = dane_name_from_wire(a, &c);
	name = arena_dup(a, span_of(wire, c.at));
	for (size_t i = 0; i < name.n; i++)
		((uint8_t *)name.p)[i] = ascii_lower(name.p[i]);
	ret->wire = name;
	ret->type = cursor_u16(&c);
	ret->class = cursor_u16(&c);
	ret->ttl = (uint32_t)cursor_u16(&c) << 16;
	ret->ttl |= cursor_u16(&c);
	ret->rdata = arena_dup(a, cursor_take(&c, cursor_u16(&c)));
	free(wire);
	return c.failed ? -EINVAL : 0;
}
