/* What holds between keys; what is asked of a file that was read. */
#include "main/config/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMPLAIN(c, n, ...) config_problem_add((c)->problems, (n)->line, (n)->column, __VA_ARGS__)

/* --- listeners -------------------------------------------------------------------------------- */

/*
 * A network so wide that the listener is an open relay. IPv4 /8 is the widest that anybody has;
 * fc00::/7, the private IPv6 addresses, is the widest there.
 */
static const struct config_network *too_wide(const struct config_networks *all)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->items[i].bits < (all->items[i].family == 4 ? 8 : 7))
			return &all->items[i];
	return NULL;
}

static bool names_clients(const struct config_listener *l)
{
	return l->networks.n > 0 || l->fingerprints.n > 0 || l->passwords != NULL;
}

void config_check_listener(struct config_checker *c, const struct config_node *n, void *at)
{
	struct config_listener *l = at;
	const struct config_network *wide = too_wide(&l->networks);

	l->is_mx = l->mx.kind != CONFIG_ENDPOINT_NONE;
	l->at = l->is_mx ? l->mx : l->relay;
	if (l->is_mx == (l->relay.kind != CONFIG_ENDPOINT_NONE))
		COMPLAIN(c, n, "a listener is either `mx` or `relay`%s",
			 l->is_mx ? ", not both" : ": one of them is missing");
	else if (l->is_mx && names_clients(l))
		COMPLAIN(c, n,
			 "networks, fingerprints and passwords are for `relay`: anyone may use "
			 "`mx`");
	else if (!l->is_mx && !names_clients(l))
		COMPLAIN(c, n,
			 "a relay names its clients: `networks`, `fingerprints` or "
			 "`passwords`");
	else if (wide != NULL)
		COMPLAIN(c, config_node_member(n, "networks"),
			 "networks: a /%u would be an open relay; /%d is the widest", wide->bits,
			 wide->family == 4 ? 8 : 7);
	else if (l->tls == CONFIG_TLS_IN_NONE && (l->passwords != NULL || l->fingerprints.n > 0))
		COMPLAIN(c, n, "passwords and fingerprints want TLS: not `tls: none`");
}

/* Needs certificates, and no two at one place. */
static void check_listeners(struct config_checker *c, const struct config_node *list,
			    const struct config_file *f)
{
	const struct config_node *n = list != NULL ? list->first : NULL;

	for (size_t i = 0; i < f->listeners.n; i++, n = n->next) {
		const struct config_listener *l = &f->listeners.items[i];

		if (l->tls != CONFIG_TLS_IN_NONE && f->certificates.n == 0)
			COMPLAIN(c, n,
				 "this listener offers TLS, and there are no `certificates` "
				 "(without TLS: `tls: none`)");
		for (size_t j = 0; j < i; j++)
			if (strcmp(f->listeners.items[j].at.text, l->at.text) == 0) {
				COMPLAIN(c, n, "%s is listened on twice", l->at.text);
				break;
			}
	}
}

/* --- the others ------------------------------------------------------------------------------- */

void config_check_domain(struct config_checker *c, const struct config_node *n, void *at)
{
	const struct config_domain *d = at;
	bool dane = d->tls == CONFIG_TLS_OUT_DANE || d->tls == CONFIG_TLS_OUT_DANE_ONLY;
	const struct config_node *tls = config_node_member(n, "tls");

	if (d->next_hop.kind == CONFIG_HOP_UNIX && (dane || d->tls == CONFIG_TLS_OUT_ENCRYPT))
		COMPLAIN(c, tls, "tls: a Unix socket has no TLS");
	else if (d->next_hop.kind == CONFIG_HOP_ADDRESS && dane)
		COMPLAIN(c, tls, "tls: DANE wants a next hop with a name, not an address");
}

static int strength(enum dane_mode mode)
{
	switch (mode) {
	case DANE_MODE_NONE:
		return 0;
	case DANE_MODE_OPPORTUNISTIC:
		return 1;
	case DANE_MODE_MANDATORY:
		return 2;
	}
	return 0;
}

/* The mode of outbound was read before its destinations: it stands before them in the table. */
void config_check_destination(struct config_checker *c, const struct config_node *n, void *at)
{
	struct config_destination *d = at;
	enum dane_mode usual = c->file->outbound.mode;
	const char *missing = d->owner == NULL    ? "owner"
			      : d->reason == NULL ? "reason"
			      : d->until == 0     ? "until"
						  : NULL;

	if (config_node_member(n, "mode") == NULL)
		d->mode = usual;
	if (strength(d->mode) < strength(usual) && missing != NULL)
		COMPLAIN(c, n,
			 "mode: %s is weaker than %s: an exception wants `owner`, `reason` and "
			 "`until`, and `%s` is missing",
			 dane_mode_to_string(d->mode), dane_mode_to_string(usual), missing);
	if (d->next_hop.kind != CONFIG_HOP_DOMAIN && d->next_hop.protocol == CONFIG_HOP_LMTP)
		COMPLAIN(c, config_node_member(n, "next_hop"),
			 "next_hop: mail to the world goes by SMTP");
}

