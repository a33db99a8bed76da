#include "test.h"

#include <errno.h>

#include "core/smtp/client.h"
#include "smtp_watch.h"

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
	const char *body;
	bool eightbit, smtputf8;
	const char *text;
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
	       "C: RCPT TO:<c@d.example>\nS: 250 ok\nC: BDAT 0 LAST\nB:\nS: 250 ok\n"
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
	{"no answer to QUIT",
	 SMTP_TLS_NONE,
	 NULL,
	 {NULL},
	 NULL,
	 false,
	 false,
	 GREET "S: 250 mx\nQ:\nC: QUIT\nE: timeout\nW: close\n= quit IDLE\n"},
};

/* --- running them ---------------------------------------------------------------------------- */

enum how {
	WHOLE,
	CUT,       /* the server's bytes cut at `at` */
	BYTES,     /* one by one */
	LOSE,      /* `event` behind octet `at` of the server's; then the machine must end */
	LOSE_STEP, /* `event` behind line `at` */
};

struct run {
	const struct dialogue *d;
	enum how how;
	size_t at;
	enum smtp_event event;
	struct smtp_client *c;
	struct watch w;
	struct arena a;
	struct buf got; /* said by the client, not yet expected */
	size_t fed;     /* octets of the server so far */
	size_t line;
	bool clear, maybe; /* seen in the dialogue */
};

static void look(struct run *r)
{
	watch_machine(&r->w, r->c);
}

static void write_out(struct run *r)
{
	struct span out = smtp_client_output(r->c);

	watch_output(&r->w, out);
	assert_int_equal(buf_add(&r->got, out.p, out.n), 0);
	while (out.n > 0) {
		size_t n = r->how == BYTES ? 1 : out.n;

		smtp_client_sent(r->c, n, 0);
		out = smtp_client_output(r->c);
	}
	look(r);
}

static void expect_silence(struct run *r)
{
	write_out(r);
	if (r->got.n > 0)
		fail_msg("%s, line %zu: said '%.*s'", r->d->name, r->line, (int)r->got.n,
			 (const char *)r->got.p);
}

static void expect(struct run *r, struct span line)
{
	struct span said;

	write_out(r);
	said = buf_span(&r->got);
	if (said.n < line.n + 2 || !span_eq(span_of(said.p, line.n), line) ||
	    memcmp(said.p + line.n, "\r\n", 2) != 0)
		fail_msg("%s, line %zu: '%.*s' expected, said '%.*s'", r->d->name, r->line,
			 (int)line.n, (const char *)line.p, (int)said.n, (const char *)said.p);
	buf_drop(&r->got, line.n + 2);
}

static void event(struct run *r, enum smtp_event event)
{
	if (event == SMTP_EVENT_TLS_UP && smtp_client_want(r->c) == SMTP_WANT_STARTTLS)
		r->w.in_tls = true;
	if (event == SMTP_EVENT_ACCEPTED && smtp_client_want(r->c) == SMTP_WANT_VERDICT)
		r->w.accepted = true;
	smtp_client_event(r->c, event, "the text", 0);
	look(r);
}

/* The connection is lost: the machine must end at once, and has a fate for everybody. */
static void lose(struct run *r)
{
	event(r, r->event);
	assert_int_equal(smtp_client_want(r->c), SMTP_WANT_CLOSE);
	assert_int_not_equal(smtp_client_report(r->c).end, SMTP_END_NOT_YET);
}

/* A copy of its own, so that a sanitizer sees a read beyond the piece. */
static void feed_copy(struct run *r, const uint8_t *p, size_t n)
{
	uint8_t *copy = xmalloc(n);

	memcpy(copy, p, n);
	smtp_client_feed(r->c, span_of(copy, n), 0);
	free(copy);
	look(r);
}

