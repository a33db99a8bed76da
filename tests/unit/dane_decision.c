/*
 * The decision machine against tables. A scenario is a small zone in text; a question that it does
 * not list fails the test, and so does a listed one that is not asked: that is the proof of what
 * must not be asked (A3, A17, A19). Each scenario runs with answers in several orders, and again
 * with each answer turned into a failure: nothing may become less secure by it.
 */
#include "test.h"

#include <errno.h>

#include "base/arena.h"
#include "base/hex.h"
#include "core/dane/decision.h"
#include "core/dane/name.h"
#include "core/dane/report.h"

/* --- scenarios ---------------------------------------------------------------------------- */

struct scenario {
	const char *rows;
	const char
		*options; /* mandatory none half own=NAME host=NAME address=ADDR port=N hop=NAME */
	const char *zone; /* NAME TYPE SECURITY [ALIAS...] CONTENT; "|" between lines */
	const char *expect;
};

/* A usable and two unusable records; E: 3 1 1, P: 1 1 1, X: two octets, F: full certificate. */
#define E                                                                                          \
	"030101"                                                                                   \
	"1111111111111111111111111111111111111111111111111111111111111111"
#define E2                                                                                         \
	"030102"                                                                                   \
	"2222222222222222222222222222222222222222222222222222222222222222"                         \
	"2222222222222222222222222222222222222222222222222222222222222222"
#define P                                                                                          \
	"010101"                                                                                   \
	"1111111111111111111111111111111111111111111111111111111111111111"
#define X     "0301"
#define SHORT "03010111"
#define FULL                                                                                       \
	"030000"                                                                                   \
	"3003020101"
#define BAD                                                                                        \
	"030000"                                                                                   \
	"00"

