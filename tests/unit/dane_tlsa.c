#include "test.h"

#include <errno.h>
#include <stdio.h>

#include "base/hex.h"
#include "core/dane/tlsa.h"

#define H32 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define H64 H32 H32

/* Section F: text in, the octets of its RDATA out; NULL: refused, at this column. */
static const struct text_row {
	const char *text;
	const char *rdata;
	size_t column;
} text_rows[] = {
	/* F8: blanks, parentheses, case, comments */
	{"3 1 1 abcd", "030101abcd"},
	{"3 1 1 ABcd", "030101abcd"},
	{"  3\t1  1 ab cd  ", "030101abcd"},
	{"3 1 1 a b c d", "030101abcd"},
	{"3 1 1 ( ab cd )", "030101abcd"},
	{"(3 1 1 abcd)", "030101abcd"},
	{"3 1 1(abcd)", "030101abcd"},
	{"3 1 1 (\n ab ; half\r\n cd ) ; all\n", "030101abcd"},
	{"3 1 1 abcd ; 3 1 1 ef", "030101abcd"},
	{"3 1 1 abcd\n\n ; the end\n", "030101abcd"},
	{"3 1 1 (ab)(cd)", "030101abcd"},
	{"3 1 1 ((ab))", NULL, 8},
	{"3 1 1 ( ab", NULL, 11},
	{"3 1 1 ab )", NULL, 10},
	{"3 1 1 ab\n3 1 1 cd", NULL, 10},
	{"3 1 1 ab\ncd", NULL, 10},
	{"3 1\n1 ab", NULL, 5},
	/* F9 */
	{"3 1 1 a", NULL, 8},
	{"3 1 1 abc", NULL, 10},
	{"3 1 1 ab c", NULL, 11},
	{"3 1 1 abcg", NULL, 10},
	{"3 1 1 0xab", NULL, 8},
	{"3 1 1 \"ab\"", NULL, 7},
	{"3 1 1 ab\\099", NULL, 9},
	{"3 1 1 \xc3\xa4", NULL, 7},
	/* F10 */
	{"256 1 1 ab", NULL, 1},
	{"-1 1 1 ab", NULL, 1},
	{"+3 1 1 ab", NULL, 1},
	{"0x3 1 1 ab", NULL, 1},
	{"3.0 1 1 ab", NULL, 1},
	{"3 256 1 ab", NULL, 3},
	{"3 1 4294967297 ab", NULL, 5},
	{"3 1 99999999999999999999999999 ab", NULL, 5},
	{"03 01 001 ab", "030101ab"},
	/* F11, RFC 7218 */
	{"DANE-EE SPKI SHA2-256 ab", "030101ab"},
	{"dane-ta cert full ab", "020000ab"},
	{"pkix-TA Spki sha2-512 ab", "000102ab"},
	{"PKIX-EE 1 SHA2-256 ab", "010101ab"},
	{"PrivCert PrivSel PrivMatch ab", "ffffffab"},
	{"SPKI DANE-EE SHA2-256 ab", NULL, 1},
	{"DANE-EE SPKI SHA-256 ab", NULL, 14},
	/* F12 */
	{"3 1 1", NULL, 6},
	{"3 1 1 ()", NULL, 9},
	{"3 1", NULL, 4},
	{"3", NULL, 2},
	{"", NULL, 1},
	{"; only a comment", NULL, 17},
	/* F13, RFC 3597 */
	{"TYPE52 \\# 5 030101abcd", "030101abcd"},
	{"type52 \\# 5 03 0101 ( ab\n cd )", "030101abcd"},
	{"TLSA \\# 4 030101AB", "030101ab"},
	{"TYPE52 3 1 1 ab", "030101ab"},
	{"\\# 4 030101ab", "030101ab"},
	{"\\# 3 030101", "030101"},
	{"\\# 2 0301", "0301"},
	{"\\# 1 03", "03"},
	{"\\# 0", ""},
	{"\\# 4 030101", NULL, 4},
	{"\\# 3 030101ab", NULL, 4},
	{"\\# 0 03", NULL, 4},
	{"\\# 65536 03", NULL, 4},
	{"\\# 2 030", NULL, 9},
	{"\\#", NULL, 3},
	{"\\#2 0301", NULL, 1},
	{"TYPE53 3 1 1 ab", NULL, 1},
	/* F15 */
	{"3 1 1 AB:CD", NULL, 9},
	/* F16 */
	{"4 2 3 ab", "040203ab"},
	{"255 255 255 ab", "ffffffab"},
	/* a whole line of a zone file */
	{"_25._tcp.mx1.example. 3600 IN TLSA 3 1 1 ab", "030101ab"},
	{"_25._tcp.mx1.example.\tIN\t3600\tTLSA\t3 1 1 ab", "030101ab"},
	{"_25._tcp.mx1.example. 1h30m in tlsa DANE-EE SPKI SHA2-256 ab", "030101ab"},
	{"_25._tcp IN TLSA ( 3 1 1\n ab )", "030101ab"},
	{"_25._tcp 600 TLSA 3 1 1 ab", "030101ab"},
	{"_25._tcp TLSA 3 1 1 ab", "030101ab"},
	{"  IN TLSA 3 1 1 ab", "030101ab"},
	{"@ 3600 CLASS1 TYPE52 \\# 4 030101ab", "030101ab"},
	{"tlsa 3600 IN TLSA 3 1 1 ab", "030101ab"},
	{"a\\;b\\ c IN TLSA 3 1 1 ab", "030101ab"},
	{"TLSA 3 1 1 ab", "030101ab"},
	{"x CH TLSA 3 1 1 ab", NULL, 3},
	{"x 3600 HS TLSA 3 1 1 ab", NULL, 8},
	{"x 4294967295 TLSA 3 1 1 ab", NULL, 3},
	{"x IN IN TLSA 3 1 1 ab", NULL, 3},
	{"x y z w TLSA 3 1 1 ab", NULL, 1},
	{"x 3600 IN A 192.0.2.1", NULL, 1},
	{"x 3600 IN TLSA", NULL, 15},
};

