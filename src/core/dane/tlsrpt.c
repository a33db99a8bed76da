#include "core/dane/tlsrpt.h"

#include "base/buf.h"
#include "base/cursor.h"

/* The character-strings of one record, joined; NULL if they are malformed or too long. */
static const char *joined(struct arena *a, struct span rdata)
{
	struct cursor c = cursor_of(rdata);
	const char *text = NULL;
	struct buf b;
	int ret = 0;

	buf_init(&b, DANE_TXT_MAX);
	while (ret == 0 && cursor_left(&c) > 0) {
		struct span piece = cursor_take(&c, cursor_u8(&c));

		if (c.failed || memchr(piece.p, '\0', piece.n) != NULL)
			ret = -1;
		else
			ret = buf_add(&b, piece.p, piece.n);
	}
	if (ret == 0)
		text = arena_text(a, buf_span(&b));
	buf_done(&b);
	return text;
}

/* "v=TLSRPTv1" and then ";", blanks before it allowed. */
static bool begins_with(const char *text, const char *version)
{
	size_t n = strlen(version);

	if (strncmp(text, version, n) != 0)
		return false;
	text += n;
	text += strspn(text, " \t");
	return *text == ';';
}

/* The value of "name=value", NULL without one. */
static const char *field(struct arena *a, const char *text, const char *name)
{
	size_t n = strlen(name);

	while (text != NULL) {
		text += strspn(text, "; \t");
		if (strncmp(text, name, n) == 0) {
			const char *value = text + n + strspn(text + n, " \t");

			if (*value == '=') {
				size_t length;

				value += 1 + strspn(value + 1, " \t");
				length = strcspn(value, ";");
				while (length > 0 &&
				       (value[length - 1] == ' ' || value[length - 1] == '\t'))
					length--;
				return length > 0 ? arena_text(a, span_of(value, length)) : NULL;
			}
		}
		text = strchr(text, ';');
	}
	return NULL;
}

static struct dane_announcement read_records(struct arena *a, const struct span *records, size_t n,
					     const char *version, const char *name)
{
	struct dane_announcement result = {.what = DANE_ANNOUNCED_NONE};

	for (size_t i = 0; i < n; i++) {
		const char *text = joined(a, records[i]);

		if (text == NULL || !begins_with(text, version))
			continue;
		if (result.what != DANE_ANNOUNCED_NONE) {
			result.what = DANE_ANNOUNCED_SEVERAL;
			result.value = NULL;
			return result;
		}
		result.text = text;
		result.value = field(a, text, name);
		result.what = result.value != NULL ? DANE_ANNOUNCED_ONE : DANE_ANNOUNCED_BROKEN;
	}
	return result;
}

struct dane_announcement dane_tlsrpt_read(struct arena *a, const struct span *records, size_t n)
{
	return read_records(a, records, n, "v=TLSRPTv1", "rua");
}

struct dane_announcement dane_sts_read(struct arena *a, const struct span *records, size_t n)
{
	return read_records(a, records, n, "v=STSv1", "id");
}
