#include "jobs/receive/receive.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "edge/io/listen.h"
#include "jobs/receive/internal.h"
#include "jobs/receive/verify.h"

/* A socket that listens; it finds its rules by name, so that it outlives a reload. */
struct receive_socket {
	struct receive_socket *next;
	struct receive *receive;
	size_t listener; /* index into the rules that hold now */
	char *name;
	int fd;
	struct io_listener *io;
};

static void on_second(void *arg);

/* --- rules ------------------------------------------------------------------------------------ */

static struct receive_snapshot *snapshot_new(const struct receive_rules *rules)
{
	struct receive_snapshot *s = xcalloc(1, sizeof(*s));

	s->rules = rules;
	s->users = 1;
	return s;
}

void receive_snapshot_release(struct receive *r, struct receive_snapshot *s)
{
	if (--s->users > 0)
		return;
	if (r->env.rules_unused != NULL)
		r->env.rules_unused(r->env.arg, s->rules);
	free(s);
}

static size_t find_listener(const struct receive_rules *rules, const char *name)
{
	size_t i = 0;

	while (i < rules->n_listeners && strcmp(rules->listeners[i].name, name) != 0)
		i++;
	return i;
}

static void close_socket(struct receive_socket **at)
{
	struct receive_socket *socket = *at;

	*at = socket->next;
	io_listener_free(socket->io);
	close(socket->fd);
	free(socket->name);
	free(socket);
}

void receive_set_rules(struct receive *r, const struct receive_rules *rules)
{
	struct receive_snapshot *old = r->snapshot;

	r->snapshot = snapshot_new(rules);
	for (struct receive_socket **at = &r->sockets; *at != NULL;) {
		(*at)->listener = find_listener(rules, (*at)->name);
		if ((*at)->listener == rules->n_listeners)
			close_socket(at);
		else
			at = &(*at)->next;
	}
	receive_verify_reset(r->verifier);
	receive_snapshot_release(r, old);
}

/* --- what sessions ask of the receiver -------------------------------------------------------- */

struct store_id receive_id(struct receive *r, usec_t unix_now)
{
	struct store_id id;

	if (r->random_at + STORE_ID_RANDOM > sizeof(r->random)) {
		require(getrandom(r->random, sizeof(r->random), 0) == (ssize_t)sizeof(r->random));
		r->random_at = 0;
	}
	id = store_id_make(unix_now, r->random + r->random_at);
	r->random_at += STORE_ID_RANDOM;
	return id;
}

void receive_count(struct receive *r, enum receive_refusal why)
{
	r->stats.refused[why]++;
}

const char *receive_refusal_to_string(enum receive_refusal r)
{
	static const char *const names[] = {
		[RECEIVE_REFUSED_CONNECTIONS] = "connections",
		[RECEIVE_REFUSED_CLIENT] = "client",
		[RECEIVE_REFUSED_EARLY] = "early",
		[RECEIVE_REFUSED_RELAY] = "relay",
		[RECEIVE_REFUSED_RECIPIENT] = "recipient",
		[RECEIVE_REFUSED_VERIFY] = "verify",
		[RECEIVE_REFUSED_AUTH] = "auth",
		[RECEIVE_REFUSED_LOOP] = "loop",
		[RECEIVE_REFUSED_FULL] = "full",
		[RECEIVE_REFUSED_MESSAGE] = "message",
		[RECEIVE_REFUSED_TIMEOUT] = "timeout",
		[RECEIVE_REFUSED_PROTOCOL] = "protocol",
		[RECEIVE_REFUSED_BEHIND] = "behind",
	};

	require((size_t)r < ARRAY_SIZE(names) && names[r] != NULL);
	return names[r];
}

struct receive_stats receive_stats(const struct receive *r)
{
	struct receive_stats s = r->stats;

	s.open = r->n_sessions;
	return s;
}

/* --- time ------------------------------------------------------------------------------------- */

static void look_at_space(struct receive *r)
{
	uint64_t wanted = r->snapshot->rules->limits.free_space;
	struct statvfs v;

	r->full = wanted > 0 && r->env.spool != NULL && statvfs(r->env.spool, &v) == 0 &&
		  (uint64_t)v.f_bavail * v.f_frsize < wanted;
}

/* One timer for all sessions, while there are any. */
static void keep_ticking(struct receive *r)
{
	if (r->ticking)
		return;
	r->ticking = true;
	io_timer_set(r->clock, usec_add(io_now(r->env.loop), USEC_PER_SEC));
}