static const struct scenario scenarios[] = {
	{"M1 A2 T1", "",
	 "d MX secure 10:mx.d|mx.d A secure 1.2.3.4|mx.d AAAA secure nodata|_25._tcp.mx.d TLSA "
	 "secure " E,
	 "dane mx=secure/mx; mx.d 10 dane addr=secure base=mx.d tlsa=secure rr=1/1 ids=mx.d,d"},
	{"M2 A3: nothing about TLSA is asked behind an insecure MX", "",
	 "d MX insecure 10:mx.d|mx.d A secure 1.2.3.4|mx.d AAAA secure nodata",
	 "may mx=insecure/mx; mx.d 10 may addr=secure"},
	{"M3 N5: half-DANE, the MX hostname alone is accepted", "half",
	 "d MX insecure 10:mx.e|mx.e A secure 1.2.3.4|mx.e AAAA secure nodata|_25._tcp.mx.e TLSA "
	 "secure " E,
	 "dane mx=insecure/mx; mx.e 10 dane addr=secure base=mx.e tlsa=secure rr=1/1 ids=mx.e"},
	{"M5", "half",
	 "d MX insecure 10:mx.e|mx.e A secure 1.2.3.4|mx.e AAAA secure nodata|_25._tcp.mx.e TLSA "
	 "bogus",
	 "defer 4.7.324 mx=insecure/mx; mx.e 10 unreachable 4.7.324 addr=secure tlsa=bogus"},
	{"M6 D4", "mandatory", "d MX insecure 10:mx.d",
	 "defer 4.7.323 mx=insecure/mx; mx.d 10 unreachable 4.7.323 addr=none"},
	{"M6 with half-DANE: still not", "mandatory half", "d MX insecure 10:mx.d",
	 "defer 4.7.323 mx=insecure/mx; mx.d 10 unreachable 4.7.323 addr=none"},
	{"M7", "", "d MX bogus", "defer 4.7.324 mx=bogus/-"},
	{"M7 with DANE off", "none", "d MX bogus", "defer 4.7.324 mx=bogus/-"},
	{"M8 R11 R12", "", "d MX failed", "defer 4.4.3 mx=failed/-"},
	{"M9 secure", "", "d MX secure nxdomain", "bounce 5.1.2 mx=secure/-"},
	{"M9 insecure R10", "", "d MX insecure nxdomain", "bounce 5.1.2 mx=insecure/-"},
	{"M10", "",
	 "d MX secure nodata|d A secure 1.2.3.4|d AAAA secure nodata|_25._tcp.d TLSA secure " E,
	 "dane mx=secure/implicit; d 0 dane addr=secure base=d tlsa=secure rr=1/1 ids=d"},
	{"M11", "", "d MX insecure nodata|d A secure 1.2.3.4|d AAAA secure nodata",
	 "may mx=insecure/implicit; d 0 may addr=secure"},
	{"M11 half-DANE", "half",
	 "d MX insecure nodata|d A secure 1.2.3.4|d AAAA secure nodata|_25._tcp.d TLSA secure " E,
	 "dane mx=insecure/implicit; d 0 dane addr=secure base=d tlsa=secure rr=1/1 ids=d"},
	{"M13", "", "d MX secure 0:.", "bounce 5.1.10 mx=secure/null"},
	{"M13 insecure", "", "d MX insecure 0:.", "bounce 5.1.10 mx=insecure/null"},
	{"M14", "", "d MX secure 0:. 10:mx.d|mx.d A insecure 1.2.3.4|mx.d AAAA insecure nodata",
	 "may mx=secure/mx; mx.d 10 may addr=insecure"},
	{"M15 M32: by preference, a host twice once", "",
	 "d MX secure 20:b.d 10:a.d 30:b.d|a.d A insecure 1.2.3.4|a.d AAAA insecure nodata|b.d A "
	 "insecure 1.2.3.5|b.d AAAA insecure nodata",
	 "may mx=secure/mx; a.d 10 may addr=insecure; b.d 20 may addr=insecure"},
	{"M17", "own=b.d",
	 "d MX secure 10:a.d 20:c.d 20:b.d 30:e.d|a.d A insecure 1.2.3.4|a.d AAAA insecure nodata",
	 "may mx=secure/mx; a.d 10 may addr=insecure"},
	{"M17 none left", "own=b.d", "d MX secure 10:b.d 20:c.d", "bounce 5.4.6 mx=secure/mx"},
	{"M18", "", "d MX secure 10:192.0.2.1",
	 "bounce 5.4.4 mx=secure/mx; 192.0.2.1 10 "
	 "unreachable 5.4.4 addr=none absent"},
	{"M19", "address=192.0.2.1", "", "may mx=none/configured; 192.0.2.1 0 may addr=none"},
	{"D7", "address=192.0.2.1 mandatory", "",
	 "defer 4.7.323 mx=none/configured; 192.0.2.1 0 unreachable 4.7.323 addr=none"},
	{"M20 N3: the domain is an alias, both names count", "",
	 "d MX secure @e 10:mx.e|mx.e A secure 1.2.3.4|mx.e AAAA secure nodata|_25._tcp.mx.e TLSA "
	 "secure " E,
	 "dane mx=secure/mx; mx.e 10 dane addr=secure base=mx.e tlsa=secure rr=1/1 ids=mx.e,d,e"},
	{"M23", "",
	 "d MX secure 10:a.d 20:b.d|a.d A secure nxdomain|a.d AAAA secure nxdomain|b.d A secure "
	 "nodata|b.d AAAA secure nodata",
	 "bounce 5.4.4 mx=secure/mx; a.d 10 unreachable 5.4.4 addr=none absent; b.d 20 "
	 "unreachable 5.4.4 addr=none absent"},
	{"M24: one proven absent, one failed: no bounce", "",
	 "d MX secure 10:a.d 20:b.d|a.d A secure nxdomain|a.d AAAA secure nxdomain|b.d A "
	 "failed|b.d AAAA failed",
	 "defer 4.4.3 mx=secure/mx; a.d 10 unreachable 5.4.4 addr=none absent; b.d 20 "
	 "unreachable 4.4.3 addr=failed"},
	{"M24 go on with the other", "",
	 "d MX secure 10:a.d 20:b.d|a.d A failed|a.d AAAA failed|b.d A insecure 1.2.3.4|b.d AAAA "
	 "insecure nodata",
	 "may mx=secure/mx; a.d 10 unreachable 4.4.3 addr=failed; b.d 20 may addr=insecure"},
	{"M25 A21", "host=r.d port=10025",
	 "r.d A secure 1.2.3.4|r.d AAAA secure nodata|_10025._tcp.r.d TLSA secure " E,
	 "dane mx=none/configured; r.d 0 dane addr=secure base=r.d tlsa=secure rr=1/1 ids=r.d"},
	{"M26", "hop=r",
	 "r MX secure 10:mx.r|mx.r A secure 1.2.3.4|mx.r AAAA secure nodata|_25._tcp.mx.r TLSA "
	 "secure " E,
	 "dane mx=secure/mx; mx.r 10 dane addr=secure base=mx.r tlsa=secure rr=1/1 ids=mx.r,r"},
	{"M30 Q2", "",
	 "d MX secure 10:a.d 20:b.d|a.d A secure 1.2.3.4|a.d AAAA secure nodata|_25._tcp.a.d TLSA "
	 "secure " E "|b.d A secure 1.2.3.5|b.d AAAA secure nodata|_25._tcp.b.d TLSA secure "
	 "nxdomain",
	 "mixed mx=secure/mx; a.d 10 dane addr=secure base=a.d tlsa=secure rr=1/1 ids=a.d,d; b.d "
	 "20 may "
	 "addr=secure tlsa=secure"},
	{"A5", "",
	 "d MX secure 10:mx.d|mx.d A secure 1.2.3.4|mx.d AAAA bogus|_25._tcp.mx.d TLSA secure " E,
	 "dane mx=secure/mx; mx.d 10 dane addr=secure base=mx.d tlsa=secure rr=1/1 ids=mx.d,d"},
	{"A5 the other way", "",
	 "d MX secure 10:mx.d|mx.d A failed|mx.d AAAA secure 2001:db8::1|_25._tcp.mx.d TLSA "
	 "secure " E,
	 "dane mx=secure/mx; mx.d 10 dane addr=secure base=mx.d tlsa=secure rr=1/1 ids=mx.d,d"},
	{"A5 nothing left", "", "d MX secure 10:mx.d|mx.d A failed|mx.d AAAA secure nodata",
	 "defer 4.4.3 mx=secure/mx; mx.d 10 unreachable 4.4.3 addr=secure"},
	{"A7 bogus before failed", "", "d MX secure 10:mx.d|mx.d A failed|mx.d AAAA bogus",
	 "defer 4.7.324 mx=secure/mx; mx.d 10 unreachable 4.7.324 addr=bogus"},
	{"A8", "", "d MX secure nodata|d A secure nodata|d AAAA secure nodata",
	 "bounce 5.4.4 mx=secure/implicit; d 0 unreachable 5.4.4 addr=none absent"},
	{"A11 P5: expanded name first", "",
	 "d MX secure 10:mx.d|mx.d A secure @t.e 1.2.3.4|mx.d AAAA secure @t.e "
	 "nodata|_25._tcp.t.e TLSA secure " E,
	 "dane mx=secure/mx; mx.d 10 dane addr=secure base=t.e tlsa=secure rr=1/1 ids=t.e,d"},
	{"A16: a name in the middle is never asked", "",
	 "d MX secure 10:mx.d|mx.d A secure @m.e @t.e 1.2.3.4|mx.d AAAA secure @m.e @t.e "
	 "nodata|_25._tcp.t.e TLSA secure nodata|_25._tcp.mx.d TLSA secure nodata",
	 "may mx=secure/mx; mx.d 10 may addr=secure tlsa=secure"},
	{"A17: failure at the first, the second is not asked", "",
	 "d MX secure 10:mx.d|mx.d A secure @t.e 1.2.3.4|mx.d AAAA secure @t.e "
	 "nodata|_25._tcp.t.e TLSA failed",
	 "defer 4.7.324 mx=secure/mx; mx.d 10 unreachable 4.7.324 addr=secure tlsa=failed"},
	{"A18 T4", "",
	 "d MX secure 10:mx.d|mx.d A secure @t.e 1.2.3.4|mx.d AAAA secure @t.e "
	 "nodata|_25._tcp.t.e TLSA secure nxdomain|_25._tcp.mx.d TLSA secure " E,
	 "dane mx=secure/mx; mx.d 10 dane addr=secure base=mx.d tlsa=secure rr=1/1 ids=mx.d,d"},
	{"A18 T3 T9: insecure RRset at the first", "",
	 "d MX secure 10:mx.d|mx.d A secure @t.e 1.2.3.4|mx.d AAAA secure @t.e "
	 "nodata|_25._tcp.t.e TLSA insecure @x.f " E "|_25._tcp.mx.d TLSA secure " E,
	 "dane mx=secure/mx; mx.d 10 dane addr=secure base=mx.d tlsa=secure rr=1/1 ids=mx.d,d"},
	{"A19 T2: the first decides though unusable", "",
	 "d MX secure 10:mx.d|mx.d A secure @t.e 1.2.3.4|mx.d AAAA secure @t.e "
	 "nodata|_25._tcp.t.e TLSA secure " P,
	 "encrypt mx=secure/mx; mx.d 10 encrypt addr=secure base=t.e tlsa=secure rr=0/1 ids=t.e,d"},
	{"A12 A14: secure alias, insecure tail", "",
	 "d MX secure 10:mx.d|mx.d A insecure @t.e 1.2.3.4|mx.d AAAA insecure @t.e nodata|mx.d "
	 "CNAME secure t.e|_25._tcp.mx.d TLSA secure " E,
	 "dane mx=secure/mx; mx.d 10 dane addr=insecure base=mx.d tlsa=secure rr=1/1 ids=mx.d,d"},
	{"A13", "",
	 "d MX secure 10:mx.d|mx.d A insecure @t.e 1.2.3.4|mx.d AAAA insecure @t.e nodata|mx.d "
	 "CNAME insecure t.e",
	 "may mx=secure/mx; mx.d 10 may addr=insecure"},
	{"A15", "",
	 "d MX secure 10:mx.d|mx.d A insecure @t.e 1.2.3.4|mx.d AAAA insecure @t.e nodata|mx.d "
	 "CNAME failed",
	 "defer 4.7.324 mx=secure/mx; mx.d 10 unreachable 4.7.324 addr=insecure"},
	{"A15 the alias is gone", "",
	 "d MX secure 10:mx.d|mx.d A insecure @t.e 1.2.3.4|mx.d AAAA insecure @t.e nodata|mx.d "
	 "CNAME secure nodata",
	 "defer 4.7.324 mx=secure/mx; mx.d 10 unreachable 4.7.324 addr=insecure"},
	{"T5", "",
	 "d MX secure 10:mx.d|mx.d A secure 1.2.3.4|mx.d AAAA secure nodata|_25._tcp.mx.d TLSA "
	 "insecure nxdomain",
	 "may mx=secure/mx; mx.d 10 may addr=secure tlsa=insecure"},
	{"T3", "",
	 "d MX secure 10:mx.d|mx.d A secure 1.2.3.4|mx.d AAAA secure nodata|_25._tcp.mx.d TLSA "
	 "insecure " E,
	 "may mx=secure/mx; mx.d 10 may addr=secure tlsa=insecure"},
	{"T6 T7", "",
	 "d MX secure 10:mx.d|mx.d A secure 1.2.3.4|mx.d AAAA secure nodata|_25._tcp.mx.d TLSA "
	 "failed",
	 "defer 4.7.324 mx=secure/mx; mx.d 10 unreachable 4.7.324 addr=secure tlsa=failed"},
	{"T8: the TLSA's own alias changes no name", "",
	 "d MX secure 10:mx.d|mx.d A secure 1.2.3.4|mx.d AAAA secure nodata|_25._tcp.mx.d TLSA "
	 "secure @x.e " E,
	 "dane mx=secure/mx; mx.d 10 dane addr=secure base=mx.d tlsa=secure rr=1/1 ids=mx.d,d"},
	{"T10", "",
	 "d MX secure 10:mx.d|mx.d A secure 1.2.3.4|mx.d AAAA secure nodata|_25._tcp.mx.d TLSA "
	 "secure @x.e nxdomain",
	 "may mx=secure/mx; mx.d 10 may addr=secure tlsa=secure"},
	{"T12 U12 U15", "",
	 "d MX secure 10:mx.d|mx.d A secure 1.2.3.4|mx.d AAAA secure nodata|_25._tcp.mx.d TLSA "
	 "secure " X " " E " " P " " E,
	 "dane mx=secure/mx; mx.d 10 dane addr=secure base=mx.d tlsa=secure rr=1/3 ids=mx.d,d"},
	{"U12 alone", "",
	 "d MX secure 10:mx.d|mx.d A secure 1.2.3.4|mx.d AAAA secure nodata|_25._tcp.mx.d TLSA "
	 "secure " X,
	 "encrypt mx=secure/mx; mx.d 10 encrypt addr=secure base=mx.d tlsa=secure rr=0/1 "
	 "ids=mx.d,d"},
	{"U7 alone", "",
	 "d MX secure 10:mx.d|mx.d A secure 1.2.3.4|mx.d AAAA secure nodata|_25._tcp.mx.d TLSA "
	 "secure " SHORT,
	 "encrypt mx=secure/mx; mx.d 10 encrypt addr=secure base=mx.d tlsa=secure rr=0/1 "
	 "ids=mx.d,d"},
	{"U9: the DER question says yes", "",
	 "d MX secure 10:mx.d|mx.d A secure 1.2.3.4|mx.d AAAA secure nodata|_25._tcp.mx.d TLSA "
	 "secure " FULL,
	 "dane mx=secure/mx; mx.d 10 dane addr=secure base=mx.d tlsa=secure rr=1/1 ids=mx.d,d"},
	{"U9: it says no", "",
	 "d MX secure 10:mx.d|mx.d A secure 1.2.3.4|mx.d AAAA secure nodata|_25._tcp.mx.d TLSA "
	 "secure " BAD,
	 "encrypt mx=secure/mx; mx.d 10 encrypt addr=secure base=mx.d tlsa=secure rr=0/1 "
	 "ids=mx.d,d"},
	{"T15", "none", "d MX secure 10:mx.d|mx.d A secure 1.2.3.4|mx.d AAAA secure nodata",
	 "may mx=secure/mx; mx.d 10 may addr=secure"},
	{"D2", "mandatory",
	 "d MX secure 10:mx.d|mx.d A secure 1.2.3.4|mx.d AAAA secure nodata|_25._tcp.mx.d TLSA "
	 "secure nodata",
	 "defer 4.7.323 mx=secure/mx; mx.d 10 unreachable 4.7.323 addr=secure tlsa=secure"},
	{"D3", "mandatory",
	 "d MX secure 10:mx.d|mx.d A secure 1.2.3.4|mx.d AAAA secure nodata|_25._tcp.mx.d TLSA "
	 "secure " P,
	 "defer 4.7.323 mx=secure/mx; mx.d 10 unreachable 4.7.323 addr=secure base=mx.d "
	 "tlsa=secure rr=0/1 ids=mx.d,d"},
	{"D5", "mandatory", "d MX secure 10:mx.d|mx.d A insecure 1.2.3.4|mx.d AAAA insecure nodata",
	 "defer 4.7.323 mx=secure/mx; mx.d 10 unreachable 4.7.323 addr=insecure"},
	{"D6", "mandatory",
	 "d MX secure 10:a.d 20:b.d|a.d A insecure 1.2.3.4|a.d AAAA insecure nodata|b.d A secure "
	 "1.2.3.5|b.d AAAA secure nodata|_25._tcp.b.d TLSA secure " E,
	 "dane mx=secure/mx; a.d 10 unreachable 4.7.323 addr=insecure; b.d 20 dane addr=secure "
	 "base=b.d tlsa=secure rr=1/1 ids=b.d,d"},
	{"Q3 and the status of the best host with a DANE cause", "",
	 "d MX secure 10:a.d 20:b.d|a.d A failed|a.d AAAA failed|b.d A secure 1.2.3.5|b.d AAAA "
	 "secure nodata|_25._tcp.b.d TLSA bogus",
	 "defer 4.7.324 mx=secure/mx; a.d 10 unreachable 4.4.3 addr=failed; b.d 20 unreachable "
	 "4.7.324 addr=secure tlsa=bogus"},
	{"N6: a configured host that is an alias", "host=r.d",
	 "r.d A secure @t.e 1.2.3.4|r.d AAAA secure @t.e nodata|_25._tcp.t.e TLSA secure " E,
	 "dane mx=none/configured; r.d 0 dane addr=secure base=t.e tlsa=secure rr=1/1 ids=t.e,r.d"},
};

