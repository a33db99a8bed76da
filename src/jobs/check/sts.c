#include "jobs/check/sts.h"

#include <errno.h>

#include "base/hex.h"
#include "core/dane/name.h"

enum {
	HTTPS = 443,
	FAMILIES = 2,
};

static const char path[] = "/.well-known/mta-sts.txt";
static const uint16_t types[FAMILIES] = {DANE_RR_A, DANE_RR_AAAA};

struct question {
	struct check_sts_fetch *fetch;
	struct dns_question *asked; /* NULL: answered */
	const struct dane_answer *answer;
};

struct check_sts_fetch {
	struct dns_resolver *resolver;
	struct web *web;
	const struct check_sts_ops *ops;
	void *arg;
	usec_t timeout;
	struct arena arena;
	struct check_sts out;
	struct question questions[FAMILIES];
	size_t n_open;
	struct io_timer *asked; /* all are answered */
	struct web_fetch *get;
};

/* --- the end ---------------------------------------------------------------------------------- */

struct check_sts_fetch *check_sts_cancel(struct check_sts_fetch *f)
{
	if (f == NULL)
		return NULL;
	for (size_t i = 0; i < FAMILIES; i++)
		if (f->questions[i].asked != NULL)
			dns_resolver_cancel(f->resolver, f->questions[i].asked);
	web_cancel(f->get);
	io_timer_free(f->asked);
	arena_done(&f->arena);
	free(f);
	return NULL;
}

static void end(struct check_sts_fetch *f)
{
	f->ops->done(f->arg, &f->out);
	check_sts_cancel(f);
}

static void on_begun(void *arg)
{
	struct check_sts_fetch *f = arg;

	f->ops->begun(f->arg);
}

static void on_response(void *arg, const struct web_response *r)
{
	struct check_sts_fetch *f = arg;

	f->get = NULL;
	f->out.stage = CHECK_STS_TRIED;
	f->out.response = *r;
	end(f);
}

static const struct web_ops ops = {.begun = on_begun, .done = on_response};

/* --- addresses -------------------------------------------------------------------------------- */

/* Why there is no address: a lookup that failed goes before a name that has none. */
static const char *why_none(struct check_sts_fetch *f)
{
	for (size_t i = 0; i < FAMILIES; i++) {
		const struct dane_answer *a = f->questions[i].answer;

		if (a->security == DANE_BOGUS || a->security == DANE_FAILED)
			return arena_printf(&f->arena, "its %s lookup fails: %s",
					    dane_rrtype_to_string(types[i]),
					    a->why != NULL ? a->why : "no usable answer");
	}
	return f->questions[0].answer->content == DANE_NXDOMAIN ? "it does not exist"
								: "it has no address";
}

/* Both families have their share of the places. */
static size_t collect(struct check_sts_fetch *f, const char **addresses)
{
	size_t n = 0;

	for (size_t i = 0; i < FAMILIES; i++) {
		const struct dane_answer *a = f->questions[i].answer;

		for (size_t k = 0; k < a->n_records && k < WEB_ADDRESSES_MAX / FAMILIES; k++) {
			addresses[n] = dane_address_to_text(&f->arena, a->records[k]);
			n += addresses[n] != NULL;
		}
	}
	return n;
}

static void on_asked(void *arg)
{
	struct check_sts_fetch *f = arg;
	const char *addresses[WEB_ADDRESSES_MAX];
	struct web_request request = {
		.host = f->out.host,
		.path = path,
		.port = HTTPS,
		.addresses = addresses,
		.n_addresses = collect(f, addresses),
		.body_max = MAIL_STS_TEXT_MAX,
		.timeout = f->timeout,
	};

	if (request.n_addresses > 0) {
		f->get = web_get(f->web, &request, &ops, f);
		f->ops->waits(f->arg);
		return;
	}
	f->out.stage = CHECK_STS_NO_ADDRESS;
	f->out.why = why_none(f);
	end(f);
}

static void on_answer(void *arg, const struct dane_answer *answer)
{
	struct question *q = arg;

	q->asked = NULL;
	q->answer = dane_answer_copy(&q->fetch->arena, answer);
	if (--q->fetch->n_open == 0)
		io_timer_set(q->fetch->asked, 0);
}

static const char *host_of(struct arena *a, const char *domain)
{
	const char *host;

	return dane_name_from_text(a, arena_printf(a, "mta-sts.%s", domain), &host, NULL) == 0 &&
			       dane_name_is_host(host)
		       ? host
		       : NULL;
}

