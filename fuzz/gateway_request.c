/* Any bytes as a question over the control socket: refused with words, or read as it would be
 * written. */
#include "main/gateway/request.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = {0};
	struct gateway_request r, again;
	struct err e = {.text = ""};

	if (gateway_request_read(&a, span_of(data, size), &r, &e) < 0) {
		require(e.text[0] != '\0');
	} else {
		_cleanup_(js_freep) struct js *v = gateway_request_write(&r);
		_cleanup_(freep) char *line = js_line(v);

		/* Nothing changes mail that does not say which. */
		require(!gateway_command_is_of_queue(r.command) || r.command == GATEWAY_LIST ||
			r.all || r.n_ids > 0 || r.domain != NULL || r.sender != NULL ||
			r.older > 0);
		if (strlen(line) <= GATEWAY_REQUEST_MAX) {
			require(gateway_request_read(&a, span_text(line), &again, &e) == 0);
			require(again.command == r.command && again.n_ids == r.n_ids &&
				again.older == r.older && again.all == r.all);
		}
	}
	arena_done(&a);
	return 0;
}
