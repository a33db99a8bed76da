/* The PROXY header: every form, every cut, the limits, and what is refused at which octet. */
#include "test.h"

#include <string.h>

#include "base/buf.h"
#include "core/smtp/proxy.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4        "\xc0\x00\x02\x01\xc6\x33\x64\x07\xc3\x50\x00\x19"
#define V6                                                                                         \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"     \
	"\xc3\x50\x00\x19"
#define SESSION "EHLO a\r\n"

/* The head with this command, family and length, then `more`, then filling up to the length. */
static void make(struct buf *b, uint8_t command, uint8_t family, uint16_t length, struct span more)
{
	uint8_t head[4] = {command, family, (uint8_t)(length >> 8), (uint8_t)length};

	buf_init(b, 70000);
	assert_int_equal(buf_add(b, SIGNATURE, 12), 0);
	assert_int_equal(buf_add(b, head, 4), 0);
	assert_int_equal(buf_add(b, more.p, more.n), 0);
	for (size_t i = more.n; i < length; i++)
		assert_int_equal(buf_add(b, &(uint8_t){(uint8_t)i}, 1), 0);
	assert_int_equal(buf_add_text(b, SESSION), 0);
}

static const struct {
	uint8_t command, family;
	uint16_t length;
	struct span more;
	enum smtp_proxy_kind kind;
	uint8_t n;
} good[] = {
	{0x21, 0x11, 12, {(const uint8_t *)V4, 12}, SMTP_PROXY_TCP, 4},
	{0x21, 0x21, 36, {(const uint8_t *)V6, 36}, SMTP_PROXY_TCP, 16},
	{0x21, 0x11, 300, {(const uint8_t *)V4, 12}, SMTP_PROXY_TCP, 4}, /* TLVs */
	{0x21, 0x21, 37, {(const uint8_t *)V6, 36}, SMTP_PROXY_TCP, 16},
	{0x21, 0x11, SMTP_PROXY_LENGTH_MAX, {(const uint8_t *)V4, 12}, SMTP_PROXY_TCP, 4},
	{0x21, 0x31, 216, {NULL, 0}, SMTP_PROXY_NO_ADDRESS, 0},
	{0x21, 0x31, 230, {NULL, 0}, SMTP_PROXY_NO_ADDRESS, 0},
	{0x21, 0x00, 0, {NULL, 0}, SMTP_PROXY_NO_ADDRESS, 0},
	{0x21, 0x00, 12, {(const uint8_t *)V4, 12}, SMTP_PROXY_NO_ADDRESS, 0},
	{0x20, 0x00, 0, {NULL, 0}, SMTP_PROXY_LOCAL, 0},
	{0x20, 0x11, 12, {(const uint8_t *)V4, 12}, SMTP_PROXY_LOCAL, 0},
	{0x20, 0x11, 3, {NULL, 0}, SMTP_PROXY_LOCAL, 0}, /* "must discard" the block, as it is */
	{0x20, 0xff, 99, {NULL, 0}, SMTP_PROXY_LOCAL, 0},
};

/* Cut twice; the session behind it must be left untouched. */
static void expect_good(size_t row, struct span all, size_t cut1, size_t cut2)
{
	struct span parts[] = {span_of(all.p, cut1), span_of(all.p + cut1, cut2 - cut1),
			       span_skip(all, cut2)};
	enum smtp_proxy_step step = SMTP_PROXY_MORE;
	struct smtp_proxy p = {0};
	size_t left = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		step = smtp_proxy_feed(&p, &parts[i]);
		assert_true(step == SMTP_PROXY_DONE || (step == SMTP_PROXY_MORE && i < 2));
		left += parts[i].n;
	}
	if (step != SMTP_PROXY_DONE || p.kind != good[row].kind || left != strlen(SESSION))
		fail_msg("row %zu cut at %zu and %zu: step %d, %zu octets left", row, cut1, cut2,
			 (int)step, left);
	assert_int_equal(p.source.n, good[row].n);
	assert_int_equal(p.destination.n, good[row].n);
	assert_null(p.why);
	if (good[row].n == 0)
		return;
	assert_memory_equal(p.source.octets, good[row].more.p, good[row].n);
	assert_memory_equal(p.destination.octets, good[row].more.p + good[row].n, good[row].n);
	assert_int_equal(p.source.port, 50000);
	assert_int_equal(p.destination.port, 25);
}

static void every_form_and_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct buf b;
		size_t step = good[i].length > 100 ? 13 : 1;

		make(&b, good[i].command, good[i].family, good[i].length, good[i].more);
		for (size_t cut1 = 0; cut1 <= b.n; cut1 += step)
			for (size_t cut2 = cut1; cut2 <= b.n; cut2 += step * step)
				expect_good(i, buf_span(&b), cut1, cut2);
		buf_done(&b);
	}
}

