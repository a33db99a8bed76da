/*
 * What durability costs: messages per second until each is on the disk, and processor time.
 *
 *	store_many queue|through DIR SIZE SESSIONS N    edge/store; `through`: and out again
 *	store_many open DIR                             how long an opening takes
 *	store_many file DIR SIZE N                      bare: a file a message, fsync
 *	store_many row DIR SIZE N                       bare: a row of SQLite a message, a commit
 *each
 *
 * DIR is used as it is and left there. One line of JSON; `fsyncs` is of the queue's writer.
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "edge/store/store.h"

enum {
	HOPS = 2000,
	CLAIM = 50,
};

struct bench {
	struct io_loop *loop;
	struct store *store;
	const char *message;
	size_t size, n, begun, stored, gone, sessions;
	bool through;
	char **hops;
	struct bench_cost cost;
};

struct session {
	struct bench *bench;
	size_t hop;
};

static void next(struct session *s);

static void look_at_end(struct bench *b)
{
	if (b->stored == b->n && (!b->through || b->gone == b->n))
		io_loop_stop(b->loop);
}

static void on_gone(void *arg, int result)
{
	struct bench *b = arg;

	if (result != 0)
		bench_die("complete: %d", result);
	b->gone++;
	look_at_end(b);
}

static void on_claimed(void *arg, int result, const struct store_parcel *list, size_t n)
{
	struct bench *b = arg;

	if (result != 0)
		bench_die("claim: %d", result);
	for (size_t i = 0; i < n; i++) {
		struct store_outcome o = {.state = STORE_DELIVERED};
		struct store_completion c = {.key = list[i].key,
					     .fence = list[i].fence,
					     .now = io_unix_now(),
					     .outcomes = &o,
					     .n_outcomes = 1};

		store_complete(b->store, &c, NULL, NULL, on_gone, b);
	}
}

static void on_stored(void *arg, int result)
{
	struct session *s = arg;
	struct bench *b = s->bench;

	if (result != 0)
		bench_die("enqueue: %d", result);
	b->stored++;
	if (b->through)
		store_claim(b->store, b->hops[s->hop], CLAIM, io_unix_now(), usec_seconds(600),
			    on_claimed, b);
	next(s);
	look_at_end(b);
}

static void next(struct session *s)
{
	struct bench *b = s->bench;
	struct store_recipient to = {.path = "user@example.com"};
	struct store_message m = {.from = "sender@example.org",
				  .arrived = io_unix_now(),
				  .origin = "client=192.0.2.1 helo=mail.example.org tls=TLSv1.3",
				  .recipients = &to,
				  .n_recipients = 1};
	struct store_body *body;

	if (b->begun == b->n)
		return;
	s->hop = b->begun++ * 7919 % HOPS;
	to.hop = b->hops[s->hop];
	m.id = store_id_new(m.arrived);
	body = store_body_begin(b->store, NULL, NULL);
	if (store_body_append(body, span_of(b->message, b->size)) < 0)
		bench_die("append");
	store_enqueue(b->store, &m, body, on_stored, s);
}

static void print(struct bench *b)
{
	struct store_stats stats = store_stats(b->store);

	bench_cost_print(&b->cost, b->n);
	printf("{\"fsyncs_per_message\": %.3f}\n", (double)stats.groups / (double)b->n);
}

static void queue(struct bench *b, const char *directory)
{
	struct store_options o = {.directory = directory};
	struct session *sessions = xcalloc(b->sessions, sizeof(*sessions));
	struct err e;

	b->loop = io_loop_new();
	if (store_open(&o, b->loop, &b->store, &e) < 0)
		bench_die("%s", e.text);
	b->hops = xcalloc(HOPS, sizeof(char *));
	for (size_t i = 0; i < HOPS; i++) {
		char name[40];

		snprintf(name, sizeof(name), "domain%zu.example", i * 37 % HOPS);
		b->hops[i] = xstrdup(name);
	}
	bench_cost_begin(&b->cost);
	for (size_t i = 0; i < b->sessions; i++) {
		sessions[i].bench = b;
		next(&sessions[i]);
	}
	io_loop_run(b->loop);
	bench_cost_sample_memory(&b->cost);
	print(b);
	store_close(b->store);
	io_loop_free(b->loop);
	for (size_t i = 0; i < HOPS; i++)
		free(b->hops[i]);
	free(b->hops);
	free(sessions);
}

static void open_it(struct bench *b, const char *directory)
{
	struct store_options o = {.directory = directory};
	struct err e;

	b->loop = io_loop_new();
	bench_cost_begin(&b->cost);
	if (store_open(&o, b->loop, &b->store, &e) < 0)
		bench_die("%s", e.text);
	bench_cost_sample_memory(&b->cost);
	bench_cost_print(&b->cost, 1);
	store_close(b->store);
	io_loop_free(b->loop);
}

static void files(struct bench *b, const char *directory)
{
	char path[300];

	bench_cost_begin(&b->cost);
	for (size_t i = 0; i < b->n; i++) {
		int fd;

		snprintf(path, sizeof(path), "%s/%zu", directory, i);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (fd < 0 || write(fd, b->message, b->size) != (ssize_t)b->size || fsync(fd) < 0)
			bench_die("%s", path);
		close(fd);
	}
	bench_cost_print(&b->cost, b->n);
}

static void rows(struct bench *b, const char *directory)
{
	char path[300];
	sqlite3_stmt *s;
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/rows", directory);
	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db,
			 "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
			 "CREATE TABLE m(n INTEGER PRIMARY KEY, b BLOB)",
			 NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(db, "INSERT INTO m(b) VALUES(?)", -1, &s, NULL) != SQLITE_OK)
		bench_die("%s", sqlite3_errmsg(db));
	bench_cost_begin(&b->cost);
	for (size_t i = 0; i < b->n; i++) {
		sqlite3_bind_blob64(s, 1, b->message, b->size, SQLITE_STATIC);
		if (sqlite3_step(s) != SQLITE_DONE)
			bench_die("%s", sqlite3_errmsg(db));
		sqlite3_reset(s);
	}
	bench_cost_print(&b->cost, b->n);
	sqlite3_finalize(s);
	sqlite3_close(db);
}

int main(int argc, char **argv)
{
	struct bench b = {.sessions = 1};
	char *message;

	if (argc == 3 && strcmp(argv[1], "open") == 0) {
		open_it(&b, argv[2]);
		return 0;
	}
	if (argc < 5)
		bench_die("usage: store_many queue|through DIR SIZE SESSIONS N | open DIR | "
			  "file|row DIR SIZE N");
	b.size = bench_number(argv[3]);
	b.n = bench_number(argv[argc - 1]);
	b.message = message = bench_message(b.size);
	b.through = strcmp(argv[1], "through") == 0;
	if (argc == 6)
		b.sessions = bench_number(argv[4]);
	if (argc == 6)
		queue(&b, argv[2]);
	else if (strcmp(argv[1], "file") == 0)
		files(&b, argv[2]);
	else
		rows(&b, argv[2]);
	free(message);
	return 0;
}
