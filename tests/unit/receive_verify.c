#include "test.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "jobs/receive/verify.h"

/*
 * The bounds of the verifier. What it says to a client, and what it asks of a server, is tested in
 * tests/system/test_receive.py.
 */

static struct io_loop *loop;
static struct receive_env env;
static size_t answers, codes[600];

static void on_verified(void *arg, const struct smtp_server_verdict *v)
{
	(void)arg;
	answers++;
	codes[v->code]++;
}

/* A port that takes connections and says nothing (`silent`), or none at all. */
static uint16_t port_of(bool silent, int *ret_fd)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);

	*ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*ret_fd, (struct sockaddr *)&a, n), 0);
	if (silent)
		assert_int_equal(listen(*ret_fd, 4096), 0);
	assert_int_equal(getsockname(*ret_fd, (struct sockaddr *)&a, &n), 0);
	return ntohs(a.sin_port);
}

static struct receive_domain domain_at(uint16_t port)
{
	return (struct receive_domain){
		.verify = RECEIVE_VERIFY_RECIPIENTS,
		.behind = {.hop = DANE_HOP_ADDRESS, .name = "127.0.0.1", .port = port}};
}

static uint64_t ask(struct receive_verifier *v, const struct receive_domain *d, size_t user,
		    size_t domain, struct smtp_server_verdict *ret)
{
	char path[64], hop[32];
	struct receive_recipient to = {.path = path, .hop = hop, .domain = d, .verify = true};

	snprintf(hop, sizeof(hop), "d%zu.example", domain);
	snprintf(path, sizeof(path), "u%zu@%s", user, hop);
	return receive_verify(v, &to, on_verified, NULL, ret);
}

static void questions_are_bounded(void **state)
{
	struct receive_verifier *v = receive_verifier_new(&env);
	struct smtp_server_verdict verdict;
	uint64_t tickets[RECEIVE_WAITERS_MAX];
	int fd;
	struct receive_domain d = domain_at(port_of(true, &fd));

	(void)state;
	answers = 0;
	for (size_t i = 0; i < RECEIVE_QUESTIONS_DOMAIN_MAX; i++)
		assert_true(ask(v, &d, i, 0, &verdict) != 0);
	assert_true(ask(v, &d, 1000, 0, &verdict) == 0);
	assert_int_equal(verdict.code, 451);
	assert_true(verdict.status.subject == 3 && verdict.status.detail == 0);
	/* One that is asked already may be waited for, by so many. */
	for (size_t i = 0; i < RECEIVE_WAITERS_MAX - 1; i++)
		assert_true((tickets[i] = ask(v, &d, 0, 0, &verdict)) != 0);
	assert_true(ask(v, &d, 0, 0, &verdict) == 0);
	assert_int_equal(verdict.code, 451);
	for (size_t i = RECEIVE_QUESTIONS_DOMAIN_MAX; i < RECEIVE_QUESTIONS_MAX; i++)
		assert_true(ask(v, &d, i, i, &verdict) != 0);
	assert_true(ask(v, &d, 1, 1000, &verdict) == 0);
	assert_int_equal(verdict.code, 451);
	for (size_t i = 0; i < RECEIVE_WAITERS_MAX - 1; i++)
		receive_verify_forget(v, tickets[i]);
	/* Freed with all of them under way: nobody is called. */
	receive_verifier_free(v);
	assert_int_equal(answers, 0);
	close(fd);
}

static void given_up(void **state)
{
	struct receive_verifier *v = receive_verifier_new(&env);
	struct smtp_server_verdict verdict;
	int fd;
	struct receive_domain d = domain_at(port_of(true, &fd)), by_name = d;

	(void)state;
	answers = codes[451] = 0;
	for (size_t i = 0; i < 10; i++)
		assert_true(ask(v, &d, i, 0, &verdict) != 0);
	receive_verify_give_up(v);
	assert_int_equal(answers, 10);
	assert_int_equal(codes[451], 10);
	receive_verify_give_up(v);
	/* Without a resolver a name cannot be asked. */
	by_name.behind.hop = DANE_HOP_HOST;
	by_name.behind.name = "behind.example";
	assert_true(ask(v, &by_name, 0, 1, &verdict) != 0);
	io_loop_run(loop);
	assert_int_equal(codes[451], 11);
	receive_verifier_free(v);
	close(fd);
}

