/*
 * core/mail/dsn.h. With --print N the N-th case is written to standard output, for mail_dsn.py,
 * which judges it with Python's email parser.
 */
#include "test.h"

#include <errno.h>

#include "core/mail/date.h"
#include "dsn_judge.h"

#define SECOND  (1795600000 * USEC_PER_SEC) /* Wed, 25 Nov 2026 09:46:40 +0000 */
#define LONG    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define LONGER  LONG LONG LONG LONG LONG LONG LONG LONG
#define LONGEST LONGER LONGER LONGER LONGER LONGER

static const struct mail_dsn_recipient bob[] = {
	{.path = "bob@example.org",
	 .action = MAIL_DSN_FAILED,
	 .status = "5.1.1",
	 .reply = "550 5.1.1 no such user",
	 .remote = "mx.example.org"},
};
static const struct mail_dsn_recipient dane[] = {
	{.path = "bob@example.org",
	 .orcpt = "rfc822;Bob+2Bx@example.org",
	 .action = MAIL_DSN_FAILED,
	 .status = "5.7.323",
	 .detail = "mx.example.org[192.0.2.7]: no TLSA record matches the certificate"},
};
static const struct mail_dsn_recipient delayed[] = {
	{.path = "bob@example.org", .action = MAIL_DSN_DELAYED, .status = "4.4.1"},
	{.path = "eve@example.org", .action = MAIL_DSN_DELAYED, .status = "4.4.1"},
};
static const struct mail_dsn_recipient mixed[] = {
	{.path = "a@example.org",
	 .action = MAIL_DSN_RELAYED,
	 .status = "2.1.5",
	 .reply = "250 2.1.5 ok",
	 .remote = "mx.example.org"},
	{.path = "b@example.org",
	 .action = MAIL_DSN_FAILED,
	 .status = "5.2.2",
	 .reply = "552 5.2.2 full",
	 .remote = "mx.example.org"},
	{.path = "c@example.org", .action = MAIL_DSN_DELIVERED, .status = "2.0.0"},
	{.path = "d@example.org", .action = MAIL_DSN_DELAYED, .status = "4.7.321"},
};
static const struct mail_dsn_recipient injected[] = {
	{.path = "b\r\nX-Path: 1\r\n\r\n@example.org",
	 .orcpt = "rfc822;bob+0D+0AX-Orcpt:+201",
	 .action = MAIL_DSN_FAILED,
	 .status = "5.1.1\r\nX-Status: 1",
	 .reply = "550 5.1.1 no\r\nX-Reply: 1\r\n\r\n--=_daneway_"
		  "00112233445566778899aabbccddeeff\r\n\r\nX-Part: 1",
	 .detail = "no\nX-Detail: 1\n\n\x1b[31mred\x7f\xff",
	 .remote = "mx\r\nX-Remote: 1"},
	{.path = "x@example.org",
	 .orcpt = "rfc822\r\nX-Type: 1;x",
	 .action = MAIL_DSN_FAILED,
	 .status = "5.1.1111"},
};
static const struct mail_dsn_recipient jorg[] = {
	{.path = "j\xc3\xb6rg+x@example.org",
	 .orcpt = "utf-8;j\\x{F6}rg\\x{2B}x@example.org",
	 .action = MAIL_DSN_FAILED,
	 .status = "5.6.7",
	 .reply = "550 5.6.7 \xc3\xb6 no",
	 .remote = "mx.example.org"},
};
static const struct mail_dsn_recipient longest[] = {
	{.path = LONGER "@example.org",
	 .orcpt = "rfc822;" LONG LONG LONG LONG LONG LONG LONG,
	 .action = MAIL_DSN_FAILED,
	 .status = "5.999.999",
	 .reply = LONGEST,
	 .detail = LONGEST,
	 .remote = LONGEST},
	{.path = "\xc3\xbc+++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++"
		 "+"
		 "+++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++"
		 "++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++",
	 .action = MAIL_DSN_FAILED},
};

#define FACTS(list) FACTS_TO(list, "alice@sender.example")
#define FACTS_TO(list, sender)                                                                     \
	.id = "0123456789BCDFGH", .hostname = "mx1.hoster.example",                                \
	.postmaster = "postmaster@hoster.example", .to = sender, .now = SECOND,                    \
	.arrived = SECOND - 100 * USEC_PER_SEC, .last_attempt = SECOND,                            \
	.retry_until = SECOND + 86400 * USEC_PER_SEC,                                              \
	.random = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,                                 \
		   0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff},                                \
	.recipients = list, .n_recipients = ARRAY_SIZE(list)

