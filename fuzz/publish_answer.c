/*
 * Any octets as the answer to an update: within bounds, and never believed, since no input is
 * signed with the key. As a key file. And as the answer when a change is read back: never seen as
 * signed, without a key of the zone.
 */
#include "edge/dns/verify.h"
#include "edge/publish/readback.h"
#include "edge/publish/update.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_back(struct span wire)
{
	const struct publish_zone_keys keys = {"org", NULL, 0};
	struct dns_verify v = {.left = 10, .now = 1700000000};
	struct dns_reply reply = {0};
	struct arena a = {0};

	if (dns_message_parse(&a, wire, &reply.message) == 0 && reply.message.qname != NULL &&
	    wire.n <= 4096) {
		for (size_t n = 0; n < 2; n++) {
			struct publish_set set = {.owner = reply.message.qname,
						  .type = reply.message.qtype,
						  .rdata = &wire,
						  .n = n};
			struct publish_sight sight;

			if (n > 0 && reply.message.answer.n > 0)
				set.rdata = &reply.message.answer.rr[0].rdata;
			reply.message.aa = true;
			publish_readback_judge(&a, &v, &keys, &set, &reply, &sight);
			require(sight.seen != PUBLISH_SEEN_SIGNED && sight.detail != NULL);
		}
	}
	arena_done(&a);
}

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
	read_back(span_of(data, size));
	return 0;
}