static void on_limit(void *arg)
{
	(void)arg;
	io_loop_stop(loop);
}

/* A reload: what the old server was asked, and what it says later, is nothing to the new rules. */
static void another_server_is_asked_anew(void **state)
{
	struct receive_verifier *v = receive_verifier_new(&env);
	struct io_timer *limit = io_timer_new(loop, on_limit, NULL);
	struct smtp_server_verdict verdict;
	int silent, closed;
	struct receive_domain old = domain_at(port_of(true, &silent));
	struct receive_domain new = domain_at(port_of(false, &closed));

	(void)state;
	answers = codes[451] = 0;
	assert_true(ask(v, &old, 0, 0, &verdict) != 0);
	receive_verify_reset(v);
	assert_true(ask(v, &new, 0, 0, &verdict) != 0);
	io_timer_set(limit, usec_add(io_now(loop), usec_seconds(2)));
	io_loop_run(loop);
	assert_int_equal(answers, 1); /* the new one's: it is away */
	assert_true(ask(v, &new, 0, 0, &verdict) == 0);
	/* A session that began under the old rules asks the old one. */
	assert_true(ask(v, &old, 0, 0, &verdict) != 0);
	receive_verifier_free(v);
	io_timer_free(limit);
	close(silent);
	close(closed);
}

static void run_a_moment(void)
{
	struct io_timer *limit = io_timer_new(loop, on_limit, NULL);

	io_timer_set(limit, usec_add(io_now(loop), 100000));
	io_loop_run(loop);
	io_timer_free(limit);
}

/* What its session holds of the decision goes with the decision: ASan looks. */
static void given_up_before_the_handshake(void **state)
{
	static const char *const words[] = {"220 hi\r\n", "250-hi\r\n250 STARTTLS\r\n",
					    "220 go\r\n"};
	struct receive_verifier *v = receive_verifier_new(&env);
	struct smtp_server_verdict verdict;
	int fd, client;
	struct receive_domain d = domain_at(port_of(true, &fd));

	(void)state;
	answers = 0;
	d.behind.tls = RECEIVE_BEHIND_ENCRYPT;
	assert_true(ask(v, &d, 0, 0, &verdict) != 0);
	run_a_moment();
	client = accept(fd, NULL, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (i > 0)
			run_a_moment();
		assert_true(write(client, words[i], strlen(words[i])) > 0);
	}
	receive_verify_give_up(v);
	assert_int_equal(answers, 1);
	run_a_moment();
	receive_verifier_free(v);
	close(client);
	close(fd);
}

static void answers_are_bounded(void **state)
{
	struct receive_verifier *v = receive_verifier_new(&env);
	struct smtp_server_verdict verdict;
	int fd;
	struct receive_domain d = domain_at(port_of(false, &fd));
	size_t asked = 0;

	(void)state;
	answers = codes[451] = 0;
	for (size_t i = 0; i < RECEIVE_ANSWERS_MAX + 50; i++) {
		if (ask(v, &d, i, i % 10, &verdict) != 0)
			asked++;
		else
			fail_msg("%zu was not asked", i);
		if (i % RECEIVE_QUESTIONS_MAX == RECEIVE_QUESTIONS_MAX - 1)
			io_loop_run(loop);
	}
	io_loop_run(loop);
	assert_int_equal(answers, asked);
	assert_int_equal(codes[451], asked);
	assert_int_equal(receive_verify_count(v), RECEIVE_ANSWERS_MAX);
	/* The newest are known; the oldest were forgotten, and are asked again. */
	assert_true(ask(v, &d, RECEIVE_ANSWERS_MAX + 49, 9, &verdict) == 0);
	assert_int_equal(verdict.code, 451);
	assert_true(ask(v, &d, 0, 0, &verdict) != 0);
	receive_verify_reset(v);
	assert_int_equal(receive_verify_count(v), 0);
	receive_verifier_free(v);
	io_loop_run(loop);
	close(fd);
}

