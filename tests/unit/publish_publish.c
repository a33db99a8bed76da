/* What a change may be; turns, cancelling and limits; the publishers that are not the DNS. */
#include "test.h"

#include <string.h>

#include "base/js.h"
#include "edge/publish/command.h"
#include "edge/publish/manual.h"

static const struct span V4 = {(const uint8_t *)"\300\0\2\1", 4};
static const struct span NAME = {(const uint8_t *)"\1t\7example\3org", 15};
static const struct span TLSA[2] = {{(const uint8_t *)"\3\1\1aa", 5},
				    {(const uint8_t *)"\3\1\1bb", 5}};

static struct publish_set set(const char *owner, uint16_t type, const struct span *rdata, size_t n)
{
	return (struct publish_set){
		.owner = owner, .type = type, .ttl = 60, .rdata = rdata, .n = n};
}

static int check(const struct publish_set *sets, size_t n)
{
	struct publish_change c = {"example.org", sets, n};
	struct err e;

	return publish_check(&c, &e);
}

static int check_one(const char *owner, uint16_t type, struct span rdata)
{
	struct publish_set s = set(owner, type, &rdata, 1);

	return check(&s, 1);
}

static void forms(void **state)
{
	struct span many[PUBLISH_RECORDS_MAX + 1];
	struct publish_set sets[PUBLISH_SETS_MAX + 1], s;
	uint8_t large[PUBLISH_RDATA_MAX + 1] = {3, 1, 0};

	(void)state;
	assert_int_equal(check_one("example.org", DNS_TYPE_A, V4), 0);
	assert_int_equal(check_one("a.b.example.org", DNS_TYPE_CNAME, NAME), 0);
	assert_int_equal(check_one("a.example.org", DNS_TYPE_TXT, span_text("\3abc\1d")), 0);
	assert_int_equal(check_one("a.example.org", DNS_TYPE_MX, span_of("\0\012\0", 3)), 0);
	assert_int_equal(check_one("a.example.org", DNS_TYPE_TLSA, span_of(large, 1024)), 0);
	assert_true(check_one("a.example.org", DNS_TYPE_TLSA, span_of(large, 1025)) < 0);
	assert_true(check_one("a.example.org", DNS_TYPE_TLSA, span_of(large, 3)) < 0);
	assert_true(check_one("a.example.org", DNS_TYPE_A, span_of(V4.p, 3)) < 0);
	assert_true(check_one("a.example.org", DNS_TYPE_AAAA, V4) < 0);
	assert_true(check_one("a.example.org", DNS_TYPE_TXT, span_text("\4abc")) < 0);
	assert_true(check_one("a.example.org", DNS_TYPE_TXT, span_of("", 0)) < 0);
	assert_true(check_one("a.example.org", DNS_TYPE_CNAME, span_of(NAME.p, 14)) < 0);
	assert_true(check_one("a.example.org", DNS_TYPE_MX, span_of("\0", 1)) < 0);
	assert_true(check_one("example.org", DNS_TYPE_CNAME, NAME) < 0);
	assert_true(check_one("example.com", DNS_TYPE_A, V4) < 0);
	assert_true(check_one("badexample.org", DNS_TYPE_A, V4) < 0);
	assert_true(check_one("org", DNS_TYPE_A, V4) < 0);
	assert_true(check_one("", DNS_TYPE_A, V4) < 0);
	/* Names are compared as texts: in one form only. */
	assert_true(check_one("A.example.org", DNS_TYPE_A, V4) < 0);
	assert_true(check_one("a.example.org.", DNS_TYPE_A, V4) < 0);
	/* What the zone lives by is not touched. */
	assert_true(check_one("example.org", DNS_TYPE_NS, NAME) < 0);
	assert_true(check_one("example.org", DNS_TYPE_DNSKEY, V4) < 0);
	assert_true(check_one("example.org", DNS_TYPE_SOA, V4) < 0);
	s = set("a.example.org", DNS_TYPE_A, &V4, 1);
	s.ttl = 0x80000000u;
	assert_true(check(&s, 1) < 0);
	/* Limits. */
	for (size_t i = 0; i < PUBLISH_RECORDS_MAX + 1; i++)
		many[i] = V4;
	s = set("a.example.org", DNS_TYPE_A, many, PUBLISH_RECORDS_MAX);
	assert_int_equal(check(&s, 1), 0);
	s.n++;
	assert_true(check(&s, 1) < 0);
	for (size_t i = 0; i < PUBLISH_SETS_MAX + 1; i++) {
		char *owner;

		assert_true(asprintf(&owner, "h%zu.example.org", i) > 0);
		sets[i] = set(owner, DNS_TYPE_A, &V4, 1);
	}
	assert_int_equal(check(sets, PUBLISH_SETS_MAX), 0);
	assert_true(check(sets, PUBLISH_SETS_MAX + 1) < 0);
	assert_true(check(sets, 0) < 0);
	for (size_t i = 0; i < PUBLISH_SETS_MAX + 1; i++)
		free((char *)sets[i].owner);
}

