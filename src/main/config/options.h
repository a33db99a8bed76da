/*
 * The one table of command-line options: name, type, default, help, and which commands take it.
 * What an option leaves open comes from the environment (DANEWAY_TRUST_ANCHOR for --trust-anchor),
 * then from daneway.yaml (main/config/file.h), then from the default.
 */
#pragma once

#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/when.h"
#include "core/dane/decision.h"

enum {
	CONFIG_FORWARD_MAX = 16,
	CONFIG_RECIPIENTS_MAX = 10000,
	CONFIG_RECORDS_MAX = 1000,
	CONFIG_NAMES_MAX = 100,
};

struct config_list {
	const char **items;
	size_t n;
};

/* Strings point into argv, the environment, the arena or the file. */
struct config {
	struct arena arena;
	uint64_t given;           /* bit i: entry i of the table was given */
	struct config_file *file; /* NULL: none was read */
	/* global */
	const char *config; /* path; NULL: the usual one, which need not be there */
	const char *root_hints, *trust_anchor;
	struct config_list forward;
	usec_t dns_timeout, connect_timeout;
	usec_t timeout; /* -1: the command's default; USEC_NEVER: none */
	bool json;
	bool help, version;
	/* check, dnssec */
	unsigned verbose;
	bool nagios, openmetrics;
	const char *html, *svg, *resume, *only, *ca_file;
	const char *at; /* a time */
	bool send;
	/* policy, deliver */
	enum dane_mode mode;
	bool half_dane;
	const char *next_hop, *helo;
	/* policy */
	bool explain;
	const char *save, *replay;
	/* deliver */
	const char *from;
	struct config_list to;
	int64_t max_size;
	/* dnssec */
	bool mail;
	/* tlsa make; fields as written, NULL where the command's help names the default */
	const char *usage, *selector, *matching;
	const char *cert, *key, *connect;
	const char *host, *port, *ttl;
	/* tlsa match */
	const char *chain, *time;
	struct config_list record, name;
	/* queue */
	const char *domain, *sender;
	usec_t older;
	bool all;
	/* config */
	bool check, defaults, show, man;
};

struct config_file;

enum config_command {
	CONFIG_POLICY = 1,
	CONFIG_DELIVER = 2,
	CONFIG_TLSA_MAKE = 4,
	CONFIG_TLSA_MATCH = 8,
	CONFIG_TLSA_PARSE = 16,
	CONFIG_CHECK = 32,
	CONFIG_DNSSEC = 64,
	CONFIG_CONFIG = 128,
	CONFIG_SERVE = 256,
	CONFIG_STATUS = 512,
	CONFIG_QUEUE = 1024,
	CONFIG_ANY = 65535,
};

void config_init(struct config *c);
void config_done(struct config *c);

/*
 * Reads options up to the first word that is none (`stop_at_word`), or all, with words in between
 * moved behind them, as getopt_long does. Returns the index of the first word; -EINVAL: one line
 * in `e`, and the exit code is 64.
 */
int config_parse(struct config *c, int argc, char **argv, enum config_command command,
		 bool stop_at_word, struct err *e) _mustcheck_;

/*
 * What the command line left open, from the environment: only options that stand before the command
 * too, --helo and --ca-file. -EINVAL: one line in `e`. --root-hints and --forward exclude each
 * other, so one of them given above silences both below.
 */
int config_from_environment(struct config *c, struct err *e) _mustcheck_;

/* The same from a file, which `c` owns from now on; call it after the environment. */
void config_from_file(struct config *c, struct config_file *f);

/* The options of a command with their help, one or two lines each, for --help. */
void config_print_options(FILE *out, enum config_command command);
