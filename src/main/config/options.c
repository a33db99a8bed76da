#include "main/config/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "main/config/file.h"

enum type {
	TYPE_FLAG,    /* bool */
	TYPE_COUNT,   /* unsigned: each mention adds one */
	TYPE_TEXT,    /* const char *; not empty */
	TYPE_LIST,    /* struct config_list, repeatable */
	TYPE_SECONDS, /* usec_t; decimals allowed */
	TYPE_BYTES,   /* int64_t; k, M, G */
	TYPE_MODE,    /* enum dane_mode */
};

struct option_entry {
	const char *name;
	enum type type;
	size_t offset;
	unsigned commands;
	const char *argument; /* how --help calls it */
	const char *standard; /* the default, as one would write it; NULL: none */
	size_t most;          /* TYPE_LIST: how many */
	const char *help;
};

#define AT(field) offsetof(struct config, field)

enum {
	SENDING = CONFIG_POLICY | CONFIG_DELIVER
};

static const struct option_entry options[] = {
	{"config", TYPE_TEXT, AT(config), CONFIG_ANY, "FILE", NULL, 0,
	 "configuration file (" CONFIG_FILE_PATH ", if it is there)"},
	{"root-hints", TYPE_TEXT, AT(root_hints), CONFIG_ANY, "FILE", NULL, 0,
	 "root name servers (BIND style) instead of the built-in list"},
	{"trust-anchor", TYPE_TEXT, AT(trust_anchor), CONFIG_ANY, "FILE", NULL, 0,
	 "DS or DNSKEY of the root instead of the installed anchor"},
	{"forward", TYPE_LIST, AT(forward), CONFIG_ANY, "ADDR[@PORT]", NULL, CONFIG_FORWARD_MAX,
	 "ask this resolver instead of iterating; answers are still validated here"},
	{"dns-timeout", TYPE_SECONDS, AT(dns_timeout), CONFIG_ANY, "S", "10", 0,
	 "seconds for one DNS question"},
	{"connect-timeout", TYPE_SECONDS, AT(connect_timeout), CONFIG_ANY, "S", "30", 0,
	 "seconds for one TCP connection"},
	{"timeout", TYPE_SECONDS, AT(timeout), CONFIG_ANY, "S", NULL, 0,
	 "seconds for the whole command, per domain (policy 60, check and dnssec 120,"
	 " deliver none)"},
	{"json", TYPE_FLAG, AT(json), CONFIG_ANY, NULL, NULL, 0, "JSON output"},
	{"help", TYPE_FLAG, AT(help), CONFIG_ANY, NULL, NULL, 0, "show this and stop"},
	{"version", TYPE_FLAG, AT(version), CONFIG_ANY, NULL, NULL, 0, "show the version and stop"},
	{"mode", TYPE_MODE, AT(mode), SENDING, "MODE", "opportunistic", 0,
	 "opportunistic, mandatory (nothing without DANE) or none (DANE off)"},
	{"half-dane", TYPE_FLAG, AT(half_dane), SENDING, NULL, NULL, 0,
	 "use DANE of MX hosts also behind an unsigned MX answer"},
	{"next-hop", TYPE_TEXT, AT(next_hop), SENDING, "HOP", NULL, 0,
	 "[host]:port without MX lookup, or domain[:port] with it, instead of the domain"},
	{"verbose", TYPE_COUNT, AT(verbose), CONFIG_CHECK | CONFIG_DNSSEC, NULL, NULL, 0,
	 "(-v) tell more; again for still more"},
	{"nagios", TYPE_FLAG, AT(nagios), CONFIG_CHECK, NULL, NULL, 0,
	 "as a Nagios plug-in prints it; 3 also for usage errors"},
	{"only", TYPE_TEXT, AT(only), CONFIG_CHECK, "WHAT", NULL, 0,
	 "\"dane\": MX, addresses, TLSA and one session an address, nothing further"},
	{"ca-file", TYPE_TEXT, AT(ca_file), CONFIG_CHECK, "FILE", NULL, 0,
	 "CAs (PEM) for the MTA-STS policy's web server instead of the system's"},
	{"openmetrics", TYPE_FLAG, AT(openmetrics), CONFIG_CHECK, NULL, NULL, 0,
	 "OpenMetrics text, for Prometheus"},
	{"html", TYPE_TEXT, AT(html), CONFIG_CHECK | CONFIG_DNSSEC, "FILE", NULL, 0,
	 "write a page of its own besides, for a browser"},
	{"svg", TYPE_TEXT, AT(svg), CONFIG_DNSSEC, "FILE", NULL, 0,
	 "write a picture besides: zones, keys and signatures"},
	{"resume", TYPE_TEXT, AT(resume), CONFIG_CHECK, "FILE", NULL, 0,
	 "add JSON lines to FILE, without the domains whose lines it holds"},
	{"mail", TYPE_FLAG, AT(mail), CONFIG_DNSSEC, NULL, NULL, 0,
	 "of a mail domain: its MX, and each host's addresses and TLSA records"},
	{"helo", TYPE_TEXT, AT(helo), SENDING | CONFIG_CHECK, "NAME", NULL, 0,
	 "own name for EHLO, and the one looked for in the MX list (the host's name)"},
	{"explain", TYPE_FLAG, AT(explain), CONFIG_POLICY, NULL, NULL, 0, "say it in words"},
	{"save", TYPE_TEXT, AT(save), CONFIG_POLICY | CONFIG_CHECK, "FILE", NULL, 0,
	 "store the evidence: every question, answer and reason"},
	{"replay", TYPE_TEXT, AT(replay), CONFIG_POLICY | CONFIG_CHECK, "FILE", NULL, 0,
	 "decide again from stored evidence, offline"},
	{"from", TYPE_TEXT, AT(from), CONFIG_DELIVER | CONFIG_CHECK, "ADDRESS", NULL, 0,
	 "envelope sender; \"<>\" for none (of check --to: none)"},
	{"to", TYPE_LIST, AT(to), CONFIG_DELIVER | CONFIG_CHECK, "ADDRESS", NULL,
	 CONFIG_RECIPIENTS_MAX,
	 "envelope recipient (deliver: repeat it for more; check: ask each server for it)"},
	{"send", TYPE_FLAG, AT(send), CONFIG_CHECK, NULL, NULL, 0,
	 "with --to: send a short test message too"},
	{"at", TYPE_TEXT, AT(at), CONFIG_CHECK | CONFIG_DNSSEC, "TIME", NULL, 0,
	 "judge certificates (check) or signatures (dnssec) at this time (RFC 3339, or seconds"
	 " since 1970)"},
	{"max-size", TYPE_BYTES, AT(max_size), CONFIG_DELIVER, "BYTES", "100M", 0,
	 "refuse a larger message (k, M, G allowed)"},
	{"cert", TYPE_TEXT, AT(cert), CONFIG_TLSA_MAKE | CONFIG_CHECK, "FILE", NULL, 0,
	 "this certificate or chain (PEM): of it (tlsa make); would it match? (check)"},
	{"key", TYPE_TEXT, AT(key), CONFIG_TLSA_MAKE, "FILE", NULL, 0,
	 "of this private or public key (PEM)"},
	{"connect", TYPE_TEXT, AT(connect), CONFIG_TLSA_MAKE, "HOST[:PORT]", NULL, 0,
	 "of the certificate that this server presents after STARTTLS"},
	{"usage", TYPE_TEXT, AT(usage), CONFIG_TLSA_MAKE, "N", "3", 0,
	 "3, DANE-EE: the server's certificate; 2, DANE-TA: a CA's"},
	{"selector", TYPE_TEXT, AT(selector), CONFIG_TLSA_MAKE, "N", "1", 0,
	 "1, SPKI: the public key; 0, Cert: the whole certificate"},
	{"matching", TYPE_TEXT, AT(matching), CONFIG_TLSA_MAKE, "N", "1", 0,
	 "1, SHA2-256; 2, SHA2-512; 0, Full: all of it"},
	{"host", TYPE_TEXT, AT(host), CONFIG_TLSA_MAKE, "NAME", NULL, 0,
	 "print a whole zone-file line for this MX host"},
	{"port", TYPE_TEXT, AT(port), CONFIG_TLSA_MAKE, "N", NULL, 0, "port in that line (25)"},
	{"ttl", TYPE_TEXT, AT(ttl), CONFIG_TLSA_MAKE, "S", NULL, 0, "TTL in that line (3600)"},
	{"chain", TYPE_TEXT, AT(chain), CONFIG_TLSA_MATCH, "FILE", NULL, 0,
	 "the chain as the server sends it, its own certificate first (PEM)"},
	{"record", TYPE_LIST, AT(record), CONFIG_TLSA_MATCH | CONFIG_CHECK, "RECORD", NULL,
	 CONFIG_RECORDS_MAX,
	 "a TLSA record; repeat it for the whole RRset (check: would they match?)"},
	{"name", TYPE_LIST, AT(name), CONFIG_TLSA_MATCH, "NAME", NULL, CONFIG_NAMES_MAX,
	 "a name that usage 2 accepts, the TLSA base domain first"},
	{"time", TYPE_TEXT, AT(time), CONFIG_TLSA_MATCH, "SECONDS", NULL, 0,
	 "check dates as of this time (since 1970) instead of now"},
	{"domain", TYPE_TEXT, AT(domain), CONFIG_QUEUE, "D", NULL, 0,
	 "messages with a recipient in this domain"},
	{"sender", TYPE_TEXT, AT(sender), CONFIG_QUEUE, "A", NULL, 0,
	 "messages from this address (\"<>\": notices)"},
	{"older", TYPE_SECONDS, AT(older), CONFIG_QUEUE, "SECONDS", NULL, 0,
	 "messages that arrived longer ago"},
	{"all", TYPE_FLAG, AT(all), CONFIG_QUEUE, NULL, NULL, 0, "every message"},
	{"check", TYPE_FLAG, AT(check), CONFIG_CONFIG, NULL, NULL, 0,
	 "say all that is wrong with the file, and with the files that it names"},
	{"defaults", TYPE_FLAG, AT(defaults), CONFIG_CONFIG, NULL, NULL, 0,
	 "print a file with every key, its default and what it means"},
	{"show", TYPE_FLAG, AT(show), CONFIG_CONFIG, NULL, NULL, 0,
	 "print the values in force, without secrets"},
	{"man", TYPE_FLAG, AT(man), CONFIG_CONFIG, NULL, NULL, 0,
	 "print the manual page daneway.yaml(5), in mdoc"},
};

