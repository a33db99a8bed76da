#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "jobs/receive/internal.h"
#include "jobs/receive/verify.h"

/* One transaction, from an accepted MAIL until the store has answered; freed whole. */
struct receive_mail {
	struct receive_mail *next, **at; /* in receive.storing */
	struct receive *receive;
	struct receive_session *session; /* NULL: it has gone */
	struct arena arena;
	struct store_message message;
	struct store_recipient *recipients;
	size_t room;
	size_t charged; /* of receive.envelopes */
	struct store_body *body;
	struct mail_hops hops; /* Received fields that go by */
	uint64_t octets, ticket;
	enum receive_kind kind;
	/* verify: data */
	bool await;                         /* of its recipients */
	bool waiting;                       /* stored; the server behind is being heard */
	struct smtp_server_verdict refusal; /* what it said; `code` 0: nothing yet */
	usec_t due;                         /* when it is waited for no more */
	char session_id[STORE_ID_LEN + 1];
	char client[48];
};

static const struct smtp_server_verdict yes = {.code = 0};
static const struct smtp_server_verdict full = {452, {4, 3, 1}, "no space for mail now"};
static const struct smtp_server_verdict broken = {451, {4, 3, 0}, "cannot be stored now"};

static struct smtp_server_verdict verdict_of(int error)
{
	switch (error) {
	case -ENOSPC:
		return full;
	case -EMSGSIZE:
		return (struct smtp_server_verdict){
			552, {5, 3, 4}, "message larger than the limit"};
	default: /* -EIO, -EBUSY, whatever it is: the client tries again */
		return broken;
	}
}

/* What all transactions hold together is bounded (limits.memory). */
static void charge(struct receive_mail *m)
{
	size_t now = sizeof(*m) + m->arena.used + m->room * sizeof(*m->recipients) +
		     (m->body != NULL ? STORE_BODY_MEMORY : 0);

	m->receive->envelopes += now - m->charged;
	m->charged = now;
}

static bool is_crammed(const struct receive_session *s)
{
	return s->receive->envelopes > s->snapshot->rules->limits.memory;
}

static void mail_free(struct receive_mail *m)
{
	m->receive->envelopes -= m->charged;
	store_body_free(m->body);
	free(m->recipients);
	arena_done(&m->arena);
	free(m);
}

static void unlink_storing(struct receive_mail *m)
{
	*m->at = m->next;
	if (m->next != NULL)
		m->next->at = m->at;
}

/* Gives up what is not in the store's hands. */
void receive_mail_drop(struct receive_session *s)
{
	struct receive_mail *m = TAKE(s->mail);

	if (s->verify_ticket != 0)
		receive_verify_forget(s->receive->verifier, s->verify_ticket);
	s->verify_ticket = 0;
	s->blocked = false;
	if (m == NULL)
		return;
	if (m->ticket != 0) {
		m->session = NULL; /* it will be stored, and nobody hears of it */
		return;
	}
	if (m->waiting)
		unlink_storing(m);
	mail_free(m);
}

/* --- envelope --------------------------------------------------------------------------------- */

static struct smtp_server_verdict may_begin(struct receive_session *s)
{
	const struct receive_limits *l = &s->snapshot->rules->limits;
	struct receive *r = s->receive;
	struct smtp_server_verdict v = receive_rules_mail(s->listener, &s->client);

	if (v.code != 0)
		return v;
	if (r->full || is_crammed(s))
		return full;
	receive_peer_refresh(s->peer, io_now(r->env.loop));
	if (l->messages_per_client > 0 && s->peer->messages >= l->messages_per_client)
		return (struct smtp_server_verdict){
			450, {4, 7, 1}, "too many messages from you in a minute"};
	return yes;
}

