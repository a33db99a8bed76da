#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/tls/server.h"
#include "jobs/receive/internal.h"

enum {
	STEPS_A_TURN = 16, /* then other sessions have their turn */
	ELSEWHERE = 4,     /* beside the IO_ bits: it waits for what no descriptor tells */
	LINGER_SECONDS = 5,
};

static void turn(struct receive_session *s);

static const struct receive_limits *limits_of(const struct receive_session *s)
{
	return &s->snapshot->rules->limits;
}

static usec_t now_of(const struct receive_session *s)
{
	return io_now(s->receive->env.loop);
}

/* The only place that changes the state. `timeout` 0: the turn's end sets the deadline. */
void receive_session_move(struct receive_session *s, enum receive_state next, usec_t timeout)
{
	s->state = next;
	if (timeout > 0)
		s->deadline = usec_add(now_of(s), timeout);
}

/* --- the stream: a socket, with or without TLS ------------------------------------------------ */

static enum tls_step stream_read(struct receive_session *s, size_t *ret_n)
{
	uint8_t *p = s->receive->buffer;
	enum tls_step step;

	if (s->tls == NULL) {
		step = tls_step_of_socket(recv(s->fd, p, RECEIVE_READ_MAX, 0), ret_n, IO_READ);
		s->drained = *ret_n < RECEIVE_READ_MAX; /* nothing, too */
		return step;
	}
	step = tls_conn_read(s->tls, p, RECEIVE_READ_MAX, ret_n);
	s->drained = tls_conn_is_drained(s->tls);
	return step;
}

static unsigned want_of(enum tls_step step)
{
	return step == TLS_STEP_WANT_READ ? IO_READ : IO_WRITE;
}

static const char *stream_error(const struct receive_session *s)
{
	return s->tls != NULL ? tls_conn_error(s->tls) : strerror(errno);
}

static void release_held(struct receive_session *s)
{
	s->receive->envelopes -= s->held_n;
	free(TAKE(s->held));
	s->held_n = s->held_at = 0;
}

unsigned receive_session_read(struct receive_session *s, struct span *in)
{
	size_t n = 0;
	enum tls_step step = stream_read(s, &n);

	switch (step) {
	case TLS_STEP_DONE:
		release_held(s); /* all of it was taken */
		*in = span_of(s->receive->buffer, n);
		s->data_read += n;
		return 0;
	case TLS_STEP_WANT_READ:
	case TLS_STEP_WANT_WRITE:
		return 0; /* what there is to say is said first; then it waits */
	case TLS_STEP_EOF:
		receive_session_close(s, "the client went away");
		return 0;
	case TLS_STEP_FAILED:
		receive_session_close(s, stream_error(s));
		return 0;
	}
	return 0;
}

/* One write of all that is to be said. 0: it is out, or the session is over. */
static unsigned write_out(struct receive_session *s)
{
	struct span out = smtp_server_output(s->smtp);
	enum tls_step step;
	size_t n = 0;

	if (out.n == 0)
		return 0;
	step = s->tls != NULL
		       ? tls_conn_write(s->tls, out, &n)
		       : tls_step_of_socket(send(s->fd, out.p, out.n, MSG_NOSIGNAL), &n, IO_WRITE);
	switch (step) {
	case TLS_STEP_DONE:
		s->progress = true;
		smtp_server_sent(s->smtp, n);
		return n == out.n ? 0 : IO_WRITE;
	case TLS_STEP_WANT_READ:
	case TLS_STEP_WANT_WRITE:
		return want_of(step);
	case TLS_STEP_EOF:
	case TLS_STEP_FAILED:
		receive_session_close(s, stream_error(s));
		return 0;
	}
	return 0;
}

/* --- events of the machine -------------------------------------------------------------------- */

static enum receive_refusal reason_of(const struct smtp_server_verdict *v)
{
	if (v->status.subject == 3)
		return RECEIVE_REFUSED_FULL;
	if (v->status.subject == 1)
		return v->code >= 500 ? RECEIVE_REFUSED_RECIPIENT : RECEIVE_REFUSED_VERIFY;
	return v->code >= 500 ? RECEIVE_REFUSED_RELAY : RECEIVE_REFUSED_CLIENT;
}

