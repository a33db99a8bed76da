#include "jobs/receive/rules.h"

#include <arpa/inet.h>

/* --- addresses -------------------------------------------------------------------------------- */

struct receive_address receive_address_of(const char *text)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	struct receive_address a = {.family = 0};

	if (inet_pton(AF_INET, text, a.bytes) == 1) {
		a.family = 4;
	} else if (inet_pton(AF_INET6, text, a.bytes) == 1) {
		a.family = 6;
		if (memcmp(a.bytes, mapped, sizeof(mapped)) == 0) {
			a.family = 4;
			memmove(a.bytes, a.bytes + 12, 4);
			memset(a.bytes + 4, 0, 12);
		}
	}
	return a;
}

static bool in_network(const struct receive_network *n, const struct receive_address *a)
{
	size_t whole = n->bits / 8, rest = n->bits % 8;
	uint8_t mask = (uint8_t)(0xff00u >> rest);

	return n->family == a->family && a->family != 0 && memcmp(n->bytes, a->bytes, whole) == 0 &&
	       (rest == 0 || ((n->bytes[whole] ^ a->bytes[whole]) & mask) == 0);
}

bool receive_networks_have(const struct receive_networks *n, const struct receive_address *a)
{
	for (size_t i = 0; i < n->n; i++)
		if (in_network(&n->items[i], a))
			return true;
	return false;
}

/* --- clients ---------------------------------------------------------------------------------- */

static bool knows_certificate(const struct receive_listener *l, const char *fingerprint)
{
	for (size_t i = 0; fingerprint != NULL && i < l->n_fingerprints; i++)
		if (strcmp(l->fingerprints[i], fingerprint) == 0)
			return true;
	return false;
}

enum receive_right receive_rules_right(const struct receive_listener *l,
				       const struct receive_client *c)
{
	if (l->kind != RECEIVE_RELAY)
		return RECEIVE_RIGHT_NONE;
	if (receive_networks_have(&l->networks, &c->address))
		return RECEIVE_RIGHT_NETWORK;
	if (knows_certificate(l, c->fingerprint))
		return RECEIVE_RIGHT_CERTIFICATE;
	if (l->passwords != NULL && c->user != NULL)
		return RECEIVE_RIGHT_AUTH;
	return RECEIVE_RIGHT_NONE;
}

const char *receive_right_to_string(enum receive_right r)
{
	static const char *const names[] = {
		[RECEIVE_RIGHT_NONE] = "none",
		[RECEIVE_RIGHT_NETWORK] = "network",
		[RECEIVE_RIGHT_CERTIFICATE] = "certificate",
		[RECEIVE_RIGHT_AUTH] = "auth",
	};

	require((size_t)r < ARRAY_SIZE(names));
	return names[r];
}

static const struct smtp_server_verdict yes = {.code = 0};
static const struct smtp_server_verdict denied = {550, {5, 7, 1}, "relaying denied"};

struct smtp_server_verdict receive_rules_mail(const struct receive_listener *l,
					      const struct receive_client *c)
{
	if (l->kind == RECEIVE_MX || receive_rules_right(l, c) != RECEIVE_RIGHT_NONE)
		return yes;
	if (l->passwords != NULL) /* RFC 4954 section 6 */
		return (struct smtp_server_verdict){530, {5, 7, 0}, "authentication required"};
	if (l->n_fingerprints > 0 && !c->in_tls)
		return (struct smtp_server_verdict){
			530, {5, 7, 0}, "STARTTLS with a certificate first"};
	return (struct smtp_server_verdict){550, {5, 7, 1}, "not a client of this relay"};
}

/* --- recipients ------------------------------------------------------------------------------- */

static int compare(const void *key, const void *domain)
{
	return strcmp(key, ((const struct receive_domain *)domain)->name);
}

const struct receive_domain *receive_rules_domain(const struct receive_rules *r, const char *name)
{
	return bsearch(name, r->domains, r->n_domains, sizeof(*r->domains), compare);
}

