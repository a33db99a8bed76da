/* The include file: edited, replaced whole, and left alone where it is not ours. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/io/read.h"
#include "edge/publish/zonefile.h"

#define HEAD "; Written by daneway; changes by hand are lost or stop it.\n"
#define A1   "_25._tcp.a.example.org. 300 IN TLSA 3 1 1 6161\n"
#define A2   "_25._tcp.a.example.org. 300 IN TLSA 3 1 1 6262\n"
#define B    "_25._tcp.b.example.org. 60 IN CNAME _dane.example.org.\n"

static const struct span RECORDS[] = {{(const uint8_t *)"\3\1\1aa", 5},
				      {(const uint8_t *)"\3\1\1bb", 5}};

static struct publish_set a_set(size_t n)
{
	return (struct publish_set){.owner = "_25._tcp.a.example.org",
				    .type = DNS_TYPE_TLSA,
				    .ttl = 300,
				    .rdata = RECORDS,
				    .n = n};
}

static int edit(const char *old, const struct publish_set *s, const char *want)
{
	struct publish_change c = {"example.org", s, 1};
	struct buf out;
	struct err e;
	int error;

	buf_init(&out, 4096);
	error = publish_zonefile_edit(span_text(old), &c, &out, &e);
	if (error == 0 && !span_is(buf_span(&out), want))
		fail_msg("%.*s", (int)out.n, out.p);
	buf_done(&out);
	return error;
}

static void edited(void **state)
{
	struct publish_set one = a_set(1), two = a_set(2), none = a_set(0);

	(void)state;
	assert_int_equal(edit("", &one, HEAD A1), 0);
	assert_int_equal(edit(HEAD A1 B, &two, HEAD B A1 A2), 0);
	assert_int_equal(edit(HEAD B A1 A2, &two, HEAD B A1 A2), 0);
	assert_int_equal(edit(HEAD A1 B A2, &none, HEAD B), 0);
	assert_int_equal(edit(HEAD A1 "\n" B, &none, HEAD B), 0);
	/* Without the newline at its end. */
	assert_int_equal(edit("b.example.org. 1 IN A 192.0.2.1", &one,
			      HEAD "b.example.org. 1 IN A 192.0.2.1\n" A1),
			 0);
	/* The same owner, another type. */
	assert_int_equal(edit("_25._tcp.a.example.org. 1 IN TXT \"x\"\n", &one,
			      HEAD "_25._tcp.a.example.org. 1 IN TXT \"x\"\n" A1),
			 0);
}

static void left_alone(void **state)
{
	static const char *const foreign[] = {"$TTL 300\n",
					      "a A 192.0.2.1\n",
					      "a.example.org. IN A 192.0.2.1\n",
					      "a.example.org. x IN A 192.0.2.1\n",
					      "a.example.org. 1 IN A \n",
					      " 300 IN A 192.0.2.1\n",
					      "a.example.org. 1 CH A 192.0.2.1\n"};
	struct publish_set one = a_set(1);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		assert_int_equal(edit(foreign[i], &one, ""), -EINVAL);
}

static void guarded(void **state)
{
	struct publish_set s = a_set(2);

	(void)state;
	s.guarded = true;
	assert_int_equal(edit(HEAD B, &s, HEAD B A1 A2), 0);
	assert_int_equal(edit(HEAD A1, &s, ""), -ESTALE);
	s.was = RECORDS;
	s.n_was = 1;
	assert_int_equal(edit(HEAD A1, &s, HEAD A1 A2), 0);
	assert_int_equal(edit(HEAD A2, &s, ""), -ESTALE);
	assert_int_equal(edit(HEAD A1 A2, &s, ""), -ESTALE);
	assert_int_equal(edit(HEAD, &s, ""), -ESTALE);
}

static void limit(void **state)
{
	struct publish_set s = a_set(1);
	struct publish_change c = {"example.org", &s, 1};
	struct buf out;

	(void)state;
	for (size_t less = 0; less < 2; less++) {
		buf_init(&out, strlen(HEAD A1) - less);
		assert_int_equal(publish_zonefile_edit(span_of(NULL, 0), &c, &out, NULL),
				 less == 0 ? 0 : -EMSGSIZE);
		buf_done(&out);
	}
}