void receive_session_log(struct receive_session *s, enum receive_refusal why, const char *command,
			 const char *subject, const struct smtp_server_verdict *v)
{
	receive_count(s->receive, why);
	IO_LOG(IO_LOG_INFO, s->id.text, "refused", {"client", s->name}, {"command", command},
	       {"subject", subject}, {"code", v == NULL ? NULL : IO_LOG_NUMBER(v->code)},
	       {"reason", receive_refusal_to_string(why)}, {"detail", v == NULL ? NULL : v->text});
}

static void on_mail(struct receive_session *s, const struct smtp_server_mail *m)
{
	struct smtp_server_verdict v = receive_mail_begin(s, m);

	if (v.code != 0)
		receive_session_log(s, reason_of(&v), "MAIL", m->from.path, &v);
	smtp_server_answer(s->smtp, &v);
}

static void on_begin(struct receive_session *s)
{
	struct smtp_server_verdict v = receive_mail_body(s);

	if (v.code != 0)
		receive_session_log(s, reason_of(&v), "DATA", NULL, &v);
	smtp_server_answer(s->smtp, &v);
}

static void on_password(void *arg, bool right)
{
	static const struct smtp_server_verdict no = {
		535, {5, 7, 8}, "authentication credentials invalid"};
	struct receive_session *s = arg;

	s->password_ticket = 0;
	if (!right || s->login == NULL) {
		free(TAKE(s->login));
		s->peer->auth_failures++;
		receive_session_log(s, RECEIVE_REFUSED_AUTH, "AUTH", NULL, &no);
		receive_session_answer(s, &no);
		return;
	}
	s->client.user = s->login;
	s->right = receive_rules_right(s->listener, &s->client);
	s->receive->stats.auth++;
	receive_session_answer(s, NULL);
}

/* The same work for every name and every password; what is wrong is not said (RFC 4954 section 4).
 */
static void on_auth(struct receive_session *s, const struct smtp_server_auth *a)
{
	static const struct smtp_server_verdict later = {454, {4, 7, 0}, "too many logins, later"};
	unsigned most = limits_of(s)->auth_failures_per_client;
	const char *hash;
	bool known;

	receive_peer_refresh(s->peer, now_of(s));
	if (most == 0 || s->peer->auth_failures < most) {
		hash = receive_passwords_hash(s->listener->passwords, a->user, &known);
		/* Nobody acts for another here. */
		if (a->authorize.n > 0 && !span_eq(a->authorize, a->user))
			known = false;
		s->password_ticket =
			password_check(s->receive->passwords, hash, a->password, on_password, s);
		if (known)
			s->login = xstrndup((const char *)a->user.p, a->user.n);
	}
	if (s->password_ticket != 0)
		return;
	free(TAKE(s->login));
	receive_session_log(s, RECEIVE_REFUSED_AUTH, "AUTH", NULL, &later);
	smtp_server_answer(s->smtp, &later);
}

static void on_starttls(struct receive_session *s)
{
	static const struct smtp_server_verdict no = {454, {4, 7, 0}, "no certificate here now"};

	smtp_server_answer(s->smtp, s->snapshot->rules->certificates == NULL ? &no : NULL);
}

static void on_ehlo(struct receive_session *s, const struct smtp_server_event *e)
{
	receive_mail_drop(s);
	free(s->helo);
	s->helo = xstrdup(e->helo);
	s->esmtp = e->esmtp;
	smtp_server_answer(s->smtp, NULL);
}

