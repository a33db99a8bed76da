#include "core/dane/decision.h"

#include <errno.h>

#include "core/dane/decider.h"
#include "core/dane/name.h"

const char *dane_mode_to_string(enum dane_mode m)
{
	switch (m) {
	case DANE_MODE_OPPORTUNISTIC:
		return "opportunistic";
	case DANE_MODE_MANDATORY:
		return "mandatory";
	case DANE_MODE_NONE:
		return "none";
	}
	return NULL;
}

bool dane_mode_from_string(const char *word, enum dane_mode *ret)
{
	for (int m = DANE_MODE_OPPORTUNISTIC; m <= DANE_MODE_NONE; m++) {
		if (strcmp(word, dane_mode_to_string((enum dane_mode)m)) == 0) {
			*ret = (enum dane_mode)m;
			return true;
		}
	}
	return false;
}

const char *dane_level_to_string(enum dane_level l)
{
	switch (l) {
	case DANE_LEVEL_DANE:
		return "dane";
	case DANE_LEVEL_ENCRYPT:
		return "encrypt";
	case DANE_LEVEL_MAY:
		return "may";
	case DANE_LEVEL_UNREACHABLE:
		return "unreachable";
	}
	return NULL;
}

const char *dane_outcome_to_string(enum dane_outcome o)
{
	switch (o) {
	case DANE_OUTCOME_DANE:
		return "dane";
	case DANE_OUTCOME_ENCRYPT:
		return "encrypt";
	case DANE_OUTCOME_MAY:
		return "may";
	case DANE_OUTCOME_MIXED:
		return "mixed";
	case DANE_OUTCOME_DEFER:
		return "defer";
	case DANE_OUTCOME_BOUNCE:
		return "bounce";
	}
	return NULL;
}

/* --- questions ---------------------------------------------------------------------------- */

static struct query *query_new(struct dane_decider *d, struct host *h)
{
	struct query *q = arena_alloc(&d->arena, sizeof(*q));

	if (d->n_queries == d->room) {
		d->room = d->room > 0 ? d->room * 2 : 16;
		d->by_id = xrealloc(d->by_id, d->room * sizeof(struct query *));
	}
	q->host = h;
	q->question.host = h != NULL ? h->out.name : NULL;
	q->question.id = d->n_queries;
	d->by_id[d->n_queries++] = q;
	*d->last = q;
	d->last = &q->next;
	if (d->unasked == NULL)
		d->unasked = q;
	return q;
}

struct query *dane_decider_ask(struct dane_decider *d, struct host *h, const char *name,
			       uint16_t type)
{
	struct query *q = query_new(d, h);

	q->question.ask = DANE_ASK_DNS;
	q->question.name = name;
	q->question.type = type;
	return q;
}

struct query *dane_decider_ask_der(struct dane_decider *d, struct host *h, struct dane_record *r)
{
	struct query *q = query_new(d, h);

	q->question.ask = DANE_ASK_DER;
	q->question.selector = r->tlsa.selector;
	q->question.data = r->tlsa.data;
	q->record = r;
	return q;
}

const struct dane_question *dane_decider_question(struct dane_decider *d)
{
	struct query *q = d->unasked;

	if (q == NULL)
		return NULL;
	d->unasked = q->next;
	return &q->question;
}

size_t dane_decider_weight(const struct dane_decider *d)
{
	return d->arena.used + d->room * sizeof(struct query *);
}

size_t dane_decider_evidence_count(const struct dane_decider *d)
{
	return d->n_queries;
}

struct dane_evidence dane_decider_evidence(const struct dane_decider *d, size_t i)
{
	const struct query *q;

	require(i < d->n_queries);
	q = d->by_id[i];
	return (struct dane_evidence){.question = q->question,
				      .dns = q->answer,
				      .der_known = q->der_known,
				      .der_well_formed = q->der_well_formed};
}

/* --- the end -------------------------------------------------------------------------------- */

