/*
 * The mail server of the bench: SMTP as far as senders need it, STARTTLS, one process, many
 * addresses; takes every message and forgets it. No limits, no time-outs: for the bench alone.
 *
 *	sink PORT PEM HOLD AFTER < ADDRESSES
 *
 * PEM: certificate and key. HOLD 0: answers at once. Else, after the first AFTER messages, the
 * answer to a message waits until HOLD connections wait for theirs (or no more have come for a
 * second), and a little longer, so that the client's memory can be looked at. On SIGTERM, and on
 * SIGUSR1, which does not end it, it prints how many messages it took, how many handshakes and
 * connections were begun, and how many connections at most waited at a time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "edge/io/loop.h"

enum {
	ROOM = 16384,
	EVENTS = 256,
	TICK = 200, /* milliseconds, while answers are held */
};

enum mode {
	COMMANDS,
	HANDSHAKE,
	MESSAGE,
	HELD,
};

/* What epoll tells of: a listening socket, or the head of a connection. */
struct source {
	int fd;
	bool listens;
};

struct connection {
	struct source source;
	enum mode mode;
	bool quits;
	SSL *ssl;
	char in[ROOM], out[512];
	size_t n_in, n_out;
	struct connection *next_held;
	struct connection *previous, *next; /* of all */
};

static struct {
	SSL_CTX *ctx;
	int epoll;
	size_t hold, after, n_held, n_held_before, n_held_most, quiet;
	struct connection *held;
	size_t n_messages, n_octets, n_handshakes, n_connections;
	struct bench_list addresses;
	struct source *listeners;
	struct connection *connections;
} run;

static volatile sig_atomic_t stopped, asked;

static void drop(struct connection *c)
{
	for (struct connection **at = &run.held; *at != NULL; at = &(*at)->next_held)
		if (*at == c) {
			*at = c->next_held;
			run.n_held--;
			break;
		}
	if (c->next != NULL)
		c->next->previous = c->previous;
	if (c->previous != NULL)
		c->previous->next = c->next;
	else
		run.connections = c->next;
	SSL_free(c->ssl);
	close(c->source.fd);
	free(c);
}

static void reply(struct connection *c, const char *text)
{
	size_t n = strlen(text);

	if (c->n_out + n > sizeof(c->out))
		bench_die("sink: too many replies at a time");
	memcpy(c->out + c->n_out, text, n);
	c->n_out += n;
}

/* Replies are small: they fit into a socket's buffer. */
static bool flush(struct connection *c)
{
	size_t n = c->n_out;

	c->n_out = 0;
	if (n == 0)
		return true;
	if (c->ssl != NULL && c->mode != HANDSHAKE)
		return SSL_write(c->ssl, c->out, (int)n) == (int)n;
	return send(c->source.fd, c->out, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* --- commands and messages -------------------------------------------------------------------- */

static void on_command(struct connection *c, const char *line)
{
	if (strncasecmp(line, "EHLO", 4) == 0)
		reply(c, c->ssl != NULL ? "250-sink\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n"
					  "250 8BITMIME\r\n"
					: "250-sink\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n"
					  "250-8BITMIME\r\n250 STARTTLS\r\n");
	else if (strncasecmp(line, "STARTTLS", 8) == 0) {
		reply(c, "220 2.0.0 go ahead\r\n");
		c->mode = HANDSHAKE;
	} else if (strncasecmp(line, "DATA", 4) == 0) {
		reply(c, "354 go ahead\r\n");
		c->mode = MESSAGE;
	} else if (strncasecmp(line, "QUIT", 4) == 0) {
		reply(c, "221 2.0.0 bye\r\n");
		c->quits = true;
	} else {
		reply(c, "250 2.1.0 ok\r\n");
	}
}

static void eat(struct connection *c, size_t n)
{
	memmove(c->in, c->in + n, c->n_in - n);
	c->n_in -= n;
}

static void on_message_end(struct connection *c)
{
	run.n_messages++;
	c->mode = COMMANDS;
	if (run.hold == 0 || run.n_messages <= run.after) {
		reply(c, "250 2.0.0 taken\r\n");
		return;
	}
	c->mode = HELD;
	c->next_held = run.held;
	run.held = c;
	if (++run.n_held > run.n_held_most)
		run.n_held_most = run.n_held;
}

/* Keeps the last four octets of a message that goes on: they may begin its end. */
static bool on_message_octets(struct connection *c)
{
	static const char dot[] = "\r\n.\r\n";
	char *end = memmem(c->in, c->n_in, dot, sizeof(dot) - 1);
	size_t n = c->n_in > 4 ? c->n_in - 4 : 0;

	if (end != NULL)
		n = (size_t)(end - c->in) + sizeof(dot) - 1;
	run.n_octets += n;
	eat(c, n);
	if (end != NULL)
		on_message_end(c);
	return end != NULL;
}

static void on_input(struct connection *c)
{
	char *end;

	for (;;) {
		if (c->mode == MESSAGE) {
			if (!on_message_octets(c))
				return;
			continue;
		}
		end = memchr(c->in, '\n', c->n_in);
		if (c->mode != COMMANDS || end == NULL)
			return;
		*end = '\0';
		on_command(c, c->in);
		eat(c, (size_t)(end - c->in) + 1);
	}
}

/* --- connections ------------------------------------------------------------------------------ */

static bool is_transient(struct connection *c, ssize_t n)
{
	if (c->ssl != NULL)
		return SSL_get_error(c->ssl, (int)n) == SSL_ERROR_WANT_READ;
	return n < 0 && errno == EAGAIN;
}

/* False: the connection is over. */
static bool serve(struct connection *c)
{
	ssize_t n;

	if (c->mode == HANDSHAKE) {
		if (c->ssl == NULL) {
			run.n_handshakes++;
			c->ssl = SSL_new(run.ctx);
			SSL_set_fd(c->ssl, c->source.fd);
			SSL_set_accept_state(c->ssl);
		}
		n = SSL_do_handshake(c->ssl);
		if (n != 1)
			return is_transient(c, n);
		c->mode = COMMANDS;
	}
	for (;;) {
		n = c->ssl != NULL ? SSL_read(c->ssl, c->in + c->n_in, (int)(ROOM - c->n_in))
				   : recv(c->source.fd, c->in + c->n_in, ROOM - c->n_in, 0);
		if (n <= 0)
			return is_transient(c, n);
		c->n_in += (size_t)n;
		on_input(c);
		if (!flush(c) || c->n_in == ROOM)
			return false;
		if (c->quits) {
			SSL_shutdown(c->ssl);
			return false;
		}
		if (c->mode == HANDSHAKE)
			return true;
	}
}

static void watch(struct source *source)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = source};

	if (epoll_ctl(run.epoll, EPOLL_CTL_ADD, source->fd, &ev) != 0)
		bench_die("sink: epoll_ctl: %s", strerror(errno));
}