static void text_is_read_strictly(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(text_rows); i++) {
		const struct text_row *row = &text_rows[i];
		struct arena a = {0};
		struct dane_tlsa r;
		struct err e = {0};
		int got = dane_tlsa_from_text(&a, row->text, &r, &e);
		char where[40];

		snprintf(where, sizeof(where), "column %zu:", row->column);
		if (row->rdata == NULL) {
			if (got != -EINVAL || strncmp(e.text, where, strlen(where)) != 0)
				fail_msg("\"%s\": %d, \"%s\", expected %s", row->text, got, e.text,
					 where);
		} else if (got != 0 || strcmp(hex_encode(&a, r.rdata), row->rdata) != 0) {
			fail_msg("\"%s\": %d, \"%s\"", row->text, got, e.text);
		}
		arena_done(&a);
	}
}

static void text_round_trips(void **state)
{
	(void)state;
	/* F19, and every cut of a record: no cut makes another record of the same octets. */
	for (size_t i = 0; i < ARRAY_SIZE(text_rows); i++) {
		struct arena a = {0};
		struct dane_tlsa r, again;

		if (text_rows[i].rdata == NULL)
			continue;
		assert_int_equal(dane_tlsa_from_text(&a, text_rows[i].text, &r, NULL), 0);
		assert_int_equal(dane_tlsa_from_text(&a, dane_tlsa_to_text(&a, &r), &again, NULL),
				 0);
		assert_true(span_eq(r.rdata, again.rdata));
		for (size_t n = 0; n < strlen(text_rows[i].text); n++) {
			struct dane_tlsa cut;

			if (dane_tlsa_from_span(&a, span_of(text_rows[i].text, n), &cut, NULL) == 0)
				assert_true(cut.rdata.n <= r.rdata.n);
		}
		arena_done(&a);
	}
}

static void text_is_printed_one_way(void **state)
{
	static const char *rows[][2] = {
		{"DANE-EE SPKI SHA2-256 ( AB cd )", "3 1 1 abcd"},
		{"\\# 3 030101", "\\# 3 030101"},
		{"\\# 2 0301", "\\# 2 0301"},
		{"\\# 0", "\\# 0"},
		{"TYPE52 \\# 5 030101ABCD", "3 1 1 abcd"},
	};
	struct arena a = {0};
	struct dane_tlsa r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(dane_tlsa_from_text(&a, rows[i][0], &r, NULL), 0);
		assert_string_equal(dane_tlsa_to_text(&a, &r), rows[i][1]);
	}
	arena_done(&a);
}

static void text_is_bounded(void **state)
{
	size_t room = DANE_TLSA_TEXT_MAX + 1;
	char *text = xmalloc(room + 1);
	struct arena a = {0};
	struct dane_tlsa r;

	(void)state;
	/* 65535 octets of RDATA are the most that exist, one more is refused. */
	memset(text, 'a', room);
	memcpy(text, "3 1 0 ", 6);
	assert_int_equal(dane_tlsa_from_span(&a, span_of(text, 6 + 2 * 65532), &r, NULL), 0);
	assert_int_equal(r.rdata.n, 65535);
	assert_int_equal(dane_tlsa_from_span(&a, span_of(text, 6 + 2 * 65533), &r, NULL), -EINVAL);
	/* Text beyond its own limit is not even looked at. */
	memset(text, ' ', room);
	memcpy(text, "3 1 1 ab", 8);
	assert_int_equal(dane_tlsa_from_span(&a, span_of(text, room - 1), &r, NULL), 0);
	assert_int_equal(dane_tlsa_from_span(&a, span_of(text, room), &r, NULL), -EINVAL);
	/* A NUL ends no record early. */
	assert_int_equal(dane_tlsa_from_span(&a, span_of("3 1 1 ab\0cd", 11), &r, NULL), -EINVAL);
	assert_int_equal(dane_tlsa_from_span(&a, span_of("a\0b TLSA 3 1 1 ab", 17), &r, NULL),
			 -EINVAL);
	free(text);
	arena_done(&a);
}

