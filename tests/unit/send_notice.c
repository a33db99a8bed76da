/* jobs/send/notice.h over a real store: which notice is due, what it says, what it sends back. */
#include "test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "jobs/send/notice.h"

#define T0   usec_seconds(1795600000)
#define HOUR usec_seconds(3600)

enum {
	BODY_MAX = 900000, /* what is accepted; a notice may be larger */
};

struct world {
	char directory[64];
	struct io_loop *loop;
	struct store *store;
	struct send_notice_env env;
	/* The last answers. */
	int result, calls;
	struct arena arena; /* of the parcel */
	struct store_parcel parcel;
	struct store_recipient recipients[4];
	struct store_reading *reading;
	/* What on_notice does with a notice. */
	struct send_notice *notice;
	struct store_completion completion;
	struct store_message notice_message;
	unsigned n_notices, n_completed;
};

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));
	struct store_options o = {.directory = w->directory, .body_max = BODY_MAX};

	snprintf(w->directory, sizeof(w->directory), "/tmp/daneway-notice-XXXXXX");
	require(mkdtemp(w->directory) != NULL);
	w->loop = io_loop_new();
	require(store_open(&o, w->loop, &w->store, NULL) == 0);
	w->env = (struct send_notice_env){.store = w->store,
					  .settings = {.hostname = "mx1.hoster.example",
						       .postmaster = "postmaster@hoster.example",
						       .delay_notice = 4 * HOUR,
						       .full_max = 1 << 20}};
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char command[100];

	store_close(w->store);
	io_loop_free(w->loop);
	arena_done(&w->arena);
	snprintf(command, sizeof(command), "rm -rf %s", w->directory);
	require(system(command) == 0);
	free(w);
	return 0;
}

static void on_done(void *arg, int result)
{
	struct world *w = arg;

	w->result = result;
	w->calls++;
	io_loop_stop(w->loop);
}

/* A copy of the one parcel, deep enough for a notice. */
static void on_parcels(void *arg, int result, const struct store_parcel *p, size_t n)
{
	struct world *w = arg;
	struct store_message *m = &w->parcel.message;

	require(n <= 1);
	w->parcel.key = 0;
	for (size_t i = 0; i < n; i++) {
		w->parcel = p[0];
		w->parcel.hop = arena_strdup(&w->arena, p[0].hop);
		m->from = arena_strdup(&w->arena, m->from);
		m->envid = arena_keep(&w->arena, m->envid);
		for (size_t k = 0; k < m->n_recipients; k++) {
			w->recipients[k] = m->recipients[k];
			w->recipients[k].path = arena_strdup(&w->arena, m->recipients[k].path);
			w->recipients[k].orcpt = arena_keep(&w->arena, m->recipients[k].orcpt);
		}
		m->recipients = w->recipients;
	}
	on_done(arg, result);
}

static void run(struct world *w)
{
	int before = w->calls;

	while (w->calls == before)
		io_loop_run(w->loop);
}

static bool claim(struct world *w, const char *hop, usec_t now)
{
	store_claim(w->store, hop, 1, now, HOUR, on_parcels, w);
	run(w);
	assert_int_equal(w->result, 0);
	return w->parcel.key != 0;
}

static void on_drained(void *arg)
{
	on_done(arg, 0);
}

static void put(struct world *w, const struct store_message *m, struct span text)
{
	struct store_body *b = store_body_begin(w->store, on_drained, w);

	for (size_t n; text.n > 0; text = span_skip(text, n)) {
		int r;

		n = text.n < 5000 ? text.n : 5000;
		r = store_body_append(b, span_of(text.p, n));
		assert_true(r >= 0);
		if (r == 1)
			run(w);
	}
	store_enqueue(w->store, m, b, on_done, w);
	run(w);
	assert_int_equal(w->result, 0);
}

static void on_completed(void *arg, int result)
{
	((struct world *)arg)->n_completed++;
	on_done(arg, result);
}

