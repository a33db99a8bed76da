/*
 * The whole decision machine, fed with arbitrary answers in arbitrary order. The input is a script:
 * options, then for each answer its security, content, alias chain and records.
 *
 * What must hold: it ends; a level rests on what demands it; a failure never becomes "may"; the
 * saved evidence decides the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "core/dane/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	OPEN_MOST = 4096,
	QUESTIONS_MAX = 20 * DANE_HOSTS_MAX + 4096 * 3,
};

static const char *const names[] = {"d.example", "mx.d.example", "t.other", "192.0.2.1", "x"};

static struct span wire_name(struct arena *a, const char *name)
{
	uint8_t *w = arena_alloc(a, strlen(name) + 2);
	size_t at = 1, start = 0;

	for (const char *s = name; *s != '\0'; s++) {
		if (*s == '.') {
			w[start] = (uint8_t)(at - start - 1);
			start = at++;
		} else {
			w[at++] = (uint8_t)*s;
		}
	}
	w[start] = (uint8_t)(at - start - 1);
	return span_of(w, at + 1); /* the root label behind it is zero already */
}

static struct span record(struct arena *a, struct cursor *c, uint16_t type)
{
	uint8_t n = cursor_u8(c);
	struct span raw = cursor_take(c, n < cursor_left(c) ? n : cursor_left(c));
	uint8_t *p;
	struct span host;

	if (type != DANE_RR_MX || n % 4 == 0)
		return raw;
	host = wire_name(a, names[n % ARRAY_SIZE(names)]);
	p = arena_alloc(a, host.n + 2);
	p[1] = n;
	memcpy(p + 2, host.p, host.n);
	return span_of(p, host.n + 2);
}

static struct dane_answer next_answer(struct arena *a, struct cursor *c,
				      const struct dane_question *q)
{
	uint8_t first = cursor_u8(c), n = cursor_u8(c) % 8, n_aliases = first >> 4 & 3;
	struct span *records = arena_calloc(a, n, sizeof(*records));
	struct dane_alias *aliases = arena_calloc(a, n_aliases, sizeof(*aliases));
	struct dane_answer answer = {.security = first & 3,
				     .content = (first >> 2 & 3) % 3,
				     .records = records,
				     .n_records = n,
				     .aliases = aliases,
				     .n_aliases = n_aliases,
				     .why = "fuzz"};
	const char *owner = q->name;

	for (size_t i = 0; i < n_aliases; i++) {
		aliases[i] = (struct dane_alias){owner, names[cursor_u8(c) % ARRAY_SIZE(names)],
						 answer.security == DANE_SECURE ? DANE_SECURE
										: DANE_UNASKED};
		owner = aliases[i].target;
	}
	for (size_t i = 0; i < n; i++)
		records[i] = record(a, c, q->type);
	return answer;
}

static void check_host(const struct dane_host *h)
{
	size_t usable = 0;

	for (size_t i = 0; i < h->n_records; i++)
		usable += h->records[i].unusable == DANE_USABLE;
	switch (h->level) {
	case DANE_LEVEL_DANE:
		require(h->tlsa_base != NULL && h->tlsa_security == DANE_SECURE && usable > 0);
		require(h->n_addresses > 0 && h->n_identifiers > 0);
		break;
	case DANE_LEVEL_ENCRYPT:
		require(h->tlsa_base != NULL && h->n_records > 0 && usable == 0);
		break;
	case DANE_LEVEL_MAY:
		require(h->tlsa_base == NULL && h->n_addresses > 0);
		require(h->tlsa_security == DANE_SECURE || h->tlsa_security == DANE_INSECURE ||
			h->tlsa_security == DANE_UNASKED);
		break;
	case DANE_LEVEL_UNREACHABLE:
		require(h->status != NULL);
		break;
	}
	require(h->reason != NULL);
}

static void check_evidence(const struct dane_decider *d)
{
	struct js *saved = dane_evidence_save(d), *now = dane_report_policy(d), *then;
	struct dane_decider *again;
	struct err e;
	char *a, *b;

	again = dane_evidence_replay(saved, &e);
	require(again != NULL);
	then = dane_report_policy(again);
	a = js_line(now);
	b = js_line(then);
	require(strcmp(a, b) == 0);
	free(a);
	free(b);
	js_free(saved);
	js_free(now);
	js_free(then);
	dane_decider_free(again);
}

static void answer_one(struct dane_decider *d, struct arena *a, struct cursor *c,
		       const struct dane_question *q)
{
	struct dane_answer answer;

	if (q->ask == DANE_ASK_DER) {
		/* By the data, not by the script: the same question has the same answer. */
		require(dane_decider_answer_der(d, q->id, q->data.n % 2 == 0) == 0);
		return;
	}
	answer = next_answer(a, c, q);
	require(dane_decider_answer(d, q->id, &answer) == 0);
	require(dane_decider_answer(d, q->id, &answer) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(span_of(data, size));
	uint8_t options = cursor_u8(&c);
	struct dane_request r = {.domain = "d.example",
				 .hop = (options >> 3 & 3) % 3,
				 .next_hop = "d.example",
				 .port = 25,
				 .mode = (options & 3) % 3,
				 .half_dane = options >> 2 & 1,
				 .own_name = options & 0x80 ? "mx.d.example" : NULL};
	static struct dane_question open[OPEN_MOST];
	struct dane_decider *d;
	struct arena a = {0};
	size_t n = 0, asked = 0;

	if (r.hop == DANE_HOP_ADDRESS)
		r.next_hop = "192.0.2.1";
	d = dane_decider_new(&r);
	while (dane_decider_result(d) == NULL) {
		const struct dane_question *q;
		size_t pick;

		while ((q = dane_decider_question(d)) != NULL) {
			require(n < OPEN_MOST && ++asked < QUESTIONS_MAX);
			open[n++] = *q;
		}
		require(n > 0);
		pick = cursor_u8(&c) % n;
		answer_one(d, &a, &c, &open[pick]);
		open[pick] = open[--n];
	}
	require(dane_decider_question(d) == NULL);
	for (size_t i = 0; i < dane_decider_result(d)->n_hosts; i++)
		check_host(&dane_decider_result(d)->hosts[i]);
	check_evidence(d);
	dane_decider_free(d);
	arena_done(&a);
	return 0;
}
