/* --to: what the servers said to the recipient, in sessions that sent nothing. */
#include "jobs/check/view.h"

/* The host's other findings say why TLS was not to be had, or the certificate refused. */
static bool said_elsewhere(const struct check_rehearsal *r)
{
	switch (r->end) {
	case SMTP_END_STARTTLS_ABSENT:
	case SMTP_END_STARTTLS_REFUSED:
	case SMTP_END_STARTTLS_GARBAGE:
	case SMTP_END_STARTTLS_INJECTED:
	case SMTP_END_HANDSHAKE:
	case SMTP_END_CERTIFICATE:
		return true;
	case SMTP_END_NOT_YET:
		return false;
	case SMTP_END_QUIT:
	case SMTP_END_REPLY:
	case SMTP_END_PROTOCOL:
	case SMTP_END_EOF:
	case SMTP_END_IO_ERROR:
	case SMTP_END_TIMEOUT:
	case SMTP_END_DRIVER:
		break;
	}
	return !r->connected;
}

static void write_one(const struct check_view *v, struct check_finding *parent,
		      const struct check_rehearsal *r)
{
	enum check_kind kind = CHECK_INBOUND_DEFERRED;

	switch (r->fate) {
	case SMTP_FATE_ACCEPTED:
		kind = CHECK_INBOUND_ACCEPTED;
		break;
	case SMTP_FATE_FAILED:
		kind = CHECK_INBOUND_REFUSED;
		break;
	case SMTP_FATE_OPEN:
		if (said_elsewhere(r))
			return;
		break;
	case SMTP_FATE_DEFERRED:
	case SMTP_FATE_DELIVERED:
		break;
	}
	check_add(v->tree, parent, kind,
		  arena_printf(&v->tree->arena, "%s[%s]", r->host->name, r->address), "to",
		  v->options->inbound->to->path, "reply", r->text, "stage",
		  smtp_stage_to_string(r->stage), "domain", v->request->domain, NULL);
}

void check_inbound_host(const struct check_view *v, struct check_finding *parent,
			const struct dane_host *h)
{
	for (size_t i = 0; i < check_rehearsals_count(v->rehearsals); i++)
		if (check_rehearsals_at(v->rehearsals, i)->host == h)
			write_one(v, parent, check_rehearsals_at(v->rehearsals, i));
}
