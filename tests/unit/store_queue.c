/* edge/store as its users see it: the whole way from a body to the last parcel. */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/store/store.h"

#define T0 usec_seconds(1700000000)

struct world {
	char directory[64];
	struct io_loop *loop;
	struct store *store;
	/* The last answer. */
	bool answered;
	int result;
	size_t n;
	struct store_parcel parcels[20]; /* shallow: numbers, and the texts below */
	char text[20][200];
	size_t n_recipients[20];
	char hops[20][60];
	usec_t next_due;
	struct store_reading *reading;
	struct store_counts counts;
};

static void start(struct world *w)
{
	struct store_options o = {.directory = w->directory, .body_max = 1 << 21};
	struct err e = {.code = 0};

	w->loop = io_loop_new();
	assert_int_equal(store_open(&o, w->loop, &w->store, &e), 0);
}

static void stop(struct world *w)
{
	w->store = store_close(w->store);
	w->loop = io_loop_free(w->loop);
}

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	snprintf(w->directory, sizeof(w->directory), "/tmp/daneway-store-XXXXXX");
	require(mkdtemp(w->directory) != NULL);
	start(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char command[100];

	if (w->store != NULL)
		stop(w);
	snprintf(command, sizeof(command), "rm -rf %s", w->directory);
	require(system(command) == 0);
	free(w);
	return 0;
}

static void await(struct world *w)
{
	while (!w->answered)
		io_loop_run(w->loop);
	w->answered = false;
}

static void on_done(void *arg, int result)
{
	struct world *w = arg;

	w->result = result;
	w->answered = true;
	io_loop_stop(w->loop);
}

static void on_parcels(void *arg, int result, const struct store_parcel *p, size_t n)
{
	struct world *w = arg;

	w->n = n;
	for (size_t i = 0; i < n && i < ARRAY_SIZE(w->parcels); i++) {
		const struct store_recipient *r = p[i].message.recipients;

		w->parcels[i] = p[i];
		w->n_recipients[i] = p[i].message.n_recipients;
		snprintf(w->text[i], sizeof(w->text[i]), "%s %s %s %s", p[i].message.from, p[i].hop,
			 r[0].path, r[0].detail != NULL ? r[0].detail : "-");
	}
	on_done(arg, result);
}

static void on_hops(void *arg, int result, const struct store_hop *h, size_t n, usec_t next_due)
{
	struct world *w = arg;

	w->n = n;
	w->next_due = next_due;
	for (size_t i = 0; i < n && i < ARRAY_SIZE(w->hops); i++)
		snprintf(w->hops[i], sizeof(w->hops[i]), "%s", h[i].name);
	on_done(arg, result);
}

static void on_body(void *arg, int result, struct store_reading *r)
{
	struct world *w = arg;

	w->reading = r;
	on_done(arg, result);
}

static void on_counts(void *arg, int result, const struct store_counts *c)
{
	((struct world *)arg)->counts = *c;
	on_done(arg, result);
}

static struct store_message message(unsigned n, const struct store_recipient *to, size_t n_to)
{
	uint8_t random[STORE_ID_RANDOM] = {[7] = (uint8_t)n, [6] = (uint8_t)(n >> 8)};

	return (struct store_message){
		.id = store_id_make(T0 + n, random),
		.from = "a@sender.example",
		.arrived = T0 + n,
		.flags = STORE_8BIT,
		.envid = "env",
		.origin = "client=192.0.2.1",
		.recipients = to,
		.n_recipients = n_to,
	};
}

static int put(struct world *w, const struct store_message *m, size_t octets)
{
	struct store_body *b = store_body_begin(w->store, NULL, NULL);

	for (size_t i = 0; i < octets; i++) {
		uint8_t c = (uint8_t)(i * 7 + i / 251);

		int r = store_body_append(b, span_of(&c, 1));

		if (r < 0)
			break;
		if (r == 1)
			io_loop_run(w->loop); /* until all is written */
	}
	store_enqueue(w->store, m, b, on_done, w);
	await(w);
	return w->result;
}

static const struct store_recipient one[] = {{.path = "x@one.example", .hop = "one.example"}};
static const struct store_recipient three[] = {
	{.path = "x@one.example", .hop = "one.example", .notify = STORE_NOTIFY_SUCCESS},
	{.path = "y@two.example", .hop = "two.example", .orcpt = "rfc822;y@old.example"},
	{.path = "z@one.example", .hop = "one.example", .notify = STORE_NOTIFY_NEVER},
};

static size_t claim(struct world *w, const char *hop, usec_t now)
{
	store_claim(w->store, hop, 10, now, usec_seconds(60), on_parcels, w);
	await(w);
	assert_int_equal(w->result, 0);
	return w->n;
}

