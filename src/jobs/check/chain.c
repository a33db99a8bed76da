/* The walk: its states, its lookups, its ends. */
#include "jobs/check/chain.h"

#include <string.h>

#include "jobs/check/chain_data.h"

/* --- lookups known -----------------------------------------------------------------------------
 */

static struct check_lookup *add_lookup(struct check_chain *c, const char *name, uint16_t type,
				       enum check_role role, const char *host)
{
	struct check_lookup *l;

	if (c->n_lookups >= CHAIN_LOOKUPS_MAX) {
		c->stopped = "the limit of names is reached";
		return NULL;
	}
	l = arena_alloc(&c->arena, sizeof(*l));
	*l = (struct check_lookup){.chain = c,
				   .role = role,
				   .name = name,
				   .wire = check_chain_wire(c, name),
				   .type = type,
				   .host = host,
				   .security = DANE_FAILED,
				   .whole = DANE_FAILED,
				   .validator = DANE_UNASKED,
				   .why = "it was not looked at"};
	if (c->last_lookup != NULL)
		c->last_lookup->next = l;
	else
		c->lookups = l;
	c->last_lookup = l;
	c->n_lookups++;
	return l;
}

static struct check_zone *zone_for(struct check_chain *c, const struct check_lookup *l)
{
	struct check_zone *best = c->zones;

	for (struct check_zone *z = c->zones; z != NULL; z = z->next) {
		if (!dns_wire_is_below(l->wire, z->wire) ||
		    dns_wire_labels(z->wire) < dns_wire_labels(best->wire))
			continue;
		if (l->type != DNS_TYPE_DS || !span_eq(l->wire, z->wire))
			best = z;
	}
	return best;
}

/* --- what is looked up ------------------------------------------------------------------------ */

static enum chain_state ask(struct check_chain *c)
{
	struct check_lookup *l = c->lookup;

	l->zone = c->zone;
	l->ask = check_chain_ask(c, c->zone, l->name, l->type, false, false,
				 check_chain_live(c->zone));
	return CHAIN_CLASSIFY;
}

/* Whether `cut` can be a zone between the present one and the name looked up. */
static bool is_between(const struct check_chain *c, struct span cut)
{
	const struct check_lookup *l = c->lookup;

	return dns_wire_is_below(cut, c->zone->wire) && !span_eq(cut, c->zone->wire) &&
	       dns_wire_is_below(l->wire, cut) &&
	       (l->type != DNS_TYPE_DS || !span_eq(l->wire, cut));
}

/* The owner of the NS records of a referral down towards the name; NULL: it is none. */
static const struct dns_rr *find_referral(const struct check_chain *c, const struct dns_message *m)
{
	const struct dns_rr *ns = NULL;

	if (m->rcode != DNS_RCODE_NOERROR || m->answer.n > 0)
		return NULL;
	for (size_t i = 0; i < m->authority.n; i++) {
		const struct dns_rr *rr = &m->authority.rr[i];

		if (rr->type == DNS_TYPE_SOA)
			return NULL;
		if (rr->type == DNS_TYPE_NS && rr->class == 1 && is_between(c, rr->wire))
			ns = rr;
	}
	return ns;
}

/* The same from a server that does not have the zone: NS records of a zone above or aside. */
static const char *wrong_referral(const struct check_chain *c, const struct dns_message *m)
{
	if (m->aa || m->rcode != DNS_RCODE_NOERROR || m->answer.n > 0 ||
	    find_referral(c, m) != NULL)
		return NULL;
	for (size_t i = 0; i < m->authority.n; i++)
		if (m->authority.rr[i].type == DNS_TYPE_NS)
			return m->authority.rr[i].owner;
	return NULL;
}

static void note_wrong_referrals(struct check_chain *c, struct check_lookup *l)
{
	for (size_t i = 0; i < l->ask->n_variants; i++) {
		const char *to = wrong_referral(c, l->ask->variants[i].message);

		if (to != NULL)
			check_chain_note(c, &l->notes, CHECK_DNSSEC_REFERRAL, l->name,
					 check_chain_record(c, l->name, l->type), c->zone,
					 l->ask->variants[i].servers)
				->detail =
				strcmp(to, ".") == 0 ? "." : arena_printf(&c->arena, "%s.", to);
	}
}

