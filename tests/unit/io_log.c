#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/io/log.h"

static const char *line(const char *value)
{
	static char text[IO_LOG_LINE_MAX];
	struct io_log_pair pair = {"v", value};
	size_t n = io_log_format(text, sizeof(text), "s1", "e", &pair, 1);

	assert_int_equal(n, strlen(text));
	assert_memory_equal(text, "session=s1 event=e", 18);
	return text + 18;
}

static void a_peers_octets_stay_in_their_field(void **state)
{
	static const struct {
		const char *value, *written;
	} cases[] = {
		{"a@b.example", " v=a@b.example"},
		{"", " v=\"\""},
		{NULL, ""},
		{"a b", " v=\"a b\""},
		{"a=b", " v=\"a=b\""},
		{"say \"hi\"", " v=\"say \\\"hi\\\"\""},
		{"back\\slash", " v=\"back\\\\slash\""},
		{"x\r\nsession=s2 event=delivered", " v=\"x\\x0d\\x0asession=s2 event=delivered\""},
		{"\x1b[2J\x7f\t", " v=\"\\x1b[2J\\x7f\\x09\""},
		{"b\xc3\xbc"
		 "cher",
		 " v=b\xc3\xbc"
		 "cher"},
		{"\xc2\x9b"
		 "1m",
		 " v=\"\\xc2\\x9b1m\""},                    /* CSI of C1 */
		{"\xff\xc3", " v=\"\\xff\\xc3\""},          /* no UTF-8, and cut */
		{"\xed\xa0\x80", " v=\"\\xed\\xa0\\x80\""}, /* a surrogate */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(line(cases[i].value), cases[i].written);
}

static void a_long_value_is_cut_between_characters(void **state)
{
	char value[2 * IO_LOG_VALUE_MAX];
	const char *written;

	(void)state;
	memset(value, 'a', sizeof(value));
	value[IO_LOG_VALUE_MAX] = '\0';
	assert_int_equal(strlen(line(value)), 3 + IO_LOG_VALUE_MAX);
	value[IO_LOG_VALUE_MAX] = 'a';
	value[sizeof(value) - 1] = '\0';
	written = line(value);
	assert_int_equal(strlen(written), 3 + IO_LOG_VALUE_MAX + 3);
	assert_string_equal(written + strlen(written) - 4, "a...");
	/* Two octets on the border: both go. */
	memcpy(value + IO_LOG_VALUE_MAX - 1, "\xc3\xbc", 2);
	written = line(value);
	assert_int_equal(strlen(written), 3 + IO_LOG_VALUE_MAX - 1 + 3);
	assert_string_equal(written + strlen(written) - 4, "a...");
	/* Just before it: both stay. */
	memcpy(value + IO_LOG_VALUE_MAX - 2, "\xc3\xbc", 2);
	written = line(value);
	assert_string_equal(written + strlen(written) - 5, "\xc3\xbc...");
	/* In quotes, too. */
	value[0] = ' ';
	written = line(value);
	assert_string_equal(written + strlen(written) - 6, "\xc3\xbc...\"");
}

static void a_line_has_its_limit(void **state)
{
	char text[256], value[IO_LOG_VALUE_MAX + 1];
	struct io_log_pair pairs[20] = {{"long", value}, {"short", "x"}};
	size_t n;

	(void)state;
	memset(value, '\x01', IO_LOG_VALUE_MAX); /* four octets each when written */
	value[IO_LOG_VALUE_MAX] = '\0';
	n = io_log_format(text, sizeof(text), "s", "e", pairs, 2);
	assert_string_equal(text, "session=s event=e short=x cut=yes");
	assert_int_equal(n, strlen(text));
	/* To the last octet, and one less. */
	value[200] = '\0';
	memset(value, 'a', 200);
	io_log_format(text, 17 + 6 + 200 + 9, NULL, "e", pairs, 1);
	assert_int_equal(strlen(text), 17 + 6 + 200);
	assert_null(strstr(text, "cut="));
	io_log_format(text, 17 + 6 + 200 + 8, NULL, "e", pairs, 1);
	assert_string_equal(text, "session=- event=e cut=yes");
	io_log_format(text, 64, value, value, pairs, 2);
	assert_string_equal(text, "short=x cut=yes");
}

/* Standard error is a socket that keeps each write(2) as one message. */
static int own_stderr(int *ret_saved)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	*ret_saved = dup(STDERR_FILENO);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	close(ends[1]);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	return ends[0];
}