_Static_assert(ARRAY_SIZE(options) <= 64, "struct config has a bit for each");

/* --- values ----------------------------------------------------------------------------------- */

static int set_seconds(void *at, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (*text == '\0' || *end != '\0' || !isfinite(value) || value < 0 || value > 31536000)
		return -EINVAL;
	*(usec_t *)at = (usec_t)(value * (double)USEC_PER_SEC);
	return 0;
}

static int set_bytes(void *at, const char *text)
{
	char *end;
	long long value, factor = 1;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (end == text || errno != 0 || value < 0)
		return -EINVAL;
	if (*end == 'k' || *end == 'K')
		factor = 1024;
	else if (*end == 'M')
		factor = 1024 * 1024;
	else if (*end == 'G')
		factor = 1024LL * 1024 * 1024;
	else if (*end != '\0')
		return -EINVAL;
	if (factor > 1 && end[1] != '\0')
		return -EINVAL;
	if (__builtin_mul_overflow(value, factor, (int64_t *)at))
		return -EINVAL;
	return 0;
}

static int add_to_list(struct config_list *list, size_t most, const char *text)
{
	if (list->n >= most)
		return -E2BIG;
	if ((list->n & (list->n + 1)) == 0 || list->items == NULL)
		list->items = xrealloc(list->items, (list->n + 1) * 2 * sizeof(*list->items));
	list->items[list->n++] = text;
	return 0;
}

