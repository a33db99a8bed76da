#include "core/mail/message.h"

#include <errno.h>
#include <inttypes.h>

void mail_message_init(struct mail_message *m)
{
	*m = (struct mail_message){.header_utf8 = true};
}

static int bare_cr(const struct mail_message *m, struct err *e)
{
	return err_set(e, -EINVAL, "line %" PRIu64 ": a CR that ends no line", m->lines + 1);
}

/* One octet of the header through RFC 3629's table of well-formed sequences. */
static void note_utf8(struct mail_message *m, uint8_t c)
{
	if (m->utf8_left > 0) {
		if (c < m->utf8_from || c > m->utf8_to)
			m->header_utf8 = false;
		m->utf8_left--;
		m->utf8_from = 0x80;
		m->utf8_to = 0xbf;
		return;
	}
	if (c < 0x80)
		return;
	if (c < 0xc2 || c > 0xf4)
		m->header_utf8 = false;
	m->utf8_left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	m->utf8_from = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	m->utf8_to = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
}

static bool has_8bit(struct span s)
{
	uint8_t all = 0;

	for (size_t i = 0; i < s.n; i++)
		all |= s.p[i];
	return (all & 0x80) != 0;
}

/* Part of a line, no CR or LF in it. */
static int take_text(struct mail_message *m, struct span s, struct buf *out, struct err *e)
{
	bool high = has_8bit(s);
	int ret;

	if (s.n == 0)
		return 0;
	if (memchr(s.p, '\0', s.n) != NULL)
		return err_set(e, -EINVAL, "line %" PRIu64 ": a NUL octet", m->lines + 1);
	ret = buf_add(out, s.p, s.n);
	if (ret < 0)
		return err_set(e, ret, "output buffer is full");
	m->octets += s.n;
	m->line += s.n;
	if (m->in_body) {
		m->body_8bit = m->body_8bit || high;
		return 0;
	}
	m->header_8bit = m->header_8bit || high;
	if (high || m->utf8_left > 0)
		for (size_t i = 0; i < s.n; i++)
			note_utf8(m, s.p[i]);
	return 0;
}

static int take_line_end(struct mail_message *m, struct buf *out, struct err *e)
{
	int ret = buf_add(out, "\r\n", 2);

	if (ret < 0)
		return err_set(e, ret, "output buffer is full");
	m->octets += 2;
	m->lines++;
	if (m->line > m->longest)
		m->longest = m->line;
	if (m->utf8_left > 0) {
		m->header_utf8 = false;
		m->utf8_left = 0;
	}
	if (m->line == 0)
		m->in_body = true; /* RFC 5322 section 2.1 */
	m->line = 0;
	return 0;
}

int mail_message_feed(struct mail_message *m, struct span in, struct buf *out, struct err *e)
{
	while (in.n > 0) {
		const uint8_t *lf = memchr(in.p, '\n', in.n);
		struct span text = span_of(in.p, lf == NULL ? in.n : (size_t)(lf - in.p));
		const uint8_t *cr;
		bool bare = false;
		int ret;

		in = span_skip(in, text.n + 1);
		if (m->after_cr && text.n > 0)
			return bare_cr(m, e);
		cr = text.n == 0 ? NULL : memchr(text.p, '\r', text.n);
		if (cr != NULL) {
			bare = cr != text.p + text.n - 1;
			text.n = (size_t)(cr - text.p);
			m->after_cr = true;
		}
		ret = take_text(m, text, out, e);
		if (ret < 0)
			return ret;
		if (bare)
			return bare_cr(m, e);
		if (lf == NULL)
			return 0;
		m->after_cr = false;
		ret = take_line_end(m, out, e);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int mail_message_end(struct mail_message *m, struct buf *out, struct err *e)
{
	if (m->after_cr)
		return bare_cr(m, e);
	return m->line > 0 ? take_line_end(m, out, e) : 0;
}
