/* Shared things: made once, waited for, kept up to a number and a weight, dropped by the oldest. */
#include "test.h"

#include "jobs/check/shelf.h"

struct thing {
	struct check_shared shared;
	char name[16];
};

static char dropped[1000];

static void drop(struct check_shared *s)
{
	size_t n = strlen(dropped);

	snprintf(dropped + n, sizeof(dropped) - n, "%s ", s->name);
	free(s);
}

static struct thing *add(struct check_shelf *shelf, const char *name)
{
	struct thing *t = xcalloc(1, sizeof(*t));

	assert_null(check_shelf_take(shelf, name));
	memcpy(t->name, name, strlen(name));
	t->shared.name = t->name;
	check_shelf_add(shelf, &t->shared);
	return t;
}

static void assert_dropped(const char *names)
{
	assert_string_equal(dropped, names);
	dropped[0] = '\0';
}

struct user {
	struct check_waiter waiter;
	struct thing *thing;
	unsigned called;
	bool gives_back;
	struct user *leaves; /* gives back too, though it waits */
};

static void on_made(void *arg)
{
	struct user *u = arg;

	u->called++;
	if (u->gives_back)
		check_shelf_give_back(&u->thing->shared, &u->waiter);
	if (u->leaves != NULL)
		check_shelf_give_back(&u->leaves->thing->shared, &u->leaves->waiter);
}

static void wait(struct user *u, struct thing *t)
{
	*u = (struct user){.thing = t,
			   .waiter = {.made = on_made, .arg = u},
			   .gives_back = u->gives_back,
			   .leaves = u->leaves};
	check_shelf_wait(&t->shared, &u->waiter);
}

static void made_once(void **state)
{
	struct check_shelf *shelf = check_shelf_new(10, 1000, drop);
	struct thing *t = add(shelf, "one");
	struct user users[3] = {{.gives_back = false}};

	(void)state;
	wait(&users[0], t);
	for (int i = 1; i < 3; i++) {
		assert_ptr_equal(check_shelf_take(shelf, "one"), t);
		wait(&users[i], t);
	}
	check_shelf_give_back(&t->shared, &users[1].waiter); /* does not wait for it any more */
	check_shelf_made(&t->shared, 10);
	assert_int_equal(users[0].called, 1);
	assert_int_equal(users[1].called, 0);
	assert_int_equal(users[2].called, 1);
	check_shelf_give_back(&t->shared, &users[0].waiter);
	check_shelf_give_back(&t->shared, NULL);
	assert_ptr_equal(check_shelf_take(shelf, "one"), t); /* still there, and made */
	assert_true(t->shared.made);
	check_shelf_give_back(&t->shared, NULL);
	check_shelf_free(shelf);
	assert_dropped("one ");
}

/* All that wait give back in their call, and one takes another with it. */
static void given_back_in_the_call(void **state)
{
	struct check_shelf *shelf = check_shelf_new(0, 1000, drop);
	struct thing *t = add(shelf, "one");
	struct user users[4] = {{.gives_back = true},
				{.gives_back = true},
				{.gives_back = true, .leaves = &users[1]},
				{.gives_back = true}};

	(void)state;
	wait(&users[0], t);
	for (int i = 1; i < 4; i++) {
		check_shelf_take(shelf, "one");
		wait(&users[i], t);
	}
	check_shelf_made(&t->shared, 10);
	assert_int_equal(users[0].called + users[2].called + users[3].called, 3);
	assert_int_equal(users[1].called, 0);
	assert_dropped("one "); /* none is kept here */
	check_shelf_free(shelf);
}

static void dropped_when_nobody_waits(void **state)
{
	struct check_shelf *shelf = check_shelf_new(10, 1000, drop);
	struct thing *t = add(shelf, "one");
	struct user user = {.gives_back = false};

	(void)state;
	wait(&user, t);
	check_shelf_give_back(&t->shared, &user.waiter);
	assert_dropped("one ");
	assert_null(check_shelf_take(shelf, "one"));
	check_shelf_free(shelf);
}

static void keep(struct check_shelf *shelf, const char *name, size_t weight)
{
	struct thing *t = add(shelf, name);

	check_shelf_made(&t->shared, weight);
	check_shelf_give_back(&t->shared, NULL);
}

static void limits(void **state)
{
	struct check_shelf *shelf = check_shelf_new(3, 100, drop);
	struct check_shared *a;

	(void)state;
	keep(shelf, "a", 10);
	keep(shelf, "b", 10);
	keep(shelf, "c", 10);
	assert_dropped("");
	a = check_shelf_take(shelf, "a"); /* in use it does not count, and then it is the newest */
	keep(shelf, "d", 10);
	assert_dropped("");
	check_shelf_give_back(a, NULL);
	assert_dropped("b ");
	keep(shelf, "e", 71); /* by weight: 10 + 10 + 71 is not over, but the number is */
	assert_dropped("c ");
	keep(shelf, "f", 20);
	assert_dropped("d a ");
	keep(shelf, "g", 101);
	assert_dropped("e f g ");
	check_shelf_free(shelf);
	assert_dropped("");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made_once),
		cmocka_unit_test(given_back_in_the_call),
		cmocka_unit_test(dropped_when_nobody_waits),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
