/*
 * The whole server machine against any client, with a caller that answers at random. The first two
 * octets choose the options; then each step is an octet n: below 240, n + 1 octets of the script
 * come from the client; above, a usual line comes (see `lines`), or the caller does something. The
 * verdicts are taken from a generator that the script seeds.
 */
#include "base/cursor.h"
#include "core/smtp/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const lines[] = {
	"EHLO a\r\n",
	"MAIL FROM:<a@b.example>\r\n",
	"RCPT TO:<c@d.example>\r\n",
	"DATA\r\n",
	"\r\n.\r\n",
	"BDAT 4\r\n",
	"BDAT 2 LAST\r\n",
	"STARTTLS\r\n",
	"AUTH PLAIN AGEAc2VjcmV0\r\n",
	"AUTH LOGIN\r\n",
	"RSET\r\n",
};

struct scene {
	struct smtp_server *s;
	struct smtp_server_options o;
	uint32_t dice;
	bool hello, mail, begun, message, tls;
	unsigned rcpt;
	uint64_t octets;
	uint8_t before;    /* the message's last octet */
	bool bare;         /* a CR or LF in it that is not of a CRLF */
	uint8_t before_lf; /* of the output */
	size_t line;
};

static uint32_t roll(struct scene *c)
{
	c->dice = c->dice * 1664525u + 1013904223u;
	return c->dice >> 16;
}

static void write_out(struct scene *c)
{
	struct span out = smtp_server_output(c->s);

	require(out.n <= SMTP_SERVER_OUTPUT_MAX);
	for (size_t i = 0; i < out.n; i++) {
		c->line++;
		require(c->line <= SMTP_SERVER_REPLY_LINE_MAX);
		require((out.p[i] == '\n') == (c->before_lf == '\r'));
		require(out.p[i] >= ' ' || out.p[i] == '\r' || out.p[i] == '\n');
		c->before_lf = out.p[i];
		if (out.p[i] == '\n')
			c->line = 0;
	}
	require(out.n == 0 || c->line == 0); /* whole lines only */
	smtp_server_sent(c->s, out.n);
}

static void end_transaction(struct scene *c)
{
	c->mail = c->begun = false;
	c->rcpt = 0;
}

/* 0: accepts. */
static bool answer(struct scene *c)
{
	static const unsigned refusals[] = {450, 550, 552, 421};
	struct smtp_server_verdict v = {.text = "a text of the caller\r\n\xff"};
	uint32_t n = roll(c) % 24;

	if (n < 4)
		v.code = refusals[n];
	smtp_server_answer(c->s, &v);
	return v.code == 0;
}

static bool take_event(struct scene *c, struct smtp_server_event e)
{
	switch (e.kind) {
	case SMTP_SERVER_NEEDS_INPUT:
		return false;
	case SMTP_SERVER_CLOSE:
		require(smtp_server_ended(c->s) != SMTP_SERVER_END_NOT_YET);
		return false;
	case SMTP_SERVER_NEEDS_VERDICT:
		return false;
	case SMTP_SERVER_NEEDS_OUTPUT:
		require(smtp_server_output(c->s).n >= SMTP_SERVER_OUTPUT_ENOUGH);
		write_out(c);
		break;
	case SMTP_SERVER_EHLO:
		end_transaction(c);
		require(e.helo != NULL && e.helo[0] != '\0');
		c->hello = answer(c);
		break;
	case SMTP_SERVER_MAIL:
		require(c->hello && !c->mail && mail_path_is_safe(e.mail->from.path));
		require(e.mail->size <= c->o.size_max && (!c->o.tls_required || c->tls));
		c->mail = answer(c);
		break;
	case SMTP_SERVER_RCPT:
		require(c->mail && !c->begun && mail_path_is_safe(e.rcpt->to.path));
		require(c->rcpt < c->o.recipients_max && !mail_address_is_null(&e.rcpt->to));
		c->rcpt += answer(c);
		break;
	case SMTP_SERVER_AUTH:
		require(c->o.auth && c->tls && c->hello && !c->mail && e.auth->user.n > 0);
		answer(c);
		break;
	case SMTP_SERVER_BEGIN:
		require(c->mail && c->rcpt > 0 && !c->begun);
		c->octets = 0;
		c->before = '\n';
		c->bare = false;
		c->begun = answer(c);
		if (!c->begun)
			end_transaction(c);
		break;
	case SMTP_SERVER_DATA:
		require(c->begun && e.data.n > 0);
		c->octets += e.data.n;
		for (size_t i = 0; i < e.data.n; i++) {
			c->bare |= (e.data.p[i] == '\n') != (c->before == '\r');
			c->before = e.data.p[i];
		}
		require(memchr(e.data.p, '\0', e.data.n) == NULL);
		if (roll(c) % 64 == 0) {
			smtp_server_refuse_message(
				c->s, &(struct smtp_server_verdict){.code = 452, .text = "full"});
			end_transaction(c);
		}
		break;
	case SMTP_SERVER_END:
		require(c->begun && c->octets <= c->o.size_max + 2);
		require(!c->bare && c->before == '\n'); /* S22 */
		end_transaction(c);
		answer(c);
		break;
	case SMTP_SERVER_RESET:
		end_transaction(c);
		break;
	case SMTP_SERVER_STARTTLS:
		require(!c->tls && c->o.starttls && !c->mail);
		answer(c);
		break;
	case SMTP_SERVER_HANDSHAKE:
		write_out(c);
		smtp_server_tls_up(c->s);
		require(!smtp_server_in_transaction(c->s) && smtp_server_held(c->s) == 0);
		c->tls = true;
		c->hello = false;
		end_transaction(c);
		break;
	}
	return true;
}

static void feed(struct scene *c, struct span in)
{
	uint8_t *copy = xmalloc(in.n);
	struct span rest = span_of(copy, in.n);

	memcpy(copy, in.p, in.n);
	while (take_event(c, smtp_server_next(c->s, &rest)))
		require(smtp_server_held(c->s) <= SMTP_SERVER_LINE_MAX);
	require(rest.n == 0 || smtp_server_phase(c->s) == SMTP_SERVER_PHASE_CLOSED);
	free(copy);
	if (roll(c) % 4 != 0)
		write_out(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor script = cursor_of(span_of(data, size));
	struct scene c = {.o = smtp_server_defaults()};
	uint8_t flags = cursor_u8(&script);

	c.dice = cursor_u8(&script);
	c.o.host = "mx.example";
	c.o.auth = flags & 1;
	c.o.tls_required = flags & 2;
	c.o.starttls = !(flags & 4);
	c.o.size_max = flags & 8 ? 10 : 1000;
	c.o.recipients_max = flags & 16 ? 1 : 5;
	c.o.errors_max = flags & 32 ? 3 : 1000;
	c.s = smtp_server_new(&c.o);
	smtp_server_greet(c.s, NULL);
	while (cursor_left(&script) > 0) {
		uint8_t n = cursor_u8(&script);

		if (n < 240)
			feed(&c,
			     cursor_take(&script,
					 n < cursor_left(&script) ? n + 1u : cursor_left(&script)));
		else if (n - 240u < ARRAY_SIZE(lines))
			feed(&c, span_text(lines[n - 240]));
		else if (n == 255)
			smtp_server_stop(c.s, &(struct smtp_server_verdict){.code = 421});
	}
	write_out(&c);
	smtp_server_free(c.s);
	return 0;
}
