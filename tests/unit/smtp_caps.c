#include "test.h"

#include "core/smtp/caps.h"

static struct smtp_caps read_caps(const char *text)
{
	struct span in = span_text(text);
	struct smtp_reply_reader r;
	struct smtp_caps caps;

	smtp_reply_reader_init(&r);
	assert_int_equal(smtp_reply_read(&r, &in), SMTP_REPLY_DONE);
	caps = smtp_caps_from_ehlo(&r.reply);
	smtp_reply_reader_done(&r);
	return caps;
}

static void keywords(void **state)
{
	struct smtp_caps c = read_caps("250-mx greets\r\n250-size 1000\r\n250-StartTLS\r\n"
				       "250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
				       "250-AUTH PLAIN\r\n250-dsn\r\n250 CHUNKING\r\n");

	(void)state;
	assert_true(c.esmtp && c.size && c.starttls && c.pipelining && c.eightbit && c.smtputf8 &&
		    c.chunking && c.dsn);
	assert_int_equal(c.size_limit, 1000);
}

/* S7, and a server whose name is a keyword. */
static void what_is_no_offer(void **state)
{
	struct smtp_caps c = read_caps("250-STARTTLS\r\n250-XXXXXXXX\r\n250-STARTTLSX\r\n"
				       "250-STARTTL\r\n250 X STARTTLS\r\n");

	(void)state;
	assert_true(c.esmtp);
	assert_false(c.starttls);
	c = read_caps("250 STARTTLS\r\n");
	assert_false(c.starttls);
}

/* RFC 1870 section 3: no number or 0 is no limit; nor is one that we cannot read. */
static void sizes(void **state)
{
	(void)state;
	assert_int_equal(read_caps("250-x\r\n250 SIZE\r\n").size_limit, 0);
	assert_true(read_caps("250-x\r\n250 SIZE\r\n").size);
	assert_int_equal(read_caps("250-x\r\n250 SIZE 0\r\n").size_limit, 0);
	assert_int_equal(read_caps("250-x\r\n250 SIZE 1x\r\n").size_limit, 0);
	assert_int_equal(read_caps("250-x\r\n250 SIZE 18446744073709551615\r\n").size_limit,
			 UINT64_MAX);
	assert_int_equal(read_caps("250-x\r\n250 SIZE 18446744073709551616\r\n").size_limit, 0);
	assert_int_equal(read_caps("250-x\r\n250 SIZE 99999999999999999999\r\n").size_limit, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keywords),
		cmocka_unit_test(what_is_no_offer),
		cmocka_unit_test(sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
