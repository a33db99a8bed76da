/*
 * The test of one mail domain: the decision by RFC 7672 with real answers, then a session with
 * every MX host at every address for every type of key that the server has, then the tree of
 * findings. Nothing is sent; each session ends with QUIT. These sessions are the pool's, which
 * shares them among all domains of a run.
 */
#pragma once

#include "edge/dns/resolver.h"
#include "edge/tls/conn.h"
#include "edge/tls/facts.h"
#include "edge/web/fetch.h"
#include "jobs/check/finding.h"
#include "jobs/check/pool.h"
#include "jobs/check/rehearse.h"
#include "jobs/check/walks.h"
#include "jobs/check/write.h"
#include "jobs/probe/session.h"

enum {
	CHECK_ADDRESSES_MAX = 100, /* of one domain; what is beyond is counted */
};

struct check_env {
	struct io_loop *loop;
	struct dns_resolver *resolver;
	struct tls_context *tls;
	struct check_pool *pool;
	struct web *web;           /* NULL: no MTA-STS policy is fetched */
	struct check_walks *walks; /* NULL: name servers are not asked one by one */
};

struct check_options {
	const char *own_name; /* or NULL */
	/* For the whole domain, without the time when all its sessions wait for other domains'. */
	usec_t timeout;
	/* What a sender would do and no more: one session an address, whatever key it shows. */
	bool only_dane;
	struct mail_domain helo;
	unsigned detail; /* of name servers: 0 only what is not in order, 1 and more as dnssec -v */
	int64_t at;      /* Unix seconds at which certificates are judged; 0: now */
	/* What if: would this chain match, would these records? NULL, 0: not asked. */
	const struct tls_chain *cert;
	const struct dane_tlsa *records;
	size_t n_records;
	const struct check_inbound *inbound; /* --to; or NULL */
};

/* One session's outcome, as this domain's sender would have met it. */
struct check_probe {
	const struct dane_host *host;
	const char *address;
	enum tls_key_type key;
	bool done;
	struct probe_report report;          /* texts live in the run's arena */
	struct tls_verdict verdict;          /* kind NONE without a judgement */
	struct tls_chain *chain;             /* NULL: none was seen */
	const struct check_finding *finding; /* what the tree says of it; set by check_mail_tree */
};

struct check_run;

/*
 * Once, never from within check_run_new. Tree and verdict live as long as the run: free it by
 * io_defer or later.
 */
typedef void check_run_fn(void *arg, struct check_run *run);

/* `domain`: A-labels. Borrows the environment and the options. */
struct check_run *check_run_new(const struct check_env *env, const struct check_options *o,
				const char *domain, check_run_fn *fn, void *arg);
struct check_run *check_run_free(struct check_run *r);

/* What the writers take, once the run has ended. Lives as long as the run. */
struct check_result check_run_result(const struct check_run *r);
/* Its tree, for a caller that adds what it did itself. */
struct check_tree *check_run_tree_to_extend(struct check_run *r);

/* The evidence (jobs/check/save.h); and the same test from it, without network: an ended run. */
struct js *check_run_save(const struct check_run *r);
struct check_run *check_run_replay(const struct check_env *env, const struct check_options *o,
				   const struct js *saved, struct err *e) _mustcheck_;

/* --- inside jobs/check ----------------------------------------------------------------------- */

struct check_view;

/* Makes the tree of a mail domain. */
void check_mail_tree(const struct check_view *v);