/* "a%b", "a!b", "a@b" in quotes: some servers send such mail on (RFC 5321 section 5.1, 3.6.1). */
static bool routes_on(const char *local)
{
	char plain[RECEIVE_LOCAL_ROOM];

	receive_local_plain(local, plain);
	return strpbrk(plain, "%!@") != NULL;
}

static bool is_postmaster(const char *local)
{
	char plain[RECEIVE_LOCAL_ROOM];

	receive_local_plain(local, plain);
	return strcmp(plain, "postmaster") == 0;
}

static struct smtp_server_verdict own_domain(const struct receive_domain *d, bool trusted,
					     const char *local, bool *ret_verify)
{
	bool named = d->recipients != NULL && receive_list_names(d->recipients, local);

	if (!trusted && !named && routes_on(local))
		return denied;
	if (d->recipients != NULL && !receive_list_has(d->recipients, local) &&
	    !is_postmaster(local))
		return (struct smtp_server_verdict){550, {5, 1, 1}, "no such recipient"};
	*ret_verify =
		d->verify != RECEIVE_VERIFY_NONE && d->recipients == NULL && d->behind.name != NULL;
	return yes;
}

/*
 * A relay's client is known: it gets notices. And one that writes to several domains at once would
 * be sent away with the second.
 */
static bool is_awaited(const struct receive_listener *l, const struct receive_domain *d)
{
	return l->kind == RECEIVE_MX && d != NULL && d->verify == RECEIVE_VERIFY_DATA;
}

/* RFC 5321 section 4.5.1: "postmaster" alone. Its domain is what stands behind the last '@'. */
static struct smtp_server_verdict to_postmaster(const struct receive_rules *r,
						const struct receive_listener *l, struct arena *a,
						struct receive_recipient *ret)
{
	const struct receive_domain *d;
	struct mail_address address;
	struct err e;

	if (r->postmaster == NULL ||
	    mail_address_parse(a, span_text(r->postmaster), &address, &e) < 0)
		return (struct smtp_server_verdict){550, {5, 1, 1}, "no postmaster is configured"};
	d = receive_rules_domain(r, address.domain.text);
	*ret = (struct receive_recipient){.path = address.path,
					  .hop = address.domain.text,
					  .domain = d,
					  .await = is_awaited(l, d)};
	return yes;
}

struct smtp_server_verdict receive_rules_rcpt(const struct receive_rules *r,
					      const struct receive_listener *l,
					      const struct receive_client *c,
					      const struct mail_address *to, struct arena *a,
					      struct receive_recipient *ret)
{
	bool trusted = receive_rules_right(l, c) != RECEIVE_RIGHT_NONE;
	const struct receive_domain *d = NULL;
	struct smtp_server_verdict v = yes;
	bool verify = false;

	if (l->kind == RECEIVE_RELAY && !trusted)
		return denied;
	if (to->domain.text == NULL)
		return to_postmaster(r, l, a, ret);
	if (to->domain.kind == MAIL_DOMAIN_NAME)
		d = receive_rules_domain(r, to->domain.text);
	if (d == NULL && l->kind == RECEIVE_MX)
		return denied;
	if (d != NULL)
		v = own_domain(d, trusted, to->local, &verify);
	if (v.code == 0)
		*ret = (struct receive_recipient){.path = arena_strdup(a, to->path),
						  .hop = arena_strdup(a, to->domain.text),
						  .domain = d,
						  .verify = verify,
						  .await = is_awaited(l, d)};
	return v;
}

struct receive_limits receive_limits_defaults(void)
{
	return (struct receive_limits){
		.message_size = 100u << 20,
		.recipients = 1000,
		.errors = 20,
		.messages = 1000,
		.hops = 100,
		.connections = 10000,
		.connections_per_client = 50,
		.auth_failures_per_client = 10,
		.command_timeout = usec_seconds(300),
		.data_timeout = usec_seconds(180),
		.handshake_timeout = usec_seconds(60),
		.mail_timeout = usec_seconds(3600),
		.verdict_timeout = usec_seconds(60),
		.crowded_timeout = usec_seconds(10), /* as Postfix's smtpd_timeout under stress */
		.memory = 512u << 20,
		.data_rate = 500, /* as Postfix's smtpd_min_data_rate */
	};
}