/* The one scenario in which a failing lookup does weaken, as RFC 7672 has it (A5 with A6). */
static const struct scenario a6 = {
	"A6", "",
	"d MX secure 10:mx.d|mx.d A insecure 1.2.3.4|mx.d AAAA secure 2001:db8::1|_25._tcp.mx.d "
	"TLSA secure " E,
	"dane mx=secure/mx; mx.d 10 dane addr=secure base=mx.d tlsa=secure rr=1/1 ids=mx.d,d"};

/* --- reading them ------------------------------------------------------------------------- */

/* The next word of `*s`, ended by `end` or the end of text; NULL if none. */
static char *word(struct arena *a, const char **s, char end)
{
	const char *from = *s, *to;

	while (*from == end)
		from++;
	to = from;
	while (*to != '\0' && *to != end)
		to++;
	*s = to;
	return from == to ? NULL : arena_text(a, span_of(from, (size_t)(to - from)));
}

static struct span wire_name(struct arena *a, const char *name, struct buf *b)
{
	const char *label, *s = name;

	(void)a;
	while (strcmp(name, ".") != 0 && *s != '\0') {
		label = s;
		while (*s != '\0' && *s != '.')
			s++;
		assert_int_equal(buf_add(b, &(uint8_t){(uint8_t)(s - label)}, 1), 0);
		assert_int_equal(buf_add(b, label, (size_t)(s - label)), 0);
		if (*s == '.')
			s++;
	}
	assert_int_equal(buf_add(b, "", 1), 0);
	return buf_span(b);
}

