#include "base/js.h"

#include <errno.h>
#include <jansson.h>

#include "base/utf8.h"

static json_t *in(const struct js *v)
{
	return (json_t *)(uintptr_t)v;
}

static struct js *out(json_t *v)
{
	require(v != NULL);
	return (struct js *)v;
}

struct js *js_object(void)
{
	return out(json_object());
}

struct js *js_array(void)
{
	return out(json_array());
}

void js_free(struct js *v)
{
	json_decref(in(v));
}

void js_freep(struct js **v)
{
	js_free(*v);
}

/* Every byte that is no UTF-8 becomes U+FFFD. */
static json_t *repaired(const char *text)
{
	static const char replacement[] = "\xef\xbf\xbd";
	size_t n = strlen(text), at = 0;
	char *clean;
	json_t *v;

	require(n <= SIZE_MAX / 4);
	clean = xmalloc(n * 3 + 1);
	for (size_t i = 0; i < n;) {
		uint32_t c;
		size_t length = utf8_decode(span_of(text + i, n - i), &c);

		if (length > 0) {
			memcpy(clean + at, text + i, length);
			at += length;
			i += length;
		} else {
			memcpy(clean + at, replacement, 3);
			at += 3;
			i++;
		}
	}
	v = json_stringn(clean, at);
	free(clean);
	return v;
}

struct js *js_text_value(const char *text)
{
	json_t *v;

	if (text == NULL)
		return out(json_null());
	v = json_string(text);
	return out(v != NULL ? v : repaired(text));
}

void js_set(struct js *object, const char *key, struct js *value)
{
	require(json_object_set_new_nocheck(in(object), key, in(value)) == 0);
}

void js_set_text(struct js *object, const char *key, const char *text)
{
	js_set(object, key, js_text_value(text));
}

void js_set_int(struct js *object, const char *key, int64_t value)
{
	js_set(object, key, out(json_integer(value)));
}

void js_set_bool(struct js *object, const char *key, bool value)
{
	js_set(object, key, out(json_boolean(value)));
}

void js_set_null(struct js *object, const char *key)
{
	js_set(object, key, out(json_null()));
}

void js_push(struct js *array, struct js *value)
{
	require(json_array_append_new(in(array), in(value)) == 0);
}

void js_push_text(struct js *array, const char *text)
{
	js_push(array, js_text_value(text));
}

struct js *js_get(const struct js *object, const char *key)
{
	return (struct js *)json_object_get(in(object), key);
}

struct js *js_at(const struct js *array, size_t i)
{
	return (struct js *)json_array_get(in(array), i);
}

size_t js_count(const struct js *array)
{
	return json_array_size(in(array));
}

size_t js_size(const struct js *object)
{
	return json_object_size(in(object));
}

const char *js_text(const struct js *v)
{
	return json_string_value(in(v));
}

int64_t js_int(const struct js *v, int64_t otherwise)
{
	return json_is_integer(in(v)) ? json_integer_value(in(v)) : otherwise;
}

bool js_bool(const struct js *v, bool otherwise)
{
	return json_is_boolean(in(v)) ? json_is_true(in(v)) : otherwise;
}

bool js_is_null(const struct js *v)
{
	return v == NULL || json_is_null(in(v));
}

bool js_is_object(const struct js *v)
{
	return json_is_object(in(v));
}

struct js *js_copy(const struct js *v)
{
	return out(json_deep_copy(in(v)));
}

struct js *js_parse(struct span text, struct err *e)
{
	json_error_t why;
	json_t *v = json_loadb((const char *)text.p, text.n,
			       JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);

	if (v == NULL)
		err_set(e, -EINVAL, "not JSON: line %d, column %d: %s", why.line, why.column,
			why.text);
	return (struct js *)v;
}

int js_write(const struct js *v, FILE *file, unsigned indent)
{
	/* ASCII: C1 controls and marks that turn text are no control characters to the library. */
	size_t flags = JSON_ENCODE_ANY | JSON_ENSURE_ASCII;

	flags |= indent > 0 ? JSON_INDENT(indent) : 0;
	if (json_dumpf(in(v), file, flags) != 0 || fputc('\n', file) == EOF)
		return -EIO;
	return 0;
}

char *js_line(const struct js *v)
{
	char *text = json_dumps(in(v), JSON_ENCODE_ANY);

	require(text != NULL);
	return text;
}
