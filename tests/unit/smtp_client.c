#include "test.h"

#include <errno.h>

#include "core/smtp/client.h"
#include "smtp_dialogues.h"
#include "smtp_watch.h"

/* --- running them ---------------------------------------------------------------------------- */

enum how {
	WHOLE,
	CUT,       /* the server's bytes cut at `at` */
	BYTES,     /* one by one */
	LOSE,      /* `event` behind octet `at` of the server's; then the machine must end */
	LOSE_STEP, /* `event` behind line `at` */
};

struct run {
	const struct dialogue *d;
	enum how how;
	size_t at;
	enum smtp_event event;
	struct smtp_client *c;
	struct watch w;
	struct arena a;
	struct buf got; /* said by the client, not yet expected */
	size_t fed;     /* octets of the server so far */
	size_t line;
	bool clear, maybe; /* seen in the dialogue */
};

static void look(struct run *r)
{
	watch_machine(&r->w, r->c);
}

static void write_out(struct run *r)
{
	struct span out = smtp_client_output(r->c);

	watch_output(&r->w, out);
	assert_int_equal(buf_add(&r->got, out.p, out.n), 0);
	while (out.n > 0) {
		size_t n = r->how == BYTES ? 1 : out.n;

		smtp_client_sent(r->c, n, 0);
		out = smtp_client_output(r->c);
	}
	look(r);
}

static void expect_silence(struct run *r)
{
	write_out(r);
	if (r->got.n > 0)
		fail_msg("%s, line %zu: said '%.*s'", r->d->name, r->line, (int)r->got.n,
			 (const char *)r->got.p);
}

static void expect(struct run *r, struct span line)
{
	struct span said;

	write_out(r);
	said = buf_span(&r->got);
	if (said.n < line.n + 2 || !span_eq(span_of(said.p, line.n), line) ||
	    memcmp(said.p + line.n, "\r\n", 2) != 0)
		fail_msg("%s, line %zu: '%.*s' expected, said '%.*s'", r->d->name, r->line,
			 (int)line.n, (const char *)line.p, (int)said.n, (const char *)said.p);
	buf_drop(&r->got, line.n + 2);
}

static void event(struct run *r, enum smtp_event event)
{
	if (event == SMTP_EVENT_TLS_UP && smtp_client_want(r->c) == SMTP_WANT_STARTTLS)
		r->w.in_tls = true;
	if (event == SMTP_EVENT_ACCEPTED && smtp_client_want(r->c) == SMTP_WANT_VERDICT)
		r->w.accepted = true;
	smtp_client_event(r->c, event, "the text", 0);
	look(r);
}

/* The connection is lost: the machine must end at once, and has a fate for everybody. */
static void lose(struct run *r)
{
	event(r, r->event);
	assert_int_equal(smtp_client_want(r->c), SMTP_WANT_CLOSE);
	assert_int_not_equal(smtp_client_report(r->c).end, SMTP_END_NOT_YET);
}

/* A copy of its own, so that a sanitizer sees a read beyond the piece. */
static void feed_copy(struct run *r, const uint8_t *p, size_t n)
{
	uint8_t *copy = xmalloc(n);

	memcpy(copy, p, n);
	smtp_client_feed(r->c, span_of(copy, n), 0);
	free(copy);
	look(r);
}

/* false: lost. */
static bool feed(struct run *r, struct span in)
{
	size_t cut = r->at > r->fed && r->at - r->fed < in.n ? r->at - r->fed : 0;

	switch (r->how) {
	case LOSE:
		if (r->fed < r->at && r->fed + in.n >= r->at) {
			feed_copy(r, in.p, r->at - r->fed);
			lose(r);
			return false;
		}
		feed_copy(r, in.p, in.n);
		break;
	case BYTES:
		for (size_t i = 0; i < in.n; i++)
			feed_copy(r, in.p + i, 1);
		break;
	case CUT:
		feed_copy(r, in.p, cut);
		feed_copy(r, in.p + cut, in.n - cut);
		break;
	case WHOLE:
	case LOSE_STEP:
		feed_copy(r, in.p, in.n);
		break;
	}
	r->fed += in.n;
	return true;
}