/* false: lost. */
static bool feed(struct run *r, struct span in)
{
	size_t cut = r->at > r->fed && r->at - r->fed < in.n ? r->at - r->fed : 0;

	switch (r->how) {
	case LOSE:
		if (r->fed < r->at && r->fed + in.n >= r->at) {
			feed_copy(r, in.p, r->at - r->fed);
			lose(r);
			return false;
		}
		feed_copy(r, in.p, in.n);
		break;
	case BYTES:
		for (size_t i = 0; i < in.n; i++)
			feed_copy(r, in.p + i, 1);
		break;
	case CUT:
		feed_copy(r, in.p, cut);
		feed_copy(r, in.p + cut, in.n - cut);
		break;
	case WHOLE:
	case LOSE_STEP:
		feed_copy(r, in.p, in.n);
		break;
	}
	r->fed += in.n;
	return true;
}

static void hand_out_body(struct run *r)
{
	struct span body = span_text(r->d->body);

	assert_int_equal(smtp_client_want(r->c), SMTP_WANT_BODY);
	while (r->how == BYTES && body.n > 1 && smtp_client_want(r->c) == SMTP_WANT_BODY) {
		smtp_client_body(r->c, span_of(body.p, 1), false, 0);
		body = span_skip(body, 1);
		write_out(r);
	}
	if (smtp_client_want(r->c) == SMTP_WANT_BODY)
		smtp_client_body(r->c, body, true, 0);
	look(r);
}

static void begin_mail(struct run *r)
{
	const struct dialogue *d = r->d;
	struct mail_address from, to[ARRAY_SIZE(d->to)];
	struct smtp_mail m = {.from = &from,
			      .to = to,
			      .size = strlen(d->body),
			      .eightbit = d->eightbit,
			      .smtputf8 = d->smtputf8};

	assert_int_equal(mail_address_parse_reverse(&r->a, span_text(d->from), &from, NULL), 0);
	while (m.n_to < ARRAY_SIZE(to) && d->to[m.n_to] != NULL) {
		assert_int_equal(
			mail_address_parse(&r->a, span_text(d->to[m.n_to]), &to[m.n_to], NULL), 0);
		m.n_to++;
	}
	assert_int_equal(smtp_client_mail(r->c, &m, 0), 0);
	look(r);
}

static size_t word_index(struct span word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (span_is_nocase(word, words[i]))
			return i;
	fail_msg("no such word: %.*s", (int)word.n, (const char *)word.p);
	return 0;
}

static const char *const event_words[] = {"connected", "tls-up", "tls-failed", "accepted",
					  "refused",   "eof",    "io-error",   "timeout"};
static const char *const want_words[] = {"io", "starttls", "verdict", "mail", "body", "close"};
static const char *const end_words[] = {"not-yet",
					"quit",
					"reply",
					"starttls-absent",
					"starttls-refused",
					"starttls-garbage",
					"starttls-injected",
					"handshake",
					"certificate",
					"protocol",
					"eof",
					"io-error",
					"timeout",
					"driver"};
static const char *const stage_words[] = {"CONNECT", "GREETING", "EHLO",  "STARTTLS", "HANDSHAKE",
					  "VERDICT", "IDLE",     "RSET",  "MAIL",     "RCPT",
					  "DATA",    "BODY",     "FINAL", "QUIT"};
static const char *const fate_words[] = {"open", "delivered", "deferred", "failed"};

#define WORD(word, words) word_index(word, words, ARRAY_SIZE(words))

static struct span take_word(struct span *line)
{
	const uint8_t *space = memchr(line->p, ' ', line->n);
	struct span word = span_of(line->p, space == NULL ? line->n : (size_t)(space - line->p));

	*line = span_skip(*line, word.n + 1);
	return word;
}

static void expect_end(struct run *r, struct span line)
{
	struct smtp_report report = smtp_client_report(r->c);

	if (span_is(line, "clear"))
		r->clear = true;
	else if (span_is(line, "maybe"))
		r->maybe = true;
	else {
		assert_string_equal(end_words[report.end],
				    end_words[WORD(take_word(&line), end_words)]);
		assert_string_equal(stage_words[report.stage],
				    stage_words[WORD(line, stage_words)]);
	}
}