/*
 * A server that serves the zone below too answers for it without a referral (V24). Then the signer,
 * or the owner of the SOA, names that zone: the deepest one.
 */
static unsigned find_hidden(struct check_chain *c, const struct dns_message *m)
{
	unsigned deepest = 0, n;

	for (size_t i = 0; i < m->answer.n + m->authority.n; i++) {
		bool answer = i < m->answer.n;
		const struct dns_rr *rr =
			answer ? &m->answer.rr[i] : &m->authority.rr[i - m->answer.n];
		struct span zone = rr->wire;
		struct dns_rrsig sig;

		if (rr->type == DNS_TYPE_RRSIG && (!answer || span_eq(rr->wire, c->lookup->wire))) {
			if (dns_rrsig_read(&c->arena, rr->rdata, &sig) < 0)
				continue;
			zone = check_chain_wire(c, sig.signer);
		} else if (rr->type != DNS_TYPE_SOA || answer) {
			continue;
		}
		n = dns_wire_labels(zone);
		if (is_between(c, zone) && n > deepest)
			deepest = n;
	}
	return deepest;
}

/* The name of the lookup's last `labels` labels. */
static const char *ancestor(struct check_chain *c, unsigned labels)
{
	struct span wire =
		dns_wire_parent(c->lookup->wire, dns_wire_labels(c->lookup->wire) - labels);
	struct cursor at = cursor_of(wire);

	return dane_name_from_wire(&c->arena, &at);
}

static enum chain_state classify(struct check_chain *c)
{
	struct check_lookup *l = c->lookup;
	const struct dns_rr *referral = NULL;
	unsigned own = dns_wire_labels(l->wire), above = dns_wire_labels(c->zone->wire), hidden = 0;
	bool all_unsigned = l->ask->replies != NULL;

	check_chain_group(l->ask);
	for (size_t i = 0; i < l->ask->n_variants; i++) {
		const struct dns_message *m = l->ask->variants[i].message;
		unsigned n = find_hidden(c, m);

		if (referral == NULL)
			referral = find_referral(c, m);
		hidden = n > hidden ? n : hidden;
		all_unsigned = all_unsigned && !check_chain_is_signed(m);
	}
	note_wrong_referrals(c, l);
	check_chain_note_replies(c, l->ask, referral != NULL ? &c->zone->notes : &l->notes);
	c->ask = c->cut_ns = NULL;
	c->referred = false;
	if (referral != NULL) {
		c->cut_name = referral->owner;
		c->referred = true;
		return CHAIN_CUT;
	}
	if (hidden > 0 && c->zone->keys.n == 0) {
		c->cut_name = ancestor(c, hidden);
		return CHAIN_CUT;
	}
	c->probe = above;
	c->probe_end = hidden;
	if (hidden == 0 && all_unsigned && l->ask->n_variants > 0 && c->zone->keys.n > 0)
		c->probe_end = l->type == DNS_TYPE_DS && own > above ? own - 1 : own;
	if (c->probe_end > above + CHAIN_PROBES_MAX)
		c->probe_end = above + CHAIN_PROBES_MAX;
	return CHAIN_PROBE;
}

static enum chain_state probe(struct check_chain *c)
{
	if (c->probe >= c->probe_end)
		return CHAIN_FINISH;
	c->probe++;
	c->cut_name = ancestor(c, c->probe);
	c->ask = check_chain_ask(c, c->zone, c->cut_name, DNS_TYPE_DS, false, false,
				 check_chain_live(c->zone));
	return CHAIN_PROBE_JUDGE;
}

static enum chain_state probe_judge(struct check_chain *c)
{
	struct check_ask *a = c->ask;
	struct check_notes unheard = {0};
	size_t told = c->n_notes, remembered = c->n_signatures;
	bool gone = false;

	check_chain_group(a);
	for (size_t i = 0; i < a->n_variants; i++) {
		const struct dns_message *m = a->variants[i].message;
		enum dns_proof p = dns_denial_delegation(
			check_chain_denial(c, c->zone, m, &unheard, 0), a->wire);

		if (check_chain_set(c, &m->answer, a->wire, DNS_TYPE_DS).n > 0 ||
		    p == DNS_PROOF_HOLDS || p == DNS_PROOF_OPTOUT)
			return CHAIN_CUT;
		gone = gone || m->rcode == DNS_RCODE_NXDOMAIN;
	}
	c->n_notes = told;
	c->n_signatures = remembered;
	return gone ? CHAIN_FINISH : CHAIN_PROBE;
}

