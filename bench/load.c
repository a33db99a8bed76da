/*
 * The mail client of the bench: hands in many messages over many connections at a time, in clear or
 * over TLS, and asks for no more than that each is taken. One process, one thread.
 *
 *	load ADDRESS PORT tls|clear CONNECTIONS PER_CONNECTION MESSAGES OCTETS FROM < RECIPIENTS
 *
 * PER_CONNECTION messages, then QUIT and a new connection. Recipients are taken in turn. Commands
 * are pipelined as RFC 2920 allows, which is what busy senders do. Prints one line of JSON; any
 * answer but the expected one ends the run.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "edge/io/loop.h"

enum {
	ROOM = 4096,
	EVENTS = 256,
	SETTLED = 3, /* replies to MAIL, RCPT and DATA */
};

enum step {
	GREETING,
	EHLO,
	STARTTLS,
	HANDSHAKE,
	EHLO_AGAIN,
	ENVELOPE, /* `n_replies` of the group are there */
	MESSAGE,
	QUIT,
};

struct connection {
	int fd;
	enum step step;
	SSL *ssl;
	size_t n_sent; /* messages on this connection */
	size_t n_replies;
	const char *out; /* what is being written, and how much of it is left */
	size_t n_out;
	char in[ROOM], envelope[1024];
	size_t n_in;
	bool waits_to_write;
};

static struct {
	SSL_CTX *ctx;
	int epoll;
	struct sockaddr_in at;
	bool tls;
	size_t per_connection, n_messages, n_begun, n_done, n_connections;
	char *message;
	size_t n_message;
	const char *from;
	struct bench_list recipients;
	size_t n_open;
	struct bench_cost cost;
} run;

static void watch(struct connection *c, int operation)
{
	struct epoll_event ev = {.events = EPOLLIN | (c->n_out > 0 ? (unsigned)EPOLLOUT : 0u),
				 .data.ptr = c};

	c->waits_to_write = c->n_out > 0;
	if (epoll_ctl(run.epoll, operation, c->fd, &ev) != 0)
		bench_die("load: epoll_ctl: %s", strerror(errno));
}

