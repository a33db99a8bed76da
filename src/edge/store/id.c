#include "edge/store/id.h"

#include <string.h>
#include <sys/random.h>

static const char alphabet[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";

enum {
	BASE = sizeof(alphabet) - 1,
	HALF = STORE_ID_LEN / 2,
};

static void put(char *out, uint64_t n)
{
	for (int i = HALF - 1; i >= 0; i--, n /= BASE)
		out[i] = alphabet[n % BASE];
}

struct store_id store_id_make(usec_t unix_usec, const uint8_t random[STORE_ID_RANDOM])
{
	struct store_id id = {.text = ""};
	uint64_t n = 0;

	for (int i = 0; i < STORE_ID_RANDOM; i++)
		n = n << 8 | random[i];
	put(id.text, unix_usec > 0 ? (uint64_t)unix_usec / 1000 : 0);
	put(id.text + HALF, n);
	return id;
}

struct store_id store_id_first(usec_t unix_usec)
{
	static const uint8_t zero[STORE_ID_RANDOM];

	return store_id_make(unix_usec, zero);
}

struct store_id store_id_new(usec_t unix_usec)
{
	uint8_t random[STORE_ID_RANDOM];

	require(getrandom(random, sizeof(random), 0) == (ssize_t)sizeof(random));
	return store_id_make(unix_usec, random);
}

bool store_id_is_valid(const char *text)
{
	return strlen(text) == STORE_ID_LEN && strspn(text, alphabet) == STORE_ID_LEN;
}
