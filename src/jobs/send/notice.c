#include "jobs/send/notice.h"

#include <errno.h>
#include <sys/random.h>

#include "core/mail/dsn.h"

/* What is known of the original after it was looked through. */
struct original {
	bool header_8bit, body_8bit;
	bool in_body;
	unsigned line_end;      /* octets of CRLF CRLF that the last ones are */
	uint64_t header_octets; /* with the empty line */
	uint64_t line_octets;   /* up to the last line end inside SEND_NOTICE_HEADER_MAX */
};

struct send_notice {
	struct store *store;
	struct send_notice_gate *gate;
	struct send_notice *next, *previous; /* waiting at the gate */
	uint64_t key;
	send_notice_fn *fn;
	void *arg;
	struct arena arena;
	struct store_message message;
	struct store_recipient to;
	struct mail_dsn dsn;
	struct mail_dsn_writer writer;

	uint64_t opening; /* the ticket, while it is asked for */
	struct store_reading *reading;
	struct original original;
	bool looked;         /* through the original */
	bool full;           /* it is sent back whole */
	uint64_t at, octets; /* of the original: where we are, how many are copied */
	struct store_body *body;
	struct buf piece;
	enum {
		WAITING,
		HEAD,
		ORIGINAL,
		TAIL,
		WRITTEN,
		ENDED
	} stage;
};

/* --- is one due? ----------------------------------------------------------------------------- */

static bool wants(const struct store_recipient *r, unsigned which)
{
	unsigned notify = r->notify == STORE_NOTIFY_DEFAULT
				  ? STORE_NOTIFY_FAILURE | STORE_NOTIFY_DELAY
				  : r->notify;

	return !(notify & STORE_NOTIFY_NEVER) && (notify & which) != 0;
}

static bool is_due(const struct send_notice_env *env, const struct send_notice_attempt *a, size_t i,
		   enum mail_dsn_action *ret)
{
	const struct store_outcome *o = &a->outcomes[i];
	const struct store_recipient *r = &a->parcel->message.recipients[o->recipient];
	const struct send_notice_fact *f = a->facts == NULL ? NULL : &a->facts[i];
	usec_t delay = env->settings.delay_notice;

	if (r->state != STORE_OPEN)
		return false; /* it has had its notice */
	switch (o->state) {
	case STORE_FAILED:
		*ret = MAIL_DSN_FAILED;
		return wants(r, STORE_NOTIFY_FAILURE);
	case STORE_OPEN:
		*ret = MAIL_DSN_DELAYED;
		return delay > 0 && !r->delay_noticed &&
		       a->now >= usec_add(a->parcel->message.arrived, delay) &&
		       wants(r, STORE_NOTIFY_DELAY);
	case STORE_DELIVERED:
		*ret = f != NULL && f->mailbox ? MAIL_DSN_DELIVERED : MAIL_DSN_RELAYED;
		return !(f != NULL && f->dsn) && wants(r, STORE_NOTIFY_SUCCESS);
	}
	return false;
}

/* Somebody is there to be told, and this is no notice itself (RFC 3461 section 5.2, 6.1). */
static bool may_be_told(struct send_notice *n, const struct store_message *m)
{
	struct mail_address from;

	if (m->flags & STORE_NOTICE || m->from[0] == '\0')
		return false;
	if (mail_address_parse_reverse(&n->arena, span_text(m->from), &from, NULL) < 0 ||
	    mail_address_is_null(&from))
		return false;
	n->to = (struct store_recipient){
		.path = from.path, .hop = from.domain.text, .notify = STORE_NOTIFY_NEVER};
	return true;
}

/* --- its parts ------------------------------------------------------------------------------- */

static const char *copy(struct arena *a, const char *text)
{
	return text == NULL ? NULL : arena_text(a, span_of(text, strnlen(text, MAIL_DSN_TEXT_MAX)));
}

/* Neighbours often have the same. */
static const char *copy_shared(struct arena *a, const char *text, const char *before)
{
	if (text != NULL && before != NULL && strcmp(text, before) == 0)
		return before;
	return copy(a, text);
}

