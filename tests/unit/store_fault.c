/* edge/store on a disk that is full, and on one whose fsync fails. The system calls are ours. */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "edge/io/log.h"
#include "edge/store/store.h"

#define T0 usec_seconds(1700000000)

static _Atomic bool full, full_database, fsync_fails, scarce;
static _Atomic int writes_fail;      /* so many of the database's, with ENOSPC */
static _Atomic int fsyncs_left = -1; /* then they fail; -1: they do not */

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at);
ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	if (atomic_load(&full) || atomic_load(&full_database) ||
	    (atomic_load(&writes_fail) > 0 && atomic_fetch_sub(&writes_fail, 1) > 0)) {
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, p, n, at);
}

ssize_t write(int fd, const void *p, size_t n)
{
	/* An eventfd is no disk: 8 octets. */
	if (atomic_load(&full) && n > 8) {
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_write, fd, p, n);
}

static int sync_it(long call, int fd)
{
	if (atomic_load(&fsyncs_left) > 0 && atomic_fetch_sub(&fsyncs_left, 1) == 1)
		atomic_store(&fsync_fails, true);
	else if (atomic_load(&fsync_fails)) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(call, fd);
}

int fsync(int fd)
{
	return sync_it(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return sync_it(SYS_fdatasync, fd);
}

int fstatvfs(int fd, struct statvfs *ret)
{
	(void)fd;
	*ret = (struct statvfs){.f_frsize = 4096, .f_bavail = atomic_load(&scarce) ? 9 : 11};
	return 0;
}

struct world {
	char directory[64];
	struct io_loop *loop;
	struct store *store;
	int result;
	struct store_parcel parcel;
	struct store_counts counts;
	size_t n_answered, n_refused;
};

static void on_done(void *arg, int result)
{
	struct world *w = arg;

	w->result = result;
	io_loop_stop(w->loop);
}

static void on_counts(void *arg, int result, const struct store_counts *c)
{
	((struct world *)arg)->counts = *c;
	on_done(arg, result);
}

static void on_parcels(void *arg, int result, const struct store_parcel *p, size_t n)
{
	if (n > 0)
		((struct world *)arg)->parcel = p[0];
	on_done(arg, result);
}

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));
	struct store_options o = {.directory = w->directory, .reserve = 10 * 4096};

	snprintf(w->directory, sizeof(w->directory), "/tmp/daneway-fault-XXXXXX");
	require(mkdtemp(w->directory) != NULL);
	w->loop = io_loop_new();
	require(store_open(&o, w->loop, &w->store, NULL) == 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char command[100];

	full = full_database = fsync_fails = scarce = false;
	fsyncs_left = -1;
	store_close(w->store);
	io_loop_free(w->loop);
	snprintf(command, sizeof(command), "rm -rf %s", w->directory);
	require(system(command) == 0);
	free(w);
	return 0;
}

