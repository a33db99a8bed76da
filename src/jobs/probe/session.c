#include "jobs/probe/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "edge/io/connect.h"

enum {
	PIECE = 16384,     /* octets read or taken from the body at a time: one TLS record */
	STEPS_A_TURN = 32, /* then other sessions have their turn */
};

struct probe_session {
	struct io_loop *loop;
	struct tls_context *context;
	const struct probe_target *target;
	const struct probe_session_ops *ops;
	void *arg;
	struct smtp_client *client;
	struct tls_conn *tls; /* from SMTP_WANT_STARTTLS on */
	struct io_watch *watch;
	struct io_timer *deadline; /* the machine's, or of the connection attempt */
	struct io_timer *again;    /* at once: the turn was cut short */
	int fd;                    /* -1: none */
	size_t n_mails;            /* transactions begun */
	bool connected, over;
	bool starved; /* the owner has no octets of the body at hand */
	char connect_error[160];
	struct arena arena;
};

/* --- the stream: a socket, with or without TLS ------------------------------------------------ */

static enum tls_step stream_read(struct probe_session *s, void *p, size_t room, size_t *ret_n)
{
	if (s->tls != NULL)
		return tls_conn_read(s->tls, p, room, ret_n);
	return tls_step_of_socket(recv(s->fd, p, room, 0), ret_n, IO_READ);
}

static enum tls_step stream_write(struct probe_session *s, struct span out, size_t *ret_n)
{
	if (s->tls != NULL)
		return tls_conn_write(s->tls, out, ret_n);
	return tls_step_of_socket(send(s->fd, out.p, out.n, MSG_NOSIGNAL), ret_n, IO_WRITE);
}

static void stream_failed(struct probe_session *s)
{
	const char *text = s->tls != NULL ? tls_conn_error(s->tls) : strerror(errno);

	smtp_client_event(s->client, SMTP_EVENT_IO_ERROR, text, io_now(s->loop));
}

/* --- what the machine wishes ------------------------------------------------------------------ */

/*
 * Each returns the IO_ bits it waits for, 0 for progress. Reading and writing are tried on their
 * own, so that a server that speaks while the message goes out is heard.
 */

static unsigned want_of(enum tls_step step)
{
	return step == TLS_STEP_WANT_READ ? IO_READ : IO_WRITE;
}

static unsigned read_some(struct probe_session *s)
{
	uint8_t piece[PIECE];
	size_t n = 0;
	enum tls_step step = stream_read(s, piece, sizeof(piece), &n);

	switch (step) {
	case TLS_STEP_DONE:
		smtp_client_feed(s->client, span_of(piece, n), io_now(s->loop));
		return 0;
	case TLS_STEP_WANT_READ:
	case TLS_STEP_WANT_WRITE:
		return want_of(step);
	case TLS_STEP_EOF:
		smtp_client_event(s->client, SMTP_EVENT_EOF, NULL, io_now(s->loop));
		return 0;
	case TLS_STEP_FAILED:
		stream_failed(s);
		return 0;
	}
	return 0;
}

/*
 * A server that refuses in the middle of a message says so and closes; then writing fails while its
 * reply still waits to be read. (Within TLS nothing can be read after a failure; there step() reads
 * ahead of each piece.)
 */
static void write_failed(struct probe_session *s)
{
	const char *text = s->tls != NULL ? tls_conn_error(s->tls) : strerror(errno);

	for (int i = 0; s->tls == NULL && i < STEPS_A_TURN; i++)
		if (smtp_client_want(s->client) == SMTP_WANT_CLOSE || read_some(s) != 0)
			break;
	if (smtp_client_want(s->client) != SMTP_WANT_CLOSE)
		smtp_client_event(s->client, SMTP_EVENT_IO_ERROR, text, io_now(s->loop));
}