/* Section U. Rows with matching type 0 pass by form; edge/tls looks at their DER (U9, U10). */
static const struct use_row {
	const char *id;
	const char *rdata;
	enum dane_unusable why;
	bool wants_der;
} use_rows[] = {
	{"U1", "030101" H32, DANE_USABLE},
	{"U1", "030001" H32, DANE_USABLE},
	{"U1", "030102" H64, DANE_USABLE},
	{"U1", "020002" H64, DANE_USABLE},
	{"U1", "020101" H32, DANE_USABLE},
	{"U2", "000101" H32, DANE_UNUSABLE_PKIX_USAGE},
	{"U2", "010101" H32, DANE_UNUSABLE_PKIX_USAGE},
	{"U2", "0101", DANE_UNUSABLE_TRUNCATED},
	{"U4", "040101" H32, DANE_UNUSABLE_USAGE},
	{"U4", "fe0101" H32, DANE_UNUSABLE_USAGE},
	{"U4", "ff0101" H32, DANE_UNUSABLE_USAGE},
	{"U5", "030201" H32, DANE_UNUSABLE_SELECTOR},
	{"U5", "03fe01" H32, DANE_UNUSABLE_SELECTOR},
	{"U5", "03ff01" H32, DANE_UNUSABLE_SELECTOR},
	{"U6", "030103" H32, DANE_UNUSABLE_MATCHING},
	{"U6", "0301ff" H32, DANE_UNUSABLE_MATCHING},
	{"U7", "030101" H64, DANE_UNUSABLE_DIGEST_LENGTH},
	{"U7", "030102" H32, DANE_UNUSABLE_DIGEST_LENGTH},
	{"U7", "03010101", DANE_UNUSABLE_DIGEST_LENGTH},
	{"U7", "030101" H32 "00", DANE_UNUSABLE_DIGEST_LENGTH},
	{"U9", "03000000", DANE_USABLE, true},
	{"U10", "02010000", DANE_USABLE, true},
	{"U11", "030101", DANE_UNUSABLE_EMPTY},
	{"U11", "030000", DANE_UNUSABLE_EMPTY},
	{"U11", "020100", DANE_UNUSABLE_EMPTY},
	{"U12", "", DANE_UNUSABLE_TRUNCATED},
	{"U12", "03", DANE_UNUSABLE_TRUNCATED},
	{"U12", "0301", DANE_UNUSABLE_TRUNCATED},
	{"U13", "030101e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	 DANE_USABLE},
};

static void usability_follows_section_u(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(use_rows); i++) {
		const struct use_row *row = &use_rows[i];
		struct arena a = {0};
		struct span rdata;
		struct dane_tlsa r;

		assert_int_equal(hex_decode(&a, span_text(row->rdata), &rdata), 0);
		r = dane_tlsa_from_wire(rdata);
		if (dane_tlsa_usability(&r) != row->why)
			fail_msg("%s: %s", row->id, row->rdata);
		assert_int_equal(dane_tlsa_wants_der(&r), row->wants_der);
		assert_true((dane_unusable_to_string(row->why) == NULL) ==
			    (row->why == DANE_USABLE));
		/* F19 from the wire, too. */
		assert_true(span_eq(r.rdata, rdata));
		assert_int_equal(dane_tlsa_from_text(&a, dane_tlsa_to_text(&a, &r), &r, NULL), 0);
		assert_true(span_eq(r.rdata, rdata));
		arena_done(&a);
	}
}

static void wire_keeps_what_it_read(void **state)
{
	static const uint8_t rdata[] = {3, 1, 2, 0xab};
	struct dane_tlsa r;

	(void)state;
	for (size_t n = 0; n < 3; n++) { /* F5 */
		r = dane_tlsa_from_wire(span_of(rdata, n));
		assert_int_equal(r.usage | r.selector | r.matching, 0);
		assert_int_equal(r.data.n, 0);
		assert_int_equal(r.rdata.n, n);
	}
	r = dane_tlsa_from_wire(span_of(rdata, 3)); /* F6 */
	assert_int_equal(r.usage, 3);
	assert_int_equal(r.selector, 1);
	assert_int_equal(r.matching, 2);
	assert_int_equal(r.data.n, 0);
	r = dane_tlsa_from_wire(span_of(rdata, 4));
	assert_true(span_eq(r.data, span_of(rdata + 3, 1)));
	r = dane_tlsa_from_wire(span_of(NULL, 0));
	assert_int_equal(dane_tlsa_usability(&r), DANE_UNUSABLE_TRUNCATED);
}