static int put(struct world *w, unsigned n, size_t octets)
{
	static const struct store_recipient to = {.path = "x@one.example", .hop = "one.example"};
	uint8_t random[STORE_ID_RANDOM] = {[7] = (uint8_t)n};
	struct store_message m = {.id = store_id_make(T0, random),
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
	return w->result;
}

static uint64_t count(struct world *w)
{
	store_count(w->store, T0, on_counts, w);
	io_loop_run(w->loop);
	assert_int_equal(w->result, 0);
	return w->counts.messages;
}

static int complete(struct world *w)
{
	struct store_outcome o = {.state = STORE_DELIVERED};
	struct store_completion c = {.key = w->parcel.key,
				     .fence = w->parcel.fence,
				     .now = T0,
				     .outcomes = &o,
				     .n_outcomes = 1};

	store_complete(w->store, &c, NULL, NULL, on_done, w);
	io_loop_run(w->loop);
	return w->result;
}

static void claim(struct world *w)
{
	store_claim(w->store, "one.example", 1, T0, usec_seconds(100), on_parcels, w);
	io_loop_run(w->loop);
	assert_int_equal(w->result, 0);
	assert_true(w->parcel.fence != 0);
}

static void a_full_disk_is_said_and_passes(void **state)
{
	struct world *w = *state;

	assert_int_equal(put(w, 1, 4000), 0);
	claim(w);
	full = true;
	assert_int_equal(put(w, 2, 4000), -ENOSPC);
	assert_int_equal(put(w, 3, 200000), -ENOSPC);
	assert_int_equal(complete(w), -ENOSPC);
	assert_int_equal(count(w), 1);
	assert_false(store_stats(w->store).broken);
	full = false;
	assert_int_equal(put(w, 2, 4000), 0);
	assert_int_equal(put(w, 3, 200000), 0);
	assert_int_equal(count(w), 3);
	/* The lease stood. */
	assert_int_equal(complete(w), 0);
	assert_int_equal(count(w), 2);
}

/* No second fsync is believed: nothing is promised until all is written anew and checked. */
static void a_failed_fsync_ends_the_writer_until_it_is_checked(void **state)
{
	struct world *w = *state;

	assert_int_equal(put(w, 1, 4000), 0);
	claim(w);
	fsync_fails = true;
	assert_int_equal(put(w, 2, 4000), -EIO);
	fsync_fails = false;
	assert_int_equal(put(w, 3, 4000), -EIO);
	assert_true(store_stats(w->store).broken);
	assert_int_equal(complete(w), -EIO);
	assert_int_equal(count(w), 1);
	usleep(2100 * 1000);
	/* Under its id: whether the first try has come through or not. */
	assert_true(put(w, 2, 4000) >= 0);
	assert_false(store_stats(w->store).broken);
	assert_int_equal(put(w, 3, 4000), 0);
	assert_int_equal(count(w), 3);
	assert_int_equal(complete(w), 0);
	assert_int_equal(count(w), 2);
}

/* Somebody must hear of it, once, and when it is over. */
static void a_breakdown_is_in_the_log(void **state)
{
	struct world *w = *state;
	FILE *log = tmpfile();
	int old = dup(STDERR_FILENO);
	char text[4096] = "";

	require(log != NULL && dup2(fileno(log), STDERR_FILENO) >= 0);
	io_log_set_level(IO_LOG_INFO);
	fsync_fails = true;
	assert_int_equal(put(w, 1, 4000), -EIO);
	usleep(2100 * 1000);
	assert_int_equal(put(w, 2, 4000), -EIO);
	fsync_fails = false;
	usleep(2100 * 1000);
	assert_int_equal(put(w, 3, 4000), 0);
	require(dup2(old, STDERR_FILENO) >= 0);
	close(old);
	rewind(log);
	require(fread(text, 1, sizeof(text) - 1, log) > 0);
	fclose(log);
	assert_non_null(strstr(text, "event=queue_broken"));
	assert_non_null(strstr(text, w->directory));
	assert_non_null(strstr(text, "disk I/O error"));
	assert_non_null(strstr(text, "event=queue_checked"));
}

static void a_failed_fsync_of_a_large_body_is_said(void **state)
{
	struct world *w = *state;

	fsync_fails = true;
	assert_int_equal(put(w, 1, 200000), -EIO);
	fsync_fails = false;
	assert_int_equal(count(w), 0);
	assert_int_equal(put(w, 1, 200000), 0);
}

static size_t count_files(struct world *w)
{
	char path[100];
	size_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/large", w->directory);
	d = opendir(path);
	require(d != NULL);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void on_drained(void *arg)
{
	io_loop_stop(((struct world *)arg)->loop);
}

static off_t log_size(struct world *w)
{
	char path[100];
	struct stat st;

	snprintf(path, sizeof(path), "%s/queue-wal", w->directory);
	require(stat(path, &st) == 0);
	return st.st_size;
}

/* New messages leave the reserve free; results use it, and the log does not grow. */
static void the_reserve_is_for_results(void **state)
{
	enum {
		MANY = 60
	};
	static const char some[10000];
	struct world *w = *state;
	struct store_body *b;
	off_t before;

	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(put(w, i, 4000), 0);
	scarce = true;
	assert_int_equal(put(w, MANY, 100), -ENOSPC);
	assert_int_equal(put(w, MANY + 1, 200000), -ENOSPC);
	assert_int_equal(count_files(w), 0);
	assert_false(store_stats(w->store).broken);
	/* Nor does a large one take it while it comes in. */
	b = store_body_begin(w->store, on_drained, w);
	while (store_body_append(b, span_of(some, sizeof(some))) == 0)
		continue;
	io_loop_run(w->loop);
	assert_int_equal(store_body_append(b, span_of(some, sizeof(some))), -ENOSPC);
	assert_int_equal(count_files(w), 0);
	store_body_free(b);
	claim(w);
	assert_int_equal(complete(w), 0);
	before = log_size(w);
	for (unsigned i = 1; i < MANY; i++) {
		claim(w);
		assert_int_equal(complete(w), 0);
	}
	assert_true(log_size(w) <= before);
	assert_int_equal(count(w), 0);
	scarce = false;
	assert_int_equal(put(w, MANY, 100), 0);
	assert_int_equal(put(w, MANY + 1, 200000), 0);
}

/* The file of a refused message would keep the room that is missing. */
static void what_is_refused_leaves_no_file(void **state)
{
	struct world *w = *state;

	full_database = true;
	assert_int_equal(put(w, 1, 200000), -ENOSPC);
	assert_int_equal(count_files(w), 0);
	full_database = false;
	assert_int_equal(put(w, 1, 200000), 0);
	assert_int_equal(count_files(w), 1);
	/* Under a known id: the one that is there stays. */
	assert_int_equal(put(w, 1, 200000), 1);
	assert_int_equal(count_files(w), 1);
	/* The commit of these may have come through: not before that is known. */
	fsyncs_left = 2; /* the file's and the directory's; then the log's fails */
	assert_int_equal(put(w, 2, 200000), -EIO);
	assert_int_equal(count_files(w), 2);
	/* The files' worker can, the writer is not asked. */
	fsync_fails = false;
	assert_int_equal(put(w, 3, 200000), -EIO);
	assert_int_equal(count_files(w), 2);
	usleep(2100 * 1000);
	assert_int_equal(put(w, 4, 4000), 0);
	/* As many as there are messages: the second may be there or not. */
	assert_int_equal(count_files(w), count(w) - 1);
}

enum {
	STORE_GROUP = 600
}; /* more than share a transaction */

static void on_refused(void *arg, int result)
{
	struct world *w = arg;

	w->n_refused += result < 0;
	if (++w->n_answered == 2 * STORE_GROUP)
		io_loop_stop(w->loop);
}

/* A slice is done, the next fails: the answer comes, and the writer does not turn in a circle. */
static void an_action_ends_when_the_disk_fails(void **state)
{
	enum {
		MANY = 2500
	};
	struct world *w = *state;
	struct store_recipient *to = xcalloc(MANY, sizeof(*to));
	char(*hops)[16] = xcalloc(MANY, sizeof(*hops));
	struct store_filter all = {.id = NULL};
	uint8_t random[STORE_ID_RANDOM] = {0};
	struct store_message m = {.id = store_id_make(T0, random),
				  .from = "a@b.example",
				  .arrived = T0,
				  .recipients = to,
				  .n_recipients = MANY};

	for (size_t i = 0; i < MANY; i++) {
		snprintf(hops[i], sizeof(hops[i]), "h%zu", i);
		to[i] = (struct store_recipient){.path = "x@one.example", .hop = hops[i]};
	}
	store_enqueue(w->store, &m, store_body_begin(w->store, NULL, NULL), on_done, w);
	io_loop_run(w->loop);
	assert_int_equal(w->result, 0);
	fsyncs_left = 1;
	alarm(20);
	store_act(w->store, STORE_HOLD, &all, T0, on_done, w);
	/* One of these fails between the first slice and the second. */
	to[0].hop = "one.example";
	m.n_recipients = 1;
	for (unsigned i = 0; i < 2 * STORE_GROUP; i++) {
		random[6] = 1 + (uint8_t)(i >> 8);
		random[7] = (uint8_t)i;
		m.id = store_id_make(T0, random);
		store_enqueue(w->store, &m, store_body_begin(w->store, NULL, NULL), on_refused, w);
	}
	io_loop_run(w->loop);
	assert_int_equal(w->result, -EIO);
	assert_true(w->n_refused > 0);
	/* Nothing is left behind that has no answer. */
	while (w->n_answered < 2 * STORE_GROUP)
		io_loop_run(w->loop);
	alarm(0);
	free(hops);
	free(to);
}

static void add_one(void *arg, int result)
{
	struct world *w = arg;

	w->n_answered++;
	w->n_refused += result < 0;
	if (w->n_answered == 3)
		io_loop_stop(w->loop);
}

static void note_action(void *arg, int result)
{
	((struct world *)arg)->result = result;
	add_one(arg, 0);
}

/* A change beside it finds the disk full, so that all are tried one by one: it begins anew, too. */
static void an_action_leaves_nothing_out(void **state)
{
	struct world *w = *state;
	struct store_filter all = {.id = NULL};
	static const struct store_recipient to = {.path = "x@one.example", .hop = "one.example"};
	uint8_t random[STORE_ID_RANDOM] = {0};
	struct store_message m = {
		.from = "a@b.example", .arrived = T0, .recipients = &to, .n_recipients = 1};

	for (unsigned i = 1; i <= 20; i++)
		assert_int_equal(put(w, i, 100), 0);
	writes_fail = 1;
	/* The first is alone in its transaction; the others wait for it, and share theirs. */
	for (unsigned i = 0; i < 2; i++) {
		random[7] = (uint8_t)(100 + i);
		m.id = store_id_make(T0, random);
		store_enqueue(w->store, &m, store_body_begin(w->store, NULL, NULL), add_one, w);
		if (i == 0)
			store_act(w->store, STORE_HOLD, &all, T0, note_action, w);
	}
	io_loop_run(w->loop);
	assert_true(w->result >= 20 && w->result <= 22);
	store_count(w->store, T0, on_counts, w);
	io_loop_run(w->loop);
	assert_true(w->counts.held >= 20);
}

/* Whoever holds a key that is gone must not be led to another message by it. */
static void no_key_comes_back(void **state)
{
	struct world *w = *state;
	uint64_t key;

	assert_int_equal(put(w, 1, 4000), 0);
	claim(w);
	key = w->parcel.key;
	assert_int_equal(complete(w), 0);
	fsync_fails = true;
	assert_int_equal(put(w, 2, 4000), -EIO);
	fsync_fails = false;
	usleep(2100 * 1000);
	assert_int_equal(put(w, 3, 4000), 0);
	for (int i = 0; i < (int)count(w); i++) {
		claim(w);
		assert_int_not_equal(w->parcel.key, key);
	}
}

int main(void)
{
#define WITH_STORE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_STORE(a_full_disk_is_said_and_passes),
		WITH_STORE(a_failed_fsync_ends_the_writer_until_it_is_checked),
		WITH_STORE(a_breakdown_is_in_the_log),
		WITH_STORE(a_failed_fsync_of_a_large_body_is_said),
		WITH_STORE(the_reserve_is_for_results),
		WITH_STORE(what_is_refused_leaves_no_file),
		WITH_STORE(an_action_ends_when_the_disk_fails),
		WITH_STORE(no_key_comes_back),
		WITH_STORE(an_action_leaves_nothing_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
