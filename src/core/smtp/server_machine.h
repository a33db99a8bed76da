/*
 * Inside of the server machine; for core/smtp/server*.c only. server.c has the loop and replies,
 * server_command.c the commands, server_envelope.c the parsing of MAIL and RCPT, server_auth.c
 * AUTH, server_data.c the message.
 */
#pragma once

#include "core/smtp/server.h"

enum smtp_server_state {
	SERVER_BANNER,
	SERVER_COMMAND,
	SERVER_AUTH,
	SERVER_DATA,  /* until CRLF "." CRLF */
	SERVER_CHUNK, /* `chunk_left` octets of BDAT */
	SERVER_HANDSHAKE,
	SERVER_CLOSED,
};

/* Where a message's text stands (server_data.c). */
enum smtp_server_text {
	TEXT_LINE_START,
	TEXT_IN_LINE,
	TEXT_AFTER_CR,
	TEXT_DOT,    /* a dot at the start of a line; not handed out */
	TEXT_DOT_CR, /* and CR */
};

struct smtp_server_refusal {
	unsigned code; /* 0: none */
	struct smtp_status status;
	char text[200];
};

/* One transaction: made by an accepted MAIL, freed whole. */
struct smtp_server_tx {
	bool smtputf8;
	unsigned n_recipients; /* accepted */
	unsigned n_tried;      /* RCPT commands */
	bool chunking;         /* a BDAT has come: no DATA, MAIL, RCPT any more */
	bool begun;            /* BEGIN was accepted */
	enum smtp_server_text text;
	uint64_t octets; /* of the message */
	uint64_t wire;   /* taken for it */
	bool distrusted; /* bad line ends in DATA: the session ends with it */
	struct smtp_server_refusal refusal;
};

enum smtp_server_mechanism {
	MECHANISM_PLAIN,
	MECHANISM_LOGIN_USER,
	MECHANISM_LOGIN_PASSWORD
};

struct smtp_server {
	struct smtp_server_options options;
	char host[256];
	enum smtp_server_state state;
	enum smtp_server_kind awaited; /* the event whose verdict is due; NEEDS_INPUT: none */
	enum smtp_server_end end;
	bool in_tls;
	/* Of the session since the banner or the handshake. */
	bool helo, esmtp, authenticated;
	unsigned n_messages, n_idle, n_errors;
	bool sync;              /* DATA was refused; its reply is not yet written */
	struct buf line;        /* of a line that is not whole */
	bool overlong, over_cr; /* the line is dropped up to its end; its last octet was CR */
	bool over_auth;         /* that line is part of AUTH */
	/* A chunk failed and its transaction is gone: how, until something else than BDAT comes. */
	struct smtp_server_refusal failed;
	uint64_t failed_octets; /* of the chunks behind it */
	struct buf out;
	struct smtp_server_tx *tx;
	/* Of BDAT. */
	uint64_t chunk_left, chunk_size;
	bool chunk_last;
	bool chunk_stray; /* without a transaction that takes it: dropped, then 503 */
	/* Of the command that is being done. */
	struct arena arena;
	struct smtp_server_mail mail;
	struct smtp_server_rcpt rcpt;
	struct smtp_server_auth auth;
	size_t user_n; /* of LOGIN: octets of `secret` that are the name */
	struct buf secret;
	enum smtp_server_mechanism mechanism;
	struct smtp_server_event event; /* to hand out; NEEDS_INPUT: none */
};

/* --- server.c */
void smtp_server_move(struct smtp_server *s, enum smtp_server_state next);
void smtp_server_say(struct smtp_server *s, unsigned code, const char *status, const char *text);
/* The same, counted as the client's error. */
void smtp_server_reject(struct smtp_server *s, unsigned code, const char *status, const char *text);
void smtp_server_close(struct smtp_server *s, enum smtp_server_end why, unsigned code,
		       const char *status, const char *text);
void smtp_server_say_refusal(struct smtp_server *s, const struct smtp_server_refusal *r);
/* An event that awaits a verdict. */
void smtp_server_ask(struct smtp_server *s, enum smtp_server_kind kind);
void smtp_server_tell(struct smtp_server *s, enum smtp_server_kind kind);
void smtp_server_drop_tx(struct smtp_server *s);
void smtp_server_wipe(struct smtp_server *s); /* credentials */

/* --- server_command.c: a whole line without its CRLF. `more`: input lies behind it. */
void smtp_server_command(struct smtp_server *s, struct span line, bool more);
/* What is meant as BDAT: octets follow it that are no commands. */
bool smtp_server_begins_chunk(const struct smtp_server *s, struct span line);
/* Octets with CRLF that this line may have. */
size_t smtp_server_line_limit(const struct smtp_server *s, struct span line);
void smtp_server_offer(struct smtp_server *s); /* the reply to EHLO or HELO */

/* --- server_envelope.c: the arguments of MAIL and RCPT */
void smtp_server_mail_command(struct smtp_server *s, struct span rest);
void smtp_server_rcpt_command(struct smtp_server *s, struct span rest);
bool smtp_server_take_word(struct span *rest, struct span *ret_word);

/* --- server_auth.c */
void smtp_server_auth_command(struct smtp_server *s, struct span rest);
void smtp_server_auth_line(struct smtp_server *s, struct span line);

/* --- server_data.c */
void smtp_server_data_command(struct smtp_server *s);
void smtp_server_bdat_command(struct smtp_server *s, struct span rest);
void smtp_server_lost_chunk(struct smtp_server *s); /* BDAT that cannot be read: closes */
void smtp_server_begin(struct smtp_server *s);      /* BEGIN was accepted */
void smtp_server_refuse_tx(struct smtp_server *s, const struct smtp_server_refusal *r, bool told);
/* Takes from `in`; leaves an event, or has used it up, or has left the state. */
void smtp_server_text(struct smtp_server *s, struct span *in);
