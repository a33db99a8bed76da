/*
 * One host of a destination: addresses first, then TLSA at the candidate base domains, then what
 * the records allow. RFC 7672 sections 2.2.2 and 2.2.3; matrix A, T, U, D.
 */
#include "core/dane/decider.h"
#include "core/dane/name.h"

static bool is_failure(const struct dane_answer *a)
{
	return a->security == DANE_BOGUS || a->security == DANE_FAILED;
}

/* --- verdicts ----------------------------------------------------------------------------- */

static enum host_state done(struct host *h, enum dane_level level, const char *reason)
{
	h->out.level = level;
	h->out.reason = reason;
	return HOST_DONE;
}

static enum host_state unreachable(struct host *h, const char *status, const char *tlsrpt,
				   const char *reason)
{
	h->out.status = status;
	h->out.tlsrpt = tlsrpt;
	return done(h, DANE_LEVEL_UNREACHABLE, reason);
}

/*
 * A lookup failed: R11, R12, R16. Bogus address and any TLSA failure are the DNSSEC kind. One that
 * our own time cut off is neither that nor a failure of the DNS: it counts as what a delivery
 * gets whose time is over, and is reported to nobody (RFC 8460 section 4.3.2.1).
 */
static enum host_state lookup_failed(struct dane_decider *d, struct host *h, const struct query *q,
				     bool dnssec)
{
	const struct dane_answer *a = q->answer;

	h->out.late = a->late;
	dnssec = !a->late && (dnssec || a->security == DANE_BOGUS);
	return unreachable(h,
			   a->late  ? DANE_STATUS_LATE
			   : dnssec ? "4.7.324"
				    : "4.4.3",
			   dnssec ? "dnssec-invalid" : NULL,
			   arena_printf(&d->arena, "the %s lookup for %s %s: %s",
					dane_rrtype_to_string(q->question.type), q->question.name,
					a->security == DANE_BOGUS ? "is bogus" : "failed",
					a->why != NULL ? a->why : "no reason known"));
}

/* OPP, unless DANE is mandatory: D2, D5. `why` ends a sentence. */
static enum host_state without_dane(struct dane_decider *d, struct host *h, const char *why)
{
	if (d->request.mode == DANE_MODE_MANDATORY)
		return unreachable(h, "4.7.323", "dane-required",
				   arena_printf(&d->arena, "DANE is mandatory here: %s", why));
	return done(h, DANE_LEVEL_MAY, why);
}

/* --- TLSA ---------------------------------------------------------------------------------- */

/* The names that usage 2 accepts: RFC 7672 section 3.2.2, matrix N1-N6. */
static void set_identifiers(struct dane_decider *d, struct host *h)
{
	const char *all[3] = {h->out.tlsa_base, NULL, NULL};

	if (d->out.mx_kind == DANE_MX_MX && d->out.mx_security == DANE_SECURE) {
		all[1] = d->request.next_hop; /* N2 */
		all[2] = d->expanded;         /* N3 */
	} else if (d->out.mx_kind != DANE_MX_MX) {
		all[1] = d->request.next_hop; /* N6 */
	}                                     /* else half-DANE: the base domain alone, N5 */
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		bool known = all[i] == NULL;

		for (size_t k = 0; k < h->out.n_identifiers; k++)
			known = known || strcmp(h->out.identifiers[k], all[i]) == 0;
		if (!known)
			h->out.identifiers[h->out.n_identifiers++] = all[i];
	}
}

static enum host_state judge_records(struct dane_decider *d, struct host *h)
{
	size_t n = h->out.n_records, n_usable = 0;
	struct dane_tlsa *tlsa = arena_calloc(&d->arena, n, sizeof(*tlsa));
	bool *usable = arena_calloc(&d->arena, n, sizeof(*usable));
	bool *aside = arena_calloc(&d->arena, n, sizeof(*aside));

