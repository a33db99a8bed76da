/* daneway tlsa: makes, matches and reads TLSA records; no network but for `make --connect`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/js.h"
#include "base/text.h"
#include "core/dane/name.h"
#include "core/mail/domain.h"
#include "edge/tls/cert.h"
#include "edge/tls/context.h"
#include "edge/tls/dane.h"
#include "edge/tls/der.h"
#include "main/cli/cli.h"
#include "main/cli/fetch.h"

enum {
	MATCHED = 0,
	MISMATCHED = 1,
	UNUSABLE = 2,
};

static const char make_usage[] =
	"Usage: daneway tlsa make [OPTION...] (--cert FILE | --key FILE | --connect HOST[:PORT])\n";
static const char match_usage[] =
	"Usage: daneway tlsa match --chain FILE --record RECORD... [--name NAME...] [OPTION...]\n";
static const char parse_usage[] = "Usage: daneway tlsa parse RECORD...\n"
				  "       daneway tlsa parse -    (one record a line)\n";

/* --- common ----------------------------------------------------------------------------------- */

/* What was printed must have arrived. */
static int flushed(int code)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return cli_fail(CLI_WRITE, "standard output cannot be written");
	return code;
}

static int print(struct js *v, int code)
{
	int r = js_write(v, stdout, 0);

	js_free(v);
	return r < 0 ? cli_fail(CLI_WRITE, "standard output cannot be written") : code;
}

/* A decimal number and nothing else. */
static bool number(const char *text, int64_t min, int64_t max, int64_t *ret)
{
	uint64_t value;

	if (!text_to_number(span_text(text), (uint64_t)max, &value) || (int64_t)value < min)
		return false;
	*ret = (int64_t)value;
	return true;
}

/* A host name as DNS and TLS have it; an address is none. */
static int host_name(struct arena *a, const char *option, const char *text, const char **ret)
{
	struct mail_domain domain;
	struct err e;

	if (mail_domain_parse(a, span_text(text), &domain, &e) < 0)
		return cli_fail(CLI_DATA, "--%s %s: %s", option, text, e.text);
	if (domain.kind != MAIL_DOMAIN_NAME)
		return cli_fail(CLI_DATA, "--%s %s: an address has no TLSA records", option, text);
	*ret = domain.host;
	return 0;
}

/* The fields of a record; null where the octets do not reach. */
static void set_fields(struct js *v, struct arena *a, const struct dane_tlsa *r)
{
	js_set_text(v, "record", dane_tlsa_to_text(a, r));
	if (r->rdata.n < 3) {
		js_set_null(v, "usage");
		js_set_null(v, "selector");
		js_set_null(v, "matching");
		js_set_null(v, "data");
		return;
	}
	js_set_int(v, "usage", r->usage);
	js_set_int(v, "selector", r->selector);
	js_set_int(v, "matching", r->matching);
	js_set_text(v, "data", hex_encode(a, r->data));
}

/* --- make ------------------------------------------------------------------------------------- */

static void make_help(void)
{
	fputs(make_usage, stdout);
	puts("\n"
	     "Prints the TLSA record that matches; with --host the whole line for the zone file.\n"
	     "Of a chain, usage 3 takes the first certificate, usage 2 the last CA certificate.\n"
	     "\n"
	     "Examples:\n"
	     "  daneway tlsa make --cert fullchain.pem\n"
	     "  daneway tlsa make --key next-key.pem --host mx1.example.org\n"
	     "  daneway tlsa make --usage 2 --selector 0 --cert fullchain.pem\n"
	     "\n"
	     "Exit status: 0, 64 usage, 65 no such certificate in the chain or no host name,\n"
	     "78 a file that cannot be read or holds no certificate or key.\n"
	     "\n"
	     "Options:");
	config_print_options(stdout, CONFIG_TLSA_MAKE);
}

struct making {
	struct arena arena;
	uint8_t usage, selector, matching;
	const char *owner; /* NULL: the record alone */
	int64_t ttl;
	struct dane_tlsa record;
};

