#include "jobs/send/walk.h"

#include <string.h>
#include <sys/random.h>

#include "jobs/send/send.h"

static size_t below(size_t n)
{
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		r = 0; /* an order, no secret: any will do, and so will a bias of n / 2^32 */
	return r % n;
}

void send_walk_begin(struct send_walk *w, struct arena *a, const struct dane_decision *d)
{
	*w = (struct send_walk){.decision = d};
	w->order = arena_calloc(a, d->n_hosts, sizeof(*w->order));
	for (size_t i = 0; i < d->n_hosts; i++)
		w->order[i] = i;
	for (size_t from = 0, to; from < d->n_hosts; from = to) {
		for (to = from; to < d->n_hosts; to++)
			if (d->hosts[to].preference != d->hosts[from].preference)
				break;
		for (size_t i = to - 1; i > from; i--) {
			size_t k = from + below(i - from + 1), swap = w->order[i];

			w->order[i] = w->order[k];
			w->order[k] = swap;
		}
	}
}

const char *send_walk_address(const struct dane_host *h, size_t i)
{
	size_t n_v4 = 0;

	while (n_v4 < h->n_addresses && strchr(h->addresses[n_v4], ':') == NULL)
		n_v4++;
	return h->addresses[(n_v4 + i) % h->n_addresses];
}

const struct dane_host *send_walk_next(struct send_walk *w, const char **ret_address)
{
	for (; w->at < w->decision->n_hosts; w->at++, w->address = 0) {
		const struct dane_host *h = &w->decision->hosts[w->order[w->at]];

		*ret_address = NULL;
		if (h->level == DANE_LEVEL_UNREACHABLE) {
			w->at++;
			return h;
		}
		if (w->address < h->n_addresses && w->address < SEND_HOST_ADDRESSES_MAX &&
		    w->n_tried < SEND_ATTEMPTS_MAX) {
			*ret_address = send_walk_address(h, w->address++);
			w->n_tried++;
			return h;
		}
	}
	return NULL;
}

const char *send_where(struct arena *a, const struct probe_target *t)
{
	if (t->dane != NULL || strcmp(t->host, t->address) != 0)
		return arena_printf(a, "%s[%s]:%u", t->host, t->address, t->port);
	return arena_printf(a, "[%s]:%u", t->address, t->port);
}

const char *send_skip_status(const struct dane_host *h)
{
	return h->proven_absent ? "4.4.4" : h->status;
}