	for (size_t i = 0; i < n; i++) {
		tlsa[i] = h->records[i].tlsa;
		usable[i] = h->records[i].unusable == DANE_USABLE;
		n_usable += usable[i];
	}
	dane_tlsa_agility(tlsa, usable, n, aside);
	for (size_t i = 0; i < n; i++)
		h->records[i].aside = aside[i];
	if (n_usable > 0) /* T1, T12 */
		return done(h, DANE_LEVEL_DANE,
			    arena_printf(&d->arena, "%zu usable TLSA record%s at %s", n_usable,
					 n_usable == 1 ? "" : "s",
					 dane_name_tlsa_owner(&d->arena, h->out.tlsa_base,
							      d->request.port)));
	h->out.tlsrpt = "tlsa-invalid";
	if (d->request.mode == DANE_MODE_MANDATORY) /* D3 */
		return unreachable(h, "4.7.323", "tlsa-invalid",
				   "DANE is mandatory here, and no published TLSA record is "
				   "usable (RFC 7671 section 10.3)");
	return done(h, DANE_LEVEL_ENCRYPT, /* T2, A19 */
		    "TLSA records are published, but none is usable: TLS is required, the "
		    "certificate is not checked (RFC 7672 section 2.2)");
}

struct indexed {
	struct span rdata;
	size_t index;
};

static int by_rdata(const void *va, const void *vb)
{
	const struct indexed *a = va, *b = vb;
	size_t n = a->rdata.n < b->rdata.n ? a->rdata.n : b->rdata.n;
	int order = n > 0 ? memcmp(a->rdata.p, b->rdata.p, n) : 0;

	if (order != 0)
		return order;
	if (a->rdata.n != b->rdata.n)
		return a->rdata.n < b->rdata.n ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

static int by_index(const void *va, const void *vb)
{
	const struct indexed *a = va, *b = vb;

	return (a->index > b->index) - (a->index < b->index);
}

/* U15: each record once, in the order of the answer. Returns how many are left. */
static size_t drop_duplicates(struct indexed *list, size_t n)
{
	size_t kept = 0;

	qsort(list, n, sizeof(*list), by_rdata);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || !span_eq(list[i].rdata, list[kept - 1].rdata))
			list[kept++] = list[i];
	qsort(list, kept, sizeof(*list), by_index);
	return kept;
}

/* A secure non-empty RRset fixes the base domain: RFC 7672 section 2.2.3. */
static enum host_state read_records(struct dane_decider *d, struct host *h,
				    const struct dane_answer *a)
{
	struct dane_record *records = arena_calloc(&d->arena, a->n_records, sizeof(*records));
	struct indexed *unique;
	size_t n;

	h->out.tlsa_base = h->candidates[h->candidate];
	unique = arena_calloc(&d->arena, a->n_records, sizeof(*unique));
	for (size_t i = 0; i < a->n_records; i++)
		unique[i] = (struct indexed){a->records[i], i};
	n = drop_duplicates(unique, a->n_records);
	for (size_t i = 0; i < n; i++) {
		records[i].tlsa = dane_tlsa_from_wire(unique[i].rdata);
		records[i].unusable = dane_tlsa_usability(&records[i].tlsa);
	}
	h->records = records;
	h->out.records = records;
	h->out.n_records = n;
	set_identifiers(d, h);
	for (size_t i = 0; i < n; i++) {
		if (records[i].unusable == DANE_USABLE && dane_tlsa_wants_der(&records[i].tlsa)) {
			dane_decider_ask_der(d, h, &records[i]);
			h->der_waiting++;
		}
	}
	return h->der_waiting > 0 ? HOST_DER : judge_records(d, h);
}

/* Asks at the next candidate whose TLSA owner name can exist (F2); none left: OPP (A20). */
static enum host_state ask_tlsa(struct dane_decider *d, struct host *h)
{
	for (; h->candidate < h->n_candidates; h->candidate++) {
		const char *owner = dane_name_tlsa_owner(&d->arena, h->candidates[h->candidate],
							 d->request.port);

		if (owner == NULL)
			continue;
		h->tlsa = dane_decider_ask(d, h, owner, DANE_RR_TLSA);
		return HOST_TLSA;
	}
	return without_dane(d, h, "no signed TLSA record is published for it");
}