static void finish(struct dane_decider *d, enum dane_outcome outcome, const char *status,
		   const char *tlsrpt, const char *detail)
{
	d->out.outcome = outcome;
	d->out.status = status;
	d->out.tlsrpt = tlsrpt;
	d->out.detail = detail;
	d->unasked = NULL;
	d->state = DECIDER_DONE;
}

static enum dane_outcome outcome_of_level(enum dane_level l)
{
	switch (l) {
	case DANE_LEVEL_DANE:
		return DANE_OUTCOME_DANE;
	case DANE_LEVEL_ENCRYPT:
		return DANE_OUTCOME_ENCRYPT;
	case DANE_LEVEL_MAY:
		return DANE_OUTCOME_MAY;
	case DANE_LEVEL_UNREACHABLE:
		return DANE_OUTCOME_DEFER;
	}
	return DANE_OUTCOME_DEFER;
}

static const char *outcome_sentence(enum dane_outcome o)
{
	switch (o) {
	case DANE_OUTCOME_DANE:
		return "every reachable host must prove itself by DANE, or it gets no mail";
	case DANE_OUTCOME_ENCRYPT:
		return "mail goes over TLS or not at all; no published TLSA record is usable, so "
		       "the certificate is not checked";
	case DANE_OUTCOME_MAY:
		return "no DANE: TLS where it is offered, else in clear";
	case DANE_OUTCOME_MIXED:
		return "the hosts differ: an attacker who blocks the protected ones gets the mail "
		       "sent to the others";
	case DANE_OUTCOME_DEFER:
	case DANE_OUTCOME_BOUNCE:
		break;
	}
	return "";
}

/*
 * No host is left. Provably none has an address: M23. Else something merely failed, and the
 * status is that of the best-preference host with a DANE or DNSSEC cause (contract, "deliver").
 */
static void finish_without_host(struct dane_decider *d)
{
	const struct dane_host *cause = NULL;
	bool all_absent = d->out.n_hosts_beyond == 0;

	for (size_t i = 0; i < d->out.n_hosts; i++) {
		const struct dane_host *h = &d->hosts[i].out;

		all_absent = all_absent && h->proven_absent;
		if (cause == NULL && h->status != NULL && strncmp(h->status, "4.7.", 4) == 0)
			cause = h;
	}
	for (size_t i = 0; cause == NULL && i < d->out.n_hosts; i++)
		if (!d->hosts[i].out.proven_absent)
			cause = &d->hosts[i].out;
	if (all_absent) {
		finish(d, DANE_OUTCOME_BOUNCE, "5.4.4", NULL,
		       arena_printf(&d->arena, "%s of %s has an address, and that is certain",
				    d->out.n_hosts == 1 ? "no host" : "none of the hosts",
				    d->request.next_hop));
		return;
	}
	if (cause == NULL) { /* only hosts beyond the limit are left */
		finish(d, DANE_OUTCOME_DEFER, "4.4.4", NULL,
		       "none of the first hosts has an address");
		return;
	}
	finish(d, DANE_OUTCOME_DEFER, cause->status, cause->tlsrpt,
	       arena_printf(&d->arena, "no host can be used; %s: %s", cause->name, cause->reason));
}

static void conclude(struct dane_decider *d)
{
	enum dane_outcome outcome = DANE_OUTCOME_DEFER;
	bool found = false;
	const char *detail;

	for (size_t i = 0; i < d->out.n_hosts; i++) {
		enum dane_level level = d->hosts[i].out.level;

		if (level == DANE_LEVEL_UNREACHABLE)
			continue;
		if (found && outcome != outcome_of_level(level))
			outcome = DANE_OUTCOME_MIXED;
		else if (!found)
			outcome = outcome_of_level(level);
		found = true;
	}
	if (!found) {
		finish_without_host(d);
		return;
	}
	detail = outcome_sentence(outcome);
	if (d->out.n_hosts_beyond > 0)
		detail = arena_printf(&d->arena,
				      "%s; %zu more MX hosts beyond the first %d were not looked "
				      "at",
				      detail, d->out.n_hosts_beyond, DANE_HOSTS_MAX);
	finish(d, outcome, NULL, NULL, detail);
}