static void hand_out_body(struct run *r)
{
	struct span body = span_text(r->d->body);

	assert_int_equal(smtp_client_want(r->c), SMTP_WANT_BODY);
	while (r->how == BYTES && body.n > 1 && smtp_client_want(r->c) == SMTP_WANT_BODY) {
		smtp_client_body(r->c, span_of(body.p, 1), false, 0);
		body = span_skip(body, 1);
		write_out(r);
	}
	if (smtp_client_want(r->c) == SMTP_WANT_BODY)
		smtp_client_body(r->c, body, true, 0);
	look(r);
}

static void begin_mail(struct run *r)
{
	const struct dialogue *d = r->d;
	struct mail_address from, to[ARRAY_SIZE(d->to)];
	struct smtp_mail m = {.from = &from,
			      .to = to,
			      .size = d->body != NULL ? strlen(d->body) : 0,
			      .eightbit = d->eightbit,
			      .smtputf8 = d->smtputf8,
			      .rehearsal = d->body == NULL};

	assert_int_equal(mail_address_parse_reverse(&r->a, span_text(d->from), &from, NULL), 0);
	while (m.n_to < ARRAY_SIZE(to) && d->to[m.n_to] != NULL) {
		assert_int_equal(
			mail_address_parse(&r->a, span_text(d->to[m.n_to]), &to[m.n_to], NULL), 0);
		m.n_to++;
	}
	assert_int_equal(smtp_client_mail(r->c, &m, 0), 0);
	look(r);
}

static size_t word_index(struct span word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (span_is_nocase(word, words[i]))
			return i;
	fail_msg("no such word: %.*s", (int)word.n, (const char *)word.p);
	return 0;
}

static const char *const event_words[] = {"connected", "tls-up", "tls-failed", "accepted",
					  "refused",   "eof",    "io-error",   "timeout"};
static const char *const want_words[] = {"io", "starttls", "verdict", "mail", "body", "close"};
static const char *const end_words[] = {"not-yet",
					"quit",
					"reply",
					"starttls-absent",
					"starttls-refused",
					"starttls-garbage",
					"starttls-injected",
					"handshake",
					"certificate",
					"protocol",
					"eof",
					"io-error",
					"timeout",
					"driver"};
static const char *const stage_words[] = {"CONNECT", "GREETING", "EHLO",  "STARTTLS", "HANDSHAKE",
					  "VERDICT", "IDLE",     "RSET",  "MAIL",     "RCPT",
					  "DATA",    "BODY",     "FINAL", "QUIT"};
static const char *const fate_words[] = {"open", "delivered", "deferred", "failed", "accepted"};

#define WORD(word, words) word_index(word, words, ARRAY_SIZE(words))

static struct span take_word(struct span *line)
{
	const uint8_t *space = memchr(line->p, ' ', line->n);
	struct span word = span_of(line->p, space == NULL ? line->n : (size_t)(space - line->p));

	*line = span_skip(*line, word.n + 1);
	return word;
}

static void expect_end(struct run *r, struct span line)
{
	struct smtp_report report = smtp_client_report(r->c);

	if (span_is(line, "clear"))
		r->clear = true;
	else if (span_is(line, "maybe"))
		r->maybe = true;
	else {
		assert_string_equal(end_words[report.end],
				    end_words[WORD(take_word(&line), end_words)]);
		assert_string_equal(stage_words[report.stage],
				    stage_words[WORD(line, stage_words)]);
	}
}

static void expect_recipient(struct run *r, struct span line)
{
	size_t i = take_word(&line).p[0] - '0';
	const struct smtp_recipient *got = &smtp_client_result(r->c)->recipients[i];
	struct smtp_status status;

	assert_string_equal(fate_words[got->fate], fate_words[WORD(take_word(&line), fate_words)]);
	status = smtp_status_parse(take_word(&line));
	assert_memory_equal(&got->status, &status, sizeof(status));
	assert_string_equal(stage_words[got->stage], stage_words[WORD(line, stage_words)]);
	assert_int_equal(got->answer.code != 0, got->reason == SMTP_REASON_REPLY);
}

/* "\n" and "\r" in the dialogue's text. */
static void unescape(struct buf *b, struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];

		if (c == '\\' && i + 1 < text.n)
			c = text.p[++i] == 'n' ? '\n' : '\r';
		assert_int_equal(buf_add(b, &c, 1), 0);
	}
}

