/* The certificate chain that a live mail server presents, for `tlsa make --connect`. */
#pragma once

#include "edge/tls/cert.h"
#include "main/cli/cli.h"

/*
 * `where`: "host", "host:port", "[address]:port". Addresses by the validating resolver, one after
 * the other; EHLO, STARTTLS, handshake, QUIT; nothing is authenticated. 0 and the chain, which the
 * caller frees, or an exit code with its line written.
 */
int cli_fetch_chain(const struct config *c, const char *where, struct tls_chain **ret);
