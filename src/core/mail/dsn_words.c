/* What a status code means, in words for the people who write mail (RFC 3463, RFC 7672). */
#include "core/mail/dsn.h"

#define FORGED                                                                                     \
	"Without this check the message could be handed to an impostor, so it was not sent. "      \
	"Nothing is wrong with the message itself."

static const struct {
	const char *code; /* behind the class */
	struct mail_dsn_words words;
} texts[] = {
	/* The codes of SMTP DANE, as Exchange Online has them. */
	{".7.321",
	 {"The recipient's domain asks for encrypted mail (SMTP DANE, RFC 7672), but no encrypted "
	  "connection to its mail server could be made: STARTTLS is not offered, or the handshake "
	  "failed. " FORGED,
	  "The recipient's postmaster must make STARTTLS work on the mail server named below, or "
	  "remove the TLSA records that promise it."}},
	{".7.322",
	 {"The certificate of the recipient's mail server has expired. The domain's TLSA record "
	  "(SMTP DANE, RFC 7672) asks for one that is valid. " FORGED,
	  "The recipient's postmaster must renew the certificate."}},
	{".7.323",
	 {"The recipient's mail server could not be authenticated by SMTP DANE (RFC 7672). Most "
	  "often its certificate is not one that the domain's TLSA records name, because the "
	  "certificate was renewed and the records were not. " FORGED,
	  "The recipient's postmaster must publish TLSA records that match the certificate in use, "
	  "or put back a certificate that matches them. If DANE is compulsory for this domain by a "
	  "setting of the sender's server and the domain has none, the sender's postmaster must "
	  "change that setting."}},
	{".7.324",
	 {"The DNS answers about the recipient's domain or its mail server are not to be trusted: "
	  "their DNSSEC signatures do not validate, or the TLSA records (SMTP DANE, RFC 7672) "
	  "could "
	  "not be looked up. " FORGED,
	  "The recipient's postmaster must have the DNSSEC signatures of the zone named below "
	  "mended, and make its name servers answer questions for TLSA records."}},
	{".7.325",
	 {"The certificate of the recipient's mail server is not made out in the server's name. "
	  "The "
	  "domain's TLSA record (SMTP DANE, RFC 7672) asks for one that is. " FORGED,
	  "The recipient's postmaster must install a certificate that has the name of the mail "
	  "server, as the MX record gives it."}},
	/* RFC 3463, the registry of RFC 5248. */
	{".1.1", {"There is no such mailbox at the recipient's domain.", "Check the address."}},
	{".1.2", {"The recipient's domain does not exist.", "Check the part behind the @."}},
	{".1.3", {"The recipient's server cannot read the address.", "Check the address."}},
	{".1.6", {"The recipient has moved.", "Ask for the new address."}},
	{".1.10",
	 {"The recipient's domain says that it takes no mail at all (RFC 7505).",
	  "Check the part behind the @."}},
	{".2.1", {"The recipient's mailbox is closed, or takes no mail at present.", NULL}},
	{".2.2", {"The recipient's mailbox is full.", "Try again when there is room."}},
	{".2.3", {"The message is too large for the recipient's mailbox.", "Send a smaller one."}},
	{".3.4", {"The message is too large for the recipient's server.", "Send a smaller one."}},
	{".4.1", {"The recipient's mail server does not answer.", NULL}},
	{".4.2", {"The connection to the recipient's mail server was lost.", NULL}},
	{".4.3", {"The recipient's domain could not be looked up in the DNS.", NULL}},
	{".4.4",
	 {"The recipient's domain names mail servers that have no address in the DNS.",
	  "The recipient's postmaster must correct the MX records of the domain."}},
	{".4.6",
	 {"The message goes round in a circle.",
	  "The postmaster of this server must correct the way to the recipient's domain."}},
	{".4.7", {"The message could not be delivered in the time allowed.", NULL}},
	{".6.3",
	 {"The message has characters beyond plain ASCII, and the recipient's server does not take "
	  "such messages (it lacks 8BITMIME).",
	  NULL}},
	{".6.7",
	 {"An address or a header field has characters beyond plain ASCII, and the recipient's "
	  "server does not take such messages (it lacks SMTPUTF8).",
	  "Use an address in plain ASCII, if the recipient has one."}},
	{".7.1",
	 {"The recipient's server does not accept the message: its rules forbid it.", NULL}},
	{".7.10",
	 {"The message may only be sent over an encrypted connection, and none could be made.",
	  "The recipient's postmaster must make STARTTLS work."}},
};

const struct mail_dsn_words *mail_dsn_words(const char *status)
{
	if (status == NULL || (status[0] != '4' && status[0] != '5'))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (strcmp(texts[i].code, status + 1) == 0)
			return &texts[i].words;
	return NULL;
}
