/* Any bytes as a PROXY header: the same verdict however they are cut, and nothing beyond it taken.
 */
#include "core/smtp/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum smtp_proxy_step by_octets(struct smtp_proxy *p, const uint8_t *data, size_t size,
				      size_t *ret_taken)
{
	enum smtp_proxy_step step = SMTP_PROXY_MORE;

	for (*ret_taken = 0; *ret_taken < size && step == SMTP_PROXY_MORE;) {
		struct span one = span_of(data + *ret_taken, 1);

		step = smtp_proxy_feed(p, &one);
		*ret_taken += 1 - one.n;
		require(one.n == 0);
	}
	return step;
}

static void require_same(const struct smtp_proxy_address *a, const struct smtp_proxy_address *b)
{
	require(a->n == b->n && a->port == b->port);
	require(memcmp(a->octets, b->octets, sizeof(a->octets)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_proxy whole = {0}, parts = {0};
	struct span in = span_of(data, size);
	enum smtp_proxy_step step = smtp_proxy_feed(&whole, &in);
	size_t taken;

	require(by_octets(&parts, data, size, &taken) == step && taken == size - in.n);
	require(taken <= SMTP_PROXY_HEAD + SMTP_PROXY_LENGTH_MAX);
	require((whole.why != NULL) == (step == SMTP_PROXY_REFUSED));
	require(step != SMTP_PROXY_MORE || in.n == 0);
	if (step != SMTP_PROXY_DONE)
		return 0;
	require(whole.kind == parts.kind);
	require((whole.kind == SMTP_PROXY_TCP) == (whole.source.n > 0));
	require(whole.source.n == 0 || whole.source.n == 4 || whole.source.n == 16);
	require(whole.source.n == whole.destination.n);
	require_same(&whole.source, &parts.source);
	require_same(&whole.destination, &parts.destination);
	return 0;
}
