#include "core/smtp/server_machine.h"

#include <stdio.h>

/*
 * A message's text. The caller gets spans of its own buffer, cut only where a stuffed dot stands
 * (RFC 5321 section 4.5.2). What has not the form of lines (section 2.3.8, matrix S22) spoils the
 * message, but not the search for its end: only CRLF "." CRLF is one.
 */

static const struct smtp_server_refusal bad_line_ends = {
	550, {5, 6, 0}, "bare CR, bare LF or NUL in the message"};
static const struct smtp_server_refusal too_large = {
	552, {5, 3, 4}, "message larger than the limit"};

enum {
	DISCARD_MIN = 1 << 20
};

/* What is read, at most, of a message that is refused already. */
static uint64_t discard_limit(const struct smtp_server *s)
{
	uint64_t max = s->options.size_max;

	return max > UINT64_MAX / 2 - DISCARD_MIN ? UINT64_MAX : 2 * max + DISCARD_MIN;
}

void smtp_server_refuse_tx(struct smtp_server *s, const struct smtp_server_refusal *r, bool told)
{
	struct smtp_server_tx *tx = s->tx;

	if (tx->refusal.code != 0)
		return;
	tx->refusal = *r;
	if (tx->begun && !told)
		smtp_server_tell(s, SMTP_SERVER_RESET);
}

/* What a piece was found to be. */
struct piece {
	size_t taken; /* octets of it, all but the last kept dot and the end handed out */
	struct span text;
	bool spoiled;
	bool end; /* CRLF "." CRLF */
};

/*
 * The quick way over whole lines: `at` stands at the start of a line or inside one, and so it
 * does at the end. Stops at a dot that begins a line (if `dots`), at a line that is not whole, and
 * at what is spoiled. NUL is looked for by the caller.
 */
static size_t whole_lines(const uint8_t *p, size_t n, bool at_start, bool dots)
{
	size_t at = 0;

	while (at < n && !(dots && at_start && p[at] == '.')) {
		const uint8_t *lf = memchr(p + at, '\n', n - at);
		size_t end;

		if (lf == NULL)
			break;
		end = (size_t)(lf - p);
		if (end == at || p[end - 1] != '\r' || memchr(p + at, '\r', end - 1 - at) != NULL)
			break;
		at = end + 1;
		at_start = true;
	}
	return at;
}

/* One octet at a time. `*ret_out`: it belongs to the message. */
static enum smtp_server_text step(enum smtp_server_text t, uint8_t c, bool dots, struct piece *r,
				  bool *ret_out)
{
	bool after_cr = t == TEXT_AFTER_CR || t == TEXT_DOT_CR;

	*ret_out = true;
	if (c == '\0' || (c == '\n') != after_cr)
		r->spoiled = true;
	if (t == TEXT_DOT_CR && c == '\n') {
		*ret_out = false;
		r->end = true;
		return TEXT_LINE_START;
	}
	if (c == '\n')
		return after_cr ? TEXT_LINE_START : TEXT_IN_LINE;
	if (c == '\r') {
		*ret_out = t != TEXT_DOT;
		return t == TEXT_DOT ? TEXT_DOT_CR : TEXT_AFTER_CR;
	}
	if (dots && t == TEXT_LINE_START && c == '.') {
		*ret_out = false;
		return TEXT_DOT;
	}
	return TEXT_IN_LINE;
}

/* The next stretch of text in `in`, at most up to an octet that is not handed out. */
static struct piece take(enum smtp_server_text *text, struct span in, bool dots)
{
	struct piece r = {.text = span_of(in.p, 0)};
	bool out;

	while (r.taken < in.n && !r.spoiled && !r.end) {
		bool start = *text == TEXT_LINE_START;

		if (start || *text == TEXT_IN_LINE) {
			size_t n = whole_lines(in.p + r.taken, in.n - r.taken, start, dots);

			if (n > 0) {
				if (r.text.n == 0)
					r.text.p = in.p + r.taken;
				r.taken += n;
				r.text.n += n;
				*text = TEXT_LINE_START;
				continue;
			}
		}
		if (*text == TEXT_IN_LINE) { /* up to the next octet that matters */
			const uint8_t *p = in.p + r.taken;
			const uint8_t *cr = memchr(p, '\r', in.n - r.taken);
			size_t n = cr == NULL ? in.n - r.taken : (size_t)(cr - p);
			const uint8_t *lf = memchr(p, '\n', n);

			if (lf != NULL)
				n = (size_t)(lf - p);
			if (n > 0) {
				if (r.text.n == 0)
					r.text.p = p;
				r.taken += n;
				r.text.n += n;
				continue;
			}
		}
		*text = step(*text, in.p[r.taken], dots, &r, &out);
		if (out) {
			if (r.text.n == 0)
				r.text.p = in.p + r.taken;
			r.text.n++;
		}
		r.taken++;
		if (!out && r.text.n > 0)
			break;
	}
	if (r.text.n > 0 && memchr(r.text.p, '\0', r.text.n) != NULL)
		r.spoiled = true;
	return r;
}