/* RFC 7672 section 3.1: what SMTP cannot use is not made (F14, B3). */
static int read_fields(struct making *m, const struct config *c)
{
	if (!dane_tlsa_field_from_text(DANE_TLSA_USAGE, c->usage, &m->usage) || m->usage > 3)
		return cli_fail(CLI_USAGE, "--usage %s: 3 (DANE-EE) or 2 (DANE-TA) is wanted",
				c->usage);
	if (m->usage < 2)
		return cli_fail(CLI_USAGE,
				"--usage %s: PKIX-TA and PKIX-EE are not for SMTP (RFC 7672, "
				"section 3.1.3); 3 or 2 is wanted",
				c->usage);
	if (!dane_tlsa_field_from_text(DANE_TLSA_SELECTOR, c->selector, &m->selector) ||
	    m->selector > 1)
		return cli_fail(CLI_USAGE, "--selector %s: 1 (SPKI) or 0 (Cert) is wanted",
				c->selector);
	if (!dane_tlsa_field_from_text(DANE_TLSA_MATCHING, c->matching, &m->matching) ||
	    m->matching > 2)
		return cli_fail(CLI_USAGE,
				"--matching %s: 1 (SHA2-256), 2 (SHA2-512) or 0 (Full) is wanted",
				c->matching);
	return 0;
}

static int read_owner(struct making *m, const struct config *c)
{
	int64_t port = 25;
	const char *host;
	int code;

	m->ttl = 3600;
	if (c->port != NULL && !number(c->port, 1, 65535, &port))
		return cli_fail(CLI_USAGE, "--port %s: 1 to 65535 is wanted", c->port);
	if (c->ttl != NULL && !number(c->ttl, 0, INT32_MAX, &m->ttl))
		return cli_fail(CLI_USAGE, "--ttl %s: seconds are wanted", c->ttl);
	if (c->host == NULL && (c->port != NULL || c->ttl != NULL))
		return cli_fail(CLI_USAGE, "--port and --ttl want --host");
	if (c->host == NULL)
		return 0;
	code = host_name(&m->arena, "host", c->host, &host);
	if (code != 0)
		return code;
	m->owner = dane_name_tlsa_owner(&m->arena, host, (uint16_t)port);
	if (m->owner == NULL)
		return cli_fail(CLI_DATA, "--host %s: too long for a TLSA record", c->host);
	return 0;
}

static int make_from_chain(struct making *m, const struct tls_chain *chain, const char *where)
{
	struct err e;
	size_t i;

	if (tls_chain_subject(chain, m->usage, &i, &e) < 0 ||
	    tls_chain_tlsa(chain, i, m->usage, m->selector, m->matching, &m->arena, &m->record,
			   &e) < 0)
		return cli_fail(CLI_DATA, "%s: %s", where, e.text);
	return 0;
}

static int make_from_cert(struct making *m, const char *path)
{
	_cleanup_(tls_chain_freep) struct tls_chain *chain = NULL;
	struct err e;

	if (tls_chain_load(path, &chain, &e) < 0)
		return cli_fail(CLI_CONFIG, "%s", e.text);
	return make_from_chain(m, chain, path);
}

static int make_from_key(struct making *m, const char *path)
{
	_cleanup_(tls_key_freep) struct tls_key *key = NULL;
	struct err e;

	if (m->selector == DANE_SELECTOR_CERT)
		return cli_fail(CLI_USAGE, "--selector 0 wants --cert: it speaks of a certificate");
	if (tls_key_load(path, &key, &e) < 0)
		return cli_fail(CLI_CONFIG, "%s", e.text);
	if (tls_key_tlsa(key, m->usage, m->selector, m->matching, &m->arena, &m->record, &e) < 0)
		return cli_fail(CLI_DATA, "%s: %s", path, e.text);
	return 0;
}

static int make_from_server(struct making *m, const struct config *c)
{
	_cleanup_(tls_chain_freep) struct tls_chain *chain = NULL;
	int code = cli_fetch_chain(c, c->connect, &chain);

	return code != 0 ? code : make_from_chain(m, chain, c->connect);
}

static int print_made(struct making *m, bool json)
{
	const char *text = dane_tlsa_to_text(&m->arena, &m->record);
	struct js *v;

	if (!json && m->owner != NULL)
		printf("%s. %lld IN TLSA %s\n", m->owner, (long long)m->ttl, text);
	else if (!json)
		puts(text);
	if (!json)
		return 0;
	v = js_object();
	set_fields(v, &m->arena, &m->record);
	js_set_text(v, "owner", m->owner);
	if (m->owner != NULL)
		js_set_int(v, "ttl", m->ttl);
	else
		js_set_null(v, "ttl");
	return print(v, 0);
}

static int make(const struct config *c, struct making *m)
{
	int sources = (c->cert != NULL) + (c->key != NULL) + (c->connect != NULL), code;

	if (sources != 1)
		return cli_fail(CLI_USAGE, "one of --cert, --key and --connect is wanted; see "
					   "\"daneway tlsa make --help\"");
	code = read_fields(m, c);
	if (code == 0)
		code = read_owner(m, c);
	if (code == 0 && c->cert != NULL)
		code = make_from_cert(m, c->cert);
	else if (code == 0 && c->key != NULL)
		code = make_from_key(m, c->key);
	else if (code == 0)
		code = make_from_server(m, c);
	return code == 0 ? print_made(m, c->json) : code;
}

