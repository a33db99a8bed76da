#include "base/text.h"

#include "base/utf8.h"

enum {
	HOST_MAX = 253,
	LABEL_MAX = 63,
};

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

bool text_to_number(struct span s, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0, digit;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!is_digit(s.p[i]))
			return false;
		digit = s.p[i] - '0';
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, digit, &value) || value > max)
			return false;
	}
	*ret = value;
	return true;
}

bool text_is_host_octet(uint8_t c)
{
	c = ascii_lower(c);
	return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

bool text_is_host(struct span name)
{
	size_t label = 0;
	bool number = true; /* the label so far */

	if (name.n > HOST_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
			number = true;
			continue;
		}
		if (!text_is_host_octet(name.p[i]) || ++label > LABEL_MAX)
			return false;
		number = number && is_digit(name.p[i]);
	}
	return label > 0 && !number;
}

bool text_is_plain_character(uint32_t c)
{
	return c >= ' ' && (c < 0x7f || c >= 0xa0);
}

bool text_take_plain(struct span *s, struct span *ret)
{
	uint32_t c = 0;
	size_t n = utf8_decode(*s, &c);

	*ret = span_of(s->p, n > 0 ? n : 1);
	*s = span_skip(*s, ret->n);
	return n > 0 && text_is_plain_character(c);
}

bool text_is_plain(const char *text)
{
	struct span rest = span_text(text), one;

	while (rest.n > 0)
		if (!text_take_plain(&rest, &one))
			return false;
	return true;
}

void text_make_plain(char *text)
{
	struct span rest = span_text(text), one;
	char *out = text;

	while (rest.n > 0) {
		if (text_take_plain(&rest, &one)) {
			memmove(out, one.p, one.n);
			out += one.n;
		} else {
			*out++ = '?';
		}
	}
	*out = '\0';
}
