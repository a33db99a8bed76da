#include "edge/dns/packet.h"

#include <errno.h>
#include <ldns/ldns.h>

#include "core/dane/name.h"

static const char *name_of(struct arena *a, const ldns_rdf *rdf)
{
	struct cursor c = cursor_of(span_of(ldns_rdf_data(rdf), ldns_rdf_size(rdf)));

	return dane_name_from_wire(a, &c);
}

/* The CNAME in `list` whose owner is `owner`: its target, or NULL. */
static const char *target_of(struct arena *a, const ldns_rr_list *list, const char *owner)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(list, i);
		const char *name;

		if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_CNAME)
			continue;
		name = name_of(a, ldns_rr_owner(rr));
		if (name != NULL && strcmp(name, owner) == 0)
			return name_of(a, ldns_rr_rdf(rr, 0));
	}
	return NULL;
}

static int read_chain(struct arena *a, const ldns_pkt *packet, struct dane_answer *ret)
{
	struct dane_alias *chain = arena_calloc(a, DNS_ALIASES_MAX, sizeof(*chain));
	const ldns_rr *question = ldns_rr_list_rr(ldns_pkt_question(packet), 0);
	const char *owner = question != NULL ? name_of(a, ldns_rr_owner(question)) : NULL;
	size_t n = 0;

	while (owner != NULL) {
		const char *target = target_of(a, ldns_pkt_answer(packet), owner);

		if (target == NULL)
			break;
		if (n == DNS_ALIASES_MAX)
			return -EBADMSG;
		chain[n++] = (struct dane_alias){
			owner, target, ret->security == DANE_SECURE ? DANE_SECURE : DANE_UNASKED};
		owner = target;
	}
	ret->aliases = chain;
	ret->n_aliases = n;
	return 0;
}

int dns_packet_aliases(struct arena *a, const void *packet, size_t n, struct dane_answer *ret)
{
	ldns_pkt *parsed;
	int error;

	if (ldns_wire2pkt(&parsed, packet, n) != LDNS_STATUS_OK)
		return -EBADMSG;
	error = read_chain(a, parsed, ret);
	ldns_pkt_free(parsed);
	return error;
}
