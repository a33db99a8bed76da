#include "test.h"

#include <crypt.h>
#include <stdio.h>
#include <time.h>

#include "edge/password.h"

static struct io_loop *loop;
static size_t answers, rights;

static void on_answer(void *arg, bool right)
{
	size_t *count = arg;

	answers++;
	rights += right;
	if (count != NULL)
		(*count)++;
}

static void hash_of(const char *password, const char *setting, char ret[CRYPT_OUTPUT_SIZE])
{
	struct crypt_data d = {0};
	const char *made = crypt_rn(password, setting, &d, (int)sizeof(d));

	assert_true(made != NULL && made[0] != '*');
	snprintf(ret, CRYPT_OUTPUT_SIZE, "%s", made);
}

static bool check(struct password_checker *c, const char *hash, const char *password)
{
	rights = 0;
	assert_true(password_check(c, hash, span_text(password), on_answer, NULL) != 0);
	io_loop_run(loop);
	return rights == 1;
}

static void right_and_wrong(void **state)
{
	static const struct {
		const char *prefix;
		unsigned long cost;
	} methods[] = {{"$6$", 1000}, {"$y$", 1}, {"$2b$", 4}};
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	struct password_checker *c = password_checker_new(loop);
	char hash[CRYPT_OUTPUT_SIZE], longer[PASSWORD_MAX + 2], longest[PASSWORD_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		assert_non_null(crypt_gensalt_rn(methods[i].prefix, methods[i].cost, NULL, 0,
						 setting, sizeof(setting)));
		hash_of("secret", setting, hash);
		assert_true(check(c, hash, "secret"));
		assert_false(check(c, hash, "Secret"));
		assert_false(check(c, hash, "secret "));
		assert_false(check(c, hash, "secre"));
		assert_false(check(c, hash, ""));
		assert_true(password_check(c, hash, span_of("secret\0x", 8), on_answer, NULL) != 0);
		rights = 0;
		io_loop_run(loop);
		assert_int_equal(rights, 0);
	}
	/* Neither a broken setting nor plain text is ever equal to something. */
	assert_false(check(c, "secret", "secret"));
	assert_false(check(c, "", ""));
	assert_false(check(c, "*0", "secret"));
	assert_false(check(c, "*1", "secret"));
	/* At the limit of length. */
	memset(longest, 'x', PASSWORD_MAX);
	longest[PASSWORD_MAX] = '\0';
	memset(longer, 'x', PASSWORD_MAX + 1);
	longer[PASSWORD_MAX + 1] = '\0';
	hash_of(longest, "$6$rounds=1000$saltsalt$", hash);
	assert_true(check(c, hash, longest));
	assert_false(check(c, hash, longer));
	/* What cannot be compared is not taken for an empty password. */
	hash_of("", "$6$rounds=1000$saltsalt$", hash);
	assert_false(check(c, hash, ""));
	assert_false(check(c, hash, longer));
	password_checker_free(c);
}

static void bounded_and_forgotten(void **state)
{
	struct password_checker *c = password_checker_new(loop);
	char hash[CRYPT_OUTPUT_SIZE];
	uint64_t tickets[PASSWORD_WAITING_MAX];
	size_t kept = 0;

	(void)state;
	hash_of("secret", "$6$rounds=1000$saltsalt$", hash);
	answers = rights = 0;
	for (size_t i = 0; i < PASSWORD_WAITING_MAX; i++) {
		tickets[i] = password_check(c, hash, span_text("secret"), on_answer,
					    i % 2 ? &kept : NULL);
		assert_true(tickets[i] != 0);
	}
	assert_true(password_check(c, hash, span_text("secret"), on_answer, NULL) == 0);
	for (size_t i = 0; i < PASSWORD_WAITING_MAX; i += 2)
		password_forget(c, tickets[i]);
	io_loop_run(loop);
	assert_int_equal(answers, PASSWORD_WAITING_MAX / 2);
	assert_int_equal(kept, PASSWORD_WAITING_MAX / 2);
	assert_int_equal(rights, PASSWORD_WAITING_MAX / 2);
	/* There is room again. */
	assert_true(check(c, hash, "secret"));
	/* Freed with questions open: no answer comes. */
	answers = 0;
	for (size_t i = 0; i < 10; i++)
		assert_true(password_check(c, hash, span_text("secret"), on_answer, NULL) != 0);
	password_checker_free(c);
	io_loop_run(loop);
	assert_int_equal(answers, 0);
	password_checker_free(password_checker_new(loop)); /* without a thread */
}

static int set_up(void **state)
{
	(void)state;
	loop = io_loop_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	loop = io_loop_free(loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_and_wrong),
		cmocka_unit_test(bounded_and_forgotten),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