/* --- a server that says one thing to RCPT ---------------------------------------------------- */

struct server {
	pthread_t thread;
	int fd;
	const char *rcpt;
	size_t asked;
};

static void serve_one(struct server *s, int fd)
{
	FILE *f = fdopen(fd, "r+");
	char line[600];

	setvbuf(f, NULL, _IONBF, 0);
	fputs("220 behind\r\n", f);
	while (fgets(line, sizeof(line), f) != NULL) {
		bool rcpt = strncmp(line, "RCPT", 4) == 0;

		s->asked += rcpt;
		fputs(rcpt ? s->rcpt : "250 ok\r\n", f);
		if (strncmp(line, "QUIT", 4) == 0)
			break;
	}
	fclose(f);
}

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0)
		serve_one(s, fd);
	return NULL;
}

static void server_stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
}

/* The code that a question or what is known comes to. */
static unsigned answer_of(struct receive_verifier *v, const struct receive_domain *d)
{
	struct smtp_server_verdict verdict;

	memset(codes, 0, sizeof(codes));
	if (ask(v, d, 0, 0, &verdict) == 0)
		return verdict.code;
	io_loop_run(loop);
	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i] > 0)
			return i;
	return 999;
}

static void times(void **state)
{
	struct receive_verifier *v = receive_verifier_new(&env);
	struct server s = {.rcpt = "250 yes\r\n"};
	struct receive_domain d = domain_at(port_of(true, &s.fd));

	(void)state;
	assert_int_equal(pthread_create(&s.thread, NULL, serve, &s), 0);
	assert_int_equal(answer_of(v, &d), 0);
	s.rcpt = "550 no\r\n";
	receive_verify_age(v, usec_seconds(RECEIVE_YES_SECONDS - 5));
	assert_int_equal(answer_of(v, &d), 0); /* known */
	receive_verify_age(v, usec_seconds(10));
	assert_int_equal(answer_of(v, &d), 550); /* asked again */
	assert_int_equal(s.asked, 2);
	s.rcpt = "250 yes\r\n";
	receive_verify_age(v, usec_seconds(RECEIVE_NO_SECONDS - 5));
	assert_int_equal(answer_of(v, &d), 550);
	receive_verify_age(v, usec_seconds(10));
	assert_int_equal(answer_of(v, &d), 0);
	server_stop(&s);
	/* It is away: a yes stands for a week, and it is not asked at each RCPT. */
	receive_verify_age(v, usec_seconds(RECEIVE_YES_LAST_SECONDS - 60));
	assert_int_equal(answer_of(v, &d), 0);
	assert_true(ask(v, &d, 0, 0, &(struct smtp_server_verdict){0}) == 0);
	receive_verify_age(v, usec_seconds(RECEIVE_LATER_SECONDS + 1));
	assert_int_equal(answer_of(v, &d), 0);
	receive_verify_age(v, usec_seconds(120));
	assert_int_equal(answer_of(v, &d), 451);
	assert_int_equal(s.asked, 3);
	receive_verifier_free(v);
}

static int set_up(void **state)
{
	struct err e;

	(void)state;
	loop = env.loop = io_loop_new();
	env.tls = tls_context_new(&e);
	env.helo = (struct mail_domain){MAIL_DOMAIN_NAME, "mx.example.org", "mx.example.org"};
	io_raise_descriptor_limit();
	return env.tls == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	env.tls = tls_context_free(env.tls);
	loop = io_loop_free(loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions_are_bounded),
		cmocka_unit_test(given_up),
		cmocka_unit_test(another_server_is_asked_anew),
		cmocka_unit_test(given_up_before_the_handshake),
		cmocka_unit_test(answers_are_bounded),
		cmocka_unit_test(times),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
