#include "core/dane/tlsa.h"

#include <errno.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/hex.h"
#include "base/text.h"

enum {
	RDATA_MAX = 65535, /* octets, RFC 1035 section 3.2.1 */
	FIELDS = 3,        /* usage, selector, matching type */
	PREFIX_MAX = 3,    /* owner, TTL and class before the type */
};

struct dane_tlsa dane_tlsa_from_wire(struct span rdata)
{
	struct dane_tlsa r = {.rdata = rdata};
	struct cursor c = cursor_of(rdata);

	if (rdata.n < FIELDS)
		return r;
	r.usage = cursor_u8(&c);
	r.selector = cursor_u8(&c);
	r.matching = cursor_u8(&c);
	r.data = cursor_rest(&c);
	return r;
}

/* RFC 7218 section 2; in any case. */
struct acronym {
	const char *word;
	uint8_t value;
};

static const struct acronym usages[] = {
	{"pkix-ta", 0}, {"pkix-ee", 1}, {"dane-ta", 2}, {"dane-ee", 3}, {"privcert", 255},
};
static const struct acronym selectors[] = {{"cert", 0}, {"spki", 1}, {"privsel", 255}};
static const struct acronym matchings[] = {
	{"full", 0}, {"sha2-256", 1}, {"sha2-512", 2}, {"privmatch", 255}};

static const struct field {
	const char *name;
	const struct acronym *words;
	size_t n_words;
} fields[FIELDS] = {
	{"usage", usages, ARRAY_SIZE(usages)},
	{"selector", selectors, ARRAY_SIZE(selectors)},
	{"matching type", matchings, ARRAY_SIZE(matchings)},
};

static bool field_value(const struct field *f, struct span s, uint8_t *ret)
{
	uint64_t value;

	for (size_t i = 0; i < f->n_words; i++) {
		if (span_is_nocase(s, f->words[i].word)) {
			*ret = f->words[i].value;
			return true;
		}
	}
	if (!text_to_number(s, UINT8_MAX, &value))
		return false;
	*ret = (uint8_t)value;
	return true;
}

bool dane_tlsa_field_from_text(enum dane_tlsa_field field, const char *word, uint8_t *ret)
{
	return field_value(&fields[field], span_text(word), ret);
}

/*
 * Words of one record in zone-file form (RFC 1035 section 5.1): blanks part them, inside
 * parentheses a line's end is a blank too, ';' begins a comment.
 */
struct words {
	struct span in;
	size_t at;        /* next octet */
	size_t column;    /* of the last word, counted from 1 */
	bool parentheses; /* they do not nest */
	struct err *e;
};

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static bool is_special(uint8_t c)
{
	return is_blank(c) || c == '\n' || c == '\r' || c == ';' || c == '(' || c == ')';
}

static int syntax(struct words *w, size_t column, const char *what)
{
	w->column = column;
	return err_set(w->e, -EINVAL, "column %zu: %s", column, what);
}

/* After a line's end outside parentheses only empty lines and comments may come. */
static int only_empty_lines(struct words *w)
{
	bool comment = false;

	for (; w->at < w->in.n; w->at++) {
		uint8_t c = w->in.p[w->at];

		if (c == '\n')
			comment = false;
		else if (c == ';')
			comment = true;
		else if (!comment && !is_blank(c) && c != '\r')
			return syntax(w, w->at + 1, "text after the end of the record");
	}
	return 0;
}

/* Up to the next word: 1, the end: 0, or -EINVAL. */
static int skip_to_word(struct words *w)
{
	for (; w->at < w->in.n; w->at++) {
		uint8_t c = w->in.p[w->at];

		if (c == ';') {
			while (w->at + 1 < w->in.n && w->in.p[w->at + 1] != '\n')
				w->at++;
		} else if (c == '(' || c == ')') {
			if (w->parentheses == (c == '('))
				return syntax(w, w->at + 1, "unbalanced parenthesis");
			w->parentheses = c == '(';
		} else if (c == '\n' && !w->parentheses) {
			return only_empty_lines(w);
		} else if (!is_special(c)) {
			return 1;
		}
	}
	if (w->parentheses)
		return syntax(w, w->in.n + 1, "a parenthesis is not closed");
	return 0;
}

/* 1 and the word, 0 at the end of the record, or -EINVAL. */
static int next_word(struct words *w, struct span *ret)
{
	size_t start;
	int more = skip_to_word(w);

	if (more <= 0)
		return more;
	start = w->at;
	while (w->at < w->in.n && !is_special(w->in.p[w->at])) {
		/* An escape keeps what follows in the word ("a\;b" in an owner). */
		if (w->in.p[w->at] == '\\' && w->at + 1 < w->in.n)
			w->at++;
		w->at++;
	}
	w->column = start + 1;
	*ret = span_of(w->in.p + start, w->at - start);
	return 1;
}

static bool is_type(struct span word)
{
	return span_is_nocase(word, "tlsa") || span_is_nocase(word, "type52");
}

static bool is_class(struct span word)
{
	return span_is_nocase(word, "in") || span_is_nocase(word, "class1");
}