static enum host_state tlsa_answered(struct dane_decider *d, struct host *h)
{
	const struct dane_answer *a = h->tlsa->answer;

	h->out.tlsa_security = a->security;
	if (is_failure(a)) /* T6, A17: candidate 2 is not asked */
		return lookup_failed(d, h, h->tlsa, true);
	if (a->security == DANE_SECURE && a->content == DANE_RECORDS)
		return read_records(d, h, a);
	h->candidate++; /* T3-T5, T9, T10, A18 */
	return ask_tlsa(d, h);
}

static enum host_state der_answered(struct dane_decider *d, struct host *h)
{
	/* Each answer is in its query; count what is still missing. */
	if (--h->der_waiting > 0)
		return HOST_DER;
	for (struct query *q = d->first; q != NULL; q = q->next) {
		if (q->host != h || q->record == NULL || q->der_well_formed)
			continue;
		q->record->unusable = q->record->tlsa.selector == 0
					      ? DANE_UNUSABLE_NOT_CERTIFICATE /* U9 */
					      : DANE_UNUSABLE_NOT_KEY;        /* U10 */
	}
	return judge_records(d, h);
}

/* --- addresses ------------------------------------------------------------------------------ */

static void add_addresses(struct dane_decider *d, const struct dane_answer *a, size_t length,
			  const char **list, size_t *n)
{
	size_t most = *n + DANE_ADDRESSES_MAX;

	if (is_failure(a) || a->content != DANE_RECORDS)
		return;
	for (size_t i = 0; i < a->n_records && *n < most; i++)
		if (a->records[i].n == length)
			list[(*n)++] = dane_address_to_text(&d->arena, a->records[i]);
}

/*
 * The answer that decides on security: of the families that answered the best one (A5, A6), among
 * equals one with addresses, since it carries the alias. NULL if both failed.
 */
static const struct query *leading(const struct host *h)
{
	const struct query *both[] = {h->a, h->aaaa}, *best = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		const struct dane_answer *a = both[i]->answer;

		if (is_failure(a))
			continue;
		if (best == NULL || a->security < best->answer->security ||
		    (a->security == best->answer->security &&
		     best->answer->content != DANE_RECORDS && a->content == DANE_RECORDS))
			best = both[i];
	}
	return best;
}

/* One of the two failed, and no address is left: bogus before failed. */
static enum host_state no_address(struct dane_decider *d, struct host *h)
{
	bool a_failed = is_failure(h->a->answer), aaaa_failed = is_failure(h->aaaa->answer);
	const struct query *cause = h->a;

	if (!a_failed && !aaaa_failed &&
	    (h->a->answer->content == DANE_RECORDS || h->aaaa->answer->content == DANE_RECORDS))
		return unreachable(h, "4.4.3", NULL, "its address records are malformed"); /* R12 */
	if (!a_failed && !aaaa_failed) {                                                   /* A8 */
		h->out.address_security = DANE_UNASKED;
		h->out.proven_absent = true;
		return unreachable(h, "5.4.4", NULL, "it has no address");
	}
	if (!a_failed || (aaaa_failed && h->a->answer->security == DANE_FAILED &&
			  h->aaaa->answer->security == DANE_BOGUS))
		cause = h->aaaa;
	if (a_failed && aaaa_failed)
		h->out.address_security = cause->answer->security;
	return lookup_failed(d, h, cause, false); /* A7 */
}

/* Addresses are known: may TLSA be asked, and where? RFC 7672 section 2.2.2. */
static enum host_state choose_candidates(struct dane_decider *d, struct host *h,
					 const struct dane_answer *lead)
{
	const char *canonical = dane_answer_canonical(lead, h->out.name);

	if (!d->want_tlsa)
		return without_dane(d, h, d->no_tlsa);
	if (lead->security == DANE_INSECURE && lead->n_aliases > 0) { /* A12-A14 */
		h->cname = dane_decider_ask(d, h, h->out.name, DANE_RR_CNAME);
		return HOST_ALIAS;
	}
	if (lead->security == DANE_INSECURE) /* A3, A4: TLSA is not asked */
		return without_dane(d, h,
				    "its address is not signed, so DANE does not apply (RFC "
				    "7672 section 2.2.2)");
	if (strcmp(canonical, h->out.name) != 0) /* A11 */
		h->candidates[h->n_candidates++] = canonical;
	h->candidates[h->n_candidates++] = h->out.name;
	return ask_tlsa(d, h);
}

