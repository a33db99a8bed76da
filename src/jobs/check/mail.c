/* From the decision and the sessions of a mail domain to its tree of findings. */
#include <string.h>

#include "core/dane/name.h"
#include "jobs/check/diagnose.h"
#include "jobs/check/view.h"

static struct arena *arena_of(const struct check_view *v)
{
	return &v->tree->arena;
}

/* --- words ------------------------------------------------------------------------------------ */

static const char *host_list(const struct check_view *v)
{
	const char *list = NULL;

	for (size_t i = 0; i < v->decision->n_hosts; i++)
		list = check_join(v, list,
				  arena_printf(arena_of(v), "%u %s",
					       v->decision->hosts[i].preference,
					       v->decision->hosts[i].name));
	return list != NULL ? list : "none";
}

static const char *address_list(const struct check_view *v, const struct dane_host *h)
{
	const char *list = NULL;

	for (size_t i = 0; i < h->n_addresses; i++)
		list = check_join(v, list, h->addresses[i]);
	return list != NULL ? list : "none";
}

static const char *name_list(const struct check_view *v, const struct dane_host *h)
{
	const char *list = NULL;

	for (size_t i = 0; i < h->n_identifiers; i++)
		list = check_join(v, list, h->identifiers[i]);
	return list != NULL ? list : h->name;
}

/* --- sessions --------------------------------------------------------------------------------- */

static const char *say(const struct check_view *v, const struct check_probe *p)
{
	const struct smtp_report *r = &p->report.smtp;
	const char *text = r->text[0] != '\0' ? r->text : smtp_end_to_string(r->end);

	if (!p->report.connected)
		return p->report.connect_error;
	if (r->starttls_reply.code != 0 && r->end != SMTP_END_HANDSHAKE)
		return arena_printf(arena_of(v), "%s (%s)", text, r->starttls_reply.text);
	if (r->end == SMTP_END_REPLY && r->reply.code != 0)
		return arena_printf(arena_of(v), "%s (%s)", text, r->reply.text);
	return text;
}

static void write_refused_certificate(const struct check_view *v, struct check_finding *parent,
				      const struct check_probe *p, const char *subject)
{
	const char *key = check_key(v, p), *line = check_line(v, p->host, p->chain);
	enum check_kind kind = CHECK_SMTP_UNTRUSTED;

	switch (p->verdict.kind) {
	case TLS_VERDICT_EXPIRED:
		kind = CHECK_SMTP_EXPIRED;
		break;
	case TLS_VERDICT_NAME_MISMATCH:
		kind = CHECK_SMTP_NAME_MISMATCH;
		break;
	case TLS_VERDICT_NOT_YET_VALID:
		kind = CHECK_SMTP_NOT_YET_VALID;
		break;
	case TLS_VERDICT_WEAK:
		kind = CHECK_SMTP_WEAK;
		break;
	case TLS_VERDICT_MISMATCH:
		if (p->chain != NULL) {
			check_add(v->tree, parent, CHECK_SMTP_MISMATCH, subject, "key", key,
				  "cause", check_causes(v, p), "fix", check_mend(v, p), NULL);
			return;
		}
		break;
	case TLS_VERDICT_NONE:
	case TLS_VERDICT_MATCH:
	case TLS_VERDICT_UNTRUSTED:
	case TLS_VERDICT_NO_CERTIFICATE:
	case TLS_VERDICT_UNUSABLE:
		break;
	}
	check_add(v->tree, parent, kind, subject, "key", key, "detail", p->verdict.detail, "names",
		  name_list(v, p->host), "host", p->host->name, "record", line, NULL);
}