static void together(void **state)
{
	struct publish_set two[2] = {set("a.example.org", DNS_TYPE_A, &V4, 1),
				     set("a.example.org", DNS_TYPE_A, &V4, 1)};

	(void)state;
	assert_true(check(two, 2) < 0);
	two[1].type = DNS_TYPE_TXT;
	two[1].n = 0;
	assert_int_equal(check(two, 2), 0);
	two[1].type = DNS_TYPE_CNAME;
	assert_int_equal(check(two, 2), 0); /* no alias any more */
	two[0].n = 0;
	two[1].rdata = &NAME;
	two[1].n = 1;
	assert_true(check(two, 2) < 0); /* decision 0051 */
	two[0].owner = "b.example.org";
	assert_int_equal(check(two, 2), 0);
}

/* --- turns ------------------------------------------------------------------------------------ */

struct runner {
	struct io_loop *loop;
	struct io_timer *timer;
	publish_run_fn *fn;
	void *arg;
	struct publish_run run;
	bool hold; /* it does not end by itself */
	unsigned started, cancelled, told, last;
	struct js *input;
	enum publish_outcome outcome;
	char words[PUBLISH_WORDS_MAX];
};

struct wait {
	struct runner *runner;
	unsigned number;
};

static void on_timer(void *arg)
{
	struct runner *r = arg;

	r->fn(r->arg, &r->run);
}

static void *start(void *runner, struct span input, publish_run_fn *fn, void *arg)
{
	struct runner *r = runner;

	js_free(r->input);
	r->input = js_parse(input, NULL);
	assert_non_null(r->input);
	r->started++;
	r->fn = fn;
	r->arg = arg;
	if (!r->hold)
		io_timer_set(r->timer, 0);
	return r;
}

static void cancel(void *runner, void *handle)
{
	struct runner *r = runner;

	assert_ptr_equal(handle, r);
	io_timer_set(r->timer, USEC_NEVER);
	r->cancelled++;
}

static void on_result(void *arg, const struct publish_result *result)
{
	struct wait *w = arg;
	struct runner *r = w->runner;

	r->told++;
	assert_true(w->number > r->last || result->outcome != PUBLISH_APPLIED);
	if (result->outcome == PUBLISH_APPLIED)
		r->last = w->number;
	r->outcome = result->outcome;
	snprintf(r->words, sizeof(r->words), "%s", result->words);
}

static void begin(struct runner *r, struct publish **p)
{
	struct publish_runner runner = {start, cancel, r};

	*r = (struct runner){.loop = io_loop_new()};
	r->timer = io_timer_new(r->loop, on_timer, r);
	r->run.output = span_text("{\"result\": \"applied\"}");
	*p = publish_command_new(r->loop, &runner);
}

static void end(struct runner *r, struct publish *p)
{
	publish_free(p);
	io_timer_free(r->timer);
	io_loop_free(r->loop);
	js_free(r->input);
}

static void on_stop(void *arg)
{
	io_loop_stop(arg);
}

static void turn_for(struct io_loop *l, usec_t usec)
{
	struct io_timer *t = io_timer_new(l, on_stop, l);

	io_timer_set(t, usec_add(io_now(l), usec));
	io_loop_run(l);
	io_timer_free(t);
}

static void turns(void **state)
{
	struct publish_set s = set("a.example.org", DNS_TYPE_A, &V4, 1);
	struct publish_set wrong = set("a.example.com", DNS_TYPE_A, &V4, 1);
	struct publish_change c = {"example.org", &s, 1}, bad = {"example.org", &wrong, 1};
	struct publish_task *tasks[5];
	struct wait waits[5];
	struct publish *p;
	struct runner r;

	(void)state;
	begin(&r, &p);
	for (unsigned i = 0; i < 5; i++) {
		waits[i] = (struct wait){&r, i + 1};
		tasks[i] = publish_change(p, i == 2 ? &bad : &c, on_result, &waits[i]);
		assert_int_equal(r.started, 1); /* one at a time */
	}
	assert_int_equal(r.told, 0);
	publish_cancel(tasks[1]); /* one that waits */
	publish_cancel(tasks[0]); /* the one that runs */
	assert_int_equal(r.cancelled, 1);
	turn_for(r.loop, 50000);
	assert_int_equal(r.started, 3);
	assert_int_equal(r.told, 3);
	assert_int_equal(r.last, 5);
	/* Freed in the midst: nothing is told. */
	r.hold = true;
	publish_change(p, &c, on_result, &waits[0]);
	publish_change(p, &c, on_result, &waits[0]);
	publish_change(p, &bad, on_result, &waits[0]);
	end(&r, p);
	assert_int_equal(r.told, 3);
	assert_int_equal(r.cancelled, 2);
}

