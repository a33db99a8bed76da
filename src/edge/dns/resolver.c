#include "edge/dns/resolver.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <strings.h>
#include <unbound.h>

#include "base/arena.h"
#include "core/dane/name.h"
#include "edge/dns/packet.h"
#include "edge/dns/setup.h"

/* Where a question stands. */
enum question_state {
	QUESTION_QUEUED,   /* waits for a place below the limit */
	QUESTION_ASKED,    /* the library works on it */
	QUESTION_DETACHED, /* so it does, but nobody waits any more */
};

struct dns_question {
	struct dns_resolver *resolver;
	enum question_state state;
	dns_answer_fn *fn;
	void *arg;
	char *name;
	uint16_t type;
	usec_t deadline;
	/* All waited for, by deadline, which is the order of asking. */
	struct dns_question *earlier, *later;
	/* All the library works on, for the end. */
	struct dns_question *previous, *next;
};

struct dns_resolver {
	struct io_loop *loop;
	struct ub_ctx *ctx;
	struct io_watch *watch;
	struct io_timer *timer;      /* the next deadline */
	struct io_timer *pump_timer; /* at once: an error must not call back from within ask() */
	struct dns_question *first, *last; /* waited for */
	struct dns_question *queued;       /* the first of them that is QUEUED */
	struct dns_question *asked;        /* in the library */
	size_t n_asked, limit;
	usec_t timeout;
	bool forwarding, started;
	dns_health_fn *check_fn;
	void *check_arg;
};

/* --- lists ------------------------------------------------------------------------------------ */

static void waiting_append(struct dns_resolver *r, struct dns_question *q)
{
	q->earlier = r->last;
	if (r->last != NULL)
		r->last->later = q;
	else
		r->first = q;
	r->last = q;
	if (r->queued == NULL)
		r->queued = q;
}

static void waiting_remove(struct dns_resolver *r, struct dns_question *q)
{
	if (r->queued == q)
		r->queued = q->later;
	if (q->earlier != NULL)
		q->earlier->later = q->later;
	else
		r->first = q->later;
	if (q->later != NULL)
		q->later->earlier = q->earlier;
	else
		r->last = q->earlier;
	q->earlier = q->later = NULL;
}

static void asked_add(struct dns_resolver *r, struct dns_question *q)
{
	q->next = r->asked;
	if (q->next != NULL)
		q->next->previous = q;
	r->asked = q;
	r->n_asked++;
}

static void asked_remove(struct dns_resolver *r, struct dns_question *q)
{
	if (q->previous != NULL)
		q->previous->next = q->next;
	else
		r->asked = q->next;
	if (q->next != NULL)
		q->next->previous = q->previous;
	q->previous = q->next = NULL;
	r->n_asked--;
}

static void question_free(struct dns_question *q)
{
	free(q->name);
	free(q);
}

/* --- answers ---------------------------------------------------------------------------------- */

/* Ends a question that is waited for: it leaves the list, and the callback hears the answer. */
static void deliver(struct dns_question *q, const struct dane_answer *answer)
{
	dns_answer_fn *fn = q->fn;
	void *arg = q->arg;

	waiting_remove(q->resolver, q);
	if (q->state == QUESTION_ASKED)
		q->state = QUESTION_DETACHED;
	else
		question_free(q);
	fn(arg, answer);
}

static struct dane_answer failed(const char *why)
{
	return (struct dane_answer){.security = DANE_FAILED, .why = why};
}

static const char *rcode_in_words(int rcode)
{
	switch (rcode) {
	case 1:
		return "FORMERR: the name servers call the question malformed";
	case 2:
		return "SERVFAIL: the name servers gave no usable answer";
	case 4:
		return "NOTIMP: the name servers do not serve this record type";
	case 5:
		return "REFUSED: the name servers refuse to answer";
	default:
		return "the name servers answered with an error";
	}
}

/*
 * The library hands a packet over; an RRset that does not fit into 64 KiB once it has given up
 * compressing names leaves an empty one with TC, which is no denial (R13).
 */
static bool is_truncated(const struct ub_result *result)
{
	const uint8_t *packet = result->answer_packet;

	return result->answer_len > 2 && (packet[2] & 0x02) != 0;
}

/* The library's result as an answer: R6-R12. Bytes stay the result's, text goes to the arena. */
static struct dane_answer translate(struct arena *a, const struct ub_result *result)
{
	struct dane_answer answer = {.ttl = result->ttl > 0 ? (uint32_t)result->ttl : 0};
	struct span *records;
	size_t n = 0;