/* Seconds, or with units as name servers write them ("1h30m"); 31 bits (RFC 2181 section 8). */
static bool is_ttl(struct span word)
{
	static const char units[] = "smhdw";
	size_t start = 0;
	uint64_t value;

	if (text_to_number(word, INT32_MAX, &value))
		return true;
	for (size_t i = 0; i < word.n; i++) {
		if (word.p[i] >= '0' && word.p[i] <= '9')
			continue;
		if (strchr(units, ascii_lower(word.p[i])) == NULL || word.p[i] == '\0' ||
		    !text_to_number(span_of(word.p + start, i - start), INT32_MAX, &value))
			return false;
		start = i + 1;
	}
	return word.n > 0 && start == word.n;
}

/*
 * Passes over "[owner] [TTL] [class] TLSA". Hexadecimal data cannot look like the type, so the last
 * one among the first words is it, whatever the owner is called. Without a type RDATA comes first.
 */
static int skip_prefix(struct words *w)
{
	struct words scan = *w, after = *w;
	struct span word[PREFIX_MAX + 1];
	size_t n = 0, type = SIZE_MAX;
	bool class = false, ttl = false;

	scan.e = NULL; /* what is wrong is reported when it is read in earnest */
	while (n < ARRAY_SIZE(word) && next_word(&scan, &word[n]) > 0) {
		if (is_type(word[n])) {
			type = n;
			after = scan;
			after.e = w->e;
		}
		n++;
	}
	if (type == SIZE_MAX)
		return 0;
	for (size_t i = type; i-- > 0;) {
		if (!class && is_class(word[i]))
			class = true;
		else if (!ttl && is_ttl(word[i]))
			ttl = true;
		else if (i > 0)
			return syntax(w, (size_t)(word[i].p - w->in.p) + 1,
				      "neither a TTL nor class IN before the type");
	}
	*w = after;
	return 0;
}

static int bad_hex(struct words *w, struct span word, size_t i)
{
	size_t column = (size_t)(word.p - w->in.p) + i + 1;

	if (word.p[i] == ':')
		return syntax(w, column, "a fingerprint with colons is not TLSA data");
	return syntax(w, column, "not a hexadecimal digit");
}

/* The rest of the words as octets behind what is in `rdata`. */
static int read_hex(struct words *w, struct buf *rdata)
{
	struct span word;
	int more, high = -1;

	while ((more = next_word(w, &word)) > 0) {
		for (size_t i = 0; i < word.n; i++) {
			int digit = hex_digit(word.p[i]);
			uint8_t octet;

			if (digit < 0)
				return bad_hex(w, word, i);
			if (high < 0) {
				high = digit;
				continue;
			}
			octet = (uint8_t)(high << 4 | digit);
			high = -1;
			if (buf_add(rdata, &octet, 1) < 0)
				return syntax(w, w->column, "more than 65535 octets");
		}
	}
	if (more < 0)
		return more;
	if (high >= 0)
		return syntax(w, w->in.n + 1, "an odd number of hexadecimal digits");
	return 0;
}

/* "\# 35 030101...": RFC 3597 section 5. The length must be that of the data (F13). */
static int read_generic(struct words *w, struct buf *rdata)
{
	struct span word;
	uint64_t length;
	size_t column;
	int r = next_word(w, &word);

	if (r < 0)
		return r;
	column = r == 0 ? w->in.n + 1 : w->column;
	if (r == 0 || !text_to_number(word, RDATA_MAX, &length))
		return syntax(w, column, "\\# wants a length of 0 to 65535");
	r = read_hex(w, rdata);
	if (r < 0)
		return r;
	if (rdata->n != length) {
		w->column = column;
		return err_set(w->e, -EINVAL,
			       "column %zu: the length says %u octets, the data has %zu", column,
			       (unsigned)length, rdata->n);
	}
	return 0;
}

static int read_field(struct words *w, const struct field *f, struct span word, struct buf *rdata)
{
	uint8_t value;

	if (!field_value(f, word, &value))
		return err_set(w->e, -EINVAL,
			       "column %zu: the %s is neither a number of 0 to 255 nor an acronym",
			       w->column, f->name);
	return buf_add(rdata, &value, 1);
}

static int read_rdata(struct words *w, struct buf *rdata)
{
	struct span word;
	int r;

	for (size_t i = 0; i < FIELDS; i++) {
		r = next_word(w, &word);
		if (r < 0)
			return r;
		if (r == 0)
			return err_set(w->e, -EINVAL, "column %zu: the %s is missing", w->in.n + 1,
				       fields[i].name);
		if (i == 0 && span_is(word, "\\#"))
			return read_generic(w, rdata);
		r = read_field(w, &fields[i], word, rdata);
		if (r < 0)
			return r;
	}
	r = read_hex(w, rdata);
	if (r < 0)
		return r;
	/* F12: only the wire has records without data; "\# 3 030101" writes one. */
	if (rdata->n == FIELDS)
		return syntax(w, w->in.n + 1, "the certificate association data is missing");
	return 0;
}