/* It never says DONE before its last octet. */
static void every_prefix_wants_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct buf b;

		make(&b, good[i].command, good[i].family, good[i].length, good[i].more);
		for (size_t n = 0; n < SMTP_PROXY_HEAD + (size_t)good[i].length; n++) {
			struct span in = span_of(b.p, n);
			struct smtp_proxy p = {0};

			assert_int_equal(smtp_proxy_feed(&p, &in), SMTP_PROXY_MORE);
			assert_int_equal(in.n, 0);
		}
		buf_done(&b);
	}
}

/* `at`: how many octets were taken when it said so. */
static void expect_refused(struct span in, size_t at, const char *why)
{
	struct span all = in, one;
	struct smtp_proxy p = {0};

	assert_int_equal(smtp_proxy_feed(&p, &in), SMTP_PROXY_REFUSED);
	if (strcmp(p.why, why) != 0 || all.n - in.n != at)
		fail_msg("\"%s\", not \"%s\", after %zu octets", p.why, why, all.n - in.n);
	one = all;
	assert_int_equal(smtp_proxy_feed(&p, &one), SMTP_PROXY_REFUSED);
	assert_int_equal(one.n, all.n);
	/* The same octet by octet. */
	p = (struct smtp_proxy){0};
	for (size_t i = 0; i < at; i++) {
		one = span_of(all.p + i, 1);
		assert_int_equal(smtp_proxy_feed(&p, &one),
				 i + 1 < at ? SMTP_PROXY_MORE : SMTP_PROXY_REFUSED);
	}
}

static void what_is_no_header_is_refused_at_once(void **state)
{
	static const char v1[] = "no PROXY header of version 2 (of version 1?)",
			  no[] = "no PROXY header";

	(void)state;
	expect_refused(span_text("PROXY TCP4 192.0.2.1 198.51.100.7 50000 25\r\n"), 1, v1);
	expect_refused(span_text("EHLO a\r\n"), 1, no);
	expect_refused(span_of("\x16\x03\x01", 3), 1, no);
	expect_refused(span_text("\r\n\r\nEHLO a\r\n"), 5, no);
}

static void every_octet_of_the_signature_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < 12; i++) {
		uint8_t head[16] = SIGNATURE "\x21\x11\0";

		head[i] ^= 0x40;
		expect_refused(span_of(head, sizeof(head)), i + 1, "no PROXY header");
	}
}

static void broken_heads(void **state)
{
	static const struct {
		uint8_t command, family;
		uint16_t length;
		size_t at;
		const char *why;
	} rows[] = {
		{0x11, 0x11, 12, 13, "a PROXY header of an unknown version"},
		{0x31, 0x11, 12, 13, "a PROXY header of an unknown version"},
		{0x01, 0x11, 12, 13, "a PROXY header of an unknown version"},
		{0x22, 0x11, 12, 13, "a PROXY header with an unknown command"},
		{0x2f, 0x11, 12, 13, "a PROXY header with an unknown command"},
		{0x21, 0x12, 12, 14, "a PROXY header for another protocol than TCP"},
		{0x21, 0x22, 36, 14, "a PROXY header for another protocol than TCP"},
		{0x21, 0x32, 216, 14, "a PROXY header for another protocol than TCP"},
		{0x21, 0x10, 12, 14, "a PROXY header for another protocol than TCP"},
		{0x21, 0x01, 12, 14, "a PROXY header for another protocol than TCP"},
		{0x21, 0x41, 12, 14, "a PROXY header for another protocol than TCP"},
		{0x21, 0x11, 11, 16, "a PROXY header without room for its addresses"},
		{0x21, 0x11, 0, 16, "a PROXY header without room for its addresses"},
		{0x21, 0x21, 35, 16, "a PROXY header without room for its addresses"},
		{0x21, 0x31, 215, 16, "a PROXY header without room for its addresses"},
		{0x21, 0x11, SMTP_PROXY_LENGTH_MAX + 1, 16, "a PROXY header that is too long"},
		{0x20, 0x00, SMTP_PROXY_LENGTH_MAX + 1, 16, "a PROXY header that is too long"},
		{0x21, 0x11, 65535, 16, "a PROXY header that is too long"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf b;

		make(&b, rows[i].command, rows[i].family, rows[i].length, span_of(NULL, 0));
		expect_refused(buf_span(&b), rows[i].at, rows[i].why);
		buf_done(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_and_cut),
		cmocka_unit_test(every_prefix_wants_more),
		cmocka_unit_test(what_is_no_header_is_refused_at_once),
		cmocka_unit_test(every_octet_of_the_signature_counts),
		cmocka_unit_test(broken_heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
