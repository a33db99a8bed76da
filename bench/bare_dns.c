/*
 * The peer of the walk in `daneway check -`: its questions to name servers by bare sockets. A
 * question has a socket of its own, at a port that the kernel chose, and a random id, since without
 * that an answer could be forged; nothing is done with the answer but to see that it is one.
 *
 *	bare_dns IN_FLIGHT < QUESTIONS		("ADDRESS NAME TYPE udp|tcp", TYPE a number)
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "common.h"

enum {
	PORT = 53,
	QUERY_MAX = 2 + 12 + 255 + 4 + 11, /* with TCP's length in front */
	EVENTS = 64,
};

struct question {
	int fd;
	bool tcp, sent;
	uint8_t query[QUERY_MAX]; /* the message begins at 2 */
	size_t n;
};

static struct {
	struct bench_list lines;
	size_t next, in_flight, n_done;
	int epoll;
} run;

/* --- the message ------------------------------------------------------------------------------ */

static void put16(struct question *q, unsigned value)
{
	q->query[q->n++] = (uint8_t)(value >> 8);
	q->query[q->n++] = (uint8_t)value;
}

static void put_name(struct question *q, const char *name)
{
	while (*name != '\0' && strcmp(name, ".") != 0) {
		size_t n = strcspn(name, ".");

		q->query[q->n++] = (uint8_t)n;
		memcpy(q->query + q->n, name, n);
		q->n += n;
		name += n + (name[n] == '.');
	}
	q->query[q->n++] = 0;
}

static void make_query(struct question *q, const char *name, unsigned type)
{
	uint16_t id;

	if (strlen(name) > 250 || getrandom(&id, sizeof(id), 0) != sizeof(id))
		bench_die("%s: no question", name);
	q->n = 2;
	put16(q, id);
	put16(q, 0); /* flags: a question, not recursive */
	put16(q, 1);
	put16(q, 0);
	put16(q, 0);
	put16(q, 1);
	put_name(q, name);
	put16(q, type);
	put16(q, 1);
	q->query[q->n++] = 0; /* EDNS: 1232 octets, DO */
	put16(q, 41);
	put16(q, 1232);
	put16(q, 0);
	put16(q, 0x8000);
	put16(q, 0);
	q->query[0] = (uint8_t)((q->n - 2) >> 8);
	q->query[1] = (uint8_t)(q->n - 2);
}

/* --- one question ----------------------------------------------------------------------------- */

static void connect_to(struct question *q, const char *address)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
	bool is4 = inet_pton(AF_INET, address, &in4.sin_addr) == 1;
	int type = (q->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, error;

	if (!is4 && inet_pton(AF_INET6, address, &in6.sin6_addr) != 1)
		bench_die("%s: no address", address);
	q->fd = socket(is4 ? AF_INET : AF_INET6, type, 0);
	if (q->fd < 0)
		bench_die("no socket");
	error = is4 ? connect(q->fd, (struct sockaddr *)&in4, sizeof(in4))
		    : connect(q->fd, (struct sockaddr *)&in6, sizeof(in6));
	if (error != 0 && !q->tcp)
		bench_die("%s: cannot be connected to", address);
}

static void begin_next(void)
{
	struct question *q = xcalloc(1, sizeof(*q));
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = q};
	const char *words[4];
	char *line = run.lines.lines[run.next++];

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		words[i] = strsep(&line, " ");
		if (words[i] == NULL)
			bench_die("a question is \"ADDRESS NAME TYPE udp|tcp\"");
	}
	q->tcp = strcmp(words[3], "tcp") == 0;
	make_query(q, words[1], (unsigned)bench_number(words[2]));
	connect_to(q, words[0]);
	if (epoll_ctl(run.epoll, EPOLL_CTL_ADD, q->fd, &event) != 0)
		bench_die("epoll");
	run.in_flight++;
}

static void on_ready(struct question *q)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = q};
	size_t front = q->tcp ? 0 : 2;
	uint8_t answer[65536];
	ssize_t n;

	if (!q->sent) {
		n = send(q->fd, q->query + front, q->n - front, MSG_NOSIGNAL);
		if (n != (ssize_t)(q->n - front) ||
		    epoll_ctl(run.epoll, EPOLL_CTL_MOD, q->fd, &event) != 0)
			bench_die("a question could not be sent");
		q->sent = true;
		return;
	}
	n = recv(q->fd, answer, sizeof(answer), 0);
	if (n < (ssize_t)(14 - front) || memcmp(answer + 2 - front, q->query + 2, 2) != 0)
		bench_die("a question was not answered");
	close(q->fd);
	free(q);
	run.in_flight--;
	run.n_done++;
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	struct bench_cost cost;
	size_t most;

	if (argc != 2)
		bench_die("usage: bare_dns IN_FLIGHT < QUESTIONS");
	most = bench_number(argv[1]);
	run.lines = bench_read_list();
	run.epoll = epoll_create1(EPOLL_CLOEXEC);
	bench_cost_begin(&cost);
	while (run.n_done < run.lines.n) {
		int n;

		while (run.in_flight < most && run.next < run.lines.n)
			begin_next();
		n = epoll_wait(run.epoll, events, EVENTS, 5000);
		if (n <= 0)
			bench_die("no answer in 5 seconds");
		for (int i = 0; i < n; i++)
			on_ready(events[i].data.ptr);
	}
	bench_cost_print(&cost, run.n_done);
	return 0;
}
