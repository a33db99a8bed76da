#include "edge/dns/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "edge/dns/record.h"

const char dns_file_anchor[] = "/usr/share/dns/root.key";
const char dns_file_hint[] = "/usr/share/dns/root.hints";

typedef bool wanted_fn(const ldns_rr *rr);

static bool is_anchor(const ldns_rr *rr)
{
	ldns_rr_type type = ldns_rr_get_type(rr);

	return ldns_rdf_size(ldns_rr_owner(rr)) == 1 &&
	       (type == LDNS_RR_TYPE_DS || type == LDNS_RR_TYPE_DNSKEY);
}

static bool is_hint(const ldns_rr *rr)
{
	ldns_rr_type type = ldns_rr_get_type(rr);

	return type == LDNS_RR_TYPE_A || type == LDNS_RR_TYPE_AAAA;
}

static int add(struct arena *a, const ldns_rr *rr, struct dns_rr *list, size_t *n)
{
	struct dns_rr *copy = &list[*n];

	if (*n == DNS_FILE_RECORDS_MAX)
		return -E2BIG;
	if (dns_record_from_ldns(a, rr, copy) == 0)
		(*n)++;
	return 0;
}

static int read_file(struct arena *a, const char *path, const char *what, wanted_fn *wanted,
		     struct dns_section *ret, struct err *e)
{
	ldns_rdf *origin = ldns_dname_new_frm_str("."), *previous = NULL;
	struct dns_rr *list = arena_calloc(a, DNS_FILE_RECORDS_MAX, sizeof(*list));
	FILE *f = fopen(path, "re");
	uint32_t ttl = 3600;
	int line = 1, error = 0;
	size_t n = 0;

	if (f == NULL)
		error = err_set(e, -errno, "%s %s: %s", what, path, strerror(errno));
	while (f != NULL && error == 0 && !feof(f)) {
		int at = line; /* where the record begins */
		ldns_rr *rr = NULL;
		ldns_status status = ldns_rr_new_frm_fp_l(&rr, f, &ttl, &origin, &previous, &line);

		if (status == LDNS_STATUS_OK) {
			if (wanted(rr) && add(a, rr, list, &n) < 0)
				error = err_set(e, -E2BIG, "%s %s: more than %d records", what,
						path, DNS_FILE_RECORDS_MAX);
			ldns_rr_free(rr);
		} else if (ferror(f)) {
			error = err_set(e, -EIO, "%s %s: cannot be read", what, path);
		} else if (status != LDNS_STATUS_SYNTAX_EMPTY && status != LDNS_STATUS_SYNTAX_TTL &&
			   status != LDNS_STATUS_SYNTAX_ORIGIN) {
			error = err_set(e, -EINVAL, "%s %s: line %d: %s", what, path, at,
					ldns_get_errorstr_by_id(status));
		}
	}
	if (error == 0 && n == 0)
		error = err_set(e, -EINVAL, "%s %s: no such record in it", what, path);
	if (f != NULL)
		fclose(f);
	ldns_rdf_deep_free(origin);
	ldns_rdf_deep_free(previous);
	*ret = (struct dns_section){list, n};
	return error;
}

int dns_file_anchors(struct arena *a, const char *path, struct dns_section *ret, struct err *e)
{
	return read_file(a, path, "trust anchor", is_anchor, ret, e);
}

int dns_file_hints(struct arena *a, const char *path, struct dns_section *ret, struct err *e)
{
	return read_file(a, path, "root hints", is_hint, ret, e);
}