static void on_notice(void *arg, int result, const struct store_message *m, struct store_body *body)
{
	struct world *w = arg;

	w->n_notices++;
	w->result = result;
	if (result < 0) {
		assert_true(m == NULL && body == NULL);
		on_done(w, result);
		return;
	}
	w->notice_message = *m;
	store_complete(w->store, &w->completion, m, body, on_completed, w);
}

static struct store_message message(const struct store_recipient *to, size_t n)
{
	static unsigned number;
	uint8_t random[STORE_ID_RANDOM] = {[7] = (uint8_t)++number};

	return (struct store_message){.id = store_id_make(T0, random),
				      .from = "Alice@sender.example",
				      .arrived = T0,
				      .recipients = to,
				      .n_recipients = n};
}

static struct send_notice_attempt attempt(struct world *w, struct store_outcome *o, size_t n,
					  usec_t now)
{
	w->completion = (struct store_completion){.key = w->parcel.key,
						  .fence = w->parcel.fence,
						  .now = now,
						  .due = now + HOUR,
						  .outcomes = o,
						  .n_outcomes = n};
	return (struct send_notice_attempt){.parcel = &w->parcel,
					    .outcomes = o,
					    .n_outcomes = n,
					    .now = now,
					    .retry_until = T0 + 100 * HOUR};
}

/* -------- what is due */

#define SUCCESS STORE_NOTIFY_SUCCESS
#define FAILURE STORE_NOTIFY_FAILURE
#define DELAY   STORE_NOTIFY_DELAY

static const struct {
	const char *from;
	unsigned flags, notify;
	bool noticed;
	enum store_state before, state;
	int age_h;
	bool dsn, mailbox;
	const char *action; /* NULL: none is due */
} due[] = {
	/* RFC 3461 section 5.2.6 */
	{"a@b.example", 0, 0, false, STORE_OPEN, STORE_FAILED, 1, false, false, "failed"},
	{"a@b.example", 0, FAILURE, false, STORE_OPEN, STORE_FAILED, 1, true, false, "failed"},
	{"a@b.example", 0, FAILURE | DELAY, false, STORE_OPEN, STORE_FAILED, 1, false, false,
	 "failed"},
	{"a@b.example", 0, DELAY, false, STORE_OPEN, STORE_FAILED, 1, false, false, NULL},
	{"a@b.example", 0, SUCCESS, false, STORE_OPEN, STORE_FAILED, 1, false, false, NULL},
	{"a@b.example", 0, STORE_NOTIFY_NEVER, false, STORE_OPEN, STORE_FAILED, 1, false, false,
	 NULL},
	{"a@b.example", 0, STORE_NOTIFY_NEVER | FAILURE, false, STORE_OPEN, STORE_FAILED, 1, false,
	 false, NULL},
	/* Section 5.2.5, once. */
	{"a@b.example", 0, 0, false, STORE_OPEN, STORE_OPEN, 3, false, false, NULL},
	{"a@b.example", 0, 0, false, STORE_OPEN, STORE_OPEN, 4, false, false, "delayed"},
	{"a@b.example", 0, DELAY, false, STORE_OPEN, STORE_OPEN, 5, false, false, "delayed"},
	{"a@b.example", 0, 0, true, STORE_OPEN, STORE_OPEN, 5, false, false, NULL},
	{"a@b.example", 0, FAILURE, false, STORE_OPEN, STORE_OPEN, 5, false, false, NULL},
	{"a@b.example", 0, STORE_NOTIFY_NEVER, false, STORE_OPEN, STORE_OPEN, 5, false, false,
	 NULL},
	/* Section 5.2.2 (b), (e); 5.2.1: the next server does it; 5.2.3. */
	{"a@b.example", 0, SUCCESS, false, STORE_OPEN, STORE_DELIVERED, 1, false, false, "relayed"},
	{"a@b.example", 0, SUCCESS, false, STORE_OPEN, STORE_DELIVERED, 1, true, false, NULL},
	{"a@b.example", 0, SUCCESS, false, STORE_OPEN, STORE_DELIVERED, 1, false, true,
	 "delivered"},
	{"a@b.example", 0, 0, false, STORE_OPEN, STORE_DELIVERED, 9, false, false, NULL},
	{"a@b.example", 0, FAILURE | DELAY, false, STORE_OPEN, STORE_DELIVERED, 9, false, false,
	 NULL},
	{"a@b.example", 0, STORE_NOTIFY_NEVER, false, STORE_OPEN, STORE_DELIVERED, 9, false, false,
	 NULL},
	/* Section 5.2: nobody to tell; section 6.1: no notice about a notice. */
	{"", 0, 0, false, STORE_OPEN, STORE_FAILED, 1, false, false, NULL},
	{"", 0, SUCCESS | FAILURE | DELAY, false, STORE_OPEN, STORE_FAILED, 1, false, false, NULL},
	{"a@b.example", STORE_NOTICE, FAILURE, false, STORE_OPEN, STORE_FAILED, 1, false, false,
	 NULL},
	{"no address", 0, 0, false, STORE_OPEN, STORE_FAILED, 1, false, false, NULL},
	/* It was told already. */
	{"a@b.example", 0, 0, false, STORE_FAILED, STORE_FAILED, 1, false, false, NULL},
};

