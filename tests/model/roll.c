/*
 * The model test of core/roll: random worlds (world.h), an operator and a network without mercy,
 * and after every step the promise: what the worst resolver holds fits what is served.
 *
 *	model_roll [--runs N] [--seed S] [--trace]   the promise holds in N worlds from seed S on
 *	model_roll --without NAME|all [--runs N]     a wait is taken out: some world must break
 *
 * A run is its seed: --seed S --runs 1 --trace tells it again, up to the step that broke it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/roll/without.h"
#include "world.h"

#define UNIX_EPOCH usec_seconds(1800000000)
#define STEPS      300

int roll_without;

static const struct {
	const char *name, *words;
} waits[ROLL_WITHOUT_END] = {[ROLL_WITHOUT_NOTHING] = {"NOTHING", "nothing"},
#define X(name, words) [ROLL_WITHOUT_##name] = {#name, words},
			     ROLL_WAITS(X)
#undef X
};

struct totals {
	unsigned long runs, switches, emergencies, aborts, publishes, withdrawn, in_force, restarts;
};

struct run {
	struct world w;
	struct roll r;
	usec_t wall_offset, boot_at;
	uint64_t boot;
	bool ruthless;  /* orders emergencies */
	bool emergency; /* one was ordered: what it states beforehand is no breach */
	struct totals *totals;
	char breach[300];
};

static const char *clock_text(usec_t t, char *to, size_t n)
{
	if (t == USEC_NEVER)
		snprintf(to, n, "never");
	else
		snprintf(to, n, "%lld.%06lld", (long long)(t / USEC_PER_SEC),
			 (long long)(t % USEC_PER_SEC));
	return to;
}

_printf_(2, 3) static void tell(const struct run *x, const char *format, ...)
{
	char at[32];
	va_list ap;

	if (!x->w.trace)
		return;
	va_start(ap, format);
	printf("%s ", clock_text(x->w.t, at, sizeof(at)));
	vprintf(format, ap);
	printf("\n");
	va_end(ap);
}

static void show_set(const struct run *x, const char *what, const struct roll_set *s)
{
	if (!x->w.trace)
		return;
	printf("    %s:", what);
	for (size_t i = 0; i < s->n; i++) {
		uint64_t data;

		memcpy(&data, s->records[i].data, sizeof(data));
		printf(" %u%u1:%llu.%llu", s->records[i].usage, s->records[i].selector,
		       (unsigned long long)data / 8, (unsigned long long)data % 8);
	}
	printf("\n");
}

static void read_clock(struct run *x)
{
	roll_clock(&x->r, (struct roll_clock){.unix_usec = UNIX_EPOCH + x->w.t + x->wall_offset,
					      .mono_usec = x->w.t - x->boot_at,
					      .boot = x->boot});
}

/* From the machine's Unix time to the world's. */
static usec_t true_time(const struct run *x, usec_t unix_usec)
{
	return unix_usec == USEC_NEVER ? unix_usec : unix_usec - x->r.clock.unix_usec + x->w.t;
}

static void check(struct run *x, const char *when)
{
	struct roll_report report;
	const struct version *broken;
	size_t address = 0;

	if (x->breach[0] != '\0')
		return;
	read_clock(x);
	roll_report(&x->r, &report);
	broken = world_broken(&x->w, &address);
	if (broken != NULL && !(x->emergency && report.outage_until != 0)) {
		show_set(x, "held", &broken->set);
		show_set(x, "served", &x->w.bundles[x->w.addresses[address].bundle].chains[0]);
		snprintf(x->breach, sizeof(x->breach),
			 "%s: a set of publish %u is held and does not fit bundle %zu at address "
			 "%zu",
			 when, broken->seq, x->w.addresses[address].bundle + 1, address);
	} else if (report.in_force && world_holds(&x->w, true)) {
		snprintf(x->breach, sizeof(x->breach), "%s: in force, and a denial is held", when);
	} else if (report.gone && world_holds(&x->w, false)) {
		snprintf(x->breach, sizeof(x->breach), "%s: gone, and a set is held", when);
	}
	x->totals->in_force += report.in_force;
	x->totals->withdrawn += report.gone;
}

