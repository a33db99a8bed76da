#include "core/smtp/body.h"

#include <errno.h>

void smtp_body_init(struct smtp_body *b, uint64_t octets, bool stuff)
{
	*b = (struct smtp_body){.left = octets, .stuff = stuff};
}

int smtp_body_add(struct smtp_body *b, struct span piece, struct buf *out)
{
	if (piece.n > b->left)
		return -EINVAL;
	b->left -= piece.n;
	while (piece.n > 0) {
		struct span text = piece;
		const uint8_t *cr;
		int ret = 0;

		if (b->after_cr) {
			if (piece.p[0] != '\n')
				return -EINVAL;
			ret = buf_add(out, "\r\n", 2);
			b->after_cr = b->in_line = false;
			piece = span_skip(piece, 1);
			if (ret < 0)
				return ret;
			continue;
		}
		cr = memchr(piece.p, '\r', piece.n);
		if (cr != NULL)
			text.n = (size_t)(cr - piece.p);
		if (text.n > 0) {
			if (memchr(text.p, '\n', text.n) != NULL ||
			    memchr(text.p, '\0', text.n) != NULL)
				return -EINVAL;
			if (b->stuff && !b->in_line && text.p[0] == '.')
				ret = buf_add(out, ".", 1);
			if (ret == 0)
				ret = buf_add(out, text.p, text.n);
			if (ret < 0)
				return ret;
			b->in_line = true;
		}
		piece = span_skip(piece, text.n);
		if (cr != NULL) {
			b->after_cr = true;
			piece = span_skip(piece, 1);
		}
	}
	return 0;
}
