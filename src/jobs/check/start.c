#include "jobs/check/start.h"

#include <string.h>

#include "core/dane/name.h"
#include "jobs/check/chain_data.h"

enum {
	LABELS_MAX = CHAIN_PROBES_MAX, /* tried for the apex */
};

/* One address question. */
struct wanted {
	struct check_start *start;
	const char *name;
	struct dns_question *question;
};

struct check_start {
	struct dns_resolver *resolver;
	check_start_fn *fn;
	void *arg;
	struct arena arena;
	const char *name; /* tried as the apex */
	unsigned tried;
	struct dns_question *question;
	struct wanted wanted[2 * CHAIN_NAMES_MAX];
	size_t n_wanted, pending;
	struct check_root servers[CHAIN_SERVERS_MAX];
	struct check_trust trust;
};

/* The last thing that is done: the callback may free it. */
static void end(struct check_start *s, enum check_start_result result)
{
	TAKE(s->fn)(s->arg, result, &s->trust);
}

static bool is_usable(const struct dane_answer *a)
{
	return a->security == DANE_SECURE || a->security == DANE_INSECURE;
}

/* The name without its first label; NULL for the root. */
static const char *above(struct check_start *s, const char *name)
{
	uint8_t wire[DANE_NAME_WIRE_MAX];
	struct span all = span_of(wire, dane_name_to_wire(name, wire));
	struct cursor at;

	if (dns_wire_labels(all) == 0)
		return NULL;
	at = cursor_of(dns_wire_parent(all, 1));
	return dane_name_from_wire(&s->arena, &at);
}

/* --- addresses of its name servers ------------------------------------------------------------ */

static void on_address(void *arg, const struct dane_answer *answer)
{
	struct wanted *w = arg;
	struct check_start *s = w->start;
	struct check_trust *t = &s->trust;

	w->question = NULL;
	for (size_t i = 0; is_usable(answer) && i < answer->n_records; i++) {
		const char *text = dane_address_to_text(&s->arena, answer->records[i]);

		if (text != NULL && t->n_roots < CHAIN_SERVERS_MAX)
			s->servers[t->n_roots++] = (struct check_root){w->name, text};
	}
	if (--s->pending > 0)
		return;
	t->roots = s->servers;
	end(s, t->n_roots > 0 ? CHECK_START_FOUND : CHECK_START_BROKEN);
}

static void ask_addresses(struct check_start *s)
{
	static const uint16_t types[] = {DNS_TYPE_A, DNS_TYPE_AAAA};

	s->pending = s->n_wanted * 2;
	for (size_t i = 0; i < s->n_wanted; i++)
		s->wanted[CHAIN_NAMES_MAX + i] = s->wanted[i];
	for (size_t k = 0; k < ARRAY_SIZE(types); k++) {
		for (size_t i = 0; i < s->n_wanted; i++) {
			struct wanted *w = &s->wanted[k * CHAIN_NAMES_MAX + i];

			w->question =
				dns_resolver_ask(s->resolver, w->name, types[k], on_address, w);
		}
	}
}

/* --- its DS ----------------------------------------------------------------------------------- */

static void keep_anchors(struct check_start *s, const struct dane_answer *answer)
{
	struct dns_rr *list = arena_calloc(&s->arena, answer->n_records, sizeof(*list));
	uint8_t wire[DANE_NAME_WIRE_MAX];
	struct span owner = arena_dup(&s->arena, span_of(wire, dane_name_to_wire(s->name, wire)));

	for (size_t i = 0; i < answer->n_records; i++)
		list[i] = (struct dns_rr){.owner = s->name,
					  .wire = owner,
					  .type = DNS_TYPE_DS,
					  .class = 1,
					  .ttl = answer->ttl,
					  .rdata = arena_dup(&s->arena, answer->records[i])};
	s->trust.anchors = list;
	s->trust.n_anchors = answer->n_records;
}

static void on_ds(void *arg, const struct dane_answer *answer)
{
	struct check_start *s = arg;

	s->question = NULL;
	if (!is_usable(answer)) {
		end(s, CHECK_START_BROKEN);
		return;
	}
	if (answer->security == DANE_SECURE && answer->content == DANE_RECORDS)
		keep_anchors(s, answer);
	else
		s->trust.top_unsigned = true;
	s->trust.above_unsigned = answer->security == DANE_INSECURE;
	ask_addresses(s);
}

/* --- its apex --------------------------------------------------------------------------------- */

static void on_ns(void *arg, const struct dane_answer *answer);

static void try(struct check_start *s, const char *name)
{
	const char *parent = name != NULL ? above(s, name) : NULL;

	/* The root and a top-level domain are nobody's mail zone, unless the name itself is it. */
	if (parent == NULL || (s->tried > 0 && strcmp(parent, ".") == 0) ||
	    s->tried++ >= LABELS_MAX) {
		end(s, CHECK_START_NONE);
		return;
	}
	s->name = name;
	s->trust.top = name;
	s->trust.above = parent;
	s->question = dns_resolver_ask(s->resolver, name, DNS_TYPE_NS, on_ns, s);
}

static void on_ns(void *arg, const struct dane_answer *answer)
{
	struct check_start *s = arg;

	s->question = NULL;
	if (!is_usable(answer)) {
		end(s, CHECK_START_BROKEN);
		return;
	}
	/* An alias is no apex; its target's NS records say nothing here. */
	if (answer->content != DANE_RECORDS || answer->n_aliases > 0) {
		try(s, above(s, s->name));
		return;
	}
	for (size_t i = 0; i < answer->n_records && s->n_wanted < CHAIN_NAMES_MAX; i++) {
		struct wanted *w = &s->wanted[s->n_wanted];

		w->start = s;
		w->name = dns_rdata_name(&s->arena, DNS_TYPE_NS, answer->records[i]);
		s->n_wanted += w->name != NULL;
	}
	if (s->n_wanted == 0) {
		end(s, CHECK_START_BROKEN);
		return;
	}
	s->question = dns_resolver_ask(s->resolver, s->name, DNS_TYPE_DS, on_ds, s);
}

/* --- life ------------------------------------------------------------------------------------- */

struct check_start *check_start_new(struct dns_resolver *r, const char *name, check_start_fn *fn,
				    void *arg)
{
	struct check_start *s = xcalloc(1, sizeof(*s));

	require(strcmp(name, ".") != 0);
	s->resolver = r;
	s->fn = fn;
	s->arg = arg;
	try(s, arena_strdup(&s->arena, name));
	return s;
}

struct check_start *check_start_free(struct check_start *s)
{
	if (s == NULL)
		return NULL;
	if (s->question != NULL)
		dns_resolver_cancel(s->resolver, s->question);
	for (size_t i = 0; i < ARRAY_SIZE(s->wanted); i++)
		if (s->wanted[i].question != NULL)
			dns_resolver_cancel(s->resolver, s->wanted[i].question);
	arena_done(&s->arena);
	free(s);
	return NULL;
}