/* Those that are told of; 0: nobody. */
static size_t add_recipients(struct send_notice *n, const struct send_notice_env *env,
			     struct send_notice_attempt *a)
{
	struct mail_dsn_recipient *list = NULL;
	enum mail_dsn_action action;
	size_t k = 0;

	for (size_t i = 0; i < a->n_outcomes; i++)
		k += is_due(env, a, i, &action);
	if (k > 0)
		list = arena_calloc(&n->arena, k, sizeof(*list));
	k = 0;
	for (size_t i = 0; i < a->n_outcomes; i++) {
		struct store_outcome *o = &a->outcomes[i];
		const struct store_recipient *r = &a->parcel->message.recipients[o->recipient];
		const struct mail_dsn_recipient none = {0}, *before = k > 0 ? &list[k - 1] : &none;

		if (!is_due(env, a, i, &action))
			continue;
		list[k++] = (struct mail_dsn_recipient){
			.path = copy(&n->arena, r->path),
			.orcpt = copy(&n->arena, r->orcpt),
			.action = action,
			.status = copy_shared(&n->arena, o->status, before->status),
			.reply = copy_shared(&n->arena, o->reply, before->reply),
			.detail = copy_shared(&n->arena, o->detail, before->detail),
			.remote =
				copy_shared(&n->arena, a->facts == NULL ? NULL : a->facts[i].remote,
					    before->remote),
		};
		o->delay_noticed = o->delay_noticed || action == MAIL_DSN_DELAYED;
		n->full = n->full || action == MAIL_DSN_FAILED;
	}
	n->dsn.recipients = list;
	n->dsn.n_recipients = k;
	return k;
}

/* SplitMix64's last steps: every bit of the result depends on every bit of `x`. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/*
 * The same for the same attempt, another for any other: message (whose id nobody can guess), parcel
 * and number of the attempt. The time in it is when the attempt was due, which does not change
 * either.
 */
static struct store_id id_of(const struct store_parcel *p, usec_t now)
{
	uint8_t octets[STORE_ID_RANDOM];
	uint64_t x = 0x9e3779b97f4a7c15;

	for (const char *c = p->message.id.text; *c != '\0'; c++)
		x = mix(x ^ (uint8_t)*c);
	x = mix(x ^ p->key);
	x = mix(x ^ p->attempts);
	memcpy(octets, &x, sizeof(octets));
	return store_id_make(usec_min(p->due, now), octets);
}

static void fill(struct send_notice *n, const struct send_notice_env *env,
		 const struct send_notice_attempt *a)
{
	const struct store_message *m = &a->parcel->message;
	const struct mail_dsn_recipient *list = n->dsn.recipients;
	size_t k = n->dsn.n_recipients;

	n->message = (struct store_message){
		.id = id_of(a->parcel, a->now),
		.from = "",
		.arrived = a->now,
		.flags = STORE_NOTICE,
		.origin = arena_printf(&n->arena, "notice about %s", m->id.text),
		.recipients = &n->to,
		.n_recipients = 1,
	};
	n->dsn = (struct mail_dsn){
		.id = n->message.id.text,
		.hostname = arena_strdup(&n->arena, env->settings.hostname),
		.postmaster = arena_strdup(&n->arena, env->settings.postmaster),
		.to = n->to.path,
		.envid = copy(&n->arena, m->envid),
		.original_id = arena_strdup(&n->arena, m->id.text),
		.now = a->now,
		.arrived = m->arrived,
		.last_attempt = a->now,
		.retry_until = a->retry_until,
		.recipients = list,
		.n_recipients = k,
	};
	require(getrandom(n->dsn.random, sizeof(n->dsn.random), 0) ==
		(ssize_t)sizeof(n->dsn.random));
	/* RFC 3461 section 6.2; about a delay or a success the header is enough. */
	n->full = n->full && m->ret == STORE_RET_FULL;
	n->dsn.too_large = n->full && m->size > env->settings.full_max;
	n->full = n->full && !n->dsn.too_large;
	n->dsn.original_utf8 = m->flags & STORE_SMTPUTF8;
}

