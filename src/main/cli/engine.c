#include "main/cli/engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "core/mail/domain.h"

struct outcome {
	struct io_loop *loop;
	enum dns_health health;
	char text[512];
};

static void on_health(void *arg, enum dns_health health, const char *text)
{
	struct outcome *o = arg;

	o->health = health;
	snprintf(o->text, sizeof(o->text), "%s", text);
	io_loop_stop(o->loop);
}

int cli_engine_start(struct cli_engine *engine, const struct config *c)
{
	struct dns_config dns = {
		.root_hints = c->root_hints,
		.trust_anchor = c->trust_anchor,
		.forward = c->forward.items,
		.n_forward = c->forward.n,
		.timeout = c->dns_timeout,
	};
	/* What is not said is not good. */
	struct outcome o = {.health = DNS_HEALTH_SILENT, .text = "the self-test was not finished"};
	struct err e;

	if (c->root_hints != NULL && c->forward.n > 0)
		return cli_fail(CLI_USAGE, "--forward and --root-hints exclude each other");
	engine->loop = o.loop = io_loop_new();
	engine->resolver = dns_resolver_new(engine->loop, &dns, &e);
	if (engine->resolver == NULL)
		return cli_fail(strncmp(e.text, "--forward", 9) == 0 ? CLI_USAGE : CLI_CONFIG, "%s",
				e.text);
	dns_resolver_check(engine->resolver, on_health, &o);
	io_loop_run(engine->loop);
	switch (o.health) {
	case DNS_HEALTH_GOOD:
		return 0;
	case DNS_HEALTH_SILENT:
		return cli_fail(CLI_TEMPORARY, "%s", o.text);
	case DNS_HEALTH_ANCHOR:
	case DNS_HEALTH_CLOCK:
	case DNS_HEALTH_STRIPPED:
		break;
	}
	return cli_fail(CLI_CONFIG, "%s", o.text);
}

void cli_engine_done(struct cli_engine *engine)
{
	engine->resolver = dns_resolver_free(engine->resolver);
	engine->loop = io_loop_free(engine->loop);
}

/* --- the request ------------------------------------------------------------------------------ */

static int read_port(const char *text, uint16_t *ret)
{
	uint64_t port;

	if (*text == '0' || !text_to_number(span_text(text), 65535, &port))
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

/* A name, never an address. */
static int read_name(struct arena *a, struct span text, const char **ret, struct err *e)
{
	struct mail_domain domain;

	if (mail_domain_parse(a, text, &domain, e) < 0)
		return -EINVAL;
	if (domain.kind != MAIL_DOMAIN_NAME)
		return err_set(e, -EINVAL, "a name is wanted, not an address");
	*ret = domain.host;
	return 0;
}

/* "[host]" or "[address]", the brackets included. */
static int read_bracketed(struct arena *a, struct span text, struct dane_request *ret,
			  struct err *e)
{
	struct mail_domain literal;

	if (mail_domain_parse(a, text, &literal, NULL) == 0 && literal.kind != MAIL_DOMAIN_NAME) {
		ret->hop = DANE_HOP_ADDRESS;
		ret->next_hop = literal.host;
		return 0;
	}
	ret->hop = DANE_HOP_HOST;
	return read_name(a, span_of(text.p + 1, text.n - 2), &ret->next_hop, e);
}

int cli_next_hop(struct arena *a, const char *text, struct dane_request *ret, struct err *e)
{
	const char *end, *port;

	if (text[0] == '[') {
		end = strchr(text, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return err_set(e, -EINVAL, "\"[host]:port\" is wanted");
		port = end[1] == ':' ? end + 2 : NULL;
		if (read_bracketed(a, span_of(text, (size_t)(end - text) + 1), ret, e) < 0)
			return -EINVAL;
	} else {
		end = strchr(text, ':');
		port = end != NULL ? end + 1 : NULL;
		ret->hop = DANE_HOP_DOMAIN;
		if (read_name(a, span_of(text, end != NULL ? (size_t)(end - text) : strlen(text)),
			      &ret->next_hop, e) < 0)
			return -EINVAL;
	}
	if (port != NULL && read_port(port, &ret->port) < 0)
		return err_set(e, -EINVAL, "not a port: \"%s\"", port);
	return 0;
}

int cli_own_name(struct arena *a, const struct config *c, const char **ret, struct err *e)
{
	char name[256] = "localhost";

	if (c->helo != NULL)
		return read_name(a, span_text(c->helo), ret, e);
	if (gethostname(name, sizeof(name) - 1) != 0 ||
	    read_name(a, span_text(name), ret, NULL) < 0)
		*ret = "localhost";
	return 0;
}

int cli_request(struct arena *a, const struct config *c, const char *domain,
		struct dane_request *ret, struct err *e)
{
	struct mail_domain d;

	if (mail_domain_parse(a, span_text(domain), &d, e) < 0)
		return -EINVAL;
	*ret = (struct dane_request){
		.domain = d.text,
		.hop = d.kind == MAIL_DOMAIN_NAME ? DANE_HOP_DOMAIN : DANE_HOP_ADDRESS, /* M19 */
		.next_hop = d.host,
		.port = 25,
		.mode = c->mode,
		.half_dane = c->half_dane,
	};
	if (c->next_hop != NULL && cli_next_hop(a, c->next_hop, ret, e) < 0)
		return -EINVAL;
	return cli_own_name(a, c, &ret->own_name, e);
}
