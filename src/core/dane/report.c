#include "core/dane/report.h"

#include "core/dane/name.h"

static const char *mx_kind_to_string(enum dane_mx_kind k)
{
	switch (k) {
	case DANE_MX_UNKNOWN:
		return NULL;
	case DANE_MX_MX:
		return "mx";
	case DANE_MX_IMPLICIT:
		return "implicit";
	case DANE_MX_NULL:
		return "null";
	case DANE_MX_CONFIGURED:
		return "configured";
	}
	return NULL;
}

/* --- JSON: DESIGN of the contract, `policy` -------------------------------------------------- */

static struct js *record_json(struct arena *a, const struct dane_record *r)
{
	struct js *v = js_object();

	js_set_text(v, "record", dane_tlsa_to_text(a, &r->tlsa));
	js_set_bool(v, "usable", r->unusable == DANE_USABLE);
	js_set_text(v, "why", r->aside ? "digest-agility" : dane_unusable_to_string(r->unusable));
	return v;
}

static struct js *host_json(const struct dane_host *h)
{
	struct arena a = {0};
	struct js *v = js_object(), *addresses = js_array(), *tlsa = js_array();

	js_set_text(v, "host", h->name);
	js_set_int(v, "preference", h->preference);
	for (size_t i = 0; i < h->n_addresses; i++)
		js_push_text(addresses, h->addresses[i]);
	js_set(v, "addresses", addresses);
	js_set_text(v, "address_security", dane_security_to_string(h->address_security));
	js_set_text(v, "tlsa_base", h->tlsa_base);
	js_set_text(v, "tlsa_security",
		    h->tlsa_security == DANE_UNASKED ? NULL
						     : dane_security_to_string(h->tlsa_security));
	for (size_t i = 0; i < h->n_records; i++)
		js_push(tlsa, record_json(&a, &h->records[i]));
	js_set(v, "tlsa", tlsa);
	js_set_text(v, "level", dane_level_to_string(h->level));
	js_set_text(v, "reason", h->reason);
	arena_done(&a);
	return v;
}

struct js *dane_report_policy(const struct dane_decider *d)
{
	const struct dane_decision *r = dane_decider_result(d);
	struct js *v = js_object(), *mx = js_object(), *hosts = js_array();

	require(r != NULL);
	js_set_text(v, "domain", dane_decider_request(d)->domain);
	js_set_text(v, "outcome", dane_outcome_to_string(r->outcome));
	js_set_text(v, "status", r->status);
	js_set_text(v, "detail", r->detail);
	js_set_text(mx, "security", dane_security_to_string(r->mx_security));
	js_set_text(mx, "kind", mx_kind_to_string(r->mx_kind));
	js_set(v, "mx", mx);
	for (size_t i = 0; i < r->n_hosts; i++)
		js_push(hosts, host_json(&r->hosts[i]));
	js_set(v, "hosts", hosts);
	return v;
}

/* --- words ------------------------------------------------------------------------------------ */

static const char *level_in_words(enum dane_level l)
{
	switch (l) {
	case DANE_LEVEL_DANE:
		return "TLS, authenticated by DANE, or no mail";
	case DANE_LEVEL_ENCRYPT:
		return "TLS without a certificate check, or no mail";
	case DANE_LEVEL_MAY:
		return "TLS if offered, else in clear";
	case DANE_LEVEL_UNREACHABLE:
		return "passed over";
	}
	return "";
}

static const char *mx_in_words(const struct dane_decision *r)
{
	switch (r->mx_kind) {
	case DANE_MX_UNKNOWN:
		return "no MX answer";
	case DANE_MX_MX:
		return "MX records";
	case DANE_MX_IMPLICIT:
		return "no MX record: the domain itself is the host";
	case DANE_MX_NULL:
		return "null MX: no mail accepted";
	case DANE_MX_CONFIGURED:
		return "host given, no MX lookup";
	}
	return "";
}

static int explain_host(const struct dane_host *h, struct buf *out)
{
	struct arena a = {0};
	int ret = buf_printf(out, "\n%s (preference %u): %s\n  because %s\n", h->name,
			     h->preference, level_in_words(h->level), h->reason);

	for (size_t i = 0; ret == 0 && i < h->n_addresses; i++)
		ret = buf_printf(out, "  address %s (%s)\n", h->addresses[i],
				 dane_security_to_string(h->address_security));
	for (size_t i = 0; ret == 0 && i < h->n_records; i++) {
		const struct dane_record *r = &h->records[i];

		ret = buf_printf(out, "  TLSA %s: %s\n", dane_tlsa_to_text(&a, &r->tlsa),
				 r->aside ? "set aside, a stronger digest is published"
				 : r->unusable == DANE_USABLE
					 ? "usable"
					 : dane_unusable_to_string(r->unusable));
	}
	for (size_t i = 0; ret == 0 && i < h->n_identifiers; i++)
		ret = buf_printf(out, "  name accepted in a certificate (usage 2): %s\n",
				 h->identifiers[i]);
	arena_done(&a);
	return ret;
}

static int explain_hop(const struct dane_alias *hop, struct buf *out)
{
	bool known = hop->security != DANE_UNASKED;

	return buf_printf(out, ", alias of %s%s%s%s", hop->target, known ? " (" : "",
			  known ? dane_security_to_string(hop->security) : "", known ? ")" : "");
}

static int explain_questions(const struct dane_decider *d, struct buf *out)
{
	int ret = buf_add_text(out, "\nWhat was asked:\n");

	for (size_t i = 0; ret == 0 && i < dane_decider_evidence_count(d); i++) {
		struct dane_evidence e = dane_decider_evidence(d, i);

		if (e.question.ask != DANE_ASK_DNS || e.dns == NULL)
			continue;
		ret = buf_printf(out, "  %s %s: %s", e.question.name,
				 dane_rrtype_to_string(e.question.type),
				 dane_security_to_string(e.dns->security));
		if (ret == 0 && e.dns->why != NULL)
			ret = buf_printf(out, " (%s)", e.dns->why);
		else if (ret == 0 && e.dns->content == DANE_RECORDS)
			ret = buf_printf(out, ", %zu record%s, TTL %u", e.dns->n_records,
					 e.dns->n_records == 1 ? "" : "s", e.dns->ttl);
		else if (ret == 0)
			ret = buf_add_text(out, e.dns->content == DANE_NXDOMAIN
							? ", no such name"
							: ", no such record");
		for (size_t k = 0; ret == 0 && k < e.dns->n_aliases; k++)
			ret = explain_hop(&e.dns->aliases[k], out);
		if (ret == 0)
			ret = buf_add_text(out, "\n");
	}
	return ret;
}

int dane_report_explain(const struct dane_decider *d, struct buf *out)
{
	const struct dane_decision *r = dane_decider_result(d);
	int ret;

	require(r != NULL);
	ret = buf_printf(out, "%s: %s%s%s\n%s\n\nMX lookup: %s (%s)\n",
			 dane_decider_request(d)->domain, dane_outcome_to_string(r->outcome),
			 r->status != NULL ? " " : "", r->status != NULL ? r->status : "",
			 r->detail, mx_in_words(r), dane_security_to_string(r->mx_security));
	for (size_t i = 0; ret == 0 && i < r->n_hosts; i++)
		ret = explain_host(&r->hosts[i], out);
	return ret == 0 ? explain_questions(d, out) : ret;
}