static int set_option(struct config *c, const struct option_entry *o, const char *text,
		      struct err *e)
{
	void *at = (char *)c + o->offset;
	int ret = 0;

	switch (o->type) {
	case TYPE_FLAG:
		*(bool *)at = true;
		return 0;
	case TYPE_COUNT:
		++*(unsigned *)at;
		return 0;
	case TYPE_TEXT:
		if (*text == '\0')
			return err_set(e, -EINVAL, "--%s: must not be empty", o->name);
		*(const char **)at = text;
		return 0;
	case TYPE_LIST:
		ret = add_to_list(at, o->most, text);
		return ret == 0 ? 0 : err_set(e, -EINVAL, "--%s: more than %zu", o->name, o->most);
	case TYPE_SECONDS:
		ret = set_seconds(at, text);
		return ret == 0 ? 0
				: err_set(e, ret, "--%s %s: seconds are wanted, such as 10 or 0.5",
					  o->name, text);
	case TYPE_BYTES:
		ret = set_bytes(at, text);
		return ret == 0 ? 0
				: err_set(e, ret, "--%s %s: bytes are wanted, such as 5000 or 20M",
					  o->name, text);
	case TYPE_MODE:
		if (dane_mode_from_string(text, at))
			return 0;
		return err_set(e, -EINVAL,
			       "--%s %s: \"opportunistic\", \"mandatory\" or \"none\" is wanted",
			       o->name, text);
	}
	return -EINVAL;
}

