#include "edge/io/hook_message.h"

#include <errno.h>

#include "base/cursor.h"

_Static_assert(IO_HOOK_REQUEST_HEAD + IO_HOOK_INPUT_MAX <= IO_HOOK_PACKET_MAX, "packet");

static uint64_t read_number(struct cursor *c, size_t octets)
{
	uint64_t n = 0;

	for (size_t i = 0; i < octets; i++)
		n = n << 8 | cursor_u8(c);
	return n;
}

static int add_number(struct buf *b, uint64_t n, size_t octets)
{
	uint8_t text[8];

	for (size_t i = octets; i-- > 0; n >>= 8)
		text[i] = (uint8_t)n;
	return buf_add(b, text, octets);
}

int io_hook_request_read(struct span packet, size_t n, struct io_hook_request *ret)
{
	struct cursor c = cursor_of(packet);

	ret->id = read_number(&c, 8);
	ret->command = (uint32_t)read_number(&c, 4);
	ret->input = cursor_rest(&c);
	return c.failed || ret->command >= n || ret->input.n > IO_HOOK_INPUT_MAX ? -EPROTO : 0;
}

int io_hook_reply_read(struct span packet, struct io_hook_reply *ret)
{
	struct cursor c = cursor_of(packet);
	uint64_t end, cut, code;

	ret->id = read_number(&c, 8);
	end = read_number(&c, 1);
	cut = read_number(&c, 1);
	code = read_number(&c, 4);
	if (c.failed || end >= IO_HOOK_LOST || cut > 1 || code > INT32_MAX)
		return -EPROTO;
	ret->result = (struct io_hook_result){.end = (enum io_hook_end)end,
					      .code = (int)code,
					      .cut = cut == 1,
					      .output = cursor_rest(&c)};
	return ret->result.output.n > IO_HOOK_OUTPUT_MAX ? -EPROTO : 0;
}

int io_hook_request_write(struct buf *b, const struct io_hook_request *r)
{
	int e = add_number(b, r->id, 8);

	if (e == 0)
		e = add_number(b, r->command, 4);
	return e == 0 ? buf_add(b, r->input.p, r->input.n) : e;
}

int io_hook_reply_write(struct buf *b, const struct io_hook_reply *r)
{
	int e = add_number(b, r->id, 8);

	if (e == 0)
		e = add_number(b, r->result.end, 1);
	if (e == 0)
		e = add_number(b, r->result.cut, 1);
	if (e == 0)
		e = add_number(b, (uint64_t)r->result.code, 4);
	return e == 0 ? buf_add(b, r->result.output.p, r->result.output.n) : e;
}
