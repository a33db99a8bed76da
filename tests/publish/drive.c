/*
 * Makes one change by one publisher, reads it back, and prints what came of both as JSON.
 *
 *     publish_drive < request.json
 *
 * {"zone", "sets": [{"owner", "type", "ttl", "rdata": [HEX], "was": [HEX]}],
 *  "rfc2136": {"address", "key": FILE, "timeout": SECONDS, "clock": SECONDS ahead},
 *  "readback": {"servers": [ADDRESS], "root_hints", "trust_anchor"}}; each part may be absent.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/js.h"
#include "edge/dns/resolver.h"
#include "edge/io/read.h"
#include "edge/publish/readback.h"
#include "edge/publish/rfc2136.h"

usec_t __real_io_unix_now(void);
usec_t __wrap_io_unix_now(void);

static struct io_loop *loop;
static struct arena arena;
static struct js *request, *answer;
static struct publish_change change;
static struct dns_direct *direct;
static struct dns_resolver *resolver;
static usec_t ahead;

usec_t __wrap_io_unix_now(void)
{
	return __real_io_unix_now() + ahead;
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "publish_drive: %s: %s\n", what, why);
	exit(70);
}

static struct span *records(const struct js *list)
{
	struct span *all = arena_calloc(&arena, js_count(list), sizeof(*all));

	for (size_t i = 0; i < js_count(list); i++)
		if (hex_decode(&arena, span_text(js_text(js_at(list, i))), &all[i]) < 0)
			die("rdata", "no hexadecimal text");
	return all;
}

static void read_change(void)
{
	const struct js *list = js_get(request, "sets");
	struct publish_set *sets = arena_calloc(&arena, js_count(list), sizeof(*sets));

	for (size_t i = 0; i < js_count(list); i++) {
		const struct js *j = js_at(list, i), *was = js_get(j, "was");

		sets[i] = (struct publish_set){
			.owner = js_text(js_get(j, "owner")),
			.type = dns_type_from_text(js_text(js_get(j, "type"))),
			.ttl = (uint32_t)js_int(js_get(j, "ttl"), 0),
			.rdata = records(js_get(j, "rdata")),
			.n = js_count(js_get(j, "rdata")),
			.guarded = was != NULL,
			.was = records(was),
			.n_was = js_count(was),
		};
	}
	change = (struct publish_change){js_text(js_get(request, "zone")), sets, js_count(list)};
}

/* --- reading back ----------------------------------------------------------------------------- */

static void on_sights(void *arg, const struct publish_sight *sights, size_t n)
{
	const struct js *servers = js_get(js_get(request, "readback"), "servers");
	struct js *list = js_array();

	(void)arg;
	for (size_t i = 0; i < n; i++) {
		struct js *j = js_object();

		js_set_text(j, "owner", change.sets[i / js_count(servers)].owner);
		js_set_text(j, "server", js_text(js_at(servers, i % js_count(servers))));
		js_set_text(j, "seen", publish_seen_to_string(sights[i].seen));
		js_set_int(j, "ttl", sights[i].ttl);
		js_set_text(j, "detail", sights[i].detail);
		js_push(list, j);
	}
	js_set(answer, "sights", list);
	io_loop_stop(loop);
}

static void on_keys(void *arg, const struct dane_answer *keys)
{
	const struct js *servers = js_get(js_get(request, "readback"), "servers");
	const char *addresses[PUBLISH_SERVERS_MAX];
	struct publish_readback_config c = {.change = &change,
					    .servers = addresses,
					    .n_servers = js_count(servers),
					    .keys = keys->records,
					    .n_keys = keys->n_records,
					    .timeout = usec_seconds(1)};
	struct err e;

	(void)arg;
	js_set_text(answer, "keys", dane_security_to_string(keys->security));
	if (keys->security != DANE_SECURE)
		c.n_keys = 0;
	for (size_t i = 0; i < c.n_servers; i++)
		addresses[i] = js_text(js_at(servers, i));
	if (publish_readback_start(direct, &c, on_sights, NULL, &e) == NULL)
		die("readback", e.text);
}

static void read_back(void)
{
	const struct js *j = js_get(request, "readback");
	struct dns_config config = {.root_hints = js_text(js_get(j, "root_hints")),
				    .trust_anchor = js_text(js_get(j, "trust_anchor")),
				    .timeout = usec_seconds(5)};
	struct err e;

	if (j == NULL) {
		io_loop_stop(loop);
		return;
	}
	direct = dns_direct_new(loop, 16);
	resolver = dns_resolver_new(loop, &config, &e);
	if (resolver == NULL)
		die("resolver", e.text);
	dns_resolver_ask(resolver, change.zone, DNS_TYPE_DNSKEY, on_keys, NULL);
}

/* --- publishing ------------------------------------------------------------------------------- */

static void on_result(void *arg, const struct publish_result *result)
{
	(void)arg;
	js_set_text(answer, "outcome", publish_outcome_to_string(result->outcome));
	js_set_text(answer, "words", result->words);
	ahead = 0;
	read_back();
}

static struct buf read_file(const char *path)
{
	struct buf b;
	int fd = path == NULL ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);

	buf_init(&b, 1 << 20);
	if (fd < 0 || io_read_all(fd, &b) < 0)
		die(path != NULL ? path : "stdin", "cannot be read");
	if (path != NULL)
		close(fd);
	return b;
}

static struct publish *rfc2136(const struct js *j)
{
	struct buf text = read_file(js_text(js_get(j, "key")));
	struct publish_key key;
	struct publish_rfc2136 config = {.address = js_text(js_get(j, "address")),
					 .key = &key,
					 .timeout = usec_seconds(js_int(js_get(j, "timeout"), 5))};
	struct publish *p;
	struct err e;

	if (publish_key_parse(buf_span(&text), &key, &e) < 0)
		die("key", e.text);
	ahead = usec_seconds(js_int(js_get(j, "clock"), 0));
	p = publish_rfc2136_new(loop, &config);
	publish_key_done(&key);
	buf_done(&text);
	return p;
}

int main(void)
{
	struct buf in = read_file(NULL);
	struct publish *p = NULL;
	struct err e;

	loop = io_loop_new();
	request = js_parse(buf_span(&in), &e);
	buf_done(&in);
	if (request == NULL)
		die("request", e.text);
	answer = js_object();
	read_change();
	if (js_get(request, "rfc2136") != NULL)
		p = rfc2136(js_get(request, "rfc2136"));
	if (p != NULL)
		publish_change(p, &change, on_result, NULL);
	else
		read_back();
	io_loop_run(loop);
	if (js_write(answer, stdout, 0) < 0)
		die("stdout", "cannot be written");
	publish_free(p);
	dns_direct_free(direct);
	dns_resolver_free(resolver);
	js_free(answer);
	js_free(request);
	arena_done(&arena);
	io_loop_free(loop);
	return 0;
}