static void open_connection(struct connection *c)
{
	int on = 1;

	*c = (struct connection){
		.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
	if (c->fd < 0 || (connect(c->fd, (struct sockaddr *)&run.at, sizeof(run.at)) != 0 &&
			  errno != EINPROGRESS))
		bench_die("load: connect: %s", strerror(errno));
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	run.n_connections++;
	watch(c, EPOLL_CTL_ADD);
}

static void say(struct connection *c, const char *text, size_t n)
{
	c->out = text;
	c->n_out = n;
}

static void say_text(struct connection *c, const char *text)
{
	say(c, text, strlen(text));
}

/* --- the dialogue ----------------------------------------------------------------------------- */

static void begin_message(struct connection *c)
{
	int n;

	if (run.n_begun == run.n_messages || c->n_sent == run.per_connection) {
		c->step = QUIT;
		say_text(c, "QUIT\r\n");
		return;
	}
	n = snprintf(c->envelope, sizeof(c->envelope), "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n",
		     run.from, run.recipients.lines[run.n_begun % run.recipients.n]);
	if (n < 0 || (size_t)n >= sizeof(c->envelope))
		bench_die("load: an address is too long");
	run.n_begun++;
	c->n_sent++;
	c->step = ENVELOPE;
	c->n_replies = 0;
	say(c, c->envelope, (size_t)n);
}

static void expect(const struct connection *c, const char *line, const char *code)
{
	if (strncmp(line, code, 3) != 0)
		bench_die("load: step %d, expected %s: %s", (int)c->step, code, line);
}

static void on_reply(struct connection *c, const char *line)
{
	static const char *const envelope[SETTLED] = {"250", "250", "354"};

	switch (c->step) {
	case GREETING:
		expect(c, line, "220");
		c->step = EHLO;
		say_text(c, "EHLO load.bench.example\r\n");
		break;
	case EHLO:
		expect(c, line, "250");
		if (!run.tls) {
			begin_message(c);
			break;
		}
		c->step = STARTTLS;
		say_text(c, "STARTTLS\r\n");
		break;
	case STARTTLS:
		expect(c, line, "220");
		c->step = HANDSHAKE;
		break;
	case HANDSHAKE:
		break;
	case EHLO_AGAIN:
		expect(c, line, "250");
		begin_message(c);
		break;
	case ENVELOPE:
		expect(c, line, envelope[c->n_replies]);
		if (++c->n_replies < SETTLED)
			break;
		c->step = MESSAGE;
		say(c, run.message, run.n_message);
		break;
	case MESSAGE:
		expect(c, line, "250");
		run.n_done++;
		begin_message(c);
		break;
	case QUIT:
		expect(c, line, "221");
		break;
	}
}

/* Whole lines; those of a multi-line reply but the last are passed over. */
static void on_input(struct connection *c)
{
	char *at = c->in, *end;

	while ((end = memchr(at, '\n', c->n_in - (size_t)(at - c->in))) != NULL) {
		*end = '\0';
		if (end - at >= 4 && at[3] != '-')
			on_reply(c, at);
		at = end + 1;
	}
	c->n_in -= (size_t)(at - c->in);
	memmove(c->in, at, c->n_in);
	if (c->n_in == ROOM)
		bench_die("load: a line without an end");
}

/* --- connections ------------------------------------------------------------------------------ */

/* Whether an OpenSSL call has to wait; another failure ends the run. */
static bool must_wait(struct connection *c, int n)
{
	int why = c->ssl != NULL ? SSL_get_error(c->ssl, n) : 0;

	return c->ssl != NULL ? why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE
			      : n < 0 && errno == EAGAIN;
}

static void do_handshake(struct connection *c)
{
	int n;

	if (c->ssl == NULL) {
		c->ssl = SSL_new(run.ctx);
		SSL_set_fd(c->ssl, c->fd);
		SSL_set_connect_state(c->ssl);
	}
	n = SSL_do_handshake(c->ssl);
	if (n != 1) {
		if (!must_wait(c, n))
			bench_die("load: the handshake failed");
		return;
	}
	c->step = EHLO_AGAIN;
	say_text(c, "EHLO load.bench.example\r\n");
}

static void transmit(struct connection *c)
{
	while (c->n_out > 0) {
		ssize_t n = c->ssl != NULL ? SSL_write(c->ssl, c->out, (int)c->n_out)
					   : send(c->fd, c->out, c->n_out, MSG_NOSIGNAL);

		if (n <= 0 && !must_wait(c, (int)n))
			bench_die("load: the connection was lost: %s", strerror(errno));
		if (n <= 0)
			break;
		c->out += n;
		c->n_out -= (size_t)n;
	}
	if (c->waits_to_write != (c->n_out > 0))
		watch(c, EPOLL_CTL_MOD);
}

static void finish(struct connection *c)
{
	SSL_free(c->ssl);
	close(c->fd);
	if (run.n_begun < run.n_messages)
		open_connection(c);
	else
		run.n_open--;
}

/* 1: something came; 0: not now; -1: the end. */
static int receive(struct connection *c)
{
	ssize_t n = c->ssl != NULL ? SSL_read(c->ssl, c->in + c->n_in, (int)(ROOM - c->n_in))
				   : recv(c->fd, c->in + c->n_in, ROOM - c->n_in, 0);

	if (n <= 0)
		return must_wait(c, (int)n) ? 0 : -1;
	c->n_in += (size_t)n;
	on_input(c);
	return 1;
}

static void turn(struct connection *c)
{
	int came = 1;

	while (came == 1) {
		if (c->step == HANDSHAKE)
			do_handshake(c);
		if (c->step == HANDSHAKE)
			return;
		transmit(c);
		came = receive(c);
	}
	if (came == 0)
		return;
	if (c->step != QUIT)
		bench_die("load: the server closed the connection at step %d", (int)c->step);
	finish(c);
}

/* Header and lines, dot-stuffed (no line begins with a dot), and the end of DATA. */
static void make_message(size_t octets)
{
	char *text = bench_message(octets);

	run.n_message = octets + 3;
	run.message = xmalloc(run.n_message + 1);
	memcpy(run.message, text, octets);
	memcpy(run.message + octets, ".\r\n", 4);
	free(text);
}

static void set_up(char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	io_raise_descriptor_limit();
	run.at = (struct sockaddr_in){.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)bench_number(argv[2]))};
	if (inet_pton(AF_INET, argv[1], &run.at.sin_addr) != 1)
		bench_die("load: %s: no IPv4 address", argv[1]);
	run.tls = strcmp(argv[3], "tls") == 0;
	run.n_open = bench_number(argv[4]);
	run.per_connection = bench_number(argv[5]);
	run.n_messages = bench_number(argv[6]);
	make_message(bench_number(argv[7]));
	run.from = argv[8];
	run.recipients = bench_read_list();
	if (run.recipients.n == 0)
		bench_die("load: no recipients");
	run.ctx = SSL_CTX_new(TLS_client_method());
	if (run.ctx == NULL)
		bench_die("load: no TLS");
	SSL_CTX_set_session_cache_mode(run.ctx, SSL_SESS_CACHE_OFF);
	run.epoll = epoll_create1(EPOLL_CLOEXEC);
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	struct connection *all;

	if (argc != 9)
		bench_die("usage: load ADDRESS PORT tls|clear CONNECTIONS PER_CONNECTION MESSAGES "
			  "OCTETS FROM < RECIPIENTS");
	set_up(argv);
	if (run.n_open > run.n_messages)
		run.n_open = run.n_messages;
	all = xcalloc(run.n_open, sizeof(*all));
	bench_cost_begin(&run.cost);
	for (size_t i = 0, n = run.n_open; i < n; i++)
		open_connection(&all[i]);
	while (run.n_open > 0) {
		int n = epoll_wait(run.epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++)
			turn(events[i].data.ptr);
	}
	bench_cost_print(&run.cost, run.n_done);
	fprintf(stderr, "load: %zu connections\n", run.n_connections);
	free(all);
	free(run.message);
	SSL_CTX_free(run.ctx);
	return 0;
}
