#include "core/mail/dsn.h"

#include <errno.h>

#include "base/hex.h"
#include "base/text.h"
#include "base/utf8.h"
#include "core/mail/date.h"

enum {
	LINE = 76,      /* octets at which text is wrapped */
	WORD_MAX = 200, /* octets; a longer word is cut in pieces */
	HOST_MAX = 300,
	STATUS_MAX = 16,
	ASCII_MAX = 900, /* octets of an address in utf-8-addr-xtext */
};

enum {
	STEP_HEADER,
	STEP_PEOPLE, /* the text: one recipient a piece */
	STEP_REPORT, /* its end, and the fields of the message */
	STEP_FIELDS, /* one recipient a piece */
	STEP_ORIGINAL,
	STEP_END,
};

#define BOUNDARY "=_daneway_"

static bool is_ascii(const char *s)
{
	for (; *s != '\0'; s++)
		if ((uint8_t)*s >= 0x80)
			return false;
	return true;
}

/* Something in the text for people is not ASCII. */
static bool text_is_utf8(const struct mail_dsn *d)
{
	for (size_t i = 0; i < d->n_recipients; i++)
		if (!is_ascii(d->recipients[i].path))
			return true;
	return mail_dsn_is_smtputf8(d);
}

bool mail_dsn_is_smtputf8(const struct mail_dsn *d)
{
	return !is_ascii(d->to);
}

bool mail_dsn_is_8bit(const struct mail_dsn *d)
{
	return (d->original != MAIL_DSN_NOTHING && d->original_8bit) || text_is_utf8(d);
}

/* --- writing --------------------------------------------------------------------------------- */

static void put_octets(struct mail_dsn_writer *w, const void *p, size_t n)
{
	if (w->error == 0)
		w->error = buf_add(w->out, p, n);
}

static void put(struct mail_dsn_writer *w, const char *text)
{
	put_octets(w, text, strlen(text));
}

_printf_(2, 3) static void put_format(struct mail_dsn_writer *w, const char *format, ...)
{
	char text[2048];
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	require(n >= 0 && (size_t)n < sizeof(text)); /* all that goes in is cut before */
	put_octets(w, text, (size_t)n);
}

/*
 * What a peer wrote, fit to be shown: at most `max` octets, characters only (a '?' for others),
 * ASCII only unless `utf8`. A line end is a space here: it ends no line of ours.
 */
static const char *shown(struct mail_dsn_writer *w, const char *text, size_t max, bool utf8)
{
	struct span rest = span_of(text, strnlen(text, max)), one;
	char *out = arena_alloc(&w->arena, rest.n + 1), *at = out;

	while (rest.n > 0) {
		bool blank = rest.p[0] == '\r' || rest.p[0] == '\n' || rest.p[0] == '\t';
		bool plain = text_take_plain(&rest, &one);

		if (blank) {
			*at++ = ' ';
		} else if (plain && (utf8 || one.n == 1)) {
			memcpy(at, one.p, one.n);
			at += one.n;
		} else {
			*at++ = '?';
		}
	}
	*at = '\0';
	return out;
}

/* The next word of `*rest`, or a piece of a long one, not cut inside a character. */
static struct span take_word(struct span *rest)
{
	struct span word;
	size_t n = 0;

	while (rest->n > 0 && rest->p[0] == ' ')
		*rest = span_skip(*rest, 1);
	while (n < rest->n && rest->p[n] != ' ' && n < WORD_MAX)
		n++;
	while (n > 1 && n < rest->n && (rest->p[n] & 0xc0) == 0x80)
		n--;
	word = span_of(rest->p, n);
	*rest = span_skip(*rest, n);
	return word;
}

/* Words, wrapped; `column` octets of the line are written. Ends it. */
static void put_words(struct mail_dsn_writer *w, size_t column, const char *text,
		      const char *indent)
{
	struct span rest = span_text(text), word = take_word(&rest);
	bool first = true;

	for (; word.n > 0; word = take_word(&rest), first = false) {
		if (!first && column + 1 + word.n > LINE) {
			put(w, "\r\n");
			put(w, indent);
			column = strlen(indent);
		} else if (!first) {
			put(w, " ");
			column++;
		}
		put_octets(w, word.p, word.n);
		column += word.n;
	}
	put(w, "\r\n");
}