static void answer_refused(struct smtp_server *s)
{
	struct smtp_server_refusal r = s->tx->refusal;
	bool distrusted = s->tx->distrusted;

	smtp_server_drop_tx(s);
	smtp_server_say_refusal(s, &r);
	/* CR CRLF "." CRLF holds a true end that some senders do not see: no command behind it. */
	if (distrusted)
		smtp_server_close(s, SMTP_SERVER_END_LINE_ENDS, 0, "", "");
}

static void end_of_message(struct smtp_server *s)
{
	smtp_server_move(s, SERVER_COMMAND);
	if (s->tx->refusal.code != 0)
		answer_refused(s);
	else
		smtp_server_ask(s, SMTP_SERVER_END);
}

/* Counts and judges what was taken; false: the session is over. */
static bool judge(struct smtp_server *s, const struct piece *r)
{
	struct smtp_server_tx *tx = s->tx;

	tx->wire += r->taken;
	tx->octets += r->text.n; /* as RFC 1870 section 5 counts: no stuffed dot, no end */
	if (r->spoiled) {
		tx->distrusted |= s->state == SERVER_DATA;
		smtp_server_refuse_tx(s, &bad_line_ends, false);
	}
	if (tx->octets > s->options.size_max)
		smtp_server_refuse_tx(s, &too_large, false);
	/* A refused message is read to its end, but not for ever. */
	if (tx->refusal.code != 0 && !r->end && tx->wire > discard_limit(s)) {
		smtp_server_close(s, SMTP_SERVER_END_ENDLESS, 421, "4.7.0",
				  "the message was refused and does not end");
		return false;
	}
	return true;
}

static void hand_out(struct smtp_server *s, struct span text)
{
	if (text.n == 0 || s->tx->refusal.code != 0 || s->event.kind != SMTP_SERVER_NEEDS_INPUT)
		return;
	smtp_server_tell(s, SMTP_SERVER_DATA);
	s->event.data = text;
}

/* Of a message that is refused: its end alone matters. Linear, whatever stands in it. */
static struct piece skip(enum smtp_server_text *text, struct span in, bool dots)
{
	struct piece r = {.text = span_of(in.p, 0)};
	bool out;

	while (r.taken < in.n && !r.end) {
		if (*text == TEXT_IN_LINE) {
			const uint8_t *p = in.p + r.taken;
			const uint8_t *cr = memchr(p, '\r', in.n - r.taken);

			r.taken += cr == NULL ? in.n - r.taken : (size_t)(cr - p);
			if (cr == NULL)
				break;
		}
		*text = step(*text, in.p[r.taken], dots, &r, &out);
		r.taken++;
	}
	return r;
}

static void data_text(struct smtp_server *s, struct span *in)
{
	bool refused = s->tx->refusal.code != 0;
	struct piece r = refused ? skip(&s->tx->text, *in, true) : take(&s->tx->text, *in, true);

	*in = span_skip(*in, r.taken);
	if (!judge(s, &r))
		return;
	if (r.end) {
		require(r.text.n == 0 && s->event.kind == SMTP_SERVER_NEEDS_INPUT);
		end_of_message(s);
		return;
	}
	hand_out(s, r.text);
}

static void chunk_is_taken(struct smtp_server *s)
{
	struct smtp_server_tx *tx = s->tx;
	char text[64];

	smtp_server_move(s, SERVER_COMMAND);
	if (s->chunk_stray && s->failed.code != 0) {
		struct smtp_server_refusal r = s->failed;
		char status[24];

		snprintf(status, sizeof(status), "%u.%u.%u", r.status.class, r.status.subject,
			 r.status.detail);
		smtp_server_say(s, r.code, status, r.text); /* one error, counted already */
		if (s->chunk_last)
			s->failed.code = 0;
	} else if (s->chunk_stray) {
		smtp_server_reject(s, 503, "5.5.1", "BDAT without an accepted recipient");
	} else if (s->chunk_last) {
		end_of_message(s);
	} else if (tx->refusal.code != 0) {
		s->failed = tx->refusal;
		s->failed_octets = tx->wire;
		answer_refused(s);
	} else {
		snprintf(text, sizeof(text), "%llu octets", (unsigned long long)s->chunk_size);
		smtp_server_say(s, 250, "2.0.0", text);
	}
}