static struct span body_of(struct world *w);

static void what_is_due(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(due); i++) {
		struct store_recipient to = {
			.path = "x@one.example", .hop = "one.example", .notify = due[i].notify};
		struct store_message m = message(&to, 1);
		struct store_outcome o = {.state = due[i].state};
		struct send_notice_fact f = {.dsn = due[i].dsn, .mailbox = due[i].mailbox};
		struct send_notice_attempt a;
		char want[40];

		put(w, &m, span_text("Subject: x\r\n\r\n"));
		assert_true(claim(w, "one.example", T0));
		w->parcel.message.from = due[i].from;
		w->parcel.message.flags = due[i].flags;
		w->recipients[0].delay_noticed = due[i].noticed;
		w->recipients[0].state = due[i].before;
		a = attempt(w, &o, 1, T0 + due[i].age_h * HOUR);
		a.facts = &f;
		w->notice = send_notice_new(&w->env, &a, on_notice, w);
		assert_int_equal(o.delay_noticed,
				 due[i].action != NULL && strcmp(due[i].action, "delayed") == 0);
		if ((w->notice != NULL) != (due[i].action != NULL))
			fail_msg("case %zu", i);
		if (w->notice == NULL) {
			o.state = STORE_FAILED; /* away with it */
			store_complete(w->store, &w->completion, NULL, NULL, on_done, w);
			run(w);
			continue;
		}
		run(w);
		assert_int_equal(w->result, 0);
		w->notice = send_notice_free(w->notice);
		assert_true(claim(w, "b.example", T0 + 100 * HOUR));
		assert_int_equal(w->parcel.message.flags, STORE_NOTICE);
		assert_string_equal(w->parcel.message.from, "");
		assert_int_equal(w->recipients[0].notify, STORE_NOTIFY_NEVER);
		snprintf(want, sizeof(want), "\r\nAction: %s\r\n", due[i].action);
		assert_non_null(strstr((const char *)body_of(w).p, want));
		/* And it goes without another. */
		o = (struct store_outcome){.state = STORE_FAILED};
		a = attempt(w, &o, 1, T0 + 101 * HOUR);
		assert_null(send_notice_new(&w->env, &a, on_notice, w));
		store_complete(w->store, &w->completion, NULL, NULL, on_done, w);
		run(w);
		/* The parcel that was deferred. */
		if (due[i].state == STORE_OPEN && claim(w, "one.example", T0 + 200 * HOUR)) {
			assert_true(w->recipients[0].delay_noticed);
			a = attempt(w, &o, 1, T0);
			store_complete(w->store, &w->completion, NULL, NULL, on_done, w);
			run(w);
		}
	}
}

