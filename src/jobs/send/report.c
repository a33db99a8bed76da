/* A delivery as JSON: DESIGN of the contract, `deliver`. */
#include "jobs/send/send.h"

static struct js *attempt_json(const struct send_attempt *a)
{
	struct js *v = js_object(), *tls;

	js_set_text(v, "domain", a->domain);
	js_set_text(v, "host", a->host);
	js_set_text(v, "address", a->address);
	js_set_text(v, "level", dane_level_to_string(a->level));
	if (a->tls) {
		tls = js_object();
		js_set_text(tls, "version", a->version);
		js_set_text(tls, "cipher", a->cipher);
		js_set_text(tls, "authenticated", a->authenticated);
		js_set_text(tls, "matched", a->matched);
		js_set(v, "tls", tls);
	} else {
		js_set_null(v, "tls");
	}
	js_set_text(v, "result", send_outcome_to_string(a->outcome));
	js_set_text(v, "status", a->status);
	js_set_text(v, "reply", a->reply);
	js_set_text(v, "tlsrpt", a->tlsrpt);
	js_set_text(v, "detail", a->detail);
	return v;
}

struct js *send_report(const struct send_result *r)
{
	struct js *v = js_object(), *recipients = js_object(), *attempts = js_array();

	js_set_text(v, "result", send_outcome_to_string(r->outcome));
	js_set_text(v, "status", r->status);
	js_set_text(v, "detail", r->detail);
	js_set_text(v, "tlsrpt", r->tlsrpt);
	for (size_t i = 0; i < r->n_recipients; i++) {
		const struct send_recipient *one = &r->recipients[i];
		struct js *to = js_object();

		js_set_text(to, "result", send_outcome_to_string(one->outcome));
		js_set_text(to, "status", one->status);
		js_set_text(to, "reply", one->reply);
		js_set_text(to, "detail", one->detail);
		js_set(recipients, one->address->path, to);
	}
	js_set(v, "recipients", recipients);
	for (size_t i = 0; i < r->n_attempts; i++)
		js_push(attempts, attempt_json(r->attempts[i]));
	js_set(v, "attempts", attempts);
	return v;
}