static struct span rdata(struct arena *a, uint16_t type, const char *text)
{
	struct buf b;
	struct span s;
	unsigned v[4];

	buf_init(&b, 1024);
	switch (type) {
	case DANE_RR_MX: {
		char *colon;
		long preference = strtol(text, &colon, 10);

		assert_int_equal(buf_add(&b, &(uint8_t){(uint8_t)(preference >> 8)}, 1), 0);
		assert_int_equal(buf_add(&b, &(uint8_t){(uint8_t)preference}, 1), 0);
		wire_name(a, colon + 1, &b);
		break;
	}
	case DANE_RR_CNAME:
		wire_name(a, text, &b);
		break;
	case DANE_RR_A:
		for (int i = 0; i < 4; i++) {
			char *end;

			v[i] = (unsigned)strtoul(text, &end, 10);
			text = end + 1;
			assert_int_equal(buf_add(&b, &(uint8_t){(uint8_t)v[i]}, 1), 0);
		}
		break;
	case DANE_RR_AAAA:
		assert_int_equal(buf_add(&b, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16), 0);
		break;
	default: {
		struct span bytes;

		assert_int_equal(hex_decode(a, span_text(text), &bytes), 0);
		assert_int_equal(buf_add(&b, bytes.p, bytes.n), 0);
	}
	}
	s = arena_dup(a, buf_span(&b));
	buf_done(&b);
	return s;
}

