#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "main/gateway/request.h"

#define ID "BCDFGHJKLMNPQRST"

static struct arena arena;

static int read_text(const char *line, struct gateway_request *ret, struct err *e)
{
	return gateway_request_read(&arena, span_text(line), ret, e);
}

static void what_is_asked(void **state)
{
	struct gateway_request r;

	(void)state;
	assert_int_equal(read_text("{\"command\": \"status\"}", &r, NULL), 0);
	assert_int_equal(r.command, GATEWAY_STATUS);
	assert_int_equal(read_text("{\"command\": \"list\"}", &r, NULL), 0);
	assert_int_equal(r.command, GATEWAY_LIST);
	assert_true(r.domain == NULL && r.sender == NULL && r.older == 0 && r.n_ids == 0);
	assert_int_equal(read_text("{\"command\": \"delete\", \"domain\": \"B\xc3\xbc"
				   "cher.Example.\", \"sender\": \"<>\", \"older\": 3600}",
				   &r, NULL),
			 0);
	assert_string_equal(r.domain, "xn--bcher-kva.example");
	assert_string_equal(r.sender, "");
	assert_int_equal(r.older, 3600);
	assert_int_equal(
		read_text("{\"command\": \"hold\", \"sender\": \"a@B.Example\"}", &r, NULL), 0);
	assert_string_equal(r.sender, "a@b.example");
	assert_int_equal(read_text("{\"command\": \"retry\", \"all\": true}", &r, NULL), 0);
	assert_true(r.all);
	arena_done(&arena);
	arena = (struct arena){0};
}

/* A slip must never widen what a command is about. */
static void what_is_refused(void **state)
{
	static const struct {
		const char *line, *why;
	} cases[] = {
		{"", "not JSON"},
		{"{", "not JSON"},
		{"[]", "an object"},
		{"{}", "an object"},
		{"{\"command\": 1}", "an object"},
		{"{\"command\": \"drop\"}", "no command"},
		{"{\"command\": \"status\", \"command\": \"stop\"}", "not JSON"},
		{"{\"command\": \"delete\"}", "which messages"},
		{"{\"command\": \"bounce\"}", "which messages"},
		{"{\"command\": \"delete\", \"all\": true, \"domian\": \"a.example\"}", "a key"},
		{"{\"command\": \"delete\", \"all\": true, \"domain\": \"a.example\"}", "excludes"},
		{"{\"command\": \"delete\", \"all\": false}", "all:"},
		{"{\"command\": \"delete\", \"all\": \"true\"}", "all:"},
		{"{\"command\": \"delete\", \"domain\": \"\"}", "domain:"},
		{"{\"command\": \"delete\", \"domain\": null}", "domain:"},
		{"{\"command\": \"delete\", \"domain\": [\"a.example\"]}", "domain:"},
		{"{\"command\": \"delete\", \"sender\": null}", "sender:"},
		{"{\"command\": \"delete\", \"sender\": \"a\"}", "sender:"},
		{"{\"command\": \"delete\", \"older\": 0}", "older:"},
		{"{\"command\": \"delete\", \"older\": -1}", "older:"},
		{"{\"command\": \"delete\", \"older\": 1.5}", "older:"},
		{"{\"command\": \"delete\", \"older\": \"1\"}", "older:"},
		{"{\"command\": \"delete\", \"older\": null}", "older:"},
		{"{\"command\": \"delete\", \"older\": 9223372036854775807}", "older:"},
		{"{\"command\": \"delete\", \"ids\": []}", "ids:"},
		{"{\"command\": \"delete\", \"ids\": null}", "ids:"},
		{"{\"command\": \"delete\", \"ids\": \"" ID "\"}", "ids:"},
		{"{\"command\": \"delete\", \"ids\": [\"" ID "\", 1]}", "not the id"},
		{"{\"command\": \"delete\", \"ids\": [\"*\"]}", "not the id"},
		{"{\"command\": \"show\", \"all\": true}", "ids are wanted"},
		{"{\"command\": \"stop\", \"all\": true}", "not about messages"},
		{"{\"command\": \"status\", \"domain\": \"a.example\"}", "not about messages"},
	};
	struct gateway_request r;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(read_text(cases[i].line, &r, &e), -EINVAL);
		if (strstr(e.text, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].line, e.text);
	}
	arena_done(&arena);
	arena = (struct arena){0};
}

static int with_ids(size_t n, struct gateway_request *ret)
{
	const char **ids = arena_calloc(&arena, n, sizeof(*ids));
	struct gateway_request r = {.command = GATEWAY_SHOW, .ids = ids, .n_ids = n};
	_cleanup_(js_freep) struct js *v = NULL;
	_cleanup_(freep) char *line = NULL;

	for (size_t i = 0; i < n; i++)
		ids[i] = ID;
	v = gateway_request_write(&r);
	line = js_line(v);
	return read_text(line, ret, NULL);
}

static void limits(void **state)
{
	struct gateway_request r;
	char *line;

	(void)state;
	assert_int_equal(with_ids(GATEWAY_IDS_MAX, &r), 0);
	assert_int_equal(r.n_ids, GATEWAY_IDS_MAX);
	assert_int_equal(with_ids(GATEWAY_IDS_MAX + 1, &r), -EINVAL);
	line = xmalloc(GATEWAY_REQUEST_MAX + 2);
	memset(line, ' ', GATEWAY_REQUEST_MAX + 1);
	memcpy(line, "{\"command\": \"status\"}", 21);
	line[GATEWAY_REQUEST_MAX] = '\0';
	assert_int_equal(read_text(line, &r, NULL), 0);
	line[GATEWAY_REQUEST_MAX] = ' ';
	line[GATEWAY_REQUEST_MAX + 1] = '\0';
	assert_int_equal(read_text(line, &r, NULL), -EINVAL);
	free(line);
	arena_done(&arena);
	arena = (struct arena){0};
}

static void what_is_written_is_read_the_same(void **state)
{
	const char *ids[] = {ID, "0123456789BCDFGH"};
	struct gateway_request r = {.command = GATEWAY_BOUNCE,
				    .ids = ids,
				    .n_ids = 2,
				    .domain = "[192.0.2.1]",
				    .sender = "",
				    .older = 60},
			       again;
	_cleanup_(js_freep) struct js *v = gateway_request_write(&r);
	_cleanup_(freep) char *line = js_line(v);

	(void)state;
	assert_int_equal(read_text(line, &again, NULL), 0);
	assert_int_equal(again.command, GATEWAY_BOUNCE);
	assert_string_equal(again.ids[1], ids[1]);
	assert_string_equal(again.domain, "[192.0.2.1]");
	assert_string_equal(again.sender, "");
	assert_int_equal(again.older, 60);
	arena_done(&arena);
	arena = (struct arena){0};
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(limits),
		cmocka_unit_test(what_is_written_is_read_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