static enum host_state addresses_answered(struct dane_decider *d, struct host *h)
{
	const struct query *lead;
	const char **list;
	size_t n = 0;

	if (h->a->answer == NULL || h->aaaa->answer == NULL)
		return HOST_ADDRESSES;
	lead = leading(h);
	if (lead != NULL)
		h->out.address_security = lead->answer->security;
	list = arena_calloc(&d->arena, 2 * DANE_ADDRESSES_MAX, sizeof(*list));
	add_addresses(d, h->a->answer, 4, list, &n);
	add_addresses(d, h->aaaa->answer, 16, list, &n);
	h->out.addresses = list;
	h->out.n_addresses = n;
	if (n == 0)
		return no_address(d, h);
	return choose_candidates(d, h, lead->answer);
}

/* What the CNAME question told of the first hop goes into the evidence: R15, R20. */
static void note_hops(struct query *q, enum dane_security first)
{
	/* The machine's own copy of the answer. */
	struct dane_alias *hops = (struct dane_alias *)(uintptr_t)q->answer->aliases;

	for (size_t i = 0; i < q->answer->n_aliases; i++)
		if (hops[i].security == DANE_UNASKED && (i == 0 || first == DANE_INSECURE))
			hops[i].security = first;
}

static enum host_state alias_answered(struct dane_decider *d, struct host *h)
{
	const struct dane_answer *a = h->cname->answer;

	note_hops(h->a, a->security);
	note_hops(h->aaaa, a->security);

	if (is_failure(a)) /* A15 */
		return lookup_failed(d, h, h->cname, true);
	if (a->content != DANE_RECORDS) /* A15: a moment ago there was an alias */
		return unreachable(h, "4.7.324", "dnssec-invalid",
				   "its alias was there in one answer and not in the next");
	if (a->security != DANE_SECURE) /* A13 */
		return without_dane(d, h,
				    "its alias is not signed, so DANE does not apply (RFC "
				    "7672 section 2.2.2)");
	h->candidates[h->n_candidates++] = h->out.name; /* A12 */
	return ask_tlsa(d, h);
}

/* --- the machine ------------------------------------------------------------------------------ */

void dane_host_begin(struct dane_decider *d, struct host *h)
{
	if (d->request.mode == DANE_MODE_MANDATORY && !d->want_tlsa) { /* M6, D4 */
		h->state = unreachable(h, "4.7.323", "dane-required", d->no_tlsa);
		return;
	}
	if (!dane_name_is_host(h->out.name)) { /* M18 and names that cannot be a host */
		h->out.proven_absent = true;
		h->state = unreachable(h, "5.4.4", NULL,
				       dane_name_is_address(h->out.name)
					       ? "an address stands where a host name must"
					       : "it is not a host name");
		return;
	}
	h->a = dane_decider_ask(d, h, h->out.name, DANE_RR_A);
	h->aaaa = dane_decider_ask(d, h, h->out.name, DANE_RR_AAAA);
	h->state = HOST_ADDRESSES;
}

void dane_host_answered(struct dane_decider *d, struct host *h)
{
	switch (h->state) {
	case HOST_ADDRESSES:
		h->state = addresses_answered(d, h);
		break;
	case HOST_ALIAS:
		h->state = alias_answered(d, h);
		break;
	case HOST_TLSA:
		h->state = tlsa_answered(d, h);
		break;
	case HOST_DER:
		h->state = der_answered(d, h);
		break;
	case HOST_IDLE:
	case HOST_DONE:
		require(false);
	}
}
