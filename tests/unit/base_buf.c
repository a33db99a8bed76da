#include "test.h"

#include <errno.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/cursor.h"
#include "base/hex.h"

static void buffer_stops_at_its_maximum(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	for (int i = 0; i < 10; i++)
		assert_int_equal(buf_add(&b, "0123456789", 10), 0);
	assert_int_equal(buf_add(&b, "x", 1), -EMSGSIZE);
	assert_int_equal(b.n, 100);
	assert_true(b.room <= 100);
	buf_drop(&b, 95);
	assert_true(span_is(buf_span(&b), "56789"));
	assert_int_equal(buf_printf(&b, "%d", 7), 0);
	assert_true(span_is(buf_span(&b), "567897"));
	assert_int_equal(buf_add(&b, "x", SIZE_MAX), -EMSGSIZE);
	buf_done(&b);
	assert_int_equal(b.n, 0);
}

static void cursor_never_reads_past_the_end(void **state)
{
	struct cursor c = cursor_of(span_text("abc"));

	(void)state;
	assert_int_equal(cursor_u16(&c), 'a' << 8 | 'b');
	assert_int_equal(cursor_u16(&c), 0);
	assert_true(c.failed);
	assert_int_equal(cursor_u8(&c), 0); /* sticky: 'c' is not given any more */
	assert_int_equal(cursor_left(&c), 0);
	assert_int_equal(cursor_rest(&c).n, 0);
}

static void hex_is_strict(void **state)
{
	struct arena a = {0};
	struct span bytes;

	(void)state;
	assert_int_equal(hex_decode(&a, span_text("00fFa5"), &bytes), 0);
	assert_string_equal(hex_encode(&a, bytes), "00ffa5");
	assert_int_equal(hex_decode(&a, span_text("0"), &bytes), -EINVAL);
	assert_int_equal(hex_decode(&a, span_text("0g"), &bytes), -EINVAL);
	assert_int_equal(hex_decode(&a, span_text(""), &bytes), 0);
	assert_int_equal(bytes.n, 0);
	arena_done(&a);
}

static void arena_keeps_what_it_gave(void **state)
{
	struct arena a = {0};
	char *small = arena_strdup(&a, "small");
	uint8_t *large = arena_alloc(&a, 100000);
	char *after = arena_printf(&a, "%s and %d", "after", 1);

	(void)state;
	memset(large, 0xff, 100000);
	assert_string_equal(small, "small");
	assert_string_equal(after, "after and 1");
	assert_int_equal((uintptr_t)large % 16, 0);
	arena_done(&a);
	assert_null(a.chunks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffer_stops_at_its_maximum),
		cmocka_unit_test(cursor_never_reads_past_the_end),
		cmocka_unit_test(hex_is_strict),
		cmocka_unit_test(arena_keeps_what_it_gave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
