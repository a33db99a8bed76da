#include "main/gateway/outbound.h"

#include <stdlib.h>
#include <string.h>

#include "edge/tls/context.h"

struct gateway_outbound {
	struct gateway_outbound_env env;
	const struct config_file *file;
	struct arena arena; /* of the name alone */
	struct mail_domain helo;
	struct tls_context *tls;
	struct send_queue *queue;
};

/* --- where a domain's mail goes --------------------------------------------------------------- */

static enum send_route_kind kind_of(const struct config_hop *hop)
{
	switch (hop->kind) {
	case CONFIG_HOP_DOMAIN:
		return SEND_ROUTE_MX;
	case CONFIG_HOP_HOST:
		return SEND_ROUTE_HOST;
	case CONFIG_HOP_ADDRESS:
		return SEND_ROUTE_ADDRESS;
	case CONFIG_HOP_UNIX:
		return SEND_ROUTE_UNIX;
	}
	return SEND_ROUTE_MX;
}

static enum send_route_tls tls_of(enum config_tls_out tls)
{
	switch (tls) {
	case CONFIG_TLS_OUT_NONE:
		return SEND_TLS_NONE;
	case CONFIG_TLS_OUT_MAY:
		return SEND_TLS_MAY;
	case CONFIG_TLS_OUT_ENCRYPT:
		return SEND_TLS_ENCRYPT;
	case CONFIG_TLS_OUT_DANE:
		return SEND_TLS_DANE;
	case CONFIG_TLS_OUT_DANE_ONLY:
		return SEND_TLS_DANE_ONLY;
	}
	return SEND_TLS_DANE_ONLY;
}

/* CONFIG_HOP_NONE: by the domain's own MX. */
static void set_hop(struct send_queue_route *ret, const struct config_hop *hop)
{
	if (hop->protocol == CONFIG_HOP_NONE)
		return;
	ret->kind = kind_of(hop);
	ret->name = hop->name;
	ret->port = hop->port;
	ret->lmtp = hop->protocol == CONFIG_HOP_LMTP;
}

bool gateway_route(const struct config_file *f, const char *domain, int64_t now,
		   struct send_queue_route *ret)
{
	const struct config_domain *own = config_file_domain(f, domain);
	const struct config_destination *d = config_file_destination(f, domain);

	*ret = (struct send_queue_route){
		.kind = SEND_ROUTE_MX, .tls = SEND_TLS_MODE, .mode = f->outbound.mode};
	if (own != NULL) {
		set_hop(ret, &own->next_hop);
		ret->tls = tls_of(own->tls);
		return true;
	}
	/* An exception that is over is as if it were not there. */
	if (d != NULL && !config_destination_holds(d, now))
		d = NULL;
	set_hop(ret, d != NULL && d->next_hop.protocol != CONFIG_HOP_NONE ? &d->next_hop
									  : &f->outbound.next_hop);
	if (d != NULL)
		ret->mode = d->mode;
	return d != NULL || f->outbound.next_hop.protocol != CONFIG_HOP_NONE;
}

static bool route(void *arg, const char *domain, struct send_queue_route *ret)
{
	struct gateway_outbound *out = arg;

	return gateway_route(out->file, domain, io_unix_now() / USEC_PER_SEC, ret);
}

/* --- the client that waits -------------------------------------------------------------------- */

static const char *skip_spaces(const char *text)
{
	return text + strspn(text, " ");
}

void gateway_refusal(const struct store_outcome *o, struct smtp_server_verdict *ret)
{
	const char *text = o->reply;

	/* Our own detail names addresses behind the gateway. */
	*ret = (struct smtp_server_verdict){554, {5, 0, 0}, "the recipient's server refuses it"};
	if (o->status != NULL)
		ret->status = smtp_status_parse(span_text(o->status));
	if (ret->status.class != 5)
		ret->status = (struct smtp_status){5, 0, 0};
	if (text == NULL || text[0] != '5' || strspn(text, "0123456789") != 3)
		return;
	ret->code = (unsigned)strtoul(text, NULL, 10);
	ret->text = skip_spaces(text + 3);
	/* The status is said by the verdict. */
	if (smtp_status_parse(span_text(ret->text)).class != 0)
		ret->text = skip_spaces(ret->text + strcspn(ret->text, " "));
}

/* Those of several mailboxes behind one LMTP server may differ: the first one's is said. */
static bool on_refused(void *arg, const struct store_parcel *p, const struct store_outcome *list,
		       size_t n)
{
	struct gateway_outbound *out = arg;
	struct smtp_server_verdict v;

	require(n > 0);
	gateway_refusal(&list[0], &v);
	return out->env.refused(out->env.arg, p->message.id.text, &v);
}

static void on_attempted(void *arg, const struct store_parcel *p, bool recorded)
{
	struct gateway_outbound *out = arg;

	out->env.attempted(out->env.arg, p->message.id.text, recorded);
}

/* --- the queue -------------------------------------------------------------------------------- */

static struct send_queue_settings settings(struct gateway_outbound *out)
{
	const struct config_file *f = out->file;

	return (struct send_queue_settings){
		.helo = out->helo,
		.hostname = out->env.hostname,
		.mode = f->outbound.mode,
		.half_dane = f->outbound.half_dane,
		.retry = f->queue.retry.items,
		.n_retry = f->queue.retry.n,
		.lifetime = f->queue.lifetime,
		.dane_lifetime = f->queue.dane_lifetime,
		.delay_notice = f->queue.delay_notice,
		.connections = (unsigned)f->outbound.connections,
		.connect_timeout = f->outbound.connect_timeout,
		.postmaster = f->postmaster,
		.route = route,
		.route_arg = out,
	};
}

struct gateway_outbound *gateway_outbound_new(const struct gateway_outbound_env *env,
					      const struct config_file *f, struct err *e)
{
	struct gateway_outbound *out = xcalloc(1, sizeof(*out));
	struct send_queue_settings s;
	struct send_queue_env q;

	out->env = *env;
	out->file = f;
	out->tls = tls_context_new(e);
	if (out->tls == NULL ||
	    mail_domain_parse(&out->arena, span_text(env->hostname), &out->helo, e) < 0)
		return gateway_outbound_free(out);
	q = (struct send_queue_env){.loop = env->loop,
				    .store = env->store,
				    .resolver = env->resolver,
				    .tls = out->tls,
				    .refused = env->refused != NULL ? on_refused : NULL,
				    .attempted = env->attempted != NULL ? on_attempted : NULL,
				    .arg = out};
	s = settings(out);
	out->queue = send_queue_new(&q, &s);
	send_queue_wake(out->queue);
	return out;
}

void gateway_outbound_wake(struct gateway_outbound *out)
{
	send_queue_wake(out->queue);
}

void gateway_outbound_replace(struct gateway_outbound *out, const struct config_file *f)
{
	struct send_queue_settings s;

	out->file = f;
	s = settings(out);
	send_queue_set_settings(out->queue, &s);
}

void gateway_outbound_stop(struct gateway_outbound *out, io_fn *done, void *arg)
{
	send_queue_stop(out->queue, done, arg);
}

struct send_queue_stats gateway_outbound_stats(const struct gateway_outbound *out)
{
	return send_queue_stats(out->queue);
}

struct gateway_outbound *gateway_outbound_free(struct gateway_outbound *out)
{
	if (out == NULL)
		return NULL;
	if (out->queue != NULL)
		send_queue_free(out->queue);
	tls_context_free(out->tls);
	arena_done(&out->arena);
	free(out);
	return NULL;
}
