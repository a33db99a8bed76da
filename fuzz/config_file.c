/* Any bytes as daneway.yaml: refused with words, or read, and what is shown of it is read the same.
 */
#include <stdio.h>

#include "main/config/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *shown(const struct config_file *f)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	require(out != NULL);
	config_file_print(out, f);
	require(fclose(out) == 0);
	return text;
}

static struct config_file *read_text(struct span text)
{
	struct config_problems p = {0};
	struct config_file *f = config_file_read("f", text, &p);
	_cleanup_(freep) char *words = config_problems_text(&p, "f");

	require((f != NULL) == (p.total == 0));
	require((words[0] != '\0') == (p.total > 0));
	for (size_t i = 1; i < p.n; i++)
		require(p.items[i - 1].line < p.items[i].line ||
			(p.items[i - 1].line == p.items[i].line &&
			 p.items[i - 1].column <= p.items[i].column));
	config_problems_done(&p);
	return f;
}

/* No relay without clients that it names. */
static void require_closed(const struct config_file *f)
{
	for (size_t i = 0; i < f->listeners.n; i++) {
		const struct config_listener *l = &f->listeners.items[i];

		require(l->at.kind != CONFIG_ENDPOINT_NONE);
		require(l->is_mx || l->networks.n + l->fingerprints.n + (l->passwords != NULL) > 0);
		for (size_t j = 0; j < l->networks.n; j++)
			require(l->networks.items[j].bits >= 7);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_file *f = read_text(span_of(data, size)), *again;

	if (f != NULL) {
		_cleanup_(freep) char *once = shown(f), *twice = NULL;

		require_closed(f);
		again = read_text(span_text(once));
		require(again != NULL);
		twice = shown(again);
		require(strcmp(once, twice) == 0);
		require(config_file_needs_restart(NULL, f, again) == NULL);
		config_file_free(again);
	}
	config_file_free(f);
	return 0;
}
