/*
 * The tree of findings: what was looked at, what came out, why, and how to mend it. One finding,
 * many faces: text, JSON, Nagios, OpenMetrics and HTML are writers of this tree.
 *
 * A finding is of a kind (texts.h): the kind has the stable code, the status, the words, what it
 * means for the verdict, and what senders will say. The words of all kinds stand in one table; what
 * differs from case to case goes in by name:
 *
 *	check_add(t, host, CHECK_TLSA_MISMATCH, "mx1.example.org[192.0.2.1]",
 *		  "record", record, "served", served, NULL);
 *
 * puts them where the kind's texts say {record} and {served}. Everything lives in the tree's arena.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/js.h"
#include "jobs/check/texts.h"

enum check_status {
	CHECK_PASS,
	CHECK_INFO,
	CHECK_SKIP,
	CHECK_WARN,
	CHECK_FAIL,
};

/* "pass", "info", "skip", "warn", "fail" */
const char *check_status_to_string(enum check_status s);

/* What a finding means for the verdict on a mail domain. */
enum check_effect {
	CHECK_EFFECT_NONE,
	CHECK_EFFECT_DANE,    /* something that DANE covers passes */
	CHECK_EFFECT_ENCRYPT, /* only unusable records: TLS without authentication */
	CHECK_EFFECT_NO_DANE, /* something is reached without DANE */
	CHECK_EFFECT_UNKNOWN, /* could not be told; never folded into "no DANE" */
	CHECK_EFFECT_BROKEN,  /* senders that do DANE will not deliver there */
};

/* Precedence broken > unknown > partial > none > dane; the exit codes of Nagios plug-ins. */
enum check_verdict {
	CHECK_VERDICT_DANE,
	CHECK_VERDICT_NONE,
	CHECK_VERDICT_PARTIAL,
	CHECK_VERDICT_UNKNOWN,
	CHECK_VERDICT_BROKEN,
};

/* "dane", "none", "partial", "unknown", "broken" */
const char *check_verdict_to_string(enum check_verdict v);
/* 0 dane, 1 partial or none, 2 broken, 3 unknown. */
int check_verdict_to_exit(enum check_verdict v);

/* One kind's row of the table: texts may hold {name}; NULL where there is nothing to say. */
struct check_text {
	const char *id; /* stable: "tlsa.mismatch" */
	enum check_status status;
	enum check_effect effect;
	const char *title;    /* one line, no full stop */
	const char *detail;   /* sentences */
	const char *fix;      /* what to do: the exact record or command */
	const char *postfix;  /* what Postfix logs */
	const char *exchange; /* what Exchange Online returns: "4/5.7.323 tlsa-invalid" */
	const char *tlsrpt;   /* RFC 8460 result type */
};

const struct check_text *check_text_of(enum check_kind kind);
/* -1 for a code that no kind has. */
int check_kind_from_id(const char *id);

struct check_finding {
	enum check_kind kind;
	const char *subject;              /* "mx1.example.org[198.51.100.1]", "example.org" */
	const char *title, *detail, *fix; /* filled in; detail and fix may be NULL */
	const char *postfix;              /* what Postfix logs, filled in; or NULL */
	struct check_finding *parent, *children, *last, *next;
};

struct check_tree {
	struct arena arena;
	struct check_finding root; /* its subject is what was checked; it has no kind of its own */
};

void check_tree_init(struct check_tree *t, const char *subject);
void check_tree_done(struct check_tree *t);

/* `parent` NULL: the root. Then pairs of name and value (NULL: "-"), ended by NULL. */
struct check_finding *check_add(struct check_tree *t, struct check_finding *parent,
				enum check_kind kind, const char *subject, ...)
	__attribute__((sentinel));

/* As it is, without its children; what senders would say is left out. */
struct check_finding *check_tree_copy(struct check_tree *t, struct check_finding *parent,
				      const struct check_finding *f);
/* All of another tree, under `parent`; or what is not in order, with what it stands under. */
void check_tree_graft(struct check_tree *t, struct check_finding *parent,
		      const struct check_tree *from, bool all);

/* The verdict on a mail domain, from the effects of all findings. */
enum check_verdict check_tree_verdict(const struct check_tree *t);
/* What that verdict means, in a postmaster's words; `partial` by what was found. */
const char *check_tree_in_words(const struct check_tree *t, enum check_verdict v);

/* Depth first, parents before children: NULL starts, NULL ends. `*depth` from 0. */
const struct check_finding *check_tree_next(const struct check_tree *t,
					    const struct check_finding *f, unsigned *depth);

/* --- faces ---------------------------------------------------------------------------------- */

/* [{"id", "subject", "status", "title", "detail", "fix", "depth", "senders"}] depth first. */
struct js *check_tree_json(const struct check_tree *t);

struct check_style {
	bool colour; /* a terminal that wants it */
	/* 0: titles, and details of what is not in order; what was skipped is counted; 1: all */
	unsigned verbose;
	unsigned width; /* columns; 0: 80 */
};

/* The tree as text. What a peer said is escaped: no control character reaches the terminal. */
int check_tree_text(const struct check_tree *t, const struct check_style *style, struct buf *out)
	_mustcheck_;

/*
 * Appends with what would steer a terminal or turn the direction of text made harmless: control
 * characters, bidirectional marks, line separators, bytes that are no UTF-8. "\x1b" stands there.
 */
int check_escape(struct buf *out, const char *text) _mustcheck_;