static void waiting_limit(void **state)
{
	struct publish_set s = set("a.example.org", DNS_TYPE_A, &V4, 1);
	struct publish_change c = {"example.org", &s, 1};
	struct wait w;
	struct publish *p;
	struct runner r;

	(void)state;
	begin(&r, &p);
	w = (struct wait){&r, 1};
	r.hold = true;
	for (unsigned i = 0; i < PUBLISH_WAITING_MAX; i++)
		publish_change(p, &c, on_result, &w);
	turn_for(r.loop, 1000);
	assert_int_equal(r.told, 0);
	publish_change(p, &c, on_result, &w);
	turn_for(r.loop, 1000);
	assert_int_equal(r.told, 1);
	assert_int_equal(r.outcome, PUBLISH_NOT_SENT);
	end(&r, p);
}

/* --- a command -------------------------------------------------------------------------------- */

static void answers(void **state)
{
	static const struct {
		int status;
		const char *output;
		enum publish_outcome want;
	} cases[] = {
		{0, "{\"result\": \"applied\"}\n", PUBLISH_APPLIED},
		{1, "{\"result\": \"refused\", \"detail\": \"no such zone\"}", PUBLISH_REFUSED},
		{1, "{\"result\": \"applied\"}", PUBLISH_UNKNOWN},
		{0, "{\"result\": \"refused\"}", PUBLISH_UNKNOWN},
		{0, "", PUBLISH_UNKNOWN},
		{0, "done", PUBLISH_UNKNOWN},
		{0, "{\"result\": \"yes\"}", PUBLISH_UNKNOWN},
		{0, "[]", PUBLISH_UNKNOWN},
		{1, "", PUBLISH_UNKNOWN},
		{0, "{\"result\": \"applied\"} {}", PUBLISH_UNKNOWN},
	};
	struct publish_set s = set("a.example.org", DNS_TYPE_TLSA, TLSA, 2);
	struct publish_change c = {"example.org", &s, 1};
	const struct js *one;
	struct publish *p;
	struct runner r;
	struct wait w;

	(void)state;
	begin(&r, &p);
	w = (struct wait){&r, 1};
	s.guarded = true;
	s.was = TLSA;
	s.n_was = 1;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		r.last = 0;
		r.run = (struct publish_run){.status = cases[i].status,
					     .output = span_text(cases[i].output)};
		publish_change(p, &c, on_result, &w);
		turn_for(r.loop, 1000);
		assert_int_equal(r.told, i + 1);
		assert_int_equal(r.outcome, cases[i].want);
	}
	one = js_at(js_get(r.input, "sets"), 0);
	assert_string_equal(js_text(js_get(r.input, "zone")), "example.org");
	assert_string_equal(js_text(js_get(one, "owner")), "a.example.org");
	assert_string_equal(js_text(js_get(one, "type")), "TLSA");
	assert_int_equal(js_int(js_get(one, "ttl"), 0), 60);
	assert_string_equal(js_text(js_at(js_get(one, "records"), 1)), "3 1 1 6262");
	assert_int_equal(js_count(js_get(one, "was")), 1);
	r.run = (struct publish_run){.end = PUBLISH_RUN_KILLED, .words = "took too long"};
	publish_change(p, &c, on_result, &w);
	turn_for(r.loop, 1000);
	assert_int_equal(r.outcome, PUBLISH_UNKNOWN);
	r.run.end = PUBLISH_RUN_FAILED;
	publish_change(p, &c, on_result, &w);
	turn_for(r.loop, 1000);
	assert_int_equal(r.outcome, PUBLISH_NOT_SENT);
	end(&r, p);
}

/* --- by hand ---------------------------------------------------------------------------------- */

static void on_show(void *arg, const char *text)
{
	assert_string_equal(text, "; replace a.example.org TLSA by:\n"
				  "a.example.org. 60 IN TLSA 3 1 1 6161\n"
				  "a.example.org. 60 IN TLSA 3 1 1 6262\n"
				  "; remove b.example.org A\n");
	(*(unsigned *)arg)++;
}

static void by_hand(void **state)
{
	struct publish_set sets[2] = {set("a.example.org", DNS_TYPE_TLSA, TLSA, 2),
				      set("b.example.org", DNS_TYPE_A, NULL, 0)};
	struct publish_change c = {"example.org", sets, 2};
	struct runner r = {.loop = io_loop_new()};
	struct wait w = {&r, 1};
	unsigned shown = 0;
	struct publish *p = publish_manual_new(r.loop, on_show, &shown);

	(void)state;
	publish_change(p, &c, on_result, &w);
	turn_for(r.loop, 1000);
	assert_int_equal(shown, 1);
	assert_int_equal(r.told, 1);
	assert_int_equal(r.outcome, PUBLISH_UNKNOWN);
	publish_free(p);
	io_loop_free(r.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),   cmocka_unit_test(together),
		cmocka_unit_test(turns),   cmocka_unit_test(answers),
		cmocka_unit_test(by_hand), cmocka_unit_test(waiting_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
