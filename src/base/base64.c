#include "base/base64.h"

static int digit_of(uint8_t c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)(at - digits);
}

bool base64_decode(struct span in, struct buf *out)
{
	size_t padding = 0;

	if (in.n % 4 != 0)
		return false;
	/* All that may ever come: what is in it never moves. */
	require(buf_reserve(out, out->max - out->n) == 0);
	while (padding < 2 && padding < in.n && in.p[in.n - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < in.n; i += 4) {
		size_t n = i + 4 == in.n ? 4 - padding : 4;
		uint32_t bits = 0;
		uint8_t octets[3];

		for (size_t k = 0; k < 4; k++) {
			int d = k < n ? digit_of(in.p[i + k]) : 0;

			if (d < 0)
				return false;
			bits = bits << 6 | (uint32_t)d;
		}
		octets[0] = (uint8_t)(bits >> 16);
		octets[1] = (uint8_t)(bits >> 8);
		octets[2] = (uint8_t)bits;
		for (size_t k = n - 1; k < 3; k++)
			if (octets[k] != 0)
				return false;
		if (buf_add(out, octets, n - 1) < 0)
			return false;
		explicit_bzero(octets, sizeof(octets));
	}
	return true;
}
