#include "main/gateway/inbound.h"

struct gateway_snapshot {
	struct arena arena;
};

struct gateway_inbound {
	struct gateway_inbound_env env;
	struct gateway_snapshot *now;
};

struct gateway_snapshot *gateway_snapshot_new(const struct config_file *f, const char *hostname,
					      struct err *e)
{
	(void)f;
	(void)hostname;
	(void)e;
	return xcalloc(1, sizeof(struct gateway_snapshot));
}

struct gateway_snapshot *gateway_snapshot_free(struct gateway_snapshot *s)
{
	free(s);
	return NULL;
}

struct gateway_inbound *gateway_inbound_new(const struct gateway_inbound_env *env,
					    struct gateway_snapshot *s, const struct config_file *f,
					    const struct gateway_ports *ports, struct err *e)
{
	struct gateway_inbound *in = xcalloc(1, sizeof(*in));

	(void)f;
	(void)ports;
	(void)e;
	in->env = *env;
	in->now = s;
	return in;
}

int gateway_inbound_replace(struct gateway_inbound *in, struct gateway_snapshot *s,
			    const struct config_file *f, const struct gateway_ports *ports,
			    struct err *e)
{
	(void)f;
	(void)ports;
	(void)e;
	gateway_snapshot_free(in->now);
	in->now = s;
	return 0;
}

void gateway_inbound_stop(struct gateway_inbound *in, io_fn *done, void *arg)
{
	io_defer(in->env.loop, done, arg);
}

struct gateway_inbound *gateway_inbound_free(struct gateway_inbound *in)
{
	if (in != NULL) {
		gateway_snapshot_free(in->now);
		free(in);
	}
	return NULL;
}