/* A field whose text may be folded (RFC 5322 section 2.2.3). */
static void put_field(struct mail_dsn_writer *w, const char *name, const char *text)
{
	put_format(w, "%s: ", name);
	put_words(w, strlen(name) + 2, text, " ");
}

static void put_date(struct mail_dsn_writer *w, const char *name, usec_t when)
{
	char date[MAIL_DATE_MAX];

	put_format(w, "%s: %s\r\n", name, mail_date(when, date));
}

static void put_boundary(struct mail_dsn_writer *w, const struct mail_dsn *d)
{
	put(w, BOUNDARY);
	put(w, hex_encode(&w->arena, span_of(d->random, sizeof(d->random))));
}

static void put_part(struct mail_dsn_writer *w, const struct mail_dsn *d, const char *type,
		     bool eightbit)
{
	put(w, "\r\n--");
	put_boundary(w, d);
	put_format(w, "\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n", type,
		   eightbit ? "8bit" : "7bit");
}

/* --- the header ------------------------------------------------------------------------------ */

static enum mail_dsn_action worst(const struct mail_dsn *d)
{
	enum mail_dsn_action a = MAIL_DSN_RELAYED;

	for (size_t i = 0; i < d->n_recipients; i++)
		if (d->recipients[i].action < a)
			a = d->recipients[i].action;
	return a;
}