/* Section G: '+' counts, 'a' is set aside, '-' is not usable. */
static const struct agility_row {
	const char *id;
	const char *rdata[5];
	const char *expected;
} agility_rows[] = {
	{"G1", {"030101" H32, "030102" H64}, "a+"},
	{"G1", {"030102" H64, "030101" H32}, "+a"},
	{"G2", {"030101" H32, "030002" H64}, "++"},
	{"G2", {"030101" H32, "020102" H64}, "++"},
	{"G3", {"03010000", "030102" H64}, "++"},
	{"G3", {"03010000", "030102" H64, "030101" H32}, "++a"},
	{"G4", {"030102" H32, "030101" H32}, "-+"},
	{"G4", {"010102" H64, "030101" H32}, "-+"},
	{"G5", {"020001" H32, "020002" H64, "020101" H32, "030001" H32}, "a+++"},
	{"", {"030101" H32, "030101" H32}, "++"},
	{"", {"0301", "030101" H32}, "-+"},
	{"", {NULL}, ""},
};

static void agility_is_per_usage_and_selector(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(agility_rows); i++) {
		const struct agility_row *row = &agility_rows[i];
		struct dane_tlsa r[5];
		bool usable[5], aside[5];
		char got[6] = "";
		struct arena a = {0};
		size_t n;

		for (n = 0; n < 5 && row->rdata[n] != NULL; n++) {
			struct span rdata;

			assert_int_equal(hex_decode(&a, span_text(row->rdata[n]), &rdata), 0);
			r[n] = dane_tlsa_from_wire(rdata);
			usable[n] = dane_tlsa_usability(&r[n]) == DANE_USABLE;
			aside[n] = !usable[n]; /* must be overwritten */
		}
		dane_tlsa_agility(r, usable, n, aside);
		for (size_t k = 0; k < n; k++)
			got[k] = aside[k] ? 'a' : usable[k] ? '+' : '-';
		if (strcmp(got, row->expected) != 0)
			fail_msg("%s (row %zu): %s, expected %s", row->id, i, got, row->expected);
		arena_done(&a);
	}
}

/* A digest that policy or the DER check took out must not push a weaker one aside (G4, T13). */
static void agility_ignores_what_is_not_usable(void **state)
{
	struct arena a = {0};
	struct span weak, strong;
	struct dane_tlsa r[2];
	bool usable[2] = {true, false}, aside[2];

	(void)state;
	assert_int_equal(hex_decode(&a, span_text("030101" H32), &weak), 0);
	assert_int_equal(hex_decode(&a, span_text("030102" H64), &strong), 0);
	r[0] = dane_tlsa_from_wire(weak);
	r[1] = dane_tlsa_from_wire(strong);
	dane_tlsa_agility(r, usable, 2, aside);
	assert_false(aside[0]);
	assert_false(aside[1]);
	arena_done(&a);
}

static void fields_are_read_alone(void **state)
{
	uint8_t v;

	(void)state;
	assert_true(dane_tlsa_field_from_text(DANE_TLSA_USAGE, "dane-EE", &v));
	assert_int_equal(v, 3);
	assert_true(dane_tlsa_field_from_text(DANE_TLSA_SELECTOR, "0", &v));
	assert_int_equal(v, 0);
	assert_true(dane_tlsa_field_from_text(DANE_TLSA_MATCHING, "SHA2-512", &v));
	assert_int_equal(v, 2);
	assert_false(dane_tlsa_field_from_text(DANE_TLSA_MATCHING, "SPKI", &v));
	assert_false(dane_tlsa_field_from_text(DANE_TLSA_USAGE, "", &v));
	assert_false(dane_tlsa_field_from_text(DANE_TLSA_USAGE, "3 ", &v));
	assert_false(dane_tlsa_field_from_text(DANE_TLSA_USAGE, "256", &v));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_read_strictly),
		cmocka_unit_test(text_round_trips),
		cmocka_unit_test(text_is_printed_one_way),
		cmocka_unit_test(text_is_bounded),
		cmocka_unit_test(usability_follows_section_u),
		cmocka_unit_test(wire_keeps_what_it_read),
		cmocka_unit_test(agility_is_per_usage_and_selector),
		cmocka_unit_test(agility_ignores_what_is_not_usable),
		cmocka_unit_test(fields_are_read_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