static void expect_recipient(struct run *r, struct span line)
{
	size_t i = take_word(&line).p[0] - '0';
	const struct smtp_recipient *got = &smtp_client_result(r->c)->recipients[i];
	struct smtp_status status;

	assert_string_equal(fate_words[got->fate], fate_words[WORD(take_word(&line), fate_words)]);
	status = smtp_status_parse(take_word(&line));
	assert_memory_equal(&got->status, &status, sizeof(status));
	assert_string_equal(stage_words[got->stage], stage_words[WORD(line, stage_words)]);
	assert_int_equal(got->answer.code != 0, got->reason == SMTP_REASON_REPLY);
}

/* "\n" and "\r" in the dialogue's text. */
static void unescape(struct buf *b, struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];

		if (c == '\\' && i + 1 < text.n)
			c = text.p[++i] == 'n' ? '\n' : '\r';
		assert_int_equal(buf_add(b, &c, 1), 0);
	}
}

/* One line. Server lines collect in `piece` until another kind of line comes. false: lost. */
static bool step(struct run *r, struct span line, struct buf *piece)
{
	struct span rest = span_skip(line, line.p[0] == '=' ? 2 : 3);
	bool alive = true;

	if (line.p[0] == 'S' || line.p[0] == 's') {
		if (piece->n == 0)
			expect_silence(r);
		unescape(piece, rest);
		if (line.p[0] == 'S')
			assert_int_equal(buf_add(piece, "\r\n", 2), 0);
		return true;
	}
	if (piece->n > 0) {
		alive = feed(r, buf_span(piece));
		buf_clear(piece);
		if (!alive)
			return false;
	}
	if (line.p[0] != 'C')
		expect_silence(r);
	switch (line.p[0]) {
	case 'C':
		expect(r, rest);
		break;
	case 'E':
		event(r, (enum smtp_event)WORD(rest, event_words));
		break;
	case 'M':
		begin_mail(r);
		break;
	case 'B':
		hand_out_body(r);
		break;
	case 'Q':
		smtp_client_quit(r->c, 0);
		break;
	case 'W':
		assert_string_equal(want_words[smtp_client_want(r->c)],
				    want_words[WORD(rest, want_words)]);
		break;
	case '=':
		expect_end(r, rest);
		break;
	case 'R':
		expect_recipient(r, rest);
		break;
	default:
		fail_msg("%s: line %zu", r->d->name, r->line);
	}
	return true;
}

/* Runs one way; false when the place where to cut or lose lies behind the end. */
static bool run(const struct dialogue *d, enum how how, size_t at, enum smtp_event event)
{
	struct run r = {.d = d, .how = how, .at = at, .event = event, .w = {.policy = d->tls}};
	struct smtp_client_options o = {.tls = d->tls};
	struct span text = span_text(d->text), line;
	struct buf piece;
	bool alive = true, reached;

	assert_int_equal(mail_domain_parse(&r.a, span_text("me.example"), &o.helo, NULL), 0);
	r.c = smtp_client_new(&o);
	buf_init(&r.got, 4096);
	buf_init(&piece, 4096);
	while (alive && smtp_reply_next_line(&text, &line)) {
		r.line++;
		alive = step(&r, line, &piece);
		if (alive && how == LOSE_STEP && r.line == at && piece.n == 0) {
			lose(&r);
			alive = false;
		}
	}
	if (alive) {
		bool maybe =
			smtp_client_result(r.c) != NULL && smtp_client_result(r.c)->maybe_delivered;

		assert_int_equal(piece.n, 0);
		expect_silence(&r);
		assert_int_equal(smtp_client_report(r.c).retry_in_clear, r.clear);
		assert_int_equal(maybe, r.maybe);
		assert_int_equal(smtp_client_want(r.c), SMTP_WANT_CLOSE);
	}
	reached = how == LOSE_STEP ? r.line >= at : !alive || r.fed >= at;
	smtp_client_free(r.c);
	buf_done(&r.got);
	buf_done(&piece);
	arena_done(&r.a);
	return reached;
}

static void dialogues_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(dialogues); i++)
		run(&dialogues[i], WHOLE, 0, SMTP_EVENT_EOF);
}

static void dialogues_cut_at_every_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(dialogues); i++) {
		run(&dialogues[i], BYTES, 0, SMTP_EVENT_EOF);
		for (size_t at = 1; run(&dialogues[i], CUT, at, SMTP_EVENT_EOF); at++)
			continue;
	}
}

