/* Any octets as an answer: parsed within bounds, every record readable and printable. */
#include "edge/dns/denial.h"
#include "edge/dns/direct.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_rdata(struct arena *a, const struct dns_rr *rr, size_t total)
{
	struct dns_rrsig sig;
	struct dns_dnskey key;
	struct dns_ds ds;
	struct dns_nsec nsec;
	struct dns_nsec3 nsec3;
	const char *name;

	require(rr->owner != NULL && rr->wire.n >= 1 && rr->wire.n <= DANE_NAME_WIRE_MAX);
	require(rr->rdata.n <= total + 2 * DANE_NAME_WIRE_MAX);
	(void)!dns_rrsig_read(a, rr->rdata, &sig);
	(void)!dns_dnskey_read(rr->rdata, &key);
	(void)!dns_ds_read(rr->rdata, &ds);
	if (dns_nsec_read(rr->rdata, &nsec) == 0)
		dns_types_has(nsec.types, rr->type);
	if (dns_nsec3_read(rr->rdata, &nsec3) == 0)
		dns_types_has(nsec3.types, rr->type);
	name = dns_rdata_name(a, rr->type, rr->rdata);
	require(name == NULL || strlen(name) <= DANE_NAME_TEXT_MAX);
	for (const char *p = dns_rr_to_text(a, rr); *p != '\0'; p++)
		require(*p >= ' ' && *p <= '~');
}

static void prove(struct arena *a, const struct dns_message *m, struct span name, struct span zone)
{
	struct dns_denial *d = arena_alloc(a, sizeof(*d));

	dns_denial_init(d, zone);
	for (size_t i = 0; i < m->authority.n; i++)
		dns_denial_add(d, &m->authority.rr[i]);
	for (unsigned i = 0; i < 4; i++) {
		enum dns_proof p = i == 0   ? dns_denial_nxdomain(d, name)
				   : i == 1 ? dns_denial_nodata(d, name, m->qtype)
				   : i == 2 ? dns_denial_delegation(d, name)
					    : dns_denial_wildcard(d, name, 1);

		require(dns_proof_to_text(p) != NULL);
		require(p != DNS_PROOF_HOLDS || d->n_nsec + d->n_nsec3 > 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = {0};
	struct dns_message m;
	const struct dns_section *all[] = {&m.answer, &m.authority, &m.additional};
	uint16_t id = size >= 2 ? (uint16_t)(data[0] << 8 | data[1]) : 0;
	enum dns_fault fault;
	size_t lines = 0;

	if (size <= DNS_MESSAGE_MAX && dns_message_parse(&a, span_of(data, size), &m) == 0) {
		for (size_t i = 0; i < ARRAY_SIZE(all); i++)
			for (size_t k = 0; k < all[i]->n && lines++ < 200; k++)
				read_rdata(&a, &all[i]->rr[k], size);
		if (m.qname != NULL) {
			uint8_t wire[DANE_NAME_WIRE_MAX];
			struct span name = span_of(wire, dane_name_to_wire(m.qname, wire));

			require(name.n > 0);
			prove(&a, &m, name, dns_wire_parent(name, 1));
			prove(&a, &m, name, name);
			fault = dns_direct_judge(&a, span_of(data, size), id, m.qname, m.qtype, &m);
			require(fault != DNS_FAULT_MALFORMED);
		}
	}
	require(a.used <= 64u * 1024 * 1024);
	arena_done(&a);
	return 0;
}