static int run_make(struct config *c, int n_words, char **words)
{
	struct making m = {{0}};
	int code;

	if (n_words > 0)
		return cli_fail(CLI_USAGE, "tlsa make takes no \"%s\"", words[0]);
	code = make(c, &m);
	arena_done(&m.arena);
	return code;
}

/* --- match ------------------------------------------------------------------------------------ */

static void match_help(void)
{
	fputs(match_usage, stdout);
	puts("\n"
	     "Judges a certificate chain by TLSA records with the code that a delivery runs, and\n"
	     "prints one JSON object. Usage 2 checks dates and, if any --name is given, names.\n"
	     "\n"
	     "Examples:\n"
	     "  daneway tlsa match --chain fullchain.pem --record '3 1 1 0123...'\n"
	     "  daneway tlsa match --chain chain.pem --record '2 0 1 0123...' \\\n"
	     "      --name mx1.example.org --name example.org --time 1767225600\n"
	     "\n"
	     "Exit status: 0 match, 1 mismatch, 2 all records unusable, 64 usage, 65 a record or "
	     "a\n"
	     "name that is none, 78 a chain that cannot be read.\n"
	     "\n"
	     "Options:");
	config_print_options(stdout, CONFIG_TLSA_MATCH);
}

struct matching {
	struct arena arena;
	struct tls_dane_spec spec;
	enum dane_unusable *why; /* for each record */
	bool *aside;
	size_t n_usable;
	struct tls_verdict verdict;
};

static int read_records(struct matching *m, const struct config_list *list)
{
	struct dane_tlsa *records = arena_calloc(&m->arena, list->n, sizeof(*records));
	bool *usable = arena_calloc(&m->arena, list->n, sizeof(*usable));
	struct err e;

	m->why = arena_calloc(&m->arena, list->n, sizeof(*m->why));
	m->aside = arena_calloc(&m->arena, list->n, sizeof(*m->aside));
	for (size_t i = 0; i < list->n; i++) {
		if (dane_tlsa_from_text(&m->arena, list->items[i], &records[i], &e) < 0)
			return cli_fail(CLI_DATA, "--record \"%.80s\": %s", list->items[i], e.text);
		m->why[i] = tls_tlsa_usability(&records[i]);
		usable[i] = m->why[i] == DANE_USABLE;
		m->n_usable += usable[i];
	}
	dane_tlsa_agility(records, usable, list->n, m->aside);
	m->spec.records = records;
	m->spec.n_records = list->n;
	return 0;
}

static int read_names(struct matching *m, const struct config_list *list)
{
	const char **names = arena_calloc(&m->arena, list->n + 1, sizeof(*names));

	for (size_t i = 0; i < list->n; i++) {
		int code = host_name(&m->arena, "name", list->items[i], &names[i]);

		if (code != 0)
			return code;
	}
	m->spec.base = names[0];
	m->spec.names = names + 1;
	m->spec.n_names = list->n > 0 ? list->n - 1 : 0;
	return 0;
}

static int judge(struct matching *m, const char *path)
{
	_cleanup_(tls_chain_freep) struct tls_chain *chain = NULL;
	struct tls_context *context;
	struct err e;
	int r;

	if (tls_chain_load(path, &chain, &e) < 0)
		return cli_fail(CLI_CONFIG, "%s", e.text);
	context = tls_context_new(&e);
	if (context == NULL)
		return cli_fail(CLI_CONFIG, "%s", e.text);
	r = tls_dane_match(context, &m->spec, chain, &m->arena, &m->verdict, &e);
	tls_context_free(context);
	return r < 0 ? cli_fail(CLI_DATA, "%s", e.text) : 0;
}

/* Each record with its use, once; what agility set aside stays usable (G1). */
static struct js *records_seen(struct matching *m)
{
	struct js *list = js_array();

	for (size_t i = 0; i < m->spec.n_records; i++) {
		struct js *v = js_object();

		js_set_text(v, "record", dane_tlsa_to_text(&m->arena, &m->spec.records[i]));
		js_set_bool(v, "usable", m->why[i] == DANE_USABLE);
		js_set_text(v, "why",
			    m->aside[i] ? "digest-agility" : dane_unusable_to_string(m->why[i]));
		js_push(list, v);
	}
	return list;
}

