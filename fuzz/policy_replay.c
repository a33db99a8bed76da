/*
 * Any file as `policy --replay FILE`: refused in words, or a decision whose report steers no
 * terminal, and which, saved again, decides the same.
 */
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "core/dane/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const struct dane_decider *d)
{
	struct buf text;

	buf_init(&text, 64u * 1024 * 1024);
	if (dane_report_explain(d, &text) == 0)
		for (struct span rest = buf_span(&text), one; rest.n > 0;)
			require(text_take_plain(&rest, &one) || span_is(one, "\n"));
	buf_done(&text);
}

static void check_again(const struct dane_decider *d)
{
	struct js *saved = dane_evidence_save(d), *first = dane_report_policy(d), *second;
	struct err e = {0};
	struct dane_decider *again = dane_evidence_replay(saved, &e);
	char *a, *b;

	require(again != NULL);
	second = dane_report_policy(again);
	a = js_line(first);
	b = js_line(second);
	require(strcmp(a, b) == 0);
	free(a);
	free(b);
	dane_decider_free(again);
	js_free(first);
	js_free(second);
	js_free(saved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = {0};
	struct js *saved = js_parse(span_of(data, size), &e);
	struct dane_decider *d;

	if (saved == NULL) {
		require(e.text[0] != '\0');
		return 0;
	}
	d = dane_evidence_replay(saved, &e);
	if (d == NULL) {
		require(e.text[0] != '\0');
	} else {
		check_text(d);
		check_again(d);
	}
	dane_decider_free(d);
	js_free(saved);
	return 0;
}