/* One line. Server lines collect in `piece` until another kind of line comes. false: lost. */
static bool step(struct run *r, struct span line, struct buf *piece)
{
	struct span rest = span_skip(line, line.p[0] == '=' ? 2 : 3);
	bool alive = true;

	if (line.p[0] == 'S' || line.p[0] == 's') {
		if (piece->n == 0)
			expect_silence(r);
		unescape(piece, rest);
		if (line.p[0] == 'S')
			assert_int_equal(buf_add(piece, "\r\n", 2), 0);
		return true;
	}
	if (piece->n > 0) {
		alive = feed(r, buf_span(piece));
		buf_clear(piece);
		if (!alive)
			return false;
	}
	if (line.p[0] != 'C')
		expect_silence(r);
	switch (line.p[0]) {
	case 'C':
		expect(r, rest);
		break;
	case 'E':
		event(r, (enum smtp_event)WORD(rest, event_words));
		break;
	case 'M':
		begin_mail(r);
		break;
	case 'B':
		hand_out_body(r);
		break;
	case 'Q':
		smtp_client_quit(r->c, 0);
		break;
	case 'W':
		assert_string_equal(want_words[smtp_client_want(r->c)],
				    want_words[WORD(rest, want_words)]);
		break;
	case '=':
		expect_end(r, rest);
		break;
	case 'R':
		expect_recipient(r, rest);
		break;
	default:
		fail_msg("%s: line %zu", r->d->name, r->line);
	}
	return true;
}

/* Runs one way; false when the place where to cut or lose lies behind the end. */
static bool run(const struct dialogue *d, enum how how, size_t at, enum smtp_event event)
{
	struct run r = {.d = d,
			.how = how,
			.at = at,
			.event = event,
			.w = {.policy = d->tls, .lmtp = d->lmtp}};
	struct smtp_client_options o = {.tls = d->tls, .lmtp = d->lmtp};
	struct span text = span_text(d->text), line;
	struct buf piece;
	bool alive = true, reached;

	assert_int_equal(mail_domain_parse(&r.a, span_text("me.example"), &o.helo, NULL), 0);
	r.c = smtp_client_new(&o);
	buf_init(&r.got, 4096);
	buf_init(&piece, 4096);
	while (alive && smtp_reply_next_line(&text, &line)) {
		r.line++;
		alive = step(&r, line, &piece);
		if (alive && how == LOSE_STEP && r.line == at && piece.n == 0) {
			lose(&r);
			alive = false;
		}
	}
	if (alive) {
		bool maybe =
			smtp_client_result(r.c) != NULL && smtp_client_result(r.c)->maybe_delivered;

		assert_int_equal(piece.n, 0);
		expect_silence(&r);
		assert_int_equal(smtp_client_report(r.c).retry_in_clear, r.clear);
		assert_int_equal(maybe, r.maybe);
		assert_int_equal(smtp_client_want(r.c), SMTP_WANT_CLOSE);
	}
	reached = how == LOSE_STEP ? r.line >= at : !alive || r.fed >= at;
	smtp_client_free(r.c);
	buf_done(&r.got);
	buf_done(&piece);
	arena_done(&r.a);
	return reached;
}

static void dialogues_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(dialogues); i++)
		run(&dialogues[i], WHOLE, 0, SMTP_EVENT_EOF);
}

static void dialogues_cut_at_every_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(dialogues); i++) {
		run(&dialogues[i], BYTES, 0, SMTP_EVENT_EOF);
		for (size_t at = 1; run(&dialogues[i], CUT, at, SMTP_EVENT_EOF); at++)
			continue;
	}
}

static void dialogues_lost_at_every_byte_and_step(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(dialogues); i++) {
		for (size_t at = 1; run(&dialogues[i], LOSE, at, SMTP_EVENT_EOF); at++)
			run(&dialogues[i], LOSE, at, SMTP_EVENT_TIMEOUT);
		for (size_t at = 1; run(&dialogues[i], LOSE_STEP, at, SMTP_EVENT_EOF); at++)
			run(&dialogues[i], LOSE_STEP, at, SMTP_EVENT_TIMEOUT);
	}
}

