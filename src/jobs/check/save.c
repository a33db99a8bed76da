#include "jobs/check/save.h"

#include <errno.h>

#include "core/dane/report.h"

static const char format[] = "daneway-check 1";

enum {
	SESSIONS_MAX = CHECK_ADDRESSES_MAX * 4, /* key types */
};

/* --- words ------------------------------------------------------------------------------------ */

static const char *key_word(int k)
{
	return tls_key_type_to_string((enum tls_key_type)k);
}

static const char *end_word(int e)
{
	return smtp_end_to_string((enum smtp_end)e);
}

static const char *stage_word(int s)
{
	return smtp_stage_to_string((enum smtp_stage)s);
}

static const char *verdict_word(int k)
{
	return tls_verdict_to_string((enum tls_verdict_kind)k);
}

static const char *auth_word(int a)
{
	return tls_auth_to_string((enum tls_auth)a);
}

static const char *extra_word(int k)
{
	static const char *const words[] = {"bare", "https", "domain", "ignored", "tlsrpt", "sts"};

	return words[k];
}

/* The value whose word this is, 0 to `last`; -EINVAL. */
static int from_word(const char *(*word)(int), int last, const struct js *v)
{
	const char *text = js_text(v);

	for (int i = 0; text != NULL && i <= last; i++)
		if (strcmp(word(i), text) == 0)
			return i;
	return -EINVAL;
}

/* --- save ------------------------------------------------------------------------------------- */

static struct js *reply_json(const struct smtp_answer *a)
{
	struct js *v = js_object();

	js_set_int(v, "code", a->code);
	js_set_text(v, "text", a->text);
	return v;
}

static struct js *chain_json(const struct tls_chain *chain)
{
	struct js *list = js_array();
	struct arena a = {0};

	for (size_t i = 0; i < tls_chain_count(chain); i++) {
		struct span pem = tls_chain_pem(chain, i, DANE_SELECTOR_CERT, &a);

		js_push_text(list, arena_text(&a, pem));
	}
	arena_done(&a);
	return list;
}

static struct js *verdict_json(const struct tls_verdict *verdict)
{
	struct js *v = js_object();
	struct arena a = {0};

	js_set_text(v, "kind", verdict_word(verdict->kind));
	js_set_text(v, "auth", auth_word(verdict->auth));
	js_set_text(v, "record",
		    verdict->kind == TLS_VERDICT_MATCH ? dane_tlsa_to_text(&a, &verdict->record)
						       : NULL);
	js_set_int(v, "depth", verdict->depth);
	js_set_text(v, "name", verdict->name);
	js_set_text(v, "detail", verdict->detail);
	arena_done(&a);
	return v;
}

static struct js *session_json(const struct check_probe *p)
{
	const struct smtp_report *r = &p->report.smtp;
	struct js *v = js_object();

	js_set_text(v, "host", p->host->name);
	js_set_text(v, "address", p->address);
	js_set_text(v, "key", key_word(p->key));
	js_set_text(v, "connect_error", p->report.connect_error);
	js_set_text(v, "end", end_word(r->end));
	js_set_text(v, "stage", stage_word(r->stage));
	js_set_text(v, "text", r->text);
	js_set_bool(v, "retry_in_clear", r->retry_in_clear);
	js_set(v, "starttls_reply", reply_json(&r->starttls_reply));
	js_set(v, "reply", reply_json(&r->reply));
	js_set_text(v, "version", p->report.tls ? p->report.tls_version : NULL);
	js_set_text(v, "cipher", p->report.tls ? p->report.tls_cipher : NULL);
	if (p->chain != NULL)
		js_set(v, "chain", chain_json(p->chain));
	js_set(v, "verdict", verdict_json(&p->verdict));
	return v;
}

static struct js *extra_json(const struct check_extra_answer *x)
{
	struct js *v = js_object();

	js_set_text(v, "kind", extra_word(x->kind));
	js_set_text(v, "host", x->host != NULL ? x->host->name : NULL);
	js_set_text(v, "name", x->name);
	js_set(v, "answer", dane_answer_save(x->answer));
	return v;
}

struct js *check_save(const struct check_view *v)
{
	struct js *saved = js_object(), *sessions = js_array(), *extra = js_array();
	struct js *servers = js_array();