	if (result->bogus) {
		answer.security = DANE_BOGUS;
		answer.why = result->why_bogus != NULL ? arena_strdup(a, result->why_bogus)
						       : "validation failure";
		return answer;
	}
	if (result->rcode != 0 && result->rcode != 3)
		return failed(rcode_in_words(result->rcode));
	answer.security = result->secure ? DANE_SECURE : DANE_INSECURE;
	answer.content = result->nxdomain || result->rcode == 3 ? DANE_NXDOMAIN : DANE_NODATA;
	if (result->havedata) {
		answer.content = DANE_RECORDS;
		while (result->data[n] != NULL)
			n++;
		records = arena_calloc(a, n, sizeof(*records));
		for (size_t i = 0; i < n; i++)
			records[i] = span_of(result->data[i], (size_t)result->len[i]);
		answer.records = records;
		answer.n_records = n;
	} else if (is_truncated(result)) {
		return failed("the answer is too large for the resolver library");
	}
	/* The hops of an alias chain stand in the packet; without one it need not be read. A
	 * question for the alias itself has its answer in the records. */
	if (result->canonname != NULL && result->qtype != DANE_RR_CNAME &&
	    strcasecmp(result->canonname, result->qname) != 0 &&
	    dns_packet_aliases(a, result->answer_packet, (size_t)result->answer_len, &answer) < 0)
		return failed("the answer is malformed");
	return answer;
}

static void pump(struct dns_resolver *r);

static void on_result(void *arg, int error, struct ub_result *result)
{
	struct dns_question *q = arg;
	struct dns_resolver *r = q->resolver;
	struct dane_answer answer;
	struct arena a = {0};

	asked_remove(r, q);
	if (q->state == QUESTION_DETACHED) {
		question_free(q);
		ub_resolve_free(result);
		return;
	}
	q->state = QUESTION_QUEUED; /* the library is done with it: deliver() frees */
	answer = error == 0 ? translate(&a, result) : failed(ub_strerror(error));
	deliver(q, &answer);
	ub_resolve_free(result);
	arena_done(&a);
}

static void on_readable(void *arg, unsigned ready)
{
	struct dns_resolver *r = arg;

	(void)ready;
	ub_process(r->ctx);
	pump(r);
}

static void on_deadline(void *arg)
{
	struct dns_resolver *r = arg;
	usec_t now = io_now(r->loop);
	char why[80];

	snprintf(why, sizeof(why), "no answer within %.3g seconds",
		 (double)r->timeout / (double)USEC_PER_SEC);
	while (r->first != NULL && r->first->deadline <= now) {
		struct dane_answer answer = failed(why);

		deliver(r->first, &answer);
	}
	io_timer_set(r->timer, r->first != NULL ? r->first->deadline : USEC_NEVER);
}

/* --- questions -------------------------------------------------------------------------------- */

