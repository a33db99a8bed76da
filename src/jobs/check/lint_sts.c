/* MTA-STS (RFC 8461): what is announced, what the policy says, and where it and the MX disagree. */
#include "core/dane/tlsrpt.h"
#include "jobs/check/view.h"

enum {
	AGE_SHORT = 7 * 86400, /* section 3.2: "in the range of weeks or greater" */
};

/* What all findings of one domain name. */
struct subject {
	const struct check_view *view;
	struct check_finding *parent;
	const char *domain, *owner; /* owner: of the TXT record */
	const char *url;
	struct mail_sts policy;
};

static struct arena *arena_of(const struct subject *s)
{
	return &s->view->tree->arena;
}

/* --- a fetch that came to nothing ------------------------------------------------------------- */

struct trouble {
	enum check_kind kind;
	const char *why; /* a clause */
	const char *fix;
};

static struct trouble trouble_of_status(const struct subject *s, const struct check_sts *sts)
{
	const struct web_response *r = &sts->response;
	struct trouble t = {.kind = CHECK_STS_NOT_FETCHED};

	if (r->status >= 300 && r->status < 400) {
		t.why = arena_printf(
			arena_of(s),
			"it redirects (status %u) to \"%s\", and senders must not follow",
			r->status, r->location);
		t.fix = arena_printf(arena_of(s), "Serve the policy at %s itself.", s->url);
	} else {
		t.why = arena_printf(arena_of(s), "the answer has status %u, not 200", r->status);
		t.fix = arena_printf(arena_of(s), "Have %s answer with status 200 and the policy.",
				     s->url);
	}
	return t;
}

static struct trouble trouble_of_certificate(const struct subject *s, const struct check_sts *sts,
					     const char *what)
{
	return (struct trouble){
		CHECK_STS_CERTIFICATE,
		arena_printf(arena_of(s), "%s (%s)", what, sts->response.text),
		arena_printf(arena_of(s),
			     "Have a certificate for %s issued by a public CA, and serve it with "
			     "its intermediate certificates.",
			     sts->host),
	};
}

static struct trouble trouble_of_answer(const struct subject *s, const struct check_sts *sts,
					const char *what)
{
	return (struct trouble){
		CHECK_STS_NOT_FETCHED,
		sts->response.text[0] != '\0'
			? arena_printf(arena_of(s), "%s (%s)", what, sts->response.text)
			: what,
		arena_printf(arena_of(s),
			     "Let a web server answer at port 443 of every address of %s, from "
			     "everywhere.",
			     sts->host),
	};
}

static struct trouble trouble_of_response(const struct subject *s, const struct check_sts *sts)
{
	switch (sts->response.end) {
	case WEB_ANSWERED:
		return trouble_of_status(s, sts);
	case WEB_UNREACHED:
		return trouble_of_answer(s, sts, "no address takes the connection");
	case WEB_TIMEOUT:
		return trouble_of_answer(s, sts, "no whole answer came in time");
	case WEB_TLS_FAILED:
		return trouble_of_answer(s, sts, "the TLS handshake fails");
	case WEB_BROKEN:
		return trouble_of_answer(s, sts, "no whole HTTP answer came");
	case WEB_TLS_NAME:
		return trouble_of_certificate(s, sts, "the certificate is not of that name");
	case WEB_TLS_EXPIRED:
		return trouble_of_certificate(s, sts, "the certificate has expired");
	case WEB_TLS_CHAIN:
		return trouble_of_certificate(s, sts, "the certificate is of no CA that counts");
	case WEB_TOO_LONG:
		return (struct trouble){
			CHECK_STS_NOT_FETCHED, "the answer is longer than 64 KiB",
			arena_printf(arena_of(s), "Have %s answer with the policy alone.", s->url)};
	case WEB_UNABLE:
		break;
	}
	return (struct trouble){
		.kind = CHECK_STS_UNKNOWN,
		.why = arena_printf(arena_of(s), "the CA store here cannot be used (%s)",
				    sts->response.text),
	};
}

