/*
 * The one table of options: name, type, default, help, and which commands take it. The command
 * line is read by it; the configuration file that comes with the gateway will have the same keys,
 * with "_" for "-", and --config with it.
 */
#pragma once

#include <stdio.h>

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

/* Strings point into argv. */
struct config {
	/* global */
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
};

enum config_command {
	CONFIG_POLICY = 1,
	CONFIG_DELIVER = 2,
	CONFIG_TLSA_MAKE = 4,
	CONFIG_TLSA_MATCH = 8,
	CONFIG_TLSA_PARSE = 16,
	CONFIG_CHECK = 32,
	CONFIG_DNSSEC = 64,
	CONFIG_ANY = 255,
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

/* The options of a command with their help, one or two lines each, for --help. */
void config_print_options(FILE *out, enum config_command command);