static void put_header(struct mail_dsn_writer *w, const struct mail_dsn *d)
{
	static const char *const subjects[] = {
		[MAIL_DSN_FAILED] = "Undelivered mail returned to sender",
		[MAIL_DSN_DELAYED] = "Mail delayed, still being tried",
		[MAIL_DSN_DELIVERED] = "Mail delivered",
		[MAIL_DSN_RELAYED] = "Mail relayed",
	};
	char date[MAIL_DATE_MAX];

	put_format(w, "From: Mail Delivery System <%s>\r\n",
		   shown(w, d->postmaster, MAIL_PATH_MAX, false));
	put_format(w, "To: <%s>\r\n", shown(w, d->to, MAIL_PATH_MAX, true));
	put_format(w, "Subject: %s\r\n", subjects[worst(d)]);
	put_date(w, "Date", d->now);
	put_format(w, "Message-ID: <%s@%s>\r\n", shown(w, d->id, HOST_MAX, false),
		   shown(w, d->hostname, HOST_MAX, false));
	put(w, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"); /* RFC 3834 section 5 */
	/* The subtype of the second part: RFC 6522 section 3. */
	put_format(w, "Content-Type: multipart/report; report-type=%s;\r\n\tboundary=\"",
		   mail_dsn_is_smtputf8(d) ? "global-delivery-status" : "delivery-status");
	put_boundary(w, d);
	put_format(w, "\"\r\nContent-Transfer-Encoding: %s\r\n\r\n",
		   mail_dsn_is_8bit(d) ? "8bit" : "7bit");
	put(w, "This is a MIME-encapsulated message.\r\n");
	put_part(w, d, "text/plain; charset=utf-8", w->utf8);
	put_format(w, "This is the mail server at %s.\r\n", shown(w, d->hostname, HOST_MAX, false));
	put_format(w, "A message with your address as its sender came here on\r\n%s.\r\n\r\n",
		   mail_date(d->arrived, date));
}

/* --- for people ------------------------------------------------------------------------------ */

static void put_heading(struct mail_dsn_writer *w, const struct mail_dsn *d,
			enum mail_dsn_action action)
{
	char date[MAIL_DATE_MAX];

	switch (action) {
	case MAIL_DSN_FAILED:
		put(w, "The message could NOT be delivered to:\r\n");
		break;
	case MAIL_DSN_DELAYED:
		put_format(
			w,
			"The message has not yet been delivered to the addresses below. It is\r\n"
			"tried again until %s. You need not send it\r\n"
			"once more.\r\n",
			mail_date(d->retry_until, date));
		break;
	case MAIL_DSN_DELIVERED:
		put(w, "The message was delivered to:\r\n");
		break;
	case MAIL_DSN_RELAYED:
		put(w, "The message was handed to the next mail server, which does not confirm\r\n"
		       "deliveries, for:\r\n");
		break;
	}
}

static const char *status_of(const struct mail_dsn_recipient *r, char ret[STATUS_MAX])
{
	static const char *const classes[] = {[MAIL_DSN_FAILED] = "54",
					      [MAIL_DSN_DELAYED] = "4",
					      [MAIL_DSN_DELIVERED] = "2",
					      [MAIL_DSN_RELAYED] = "2"};
	const char *fitting = classes[r->action], *at = r->status;
	size_t n = 0;

	snprintf(ret, STATUS_MAX, "%c.0.0", fitting[0]);
	if (at == NULL || at[0] == '\0' || strchr(fitting, at[0]) == NULL)
		return ret;
	/* RFC 3464 section 2.3.4: DIGIT "." 1*3DIGIT "." 1*3DIGIT, no leading zero */
	for (at++; n < 2 && *at == '.'; n++) {
		size_t digits = strspn(at + 1, "0123456789");

		if (digits == 0 || digits > 3 || (digits > 1 && at[1] == '0'))
			return ret;
		at += 1 + digits;
	}
	if (n == 2 && *at == '\0')
		snprintf(ret, STATUS_MAX, "%s", r->status);
	return ret;
}

static void put_paragraph(struct mail_dsn_writer *w, const char *title, const char *text)
{
	const char *whole = arena_printf(&w->arena, "%s%s", title, text);

	put(w, "    ");
	put_words(w, 4, whole, "    ");
}

static void put_reasons(struct mail_dsn_writer *w, const struct mail_dsn_recipient *r)
{
	char status[STATUS_MAX];
	const struct mail_dsn_words *words = mail_dsn_words(status_of(r, status));
	const char *title = "The server answered: ";

	if (words != NULL)
		put_paragraph(w, "", words->why);
	if (words != NULL && words->mend != NULL)
		put_paragraph(w, "What to do: ", words->mend);
	if (r->remote != NULL)
		title = arena_printf(&w->arena, "The server %s answered: ",
				     shown(w, r->remote, HOST_MAX, false));
	if (r->reply != NULL)
		put_paragraph(w, title, shown(w, r->reply, MAIL_DSN_TEXT_MAX, w->utf8));
	/* Most often it has the reply in it, and says no more that the sender could use. */
	if (r->detail != NULL && (r->reply == NULL || strstr(r->detail, r->reply) == NULL))
		put_paragraph(w, "In detail: ", shown(w, r->detail, MAIL_DSN_TEXT_MAX, w->utf8));
	put_paragraph(w, "Status: ", status);
	put(w, "\r\n");
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_reasons(const struct mail_dsn_recipient *a, const struct mail_dsn_recipient *b)
{
	return a->action == b->action && same_text(a->status, b->status) &&
	       same_text(a->reply, b->reply) && same_text(a->detail, b->detail) &&
	       same_text(a->remote, b->remote);
}

/* The next of this action from `i` on; n_recipients if there is none. */
static size_t next_of(const struct mail_dsn *d, size_t i, unsigned action)
{
	while (i < d->n_recipients && (unsigned)d->recipients[i].action != action)
		i++;
	return i;
}

/* One recipient; the reasons behind the last of those that share them. */
static void put_person(struct mail_dsn_writer *w, const struct mail_dsn *d)
{
	bool first = false;
	size_t next;

	while (w->action <= MAIL_DSN_RELAYED) {
		first = w->i == 0;
		w->i = next_of(d, w->i, w->action);
		if (w->i < d->n_recipients)
			break;
		w->action++;
		w->i = 0;
	}
	if (w->action > MAIL_DSN_RELAYED) {
		w->step = STEP_REPORT;
		return;
	}
	if (first) {
		put_heading(w, d, (enum mail_dsn_action)w->action);
		put(w, "\r\n");
	}
	put_format(w, "  <%s>\r\n", shown(w, d->recipients[w->i].path, MAIL_PATH_MAX, true));
	next = next_of(d, w->i + 1, w->action);
	if (next == d->n_recipients || !same_reasons(&d->recipients[w->i], &d->recipients[next]))
		put_reasons(w, &d->recipients[w->i]);
	w->i++;
}

static void put_end_of_text(struct mail_dsn_writer *w, const struct mail_dsn *d)
{
	switch (d->original) {
	case MAIL_DSN_NOTHING:
		put(w, "The message itself cannot be read any more.\r\n");
		break;
	case MAIL_DSN_HEADER:
		put(w, d->too_large ? "The message is too large to be sent back; its header "
				      "follows.\r\n"
				    : "The header of the message follows.\r\n");
		break;
	case MAIL_DSN_FULL:
		put(w, "The message follows.\r\n");
		break;
	}
}

/* --- for programs ---------------------------------------------------------------------------- */

static void put_report(struct mail_dsn_writer *w, const struct mail_dsn *d)
{
	bool global = mail_dsn_is_smtputf8(d);

	put_end_of_text(w, d);
	put_part(w, d, global ? "message/global-delivery-status" : "message/delivery-status",
		 global);
	put_format(w, "Reporting-MTA: dns; %s\r\n", shown(w, d->hostname, HOST_MAX, false));
	if (d->envid != NULL && strlen(d->envid) <= MAIL_ENVID_MAX) {
		struct span envid = mail_xtext_decode(&w->arena, span_text(d->envid));

		put_format(w, "Original-Envelope-Id: %.*s\r\n", (int)envid.n,
			   (const char *)envid.p);
	}
	put_date(w, "Arrival-Date", d->arrived);
	if (d->original_id != NULL)
		put_format(w, "X-Daneway-Id: %s\r\n", shown(w, d->original_id, HOST_MAX, false));
	w->i = 0;
}

static void put_original_recipient(struct mail_dsn_writer *w, const char *orcpt)
{
	struct span all = span_text(orcpt), type, address;

	if (!mail_orcpt_is_valid(all))
		return;
	type = span_of(all.p, (size_t)(strchr(orcpt, ';') - orcpt));
	address = span_skip(all, type.n + 1);
	/* RFC 6533 section 3: of this type it is no xtext, and stands here as it came. */
	if (!span_is_nocase(type, "utf-8"))
		address = mail_xtext_decode(&w->arena, address);
	put_format(w, "Original-Recipient: %.*s; %.*s\r\n", (int)type.n, (const char *)type.p,
		   (int)address.n, (const char *)address.p);
}

/* RFC 6533 section 3, utf-8-addr-xtext: an address in ASCII. */
static const char *in_ascii(struct mail_dsn_writer *w, const char *path)
{
	struct buf b;
	struct span rest = span_text(path), one;
	const char *text;

	buf_init(&b, ASCII_MAX);
	while (rest.n > 0 && b.n + 10 <= ASCII_MAX) {
		bool plain = text_take_plain(&rest, &one);
		uint32_t c = '?';

		if (plain)
			utf8_decode(one, &c);
		if (plain && (c >= 0x80 || c == ' ' || c == '\\' || c == '+' || c == '='))
			require(buf_printf(&b, "\\x{%X}", (unsigned)c) == 0);
		else
			require(buf_printf(&b, "%c", (char)c) == 0);
	}
	text = arena_text(&w->arena, buf_span(&b));
	buf_done(&b);
	return text;
}

static void put_final_recipient(struct mail_dsn_writer *w, const struct mail_dsn *d,
				const char *path)
{
	const char *text = shown(w, path, MAIL_PATH_MAX, true);

	if (is_ascii(text))
		put_format(w, "Final-Recipient: rfc822; %s\r\n", text);
	else
		put_format(w, "Final-Recipient: utf-8; %s\r\n",
			   mail_dsn_is_smtputf8(d) ? text : in_ascii(w, text));
}

static void put_diagnostic(struct mail_dsn_writer *w, const struct mail_dsn_recipient *r)
{
	const char *text = r->reply != NULL ? r->reply : r->detail;

	if (text != NULL)
		put_field(w, "Diagnostic-Code",
			  arena_printf(&w->arena, "%s; %s", r->reply != NULL ? "smtp" : "x-daneway",
				       shown(w, text, MAIL_DSN_TEXT_MAX, false)));
}

static void put_fields(struct mail_dsn_writer *w, const struct mail_dsn *d)
{
	static const char *const actions[] = {[MAIL_DSN_FAILED] = "failed",
					      [MAIL_DSN_DELAYED] = "delayed",
					      [MAIL_DSN_DELIVERED] = "delivered",
					      [MAIL_DSN_RELAYED] = "relayed"};
	const struct mail_dsn_recipient *r = &d->recipients[w->i++];
	char status[STATUS_MAX];

	put(w, "\r\n");
	if (r->orcpt != NULL)
		put_original_recipient(w, r->orcpt);
	put_final_recipient(w, d, r->path);
	put_format(w, "Action: %s\r\nStatus: %s\r\n", actions[r->action], status_of(r, status));
	if (r->remote != NULL)
		put_format(w, "Remote-MTA: dns; %s\r\n", shown(w, r->remote, HOST_MAX, false));
	put_diagnostic(w, r);
	if (d->last_attempt > 0)
		put_date(w, "Last-Attempt-Date", d->last_attempt);
	if (r->action == MAIL_DSN_DELAYED)
		put_date(w, "Will-Retry-Until", d->retry_until);
}

static void put_original(struct mail_dsn_writer *w, const struct mail_dsn *d)
{
	switch (d->original) {
	case MAIL_DSN_NOTHING:
		break;
	case MAIL_DSN_HEADER:
		put_part(w, d, d->original_utf8 ? "message/global-headers" : "text/rfc822-headers",
			 d->original_8bit);
		break;
	case MAIL_DSN_FULL:
		put_part(w, d, d->original_utf8 ? "message/global" : "message/rfc822",
			 d->original_8bit);
		break;
	}
}

/* --- the writer ------------------------------------------------------------------------------ */

void mail_dsn_begin(struct mail_dsn_writer *w, const struct mail_dsn *d)
{
	require(d->n_recipients > 0 && d->to[0] != '\0');
	*w = (struct mail_dsn_writer){.dsn = d, .utf8 = text_is_utf8(d)};
}

int mail_dsn_next(struct mail_dsn_writer *w, struct buf *out)
{
	const struct mail_dsn *d = w->dsn;

	w->out = out;
	switch (w->step) {
	case STEP_HEADER:
		put_header(w, d);
		w->step = STEP_PEOPLE;
		break;
	case STEP_PEOPLE:
		put_person(w, d);
		break;
	case STEP_REPORT:
		put_report(w, d);
		w->step = STEP_FIELDS;
		break;
	case STEP_FIELDS:
		put_fields(w, d);
		if (w->i == d->n_recipients)
			w->step = STEP_ORIGINAL;
		break;
	case STEP_ORIGINAL:
		put_original(w, d);
		w->step = STEP_END;
		break;
	}
	arena_done(&w->arena);
	w->arena = (struct arena){0};
	return w->error < 0 ? w->error : w->step != STEP_END;
}

int mail_dsn_tail(const struct mail_dsn *d, struct buf *out)
{
	struct mail_dsn_writer w = {.dsn = d, .out = out};

	put(&w, "\r\n--");
	put_boundary(&w, d);
	put(&w, "--\r\n");
	arena_done(&w.arena);
	return w.error;
}