struct entry {
	const char *name;
	uint16_t type;
	struct dane_answer answer;
	bool asked;
};

static void read_entry(struct arena *a, const char *line, struct entry *ret)
{
	struct span *records = arena_calloc(a, 16, sizeof(*records));
	struct dane_alias *aliases = arena_calloc(a, 16, sizeof(*aliases));
	const char *w, *owner;

	*ret = (struct entry){.name = word(a, &line, ' ')};
	owner = ret->name;
	ret->type = dane_rrtype_from_string(word(a, &line, ' '));
	assert_true(dane_security_from_string(word(a, &line, ' '), &ret->answer.security));
	ret->answer.records = records;
	ret->answer.aliases = aliases;
	ret->answer.ttl = 300;
	while ((w = word(a, &line, ' ')) != NULL) {
		if (strcmp(w, "nodata") == 0) {
			ret->answer.content = DANE_NODATA;
		} else if (strcmp(w, "nxdomain") == 0) {
			ret->answer.content = DANE_NXDOMAIN;
		} else if (*w == '@') {
			aliases[ret->answer.n_aliases++] = (struct dane_alias){
				owner, w + 1,
				ret->answer.security == DANE_SECURE ? DANE_SECURE : DANE_UNASKED};
			owner = w + 1;
		} else {
			records[ret->answer.n_records++] = rdata(a, ret->type, w);
		}
	}
	if (ret->answer.security >= DANE_BOGUS)
		ret->answer.why = "test";
}

static size_t read_zone(struct arena *a, const char *text, struct entry **ret)
{
	struct entry *list = arena_calloc(a, 64, sizeof(*list));
	const char *line;
	size_t n = 0;

	while ((line = word(a, &text, '|')) != NULL)
		read_entry(a, line, &list[n++]);
	*ret = list;
	return n;
}

static struct dane_request read_request(struct arena *a, const char *options)
{
	struct dane_request r = {.domain = "d", .next_hop = "d", .port = 25};
	const char *w;

	while ((w = word(a, &options, ' ')) != NULL) {
		if (strcmp(w, "mandatory") == 0)
			r.mode = DANE_MODE_MANDATORY;
		else if (strcmp(w, "none") == 0)
			r.mode = DANE_MODE_NONE;
		else if (strcmp(w, "half") == 0)
			r.half_dane = true;
		else if (strncmp(w, "own=", 4) == 0)
			r.own_name = w + 4;
		else if (strncmp(w, "port=", 5) == 0)
			r.port = (uint16_t)strtoul(w + 5, NULL, 10);
		else if (strncmp(w, "hop=", 4) == 0)
			r.next_hop = w + 4;
		else if (strncmp(w, "host=", 5) == 0)
			r.hop = DANE_HOP_HOST, r.next_hop = w + 5;
		else if (strncmp(w, "address=", 8) == 0)
			r.hop = DANE_HOP_ADDRESS, r.next_hop = w + 8;
		else
			fail_msg("option %s", w);
	}
	return r;
}