/* --- with a directory and a command ----------------------------------------------------------- */

struct reload {
	struct io_loop *loop;
	struct io_timer *timer;
	publish_run_fn *fn;
	void *arg;
	struct publish_run run;
	unsigned started, cancelled;
	enum publish_outcome outcome;
	unsigned told;
};

static void on_run(void *arg)
{
	struct reload *r = arg;

	r->fn(r->arg, &r->run);
}

static void *start(void *runner, struct span input, publish_run_fn *fn, void *arg)
{
	struct reload *r = runner;

	assert_int_equal(input.n, 0);
	r->started++;
	r->fn = fn;
	r->arg = arg;
	io_timer_set(r->timer, 0);
	return r;
}

static void cancel(void *runner, void *handle)
{
	struct reload *r = runner;

	assert_ptr_equal(handle, r);
	io_timer_set(r->timer, USEC_NEVER);
	r->cancelled++;
}

static void on_result(void *arg, const struct publish_result *result)
{
	struct reload *r = arg;

	r->outcome = result->outcome;
	r->told++;
	io_loop_stop(r->loop);
}

static enum publish_outcome publish(struct reload *r, const char *path, const struct publish_set *s)
{
	struct publish_runner runner = {start, cancel, r};
	struct publish_change c = {"example.org", s, 1};
	struct publish *p = publish_zonefile_new(r->loop, path, &runner);

	r->told = 0;
	publish_change(p, &c, on_result, r);
	assert_int_equal(r->told, 0);
	io_loop_run(r->loop);
	assert_int_equal(r->told, 1);
	publish_free(p);
	return r->outcome;
}

static void is_file(const char *path, const char *want)
{
	int fd = open(path, O_RDONLY);
	struct buf b;

	buf_init(&b, 4096);
	assert_true(fd >= 0);
	assert_int_equal(io_read_all(fd, &b), 0);
	close(fd);
	assert_true(span_is(buf_span(&b), want));
	buf_done(&b);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void published(void **state)
{
	char directory[] = "/tmp/daneway-publish-XXXXXX", path[64], fresh[70];
	struct publish_set one = a_set(1), two = a_set(2);
	struct reload r = {.loop = io_loop_new()};

	(void)state;
	r.timer = io_timer_new(r.loop, on_run, &r);
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/zone.inc", directory);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	assert_int_equal(publish(&r, path, &one), PUBLISH_APPLIED);
	is_file(path, HEAD A1);
	/* What a run that was cut has left behind is no hindrance. */
	write_file(fresh, "half");
	assert_int_equal(publish(&r, path, &two), PUBLISH_APPLIED);
	is_file(path, HEAD A1 A2);
	assert_int_equal(access(fresh, F_OK), -1);
	r.run.status = 1;
	assert_int_equal(publish(&r, path, &one), PUBLISH_UNKNOWN);
	is_file(path, HEAD A1);
	r.run = (struct publish_run){.end = PUBLISH_RUN_KILLED, .words = "too slow"};
	assert_int_equal(publish(&r, path, &two), PUBLISH_UNKNOWN);
	assert_int_equal(r.started, 4);
	/* Not ours: neither written nor reloaded. */
	write_file(path, "$TTL 1\n");
	assert_int_equal(publish(&r, path, &one), PUBLISH_REFUSED);
	is_file(path, "$TTL 1\n");
	unlink(path);
	/* Nowhere to write. */
	assert_int_equal(mkdir(fresh, 0700), 0);
	assert_int_equal(publish(&r, path, &one), PUBLISH_NOT_SENT);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(r.started, 4);
	rmdir(fresh);
	rmdir(directory);
	io_timer_free(r.timer);
	io_loop_free(r.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(edited), cmocka_unit_test(left_alone),
					   cmocka_unit_test(guarded), cmocka_unit_test(limit),
					   cmocka_unit_test(published)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