static void dialogues_lost_at_every_byte_and_step(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(dialogues); i++) {
		for (size_t at = 1; run(&dialogues[i], LOSE, at, SMTP_EVENT_EOF); at++)
			run(&dialogues[i], LOSE, at, SMTP_EVENT_TIMEOUT);
		for (size_t at = 1; run(&dialogues[i], LOSE_STEP, at, SMTP_EVENT_EOF); at++)
			run(&dialogues[i], LOSE_STEP, at, SMTP_EVENT_TIMEOUT);
	}
}

/* --- limits and times, where a dialogue would be too long ------------------------------------ */

static const usec_t second = USEC_PER_SEC;

static struct smtp_client *session(enum smtp_tls tls, const char *ehlo)
{
	struct smtp_client_options o = {.tls = tls, .helo = {.host = "me", .text = "me"}};
	struct smtp_client *c = smtp_client_new(&o);

	assert_int_equal(smtp_client_deadline(c), USEC_NEVER);
	smtp_client_event(c, SMTP_EVENT_CONNECTED, NULL, 0);
	assert_int_equal(smtp_client_deadline(c), 300 * second);
	smtp_client_feed(c, span_text("220 mx\r\n"), second);
	assert_int_equal(smtp_client_deadline(c), 301 * second);
	smtp_client_sent(c, smtp_client_output(c).n, second);
	smtp_client_feed(c, span_text(ehlo), 2 * second);
	return c;
}

static void send_all(struct smtp_client *c, usec_t now)
{
	smtp_client_sent(c, smtp_client_output(c).n, now);
}

static const struct mail_address a_from = {.path = "a@b.example", .local = "a"};
static const struct mail_address a_to = {.path = "c@d.example", .local = "c"};

/* S23; a limit holds for a whole reply, not for each of its bytes. */
static void deadlines(void **state)
{
	struct smtp_mail m = {.from = &a_from, .to = &a_to, .n_to = 1, .size = 6};
	struct smtp_client *c = session(SMTP_TLS_NONE, "250 mx\r\n");

	(void)state;
	assert_int_equal(smtp_client_deadline(c), USEC_NEVER); /* idle */
	assert_int_equal(smtp_client_mail(c, &m, 10 * second), 0);
	assert_int_equal(smtp_client_deadline(c), 310 * second);
	send_all(c, 11 * second);
	smtp_client_feed(c, span_text("250-"), 20 * second);
	assert_int_equal(smtp_client_deadline(c), 310 * second);
	smtp_client_feed(c, span_text("x\r\n250 ok\r\n"), 100 * second);
	assert_int_equal(smtp_client_deadline(c), 400 * second); /* RCPT */
	send_all(c, 100 * second);
	smtp_client_feed(c, span_text("250 ok\r\n"), 200 * second);
	assert_int_equal(smtp_client_deadline(c), 320 * second); /* DATA */
	send_all(c, 200 * second);
	smtp_client_feed(c, span_text("354 go\r\n"), 300 * second);
	assert_int_equal(smtp_client_deadline(c), 480 * second); /* a block */
	smtp_client_body(c, span_text("a\r\n"), false, 301 * second);
	assert_int_equal(smtp_client_deadline(c), 481 * second);
	smtp_client_sent(c, 1, 400 * second); /* a byte is no block */
	assert_int_equal(smtp_client_deadline(c), 481 * second);
	smtp_client_body(c, span_text("b\r\n"), true, 410 * second);
	smtp_client_sent(c, smtp_client_output(c).n - 1, 420 * second);
	assert_int_equal(smtp_client_deadline(c), 590 * second);
	assert_int_equal(smtp_client_report(c).stage, SMTP_STAGE_BODY);
	send_all(c, 430 * second); /* the final dot is out */
	assert_int_equal(smtp_client_deadline(c), 1030 * second);
	assert_int_equal(smtp_client_report(c).stage, SMTP_STAGE_FINAL);
	smtp_client_feed(c, span_text("250 ok\r\n"), 500 * second);
	assert_int_equal(smtp_client_deadline(c), USEC_NEVER);
	smtp_client_quit(c, 500 * second);
	assert_int_equal(smtp_client_deadline(c), 510 * second);
	smtp_client_free(c);

	c = session(SMTP_TLS_REQUIRED, "250-mx\r\n250 STARTTLS\r\n");
	assert_int_equal(smtp_client_deadline(c), 122 * second);
	send_all(c, 2 * second);
	smtp_client_feed(c, span_text("220 go\r\n"), 3 * second);
	assert_int_equal(smtp_client_deadline(c), 123 * second);
	smtp_client_event(c, SMTP_EVENT_TLS_UP, NULL, 4 * second);
	assert_int_equal(smtp_client_deadline(c), USEC_NEVER); /* the driver's turn */
	smtp_client_event(c, SMTP_EVENT_ACCEPTED, NULL, 5 * second);
	assert_int_equal(smtp_client_deadline(c), 305 * second);
	smtp_client_free(c);
}