static void advance(struct run *x, usec_t to)
{
	world_advance(&x->w, to);
	read_clock(x);
}

static void look(struct run *x, struct server *s)
{
	struct roll_sight sight;

	if (s->unreachable || !world_sight(&x->w, s, &sight)) {
		roll_look_failed(&x->r, s->place);
		return;
	}
	roll_look(&x->r, s->place, &sight);
	tell(x, "look at server %zu: proof %u", (size_t)(s - x->w.servers), sight.has_seq);
	show_set(x, "seen", &sight.set);
	if (x->w.trace)
		printf("    as edition %u, TTL %u\n", x->r.held.places[s->place].seen_seq,
		       sight.ttl_s);
}

static void look_all(struct run *x, unsigned percent)
{
	for (size_t i = 0; i < SERVERS; i++) {
		struct server *s = &x->w.servers[i];

		if (s->used && s->gone_at == USEC_NEVER && world_chance(&x->w, percent))
			look(x, s);
	}
}

/* The primary is looked at: what others change is seen while it is there. */
static void look_primary(struct run *x, size_t owner)
{
	for (size_t i = 0; i < SERVERS; i++)
		if (x->w.servers[i].used && x->w.servers[i].primary &&
		    x->w.servers[i].owner == owner)
			look(x, &x->w.servers[i]);
}

static void publish(struct run *x)
{
	struct roll_report report;
	const struct roll_edition *newest;
	uint32_t seq = roll_publish(&x->r);

	if (seq == 0)
		return;
	roll_report(&x->r, &report);
	newest = roll_held_newest(&x->r.held);
	tell(x, "publish %u, TTL %u", seq, report.ttl_s);
	show_set(x, "set", &newest->set);
	x->totals->publishes++;
	/* It may be that it is never sent. */
	if (world_chance(&x->w, 95))
		world_update(&x->w, seq, &newest->set, newest->ttl_s);
}

/* The same publish again: nobody answered. */
static void publish_again(struct run *x)
{
	const struct roll_edition *newest = roll_held_newest(&x->r.held);
	uint32_t seq = newest == NULL ? 0 : newest->seq;
	bool ours = false;

	for (size_t i = 0; i < SERVERS; i++)
		if (x->w.servers[i].used && x->r.held.places[x->w.servers[i].place].seen_seq == seq)
			return;
	ours = newest != NULL && !newest->unknown && newest->after == seq;
	if (ours && newest->seq == x->r.held.last_seq && newest->set.n > 0 && seq > 0)
		world_update(&x->w, seq, &newest->set, newest->ttl_s);
}

/* Servers that should serve another bundle are told to, and obey or not. */
static void reload(struct run *x)
{
	for (size_t i = 0; i < x->w.n_addresses; i++) {
		struct address *a = &x->w.addresses[i];

		if (a->bundle + 1 == x->r.current.id || !world_chance(&x->w, 60))
			continue;
		a->bundle = x->r.current.id - 1;
		tell(x, "address %zu serves bundle %zu", i, a->bundle + 1);
		check(x, "key changed");
	}
}

static void activate(struct run *x)
{
	enum roll_force force = world_chance(&x->w, 1)    ? ROLL_FORCE_EMERGENCY
				: world_chance(&x->w, 30) ? ROLL_FORCE_HARMLESS
							  : ROLL_FORCE_NONE;

	if (roll_activate(&x->r, force, NULL) < 0)
		return;
	tell(x, "activate bundle %zu, force %d", x->w.staged + 1, force);
	if (force == ROLL_FORCE_EMERGENCY) {
		x->emergency = true;
		x->totals->emergencies++;
	}
	x->totals->switches++;
	reload(x);
}