int dane_tlsa_from_span(struct arena *a, struct span text, struct dane_tlsa *ret, struct err *e)
{
	struct words w = {.in = text, .e = e};
	_cleanup_(buf_done) struct buf rdata;
	int r;

	buf_init(&rdata, RDATA_MAX);
	if (text.n > DANE_TLSA_TEXT_MAX)
		return err_set(e, -EINVAL, "longer than %d octets", DANE_TLSA_TEXT_MAX);
	if (text.n > 0 && memchr(text.p, '\0', text.n) != NULL)
		return err_set(e, -EINVAL, "a NUL octet");
	r = skip_prefix(&w);
	if (r == 0)
		r = read_rdata(&w, &rdata);
	if (r < 0)
		return r;
	*ret = dane_tlsa_from_wire(arena_dup(a, buf_span(&rdata)));
	return 0;
}

int dane_tlsa_from_text(struct arena *a, const char *text, struct dane_tlsa *ret, struct err *e)
{
	return dane_tlsa_from_span(a, span_text(text), ret, e);
}

const char *dane_tlsa_to_text(struct arena *a, const struct dane_tlsa *r)
{
	/* No fields, or no data: the usual form cannot say it (U11, U12). */
	if (r->rdata.n <= FIELDS)
		return arena_printf(a, "\\# %zu%s%s", r->rdata.n, r->rdata.n > 0 ? " " : "",
				    hex_encode(a, r->rdata));
	return arena_printf(a, "%u %u %u %s", (unsigned)r->usage, (unsigned)r->selector,
			    (unsigned)r->matching, hex_encode(a, r->data));
}

enum dane_unusable dane_tlsa_usability(const struct dane_tlsa *r)
{
	if (r->rdata.n < FIELDS)
		return DANE_UNUSABLE_TRUNCATED;
	if (r->usage <= DANE_USAGE_PKIX_EE)
		return DANE_UNUSABLE_PKIX_USAGE; /* RFC 7672 section 3.1.3 */
	if (r->usage > DANE_USAGE_DANE_EE)
		return DANE_UNUSABLE_USAGE;
	if (r->selector > DANE_SELECTOR_SPKI)
		return DANE_UNUSABLE_SELECTOR;
	if (r->matching > DANE_MATCHING_SHA512)
		return DANE_UNUSABLE_MATCHING;
	if (r->data.n == 0)
		return DANE_UNUSABLE_EMPTY;
	/* RFC 6698 section 4.1: malformed comparison data. */
	if (r->matching == DANE_MATCHING_SHA256 && r->data.n != 32)
		return DANE_UNUSABLE_DIGEST_LENGTH;
	if (r->matching == DANE_MATCHING_SHA512 && r->data.n != 64)
		return DANE_UNUSABLE_DIGEST_LENGTH;
	return DANE_USABLE;
}

bool dane_tlsa_wants_der(const struct dane_tlsa *r)
{
	return dane_tlsa_usability(r) == DANE_USABLE && r->matching == DANE_MATCHING_FULL;
}

const char *dane_unusable_to_string(enum dane_unusable why)
{
	switch (why) {
	case DANE_USABLE:
		return NULL;
	case DANE_UNUSABLE_TRUNCATED:
		return "truncated: shorter than usage, selector and matching type";
	case DANE_UNUSABLE_EMPTY:
		return "empty: no certificate association data";
	case DANE_UNUSABLE_PKIX_USAGE:
		return "usage 0 and 1 (PKIX-TA, PKIX-EE) are not for SMTP";
	case DANE_UNUSABLE_USAGE:
		return "unknown usage";
	case DANE_UNUSABLE_SELECTOR:
		return "unknown selector";
	case DANE_UNUSABLE_MATCHING:
		return "unknown matching type";
	case DANE_UNUSABLE_DIGEST_LENGTH:
		return "the data has not the length of its digest";
	case DANE_UNUSABLE_NOT_CERTIFICATE:
		return "the data is not one DER certificate";
	case DANE_UNUSABLE_NOT_KEY:
		return "the data is not one DER public key";
	}
	return NULL;
}

void dane_tlsa_agility(const struct dane_tlsa *records, const bool *usable, size_t n, bool *aside)
{
	uint8_t strongest[DANE_USAGE_DANE_EE + 1][DANE_SELECTOR_SPKI + 1] = {0};

	for (size_t i = 0; i < n; i++) {
		const struct dane_tlsa *r = &records[i];

		if (usable[i] && dane_tlsa_usability(r) == DANE_USABLE &&
		    r->matching > strongest[r->usage][r->selector])
			strongest[r->usage][r->selector] = r->matching;
	}
	for (size_t i = 0; i < n; i++) {
		const struct dane_tlsa *r = &records[i];

		/* Full(0) is never set aside (G3). */
		aside[i] = usable[i] && dane_tlsa_usability(r) == DANE_USABLE &&
			   r->matching != DANE_MATCHING_FULL &&
			   r->matching < strongest[r->usage][r->selector];
	}
}
