/* Evidence to JSON and back. Bytes are hex; names and types are as in the report. */
#include "core/dane/report.h"

#include <errno.h>
#include <inttypes.h>

#include "base/hex.h"
#include "base/text.h"
#include "core/dane/name.h"

static const char format[] = "daneway-evidence 1";

enum {
	RDATA_MAX = 65535, /* octets, RFC 1035 section 3.2.1 */
};

/* The entries of a file. */
struct saved {
	const struct js *questions;
	struct js *index; /* key -> place in `questions` */
};

static const char *hop_to_string(enum dane_hop h)
{
	switch (h) {
	case DANE_HOP_DOMAIN:
		return "domain";
	case DANE_HOP_HOST:
		return "host";
	case DANE_HOP_ADDRESS:
		return "address";
	}
	return NULL;
}

static bool hop_from_string(const char *word, enum dane_hop *ret)
{
	for (int h = DANE_HOP_DOMAIN; h <= DANE_HOP_ADDRESS; h++) {
		if (word != NULL && strcmp(word, hop_to_string((enum dane_hop)h)) == 0) {
			*ret = (enum dane_hop)h;
			return true;
		}
	}
	return false;
}

static const char *content_to_string(enum dane_content c)
{
	switch (c) {
	case DANE_RECORDS:
		return "records";
	case DANE_NODATA:
		return "nodata";
	case DANE_NXDOMAIN:
		return "nxdomain";
	}
	return NULL;
}

static bool content_from_string(const char *word, enum dane_content *ret)
{
	for (int c = DANE_RECORDS; c <= DANE_NXDOMAIN; c++) {
		if (word != NULL && strcmp(word, content_to_string((enum dane_content)c)) == 0) {
			*ret = (enum dane_content)c;
			return true;
		}
	}
	return false;
}

/* --- save ------------------------------------------------------------------------------------- */

static struct js *request_json(const struct dane_request *r)
{
	struct js *v = js_object();

	js_set_text(v, "domain", r->domain);
	js_set_text(v, "hop", hop_to_string(r->hop));
	js_set_text(v, "next_hop", r->next_hop);
	js_set_int(v, "port", r->port);
	js_set_text(v, "mode", dane_mode_to_string(r->mode));
	js_set_bool(v, "half_dane", r->half_dane);
	js_set_text(v, "own_name", r->own_name);
	return v;
}

static struct js *answer_json(struct arena *a, const struct dane_answer *answer)
{
	struct js *v = js_object(), *records = js_array(), *aliases = js_array();
	bool usable = answer->security == DANE_SECURE || answer->security == DANE_INSECURE;

	js_set_text(v, "security", dane_security_to_string(answer->security));
	js_set_text(v, "content", usable ? content_to_string(answer->content) : NULL);
	js_set_int(v, "ttl", answer->ttl);
	for (size_t i = 0; i < answer->n_records; i++)
		js_push_text(records, hex_encode(a, answer->records[i]));
	js_set(v, "records", records);
	for (size_t i = 0; i < answer->n_aliases; i++) {
		struct js *alias = js_object();

		js_set_text(alias, "owner", answer->aliases[i].owner);
		js_set_text(alias, "target", answer->aliases[i].target);
		js_set_text(alias, "security",
			    dane_security_to_string(answer->aliases[i].security));
		js_push(aliases, alias);
	}
	js_set(v, "aliases", aliases);
	js_set_text(v, "why", answer->why);
	if (answer->late)
		js_set_bool(v, "late", true);
	return v;
}

struct js *dane_answer_save(const struct dane_answer *answer)
{
	struct arena a = {0};
	struct js *v = answer_json(&a, answer);

	arena_done(&a);
	return v;
}

static struct js *question_json(const struct dane_evidence *e)
{
	struct arena a = {0};
	struct js *v = js_object();

	if (e->question.host != NULL)
		js_set_text(v, "host", e->question.host);
	switch (e->question.ask) {
	case DANE_ASK_DNS:
		js_set_text(v, "name", e->question.name);
		js_set_text(v, "type", dane_rrtype_to_string(e->question.type));
		if (e->dns != NULL)
			js_set(v, "answer", answer_json(&a, e->dns));
		break;
	case DANE_ASK_DER:
		js_set_int(v, "selector", e->question.selector);
		js_set_text(v, "der", hex_encode(&a, e->question.data));
		if (e->der_known)
			js_set_bool(v, "well_formed", e->der_well_formed);
		break;
	}
	arena_done(&a);
	return v;
}

