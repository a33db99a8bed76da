/*
 * Any octets as the answer to an update: within bounds, and never believed, since no input is
 * signed with the key (a seed that is, is one octet short).
 */
#include "edge/publish/update.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char text[] = "key k.example { algorithm hmac-sha256; secret "
				   "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=; };";
	struct publish_set set = {.owner = "mx.example.org", .type = DNS_TYPE_A};
	struct publish_change change = {"example.org", &set, 1};
	struct publish_update u;
	struct publish_verdict v;
	struct publish_key key;

	require(publish_key_parse(span_text(text), &key, NULL) == 0);
	require(publish_update_build(&change, &key, 0x1234, 1700000000, &u) == 0);
	publish_update_judge(&u, &key, span_of(data, size), 1700000000, &v);
	require(v.outcome == PUBLISH_UNKNOWN && v.words[0] != '\0');
	publish_update_done(&u);
	/* And as a key file: it is read, or it is not; a secret has its bounds. */
	if (publish_key_parse(span_of(data, size), &key, NULL) == 0)
		require(key.secret_n >= PUBLISH_SECRET_MIN && key.name[0] != '\0');
	return 0;
}
