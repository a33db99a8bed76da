/*
 * The recipients of a domain that exist, from a text file. Pure: the caller reads the file.
 *
 *	# a comment, or nothing
 *	anna@example.org	an address
 *	anna			the local part of one
 *	@example.org		whoever it is
 *
 * Lines of other domains are passed over, so that one file serves several.
 *
 * Compared as servers do: ASCII letters in either case, quotes without meaning (RFC 5321 section
 * 4.1.2: "a.b" in quotes is a.b). Immutable; sorted once, found by halves: 100,000 addresses are
 * some 5 MB and 17 comparisons.
 */
#pragma once

#include "base/err.h"
#include "base/span.h"

struct receive_list;

/* `domain`: in A-labels, lower case. -EINVAL names the line. */
int receive_list_parse(struct span text, const char *domain, struct receive_list **ret,
		       struct err *e) _mustcheck_;
struct receive_list *receive_list_free(struct receive_list *l);
size_t receive_list_count(const struct receive_list *l);

/* `local`: as in RCPT, with its quotes. */
bool receive_list_has(const struct receive_list *l, const char *local);
/* It is named by itself, not by "@domain". */
bool receive_list_names(const struct receive_list *l, const char *local);

enum {
	RECEIVE_LOCAL_ROOM = 65, /* octets of a local part and a NUL */
};

/* The local part as it is compared: without quotes, ASCII letters small. Never longer. */
void receive_local_plain(const char *local, char ret[RECEIVE_LOCAL_ROOM]);