static struct trouble trouble_of(const struct subject *s, const struct check_sts *sts)
{
	switch (sts->stage) {
	case CHECK_STS_LATE:
		break;
	case CHECK_STS_NO_ADDRESS:
		return (struct trouble){
			CHECK_STS_NOT_FETCHED,
			arena_printf(arena_of(s), "of %s, %s", sts->host, sts->why),
			arena_printf(arena_of(s),
				     "Give %s an address where a web server has the policy, or "
				     "take the record at %s out.",
				     sts->host, s->owner),
		};
	case CHECK_STS_TRIED:
		return trouble_of_response(s, sts);
	}
	return (struct trouble){.kind = CHECK_STS_UNKNOWN,
				.why = "the time for the whole domain was over"};
}

/* --- the policy beside the MX ----------------------------------------------------------------- */

/* The first CHECK_SHOWN_MAX patterns: all, or those that fit no MX host. `n` counts. */
static const char *patterns(const struct subject *s, bool unused, size_t *n)
{
	const struct dane_decision *d = s->view->decision;
	const char *list = NULL;

	*n = 0;
	for (size_t i = 0; i < s->policy.n_mx; i++) {
		bool used = false;

		for (size_t k = 0; k < d->n_hosts && unused && !used; k++)
			used = mail_sts_matches(s->policy.mx[i], d->hosts[k].name);
		if (!used && ++*n <= CHECK_SHOWN_MAX)
			list = check_join(s->view, list, s->policy.mx[i]);
	}
	return *n > CHECK_SHOWN_MAX
		       ? arena_printf(arena_of(s), "%s and %zu more", list, *n - CHECK_SHOWN_MAX)
		       : list;
}

/* A wildcard that was meant to cover the host, most likely. */
static const char *near(const struct subject *s, const char *host)
{
	size_t n = strlen(host);

	for (size_t i = 0; i < s->policy.n_mx; i++) {
		const char *p = s->policy.mx[i];
		size_t k = strlen(p);

		if (p[0] != '*')
			continue;
		if (strcmp(p + 2, host) == 0)
			return arena_printf(arena_of(s), " \"%s\" does not cover %s itself.", p,
					    host);
		if (n > k - 1 && strcmp(p + 1, host + n - (k - 1)) == 0)
			return arena_printf(arena_of(s), " \"%s\" covers one label only.", p);
	}
	return "";
}

static void lint_hosts(const struct subject *s)
{
	const struct dane_decision *d = s->view->decision;
	bool enforce = s->policy.mode == MAIL_STS_ENFORCE, some = false;
	size_t n;

	for (size_t i = 0; i < d->n_hosts; i++)
		some |= mail_sts_allows(&s->policy, d->hosts[i].name);
	for (size_t i = 0; i < d->n_hosts; i++) {
		const char *host = d->hosts[i].name;

		if (mail_sts_allows(&s->policy, host))
			continue;
		check_add(s->view->tree, s->parent,
			  enforce ? CHECK_STS_FORBIDS : CHECK_STS_WOULD_FORBID, host, "host", host,
			  "patterns", patterns(s, false, &n), "near", near(s, host), "rest",
			  some ? ""
			       : " No other MX host is allowed either, so they delay this mail and "
				 "then return it.",
			  "url", s->url, "owner", s->owner, NULL);
	}
}

static void lint_leftover(const struct subject *s)
{
	size_t n;
	const char *list = patterns(s, true, &n);

	if (n > 0)
		check_add(s->view->tree, s->parent, CHECK_STS_LEFTOVER, s->domain, "patterns", list,
			  "url", s->url, NULL);
}

static enum check_kind kind_of_mode(enum mail_sts_mode mode)
{
	switch (mode) {
	case MAIL_STS_ENFORCE:
		return CHECK_STS_ENFORCE;
	case MAIL_STS_TESTING:
		return CHECK_STS_TESTING;
	case MAIL_STS_NONE:
		break;
	}
	return CHECK_STS_NONE;
}