static void take_in(const struct source *listener)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
	struct connection *c;

	if (fd < 0)
		return;
	run.n_connections++;
	/* Or the reply to EHLO waits 40 ms for the client to acknowledge the session tickets. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c = xcalloc(1, sizeof(*c));
	c->source.fd = fd;
	c->next = run.connections;
	if (c->next != NULL)
		c->next->previous = c;
	run.connections = c;
	reply(c, "220 sink ESMTP\r\n");
	flush(c);
	watch(&c->source);
}

static void listen_at(struct source *source, const char *address, uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int on = 1;

	source->listens = true;
	source->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (inet_pton(AF_INET, address, &at.sin_addr) != 1 || source->fd < 0 ||
	    setsockopt(source->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(source->fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(source->fd, 64) != 0)
		bench_die("sink: %s: %s", address, strerror(errno));
	watch(source);
}

/* Every TICK: enough are held, for one tick at least, or nobody has come for a second. */
static void release_held(void)
{
	run.quiet = run.n_held == run.n_held_before ? run.quiet + 1 : 0;
	run.n_held_before = run.n_held;
	if (run.quiet < (run.n_held >= run.hold ? 1 : 1000 / TICK))
		return;
	while (run.held != NULL) {
		struct connection *c = run.held;

		run.held = c->next_held;
		c->mode = COMMANDS;
		reply(c, "250 2.0.0 taken\r\n");
		flush(c);
	}
	run.n_held = run.n_held_before = run.quiet = 0;
}

static void on_signal(int number)
{
	if (number == SIGUSR1)
		asked = 1;
	else
		stopped = 1;
}

static void report(void)
{
	printf("{\"messages\": %zu, \"octets\": %zu, \"handshakes\": %zu, \"connections\": %zu, "
	       "\"held\": %zu}\n",
	       run.n_messages, run.n_octets, run.n_handshakes, run.n_connections, run.n_held_most);
	fflush(stdout);
	asked = 0;
}

static void set_up(const char *pem)
{
	struct sigaction stop = {.sa_handler = on_signal};

	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGUSR1, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
	io_raise_descriptor_limit();
	run.epoll = epoll_create1(EPOLL_CLOEXEC);
	run.ctx = SSL_CTX_new(TLS_server_method());
	if (run.ctx == NULL || SSL_CTX_use_certificate_chain_file(run.ctx, pem) != 1 ||
	    SSL_CTX_use_PrivateKey_file(run.ctx, pem, SSL_FILETYPE_PEM) != 1)
		bench_die("sink: %s: no certificate or key", pem);
	SSL_CTX_set_session_cache_mode(run.ctx, SSL_SESS_CACHE_OFF);
}

/* Now and then, while answers are held. */
static void tick(void)
{
	static int64_t ticked;
	struct timespec now;
	int64_t milliseconds;

	clock_gettime(CLOCK_MONOTONIC, &now);
	milliseconds = now.tv_sec * 1000LL + now.tv_nsec / 1000000;
	if (run.held == NULL || milliseconds < ticked + TICK)
		return;
	ticked = milliseconds;
	release_held();
}

static void turn(void)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(run.epoll, events, EVENTS, run.held != NULL ? TICK / 4 : -1);

	for (int i = 0; i < n; i++) {
		struct source *source = events[i].data.ptr;
		struct connection *c = (struct connection *)source;

		if (source->listens)
			take_in(source);
		else if (!serve(c))
			drop(c);
	}
}

int main(int argc, char **argv)
{
	if (argc != 5)
		bench_die("usage: sink PORT PEM HOLD AFTER < ADDRESSES");
	set_up(argv[2]);
	run.hold = bench_number(argv[3]);
	run.after = bench_number(argv[4]);
	run.addresses = bench_read_list();
	run.listeners = xcalloc(run.addresses.n, sizeof(*run.listeners));
	for (size_t i = 0; i < run.addresses.n; i++)
		listen_at(&run.listeners[i], run.addresses.lines[i],
			  (uint16_t)bench_number(argv[1]));
	while (!stopped) {
		turn();
		tick();
		if (asked)
			report();
	}
	while (run.connections != NULL)
		drop(run.connections);
	SSL_CTX_free(run.ctx);
	report();
	return 0;
}