/* --- lookups ---------------------------------------------------------------------------------- */

/* Below a zone that is not the root: in none of its names. */
static bool is_elsewhere(const struct check_chain *c, const struct check_lookup *l)
{
	const struct check_zone *top = c->zones->is_shell ? c->zones->next : c->zones;

	return !dns_wire_is_below(l->wire, top->wire);
}

static void follow_alias(struct check_chain *c, struct check_lookup *l)
{
	const char *record = check_chain_record(c, l->name, DNS_TYPE_CNAME);
	struct check_lookup *next;

	check_chain_note(c, &l->notes, CHECK_DNSSEC_ALIAS, l->name, l->name, NULL, 0)->detail =
		l->target;
	for (struct check_lookup *o = l; o != NULL; o = o->origin) {
		if (strcmp(o->name, l->target) != 0)
			continue;
		check_chain_note(c, &l->notes, CHECK_DNSSEC_ALIAS_LOOP, l->name, record, NULL, 0)
			->detail = l->target;
		l->security = check_chain_worse(l->security, DANE_FAILED);
		l->why = "the alias leads to itself";
		return;
	}
	if (l->hops + 1 >= CHAIN_ALIASES_MAX) {
		check_chain_note(c, &l->notes, CHECK_DNSSEC_ALIAS_LONG, l->name, record, NULL, 0)
			->detail = arena_printf(&c->arena, "%d", CHAIN_ALIASES_MAX);
		l->security = check_chain_worse(l->security, DANE_FAILED);
		l->why = "the alias chain is too long";
		return;
	}
	next = add_lookup(c, l->target, l->type, l->role, l->host);
	if (next == NULL)
		return;
	if (is_elsewhere(c, next))
		check_chain_note(c, &l->notes, CHECK_DNSSEC_ELSEWHERE, l->name, record, NULL, 0)
			->detail = arena_printf(&c->arena, "%s %s", l->target,
						dns_type_to_text(&c->arena, l->type));
	next->origin = l;
	next->hops = l->hops + 1;
	l->alias = next;
}

static void add_host(struct check_chain *c, const char *host)
{
	if (c->n_hosts >= CHAIN_HOSTS_MAX) {
		c->stopped = "there are more MX hosts than are looked at";
		return;
	}
	for (struct check_lookup *l = c->lookups; l != NULL; l = l->next)
		if (l->role == ROLE_A && l->origin == NULL && strcmp(l->host, host) == 0)
			return;
	c->n_hosts++;
	add_lookup(c, host, DNS_TYPE_A, ROLE_A, host);
	add_lookup(c, host, DNS_TYPE_AAAA, ROLE_AAAA, host);
}

static void add_tlsa(struct check_chain *c, const char *base, const char *host)
{
	const char *owner = dane_name_tlsa_owner(&c->arena, base, 25);

	for (struct check_lookup *l = c->lookups; owner != NULL && l != NULL; l = l->next)
		if (l->role == ROLE_TLSA && strcmp(l->name, owner) == 0)
			return;
	if (owner == NULL)
		return;
	add_lookup(c, owner, DNS_TYPE_TLSA, ROLE_TLSA, host);
	/* It stands behind the TLSA lookup, which has its result by then. */
	add_lookup(c, strchr(owner, '.') + 1, DNS_TYPE_A, ROLE_ABOVE, host);
}

static check_mask servers_with(const struct check_lookup *l, bool nxdomain)
{
	check_mask servers = 0;

	for (size_t i = 0; l->ask != NULL && i < l->ask->n_variants; i++) {
		const struct check_variant *v = &l->ask->variants[i];

		if (nxdomain ? v->message->rcode == DNS_RCODE_NXDOMAIN : v->message->answer.n > 0)
			servers |= v->servers;
	}
	return servers;
}