static void lint_policy(const struct subject *s)
{
	const char *age = arena_printf(arena_of(s), "%u", s->policy.max_age);
	size_t n;

	check_add(s->view->tree, s->parent, kind_of_mode(s->policy.mode), s->domain, "patterns",
		  patterns(s, false, &n), "age", age, "url", s->url, "owner", s->owner, NULL);
	if (s->policy.repeated != NULL)
		check_add(s->view->tree, s->parent, CHECK_STS_REPEATED, s->domain, "field",
			  s->policy.repeated, "url", s->url, NULL);
	if (s->policy.mode == MAIL_STS_NONE)
		return;
	if (s->policy.max_age < AGE_SHORT)
		check_add(s->view->tree, s->parent, CHECK_STS_SHORT_LIVED, s->domain, "age", age,
			  "url", s->url, NULL);
	lint_hosts(s);
	lint_leftover(s);
}

/* --- the response ----------------------------------------------------------------------------- */

/* "text/plain", whatever parameters follow (section 3.2). */
static bool is_plain(const char *type)
{
	size_t n = strcspn(type, "; \t");

	return span_is_nocase(span_of(type, n), "text/plain");
}

static void lint_body(struct subject *s, const struct check_sts *sts)
{
	const char *type = sts->response.type;
	struct err e;

	if (!is_plain(type))
		check_add(s->view->tree, s->parent, CHECK_STS_NOT_TEXT, s->domain, "url", s->url,
			  "type",
			  type[0] == '\0' ? "no type at all"
					  : arena_printf(arena_of(s), "\"%s\"", type),
			  NULL);
	if (mail_sts_parse(arena_of(s), sts->response.body, &s->policy, &e) < 0)
		check_add(s->view->tree, s->parent, CHECK_STS_UNREADABLE, s->domain, "url", s->url,
			  "why", e.text, NULL);
	else
		lint_policy(s);
}

static void lint_fetched(struct subject *s, const struct check_sts *sts)
{
	struct trouble t;

	if (sts->stage == CHECK_STS_TRIED && sts->response.end == WEB_ANSWERED &&
	    sts->response.status == 200) {
		lint_body(s, sts);
		return;
	}
	t = trouble_of(s, sts);
	check_add(s->view->tree, s->parent, t.kind, s->domain, "url", s->url, "why", t.why, "fix",
		  t.fix, NULL);
}

void check_lint_sts(const struct check_view *v, struct check_finding *parent)
{
	const struct check_extra_answer *x = check_extra_find(v->extra, CHECK_EXTRA_STS, NULL);
	const char *domain = v->request->domain;
	struct subject s = {.view = v, .parent = parent, .domain = domain};
	struct dane_announcement got;

	if (x == NULL || x->answer == NULL)
		return;
	s.owner = x->name;
	s.url = arena_printf(arena_of(&s), "https://mta-sts.%s/.well-known/mta-sts.txt",
			     v->request->next_hop);
	got = dane_sts_read(arena_of(&s), x->answer->records, x->answer->n_records);
	switch (got.what) {
	case DANE_ANNOUNCED_NONE: /* nothing to say: DANE needs none */
		return;
	case DANE_ANNOUNCED_ONE:
		if (mail_sts_is_id(got.value))
			break;
		check_add(v->tree, parent, CHECK_STS_BAD_ID, domain, "name", x->name, "id",
			  got.value, NULL);
		return;
	case DANE_ANNOUNCED_SEVERAL:
		check_add(v->tree, parent, CHECK_STS_SEVERAL, domain, "name", x->name, NULL);
		return;
	case DANE_ANNOUNCED_BROKEN:
		check_add(v->tree, parent, CHECK_STS_BROKEN, domain, "name", x->name, "text",
			  got.text, NULL);
		return;
	}
	check_add(v->tree, parent, CHECK_STS_PRESENT, domain, "name", x->name, "id", got.value,
		  NULL);
	if (v->sts != NULL)
		lint_fetched(&s, v->sts);
}
