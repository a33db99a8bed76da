/* From the decision and the sessions of a mail domain to its tree of findings. */
#include <string.h>

#include "core/dane/name.h"
#include "jobs/check/diagnose.h"
#include "jobs/check/run.h"

struct writer {
	struct check_tree *tree;
	struct arena *a;
	const struct dane_request *request;
	const struct dane_decision *decision;
	const struct check_probe *probes;
	size_t n_probes;
	bool covered; /* the MX answer is secure: what is wrong with a host is wrong for senders */
};

/* --- words ------------------------------------------------------------------------------------ */

static const char *join(struct arena *a, const char *list, const char *item)
{
	return list == NULL ? item : arena_printf(a, "%s, %s", list, item);
}

static const char *host_list(const struct writer *w)
{
	const char *list = NULL;

	for (size_t i = 0; i < w->decision->n_hosts; i++)
		list = join(w->a, list,
			    arena_printf(w->a, "%u %s", w->decision->hosts[i].preference,
					 w->decision->hosts[i].name));
	return list != NULL ? list : "none";
}

static const char *address_list(const struct writer *w, const struct dane_host *h)
{
	const char *list = NULL;

	for (size_t i = 0; i < h->n_addresses; i++)
		list = join(w->a, list, h->addresses[i]);
	return list != NULL ? list : "none";
}

static const char *record_list(const struct writer *w, const struct dane_host *h)
{
	const char *list = NULL;

	for (size_t i = 0; i < h->n_records; i++)
		list = join(w->a, list, dane_tlsa_to_text(w->a, &h->records[i].tlsa));
	return list != NULL ? list : "none";
}

static const char *name_list(const struct writer *w, const struct dane_host *h)
{
	const char *list = NULL;

	for (size_t i = 0; i < h->n_identifiers; i++)
		list = join(w->a, list, h->identifiers[i]);
	return list != NULL ? list : h->name;
}

static const char *owner_of(const struct writer *w, const struct dane_host *h)
{
	const char *owner = dane_name_tlsa_owner(
		w->a, h->tlsa_base != NULL ? h->tlsa_base : h->name, w->request->port);

	return owner != NULL ? owner : h->name;
}

/* The zone-file line that this chain would need: 3 1 1 of the server's own key. */
static const char *line_for(const struct writer *w, const struct dane_host *h,
			    const struct tls_chain *chain)
{
	struct dane_tlsa r;

	if (chain == NULL || tls_chain_tlsa(chain, 0, DANE_USAGE_DANE_EE, DANE_SELECTOR_SPKI,
					    DANE_MATCHING_SHA256, w->a, &r, NULL) < 0)
		return arena_printf(w->a, "a TLSA record \"3 1 1 ...\" at %s. that fits its key",
				    owner_of(w, h));
	return arena_printf(w->a, "%s. IN TLSA %s", owner_of(w, h), dane_tlsa_to_text(w->a, &r));
}

/* Some chain that this host showed, or NULL. */
static const struct tls_chain *chain_of(const struct writer *w, const struct dane_host *h)
{
	for (size_t i = 0; i < w->n_probes; i++)
		if (w->probes[i].host == h && w->probes[i].chain != NULL)
			return w->probes[i].chain;
	return NULL;
}

/* --- sessions --------------------------------------------------------------------------------- */

static const char *key_of(const struct writer *w, const struct check_probe *p)
{
	if (p->chain != NULL)
		return tls_chain_facts(p->chain, 0, w->a).key;
	return tls_key_type_to_string(p->key);
}

static const char *say(const struct writer *w, const struct check_probe *p)
{
	const struct smtp_report *r = &p->report.smtp;
	const char *text = r->text[0] != '\0' ? r->text : smtp_end_to_string(r->end);

	if (!p->report.connected)
		return p->report.connect_error;
	if (r->starttls_reply.code != 0 && r->end != SMTP_END_HANDSHAKE)
		return arena_printf(w->a, "%s (%s)", text, r->starttls_reply.text);
	if (r->end == SMTP_END_REPLY && r->reply.code != 0)
		return arena_printf(w->a, "%s (%s)", text, r->reply.text);
	return text;
}

