/* --to: what the server said to the recipient, in a session that sent nothing. */
#include "jobs/check/view.h"

void check_inbound(const struct check_view *v, struct check_finding *parent,
		   const struct check_probe *p, const char *subject)
{
	const char *reply = p->rehearsal.answer.code != 0 ? p->rehearsal.answer.text
							  : smtp_end_to_string(p->report.smtp.end);
	enum check_kind kind = CHECK_INBOUND_DEFERRED;

	switch (p->rehearsal.fate) {
	case SMTP_FATE_OPEN: /* it never came to that; the session's own finding says why */
		return;
	case SMTP_FATE_ACCEPTED:
		kind = CHECK_INBOUND_ACCEPTED;
		break;
	case SMTP_FATE_FAILED:
		kind = CHECK_INBOUND_REFUSED;
		break;
	case SMTP_FATE_DEFERRED:
	case SMTP_FATE_DELIVERED:
		break;
	}
	check_add(v->tree, parent, kind, subject, "to", v->options->to->path, "reply", reply,
		  "stage", smtp_stage_to_string(p->rehearsal.stage), "domain", v->request->domain,
		  NULL);
}