static void stage(struct run *x)
{
	struct world *w = &x->w;
	size_t next = w->staged + 1;

	if (x->r.next.id != 0 || w->n_bundles + 2 >= BUNDLES)
		return;
	/* The first one may stand in DNS since before our time. */
	if (next >= w->n_bundles)
		next = world_bundle(w, world_chance(w, 20) ? x->r.current.id - 1 : BUNDLES);
	if (roll_stage(&x->r, &w->bundles[next], NULL) < 0) {
		w->n_bundles -= next + 1 == w->n_bundles;
		return;
	}
	w->staged = next;
	tell(x, "stage bundle %zu", next + 1);
	show_set(x, "chain", &w->bundles[next].chains[0]);
}

static bool settled(const struct run *x)
{
	for (size_t i = 0; i < x->w.n_addresses; i++)
		if (x->w.addresses[i].bundle + 1 != x->r.current.id)
			return false;
	return x->r.previous.id == 0;
}

/* Somebody writes into the zone what fits the key of the day, or lowers a TTL, or brings a backup.
 */
static void outsider(struct run *x)
{
	struct world *w = &x->w;
	size_t i = world_random(w, w->n_owners);
	struct owner *o = &w->owners[i];
	struct version v = {.set = w->bundles[x->r.current.id - 1].publish,
			    .ttl_s = (uint32_t)world_random(w, 7200)};

	if (w->hidden || !settled(x) || o->n + 8 >= VERSIONS)
		return;
	if (world_chance(w, 50))
		v.set = o->versions[o->n - 1].set;
	else if (world_chance(w, 30))
		v = (struct version){.set = o->versions[world_random(w, o->n)].set,
				     .ttl_s = v.ttl_s};
	for (size_t a = 0; a < w->n_addresses; a++)
		if (!world_fits(&v.set, &w->bundles[w->addresses[a].bundle]))
			return;
	tell(x, "outsider at owner %zu, TTL %u", i, v.ttl_s);
	show_set(x, "set", &v.set);
	world_apply(w, i, &v);
	look_primary(x, i);
}

/* Right after a change somebody puts back what was there before it. */
static void undo(struct run *x)
{
	struct world *w = &x->w;
	size_t i = world_random(w, w->n_owners);
	struct owner *o = &w->owners[i];
	struct version v;

	if (w->hidden || !settled(x) || o->n < 2 || o->n + 8 >= VERSIONS)
		return;
	v = (struct version){.set = o->versions[o->n - 2].set,
			     .ttl_s = o->versions[o->n - 2].ttl_s};
	for (size_t a = 0; a < w->n_addresses; a++)
		if (!world_fits(&v.set, &w->bundles[w->addresses[a].bundle]))
			return;
	look_primary(x, i);
	tell(x, "the last change of owner %zu is put back", i);
	world_apply(w, i, &v);
	look_primary(x, i);
}

static void alias(struct run *x)
{
	struct world *w = &x->w;
	size_t i = world_random(w, w->n_owners);

	if (w->hidden)
		return;
	world_fetch(w);
	w->owners[i].alias_ttl_s = (uint32_t)world_random(w, 2) * (uint32_t)world_random(w, 7200);
	w->owners[i].alias_since = w->t;
	look_primary(x, i);
}

/* Once it is said that no set is held, an administrator may serve what he likes; it is seen. */
static void stray(struct run *x)
{
	struct world *w = &x->w;
	size_t i = world_random(w, w->n_addresses);
	struct roll_report report;

	roll_report(&x->r, &report);
	if (!report.gone || !settled(x))
		return;
	w->addresses[i].bundle = world_random(w, w->n_bundles);
	tell(x, "address %zu serves bundle %zu on its own", i, w->addresses[i].bundle + 1);
	roll_probe(&x->r, w->addresses[i].index, w->addresses[i].bundle + 1);
}

static bool is_last(const struct world *w, const struct server *s)
{
	for (size_t i = 0; i < SERVERS; i++)
		if (w->servers[i].used && &w->servers[i] != s && w->servers[i].owner == s->owner &&
		    w->servers[i].gone_at == USEC_NEVER)
			return false;
	return true;
}

