#include "edge/publish/tsig.h"

#include <errno.h>

#include "base/base64.h"
#include "edge/dns/message.h"

enum {
	TYPE_TSIG = 250,
	CLASS_ANY = 255,
};

static const struct {
	const char *name;
	enum tls_digest digest;
} algorithms[] = {
	{"hmac-sha256", TLS_SHA256},
	{"hmac-sha512", TLS_SHA512},
};

static const char *algorithm_name(enum tls_digest digest)
{
	return algorithms[digest == TLS_SHA512].name;
}

/* --- the key file ----------------------------------------------------------------------------- */

struct words {
	struct span in;
	bool failed; /* a comment or a quotation without an end */
};

static void skip_to(struct words *w, const char *end)
{
	size_t n = strlen(end);

	while (w->in.n >= n && memcmp(w->in.p, end, n) != 0)
		w->in = span_skip(w->in, 1);
	if (w->in.n < n && end[0] != '\n')
		w->failed = true;
	w->in = span_skip(w->in, n);
}

static bool begins(const struct words *w, const char *text)
{
	size_t n = strlen(text);

	return w->in.n >= n && memcmp(w->in.p, text, n) == 0;
}

static void skip_blank(struct words *w)
{
	for (;;) {
		if (w->in.n > 0 && memchr(" \t\r\n", w->in.p[0], 4) != NULL)
			w->in = span_skip(w->in, 1);
		else if (begins(w, "/*"))
			skip_to(w, "*/");
		else if (begins(w, "#") || begins(w, "//"))
			skip_to(w, "\n");
		else
			return;
	}
}

/* The next word, quoted or not, or one of "{", "}", ";"; empty at the end. */
static struct span next_word(struct words *w)
{
	struct span word;
	size_t n = 0;

	skip_blank(w);
	if (w->in.n > 0 && w->in.p[0] == '"') {
		w->in = span_skip(w->in, 1);
		word = w->in;
		skip_to(w, "\"");
		if (w->failed)
			return span_of(NULL, 0);
		return span_of(word.p, (size_t)(w->in.p - word.p) - 1);
	}
	while (n < w->in.n && memchr(" \t\r\n{};\"#", w->in.p[n], 9) == NULL)
		n++;
	if (n == 0 && w->in.n > 0)
		n = 1;
	word = span_of(w->in.p, n);
	w->in = span_skip(w->in, n);
	return word;
}

static bool expect(struct words *w, const char *text)
{
	return span_is_nocase(next_word(w), text) && !w->failed;
}

static int read_algorithm(struct span word, struct publish_key *ret, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		if (span_is_nocase(word, algorithms[i].name)) {
			ret->digest = algorithms[i].digest;
			return 0;
		}
	}
	return err_set(e, -EINVAL, "the key's algorithm must be hmac-sha256 or hmac-sha512");
}

static int read_secret(struct span word, struct publish_key *ret, struct err *e)
{
	struct buf b;
	bool good;

	buf_init(&b, PUBLISH_SECRET_MAX);
	good = base64_decode(word, &b);
	if (good) {
		memcpy(ret->secret, b.p, b.n);
		ret->secret_n = b.n;
	}
	if (b.p != NULL)
		explicit_bzero(b.p, b.room);
	buf_done(&b);
	if (!good)
		return err_set(e, -EINVAL, "the key's secret is no base64, or above %d octets",
			       PUBLISH_SECRET_MAX);
	if (ret->secret_n < PUBLISH_SECRET_MIN)
		return err_set(e, -EINVAL, "the key's secret has under %d octets",
			       PUBLISH_SECRET_MIN);
	return 0;
}

static int read_name(struct span word, struct publish_key *ret, struct err *e)
{
	struct arena a = {0};
	const char *name;
	int error = -EINVAL;

	if (word.n == 0 || word.n > DANE_NAME_TEXT_MAX || memchr(word.p, 0, word.n) != NULL ||
	    dane_name_from_text(&a, arena_text(&a, word), &name, NULL) < 0)
		err_set(e, error, "the key has no name that is a domain name");
	else {
		memcpy(ret->name, name, strlen(name) + 1);
		error = 0;
	}
	arena_done(&a);
	return error;
}

static int parse_key(struct words *w, struct publish_key *ret, struct err *e)
{
	bool algorithm = false, secret = false;
	int error;

	if (!expect(w, "key"))
		return err_set(e, -EINVAL, "the file does not begin with: key \"NAME\" {");
	error = read_name(next_word(w), ret, e);
	if (error < 0)
		return error;
	if (!expect(w, "{"))
		return err_set(e, -EINVAL, "\"{\" is missing after the key's name");
	for (int i = 0; i < 2; i++) {
		struct span word = next_word(w);
		bool *seen = span_is_nocase(word, "algorithm") ? &algorithm : &secret;

		if ((seen == &secret && !span_is_nocase(word, "secret")) || *seen)
			return err_set(e, -EINVAL,
				       "a key has one \"algorithm\" and one \"secret\"");
		*seen = true;
		word = next_word(w);
		error = seen == &secret ? read_secret(word, ret, e) : read_algorithm(word, ret, e);
		if (error < 0)
			return error;
		if (!expect(w, ";"))
			return err_set(e, -EINVAL, "\";\" is missing");
	}
	if (!expect(w, "}") || !expect(w, ";") || next_word(w).n > 0 || w->failed)
		return err_set(e, -EINVAL, "the file does not end with \"};\" after one key");
	return 0;
}