/* --- limits and times, where a dialogue would be too long ------------------------------------ */

static const usec_t second = USEC_PER_SEC;

static struct smtp_client *session(enum smtp_tls tls, const char *ehlo)
{
	struct smtp_client_options o = {.tls = tls, .helo = {.host = "me", .text = "me"}};
	struct smtp_client *c = smtp_client_new(&o);

	assert_int_equal(smtp_client_deadline(c), USEC_NEVER);
	smtp_client_event(c, SMTP_EVENT_CONNECTED, NULL, 0);
	assert_int_equal(smtp_client_deadline(c), 300 * second);
	smtp_client_feed(c, span_text("220 mx\r\n"), second);
	assert_int_equal(smtp_client_deadline(c), 301 * second);
	smtp_client_sent(c, smtp_client_output(c).n, second);
	smtp_client_feed(c, span_text(ehlo), 2 * second);
	return c;
}

static void send_all(struct smtp_client *c, usec_t now)
{
	smtp_client_sent(c, smtp_client_output(c).n, now);
}

static const struct mail_address a_from = {.path = "a@b.example", .local = "a"};
static const struct mail_address a_to = {.path = "c@d.example", .local = "c"};

/* S23; a limit holds for a whole reply, not for each of its bytes. */
static void deadlines(void **state)
{
	struct smtp_mail m = {.from = &a_from, .to = &a_to, .n_to = 1, .size = 6};
	struct smtp_client *c = session(SMTP_TLS_NONE, "250 mx\r\n");

	(void)state;
	assert_int_equal(smtp_client_deadline(c), USEC_NEVER); /* idle */
	assert_int_equal(smtp_client_mail(c, &m, 10 * second), 0);
	assert_int_equal(smtp_client_deadline(c), 310 * second);
	send_all(c, 11 * second);
	smtp_client_feed(c, span_text("250-"), 20 * second);
	assert_int_equal(smtp_client_deadline(c), 310 * second);
	smtp_client_feed(c, span_text("x\r\n250 ok\r\n"), 100 * second);
	assert_int_equal(smtp_client_deadline(c), 400 * second); /* RCPT */
	send_all(c, 100 * second);
	smtp_client_feed(c, span_text("250 ok\r\n"), 200 * second);
	assert_int_equal(smtp_client_deadline(c), 320 * second); /* DATA */
	send_all(c, 200 * second);
	smtp_client_feed(c, span_text("354 go\r\n"), 300 * second);
	assert_int_equal(smtp_client_deadline(c), 480 * second); /* a block */
	smtp_client_body(c, span_text("a\r\n"), false, 301 * second);
	assert_int_equal(smtp_client_deadline(c), 481 * second);
	smtp_client_sent(c, 1, 400 * second); /* a byte is no block */
	assert_int_equal(smtp_client_deadline(c), 481 * second);
	smtp_client_body(c, span_text("b\r\n"), true, 410 * second);
	smtp_client_sent(c, smtp_client_output(c).n - 1, 420 * second);
	assert_int_equal(smtp_client_deadline(c), 590 * second);
	assert_int_equal(smtp_client_report(c).stage, SMTP_STAGE_BODY);
	send_all(c, 430 * second); /* the final dot is out */
	assert_int_equal(smtp_client_deadline(c), 1030 * second);
	assert_int_equal(smtp_client_report(c).stage, SMTP_STAGE_FINAL);
	smtp_client_feed(c, span_text("250 ok\r\n"), 500 * second);
	assert_int_equal(smtp_client_deadline(c), USEC_NEVER);
	smtp_client_quit(c, 500 * second);
	assert_int_equal(smtp_client_deadline(c), 510 * second);
	smtp_client_free(c);

	/* Pipelined: each reply has its own time, from when the one before it came. */
	c = session(SMTP_TLS_NONE, "250-mx\r\n250 PIPELINING\r\n");
	assert_int_equal(smtp_client_mail(c, &m, 10 * second), 0);
	send_all(c, 10 * second);
	smtp_client_feed(c, span_text("250 ok\r\n250 "), 20 * second);
	assert_int_equal(smtp_client_deadline(c), 320 * second); /* RCPT */
	smtp_client_feed(c, span_text("ok\r\n"), 30 * second);
	assert_int_equal(smtp_client_deadline(c), 150 * second); /* DATA */
	smtp_client_free(c);

	c = session(SMTP_TLS_REQUIRED, "250-mx\r\n250 STARTTLS\r\n");
	assert_int_equal(smtp_client_deadline(c), 122 * second);
	send_all(c, 2 * second);
	smtp_client_feed(c, span_text("220 go\r\n"), 3 * second);
	assert_int_equal(smtp_client_deadline(c), 123 * second);
	smtp_client_event(c, SMTP_EVENT_TLS_UP, NULL, 4 * second);
	assert_false(smtp_client_caps(c)->starttls);           /* S11: forgotten */
	assert_int_equal(smtp_client_deadline(c), USEC_NEVER); /* the driver's turn */
	smtp_client_event(c, SMTP_EVENT_ACCEPTED, NULL, 5 * second);
	assert_int_equal(smtp_client_deadline(c), 305 * second);
	smtp_client_free(c);
}