struct js *dane_evidence_save(const struct dane_decider *d)
{
	struct js *v = js_object(), *questions = js_array();

	js_set_text(v, "format", format);
	js_set(v, "request", request_json(dane_decider_request(d)));
	for (size_t i = 0; i < dane_decider_evidence_count(d); i++) {
		struct dane_evidence e = dane_decider_evidence(d, i);

		js_push(questions, question_json(&e));
	}
	js_set(v, "questions", questions);
	if (dane_decider_result(d) != NULL)
		js_set(v, "decision", dane_report_policy(d));
	return v;
}

/* --- replay ----------------------------------------------------------------------------------- */

static int read_request(struct arena *a, const struct js *v, struct dane_request *r, struct err *e)
{
	const char *mode = js_text(js_get(v, "mode")), *own = js_text(js_get(v, "own_name"));
	int64_t port = js_int(js_get(v, "port"), 0);
	const char *domain = js_text(js_get(v, "domain"));
	const char *next_hop = js_text(js_get(v, "next_hop"));

	if (domain == NULL || next_hop == NULL || port < 1 || port > 65535 || mode == NULL ||
	    !dane_mode_from_string(mode, &r->mode) ||
	    !hop_from_string(js_text(js_get(v, "hop")), &r->hop))
		return err_set(e, -EINVAL, "its \"request\" is incomplete");
	if (!text_is_plain(domain) || (own != NULL && !text_is_plain(own)))
		return err_set(e, -EINVAL, "a name in its \"request\" is none");
	if (r->hop == DANE_HOP_ADDRESS && !dane_name_is_address(next_hop))
		return err_set(e, -EINVAL, "its next hop is no address");
	if (r->hop != DANE_HOP_ADDRESS && dane_name_from_text(a, next_hop, &next_hop, e) < 0)
		return -EINVAL;
	r->domain = domain;
	r->next_hop = next_hop;
	r->port = (uint16_t)port;
	r->half_dane = js_bool(js_get(v, "half_dane"), false);
	r->own_name = own;
	return 0;
}

static int read_records(struct arena *a, const struct js *list, struct dane_answer *ret)
{
	struct span *records = arena_calloc(a, js_count(list), sizeof(*records));

	for (size_t i = 0; i < js_count(list); i++) {
		const char *hex = js_text(js_at(list, i));

		if (hex == NULL || hex_decode(a, span_text(hex), &records[i]) < 0 ||
		    records[i].n > RDATA_MAX)
			return -EINVAL;
	}
	ret->records = records;
	ret->n_records = js_count(list);
	return 0;
}

static int read_aliases(struct arena *a, const struct js *list, struct dane_answer *ret)
{
	struct dane_alias *aliases = arena_calloc(a, js_count(list), sizeof(*aliases));

	for (size_t i = 0; i < js_count(list); i++) {
		const char *owner = js_text(js_get(js_at(list, i), "owner"));
		const char *target = js_text(js_get(js_at(list, i), "target"));
		const char *security = js_text(js_get(js_at(list, i), "security"));

		if (owner == NULL || target == NULL ||
		    dane_name_from_text(a, owner, &aliases[i].owner, NULL) < 0 ||
		    dane_name_from_text(a, target, &aliases[i].target, NULL) < 0)
			return -EINVAL;
		if (security == NULL || !dane_security_from_string(security, &aliases[i].security))
			aliases[i].security = DANE_UNASKED;
	}
	ret->aliases = aliases;
	ret->n_aliases = js_count(list);
	return 0;
}

static int read_answer(struct arena *a, const struct js *v, struct dane_answer *ret)
{
	const char *security = js_text(js_get(v, "security"));
	int64_t ttl = js_int(js_get(v, "ttl"), 0);

	*ret = (struct dane_answer){.why = js_text(js_get(v, "why"))};
	if (ret->why != NULL && !text_is_plain(ret->why))
		return -EINVAL;
	if (security == NULL || !dane_security_from_string(security, &ret->security))
		return -EINVAL;
	if ((ret->security == DANE_SECURE || ret->security == DANE_INSECURE) &&
	    !content_from_string(js_text(js_get(v, "content")), &ret->content))
		return -EINVAL;
	ret->late = ret->security == DANE_FAILED && js_bool(js_get(v, "late"), false);
	ret->ttl = ttl >= 0 && ttl <= UINT32_MAX ? (uint32_t)ttl : 0;
	if (read_records(a, js_get(v, "records"), ret) < 0)
		return -EINVAL;
	return read_aliases(a, js_get(v, "aliases"), ret);
}

