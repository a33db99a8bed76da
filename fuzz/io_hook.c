/* Any packet to and from the hook process: refused, or written again as it was. */
#include "edge/io/hook_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span packet = span_of(data, size);
	struct io_hook_request request;
	struct io_hook_reply reply;
	struct buf b;

	buf_init(&b, IO_HOOK_PACKET_MAX);
	if (io_hook_request_read(packet, 3, &request) == 0) {
		require(request.command < 3 && request.input.n <= IO_HOOK_INPUT_MAX);
		require(io_hook_request_write(&b, &request) == 0);
		require(span_eq(buf_span(&b), packet));
	}
	buf_clear(&b);
	if (io_hook_reply_read(packet, &reply) == 0) {
		require(reply.result.end < IO_HOOK_LOST && reply.result.code >= 0);
		require(reply.result.output.n <= IO_HOOK_OUTPUT_MAX);
		require(io_hook_reply_write(&b, &reply) == 0);
		require(span_eq(buf_span(&b), packet));
	}
	buf_done(&b);
	return 0;
}