/*
 * A server that denies the name above hides the record from resolvers which ask label by label
 * (RFC 9156) or deny by what they have in the cache (RFC 8020, RFC 8198): matrix A25.
 */
static void note_hidden(struct check_chain *c, struct check_lookup *above)
{
	for (struct check_lookup *l = c->lookups; l != NULL; l = l->next) {
		check_mask hiding = servers_with(above, true);

		if (l->role != ROLE_TLSA || l->origin != NULL || l->zone != above->zone ||
		    strcmp(strchr(l->name, '.') + 1, above->name) != 0)
			continue;
		if (hiding == 0 || servers_with(l, false) == 0)
			return;
		above->hides = l->name;
		above->hiding = hiding;
		check_chain_note(c, &above->notes, CHECK_DNSSEC_HIDDEN, above->name, above->name,
				 above->zone, hiding)
			->detail = l->name;
		return;
	}
}

static void mx_done(struct check_chain *c, const struct check_lookup *l)
{
	if (l->security == DANE_BOGUS || l->security == DANE_FAILED)
		return;
	if (l->content == DANE_NODATA)
		add_host(c, l->name); /* the implicit MX */
	for (size_t i = 0; i < l->records.n; i++) {
		const char *host = dns_rdata_name(&c->arena, DNS_TYPE_MX, l->records.rr[i]->rdata);

		if (host != NULL && strcmp(host, ".") != 0)
			add_host(c, host);
	}
}

/* What follows for a mail domain when one name's chain is at its end. */
static void chain_done(struct check_chain *c, struct check_lookup *l)
{
	switch (l->role) {
	case ROLE_PLAIN:
	case ROLE_A:
		return;
	case ROLE_MX:
		mx_done(c, l);
		return;
	case ROLE_AAAA:
		add_tlsa(c, l->name, l->host); /* the expanded name first (RFC 7672 2.2.2) */
		return;
	case ROLE_TLSA:
		if (l->content != DANE_RECORDS)
			add_tlsa(c, l->host, l->host);
		return;
	case ROLE_ABOVE:
		note_hidden(c, l);
		return;
	}
}

static enum chain_state finish_lookup(struct check_chain *c)
{
	struct check_lookup *l = c->lookup;

	if (l->ask != NULL && l->zone != NULL) {
		check_chain_note_difference(c, l->ask, &l->notes, CHECK_DNSSEC_DIFFER);
		check_chain_judge_lookup(c, l);
		if (l->target != NULL)
			follow_alias(c, l);
	}
	if (l->alias == NULL)
		chain_done(c, l);
	l->done = true;
	return CHAIN_LOOKUP;
}

static enum chain_state next_lookup(struct check_chain *c)
{
	struct check_lookup *next = c->lookup == NULL ? c->lookups : c->lookup->next;

	/* An alias is followed at once; it stands at the end of the list. */
	if (c->lookup != NULL && c->lookup->alias != NULL && !c->lookup->alias->done)
		next = c->lookup->alias;
	else
		for (next = c->lookups; next != NULL && next->done;)
			next = next->next;
	if (next == NULL || c->halted)
		return CHAIN_VALIDATOR;
	c->lookup = next;
	if (is_elsewhere(c, next)) {
		next->elsewhere = next->done = true;
		return CHAIN_LOOKUP;
	}
	c->zone = zone_for(c, next);
	if (c->zone->soa == NULL && c->zone->n_servers > 0 && !c->zone->is_known)
		return CHAIN_BASICS;
	return CHAIN_ASK;
}

/* --- the validator ---------------------------------------------------------------------------- */

static void on_validator(void *arg, const struct dane_answer *answer)
{
	struct check_lookup *l = arg;
	struct check_chain *c = l->chain;

	l->question = NULL;
	l->validator = answer->security;
	l->validator_why = arena_keep(&c->arena, answer->why);
	c->pending--;
	if (c->pending == 0)
		check_chain_advance(c);
}

static enum chain_state validator(struct check_chain *c)
{
	/* Of another time it knows nothing. */
	if (c->request.no_validator || c->request.now != 0)
		return CHAIN_VALIDATOR_JUDGE;
	for (struct check_lookup *l = c->lookups; l != NULL; l = l->next) {
		if (l->origin != NULL || l->elsewhere || !l->done)
			continue;
		c->pending++;
		l->question = dns_resolver_ask(c->resolver, l->name, l->type, on_validator, l);
	}
	return CHAIN_VALIDATOR_JUDGE;
}

