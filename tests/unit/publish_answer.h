/* A server's signed answers, made here from RFC 8945 alone, not with the code under test. */
#pragma once

#include "test.h"

#include "base/hex.h"
#include "edge/publish/update.h"

#define ANSWER_KEY_TEXT                                                                            \
	"key \"k.example\" {\n\talgorithm hmac-sha256;\n"                                          \
	"\tsecret \"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\";\n};\n"

#define ANSWER_NOW 1700000000

struct answer {
	uint16_t id, flags, rcode, error;
	int64_t time;
	uint64_t server_time; /* of BADTIME */
	const char *key_wire; /* "\1k\7example" */
	size_t mac_n;         /* 0: an empty signature */
	bool no_request;      /* the request's MAC is left out of the sum */
};

static inline struct answer answer_good(const struct publish_update *u)
{
	return (struct answer){.id = u->id,
			       .flags = 0xa800,
			       .time = ANSWER_NOW,
			       .key_wire = "\1k\7example",
			       .mac_n = 32};
}

static inline void put_int(struct buf *b, uint64_t v, int octets)
{
	for (int i = octets - 1; i >= 0; i--)
		assert_int_equal(buf_add(b, (uint8_t[]){(uint8_t)(v >> 8 * i)}, 1), 0);
}

static inline void put_text(struct buf *b, const char *text, size_t n)
{
	assert_int_equal(buf_add(b, text, n), 0);
}

#define ALGORITHM "\013hmac-sha256"

static inline void put_times(struct buf *b, const struct answer *an)
{
	put_int(b, (uint64_t)an->time, 6);
	put_int(b, 300, 2);
}

static inline void put_error(struct buf *b, const struct answer *an)
{
	put_int(b, an->error, 2);
	put_int(b, an->error == 18 ? 6 : 0, 2);
	if (an->error == 18)
		put_int(b, an->server_time, 6);
}

/* Into `out`; header and zone section, then the signature. */
static inline void answer_make(const struct answer *an, const struct publish_update *u,
			       const struct publish_key *key, struct buf *out)
{
	struct buf sum;
	uint8_t mac[TLS_HMAC_MAX];

	put_int(out, an->id, 2);
	put_int(out, an->flags | an->rcode, 2);
	put_int(out, 1, 2);
	put_int(out, 0, 6);
	put_text(out, "\7example\3org\0\0\6\0\1", 17);
	buf_init(&sum, 1 << 16);
	if (!an->no_request) {
		put_int(&sum, u->mac.n, 2);
		put_text(&sum, (const char *)u->mac.octets, u->mac.n);
	}
	put_text(&sum, (const char *)out->p, out->n);
	put_text(&sum, an->key_wire, strlen(an->key_wire) + 1);
	put_int(&sum, 255, 2);
	put_int(&sum, 0, 4);
	put_text(&sum, ALGORITHM, sizeof(ALGORITHM));
	put_times(&sum, an);
	put_error(&sum, an);
	tls_hmac(key->digest, span_of(key->secret, key->secret_n), buf_span(&sum), mac);
	buf_done(&sum);
	out->p[11] = 1;
	put_text(out, an->key_wire, strlen(an->key_wire) + 1);
	put_int(out, 250, 2);
	put_int(out, 255, 2);
	put_int(out, 0, 4);
	put_int(out, sizeof(ALGORITHM) + 16 + an->mac_n + (an->error == 18 ? 6 : 0), 2);
	put_text(out, ALGORITHM, sizeof(ALGORITHM));
	put_times(out, an);
	put_int(out, an->mac_n, 2);
	put_text(out, (const char *)mac, an->mac_n);
	put_int(out, an->id, 2);
	put_error(out, an);
}