static const char *detail(struct matching *m)
{
	size_t unusable = m->spec.n_records - m->n_usable, aside = 0;

	for (size_t i = 0; i < m->spec.n_records; i++)
		aside += m->aside[i];
	if (m->n_usable == 0)
		return arena_printf(&m->arena, "no TLSA record is usable: %s",
				    dane_unusable_to_string(m->why[0]));
	if (unusable == 0 && aside == 0)
		return m->verdict.detail;
	return arena_printf(&m->arena,
			    "%s (of %zu records %zu unusable, %zu set aside for a stronger digest)",
			    m->verdict.detail, m->spec.n_records, unusable, aside);
}

static int print_verdict(struct matching *m)
{
	bool match = m->verdict.kind == TLS_VERDICT_MATCH;
	const char *result = match ? "match" : m->n_usable == 0 ? "unusable" : "mismatch";
	struct js *v = js_object();

	js_set_text(v, "result", result);
	js_set_text(v, "record", match ? dane_tlsa_to_text(&m->arena, &m->verdict.record) : NULL);
	if (match)
		js_set_int(v, "depth", m->verdict.depth);
	else
		js_set_null(v, "depth");
	js_set_text(v, "error", m->verdict.tlsrpt);
	js_set_text(v, "detail", detail(m));
	js_set(v, "records", records_seen(m));
	return print(v, match ? MATCHED : m->n_usable == 0 ? UNUSABLE : MISMATCHED);
}

static int match(const struct config *c, struct matching *m)
{
	int code;

	if (c->chain == NULL || c->record.n == 0)
		return cli_fail(CLI_USAGE, "--chain and --record are wanted; see \"daneway tlsa "
					   "match --help\"");
	/* 0 is "now" to the judge, and 1970 is of no use to anyone. */
	if (c->time != NULL && !number(c->time, 1, 253402300799, &m->spec.time))
		return cli_fail(CLI_USAGE, "--time %s: seconds since 1970 are wanted", c->time);
	code = read_records(m, &c->record);
	if (code == 0)
		code = read_names(m, &c->name);
	if (code == 0)
		code = judge(m, c->chain);
	return code == 0 ? print_verdict(m) : code;
}

static int run_match(struct config *c, int n_words, char **words)
{
	struct matching m = {{0}};
	int code;

	if (n_words > 0)
		return cli_fail(CLI_USAGE, "tlsa match takes no \"%s\"", words[0]);
	code = match(c, &m);
	arena_done(&m.arena);
	return code;
}

/* --- parse ------------------------------------------------------------------------------------ */

static void parse_help(void)
{
	fputs(parse_usage, stdout);
	puts("\n"
	     "Reads TLSA records as text: \"3 1 1 HEX\" with blanks, parentheses and comments,\n"
	     "acronyms (\"DANE-EE SPKI SHA2-256 HEX\"), \"TYPE52 \\# 35 HEX\", or a whole line of "
	     "a\n"
	     "zone file. Prints one JSON object a record: its fields, and whether SMTP may use "
	     "it.\n"
	     "From standard input empty lines and comments are passed over.\n"
	     "\n"
	     "Examples:\n"
	     "  daneway tlsa parse '3 1 1 0123...'\n"
	     "  dig +short TLSA _25._tcp.mx1.example.org | daneway tlsa parse -\n"
	     "\n"
	     "Exit status: 0 all usable, 2 some not, 64 usage, 65 a syntax error (a line on\n"
	     "standard error for each).\n"
	     "\n"
	     "Options:");
	config_print_options(stdout, CONFIG_TLSA_PARSE);
}

/* The worse of two exit codes of `parse`: cannot write, syntax, unusable, usable. */
static int worse(int a, int b)
{
	static const int order[] = {CLI_WRITE, CLI_DATA, UNUSABLE};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return CLI_OK;
}

/* `line`: of standard input, 0 for an argument. */
static int parse_one(struct span text, size_t line)
{
	struct arena a = {0};
	struct dane_tlsa r;
	enum dane_unusable why;
	struct err e;
	struct js *v;
	int code;

	if (dane_tlsa_from_span(&a, text, &r, &e) < 0) {
		arena_done(&a);
		if (line > 0)
			return cli_fail(CLI_DATA, "line %zu: %s", line, e.text);
		return cli_fail(CLI_DATA, "\"%.*s\": %s", (int)(text.n < 80 ? text.n : 80),
				(const char *)text.p, e.text);
	}
	why = tls_tlsa_usability(&r);
	v = js_object();
	set_fields(v, &a, &r);
	js_set_bool(v, "usable", why == DANE_USABLE);
	js_set_text(v, "why", dane_unusable_to_string(why));
	code = print(v, why == DANE_USABLE ? CLI_OK : UNUSABLE);
	arena_done(&a);
	return code;
}