/* Each record that should have matched, with the reason why it does not. */
static const char *causes(const struct writer *w, const struct check_probe *p)
{
	const char *list = NULL;

	for (size_t i = 0; i < p->host->n_records; i++) {
		const struct dane_record *r = &p->host->records[i];
		struct check_diagnosis d;

		if (r->unusable != DANE_USABLE && r->unusable != DANE_UNUSABLE_PKIX_USAGE)
			continue;
		d = check_diagnose(&r->tlsa, r->aside, p->chain, w->a);
		list = arena_printf(w->a, "%s%s%s: %s", list != NULL ? list : "",
				    list != NULL ? "; " : "", dane_tlsa_to_text(w->a, &r->tlsa),
				    d.sentence);
	}
	return list != NULL ? arena_printf(w->a, "%s.", list) : p->verdict.detail;
}

static const char *mend_of_mismatch(const struct writer *w, const struct check_probe *p)
{
	for (size_t i = 0; i < p->host->n_records; i++) {
		struct check_diagnosis d = check_diagnose(
			&p->host->records[i].tlsa, p->host->records[i].aside, p->chain, w->a);

		if (d.as != NULL && d.cause != CHECK_CAUSE_MATCHES)
			return arena_printf(w->a, "Publish %s. IN TLSA %s (or, better, %s)",
					    owner_of(w, p->host), d.as,
					    line_for(w, p->host, p->chain));
	}
	return arena_printf(w->a, "Publish %s", line_for(w, p->host, p->chain));
}

static void write_refused_certificate(struct writer *w, struct check_finding *parent,
				      const struct check_probe *p, const char *subject)
{
	const char *key = key_of(w, p), *line = line_for(w, p->host, p->chain);

	switch (p->verdict.kind) {
	case TLS_VERDICT_EXPIRED:
		check_add(w->tree, parent, CHECK_SMTP_EXPIRED, subject, "key", key, "detail",
			  p->verdict.detail, "record", line, NULL);
		return;
	case TLS_VERDICT_NAME_MISMATCH:
		check_add(w->tree, parent, CHECK_SMTP_NAME_MISMATCH, subject, "key", key, "detail",
			  p->verdict.detail, "names", name_list(w, p->host), "host", p->host->name,
			  "record", line, NULL);
		return;
	case TLS_VERDICT_MISMATCH:
		check_add(w->tree, parent, CHECK_SMTP_MISMATCH, subject, "key", key, "cause",
			  p->chain != NULL ? causes(w, p) : p->verdict.detail, "fix",
			  p->chain != NULL ? mend_of_mismatch(w, p) : line, NULL);
		return;
	case TLS_VERDICT_NONE:
	case TLS_VERDICT_MATCH:
	case TLS_VERDICT_NOT_YET_VALID:
	case TLS_VERDICT_UNTRUSTED:
	case TLS_VERDICT_WEAK:
	case TLS_VERDICT_NO_CERTIFICATE:
	case TLS_VERDICT_UNUSABLE:
		break;
	}
	check_add(w->tree, parent, CHECK_SMTP_UNTRUSTED, subject, "key", key, "detail",
		  p->verdict.detail, "record", line, NULL);
}

static void write_passed(struct writer *w, struct check_finding *parent,
			 const struct check_probe *p, const char *subject)
{
	const char *matched = p->verdict.kind == TLS_VERDICT_MATCH
				      ? dane_tlsa_to_text(w->a, &p->verdict.record)
				      : NULL;
	enum check_kind kind = matched == NULL ? CHECK_SMTP_TLS
			       : w->covered    ? CHECK_SMTP_MATCH
					       : CHECK_SMTP_MATCH_INSECURE_MX;

	if (!p->report.tls) {
		check_add(w->tree, parent, CHECK_SMTP_CLEAR, subject, "detail", say(w, p), NULL);
		return;
	}
	check_add(w->tree, parent, kind, subject, "key", key_of(w, p), "version",
		  p->report.tls_version, "cipher", p->report.tls_cipher, "matched", matched, NULL);
}

/* Under `may` trouble with TLS is no failure of policy: mail goes in clear. */
static void write_may(struct writer *w, struct check_finding *parent, const struct check_probe *p,
		      const char *subject)
{
	if (p->report.smtp.end == SMTP_END_QUIT)
		write_passed(w, parent, p, subject);
	else if (p->report.smtp.retry_in_clear)
		check_add(w->tree, parent, CHECK_SMTP_CLEAR, subject, "detail", say(w, p), NULL);
	else
		check_add(w->tree, parent, CHECK_SMTP_UNREACHED_WITHOUT_DANE, subject, "detail",
			  say(w, p), "host", p->host->name, NULL);
}