static const struct {
	const char *name;
	struct mail_dsn dsn;
	const char *original;
} cases[] = {
	{"failed",
	 {FACTS(bob), .original = MAIL_DSN_FULL, .original_id = "BBBBBBBBCCCCCCCC"},
	 "Subject: hello\r\n\r\nA body.\r\n--=_daneway_\r\n"},
	{"dane",
	 {FACTS(dane), .original = MAIL_DSN_HEADER, .envid = "QQ+2B314", .too_large = true},
	 "Subject: hello\r\n\r\n"},
	{"delayed", {FACTS(delayed), .original = MAIL_DSN_HEADER}, "Subject: hello\r\n"},
	{"mixed", {FACTS(mixed), .original = MAIL_DSN_NOTHING}, ""},
	{"injected",
	 {FACTS(injected), .original = MAIL_DSN_HEADER, .envid = "a+0D+0AX-Envid:+201",
	  .original_id = "B\r\nX-Id: 1"},
	 "Subject: hello\r\n"},
	{"utf8 sender",
	 {FACTS_TO(jorg, "\xc3\xa4nne@sender.example"), .original = MAIL_DSN_FULL,
	  .original_8bit = true, .original_utf8 = true},
	 "Subject: h\xc3\xa4llo\r\n\r\nA b\xc3\xb6"
	 "dy.\r\n"},
	{"utf8 recipient",
	 {FACTS(jorg), .original = MAIL_DSN_HEADER, .original_8bit = true, .original_utf8 = true},
	 "Subject: h\xc3\xa4llo\r\n\r\n"},
	{"8bit body",
	 {FACTS(bob), .original = MAIL_DSN_FULL, .original_8bit = true},
	 "Subject: hello\r\n\r\nA b\xf6"
	 "dy.\r\n"},
	{"longest",
	 {FACTS(longest), .envid = LONGEST, .original = MAIL_DSN_HEADER},
	 "Subject: hello\r\n"},
};

static void write_case(size_t i, struct buf *out)
{
	buf_init(out, 1 << 20);
	judge_write(&cases[i].dsn, span_text(cases[i].original), out);
}

/* -------- the tests */

static void whole_text(void **state)
{
	static const char want[] =
		"From: Mail Delivery System <postmaster@hoster.example>\r\n"
		"To: <alice@sender.example>\r\n"
		"Subject: Undelivered mail returned to sender\r\n"
		"Date: Wed, 25 Nov 2026 09:46:40 +0000\r\n"
		"Message-ID: <0123456789BCDFGH@mx1.hoster.example>\r\n"
		"Auto-Submitted: auto-replied\r\n"
		"MIME-Version: 1.0\r\n"
		"Content-Type: multipart/report; report-type=delivery-status;\r\n"
		"\tboundary=\"=_daneway_00112233445566778899aabbccddeeff\"\r\n"
		"Content-Transfer-Encoding: 7bit\r\n"
		"\r\n"
		"This is a MIME-encapsulated message.\r\n"
		"\r\n"
		"--=_daneway_00112233445566778899aabbccddeeff\r\n"
		"Content-Type: text/plain; charset=utf-8\r\n"
		"Content-Transfer-Encoding: 7bit\r\n"
		"\r\n"
		"This is the mail server at mx1.hoster.example.\r\n"
		"A message with your address as its sender came here on\r\n"
		"Wed, 25 Nov 2026 09:45:00 +0000.\r\n"
		"\r\n"
		"The message could NOT be delivered to:\r\n"
		"\r\n"
		"  <bob@example.org>\r\n"
		"    There is no such mailbox at the recipient's domain.\r\n"
		"    What to do: Check the address.\r\n"
		"    The server mx.example.org answered: 550 5.1.1 no such user\r\n"
		"    Status: 5.1.1\r\n"
		"\r\n"
		"The message follows.\r\n"
		"\r\n"
		"--=_daneway_00112233445566778899aabbccddeeff\r\n"
		"Content-Type: message/delivery-status\r\n"
		"Content-Transfer-Encoding: 7bit\r\n"
		"\r\n"
		"Reporting-MTA: dns; mx1.hoster.example\r\n"
		"Arrival-Date: Wed, 25 Nov 2026 09:45:00 +0000\r\n"
		"X-Daneway-Id: BBBBBBBBCCCCCCCC\r\n"
		"\r\n"
		"Final-Recipient: rfc822; bob@example.org\r\n"
		"Action: failed\r\n"
		"Status: 5.1.1\r\n"
		"Remote-MTA: dns; mx.example.org\r\n"
		"Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
		"Last-Attempt-Date: Wed, 25 Nov 2026 09:46:40 +0000\r\n"
		"\r\n"
		"--=_daneway_00112233445566778899aabbccddeeff\r\n"
		"Content-Type: message/rfc822\r\n"
		"Content-Transfer-Encoding: 7bit\r\n"
		"\r\n"
		"Subject: hello\r\n\r\nA body.\r\n--=_daneway_\r\n"
		"\r\n"
		"--=_daneway_00112233445566778899aabbccddeeff--\r\n";
	struct buf out;

	(void)state;
	write_case(0, &out);
	assert_int_equal(buf_add(&out, "", 1), 0);
	assert_string_equal((const char *)out.p, want);
	buf_done(&out);
}

