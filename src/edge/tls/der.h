/*
 * The question that core/dane cannot answer: is the data of a matching-type-0 record one
 * certificate, or one public key, that this library can use, with nothing behind it (matrix U9,
 * U10; the same answer as OpenSSL's SSL_dane_tlsa_add)?
 */
#pragma once

#include "core/dane/tlsa.h"

/* `selector`: DANE_SELECTOR_CERT or DANE_SELECTOR_SPKI; false for any other. */
bool tls_der_is_whole(uint8_t selector, struct span der);

/* Section U whole: dane_tlsa_usability, and a look at the DER where that is wanted. */
enum dane_unusable tls_tlsa_usability(const struct dane_tlsa *r);
