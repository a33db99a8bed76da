/*
 * The zones that hold the names of a long list, each looked at once: its keys, and what its servers
 * say at its apex. Walks of names in it begin with what was found.
 */
#pragma once

#include "jobs/check/shelf.h"
#include "jobs/check/start.h"
#include "jobs/check/trip.h"

struct check_zones;
struct check_known_zone; /* shared; kept while somebody wants it */

struct check_zones *check_zones_new(struct check_trips *trips);
struct check_zones *check_zones_free(struct check_zones *z);

/* `start`: as start.h found it. `w`: called when it is known, if it is not yet. */
struct check_known_zone *check_zones_want(struct check_zones *z, const struct check_trust *start,
					  struct check_waiter *w);
void check_zones_give_back(struct check_known_zone *k, struct check_waiter *w);

bool check_zone_is_known(const struct check_known_zone *k);
/* What a walk of a name in it begins with; no servers: none of them gave an answer. */
const struct check_trust *check_zone_trust(const struct check_known_zone *k);
/* What there is to tell. */
const struct check_servers *check_zone_servers(const struct check_known_zone *k);
