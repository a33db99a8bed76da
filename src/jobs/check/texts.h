/*
 * The kinds of findings. The list of each area stands in a header of its own, as an X-macro:
 *
 *	X(NAME, id, status, effect, title, detail, fix, postfix, exchange, tlsrpt)
 *
 * so that the table is one, and another language is another set of these lists.
 */
#pragma once

#include "jobs/check/texts_dnssec.h"
#include "jobs/check/texts_mail.h"

enum check_kind {
#define X(name, ...) CHECK_##name,
	CHECK_MAIL_TEXTS(X)
	CHECK_DNSSEC_TEXTS(X)
#undef X
		CHECK_KINDS,
};