int publish_key_parse(struct span text, struct publish_key *ret, struct err *e)
{
	struct words w = {.in = text};
	int error;

	*ret = (struct publish_key){0};
	error = text.n > PUBLISH_KEY_FILE_MAX ? err_set(e, -EINVAL, "no key file: too long")
					      : parse_key(&w, ret, e);
	if (error < 0)
		publish_key_done(ret);
	return error;
}

void publish_key_done(struct publish_key *k)
{
	explicit_bzero(k, sizeof(*k));
}

/* --- signing ---------------------------------------------------------------------------------- */

/* Within buffers that have their room. */
static void add(struct buf *b, const void *p, size_t n)
{
	require(buf_add(b, p, n) == 0);
}

static void add_u16(struct buf *b, unsigned v)
{
	add(b, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static void add_u48(struct buf *b, int64_t v)
{
	for (int shift = 40; shift >= 0; shift -= 8)
		add(b, (uint8_t[]){(uint8_t)(v >> shift)}, 1);
}

static void add_name(struct buf *b, const char *name)
{
	uint8_t wire[DANE_NAME_WIRE_MAX];
	size_t n = dane_name_to_wire(name, wire);

	require(n > 0);
	add(b, wire, n);
}

/* The fields of a TSIG record that are signed (RFC 8945 section 4.3.3). */
struct variables {
	int64_t time;
	uint16_t fudge, error;
	struct span other;
};

/* `request`: of an answer, what its question was signed with. */
static void compute(const struct publish_key *key, const struct publish_mac *request,
		    struct span message, const struct variables *v, struct publish_mac *ret)
{
	struct buf b;

	buf_init(&b, 2 + TLS_HMAC_MAX + message.n + PUBLISH_TSIG_MAX + v->other.n);
	if (request != NULL) {
		add_u16(&b, (unsigned)request->n);
		add(&b, request->octets, request->n);
	}
	add(&b, message.p, message.n);
	add_name(&b, key->name);
	add_u16(&b, CLASS_ANY);
	add(&b, (uint8_t[4]){0}, 4); /* TTL */
	add_name(&b, algorithm_name(key->digest));
	add_u48(&b, v->time);
	add_u16(&b, v->fudge);
	add_u16(&b, v->error);
	add_u16(&b, (unsigned)v->other.n);
	add(&b, v->other.p, v->other.n);
	ret->n = tls_hmac(key->digest, span_of(key->secret, key->secret_n), buf_span(&b),
			  ret->octets);
	buf_done(&b);
}

int publish_tsig_sign(struct buf *message, const struct publish_key *key, int64_t now,
		      struct publish_mac *ret)
{
	struct variables v = {now, PUBLISH_FUDGE, 0, {NULL, 0}};
	unsigned n_additional;
	uint8_t id[2];
	size_t at;

	require(message->n >= 12);
	memcpy(id, message->p, 2);
	if (message->max - message->n < PUBLISH_TSIG_MAX)
		return -EMSGSIZE;
	compute(key, NULL, buf_span(message), &v, ret);
	add_name(message, key->name);
	add_u16(message, TYPE_TSIG);
	add_u16(message, CLASS_ANY);
	add(message, (uint8_t[4]){0}, 4);
	at = message->n;
	add_u16(message, 0);
	add_name(message, algorithm_name(key->digest));
	add_u48(message, now);
	add_u16(message, PUBLISH_FUDGE);
	add_u16(message, (unsigned)ret->n);
	add(message, ret->octets, ret->n);
	add(message, id, 2); /* the original id */
	add_u16(message, 0); /* error */
	add_u16(message, 0); /* other */
	message->p[at] = (uint8_t)((message->n - at - 2) >> 8);
	message->p[at + 1] = (uint8_t)(message->n - at - 2);
	n_additional = (unsigned)(message->p[10] << 8 | message->p[11]) + 1;
	message->p[10] = (uint8_t)(n_additional >> 8);
	message->p[11] = (uint8_t)n_additional;
	return 0;
}

/* --- verifying -------------------------------------------------------------------------------- */

static void skip_name(struct cursor *c)
{
	uint8_t n;

	do {
		n = cursor_u8(c);
		if ((n & 0xc0) != 0) {
			cursor_u8(c);
			return;
		}
		cursor_take(c, n);
	} while (n > 0 && !c->failed);
}

/* Where the last record of a message begins that dns_message_parse has found good. */
static size_t last_record(struct span wire)
{
	struct cursor c = cursor_of(wire);
	size_t at = 0;
	unsigned questions, records = 0;

	cursor_take(&c, 4);
	questions = cursor_u16(&c);
	for (int i = 0; i < 3; i++)
		records += cursor_u16(&c);
	for (; questions > 0 && !c.failed; questions--) {
		skip_name(&c);
		cursor_take(&c, 4);
	}
	for (; records > 0 && !c.failed; records--) {
		at = c.at;
		skip_name(&c);
		cursor_take(&c, 8);
		cursor_take(&c, cursor_u16(&c));
	}
	require(!c.failed && cursor_left(&c) == 0);
	return at;
}

static bool is_last_record(struct span wire, size_t at)
{
	struct cursor c = cursor_of(wire);

	c.at = at;
	skip_name(&c);
	return cursor_u16(&c) == TYPE_TSIG;
}

struct record {
	const char *algorithm;
	struct variables v;
	struct span mac;
	uint16_t id;
};

static bool read_record(struct arena *a, struct span rdata, struct record *ret)
{
	struct cursor c = cursor_of(rdata);

	ret->algorithm = dane_name_from_wire(a, &c);
	ret->v.time = (int64_t)cursor_u16(&c) << 32;
	ret->v.time |= (int64_t)cursor_u16(&c) << 16;
	ret->v.time |= cursor_u16(&c);
	ret->v.fudge = cursor_u16(&c);
	ret->mac = cursor_take(&c, cursor_u16(&c));
	ret->id = cursor_u16(&c);
	ret->v.error = cursor_u16(&c);
	ret->v.other = cursor_take(&c, cursor_u16(&c));
	return !c.failed && cursor_left(&c) == 0;
}

static enum publish_signature judge_record(struct arena *a, struct span wire, size_t at,
					   const struct record *r, const struct publish_key *key,
					   const struct publish_mac *request, int64_t now)
{
	struct span message = arena_dup(a, span_of(wire.p, at));
	uint8_t *header = (uint8_t *)message.p;
	unsigned n_additional = (unsigned)(header[10] << 8 | header[11]) - 1;
	struct publish_mac ours;
	int64_t apart;

	header[10] = (uint8_t)(n_additional >> 8);
	header[11] = (uint8_t)n_additional;
	compute(key, request, message, &r->v, &ours);
	if (r->id != (header[0] << 8 | header[1]) ||
	    !tls_hmac_equal(span_of(ours.octets, ours.n), r->mac))
		return PUBLISH_SIGNATURE_BAD;
	/* With BADTIME the time is the question's (section 5.2.3): the same test holds. */
	apart = r->v.time > now ? r->v.time - now : now - r->v.time;
	return apart > PUBLISH_FUDGE ? PUBLISH_SIGNATURE_TIME : PUBLISH_SIGNATURE_GOOD;
}

static enum publish_signature verify(struct arena *a, struct span wire,
				     const struct publish_key *key,
				     const struct publish_mac *request, int64_t now,
				     struct publish_signed *ret)
{
	struct dns_message m;
	struct record r;
	const struct dns_rr *rr;
	size_t at;

	if (dns_message_parse(a, wire, &m) < 0)
		return PUBLISH_SIGNATURE_MALFORMED;
	at = last_record(wire);
	if (m.additional.n == 0 || !is_last_record(wire, at))
		return PUBLISH_SIGNATURE_NONE;
	rr = &m.additional.rr[m.additional.n - 1];
	if (rr->class != CLASS_ANY || rr->ttl != 0 || !read_record(a, rr->rdata, &r))
		return PUBLISH_SIGNATURE_MALFORMED;
	ret->error = r.v.error;
	if (r.mac.n == 0)
		return PUBLISH_SIGNATURE_EMPTY;
	if (strcmp(rr->owner, key->name) != 0 ||
	    strcmp(r.algorithm, algorithm_name(key->digest)) != 0)
		return PUBLISH_SIGNATURE_OTHER_KEY;
	if (r.v.error == PUBLISH_BADTIME && r.v.other.n == 6) {
		struct cursor c = cursor_of(r.v.other);

		ret->server_time = (int64_t)cursor_u16(&c) << 32;
		ret->server_time |= (int64_t)cursor_u16(&c) << 16;
		ret->server_time |= cursor_u16(&c);
	}
	return judge_record(a, wire, at, &r, key, request, now);
}

void publish_tsig_verify(struct span wire, const struct publish_key *key,
			 const struct publish_mac *request, int64_t now, struct publish_signed *ret)
{
	struct arena a = {0};

	*ret = (struct publish_signed){0};
	ret->signature = verify(&a, wire, key, request, now, ret);
	arena_done(&a);
}
