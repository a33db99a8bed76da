/* Any RDATA: kept whole, printed, read back to the same octets (F19), judged without a fault. */
#include "core/dane/tlsa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = {0};
	struct dane_tlsa r, again;
	bool usable, aside;

	if (size > 65535)
		return 0;
	r = dane_tlsa_from_wire(span_of(data, size));
	require(span_eq(r.rdata, span_of(data, size)));
	require(r.data.n == (size < 3 ? 0 : size - 3));
	require(dane_tlsa_from_text(&a, dane_tlsa_to_text(&a, &r), &again, NULL) == 0);
	require(span_eq(r.rdata, again.rdata));
	require(dane_tlsa_usability(&r) == dane_tlsa_usability(&again));
	usable = dane_tlsa_usability(&r) == DANE_USABLE;
	require(usable || dane_unusable_to_string(dane_tlsa_usability(&r)) != NULL);
	require(usable || !dane_tlsa_wants_der(&r));
	dane_tlsa_agility(&r, &usable, 1, &aside);
	require(!aside); /* a record alone is never set aside */
	arena_done(&a);
	return 0;
}