/* False: this is for step(). */
static bool take_event(struct receive_session *s, const struct smtp_server_event *e)
{
	switch (e->kind) {
	case SMTP_SERVER_NEEDS_INPUT:
	case SMTP_SERVER_NEEDS_OUTPUT:
	case SMTP_SERVER_NEEDS_VERDICT:
	case SMTP_SERVER_HANDSHAKE:
	case SMTP_SERVER_CLOSE:
		return false;
	case SMTP_SERVER_EHLO:
		on_ehlo(s, e);
		break;
	case SMTP_SERVER_MAIL:
		on_mail(s, e->mail);
		break;
	case SMTP_SERVER_RCPT:
		receive_mail_rcpt(s, e->rcpt);
		break;
	case SMTP_SERVER_AUTH:
		on_auth(s, e->auth);
		break;
	case SMTP_SERVER_BEGIN:
		on_begin(s);
		break;
	case SMTP_SERVER_DATA:
		receive_mail_data(s, e->data);
		break;
	case SMTP_SERVER_END:
		receive_mail_store(s);
		break;
	case SMTP_SERVER_STARTTLS:
		on_starttls(s);
		break;
	case SMTP_SERVER_RESET:
		receive_mail_drop(s);
		break;
	}
	return true;
}

/* Until it has a wish. NEEDS_VERDICT also while the store takes no more. */
static enum smtp_server_kind run_machine(struct receive_session *s, struct span *in)
{
	while (!s->blocked) {
		struct smtp_server_event e = smtp_server_next(s->smtp, in);

		if (!take_event(s, &e)) {
			/* A message that was refused is over without an event. */
			if (s->mail != NULL && !smtp_server_in_transaction(s->smtp))
				receive_mail_drop(s);
			return e.kind;
		}
		s->progress = s->progress || e.kind != SMTP_SERVER_DATA;
	}
	return SMTP_SERVER_NEEDS_VERDICT;
}

/* --- TLS -------------------------------------------------------------------------------------- */

static void note_fingerprint(struct receive_session *s)
{
	uint8_t octets[TLS_FINGERPRINT_SIZE];
	char *text;

	if (s->listener->n_fingerprints == 0 || !tls_conn_fingerprint(s->tls, octets))
		return;
	text = xmalloc(2 * sizeof(octets) + 1);
	for (size_t i = 0; i < sizeof(octets); i++)
		snprintf(text + 2 * i, 3, "%02x", octets[i]);
	s->client.fingerprint = text;
}

static void set_tcp(const struct receive_session *s, int option)
{
	int on = 1;

	/* A Unix socket knows it not; nothing depends on it but time. */
	(void)setsockopt(s->fd, IPPROTO_TCP, option, &on, sizeof(on));
}

static void tls_is_up(struct receive_session *s)
{
	bool implicit = s->listener->tls == RECEIVE_TLS_IMPLICIT;

	s->receive->stats.tls[strcmp(tls_conn_version(s->tls), "TLSv1.3") == 0]++;
	s->client.in_tls = true;
	note_fingerprint(s);
	s->right = receive_rules_right(s->listener, &s->client);
	s->drained = tls_conn_is_drained(s->tls);
	/*
	 * Nothing of ours follows the client's last message (we give no tickets), so its kernel
	 * would keep the next EHLO back until our delayed acknowledgement: 40 ms in each session.
	 */
	if (s->drained)
		set_tcp(s, TCP_QUICKACK);
	free(TAKE(s->helo));
	receive_session_move(s, RECEIVE_OPEN, 0);
	s->phase = SMTP_SERVER_PHASE_HANDSHAKE;
	if (implicit)
		smtp_server_greet(s->smtp, NULL);
	else
		smtp_server_tls_up(s->smtp);
}

static unsigned handshake(struct receive_session *s)
{
	enum tls_step step;

	if (s->tls == NULL)
		s->tls = tls_conn_new_server(s->snapshot->rules->certificates, s->fd);
	step = tls_conn_handshake(s->tls);
	switch (step) {
	case TLS_STEP_DONE:
		tls_is_up(s);
		return 0;
	case TLS_STEP_WANT_READ:
	case TLS_STEP_WANT_WRITE:
		return want_of(step);
	case TLS_STEP_EOF:
	case TLS_STEP_FAILED:
		break;
	}
	s->receive->stats.tls_failed++;
	receive_session_close(s, tls_conn_error(s->tls));
	return 0;
}

/* --- a turn ----------------------------------------------------------------------------------- */

static void count_end(struct receive_session *s)
{
	enum smtp_server_end end = smtp_server_ended(s->smtp);

	if (end == SMTP_SERVER_END_EARLY)
		receive_count(s->receive, RECEIVE_REFUSED_EARLY);
	else if (end != SMTP_SERVER_END_NOT_YET && end != SMTP_SERVER_END_QUIT &&
		 end != SMTP_SERVER_END_CALLER)
		receive_count(s->receive, RECEIVE_REFUSED_PROTOCOL);
}