static void servers(struct run *x)
{
	struct world *w = &x->w;
	struct server *s = &w->servers[world_random(w, SERVERS)];

	if (s->used && !s->primary && s->gone_at == USEC_NEVER && world_chance(w, 30) &&
	    !is_last(w, s)) {
		uint32_t ns_ttl_s = (uint32_t)world_random(w, 7200);

		s->gone_at = w->t + usec_seconds(ns_ttl_s);
		roll_leave(&x->r, s->place, ns_ttl_s);
		tell(x, "server %zu leaves", (size_t)(s - w->servers));
		return;
	}
	if (s->used && s->gone_at < w->t) {
		world_fetch(w);
		s->used = false;
		return;
	}
	if (s->used && !s->primary && world_chance(w, 60)) {
		s->cut = !s->cut;
		s->unreachable = s->cut && world_chance(w, 50);
		return;
	}
	s = world_server(w, (uint8_t)world_random(w, w->n_owners));
	if (s != NULL && roll_place(&x->r, s->owner, "ns", &s->place) < 0)
		s->used = false;
}

static void restart(struct run *x)
{
	struct buf b;
	struct err e;

	buf_init(&b, ROLL_SAVE_MAX);
	roll_save(&x->r, &b);
	memset(&x->r, 0xa5, sizeof(x->r));
	require(roll_load(&x->r, buf_span(&b), &e) == 0);
	buf_done(&b);
	x->totals->restarts++;
	if (world_chance(&x->w, 30)) {
		world_advance(&x->w, x->w.t + world_lag(&x->w, 4000));
		x->boot++;
		x->boot_at = x->w.t;
		x->wall_offset = 0; /* the clock is right after a boot */
	}
	read_clock(x);
}

static void wall_clock(struct run *x)
{
	x->wall_offset =
		(usec_t)world_random(&x->w, (uint64_t)usec_seconds(200000)) - usec_seconds(100000);
	tell(x, "the wall clock is off by %lld s", (long long)(x->wall_offset / USEC_PER_SEC));
}

static void pass_time(struct run *x)
{
	struct world *w = &x->w;
	struct roll_report report;
	usec_t to;

	roll_report(&x->r, &report);
	to = true_time(x, report.safe_from);
	if (world_chance(w, 30) && report.safe_from != 0 && to != USEC_NEVER && to > w->t)
		advance(x, to); /* as early as it may be */
	else if (world_chance(w, 60))
		advance(x, w->t + (usec_t)world_random(w, (uint64_t)usec_seconds(120)));
	else
		advance(x, w->t + world_lag(w, 9000));
}

static void one_step(struct run *x)
{
	struct world *w = &x->w;

	pass_time(x);
	check(x, "time passed");
	if (world_chance(w, 70))
		look_all(x, 60);
	for (size_t i = 0; i < w->n_addresses; i++)
		if (world_chance(w, 50))
			roll_probe(&x->r, w->addresses[i].index, w->addresses[i].bundle + 1);
	if (world_chance(w, 15))
		stage(x);
	if (world_chance(w, 70))
		activate(x);
	reload(x);
	if (world_chance(w, 60))
		publish(x);
	if (world_chance(w, 20))
		publish_again(x);
	if (world_chance(w, 3) && roll_abort(&x->r, NULL) == 0)
		x->totals->aborts++;
	if (world_chance(w, 3))
		roll_want_dane(&x->r, world_chance(w, 75) ? ROLL_DANE_ON : ROLL_DANE_OFF);
	if (world_chance(w, 4))
		outsider(x);
	if (world_chance(w, 2))
		undo(x);
	if (world_chance(w, 3))
		alias(x);
	if (world_chance(w, 10))
		stray(x);
	if (world_chance(w, 6))
		servers(x);
	if (world_chance(w, 10))
		restart(x);
	if (world_chance(w, 3))
		wall_clock(x);
	if (world_chance(w, 3))
		x->r.held.policy.ttl_s = w->policy.ttl_s = 1 + (uint32_t)world_random(w, 4000);
	check(x, "step done");
}

