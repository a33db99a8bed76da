/* What is found on the disk: a database of this version, a newer, none at all. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "edge/store/sqlite.h"

#define T0 usec_seconds(1700000000)

struct world {
	char directory[64], path[80];
	struct io_loop *loop;
	struct store *store;
	struct err e;
	int result;
	uint64_t messages, key, fence;
	size_t n;
};

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	snprintf(w->directory, sizeof(w->directory), "/tmp/daneway-schema-XXXXXX");
	require(mkdtemp(w->directory) != NULL);
	snprintf(w->path, sizeof(w->path), "%s/queue", w->directory);
	w->loop = io_loop_new();
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char command[100];

	store_close(w->store);
	io_loop_free(w->loop);
	snprintf(command, sizeof(command), "rm -rf %s", w->directory);
	require(system(command) == 0);
	free(w);
	return 0;
}

static int start(struct world *w)
{
	struct store_options o = {.directory = w->directory};

	w->e = (struct err){.code = 0};
	return store_open(&o, w->loop, &w->store, &w->e);
}

static void on_done(void *arg, int result)
{
	struct world *w = arg;

	w->result = result;
	io_loop_stop(w->loop);
}

static void on_counts(void *arg, int result, const struct store_counts *c)
{
	((struct world *)arg)->messages = c->messages;
	on_done(arg, result);
}

static void put(struct world *w, size_t octets)
{
	static const struct store_recipient to = {.path = "x@one.example", .hop = "one.example"};
	struct store_message m = {.id = store_id_new(T0),
				  .from = "a@b.example",
				  .arrived = T0,
				  .recipients = &to,
				  .n_recipients = 1};
	struct store_body *b = store_body_begin(w->store, NULL, NULL);
	static const char some[1000];

	for (size_t i = 0; i < octets; i += sizeof(some))
		(void)!store_body_append(b, span_of(some, sizeof(some)));
	store_enqueue(w->store, &m, b, on_done, w);
	io_loop_run(w->loop);
	assert_int_equal(w->result, 0);
}

static uint64_t count(struct world *w)
{
	store_count(w->store, T0, on_counts, w);
	io_loop_run(w->loop);
	assert_int_equal(w->result, 0);
	return w->messages;
}

/* By another hand than the store's. Rows of all columns, in `out`. */
static void sql(struct world *w, const char *text, struct buf *out)
{
	sqlite3 *db;
	sqlite3_stmt *s;

	require(sqlite3_open(w->path, &db) == SQLITE_OK);
	require(sqlite3_prepare_v2(db, text, -1, &s, NULL) == SQLITE_OK);
	while (sqlite3_step(s) == SQLITE_ROW)
		for (int i = 0; out != NULL && i < sqlite3_column_count(s); i++)
			require(buf_printf(out, "%s\n", sqlite3_column_text(s, i)) == 0);
	require(sqlite3_finalize(s) == SQLITE_OK);
	sqlite3_close(db);
}

/* The file in octets, and the schema it holds. */
static void schema(struct world *w, struct buf *out)
{
	buf_clear(out);
	sql(w, "SELECT type, name, sql FROM sqlite_master ORDER BY name", out);
	sql(w, "PRAGMA user_version", out);
	sql(w, "PRAGMA auto_vacuum", out);
}

static void this_version_is_left_as_it_is(void **state)
{
	struct world *w = *state;
	struct buf first, second;

	buf_init(&first, 1 << 16);
	buf_init(&second, 1 << 16);
	assert_int_equal(start(w), 0);
	put(w, 4000);
	put(w, 200000);
	w->store = store_close(w->store);
	schema(w, &first);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(start(w), 0);
		assert_int_equal(count(w), 2);
		w->store = store_close(w->store);
		schema(w, &second);
		assert_true(first.n > 1000 && span_eq(buf_span(&first), buf_span(&second)));
	}
	buf_done(&first);
	buf_done(&second);
}