/* One octet of the end not yet written: then it cannot have been delivered. */
static void not_maybe_delivered(void **state)
{
	struct smtp_mail m = {.from = &a_from, .to = &a_to, .n_to = 1, .size = 3};

	(void)state;
	for (size_t kept = 0; kept < 2; kept++) {
		struct smtp_client *c = session(SMTP_TLS_NONE, "250 mx\r\n");

		assert_int_equal(smtp_client_mail(c, &m, 0), 0);
		send_all(c, 0);
		smtp_client_feed(c, span_text("250 ok\r\n"), 0);
		send_all(c, 0);
		smtp_client_feed(c, span_text("250 ok\r\n"), 0);
		send_all(c, 0);
		smtp_client_feed(c, span_text("354 ok\r\n"), 0);
		smtp_client_body(c, span_text("x\r\n"), true, 0);
		smtp_client_sent(c, smtp_client_output(c).n - kept, 0);
		smtp_client_event(c, SMTP_EVENT_EOF, NULL, 0);
		assert_int_equal(smtp_client_result(c)->maybe_delivered, kept == 0);
		assert_int_equal(smtp_client_result(c)->n_deferred, 1);
		smtp_client_free(c);
	}
}

/*
 * The most recipients that are taken, pipelined, each refused with the longest text: the window
 * stays bounded, and so does what is kept.
 */
static void many_recipients(void **state)
{
	struct mail_address *to = xcalloc(SMTP_RECIPIENTS_MAX + 1, sizeof(*to));
	struct smtp_mail m = {.from = &a_from, .to = to, .size = 3};
	struct smtp_client *c = session(SMTP_TLS_NONE, "250-mx\r\n250 PIPELINING\r\n");
	struct arena a = {0};
	char refusal[1024];
	size_t asked = 0, answered = 0;

	(void)state;
	for (size_t i = 0; i <= SMTP_RECIPIENTS_MAX; i++)
		to[i].path = arena_printf(&a, "user%zu@d.example", i);
	m.n_to = SMTP_RECIPIENTS_MAX + 1;
	assert_int_equal(smtp_client_mail(c, &m, 0), -E2BIG);
	m.n_to = SMTP_RECIPIENTS_MAX;
	assert_int_equal(smtp_client_mail(c, &m, 0), 0);
	assert_int_equal(smtp_client_mail(c, &m, 0), -EBUSY);
	memset(refusal, 'x', sizeof(refusal));
	snprintf(refusal, 20, "550 5.1.1");
	refusal[9] = ' ';
	memcpy(refusal + sizeof(refusal) - 3, "\r\n", 3);
	while (answered < SMTP_RECIPIENTS_MAX + 1) {
		struct span out = smtp_client_output(c);

		for (size_t i = 0; i < out.n; i++)
			asked += out.p[i] == '\n';
		assert_true(asked - answered <= SMTP_PIPELINE_MAX);
		send_all(c, 0);
		assert_true(asked > answered);
		/* Different texts, so that none can be shared. */
		refusal[10] = (char)('a' + answered % 26);
		smtp_client_feed(c, span_text(answered == 0 ? "250 ok\r\n" : refusal), 0);
		answered++;
	}
	/* The DATA that was in the last group. */
	assert_int_equal(asked, SMTP_RECIPIENTS_MAX + 2);
	smtp_client_feed(c, span_text("503 no\r\n"), 0);
	assert_int_equal(smtp_client_want(c), SMTP_WANT_MAIL);
	assert_int_equal(smtp_client_result(c)->n_failed, SMTP_RECIPIENTS_MAX);
	for (size_t i = 0; i < SMTP_RECIPIENTS_MAX; i++)
		assert_true(strlen(smtp_client_result(c)->recipients[i].answer.text) <=
			    SMTP_REPLY_TEXT_MAX);
	smtp_client_free(c);
	arena_done(&a);
	free(to);
}