/* One octet of the end not yet written: then it cannot have been delivered. */
static void not_maybe_delivered(void **state)
{
	struct smtp_mail m = {.from = &a_from, .to = &a_to, .n_to = 1, .size = 3};

	(void)state;
	for (size_t kept = 0; kept < 2; kept++) {
		struct smtp_client *c = session(SMTP_TLS_NONE, "250 mx\r\n");

		assert_int_equal(smtp_client_mail(c, &m, 0), 0);
		send_all(c, 0);
		smtp_client_feed(c, span_text("250 ok\r\n"), 0);
		send_all(c, 0);
		smtp_client_feed(c, span_text("250 ok\r\n"), 0);
		send_all(c, 0);
		smtp_client_feed(c, span_text("354 ok\r\n"), 0);
		smtp_client_body(c, span_text("x\r\n"), true, 0);
		smtp_client_sent(c, smtp_client_output(c).n - kept, 0);
		smtp_client_event(c, SMTP_EVENT_EOF, NULL, 0);
		assert_int_equal(smtp_client_result(c)->maybe_delivered, kept == 0);
		assert_int_equal(smtp_client_result(c)->n_deferred, 1);
		smtp_client_free(c);
	}
}

/*
 * The most recipients that are taken, pipelined, each refused with the longest text: the window
 * stays bounded, and so does what is kept.
 */
static void many_recipients(void **state)
{
	struct mail_address *to = xcalloc(SMTP_RECIPIENTS_MAX + 1, sizeof(*to));
	struct smtp_mail m = {.from = &a_from, .to = to, .size = 3};
	struct smtp_client *c = session(SMTP_TLS_NONE, "250-mx\r\n250 PIPELINING\r\n");
	struct arena a = {0};
	char refusal[1024];
	size_t asked = 0, answered = 0;

	(void)state;
	for (size_t i = 0; i <= SMTP_RECIPIENTS_MAX; i++)
		to[i].path = arena_printf(&a, "user%zu@d.example", i);
	m.n_to = SMTP_RECIPIENTS_MAX + 1;
	assert_int_equal(smtp_client_mail(c, &m, 0), -E2BIG);
	m.n_to = SMTP_RECIPIENTS_MAX;
	assert_int_equal(smtp_client_mail(c, &m, 0), 0);
	assert_int_equal(smtp_client_mail(c, &m, 0), -EBUSY);
	memset(refusal, 'x', sizeof(refusal));
	snprintf(refusal, 20, "550 5.1.1");
	refusal[9] = ' ';
	memcpy(refusal + sizeof(refusal) - 3, "\r\n", 3);
	while (answered < SMTP_RECIPIENTS_MAX + 1) {
		struct span out = smtp_client_output(c);

		for (size_t i = 0; i < out.n; i++)
			asked += out.p[i] == '\n';
		assert_true(asked - answered <= SMTP_PIPELINE_MAX);
		send_all(c, 0);
		assert_true(asked > answered);
		/* Different texts, so that none can be shared. */
		refusal[10] = (char)('a' + answered % 26);
		smtp_client_feed(c, span_text(answered == 0 ? "250 ok\r\n" : refusal), 0);
		answered++;
	}
	/* The DATA that was in the last group. */
	assert_int_equal(asked, SMTP_RECIPIENTS_MAX + 2);
	smtp_client_feed(c, span_text("503 no\r\n"), 0);
	assert_int_equal(smtp_client_want(c), SMTP_WANT_MAIL);
	assert_int_equal(smtp_client_result(c)->n_failed, SMTP_RECIPIENTS_MAX);
	for (size_t i = 0; i < SMTP_RECIPIENTS_MAX; i++)
		assert_true(strlen(smtp_client_result(c)->recipients[i].answer.text) <=
			    SMTP_REPLY_TEXT_MAX);
	smtp_client_free(c);
	arena_done(&a);
	free(to);
}

