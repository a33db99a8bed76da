#include "jobs/receive/clients.h"

#include <string.h>

enum {
	BUCKETS = 4096,
};

static const usec_t minute = 60 * USEC_PER_SEC;

struct receive_clients {
	uint64_t secret;
	size_t n, n_idle; /* idle: without a connection */
	struct receive_peer *buckets[BUCKETS];
};

struct receive_clients *receive_clients_new(uint64_t secret)
{
	struct receive_clients *c = xcalloc(1, sizeof(*c));

	c->secret = secret;
	return c;
}

static void drop(struct receive_clients *c, struct receive_peer **at)
{
	struct receive_peer *p = *at;

	*at = p->next;
	c->n--;
	c->n_idle--;
	free(p);
}

struct receive_clients *receive_clients_free(struct receive_clients *c)
{
	if (c == NULL)
		return NULL;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (c->buckets[i] != NULL) {
			struct receive_peer *p = c->buckets[i];

			c->buckets[i] = p->next;
			free(p);
		}
	}
	free(c);
	return NULL;
}

size_t receive_clients_count(const struct receive_clients *c)
{
	return c->n;
}

/* The finish of MurmurHash3: each bit of the result hangs on each bit of x. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdu;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53u;
	return x ^ x >> 33;
}

static struct receive_peer **bucket_of(struct receive_clients *c, const uint64_t key[2])
{
	uint64_t h = mix(mix(key[0] ^ c->secret) ^ key[1] ^ (c->secret << 32 | c->secret >> 32));

	return &c->buckets[h % BUCKETS];
}

static void key_of(const struct receive_address *a, uint64_t key[2])
{
	key[0] = a->family;
	key[1] = 0;
	memcpy(&key[1], a->bytes, a->family == 4 ? 4 : 8);
}

static void forget_idle(struct receive_clients *c, usec_t before)
{
	for (size_t i = 0; i < BUCKETS && c->n_idle > 0; i++)
		for (struct receive_peer **at = &c->buckets[i]; *at != NULL;)
			if ((*at)->connections == 0 && (*at)->minute < before)
				drop(c, at);
			else
				at = &(*at)->next;
}

struct receive_peer *receive_clients_enter(struct receive_clients *c,
					   const struct receive_address *a, usec_t now)
{
	struct receive_peer **bucket, *p;
	uint64_t key[2];

	key_of(a, key);
	bucket = bucket_of(c, key);
	for (p = *bucket; p != NULL; p = p->next)
		if (p->key[0] == key[0] && p->key[1] == key[1])
			break;
	if (p == NULL) {
		p = xcalloc(1, sizeof(*p));
		memcpy(p->key, key, sizeof(key));
		p->minute = now;
		p->next = *bucket;
		*bucket = p;
		c->n++;
	} else if (p->connections == 0) {
		c->n_idle--;
	}
	p->connections++;
	return p;
}

void receive_clients_leave(struct receive_clients *c, struct receive_peer *p)
{
	require(p->connections > 0);
	if (--p->connections > 0)
		return;
	c->n_idle++;
	if (c->n_idle > RECEIVE_CLIENTS_MAX) {
		forget_idle(c, USEC_NEVER);
	} else if (p->messages == 0 && p->auth_failures == 0) {
		struct receive_peer **at = bucket_of(c, p->key);

		while (*at != p)
			at = &(*at)->next;
		drop(c, at);
	}
}

void receive_peer_refresh(struct receive_peer *p, usec_t now)
{
	if (now - p->minute < minute)
		return;
	p->minute = now;
	p->messages = p->auth_failures = 0;
}

void receive_clients_sweep(struct receive_clients *c, usec_t now)
{
	forget_idle(c, now - minute);
}
