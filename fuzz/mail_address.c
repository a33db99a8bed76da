/* Any bytes as an address: what is taken can end no command early, and is taken again the same. */
#include "core/mail/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require_domain(const struct mail_domain *d)
{
	size_t n = strlen(d->text);

	require(n >= 1 && n <= MAIL_DOMAIN_MAX);
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)d->text[i];

		require(c > ' ' && c < 127 && c != '<' && c != '>' && c != '@');
		require(d->kind != MAIL_DOMAIN_NAME || c < 'A' || c > 'Z');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mail_address m, again;
	struct mail_domain d;
	struct arena a = {0};
	struct err e = {0};

	if (mail_address_parse(&a, span_of(data, size), &m, &e) == 0) {
		bool high = false;

		require_domain(&m.domain);
		require(mail_path_is_safe(m.path));
		require(strlen(m.local) <= MAIL_LOCAL_MAX && strlen(m.path) <= MAIL_PATH_MAX);
		for (const char *c = m.path; *c != '\0'; c++)
			high = high || (*c & 0x80) != 0;
		require(high == m.smtputf8);
		require(mail_address_parse(&a, span_text(m.path), &again, &e) == 0);
		require(strcmp(m.path, again.path) == 0);
	} else {
		require(e.text[0] != '\0');
	}
	if (mail_domain_parse(&a, span_of(data, size), &d, &e) == 0) {
		struct mail_domain same;

		require_domain(&d);
		require(mail_domain_parse(&a, span_text(d.text), &same, &e) == 0);
		require(strcmp(d.text, same.text) == 0 && strcmp(d.host, same.host) == 0);
	}
	arena_done(&a);
	return 0;
}
