/* Any bytes as replies: the same result at any cut, and never more memory than the limit. */
#include "core/smtp/caps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	size_t n;
	uint64_t hash; /* of all replies */
	const char *why;
};

static void note(struct seen *s, const struct smtp_reply *r)
{
	char text[SMTP_REPLY_TEXT_MAX + 1];
	struct smtp_caps caps = smtp_caps_from_ehlo(r);

	require(r->code >= 200 && r->code <= 599);
	require(r->n_lines >= 1 && r->n_lines <= SMTP_REPLY_LINES_MAX);
	require(r->status.class == 0 || r->status.class == r->code / 100);
	smtp_reply_text(r, text);
	require(strlen(text) <= SMTP_REPLY_TEXT_MAX);
	for (const char *c = text; *c != '\0'; c++)
		require((uint8_t)*c >= ' ' && *c != 127);
	s->n++;
	s->hash = s->hash * 31 + r->code + r->n_lines + caps.starttls;
	for (size_t i = 0; i < r->lines.n; i++)
		s->hash = s->hash * 31 + r->lines.p[i];
}

/* The first piece has `cut` octets, the others `step`. */
static struct seen run(const uint8_t *data, size_t size, size_t cut, size_t step)
{
	struct smtp_reply_reader r;
	struct seen s = {0};
	size_t at = 0, n = cut;

	smtp_reply_reader_init(&r);
	while (at < size && s.why == NULL) {
		struct span in = span_of(data + at, n < size - at ? n : size - at);

		at += in.n;
		n = step;
		while (in.n > 0 && s.why == NULL) {
			switch (smtp_reply_read(&r, &in)) {
			case SMTP_REPLY_MORE:
				require(in.n == 0);
				break;
			case SMTP_REPLY_DONE:
				note(&s, &r.reply);
				break;
			case SMTP_REPLY_BAD:
				s.why = r.why;
				break;
			}
			require(r.reply.lines.room <= SMTP_REPLY_MAX);
		}
	}
	smtp_reply_reader_done(&r);
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole = run(data, size, size, 1);

	for (int i = 0; i < 2; i++) {
		struct seen other =
			i == 0 ? run(data, size, 1, 1) : run(data, size, size / 3 + 1, size);

		require(other.n == whole.n && other.hash == whole.hash && other.why == whole.why);
	}
	return 0;
}
