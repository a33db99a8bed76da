/* The tree of findings: filling in, order, verdict, faces. */
#include "test.h"

#include "jobs/check/finding.h"

static const char hostile[] = "a\x1b[31mb\xc2\x9b\xff";

static struct check_finding *add(struct check_tree *t, struct check_finding *parent,
				 enum check_kind kind)
{
	/* Every name that any mail text asks for. */
	return check_add(t, parent, kind, "subject", "domain", "d", "host", "h", "hosts", "hs",
			 "why", "w", "count", "101", "addresses", "a", "reason", "r", "records",
			 "rs", "record", "rec", "owner", "o", "key", "RSA", "version", "v",
			 "cipher", "c", "matched", "m", "cause", "ca", "detail", "de", "names", "n",
			 "fix", "f", "target", "t", "name", "na", "days", "1", "end", "e", "line",
			 "l", NULL);
}

static void words_are_filled_in(void **state)
{
	struct check_tree t;
	struct check_finding *f;

	(void)state;
	check_tree_init(&t, "example.org");
	f = check_add(&t, NULL, CHECK_TLSA_NONE, "mx.example.org", "reason", "nothing there",
		      "record", "_25._tcp.mx.example.org. IN TLSA 3 1 1 00", NULL);
	assert_string_equal(f->fix, "Publish _25._tcp.mx.example.org. IN TLSA 3 1 1 00");
	assert_string_equal(f->detail, "Nothing there. Mail to this host is encrypted only if "
				       "nobody interferes.");
	check_tree_done(&t);
}

static void ids_are_unique_and_found(void **state)
{
	(void)state;
	for (int k = 0; k < CHECK_KINDS; k++)
		assert_int_equal(check_kind_from_id(check_text_of(k)->id), k);
	assert_int_equal(check_kind_from_id("nothing.such"), -1);
}

/* The contract: broken > unknown > partial > none > dane. */
static void verdicts(void **state)
{
	static const struct {
		enum check_kind kinds[4]; /* ended by CHECK_KINDS */
		enum check_verdict verdict;
		int exit;
		const char *words; /* in its sentence; NULL: any */
	} rows[] = {
		{{CHECK_MX_SECURE, CHECK_SMTP_MATCH, CHECK_KINDS},
		 CHECK_VERDICT_DANE,
		 0,
		 "authenticated TLS"},
		{{CHECK_SMTP_MATCH, CHECK_TLSA_NONE, CHECK_KINDS},
		 CHECK_VERDICT_PARTIAL,
		 1,
		 "a part only: an attacker steers the mail to the other part."},
		{{CHECK_MX_INSECURE, CHECK_SMTP_MATCH_INSECURE_MX, CHECK_KINDS},
		 CHECK_VERDICT_PARTIAL,
		 1},
		{{CHECK_TLSA_UNUSABLE, CHECK_KINDS},
		 CHECK_VERDICT_PARTIAL,
		 1,
		 "insist on TLS here and check no certificate"},
		{{CHECK_TLSA_UNUSABLE, CHECK_SMTP_MATCH, CHECK_KINDS},
		 CHECK_VERDICT_PARTIAL,
		 1,
		 "where no certificate is checked"},
		{{CHECK_TLSA_UNUSABLE, CHECK_TLSA_NONE, CHECK_KINDS},
		 CHECK_VERDICT_PARTIAL,
		 1,
		 "insisted on at a part only"},
		{{CHECK_TLSA_NONE, CHECK_KINDS}, CHECK_VERDICT_NONE, 1},
		{{CHECK_MX_NULL, CHECK_KINDS}, CHECK_VERDICT_NONE, 1},
		{{CHECK_SMTP_MATCH, CHECK_SMTP_UNREACHED, CHECK_KINDS}, CHECK_VERDICT_UNKNOWN, 3},
		{{CHECK_MX_FAILED, CHECK_KINDS}, CHECK_VERDICT_UNKNOWN, 3},
		{{CHECK_SMTP_UNREACHED, CHECK_SMTP_MISMATCH, CHECK_KINDS}, CHECK_VERDICT_BROKEN, 2},
		{{CHECK_SMTP_MATCH, CHECK_TLSA_FAILED, CHECK_KINDS}, CHECK_VERDICT_BROKEN, 2},
		{{CHECK_SMTP_MATCH, CHECK_TLSA_LATE, CHECK_KINDS}, CHECK_VERDICT_UNKNOWN, 3},
		{{CHECK_MX_NXDOMAIN, CHECK_KINDS}, CHECK_VERDICT_BROKEN, 2},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct check_tree t;
		struct check_finding *parent = NULL;

		check_tree_init(&t, "d");
		for (size_t k = 0; rows[i].kinds[k] != CHECK_KINDS; k++)
			parent = add(&t, parent, rows[i].kinds[k]); /* at any depth */
		if (check_tree_verdict(&t) != rows[i].verdict)
			fail_msg("row %zu: %s", i, check_verdict_to_string(check_tree_verdict(&t)));
		assert_int_equal(check_verdict_to_exit(check_tree_verdict(&t)), rows[i].exit);
		if (rows[i].words != NULL)
			assert_non_null(
				strstr(check_tree_in_words(&t, rows[i].verdict), rows[i].words));
		check_tree_done(&t);
	}
}