struct smtp_server_verdict receive_mail_begin(struct receive_session *s,
					      const struct smtp_server_mail *m)
{
	struct smtp_server_verdict v = may_begin(s);
	struct receive_mail *mail;

	receive_mail_drop(s);
	if (v.code != 0)
		return v;
	s->peer->messages++;
	mail = s->mail = xcalloc(1, sizeof(*mail));
	mail->receive = s->receive;
	mail->session = s;
	memcpy(mail->session_id, s->id.text, sizeof(mail->session_id));
	memcpy(mail->client, s->name, sizeof(mail->client));
	mail->message = (struct store_message){
		.from = arena_strdup(&mail->arena, m->from.path),
		.flags = (m->eightbit ? STORE_8BIT : 0u) | (m->smtputf8 ? STORE_SMTPUTF8 : 0u),
		.ret = m->ret == SMTP_RET_FULL   ? STORE_RET_FULL
		       : m->ret == SMTP_RET_HDRS ? STORE_RET_HDRS
						 : STORE_RET_DEFAULT,
		.envid = arena_keep(&mail->arena, m->envid),
	};
	charge(mail);
	return yes;
}

_Static_assert((int)STORE_NOTIFY_NEVER == SMTP_NOTIFY_NEVER &&
		       (int)STORE_NOTIFY_SUCCESS == SMTP_NOTIFY_SUCCESS &&
		       (int)STORE_NOTIFY_FAILURE == SMTP_NOTIFY_FAILURE &&
		       (int)STORE_NOTIFY_DELAY == SMTP_NOTIFY_DELAY,
	       "NOTIFY has the same bits in core/smtp and edge/store");

static void add_recipient(struct receive_mail *m, const struct receive_recipient *to,
			  unsigned notify, const char *orcpt)
{
	if (m->message.n_recipients == m->room) {
		m->room = m->room > 0 ? m->room * 2 : 4;
		m->recipients = xrealloc(m->recipients, m->room * sizeof(*m->recipients));
	}
	m->recipients[m->message.n_recipients++] = (struct store_recipient){
		.path = to->path,
		.hop = to->hop,
		.notify = notify,
		.orcpt = arena_keep(&m->arena, orcpt),
	};
	m->await = m->await || to->await;
	charge(m);
}

static enum receive_refusal refusal_of(const struct smtp_server_verdict *v)
{
	if (v->code < 500)
		return v->status.subject == 3 && v->status.detail == 1 ? RECEIVE_REFUSED_FULL
								       : RECEIVE_REFUSED_VERIFY;
	return v->status.subject == 7 ? RECEIVE_REFUSED_RELAY : RECEIVE_REFUSED_RECIPIENT;
}

static void refuse_recipient(struct receive_session *s, const char *path,
			     const struct smtp_server_verdict *v)
{
	receive_session_log(s, refusal_of(v), "RCPT", path, v);
}

/*
 * A message that waits for a word of the server behind has one fate, so its recipients have one
 * domain. Senders come again with the others (RFC 5321 section 4.5.3.1.10); most send each domain's
 * mail apart anyway.
 */
static struct smtp_server_verdict may_join(const struct receive_mail *m,
					   const struct receive_recipient *to)
{
	if (m->message.n_recipients > 0 && (m->await || to->await) &&
	    strcmp(m->recipients[0].hop, to->hop) != 0)
		return (struct smtp_server_verdict){
			452, {4, 5, 3}, "recipients of one domain at a time, please"};
	return yes;
}

/* The server behind has spoken. */
static void on_verified(void *arg, const struct smtp_server_verdict *v)
{
	struct receive_session *s = arg;

	s->verify_ticket = 0;
	if (v->code == 0)
		add_recipient(s->mail, &s->verifying, s->verifying_notify, s->verifying_orcpt);
	else
		refuse_recipient(s, s->verifying.path, v);
	receive_session_answer(s, v);
}

void receive_mail_rcpt(struct receive_session *s, const struct smtp_server_rcpt *r)
{
	struct receive_mail *m = s->mail;
	struct receive_recipient to = {0};
	struct smtp_server_verdict v = full;

	/* What is refused takes memory, too, for as long as the transaction lasts. */
	if (!is_crammed(s))
		v = receive_rules_rcpt(s->snapshot->rules, s->listener, &s->client, &r->to,
				       &m->arena, &to);
	if (v.code == 0)
		v = may_join(m, &to);
	if (v.code == 0 && to.verify && s->receive->env.tls != NULL) {
		s->verifying = to;
		s->verifying_notify = r->notify;
		s->verifying_orcpt = arena_keep(&m->arena, r->orcpt);
		charge(m);
		s->verify_ticket = receive_verify(s->receive->verifier, &to, on_verified, s, &v);
		if (s->verify_ticket != 0)
			return; /* on_verified answers */
	}
	if (v.code == 0)
		add_recipient(m, &to, r->notify, r->orcpt);
	else
		refuse_recipient(s, r->to.path, &v);
	charge(m);
	smtp_server_answer(s->smtp, &v);
}

