#include "core/smtp/tx.h"

#include <inttypes.h>

static void seal(struct smtp_tx *tx, size_t i, enum smtp_fate fate, enum smtp_reason reason,
		 enum smtp_stage stage, struct smtp_status status)
{
	struct smtp_recipient *r = &tx->recipients[i];

	require(r->fate == SMTP_FATE_OPEN);
	r->fate = fate;
	r->reason = reason;
	r->stage = stage;
	r->status = status;
	tx->n_open--;
	if (r->accepted)
		tx->n_accepted--;
	tx->result.n_delivered += fate == SMTP_FATE_DELIVERED;
	tx->result.n_deferred += fate == SMTP_FATE_DEFERRED;
	tx->result.n_failed += fate == SMTP_FATE_FAILED;
	tx->result.n_accepted += fate == SMTP_FATE_ACCEPTED;
}

static void refuse_all(struct smtp_tx *tx, enum smtp_reason reason, struct smtp_status status)
{
	for (size_t i = 0; i < tx->result.n_recipients; i++)
		if (tx->recipients[i].fate == SMTP_FATE_OPEN)
			seal(tx, i, SMTP_FATE_FAILED, reason, SMTP_STAGE_MAIL, status);
}

/* What can be known before a word is said (docs/decisions/0001). */
static void decide_by_offer(struct smtp_tx *tx, const struct smtp_mail *mail,
			    const struct smtp_caps *caps)
{
	if (caps->size_limit > 0 && mail->size > caps->size_limit)
		refuse_all(tx, SMTP_REASON_TOO_LARGE, (struct smtp_status){5, 3, 4});
	if (!caps->smtputf8 && (mail->smtputf8 || mail->from->smtputf8))
		refuse_all(tx, SMTP_REASON_NO_SMTPUTF8, (struct smtp_status){5, 6, 7});
	for (size_t i = 0; i < tx->result.n_recipients && !caps->smtputf8; i++)
		if (tx->recipients[i].smtputf8 && tx->recipients[i].fate == SMTP_FATE_OPEN)
			seal(tx, i, SMTP_FATE_FAILED, SMTP_REASON_NO_SMTPUTF8, SMTP_STAGE_RCPT,
			     (struct smtp_status){5, 6, 7});
	if (mail->eightbit && !caps->eightbit)
		refuse_all(tx, SMTP_REASON_NO_8BITMIME, (struct smtp_status){5, 6, 3});
}

/* RFC 3461 section 4.3, 4.4. */
static const char *ret_and_envid(struct smtp_tx *tx, const struct smtp_mail *mail)
{
	const char *ret = mail->ret == SMTP_RET_FULL   ? " RET=FULL"
			  : mail->ret == SMTP_RET_HDRS ? " RET=HDRS"
						       : "";

	return mail->envid == NULL ? ret
				   : arena_printf(&tx->arena, "%s ENVID=%s", ret, mail->envid);
}

static const char *parameters_of(struct smtp_tx *tx, const struct smtp_mail *mail,
				 const struct smtp_caps *caps)
{
	bool smtputf8 = mail->smtputf8 || mail->from->smtputf8;
	const char *size = "";

	for (size_t i = 0; i < tx->result.n_recipients; i++)
		if (tx->recipients[i].fate == SMTP_FATE_OPEN && tx->recipients[i].smtputf8)
			smtputf8 = true;
	if (caps->size)
		size = arena_printf(&tx->arena, " SIZE=%" PRIu64, mail->size);
	return arena_printf(&tx->arena, "%s%s%s%s", size, mail->eightbit ? " BODY=8BITMIME" : "",
			    smtputf8 ? " SMTPUTF8" : "", caps->dsn ? ret_and_envid(tx, mail) : "");
}

/* RFC 3461 section 4.1, 4.2. */
static const char *notify_and_orcpt(struct smtp_tx *tx, const struct smtp_dsn *d)
{
	static const char *const names[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
	const char *text = "", *before = " NOTIFY=";

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!(d->notify & 1u << i))
			continue;
		text = arena_printf(&tx->arena, "%s%s%s", text, before, names[i]);
		before = ",";
	}
	return d->orcpt == NULL ? text : arena_printf(&tx->arena, "%s ORCPT=%s", text, d->orcpt);
}

struct smtp_tx *smtp_tx_new(const struct smtp_mail *mail, const struct smtp_caps *caps)
{
	struct smtp_tx *tx = xcalloc(1, sizeof(*tx));

