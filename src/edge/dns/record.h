/* A record as the library's object. Only for edge/dns. */
#pragma once

#include <ldns/ldns.h>

#include "edge/dns/message.h"

/* NULL: its RDATA does not have the form of its type. Freed by ldns_rr_free. */
ldns_rr *dns_record_to_ldns(const struct dns_rr *rr);

/* The other way, into the arena; -EINVAL for a record that cannot be written as wire. */
int dns_record_from_ldns(struct arena *a, const ldns_rr *rr, struct dns_rr *ret) _mustcheck_;