static void always_holds(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mail_dsn d = cases[i].dsn;
		struct buf out;

		d.original = MAIL_DSN_NOTHING;
		buf_init(&out, 1 << 20);
		judge_write(&d, span_of(NULL, 0), &out);
		judge_message(&d, buf_span(&out));
		buf_done(&out);
	}
}

/* A recipient's status is one that programs can read, and fits what was done. */
static void statuses(void **state)
{
	static const struct {
		enum mail_dsn_action action;
		const char *in, *out;
	} table[] = {
		{MAIL_DSN_FAILED, "5.1.1", "5.1.1"},
		{MAIL_DSN_FAILED, "4.7.323", "4.7.323"}, /* RFC 3464 section 2.3.3 */
		{MAIL_DSN_FAILED, "5.999.100", "5.999.100"},
		{MAIL_DSN_FAILED, "5.0.0", "5.0.0"},
		{MAIL_DSN_FAILED, NULL, "5.0.0"},
		{MAIL_DSN_FAILED, "", "5.0.0"},
		{MAIL_DSN_FAILED, "2.0.0", "5.0.0"},
		{MAIL_DSN_FAILED, "5.1", "5.0.0"},
		{MAIL_DSN_FAILED, "5.1.", "5.0.0"},
		{MAIL_DSN_FAILED, "5..1", "5.0.0"},
		{MAIL_DSN_FAILED, "5.01.1", "5.0.0"},
		{MAIL_DSN_FAILED, "5.1.1000", "5.0.0"},
		{MAIL_DSN_FAILED, "5.1.1 x", "5.0.0"},
		{MAIL_DSN_FAILED, "5.1.1.1", "5.0.0"},
		{MAIL_DSN_DELAYED, "4.4.1", "4.4.1"},
		{MAIL_DSN_DELAYED, "5.1.1", "4.0.0"},
		{MAIL_DSN_RELAYED, "2.1.5", "2.1.5"},
		{MAIL_DSN_RELAYED, NULL, "2.0.0"},
		{MAIL_DSN_DELIVERED, "4.0.0", "2.0.0"},
	};
	struct arena a = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct mail_dsn_recipient r = bob[0];
		struct mail_dsn d = cases[0].dsn;
		struct buf out;

		r.action = table[i].action;
		r.status = table[i].in;
		d.recipients = &r;
		buf_init(&out, 1 << 20);
		judge_write(&d, span_of(NULL, 0), &out);
		if (memmem(out.p, out.n, arena_printf(&a, "\r\nStatus: %s\r\n", table[i].out),
			   strlen(table[i].out) + 12) == NULL)
			fail_msg("%zu: %.*s", i, (int)out.n, (const char *)out.p);
		buf_done(&out);
	}
	arena_done(&a);
}

/* Each code of SMTP DANE has words, for the time it is tried and for the end. */
static void words(void **state)
{
	static const char *const codes[] = {"4.7.321", "5.7.321", "4.7.322", "5.7.322", "4.7.323",
					    "5.7.323", "4.7.324", "5.7.324", "4.7.325", "5.7.325"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		const struct mail_dsn_words *w = mail_dsn_words(codes[i]);

		assert_non_null(w);
		assert_non_null(strstr(w->why, "DANE"));
		assert_non_null(strstr(w->mend, "recipient's postmaster"));
	}
	assert_null(mail_dsn_words("2.7.323"));
	assert_null(mail_dsn_words("5.7.32"));
	assert_null(mail_dsn_words("5.7.3233"));
	assert_null(mail_dsn_words("5"));
	assert_null(mail_dsn_words(""));
	assert_null(mail_dsn_words(NULL));
}

/* Who has the same trouble is named once with it. */
static void reasons_are_shared(void **state)
{
	struct buf out;
	const char *text, *reason = "does not answer";

	(void)state;
	write_case(2, &out);
	assert_int_equal(buf_add(&out, "", 1), 0);
	text = strstr((const char *)out.p, "  <bob@example.org>\r\n  <eve@example.org>\r\n"
					   "    The recipient's mail server does not answer.\r\n");
	assert_non_null(text);
	assert_null(strstr(strstr(text, reason) + 1, reason));
	buf_done(&out);
}

