#include "main/gateway/request.h"

#include <errno.h>

#include "core/mail/address.h"
#include "edge/store/id.h"

enum {
	OLDER_MAX = 10 * 365 * 86400, /* seconds */
};

static const char *const commands[] = {
	[GATEWAY_STATUS] = "status", [GATEWAY_RELOAD] = "reload",   [GATEWAY_STOP] = "stop",
	[GATEWAY_LIST] = "list",     [GATEWAY_SHOW] = "show",       [GATEWAY_RETRY] = "retry",
	[GATEWAY_HOLD] = "hold",     [GATEWAY_RELEASE] = "release", [GATEWAY_BOUNCE] = "bounce",
	[GATEWAY_DELETE] = "delete",
};

static const char *const keys[] = {"command", "ids", "domain", "sender", "older", "all"};

const char *gateway_command_to_string(enum gateway_command c)
{
	return commands[c];
}

bool gateway_command_from_string(const char *text, enum gateway_command *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(text, commands[i]) == 0) {
			*ret = (enum gateway_command)i;
			return true;
		}
	return false;
}

bool gateway_command_is_of_queue(enum gateway_command c)
{
	return c != GATEWAY_STATUS && c != GATEWAY_RELOAD && c != GATEWAY_STOP;
}

static int read_ids(struct arena *a, const struct js *list, struct gateway_request *ret,
		    struct err *e)
{
	size_t n = js_count(list);

	if (list == NULL)
		return 0;
	if (n == 0 || n > GATEWAY_IDS_MAX)
		return err_set(e, -EINVAL, "ids: a list of 1 to %d is wanted", GATEWAY_IDS_MAX);
	ret->ids = arena_calloc(a, n, sizeof(*ret->ids));
	for (size_t i = 0; i < n; i++) {
		const char *id = js_text(js_at(list, i));

		if (id == NULL || !store_id_is_valid(id))
			return err_set(e, -EINVAL, "not the id of a message: %.60s",
				       id != NULL ? id : "(no text)");
		ret->ids[ret->n_ids++] = arena_strdup(a, id);
	}
	return 0;
}

static int read_domain(struct arena *a, const struct js *v, struct gateway_request *ret,
		       struct err *e)
{
	struct mail_domain d;
	struct err why;

	if (v == NULL)
		return 0;
	if (js_text(v) == NULL)
		return err_set(e, -EINVAL, "domain: a text is wanted");
	if (mail_domain_parse(a, span_text(js_text(v)), &d, &why) < 0)
		return err_set(e, -EINVAL, "domain: %s", why.text);
	ret->domain = d.text;
	return 0;
}

static int read_sender(struct arena *a, const struct js *v, struct gateway_request *ret,
		       struct err *e)
{
	struct mail_address from;
	struct err why;

	if (v == NULL)
		return 0;
	if (js_text(v) == NULL)
		return err_set(e, -EINVAL, "sender: a text is wanted");
	if (mail_address_parse_reverse(a, span_text(js_text(v)), &from, &why) < 0)
		return err_set(e, -EINVAL, "sender: %s", why.text);
	ret->sender = from.path;
	return 0;
}

static int read_rest(const struct js *v, struct gateway_request *ret, struct err *e)
{
	const struct js *older = js_get(v, "older"), *all = js_get(v, "all");

	ret->older = js_int(older, older != NULL ? -1 : 0);
	if (ret->older < 0 || ret->older > OLDER_MAX || (older != NULL && ret->older == 0))
		return err_set(e, -EINVAL, "older: seconds are wanted, 1 to %d", OLDER_MAX);
	ret->all = js_bool(all, false);
	if (all != NULL && !ret->all)
		return err_set(e, -EINVAL, "all: it is true, or is left out");
	return 0;
}

static int check_selection(const struct gateway_request *r, struct err *e)
{
	bool filter = r->domain != NULL || r->sender != NULL || r->older > 0;

	if (!gateway_command_is_of_queue(r->command))
		return filter || r->all || r->n_ids > 0
			       ? err_set(e, -EINVAL, "%s is not about messages",
					 commands[r->command])
			       : 0;
	if (r->all && (filter || r->n_ids > 0))
		return err_set(e, -EINVAL, "all excludes ids, domain, sender and older");
	if (r->command == GATEWAY_SHOW && r->n_ids == 0)
		return err_set(e, -EINVAL, "show: ids are wanted");
	if (r->command != GATEWAY_LIST && !filter && !r->all && r->n_ids == 0)
		return err_set(e, -EINVAL, "%s: which messages? ids, domain, sender, older or all",
			       commands[r->command]);
	return 0;
}

static int read_object(struct arena *a, const struct js *v, struct gateway_request *ret,
		       struct err *e)
{
	const char *command = js_text(js_get(v, "command"));
	size_t known = 0;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		known += js_get(v, keys[i]) != NULL;
	if (!js_is_object(v) || command == NULL)
		return err_set(e, -EINVAL, "an object with a \"command\" is wanted");
	if (known != js_size(v))
		return err_set(e, -EINVAL, "a key that is not known");
	if (!gateway_command_from_string(command, &ret->command))
		return err_set(e, -EINVAL, "no command \"%.40s\"", command);
	r = read_ids(a, js_get(v, "ids"), ret, e);
	if (r == 0)
		r = read_domain(a, js_get(v, "domain"), ret, e);
	if (r == 0)
		r = read_sender(a, js_get(v, "sender"), ret, e);
	if (r == 0)
		r = read_rest(v, ret, e);
	return r < 0 ? r : check_selection(ret, e);
}

int gateway_request_read(struct arena *a, struct span line, struct gateway_request *ret,
			 struct err *e)
{
	_cleanup_(js_freep) struct js *v = NULL;

	*ret = (struct gateway_request){.command = GATEWAY_STATUS};
	if (line.n > GATEWAY_REQUEST_MAX)
		return err_set(e, -EINVAL, "a line of more than %d octets", GATEWAY_REQUEST_MAX);
	v = js_parse(line, e);
	return v == NULL ? -EINVAL : read_object(a, v, ret, e);
}

struct js *gateway_request_write(const struct gateway_request *r)
{
	struct js *v = js_object(), *ids;

	js_set_text(v, "command", commands[r->command]);
	if (r->n_ids > 0) {
		ids = js_array();
		for (size_t i = 0; i < r->n_ids; i++)
			js_push_text(ids, r->ids[i]);
		js_set(v, "ids", ids);
	}
	if (r->domain != NULL)
		js_set_text(v, "domain", r->domain);
	if (r->sender != NULL)
		js_set_text(v, "sender", r->sender);
	if (r->older > 0)
		js_set_int(v, "older", r->older);
	if (r->all)
		js_set_bool(v, "all", true);
	return v;
}
