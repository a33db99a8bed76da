/* Any text: refused with a reason, or a record that prints and reads back the same. */
#include "core/dane/tlsa.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = {0};
	struct dane_tlsa r, again;
	struct err e = {0};
	int got = dane_tlsa_from_span(&a, span_of(data, size), &r, &e);

	if (got == 0) {
		const char *text = dane_tlsa_to_text(&a, &r);

		require(r.rdata.n <= 65535);
		require(dane_tlsa_from_text(&a, text, &again, NULL) == 0);
		require(span_eq(r.rdata, again.rdata));
		require(strcmp(text, dane_tlsa_to_text(&a, &again)) == 0);
	} else {
		require(got == -EINVAL && e.code == -EINVAL && e.text[0] != '\0');
	}
	arena_done(&a);
	return 0;
}