static int settle(struct world *w, struct store_parcel p, const struct store_outcome *o, size_t n,
		  usec_t now, usec_t due)
{
	struct store_completion c = {.key = p.key,
				     .fence = p.fence,
				     .now = now,
				     .due = due,
				     .outcomes = o,
				     .n_outcomes = n};

	store_complete(w->store, &c, NULL, NULL, on_done, w);
	await(w);
	return w->result;
}

static size_t count_files(struct world *w)
{
	char path[100];
	size_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/large", w->directory);
	d = opendir(path);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static uint64_t count_messages(struct world *w)
{
	store_count(w->store, T0 + usec_seconds(30), on_counts, w);
	await(w);
	assert_int_equal(w->result, 0);
	return w->counts.messages;
}

static void a_message_goes_through(void **state)
{
	struct world *w = *state;
	struct store_message m = message(1, three, 3);
	struct store_outcome o[] = {{.recipient = 0, .state = STORE_DELIVERED},
				    {.recipient = 1, .state = STORE_OPEN, .detail = "busy"}};
	struct store_parcel p;

	assert_int_equal(put(w, &m, 5000), 0);
	store_hops(w->store, T0 + 10, 0, 10, on_hops, w);
	await(w);
	assert_int_equal(w->n, 2);
	assert_int_equal(claim(w, "two.example", T0 + 10), 1);
	assert_string_equal(w->text[0], "a@sender.example two.example y@two.example -");
	assert_int_equal(claim(w, "one.example", T0 + 10), 1);
	assert_int_equal(w->n_recipients[0], 2);
	p = w->parcels[0];
	assert_int_equal(p.message.size, 5000);
	assert_true(p.message.flags == STORE_8BIT && p.attempts == 0);
	/* Claimed: nobody else gets it, and its hop is not shown. */
	assert_int_equal(claim(w, "one.example", T0 + 10), 0);
	store_hops(w->store, T0 + 10, 0, 10, on_hops, w);
	await(w);
	assert_int_equal(w->n, 0);
	/* One delivered, one deferred. */
	assert_int_equal(settle(w, p, o, 2, T0 + 20, T0 + 1000), 0);
	assert_int_equal(settle(w, p, o, 2, T0 + 20, T0 + 1000), -ESTALE);
	store_hops(w->store, T0 + 30, 0, 10, on_hops, w);
	await(w);
	assert_int_equal(w->n, 0);
	assert_true(w->next_due == T0 + 1000);
	assert_int_equal(claim(w, "one.example", T0 + 999), 0);
	assert_int_equal(claim(w, "one.example", T0 + 1000), 1);
	assert_int_equal(w->parcels[0].attempts, 1);
	o[1].state = STORE_FAILED;
	assert_int_equal(settle(w, w->parcels[0], &o[1], 1, T0 + 1001, 0), 0);
	assert_int_equal(count_messages(w), 1);
	assert_int_equal(w->counts.hops, 1);
	/* A start frees the other claim. */
	stop(w);
	start(w);
	assert_int_equal(claim(w, "two.example", T0 + 10), 1);
	assert_int_equal(settle(w, w->parcels[0], o, 1, T0 + 1001, 0), 0);
	assert_int_equal(count_messages(w), 0);
	assert_int_equal(w->counts.hops, 0);
}

static void an_id_is_stored_once(void **state)
{
	struct world *w = *state;
	struct store_message m = message(1, one, 1);

	assert_int_equal(put(w, &m, 100), 0);
	assert_int_equal(put(w, &m, 100), 1);
	/* Nor is its file kept. */
	assert_int_equal(put(w, &m, STORE_BODY_MEMORY + 1), 1);
	assert_int_equal(count_messages(w), 1);
	assert_int_equal(count_files(w), 0);
}

/* At the limit between memory and file, and at the limit of the size. */
static void bodies_come_back_whole(void **state)
{
	static const size_t sizes[] = {0,      1,      STORE_BODY_MEMORY, STORE_BODY_MEMORY + 1,
				       300000, 1 << 21};
	struct world *w = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct store_message m = message(i, one, 1);
		uint64_t at = 0;

		assert_int_equal(put(w, &m, sizes[i]), 0);
		assert_int_equal(count_files(w), sizes[i] > STORE_BODY_MEMORY ? 1 : 0);
		assert_int_equal(claim(w, "one.example", T0 + 10), 1);
		store_body_open(w->store, w->parcels[0].key, on_body, w);
		await(w);
		assert_int_equal(w->result, 0);
		assert_int_equal(store_reading_size(w->reading), sizes[i]);
		while (at < sizes[i]) {
			struct span s = store_reading_at(w->reading, at);

			for (size_t k = 0; k < s.n; k++, at++)
				assert_int_equal(s.p[k], (uint8_t)(at * 7 + at / 251));
			if (s.n == 0) {
				store_body_read(w->reading, at, on_done, w);
				/* The window is the reader's now, what was in it too. */
				if (at > 0)
					s = store_reading_at(w->reading, at - 1);
				assert_int_equal(s.n, 0);
				await(w);
				assert_int_equal(w->result, 0);
			}
		}
		w->reading = store_reading_free(w->reading);
		assert_int_equal(settle(w, w->parcels[0],
					&(struct store_outcome){.state = STORE_DELIVERED}, 1, T0,
					0),
				 0);
		assert_int_equal(count_files(w), 0);
	}
	struct store_message m = message(99, one, 1);
	assert_int_equal(put(w, &m, (1 << 21) + 1), -EMSGSIZE);
	assert_int_equal(count_messages(w), 0);
	store_body_open(w->store, 1 << 13, on_body, w);
	await(w);
	assert_int_equal(w->result, -ENOENT);
}

