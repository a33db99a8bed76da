/* The test message of check --send: made here, delivered as any other, its fate a finding. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/hex.h"
#include "core/mail/date.h"
#include "main/cli/ask.h"

struct cli_letter {
	struct check_tree *tree;
	const struct check_inbound *inbound;
	struct arena arena;
	struct send_env env;
	struct send_message message;
	struct send_options send_options;
	struct send *send;
	io_fn *fn;
	void *arg;
};

static const char *text_of(struct cli_letter *l)
{
	const struct check_inbound *o = l->inbound;
	const char *from = mail_address_is_null(o->from)
				   ? arena_printf(&l->arena, "postmaster@%s", o->helo.text)
				   : o->from->path;
	uint8_t bytes[12];
	usec_t now = io_unix_now();
	char date[MAIL_DATE_MAX];

	require(getrandom(bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes));
	return arena_printf(
		&l->arena,
		"Date: %s\r\n"
		"From: <%s>\r\n"
		"To: <%s>\r\n"
		"Message-ID: <%lld.%s@%s>\r\n"
		"Subject: Test of SMTP DANE (daneway check --send)\r\n"
		"Auto-Submitted: auto-generated\r\n"
		"MIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=us-ascii\r\n"
		"\r\n"
		"This message tests whether mail to this address arrives, under RFC 7672\r\n"
		"(SMTP DANE). It was sent by \"daneway check --send\"; no answer is "
		"needed.\r\n",
		mail_date(now, date), from, o->to->path, (long long)(now / USEC_PER_SEC),
		hex_encode(&l->arena, span_of(bytes, sizeof(bytes))), o->helo.text);
}

static int make_message(struct cli_letter *l, struct err *e)
{
	const char *text = text_of(l);
	size_t n = strlen(text);
	int fd = memfd_create("daneway-letter", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, n) != (ssize_t)n) {
		int error = errno;

		if (fd >= 0)
			close(fd);
		return err_set(e, -error, "the test message: %s", strerror(error));
	}
	l->message = (struct send_message){
		.from = l->inbound->from,
		.to = l->inbound->to,
		.n_to = 1,
		.body = fd,
		.size = n,
		/* Addresses beyond ASCII stand in its header. */
		.eightbit = l->inbound->to->smtputf8 || l->inbound->from->smtputf8,
		.smtputf8 = l->inbound->to->smtputf8 || l->inbound->from->smtputf8,
	};
	return 0;
}

/* The attempt that tells most: the one that delivered, else the last. */
static const struct send_attempt *telling(const struct send_result *r)
{
	const struct send_attempt *last = NULL;

	for (size_t i = 0; i < r->n_attempts; i++) {
		last = r->attempts[i];
		if (last->outcome == SEND_DELIVERED)
			break;
	}
	return last;
}

static void on_sent(void *arg, const struct send_result *r)
{
	struct cli_letter *l = arg;
	const struct send_attempt *a = telling(r);
	const char *subject = r->recipients[0].address->path, *detail = r->detail;

	if (a != NULL && r->outcome == SEND_DELIVERED)
		detail = arena_printf(&l->tree->arena, "%s[%s] took it, %s (authenticated: %s): %s",
				      a->host, a->address, a->tls ? a->version : "in clear",
				      a->tls ? a->authenticated : "no",
				      a->reply != NULL ? a->reply : r->detail);
	check_add(l->tree, NULL,
		  r->outcome == SEND_DELIVERED ? CHECK_INBOUND_DELIVERED
					       : CHECK_INBOUND_NOT_DELIVERED,
		  subject, "status", r->status, "detail", detail, NULL);
	l->fn(l->arg);
}

struct cli_letter *cli_letter_new(const struct check_env *env, const struct check_options *o,
				  struct check_tree *t, io_fn *fn, void *arg, struct err *e)
{
	struct cli_letter *l = xcalloc(1, sizeof(*l));

	l->tree = t;
	l->inbound = o->inbound;
	l->fn = fn;
	l->arg = arg;
	l->message.body = -1;
	if (make_message(l, e) < 0)
		return cli_letter_free(l);
	l->env = (struct send_env){env->loop, env->resolver, env->tls};
	l->send_options = (struct send_options){
		.request = {.port = 25, .own_name = o->own_name},
		.helo = o->inbound->helo,
		.connect_timeout = o->inbound->connect_timeout,
		.deadline = usec_add(io_now(env->loop), o->timeout),
	};
	l->send = send_new(&l->env, &l->message, &l->send_options, on_sent, l);
	return l;
}

struct cli_letter *cli_letter_free(struct cli_letter *l)
{
	if (l == NULL)
		return NULL;
	send_free(l->send);
	if (l->message.body >= 0)
		close(l->message.body);
	arena_done(&l->arena);
	free(l);
	return NULL;
}
