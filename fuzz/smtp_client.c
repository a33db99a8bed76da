/*
 * The whole client machine against any server, any order of events and any cuts. The input is a
 * script: its first octets choose the policy and the message, then each step is an octet
 * that says what happens, with what it needs behind it. tests/unit/smtp_watch.h looks on.
 *
 *	0-127	that many octets of the script, plus one, come from the server
 *	128-159	a usual line of the server comes (see `lines`)
 *	160-255	something of the driver's: see drive()
 */
#include "../tests/unit/smtp_watch.h"
#include "base/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const lines[32] = {
	"220 mx\r\n",
	"250 ok\r\n",
	"250-mx\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 STARTTLS\r\n",
	"250-mx\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250 STARTTLS\r\n",
	"250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
	"250-mx\r\n250 PIPELINING\r\n",
	"220 go\r\n",
	"354 go\r\n",
	"421 4.3.2 bye\r\n",
	"450 4.2.1 later\r\n",
	"550 5.1.1 no\r\n",
	"552 5.2.2 full\r\n",
	"502 what\r\n",
	"454 4.7.0 no\r\n",
	"221 bye\r\n",
	"220 go\r\n250 injected\r\n",
	"250 ok\r\n250 ok\r\n",
	"250 ok\r\n250 ok\r\n354 go\r\n",
	"250 ok\r\n550 5.1.1 no\r\n354 go\r\n",
	"503 no\r\n503 no\r\n",
	"250-",
	"25",
	"\r\n",
	"\n",
	"250 a\rb",
	"garbage\r\n",
	"250 mx\r\n",
	"250-mx\r\n250 STARTTLS\r\n",
	"250 ok\r\n354 go\r\n",
	"550 no\r\n550 no\r\n554 no\r\n",
	"",
	"250 2.0.0 ok\r\n",
};

static const char *const paths[] = {"a@b.example", "\xc3\xbc@b.example", "c@d.example"};

struct scene {
	struct smtp_client *c;
	struct watch w;
	struct cursor script;
	usec_t now;
	uint64_t body_left;
	bool good_body;
};

static void write_out(struct scene *s, size_t most)
{
	struct span out = smtp_client_output(s->c);

	if (out.n > most)
		out.n = most;
	watch_output(&s->w, out);
	smtp_client_sent(s->c, out.n, s->now);
}

static void event(struct scene *s, enum smtp_event e)
{
	enum smtp_want want = smtp_client_want(s->c);

	if (e == SMTP_EVENT_TLS_UP && want == SMTP_WANT_STARTTLS)
		s->w.in_tls = true;
	if (e == SMTP_EVENT_ACCEPTED && want == SMTP_WANT_VERDICT)
		s->w.accepted = true;
	smtp_client_event(s->c, e, "text", s->now);
}

static void begin_mail(struct scene *s)
{
	uint8_t how = cursor_u8(&s->script), n_to = cursor_u8(&s->script);
	struct mail_address from = {.path = how & 1 ? "" : paths[0]}, to[256];
	struct smtp_mail m = {.from = &from,
			      .to = to,
			      .n_to = n_to,
			      .size = cursor_u8(&s->script) * 8,
			      .eightbit = how & 2,
			      .smtputf8 = how & 4};
	uint64_t size = m.size;

	for (size_t i = 0; i < n_to; i++)
		to[i] = (struct mail_address){.path = paths[i % (how & 8 ? 3 : 1)],
					      .smtputf8 = how & 8 && i % 3 == 1};
	if (how & 16)
		from.smtputf8 = true;
	s->good_body = !(how & 32);
	if (smtp_client_mail(s->c, &m, s->now) == 0)
		s->body_left = size;
}

/* A piece of a body that is as announced, or octets of the script. */
static void body(struct scene *s, uint8_t how)
{
	uint8_t piece[256];
	struct span p;

	if (smtp_client_want(s->c) != SMTP_WANT_BODY && how & 1)
		return;
	if (!s->good_body) {
		p = cursor_take(&s->script, how & 15);
		smtp_client_body(s->c, p, how & 16, s->now);
		return;
	}
	/* ".x\r\n.x\r\n" ..., cut anywhere: `left` says which octet comes. */
	p = span_of(piece, s->body_left < how ? s->body_left : how);
	for (size_t i = 0; i < p.n; i++)
		piece[i] = (uint8_t) "\n\rx."[(s->body_left - i - 1) % 4];
	s->body_left -= p.n;
	smtp_client_body(s->c, p, s->body_left == 0, s->now);
}

static void drive(struct scene *s, uint8_t what)
{
	switch (what % 16) {
	case 0:
	case 1:
		write_out(s, cursor_u8(&s->script));
		break;
	case 2:
	case 3:
		begin_mail(s);
		break;
	case 4:
	case 5:
	case 6:
		body(s, cursor_u8(&s->script));
		break;
	case 7:
		smtp_client_quit(s->c, s->now);
		break;
	default: /* 8-15: the events */
		event(s, (enum smtp_event)(what % 8));
	}
}

/* A well-behaved driver between the steps; `all`: one for which every handshake succeeds. */
static void help(struct scene *s, bool all)
{
	write_out(s, SIZE_MAX);
	if (!all)
		return;
	if (smtp_client_want(s->c) == SMTP_WANT_STARTTLS)
		event(s, SMTP_EVENT_TLS_UP);
	if (smtp_client_want(s->c) == SMTP_WANT_VERDICT)
		event(s, SMTP_EVENT_ACCEPTED);
}

static void play(struct scene *s, bool helped, bool all)
{
	while (cursor_left(&s->script) > 0) {
		uint8_t what = cursor_u8(&s->script);
		size_t n = what + 1u;

		s->now += USEC_PER_SEC;
		if (what < 128) {
			if (n > cursor_left(&s->script))
				n = cursor_left(&s->script);
			smtp_client_feed(s->c, cursor_take(&s->script, n), s->now);
		} else if (what < 160) {
			smtp_client_feed(s->c, span_text(lines[what - 128]), s->now);
		} else {
			drive(s, what);
		}
		watch_machine(&s->w, s->c);
		if (helped)
			help(s, all);
		watch_machine(&s->w, s->c);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scene s = {.script = cursor_of(span_of(data, size)), .good_body = true};
	struct smtp_client_options o = {.helo = {.host = "me.example", .text = "me.example"}};
	uint8_t how = cursor_u8(&s.script);

	o.tls = s.w.policy = (enum smtp_tls)(how % 16 % 3);
	o.lmtp = s.w.lmtp = how % 16 >= 12;
	s.c = smtp_client_new(&o);
	if (how & 128)
		event(&s, SMTP_EVENT_CONNECTED);
	play(&s, how & 64, !(how & 16));
	/* However it stands: it ends, at once, and has a fate for every recipient. */
	event(&s, how & 32 ? SMTP_EVENT_EOF : SMTP_EVENT_TIMEOUT);
	require(smtp_client_want(s.c) == SMTP_WANT_CLOSE);
	watch_machine(&s.w, s.c);
	smtp_client_free(s.c);
	return 0;
}