/* --- running them ------------------------------------------------------------------------- */

static const char *kind(enum dane_mx_kind k)
{
	static const char *const words[] = {"-", "mx", "implicit", "null", "configured"};

	return words[k];
}

static size_t count_usable(const struct dane_host *h)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n_records; i++)
		n += h->records[i].unusable == DANE_USABLE && !h->records[i].aside;
	return n;
}

static const char *render(struct arena *a, const struct dane_decision *r)
{
	const char *s =
		arena_printf(a, "%s%s%s mx=%s/%s", dane_outcome_to_string(r->outcome),
			     r->status != NULL ? " " : "", r->status != NULL ? r->status : "",
			     dane_security_to_string(r->mx_security), kind(r->mx_kind));

	for (size_t i = 0; i < r->n_hosts; i++) {
		const struct dane_host *h = &r->hosts[i];

		s = arena_printf(a, "%s; %s %u %s%s%s addr=%s", s, h->name, h->preference,
				 dane_level_to_string(h->level), h->status != NULL ? " " : "",
				 h->status != NULL ? h->status : "",
				 dane_security_to_string(h->address_security));
		if (h->tlsa_base != NULL)
			s = arena_printf(a, "%s base=%s", s, h->tlsa_base);
		if (h->tlsa_security != DANE_UNASKED)
			s = arena_printf(a, "%s tlsa=%s", s,
					 dane_security_to_string(h->tlsa_security));
		if (h->n_records > 0)
			s = arena_printf(a, "%s rr=%zu/%zu", s, count_usable(h), h->n_records);
		for (size_t k = 0; k < h->n_identifiers; k++)
			s = arena_printf(a, "%s%s%s", s, k == 0 ? " ids=" : ",", h->identifiers[k]);
		if (h->proven_absent)
			s = arena_printf(a, "%s absent", s);
	}
	return s;
}

/* FULL is well-formed, anything else of matching type 0 is not. */
static bool der_is_fine(const struct dane_question *q)
{
	return q->data.n == 5 && q->data.p[0] == 0x30;
}

static struct entry *find(struct entry *zone, size_t n, const struct dane_question *q)
{
	for (size_t i = 0; i < n; i++)
		if (zone[i].type == q->type && strcmp(zone[i].name, q->name) == 0)
			return &zone[i];
	return NULL;
}

static void give(struct dane_decider *d, struct entry *zone, size_t n,
		 const struct dane_question *q, const char *rows)
{
	struct entry *e;

	if (q->ask == DANE_ASK_DER) {
		assert_int_equal(dane_decider_answer_der(d, q->id, der_is_fine(q)), 0);
		return;
	}
	e = find(zone, n, q);
	if (e == NULL)
		fail_msg("%s: %s %s must not be asked", rows, q->name,
			 dane_rrtype_to_string(q->type));
	if (e->asked)
		fail_msg("%s: %s %s asked twice", rows, q->name, dane_rrtype_to_string(q->type));
	e->asked = true;
	assert_int_equal(dane_decider_answer(d, q->id, &e->answer), 0);
	/* Once only, and nothing that was not handed out. */
	assert_int_equal(dane_decider_answer(d, q->id, &e->answer), -ENOENT);
	assert_int_equal(dane_decider_answer(d, 1u << 30, &e->answer), -ENOENT);
}

/* Answers what is open in an order given by `seed`: 0 as asked, 1 the last first, else mixed. */
static struct dane_decider *run(struct arena *a, const struct scenario *s, struct entry *zone,
				size_t n, unsigned seed)
{
	struct dane_request r = read_request(a, s->options);
	struct dane_decider *d = dane_decider_new(&r);
	struct dane_question open[64];
	size_t n_open = 0;

	for (size_t i = 0; i < n; i++)
		zone[i].asked = false;
	while (dane_decider_result(d) == NULL) {
		const struct dane_question *q;
		size_t pick;

		while ((q = dane_decider_question(d)) != NULL)
			open[n_open++] = *q;
		assert_true(n_open > 0);
		pick = seed == 0   ? 0
		       : seed == 1 ? n_open - 1
				   : (seed = seed * 1103515245 + 12345) / 7 % n_open;
		give(d, zone, n, &open[pick], s->rows);
		open[pick] = open[--n_open];
	}
	assert_null(dane_decider_question(d));
	return d;
}

static void check(const struct scenario *s)
{
	for (unsigned seed = 0; seed < 8; seed++) {
		struct arena a = {0};
		struct entry *zone;
		size_t n = read_zone(&a, s->zone, &zone);
		struct dane_decider *d = run(&a, s, zone, n, seed);
		const char *got = render(&a, dane_decider_result(d));

		if (strcmp(got, s->expect) != 0)
			fail_msg("%s\n  got    %s\n  expect %s", s->rows, got, s->expect);
		for (size_t i = 0; i < n; i++)
			if (!zone[i].asked)
				fail_msg("%s: %s %s was not asked", s->rows, zone[i].name,
					 dane_rrtype_to_string(zone[i].type));
		dane_decider_free(d);
		arena_done(&a);
	}
}