/* --- the message ------------------------------------------------------------------------------ */

static void on_drained(void *arg)
{
	struct receive_mail *m = arg;
	struct receive_session *s = m->session;

	if (s == NULL || !s->blocked)
		return;
	s->blocked = false;
	s->data_began += io_now(s->receive->env.loop) - s->blocked_at; /* not the client's time */
	receive_session_go(s);
}

/* The facts of the arrival for whoever asks the queue later. */
static const char *origin(struct receive_mail *m)
{
	const struct receive_session *s = m->session;

	return arena_printf(
		&m->arena, "client=%s helo=%s tls=%s right=%s%s%s", s->name,
		s->helo == NULL ? "" : s->helo, s->tls == NULL ? "none" : tls_conn_version(s->tls),
		receive_right_to_string(s->right), s->client.user == NULL ? "" : " user=",
		s->client.user == NULL ? "" : s->client.user);
}

static int add_trace(struct receive_mail *m)
{
	const struct receive_session *s = m->session;
	const struct receive_rules *rules = s->snapshot->rules;
	struct mail_received facts = {
		.helo = s->helo,
		.address = s->name,
		.by = rules->hostname,
		.id = m->message.id.text,
		.recipient = m->message.n_recipients == 1 ? m->recipients[0].path : NULL,
		.esmtp = s->esmtp,
		.tls_version = s->tls == NULL ? NULL : tls_conn_version(s->tls),
		.tls_cipher = s->tls == NULL ? NULL : tls_conn_cipher(s->tls),
		.authenticated = s->client.user != NULL,
		.smtputf8 = m->message.flags & STORE_SMTPUTF8,
		.unix_time = m->message.arrived / USEC_PER_SEC,
	};

	return store_body_append(m->body, mail_received(&m->arena, &facts));
}

struct smtp_server_verdict receive_mail_body(struct receive_session *s)
{
	struct receive_mail *m = s->mail;
	int error;

	if (is_crammed(s))
		return full;
	m->message.arrived = io_unix_now();
	m->message.id = receive_id(s->receive, m->message.arrived);
	m->message.origin = origin(m);
	m->body = store_body_begin(s->receive->env.store, on_drained, m);
	error = add_trace(m);
	charge(m);
	return error < 0 ? verdict_of(error) : yes;
}

static void refuse_message(struct receive_session *s, enum receive_refusal why,
			   const struct smtp_server_verdict *v)
{
	s->mail->body = store_body_free(s->mail->body);
	receive_session_log(s, why, "DATA", s->mail->message.from, v);
	smtp_server_refuse_message(s->smtp, v);
}

void receive_mail_data(struct receive_session *s, struct span data)
{
	static const struct smtp_server_verdict loop = {
		554, {5, 4, 6}, "too many Received fields: a mail loop"};
	struct receive_mail *m = s->mail;
	int ret;

	mail_hops_feed(&m->hops, data);
	if (m->hops.received > s->snapshot->rules->limits.hops) {
		refuse_message(s, RECEIVE_REFUSED_LOOP, &loop);
		return;
	}
	ret = store_body_append(m->body, data);
	m->octets += data.n;
	if (ret < 0) {
		struct smtp_server_verdict v = verdict_of(ret);

		refuse_message(s, RECEIVE_REFUSED_FULL, &v);
	} else if (ret > 0) {
		s->blocked = true;
		s->blocked_at = io_now(s->receive->env.loop);
	}
}

/* --- into the store --------------------------------------------------------------------------- */

static void count(struct receive_mail *m, enum receive_kind kind)
{
	struct receive_stats *stats = &m->receive->stats;

	stats->messages[kind]++;
	stats->recipients += m->message.n_recipients;
	stats->octets += m->octets;
}

