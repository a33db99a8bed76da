/*
 * The glue to jobs/receive: what a configuration says of listeners, clients, own domains and
 * limits, with the files that it names read, as one snapshot.
 */
#pragma once

#include "edge/store/store.h"
#include "jobs/receive/receive.h"
#include "main/config/file.h"
#include "main/gateway/ports.h"

struct gateway_snapshot; /* immutable; owns all that is in it, keys included */
struct gateway_inbound;

/*
 * Reads certificates, keys, password files and lists of recipients: as root at the start, as the
 * user at a reload. NULL and `e`, which names the file.
 */
struct gateway_snapshot *gateway_snapshot_new(const struct config_file *f, const char *hostname,
					      struct err *e) _mustcheck_;
struct gateway_snapshot *gateway_snapshot_free(struct gateway_snapshot *s);

struct gateway_inbound_env {
	struct io_loop *loop;
	struct store *store;
	io_fn *stored; /* something is in the queue */
	void *arg;
	const char *hostname; /* for the servers behind that are asked about recipients */
};

/*
 * Takes the snapshot over, also on failure, and listens where `f` says. Sockets stay the caller's.
 */
struct gateway_inbound *gateway_inbound_new(const struct gateway_inbound_env *env,
					    struct gateway_snapshot *s, const struct config_file *f,
					    const struct gateway_ports *ports, struct err *e)
	_mustcheck_;
/* The same for new sessions; those that run keep what they began with. Sockets that `f` does not
 * name any more are let go, and may be closed then. */
void gateway_inbound_replace(struct gateway_inbound *in, struct gateway_snapshot *s,
			     const struct config_file *f, const struct gateway_ports *ports);
/* As receive_refused and receive_attempted (jobs/receive/receive.h). */
bool gateway_inbound_refused(struct gateway_inbound *in, const char *id,
			     const struct smtp_server_verdict *v);
void gateway_inbound_attempted(struct gateway_inbound *in, const char *id, bool recorded);
/* Servers behind that are not named by address can be asked from now on. It outlives `in`. */
void gateway_inbound_set_resolver(struct gateway_inbound *in, struct dns_resolver *resolver);
/* No new sessions; a message under way may end. `done` once, not from here. */
void gateway_inbound_stop(struct gateway_inbound *in, io_fn *done, void *arg);
struct receive_stats gateway_inbound_stats(const struct gateway_inbound *in);
/* Cuts what is left. */
struct gateway_inbound *gateway_inbound_free(struct gateway_inbound *in);
