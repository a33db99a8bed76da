/* Names and addresses as text: RFC 1035 sections 2.3.4 and 5.1, RFC 5952, matrix F1, F2, M18. */
#include "test.h"

#include <errno.h>

#include "core/dane/name.h"

static void text_to_canonical(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: refused */
	} rows[] = {
		{"Example.ORG.", "example.org"},
		{"example.org", "example.org"},
		{".", "."},
		{"a\\.b.c", "a\\.b.c"},
		{"a\\046b.c", "a\\.b.c"}, /* one name, one text */
		{"a\\065.c", "aa.c"},
		{"a\\001.c", "a\\001.c"},
		{"_25._tcp.mx", "_25._tcp.mx"},
		{"", NULL},
		{"..", NULL},
		{"a..b", NULL},
		{".a", NULL},
		{"a b", NULL},
		{"a\\256.c", NULL},
		{"a\\25", NULL},
		{"a\\", NULL},
		{"\xc3\xa4.c", NULL},
	};
	struct arena a = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *got = NULL;
		int ret = dane_name_from_text(&a, rows[i].in, &got, NULL);

		if (rows[i].out == NULL) {
			if (ret != -EINVAL)
				fail_msg("\"%s\" accepted as \"%s\"", rows[i].in, got);
			continue;
		}
		if (ret != 0)
			fail_msg("\"%s\" refused", rows[i].in);
		assert_string_equal(got, rows[i].out);
	}
	arena_done(&a);
}

/* `labels` labels of `length` octets. */
static char *long_name(struct arena *a, size_t labels, size_t length, size_t last)
{
	char *text = arena_alloc(a, labels * (length + 1) + last + 2), *p = text;

	for (size_t i = 0; i < labels; i++) {
		memset(p, 'a', length);
		p += length;
		*p++ = '.';
	}
	memset(p, 'b', last);
	return text;
}

static void limits(void **state)
{
	struct arena a = {0};
	const char *got;

	(void)state;
	/* 3 x 64 + 62 + 1 = 255 octets on the wire; one more is too long. */
	assert_int_equal(dane_name_from_text(&a, long_name(&a, 3, 63, 61), &got, NULL), 0);
	assert_int_equal(dane_name_from_text(&a, long_name(&a, 3, 63, 62), &got, NULL), -EINVAL);
	assert_int_equal(dane_name_from_text(&a, long_name(&a, 0, 0, 63), &got, NULL), 0);
	assert_int_equal(dane_name_from_text(&a, long_name(&a, 0, 0, 64), &got, NULL), -EINVAL);
	/* F2: "_25._tcp." takes 9 octets. */
	assert_non_null(dane_name_tlsa_owner(&a, long_name(&a, 3, 63, 52), 25));
	assert_null(dane_name_tlsa_owner(&a, long_name(&a, 3, 63, 53), 25));
	assert_string_equal(dane_name_tlsa_owner(&a, "mx.d", 25), "_25._tcp.mx.d");       /* F1 */
	assert_string_equal(dane_name_tlsa_owner(&a, "mx.d", 10025), "_10025._tcp.mx.d"); /* A21 */
	arena_done(&a);
}

static void wire(void **state)
{
	static const uint8_t good[] = "\3a.B\2cd"; /* and the root label: the final NUL */
	uint8_t loop[300];
	struct arena a = {0};
	struct cursor c = cursor_of(span_of(good, sizeof(good)));

	(void)state;
	assert_string_equal(dane_name_from_wire(&a, &c), "a\\.b.cd");
	assert_int_equal(cursor_left(&c), 0);
	for (size_t n = 0; n < sizeof(good); n++) { /* cut anywhere: none */
		uint8_t *copy = xmalloc(n);

		memcpy(copy, good, n);
		c = cursor_of(span_of(copy, n));
		assert_null(dane_name_from_wire(&a, &c));
		assert_true(c.failed);
		free(copy);
	}
	c = cursor_of(span_of("\xc0\x00", 2)); /* compressed: not here */
	assert_null(dane_name_from_wire(&a, &c));
	memset(loop, 1, sizeof(loop)); /* labels without end */
	c = cursor_of(span_of(loop, sizeof(loop)));
	assert_null(dane_name_from_wire(&a, &c));
	memset(loop, 0xff, sizeof(loop));
	loop[0] = 63; /* 255 octets, each escaped: the longest text */
	loop[64] = 63;
	loop[128] = 63;
	loop[192] = 61;
	loop[254] = 0;
	c = cursor_of(span_of(loop, 255));
	assert_int_equal(strlen(dane_name_from_wire(&a, &c)), 63 * 4 * 3 + 61 * 4 + 3);
	arena_done(&a);
}

static void hosts_and_addresses(void **state)
{
	static const struct {
		const char *text;
		bool host;
		int family;
	} rows[] = {
		{"mx.example.org", true, 0},
		{"mx_1.example.org", true, 0},
		{"localhost", true, 0},
		{"1.2.3.4", false, 4},
		{"1.2.3", false, 0},
		{"1.2.3.4.5", false, 0},
		{"256.2.3.4", false, 0},
		{"a b.c", false, 0},
		{"a\\.b.c", false, 0},
		{".", false, 0},
		{"4.example", true, 0},
		{"2001:db8::1", false, 6},
		{"::", false, 6},
		{"::1", false, 6},
		{"1::", false, 6},
		{"1:2:3:4:5:6:7:8", false, 6},
		{"1:2:3:4:5:6:7", false, 0},
		{"1:2:3:4:5:6:7:8:9", false, 0},
		{"1::2::3", false, 0},
		{":::", false, 0},
		{":1", false, 0},
		{"1:", false, 0},
		{"::ffff:1.2.3.4", false, 6},
		{"12345::", false, 0},
		{"::1.2.3", false, 0},
		{"1.2.3.4:", false, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (dane_name_is_host(rows[i].text) != rows[i].host)
			fail_msg("host? %s", rows[i].text);
		if (dane_address_family(rows[i].text) != rows[i].family)
			fail_msg("address? %s: %d", rows[i].text,
				 dane_address_family(rows[i].text));
	}
}

static void address_text(void **state)
{
	static const struct {
		const char *bytes, *text;
	} rows[] = {
		{"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", "2001:db8::1"},
		{"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "::"},
		{"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", "::1"},
		{"\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "1::"},
		{"\x20\x01\0\0\0\1\0\0\0\0\0\1\0\0\0\1", "2001:0:1::1:0:1"},
		{"\0\1\0\2\0\3\0\4\0\5\0\6\0\7\0\0", "1:2:3:4:5:6:7:0"},
	};
	struct arena a = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(dane_address_to_text(&a, span_of(rows[i].bytes, 16)),
				    rows[i].text);
	assert_string_equal(dane_address_to_text(&a, span_of("\xc0\0\2\1", 4)), "192.0.2.1");
	assert_null(dane_address_to_text(&a, span_of("\1\2\3", 3)));
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_to_canonical),
		cmocka_unit_test(limits),
		cmocka_unit_test(wire),
		cmocka_unit_test(hosts_and_addresses),
		cmocka_unit_test(address_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