int dane_answer_restore(struct arena *a, const struct js *saved, struct dane_answer *ret)
{
	return read_answer(a, saved, ret);
}

/*
 * What a saved entry is about, as a key. Hosts may have asked the same and heard different answers,
 * so the host is part of it. NULL for an entry that is about nothing.
 */
static const char *key_of(struct arena *a, const char *host, const char *name, uint16_t type,
			  int64_t selector, const char *der)
{
	const char *who = host != NULL ? host : "";

	if (name != NULL && type != 0)
		return arena_printf(a, "%s\n%u %s", who, type, name);
	if (der != NULL)
		return arena_printf(a, "%s\nDER %" PRId64 " %s", who, selector, der);
	return NULL;
}

/* Where each entry stands, by its key; of several with the same one the first. */
static struct js *index_of(const struct js *questions)
{
	struct js *index = js_object();

	for (size_t i = 0; i < js_count(questions); i++) {
		const struct js *v = js_at(questions, i);
		const char *type = js_text(js_get(v, "type"));
		struct arena a = {0};
		const char *key =
			key_of(&a, js_text(js_get(v, "host")), js_text(js_get(v, "name")),
			       type != NULL ? dane_rrtype_from_string(type) : 0,
			       js_int(js_get(v, "selector"), -1), js_text(js_get(v, "der")));

		if (key != NULL && js_get(index, key) == NULL)
			js_set_int(index, key, (int64_t)i);
		arena_done(&a);
	}
	return index;
}

/* The saved entry that answers `q`, or NULL. */
static const struct js *find(struct arena *a, const struct saved *s, const struct dane_question *q)
{
	const char *key = NULL;
	int64_t i;

	switch (q->ask) {
	case DANE_ASK_DNS:
		key = key_of(a, q->host, q->name, q->type, 0, NULL);
		break;
	case DANE_ASK_DER:
		key = key_of(a, q->host, NULL, 0, q->selector, hex_encode(a, q->data));
		break;
	}
	i = js_int(js_get(s->index, key), -1);
	return i >= 0 ? js_at(s->questions, (size_t)i) : NULL;
}

static int answer_from(struct dane_decider *d, const struct saved *s, const struct dane_question *q,
		       struct err *e)
{
	struct dane_answer answer = {.security = DANE_FAILED, .why = "not in the saved evidence"};
	struct arena a = {0};
	const struct js *v = find(&a, s, q), *saved = js_get(v, "answer");
	int ret = 0;

	switch (q->ask) {
	case DANE_ASK_DNS:
		if (saved != NULL && read_answer(&a, saved, &answer) < 0)
			ret = err_set(e, -EINVAL, "the answer for %s is damaged", q->name);
		else
			ret = dane_decider_answer(d, q->id, &answer);
		break;
	case DANE_ASK_DER:
		ret = dane_decider_answer_der(d, q->id, js_bool(js_get(v, "well_formed"), false));
		break;
	}
	arena_done(&a);
	return ret;
}

struct dane_decider *dane_evidence_replay(const struct js *saved, struct err *e)
{
	const char *kind = js_text(js_get(saved, "format"));
	const struct dane_question *q;
	struct dane_request request = {0};
	struct dane_decider *d = NULL;
	struct saved s = {.questions = js_get(saved, "questions")};
	struct arena a = {0};

	if (kind == NULL || strcmp(kind, format) != 0) {
		err_set(e, -EINVAL, "not saved by \"daneway policy --save\"");
	} else if (read_request(&a, js_get(saved, "request"), &request, e) == 0) {
		s.index = index_of(s.questions);
		d = dane_decider_new(&request);
		while ((q = dane_decider_question(d)) != NULL) {
			if (answer_from(d, &s, q, e) < 0) {
				d = dane_decider_free(d);
				break;
			}
		}
	}
	js_free(s.index);
	arena_done(&a);
	return d;
}
