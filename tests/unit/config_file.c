#include "test.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "main/config/keys.h"

/* All problems of a text, each "LINE:COLUMN: text\n"; "" for a good one. */
static char *problems_of(const char *text, size_t n)
{
	struct config_problems p = {0};
	struct config_file *f = config_file_read("f", span_of(text, n), &p);
	char *words = config_problems_text(&p, "f");

	assert_true((f != NULL) == (p.total == 0));
	assert_true(p.n <= CONFIG_PROBLEMS_MAX && p.total >= p.n);
	config_file_free(f);
	config_problems_done(&p);
	return words;
}

static struct config_file *good(const char *text)
{
	struct config_problems p = {0};
	struct config_file *f = config_file_read("f", span_text(text), &p);
	_cleanup_(freep) char *words = config_problems_text(&p, "f");

	assert_string_equal(words, "");
	config_problems_done(&p);
	assert_non_null(f);
	return f;
}

static char *shown(const struct config_file *f)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	config_file_print(out, f);
	fclose(out);
	return text;
}

/* --- bad files -------------------------------------------------------------------------------- */

#define CERT "certificates: [{chain: /c, key: /k}]\n"
#define HOP  "\"smtp:[192.0.2.7]:25\""

static const struct {
	const char *text, *wanted;
} bad[] = {
	/* keys */
	{"listners: []\n", "f:1:1: no key `listners`: did you mean `listeners`?\n"},
	{"host-name: a\n", "f:1:1: no key `host-name`: did you mean `hostname`?\n"},
	{"queue:\n  lifetmie: 5d\n", "f:2:3: no key `lifetmie`: did you mean `lifetime`?\n"},
	{"retry: [5min]\n", "f:1:1: no key `retry` here: it belongs into `queue`\n"},
	{"queue: {threads: 1}\n",
	 "f:1:9: no key `threads` here: it stands at the left edge of the file\n"},
	{"colour: red\n", "f:1:1: no key `colour`\n"},
	{"threads: 1\nuser: x\nthreads: 2\n",
	 "f:3:1: `threads` stands here twice (first in line 1)\n"},
	{"domains:\n  Example.ORG: {next_hop: " HOP "}\n  example.org: {next_hop: " HOP "}\n",
	 "f:3:3: `example.org` stands in line 2 already, as `Example.ORG`\n"},
	{"domains: {example.org: {}}\n",
	 "f:1:24: `next_hop` is missing: \"smtp:[HOST]:PORT\", \"smtp:DOMAIN\", "
	 "\"lmtp:[HOST]:PORT\" or lmtp:unix:/PATH\n"},
	{"? [a]\n: b\n", "f:1:3: a key is a word, not a list or mapping\n"},
	/* YAML that is refused */
	{"user: &a x\n", "f:1:7: an anchor (&name): daneway.yaml has none; write the value out\n"},
	{"user: *a\n", "f:1:7: an alias (*name): daneway.yaml has none; write the value out\n"},
	{"user: !!str x\n", "f:1:7: a tag (!name): daneway.yaml has none; write the value out\n"},
	{"threads: !!int 1\n",
	 "f:1:10: a tag (!name): daneway.yaml has none; write the value out\n"},
	{"user: x\n---\nuser: y\n", "f:2:1: a second document (---): one file is one document\n"},
	{"%TAG ! tag:x,2026:\n---\nuser: x\n", "f:1:1: %TAG: daneway.yaml has no tags\n"},
	{"queue:\n\tlifetime: 5d\n",
	 "f:2:1: not YAML: found character that cannot start any token; there is a tab in the "
	 "indentation: YAML wants blanks\n"},
	{"listeners: [{mx: [::]:25}]\n", "f:1:19: not YAML: did not find expected node content; "
					 "quote an address that has brackets: "
					 "\"[2001:db8::1]:25\"\n"},
	{"user: \"x\n", "f:2:1: not YAML: found unexpected end of stream\n"},
	{"user: x\xff\n", "f:1:8: not UTF-8\n"},
	{"# \xc3\xa4\xc3\xb6\nuser: \xc3\xa4\x01\n", "f:2:8: a control character\n"},
	{"user: x\ry\n", "f:1:8: a control character\n"},
	{"user: x\xe2\x80\xa8y\n", "f:1:8: a line end that only YAML knows; use plain ones\n"},
	{"user: x\xe2\x80\xaey\n", "f:1:8: a mark that changes the order of what is shown\n"},
	{"user: \"x\\u0007\"\n", "f:1:7: a control character or a line end in a value\n"},
	{"user: \"x\\0y\"\n", "f:1:7: a control character or a line end in a value\n"},
	{"user: |\n  x\n  y\n", "f:1:7: a control character or a line end in a value\n"},
	{"a: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n", "f:1:19: nested too deep\n"},
	{"a: [[[[[[[[[[[[[[1]]]]]]]]]]]]]]\n", "f:1:1: no key `a`\n"},
	{"- a\n", "f:1:1: keys with values are wanted, such as \"hostname: mx1.hoster.example\"\n"},
	/* what YAML 1.1 reads otherwise */
	{"user: no\n", "f:1:7: user: no: YAML may take this for a boolean; put it in quotes\n"},
	{"user: 12_3\n", "f:1:7: user: 12_3: YAML may take this for a number; put it in quotes\n"},
	{"domains: {no: {next_hop: " HOP "}}\n",
	 "f:1:11: domains: no: YAML may take this for a boolean; put it in quotes\n"},
	{"sandbox: yes\n",
	 "f:1:10: sandbox: yes: write true; YAML readers disagree about \"yes\"\n"},
	{"sandbox: Off\n",
	 "f:1:10: sandbox: Off: write false; YAML readers disagree about \"Off\"\n"},
	{"sandbox: \"true\"\n",
	 "f:1:10: sandbox: true: in quotes it is a text; take the quotes away\n"},
	{"threads: \"1\"\n", "f:1:10: threads: 1: in quotes it is a text; take the quotes away\n"},
	{"threads: 010\n",
	 "f:1:10: threads: 010: a leading zero: YAML 1.1 reads it as octal; leave it out\n"},
	{"threads: 0x10\n", "f:1:10: threads: 0x10: decimal digits are wanted\n"},
	{"threads: 1_0\n", "f:1:10: threads: 1_0: \"_\" in a number; leave it out\n"},
	{"queue: {lifetime: 1:30}\n", "f:1:19: lifetime: 1:30: YAML 1.1 reads this as base 60; "
				      "write a number with its unit\n"},
	/* numbers */
	{"threads: 0\n", "f:1:10: threads: 0: 1 to 64 is allowed\n"},
	{"threads: 65\n", "f:1:10: threads: 65: 1 to 64 is allowed\n"},
	{"threads: -1\n", "f:1:10: threads: -1: a whole number is wanted\n"},
	{"threads: 1.5\n", "f:1:10: threads: 1.5: a whole number is wanted\n"},
	{"threads: 99999999999999999999\n", "f:1:10: threads: 99999999999999999999: too large\n"},
	{"threads:\n", "f:1:9: threads: the value is missing: a whole number\n"},
	{"threads: [1]\n", "f:1:10: threads: a whole number is wanted\n"},
	{"limits: {message_size: 10MB}\n", "f:1:24: message_size: 10MB: a size, such as 500k, 10M "
					   "or 2G is wanted (k, M, G are powers "
					   "of 1024)\n"},
	{"limits: {message_size: 5G}\n", "f:1:24: message_size: 5G: 64k to 4G is allowed\n"},
	{"limits: {message_size: 9223372036854775807G}\n",
	 "f:1:24: message_size: 9223372036854775807G: 64k to 4G is allowed\n"},
	{"queue: {lifetime: 5}\n",
	 "f:1:19: lifetime: 5: the unit is missing: 5s, 5min, 5h or 5d?\n"},
	{"queue: {lifetime: 5m}\n", "f:1:19: lifetime: 5m: minutes are \"min\"\n"},
	{"queue: {lifetime: 31d}\n", "f:1:19: lifetime: 31d: 1min to 30d is allowed\n"},
	{"queue: {lifetime: 9223372036854775807w}\n",
	 "f:1:19: lifetime: 9223372036854775807w: 1min to 30d is allowed\n"},
	{"queue: {retry: []}\n", "f:1:16: retry: at least one time is wanted\n"},
	{"queue: {retry: 1h}\n",
	 "f:1:16: retry: a list is wanted: [...], or lines that begin with \"-\"\n"},
	{"queue: {dane_lifetime: 6d}\n", "f:1:24: dane_lifetime: longer than lifetime\n"},
	/* texts, paths, names, addresses */
	{"user: \"\"\n", "f:1:7: user: a text is wanted, not nothing\n"},
	{"state: var/lib\n", "f:1:8: state: var/lib: a path that begins with / is wanted\n"},
	{"hostname: 192.0.2.1\n",
	 "f:1:11: hostname: 192.0.2.1: YAML may take this for a number; put it in quotes\n"},
	{"hostname: \"[192.0.2.1]\"\n",
	 "f:1:11: hostname: [192.0.2.1]: a name is wanted, not an address\n"},
	{"metrics: {listen: 192.0.2.1}\n",
	 "f:1:19: listen: 192.0.2.1: the port is missing: \"192.0.2.1\":25\n"},
	{"metrics: {listen: \"::1\"}\n",
	 "f:1:19: listen: ::1: the port is missing: \"[::1]\":25\n"},
	{"metrics: {listen: \"::1:25\"}\n",
	 "f:1:19: listen: ::1:25: the port is missing: \"[::1:25]\":25\n"},
	{"metrics: {listen: \"localhost:25\"}\n", "f:1:19: listen: localhost:25: not an address: "
						  "\"192.0.2.1:25\" or \"[2001:db8::1]:25\" is "
						  "wanted\n"},
	{"metrics: {listen: \"192.0.2.1:65536\"}\n",
	 "f:1:19: listen: 192.0.2.1:65536: \"65536\" is no port (1 to 65535)\n"},
	{"metrics: {listen: \"[::1]25\"}\n",
	 "f:1:19: listen: [::1]25: the port is missing: \"192.0.2.1:25\", \"[::]:25\"\n"},
	{"metrics: {listen: \":25\"}\n",
	 "f:1:19: listen: :25: not an address: \"192.0.2.1:25\" or \"[2001:db8::1]:25\" is "
	 "wanted\n"},
	{"domains: {a.example: {next_hop: \"smtp:192.0.2.7\"}}\n",
	 "f:1:33: next_hop: smtp:192.0.2.7: an address stands in brackets: \"smtp:[192.0.2.7]\"\n"},
	{"domains: {a.example: {next_hop: \"lmtp:a.example\"}}\n",
	 "f:1:33: next_hop: lmtp:a.example: LMTP has no MX lookup: \"lmtp:[HOST]:24\" or "
	 "lmtp:unix:/PATH is wanted\n"},
	{"domains: {a.example: {next_hop: \"[a.example]:25\"}}\n",
	 "f:1:33: next_hop: [a.example]:25: \"smtp:[HOST]:PORT\", \"smtp:DOMAIN\", "
	 "\"lmtp:[HOST]:PORT\" or lmtp:unix:/PATH is wanted\n"},
	{"outbound: {next_hop: \"lmtp:[a.example]\"}\n",
	 "f:1:22: next_hop: mail to the world goes by SMTP\n"},
	{"outbound: {mode: mandatry}\n", "f:1:18: mode: mandatry: one of opportunistic, mandatory, "
					 "none is wanted\n"},
	{"dns: {forward: [a.example]}\n",
	 "f:1:17: forward: a.example: ADDR or ADDR@PORT is wanted\n"},
	{"dns: {forward: [192.0.2.1], root_hints: /x}\n",
	 "f:1:16: forward and root_hints exclude each other\n"},
	/* listeners: no open relay by any spelling */
	{CERT "listeners: [{tls: required}]\n",
	 "f:2:13: a listener is either `mx` or `relay`: one of them is missing\n"},
	{CERT "listeners: [{mx: \"[::]:25\", relay: \"[::]:26\"}]\n",
	 "f:2:13: a listener is either `mx` or `relay`, not both\n"},
	{CERT "listeners: [{relay: \"[::]:25\"}]\n",
	 "f:2:13: a relay names its clients: `networks`, `fingerprints` or `passwords`\n"},
	{CERT "listeners: [{relay: \"[::]:25\", networks: []}]\n",
	 "f:2:13: a relay names its clients: `networks`, `fingerprints` or `passwords`\n"},
	{CERT "listeners: [{mx: \"[::]:25\", networks: [10.0.0.0/8]}]\n",
	 "f:2:13: networks, fingerprints and passwords are for `relay`: anyone may use `mx`\n"},
	{CERT "listeners: [{relay: \"[::]:25\", networks: [0.0.0.0/0]}]\n",
	 "f:2:42: networks: a /0 would be an open relay; /8 is the widest\n"},
	{CERT "listeners: [{relay: \"[::]:25\", networks: [128.0.0.0/7]}]\n",
	 "f:2:42: networks: a /7 would be an open relay; /8 is the widest\n"},
	{CERT "listeners: [{relay: \"[::]:25\", networks: [\"::/0\"]}]\n",
	 "f:2:42: networks: a /0 would be an open relay; /7 is the widest\n"},
	{CERT "listeners: [{relay: \"[::]:25\", networks: [\"::ffff:0:0/96\"]}]\n",
	 "f:2:43: networks: ::ffff:0:0/96: write an IPv4 network as IPv4: 192.0.2.0/24\n"},
	{CERT "listeners: [{relay: \"[::]:25\", networks: [192.0.2.1/24]}]\n",
	 "f:2:43: networks: 192.0.2.1/24: bits are set behind the first 24: is a host meant "
	 "(/32)?\n"},
	{CERT "listeners: [{relay: \"[::]:25\", networks: [192.0.2.0/33]}]\n",
	 "f:2:43: networks: 192.0.2.0/33: 0 to 32 is wanted behind the \"/\"\n"},
	{CERT "listeners: [{relay: \"[::]:25\", tls: none, passwords: /p}]\n",
	 "f:2:13: passwords and fingerprints want TLS: not `tls: none`\n"},
	{CERT "listeners: [{relay: \"[::]:25\", fingerprints: [\"00\"]}]\n",
	 "f:2:47: fingerprints: 00: 64 hexadecimal digits are wanted (SHA-256)\n"},
	{CERT "listeners: [{mx: \"[::]:25\"}, {mx: \"[0::0]:25\"}]\n",
	 "f:2:30: [::]:25 is listened on twice\n"},
	{"listeners: [{mx: \"[::]:25\"}]\n",
	 "f:1:13: this listener offers TLS, and there are no `certificates` (without TLS: `tls: "
	 "none`)\n"},
	/* policy */
	{"domains: {a.example: {next_hop: " HOP ", tls: dane}}\n",
	 "f:1:61: tls: DANE wants a next hop with a name, not an address\n"},
	{"domains: {a.example: {next_hop: \"lmtp:unix:/x\", tls: encrypt}}\n",
	 "f:1:54: tls: a Unix socket has no TLS\n"},
	{"outbound: {destinations: {a.example: {mode: none, owner: x, until: 2026-12-31}}}\n",
	 "f:1:38: mode: none is weaker than opportunistic: an exception wants `owner`, `reason` "
	 "and "
	 "`until`, and `reason` is missing\n"},
	{"outbound: {mode: mandatory, destinations: {a.example: {mode: opportunistic}}}\n",
	 "f:1:55: mode: opportunistic is weaker than mandatory: an exception wants `owner`, "
	 "`reason` "
	 "and `until`, and `owner` is missing\n"},
	{"outbound: {destinations: {a.example: {until: 2026-04-31}}}\n",
	 "f:1:46: until: 2026-04-31: there is no such day\n"},
	{"outbound: {destinations: {a.example: {until: 31.12.2026}}}\n",
	 "f:1:46: until: 31.12.2026: a day is wanted, such as 2026-12-31\n"},
	/* several at once, in the order of the file */
	{"sandbox: on\nthreads: 0\nusr: x\n",
	 "f:1:10: sandbox: on: write true; YAML readers disagree about \"on\"\n"
	 "f:2:10: threads: 0: 1 to 64 is allowed\n"
	 "f:3:1: no key `usr`: did you mean `user`?\n"},
};