/* Before the machine is born the zone had sets of its own, with TTLs up to the policy's. */
static void past(struct run *x)
{
	struct world *w = &x->w;
	size_t now = world_bundle(w, BUNDLES), next = world_bundle(w, BUNDLES);
	struct roll_set both = {0};

	w->staged = now;
	for (size_t i = 0; i < w->n_addresses; i++)
		w->addresses[i].bundle = now;
	if (roll_set_between(&w->bundles[now], &w->bundles[next], &both) < 0)
		both = w->bundles[now].publish;
	for (size_t i = 0; i < w->n_owners; i++)
		for (size_t k = 0; k < 3; k++) {
			struct version v = {
				.ttl_s = (uint32_t)world_random(w, w->policy.history_ttl_s + 1)};

			if (world_chance(w, 70))
				v.set = k == 2 ? both : w->bundles[now].publish;
			if (world_chance(w, 50))
				world_apply(w, i, &v);
			world_advance(w, w->t + world_lag(w, 3000));
		}
	/* What others published is somewhere to be seen. */
	world_advance(w, w->t + (w->hidden ? usec_seconds(4000) : world_lag(w, 2000)));
}

static void birth(struct run *x)
{
	struct world *w = &x->w;

	x->boot = 1;
	x->boot_at = w->t;
	roll_init(&x->r, &w->policy);
	read_clock(x);
	require(roll_serve(&x->r, &w->bundles[0], NULL) == 0);
	roll_want_dane(&x->r, world_chance(w, 80) ? ROLL_DANE_ON : ROLL_DANE_AS_IS);
	for (size_t i = 0; i < SERVERS; i++)
		if (w->servers[i].used)
			require(roll_place(&x->r, w->servers[i].owner, "ns",
					   &w->servers[i].place) == 0);
	for (size_t i = 0; i < w->n_addresses; i++)
		require(roll_address(&x->r, "192.0.2.1", &w->addresses[i].index) == 0);
}

static void make_world(struct world *w)
{
	w->policy = (struct roll_policy){
		.ttl_s = 1 + (uint32_t)world_random(w, 4000),
		.ttl_max_s = 7200,
		.propagation_s = (uint32_t)world_random(w, 2) * (uint32_t)world_random(w, 900),
		.margin_s = (uint32_t)world_random(w, 2) * (uint32_t)world_random(w, 9000),
		.history_ttl_s = 7200,
	};
	w->validity_s = (uint32_t)world_random(w, 2) * (20000 + (uint32_t)world_random(w, 20000));
	w->second_cache = world_chance(w, 70);
	w->stale = world_chance(w, 50);
	w->serials = world_chance(w, 50);
	w->hidden = world_chance(w, 30);
	w->n_owners = 1 + world_random(w, OWNERS);
	w->n_addresses = 1 + world_random(w, ADDRESSES);
	for (size_t i = 0; i < w->n_owners; i++) {
		struct owner *o = &w->owners[i];

		o->n = 1;
		o->versions[0] = (struct version){.left_at = USEC_NEVER};
		o->pending_at = USEC_NEVER;
		o->negative_ttl_s = (uint32_t)world_random(w, 3600);
		o->alias_ttl_s = (uint32_t)world_random(w, 2) * (uint32_t)world_random(w, 7200);
		for (size_t k = 0; k <= world_random(w, 3); k++)
			require(world_server(w, (uint8_t)i) != NULL);
	}
}