/* --- the original ---------------------------------------------------------------------------- */

/* One piece of it, in order. */
static void look_through(struct original *o, struct span s, uint64_t at)
{
	static const char end[] = "\r\n\r\n";

	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (o->in_body) {
			o->body_8bit = o->body_8bit || c >= 0x80;
			continue;
		}
		o->header_8bit = o->header_8bit || c >= 0x80;
		if (c == (uint8_t)end[o->line_end])
			o->line_end++;
		else
			o->line_end = c == '\r' ? 1 : 0;
		if (o->line_end == 2 || o->line_end == 4)
			o->line_octets = at + i + 1;
		o->in_body = o->line_end == 4 || at + i + 1 == SEND_NOTICE_HEADER_MAX;
		if (o->in_body)
			o->header_octets = o->line_octets;
	}
}

static void step(struct send_notice *n);

static void end(struct send_notice *n, int result)
{
	struct store_body *body = TAKE(n->body);

	n->stage = ENDED;
	n->reading = store_reading_free(n->reading);
	if (result < 0)
		body = store_body_free(body);
	n->fn(n->arg, result, result < 0 ? NULL : &n->message, body);
}

/* A part of the original is at hand, or it cannot be read. */
static void on_read(void *arg, int result)
{
	struct send_notice *n = arg;

	/* The head says that it follows. The next try looks through it again. */
	if (result < 0 && n->looked) {
		end(n, result);
		return;
	}
	if (result < 0)
		n->reading = store_reading_free(n->reading);
	step(n);
}

static void on_open(void *arg, int result, struct store_reading *r)
{
	struct send_notice *n = arg;

	n->opening = 0;
	n->reading = result < 0 ? NULL : r;
	step(n);
}

/* The octets from `at` on that are at hand; false: they are being fetched. */
static bool at_hand(struct send_notice *n, struct span *ret)
{
	*ret = store_reading_at(n->reading, n->at);
	if (ret->n == 0)
		store_body_read(n->reading, n->at, on_read, n);
	return ret->n > 0;
}

/* Looks through as much of it as will be sent back; false: it is being fetched. */
static bool look(struct send_notice *n)
{
	struct original *o = &n->original;
	struct span s;

	while (n->reading != NULL && n->at < store_reading_size(n->reading) &&
	       (n->full || !o->in_body)) {
		if (!at_hand(n, &s))
			return false;
		look_through(o, s, n->at);
		n->at += s.n;
	}
	n->at = 0;
	n->looked = true;
	if (n->reading == NULL)
		return true;
	if (!o->in_body) /* all of it is header; its lines end with CRLF */
		o->header_octets = o->line_octets;
	n->octets = n->full ? store_reading_size(n->reading) : o->header_octets;
	n->dsn.original = n->full ? MAIL_DSN_FULL : MAIL_DSN_HEADER;
	n->dsn.original_8bit = o->header_8bit || (n->full && o->body_8bit);
	n->dsn.original_utf8 = n->dsn.original_utf8 && o->header_8bit;
	return true;
}

/* --- writing --------------------------------------------------------------------------------- */

/* False: the body has failed, or on_drained goes on. */
static bool append(struct send_notice *n, struct span s)
{
	int r = store_body_append(n->body, s);

	if (r < 0)
		end(n, r);
	return r == 0;
}

static void on_drained(void *arg)
{
	struct send_notice *n = arg;

	if (n->stage != ENDED)
		step(n);
}

static bool append_piece(struct send_notice *n)
{
	bool more = append(n, buf_span(&n->piece));

	buf_clear(&n->piece);
	return more;
}

/* False: wait. */
static bool write_head(struct send_notice *n)
{
	int r = mail_dsn_next(&n->writer, &n->piece);

	require(r >= 0);
	if (r == 0)
		n->stage = n->octets > 0 ? ORIGINAL : TAIL;
	return append_piece(n);
}

