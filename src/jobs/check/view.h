/*
 * What a mail domain's tree of findings is made from, and the parts that make it. Only files of
 * jobs/check include it. Strings that are returned live in the tree's arena.
 */
#pragma once

#include "jobs/check/diagnose.h"
#include "jobs/check/extra.h"
#include "jobs/check/run.h"
#include "jobs/check/servers.h"
#include "jobs/check/sts.h"

enum {
	CHECK_SHOWN_MAX = 16, /* records of a set that are listed and explained one by one */
	/*
	 * What may be spent on explaining one domain, in certificates hashed: a zone with thousands
	 * of records and servers with endless chains cost no more than this.
	 */
	CHECK_EFFORT_MAX = 10000,
};

struct check_view {
	struct check_tree *tree;
	const struct dane_request *request;
	const struct dane_decision *decision;
	const struct dane_decider *decider; /* for the evidence */
	struct check_probe *probes;         /* the tree's maker notes the finding of each */
	size_t n_probes;
	const struct check_extra *extra;           /* further answers; NULL: none were asked for */
	const struct check_sts *sts;               /* its policy; NULL: none to fetch */
	const struct check_rehearsals *rehearsals; /* NULL: none were asked for */
	const struct check_options *options;
	struct tls_context *tls;
	size_t *effort;                       /* left of CHECK_EFFORT_MAX */
	int64_t now;                          /* Unix seconds at which dates are judged */
	struct check_servers *const *servers; /* name servers one by one */
	size_t n_servers;                     /* 0: not asked for, or there is nothing to ask */
	bool covered; /* the MX answer is secure: what is wrong with a host is wrong for senders */
};

/* --- parts of the tree ------------------------------------------------------------------------ */

/* Set-ups that work and will not for long, below the host's and the MX finding. */
void check_lint_host(const struct check_view *v, struct check_finding *parent,
		     const struct dane_host *h);
void check_lint_domain(const struct check_view *v, struct check_finding *parent);
/* MTA-STS: part of the above. */
void check_lint_sts(const struct check_view *v, struct check_finding *parent);
/* Where the record might have been meant to stand, below "no TLSA record". */
void check_lint_missing(const struct check_view *v, struct check_finding *parent,
			const struct dane_host *h);
/* Name servers one by one: what they say, and whether all say what the decision rests on. */
void check_servers_tree(const struct check_view *v);
/* Then: what the decision found bogus is mended where the walk found the broken link. */
void check_servers_mend(const struct check_view *v);
/* The first moment at which mail would break. Says nothing where nothing works today. */
void check_forecast(const struct check_view *v);
/* --cert and --record. */
void check_whatif_host(const struct check_view *v, struct check_finding *parent,
		       const struct dane_host *h);
/* --to: what became of the recipient at this host's addresses. */
void check_inbound_host(const struct check_view *v, struct check_finding *parent,
			const struct dane_host *h);

/* Each record that should have matched, with the reason why it does not. */
const char *check_causes(const struct check_view *v, const struct check_probe *p);
/* What to publish, or to change at the server, so that this chain matches. */
const char *check_mend(const struct check_view *v, const struct check_probe *p);

/* --- words ------------------------------------------------------------------------------------ */

/* `list`, `item`; `list` may be NULL. */
const char *check_join(const struct check_view *v, const char *list, const char *item);
/* "_25._tcp.mx1.example.org": where senders look. */
const char *check_owner(const struct check_view *v, const struct dane_host *h);
/* The zone-file line that this chain needs: 3 1 1 of the server's own key; words for NULL. */
const char *check_line(const struct check_view *v, const struct dane_host *h,
		       const struct tls_chain *chain);
const char *check_records(const struct check_view *v, const struct dane_host *h);
/* Of an answer's TLSA records, the first CHECK_SHOWN_MAX. */
const char *check_answer_records(const struct check_view *v, const struct dane_answer *a);
/* Whether `n` more certificates may be hashed; they then count. */
bool check_afford(const struct check_view *v, size_t n);
/* check_diagnose() within the effort; beyond it: of another key. */
struct check_diagnosis check_explain(const struct check_view *v, const struct dane_tlsa *record,
				     bool aside, const struct tls_chain *chain);
/* "2026-12-24 18:00:00 UTC" */
const char *check_time(const struct check_view *v, int64_t unix_seconds);
/* "RSA 2048" of the server's certificate, else the kind that was asked for. */
const char *check_key(const struct check_view *v, const struct check_probe *p);
/* Some chain that this host showed, or NULL. */
const struct tls_chain *check_chain_of(const struct check_view *v, const struct dane_host *h);
/* The decision's own answer to a question, or NULL. */
const struct dane_answer *check_evidence(const struct check_view *v, const char *name,
					 uint16_t type);
/* Would these records, as the host's TLSA set, match this chain? By the code that delivers. */
struct tls_verdict check_would(const struct check_view *v, const struct dane_host *h,
			       const struct dane_tlsa *records, size_t n,
			       const struct tls_chain *chain);