/* The end of a BDAT's octets: what BDAT LAST must still bring about, one thing a call. */
static void chunk_end(struct smtp_server *s)
{
	struct smtp_server_tx *tx = s->chunk_stray ? NULL : s->tx;

	if (tx != NULL && s->chunk_last && tx->refusal.code == 0) {
		if (tx->text == TEXT_AFTER_CR) {
			smtp_server_refuse_tx(s, &bad_line_ends, false);
			return;
		}
		if (tx->text == TEXT_IN_LINE) { /* docs/decisions/0004 */
			tx->text = TEXT_LINE_START;
			hand_out(s, span_of("\r\n", 2));
			return;
		}
	}
	chunk_is_taken(s);
}

static void chunk_text(struct smtp_server *s, struct span *in)
{
	struct span part = *in;
	struct piece r = {0};

	if (s->chunk_left == 0) {
		chunk_end(s);
		return;
	}
	if (part.n > s->chunk_left)
		part.n = (size_t)s->chunk_left;
	if (part.n == 0)
		return;
	if (s->chunk_stray || s->tx->refusal.code != 0)
		r.taken = part.n;
	else
		r = take(&s->tx->text, part, false);
	*in = span_skip(*in, r.taken);
	s->chunk_left -= r.taken;
	if (!s->chunk_stray && judge(s, &r))
		hand_out(s, r.text);
}

void smtp_server_text(struct smtp_server *s, struct span *in)
{
	if (s->state == SERVER_CHUNK)
		chunk_text(s, in);
	else if (in->n > 0)
		data_text(s, in);
}

/* --- the commands ---------------------------------------------------------------------------- */

void smtp_server_data_command(struct smtp_server *s)
{
	if (s->tx == NULL || s->tx->chunking) { /* RFC 3030 section 2: not both */
		s->sync = true;
		smtp_server_reject(s, 503, "5.5.1", "MAIL first");
	} else if (s->tx->n_recipients == 0) { /* RFC 2920 section 3.1 */
		s->sync = true;
		smtp_server_reject(s, 554, "5.5.1", "no valid recipients");
	} else {
		smtp_server_ask(s, SMTP_SERVER_BEGIN);
	}
}

static bool chunk_argument(struct span rest, uint64_t *ret_size, bool *ret_last)
{
	struct span word;
	uint64_t size = 0;

	if (!smtp_server_take_word(&rest, &word) || word.n > 18)
		return false;
	for (size_t i = 0; i < word.n; i++) {
		if (word.p[i] < '0' || word.p[i] > '9')
			return false;
		size = size * 10 + (word.p[i] - '0');
	}
	*ret_size = size;
	*ret_last = smtp_server_take_word(&rest, &word);
	return !*ret_last || (span_is_nocase(word, "LAST") && !smtp_server_take_word(&rest, &word));
}

void smtp_server_lost_chunk(struct smtp_server *s)
{
	smtp_server_close(s, SMTP_SERVER_END_CHUNK_SYNTAX, 501, "5.5.4",
			  "BDAT size [LAST]; closing, for the size is unknown");
}

/*
 * A chunk that no transaction takes. Behind one that failed some more may be on their way, and the
 * client must not read another answer from theirs (RFC 3030 section 2): they share its limit.
 */
static bool may_discard(struct smtp_server *s)
{
	uint64_t before = s->failed.code != 0 ? s->failed_octets : 0;

	if (before > discard_limit(s) || s->chunk_size > discard_limit(s) - before) {
		smtp_server_close(s, SMTP_SERVER_END_ENDLESS, 421, "4.7.0",
				  "more chunks than are discarded");
		return false;
	}
	s->failed_octets = before + s->chunk_size;
	return true;
}

/* The octets follow at once, whatever the answer is: they are taken in any case. */
void smtp_server_bdat_command(struct smtp_server *s, struct span rest)
{
	if (!chunk_argument(rest, &s->chunk_size, &s->chunk_last)) {
		smtp_server_lost_chunk(s);
		return;
	}
	s->chunk_left = s->chunk_size;
	s->chunk_stray = s->tx == NULL || s->tx->n_recipients == 0;
	if (s->chunk_stray && !may_discard(s))
		return;
	smtp_server_move(s, SERVER_CHUNK);
	if (s->chunk_stray || s->tx->chunking)
		return;
	s->tx->chunking = true;
	smtp_server_ask(s, SMTP_SERVER_BEGIN);
}

void smtp_server_begin(struct smtp_server *s)
{
	s->tx->begun = true;
	if (s->tx->chunking)
		return;
	smtp_server_say(s, 354, "", "end with CRLF.CRLF");
	smtp_server_move(s, SERVER_DATA);
}
