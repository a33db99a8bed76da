/* Any text: refused with a reason, or a policy whose patterns are names and match one host each. */
#include "core/mail/sts.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = {0};
	struct mail_sts p;
	struct err e = {0};
	int got = mail_sts_parse(&a, span_of(data, size), &p, &e);

	if (got == 0) {
		require(p.max_age <= MAIL_STS_AGE_MAX);
		require(p.n_mx > 0 || p.mode == MAIL_STS_NONE);
		for (size_t i = 0; i < p.n_mx; i++) {
			bool wild = p.mx[i][0] == '*';
			const char *name = p.mx[i] + (wild ? 2 : 0);

			require(strlen(name) <= 253 && strchr(name, '*') == NULL);
			require(mail_sts_matches(p.mx[i], name) == !wild);
			require(mail_sts_allows(&p,
						arena_printf(&a, "%s%s", wild ? "x." : "", name)));
		}
	} else {
		require(e.code == got && e.text[0] != '\0');
		require(got == -EINVAL || (got == -EMSGSIZE && size > MAIL_STS_TEXT_MAX));
	}
	arena_done(&a);
	return 0;
}
