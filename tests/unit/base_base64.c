/* Strict base64: the vectors of RFC 4648 section 10, and each thing that is refused. */
#include "test.h"

#include "base/base64.h"

static bool decodes_to(const char *text, const char *want)
{
	struct buf b;
	bool good;

	buf_init(&b, 6);
	good = base64_decode(span_text(text), &b) && want != NULL && span_is(buf_span(&b), want);
	buf_done(&b);
	return good;
}

static void vectors(void **state)
{
	(void)state;
	assert_true(decodes_to("", ""));
	assert_true(decodes_to("Zg==", "f"));
	assert_true(decodes_to("Zm8=", "fo"));
	assert_true(decodes_to("Zm9v", "foo"));
	assert_true(decodes_to("Zm9vYg==", "foob"));
	assert_true(decodes_to("Zm9vYmE=", "fooba"));
	assert_true(decodes_to("Zm9vYmFy", "foobar"));
}

static void refused(void **state)
{
	static const char *const texts[] = {"Z",    "Zg",       "Zg=",         "Zh==",
					    "Zm9=", "====",     "=g==",        "Zm9v\n",
					    "Zm_v", "Zg==Zg==", "Zm9vYmFyYg==" /* seven octets */};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct buf b;

		buf_init(&b, 6);
		assert_false(base64_decode(span_text(texts[i]), &b));
		buf_done(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(vectors), cmocka_unit_test(refused)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