/* --- the command line ------------------------------------------------------------------------- */

void config_init(struct config *c)
{
	*c = (struct config){.timeout = -1};
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].standard != NULL)
			require(set_option(c, &options[i], options[i].standard, NULL) == 0);
}

void config_done(struct config *c)
{
	free(c->forward.items);
	free(c->to.items);
	free(c->record.items);
	free(c->name.items);
	config_file_free(c->file);
	arena_done(&c->arena);
}

/* The letters that a wrong word shares with an option, for a suggestion. */
static size_t common_prefix(const char *a, const char *b)
{
	size_t n = 0;

	while (a[n] != '\0' && a[n] == b[n])
		n++;
	return n;
}

static int unknown_option(const char *word, enum config_command command, struct err *e)
{
	const struct option_entry *best = NULL;
	const char *name = word;
	size_t most = 2;

	while (*name == '-')
		name++;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		size_t n = common_prefix(options[i].name, name);

		if ((options[i].commands & command) != 0 && n > most) {
			most = n;
			best = &options[i];
		}
	}
	if (best != NULL)
		return err_set(e, -EINVAL, "unknown option %s (--%s is meant?)", word, best->name);
	return err_set(e, -EINVAL, "unknown option %s", word);
}

static bool takes_value(const struct option_entry *o)
{
	return o->type != TYPE_FLAG && o->type != TYPE_COUNT;
}

int config_parse(struct config *c, int argc, char **argv, enum config_command command,
		 bool stop_at_word, struct err *e)
{
	struct option list[ARRAY_SIZE(options) + 1] = {{0}};
	int n = 0, found;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if ((options[i].commands & command) == 0 && command != CONFIG_ANY)
			continue;
		if (command == CONFIG_ANY && options[i].commands != CONFIG_ANY)
			continue;
		list[n++] = (struct option){
			options[i].name, takes_value(&options[i]) ? required_argument : no_argument,
			NULL, (int)i + 256};
	}
	optind = 0; /* start anew: getopt_long keeps state */
	opterr = 0;
	while ((found = getopt_long(argc, argv, stop_at_word ? "+:hv" : ":hv", list, NULL)) != -1) {
		if (found == 'h') {
			c->help = true;
			continue;
		}
		if (found == 'v' && (command & (CONFIG_CHECK | CONFIG_DNSSEC)) != 0 &&
		    command != CONFIG_ANY) {
			c->verbose++;
			continue;
		}
		if (found == ':')
			return err_set(e, -EINVAL, "%s: a value is missing", argv[optind - 1]);
		if (found < 256)
			return unknown_option(argv[optind - 1], command, e);
		if (set_option(c, &options[found - 256], optarg, e) < 0)
			return -EINVAL;
		c->given |= UINT64_C(1) << (found - 256);
	}
	return optind;
}