static void a_lost_lease_records_nothing(void **state)
{
	struct world *w = *state;
	struct store_message m = message(1, one, 1);
	struct store_outcome o = {.state = STORE_DELIVERED};
	struct store_parcel first;

	assert_int_equal(put(w, &m, 10), 0);
	assert_int_equal(claim(w, "one.example", T0 + 10), 1);
	first = w->parcels[0];
	assert_int_equal(claim(w, "one.example", T0 + usec_seconds(59)), 0);
	assert_int_equal(claim(w, "one.example", T0 + usec_seconds(61)), 1);
	assert_true(w->parcels[0].fence > first.fence);
	assert_int_equal(settle(w, first, &o, 1, T0, 0), -ESTALE);
	store_release(w->store, first.key, first.fence, on_done, w);
	await(w);
	assert_int_equal(w->result, -ESTALE);
	assert_int_equal(count_messages(w), 1);
	store_extend(w->store, first.key, w->parcels[0].fence, T0 + usec_seconds(500), on_done, w);
	await(w);
	assert_int_equal(w->result, 0);
	assert_int_equal(claim(w, "one.example", T0 + usec_seconds(499)), 0);
	store_release(w->store, first.key, w->parcels[0].fence, on_done, w);
	await(w);
	assert_int_equal(claim(w, "one.example", T0 + usec_seconds(62)), 1);
	assert_int_equal(w->parcels[0].attempts, 0);
}

/* A DSN and what it reports: both or neither. */
static void a_notice_is_stored_with_its_cause(void **state)
{
	struct world *w = *state;
	struct store_message m = message(1, one, 1), dsn = message(2, three, 3);
	struct store_outcome o = {.state = STORE_FAILED, .status = "5.1.1"};
	struct store_completion c = {.now = T0, .outcomes = &o, .n_outcomes = 1};

	dsn.from = "";
	dsn.flags = STORE_NOTICE;
	assert_int_equal(put(w, &m, 10), 0);
	assert_int_equal(claim(w, "one.example", T0 + 10), 1);
	c.key = w->parcels[0].key;
	c.fence = w->parcels[0].fence + 1;
	for (int i = 0; i < 2; i++) {
		struct store_body *b = store_body_begin(w->store, NULL, NULL);

		assert_int_equal(store_body_append(b, span_text("Subject: no\r\n")), 0);
		store_complete(w->store, &c, &dsn, b, on_done, w);
		await(w);
		assert_int_equal(w->result, i == 0 ? -ESTALE : 0);
		assert_int_equal(count_messages(w), 1);
		c.fence--;
	}
	assert_int_equal(claim(w, "two.example", T0 + 10), 1);
	assert_true(w->parcels[0].message.flags == STORE_NOTICE);
}

static int act(struct world *w, enum store_action a, const struct store_filter *f)
{
	store_act(w->store, a, f, T0 + 50, on_done, w);
	await(w);
	return w->result;
}