static bool write_original(struct send_notice *n)
{
	struct span s;

	if (!at_hand(n, &s))
		return false;
	if (s.n > n->octets - n->at)
		s.n = (size_t)(n->octets - n->at);
	n->at += s.n;
	if (n->at == n->octets)
		n->stage = TAIL;
	return append(n, s);
}

static bool write_tail(struct send_notice *n)
{
	require(mail_dsn_tail(&n->dsn, &n->piece) == 0);
	n->stage = WRITTEN;
	return append_piece(n);
}

static void begin(struct send_notice *n)
{
	if (mail_dsn_is_8bit(&n->dsn))
		n->message.flags |= STORE_8BIT;
	if (mail_dsn_is_smtputf8(&n->dsn))
		n->message.flags |= STORE_SMTPUTF8;
	n->body = store_body_begin(n->store, on_drained, n);
	/* Bounded by full_max and by the recipients, and it must not fail for ever. */
	store_body_no_limit(n->body);
	mail_dsn_begin(&n->writer, &n->dsn);
}

/* On with it, until something must be waited for. */
static void step(struct send_notice *n)
{
	bool more = true;

	if (!n->looked && !look(n))
		return;
	if (n->body == NULL)
		begin(n);
	while (more) {
		switch (n->stage) {
		case WAITING:
			require(false);
			break;
		case HEAD:
			more = write_head(n);
			break;
		case ORIGINAL:
			more = write_original(n);
			break;
		case TAIL:
			more = write_tail(n);
			break;
		case WRITTEN: /* and drained: on_drained comes no more */
			end(n, 0);
			return;
		case ENDED:
			return;
		}
	}
}

/* --- the gate -------------------------------------------------------------------------------- */

static void pass(struct send_notice *n)
{
	n->stage = HEAD;
	if (n->gate != NULL)
		n->gate->n++;
	n->opening = store_body_open(n->store, n->key, on_open, n);
}

static void wait_at_gate(struct send_notice *n)
{
	n->previous = n->gate->last;
	if (n->previous != NULL)
		n->previous->next = n;
	else
		n->gate->first = n;
	n->gate->last = n;
}

static void stop_waiting(struct send_notice *n)
{
	if (n->previous != NULL)
		n->previous->next = n->next;
	else
		n->gate->first = n->next;
	if (n->next != NULL)
		n->next->previous = n->previous;
	else
		n->gate->last = n->previous;
}

static void leave_gate(struct send_notice *n)
{
	struct send_notice *first;

	if (n->gate == NULL)
		return;
	if (n->stage == WAITING) {
		stop_waiting(n);
		return;
	}
	n->gate->n--;
	first = n->gate->first;
	if (first != NULL) {
		stop_waiting(first);
		pass(first);
	}
}

/* --- the outside ----------------------------------------------------------------------------- */

struct send_notice *send_notice_new(const struct send_notice_env *env,
				    const struct send_notice_attempt *attempt, send_notice_fn *fn,
				    void *arg)
{
	struct send_notice *n = xcalloc(1, sizeof(*n));
	struct send_notice_attempt a = *attempt;

	for (size_t i = 0; i < a.n_outcomes; i++)
		require(a.outcomes[i].recipient < a.parcel->message.n_recipients);
	n->store = env->store;
	n->original.line_end = 2; /* the header may be empty */
	n->fn = fn;
	n->arg = arg;
	buf_init(&n->piece, MAIL_DSN_PIECE_MAX);
	if (!may_be_told(n, &a.parcel->message) || add_recipients(n, env, &a) == 0)
		return send_notice_free(n);
	fill(n, env, &a);
	n->key = a.parcel->key;
	n->gate = env->gate;
	if (n->gate != NULL && n->gate->n >= SEND_NOTICE_AT_ONCE)
		wait_at_gate(n);
	else
		pass(n);
	return n;
}

struct send_notice *send_notice_free(struct send_notice *n)
{
	if (n == NULL)
		return NULL;
	leave_gate(n);
	if (n->opening != 0)
		store_forget(n->store, n->opening);
	store_reading_free(n->reading);
	store_body_free(n->body);
	buf_done(&n->piece);
	arena_done(&n->arena);
	free(n);
	return NULL;
}
