#include "base/hex.h"

#include <errno.h>

int hex_digit(uint8_t c)
{
	c = ascii_lower(c);
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

char *hex_encode(struct arena *a, struct span bytes)
{
	static const char digits[] = "0123456789abcdef";
	char *text;

	require(bytes.n <= SIZE_MAX / 4);
	text = arena_alloc(a, bytes.n * 2 + 1);
	for (size_t i = 0; i < bytes.n; i++) {
		text[2 * i] = digits[bytes.p[i] >> 4];
		text[2 * i + 1] = digits[bytes.p[i] & 15];
	}
	return text;
}

int hex_decode(struct arena *a, struct span text, struct span *ret)
{
	uint8_t *bytes;

	if (text.n % 2 != 0)
		return -EINVAL;
	bytes = arena_alloc(a, text.n / 2 + 1);
	for (size_t i = 0; i < text.n / 2; i++) {
		int high = hex_digit(text.p[2 * i]), low = hex_digit(text.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	*ret = span_of(bytes, text.n / 2);
	return 0;
}