static void give_stderr_back(int saved, int end)
{
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	close(end);
}

static const char *next_line(int end)
{
	static char text[2 * IO_LOG_LINE_MAX];
	ssize_t n = recv(end, text, sizeof(text) - 1, 0);

	if (n < 0)
		return NULL;
	text[n] = '\0';
	return text;
}

static void a_line_is_one_write_and_levels_filter(void **state)
{
	char value[IO_LOG_VALUE_MAX + 1];
	struct io_log_pair pairs[40];
	int saved, end, evaluated = 0;
	const char *got;

	(void)state;
	memset(value, '\x02', IO_LOG_VALUE_MAX);
	value[IO_LOG_VALUE_MAX] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		pairs[i] = (struct io_log_pair){"k", value};
	end = own_stderr(&saved);
	IO_LOG(IO_LOG_ERROR, NULL, "before", {"k", "v"});
	assert_null(next_line(end));
	io_log_set_level(IO_LOG_INFO);
	errno = EDOM;
	IO_LOG(IO_LOG_INFO, "4f2a", "received", {"from", "a b"}, {"none", NULL},
	       {"size", IO_LOG_NUMBER(INT64_MIN)});
	assert_int_equal(errno, EDOM);
	got = next_line(end);
	assert_non_null(got);
	assert_int_equal(got[4], '-');
	assert_string_equal(
		got + 27,
		" info session=4f2a event=received from=\"a b\" size=-9223372036854775808\n");
	assert_int_equal(got[26], 'Z');
	IO_LOG(IO_LOG_DEBUG, NULL, "hidden", {"k", IO_LOG_NUMBER(++evaluated)});
	assert_null(next_line(end));
	assert_int_equal(evaluated, 0);
	IO_LOG(IO_LOG_WARNING, NULL, "bare");
	assert_non_null(strstr(next_line(end), " warning session=- event=bare\n"));
	io_log(IO_LOG_ERROR, NULL, "much", pairs, ARRAY_SIZE(pairs));
	got = next_line(end);
	assert_in_range(strlen(got), IO_LOG_VALUE_MAX, IO_LOG_LINE_MAX);
	assert_string_equal(got + strlen(got) - 9, " cut=yes\n");
	assert_null(next_line(end));
	give_stderr_back(saved, end);
}

static void the_journal_is_told_the_level(void **state)
{
	char stream[64];
	int saved, end;
	struct stat st;

	(void)state;
	end = own_stderr(&saved);
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	io_log_set_level(IO_LOG_DEBUG);
	IO_LOG(IO_LOG_DEBUG, NULL, "e");
	assert_string_equal(next_line(end), "<7>session=- event=e\n");
	IO_LOG(IO_LOG_ERROR, NULL, "e");
	assert_string_equal(next_line(end), "<3>session=- event=e\n");
	/* Standard error goes elsewhere: the variable is another's. */
	setenv("JOURNAL_STREAM", "1:1", 1);
	io_log_set_level(IO_LOG_DEBUG);
	IO_LOG(IO_LOG_ERROR, NULL, "e");
	assert_int_equal(next_line(end)[0], '2');
	unsetenv("JOURNAL_STREAM");
	give_stderr_back(saved, end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peers_octets_stay_in_their_field),
		cmocka_unit_test(a_long_value_is_cut_between_characters),
		cmocka_unit_test(a_line_has_its_limit),
		cmocka_unit_test(a_line_is_one_write_and_levels_filter),
		cmocka_unit_test(the_journal_is_told_the_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