	js_set_text(saved, "format", format);
	js_set_int(saved, "time", v->now);
	js_set(saved, "decision", dane_evidence_save(v->decider));
	for (size_t i = 0; i < v->n_probes; i++)
		if (v->probes[i].done)
			js_push(sessions, session_json(&v->probes[i]));
	js_set(saved, "sessions", sessions);
	for (size_t i = 0; i < check_extra_count(v->extra); i++)
		if (check_extra_at(v->extra, i)->answer != NULL)
			js_push(extra, extra_json(check_extra_at(v->extra, i)));
	js_set(saved, "extra", extra);
	if (v->sts != NULL)
		js_set(saved, "sts", check_sts_save(v->sts));
	for (size_t i = 0; i < v->n_servers; i++)
		js_push(servers, check_servers_save(v->servers[i]));
	js_set(saved, "servers", servers);
	return saved;
}

/* --- restore ---------------------------------------------------------------------------------- */

static const char *keep(struct arena *a, const struct js *v, const char *otherwise)
{
	const char *text = js_text(v);

	return text != NULL ? arena_strdup(a, text) : otherwise;
}

static const struct dane_host *find_host(const struct dane_decider *d, const char *name)
{
	const struct dane_decision *decision = dane_decider_result(d);

	for (size_t i = 0; name != NULL && i < decision->n_hosts; i++)
		if (strcmp(decision->hosts[i].name, name) == 0)
			return &decision->hosts[i];
	return NULL;
}

static struct smtp_answer read_reply(struct arena *a, const struct js *v)
{
	int64_t code = js_int(js_get(v, "code"), 0);

	return (struct smtp_answer){
		.code = code >= 0 && code <= 599 ? (unsigned)code : 0,
		.text = keep(a, js_get(v, "text"), ""),
	};
}

static int read_chain(const struct js *list, struct tls_chain **ret)
{
	struct buf pem;
	int error = 0;

	buf_init(&pem, TLS_PEM_MAX);
	for (size_t i = 0; i < js_count(list) && error == 0; i++) {
		const char *text = js_text(js_at(list, i));

		error = text != NULL ? buf_add_text(&pem, text) : -EINVAL;
	}
	if (error == 0)
		error = tls_chain_parse(buf_span(&pem), ret, NULL);
	buf_done(&pem);
	return error;
}

static int read_verdict(struct arena *a, const struct js *v, const struct tls_chain *chain,
			struct tls_verdict *ret)
{
	int kind = from_word(verdict_word, TLS_VERDICT_UNUSABLE, js_get(v, "kind"));
	int auth = from_word(auth_word, TLS_AUTH_DANE_EE, js_get(v, "auth"));
	int64_t depth = js_int(js_get(v, "depth"), -1), count = (int64_t)tls_chain_count(chain);
	const char *record = js_text(js_get(v, "record"));

	if (kind < 0 || auth < 0)
		return -EINVAL;
	ret->kind = (enum tls_verdict_kind)kind;
	ret->auth = (enum tls_auth)auth;
	ret->depth = depth >= 0 && depth < count ? (int)depth : -1;
	ret->name = keep(a, js_get(v, "name"), NULL);
	ret->detail = keep(a, js_get(v, "detail"), "");
	if (ret->kind != TLS_VERDICT_MATCH)
		return 0;
	/* Without a TLSA record and a certificate nothing has matched. */
	if (ret->depth < 0 || record == NULL)
		return -EINVAL;
	return dane_tlsa_from_text(a, record, &ret->record, NULL);
}

static int read_session(struct check_saved *s, const struct js *v)
{
	struct check_probe *p = &s->probes[s->n_probes];
	struct smtp_report *r = &p->report.smtp;
	int key = from_word(key_word, TLS_KEY_EDDSA, js_get(v, "key"));
	int end = from_word(end_word, SMTP_END_DRIVER, js_get(v, "end"));
	int stage = from_word(stage_word, SMTP_STAGE_QUIT, js_get(v, "stage"));

	p->host = find_host(s->decider, js_text(js_get(v, "host")));
	p->address = keep(&s->arena, js_get(v, "address"), NULL);
	if (p->host == NULL || p->address == NULL || key < 0 || end < 0 || stage < 0)
		return -EINVAL;
	p->key = (enum tls_key_type)key;
	p->done = true;
	p->report.connect_error = keep(&s->arena, js_get(v, "connect_error"), NULL);
	p->report.connected = p->report.connect_error == NULL;
	r->end = (enum smtp_end)end;
	r->stage = (enum smtp_stage)stage;
	r->text = keep(&s->arena, js_get(v, "text"), "");
	r->retry_in_clear = js_bool(js_get(v, "retry_in_clear"), false);
	r->starttls_reply = read_reply(&s->arena, js_get(v, "starttls_reply"));
	r->reply = read_reply(&s->arena, js_get(v, "reply"));
	p->report.tls_version = keep(&s->arena, js_get(v, "version"), NULL);
	p->report.tls_cipher = keep(&s->arena, js_get(v, "cipher"), NULL);
	p->report.tls = p->report.tls_version != NULL;
	s->n_probes++; /* from here on its chain is freed with the others */
	if (js_count(js_get(v, "chain")) > 0 && read_chain(js_get(v, "chain"), &p->chain) < 0)
		return -EINVAL;
	if (p->chain == NULL)
		return from_word(verdict_word, TLS_VERDICT_UNUSABLE,
				 js_get(js_get(v, "verdict"), "kind")) == TLS_VERDICT_MATCH
			       ? -EINVAL
			       : 0;
	return read_verdict(&s->arena, js_get(v, "verdict"), p->chain, &p->verdict);
}