static void every_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
		check(&scenarios[i]);
	check(&a6);
}

/* --- failures ----------------------------------------------------------------------------- */

static int strength(enum dane_level l)
{
	switch (l) {
	case DANE_LEVEL_UNREACHABLE:
		return 3;
	case DANE_LEVEL_DANE:
		return 2;
	case DANE_LEVEL_ENCRYPT:
		return 1;
	case DANE_LEVEL_MAY:
		return 0;
	}
	return -1;
}

/* As run(), but entry `k` fails and entries that it makes superfluous or new do not matter. */
static void with_failure(const struct scenario *s, size_t k, enum dane_security how)
{
	struct arena a = {0};
	struct entry *zone, *zone2;
	size_t n = read_zone(&a, s->zone, &zone);
	struct dane_request r = read_request(&a, s->options);
	struct dane_decider *good = run(&a, s, zone, n, 0), *d = dane_decider_new(&r);
	const struct dane_decision *before = dane_decider_result(good), *after;
	const struct dane_question *q;

	read_zone(&a, s->zone, &zone2);
	zone2[k].answer = (struct dane_answer){.security = how, .why = "made to fail"};
	while ((q = dane_decider_question(d)) != NULL) {
		struct dane_answer none = {.security = DANE_FAILED};
		struct entry *e = q->ask == DANE_ASK_DNS ? find(zone2, n, q) : NULL;

		if (q->ask == DANE_ASK_DER)
			assert_int_equal(dane_decider_answer_der(d, q->id, der_is_fine(q)), 0);
		else
			assert_int_equal(
				dane_decider_answer(d, q->id, e != NULL ? &e->answer : &none), 0);
	}
	after = dane_decider_result(d);
	assert_non_null(after);
	if (after->outcome == DANE_OUTCOME_BOUNCE && before->outcome != DANE_OUTCOME_BOUNCE)
		fail_msg("%s: %s %s fails, and the mail is returned", s->rows, zone[k].name,
			 dane_rrtype_to_string(zone[k].type));
	for (size_t i = 0; i < after->n_hosts && i < before->n_hosts; i++)
		if (strength(after->hosts[i].level) < strength(before->hosts[i].level))
			fail_msg("%s: %s %s fails, and %s becomes %s", s->rows, zone[k].name,
				 dane_rrtype_to_string(zone[k].type), after->hosts[i].name,
				 dane_level_to_string(after->hosts[i].level));
	dane_decider_free(good);
	dane_decider_free(d);
	arena_done(&a);
}

static void a_failure_never_weakens(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
		struct arena a = {0};
		struct entry *zone;
		size_t n = read_zone(&a, scenarios[i].zone, &zone);

		for (size_t k = 0; k < n; k++) {
			with_failure(&scenarios[i], k, DANE_FAILED);
			with_failure(&scenarios[i], k, DANE_BOGUS);
		}
		arena_done(&a);
	}
}

/* --- evidence ----------------------------------------------------------------------------- */

static void evidence_gives_the_same_decision(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
		struct arena a = {0};
		struct entry *zone;
		size_t n = read_zone(&a, scenarios[i].zone, &zone);
		struct dane_decider *d = run(&a, &scenarios[i], zone, n, 0), *again;
		struct js *saved = dane_evidence_save(d), *parsed;
		char *text = js_line(saved);
		struct err e;

		parsed = js_parse(span_text(text), &e);
		assert_non_null(parsed);
		again = dane_evidence_replay(parsed, &e);
		if (again == NULL)
			fail_msg("%s: %s", scenarios[i].rows, e.text);
		assert_string_equal(render(&a, dane_decider_result(again)), scenarios[i].expect);
		dane_decider_free(again);
		dane_decider_free(d);
		js_free(saved);
		js_free(parsed);
		free(text);
		arena_done(&a);
	}
}

static void evidence_must_be_whole(void **state)
{
	static const char *const broken[] = {
		"{}",
		"[]",
		"{\"format\": \"daneway-evidence 2\"}",
		"{\"format\": \"daneway-evidence 1\"}",
		"{\"format\": \"daneway-evidence 1\", \"request\": {\"domain\": \"d\", \"hop\": "
		"\"domain\", \"next_hop\": \"d\", \"port\": 70000, \"mode\": \"none\"}}",
		"{\"format\": \"daneway-evidence 1\", \"request\": {\"domain\": \"d\", \"hop\": "
		"\"domain\", \"next_hop\": \"d\", \"port\": 25, \"mode\": \"none\"}, "
		"\"questions\": [{\"name\": \"d\", \"type\": \"MX\", \"answer\": {\"security\": "
		"\"certain\"}}]}",
		"{\"format\": \"daneway-evidence 1\", \"request\": {\"domain\": \"d\", \"hop\": "
		"\"address\", \"next_hop\": \"d\", \"port\": 25, \"mode\": \"none\"}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		struct err e;
		struct js *v = js_parse(span_text(broken[i]), &e);

		assert_non_null(v);
		assert_null(dane_evidence_replay(v, &e));
		js_free(v);
	}
}

