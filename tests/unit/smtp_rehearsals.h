/* Those dialogues of smtp_dialogues.h that end after RCPT; its macros stand in them. */
#pragma once

/* clang-format off */
#define REHEARSALS \
	{"rehearsal", \
	 SMTP_TLS_REQUIRED, \
	 "", \
	 {"c@d.example", "e@d.example", "f@d.example"}, \
	 NULL, \
	 false, \
	 false, \
	 ACCEPTED "S: 250-mx\nS: 250-PIPELINING\nS: 250 SIZE 9\n" \
		  "W: mail\nM:\n" \
		  "C: MAIL FROM:<> SIZE=0\nC: RCPT TO:<c@d.example>\nC: RCPT TO:<e@d.example>\n" \
		  "C: RCPT TO:<f@d.example>\n" \
		  "S: 250 ok\nS: 250 2.1.5 ok\nS: 550 5.1.1 who?\nS: 450 4.2.0 greylisted\n" \
		  "C: RSET\nS: 250 ok\nW: mail\n" \
		  "R: 0 accepted 2.1.5 RCPT\nR: 1 failed 5.1.1 RCPT\n" \
		  "R: 2 deferred 4.2.0 RCPT\n" QUIT}, \
	{"rehearsal, one command at a time, twice", \
	 SMTP_TLS_NONE, \
	 "a@b.example", \
	 {"c@d.example"}, \
	 NULL, \
	 false, \
	 false, \
	 GREET "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\n" \
	       "C: RCPT TO:<c@d.example>\nS: 250 ok\nC: RSET\nS: 250 ok\nW: mail\n" \
	       "R: 0 accepted 2.0.0 RCPT\n" \
	       "M:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\n" \
	       "C: RCPT TO:<c@d.example>\nS: 421 4.3.2 bye\nW: close\n= reply RCPT\n" \
	       "R: 0 deferred 4.3.2 RCPT\n"}, \
	{"rehearsal, MAIL refused", \
	 SMTP_TLS_NONE, \
	 "a@b.example", \
	 {"c@d.example"}, \
	 NULL, \
	 false, \
	 false, \
	 GREET "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 550 5.7.1 no\nW: mail\n" \
	       "R: 0 failed 5.7.1 MAIL\n" QUIT}, \
	{"rehearsal, RSET refused", \
	 SMTP_TLS_NONE, \
	 "a@b.example", \
	 {"c@d.example"}, \
	 NULL, \
	 false, \
	 false, \
	 GREET "S: 250 mx\nM:\nC: MAIL FROM:<a@b.example>\nS: 250 ok\n" \
	       "C: RCPT TO:<c@d.example>\nS: 250 ok\nC: RSET\nS: 500 no\nW: close\n" \
	       "= protocol RSET\nR: 0 accepted 2.0.0 RCPT\n"},
/* clang-format on */
