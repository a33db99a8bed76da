#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/smtp/proxy.h"
#include "edge/io/listen.h"
#include "jobs/receive/internal.h"

/* The beginning of a session: who it is, whether there is room for it, the banner. */

static const struct receive_limits *limits_of(const struct receive_session *s)
{
	return &s->snapshot->rules->limits;
}

static usec_t now_of(const struct receive_session *s)
{
	return io_now(s->receive->env.loop);
}

static bool too_many(const struct receive_session *s)
{
	return s->client.address.family != 0 &&
	       s->peer->connections > limits_of(s)->connections_per_client;
}

static void refuse_connection(struct receive_session *s, enum receive_refusal why, uint16_t subject,
			      const char *text)
{
	struct smtp_server_verdict v = {421, {4, subject, subject == 3 ? 2 : 0}, text};

	receive_session_log(s, why, "connect", NULL, &v);
	if (s->listener->tls == RECEIVE_TLS_IMPLICIT) /* nothing can be said before TLS */
		receive_session_close(s, text);
	else
		smtp_server_greet(s->smtp, &v);
}

/* Input that is there already was sent before the banner. */
static void greet(struct receive_session *s, struct span *in)
{
	if (s->listener->kind == RECEIVE_MX) {
		receive_session_read(s, in);
		if (s->state == RECEIVE_OVER)
			return;
		s->drained = true;
	}
	if (in->n == 0)
		smtp_server_greet(s->smtp, NULL);
}

/* The client's address is known. What it has sent too early is left in `in`. */
static void start(struct receive_session *s, struct span *in)
{
	struct receive *r = s->receive;
	const struct receive_limits *l = limits_of(s);

	s->client.address = receive_address_of(s->name);
	s->peer = receive_clients_enter(r->clients, &s->client.address, now_of(s));
	s->right = receive_rules_right(s->listener, &s->client);
	IO_LOG(IO_LOG_DEBUG, s->id.text, "connect", {"client", s->name});
	receive_session_move(s, RECEIVE_OPEN, 0);
	if (r->n_sessions > l->connections) {
		refuse_connection(s, RECEIVE_REFUSED_CONNECTIONS, 3, "too many connections");
	} else if (too_many(s)) {
		refuse_connection(s, RECEIVE_REFUSED_CLIENT, 7, "too many connections from you");
	} else if (s->listener->tls == RECEIVE_TLS_IMPLICIT) {
		if (s->snapshot->rules->certificates == NULL)
			receive_session_close(s, "no certificate");
		else
			receive_session_move(s, RECEIVE_HANDSHAKE, l->handshake_timeout);
	} else if (s->listener->kind == RECEIVE_MX && l->greet_delay > 0) {
		receive_session_move(s, RECEIVE_GREETING, l->greet_delay);
	} else {
		greet(s, in);
	}
}

/* --- PROXY ------------------------------------------------------------------------------------ */

static void take_address(struct receive_session *s)
{
	const struct smtp_proxy *p = s->proxy;

	switch (p->kind) {
	case SMTP_PROXY_LOCAL: /* the balancer itself */
		return;
	case SMTP_PROXY_TCP:
	case SMTP_PROXY_NO_ADDRESS:
		break;
	}
	snprintf(s->name, sizeof(s->name), "%s",
		 io_peer_of(span_of(p->source.octets, p->source.n), p->source.port).address);
}

/*
 * Not an octet more than the header is taken: what follows may be TLS, which OpenSSL reads from the
 * socket itself.
 */
unsigned receive_open_proxy(struct receive_session *s, struct span *ret_in)
{
	uint8_t *p = s->receive->buffer;
	ssize_t n = recv(s->fd, p, RECEIVE_READ_MAX, MSG_PEEK);
	struct span in = span_of(p, n > 0 ? (size_t)n : 0);
	enum smtp_proxy_step step;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return IO_READ;
	if (n <= 0) {
		receive_session_close(s, n == 0 ? "the balancer went away" : strerror(errno));
		return 0;
	}
	step = smtp_proxy_feed(s->proxy, &in);
	n -= (ssize_t)in.n;
	if (step == SMTP_PROXY_REFUSED || recv(s->fd, p, (size_t)n, 0) != n) {
		receive_session_close(s, s->proxy->why);
		return 0;
	}
	if (step == SMTP_PROXY_DONE) {
		take_address(s);
		free(TAKE(s->proxy));
		start(s, ret_in);
	}
	return 0;
}

/* --- birth ------------------------------------------------------------------------------------ */

static struct smtp_server *new_machine(const struct receive_session *s)
{
	const struct receive_rules *rules = s->snapshot->rules;
	const struct receive_limits *l = &rules->limits;
	const struct receive_listener *at = s->listener;
	struct smtp_server_options o = smtp_server_defaults();

	o.host = rules->hostname;
	o.size_max = l->message_size;
	o.recipients_max =
		l->recipients < STORE_RECIPIENTS_MAX ? l->recipients : STORE_RECIPIENTS_MAX;
	o.messages_max = l->messages;
	o.errors_max = l->errors;
	o.starttls = rules->certificates != NULL &&
		     (at->tls == RECEIVE_TLS_OFFERED || at->tls == RECEIVE_TLS_REQUIRED);
	o.tls_required = at->tls == RECEIVE_TLS_REQUIRED;
	o.tls_from_start = at->tls == RECEIVE_TLS_IMPLICIT;
	o.auth = at->passwords != NULL;
	o.refuse_early_talker = at->kind == RECEIVE_MX;
	return smtp_server_new(&o);
}

void receive_session_new(struct receive *r, size_t listener, int fd, const char *peer)
{
	struct receive_session *s = xcalloc(1, sizeof(*s));
	const struct receive_listener *l = &r->snapshot->rules->listeners[listener];
	struct receive_address from = receive_address_of(peer);
	struct span in = span_of(NULL, 0);

	s->receive = r;
	s->snapshot = r->snapshot;
	s->snapshot->users++;
	s->listener = l;
	s->fd = fd;
	s->id = receive_id(r, io_unix_now());
	snprintf(s->name, sizeof(s->name), "%s", peer);
	s->at = &r->sessions;
	s->next = r->sessions;
	if (s->next != NULL)
		s->next->at = &s->next;
	r->sessions = s;
	r->n_sessions++;
	r->stats.sessions[l->kind]++;
	s->watch = io_watch_new(r->env.loop, fd, receive_session_ready, s);
	s->smtp = new_machine(s);
	s->deadline = USEC_NEVER;
	s->mail_due = usec_add(now_of(s), limits_of(s)->mail_timeout);
	s->drained = true;
	if (receive_networks_have(&l->proxy, &from)) {
		s->proxy = xcalloc(1, sizeof(*s->proxy));
		receive_session_move(s, RECEIVE_PROXY, limits_of(s)->handshake_timeout);
	} else {
		start(s, &in);
	}
	if (s->state == RECEIVE_OVER)
		return;
	receive_session_hold(s, in);
	receive_session_go(s);
}