/*
 * All is said. Closing a socket with unread input would make the kernel reset the connection, and
 * the client might never see why.
 */
static void say_goodbye(struct receive_session *s)
{
	enum smtp_server_end end = smtp_server_ended(s->smtp);
	const char *why = smtp_server_end_to_string(end);

	count_end(s);
	if (s->tls != NULL)
		(void)tls_conn_shutdown(s->tls); /* close_notify, if it can be had at once */
	if (end == SMTP_SERVER_END_QUIT || end == SMTP_SERVER_END_CALLER ||
	    shutdown(s->fd, SHUT_WR) < 0) {
		receive_session_close(s, why);
		return;
	}
	receive_mail_drop(s);
	s->data_read = 0;
	receive_session_move(s, RECEIVE_LINGER, usec_seconds(LINGER_SECONDS));
}

/* One step. The IO_ bits or ELSEWHERE that it waits for; 0: go on. */
static unsigned step(struct receive_session *s, struct span *in)
{
	enum smtp_server_kind kind = run_machine(s, in);
	unsigned need;

	if (kind == SMTP_SERVER_NEEDS_INPUT && !s->drained)
		return receive_session_read(s, in);
	need = write_out(s);
	if (need != 0 || s->state == RECEIVE_OVER)
		return need;
	switch (kind) {
	case SMTP_SERVER_NEEDS_INPUT:
		return IO_READ;
	case SMTP_SERVER_NEEDS_OUTPUT:
		return 0;
	case SMTP_SERVER_HANDSHAKE:
		receive_session_move(s, RECEIVE_HANDSHAKE, limits_of(s)->handshake_timeout);
		return 0;
	case SMTP_SERVER_CLOSE:
		say_goodbye(s);
		return 0;
	case SMTP_SERVER_NEEDS_VERDICT:
	case SMTP_SERVER_EHLO:
	case SMTP_SERVER_MAIL:
	case SMTP_SERVER_RCPT:
	case SMTP_SERVER_AUTH:
	case SMTP_SERVER_BEGIN:
	case SMTP_SERVER_END:
	case SMTP_SERVER_STARTTLS:
	case SMTP_SERVER_DATA:
	case SMTP_SERVER_RESET:
		break;
	}
	return ELSEWHERE;
}