static int read_sessions(struct check_saved *s, const struct js *list, struct err *e)
{
	size_t n = js_count(list);

	if (n > SESSIONS_MAX)
		return err_set(e, -EINVAL, "more than %d sessions", SESSIONS_MAX);
	s->probes = arena_calloc(&s->arena, n, sizeof(*s->probes));
	for (size_t i = 0; i < n; i++)
		if (read_session(s, js_at(list, i)) < 0)
			return err_set(e, -EINVAL, "session %zu is damaged", i + 1);
	return 0;
}

static int read_extra(struct check_saved *s, const struct js *list, struct err *e)
{
	s->extra = check_extra_empty();
	for (size_t i = 0; i < js_count(list); i++) {
		const struct js *v = js_at(list, i);
		const char *host = js_text(js_get(v, "host"));
		int kind = from_word(extra_word, CHECK_EXTRA_STS, js_get(v, "kind"));
		struct check_extra_answer x = {.name = keep(&s->arena, js_get(v, "name"), NULL)};
		struct dane_answer answer;

		if (kind < 0 || x.name == NULL ||
		    dane_answer_restore(&s->arena, js_get(v, "answer"), &answer) < 0)
			return err_set(e, -EINVAL, "extra answer %zu is damaged", i + 1);
		x.kind = (enum check_extra_kind)kind;
		x.host = find_host(s->decider, host);
		x.answer = &answer;
		if (host != NULL && x.host == NULL)
			return err_set(e, -EINVAL, "extra answer %zu is about no host", i + 1);
		check_extra_add(s->extra, &x);
	}
	return 0;
}

static int read_servers(struct check_saved *s, const struct js *list, struct err *e)
{
	size_t n = js_count(list);

	if (n > CHECK_WALKS_RESULTS)
		return err_set(e, -EINVAL, "too many walks of name servers");
	s->servers = arena_calloc(&s->arena, n, sizeof(struct check_servers *));
	for (size_t i = 0; i < n; i++) {
		s->servers[i] = check_servers_restore(js_at(list, i), e);
		if (s->servers[i] == NULL)
			return -EINVAL;
		s->n_servers++;
	}
	return 0;
}

int check_restore(const struct js *saved, struct check_saved *ret, struct err *e)
{
	const char *kind = js_text(js_get(saved, "format"));

	*ret = (struct check_saved){.now = js_int(js_get(saved, "time"), 0)};
	if (kind == NULL || strcmp(kind, format) != 0)
		return err_set(e, -EINVAL, "not saved by \"daneway check --save\"");
	if (ret->now <= 0)
		return err_set(e, -EINVAL, "its \"time\" is missing");
	ret->decider = dane_evidence_replay(js_get(saved, "decision"), e);
	if (ret->decider == NULL)
		return -EINVAL;
	if (read_sessions(ret, js_get(saved, "sessions"), e) < 0)
		return -EINVAL;
	if (read_extra(ret, js_get(saved, "extra"), e) < 0)
		return -EINVAL;
	if (check_sts_restore(&ret->arena, js_get(saved, "sts"), &ret->sts) < 0)
		return err_set(e, -EINVAL, "\"sts\" is damaged");
	return read_servers(ret, js_get(saved, "servers"), e);
}

void check_saved_done(struct check_saved *s)
{
	for (size_t i = 0; i < s->n_probes; i++)
		tls_chain_free(s->probes[i].chain);
	check_extra_free(s->extra);
	for (size_t i = 0; i < s->n_servers; i++)
		check_servers_free(s->servers[i]);
	dane_decider_free(s->decider);
	arena_done(&s->arena);
	*s = (struct check_saved){0};
}