/* --- hosts ---------------------------------------------------------------------------------- */

/* Starts hosts in order of preference, DANE_HOSTS_ACTIVE at a time, and ends when all are done. */
static void advance_hosts(struct dane_decider *d)
{
	while (d->next_host < d->out.n_hosts && d->n_active < DANE_HOSTS_ACTIVE) {
		struct host *h = &d->hosts[d->next_host++];

		d->n_active++;
		dane_host_begin(d, h);
		if (h->state == HOST_DONE) {
			d->n_active--;
			d->n_done++;
		}
	}
	if (d->n_done < d->out.n_hosts)
		return;
	for (size_t i = 0; i < d->out.n_hosts; i++)
		((struct dane_host *)(uintptr_t)d->out.hosts)[i] = d->hosts[i].out;
	conclude(d);
}

static void begin_hosts(struct dane_decider *d, size_t n)
{
	d->out.n_hosts = n;
	d->out.hosts = arena_calloc(&d->arena, n, sizeof(*d->out.hosts));
	d->state = DECIDER_HOSTS;
	advance_hosts(d);
}

static struct host *hosts_new(struct dane_decider *d, size_t n)
{
	d->hosts = arena_calloc(&d->arena, n, sizeof(*d->hosts));
	for (size_t i = 0; i < n; i++) {
		d->hosts[i].out.address_security = DANE_UNASKED;
		d->hosts[i].out.tlsa_security = DANE_UNASKED;
	}
	return d->hosts;
}

/* The next-hop domain itself is the host: implicit MX (M10, M11) or a configured one (M25). */
static void begin_single_host(struct dane_decider *d)
{
	struct host *h = hosts_new(d, 1);

	h->out.name = d->request.next_hop;
	begin_hosts(d, 1);
}

/* M18, M19, D7: DANE does not apply to an address. */
static void begin_address(struct dane_decider *d)
{
	struct host *h = hosts_new(d, 1);
	const char **address = arena_alloc(&d->arena, sizeof(*address));

	*address = d->request.next_hop;
	h->out.name = d->request.next_hop;
	h->out.addresses = address;
	h->out.n_addresses = 1;
	h->state = HOST_DONE;
	if (d->request.mode == DANE_MODE_MANDATORY) {
		h->out.level = DANE_LEVEL_UNREACHABLE;
		h->out.status = "4.7.323";
		h->out.tlsrpt = "dane-required";
		h->out.reason = "DANE is mandatory here and cannot apply to an address (RFC 7672 "
				"section 2.2)";
	} else {
		h->out.level = DANE_LEVEL_MAY;
		h->out.reason = "DANE does not apply to an address (RFC 7672 section 2.2)";
	}
	d->out.n_hosts = 1;
	d->out.hosts = &h->out;
	conclude(d);
}

/* --- the MX RRset ----------------------------------------------------------------------------- */

struct mx {
	uint16_t preference;
	size_t order; /* in the answer, so that sorting is stable */
	const char *host;
};

static int by_preference(const void *va, const void *vb)
{
	const struct mx *a = va, *b = vb;

	if (a->preference != b->preference)
		return a->preference < b->preference ? -1 : 1;
	return (a->order > b->order) - (a->order < b->order);
}

static int by_host(const void *va, const void *vb)
{
	const struct mx *a = va, *b = vb;
	int order = strcmp(a->host, b->host);

	return order != 0 ? order : by_preference(va, vb);
}

/* The hosts of the answer by preference, each once (M32), "." left out; -EBADMSG if malformed. */
static int read_mx(struct dane_decider *d, const struct dane_answer *answer, struct mx **ret,
		   size_t *ret_n)
{
	struct mx *list = arena_calloc(&d->arena, answer->n_records, sizeof(*list));
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < answer->n_records; i++) {
		struct cursor c = cursor_of(answer->records[i]);
		struct mx *mx = &list[n];

		mx->preference = cursor_u16(&c);
		mx->order = i;
		mx->host = dane_name_from_wire(&d->arena, &c);
		if (mx->host == NULL || cursor_left(&c) > 0)
			return -EBADMSG;
		if (strcmp(mx->host, ".") != 0) /* M13, M14 */
			n++;
	}
	qsort(list, n, sizeof(*list), by_host);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(list[i].host, list[i - 1].host) != 0)
			list[kept++] = list[i];
	qsort(list, kept, sizeof(*list), by_preference);
	*ret = list;
	*ret_n = kept;
	return 0;
}

