/*
 * The peer of deliver_many: what a delivery costs if there is nothing but sockets, OpenSSL and the
 * octets. No DNS, no DANE, no certificate looked at, no time-outs; replies are only counted and
 * compared with the code expected. The same dialogue (EHLO, STARTTLS, EHLO, MAIL+RCPT+DATA in one
 * write, message, QUIT), the same versions, ciphers and groups.
 *
 *	bare_tls OCTETS WARM_IN_FLIGHT IN_FLIGHT [memory] < LIST	("ADDRESS DOMAIN HOST" a
 *line)
 *	bare_tls probe IN_FLIGHT SIGNATURES < LIST
 *
 * The second form is the peer of a tester's session: QUIT after the second EHLO. SIGNATURES are the
 * algorithms that are offered, or "any"; a handshake that the server refuses is done, too.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"

enum {
	REPLY_ROOM = 2048,
	EVENTS = 256,
};

enum step {
	CONNECT,
	GREETING,
	EHLO,
	STARTTLS,
	HANDSHAKE,
	EHLO_AGAIN,
	ENVELOPE,
	MESSAGE,
	QUIT,
};

struct connection {
	char address[INET_ADDRSTRLEN], domain[256], host[256];
	enum step step;
	int fd;
	SSL *ssl;
	unsigned wanted; /* of epoll */
	size_t n_replies;
	char in[REPLY_ROOM];
	size_t n_in;
};

static struct {
	SSL_CTX *ctx;
	int epoll;
	char *message; /* with the final dot */
	size_t size;
	struct bench_list list;
	size_t next, in_flight, n_done;
	bool memory, probe;
	struct bench_cost cost;
} run;

static void want(struct connection *c, unsigned events)
{
	struct epoll_event ev = {.events = events, .data.ptr = c};

	if (c->wanted == events)
		return;
	if (epoll_ctl(run.epoll, c->wanted == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &ev) != 0)
		bench_die("epoll_ctl: %s", strerror(errno));
	c->wanted = events;
}

/* Everything that is said here fits into a socket's buffer. */
static void say(struct connection *c, const char *text, size_t n)
{
	ssize_t sent = c->ssl != NULL ? SSL_write(c->ssl, text, (int)n) : send(c->fd, text, n, 0);

	if (sent != (ssize_t)n)
		bench_die("%s: short write", c->address);
}

static void say_text(struct connection *c, const char *text)
{
	say(c, text, strlen(text));
}

/* --- the dialogue ----------------------------------------------------------------------------- */

static void begin_next(void);

static void end(struct connection *c)
{
	if (SSL_is_init_finished(c->ssl))
		SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	close(c->fd);
	free(c);
	run.in_flight--;
	run.n_done++;
	begin_next();
}

/* The reply that ends a step; the last of three for ENVELOPE. */
static void expect(const struct connection *c, const char *code)
{
	if (strncmp(c->in, code, 3) != 0)
		bench_die("%s: %s wanted, got %.80s", c->address, code, c->in);
}

static void say_envelope(struct connection *c)
{
	char text[700];

	snprintf(text, sizeof(text),
		 "MAIL FROM:<bench@sender.lab.invalid> SIZE=%zu\r\nRCPT TO:<user@%s>\r\nDATA\r\n",
		 run.size - 3, c->domain);
	say_text(c, text);
}

static void on_reply(struct connection *c)
{
	switch (c->step) {
	case GREETING:
		expect(c, "220");
		say_text(c, "EHLO sender.lab.invalid\r\n");
		c->step = EHLO;
		break;
	case EHLO:
		expect(c, "250");
		say_text(c, "STARTTLS\r\n");
		c->step = STARTTLS;
		break;
	case STARTTLS:
		expect(c, "220");
		c->ssl = SSL_new(run.ctx);
		SSL_set_fd(c->ssl, c->fd);
		SSL_set_tlsext_host_name(c->ssl, c->host);
		c->step = HANDSHAKE;
		break;
	case EHLO_AGAIN:
		expect(c, "250");
		if (run.probe)
			say_text(c, "QUIT\r\n");
		else
			say_envelope(c);
		c->step = run.probe ? QUIT : ENVELOPE;
		break;
	case ENVELOPE:
		if (++c->n_replies < 3) {
			expect(c, "250");
			break;
		}
		expect(c, "354");
		say(c, run.message, run.size);
		c->step = MESSAGE;
		break;
	case MESSAGE:
		expect(c, "250");
		say_text(c, "QUIT\r\n");
		c->step = QUIT;
		break;
	case CONNECT:
	case HANDSHAKE:
	case QUIT:
		break;
	}
}

static bool has_line(const struct connection *c)
{
	return memchr(c->in, '\n', c->n_in) != NULL;
}

static bool is_last_line(const struct connection *c)
{
	return c->n_in < 4 || c->in[3] != '-';
}

static void drop_line(struct connection *c)
{
	char *end = memchr(c->in, '\n', c->n_in);
	size_t n = (size_t)(end - c->in) + 1;

	memmove(c->in, c->in + n, c->n_in - n);
	c->n_in -= n;
}