static void write_passed(const struct check_view *v, struct check_finding *parent,
			 const struct check_probe *p, const char *subject)
{
	const char *matched = p->verdict.kind == TLS_VERDICT_MATCH
				      ? dane_tlsa_to_text(arena_of(v), &p->verdict.record)
				      : NULL;
	enum check_kind kind = matched == NULL ? CHECK_SMTP_TLS
			       : v->covered    ? CHECK_SMTP_MATCH
					       : CHECK_SMTP_MATCH_INSECURE_MX;

	if (!p->report.tls) {
		check_add(v->tree, parent, CHECK_SMTP_CLEAR, subject, "detail", say(v, p), NULL);
		return;
	}
	check_add(v->tree, parent, kind, subject, "key", check_key(v, p), "version",
		  p->report.tls_version, "cipher", p->report.tls_cipher, "matched", matched, NULL);
}

/* Under `may` trouble with TLS is no failure of policy: mail goes in clear. */
static void write_may(const struct check_view *v, struct check_finding *parent,
		      const struct check_probe *p, const char *subject)
{
	if (p->report.smtp.end == SMTP_END_QUIT)
		write_passed(v, parent, p, subject);
	else if (p->report.smtp.retry_in_clear)
		check_add(v->tree, parent, CHECK_SMTP_CLEAR, subject, "detail", say(v, p), NULL);
	else
		check_add(v->tree, parent, CHECK_SMTP_UNREACHED_WITHOUT_DANE, subject, "detail",
			  say(v, p), "host", p->host->name, NULL);
}

