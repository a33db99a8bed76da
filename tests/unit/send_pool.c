/* jobs/send/pool: which session serves whom. Matrix A27, Q11, S20: every refusal. */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "jobs/send/pool.h"

/* A destination at the same address as all others, until a test bends it. */
struct want {
	struct arena arena;
	struct dane_record records[4];
	struct dane_host host;
	struct send_want want;
};

static void add_record(struct want *w, const char *rdata, size_t n, enum dane_unusable why)
{
	struct dane_record *r = &w->records[w->host.n_records++];

	r->tlsa = dane_tlsa_from_wire(arena_dup(&w->arena, span_of(rdata, n)));
	r->unusable = why;
}

#define RECORD(w, text) add_record(w, text, sizeof(text) - 1, DANE_USABLE)

static struct want *destination(void)
{
	struct want *w = xcalloc(1, sizeof(*w));

	w->host = (struct dane_host){.name = "mx.example",
				     .tlsa_base = "mx.example",
				     .records = w->records,
				     .identifiers = {"mx.example", "one.example"},
				     .n_identifiers = 2};
	RECORD(w, "\3\1\1abcdefghabcdefghabcdefghabcdefgh");
	RECORD(w, "\2\1\1ABCDEFGHABCDEFGHABCDEFGHABCDEFGH");
	w->want = (struct send_want){
		.host = &w->host, .address = "192.0.2.1", .port = 25, .level = DANE_LEVEL_DANE};
	return w;
}

static bool serves(struct want *have, const char *ta_name, struct want *want)
{
	struct arena a = {0};
	struct send_key h = send_key_of(&a, &have->want), k = send_key_of(&a, &want->want);
	bool yes = send_key_serves(&h, ta_name, &k);

	arena_done(&a);
	return yes;
}

static void done(struct want *w)
{
	arena_done(&w->arena);
	free(w);
}

static void the_same_is_served(void **state)
{
	struct want *a = destination(), *b = destination();

	(void)state;
	assert_true(serves(a, NULL, b));
	/* The answer's order says nothing, nor does what no certificate can match. */
	b->host.n_records = 0;
	RECORD(b, "\2\1\1ABCDEFGHABCDEFGHABCDEFGHABCDEFGH");
	RECORD(b, "\3\1\1abcdefghabcdefghabcdefghabcdefgh");
	add_record(b, "\1\1\1abcdefghabcdefghabcdefghabcdefgh", 35, DANE_UNUSABLE_PKIX_USAGE);
	assert_true(serves(a, NULL, b));
	/* Usage 3 judges no names. */
	b->host.identifiers[1] = "two.example";
	assert_true(serves(a, NULL, b));
	assert_true(serves(b, NULL, a));
	done(a);
	done(b);
}

static void another_place_is_refused(void **state)
{
	struct want *a = destination(), *b = destination();

	(void)state;
	b->want.address = "192.0.2.2";
	assert_false(serves(a, NULL, b));
	b->want.address = "192.0.2.1";
	b->want.port = 26;
	assert_false(serves(a, NULL, b));
	b->want.port = 25;
	b->want.lmtp = true;
	assert_false(serves(a, NULL, b));
	b->want.lmtp = false;
	assert_true(serves(a, NULL, b));
	done(a);
	done(b);
}

/* What was merely opportunistic, or not judged, proves nothing (A27). */
static void another_level_is_refused(void **state)
{
	static const enum dane_level levels[] = {DANE_LEVEL_DANE, DANE_LEVEL_ENCRYPT,
						 DANE_LEVEL_MAY};
	struct want *a = destination(), *b = destination();

	(void)state;
	a->host.n_records = b->host.n_records = 0; /* the level alone shall tell them apart */
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(levels); k++) {
			a->want.level = levels[i];
			b->want.level = levels[k];
			assert_int_equal(serves(a, NULL, b), i == k);
		}
	}
	/* One that never tries TLS is not one that would. */
	a->want.level = b->want.level = DANE_LEVEL_MAY;
	a->want.clear = true;
	assert_false(serves(a, NULL, b));
	assert_false(serves(b, NULL, a));
	done(a);
	done(b);
}

static void another_name_is_refused(void **state)
{
	struct want *a = destination(), *b = destination();

	(void)state;
	/* The server may show another certificate to another SNI. */
	b->host.tlsa_base = "target.example";
	assert_false(serves(a, NULL, b));
	b->host.tlsa_base = NULL;
	b->host.name = "mx2.example";
	a->want.level = b->want.level = DANE_LEVEL_MAY;
	assert_false(serves(a, NULL, b));
	done(a);
	done(b);
}

static void other_records_are_refused(void **state)
{
	struct want *a = destination(), *b = destination();

	(void)state;
	b->host.n_records = 1; /* one less */
	assert_false(serves(a, NULL, b));
	assert_false(serves(b, NULL, a));
	RECORD(b, "\2\1\1ABCDEFGHABCDEFGHABCDEFGHABCDEFGI"); /* another */
	assert_false(serves(a, NULL, b));
	b->host.n_records = 1;
	RECORD(b, "\2\0\1ABCDEFGHABCDEFGHABCDEFGHABCDEFGH"); /* another selector */
	assert_false(serves(a, NULL, b));
	b->host.n_records = 2;
	b->records[1] = a->records[1];
	assert_true(serves(a, NULL, b));
	b->records[1].unusable = DANE_UNUSABLE_NOT_KEY;
	assert_false(serves(a, NULL, b));
	done(a);
	done(b);
}

