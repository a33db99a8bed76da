/*
 * Any TXT records as an announcement, each behind its length: what is read lies within the text,
 * and the value is without what ends a field.
 */
#include <string.h>

#include "base/cursor.h"
#include "core/dane/tlsrpt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	RECORDS_MAX = 64,
};

static void check(const struct dane_announcement *a, const char *version)
{
	require((a->text == NULL) == (a->what == DANE_ANNOUNCED_NONE));
	require((a->value != NULL) == (a->what == DANE_ANNOUNCED_ONE));
	if (a->text != NULL) {
		require(strlen(a->text) <= DANE_TXT_MAX);
		require(strncmp(a->text, version, strlen(version)) == 0);
	}
	if (a->value != NULL) {
		require(*a->value != '\0' && strchr(" \t", *a->value) == NULL);
		require(strchr(a->value, ';') == NULL && strstr(a->text, a->value) != NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor in = cursor_of(span_of(data, size));
	struct span records[RECORDS_MAX];
	struct dane_announcement found;
	struct arena a = {0};
	size_t n = 0;

	while (n < RECORDS_MAX && cursor_left(&in) > 2) {
		size_t length = cursor_u16(&in);

		records[n++] =
			cursor_take(&in, length < cursor_left(&in) ? length : cursor_left(&in));
	}
	found = dane_tlsrpt_read(&a, records, n);
	check(&found, "v=TLSRPTv1");
	found = dane_sts_read(&a, records, n);
	check(&found, "v=STSv1");
	arena_done(&a);
	return 0;
}