/* A large body of nothing but dots, in the largest pieces; then a piece that is too large. */
static void large_body(void **state)
{
	static uint8_t piece[SMTP_BODY_PIECE_MAX / 3 * 3];
	struct smtp_mail m = {.from = &a_from, .to = &a_to, .n_to = 1, .size = 100 * sizeof(piece)};
	static uint8_t too_large[SMTP_BODY_PIECE_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(piece); i += 3)
		memcpy(piece + i, ".\r\n", 3);
	for (int large = 0; large < 2; large++) {
		struct smtp_client *c = session(SMTP_TLS_NONE, "250-mx\r\n250 PIPELINING\r\n");
		uint64_t sent = 0;

		assert_int_equal(smtp_client_mail(c, &m, 0), 0);
		send_all(c, 0);
		smtp_client_feed(c, span_text("250 ok\r\n250 ok\r\n354 ok\r\n"), 0);
		for (int i = 0; i < 100; i++) {
			assert_int_equal(smtp_client_want(c), SMTP_WANT_BODY);
			smtp_client_body(c, span_of(piece, sizeof(piece)), i == 99, 0);
			assert_true(smtp_client_output(c).n <= SMTP_OUTPUT_MAX);
			assert_int_equal(smtp_client_want(c), SMTP_WANT_IO);
			sent += smtp_client_output(c).n;
			send_all(c, 0);
			if (large == 1 && i == 50)
				break;
		}
		if (large == 0) {
			assert_int_equal(sent, 100 * sizeof(piece) / 3 * 4 + 3);
			assert_int_equal(smtp_client_report(c).stage, SMTP_STAGE_FINAL);
		}
		smtp_client_body(c, span_of(too_large, sizeof(too_large)), false, 0);
		assert_int_equal(smtp_client_report(c).end, SMTP_END_DRIVER);
		assert_int_equal(smtp_client_want(c), SMTP_WANT_CLOSE);
		smtp_client_free(c);
	}
}

/* Shorter or longer than announced: no final dot. */
static void the_announced_size(void **state)
{
	struct smtp_mail m = {.from = &a_from, .to = &a_to, .n_to = 1, .size = 4};

	(void)state;
	for (int chunking = 0; chunking < 2; chunking++) {
		for (int i = 0; i < 2; i++) {
			struct smtp_client *c =
				session(SMTP_TLS_NONE,
					chunking ? "250-mx\r\n250-CHUNKING\r\n250 PIPELINING\r\n"
						 : "250-mx\r\n250 PIPELINING\r\n");

			assert_int_equal(smtp_client_mail(c, &m, 0), 0);
			send_all(c, 0);
			smtp_client_feed(c, span_text("250 ok\r\n250 ok\r\n"), 0);
			if (chunking)
				send_all(c, 0);
			else
				smtp_client_feed(c, span_text("354 ok\r\n"), 0);
			smtp_client_body(c, span_text(i == 0 ? "x\r\n" : "xyz\r\n"), true, 0);
			assert_int_equal(smtp_client_want(c), SMTP_WANT_CLOSE);
			assert_int_equal(smtp_client_output(c).n, 0);
			assert_int_equal(smtp_client_report(c).end, SMTP_END_DRIVER);
			assert_int_equal(smtp_client_result(c)->n_deferred, 1);
			assert_false(smtp_client_result(c)->maybe_delivered);
			smtp_client_free(c);
		}
	}
}

