/* What the chain debugger finds (daneway dnssec). */
#pragma once

/*
 * X(NAME, id, status, effect, title,
 *   detail, fix, postfix, exchange, tlsrpt)
 */
#define CHECK_DNSSEC_TEXTS(X)                                                                      \
	X(DNSSEC_ANCHOR, "dnssec.anchor", PASS, NONE, "The trust anchor fits the root zone",       \
	  "{detail}", NULL, NULL, NULL, NULL)
