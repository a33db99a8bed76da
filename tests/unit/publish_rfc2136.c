/* One connection to a primary: what fails before the first octet, and what fails later. */
#include "publish_answer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/publish/rfc2136.h"

/* Takes one connection, sends `n` octets (a length of 65,535 first), and closes or waits. */
struct fake {
	struct io_loop *loop;
	int listening, peer;
	struct io_watch *on_listening, *on_peer;
	size_t n;
	bool close;
	uint16_t port, length;
	unsigned told;
	enum publish_outcome outcome;
	char words[PUBLISH_WORDS_MAX];
};

static void on_peer(void *arg, unsigned ready)
{
	static uint8_t octets[2 + 65535];
	struct fake *f = arg;
	uint8_t in[4096];

	(void)ready;
	if (recv(f->peer, in, sizeof(in), 0) <= 2)
		return;
	octets[0] = (uint8_t)(f->length >> 8);
	octets[1] = (uint8_t)f->length;
	for (size_t at = 0; at < f->n;) {
		ssize_t n = send(f->peer, octets + at, f->n - at, MSG_NOSIGNAL);

		assert_true(n > 0);
		at += (size_t)n;
	}
	io_watch_set(f->on_peer, 0);
	if (f->close)
		shutdown(f->peer, SHUT_RDWR);
}

static void on_listening(void *arg, unsigned ready)
{
	struct fake *f = arg;

	(void)ready;
	f->peer = accept(f->listening, NULL, NULL);
	assert_true(f->peer >= 0);
	f->on_peer = io_watch_new(f->loop, f->peer, on_peer, f);
	io_watch_set(f->on_peer, IO_READ);
}

static void on_result(void *arg, const struct publish_result *result)
{
	struct fake *f = arg;

	f->told++;
	f->outcome = result->outcome;
	snprintf(f->words, sizeof(f->words), "%s", result->words);
	io_loop_stop(f->loop);
}

static void publish(struct fake *f, bool listen_there)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n_at = sizeof(at);
	struct publish_set s = {.owner = "mx.example.org", .type = DNS_TYPE_A};
	struct publish_change c = {"example.org", &s, 1};
	struct publish_rfc2136 config = {.address = "127.0.0.1", .timeout = USEC_PER_SEC / 4};
	struct publish_key key;
	struct publish *p;

	f->loop = io_loop_new();
	f->peer = -1;
	f->told = 0;
	f->listening = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(f->listening, (struct sockaddr *)&at, n_at), 0);
	assert_int_equal(getsockname(f->listening, (struct sockaddr *)&at, &n_at), 0);
	if (listen_there)
		assert_int_equal(listen(f->listening, 1), 0);
	f->on_listening = io_watch_new(f->loop, f->listening, on_listening, f);
	io_watch_set(f->on_listening, listen_there ? IO_READ : 0);
	assert_int_equal(publish_key_parse(span_text(ANSWER_KEY_TEXT), &key, NULL), 0);
	config.port = ntohs(at.sin_port);
	config.key = &key;
	p = publish_rfc2136_new(f->loop, &config);
	publish_key_done(&key);
	publish_change(p, &c, on_result, f);
	assert_int_equal(f->told, 0);
	io_loop_run(f->loop);
	assert_int_equal(f->told, 1);
	publish_free(p);
	io_watch_free(f->on_listening);
	f->on_peer = io_watch_free(f->on_peer);
	close(f->listening);
	if (f->peer >= 0)
		close(f->peer);
	io_loop_free(f->loop);
}

static void ends(void **state)
{
	static const struct {
		size_t n;
		uint16_t length;
		bool close;
		enum publish_outcome want;
		const char *word;
	} cases[] = {
		{0, 0, false, PUBLISH_UNKNOWN, "no answer in time"},
		{0, 0, true, PUBLISH_UNKNOWN, "closed"},
		{1, 100, true, PUBLISH_UNKNOWN, "closed"},
		{50, 100, true, PUBLISH_UNKNOWN, "closed"},
		{50, 100, false, PUBLISH_UNKNOWN, "no answer in time"},
		{2, 0, false, PUBLISH_UNKNOWN, "malformed"},
		{13, 11, false, PUBLISH_UNKNOWN, "malformed"},
		{2 + 65535, 65535, false, PUBLISH_UNKNOWN, "another question"}, /* the longest */
	};
	struct fake f = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		f.n = cases[i].n;
		f.length = cases[i].length;
		f.close = cases[i].close;
		publish(&f, true);
		if (f.outcome != cases[i].want || strstr(f.words, cases[i].word) == NULL)
			fail_msg("%zu: %s", i, f.words);
	}
	publish(&f, false);
	assert_int_equal(f.outcome, PUBLISH_NOT_SENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(ends)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