static void an_administrator_acts_on_what_fits(void **state)
{
	struct world *w = *state;
	struct store_message m[4];
	struct store_filter all = {0}, id = {0}, domain = {.domain = "TWO.example"},
			    from = {.from = "b@sender.example"}, old = {.arrived_before = T0 + 1},
			    held = {.held_only = true}, hop = {.hop = "one.example"};

	for (unsigned i = 0; i < 4; i++) {
		m[i] = message(i, i == 3 ? three : one, i == 3 ? 3 : 1);
		if (i == 1)
			m[i].from = "b@sender.example";
		assert_int_equal(put(w, &m[i], 10), 0);
	}
	id.id = m[2].id.text;
	store_list(w->store, &all, 0, 3, on_parcels, w);
	await(w);
	assert_int_equal(w->n, 3);
	store_list(w->store, &all, w->parcels[2].key, 3, on_parcels, w);
	await(w);
	assert_int_equal(w->n, 2);
	assert_int_equal(act(w, STORE_HOLD, &id), 1);
	assert_int_equal(act(w, STORE_HOLD, &from), 1);
	assert_int_equal(act(w, STORE_HOLD, &domain), 1);
	count_messages(w);
	assert_int_equal(w->counts.held, 3);
	assert_int_equal(w->counts.due, 2);
	assert_int_equal(w->counts.by_age[0], 4);
	assert_int_equal(claim(w, "two.example", T0 + 50), 0);
	assert_int_equal(claim(w, "one.example", T0 + 50), 2);
	assert_int_equal(act(w, STORE_UNHOLD, &held), 3);
	assert_int_equal(claim(w, "two.example", T0 + 50), 1);
	/* Removed under a claim: the claim is lost. */
	assert_int_equal(act(w, STORE_REMOVE, &domain), 1);
	assert_int_equal(settle(w, w->parcels[0], NULL, 0, T0, T0), -ESTALE);
	assert_int_equal(act(w, STORE_REMOVE, &old), 1);
	assert_int_equal(act(w, STORE_RETRY, &hop), 3);
	assert_int_equal(act(w, STORE_REMOVE, &all), 3);
	assert_int_equal(count_messages(w), 0);
	assert_int_equal(w->counts.hops, 0);
}

static size_t take(struct world *w, uint64_t key, usec_t now)
{
	store_take(w->store, key, now, usec_seconds(60), on_parcels, w);
	await(w);
	assert_int_equal(w->result, 0);
	return w->n;
}

/* Held, not due: an administrator has it all the same; but never beside another. */
static void an_administrator_takes_one_parcel(void **state)
{
	struct world *w = *state;
	struct store_message m = message(1, three, 3);
	struct store_filter all = {0};
	struct store_outcome failed[] = {{.recipient = 0, .state = STORE_FAILED},
					 {.recipient = 1, .state = STORE_FAILED}};
	struct store_parcel mine;
	uint64_t keys[2];

	assert_int_equal(put(w, &m, 10), 0);
	store_list(w->store, &all, 0, 3, on_parcels, w);
	await(w);
	assert_int_equal(w->n, 2);
	keys[0] = w->parcels[0].key;
	keys[1] = w->parcels[1].key;
	assert_int_equal(act(w, STORE_HOLD, &all), 2);
	assert_int_equal(claim(w, "one.example", T0 + 50), 0);
	assert_int_equal(take(w, keys[0], T0 - 10), 1);
	mine = w->parcels[0];
	assert_int_equal(mine.key, keys[0]);
	assert_int_equal(w->n_recipients[0], 2);
	assert_int_equal(mine.state, STORE_HELD);
	assert_int_equal(act(w, STORE_UNHOLD, &all), 2);
	/* Under that lease nobody has it; the other parcel is free. */
	assert_int_equal(take(w, keys[0], T0), 0);
	assert_int_equal(claim(w, "one.example", T0 + 50), 0);
	assert_int_equal(claim(w, "two.example", T0 + 50), 1);
	assert_int_equal(take(w, keys[1], T0 + 50), 0);
	assert_int_equal(settle(w, mine, failed, 2, T0, T0), 0);
	assert_int_equal(take(w, keys[0], T0), 0);
	assert_int_equal(take(w, 4711, T0), 0);
	/* The claim has run out: it is taken over. */
	assert_int_equal(take(w, keys[1], T0 + usec_seconds(120)), 1);
	assert_int_equal(settle(w, w->parcels[0], failed, 1, T0, T0), 0);
	assert_int_equal(count_messages(w), 0);
	assert_int_equal(w->counts.hops, 0);
}

static void a_second_process_is_refused(void **state)
{
	struct world *w = *state;
	struct store_options o = {.directory = w->directory};
	struct store *other = NULL;
	struct err e;

	assert_int_equal(store_open(&o, w->loop, &other, &e), -EBUSY);
	assert_non_null(strstr(e.text, "another process"));
}

static void nobody_else_may_read_it(void **state)
{
	static const char *const names[] = {"", "/queue", "/queue-wal", "/queue-shm", "/large"};
	struct world *w = *state;
	struct stat st;
	char path[100];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s%s", w->directory, names[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 077, 0);
	}
}

