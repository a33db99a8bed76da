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