/* -------- what it says and sends back */

static void on_body(void *arg, int result, struct store_reading *r)
{
	((struct world *)arg)->reading = r;
	on_done(arg, result);
}

/* Of the parcel that is claimed: in the arena, with a NUL behind it. */
static struct span body_of(struct world *w)
{
	struct buf b;
	struct span s;

	store_body_open(w->store, w->parcel.key, on_body, w);
	run(w);
	assert_int_equal(w->result, 0);
	buf_init(&b, 1 << 24);
	while (b.n < store_reading_size(w->reading)) {
		s = store_reading_at(w->reading, b.n);
		if (s.n > 0) {
			assert_int_equal(buf_add(&b, s.p, s.n), 0);
			continue;
		}
		store_body_read(w->reading, b.n, on_done, w);
		run(w);
		assert_int_equal(w->result, 0);
	}
	w->reading = store_reading_free(w->reading);
	s = arena_dup(&w->arena, buf_span(&b));
	buf_done(&b);
	return s;
}

/* One recipient fails; the notice, as it lies in the queue. */
static const char *notice_about(struct world *w, const struct store_message *m, struct span text,
				enum store_state fate)
{
	struct store_outcome o = {.state = fate,
				  .status = fate == STORE_FAILED ? "5.1.1" : "4.4.1",
				  .reply = "550 5.1.1 no"};
	struct send_notice_fact f = {.remote = "mx.one.example"};
	struct send_notice_attempt a;

	put(w, m, text);
	assert_true(claim(w, "one.example", T0));
	a = attempt(w, &o, 1, T0 + 5 * HOUR);
	a.facts = &f;
	w->notice = send_notice_new(&w->env, &a, on_notice, w);
	assert_non_null(w->notice);
	run(w);
	assert_int_equal(w->result, 0);
	w->notice = send_notice_free(w->notice);
	assert_true(claim(w, "sender.example", T0 + 5 * HOUR));
	assert_string_equal(w->recipients[0].path, "Alice@sender.example");
	return (const char *)body_of(w).p;
}

static const struct store_recipient one[] = {
	{.path = "x@one.example", .hop = "one.example", .orcpt = "rfc822;X+2Bx@one.example"}};

#define ORIGINAL "Subject: hello\r\nX: y\r\n\r\nA body.\r\n"

static void full_or_header(void **state)
{
	static const struct {
		enum store_ret ret;
		enum store_state fate;
		uint64_t full_max;
		const char *want, *not ;
	} cases[] = {
		{STORE_RET_FULL, STORE_FAILED, 1000, "message/rfc822\r\n", "too large"},
		{STORE_RET_FULL, STORE_FAILED, sizeof(ORIGINAL) - 1, "message/rfc822\r\n", NULL},
		{STORE_RET_FULL, STORE_FAILED, sizeof(ORIGINAL) - 2, "too large", "A body."},
		{STORE_RET_HDRS, STORE_FAILED, 1000, "text/rfc822-headers\r\n", "A body."},
		{STORE_RET_DEFAULT, STORE_FAILED, 1000, "text/rfc822-headers\r\n", "A body."},
		/* RFC 3461 section 4.3: about a delay the header is enough. */
		{STORE_RET_FULL, STORE_OPEN, 1000, "text/rfc822-headers\r\n", "A body."},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct store_message m = message(one, 1);
		const char *text;

		m.ret = cases[i].ret;
		m.envid = "QQ+2B1";
		w->env.settings.full_max = cases[i].full_max;
		text = notice_about(w, &m, span_text(ORIGINAL), cases[i].fate);
		if (strstr(text, cases[i].want) == NULL ||
		    (cases[i].not != NULL && strstr(text, cases[i].not ) != NULL))
			fail_msg("case %zu: %s", i, text);
		assert_non_null(strstr(text, "\r\nSubject: hello\r\nX: y\r\n\r\n"));
		assert_non_null(strstr(text, "\r\nTo: <Alice@sender.example>\r\n"));
		assert_non_null(strstr(text, "\r\nOriginal-Envelope-Id: QQ+1\r\n"));
		assert_non_null(
			strstr(text, "\r\nOriginal-Recipient: rfc822; X+x@one.example\r\n"));
		assert_non_null(strstr(text, "\r\nRemote-MTA: dns; mx.one.example\r\n"));
		assert_non_null(strstr(
			text, arena_printf(&w->arena, "\r\nX-Daneway-Id: %s\r\n", m.id.text)));
		assert_int_equal(w->parcel.message.flags, STORE_NOTICE);
		/* Both are in the store: with a deferred one two messages, which must go. */
		struct store_filter all = {.id = NULL};

		store_act(w->store, STORE_REMOVE, &all, T0, on_done, w);
		run(w);
	}
}

