#include "test.h"

#include "core/dane/report.h"

/* Answers the first `n` questions as a signed domain would, the rest is late; evidence too. */
static void late_from(size_t n, const char *status)
{
	struct dane_request r = {.domain = "d", .next_hop = "d", .port = 25};
	struct dane_decider *d = dane_decider_new(&r), *again;
	const struct dane_question *q;
	struct js *saved;

	for (size_t i = 0; (q = dane_decider_question(d)) != NULL; i++) {
		struct dane_answer answer = {.security = DANE_FAILED, .why = "test", .late = true};
		struct span record;

		if (i < n) {
			record = q->type == DANE_RR_MX  ? span_of("\0\12\2mx\1d", 8)
				 : q->type == DANE_RR_A ? span_of("\1\2\3\4", 4)
							: span_of(NULL, 0);
			answer = (struct dane_answer){.security = DANE_SECURE,
						      .content = record.n > 0 ? DANE_RECORDS
									      : DANE_NODATA,
						      .records = &record,
						      .n_records = record.n > 0};
		}
		assert_int_equal(dane_decider_answer(d, q->id, &answer), 0);
	}
	saved = dane_evidence_save(d);
	again = dane_evidence_replay(saved, NULL);
	assert_non_null(again);
	for (int i = 0; i < 2; i++) {
		const struct dane_decision *out = dane_decider_result(i == 0 ? d : again);

		assert_int_equal(out->outcome, DANE_OUTCOME_DEFER);
		assert_string_equal(out->status, status);
		assert_null(out->tlsrpt);
	}
	js_free(saved);
	dane_decider_free(d);
	dane_decider_free(again);
}

/* Time that is over is the caller's: no word of DNSSEC, no report, and never "no records". */
static void late_is_no_failure_of_the_domain(void **state)
{
	(void)state;
	late_from(0, "4.4.2"); /* MX */
	late_from(1, "4.4.2"); /* addresses */
	late_from(2, "4.4.2");
	late_from(3, "4.4.2"); /* TLSA */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(late_is_no_failure_of_the_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
