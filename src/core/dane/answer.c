#include "core/dane/answer.h"

#include <stddef.h>

#include "base/base.h"

const char *dane_security_to_string(enum dane_security s)
{
	switch (s) {
	case DANE_SECURE:
		return "secure";
	case DANE_INSECURE:
		return "insecure";
	case DANE_BOGUS:
		return "bogus";
	case DANE_FAILED:
		return "failed";
	case DANE_UNASKED:
		return "none";
	}
	return NULL;
}

bool dane_security_from_string(const char *word, enum dane_security *ret)
{
	for (int s = DANE_SECURE; s <= DANE_FAILED; s++) {
		if (strcmp(word, dane_security_to_string((enum dane_security)s)) == 0) {
			*ret = (enum dane_security)s;
			return true;
		}
	}
	return false;
}

static const struct {
	uint16_t type;
	const char *word;
} types[] = {
	{DANE_RR_A, "A"},       {DANE_RR_CNAME, "CNAME"}, {DANE_RR_MX, "MX"},
	{DANE_RR_AAAA, "AAAA"}, {DANE_RR_TLSA, "TLSA"},   {DANE_RR_DNSKEY, "DNSKEY"},
	{DANE_RR_TXT, "TXT"},
};

const char *dane_rrtype_to_string(uint16_t type)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].type == type)
			return types[i].word;
	return NULL;
}

uint16_t dane_rrtype_from_string(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(types[i].word, word) == 0)
			return types[i].type;
	return 0;
}

const struct dane_answer *dane_answer_copy(struct arena *a, const struct dane_answer *in)
{
	struct dane_answer *out = arena_alloc(a, sizeof(*out));
	bool usable = in->security == DANE_SECURE || in->security == DANE_INSECURE;
	struct dane_alias *aliases = arena_calloc(a, in->n_aliases, sizeof(*aliases));
	struct span *records;
	size_t n = usable && in->content == DANE_RECORDS ? in->n_records : 0;

	*out = *in;
	records = arena_calloc(a, n, sizeof(*records));
	for (size_t i = 0; i < n; i++)
		records[i] = arena_dup(a, in->records[i]);
	for (size_t i = 0; i < in->n_aliases; i++) {
		aliases[i].owner = arena_strdup(a, in->aliases[i].owner);
		aliases[i].target = arena_strdup(a, in->aliases[i].target);
		aliases[i].security = in->aliases[i].security;
	}
	out->records = records;
	out->n_records = n;
	out->aliases = aliases;
	out->why = arena_keep(a, in->why);
	/* An answer with no record is no answer with records. */
	if (usable && in->content == DANE_RECORDS && n == 0)
		out->content = DANE_NODATA;
	return out;
}

size_t dane_answer_weight(const struct dane_answer *a)
{
	size_t n = sizeof(*a);

	for (size_t i = 0; i < a->n_records; i++)
		n += sizeof(a->records[i]) + a->records[i].n;
	for (size_t i = 0; i < a->n_aliases; i++)
		n += sizeof(a->aliases[i]) + strlen(a->aliases[i].owner) +
		     strlen(a->aliases[i].target);
	return n;
}