/* Larger than memory and windows: copied piece by piece, and whole. */
static void a_large_original(void **state)
{
	struct world *w = *state;
	struct store_message m = message(one, 1);
	size_t size = BODY_MAX;
	char *text = xmalloc(size + 1);
	const char *got;

	for (size_t i = 0; i < size; i++)
		text[i] = i % 10 == 0 ? (char)('a' + i / 10 % 26) : "abcdefgh\r\n"[i % 10];
	memcpy(text, "Subject: large\r\n\r\n", 18);
	text[size] = '\0';
	m.ret = STORE_RET_FULL;
	got = notice_about(w, &m, span_of(text, size), STORE_FAILED);
	assert_non_null(strstr(got, text));
	assert_int_equal(w->parcel.message.flags, STORE_NOTICE);
	/* An octet above 127 at the very end must be known at the start. */
	text[size - 3] = (char)0xe4;
	m = message(one, 1);
	m.ret = STORE_RET_FULL;
	got = notice_about(w, &m, span_of(text, size), STORE_FAILED);
	assert_non_null(strstr(got, text));
	assert_non_null(strstr(got, "message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n"));
	assert_int_equal(w->parcel.message.flags, STORE_NOTICE | STORE_8BIT);
	free(text);
}

/* A header without an end is cut at a line, at the limit. */
static void a_header_without_end(void **state)
{
	struct world *w = *state;
	size_t size = 200000, n;
	char *text = xmalloc(size + 1);
	const char *got, *begin;

	for (int how = 0; how < 3; how++) {
		struct store_message m = message(one, 1);

		for (size_t i = 0; i < size; i++)
			text[i] = "X: abcde\r\n"[i % 10];
		if (how == 1) /* one line */
			memset(text + 20, 'x', size - 22);
		if (how == 2) /* and it ends behind the limit */
			memcpy(text + SEND_NOTICE_HEADER_MAX + 4, "\r\n\r\n", 4);
		text[size] = '\0';
		got = notice_about(w, &m, span_of(text, size), STORE_FAILED);
		begin = strstr(got, "\r\n\r\nX: abcde\r\n");
		assert_non_null(begin);
		n = (size_t)(strstr(begin, "\r\n\r\n--") - begin) - 2;
		assert_true(n <= SEND_NOTICE_HEADER_MAX);
		assert_true(how == 1 ? n == 20 : n > SEND_NOTICE_HEADER_MAX - 11);
		assert_memory_equal(begin + 4, text, n);
	}
	free(text);
}

