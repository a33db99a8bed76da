/* The client machine passes on what was asked of notifications (RFC 3461 section 5.2.1, 5.2.2). */
#include "test.h"

#include <errno.h>

#include "core/smtp/client.h"
#include "smtp_watch.h"

static const struct mail_address from = {.path = "a@b.example", .local = "a"};
static const struct mail_address to[] = {{.path = "c@d.example", .local = "c"},
					 {.path = "e@d.example", .local = "e"},
					 {.path = "f@d.example", .local = "f"}};
static const struct smtp_dsn asked[] = {
	{.notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY,
	 .orcpt = "rfc822;C+2Bx@d.example"},
	{.notify = SMTP_NOTIFY_NEVER},
	{.notify = 0},
};

static struct smtp_client *session(const char *ehlo)
{
	struct smtp_client_options o = {.helo = {.host = "me", .text = "me"}};
	struct smtp_client *c = smtp_client_new(&o);

	smtp_client_event(c, SMTP_EVENT_CONNECTED, NULL, 0);
	smtp_client_feed(c, span_text("220 mx\r\n"), 0);
	smtp_client_sent(c, smtp_client_output(c).n, 0);
	smtp_client_feed(c, span_text(ehlo), 0);
	return c;
}

static void says(const char *ehlo, const struct smtp_mail *m, bool dsn, const char *want)
{
	struct smtp_client *c = session(ehlo);
	struct watch w = {0};
	struct span out;

	assert_int_equal(smtp_client_mail(c, m, 0), 0);
	out = smtp_client_output(c);
	if (!span_is(out, want))
		fail_msg("%.*s", (int)out.n, (const char *)out.p);
	watch_output(&w, out);
	assert_int_equal(smtp_client_result(c)->dsn, dsn);
	smtp_client_free(c);
}

static void passed_on(void **state)
{
	struct smtp_mail m = {.from = &from,
			      .to = to,
			      .n_to = 3,
			      .size = 3,
			      .ret = SMTP_RET_HDRS,
			      .envid = "QQ+2B1",
			      .dsn = asked};

	(void)state;
	says("250-mx\r\n250-SIZE\r\n250-PIPELINING\r\n250 DSN\r\n", &m, true,
	     "MAIL FROM:<a@b.example> SIZE=3 RET=HDRS ENVID=QQ+2B1\r\n"
	     "RCPT TO:<c@d.example> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;C+2Bx@d.example\r\n"
	     "RCPT TO:<e@d.example> NOTIFY=NEVER\r\n"
	     "RCPT TO:<f@d.example>\r\n"
	     "DATA\r\n");
	/* Section 5.2.1 (a), (b): not supplied when they were not. */
	m.ret = SMTP_RET_NONE;
	m.envid = NULL;
	m.n_to = 1;
	says("250-mx\r\n250 DSN\r\n", &m, true, "MAIL FROM:<a@b.example>\r\n");
	m.ret = SMTP_RET_FULL;
	says("250-mx\r\n250 DSN\r\n", &m, true, "MAIL FROM:<a@b.example> RET=FULL\r\n");
}

/* Section 5.2.2 (a); and the notices are then ours. */
static void not_to_a_server_without(void **state)
{
	struct smtp_mail m = {.from = &from,
			      .to = to,
			      .n_to = 3,
			      .size = 3,
			      .ret = SMTP_RET_FULL,
			      .envid = "x",
			      .dsn = asked};

	(void)state;
	says("250-mx\r\n250-DSNX\r\n250 PIPELINING\r\n", &m, false,
	     "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@d.example>\r\n"
	     "RCPT TO:<f@d.example>\r\nDATA\r\n");
	/* Nothing was handed in to pass on: nobody else can keep the promise. */
	m.dsn = NULL;
	m.envid = NULL;
	m.ret = SMTP_RET_NONE;
	says("250-mx\r\n250-DSN\r\n250 PIPELINING\r\n", &m, false,
	     "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@d.example>\r\n"
	     "RCPT TO:<f@d.example>\r\nDATA\r\n");
}

static void cannot_end_a_command(void **state)
{
	static const char *const bad[] = {"", "a b", "a\r\nRSET", "a\nb", "a=b", "+0d", "\xc3\xbc"};
	struct smtp_client *c = session("250-mx\r\n250 DSN\r\n");
	struct smtp_dsn dsn = {0};
	struct smtp_mail m = {.from = &from, .to = to, .n_to = 1, .dsn = &dsn};
	char text[MAIL_ORCPT_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "rfc822;%s", bad[i]);
		dsn.orcpt = text;
		assert_int_equal(smtp_client_mail(c, &m, 0), -EINVAL);
		dsn.orcpt = bad[i]; /* without a type */
		assert_int_equal(smtp_client_mail(c, &m, 0), -EINVAL);
		dsn.orcpt = NULL;
		m.envid = bad[i];
		assert_int_equal(smtp_client_mail(c, &m, 0), -EINVAL);
		m.envid = NULL;
	}
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text, "rfc822;", 7);
	dsn.orcpt = text;
	assert_int_equal(smtp_client_mail(c, &m, 0), -EINVAL);
	dsn.orcpt = NULL;
	text[MAIL_ENVID_MAX + 1] = '\0';
	memset(text, 'a', 7);
	m.envid = text;
	assert_int_equal(smtp_client_mail(c, &m, 0), -EINVAL);
	assert_int_equal(smtp_client_output(c).n, 0);
	smtp_client_free(c);
}

/* The longest of everything goes out whole. */
static void longest(void **state)
{
	char path[MAIL_PATH_MAX + 1], orcpt[MAIL_ORCPT_MAX + 1], envid[MAIL_ENVID_MAX + 1];
	struct mail_address long_from = {.path = path, .local = "a", .smtputf8 = true};
	struct mail_address long_to = {.path = path, .local = "a", .smtputf8 = true};
	struct smtp_dsn dsn = {.notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE |
					 SMTP_NOTIFY_DELAY,
			       .orcpt = orcpt};
	struct smtp_mail m = {.from = &long_from,
			      .to = &long_to,
			      .n_to = 1,
			      .size = UINT64_MAX,
			      .eightbit = true,
			      .ret = SMTP_RET_FULL,
			      .envid = envid,
			      .dsn = &dsn};
	struct arena a = {0};

	(void)state;
	memset(path, 'p', sizeof(path) - 1);
	memset(orcpt, 'o', sizeof(orcpt) - 1);
	memcpy(orcpt, "rfc822;", 7);
	memset(envid, 'e', sizeof(envid) - 1);
	path[MAIL_PATH_MAX] = orcpt[MAIL_ORCPT_MAX] = envid[MAIL_ENVID_MAX] = '\0';
	says("250-mx\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250-CHUNKING\r\n"
	     "250 PIPELINING\r\n",
	     &m, true,
	     arena_printf(&a,
			  "MAIL FROM:<%s> SIZE=18446744073709551615 BODY=8BITMIME SMTPUTF8 "
			  "RET=FULL ENVID=%s\r\n"
			  "RCPT TO:<%s> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=%s\r\n",
			  path, envid, path, orcpt));
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passed_on),
		cmocka_unit_test(not_to_a_server_without),
		cmocka_unit_test(cannot_end_a_command),
		cmocka_unit_test(longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
