/* Selection of TXT records: RFC 8460 section 3, RFC 8461 section 3.1; matrix RP9. */
#include "test.h"

#include "base/buf.h"
#include "core/dane/tlsrpt.h"

static const struct row {
	const char *name;
	struct span records[3];
	enum dane_announced what;
	const char *value;
} rows[] = {
#define TXT(text)                                                                                  \
	{                                                                                          \
		(const uint8_t *)(text), sizeof(text) - 1                                          \
	}
	{"nothing", {{NULL, 0}}, DANE_ANNOUNCED_NONE, NULL},
	{"one", {TXT("\x16v=TLSRPTv1;rua=mailto:")}, DANE_ANNOUNCED_ONE, "mailto:"},
	{"blanks and an unknown field",
	 {TXT("\x27v=TLSRPTv1 ; x = 1;  rua = mailto:a@b ;")},
	 DANE_ANNOUNCED_ONE,
	 "mailto:a@b"},
	{"in two strings",
	 {TXT("\x0bv=TLSRPTv1;\x0drua=https://x")},
	 DANE_ANNOUNCED_ONE,
	 "https://x"},
	{"others beside it",
	 {TXT("\x07v=spf1 "), TXT("\x12v=TLSRPTv1;rua=a:b"), TXT("\x05hello")},
	 DANE_ANNOUNCED_ONE,
	 "a:b"},
	{"two",
	 {TXT("\x12v=TLSRPTv1;rua=a:b"), TXT("\x12v=TLSRPTv1;rua=a:b")},
	 DANE_ANNOUNCED_SEVERAL,
	 NULL},
	{"no rua", {TXT("\x0fv=TLSRPTv1;ru=x")}, DANE_ANNOUNCED_BROKEN, NULL},
	{"empty rua", {TXT("\x0fv=TLSRPTv1;rua=")}, DANE_ANNOUNCED_BROKEN, NULL},
	{"another version", {TXT("\x13v=TLSRPTv2;rua=a:bc")}, DANE_ANNOUNCED_NONE, NULL},
	{"version not first", {TXT("\x13 v=TLSRPTv1;rua=a:b")}, DANE_ANNOUNCED_NONE, NULL},
	{"no semicolon", {TXT("\x0av=TLSRPTv1")}, DANE_ANNOUNCED_NONE, NULL},
	{"cut", {TXT("\x20v=TLSRPTv1;rua=a:b")}, DANE_ANNOUNCED_NONE, NULL},
	{"a NUL in it", {TXT("\x13v=TLSRPTv1;rua=a\0bc")}, DANE_ANNOUNCED_NONE, NULL},
};

static void selection(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct arena a = {0};
		struct dane_announcement got;
		struct span copies[3];
		size_t n = 0;

		for (; n < 3 && rows[i].records[n].p != NULL; n++)
			copies[n] = arena_dup(&a, rows[i].records[n]);
		got = dane_tlsrpt_read(&a, copies, n);
		if (got.what != rows[i].what)
			fail_msg("%s: %d", rows[i].name, got.what);
		if (rows[i].value != NULL)
			assert_string_equal(got.value, rows[i].value);
		else
			assert_null(got.value);
		arena_done(&a);
	}
}

/* At the limit it is read, beyond it is none. */
static void limit(void **state)
{
	struct arena a = {0};
	struct buf b;

	(void)state;
	for (size_t more = 0; more < 2; more++) {
		struct span record;

		buf_init(&b, 100000);
		assert_int_equal(buf_add_text(&b, "\x0fv=TLSRPTv1;rua="), 0);
		for (size_t left = DANE_TXT_MAX - 15 + more; left > 0;) {
			uint8_t n = left > 255 ? 255 : (uint8_t)left;

			assert_int_equal(buf_add(&b, &n, 1), 0);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(buf_add(&b, "x", 1), 0);
			left -= n;
		}
		record = arena_dup(&a, buf_span(&b));
		assert_int_equal(dane_tlsrpt_read(&a, &record, 1).what,
				 more == 0 ? DANE_ANNOUNCED_ONE : DANE_ANNOUNCED_NONE);
		buf_done(&b);
	}
	arena_done(&a);
}

static void sts(void **state)
{
	struct arena a = {0};
	struct span record = span_text("\x10v=STSv1; id=20A;");

	(void)state;
	assert_string_equal(dane_sts_read(&a, &record, 1).value, "20A");
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(selection),
		cmocka_unit_test(limit),
		cmocka_unit_test(sts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