/* What is held, and what each server has. */
static void show_world(const struct run *x)
{
	const struct world *w = &x->w;
	char left[32], until[32];

	for (size_t o = 0; w->trace && o < w->n_owners; o++)
		for (size_t k = 0; k < w->owners[o].n; k++) {
			const struct version *v = &w->owners[o].versions[k];

			if (v->expiry < w->t)
				continue;
			printf("owner %zu, version %zu of publish %u: left %s, held until %s\n", o,
			       k, v->seq, clock_text(v->left_at, left, sizeof(left)),
			       clock_text(v->expiry, until, sizeof(until)));
			show_set(x, "set", &v->set);
		}
	for (size_t i = 0; w->trace && i < SERVERS; i++) {
		const struct server *s = &w->servers[i];

		if (s->used)
			printf("server %zu of owner %u: gone %s%s, version %zu\n", i, s->owner,
			       clock_text(s->gone_at, until, sizeof(until)),
			       s->cut ? ", cut off" : "", s->nodes[0].version);
	}
}

/* False: the promise was broken. */
static bool run(struct run *x, uint64_t seed, bool trace, struct totals *totals)
{
	memset(x, 0, sizeof(*x));
	x->w.random = seed * 0x2545f4914f6cdd1d + 1;
	x->w.trace = trace;
	x->totals = totals;
	x->ruthless = world_chance(&x->w, 30);
	totals->runs++;
	make_world(&x->w);
	past(x);
	birth(x);
	for (int i = 0; i < STEPS && x->breach[0] == '\0'; i++)
		one_step(x);
	if (x->breach[0] != '\0') {
		tell(x, "%s", x->breach);
		show_world(x);
	}
	return x->breach[0] == '\0';
}

/* The world that a missing wait breaks; 0: none in so many. */
static uint64_t find(struct run *x, uint64_t seed, uint64_t runs, struct totals *totals)
{
	for (uint64_t i = 0; i < runs; i++)
		if (!run(x, seed + i, false, totals))
			return seed + i;
	return 0;
}

static int mutants(struct run *x, const char *name, uint64_t runs)
{
	int missed = 0, known = 0;

	for (int i = 1; i < ROLL_WITHOUT_END; i++) {
		struct totals totals = {0};
		uint64_t seed;

		if (strcmp(name, "all") != 0 && strcmp(name, waits[i].name) != 0)
			continue;
		known++;
		roll_without = i;
		seed = find(x, 1, runs, &totals);
		missed += seed == 0;
		if (seed != 0)
			printf("without %s: broken in run %llu: %s\n", waits[i].words,
			       (unsigned long long)seed, x->breach);
		else
			printf("without %s: NOT NOTICED in %llu runs\n", waits[i].words,
			       (unsigned long long)runs);
		fflush(stdout);
	}
	return missed > 0 || known == 0;
}

int main(int argc, char **argv)
{
	static struct run x;
	struct totals totals = {0};
	uint64_t runs = 2000, seed = 1, broken;
	const char *without = NULL;
	bool trace = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--trace") == 0)
			trace = true;
		else if (i + 1 < argc && strcmp(argv[i], "--runs") == 0)
			runs = strtoull(argv[++i], NULL, 10);
		else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
			seed = strtoull(argv[++i], NULL, 10);
		else if (i + 1 < argc && strcmp(argv[i], "--without") == 0)
			without = argv[++i];
		else
			return 64;
	}
	if (without != NULL && !trace)
		return mutants(&x, without, runs);
	for (int i = 1; without != NULL && i < ROLL_WITHOUT_END; i++)
		if (strcmp(without, waits[i].name) == 0)
			roll_without = i;
	if (trace)
		return run(&x, seed, true, &totals) ? 0 : 1;
	broken = find(&x, seed, runs, &totals);
	if (broken != 0)
		printf("broken in run %llu: %s\n", (unsigned long long)broken, x.breach);
	printf("%lu runs: %lu publishes, %lu switches (%lu emergencies), %lu aborts, %lu restarts; "
	       "%lu times in force, %lu times gone\n",
	       totals.runs, totals.publishes, totals.switches, totals.emergencies, totals.aborts,
	       totals.restarts, totals.in_force, totals.withdrawn);
	/* A machine that never moves keeps every promise. */
	return broken != 0 || totals.switches < totals.runs || totals.in_force == 0;
}
