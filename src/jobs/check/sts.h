/*
 * Fetches a domain's MTA-STS policy (RFC 8461 section 3.3) as a sender would that has none in its
 * cache: the addresses of mta-sts.DOMAIN from our own resolver, then HTTPS. What comes of it is
 * evidence, kept as it came: lint_sts.c reads the policy and judges.
 */
#pragma once

#include "base/js.h"
#include "core/mail/sts.h"
#include "edge/dns/resolver.h"
#include "edge/web/fetch.h"

enum {
	CHECK_STS_TIMEOUT = 60, /* seconds (section 3.3); or half of the domain's time */
};

enum check_sts_stage {
	CHECK_STS_LATE,       /* the time for the whole domain was over before */
	CHECK_STS_NO_ADDRESS, /* none in the DNS, or none could be looked up */
	CHECK_STS_TRIED,      /* the response says what came */
};

struct check_sts {
	enum check_sts_stage stage;
	const char *host;             /* "mta-sts.example.org" */
	const char *why;              /* with NO_ADDRESS: a clause; else "" */
	struct web_response response; /* with TRIED */
};

struct check_sts_ops {
	/* From here to `begun` only other domains' fetches are waited for. Neither comes from
	   check_sts_fetch, nor need they come. */
	void (*waits)(void *arg);
	void (*begun)(void *arg);
	/* `sts` is borrowed. Never from check_sts_fetch; the fetch is gone. */
	void (*done)(void *arg, const struct check_sts *sts);
};

struct check_sts_fetch;

/* NULL: the name would be too long to exist. */
struct check_sts_fetch *check_sts_fetch(struct io_loop *l, struct dns_resolver *r, struct web *web,
					const char *domain, usec_t timeout,
					const struct check_sts_ops *ops, void *arg);
/* Without a callback; NULL is fine. Returns NULL. */
struct check_sts_fetch *check_sts_cancel(struct check_sts_fetch *f);

/* What stands for a fetch that was cut. Lives in the arena, as does a copy. */
const struct check_sts *check_sts_late(struct arena *a, const char *domain);
const struct check_sts *check_sts_copy(struct arena *a, const struct check_sts *in);

/* {"stage", "host", "why", "end", "status", "type", "location", "text", "body" (hexadecimal)} */
struct js *check_sts_save(const struct check_sts *s);
/* NULL in, NULL out. -EINVAL: damaged. */
int check_sts_restore(struct arena *a, const struct js *v, const struct check_sts **ret)
	_mustcheck_;
