/*
 * Notifications about anything: the input is cut at its zero octets into the texts that peers
 * wrote. tests/unit/dsn_judge.h looks on.
 */
#include "../tests/unit/dsn_judge.h"
#include "base/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	RECIPIENTS = 3
};

/* NULL for an empty one. */
static const char *take_text(struct arena *a, struct cursor *c)
{
	size_t n = 0;
	struct span text;

	while (n < cursor_left(c) && c->in.p[c->at + n] != '\0')
		n++;
	text = cursor_take(c, n);
	cursor_u8(c);
	return n == 0 ? NULL : arena_text(a, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(span_of(data, size));
	struct arena a = {0};
	struct mail_dsn_recipient r[RECIPIENTS] = {0};
	struct mail_dsn d = {.id = "0123456789BCDFGH",
			     .hostname = "mx.example",
			     .postmaster = "postmaster@mx.example",
			     .recipients = r};
	uint8_t how = cursor_u8(&c);
	struct buf out;

	d.n_recipients = 1 + how % RECIPIENTS;
	d.now = d.arrived = d.last_attempt = d.retry_until = (usec_t)how << (how % 64);
	d.to = take_text(&a, &c);
	d.envid = take_text(&a, &c);
	d.original_id = take_text(&a, &c);
	if (d.to == NULL)
		d.to = "a@b.example";
	for (size_t i = 0; i < d.n_recipients; i++) {
		r[i].action = (enum mail_dsn_action)(cursor_u8(&c) % 4);
		r[i].path = take_text(&a, &c);
		r[i].orcpt = take_text(&a, &c);
		r[i].status = take_text(&a, &c);
		r[i].reply = take_text(&a, &c);
		r[i].detail = take_text(&a, &c);
		r[i].remote = take_text(&a, &c);
		if (r[i].path == NULL)
			r[i].path = "";
	}
	buf_init(&out, 1 << 20);
	judge_write(&d, span_of(NULL, 0), &out);
	judge_message(&d, buf_span(&out));
	buf_done(&out);
	arena_done(&a);
	return 0;
}