static void bad_files(void **state)
{
	size_t failures = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(freep) char *words = problems_of(bad[i].text, strlen(bad[i].text));

		if (strcmp(words, bad[i].wanted) == 0)
			continue;
		failures++;
		print_error("%s\twanted: %s\tfound:  %s", bad[i].text, bad[i].wanted, words);
	}
	assert_int_equal(failures, 0);
}

/* --- good files ------------------------------------------------------------------------------- */

static void good_files(void **state)
{
	static const char *const texts[] = {
		"",
		"# nothing\n",
		"---\n",
		"\xef\xbb\xbfuser: x\n",
		"user: x\r\nthreads: 2\r\n",
		"queue:\n",
		"domains:\nlisteners:\n",
		"user: 'no'\n",
		"domains: {'no': {next_hop: \"smtp:[::1]\"}}\n",
		"domains: {a.example: {next_hop: \"smtp:[IPv6:2001:DB8::1]:2525\"}}\n",
		"domains: {a.example: {next_hop: \"smtp:Relay.Example:587\", tls: dane-only}}\n",
		"queue: {retry: [1s, 2min, 3h, 4d, 1w], delay_notice: 0}\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		config_file_free(good(texts[i]));
}

static const char gateway[] =
	"hostname: MX1.hoster.example\n" CERT "listeners:\n"
	"  - {mx: \"[::]:25\", proxy: [10.0.0.7]}\n"
	"  - {relay: \"192.0.2.1:587\", tls: required, passwords: /p, networks: [192.0.2.0/24]}\n"
	"  - {relay: \"systemd:submit\", fingerprints: [\"" /* 64 digits, as OpenSSL prints them */
	"9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:"
	"0A:08\"]}\n"
	"domains:\n"
	"  z.example: {next_hop: \"lmtp:unix:/run/lmtp\"}\n"
	"  b\xc3\xbc"
	"cher.example: {next_hop: \"smtp:[192.0.2.7]\", verify: data}\n"
	"  a.example: {next_hop: \"lmtp:[Behind.example]\", tls: encrypt}\n"
	"outbound:\n"
	"  destinations:\n"
	"    old.example: {mode: none, owner: x, reason: why, until: 2026-02-28}\n"
	"    strict.example: {mode: mandatory}\n"
	"    plain.example: {next_hop: \"smtp:relay.example\"}\n"
	"queue: {retry: [90s, 1h], lifetime: 48h, dane_lifetime: 24h, free_space: 1536k}\n";

static void values(void **state)
{
	struct config_file *f = good(gateway);
	const struct config_destination *d;

	(void)state;
	assert_string_equal(f->hostname, "mx1.hoster.example");
	assert_int_equal(f->listeners.n, 3);
	assert_true(f->listeners.items[0].is_mx);
	assert_string_equal(f->listeners.items[0].at.name, "::");
	assert_int_equal(f->listeners.items[0].at.port, 25);
	assert_int_equal(f->listeners.items[1].tls, CONFIG_TLS_IN_REQUIRED);
	assert_int_equal(f->listeners.items[2].at.kind, CONFIG_ENDPOINT_SYSTEMD);
	assert_string_equal(f->listeners.items[2].at.name, "submit");
	assert_string_equal(f->listeners.items[2].fingerprints.items[0],
			    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
	assert_int_equal(f->domains.n, 3);
	assert_string_equal(f->domains.items[0].name, "a.example");
	assert_int_equal(f->domains.items[0].next_hop.protocol, CONFIG_HOP_LMTP);
	assert_int_equal(f->domains.items[0].next_hop.kind, CONFIG_HOP_HOST);
	assert_string_equal(f->domains.items[0].next_hop.name, "behind.example");
	assert_int_equal(f->domains.items[0].next_hop.port, 24);
	assert_int_equal(config_file_domain(f, "xn--bcher-kva.example")->verify,
			 CONFIG_VERIFY_DATA);
	assert_string_equal(config_file_domain(f, "z.example")->next_hop.name, "/run/lmtp");
	assert_null(config_file_domain(f, "y.example"));
	d = config_file_destination(f, "old.example");
	assert_int_equal(d->mode, DANE_MODE_NONE);
	assert_int_equal(d->until, 1772323200); /* 2026-03-01T00:00:00Z */
	assert_true(config_destination_holds(d, 1772323199));
	assert_false(config_destination_holds(d, 1772323200));
	assert_int_equal(config_file_destination(f, "strict.example")->mode, DANE_MODE_MANDATORY);
	assert_int_equal(config_file_destination(f, "plain.example")->mode,
			 DANE_MODE_OPPORTUNISTIC);
	assert_int_equal(f->queue.retry.n, 2);
	assert_int_equal(f->queue.retry.items[0], 90 * USEC_PER_SEC);
	assert_int_equal(f->queue.free_space, 1536 * 1024);
	assert_string_equal(f->queue.directory, "/var/lib/daneway/queue");
	config_file_free(f);
}

static void networks(void **state)
{
	static const struct {
		const char *list;
		uint8_t address[16];
		size_t n;
		bool in;
	} cases[] = {
		{"[192.0.2.0/24]", {192, 0, 2, 255}, 4, true},
		{"[192.0.2.0/24]", {192, 0, 3, 0}, 4, false},
		{"[192.0.2.128/25]", {192, 0, 2, 127}, 4, false},
		{"[192.0.2.128/25]", {192, 0, 2, 128}, 4, true},
		{"[192.0.2.1]", {192, 0, 2, 1}, 4, true},
		{"[192.0.2.1]", {192, 0, 2, 0}, 4, false},
		{"[192.0.2.0/24]", {[10] = 0xff, 0xff, 192, 0, 2, 9}, 16, true}, /* mapped */
		{"[192.0.2.0/24]", {192, 0, 2, 9}, 16, false},                   /* c000:209:: */
		{"[\"2001:db8::/33\"]", {0x20, 1, 0xd, 0xb8, 0x7f}, 16, true},
		{"[\"2001:db8::/33\"]", {0x20, 1, 0xd, 0xb8, 0x80}, 16, false},
		{"[\"2001:db8::/32\"]", {0x20, 1, 0xd, 0xb8}, 4, false},
		{"[10.0.0.0/8, \"::1\"]", {[15] = 1}, 16, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[200];
		struct config_file *f;

		snprintf(text, sizeof(text),
			 CERT "listeners: [{relay: \"[::]:25\", networks: %s}]\n", cases[i].list);
		f = good(text);
		assert_int_equal(config_networks_have(&f->listeners.items[0].networks,
						      span_of(cases[i].address, cases[i].n)),
				 cases[i].in);
		config_file_free(f);
	}
}

/* --- the table -------------------------------------------------------------------------------- */

/* What --show prints is read again to the same. */
static void shown_is_read_again(void **state)
{
	static const char *const texts[] = {"", gateway,
					    "user: \"a \\\"b\\\\ #\"\nstate: \"/x: y\"\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct config_file *f = good(texts[i]), *again;
		_cleanup_(freep) char *once = shown(f), *twice = NULL;

		again = good(once);
		twice = shown(again);
		assert_string_equal(once, twice);
		assert_null(config_file_needs_restart(NULL, f, again));
		config_file_free(f);
		config_file_free(again);
	}
}

/* --defaults is a file that says what an empty one says. */
static void defaults_are_defaults(void **state)
{
	struct config_file *nothing = good(""), *defaults;
	_cleanup_(freep) char *text = NULL, *a = NULL, *b = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	config_file_print_defaults(out);
	fclose(out);
	defaults = good(text);
	a = shown(nothing);
	b = shown(defaults);
	assert_string_equal(a, b);
	config_file_free(nothing);
	config_file_free(defaults);
}

/* Every key: help, an example or a default that is read, no bytes shared with another key. */
static void check_section(const struct config_section *s, unsigned depth)
{
	_cleanup_(freep) uint8_t *taken = xcalloc(1, s->size);

	assert_true(depth < 5);
	for (size_t i = 0; i < s->n; i++) {
		const struct config_key *k = &s->keys[i];
		size_t size =
			k->many == CONFIG_ONE ? config_type_size(k) : sizeof(struct config_array);
		struct config_problems p = {0};
		struct arena a = {0};
		struct config_node *n;

		assert_true(k->help != NULL && k->help[0] != '\0' && strchr(k->help, '\n') == NULL);
		assert_true(k->offset + size <= s->size);
		for (size_t b = 0; b < size; b++)
			assert_int_equal(taken[k->offset + b]++, 0);
		assert_int_equal(k->type == CONFIG_TYPE_WORD, k->words != NULL);
		assert_int_equal(k->type == CONFIG_TYPE_SECTION, k->section != NULL);
		assert_true(k->many != CONFIG_LIST || k->most > 0);
		if (k->type == CONFIG_TYPE_SECTION) {
			check_section(k->section, depth + 1);
			continue;
		}
		assert_true(k->example != NULL || k->standard != NULL);
		n = config_tree_read(&a, span_text(k->example ? k->example : k->standard), &p);
		assert_non_null(n);
		if (k->many == CONFIG_LIST)
			n = n->first;
		for (; n != NULL; n = n->next) {
			max_align_t value[16];
			struct err e;

			assert_true(size <= sizeof(value));
			assert_int_equal(config_value_set(&a, k, n->text, n->quoted, value, &e), 0);
		}
		arena_done(&a);
		config_problems_done(&p);
	}
}

static void table(void **state)
{
	(void)state;
	check_section(&config_top, 0);
}

static void restart(void **state)
{
	static const struct {
		const char *a, *b, *key;
	} cases[] = {
		{"threads: 1\n", "threads: 2\n", "threads"},
		{"", "queue: {directory: /x}\n", "queue.directory"},
		{"", "state: /x\n", "state"},
		{"", "dns: {forward: [192.0.2.1]}\n", "dns.forward"},
		{"", "limits: {errors: 5}\n", NULL},
		{"", "domains: {a.example: {next_hop: " HOP "}}\n", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config_file *a = good(cases[i].a), *b = good(cases[i].b);
		struct arena names = {0};
		const char *key = config_file_needs_restart(&names, a, b);

		assert_int_equal(key == NULL, cases[i].key == NULL);
		if (key != NULL)
			assert_string_equal(key, cases[i].key);
		arena_done(&names);
		config_file_free(a);
		config_file_free(b);
	}
}

/* --- bounds ----------------------------------------------------------------------------------- */

/* At every byte: a cut, and another byte. Nothing but words comes of it. */
static void cut_everywhere(void **state)
{
	_cleanup_(freep) char *copy = xstrdup(gateway);

	(void)state;
	for (size_t i = 0; i < sizeof(gateway); i++) {
		/* A copy of its own, so that a sanitizer sees a read past the cut. */
		_cleanup_(freep) char *cut = xstrndup(gateway, i);
		char was = copy[i];

		free(problems_of(cut, i));
		if (was == '\0')
			break;
		copy[i] = "\x01\xff[{:&*!\t\n\""[i % 11];
		free(problems_of(copy, sizeof(gateway) - 1));
		copy[i] = was;
	}
}

/* `n` lines behind a first one, numbered between `before` and `after`. */
static void fill(struct buf *b, const char *first, const char *before, unsigned n,
		 const char *after)
{
	buf_init(b, 64 * 1024 * 1024);
	assert_int_equal(buf_add_text(b, first), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(buf_printf(b, "%s%06u%s\n", before, i, after), 0);
}

/* Many wrong keys: the first twenty are told, the others counted; in bounded time. */
static void many_problems(void **state)
{
	_cleanup_(freep) char *words = NULL;
	struct buf b;

	(void)state;
	fill(&b, "", "wrong_", 200000, ": 1");
	words = problems_of((const char *)b.p, b.n);
	assert_non_null(strstr(words, "f:20:1: no key `wrong_000019`\nf: and 199980 more\n"));
	buf_done(&b);
}

static void large_files(void **state)
{
	_cleanup_(freep) char *words = NULL;
	struct config_problems p = {0};
	struct config_file *f;
	struct buf b;

	(void)state;
	fill(&b, "domains:\n", "  d", 100000, ".example: {next_hop: \"smtp:[192.0.2.7]:25\"}");
	f = config_file_read("f", buf_span(&b), &p);
	assert_non_null(f);
	assert_int_equal(f->domains.n, 100000);
	assert_non_null(config_file_domain(f, "d099999.example"));
	config_file_free(f);
	buf_done(&b);
	/* One value more than may be: the list is one, too. */
	fill(&b, "", "- x", CONFIG_NODES_MAX, "");
	words = problems_of((const char *)b.p, b.n);
	assert_string_equal(words, "f:1000000:3: too many values\n");
	buf_done(&b);
}

static void too_large(void **state)
{
	_cleanup_(freep) char *text = xmalloc(CONFIG_TEXT_MAX + 1), *at = NULL, *over = NULL;

	(void)state;
	memset(text, '\n', CONFIG_TEXT_MAX + 1);
	at = problems_of(text, CONFIG_TEXT_MAX);
	assert_string_equal(at, "");
	over = problems_of(text, CONFIG_TEXT_MAX + 1);
	assert_string_equal(over, "f: larger than 16777216 bytes\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_files),
		cmocka_unit_test(good_files),
		cmocka_unit_test(values),
		cmocka_unit_test(networks),
		cmocka_unit_test(shown_is_read_again),
		cmocka_unit_test(defaults_are_defaults),
		cmocka_unit_test(table),
		cmocka_unit_test(restart),
		cmocka_unit_test(cut_everywhere),
		cmocka_unit_test(many_problems),
		cmocka_unit_test(large_files),
		cmocka_unit_test(too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