static void write_probe(struct writer *w, struct check_finding *parent, const struct check_probe *p)
{
	const char *subject = arena_printf(w->a, "%s[%s]", p->host->name, p->address);
	const char *detail = say(w, p), *host = p->host->name;

	if (p->host->level == DANE_LEVEL_MAY) {
		write_may(w, parent, p, subject);
		return;
	}
	if (!p->report.connected) {
		check_add(w->tree, parent, CHECK_SMTP_UNREACHED, subject, "detail", detail, "host",
			  host, NULL);
		return;
	}
	switch (p->report.smtp.end) {
	case SMTP_END_QUIT:
		write_passed(w, parent, p, subject);
		return;
	case SMTP_END_CERTIFICATE:
		write_refused_certificate(w, parent, p, subject);
		return;
	case SMTP_END_STARTTLS_ABSENT:
	case SMTP_END_STARTTLS_REFUSED:
	case SMTP_END_STARTTLS_GARBAGE:
		check_add(w->tree, parent, CHECK_SMTP_NO_STARTTLS, subject, "detail", detail, NULL);
		return;
	case SMTP_END_STARTTLS_INJECTED:
	case SMTP_END_HANDSHAKE:
		/* Asked for one kind of key alone, a server without it fails so. */
		if (p->key != TLS_KEY_ANY)
			check_add(w->tree, parent, CHECK_SMTP_NO_KEY_TYPE, subject, "key",
				  tls_key_type_to_string(p->key), "detail", detail, NULL);
		else
			check_add(w->tree, parent, CHECK_SMTP_HANDSHAKE, subject, "detail", detail,
				  NULL);
		return;
	case SMTP_END_NOT_YET:
	case SMTP_END_REPLY:
	case SMTP_END_PROTOCOL:
	case SMTP_END_EOF:
	case SMTP_END_IO_ERROR:
	case SMTP_END_TIMEOUT:
	case SMTP_END_DRIVER:
		break;
	}
	check_add(w->tree, parent, CHECK_SMTP_UNREACHED, subject, "detail", detail, "host", host,
		  NULL);
}

/* --- hosts ------------------------------------------------------------------------------------ */

static struct check_finding *write_addresses(struct writer *w, struct check_finding *parent,
					     const struct dane_host *h)
{
	const char *list = address_list(w, h);

	switch (h->address_security) {
	case DANE_SECURE:
		if (h->n_addresses > 0)
			return check_add(w->tree, parent, CHECK_ADDRESS_SECURE, h->name,
					 "addresses", list, NULL);
		break; /* one family failed, the other has none */
	case DANE_INSECURE:
		if (h->n_addresses > 0 && h->tlsa_security != DANE_UNASKED)
			return check_add(w->tree, parent, CHECK_ADDRESS_ALIAS, h->name, "addresses",
					 list, "base", h->name, NULL);
		if (h->n_addresses > 0)
			return check_add(w->tree, parent, CHECK_ADDRESS_INSECURE, h->name,
					 "addresses", list, "reason", h->reason, "host", h->name,
					 NULL);
		break;
	case DANE_BOGUS:
		return check_add(w->tree, parent, CHECK_ADDRESS_BOGUS, h->name, "reason", h->reason,
				 "host", h->name, NULL);
	case DANE_FAILED:
		break;
	case DANE_UNASKED:
		return check_add(w->tree, parent, CHECK_ADDRESS_NONE, h->name, "reason", h->reason,
				 "host", h->name, NULL);
	}
	return check_add(w->tree, parent, CHECK_ADDRESS_FAILED, h->name, "reason", h->reason,
			 "host", h->name, NULL);
}

static void write_records(struct writer *w, struct check_finding *parent, const struct dane_host *h)
{
	const char *owner = owner_of(w, h);
	enum check_kind kind =
		h->level == DANE_LEVEL_ENCRYPT ? CHECK_TLSA_UNUSABLE : CHECK_TLSA_PRESENT;
	struct check_finding *f =
		check_add(w->tree, parent, kind, owner, "records", record_list(w, h), "owner",
			  owner, "record", line_for(w, h, chain_of(w, h)), NULL);

	for (size_t i = 0; i < h->n_records; i++)
		if (h->records[i].unusable != DANE_USABLE)
			check_add(w->tree, f, CHECK_TLSA_RECORD_UNUSABLE, owner, "record",
				  dane_tlsa_to_text(w->a, &h->records[i].tlsa), "why",
				  dane_unusable_to_string(h->records[i].unusable), NULL);
}