static void a_file_without_a_message_goes_at_start(void **state)
{
	struct world *w = *state;
	struct store_message m = message(1, one, 1);
	char path[150];
	FILE *f;

	assert_int_equal(put(w, &m, STORE_BODY_MEMORY + 1), 0);
	stop(w);
	snprintf(path, sizeof(path), "%s/large/%s", w->directory, store_id_first(T0).text);
	f = fopen(path, "w");
	fclose(f);
	assert_int_equal(count_files(w), 2);
	start(w);
	assert_int_equal(count_files(w), 1);
}

/* Answers that nobody waits for any more, and what is left at the end. */
static void what_is_forgotten_is_not_answered(void **state)
{
	struct world *w = *state;
	struct store_message m = message(1, one, 1);
	struct store_body *b = store_body_begin(w->store, NULL, NULL);
	uint64_t ticket = store_enqueue(w->store, &m, b, on_done, w);

	store_forget(w->store, ticket);
	io_loop_run(w->loop); /* returns: nothing is left to wait for */
	assert_false(w->answered);
	assert_int_equal(count_messages(w), 1);
	for (unsigned i = 2; i < 50; i++) {
		m = message(i, one, 1);
		b = store_body_begin(w->store, NULL, NULL);
		store_enqueue(w->store, &m, b, on_done, w);
	}
	b = store_body_begin(w->store, NULL, NULL);
	for (int i = 0; i < 2000; i++)
		(void)!store_body_append(b,
					 span_of("0123456789012345678901234567890123456789", 40));
	store_body_free(b);
	stop(w); /* does all that was asked for */
	assert_false(w->answered);
	start(w);
	assert_int_equal(count_messages(w), 49);
	assert_int_equal(count_files(w), 0);
}

/* At the limits of what may wait. */
static void what_waits_is_bounded(void **state)
{
	struct world *w = *state;
	struct store_message m = message(1, one, 1);
	static const uint8_t some[4096];
	struct store_body *b = store_body_begin(w->store, NULL, NULL);
	int r = 0;
	size_t waits = 0;

	/* No turn of the loop: what is written is not yet known to be. */
	for (; (r = store_body_append(b, span_of(some, sizeof(some)))) >= 0;)
		waits += r == 1;
	assert_int_equal(r, -ENOBUFS);
	assert_true(waits > 0);
	store_enqueue(w->store, &m, b, on_done, w);
	await(w);
	assert_int_equal(w->result, r);
	for (int i = 0; i < STORE_PENDING_MAX; i++)
		store_extend(w->store, 1, 1, T0, NULL, NULL);
	store_enqueue(w->store, &m, store_body_begin(w->store, NULL, NULL), on_done, w);
	await(w);
	assert_int_equal(w->result, -EBUSY);
	io_loop_run(w->loop); /* the others: the refusal has overtaken them */
	assert_int_equal(put(w, &m, 10), 0);
	assert_int_equal(count_messages(w), 1);
	assert_int_equal(count_files(w), 0);
}

static void ids_sort_by_time(void **state)
{
	static const uint8_t high[STORE_ID_RANDOM] = {255, 255, 255, 255, 255, 255, 255, 255};
	static const uint8_t low[STORE_ID_RANDOM] = {0};
	struct store_id a = store_id_make(T0, high), b = store_id_make(T0 + 1000, low);

	(void)state;
	assert_int_equal(strlen(a.text), STORE_ID_LEN);
	assert_true(strcmp(a.text, b.text) < 0);
	assert_true(store_id_is_valid(a.text));
	assert_false(store_id_is_valid("../../etc/passwd"));
	assert_false(store_id_is_valid("0123456789BCDFG"));
	a = store_id_new(T0);
	b = store_id_new(T0);
	assert_true(strcmp(a.text, b.text) != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_sort_by_time),
#define WITH_STORE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		WITH_STORE(a_message_goes_through),
		WITH_STORE(an_id_is_stored_once),
		WITH_STORE(bodies_come_back_whole),
		WITH_STORE(a_lost_lease_records_nothing),
		WITH_STORE(a_notice_is_stored_with_its_cause),
		WITH_STORE(an_administrator_acts_on_what_fits),
		WITH_STORE(an_administrator_takes_one_parcel),
		WITH_STORE(a_second_process_is_refused),
		WITH_STORE(nobody_else_may_read_it),
		WITH_STORE(a_file_without_a_message_goes_at_start),
		WITH_STORE(what_waits_is_bounded),
		WITH_STORE(what_is_forgotten_is_not_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