/* M17: at our own preference and beyond mail would come back to us (RFC 5321 section 5.1). */
static size_t cut_own(const struct dane_decider *d, const struct mx *list, size_t n)
{
	if (d->request.own_name == NULL)
		return n;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i].host, d->request.own_name) != 0)
			continue;
		while (i > 0 && list[i - 1].preference == list[i].preference)
			i--;
		return i;
	}
	return n;
}

static void mx_records(struct dane_decider *d, const struct dane_answer *answer)
{
	struct mx *list;
	size_t n, left;

	d->out.mx_kind = DANE_MX_MX;
	if (read_mx(d, answer, &list, &n) < 0) {
		d->out.mx_security = DANE_FAILED;
		d->out.mx_kind = DANE_MX_UNKNOWN;
		finish(d, DANE_OUTCOME_DEFER, "4.4.3", NULL,
		       arena_printf(&d->arena, "the MX answer for %s is malformed",
				    d->request.next_hop));
		return;
	}
	if (n == 0) { /* M13 */
		d->out.mx_kind = DANE_MX_NULL;
		finish(d, DANE_OUTCOME_BOUNCE, "5.1.10", NULL,
		       arena_printf(&d->arena,
				    "%s accepts no mail: it publishes a null MX (RFC "
				    "7505)",
				    d->request.next_hop));
		return;
	}
	left = cut_own(d, list, n);
	if (left == 0) {
		finish(d, DANE_OUTCOME_BOUNCE, "5.4.6", NULL,
		       arena_printf(&d->arena,
				    "%s names this host, %s, as its best MX: mail would loop",
				    d->request.next_hop, d->request.own_name));
		return;
	}
	if (left > DANE_HOSTS_MAX) {
		d->out.n_hosts_beyond = left - DANE_HOSTS_MAX;
		left = DANE_HOSTS_MAX;
	}
	hosts_new(d, left);
	for (size_t i = 0; i < left; i++) {
		d->hosts[i].out.name = list[i].host;
		d->hosts[i].out.preference = list[i].preference;
	}
	begin_hosts(d, left);
}

/* Whether DANE can apply behind this MX answer, and under mandatory DANE whether to go on. */
static bool mx_allows(struct dane_decider *d, const struct dane_answer *answer)
{
	if (answer->n_aliases > 0)
		d->expanded = dane_answer_canonical(answer, d->request.next_hop);
	if (d->request.mode == DANE_MODE_NONE)
		return true;
	if (answer->security == DANE_SECURE || d->request.half_dane) { /* M1, M10; M2, M3, M11 */
		d->want_tlsa = true;
	} else {
		d->no_tlsa = "the MX answer is not signed, so DANE does not apply (RFC 7672 "
			     "section 2.2.1)";
	}
	/* M6, D4: also with half-DANE, whose success would not be secure for the domain. */
	return !(d->request.mode == DANE_MODE_MANDATORY && answer->security == DANE_INSECURE);
}