static unsigned linger(struct receive_session *s)
{
	ssize_t n = recv(s->fd, s->receive->buffer, RECEIVE_READ_MAX, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return IO_READ;
	s->data_read += n > 0 ? (size_t)n : 0;
	if (n <= 0 || s->data_read > 16 * RECEIVE_READ_MAX)
		receive_session_close(s, smtp_server_end_to_string(smtp_server_ended(s->smtp)));
	return 0;
}

static unsigned wait_for_banner(struct receive_session *s, struct span *in)
{
	s->drained = false;
	receive_session_read(s, in);
	if (in->n == 0)
		return s->state == RECEIVE_OVER ? 0 : IO_READ;
	receive_session_move(s, RECEIVE_OPEN,
			     0); /* the machine refuses what comes before its banner */
	return 0;
}

static unsigned step_in_state(struct receive_session *s, struct span *in)
{
	switch (s->state) {
	case RECEIVE_PROXY:
		return receive_open_proxy(s, in);
	case RECEIVE_HANDSHAKE:
		return handshake(s);
	case RECEIVE_GREETING:
		return wait_for_banner(s, in);
	case RECEIVE_OPEN:
		return step(s, in);
	case RECEIVE_LINGER:
		return linger(s);
	case RECEIVE_OVER:
		break;
	}
	return ELSEWHERE;
}

/* What was not taken is kept, and no more is read. */
void receive_session_hold(struct receive_session *s, struct span in)
{
	if (in.n > 0 && s->held != NULL) {
		s->held_at = s->held_n - in.n;
		return;
	}
	release_held(s);
	if (in.n == 0)
		return;
	s->held = xmalloc(in.n);
	memcpy(s->held, in.p, in.n);
	s->held_n = in.n;
	s->receive->envelopes += in.n; /* it counts as memory of transactions (limits.memory) */
}

/* RFC 5321 section 4.5.3.2; a whole command counts, not an octet of it. */
static void set_deadline(struct receive_session *s)
{
	const struct receive_limits *l = limits_of(s);
	enum smtp_server_phase phase = smtp_server_phase(s->smtp);
	usec_t now = now_of(s);
	bool changed = phase != s->phase;

	s->phase = phase;
	if (smtp_server_output(s->smtp).n > 0) {
		if (s->progress || s->deadline == USEC_NEVER)
			s->deadline = usec_add(now, l->command_timeout);
		return;
	}
	switch (phase) {
	case SMTP_SERVER_PHASE_COMMAND:
	case SMTP_SERVER_PHASE_AUTH:
		if (s->progress || changed) {
			s->idle_since = now;
			s->deadline = usec_min(usec_add(now, l->command_timeout), s->mail_due);
		}
		break;
	case SMTP_SERVER_PHASE_DATA:
		if (changed) {
			s->data_began = now;
			s->data_read = 0;
		}
		s->deadline = s->blocked ? USEC_NEVER : usec_add(now, l->data_timeout);
		break;
	case SMTP_SERVER_PHASE_BANNER:
	case SMTP_SERVER_PHASE_VERDICT:
	case SMTP_SERVER_PHASE_HANDSHAKE:
	case SMTP_SERVER_PHASE_CLOSED:
		s->deadline = USEC_NEVER;
		break;
	}
}

static void on_again(void *arg)
{
	struct receive_session *s = arg;

	s->again = false;
	if (s->state != RECEIVE_OVER)
		turn(s);
}

/* Ends the turn: what to wait for. */
static void settle(struct receive_session *s, unsigned need)
{
	if (s->state == RECEIVE_OPEN)
		set_deadline(s);
	/*
	 * While a verdict is awaited the watch stays as it is: most clients wait, too, and one that
	 * does not is noticed (receive_session_ready).
	 */
	if (need == 0 && !s->again) {
		s->again = true;
		io_defer(s->receive->env.loop, on_again, s);
	}
	if (need != 0 && need != ELSEWHERE)
		io_watch_set(s->watch, need);
}

static void turn(struct receive_session *s)
{
	struct span in =
		span_of(s->held == NULL ? NULL : s->held + s->held_at, s->held_n - s->held_at);
	unsigned need = 0;

	s->progress = false;
	for (int i = 0; i < STEPS_A_TURN && need == 0; i++)
		need = step_in_state(s, &in);
	if (s->state == RECEIVE_OVER)
		return;
	if (s->state == RECEIVE_LINGER)
		in.n = 0; /* nobody takes it any more */
	receive_session_hold(s, in);
	settle(s, need);
	if (s->receive->stop_at != 0)
		receive_session_finish(s);
}

static bool waits_elsewhere(const struct receive_session *s)
{
	return s->state == RECEIVE_OPEN && smtp_server_output(s->smtp).n == 0 &&
	       (s->blocked || smtp_server_phase(s->smtp) == SMTP_SERVER_PHASE_VERDICT);
}

void receive_session_ready(void *arg, unsigned ready)
{
	struct receive_session *s = arg;

	(void)ready;
	if (waits_elsewhere(s)) { /* it talks on, or has gone: that is seen later */
		io_watch_set(s->watch, 0);
		return;
	}
	s->drained = false;
	turn(s);
}

void receive_session_go(struct receive_session *s)
{
	if (s->state != RECEIVE_OVER)
		turn(s);
}

void receive_session_answer(struct receive_session *s, const struct smtp_server_verdict *v)
{
	smtp_server_answer(s->smtp, v);
	receive_session_go(s);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void session_free(void *arg)
{
	struct receive_session *s = arg;
	struct receive *r = s->receive;

	tls_conn_free(s->tls);
	smtp_server_free(s->smtp);
	release_held(s);
	free(s->helo);
	free(s->login);
	free(s->proxy);
	free((char *)s->client.fingerprint);
	receive_snapshot_release(r, s->snapshot);
	free(s);
	receive_look_for_end(r);
}

void receive_session_close(struct receive_session *s, const char *why)
{
	struct receive *r = s->receive;

	if (s->state == RECEIVE_OVER)
		return;
	IO_LOG(IO_LOG_INFO, s->id.text, "disconnect", {"client", s->name}, {"helo", s->helo},
	       {"tls", s->tls == NULL ? NULL : tls_conn_version(s->tls)},
	       {"messages", IO_LOG_NUMBER(s->messages)}, {"why", why});
	receive_mail_drop(s);
	if (s->password_ticket != 0)
		password_forget(r->passwords, s->password_ticket);
	s->watch = io_watch_free(s->watch);
	close(s->fd);
	if (s->peer != NULL)
		receive_clients_leave(r->clients, s->peer);
	*s->at = s->next;
	if (s->next != NULL)
		s->next->at = s->at;
	r->n_sessions--;
	receive_session_move(s, RECEIVE_OVER, 0);
	io_defer(r->env.loop, session_free, s);
}

static void timed_out(struct receive_session *s)
{
	static const struct smtp_server_verdict v = {421, {4, 4, 2}, "you are too slow, closing"};
	bool silent = s->state != RECEIVE_OPEN || smtp_server_output(s->smtp).n > 0;

	if (s->state != RECEIVE_LINGER)
		receive_session_log(s, RECEIVE_REFUSED_TIMEOUT, NULL, NULL, &v);
	if (silent) { /* nothing can be said, or nobody listens */
		receive_session_close(s, "too slow");
		return;
	}
	smtp_server_stop(s->smtp, &v);
	turn(s);
}

/* A message that comes, but not fast enough: it holds memory. */
static bool trickles(const struct receive_session *s, usec_t now)
{
	const struct receive_limits *l = limits_of(s);
	uint64_t rate = l->data_rate;
	usec_t allowed = l->data_timeout;

	if (s->state != RECEIVE_OPEN || s->phase != SMTP_SERVER_PHASE_DATA || rate == 0 ||
	    s->blocked)
		return false;
	allowed = usec_add(allowed, usec_seconds((int64_t)(s->data_read / rate)));
	return now - s->data_began > allowed;
}

/* It only waits while others do not get in. */
static bool takes_room(const struct receive_session *s, usec_t now)
{
	const struct receive_limits *l = limits_of(s);

	return s->receive->n_sessions >= l->connections - l->connections / 5 &&
	       s->listener->kind == RECEIVE_MX && s->state == RECEIVE_OPEN &&
	       (s->phase == SMTP_SERVER_PHASE_COMMAND || s->phase == SMTP_SERVER_PHASE_AUTH) &&
	       now - s->idle_since > l->crowded_timeout;
}

void receive_session_tick(struct receive_session *s, usec_t now)
{
	if (s->state == RECEIVE_GREETING && now >= s->deadline) {
		receive_session_move(s, RECEIVE_OPEN, 0);
		smtp_server_greet(s->smtp, NULL);
		turn(s);
	} else if (now >= s->deadline || trickles(s, now) || takes_room(s, now)) {
		timed_out(s);
	} else {
		receive_mail_wait_no_more(s, now);
	}
}

void receive_session_finish(struct receive_session *s)
{
	static const struct smtp_server_verdict v = {421, {4, 3, 2}, "closing down"};

	switch (s->state) {
	case RECEIVE_PROXY:
	case RECEIVE_HANDSHAKE:
	case RECEIVE_GREETING:
		receive_session_close(s, "closing down");
		break;
	case RECEIVE_OPEN:
		receive_mail_wait_no_more(s, USEC_NEVER);
		if (s->state != RECEIVE_OPEN || smtp_server_in_transaction(s->smtp) ||
		    smtp_server_phase(s->smtp) == SMTP_SERVER_PHASE_CLOSED ||
		    smtp_server_phase(s->smtp) == SMTP_SERVER_PHASE_VERDICT)
			break;
		smtp_server_stop(s->smtp, &v);
		turn(s);
		break;
	case RECEIVE_LINGER:
	case RECEIVE_OVER:
		break;
	}
}
