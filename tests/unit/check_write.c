/* The faces: what they hold, and that nothing hostile gets through any of them. */
#include "test.h"

#include "jobs/check/write.h"

/* Steers terminals (C0, C1, DEL), turns text, is no UTF-8, is markup, ends a label or a line. */
static const char hostile[] = "a\x1b[31mb\xc2\x9b\x7f\xff\xe2\x80\xae"
			      "</span><script>alert('x\")</script>&amp;\\\n\r\t|c\xe2\x80\xa8"
			      "d";

static struct check_tree tree;

static struct check_result make(const char *text)
{
	static struct check_session sessions[2];
	struct check_finding *f;

	check_tree_init(&tree, text);
	f = check_add(&tree, NULL, CHECK_MX_SECURE, text, "hosts", text, NULL);
	f = check_add(&tree, f, CHECK_SMTP_UNREACHED, text, "detail", text, "host", text, NULL);
	check_add(&tree, f, CHECK_SMTP_NO_KEY_TYPE, text, "key", text, "detail", text, NULL);
	check_add(&tree, NULL, CHECK_TLSA_NONE, text, "reason", text, "record", text, NULL);
	sessions[0] = (struct check_session){text, text, "RSA", CHECK_PASS, 1800000000};
	sessions[1] = (struct check_session){text, text, "ECDSA", CHECK_FAIL, 0};
	return (struct check_result){.tree = &tree,
				     .verdict = CHECK_VERDICT_BROKEN,
				     .sessions = sessions,
				     .n_sessions = 2,
				     .at = usec_seconds(1790000000),
				     .duration = 1500000};
}