static bool is_unusable(enum dane_security s)
{
	return s == DANE_BOGUS || s == DANE_FAILED;
}

/* With all its hops; what is elsewhere has the validator's word for it, or counts for nothing. */
static enum dane_security whole_of(const struct check_lookup *l)
{
	enum dane_security s = l->security;

	for (const struct check_lookup *a = l->alias; a != NULL; a = a->alias) {
		if (!a->elsewhere)
			s = check_chain_worse(s, a->security);
		else if (l->validator != DANE_UNASKED)
			s = check_chain_worse(s, l->validator);
	}
	return s;
}

static void note_disagreement(struct check_chain *c, struct check_lookup *l)
{
	if (l->validator == DANE_UNASKED || l->validator == l->whole ||
	    (is_unusable(l->validator) && is_unusable(l->whole)))
		return;
	check_chain_note(c, &l->notes, CHECK_DNSSEC_DISAGREE, l->name,
			 check_chain_record(c, l->name, l->type), NULL, 0)
		->detail = arena_printf(
		&c->arena, "%s, libunbound says %s%s%s",
		l->whole == DANE_FAILED ? "unknown" : dane_security_to_string(l->whole),
		dane_security_to_string(l->validator), l->validator_why != NULL ? ": " : "",
		l->validator_why != NULL ? l->validator_why : "");
}

static enum chain_state validator_judge(struct check_chain *c)
{
	for (struct check_lookup *l = c->lookups; l != NULL; l = l->next) {
		if (l->origin != NULL || l->elsewhere)
			continue;
		l->whole = whole_of(l);
		note_disagreement(c, l);
	}
	return CHAIN_OVER;
}

/* --- the machine ------------------------------------------------------------------------------ */

static enum chain_state over(struct check_chain *c)
{
	(void)c;
	return CHAIN_OVER;
}

static enum chain_state (*const handlers[])(struct check_chain *) = {
	[CHAIN_BASICS] = check_chain_basics,
	[CHAIN_BASICS_JUDGE] = check_chain_basics_judge,
	[CHAIN_EDNS_JUDGE] = check_chain_edns_judge,
	[CHAIN_ASK] = ask,
	[CHAIN_CLASSIFY] = classify,
	[CHAIN_PROBE] = probe,
	[CHAIN_PROBE_JUDGE] = probe_judge,
	[CHAIN_CUT] = check_chain_cut,
	[CHAIN_CUT_JUDGE] = check_chain_cut_judge,
	[CHAIN_SERVERS] = check_chain_servers_known,
	[CHAIN_FINISH] = finish_lookup,
	[CHAIN_LOOKUP] = next_lookup,
	[CHAIN_VALIDATOR] = validator,
	[CHAIN_VALIDATOR_JUDGE] = validator_judge,
	[CHAIN_OVER] = over,
};

/* The one place that changes the state. */
void check_chain_advance(struct check_chain *c)
{
	while (c->pending == 0 && c->state != CHAIN_OVER)
		c->state = handlers[c->state](c);
	if (c->state != CHAIN_OVER || c->fn == NULL)
		return;
	io_timer_set(c->deadline, USEC_NEVER);
	TAKE(c->fn)(c->arg, c);
}

static void drop_open(struct check_chain *c)
{
	for (struct check_zone *z = c->zones; z != NULL; z = z->next)
		for (struct check_ask *a = z->asks; a != NULL; a = a->next)
			for (size_t i = 0; i < z->n_servers; i++)
				if (a->replies[i].open != NULL)
					dns_direct_cancel(TAKE(a->replies[i].open));
	for (struct check_address *a = c->addresses; a != NULL; a = a->next)
		if (a->question != NULL)
			dns_resolver_cancel(c->resolver, TAKE(a->question));
	for (struct check_lookup *l = c->lookups; l != NULL; l = l->next)
		if (l->question != NULL)
			dns_resolver_cancel(c->resolver, TAKE(l->question));
	c->pending = 0;
}

