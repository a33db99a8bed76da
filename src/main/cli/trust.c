#include "main/cli/trust.h"

#include "core/dane/answer.h"
#include "edge/dns/file.h"

int cli_trust_read(struct arena *a, const struct config *c, struct check_trust *ret)
{
	struct dns_section hints, anchors;
	struct check_root *roots;
	struct err e;
	size_t n = 0;

	if (dns_file_anchors(a, c->trust_anchor != NULL ? c->trust_anchor : dns_file_anchor,
			     &anchors, &e) < 0 ||
	    dns_file_hints(a, c->root_hints != NULL ? c->root_hints : dns_file_hint, &hints, &e) <
		    0)
		return cli_fail(CLI_CONFIG, "%s", e.text);
	roots = arena_calloc(a, hints.n, sizeof(*roots));
	for (size_t i = 0; i < hints.n; i++) {
		roots[n].name = hints.rr[i].owner;
		roots[n].address = dane_address_to_text(a, hints.rr[i].rdata);
		n += roots[n].address != NULL;
	}
	*ret = (struct check_trust){roots, n, anchors.rr, anchors.n};
	return 0;
}
