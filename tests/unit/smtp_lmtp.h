/* Those dialogues of smtp_dialogues.h that speak LMTP (RFC 2033): LHLO, and after the dot a reply
 * for each recipient that was accepted. Its macros stand in them. */
#pragma once

/* clang-format off */
#define LMTP_DIALOGUES \
	{"LMTP, three recipients and four fates", \
	 SMTP_TLS_NONE, \
	 "a@b.example", \
	 {"c@d.example", "no@d.example", "full@d.example", "later@d.example"}, \
	 "x\r\n", \
	 false, \
	 false, \
	 "E: connected\nS: 220 store LMTP\nC: LHLO me.example\n" \
	 "S: 250-store\nS: 250 PIPELINING\nM:\n" \
	 "C: MAIL FROM:<a@b.example>\nC: RCPT TO:<c@d.example>\nC: RCPT TO:<no@d.example>\n" \
	 "C: RCPT TO:<full@d.example>\nC: RCPT TO:<later@d.example>\nC: DATA\n" \
	 "S: 250 ok\nS: 250 ok\nS: 550 5.1.1 no\nS: 250 ok\nS: 250 ok\nS: 354 go\n" \
	 "B:\nC: x\nC: .\n" \
	 "S: 250 2.0.0 stored\nS: 552 5.2.2 full\n" \
	 "W: io\n" \
	 "S: 451 4.2.0 later\n" \
	 "R: 0 delivered 2.0.0 FINAL\nR: 1 failed 5.1.1 RCPT\n" \
	 "R: 2 failed 5.2.2 FINAL\nR: 3 deferred 4.2.0 FINAL\n" QUIT, \
	 true}, \
	{"LMTP, cut between the replies", \
	 SMTP_TLS_NONE, \
	 "a@b.example", \
	 {"c@d.example", "e@d.example"}, \
	 "x\r\n", \
	 false, \
	 false, \
	 "E: connected\nS: 220 store\nC: LHLO me.example\n" \
	 "S: 250-store\nS: 250 CHUNKING\nM:\n" \
	 "C: MAIL FROM:<a@b.example>\nS: 250 ok\nC: RCPT TO:<c@d.example>\nS: 250 ok\n" \
	 "C: RCPT TO:<e@d.example>\nS: 250 ok\nC: BDAT 3 LAST\nB:\nC: x\n" \
	 "S: 250 2.0.0 stored\nE: eof\n" \
	 "W: close\n= eof FINAL\n= maybe\n" \
	 "R: 0 delivered 2.0.0 FINAL\nR: 1 deferred 4.4.2 FINAL\n", \
	 true}, \
	{"LMTP has no HELO", \
	 SMTP_TLS_OPPORTUNISTIC, \
	 "a@b.example", \
	 {"c@d.example"}, \
	 "x\r\n", \
	 false, \
	 false, \
	 "E: connected\nS: 220 mx\nC: LHLO me.example\n" \
	 "S: 500 5.5.1 what\nC: QUIT\nS: 221 bye\nW: close\n= reply EHLO\n", \
	 true}
/* clang-format on */
