/*
 * What is asked over the control socket: one JSON object a line. Pure.
 *
 *	{"command": "status" | "reload" | "stop"}
 *	{"command": "list" | "show" | "retry" | "hold" | "release" | "bounce" | "delete",
 *	 "ids": [ID, ...], "domain": D, "sender": A, "older": SECONDS, "all": true}
 *
 * All that is given must fit. The queue's commands but "list" want one of them at least, and "show"
 * wants ids. Keys that are not known are refused: a filter that is not understood must not turn
 * "delete these" into "delete all".
 *
 * The answer is JSON lines, the last of them {"done": {...}} or {"error": {"code", "detail"}};
 * those before it are {"item": {...}}.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/js.h"
#include "base/span.h"

enum {
	GATEWAY_REQUEST_MAX = 65536, /* octets of a line */
	GATEWAY_IDS_MAX = 1000,
};

enum gateway_command {
	GATEWAY_STATUS,
	GATEWAY_RELOAD,
	GATEWAY_STOP,
	GATEWAY_LIST,
	GATEWAY_SHOW,
	GATEWAY_RETRY,
	GATEWAY_HOLD,
	GATEWAY_RELEASE,
	GATEWAY_BOUNCE,
	GATEWAY_DELETE,
};

struct gateway_request {
	enum gateway_command command;
	const char **ids; /* valid ones (store_id_is_valid) */
	size_t n_ids;
	const char *domain; /* A-labels, lower case, or an address literal; NULL: any */
	const char *sender; /* a reverse-path, "" for none; NULL: any */
	int64_t older;      /* seconds; 0: any age */
	bool all;
};

/* Strings are in the arena. -EINVAL, and `e` says what is wrong. */
int gateway_request_read(struct arena *a, struct span line, struct gateway_request *ret,
			 struct err *e) _mustcheck_;
/* The same, as the client's side writes it. */
struct js *gateway_request_write(const struct gateway_request *r);
/* "status", "list" ... */
const char *gateway_command_to_string(enum gateway_command c);
/* Not status, reload, stop. */
bool gateway_command_is_of_queue(enum gateway_command c);
bool gateway_command_from_string(const char *text, enum gateway_command *ret);
