/* The dialogues of tests/unit/smtp_client.c: every row of matrix section S, and what goes beyond.
 */
#pragma once

#include "core/smtp/client.h"
#include "smtp_lmtp.h"
#include "smtp_rehearsals.h"

/*
 * A dialogue is lines:
 *	S: text		the server says it, with CRLF; lines that follow each other come in one
 *piece s: text		the same without CRLF; "\n" and the like are C's C: text		the
 *client must say exactly this, with CRLF, and nothing else E: event	connected, tls-up,
 *tls-failed, accepted, refused, eof, io-error, timeout M: / Q:		the driver begins the
 *transaction / quits B:		the driver hands the body out
 *	W: want		what the machine must ask for: io, starttls, verdict, mail, body, close
 *	= END STAGE	how the session ended
 *	= clear		one more connection in clear may help; only where it is said
 *	= maybe		the message may have been delivered; only where it is said
 *	R: N FATE X.Y.Z STAGE	what became of recipient N
 *
 * Each one runs again with the server's bytes cut at every place, byte by byte, and with the
 * connection lost (EOF, time-out) behind every octet and every step; smtp_watch.h looks on.
 */
struct dialogue {
	const char *name;
	enum smtp_tls tls;
	const char *from, *to[4];
	const char *body; /* NULL: a rehearsal */
	bool eightbit, smtputf8;
	const char *text;
	bool lmtp;
};

#define GREET                                                                                      \
	"E: connected\n"                                                                           \
	"S: 220 mx.example ESMTP\n"                                                                \
	"C: EHLO me.example\n"
#define TLS                                                                                        \
	GREET "S: 250-mx.example\nS: 250 STARTTLS\n"                                               \
	      "C: STARTTLS\n"                                                                      \
	      "S: 220 go\n"                                                                        \
	      "W: starttls\n"                                                                      \
	      "E: tls-up\n"
#define ACCEPTED TLS "W: verdict\nE: accepted\nC: EHLO me.example\n"
#define QUIT     "Q:\nC: QUIT\nS: 221 bye\nW: close\n= quit idle\n"

