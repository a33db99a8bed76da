/* Records from text (by ldns), for the tests of edge/dns. */
#pragma once

#include "test.h"

#include "edge/dns/record.h"

static inline struct dns_rr rr_of(struct arena *a, const char *text)
{
	ldns_rr *rr = NULL;
	struct dns_rr ret;

	if (ldns_rr_new_frm_str(&rr, text, 3600, NULL, NULL) != LDNS_STATUS_OK)
		fail_msg("no record: %s", text);
	assert_int_equal(dns_record_from_ldns(a, rr, &ret), 0);
	ldns_rr_free(rr);
	return ret;
}

static inline struct span wire_of(struct arena *a, const char *name)
{
	uint8_t wire[DANE_NAME_WIRE_MAX];
	size_t n = dane_name_to_wire(name, wire);

	assert_true(n > 0);
	return arena_dup(a, span_of(wire, n));
}