/* What a writer wrote, NUL behind it; freed by the caller. */
static char *written(int (*end)(void *w, FILE *out), void *w)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	assert_int_equal(end(w, out), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static int end_nagios(void *w, FILE *out)
{
	return check_nagios_end(w, out);
}

static int end_metrics(void *w, FILE *out)
{
	return check_metrics_end(w, out);
}

static int end_html(void *w, FILE *out)
{
	return check_html_end(w, usec_seconds(1790000000), out);
}

static int end_json(void *w, FILE *out)
{
	return js_write(w, out, 0);
}

static char *face(int which, const struct check_result *r)
{
	struct check_style style = {.verbose = 1, .width = 80};
	struct check_nagios *nagios = check_nagios_new(false);
	struct check_metrics *metrics = check_metrics_new();
	struct check_html *html = check_html_new("title");
	struct js *json = check_result_json(r);
	struct buf text;
	char *result = NULL;

	buf_init(&text, 1 << 20);
	switch (which) {
	case 0:
		assert_int_equal(check_nagios_add(nagios, r), 0);
		result = written(end_nagios, nagios);
		break;
	case 1:
		assert_int_equal(check_metrics_add(metrics, r), 0);
		result = written(end_metrics, metrics);
		break;
	case 2:
		assert_int_equal(check_html_add(html, r), 0);
		result = written(end_html, html);
		break;
	case 3:
		result = written(end_json, json);
		break;
	default:
		assert_int_equal(check_result_text(r, &style, &text), 0);
		result = xstrndup((const char *)text.p, text.n);
	}
	check_nagios_free(nagios);
	check_metrics_free(metrics);
	check_html_free(html);
	js_free(json);
	buf_done(&text);
	return result;
}

static size_t count(const char *text, const char *word)
{
	size_t n = 0;

	for (; (text = strstr(text, word)) != NULL; text += strlen(word))
		n++;
	return n;
}

static void nothing_hostile_gets_through(void **state)
{
	(void)state;
	for (int which = 0; which < 5; which++) {
		struct check_result r = make(hostile);
		char *text = face(which, &r);

		for (const char *c = text; *c != '\0'; c++)
			if ((unsigned char)*c < 0x20 && *c != '\n')
				fail_msg("face %d: 0x%02x", which, (unsigned char)*c);
		assert_int_equal(count(text, "\xc2\x9b"), 0);
		assert_int_equal(count(text, "\xff"), 0);
		assert_int_equal(count(text, "\xe2\x80"), 0);
		assert_true(strlen(text) > 200);
		if (which == 2)
			assert_int_equal(count(text, "<script") + count(text, "alert('"), 0);
		free(text);
		check_tree_done(&tree);
	}
}

/* A bar begins performance data; a line end ends the status line. */
static void nagios(void **state)
{
	struct check_result r = make(hostile);
	char *text = face(0, &r), *line_end = strchr(text, '\n');

	(void)state;
	assert_int_equal(strncmp(text, "DANE CRITICAL - ", 16), 0);
	assert_int_equal(count(text, "|"), 1);
	assert_true(strchr(text, '|') < line_end);
	assert_non_null(strstr(text, " | time=1.500s;;;0 domains=1;;;0 sessions=2;;;0 "
				     "failed=1;;;0 certificate_days=115\n"));
	free(text);
	check_tree_done(&tree);
}

static void nagios_of_many(void **state)
{
	struct check_nagios *w = check_nagios_new(true);
	struct check_result r = make("example.org");
	char *text;

	(void)state;
	assert_int_equal(check_nagios_add(w, &r), 0);
	r.verdict = CHECK_VERDICT_DANE;
	assert_int_equal(check_nagios_add(w, &r), 0);
	assert_int_equal(check_nagios_add(w, &r), 0);
	text = written(end_nagios, w);
	assert_non_null(strstr(text, "DANE CRITICAL - 3 domains: 1 broken, 2 dane | "));
	assert_int_equal(count(text, "\n"), 2); /* what is in order has no line */
	free(text);
	check_nagios_free(w);
	check_tree_done(&tree);
}

/* Quotes, backslashes and line ends in a label value are escaped by the form's own rules. */
static void metrics(void **state)
{
	struct check_result r = make("a\"b\\c\nd");
	char *text = face(1, &r);

	(void)state;
	assert_non_null(strstr(text, "daneway_check_verdict{domain=\"a\\\"b\\\\c\\\\x0ad\","
				     "daneway_check_verdict=\"broken\"} 1\n"));
	assert_non_null(strstr(text, "key=\"RSA\"} 1800000000\n"));
	assert_non_null(strstr(text, "key=\"ECDSA\",daneway_check_session=\"fail\"} 1\n"));
	assert_non_null(strstr(text, "} 1.500000\n"));
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
	assert_int_equal(count(text, "# TYPE "), 6);
	free(text);
	check_tree_done(&tree);
}

/* Of a family all samples stand together, whatever the number of domains. */
static void metrics_of_many(void **state)
{
	struct check_metrics *w = check_metrics_new();
	char *text;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct check_result r = make(i == 0   ? "a.example"
					     : i == 1 ? "b.example"
						      : "c.example");

		assert_int_equal(check_metrics_add(w, &r), 0);
		check_tree_done(&tree);
	}
	text = written(end_metrics, w);
	assert_int_equal(count(text, "# TYPE daneway_check_verdict stateset"), 1);
	assert_int_equal(count(text, "daneway_check_verdict=\"broken\"} 1"), 3);
	assert_true(strstr(text, "{domain=\"c.example\",daneway_check_verdict=\"broken\"") <
		    strstr(text, "# TYPE daneway_check_findings"));
	free(text);
	check_metrics_free(w);
}

static void html(void **state)
{
	struct check_html *w = check_html_new("DANE check");
	char *text;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct check_result r = make(i == 0 ? "a.example" : "b.example");

		assert_int_equal(check_html_add(w, &r), 0);
		check_tree_done(&tree);
	}
	text = written(end_html, w);
	assert_int_equal(count(text, "<nav>"), 1);
	assert_int_equal(count(text, "<a href=\"#d2\">b.example</a>"), 1);
	assert_int_equal(count(text, "<section id=\"d2\">"), 1);
	assert_int_equal(count(text, "<ul>"), count(text, "</ul>"));
	assert_int_equal(count(text, "<li "), count(text, "</li>"));
	assert_int_equal(count(text, "<details"), count(text, "</details>"));
	/* The verdict stands before the findings; what is in order is folded. */
	assert_true(strstr(text, "broken</span></h2>") < strstr(text, "<ul>"));
	assert_non_null(strstr(text, "<li class=\"pass\"><details><summary>"));
	assert_non_null(strstr(text, "<li class=\"warn\"><details open=\"open\"><summary>"));
	free(text);
	check_html_free(w);
}