/* A path that no parser made: nothing is said. */
static void an_unsafe_path_is_refused(void **state)
{
	struct mail_address bad = {.path = "a@b>\r\nDATA"}, null = {.path = ""};
	struct smtp_mail m = {.from = &bad, .to = &a_to, .n_to = 1, .size = 3};
	struct smtp_client *c = session(SMTP_TLS_NONE, "250 mx\r\n");

	(void)state;
	assert_int_equal(smtp_client_mail(c, &m, 0), -EINVAL);
	m.from = &a_from;
	m.to = &bad;
	assert_int_equal(smtp_client_mail(c, &m, 0), -EINVAL);
	m.to = &null;
	assert_int_equal(smtp_client_mail(c, &m, 0), -EINVAL);
	m.n_to = 0;
	assert_int_equal(smtp_client_mail(c, &m, 0), -EINVAL);
	assert_int_equal(smtp_client_output(c).n, 0);
	assert_null(smtp_client_result(c));
	smtp_client_free(c);
}

static void an_endless_reply_ends_the_session(void **state)
{
	struct smtp_client *c = session(SMTP_TLS_REQUIRED, "250-mx\r\n");
	int lines = 1;

	(void)state;
	while (smtp_client_want(c) == SMTP_WANT_IO && lines < 1000) {
		smtp_client_feed(c, span_text("250-STARTTLS\r\n"), 0);
		lines++;
	}
	assert_int_equal(lines, SMTP_REPLY_LINES_MAX);
	assert_int_equal(smtp_client_report(c).end, SMTP_END_PROTOCOL);
	assert_string_equal(smtp_client_report(c).text, "a reply of too many lines");
	assert_int_equal(smtp_client_output(c).n, 0);
	smtp_client_free(c);
}

static void reports(void **state)
{
	struct smtp_client *c = session(SMTP_TLS_OPPORTUNISTIC, "250-mx\r\n250 STARTTLS\r\n");
	struct smtp_report r;

	(void)state;
	assert_true(smtp_client_caps(c)->starttls);
	send_all(c, 0);
	smtp_client_feed(c, span_text("454 4.7.0 no certificate\r\n"), 0);
	r = smtp_client_report(c);
	assert_int_equal(r.end, SMTP_END_NOT_YET);
	assert_int_equal(r.stage, SMTP_STAGE_IDLE);
	assert_int_equal(r.starttls, SMTP_STARTTLS_REFUSED);
	assert_int_equal(r.starttls_reply.code, 454);
	assert_int_equal(r.starttls_reply.status.subject, 7);
	assert_string_equal(r.starttls_reply.text, "454 4.7.0 no certificate");
	assert_false(smtp_client_tls_active(c));
	smtp_client_event(c, SMTP_EVENT_IO_ERROR, "reset by peer", 0);
	r = smtp_client_report(c);
	assert_string_equal(r.text, "reset by peer");
	assert_string_equal(r.starttls_reply.text, "454 4.7.0 no certificate");
	smtp_client_free(c);

	c = session(SMTP_TLS_OPPORTUNISTIC, "250-mx\r\n250 STARTTLS\r\n");
	send_all(c, 0);
	smtp_client_feed(c, span_text("220 go\r\n"), 0);
	assert_int_equal(smtp_client_report(c).starttls, SMTP_STARTTLS_STARTED);
	smtp_client_event(c, SMTP_EVENT_TLS_UP, NULL, 0);
	assert_true(smtp_client_tls_active(c));
	assert_false(smtp_client_caps(c)->esmtp); /* S11: forgotten */
	assert_int_equal(smtp_client_report(c).starttls, SMTP_STARTTLS_DONE);
	smtp_client_free(c);
	smtp_client_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dialogues_whole),
		cmocka_unit_test(dialogues_cut_at_every_byte),
		cmocka_unit_test(dialogues_lost_at_every_byte_and_step),
		cmocka_unit_test(deadlines),
		cmocka_unit_test(not_maybe_delivered),
		cmocka_unit_test(many_recipients),
		cmocka_unit_test(large_body),
		cmocka_unit_test(the_announced_size),
		cmocka_unit_test(an_unsafe_path_is_refused),
		cmocka_unit_test(an_endless_reply_ends_the_session),
		cmocka_unit_test(reports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
