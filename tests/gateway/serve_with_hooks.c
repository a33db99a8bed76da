/* The gateway as `daneway --config FILE serve` has it, and one command for its hook process. */
#include <stdio.h>
#include <string.h>

#include "main/gateway/serve.h"

int main(int argc, char **argv)
{
	static const char *const sleeps[] = {"/bin/sleep", "300", NULL};
	static const struct io_hook_command hook = {sleeps, 300 * USEC_PER_SEC};
	struct config_problems problems = {0};
	struct gateway_start start = {.hooks = &hook, .n_hooks = 1};
	enum gateway_end end;
	struct err e;
	int error;

	if (argc != 4 || strcmp(argv[1], "--config") != 0)
		return 64;
	start.file = config_file_load(argv[2], &problems, &error);
	if (start.file == NULL)
		return 78;
	start.hostname = "mx1.hoster.test";
	start.dns = (struct dns_config){.root_hints = xstrdup(start.file->dns.root_hints),
					.trust_anchor = xstrdup(start.file->dns.trust_anchor),
					.timeout = usec_seconds(10)};
	end = gateway_serve(&start, &e);
	if (end != GATEWAY_ENDED)
		fprintf(stderr, "%s\n", e.text);
	free((void *)start.dns.root_hints);
	free((void *)start.dns.trust_anchor);
	return end == GATEWAY_ENDED ? 0 : 69;
}
