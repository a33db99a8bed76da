#include "edge/tls/hmac.h"

#include <limits.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/base.h"
#include "edge/tls/context.h"

size_t tls_hmac(enum tls_digest digest, struct span key, struct span data, uint8_t *ret)
{
	const EVP_MD *md = digest == TLS_SHA256 ? EVP_sha256() : EVP_sha512();
	unsigned n = 0;

	tls_init(); /* else the library would load the system's openssl.cnf here */
	require(key.n <= INT_MAX);
	/* It fails for want of memory only. */
	require(HMAC(md, key.p, (int)key.n, data.p, data.n, ret, &n) != NULL);
	require(n <= TLS_HMAC_MAX);
	return n;
}

bool tls_hmac_equal(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}