/* One look a readiness: epoll tells of what is left. True: the handshake is to begin. */
static bool read_some(struct connection *c)
{
	size_t room = sizeof(c->in) - c->n_in;
	ssize_t n = c->ssl != NULL ? SSL_read(c->ssl, c->in + c->n_in, (int)room)
				   : recv(c->fd, c->in + c->n_in, room, 0);

	if (n <= 0) {
		if (c->ssl != NULL ? SSL_get_error(c->ssl, (int)n) == SSL_ERROR_WANT_READ
				   : n < 0 && errno == EAGAIN)
			return false;
		bench_die("%s: connection lost", c->address);
	}
	c->n_in += (size_t)n;
	while (has_line(c)) {
		if (is_last_line(c) && c->step == QUIT) {
			expect(c, "221");
			end(c);
			return false;
		}
		if (is_last_line(c))
			on_reply(c);
		drop_line(c);
	}
	return c->step == HANDSHAKE;
}

static void handshake(struct connection *c)
{
	int result = SSL_do_handshake(c->ssl);

	if (result == 1) {
		c->step = EHLO_AGAIN;
		say_text(c, "EHLO sender.lab.invalid\r\n");
	} else if (SSL_get_error(c->ssl, result) != SSL_ERROR_WANT_READ) {
		if (!run.probe)
			bench_die("%s: handshake failed", c->address);
		ERR_clear_error();
		end(c);
	}
}

static void on_ready(struct connection *c)
{
	int error = 0;
	socklen_t n = sizeof(error);

	switch (c->step) {
	case CONNECT:
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n);
		if (error != 0)
			bench_die("%s: %s", c->address, strerror(error));
		c->step = GREETING;
		want(c, EPOLLIN);
		return;
	case HANDSHAKE:
		handshake(c);
		return;
	case GREETING:
	case EHLO:
	case STARTTLS:
	case EHLO_AGAIN:
	case ENVELOPE:
	case MESSAGE:
	case QUIT:
		break;
	}
	if (read_some(c)) {
		SSL_set_connect_state(c->ssl);
		handshake(c);
	}
}

static void begin_next(void)
{
	struct connection *c;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(25)};
	int on = 1;
	char *line, *domain, *host;

	if (run.next == run.list.n)
		return;
	c = xcalloc(1, sizeof(*c));
	line = run.list.lines[run.next++];
	domain = strchr(line, ' ');
	host = domain != NULL ? strchr(domain + 1, ' ') : NULL;
	if (host == NULL)
		bench_die("\"ADDRESS DOMAIN HOST\" is wanted: %s", line);
	snprintf(c->address, sizeof(c->address), "%.*s", (int)(domain - line), line);
	snprintf(c->domain, sizeof(c->domain), "%.*s", (int)(host - domain - 1), domain + 1);
	snprintf(c->host, sizeof(c->host), "%s", host + 1);
	if (inet_pton(AF_INET, c->address, &to.sin_addr) != 1)
		bench_die("not an IPv4 address: %s", c->address);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (c->fd < 0 ||
	    (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS))
		bench_die("%s: %s", c->address, strerror(errno));
	run.in_flight++;
	want(c, EPOLLOUT);
}

/* --- the run ---------------------------------------------------------------------------------- */

static void pass(size_t most)
{
	struct epoll_event events[EVENTS];

	run.next = run.n_done = 0;
	while (run.in_flight < most && run.next < run.list.n)
		begin_next();
	while (run.in_flight > 0) {
		int n = epoll_wait(run.epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++)
			on_ready(events[i].data.ptr);
		if (run.memory)
			bench_cost_sample_memory(&run.cost);
	}
}

static void make_message(size_t size)
{
	char *text = bench_message(size);

	run.size = size + 3;
	run.message = xmalloc(run.size);
	memcpy(run.message, text, size);
	memcpy(run.message + size, ".\r\n", 3);
	free(text);
}

static void set_up(void)
{
	run.epoll = epoll_create1(EPOLL_CLOEXEC);
	run.ctx = SSL_CTX_new(TLS_client_method());
	if (run.ctx == NULL || SSL_CTX_set_min_proto_version(run.ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set1_groups_list(run.ctx, "X25519:P-256:P-384:P-521:X448") != 1)
		bench_die("OpenSSL cannot be set up");
	SSL_CTX_set_session_cache_mode(run.ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(run.ctx, SSL_OP_NO_TICKET);
}

static int probe(const char *in_flight, const char *signatures)
{
	run.probe = true;
	set_up();
	if (strcmp(signatures, "any") != 0 && SSL_CTX_set1_sigalgs_list(run.ctx, signatures) != 1)
		bench_die("OpenSSL does not know %s", signatures);
	bench_cost_begin(&run.cost);
	pass(bench_number(in_flight));
	bench_cost_print(&run.cost, run.n_done);
	SSL_CTX_free(run.ctx);
	close(run.epoll);
	return 0;
}

int main(int argc, char **argv)
{
	bool memory = argc == 5 && strcmp(argv[4], "memory") == 0;

	if (argc != 4 && !memory)
		bench_die("usage: bare_tls OCTETS WARM_IN_FLIGHT IN_FLIGHT [memory] < LIST, or "
			  "bare_tls probe IN_FLIGHT SIGNATURES < LIST");
	run.list = bench_read_list();
	if (strcmp(argv[1], "probe") == 0 && !memory)
		return probe(argv[2], argv[3]);
	make_message(bench_number(argv[1]));
	set_up();
	pass(bench_number(argv[2]));
	run.memory = memory;
	bench_cost_begin(&run.cost);
	pass(bench_number(argv[3]));
	bench_cost_print(&run.cost, run.n_done);
	SSL_CTX_free(run.ctx);
	free(run.message);
	close(run.epoll);
	return 0;
}