static void write_probe(const struct check_view *v, struct check_finding *parent,
			const struct check_probe *p)
{
	const char *subject = arena_printf(arena_of(v), "%s[%s]", p->host->name, p->address);
	const char *detail = say(v, p), *host = p->host->name;

	if (p->host->level == DANE_LEVEL_MAY) {
		write_may(v, parent, p, subject);
		return;
	}
	if (!p->report.connected) {
		check_add(v->tree, parent, CHECK_SMTP_UNREACHED, subject, "detail", detail, "host",
			  host, NULL);
		return;
	}
	switch (p->report.smtp.end) {
	case SMTP_END_QUIT:
		write_passed(v, parent, p, subject);
		return;
	case SMTP_END_CERTIFICATE:
		write_refused_certificate(v, parent, p, subject);
		return;
	case SMTP_END_STARTTLS_ABSENT:
	case SMTP_END_STARTTLS_REFUSED:
	case SMTP_END_STARTTLS_GARBAGE:
		check_add(v->tree, parent,
			  p->report.smtp.end == SMTP_END_STARTTLS_ABSENT
				  ? CHECK_SMTP_NO_STARTTLS
				  : CHECK_SMTP_STARTTLS_REFUSED,
			  subject, "detail", detail, "host", host, NULL);
		return;
	case SMTP_END_STARTTLS_INJECTED:
	case SMTP_END_HANDSHAKE:
		/* Asked for one kind of key alone, a server without it fails so. */
		if (p->key != TLS_KEY_ANY)
			check_add(v->tree, parent, CHECK_SMTP_NO_KEY_TYPE, subject, "key",
				  tls_key_type_to_string(p->key), "detail", detail, NULL);
		else
			check_add(v->tree, parent, CHECK_SMTP_HANDSHAKE, subject, "detail", detail,
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
	check_add(v->tree, parent, CHECK_SMTP_UNREACHED, subject, "detail", detail, "host", host,
		  NULL);
}

/* --- hosts ------------------------------------------------------------------------------------ */

static bool others_have_addresses(const struct check_view *v, const struct dane_host *h)
{
	for (size_t i = 0; i < v->decision->n_hosts; i++)
		if (&v->decision->hosts[i] != h && v->decision->hosts[i].n_addresses > 0)
			return true;
	return false;
}

static bool others_have_records(const struct check_view *v, const struct dane_host *h)
{
	for (size_t i = 0; i < v->decision->n_hosts; i++)
		if (&v->decision->hosts[i] != h && v->decision->hosts[i].tlsa_base != NULL)
			return true;
	return false;
}

static struct check_finding *
write_addresses(const struct check_view *v, struct check_finding *parent, const struct dane_host *h)
{
	const char *list = address_list(v, h);

	switch (h->address_security) {
	case DANE_SECURE:
		if (h->n_addresses > 0)
			return check_add(v->tree, parent, CHECK_ADDRESS_SECURE, h->name,
					 "addresses", list, NULL);
		break; /* one family failed, the other has none */
	case DANE_INSECURE:
		if (h->level == DANE_LEVEL_UNREACHABLE && h->tlsa_security == DANE_UNASKED &&
		    !h->late)
			return check_add(v->tree, parent, CHECK_ADDRESS_ALIAS_FAILED, h->name,
					 "reason", h->reason, "host", h->name, NULL); /* A15 */
		if (h->n_addresses > 0 && h->tlsa_security != DANE_UNASKED)
			return check_add(v->tree, parent, CHECK_ADDRESS_ALIAS, h->name, "addresses",
					 list, "base", h->name, NULL);
		if (h->n_addresses > 0)
			return check_add(v->tree, parent, CHECK_ADDRESS_INSECURE, h->name,
					 "addresses", list, "reason", h->reason, "host", h->name,
					 NULL);
		break;
	case DANE_BOGUS:
		return check_add(v->tree, parent, CHECK_ADDRESS_BOGUS, h->name, "reason", h->reason,
				 "host", h->name, NULL);
	case DANE_FAILED:
		break;
	case DANE_UNASKED:
		return check_add(v->tree, parent,
				 others_have_addresses(v, h) ? CHECK_ADDRESS_NONE_HERE
							     : CHECK_ADDRESS_NONE,
				 h->name, "reason", h->reason, "host", h->name, NULL);
	}
	return check_add(v->tree, parent, CHECK_ADDRESS_FAILED, h->name, "reason", h->reason,
			 "host", h->name, NULL);
}

/* Not usable as it stands, and often right but for one field. */
static void write_unusable(const struct check_view *v, struct check_finding *parent,
			   const struct dane_host *h, const struct dane_record *r)
{
	const char *owner = check_owner(v, h), *text = dane_tlsa_to_text(arena_of(v), &r->tlsa);
	const char *why = dane_unusable_to_string(r->unusable), *fix = "Take it out.";
	const struct tls_chain *chain = check_chain_of(v, h);
	struct check_diagnosis d = {.cause = CHECK_CAUSE_OTHER_KEY};

	if (chain != NULL)
		d = check_explain(v, &r->tlsa, false, chain);
	if (d.cause != CHECK_CAUSE_OTHER_KEY && d.cause != CHECK_CAUSE_TA_ABSENT &&
	    d.cause != CHECK_CAUSE_MATCHES)
		why = arena_printf(arena_of(v), "%s; %s", why, d.sentence);
	if (d.as != NULL)
		fix = arena_printf(arena_of(v), "Publish %s. IN TLSA %s in place of it.", owner,
				   d.as);
	check_add(v->tree, parent, CHECK_TLSA_RECORD_UNUSABLE, owner, "record", text, "why", why,
		  "fix", fix, NULL);
}

static void write_records(const struct check_view *v, struct check_finding *parent,
			  const struct dane_host *h)
{
	const char *owner = check_owner(v, h);
	enum check_kind kind =
		h->level == DANE_LEVEL_ENCRYPT ? CHECK_TLSA_UNUSABLE : CHECK_TLSA_PRESENT;
	struct check_finding *f =
		check_add(v->tree, parent, kind, owner, "records", check_records(v, h), "owner",
			  owner, "record", check_line(v, h, check_chain_of(v, h)), NULL);

	for (size_t i = 0; i < h->n_records && i < CHECK_SHOWN_MAX; i++)
		if (h->records[i].unusable != DANE_USABLE)
			write_unusable(v, f, h, &h->records[i]);
}

static void write_tlsa(const struct check_view *v, struct check_finding *parent,
		       const struct dane_host *h)
{
	const char *owner = check_owner(v, h);
	struct check_finding *f = parent;

	if (h->tlsa_base != NULL) {
		write_records(v, parent, h);
		return;
	}
	switch (h->tlsa_security) {
	case DANE_SECURE:
		f = check_add(v->tree, parent,
			      others_have_records(v, h) ? CHECK_TLSA_NONE_HERE : CHECK_TLSA_NONE,
			      owner, "reason", h->reason, "record",
			      check_line(v, h, check_chain_of(v, h)), NULL);
		break;
	case DANE_INSECURE:
		f = check_add(v->tree, parent, CHECK_TLSA_INSECURE, owner, "reason", h->reason,
			      "owner", owner, NULL);
		break;
	case DANE_BOGUS:
		check_add(v->tree, parent, CHECK_TLSA_BOGUS, owner, "reason", h->reason, "owner",
			  owner, "host", h->name, NULL);
		break;
	case DANE_FAILED:
		check_add(v->tree, parent, h->late ? CHECK_TLSA_LATE : CHECK_TLSA_FAILED, owner,
			  "reason", h->reason, "owner", owner, "host", h->name, NULL);
		break;
	case DANE_UNASKED:
		break;
	}
	check_lint_missing(v, f, h);
}

static void write_host(const struct check_view *v, struct check_finding *parent,
		       const struct dane_host *h)
{
	struct check_finding *f = write_addresses(v, parent, h);

	if (h->n_addresses == 0)
		return;
	write_tlsa(v, f, h);
	for (size_t i = 0; i < v->n_probes; i++) {
		const struct check_finding *before = f->last;

		if (v->probes[i].host != h || !v->probes[i].done)
			continue;
		write_probe(v, f, &v->probes[i]);
		v->probes[i].finding = before != NULL ? before->next : f->children;
	}
	check_lint_host(v, f, h);
	check_whatif_host(v, f, h);
	check_inbound_host(v, f, h);
}

/* --- the domain ------------------------------------------------------------------------------- */

static const char *why_failed(const struct check_view *v)
{
	return v->decision->detail;
}

static struct check_finding *write_mx(const struct check_view *v)
{
	const char *domain = v->request->domain;
	const struct dane_decision *d = v->decision;
	bool secure = d->mx_security == DANE_SECURE;

	if (d->mx_security == DANE_BOGUS)
		return check_add(v->tree, NULL, CHECK_MX_BOGUS, domain, "why", why_failed(v),
				 "domain", domain, NULL);
	if (d->mx_security == DANE_FAILED)
		return check_add(v->tree, NULL, CHECK_MX_FAILED, domain, "why", why_failed(v),
				 "domain", domain, NULL);
	switch (d->mx_kind) {
	case DANE_MX_UNKNOWN:
		return check_add(v->tree, NULL, CHECK_MX_NXDOMAIN, domain, "domain", domain, NULL);
	case DANE_MX_NULL:
		return check_add(v->tree, NULL, CHECK_MX_NULL, domain, "domain", domain, NULL);
	case DANE_MX_IMPLICIT:
		return check_add(v->tree, NULL,
				 secure ? CHECK_MX_IMPLICIT : CHECK_MX_IMPLICIT_INSECURE, domain,
				 "domain", domain, NULL);
	case DANE_MX_MX:
	case DANE_MX_CONFIGURED:
		break;
	}
	return check_add(v->tree, NULL, secure ? CHECK_MX_SECURE : CHECK_MX_INSECURE, domain,
			 "hosts", host_list(v), "domain", domain, NULL);
}

void check_mail_tree(const struct check_view *v)
{
	const struct dane_decision *d = v->decision;
	struct check_finding *mx = write_mx(v);

	if (d->n_hosts_beyond > 0)
		check_add(v->tree, mx, CHECK_MX_TOO_MANY, v->request->domain, "count",
			  arena_printf(arena_of(v), "%zu", d->n_hosts_beyond), NULL);
	for (size_t i = 0; i < d->n_hosts; i++)
		write_host(v, mx, &d->hosts[i]);
	check_lint_domain(v, mx);
	check_servers_tree(v);
	check_servers_mend(v);
	check_forecast(v);
}
