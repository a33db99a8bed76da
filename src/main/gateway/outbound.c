#include "main/gateway/outbound.h"

struct gateway_outbound {
	struct gateway_outbound_env env;
	const struct config_file *file;
};

struct gateway_outbound *gateway_outbound_new(const struct gateway_outbound_env *env,
					      const struct config_file *f, struct err *e)
{
	struct gateway_outbound *out = xcalloc(1, sizeof(*out));

	(void)e;
	out->env = *env;
	out->file = f;
	return out;
}

void gateway_outbound_wake(struct gateway_outbound *out)
{
	(void)out;
}

void gateway_outbound_replace(struct gateway_outbound *out, const struct config_file *f)
{
	out->file = f;
}

void gateway_outbound_stop(struct gateway_outbound *out, io_fn *done, void *arg)
{
	io_defer(out->env.loop, done, arg);
}

struct gateway_outbound *gateway_outbound_free(struct gateway_outbound *out)
{
	free(out);
	return NULL;
}
