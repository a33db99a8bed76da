/* What is no domain, and what was meant. */
#include "test.h"

#include "jobs/check/input.h"

static void domains(void **state)
{
	static const char *const rows[][2] = {
		{"example.org", "example.org"},
		{"Example.ORG.", "example.org"},
		{"b\xc3\xbc"
		 "cher.example",
		 "xn--bcher-kva.example"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *domain = NULL, *why = NULL;
		struct arena a = {0};

		assert_int_equal(check_input_read(&a, rows[i][0], &domain, &why), 0);
		assert_string_equal(domain, rows[i][1]);
		arena_done(&a);
	}
}

static void hints(void **state)
{
	static const char *const rows[][2] = {
		{"https://www.example.org/path?x=1", "example.org"},
		{"http://user:secret@mail.example.org:8080", "mail.example.org"},
		{"bob@example.org", "example.org"},
		{"mailto:bob@example.org?subject=x", "example.org"},
		{"Bob B. <bob@example.org>", "example.org"},
		{"\"a@b\"@example.org", "example.org"},
		{" example.org ", "example.org"},
		{"example.org:25", "example.org"},
		{"example.org/", "example.org"},
		{"example.org, example.net", "example.org"},
		{"http://192.0.2.1/", NULL},
		{"https://", NULL},
		{"a\x1b[31mb@", NULL},
		{"[192.0.2.1]", NULL},
		{"192.0.2.1", NULL},
		{"", NULL},
		{"@", NULL},
		{"://", NULL},
		{"\xff\xfe", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *domain = NULL, *why = NULL;
		struct arena a = {0};
		const char *wanted = rows[i][1] != NULL
					     ? arena_printf(&a, "\"%s\" is meant", rows[i][1])
					     : "is meant";

		assert_true(check_input_read(&a, rows[i][0], &domain, &why) < 0);
		assert_non_null(why);
		if ((strstr(why, wanted) != NULL) != (rows[i][1] != NULL))
			fail_msg("%s: %s", rows[i][0], why);
		arena_done(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(domains),
		cmocka_unit_test(hints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