static unsigned write_some(struct probe_session *s)
{
	struct span out = smtp_client_output(s->client);
	size_t n = 0;

	switch (stream_write(s, out, &n)) {
	case TLS_STEP_DONE:
		smtp_client_sent(s->client, n, io_now(s->loop));
		return 0;
	case TLS_STEP_WANT_READ:
		return IO_READ;
	case TLS_STEP_WANT_WRITE:
		return IO_WRITE;
	case TLS_STEP_EOF:
		smtp_client_event(s->client, SMTP_EVENT_EOF, NULL, io_now(s->loop));
		return 0;
	case TLS_STEP_FAILED:
		write_failed(s);
		return 0;
	}
	return 0;
}

static enum tls_level tls_level_of(enum dane_level level)
{
	switch (level) {
	case DANE_LEVEL_DANE:
		return TLS_LEVEL_DANE;
	case DANE_LEVEL_ENCRYPT:
		return TLS_LEVEL_ENCRYPT;
	case DANE_LEVEL_MAY:
	case DANE_LEVEL_UNREACHABLE:
		break;
	}
	return TLS_LEVEL_OPPORTUNISTIC;
}

static int begin_tls(struct probe_session *s, struct err *e)
{
	const struct dane_host *dane = s->target->dane;
	struct tls_client_spec spec = {.level = tls_level_of(s->target->level),
				       .key = s->target->key};
	struct dane_tlsa *records = NULL;

	spec.dane.base = dane != NULL ? dane->tlsa_base : s->target->host; /* P4 */
	if (dane != NULL && spec.level == TLS_LEVEL_DANE) {
		records = arena_calloc(&s->arena, dane->n_records, sizeof(*records));
		for (size_t i = 0; i < dane->n_records; i++)
			records[i] = dane->records[i].tlsa;
		spec.dane.records = records;
		spec.dane.n_records = dane->n_records;
		spec.dane.names = dane->identifiers;
		spec.dane.n_names = dane->n_identifiers;
		spec.dane.time = s->target->time;
	}
	s->tls = tls_conn_new(s->context, s->fd, &spec, e);
	return s->tls != NULL ? 0 : -EINVAL;
}

static unsigned handshake(struct probe_session *s)
{
	enum tls_step step;
	struct err e;

	if (s->tls == NULL && begin_tls(s, &e) < 0) {
		smtp_client_event(s->client, SMTP_EVENT_TLS_FAILED, e.text, io_now(s->loop));
		return 0;
	}
	step = tls_conn_handshake(s->tls);
	switch (step) {
	case TLS_STEP_DONE:
		smtp_client_event(s->client, SMTP_EVENT_TLS_UP, NULL, io_now(s->loop));
		return 0;
	case TLS_STEP_WANT_READ:
	case TLS_STEP_WANT_WRITE:
		return want_of(step);
	case TLS_STEP_EOF:
	case TLS_STEP_FAILED:
		break;
	}
	smtp_client_event(s->client, SMTP_EVENT_TLS_FAILED, tls_conn_error(s->tls),
			  io_now(s->loop));
	return 0;
}

/* RFC 7672 section 2.2: at level dane only a certificate that matches; at encrypt any (T2). */
static void judge(struct probe_session *s)
{
	const struct tls_verdict *v = tls_conn_verdict(s->tls);
	bool accepted = s->target->level == DANE_LEVEL_ENCRYPT ||
			(s->target->level == DANE_LEVEL_DANE && v->kind == TLS_VERDICT_MATCH);

	smtp_client_event(s->client, accepted ? SMTP_EVENT_ACCEPTED : SMTP_EVENT_REFUSED,
			  accepted ? NULL : v->detail, io_now(s->loop));
}

/* False: there are no octets yet. */
static bool feed_body(struct probe_session *s)
{
	uint8_t piece[PIECE];
	bool last = false;
	ssize_t n = s->starved ? -EAGAIN : s->ops->body(s->arg, piece, sizeof(piece), &last);

	if (n == -EAGAIN) {
		s->starved = true;
		return false;
	}
	if (n < 0)
		smtp_client_event(s->client, SMTP_EVENT_IO_ERROR,
				  "the message cannot be read from its spool", io_now(s->loop));
	else
		smtp_client_body(s->client, span_of(piece, (size_t)n), last, io_now(s->loop));
	return true;
}