/* --- below the command line ------------------------------------------------------------------- */

static bool is_given(const struct config *c, const void *field)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if ((const char *)c + options[i].offset == field)
			return (c->given >> i & 1) != 0;
	return false;
}

/* DANEWAY_TRUST_ANCHOR; NULL: not set, or empty. */
static const char *environment(const char *name)
{
	char variable[40];
	const char *value;
	size_t n = (size_t)snprintf(variable, sizeof(variable), "DANEWAY_%s", name);

	require(n < sizeof(variable));
	for (char *c = variable; *c != '\0'; c++)
		*c = *c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
	value = getenv(variable);
	return value != NULL && *value != '\0' ? value : NULL;
}

/* Those of a list are separated by blanks. */
static int from_environment(struct config *c, const struct option_entry *o, const char *value,
			    struct err *e)
{
	size_t n;
	int ret = 0;

	if (o->type != TYPE_LIST)
		return set_option(c, o, value, e);
	for (; ret == 0 && *value != '\0'; value += n) {
		value += strspn(value, " ");
		n = strcspn(value, " ");
		if (n > 0)
			ret = set_option(c, o, arena_text(&c->arena, span_of(value, n)), e);
	}
	return ret;
}

/* Those of every command, and two that are of the place where the program runs, too. */
static bool is_in_environment(const struct option_entry *o)
{
	return o->commands == CONFIG_ANY || o->offset == AT(helo) || o->offset == AT(ca_file);
}

int config_from_environment(struct config *c, struct err *e)
{
	bool resolver = is_given(c, &c->root_hints) || is_given(c, &c->forward);

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct option_entry *o = &options[i];
		const char *value = NULL;

		if (takes_value(o) && is_in_environment(o) && (c->given >> i & 1) == 0)
			value = environment(o->name);
		if (value == NULL ||
		    (resolver && (o->offset == AT(root_hints) || o->offset == AT(forward))))
			continue;
		if (from_environment(c, o, value, e) < 0) {
			struct err inner = *e;

			return err_set(e, -EINVAL, "from the environment: %s", inner.text);
		}
		c->given |= UINT64_C(1) << i;
	}
	return 0;
}

void config_from_file(struct config *c, struct config_file *f)
{
	require(c->file == NULL);
	c->file = f;
	if (!is_given(c, &c->root_hints) && !is_given(c, &c->forward)) {
		c->root_hints = f->dns.root_hints;
		for (size_t i = 0; i < f->dns.forward.n; i++)
			(void)add_to_list(&c->forward, CONFIG_FORWARD_MAX, f->dns.forward.items[i]);
	}
	if (!is_given(c, &c->trust_anchor))
		c->trust_anchor = f->dns.trust_anchor;
	if (!is_given(c, &c->dns_timeout))
		c->dns_timeout = f->dns.timeout;
	if (!is_given(c, &c->connect_timeout))
		c->connect_timeout = f->outbound.connect_timeout;
	if (!is_given(c, &c->helo))
		c->helo = f->hostname;
}

void config_print_options(FILE *out, enum config_command command)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct option_entry *o = &options[i];
		char left[64];

		if ((o->commands & command) == 0)
			continue;
		snprintf(left, sizeof(left), "--%s%s%s", o->name, o->argument != NULL ? " " : "",
			 o->argument != NULL ? o->argument : "");
		fprintf(out, "  %-24s %s%s%s%s\n", left, o->help, o->standard != NULL ? " (" : "",
			o->standard != NULL ? o->standard : "", o->standard != NULL ? ")" : "");
	}
}