/* The most recipients that a message can have: every piece stays small. */
static void many_recipients(void **state)
{
	enum {
		MANY = 5000
	};
	struct mail_dsn_recipient *r = xcalloc(MANY, sizeof(*r));
	struct mail_dsn d = cases[0].dsn;
	struct mail_dsn_writer w;
	struct buf piece;
	int more = 1;

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		r[i] = longest[i % 2];
		r[i].action = (enum mail_dsn_action)(i % 4);
	}
	d.recipients = r;
	d.n_recipients = MANY;
	buf_init(&piece, MAIL_DSN_PIECE_MAX);
	mail_dsn_begin(&w, &d);
	while (more > 0) {
		more = mail_dsn_next(&w, &piece);
		assert_true(more >= 0);
		assert_int_equal(w.arena.used, 0);
		buf_clear(&piece);
	}
	buf_done(&piece);
	free(r);
}

static void no_room(void **state)
{
	struct mail_dsn_writer w;
	struct buf small;

	(void)state;
	buf_init(&small, 100);
	mail_dsn_begin(&w, &cases[0].dsn);
	assert_int_equal(mail_dsn_next(&w, &small), -EMSGSIZE);
	buf_clear(&small);
	assert_int_equal(mail_dsn_next(&w, &small), -EMSGSIZE);
	buf_done(&small);
	buf_init(&small, 10);
	assert_int_equal(mail_dsn_tail(&cases[0].dsn, &small), -EMSGSIZE);
	buf_done(&small);
}

/* Anything at all in every text. */
static void junk(void **state)
{
	static const char *const pieces[] = {
		"\r\n",
		"\n",
		"\r",
		"\r\n\r\n",
		" ",
		"--=_daneway_",
		"+0D+0A",
		"X: y",
		"\xc3\xb6",
		"\xff",
		"\x1b",
		"rfc822;",
		"5.1.1",
		"@",
		";",
		"\t",
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	};
	uint32_t seed = 1;
	char text[7][200];

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct mail_dsn d = cases[0].dsn;
		struct mail_dsn_recipient r = {.action = (enum mail_dsn_action)(round % 4)};
		struct buf out;

		for (size_t i = 0; i < ARRAY_SIZE(text); i++) {
			size_t n = 0;

			while (n < 150 && (seed = seed * 1664525 + 1013904223) >> 28 != 0) {
				const char *p = pieces[(seed >> 16) % ARRAY_SIZE(pieces)];

				memcpy(text[i] + n, p, strlen(p));
				n += strlen(p);
			}
			text[i][n] = '\0';
		}
		r.path = text[0];
		r.orcpt = text[1];
		r.status = text[2];
		r.reply = text[3];
		r.detail = text[4];
		r.remote = text[5];
		d.envid = text[6];
		d.recipients = &r;
		d.original = MAIL_DSN_NOTHING;
		buf_init(&out, 1 << 20);
		judge_write(&d, span_of(NULL, 0), &out);
		judge_message(&d, buf_span(&out));
		buf_done(&out);
	}
}

static void dates(void **state)
{
	char text[MAIL_DATE_MAX];

	(void)state;
	assert_string_equal(mail_date(0, text), "Thu, 01 Jan 1970 00:00:00 +0000");
	assert_string_equal(mail_date(-5, text), "Thu, 01 Jan 1970 00:00:00 +0000");
	assert_string_equal(mail_date(SECOND, text), "Wed, 25 Nov 2026 09:46:40 +0000");
	assert_string_equal(mail_date(USEC_NEVER, text), "Fri, 31 Dec 9999 23:59:59 +0000");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_text),
		cmocka_unit_test(always_holds),
		cmocka_unit_test(statuses),
		cmocka_unit_test(words),
		cmocka_unit_test(reasons_are_shared),
		cmocka_unit_test(many_recipients),
		cmocka_unit_test(no_room),
		cmocka_unit_test(junk),
		cmocka_unit_test(dates),
	};
	size_t i = argc == 3 && strcmp(argv[1], "--print") == 0 ? strtoul(argv[2], NULL, 10)
								: ARRAY_SIZE(cases);
	struct buf out;

	if (i >= ARRAY_SIZE(cases))
		return argc == 1 ? cmocka_run_group_tests(tests, NULL, NULL) : 2;
	/* Its name, a line end, and the message. */
	write_case(i, &out);
	printf("%s\n", cases[i].name);
	fwrite(out.p, 1, out.n, stdout);
	buf_done(&out);
	return 0;
}