static void end(struct probe_session *s)
{
	s->over = true;
	io_timer_set(s->deadline, USEC_NEVER);
	io_timer_set(s->again, USEC_NEVER);
	s->watch = io_watch_free(s->watch);
	if (s->tls != NULL)
		(void)tls_conn_shutdown(s->tls); /* close_notify, if it can be had at once */
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->ops->end(s->arg);
}

/* Reads; what it waits for adds to what writing waits for already. */
static unsigned listen_too(struct probe_session *s, unsigned need)
{
	unsigned also = read_some(s);

	return also == 0 ? 0 : need | also;
}

/* One step towards what the machine wants. */
static unsigned step(struct probe_session *s)
{
	unsigned need = 0;
	size_t n_mails = s->n_mails;

	if (smtp_client_output(s->client).n > 0) {
		need = write_some(s);
		if (need == 0)
			return 0;
	}
	switch (smtp_client_want(s->client)) {
	case SMTP_WANT_STARTTLS:
		return need != 0 ? need : handshake(s);
	case SMTP_WANT_VERDICT:
		judge(s);
		return 0;
	case SMTP_WANT_MAIL:
		s->ops->ready(s->arg);
		/* One that the server's offer decides is over at once: its result can be read. */
		if (smtp_client_want(s->client) != SMTP_WANT_MAIL || s->n_mails != n_mails)
			return 0;
		return listen_too(s, need); /* idle: a 421 or an end may come */
	case SMTP_WANT_BODY:
		if (need != 0)
			return listen_too(s, need);
		need = read_some(s);
		if (need == 0)
			return 0;
		/* Nothing was said: go on. */
		return feed_body(s) ? 0 : need;
	case SMTP_WANT_IO:
		return listen_too(s, need);
	case SMTP_WANT_CLOSE:
		break;
	}
	return 0;
}

static void turn(struct probe_session *s)
{
	unsigned need = 0;

	for (int i = 0; i < STEPS_A_TURN && need == 0; i++) {
		if (smtp_client_want(s->client) == SMTP_WANT_CLOSE) {
			end(s);
			return;
		}
		need = step(s);
	}
	io_watch_set(s->watch, need);
	io_timer_set(s->again, need == 0 ? 0 : USEC_NEVER);
	io_timer_set(s->deadline, smtp_client_deadline(s->client));
}

/* --- the connection --------------------------------------------------------------------------- */

static void connect_failed(struct probe_session *s, const char *why)
{
	snprintf(s->connect_error, sizeof(s->connect_error), "no connection: %s", why);
	end(s);
}

static void on_ready(void *arg, unsigned ready)
{
	struct probe_session *s = arg;

	(void)ready;
	if (!s->connected) {
		int error = io_connect_result(s->fd);

		if (error < 0) {
			connect_failed(s, strerror(-error));
			return;
		}
		s->connected = true;
		smtp_client_event(s->client, SMTP_EVENT_CONNECTED, NULL, io_now(s->loop));
	}
	turn(s);
}

static void on_deadline(void *arg)
{
	struct probe_session *s = arg;

	if (!s->connected) {
		connect_failed(s, "the server did not answer in time");
		return;
	}
	smtp_client_event(s->client, SMTP_EVENT_TIMEOUT, NULL, io_now(s->loop));
	turn(s);
}

/* The first step, and the next one of a turn that was cut short. */
static void on_again(void *arg)
{
	struct probe_session *s = arg;
	int fd;

	if (s->connected) {
		turn(s);
		return;
	}
	fd = io_connect(s->target->address, s->target->port);
	if (fd < 0) {
		connect_failed(s, strerror(-fd));
		return;
	}
	s->fd = fd;
	s->watch = io_watch_new(s->loop, fd, on_ready, s);
	io_watch_set(s->watch, IO_WRITE);
	io_timer_set(s->deadline, usec_add(io_now(s->loop), s->target->connect_timeout));
}