void config_check_outbound(struct config_checker *c, const struct config_node *n, void *at)
{
	const struct config_outbound *o = at;

	if (o->next_hop.protocol == CONFIG_HOP_LMTP)
		COMPLAIN(c, config_node_member(n, "next_hop"),
			 "next_hop: mail to the world goes by SMTP");
}

void config_check_queue(struct config_checker *c, const struct config_node *n, void *at)
{
	struct config_queue *q = at;

	if (q->retry.n == 0)
		COMPLAIN(c, config_node_member(n, "retry"), "retry: at least one time is wanted");
	if (q->dane_lifetime == 0)
		q->dane_lifetime = q->lifetime;
	if (q->dane_lifetime > q->lifetime)
		COMPLAIN(c, config_node_member(n, "dane_lifetime"),
			 "dane_lifetime: longer than lifetime");
}

void config_check_dns(struct config_checker *c, const struct config_node *n, void *at)
{
	const struct config_dns *d = at;

	if (d->root_hints != NULL && d->forward.n > 0)
		COMPLAIN(c, config_node_member(n, "forward"),
			 "forward and root_hints exclude each other");
}

void config_check_file(struct config_checker *c, const struct config_node *n, void *at)
{
	struct config_file *f = at;

	if (f->queue.directory == NULL)
		f->queue.directory = arena_printf(c->arena, "%s/queue", f->state);
	check_listeners(c, config_node_member(n, "listeners"), f);
}

/* --- files ------------------------------------------------------------------------------------ */

static void look_at(const char *key, const char *path, bool secret, struct config_problems *p)
{
	struct stat st;
	int fd;

	if (path == NULL)
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		config_problem_add(p, 0, 0, "%s: %s: %s", key, path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		config_problem_add(p, 0, 0, "%s: %s: not a file", key, path);
	else if (secret && (st.st_mode & 077) != 0)
		config_problem_add(p, 0, 0, "%s: %s: others can read it (mode %03o, 600 is wanted)",
				   key, path, (unsigned)st.st_mode & 0777);
	if (fd >= 0)
		close(fd);
}

size_t config_file_look_at_files(const struct config_file *f, struct config_problems *p)
{
	size_t before = p->total;

	for (size_t i = 0; i < f->certificates.n; i++) {
		look_at("chain", f->certificates.items[i].chain, false, p);
		look_at("key", f->certificates.items[i].key, true, p);
	}
	for (size_t i = 0; i < f->listeners.n; i++)
		look_at("passwords", f->listeners.items[i].passwords, true, p);
	for (size_t i = 0; i < f->domains.n; i++)
		look_at("recipients", f->domains.items[i].recipients, false, p);
	look_at("root_hints", f->dns.root_hints, false, p);
	look_at("trust_anchor", f->dns.trust_anchor, false, p);
	return p->total - before;
}

/* --- questions -------------------------------------------------------------------------------- */

static int compare_name(const void *name, const void *item)
{
	return strcmp(name, *(const char *const *)item);
}

const struct config_domain *config_file_domain(const struct config_file *f, const char *name)
{
	if (f->domains.n == 0)
		return NULL;
	return bsearch(name, f->domains.items, f->domains.n, sizeof(*f->domains.items),
		       compare_name);
}

const struct config_destination *config_file_destination(const struct config_file *f,
							 const char *name)
{
	if (f->outbound.destinations.n == 0)
		return NULL;
	return bsearch(name, f->outbound.destinations.items, f->outbound.destinations.n,
		       sizeof(*f->outbound.destinations.items), compare_name);
}

bool config_destination_holds(const struct config_destination *d, int64_t now)
{
	return d->until == 0 || now < d->until;
}

static bool network_has(const struct config_network *n, struct span address)
{
	size_t whole = n->bits / 8;
	unsigned rest = n->bits % 8;

	if (address.n != (n->family == 4 ? 4 : 16) || memcmp(n->bytes, address.p, whole) != 0)
		return false;
	return rest == 0 || ((n->bytes[whole] ^ address.p[whole]) >> (8 - rest)) == 0;
}

bool config_networks_have(const struct config_networks *n, struct span address)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	/* An IPv4 client of a listener on "[::]". */
	if (address.n == 16 && memcmp(address.p, mapped, sizeof(mapped)) == 0)
		address = span_skip(address, sizeof(mapped));
	for (size_t i = 0; i < n->n; i++)
		if (network_has(&n->items[i], address))
			return true;
	return false;
}
