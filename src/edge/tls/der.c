#include "edge/tls/der.h"

#include <limits.h>

#include "edge/tls/internal.h"

/* A certificate of whose key nothing is known can match nothing: OpenSSL takes none either. */
static bool is_certificate(struct span der)
{
	const uint8_t *p = der.p;
	X509 *x = d2i_X509(NULL, &p, (long)der.n);
	bool whole = x != NULL && p == der.p + der.n && X509_get0_pubkey(x) != NULL;

	X509_free(x);
	return whole;
}

static bool is_public_key(struct span der)
{
	const uint8_t *p = der.p;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)der.n);
	bool whole = key != NULL && p == der.p + der.n;

	EVP_PKEY_free(key);
	return whole;
}

bool tls_der_is_whole(uint8_t selector, struct span der)
{
	bool whole = false;

	tls_init();
	if (der.n == 0 || der.n > INT_MAX)
		return false;
	if (selector == DANE_SELECTOR_CERT)
		whole = is_certificate(der);
	else if (selector == DANE_SELECTOR_SPKI)
		whole = is_public_key(der);
	ERR_clear_error();
	return whole;
}

enum dane_unusable tls_tlsa_usability(const struct dane_tlsa *r)
{
	enum dane_unusable why = dane_tlsa_usability(r);

	if (why != DANE_USABLE || !dane_tlsa_wants_der(r) || tls_der_is_whole(r->selector, r->data))
		return why;
	return r->selector == DANE_SELECTOR_CERT ? DANE_UNUSABLE_NOT_CERTIFICATE
						 : DANE_UNUSABLE_NOT_KEY;
}