/* The library's thread must not take the program's signals: it inherits this mask. */
static int ask_library(struct dns_resolver *r, struct dns_question *q)
{
	sigset_t all, old;
	int error;

	if (r->started)
		return ub_resolve_async(r->ctx, q->name, q->type, 1, q, on_result, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = ub_resolve_async(r->ctx, q->name, q->type, 1, q, on_result, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	r->started = true;
	return error;
}

/* Hands queued questions to the library while there is room. */
static void pump(struct dns_resolver *r)
{
	while (r->queued != NULL && r->n_asked < r->limit) {
		struct dns_question *q = r->queued;
		int error;

		r->queued = q->later;
		error = ask_library(r, q);
		if (error != 0) {
			struct dane_answer answer = failed(ub_strerror(error));

			deliver(q, &answer);
			continue;
		}
		q->state = QUESTION_ASKED;
		q->deadline = usec_add(io_now(r->loop), r->timeout);
		if (r->first == q)
			io_timer_set(r->timer, q->deadline);
		asked_add(r, q);
	}
}

static void on_pump(void *arg)
{
	pump(arg);
}

struct dns_question *dns_resolver_ask(struct dns_resolver *r, const char *name, uint16_t type,
				      dns_answer_fn *fn, void *arg)
{
	struct dns_question *q = xcalloc(1, sizeof(*q));

	q->resolver = r;
	q->fn = fn;
	q->arg = arg;
	q->name = xstrdup(name);
	q->type = type;
	q->deadline = USEC_NEVER; /* until the library has it */
	waiting_append(r, q);
	if (r->queued == q)
		io_timer_set(r->pump_timer, 0);
	return q;
}

void dns_resolver_cancel(struct dns_resolver *r, struct dns_question *q)
{
	waiting_remove(r, q);
	if (q->state == QUESTION_ASKED)
		q->state = QUESTION_DETACHED;
	else
		question_free(q);
}

size_t dns_resolver_limit(const struct dns_resolver *r)
{
	return r->limit;
}

size_t dns_resolver_busy(const struct dns_resolver *r)
{
	return r->n_asked;
}

/* --- life ------------------------------------------------------------------------------------- */

struct dns_resolver *dns_resolver_new(struct io_loop *l, const struct dns_config *c, struct err *e)
{
	struct dns_resolver *r = xcalloc(1, sizeof(*r));

	r->loop = l;
	r->timeout = c->timeout;
	r->forwarding = c->n_forward > 0;
	r->ctx = dns_setup(c, &r->limit, e);
	if (r->ctx == NULL)
		return dns_resolver_free(r);
	r->timer = io_timer_new(l, on_deadline, r);
	r->pump_timer = io_timer_new(l, on_pump, r);
	r->watch = io_watch_new(l, ub_fd(r->ctx), on_readable, r);
	io_watch_set(r->watch, IO_READ);
	return r;
}

struct dns_resolver *dns_resolver_free(struct dns_resolver *r)
{
	if (r == NULL)
		return NULL;
	io_watch_free(r->watch);
	io_timer_free(r->timer);
	io_timer_free(r->pump_timer);
	if (r->ctx != NULL)
		ub_ctx_delete(r->ctx);
	while (r->asked != NULL) {
		struct dns_question *q = r->asked;

		if (q->state != QUESTION_DETACHED)
			waiting_remove(r, q);
		asked_remove(r, q);
		question_free(q);
	}
	while (r->first != NULL) {
		struct dns_question *q = r->first;

		waiting_remove(r, q);
		question_free(q);
	}
	free(r);
	return NULL;
}

/* --- the self-test ---------------------------------------------------------------------------- */

static enum dns_health judge_root(const struct dns_resolver *r, const struct dane_answer *answer)
{
	switch (answer->security) {
	case DANE_SECURE:
		return answer->content == DANE_RECORDS ? DNS_HEALTH_GOOD : DNS_HEALTH_ANCHOR;
	case DANE_BOGUS:
		/* The validator's words; there is no code for them. */
		if (strstr(answer->why, "signature expired") != NULL ||
		    strstr(answer->why, "signature before inception date") != NULL)
			return DNS_HEALTH_CLOCK;
		if (r->forwarding && (strstr(answer->why, "no signatures") != NULL ||
				      strstr(answer->why, "signature missing") != NULL ||
				      strstr(answer->why, "signatures from unknown keys") != NULL))
			return DNS_HEALTH_STRIPPED;
		return DNS_HEALTH_ANCHOR;
	case DANE_FAILED:
		return DNS_HEALTH_SILENT;
	case DANE_INSECURE:
	case DANE_UNASKED:
		break;
	}
	return DNS_HEALTH_ANCHOR;
}

static void on_root(void *arg, const struct dane_answer *answer)
{
	struct dns_resolver *r = arg;
	enum dns_health health = judge_root(r, answer);
	const char *why = answer->why != NULL ? answer->why : "no reason known";
	struct arena a = {0};
	const char *text = "the trust anchor fits the root zone";

	switch (health) {
	case DNS_HEALTH_GOOD:
		break;
	case DNS_HEALTH_ANCHOR:
		text = arena_printf(&a,
				    "the trust anchor does not fit the root zone's keys (%s): "
				    "update the anchor (package dns-root-data, or --trust-anchor)",
				    why);
		break;
	case DNS_HEALTH_CLOCK:
		text = arena_printf(&a,
				    "the root zone's signatures are not valid at the time of this "
				    "machine's clock (%s): set the clock",
				    why);
		break;
	case DNS_HEALTH_STRIPPED:
		text = arena_printf(&a,
				    "the forwarder leaves DNSSEC signatures out (%s): use one that "
				    "passes them on, or no --forward",
				    why);
		break;
	case DNS_HEALTH_SILENT:
		text = arena_printf(&a, "the root zone's keys could not be fetched: %s", why);
		break;
	}
	r->check_fn(r->check_arg, health, text);
	arena_done(&a);
}

void dns_resolver_check(struct dns_resolver *r, dns_health_fn *fn, void *arg)
{
	r->check_fn = fn;
	r->check_arg = arg;
	dns_resolver_ask(r, ".", DANE_RR_DNSKEY, on_root, r);
}