	require(mail->n_to <= SMTP_RECIPIENTS_MAX);
	tx->from = arena_strdup(&tx->arena, mail->from->path);
	tx->size = mail->size;
	tx->chunking = caps->chunking;
	tx->rehearsal = mail->rehearsal;
	tx->recipients = arena_calloc(&tx->arena, mail->n_to, sizeof(*tx->recipients));
	tx->n_open = tx->result.n_recipients = mail->n_to;
	tx->result.recipients = tx->recipients;
	for (size_t i = 0; i < mail->n_to; i++) {
		tx->recipients[i].path = arena_strdup(&tx->arena, mail->to[i].path);
		tx->recipients[i].smtputf8 = mail->to[i].smtputf8;
		tx->recipients[i].answer.text = "";
	}
	decide_by_offer(tx, mail, caps);
	tx->parameters = parameters_of(tx, mail, caps);
	tx->result.dsn = caps->dsn && mail->dsn != NULL;
	if (tx->result.dsn) {
		tx->rcpt_parameters =
			arena_calloc(&tx->arena, mail->n_to, sizeof(*tx->rcpt_parameters));
		for (size_t i = 0; i < mail->n_to; i++)
			tx->rcpt_parameters[i] = notify_and_orcpt(tx, &mail->dsn[i]);
	}
	smtp_body_init(&tx->body, mail->size, !tx->chunking);
	return tx;
}

struct smtp_tx *smtp_tx_free(struct smtp_tx *tx)
{
	if (tx != NULL)
		arena_done(&tx->arena);
	free(tx);
	return NULL;
}

/* A copy that lives as long as the transaction; many recipients get the same reply. */
static const char *keep_text(struct smtp_tx *tx, size_t i, const char *text)
{
	if (i > 0 && strcmp(tx->recipients[i - 1].answer.text, text) == 0)
		return tx->recipients[i - 1].answer.text;
	return arena_strdup(&tx->arena, text);
}

void smtp_tx_settle(struct smtp_tx *tx, size_t i, enum smtp_stage stage,
		    const struct smtp_answer *answer)
{
	struct smtp_recipient *r = &tx->recipients[i];
	struct smtp_status status = answer->status;
	unsigned class = answer->code / 100;

	if (r->fate != SMTP_FATE_OPEN)
		return;
	if (stage == SMTP_STAGE_RCPT && answer->code == 552)
		class = 4;
	if (status.class == 0)
		status = (struct smtp_status){(uint16_t) class, 0, 0};
	status.class = (uint16_t) class;
	r->answer = *answer;
	r->answer.text = keep_text(tx, i, answer->text);
	seal(tx, i,
	     class == 2   ? tx->rehearsal ? SMTP_FATE_ACCEPTED : SMTP_FATE_DELIVERED
	     : class == 5 ? SMTP_FATE_FAILED
			  : SMTP_FATE_DEFERRED,
	     SMTP_REASON_REPLY, stage, status);
}

void smtp_tx_settle_all(struct smtp_tx *tx, enum smtp_stage stage, const struct smtp_answer *answer)
{
	for (size_t i = 0; i < tx->result.n_recipients; i++)
		smtp_tx_settle(tx, i, stage, answer);
}

void smtp_tx_lose(struct smtp_tx *tx, enum smtp_stage stage, struct smtp_status status)
{
	for (size_t i = 0; i < tx->result.n_recipients; i++)
		if (tx->recipients[i].fate == SMTP_FATE_OPEN)
			seal(tx, i, SMTP_FATE_DEFERRED, SMTP_REASON_SESSION, stage, status);
}

void smtp_tx_accept(struct smtp_tx *tx, size_t i, const struct smtp_answer *answer)
{
	struct smtp_recipient *r = &tx->recipients[i];

	if (r->fate != SMTP_FATE_OPEN) {
		tx->n_stray++;
		return;
	}
	r->accepted = true;
	tx->n_accepted++;
	if (tx->rehearsal)
		smtp_tx_settle(tx, i, SMTP_STAGE_RCPT, answer);
}

const char *smtp_stage_to_string(enum smtp_stage s)
{
	static const char *const names[] = {
		[SMTP_STAGE_CONNECT] = "connect",
		[SMTP_STAGE_GREETING] = "greeting",
		[SMTP_STAGE_EHLO] = "EHLO",
		[SMTP_STAGE_STARTTLS] = "STARTTLS",
		[SMTP_STAGE_HANDSHAKE] = "TLS handshake",
		[SMTP_STAGE_VERDICT] = "certificate",
		[SMTP_STAGE_IDLE] = "idle",
		[SMTP_STAGE_RSET] = "RSET",
		[SMTP_STAGE_MAIL] = "MAIL",
		[SMTP_STAGE_RCPT] = "RCPT",
		[SMTP_STAGE_DATA] = "DATA",
		[SMTP_STAGE_BODY] = "message",
		[SMTP_STAGE_FINAL] = "end of message",
		[SMTP_STAGE_QUIT] = "QUIT",
	};

	require((size_t)s < ARRAY_SIZE(names));
	return names[s];
}