static void order_is_depth_first(void **state)
{
	struct check_tree t;
	struct check_finding *a, *b;
	const struct check_finding *f = NULL;
	unsigned depth;
	char seen[64] = "";

	(void)state;
	check_tree_init(&t, "d");
	a = check_add(&t, NULL, CHECK_MX_SECURE, "a", "hosts", "", NULL);
	b = check_add(&t, a, CHECK_MX_SECURE, "b", "hosts", "", NULL);
	check_add(&t, b, CHECK_MX_SECURE, "c", "hosts", "", NULL);
	check_add(&t, a, CHECK_MX_SECURE, "e", "hosts", "", NULL);
	check_add(&t, NULL, CHECK_MX_SECURE, "f", "hosts", "", NULL);
	while ((f = check_tree_next(&t, f, &depth)) != NULL)
		snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s%u", f->subject,
			 depth);
	assert_string_equal(seen, "a0b1c2e1f0");
	check_tree_done(&t);
}

/* What a peer says must not steer the terminal. */
static void peers_text_is_harmless(void **state)
{
	struct check_style style = {.verbose = 1};
	struct check_tree t;
	struct buf out;

	(void)state;
	check_tree_init(&t, "d");
	check_add(&t, NULL, CHECK_SMTP_UNREACHED, hostile, "detail", hostile, "host", hostile,
		  NULL);
	buf_init(&out, 10000);
	assert_int_equal(check_tree_text(&t, &style, &out), 0);
	for (size_t i = 0; i < out.n; i++)
		if (out.p[i] < 0x20 && out.p[i] != '\n')
			fail_msg("0x%02x is in the output", out.p[i]);
	assert_null(memmem(out.p, out.n, "\xc2\x9b", 2));
	assert_null(memmem(out.p, out.n, "\xff", 1));
	buf_done(&out);
	check_tree_done(&t);
}

/* A record is one line, however narrow the terminal. */
static void records_stay_whole(void **state)
{
	static const char line[] =
		"_25._tcp.mx.example.org. IN TLSA 3 1 1 00112233445566778899aabb";
	struct check_style style = {.verbose = 1, .width = 30};
	struct check_tree t;
	struct buf out;

	(void)state;
	check_tree_init(&t, "d");
	check_add(&t, NULL, CHECK_TLSA_NONE, "mx", "reason", "none, of 3 or 4", "record", line,
		  NULL);
	buf_init(&out, 10000);
	assert_int_equal(check_tree_text(&t, &style, &out), 0);
	assert_non_null(memmem(out.p, out.n, line, strlen(line)));
	buf_done(&out);
	check_tree_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_filled_in),
		cmocka_unit_test(ids_are_unique_and_found),
		cmocka_unit_test(verdicts),
		cmocka_unit_test(order_is_depth_first),
		cmocka_unit_test(peers_text_is_harmless),
		cmocka_unit_test(records_stay_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
