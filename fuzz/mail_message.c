/* Any bytes as a message: CRLF only in the output, nothing else altered, any cut the same. */
#include "core/mail/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run(const uint8_t *data, size_t size, size_t step, struct mail_message *m,
	       struct buf *out, struct err *e)
{
	mail_message_init(m);
	for (size_t at = 0; at < size; at += step) {
		size_t n = step < size - at ? step : size - at;
		int ret = mail_message_feed(m, span_of(data + at, n), out, e);

		if (ret < 0)
			return ret;
	}
	return mail_message_end(m, out, e);
}

/* Without line ends, input and output are the same octets. */
static void require_same_text(const uint8_t *in, size_t n, const struct buf *out)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		if (in[i] == '\r' || in[i] == '\n')
			continue;
		while (at < out->n && (out->p[at] == '\r' || out->p[at] == '\n'))
			at++;
		require(at < out->n && out->p[at] == in[i]);
		at++;
	}
	while (at < out->n && (out->p[at] == '\r' || out->p[at] == '\n'))
		at++;
	require(at == out->n);
}

static void require_crlf(const struct buf *out)
{
	for (size_t i = 0; i < out->n; i++) {
		require(out->p[i] != '\0');
		require(out->p[i] != '\r' || (i + 1 < out->n && out->p[i + 1] == '\n'));
		require(out->p[i] != '\n' || (i > 0 && out->p[i - 1] == '\r'));
	}
	require(out->n == 0 || out->p[out->n - 1] == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mail_message whole, other;
	struct err e1 = {0}, e2 = {0};
	struct buf out, again;
	int ret;

	buf_init(&out, 2 * size + 2);
	buf_init(&again, 2 * size + 2);
	ret = run(data, size, size + 1, &whole, &out, &e1);
	require(run(data, size, 1, &other, &again, &e2) == ret);
	require(strcmp(e1.text, e2.text) == 0);
	if (ret == 0) {
		require_crlf(&out);
		require_same_text(data, size, &out);
		require(span_eq(buf_span(&out), buf_span(&again)));
		require(whole.octets == out.n && whole.octets == other.octets);
		require(whole.lines == other.lines && whole.longest == other.longest);
		require(whole.header_8bit == other.header_8bit &&
			whole.header_utf8 == other.header_utf8 &&
			whole.body_8bit == other.body_8bit);
	}
	buf_done(&out);
	buf_done(&again);
	return 0;
}
