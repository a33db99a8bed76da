#include "edge/publish/readback.h"

#include <errno.h>

#include "edge/dns/verify.h"

enum {
	TIMEOUT_S = 3,
};

struct question {
	struct publish_readback *of;
	const struct publish_set *set;
	struct dns_exchange *exchange; /* NULL: answered */
	struct dns_reply reply;
};

struct publish_readback {
	struct arena arena;
	struct publish_zone_keys keys;
	struct question *questions; /* set after set, server after server */
	size_t n, left;
	publish_readback_fn *fn;
	void *arg;
};

const char *publish_seen_to_string(enum publish_seen s)
{
	switch (s) {
	case PUBLISH_SEEN_SIGNED:
		return "signed";
	case PUBLISH_SEEN_UNSIGNED:
		return "unsigned";
	case PUBLISH_SEEN_BAD:
		return "bad-signature";
	case PUBLISH_SEEN_OTHER:
		return "other";
	case PUBLISH_SEEN_NO_ANSWER:
		return "no-answer";
	}
	return "?";
}

static void readback_free(struct publish_readback *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->questions[i].exchange != NULL)
			dns_direct_cancel(r->questions[i].exchange);
	arena_done(&r->arena);
	free(r);
}

void publish_readback_cancel(struct publish_readback *r)
{
	readback_free(r);
}

static void tell(struct publish_readback *r)
{
	struct publish_sight *sights = arena_calloc(&r->arena, r->n, sizeof(*sights));
	struct dns_verify v = {.left = DNS_VERIFY_TOTAL_MAX, .now = io_unix_now() / USEC_PER_SEC};

	for (size_t i = 0; i < r->n; i++)
		publish_readback_judge(&r->arena, &v, &r->keys, r->questions[i].set,
				       &r->questions[i].reply, &sights[i]);
	r->fn(r->arg, sights, r->n);
	readback_free(r);
}

static void on_reply(void *arg, const struct dns_reply *reply)
{
	struct question *q = arg;

	q->exchange = NULL;
	q->reply = *reply;
	if (--q->of->left == 0)
		tell(q->of);
}

static void copy_keys(struct publish_readback *r, const struct publish_readback_config *c)
{
	struct dns_rr *rr = arena_calloc(&r->arena, c->n_keys, sizeof(*rr));
	const struct dns_rr **list = arena_calloc(&r->arena, c->n_keys, sizeof(const void *));
	uint8_t wire[DANE_NAME_WIRE_MAX];
	size_t n = dane_name_to_wire(c->change->zone, wire);
	const char *zone = arena_strdup(&r->arena, c->change->zone);
	struct span owner = arena_dup(&r->arena, span_of(wire, n));

	for (size_t i = 0; i < c->n_keys; i++) {
		rr[i] = (struct dns_rr){.owner = zone,
					.wire = owner,
					.type = DNS_TYPE_DNSKEY,
					.class = 1,
					.rdata = arena_dup(&r->arena, c->keys[i])};
		list[i] = &rr[i];
	}
	r->keys = (struct publish_zone_keys){zone, list, c->n_keys};
}

static const struct publish_set *copy_set(struct arena *a, const struct publish_set *in)
{
	struct publish_set *s = arena_alloc(a, sizeof(*s));
	struct span *rdata = arena_calloc(a, in->n, sizeof(*rdata));

	for (size_t i = 0; i < in->n; i++)
		rdata[i] = arena_dup(a, in->rdata[i]);
	*s = *in;
	s->owner = arena_strdup(a, in->owner);
	s->rdata = rdata;
	s->guarded = false;
	return s;
}

static void ask_all(struct publish_readback *r, struct dns_direct *direct,
		    const struct publish_readback_config *c)
{
	r->n = r->left = c->change->n * c->n_servers;
	r->questions = arena_calloc(&r->arena, r->n, sizeof(*r->questions));
	for (size_t i = 0; i < c->change->n; i++) {
		const struct publish_set *set = copy_set(&r->arena, &c->change->sets[i]);

		for (size_t k = 0; k < c->n_servers; k++) {
			struct question *q = &r->questions[i * c->n_servers + k];
			struct dns_ask ask = {
				.address = c->servers[k],
				.name = set->owner,
				.type = set->type,
				.port = c->port,
				.timeout = c->timeout > 0 ? c->timeout : usec_seconds(TIMEOUT_S),
				.into = &r->arena,
				.room = PUBLISH_READBACK_ROOM,
			};

			q->of = r;
			q->set = set;
			q->exchange = dns_direct_ask(direct, &ask, on_reply, q);
		}
	}
}

struct publish_readback *publish_readback_start(struct dns_direct *direct,
						const struct publish_readback_config *config,
						publish_readback_fn *fn, void *arg, struct err *e)
{
	struct publish_readback *r;

	if (publish_check(config->change, e) < 0)
		return NULL;
	if (config->n_servers == 0 || config->n_servers > PUBLISH_SERVERS_MAX) {
		err_set(e, -EINVAL, "%zu servers' addresses; 1 to %d", config->n_servers,
			PUBLISH_SERVERS_MAX);
		return NULL;
	}
	if (config->n_keys > PUBLISH_KEYS_MAX) {
		err_set(e, -EINVAL, "%zu keys of the zone; at most %d", config->n_keys,
			PUBLISH_KEYS_MAX);
		return NULL;
	}
	r = xcalloc(1, sizeof(*r));
	r->fn = fn;
	r->arg = arg;
	copy_keys(r, config);
	ask_all(r, direct, config);
	return r;
}