static void utf8(void **state)
{
	static const char text[] = "Subject: h\xc3\xa4llo\r\n\r\nx\r\n";
	struct world *w = *state;
	struct store_message m = message(one, 1);
	const char *got;

	/* An internationalized header, to a sender in ASCII. */
	m.flags = STORE_SMTPUTF8 | STORE_8BIT;
	got = notice_about(w, &m, span_text(text), STORE_FAILED);
	assert_non_null(strstr(got, "message/global-headers\r\n"));
	assert_int_equal(w->parcel.message.flags, STORE_NOTICE | STORE_8BIT);
	/* The flag, and yet none in it. */
	m = message(one, 1);
	m.flags = STORE_SMTPUTF8;
	got = notice_about(w, &m, span_text("Subject: x\r\n\r\n"), STORE_FAILED);
	assert_non_null(strstr(got, "text/rfc822-headers\r\n"));
	assert_int_equal(w->parcel.message.flags, STORE_NOTICE);
	/* Octets above 127 in a header that says nothing of UTF-8. */
	m = message(one, 1);
	got = notice_about(w, &m, span_text("Subject: \xe4\r\n\r\n"), STORE_FAILED);
	assert_non_null(strstr(got, "text/rfc822-headers\r\nContent-Transfer-Encoding: 8bit\r\n"));
	assert_int_equal(w->parcel.message.flags, STORE_NOTICE | STORE_8BIT);
}

static void odd_originals(void **state)
{
	static const char *const texts[] = {"", "\r\n", "\r\nbody\r\n", "no header\r\n",
					    "X: y\r\n\r\n"};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct store_message m = message(one, 1);
		const char *got = notice_about(w, &m, span_text(texts[i]), STORE_FAILED);

		assert_non_null(strstr(got, "text/rfc822-headers\r\n"));
		assert_null(strstr(got, "body\r\n"));
	}
}

/* The file is gone or damaged: the sender is told all the same. */
static void an_original_that_cannot_be_read(void **state)
{
	struct world *w = *state;
	struct store_message m = message(one, 1);
	struct store_outcome o = {.state = STORE_FAILED};
	struct send_notice_attempt a;
	char *text = xcalloc(1, 100000), command[120];

	memset(text, 'x', 100000);
	m.ret = STORE_RET_FULL;
	put(w, &m, span_of(text, 100000));
	free(text);
	assert_true(claim(w, "one.example", T0));
	snprintf(command, sizeof(command), "rm %s/large/*", w->directory);
	require(system(command) == 0);
	a = attempt(w, &o, 1, T0 + 1);
	w->notice = send_notice_new(&w->env, &a, on_notice, w);
	run(w);
	assert_int_equal(w->result, 0);
	w->notice = send_notice_free(w->notice);
	assert_true(claim(w, "sender.example", T0 + HOUR));
	assert_non_null(strstr((const char *)body_of(w).p, "cannot be read any more"));
}

/* -------- identity, and giving up */

static void one_notice_an_attempt(void **state)
{
	struct world *w = *state;
	struct store_message m = message(one, 1);
	struct store_outcome o = {.state = STORE_FAILED};
	struct send_notice_attempt a;
	struct store_id first;

	put(w, &m, span_text(ORIGINAL));
	assert_true(claim(w, "one.example", T0 + HOUR));
	w->completion.key = w->completion.fence = 0;
	for (int i = 0; i < 3; i++) {
		a = attempt(w, &o, 1, T0 + (i + 1) * HOUR);
		if (i < 2)
			w->completion.fence++; /* it is not recorded */
		if (i == 2)
			w->parcel.attempts++;
		w->notice = send_notice_new(&w->env, &a, on_notice, w);
		run(w);
		w->notice = send_notice_free(w->notice);
		if (i == 0)
			first = w->notice_message.id;
		assert_true(store_id_is_valid(w->notice_message.id.text));
		assert_int_equal(strcmp(first.text, w->notice_message.id.text) == 0, i < 2);
	}
	assert_int_equal(w->result, 0);
}

static void stop(void *arg)
{
	io_loop_stop(((struct world *)arg)->loop);
}