static bool is_empty(struct span line)
{
	size_t i = 0;

	while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\t' || line.p[i] == '\r'))
		i++;
	return i == line.n || line.p[i] == ';';
}

/* One line to `text`, at most `room` octets of it; false at the end. `ret_n` is its whole length.
 */
static bool read_line(char *text, size_t room, size_t *ret_n)
{
	size_t n = 0;
	int c;

	while ((c = getc_unlocked(stdin)) != EOF && c != '\n') {
		if (n < room)
			text[n] = (char)c;
		n++;
	}
	*ret_n = n;
	return n > 0 || c != EOF;
}

static int parse_lines(void)
{
	char *text = xmalloc(DANE_TLSA_TEXT_MAX);
	int code = CLI_OK;
	size_t n;

	for (size_t line = 1; code != CLI_WRITE && read_line(text, DANE_TLSA_TEXT_MAX, &n);
	     line++) {
		if (n > DANE_TLSA_TEXT_MAX)
			code = worse(code, cli_fail(CLI_DATA, "line %zu: longer than %d octets",
						    line, DANE_TLSA_TEXT_MAX));
		else if (!is_empty(span_of(text, n)))
			code = worse(code, parse_one(span_of(text, n), line));
		/* Who asks line by line gets his answer before he writes the next. */
		if (code != CLI_WRITE)
			code = worse(code, flushed(CLI_OK));
	}
	free(text);
	if (ferror(stdin))
		return cli_fail(CLI_CONFIG, "standard input cannot be read");
	return code;
}

static int run_parse(struct config *c, int n_words, char **words)
{
	int code = CLI_OK;

	(void)c;
	if (n_words == 0)
		return cli_fail(CLI_USAGE,
				"a record or - is wanted; see \"daneway tlsa parse --help\"");
	if (n_words == 1 && strcmp(words[0], "-") == 0)
		return parse_lines();
	for (int i = 0; i < n_words && code != CLI_WRITE; i++)
		code = worse(code, parse_one(span_text(words[i]), 0));
	return code;
}

/* --- the command ------------------------------------------------------------------------------ */

static const struct subcommand {
	const char *name;
	enum config_command options;
	int (*run)(struct config *c, int n_words, char **words);
	void (*help)(void);
} subcommands[] = {
	{"make", CONFIG_TLSA_MAKE, run_make, make_help},
	{"match", CONFIG_TLSA_MATCH, run_match, match_help},
	{"parse", CONFIG_TLSA_PARSE, run_parse, parse_help},
};

static void help(void)
{
	fputs(make_usage, stdout);
	fputs(match_usage, stdout);
	fputs(parse_usage, stdout);
	puts("\n\"daneway tlsa make --help\" and its kind tell more.");
}

/* "-1 1 1 ab" is a record with a syntax error (F10), not an option. */
static const char *negative_record(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (argv[i][0] == '-' && argv[i][1] >= '0' && argv[i][1] <= '9')
			return argv[i];
	return NULL;
}

static int run(const struct subcommand *s, struct config *c, int argc, char **argv)
{
	struct err e;
	const char *negative = negative_record(argc, argv);
	int first;

	if (negative != NULL && s->run == run_parse)
		return parse_one(span_text(negative), 0);
	first = config_parse(c, argc, argv, s->options, false, &e);
	if (first < 0)
		return cli_fail(CLI_USAGE, "%s; see \"daneway tlsa %s --help\"", e.text, s->name);
	if (c->help) {
		s->help();
		return CLI_OK;
	}
	/* Only --connect looks anything up; a file that is named is read all the same. */
	if (c->connect != NULL || c->config != NULL) {
		int code = cli_configure(c);

		if (code != 0)
			return code;
	}
	return s->run(c, argc - first, argv + first);
}

int cli_tlsa(struct config *c, int argc, char **argv)
{
	struct err e;
	int first = config_parse(c, argc, argv, CONFIG_ANY, true, &e);

	if (first < 0)
		return cli_fail(CLI_USAGE, "%s; see \"daneway tlsa --help\"", e.text);
	if (c->help) {
		help();
		return flushed(CLI_OK);
	}
	if (first == argc)
		return cli_fail(CLI_USAGE, "make, match or parse? See \"daneway tlsa --help\"");
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++)
		if (strcmp(argv[first], subcommands[i].name) == 0)
			return flushed(run(&subcommands[i], c, argc - first, argv + first));
	return cli_fail(CLI_USAGE, "no command \"tlsa %s\"; see \"daneway tlsa --help\"",
			argv[first]);
}