static char *text_of(const char *subject, unsigned verbose, unsigned width, bool colour)
{
	struct check_style style = {.verbose = verbose, .width = width, .colour = colour};
	struct check_result r = make(subject);
	struct buf text;
	char *result;

	buf_init(&text, 1 << 20);
	assert_int_equal(check_result_text(&r, &style, &text), 0);
	result = xstrndup((const char *)text.p, text.n);
	buf_done(&text);
	check_tree_done(&tree);
	return result;
}

static void text(void **state)
{
	char *folded = text_of("mx.example.org", 0, 80, false),
	     *whole = text_of("mx.example.org", 1, 80, false),
	     *coloured = text_of("mx.example.org", 0, 80, true);

	(void)state;
	/* The verdict first, in words. */
	assert_int_equal(
		strncmp(folded, "mx.example.org: broken\nSenders that do DANE will delay", 45), 0);
	/* What is skipped and the details of what is in order are folded; of trouble they are not.
	 */
	assert_null(strstr(folded, "  skip  "));
	assert_non_null(strstr(folded, "(1 skipped; -v shows it)"));
	assert_null(strstr(folded, "Postfix: "));
	assert_non_null(strstr(folded, "To mend it: Try again later"));
	assert_non_null(strstr(whole, "  skip  "));
	assert_null(strstr(whole, "skipped"));
	assert_non_null(strstr(whole, "Postfix: connect to"));
	/* Titles stand in one column. */
	assert_non_null(strstr(folded, "\n  ok    mx.example.org    The MX records are signed\n"));
	assert_non_null(
		strstr(folded, "\n  warn    mx.example.org  The server could not be tested\n"));
	assert_null(strchr(folded, '\x1b'));
	assert_non_null(strstr(coloured, "\x1b[33mwarn\x1b[0m"));
	free(folded);
	free(whole);
	free(coloured);
}

/* No line is wider than asked for, but for words that are. */
static void width(void **state)
{
	char *text = text_of("a-rather-long-name.mx.example.org", 1, 60, false), *line = text, *end;

	(void)state;
	for (; (end = strchr(line, '\n')) != NULL; line = end + 1)
		if (end - line > 60 && memchr(line + 12, ' ', (size_t)(end - line - 12)) != NULL)
			fail_msg("%.*s", (int)(end - line), line);
	free(text);
}

static void worst_of_several(void **state)
{
	struct check_count c = {0};

	(void)state;
	assert_int_equal(check_count_exit(&c), 3);
	c.of[CHECK_VERDICT_DANE] = 5;
	assert_int_equal(check_count_exit(&c), 0);
	c.of[CHECK_VERDICT_NONE] = 1;
	assert_int_equal(check_count_exit(&c), 1);
	c.of[CHECK_VERDICT_UNKNOWN] = 1;
	assert_int_equal(check_count_exit(&c), 3);
	c.of[CHECK_VERDICT_BROKEN] = 1;
	assert_int_equal(check_count_exit(&c), 2);
	assert_int_equal(check_count_all(&c), 8);
}

/* A full disk is told, not passed over. */
static void cannot_be_written(void **state)
{
	struct check_html *w = check_html_new("title");
	struct check_result r = make("example.org");
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(full);
	setvbuf(full, NULL, _IONBF, 0);
	assert_int_equal(check_html_add(w, &r), 0);
	assert_true(check_html_end(w, 0, full) < 0);
	fclose(full);
	check_html_free(w);
	check_tree_done(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_hostile_gets_through),
		cmocka_unit_test(nagios),
		cmocka_unit_test(nagios_of_many),
		cmocka_unit_test(metrics),
		cmocka_unit_test(metrics_of_many),
		cmocka_unit_test(html),
		cmocka_unit_test(text),
		cmocka_unit_test(width),
		cmocka_unit_test(worst_of_several),
		cmocka_unit_test(cannot_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
