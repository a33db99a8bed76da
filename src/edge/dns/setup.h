/* A libunbound context as this project wants it. */
#pragma once

#include <unbound.h>

#include "edge/dns/resolver.h"

/*
 * Checks the files, sets everything, starts nothing. `ret_limit`: how many questions the library
 * may have at once. NULL and `e` on error.
 */
struct ub_ctx *dns_setup(const struct dns_config *c, size_t *ret_limit, struct err *e);