/* A large body of nothing but dots, in the largest pieces; then a piece that is too large. */
static void large_body(void **state)
{
	static uint8_t piece[SMTP_BODY_PIECE_MAX / 3 * 3];
	struct smtp_mail m = {.from = &a_from, .to = &a_to, .n_to = 1, .size = 100 * sizeof(piece)};
	static uint8_t too_large[SMTP_BODY_PIECE_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(piece); i += 3)
		memcpy(piece + i, ".\r\n", 3);
	for (int large = 0; large < 2; large++) {
		struct smtp_client *c = session(SMTP_TLS_NONE, "250-mx\r\n250 PIPELINING\r\n");
		uint64_t sent = 0;

		assert_int_equal(smtp_client_mail(c, &m, 0), 0);
		send_all(c, 0);
		smtp_client_feed(c, span_text("250 ok\r\n250 ok\r\n354 ok\r\n"), 0);
		for (int i = 0; i < 100; i++) {
			assert_int_equal(smtp_client_want(c), SMTP_WANT_BODY);
			smtp_client_body(c, span_of(piece, sizeof(piece)), i == 99, 0);
			assert_true(smtp_client_output(c).n <= SMTP_OUTPUT_MAX);
			assert_int_equal(smtp_client_want(c), SMTP_WANT_IO);
			sent += smtp_client_output(c).n;
			send_all(c, 0);
			if (large == 1 && i == 50)
				break;
		}
		if (large == 0) {
			assert_int_equal(sent, 100 * sizeof(piece) / 3 * 4 + 3);
			assert_int_equal(smtp_client_report(c).stage, SMTP_STAGE_FINAL);
		}
		smtp_client_body(c, span_of(too_large, sizeof(too_large)), false, 0);
		assert_int_equal(smtp_client_report(c).end, SMTP_END_DRIVER);
		assert_int_equal(smtp_client_want(c), SMTP_WANT_CLOSE);
		smtp_client_free(c);
	}
}

/* Shorter or longer than announced: no final dot. */
static void the_announced_size(void **state)
{
	struct smtp_mail m = {.from = &a_from, .to = &a_to, .n_to = 1, .size = 4};

	(void)state;
	for (int chunking = 0; chunking < 2; chunking++) {
		for (int i = 0; i < 2; i++) {
			struct smtp_client *c =
				session(SMTP_TLS_NONE,
					chunking ? "250-mx\r\n250-CHUNKING\r\n250 PIPELINING\r\n"
						 : "250-mx\r\n250 PIPELINING\r\n");

			assert_int_equal(smtp_client_mail(c, &m, 0), 0);
			send_all(c, 0);
			smtp_client_feed(c, span_text("250 ok\r\n250 ok\r\n"), 0);
			if (chunking)
				send_all(c, 0);
			else
				smtp_client_feed(c, span_text("354 ok\r\n"), 0);
			smtp_client_body(c, span_text(i == 0 ? "x\r\n" : "xyz\r\n"), true, 0);
			assert_int_equal(smtp_client_want(c), SMTP_WANT_CLOSE);
			assert_int_equal(smtp_client_output(c).n, 0);
			assert_int_equal(smtp_client_report(c).end, SMTP_END_DRIVER);
			assert_int_equal(smtp_client_result(c)->n_deferred, 1);
			assert_false(smtp_client_result(c)->maybe_delivered);
			smtp_client_free(c);
		}
	}
}