static const struct dialogue dialogues[] = {
	{"clear",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n.y\r\n",
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\n"
	       "W: mail\nM:\n"
	       "C: MAIL FROM:<a@b.example>\nS: 250 ok\n"
	       "C: RCPT TO:<c@d.example>\nS: 250 ok\n"
	       "C: DATA\nS: 354 go\n"
	       "W: body\nB:\nC: x\nC: ..y\nC: .\n"
	       "S: 250 2.6.0 queued as 1\n"
	       "R: 0 delivered 2.6.0 FINAL\n" QUIT},
	{"null reverse-path, empty message",
	 SMTP_TLS_NONE,
	 "",
	 {"c@d.example"},
	 "",
	 false,
	 false,
	 GREET "S: 250 mx\nM:\n"
	       "C: MAIL FROM:<>\nS: 250 ok\nC: RCPT TO:<c@d.example>\nS: 250 ok\n"
	       "C: DATA\nS: 354\nB:\nC: .\nS: 250 ok\nR: 0 delivered 2.0.0 FINAL\n" QUIT},
	{"required, all offers",
	 SMTP_TLS_REQUIRED,
	 "a@b.example",
	 {"c@d.example", "e@d.example"},
	 ".x\r\n",
	 true,
	 false,
	 ACCEPTED "S: 250-mx\nS: 250-SIZE 100\nS: 250-8BITMIME\nS: 250-PIPELINING\n"
		  "S: 250-CHUNKING\nS: 250 STARTTLS\n"
		  "W: mail\nM:\n"
		  "C: MAIL FROM:<a@b.example> SIZE=4 BODY=8BITMIME\n"
		  "C: RCPT TO:<c@d.example>\nC: RCPT TO:<e@d.example>\n"
		  "S: 250 ok\nS: 250 ok\nS: 550 5.1.1 no\n"
		  "C: BDAT 4 LAST\nW: body\nB:\nC: .x\nS: 250 ok\n"
		  "R: 0 delivered 2.0.0 FINAL\nR: 1 failed 5.1.1 RCPT\n" QUIT},
	{"pipelined DATA",
	 SMTP_TLS_REQUIRED,
	 "a@b.example",
	 {"c@d.example", "e@d.example"},
	 "x\r\n",
	 false,
	 false,
	 ACCEPTED "S: 250-mx\nS: 250 PIPELINING\nM:\n"
		  "C: MAIL FROM:<a@b.example>\n"
		  "C: RCPT TO:<c@d.example>\nC: RCPT TO:<e@d.example>\nC: DATA\n"
		  "S: 250 ok\nS: 450 4.2.1 later\nS: 250 ok\nS: 354 go\n"
		  "B:\nC: x\nC: .\nS: 250 ok\n"
		  "R: 0 deferred 4.2.1 RCPT\nR: 1 delivered 2.0.0 FINAL\n" QUIT},
	{"two transactions",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET
	 "S: 250 mx\nM:\n"
	 "C: MAIL FROM:<a@b.example>\nS: 250 ok\nC: RCPT TO:<c@d.example>\nS: 550 no\n"
	 "W: mail\nR: 0 failed 5.0.0 RCPT\n"
	 "M:\nC: RSET\nS: 250 ok\n"
	 "C: MAIL FROM:<a@b.example>\nS: 250 ok\nC: RCPT TO:<c@d.example>\nS: 250 ok\n"
	 "C: DATA\nS: 354 go\nB:\nC: x\nC: .\nS: 250 ok\nR: 0 delivered 2.0.0 FINAL\n"
	 "M:\nC: MAIL FROM:<a@b.example>\nS: 450 4.3.2 slow down\nR: 0 deferred 4.3.2 MAIL\n" QUIT},
	/* Matrix section S. */
	{"S1 required",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 SIZE\nC: QUIT\n= starttls-absent EHLO\nS: 221 bye\nW: close\n"},
	{"S1 opportunistic",
	 SMTP_TLS_OPPORTUNISTIC,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 SIZE\nW: mail\n" QUIT},
	{"S2 required",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 502 what\nC: QUIT\n= starttls-absent EHLO\nS: 221 bye\nW: close\n"},
	{"S2 opportunistic",
	 SMTP_TLS_OPPORTUNISTIC,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 500 what\nC: HELO me.example\nS: 250 mx\nW: mail\n" QUIT},
	{"S2 HELO refused",
	 SMTP_TLS_OPPORTUNISTIC,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 500 what\nC: HELO me.example\nS: 501 no\nC: QUIT\n= reply EHLO\n"
	       "S: 221 bye\nW: close\n"},
	{"EHLO deferred",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 450 later\nC: QUIT\n= reply EHLO\nS: 221 bye\nW: close\n"},
	{"EHLO inside TLS refused",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 ACCEPTED "S: 502 what\nC: HELO me.example\nS: 250 mx\nW: mail\n" QUIT},
	{"S3 required",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 4.7.0 no\nC: QUIT\n"
	       "= starttls-refused STARTTLS\nS: 221 bye\nW: close\n"},
	{"S3 opportunistic",
	 SMTP_TLS_OPPORTUNISTIC,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 4.7.0 no\nW: mail\n" QUIT},
	{"S4 required",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 554 no\nC: QUIT\n"
	       "= starttls-refused STARTTLS\nS: 221 bye\nW: close\n"},
	{"S4 opportunistic",
	 SMTP_TLS_OPPORTUNISTIC,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 501 no\nW: mail\n" QUIT},
	{"421 to STARTTLS required",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 421 no\nW: close\n"
	       "= starttls-refused STARTTLS\n"},
	{"421 to STARTTLS opportunistic",
	 SMTP_TLS_OPPORTUNISTIC,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 421 no\nW: close\n= reply STARTTLS\n"},
	{"S5 250 required",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 250 ok\nW: close\n"
	       "= starttls-garbage STARTTLS\n"},
	{"S5 354 opportunistic",
	 SMTP_TLS_OPPORTUNISTIC,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 354 ok\nW: close\n"
	       "= starttls-garbage STARTTLS\n= clear\n"},
	{"S5 garbage required",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: hello\nW: close\n"
	       "= starttls-garbage STARTTLS\n"},
	{"S5 garbage opportunistic",
	 SMTP_TLS_OPPORTUNISTIC,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: hello\nW: close\n"
	       "= starttls-garbage STARTTLS\n= clear\n"},
	{"S6 required",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nS: 250 ok\nW: close\n"
	       "= starttls-injected HANDSHAKE\n"},
	{"S6 opportunistic, part of a line",
	 SMTP_TLS_OPPORTUNISTIC,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\ns: 2\nW: close\n"
	       "= starttls-injected HANDSHAKE\n= clear\n"},
	{"S6 220 before STARTTLS was said",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nS: 220 go\nW: close\n"
	       "= starttls-injected STARTTLS\n"},
	{"S6 220 begun before STARTTLS was said",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\ns: 2\nC: STARTTLS\nS: 20 go\nW: close\n"
	       "= starttls-injected STARTTLS\n"},
	{"S7",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250-XXXXXXXX\nS: 250 SIZE\nC: QUIT\n= starttls-absent EHLO\n"
	       "S: 221 bye\nW: close\n"},
	{"S8 closed after 220",
	 SMTP_TLS_OPPORTUNISTIC,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nE: eof\nW: close\n"
	       "= handshake HANDSHAKE\n= clear\n"},
	{"S8 handshake timed out",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nE: timeout\nW: close\n"
	       "= handshake HANDSHAKE\n"},
	{"S9 required",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nE: tls-failed\nW: close\n"
	       "= handshake HANDSHAKE\n"},
	{"S9 opportunistic",
	 SMTP_TLS_OPPORTUNISTIC,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nE: tls-failed\nW: close\n"
	       "= handshake HANDSHAKE\n= clear\n"},
	{"closed instead of 220",
	 SMTP_TLS_OPPORTUNISTIC,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nE: eof\n= eof STARTTLS\n= clear\n"},
	{"closed before the first reply inside TLS",
	 SMTP_TLS_OPPORTUNISTIC,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 TLS "C: EHLO me.example\nE: io-error\n= io-error EHLO\n= clear\n"},
	{"S10",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 TLS "W: verdict\nE: refused\nC: QUIT\n= certificate VERDICT\nS: 221 bye\nW: close\n"},
	{"S11 S12",
	 SMTP_TLS_OPPORTUNISTIC,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250-PIPELINING\nS: 250-SIZE 1\nS: 250 STARTTLS\nC: STARTTLS\n"
	       "S: 220 go\nE: tls-up\nC: EHLO me.example\nS: 250-mx\nS: 250 STARTTLS\nW: mail\n"
	       /* no PIPELINING, no SIZE, no second STARTTLS */
	       "M:\nC: MAIL FROM:<a@b.example>\nS: 451 no\nR: 0 deferred 4.0.0 MAIL\n" QUIT},
	{"bytes inside TLS before EHLO",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 TLS "W: verdict\nS: 250 ok\nW: close\n= protocol VERDICT\n"},
	{"acceptance that nobody asked for",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "E: accepted\nW: close\n= driver EHLO\n"},
	{"TLS that nobody asked for",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "E: tls-up\nW: close\n= driver EHLO\n"},
	{"S14",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 "E: connected\nS: 421 4.3.2 busy\nW: close\n= reply GREETING\n"},
	{"S14 450",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 "E: connected\nS: 450 busy\nC: QUIT\n= reply GREETING\nS: 221 bye\nW: close\n"},
	{"S15",
	 SMTP_TLS_OPPORTUNISTIC,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 "E: connected\nS: 554-no\nS: 554 mail here\nC: QUIT\n= reply GREETING\nS: 221 bye\n"
	 "W: close\n"},
	{"refused connection",
	 SMTP_TLS_REQUIRED,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 "E: io-error\nW: close\n= io-error CONNECT\n"},
	{"S16",
	 SMTP_TLS_REQUIRED,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 ACCEPTED "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\n"
		  "C: RCPT TO:<c@d.example>\nS: 250 ok\nC: DATA\nS: 354 go\nE: io-error\nW: close\n"
		  "= io-error BODY\nR: 0 deferred 4.4.2 BODY\n"},
	{"S17",
	 SMTP_TLS_REQUIRED,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 ACCEPTED "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\n"
		  "C: RCPT TO:<c@d.example>\nS: 250 ok\nC: DATA\nS: 554 5.7.1 no\nW: mail\n"
		  "R: 0 failed 5.7.1 DATA\n" QUIT},
	{"S19",
	 SMTP_TLS_OPPORTUNISTIC,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 530 5.7.0 Must issue STARTTLS\n"
	       "W: mail\nR: 0 failed 5.7.0 MAIL\n" QUIT},
	{"S22 bare LF",
	 SMTP_TLS_NONE,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 "E: connected\ns: 220 x\\n\nW: close\n= protocol GREETING\n"},
	{"S22 bare CR",
	 SMTP_TLS_NONE,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "s: 250 x\\ry\nW: close\n= protocol EHLO\n"},
	/* Envelopes. */
	{"all refused, DATA too",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example", "e@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET
	 "S: 250-mx\nS: 250 PIPELINING\nM:\nC: MAIL FROM:<a@b.example>\n"
	 "C: RCPT TO:<c@d.example>\nC: RCPT TO:<e@d.example>\nC: DATA\n"
	 "S: 250 ok\nS: 550 5.1.1 no\nS: 450 4.2.0 later\nS: 554 no valid recipients\nW: mail\n"
	 "R: 0 failed 5.1.1 RCPT\nR: 1 deferred 4.2.0 RCPT\n" QUIT},
	{"all refused, 354",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 PIPELINING\nM:\nC: MAIL FROM:<a@b.example>\n"
	       "C: RCPT TO:<c@d.example>\nC: DATA\n"
	       "S: 250 ok\nS: 550 5.1.1 no\nS: 354 go\nC: .\nS: 554 nobody\nW: mail\n"
	       "R: 0 failed 5.1.1 RCPT\n" QUIT},
	{"MAIL refused, the rest not",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 PIPELINING\nM:\nC: MAIL FROM:<a@b.example>\n"
	       "C: RCPT TO:<c@d.example>\nC: DATA\nS: 550 5.1.8 no\nS: 250 ok\nS: 354 go\n"
	       "W: close\n= protocol DATA\nR: 0 failed 5.1.8 MAIL\n"},
	{"MAIL refused, pipelined",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example", "e@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 PIPELINING\nM:\nC: MAIL FROM:<a@b.example>\n"
	       "C: RCPT TO:<c@d.example>\nC: RCPT TO:<e@d.example>\nC: DATA\n"
	       "S: 450 4.1.8 later\nS: 503 x\nS: 503 x\nS: 503 x\nW: mail\n"
	       "R: 0 deferred 4.1.8 MAIL\nR: 1 deferred 4.1.8 MAIL\n" QUIT},
	{"all refused, CHUNKING",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250-CHUNKING\nS: 250 PIPELINING\nM:\nC: MAIL FROM:<a@b.example>\n"
	       "C: RCPT TO:<c@d.example>\nS: 250 ok\nS: 550 no\nW: mail\n"
	       "R: 0 failed 5.0.0 RCPT\n" QUIT},
	{"552 to RCPT",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\nC: RCPT TO:<c@d.example>\n"
	       "S: 552 5.5.3 too many\nR: 0 deferred 4.5.3 RCPT\n" QUIT},
	{"552 to MAIL",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 552 5.3.4 large\n"
	       "R: 0 failed 5.3.4 MAIL\n" QUIT},
	{"421 to RCPT",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example", "e@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 PIPELINING\nM:\nC: MAIL FROM:<a@b.example>\n"
	       "C: RCPT TO:<c@d.example>\nC: RCPT TO:<e@d.example>\nC: DATA\n"
	       "S: 250 ok\nS: 550 5.1.1 no\nS: 421 4.3.2 bye\nW: close\n= reply RCPT\n"
	       "R: 0 failed 5.1.1 RCPT\nR: 1 deferred 4.3.2 RCPT\n"},
	{"421 while idle",
	 SMTP_TLS_NONE,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250 mx\nW: mail\nS: 421 bye\nW: close\n= reply IDLE\n"},
	{"a reply while idle",
	 SMTP_TLS_NONE,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250 mx\nW: mail\nS: 250 bye\nW: close\n= protocol IDLE\n"},
	{"a reply too many",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\nS: 250 ok\nW: close\n"
	       "= protocol RCPT\nR: 0 deferred 4.5.0 RCPT\n"},
	{"354 to MAIL",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 354 ok\nW: close\n= protocol MAIL\n"
	       "R: 0 deferred 4.5.0 MAIL\n"},
	{"250 to DATA",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\nC: RCPT TO:<c@d.example>\n"
	       "S: 250 ok\nC: DATA\nS: 250 ok\nW: close\n= protocol DATA\n"
	       "R: 0 deferred 4.5.0 DATA\n"},
	/* The end of the message. */
	{"250 with the 354",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\nC: RCPT TO:<c@d.example>\n"
	       "S: 250 ok\nC: DATA\nS: 354 go\nS: 250 ok\nW: close\n= protocol BODY\n"
	       "R: 0 deferred 4.5.0 BODY\n"},
	{"refused in the middle",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\nC: RCPT TO:<c@d.example>\n"
	       "S: 250 ok\nC: DATA\nS: 354 go\nW: body\nS: 552 5.3.4 large\nW: close\n"
	       "= reply BODY\nR: 0 failed 5.3.4 BODY\n"},
	{"final dot refused",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\nC: RCPT TO:<c@d.example>\n"
	       "S: 250 ok\nC: DATA\nS: 354 go\nB:\nC: x\nC: .\nS: 550 5.7.1 spam\nW: mail\n"
	       "R: 0 failed 5.7.1 FINAL\n" QUIT},
	{"lost after the final dot",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example", "e@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET
	 "S: 250-mx\nS: 250 PIPELINING\nM:\nC: MAIL FROM:<a@b.example>\n"
	 "C: RCPT TO:<c@d.example>\nC: RCPT TO:<e@d.example>\nC: DATA\n"
	 "S: 250 ok\nS: 550 5.1.1 no\nS: 250 ok\nS: 354 go\nB:\nC: x\nC: .\nE: eof\nW: close\n"
	 "= eof FINAL\n= maybe\nR: 0 failed 5.1.1 RCPT\nR: 1 deferred 4.4.2 FINAL\n"},
	{"lost after LAST",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET
	 "S: 250-mx\nS: 250 CHUNKING\nM:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\n"
	 "C: RCPT TO:<c@d.example>\nS: 250 ok\nC: BDAT 3 LAST\nB:\nC: x\nE: timeout\nW: close\n"
	 "= timeout FINAL\n= maybe\nR: 0 deferred 4.4.2 FINAL\n"},
	{"354 to the final dot",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\nC: RCPT TO:<c@d.example>\n"
	       "S: 250 ok\nC: DATA\nS: 354 go\nB:\nC: x\nC: .\nS: 354 what\nW: close\n"
	       "= protocol FINAL\n= maybe\nR: 0 deferred 4.5.0 FINAL\n"},
	{"421 to the final dot",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\nC: RCPT TO:<c@d.example>\n"
	       "S: 250 ok\nC: DATA\nS: 354 go\nB:\nC: x\nC: .\nS: 421 4.3.0 no\nW: close\n"
	       "= reply FINAL\nR: 0 deferred 4.3.0 FINAL\n"},
	{"empty BDAT",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "",
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 CHUNKING\nM:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\n"
	       "C: RCPT TO:<c@d.example>\nS: 250 ok\nC: BDAT 0 LAST\nS: 250 ok\n"
	       "R: 0 delivered 2.0.0 FINAL\n" QUIT},
	{"BDAT refused, then RSET",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 CHUNKING\nM:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\n"
	       "C: RCPT TO:<c@d.example>\nS: 250 ok\nC: BDAT 3 LAST\nB:\nC: x\nS: 451 4.3.0 no\n"
	       "R: 0 deferred 4.3.0 FINAL\nM:\nC: RSET\nS: 250 ok\nC: MAIL FROM:<a@b.example>\n"
	       "S: 421 bye\nW: close\n= reply MAIL\nR: 0 deferred 4.0.0 MAIL\n"},
	{"a bare LF in the body",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "\n.\r\n",
	 false,
	 false,
	 GREET "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\nC: RCPT TO:<c@d.example>\n"
	       "S: 250 ok\nC: DATA\nS: 354 go\nB:\nW: close\n= driver BODY\n"
	       "R: 0 deferred 4.3.0 BODY\n"},
	/* docs/decisions/0001 */
	{"too large",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "xyz\r\n",
	 false,
	 false,
	 GREET "S: 250-mx\nS: 250 SIZE 4\nM:\nW: mail\nR: 0 failed 5.3.4 MAIL\n" QUIT},
	{"no 8BITMIME",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 true,
	 false,
	 GREET "S: 250-mx\nS: 250 SIZE\nM:\nW: mail\nR: 0 failed 5.6.3 MAIL\n" QUIT},
	{"no SMTPUTF8, header",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 true,
	 true,
	 GREET "S: 250-mx\nS: 250 8BITMIME\nM:\nW: mail\nR: 0 failed 5.6.7 MAIL\n" QUIT},
	{"no SMTPUTF8 and no 8BITMIME",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 true,
	 true,
	 GREET "S: 250 mx\nM:\nW: mail\nR: 0 failed 5.6.7 MAIL\n" QUIT},
	{"no SMTPUTF8, one recipient",
	 SMTP_TLS_NONE,
	 "a@b.example",
	 {"\xc3\xbc@d.example", "e@d.example"},
	 "x\r\n",
	 false,
	 false,
	 GREET "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\nC: RCPT TO:<e@d.example>\n"
	       "S: 250 ok\nC: DATA\nS: 354 go\nB:\nC: x\nC: .\nS: 250 ok\n"
	       "R: 0 failed 5.6.7 RCPT\nR: 1 delivered 2.0.0 FINAL\n" QUIT},
	{"SMTPUTF8",
	 SMTP_TLS_NONE,
	 "\xc3\xbc@b.example",
	 {"c@d.example"},
	 "x\r\n",
	 true,
	 false,
	 GREET "S: 250-mx\nS: 250-8BITMIME\nS: 250 SMTPUTF8\nM:\n"
	       "C: MAIL FROM:<\xc3\xbc@b.example> BODY=8BITMIME SMTPUTF8\nS: 250 ok\n"
	       "C: RCPT TO:<c@d.example>\nS: 550 no\nR: 0 failed 5.0.0 RCPT\n" QUIT},
	REHEARSALS{"no answer to QUIT",
		   SMTP_TLS_NONE,
		   NULL,
		   {NULL},
		   NULL,
		   false,
		   false,
		   GREET "S: 250 mx\nQ:\nC: QUIT\nE: timeout\nW: close\n= quit IDLE\n"},
	LMTP_DIALOGUES,
};