struct check_sts_fetch *check_sts_fetch(struct io_loop *l, struct dns_resolver *r, struct web *web,
					const char *domain, usec_t timeout,
					const struct check_sts_ops *o, void *arg)
{
	struct check_sts_fetch *f = xcalloc(1, sizeof(*f));

	f->out.host = host_of(&f->arena, domain);
	f->out.why = "";
	if (f->out.host == NULL) {
		check_sts_cancel(f);
		return NULL;
	}
	f->resolver = r;
	f->web = web;
	f->timeout = usec_min(timeout / 2, usec_seconds(CHECK_STS_TIMEOUT));
	f->ops = o;
	f->arg = arg;
	f->asked = io_timer_new(l, on_asked, f);
	f->n_open = FAMILIES;
	for (size_t i = 0; i < FAMILIES; i++) {
		f->questions[i].fetch = f;
		f->questions[i].asked =
			dns_resolver_ask(r, f->out.host, types[i], on_answer, &f->questions[i]);
	}
	return f;
}

/* --- values ----------------------------------------------------------------------------------- */

const struct check_sts *check_sts_late(struct arena *a, const char *domain)
{
	struct check_sts *s = arena_alloc(a, sizeof(*s));

	s->stage = CHECK_STS_LATE;
	s->host = arena_printf(a, "mta-sts.%s", domain);
	s->why = "";
	return s;
}

const struct check_sts *check_sts_copy(struct arena *a, const struct check_sts *in)
{
	struct check_sts *s = arena_alloc(a, sizeof(*s));

	*s = *in;
	s->host = arena_strdup(a, in->host);
	s->why = arena_strdup(a, in->why);
	if (s->stage != CHECK_STS_TRIED)
		return s;
	s->response.type = arena_strdup(a, in->response.type);
	s->response.location = arena_strdup(a, in->response.location);
	s->response.text = arena_strdup(a, in->response.text);
	s->response.body = arena_dup(a, in->response.body);
	return s;
}

/* --- save and restore ------------------------------------------------------------------------- */

static const char *const stages[] = {"late", "no-address", "tried"};

struct js *check_sts_save(const struct check_sts *s)
{
	const struct web_response *r = &s->response;
	struct js *v = js_object();
	struct arena a = {0};

	js_set_text(v, "stage", stages[s->stage]);
	js_set_text(v, "host", s->host);
	js_set_text(v, "why", s->why);
	if (s->stage == CHECK_STS_TRIED) {
		js_set_text(v, "end", web_end_to_string(r->end));
		js_set_int(v, "status", r->status);
		js_set_text(v, "type", r->type);
		js_set_text(v, "location", r->location);
		js_set_text(v, "text", r->text);
		js_set_text(v, "body", hex_encode(&a, r->body));
	}
	arena_done(&a);
	return v;
}

static int read_end(const struct js *v, enum web_end *ret)
{
	const char *word = js_text(v);

	for (int i = WEB_ANSWERED; word != NULL && i <= WEB_UNABLE; i++) {
		if (strcmp(web_end_to_string((enum web_end)i), word) != 0)
			continue;
		*ret = (enum web_end)i;
		return 0;
	}
	return -EINVAL;
}

static int read_stage(const struct js *v, enum check_sts_stage *ret)
{
	const char *word = js_text(v);

	for (size_t i = 0; word != NULL && i < ARRAY_SIZE(stages); i++) {
		if (strcmp(stages[i], word) != 0)
			continue;
		*ret = (enum check_sts_stage)i;
		return 0;
	}
	return -EINVAL;
}

static int read_response(struct arena *a, const struct js *v, struct web_response *r)
{
	const char *type = js_text(js_get(v, "type")), *location = js_text(js_get(v, "location"));
	const char *text = js_text(js_get(v, "text")), *body = js_text(js_get(v, "body"));
	int64_t status = js_int(js_get(v, "status"), -1);

	if (read_end(js_get(v, "end"), &r->end) < 0 || type == NULL || location == NULL ||
	    text == NULL || body == NULL || status < 0 || status > 999)
		return -EINVAL;
	r->status = (unsigned)status;
	r->type = arena_strdup(a, type);
	r->location = arena_strdup(a, location);
	r->text = arena_strdup(a, text);
	if (hex_decode(a, span_text(body), &r->body) < 0 || r->body.n > MAIL_STS_TEXT_MAX)
		return -EINVAL;
	return 0;
}

int check_sts_restore(struct arena *a, const struct js *v, const struct check_sts **ret)
{
	const char *host = js_text(js_get(v, "host")), *why = js_text(js_get(v, "why"));
	struct check_sts *s = arena_alloc(a, sizeof(*s));

	*ret = NULL;
	if (v == NULL || js_is_null(v))
		return 0;
	if (read_stage(js_get(v, "stage"), &s->stage) < 0 || host == NULL || why == NULL)
		return -EINVAL;
	s->host = arena_strdup(a, host);
	s->why = arena_strdup(a, why);
	if (s->stage == CHECK_STS_TRIED && read_response(a, v, &s->response) < 0)
		return -EINVAL;
	*ret = s;
	return 0;
}