static void write_tlsa(struct writer *w, struct check_finding *parent, const struct dane_host *h)
{
	const char *owner = owner_of(w, h);

	if (h->tlsa_base != NULL) {
		write_records(w, parent, h);
		return;
	}
	switch (h->tlsa_security) {
	case DANE_SECURE:
		check_add(w->tree, parent, CHECK_TLSA_NONE, owner, "reason", h->reason, "record",
			  line_for(w, h, chain_of(w, h)), NULL);
		break;
	case DANE_INSECURE:
		check_add(w->tree, parent, CHECK_TLSA_INSECURE, owner, "reason", h->reason, "owner",
			  owner, NULL);
		break;
	case DANE_BOGUS:
		check_add(w->tree, parent, CHECK_TLSA_BOGUS, owner, "reason", h->reason, "owner",
			  owner, "host", h->name, NULL);
		break;
	case DANE_FAILED:
		check_add(w->tree, parent, CHECK_TLSA_FAILED, owner, "reason", h->reason, "owner",
			  owner, "host", h->name, NULL);
		break;
	case DANE_UNASKED:
		break;
	}
}

static void write_host(struct writer *w, struct check_finding *parent, const struct dane_host *h)
{
	struct check_finding *f = write_addresses(w, parent, h);

	if (h->n_addresses == 0)
		return;
	write_tlsa(w, f, h);
	for (size_t i = 0; i < w->n_probes; i++)
		if (w->probes[i].host == h && w->probes[i].done)
			write_probe(w, f, &w->probes[i]);
}

/* --- the domain ------------------------------------------------------------------------------- */

static const char *why_failed(const struct writer *w)
{
	return w->decision->detail;
}

static struct check_finding *write_mx(struct writer *w)
{
	const char *domain = w->request->domain;
	const struct dane_decision *d = w->decision;
	bool secure = d->mx_security == DANE_SECURE;

	if (d->mx_security == DANE_BOGUS)
		return check_add(w->tree, NULL, CHECK_MX_BOGUS, domain, "why", why_failed(w),
				 "domain", domain, NULL);
	if (d->mx_security == DANE_FAILED)
		return check_add(w->tree, NULL, CHECK_MX_FAILED, domain, "why", why_failed(w),
				 "domain", domain, NULL);
	switch (d->mx_kind) {
	case DANE_MX_UNKNOWN:
		return check_add(w->tree, NULL, CHECK_MX_NXDOMAIN, domain, "domain", domain, NULL);
	case DANE_MX_NULL:
		return check_add(w->tree, NULL, CHECK_MX_NULL, domain, "domain", domain, NULL);
	case DANE_MX_IMPLICIT:
		return check_add(w->tree, NULL,
				 secure ? CHECK_MX_IMPLICIT : CHECK_MX_IMPLICIT_INSECURE, domain,
				 "domain", domain, NULL);
	case DANE_MX_MX:
	case DANE_MX_CONFIGURED:
		break;
	}
	return check_add(w->tree, NULL, secure ? CHECK_MX_SECURE : CHECK_MX_INSECURE, domain,
			 "hosts", host_list(w), "domain", domain, NULL);
}

void check_mail_tree(struct check_tree *t, const struct dane_decider *d,
		     const struct check_probe *probes, size_t n)
{
	struct writer w = {.tree = t,
			   .a = &t->arena,
			   .request = dane_decider_request(d),
			   .decision = dane_decider_result(d),
			   .probes = probes,
			   .n_probes = n};
	struct check_finding *mx;

	w.covered = w.decision->mx_security == DANE_SECURE;
	mx = write_mx(&w);
	if (w.decision->n_hosts_beyond > 0)
		check_add(t, mx, CHECK_MX_TOO_MANY, w.request->domain, "count",
			  arena_printf(w.a, "%zu", w.decision->n_hosts_beyond), NULL);
	for (size_t i = 0; i < w.decision->n_hosts; i++)
		write_host(&w, mx, &w.decision->hosts[i]);
}