/* So many at a time; who is freed makes room, who gives up in the line is not called. */
static void a_gate(void **state)
{
	enum {
		MANY = SEND_NOTICE_AT_ONCE + 5
	};
	struct world *w = *state;
	struct send_notice_gate gate = {.n = 0};
	struct send_notice *list[MANY];
	struct io_timer *timer = io_timer_new(w->loop, stop, w);
	struct store_message m = message(one, 1);
	struct store_outcome o = {.state = STORE_FAILED};
	struct send_notice_attempt a;
	unsigned want[] = {SEND_NOTICE_AT_ONCE, SEND_NOTICE_AT_ONCE + 1, SEND_NOTICE_AT_ONCE + 3};

	put(w, &m, span_text(ORIGINAL));
	assert_true(claim(w, "one.example", T0));
	a = attempt(w, &o, 1, T0 + 1);
	w->completion.fence = 0; /* nothing is recorded */
	w->env.gate = &gate;
	for (size_t i = 0; i < MANY; i++)
		list[i] = send_notice_new(&w->env, &a, on_notice, w);
	for (size_t k = 0; k < ARRAY_SIZE(want); k++) {
		io_timer_set(timer, io_now(w->loop) + 300 * 1000);
		for (int i = 0; i < 200 && w->n_notices < want[k]; i++)
			io_loop_run(w->loop);
		assert_int_equal(w->n_notices, want[k]);
		assert_true(gate.n <= SEND_NOTICE_AT_ONCE);
		if (k == 0) {
			list[0] = send_notice_free(list[0]);
		} else if (k == 1) {
			list[MANY - 1] = send_notice_free(list[MANY - 1]); /* in the line: last */
			list[MANY - 3] = send_notice_free(list[MANY - 3]); /* and in its midst */
			for (size_t i = 1; i < 20; i++)
				list[i] = send_notice_free(list[i]);
		}
	}
	/* Nothing more comes. */
	io_timer_set(timer, io_now(w->loop) + 100 * 1000);
	io_loop_run(w->loop);
	assert_int_equal(w->n_notices, want[2]);
	for (size_t i = 0; i < MANY; i++)
		send_notice_free(list[i]);
	assert_int_equal(gate.n, 0);
	assert_null(gate.first);
	io_timer_free(timer);
}

/* At every point of its way; the store is none the worse, and nothing is called. */
static void given_up(void **state)
{
	struct world *w = *state;
	size_t size = 600000;
	char *text = xmalloc(size);
	struct store_outcome o = {.state = STORE_FAILED};
	struct send_notice_attempt a;
	struct store_message m = message(one, 1);
	struct io_timer *timer = io_timer_new(w->loop, stop, w);
	unsigned before;

	for (size_t i = 0; i < size; i++)
		text[i] = "abcdefgh\r\n"[i % 10];
	m.ret = STORE_RET_FULL;
	put(w, &m, span_of(text, size));
	free(text);
	assert_true(claim(w, "one.example", T0));
	a = attempt(w, &o, 1, T0 + 1);
	before = w->n_notices;
	/* Each time a little later, until one has come to its end before it was given up. */
	for (usec_t wait = 0; w->n_notices == before; wait += 50 + wait / 16) {
		assert_true(wait < usec_seconds(20));
		w->notice = send_notice_new(&w->env, &a, on_notice, w);
		w->completion.fence = 0; /* should it come to its end */
		if (wait > 0) {
			io_timer_set(timer, io_now(w->loop) + wait);
			io_loop_run(w->loop);
		}
		w->notice = send_notice_free(w->notice);
	}
	while (w->n_completed < w->n_notices)
		io_loop_run(w->loop);
	io_timer_free(timer);
	store_release(w->store, w->parcel.key, w->parcel.fence, on_done, w);
	run(w);
	assert_true(claim(w, "one.example", T0));
}

int main(void)
{
#define WITH_STORE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_STORE(what_is_due),
		WITH_STORE(full_or_header),
		WITH_STORE(a_large_original),
		WITH_STORE(a_header_without_end),
		WITH_STORE(utf8),
		WITH_STORE(odd_originals),
		WITH_STORE(an_original_that_cannot_be_read),
		WITH_STORE(one_notice_an_attempt),
		WITH_STORE(a_gate),
		WITH_STORE(given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