static void mx_answered(struct dane_decider *d)
{
	const struct dane_answer *answer = d->mx->answer;
	bool go_on;

	d->out.mx_security = answer->security;
	if (answer->security == DANE_BOGUS || answer->security == DANE_FAILED) {
		/* M7, M8, M12, M22: never "no MX". */
		bool bogus = answer->security == DANE_BOGUS;

		finish(d, DANE_OUTCOME_DEFER,
		       bogus          ? "4.7.324"
		       : answer->late ? DANE_STATUS_LATE
				      : "4.4.3",
		       bogus ? "dnssec-invalid" : NULL,
		       arena_printf(&d->arena, "the MX lookup for %s %s: %s", d->request.next_hop,
				    bogus ? "is bogus" : "failed",
				    answer->why != NULL ? answer->why : "no reason known"));
		return;
	}
	if (answer->content == DANE_NXDOMAIN) { /* M9, secure or not */
		finish(d, DANE_OUTCOME_BOUNCE, "5.1.2", NULL,
		       arena_printf(&d->arena, "the domain %s does not exist",
				    d->request.next_hop));
		return;
	}
	go_on = mx_allows(d, answer);
	d->out.mx_kind = answer->content == DANE_RECORDS ? DANE_MX_MX : DANE_MX_IMPLICIT;
	if (!go_on) {
		d->want_tlsa = false;
		d->no_tlsa = "DANE is mandatory here, and the MX answer is not signed (RFC 7672 "
			     "section 2.2.1)";
	}
	if (answer->content == DANE_RECORDS)
		mx_records(d, answer);
	else
		begin_single_host(d);
}

/* --- the machine ------------------------------------------------------------------------------ */

struct dane_decider *dane_decider_new(const struct dane_request *r)
{
	struct dane_decider *d = xcalloc(1, sizeof(*d));

	d->request = *r;
	d->request.domain = arena_strdup(&d->arena, r->domain);
	d->request.next_hop = arena_strdup(&d->arena, r->next_hop);
	d->request.own_name = arena_keep(&d->arena, r->own_name);
	d->last = &d->first;
	d->no_tlsa = "DANE is off for this destination";
	d->out.mx_security = DANE_UNASKED;
	switch (r->hop) {
	case DANE_HOP_DOMAIN:
		d->mx = dane_decider_ask(d, NULL, d->request.next_hop, DANE_RR_MX);
		break;
	case DANE_HOP_HOST: /* the name is trusted by configuration: M25 */
		d->out.mx_kind = DANE_MX_CONFIGURED;
		d->want_tlsa = r->mode != DANE_MODE_NONE;
		begin_single_host(d);
		break;
	case DANE_HOP_ADDRESS:
		d->out.mx_kind = DANE_MX_CONFIGURED;
		begin_address(d);
		break;
	}
	return d;
}

struct dane_decider *dane_decider_free(struct dane_decider *d)
{
	if (d != NULL) {
		arena_done(&d->arena);
		free(d->by_id);
		free(d);
	}
	return NULL;
}

/* The question with this id, if it was handed out and waits for an answer of this kind. */
static struct query *waiting(struct dane_decider *d, uint32_t id, enum dane_ask ask)
{
	struct query *q = id < d->n_queries ? d->by_id[id] : NULL;

	if (q == NULL || q->question.ask != ask || q->answer != NULL || q->der_known ||
	    d->state == DECIDER_DONE)
		return NULL;
	/* They are handed out in the order of their ids. */
	return d->unasked != NULL && id >= d->unasked->question.id ? NULL : q;
}

static void answered(struct dane_decider *d, struct query *q)
{
	if (q == d->mx) {
		mx_answered(d);
		return;
	}
	dane_host_answered(d, q->host);
	if (q->host->state == HOST_DONE) {
		d->n_active--;
		d->n_done++;
		advance_hosts(d);
	}
}

int dane_decider_answer(struct dane_decider *d, uint32_t id, const struct dane_answer *answer)
{
	struct query *q = waiting(d, id, DANE_ASK_DNS);

	if (q == NULL)
		return -ENOENT;
	q->answer = dane_answer_copy(&d->arena, answer);
	answered(d, q);
	return 0;
}

int dane_decider_answer_der(struct dane_decider *d, uint32_t id, bool well_formed)
{
	struct query *q = waiting(d, id, DANE_ASK_DER);

	if (q == NULL)
		return -ENOENT;
	q->der_known = true;
	q->der_well_formed = well_formed;
	answered(d, q);
	return 0;
}

const struct dane_decision *dane_decider_result(const struct dane_decider *d)
{
	return d->state == DECIDER_DONE ? &d->out : NULL;
}

const struct dane_request *dane_decider_request(const struct dane_decider *d)
{
	return &d->request;
}