/* Nothing is touched: neither rows nor files. */
static void a_newer_version_is_refused(void **state)
{
	struct world *w = *state;
	char text[60];

	assert_int_equal(start(w), 0);
	put(w, 200000);
	w->store = store_close(w->store);
	snprintf(text, sizeof(text), "PRAGMA user_version=%d", STORE_SCHEMA + 1);
	sql(w, text, NULL);
	assert_int_equal(start(w), -EPROTO);
	assert_non_null(strstr(w->e.text, w->directory));
	assert_non_null(strstr(w->e.text, "written by a newer version"));
	snprintf(text, sizeof(text), "schema %d, known here: %d", STORE_SCHEMA + 1, STORE_SCHEMA);
	assert_non_null(strstr(w->e.text, text));
	/* The lock is free again, and the message is there. */
	snprintf(text, sizeof(text), "PRAGMA user_version=%d", STORE_SCHEMA);
	sql(w, text, NULL);
	assert_int_equal(start(w), 0);
	assert_int_equal(count(w), 1);
	w->store = store_close(w->store);
	sql(w, "PRAGMA user_version=-1", NULL);
	assert_int_equal(start(w), -EPROTO);
	assert_non_null(strstr(w->e.text, "schema -1"));
}

static void write_over(struct world *w, off_t at, const char *text, size_t n)
{
	int fd = open(w->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	require(fd >= 0 && pwrite(fd, text, n, at) == (ssize_t)n);
	close(fd);
}

/* No database, or one whose first page is gone. */
static void garbage_is_refused(void **state)
{
	struct world *w = *state;
	char junk[8192];

	memset(junk, 'x', sizeof(junk));
	write_over(w, 0, junk, sizeof(junk));
	assert_int_equal(start(w), -EIO);
	assert_non_null(strstr(w->e.text, w->directory));
	assert_non_null(strstr(w->e.text, "not a database"));
	require(unlink(w->path) == 0);

	assert_int_equal(start(w), 0);
	put(w, 4000);
	w->store = store_close(w->store);
	sql(w, "PRAGMA wal_checkpoint(TRUNCATE)", NULL);
	write_over(w, 100, junk, 3000);
	assert_int_equal(start(w), -EIO);
	assert_non_null(strstr(w->e.text, "malformed"));
}

/* The version says what the tables do not hold. */
static void missing_tables_are_refused(void **state)
{
	struct world *w = *state;

	assert_int_equal(start(w), 0);
	w->store = store_close(w->store);
	sql(w, "DROP TABLE recipient", NULL);
	assert_int_equal(start(w), -EIO);
	assert_non_null(strstr(w->e.text, "no such table"));
}

static void on_parcels(void *arg, int result, const struct store_parcel *p, size_t n)
{
	struct world *w = arg;

	w->n = n;
	if (n > 0) {
		w->key = p->key;
		w->fence = p->fence;
	}
	on_done(arg, result);
}

static size_t claim(struct world *w, const char *hop)
{
	store_claim(w->store, hop, 1, T0, usec_seconds(60), on_parcels, w);
	io_loop_run(w->loop);
	assert_int_equal(w->result, 0);
	return w->n;
}

/*
 * A commit whose fsync failed may have come through, and the lease of the parcel that it took away
 * is kept over the breakdown: the second record must not take the other parcel's message.
 */
static void a_result_that_is_there_is_not_recorded_again(void **state)
{
	static const struct store_recipient to[] = {
		{.path = "x@one.example", .hop = "one.example"},
		{.path = "y@two.example", .hop = "two.example"}};
	struct world *w = *state;
	struct store_message m = {.id = store_id_new(T0),
				  .from = "a@b.example",
				  .arrived = T0,
				  .recipients = to,
				  .n_recipients = 2};
	struct store_outcome o = {.state = STORE_DELIVERED};
	struct store_completion c = {.now = T0, .outcomes = &o, .n_outcomes = 1};

	assert_int_equal(start(w), 0);
	store_enqueue(w->store, &m, store_body_begin(w->store, NULL, NULL), on_done, w);
	io_loop_run(w->loop);
	assert_int_equal(claim(w, "one.example"), 1);
	c.key = w->key;
	c.fence = w->fence;
	/* As the commit that is not known of did it. */
	sql(w, "DELETE FROM recipient WHERE path='x@one.example'", NULL);
	sql(w, "DELETE FROM parcel WHERE hop=(SELECT num FROM hop WHERE name='one.example')", NULL);
	sql(w, "UPDATE message SET parcels=1", NULL);
	store_complete(w->store, &c, NULL, NULL, on_done, w);
	io_loop_run(w->loop);
	assert_int_equal(w->result, 0);
	assert_int_equal(count(w), 1);
	assert_int_equal(claim(w, "two.example"), 1);
}

int main(void)
{
#define WITH_STORE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_STORE(this_version_is_left_as_it_is),
		WITH_STORE(a_newer_version_is_refused),
		WITH_STORE(garbage_is_refused),
		WITH_STORE(missing_tables_are_refused),
		WITH_STORE(a_result_that_is_there_is_not_recorded_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