/* --- life ------------------------------------------------------------------------------------- */

static enum smtp_tls smtp_tls_of(const struct probe_target *t)
{
	switch (t->level) {
	case DANE_LEVEL_DANE:
	case DANE_LEVEL_ENCRYPT:
		return SMTP_TLS_REQUIRED;
	case DANE_LEVEL_MAY:
		return t->clear ? SMTP_TLS_NONE : SMTP_TLS_OPPORTUNISTIC;
	case DANE_LEVEL_UNREACHABLE:
		break;
	}
	require(false); /* an unreachable host is never connected to (T6) */
	return SMTP_TLS_REQUIRED;
}

struct probe_session *probe_session_new(struct io_loop *l, struct tls_context *tls,
					const struct probe_target *target,
					const struct probe_session_ops *ops, void *arg)
{
	struct smtp_client_options options = {
		.tls = smtp_tls_of(target), .helo = target->helo, .lmtp = target->lmtp};
	struct probe_session *s = xcalloc(1, sizeof(*s));

	s->loop = l;
	s->context = tls;
	s->target = target;
	s->ops = ops;
	s->arg = arg;
	s->fd = -1;
	s->client = smtp_client_new(&options);
	s->deadline = io_timer_new(l, on_deadline, s);
	s->again = io_timer_new(l, on_again, s);
	io_timer_set(s->again, 0);
	return s;
}

struct probe_session *probe_session_free(struct probe_session *s)
{
	if (s == NULL)
		return NULL;
	io_watch_free(s->watch);
	io_timer_free(s->deadline);
	io_timer_free(s->again);
	tls_conn_free(s->tls);
	if (s->fd >= 0)
		close(s->fd);
	smtp_client_free(s->client);
	arena_done(&s->arena);
	free(s);
	return NULL;
}

int probe_session_mail(struct probe_session *s, const struct smtp_mail *mail)
{
	int ret = smtp_client_mail(s->client, mail, io_now(s->loop));

	s->n_mails += ret == 0;
	s->starved = false;
	io_timer_set(s->again, 0);
	return ret;
}

void probe_session_quit(struct probe_session *s)
{
	smtp_client_quit(s->client, io_now(s->loop));
	io_timer_set(s->again, 0);
}

void probe_session_body_ready(struct probe_session *s)
{
	s->starved = false;
	if (!s->over)
		io_timer_set(s->again, 0);
}

void probe_session_give_up(struct probe_session *s)
{
	if (s->over)
		return;
	if (!s->connected) {
		connect_failed(s, "the time for the whole delivery is over");
		return;
	}
	smtp_client_event(s->client, SMTP_EVENT_TIMEOUT, "the time for the whole delivery is over",
			  io_now(s->loop));
	end(s);
}

const struct smtp_result *probe_session_result(const struct probe_session *s)
{
	return smtp_client_result(s->client);
}

struct tls_chain *probe_session_chain(const struct probe_session *s)
{
	return s->tls != NULL ? tls_conn_chain(s->tls) : NULL;
}

const struct smtp_caps *probe_session_caps(const struct probe_session *s)
{
	return smtp_client_caps(s->client);
}

struct probe_report probe_session_report(const struct probe_session *s)
{
	struct probe_report r = {
		.connected = s->connected,
		.connect_error = s->connected ? NULL : s->connect_error,
		.smtp = smtp_client_report(s->client),
	};

	if (s->tls != NULL && tls_conn_version(s->tls) != NULL) {
		r.tls = true;
		r.tls_broken = tls_conn_is_broken(s->tls);
		r.tls_version = tls_conn_version(s->tls);
		r.tls_cipher = tls_conn_cipher(s->tls);
		r.verdict = tls_conn_verdict(s->tls);
	}
	return r;
}