static void on_deadline(void *arg)
{
	struct check_chain *c = arg;

	c->stopped = "the time for the whole command is over";
	c->halted = true;
	drop_open(c);
	c->state = CHAIN_VALIDATOR_JUDGE;
	check_chain_advance(c);
}

static void on_begin(void *arg)
{
	check_chain_advance(arg);
}

static void know_top(struct check_chain *c, struct check_zone *top)
{
	const struct check_trust *trust = &c->request.trust;

	top->is_known = true;
	top->security = trust->security;
	top->why = trust->why;
	top->has_keys = trust->n_keys > 0;
	top->keys.rr = arena_calloc(&c->arena, trust->n_keys, sizeof(*top->keys.rr));
	for (size_t i = 0; i < trust->n_keys; i++)
		top->keys.rr[top->keys.n++] = &trust->keys[i];
}

/* The zone that the walk begins with; above one that is not the root a shell, for the words. */
static void add_top(struct check_chain *c)
{
	const struct check_trust *trust = &c->request.trust;
	struct check_zone *shell = NULL, *top;

	if (trust->top != NULL) {
		shell = check_chain_add_zone(c, trust->above, NULL);
		shell->is_shell = true;
		shell->security = trust->above_unsigned ? DANE_INSECURE : DANE_SECURE;
	}
	top = check_chain_add_zone(c, trust->top != NULL ? trust->top : ".", shell);
	for (size_t i = 0; i < trust->n_roots; i++)
		check_chain_add_server(c, top, trust->roots[i].name, trust->roots[i].address);
	top->ds_set.rr = arena_calloc(&c->arena, trust->n_anchors + 1, sizeof(*top->ds_set.rr));
	for (size_t i = 0; i < trust->n_anchors; i++)
		top->ds_set.rr[top->ds_set.n++] = &trust->anchors[i];
	top->ds_security = trust->top_unsigned ? DANE_INSECURE : DANE_SECURE;
	if (trust->known)
		know_top(c, top);
}

static void add_first_lookups(struct check_chain *c)
{
	const struct check_chain_request *r = &c->request;

	if (r->zone) {
		c->zone = c->last_zone;
		c->state = CHAIN_BASICS;
	} else if (r->mail) {
		add_lookup(c, r->name, DNS_TYPE_MX, ROLE_MX, NULL);
	} else if (r->host) {
		add_host(c, r->name);
	} else if (r->type != 0) {
		add_lookup(c, r->name, r->type, ROLE_PLAIN, NULL);
	} else {
		add_lookup(c, r->name, DNS_TYPE_A, ROLE_PLAIN, NULL);
		add_lookup(c, r->name, DNS_TYPE_AAAA, ROLE_PLAIN, NULL);
	}
}

struct check_chain *check_chain_new(struct io_loop *l, struct dns_resolver *r,
				    const struct check_chain_request *request, check_chain_fn *fn,
				    void *arg)
{
	struct check_chain *c = xcalloc(1, sizeof(*c));

	c->loop = l;
	c->resolver = r;
	c->own_direct = request->direct == NULL;
	c->direct = c->own_direct ? dns_direct_new(l, CHAIN_IN_FLIGHT) : request->direct;
	c->request = *request;
	if (c->request.questions == 0)
		c->request.questions = CHAIN_QUESTIONS_MAX;
	if (c->request.room == 0)
		c->request.room = CHAIN_BYTES_MAX;
	c->verify = (struct dns_verify){.left = DNS_VERIFY_TOTAL_MAX,
					.now = request->now != 0 ? request->now
								 : io_unix_now() / USEC_PER_SEC};
	c->fn = fn;
	c->arg = arg;
	c->state = CHAIN_LOOKUP;
	add_top(c);
	add_first_lookups(c);
	c->deadline = io_timer_new(l, on_deadline, c);
	c->begin = io_timer_new(l, on_begin, c);
	io_timer_set(c->deadline, request->deadline);
	io_timer_set(c->begin, 0);
	return c;
}

struct check_chain *check_chain_free(struct check_chain *c)
{
	if (c == NULL)
		return NULL;
	drop_open(c);
	if (c->own_direct)
		dns_direct_free(c->direct);
	io_timer_free(c->deadline);
	io_timer_free(c->begin);
	arena_done(&c->arena);
	free(c);
	return NULL;
}