/* A path that no parser made: nothing is said. */
static void an_unsafe_path_is_refused(void **state)
{
	struct mail_address bad = {.path = "a@b>\r\nDATA"}, null = {.path = ""};
	struct smtp_mail m = {.from = &bad, .to = &a_to, .n_to = 1, .size = 3};
	struct smtp_client *c = session(SMTP_TLS_NONE, "250 mx\r\n");

	(void)state;
	assert_int_equal(smtp_client_mail(c, &m, 0), -EINVAL);
	m.from = &a_from;
	m.to = &bad;
	assert_int_equal(smtp_client_mail(c, &m, 0), -EINVAL);
	m.to = &null;
	assert_int_equal(smtp_client_mail(c, &m, 0), -EINVAL);
	m.n_to = 0;
	assert_int_equal(smtp_client_mail(c, &m, 0), -EINVAL);
	assert_int_equal(smtp_client_output(c).n, 0);
	assert_null(smtp_client_result(c));
	smtp_client_free(c);
}

static void an_endless_reply_ends_the_session(void **state)
{
	struct smtp_client *c = session(SMTP_TLS_REQUIRED, "250-mx\r\n");
	int lines = 1;

	(void)state;
	while (smtp_client_want(c) == SMTP_WANT_IO && lines < 1000) {
		smtp_client_feed(c, span_text("250-STARTTLS\r\n"), 0);
		lines++;
	}
	assert_int_equal(lines, SMTP_REPLY_LINES_MAX);
	assert_int_equal(smtp_client_report(c).end, SMTP_END_PROTOCOL);
	assert_string_equal(smtp_client_report(c).text, "a reply of too many lines");
	assert_int_equal(smtp_client_output(c).n, 0);
	smtp_client_free(c);
}

static void reports(void **state)
{
	struct smtp_client *c = session(SMTP_TLS_OPPORTUNISTIC, "250-mx\r\n250 STARTTLS\r\n");
	struct smtp_report r;

	(void)state;
	assert_true(smtp_client_caps(c)->starttls);
	send_all(c, 0);
	smtp_client_feed(c, span_text("454 4.7.0 no certificate\r\n"), 0);
	r = smtp_client_report(c);
	assert_int_equal(r.end, SMTP_END_NOT_YET);
	assert_int_equal(r.stage, SMTP_STAGE_IDLE);
	assert_int_equal(r.starttls, SMTP_STARTTLS_REFUSED);
	assert_int_equal(r.starttls_reply.code, 454);
	assert_int_equal(r.starttls_reply.status.subject, 7);
	assert_string_equal(r.starttls_reply.text, "454 4.7.0 no certificate");
	assert_false(smtp_client_tls_active(c));
	smtp_client_event(c, SMTP_EVENT_IO_ERROR, "reset by peer", 0);
	r = smtp_client_report(c);
	assert_string_equal(r.text, "reset by peer");
	assert_string_equal(r.starttls_reply.text, "454 4.7.0 no certificate");
	smtp_client_free(c);

	c = session(SMTP_TLS_OPPORTUNISTIC, "250-mx\r\n250 STARTTLS\r\n");
	send_all(c, 0);
	smtp_client_feed(c, span_text("220 go\r\n"), 0);
	assert_int_equal(smtp_client_report(c).starttls, SMTP_STARTTLS_STARTED);
	smtp_client_event(c, SMTP_EVENT_TLS_UP, NULL, 0);
	assert_true(smtp_client_tls_active(c));
	assert_false(smtp_client_caps(c)->esmtp); /* S11: forgotten */
	assert_int_equal(smtp_client_report(c).starttls, SMTP_STARTTLS_DONE);
	smtp_client_free(c);
	smtp_client_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dialogues_whole),
		cmocka_unit_test(dialogues_cut_at_every_byte),
		cmocka_unit_test(dialogues_lost_at_every_byte_and_step),
		cmocka_unit_test(deadlines),
		cmocka_unit_test(not_maybe_delivered),
		cmocka_unit_test(many_recipients),
		cmocka_unit_test(large_body),
		cmocka_unit_test(the_announced_size),
		cmocka_unit_test(an_unsafe_path_is_refused),
		cmocka_unit_test(an_endless_reply_ends_the_session),
		cmocka_unit_test(reports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
