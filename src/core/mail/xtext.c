#include "core/mail/xtext.h"

/* Upper case alone: "+0a" is no xtext. */
static int digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The octet that "+XX" at the front of `s` stands for, or -1. */
static int encoded(struct span s)
{
	int high, low;

	if (s.n < 3 || s.p[0] != '+')
		return -1;
	high = digit(s.p[1]);
	low = digit(s.p[2]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool mail_xtext_is_valid(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '!' || s.p[i] > '~' || s.p[i] == '=')
			return false;
		if (s.p[i] != '+')
			continue;
		if (encoded(span_skip(s, i)) < 0)
			return false;
		i += 2;
	}
	return s.n > 0;
}

bool mail_orcpt_is_valid(struct span s)
{
	const uint8_t *semicolon = s.n == 0 ? NULL : memchr(s.p, ';', s.n);
	size_t n = semicolon == NULL ? 0 : (size_t)(semicolon - s.p);

	if (n == 0 || s.n > MAIL_ORCPT_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = ascii_lower(s.p[i]);

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return false;
	}
	return mail_xtext_is_valid(span_skip(s, n + 1));
}

struct span mail_xtext_decode(struct arena *a, struct span s)
{
	uint8_t *text = arena_alloc(a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		int c = encoded(span_skip(s, i));

		if (c >= 0)
			i += 2;
		else
			c = s.p[i];
		text[n++] = c >= ' ' && c <= '~' ? (uint8_t)c : '?';
	}
	return span_of(text, n);
}
