/*
 * Name servers one by one: what the walk of a mail domain's chain of trust (chain.h) found, as
 * data that is kept with the other evidence, and its part of the domain's tree.
 *
 * The walk's own findings decide nothing: a validator goes on to the next server when one's answer
 * does not hold. What decides is an answer that validates and is another one: a server that serves
 * an old TLSA RRset, say, makes those senders delay mail whose resolver happens to ask it.
 */
#pragma once

#include "base/js.h"
#include "jobs/check/chain.h"

enum {
	CHECK_SERVERS_ANSWERS_MAX = 1000,    /* kept of one domain */
	CHECK_SERVERS_FINDINGS_MAX = 100000, /* read back from a file */
};

struct check_servers {
	struct arena arena;
	struct check_tree tree; /* zones, names, and what is wrong there */
	size_t n_zones, n_addresses;
	bool unfinished;        /* nothing is below: `stopped` says why */
	const char *stopped;    /* why not all was looked at; NULL: all was */
	int64_t signatures_end; /* Unix seconds; 0: not known */
	const char *signatures_over;
	const struct check_chain_answer *answers; /* to the questions for TLSA */
	size_t n_answers;
	const struct check_chain_hidden *hidden;
	size_t n_hidden;
};

/* `detail` as in check_chain_report. */
struct check_servers *check_servers_new(const struct check_chain *c, unsigned detail);
/* Of a walk that did not come to its end. */
struct check_servers *check_servers_unfinished(const char *why);
struct check_servers *check_servers_copy(const struct check_servers *s);
size_t check_servers_weight(const struct check_servers *s); /* octets, about */
struct check_servers *check_servers_free(struct check_servers *s);

/* {"zones", "addresses", "stopped", "signatures", "answers", "findings"} */
struct js *check_servers_save(const struct check_servers *s);
/* NULL and the reason: damaged. */
struct check_servers *check_servers_restore(const struct js *saved, struct err *e) _mustcheck_;