/* The octets of two records are not those of one long one. */
static void records_do_not_run_together(void **state)
{
	struct want *a = destination(), *b = destination();

	(void)state;
	a->host.n_records = b->host.n_records = 0;
	RECORD(a, "\3\1\0ab\0\0\0\0\3\1\0cd");
	RECORD(b, "\3\1\0ab");
	RECORD(b, "\3\1\0cd");
	assert_false(serves(a, NULL, b));
	done(a);
	done(b);
}

/* Usage 2: the name under which the server proved itself must be one of the want's (N1 - N3). */
static void usage_2_binds_to_names(void **state)
{
	static const struct {
		const char *in_certificate, *identifier;
		bool serves;
	} table[] = {
		{"one.example", "one.example", true},
		{"one.example", "two.example", false},
		{"One.Example", "one.eXample.", true},
		{"*.example", "one.example", true},
		{"*.example", "one.two.example", false},
		{"*.example", "example", false},
		{"*.example", ".example", false},
		{"*example", "one.example", false},
		{"x.example", "one.example", false},
		{"*.", "one.", false},
		{"mx.example", "two.example", true}, /* the base domain, which is the same */
		{"", "two.example", false},          /* no name is known */
	};
	struct want *a = destination(), *b = destination();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		b->host.identifiers[1] = table[i].identifier;
		if (strcmp(table[i].in_certificate, "mx.example") != 0)
			b->host.identifiers[0] = b->host.tlsa_base = a->host.tlsa_base =
				"mx.other.test";
		if (serves(a, table[i].in_certificate, b) != table[i].serves)
			fail_msg("row %zu", i);
		b->host.identifiers[0] = b->host.tlsa_base = a->host.tlsa_base = "mx.example";
	}
	b->host.n_identifiers = 0;
	assert_false(serves(a, "one.example", b));
	done(a);
	done(b);
}

/* A refusal by name is that of one who has other names no more. */
static void a_refusal_is_for_the_same_names(void **state)
{
	struct want *a = destination(), *b = destination();
	struct arena arena = {0};
	struct send_key x, y;

	(void)state;
	x = send_key_of(&arena, &a->want);
	y = send_key_of(&arena, &b->want);
	assert_true(send_key_is_same(&x, &y));
	b->host.identifiers[1] = "two.example";
	y = send_key_of(&arena, &b->want);
	assert_false(send_key_is_same(&x, &y));
	b->host.identifiers[1] = "one.example";
	b->host.n_identifiers = 1;
	y = send_key_of(&arena, &b->want);
	assert_false(send_key_is_same(&x, &y));
	arena_done(&arena);
	done(a);
	done(b);
}

/* -------- limits */

struct seeker {
	struct io_loop *loop;
	struct send_pool *pool;
	struct dane_host host;
	struct send_want want;
	char address[64];
	size_t n, failed, earlier;
};

static void seek_next(struct seeker *s)
{
	if (s->n == SEND_POOL_PLACES_MAX + 500) {
		io_loop_stop(s->loop);
		return;
	}
	snprintf(s->address, sizeof(s->address), "127.1.%zu.%zu", s->n / 250, 1 + s->n % 250);
	s->n++;
	send_pool_seek(s->pool, &s->want);
}

static void on_failed(void *arg, const struct send_refusal *why)
{
	struct seeker *s = arg;

	s->failed++;
	s->earlier += why->earlier;
	assert_string_equal(why->meaning.status, "4.4.1");
	seek_next(s);
}

static const struct send_want_ops ops = {.failed = on_failed};

/* However many addresses a domain's DNS names: so many are remembered for having failed. */
static void dead_addresses_are_bounded(void **state)
{
	struct send_pool_options o = {.helo = {.text = "me.example"},
				      .connect_timeout = usec_seconds(5),
				      .per_address = 2,
				      .total = 10};
	struct tls_context *tls = tls_context_new(NULL);
	struct seeker s = {.loop = io_loop_new()};

	(void)state;
	s.pool = send_pool_new(s.loop, tls, &o);
	s.host.name = "mx.example";
	s.want = (struct send_want){.ops = &ops,
				    .arg = &s,
				    .host = &s.host,
				    .address = s.address,
				    .port = 1, /* nobody listens there */
				    .level = DANE_LEVEL_MAY};
	seek_next(&s);
	io_loop_run(s.loop);
	assert_int_equal(s.failed, SEND_POOL_PLACES_MAX + 500);
	assert_int_equal(s.earlier, 0);
	assert_in_range(send_pool_stats(s.pool).places, SEND_POOL_PLACES_MAX - 500,
			SEND_POOL_PLACES_MAX + 10);
	/* One that is remembered is refused without a connection. */
	s.n = 0;
	seek_next(&s);
	s.n = SEND_POOL_PLACES_MAX + 500;
	io_loop_run(s.loop);
	assert_int_equal(s.earlier, 1);
	assert_int_equal(send_pool_stats(s.pool).opened, SEND_POOL_PLACES_MAX + 500);
	send_pool_free(s.pool);
	tls_context_free(tls);
	io_loop_free(s.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_is_served),
		cmocka_unit_test(another_place_is_refused),
		cmocka_unit_test(another_level_is_refused),
		cmocka_unit_test(another_name_is_refused),
		cmocka_unit_test(other_records_are_refused),
		cmocka_unit_test(records_do_not_run_together),
		cmocka_unit_test(usage_2_binds_to_names),
		cmocka_unit_test(a_refusal_is_for_the_same_names),
		cmocka_unit_test(dead_addresses_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