/* The last word on a message that is in the store. */
static void say(struct receive_mail *m, const struct smtp_server_verdict *refusal)
{
	struct receive *r = m->receive;
	struct receive_session *s = m->session;
	struct smtp_server_verdict v = {.text = NULL};
	char text[64];

	unlink_storing(m);
	if (s != NULL) {
		s->mail = NULL;
		if (refusal != NULL) {
			v = *refusal;
		} else {
			snprintf(text, sizeof(text), "queued as %s", m->message.id.text);
			v.text = text;
			s->messages++;
			s->mail_due = usec_add(io_now(r->env.loop),
					       s->snapshot->rules->limits.mail_timeout);
		}
		receive_session_answer(s, &v);
	}
	mail_free(m);
	receive_look_for_end(r);
}

static void not_stored(struct receive_mail *m, int result)
{
	struct smtp_server_verdict v = verdict_of(result);

	if (m->session != NULL)
		receive_session_log(m->session, RECEIVE_REFUSED_FULL, "DATA", m->message.from, &v);
	say(m, &v);
}

static void on_stored(void *arg, int result)
{
	struct receive_mail *m = arg;
	struct receive *r = m->receive;

	m->ticket = 0;
	if (result < 0) {
		not_stored(m, result);
		return;
	}
	IO_LOG(IO_LOG_INFO, m->session_id, "received", {"id", m->message.id.text},
	       {"client", m->client}, {"from", m->message.from}, {"to", m->recipients[0].path},
	       {"recipients", IO_LOG_NUMBER(m->message.n_recipients)},
	       {"size", IO_LOG_NUMBER(m->octets)}, {"origin", m->message.origin});
	count(m, m->kind);
	r->env.stored(r->env.arg);
	m->waiting = m->await && m->session != NULL && r->stop_at == 0;
	if (m->waiting)
		m->due = usec_add(io_now(r->env.loop),
				  m->session->snapshot->rules->limits.verdict_timeout);
	else
		say(m, NULL);
}

/* --- what the server behind says of it -------------------------------------------------------- */

/* As many as there are sessions, at most. */
static struct receive_mail *find_waiting(struct receive *r, const char *id)
{
	struct receive_mail *m = r->storing;

	while (m != NULL && !(m->waiting && strcmp(m->message.id.text, id) == 0))
		m = m->next;
	return m;
}

bool receive_refused(struct receive *r, const char *id, const struct smtp_server_verdict *v)
{
	struct receive_mail *m = find_waiting(r, id);

	require(v->code >= 500);
	if (m == NULL)
		return false;
	m->refusal = *v;
	m->refusal.text = arena_keep(&m->arena, v->text);
	return true;
}

void receive_attempted(struct receive *r, const char *id, bool recorded)
{
	struct receive_mail *m = find_waiting(r, id);

	if (m == NULL)
		return;
	if (!recorded) { /* it is still in the queue */
		m->refusal.code = 0;
		return;
	}
	if (m->refusal.code != 0)
		receive_session_log(m->session, RECEIVE_REFUSED_BEHIND, "DATA", m->message.from,
				    &m->refusal);
	say(m, m->refusal.code != 0 ? &m->refusal : NULL);
}

void receive_mail_wait_no_more(struct receive_session *s, usec_t now)
{
	struct receive_mail *m = s->mail;

	/* What was refused gets no notice any more: only the client can be told. */
	if (m != NULL && m->waiting && m->refusal.code == 0 && now >= m->due)
		say(m, NULL);
}

void receive_mail_store(struct receive_session *s)
{
	struct receive_mail *m = s->mail;
	struct receive *r = s->receive;

	m->kind = s->listener->kind;
	m->message.recipients = m->recipients;
	m->next = r->storing;
	m->at = &r->storing;
	if (m->next != NULL)
		m->next->at = &m->next;
	r->storing = m;
	m->ticket = store_enqueue(r->env.store, &m->message, TAKE(m->body), on_stored, m);
}

void receive_mail_forget_all(struct receive *r)
{
	while (r->storing != NULL) {
		struct receive_mail *m = r->storing;

		unlink_storing(m);
		if (m->ticket != 0)
			store_forget(r->env.store, m->ticket);
		mail_free(m);
	}
}
