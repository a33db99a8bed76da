#include "jobs/check/zones.h"

struct check_zones {
	struct check_trips *trips;
	struct check_shelf *shelf;
};

struct check_known_zone {
	struct check_shared shared; /* by the zone's name */
	struct check_zones *zones;
	struct arena arena;
	struct check_trip *trip; /* NULL: over */
	struct check_trust trust;
	struct check_servers *servers;
};

static void drop(struct check_shared *s)
{
	struct check_known_zone *k = (struct check_known_zone *)s;

	check_trip_free(k->trip);
	check_servers_free(k->servers);
	arena_done(&k->arena);
	free(k);
}

static void on_done(void *arg, const struct check_chain *chain)
{
	struct check_known_zone *k = arg;

	k->trip = NULL;
	k->trust = check_chain_top(chain, &k->arena);
	k->servers = check_servers_new(chain, check_trips_detail(k->zones->trips));
	check_shelf_made(&k->shared, sizeof(*k) + k->arena.used + check_servers_weight(k->servers));
}

static const struct check_trip_ops ops = {.done = on_done};

struct check_zones *check_zones_new(struct check_trips *trips)
{
	struct check_zones *z = xcalloc(1, sizeof(*z));

	z->trips = trips;
	z->shelf = check_shelf_new(CHECK_WALKS_KEPT, CHECK_WALKS_WEIGHT, drop);
	return z;
}

struct check_zones *check_zones_free(struct check_zones *z)
{
	if (z != NULL)
		check_shelf_free(z->shelf);
	free(z);
	return NULL;
}

struct check_known_zone *check_zones_want(struct check_zones *z, const struct check_trust *start,
					  struct check_waiter *w)
{
	struct check_known_zone *k =
		(struct check_known_zone *)check_shelf_take(z->shelf, start->top);

	if (k == NULL) {
		k = xcalloc(1, sizeof(*k));
		k->zones = z;
		k->shared.name = arena_strdup(&k->arena, start->top);
		check_shelf_add(z->shelf, &k->shared);
		k->trip = check_trip_new(z->trips, CHECK_TRIP_ZONE, k->shared.name, start, &ops, k);
	}
	if (!k->shared.made)
		check_shelf_wait(&k->shared, w);
	return k;
}

void check_zones_give_back(struct check_known_zone *k, struct check_waiter *w)
{
	check_shelf_give_back(&k->shared, w);
}

bool check_zone_is_known(const struct check_known_zone *k)
{
	return k->shared.made;
}

const struct check_trust *check_zone_trust(const struct check_known_zone *k)
{
	return &k->trust;
}

const struct check_servers *check_zone_servers(const struct check_known_zone *k)
{
	return k->servers;
}