static void on_second(void *arg)
{
	struct receive *r = arg;
	usec_t now = io_now(r->env.loop);
	struct receive_session *next;

	r->ticking = false;
	for (struct receive_session *s = r->sessions; s != NULL; s = next) {
		next = s->next;
		if (r->stop_at != 0 && now >= r->stop_at)
			receive_session_close(s, "closing down");
		else
			receive_session_tick(s, now);
	}
	receive_clients_sweep(r->clients, now);
	look_at_space(r);
	if (r->sessions != NULL)
		keep_ticking(r);
}

/* --- listening -------------------------------------------------------------------------------- */

void receive_accept(struct receive *r, size_t listener, int fd, const char *peer)
{
	if (r->stop_at != 0) {
		close(fd);
		return;
	}
	if (r->n_sessions == 0) /* nobody looked while there was none */
		look_at_space(r);
	receive_session_new(r, listener, fd, peer);
	keep_ticking(r);
}

static void on_connection(void *arg, int fd, const struct io_peer *peer)
{
	struct receive_socket *socket = arg;

	receive_accept(socket->receive, socket->listener, fd, peer->address);
}

int receive_listen(struct receive *r, size_t listener, int fd, struct err *e)
{
	struct receive_socket *socket = xcalloc(1, sizeof(*socket));

	require(listener < r->snapshot->rules->n_listeners);
	socket->receive = r;
	socket->fd = fd;
	socket->listener = listener;
	socket->name = xstrdup(r->snapshot->rules->listeners[listener].name);
	socket->io = io_listener_new(r->env.loop, fd, on_connection, socket, e);
	socket->next = r->sockets;
	r->sockets = socket;
	if (socket->io != NULL)
		return 0;
	close_socket(&r->sockets);
	return -EINVAL;
}

void receive_set_resolver(struct receive *r, struct dns_resolver *resolver)
{
	if (r->env.resolver == resolver)
		return;
	r->env.resolver = resolver;
	receive_verify_give_up(r->verifier);
}

bool receive_has_socket(const struct receive *r, const char *listener_name)
{
	for (const struct receive_socket *s = r->sockets; s != NULL; s = s->next)
		if (strcmp(s->name, listener_name) == 0)
			return true;
	return false;
}

/* --- life ------------------------------------------------------------------------------------- */

struct receive *receive_new(const struct receive_env *env, const struct receive_rules *rules)
{
	struct receive *r = xcalloc(1, sizeof(*r));
	uint64_t secret;

	require(getrandom(&secret, sizeof(secret), 0) == (ssize_t)sizeof(secret));
	r->env = *env;
	r->snapshot = snapshot_new(rules);
	r->clients = receive_clients_new(secret);
	r->passwords = password_checker_new(env->loop);
	r->verifier = receive_verifier_new(&r->env);
	r->clock = io_timer_new(env->loop, on_second, r);
	r->random_at = sizeof(r->random);
	return r;
}

static void free_now(void *arg)
{
	struct receive *r = arg;

	receive_snapshot_release(r, r->snapshot);
	free(r);
}

struct receive *receive_free(struct receive *r)
{
	if (r == NULL)
		return NULL;
	r->stopped = NULL;
	while (r->sockets != NULL)
		close_socket(&r->sockets);
	while (r->sessions != NULL)
		receive_session_close(r->sessions, "the end");
	receive_mail_forget_all(r);
	password_checker_free(r->passwords);
	receive_verifier_free(r->verifier);
	receive_clients_free(r->clients);
	r->clock = io_timer_free(r->clock);
	/* Behind the sessions, which end at the end of this turn. */
	io_defer(r->env.loop, free_now, r);
	return NULL;
}

static void say_stopped(void *arg)
{
	struct receive *r = arg;
	io_fn *stopped = TAKE(r->stopped);

	if (stopped != NULL)
		stopped(r->stopped_arg);
}

void receive_look_for_end(struct receive *r)
{
	if (r->stop_at != 0 && r->stopped != NULL && r->sessions == NULL && r->storing == NULL)
		io_defer(r->env.loop, say_stopped, r);
}

void receive_stop(struct receive *r, io_fn *done, void *arg)
{
	struct receive_session *next;

	r->stop_at = usec_add(io_now(r->env.loop), usec_seconds(RECEIVE_STOP_SECONDS));
	r->stopped = done;
	r->stopped_arg = arg;
	while (r->sockets != NULL)
		close_socket(&r->sockets);
	for (struct receive_session *s = r->sessions; s != NULL; s = next) {
		next = s->next;
		receive_session_finish(s);
	}
	receive_look_for_end(r);
}