/* The security of each hop, as far as it is known: R14, R15, R20. */
static void hops_carry_their_security(void **state)
{
	static const struct {
		const char *zone;
		const char *hops; /* of the A answer */
	} rows[] = {
		{"d MX secure 10:mx.d|mx.d A secure @m.e @t.e 1.2.3.4|mx.d AAAA secure @m.e @t.e "
		 "nodata|_25._tcp.t.e TLSA secure " E,
		 "secure secure"},
		{"d MX secure 10:mx.d|mx.d A insecure @m.e @t.e 1.2.3.4|mx.d AAAA insecure @m.e "
		 "@t.e nodata|mx.d CNAME secure m.e|_25._tcp.mx.d TLSA secure " E,
		 "secure none"},
		{"d MX secure 10:mx.d|mx.d A insecure @m.e @t.e 1.2.3.4|mx.d AAAA insecure @m.e "
		 "@t.e nodata|mx.d CNAME insecure m.e",
		 "insecure insecure"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scenario s = {"R14", "", rows[i].zone, ""};
		struct arena a = {0};
		struct entry *zone;
		size_t n = read_zone(&a, s.zone, &zone);
		struct dane_decider *d = run(&a, &s, zone, n, 0);
		struct dane_evidence e = dane_decider_evidence(d, 1);

		assert_int_equal(e.question.type, DANE_RR_A);
		assert_string_equal(
			arena_printf(&a, "%s %s",
				     dane_security_to_string(e.dns->aliases[0].security),
				     dane_security_to_string(e.dns->aliases[1].security)),
			rows[i].hops);
		dane_decider_free(d);
		arena_done(&a);
	}
}

/* --- limits ------------------------------------------------------------------------------- */

/* An MX set of 10,000 hosts: the first 100 by preference are looked at, the rest is counted. */
static void ten_thousand_hosts(void **state)
{
	struct arena a = {0};
	struct dane_request r = {.domain = "d", .next_hop = "d", .port = 25};
	struct dane_decider *d = dane_decider_new(&r);
	struct span *records = arena_calloc(&a, 10000, sizeof(*records));
	const struct dane_question *q = dane_decider_question(d);
	struct dane_answer mx = {.security = DANE_SECURE, .records = records, .n_records = 10000};
	struct dane_answer none = {.security = DANE_FAILED, .why = "test"};
	size_t asked = 0;

	(void)state;
	for (int i = 0; i < 10000; i++)
		records[i] = rdata(&a, DANE_RR_MX, arena_printf(&a, "%d:h%d.d", 10000 - i, i));
	assert_int_equal(dane_decider_answer(d, q->id, &mx), 0);
	while ((q = dane_decider_question(d)) != NULL) {
		assert_int_equal(dane_decider_answer(d, q->id, &none), 0);
		asked++;
	}
	assert_int_equal(asked, 2 * DANE_HOSTS_MAX);
	assert_non_null(dane_decider_result(d));
	assert_int_equal(dane_decider_result(d)->n_hosts, DANE_HOSTS_MAX);
	assert_int_equal(dane_decider_result(d)->n_hosts_beyond, 10000 - DANE_HOSTS_MAX);
	assert_string_equal(dane_decider_result(d)->hosts[0].name, "h9999.d");
	assert_int_equal(dane_decider_result(d)->outcome, DANE_OUTCOME_DEFER);
	dane_decider_free(d);
	arena_done(&a);
}

/* Malformed RDATA is a failure, never an absence (R12): no bounce, no fall-back to may. */
static void malformed_is_no_absence(void **state)
{
	struct arena a = {0};
	struct dane_request r = {.domain = "d", .next_hop = "d", .port = 25};
	struct span cut = span_of("\0\12\2mx", 5), three = span_of("\1\2\3", 3);
	struct dane_answer bad_mx = {.security = DANE_SECURE, .records = &cut, .n_records = 1};
	struct dane_answer bad_a = {.security = DANE_SECURE, .records = &three, .n_records = 1};
	struct dane_answer nodata = {.security = DANE_SECURE, .content = DANE_NODATA};
	struct dane_decider *d = dane_decider_new(&r);

	(void)state;
	assert_int_equal(dane_decider_answer(d, dane_decider_question(d)->id, &bad_mx), 0);
	assert_int_equal(dane_decider_result(d)->outcome, DANE_OUTCOME_DEFER);
	dane_decider_free(d);

	d = dane_decider_new(&r);
	assert_int_equal(dane_decider_answer(d, dane_decider_question(d)->id, &nodata), 0);
	assert_int_equal(dane_decider_answer(d, dane_decider_question(d)->id, &bad_a), 0);
	assert_int_equal(dane_decider_answer(d, dane_decider_question(d)->id, &nodata), 0);
	assert_int_equal(dane_decider_result(d)->outcome, DANE_OUTCOME_DEFER);
	dane_decider_free(d);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row),
		cmocka_unit_test(a_failure_never_weakens),
		cmocka_unit_test(evidence_gives_the_same_decision),
		cmocka_unit_test(evidence_must_be_whole),
		cmocka_unit_test(hops_carry_their_security),
		cmocka_unit_test(ten_thousand_hosts),
		cmocka_unit_test(malformed_is_no_absence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
