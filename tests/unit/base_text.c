#include "test.h"

#include <errno.h>
#include <unistd.h>

#include "base/text.h"
#include "edge/io/read.h"

static bool number(const char *text, uint64_t max, uint64_t *ret)
{
	*ret = 4711;
	return text_to_number(span_text(text), max, ret);
}

static void a_number_is_digits_within_its_limit(void **state)
{
	static const char *const none[] = {"",    " 1",  "1 ",  "+1",    "-1",
					   "0x1", "1.0", "1e1", "65536", "99999999999999999999999"};
	uint64_t n;

	(void)state;
	assert_true(number("65535", 65535, &n) && n == 65535);
	assert_true(number("0", 0, &n) && n == 0);
	assert_true(number("0017", 65535, &n) && n == 17);
	assert_true(number("18446744073709551615", UINT64_MAX, &n) && n == UINT64_MAX);
	assert_false(number("18446744073709551616", UINT64_MAX, &n));
	assert_false(number("27670116110564327424", UINT64_MAX, &n)); /* 1.5 times 2^64 */
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		assert_false(number(none[i], 65535, &n));
		assert_int_equal(n, 4711);
	}
	assert_false(text_to_number(span_of("1\0", 2), 9, &n));
}

static bool host(const char *text)
{
	return text_is_host(span_text(text));
}

static void a_host_is_no_address_and_no_pattern(void **state)
{
	static const char *const hosts[] = {"mx",        "MX1.Example", "_a.b-",
					    "1.example", "-.x",         "xn--bcher-kva.example"};
	static const char *const none[] = {"",      ".",           ".example",  "example.", "a..b",
					   "a b",   "*.example",   "192.0.2.1", "a.1",      "::1",
					   "a\\.b", "b\xc3\xbc.x", "a/b",       "a\x7f"};
	char longest[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++)
		assert_true(host(hosts[i]));
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_false(host(none[i]));
	memset(longest, 'a', sizeof(longest));
	assert_true(text_is_host(span_of(longest, 63)));
	assert_false(text_is_host(span_of(longest, 64)));
	for (size_t i = 63; i < sizeof(longest); i += 64)
		longest[i] = '.';
	assert_true(text_is_host(span_of(longest, 253)));
	assert_false(text_is_host(span_of(longest, 254)));
	assert_false(text_is_host(span_of("a\0b", 3)));
}

static void plain(const char *text, const char *expected)
{
	char copy[64];

	snprintf(copy, sizeof(copy), "%s", text);
	text_make_plain(copy);
	assert_string_equal(copy, expected);
	assert_int_equal(text_is_plain(text), strcmp(text, expected) == 0);
}

static void what_a_terminal_obeys_is_not_plain(void **state)
{
	(void)state;
	plain("", "");
	plain("a ~", "a ~");
	plain("\x1b[31m", "?[31m");
	plain("a\nb\rc\td\x7f", "a?b?c?d?");
	plain("\xc2\x9b"
	      "1m",
	      "?1m"); /* CSI as one character of C1 */
	plain("\xc2\xa0\xc3\xbc\xf0\x9f\x93\xa7", "\xc2\xa0\xc3\xbc\xf0\x9f\x93\xa7");
	plain("\x9b\xff", "??");      /* the same as a bare octet */
	plain("\xc0\x9b", "??");      /* overlong */
	plain("\xed\xa0\x80", "???"); /* a surrogate */
	plain("a\xc3", "a?");         /* cut */
}

static void a_file_ends_at_the_buffers_maximum(void **state)
{
	int ends[2];
	struct buf b;

	(void)state;
	for (size_t max = 9; max <= 10; max++) {
		assert_int_equal(pipe(ends), 0);
		assert_int_equal(write(ends[1], "0123456789", 10), 10);
		close(ends[1]);
		buf_init(&b, max);
		assert_int_equal(io_read_all(ends[0], &b), max == 10 ? 0 : -EFBIG);
		assert_int_equal(b.n, max == 10 ? 10 : 0);
		buf_done(&b);
		close(ends[0]);
	}
	buf_init(&b, 10);
	assert_int_equal(io_read_all(-1, &b), -EBADF);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_is_digits_within_its_limit),
		cmocka_unit_test(a_host_is_no_address_and_no_pattern),
		cmocka_unit_test(what_a_terminal_obeys_is_not_plain),
		cmocka_unit_test(a_file_ends_at_the_buffers_maximum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
