/*
 * The faces of a checked domain. Each writer takes one struct check_result at a time, as domains
 * are done; those whose form wants a head or a summary keep what they need in unnamed temporary
 * files, so that a million domains cost no memory, and write it all at the end.
 *
 * What a peer or a user wrote (names, replies, lines of input) is hostile until escaped: every
 * writer makes control characters, characters that turn the direction of text, bytes that are no
 * UTF-8, and whatever has a meaning in its own form harmless.
 */
#pragma once

#include <stdio.h>

#include "base/when.h"
#include "jobs/check/finding.h"

/* What came of one host, address and type of key. */
struct check_session {
	const char *host, *address;
	const char *key; /* "RSA", "ECDSA", "EdDSA"; "any" if no certificate was seen */
	enum check_status status;
	int64_t not_after; /* Unix seconds; 0: not known */
};

/* One domain's outcome, borrowed. */
struct check_result {
	const struct check_tree *tree; /* its subject is the domain */
	enum check_verdict verdict;
	const struct check_session *sessions;
	size_t n_sessions;
	usec_t at;       /* Unix time of the end */
	usec_t duration; /* from its first question to its end */
};

enum {
	CHECK_VERDICTS = CHECK_VERDICT_BROKEN + 1,
	CHECK_REPORT_MAX = 64 * 1024 * 1024, /* octets of one domain's report */
};

/* How many of each verdict. */
struct check_count {
	size_t of[CHECK_VERDICTS];
};
size_t check_count_all(const struct check_count *c);
/* The worst of all as an exit code, in the contract's order 2, 3, 1, 0; 3 if there is none. */
int check_count_exit(const struct check_count *c);

/* --- JSON, text ------------------------------------------------------------------------------- */

/* {"domain", "verdict", "checks"}: docs/check.schema.json. */
struct js *check_result_json(const struct check_result *r);
/* The verdict first, then the tree. */
int check_result_text(const struct check_result *r, const struct check_style *style,
		      struct buf *out) _mustcheck_;

/* --- Nagios ----------------------------------------------------------------------------------- */

/*
 * One status line with performance data, then lines of long output: of one domain its findings
 * that are not in order, of several a line each for those that are not "dane".
 */
struct check_nagios;
struct check_nagios *check_nagios_new(bool many);
struct check_nagios *check_nagios_free(struct check_nagios *w);
int check_nagios_add(struct check_nagios *w, const struct check_result *r) _mustcheck_;
/* -EIO if it cannot be written; so for all below. */
int check_nagios_end(struct check_nagios *w, FILE *out) _mustcheck_;

/* --- OpenMetrics ------------------------------------------------------------------------------ */

/* A domain must be added once only: no sample may be there twice. */
struct check_metrics;
struct check_metrics *check_metrics_new(void);
struct check_metrics *check_metrics_free(struct check_metrics *w);
int check_metrics_add(struct check_metrics *w, const struct check_result *r) _mustcheck_;
int check_metrics_end(struct check_metrics *w, FILE *out) _mustcheck_;

/* --- HTML ------------------------------------------------------------------------------------- */

/* How a tree's head is shown; `tone` picks the colour. */
struct check_html_head {
	const char *word;     /* "broken" */
	const char *sentence; /* what it means, or NULL */
	enum check_status tone;
	struct span picture; /* markup, as it is: an <svg> element; or empty */
};

/* One page that needs nothing else, no script either; well-formed XML besides. */
struct check_html;
struct check_html *check_html_new(const char *title);
struct check_html *check_html_free(struct check_html *w);
int check_html_add_tree(struct check_html *w, const struct check_tree *t,
			const struct check_html_head *head) _mustcheck_;
int check_html_add(struct check_html *w, const struct check_result *r) _mustcheck_;
/* `now`: Unix time, for the head of the page. */
int check_html_end(struct check_html *w, usec_t now, FILE *out) _mustcheck_;

/* --- inside jobs/check ------------------------------------------------------------------------ */

/* Escaped, and what XML has a meaning for made harmless. */
int check_add_xml(struct buf *out, const char *text) _mustcheck_;
/* An unnamed temporary file. A full disk, or none to have, shows as -EIO when it is written. */
FILE *check_part_new(void);
int check_part_add(FILE *part, const struct buf *text) _mustcheck_;
int check_part_copy(FILE *part, FILE *out) _mustcheck_;
