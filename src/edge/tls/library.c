#include <pthread.h>

#include <openssl/core_dispatch.h>
#include <openssl/provider.h>

#include "edge/tls/internal.h"

/*
 * OpenSSL 3.0 reads the key of every certificate by a search through all decoders that its provider
 * has (PEM, PKCS#8, PKCS#1, MSBLOB ... for each kind of key): half of what a certificate costs a
 * client (docs/decisions/0038). In this library context the provider is the default one, but of its
 * decoders only those are shown that a certificate can need: DER of a SubjectPublicKeyInfo. Nothing
 * else differs, and no openssl.cnf has a say.
 */

enum {
	DECODERS_MAX = 64,
};

static OSSL_PROVIDER *standard; /* of a library context of its own */
static OSSL_ALGORITHM decoders[DECODERS_MAX + 1];
static OSSL_LIB_CTX *library;

static bool reads_certificates_keys(const OSSL_ALGORITHM *a)
{
	const char *p = a->property_definition;

	return p != NULL && strstr(p, "input=der") != NULL &&
	       strstr(p, "structure=SubjectPublicKeyInfo") != NULL;
}

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_store)
{
	const OSSL_ALGORITHM *all = OSSL_PROVIDER_query_operation(standard, operation, no_store);

	(void)provider;
	/* None found at birth: another OpenSSL, which names them otherwise. */
	return operation == OSSL_OP_DECODER && decoders[0].algorithm_names != NULL ? decoders : all;
}

static int capabilities(void *provider, const char *which, OSSL_CALLBACK *fn, void *arg)
{
	(void)provider;
	return OSSL_PROVIDER_get_capabilities(standard, which, fn, arg);
}

static int start(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core,
		 const OSSL_DISPATCH **ret, void **ret_provider)
{
	static const OSSL_DISPATCH functions[] = {
		{OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
		{OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))capabilities},
		{0, NULL},
	};

	(void)handle;
	(void)core;
	*ret = functions;
	/* The algorithms are the default provider's: they want its context. */
	*ret_provider = OSSL_PROVIDER_get0_provider_ctx(standard);
	return 1;
}

static void choose_decoders(void)
{
	int no_store = 0;
	size_t n = 0;
	const OSSL_ALGORITHM *a =
		OSSL_PROVIDER_query_operation(standard, OSSL_OP_DECODER, &no_store);

	for (; a != NULL && a->algorithm_names != NULL && n < DECODERS_MAX; a++)
		if (reads_certificates_keys(a))
			decoders[n++] = *a;
}

static void make(void)
{
	OSSL_LIB_CTX *home = OSSL_LIB_CTX_new(), *made = OSSL_LIB_CTX_new();

	tls_init();
	standard = home == NULL ? NULL : OSSL_PROVIDER_load(home, "default");
	if (standard != NULL && made != NULL) {
		choose_decoders();
		if (OSSL_PROVIDER_add_builtin(made, "lean", start) == 1 &&
		    OSSL_PROVIDER_load(made, "lean") != NULL) {
			library = made;
			return;
		}
	}
	ERR_clear_error();
	OSSL_LIB_CTX_free(made);
	OSSL_LIB_CTX_free(home);
}

OSSL_LIB_CTX *tls_library(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make);
	return library;
}
