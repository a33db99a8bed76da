#include "jobs/check/places.h"

#include <arpa/inet.h>
#include <search.h>
#include <string.h>

#include "base/span.h"

/* An address or a network as octets: IPv4 as 4, IPv6 as 16; of a network the front. */
struct key {
	uint8_t family; /* 4, 6; 0: text that is no address, all of them one */
	uint8_t octets[16];
};

struct network {
	struct key key; /* first: what the tree compares */
	size_t active, addresses;
	struct check_place_at *first, *last; /* that could begin, but for the limits */
	struct network *previous, *next;     /* in turn: with a place to give and one to take it */
	bool in_turn;
};

struct check_place_at {
	struct key key; /* first */
	struct network *network;
	bool busy;
	struct check_place *first, *last; /* that wait */
	struct check_place_at *next;      /* of the network's */
	bool listed;
};

struct check_places {
	struct check_places_limits limits;
	check_place_fn *begin;
	void *addresses, *networks; /* trees; what neither waits nor works is not in them */
	struct network *first, *last;
	size_t taken;
	bool pumping;
};

/* --- keys ------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct key));
}

static struct key key_of(const char *address)
{
	struct key k = {0};

	if (inet_pton(AF_INET, address, k.octets) == 1)
		k.family = 4;
	else if (inet_pton(AF_INET6, address, k.octets) == 1)
		k.family = 6;
	return k;
}

static struct key network_of(struct key k)
{
	size_t kept = k.family == 4 ? 3 : 6;

	memset(k.octets + kept, 0, sizeof(k.octets) - kept);
	return k;
}

/* The node with this key, made of `size` octets if there is none. */
static void *node(void **tree, const struct key *key, size_t size)
{
	void *const *found = tfind(key, tree, compare);
	struct key *made;

	if (found != NULL)
		return *found;
	made = xcalloc(1, size);
	*made = *key;
	require(tsearch(made, tree, compare) != NULL);
	return made;
}

/* --- turns ------------------------------------------------------------------------------------ */

static void turn_add(struct check_places *p, struct network *n)
{
	if (n->in_turn || n->first == NULL || n->active >= p->limits.network)
		return;
	n->in_turn = true;
	n->previous = p->last;
	n->next = NULL;
	if (p->last != NULL)
		p->last->next = n;
	else
		p->first = n;
	p->last = n;
}

static void turn_remove(struct check_places *p, struct network *n)
{
	if (!n->in_turn)
		return;
	n->in_turn = false;
	if (n->previous != NULL)
		n->previous->next = n->next;
	else
		p->first = n->next;
	if (n->next != NULL)
		n->next->previous = n->previous;
	else
		p->last = n->previous;
}

static void list_address(struct check_places *p, struct check_place_at *at)
{
	struct network *n = at->network;

	if (at->listed || at->busy || at->first == NULL)
		return;
	at->listed = true;
	at->next = NULL;
	if (n->last != NULL)
		n->last->next = at;
	else
		n->first = at;
	n->last = at;
	turn_add(p, n);
}

static struct check_place_at *unlist_first(struct network *n)
{
	struct check_place_at *at = n->first;

	n->first = at->next;
	if (n->first == NULL)
		n->last = NULL;
	at->listed = false;
	return at;
}

static void forget(struct check_places *p, struct check_place_at *at)
{
	struct network *n = at->network;

	if (at->busy || at->listed || at->first != NULL)
		return;
	tdelete(at, &p->addresses, compare);
	free(at);
	if (--n->addresses > 0)
		return;
	require(!n->in_turn && n->active == 0);
	tdelete(n, &p->networks, compare);
	free(n);
}

static void begin_one(struct check_places *p, struct network *n)
{
	struct check_place_at *at = unlist_first(n);
	struct check_place *place = at->first;

	turn_remove(p, n);
	if (place == NULL) { /* all that waited have gone */
		turn_add(p, n);
		forget(p, at);
		return;
	}
	at->first = place->next;
	if (at->first == NULL)
		at->last = NULL;
	at->busy = true;
	n->active++;
	p->taken++;
	turn_add(p, n);
	place->has = true;
	p->begin(place);
}

/* `begin` may ask and give back: what that makes possible is done here, not deeper. */
static void pump(struct check_places *p)
{
	if (p->pumping)
		return;
	p->pumping = true;
	while (p->first != NULL && p->taken < p->limits.all)
		begin_one(p, p->first);
	p->pumping = false;
}

/* --- what others call ------------------------------------------------------------------------- */

struct check_places *check_places_new(const struct check_places_limits *limits,
				      check_place_fn *begin)
{
	struct check_places *p = xcalloc(1, sizeof(*p));

	require(limits->all > 0 && limits->network > 0);
	p->limits = *limits;
	p->begin = begin;
	return p;
}

struct check_places *check_places_free(struct check_places *p)
{
	if (p == NULL)
		return NULL;
	require(p->addresses == NULL && p->networks == NULL);
	free(p);
	return NULL;
}

void check_places_ask(struct check_places *p, struct check_place *place, const char *address)
{
	struct key key = key_of(address), net = network_of(key);
	struct check_place_at *at = node(&p->addresses, &key, sizeof(*at));

	require(place->at == NULL);
	if (at->network == NULL) {
		at->network = node(&p->networks, &net, sizeof(struct network));
		at->network->addresses++;
	}
	*place = (struct check_place){.at = at};
	if (at->last != NULL)
		at->last->next = place;
	else
		at->first = place;
	at->last = place;
	list_address(p, at);
	pump(p);
}

static void stop_waiting(struct check_place_at *at, struct check_place *place)
{
	struct check_place **link = &at->first, *before = NULL;

	while (*link != place) {
		before = *link;
		link = &(*link)->next;
	}
	*link = place->next;
	if (at->last == place)
		at->last = before;
}

void check_places_give_back(struct check_places *p, struct check_place *place)
{
	struct check_place_at *at = place->at;

	if (at == NULL)
		return;
	place->at = NULL;
	if (place->has) {
		place->has = false;
		at->busy = false;
		at->network->active--;
		p->taken--;
		list_address(p, at);
		turn_add(p, at->network);
	} else {
		stop_waiting(at, place);
	}
	forget(p, at);
	pump(p);
}

size_t check_places_taken(const struct check_places *p)
{
	return p->taken;
}
