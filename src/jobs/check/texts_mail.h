/*
 * What the tester finds about a mail domain (daneway check). Matrix sections 17a and 18 list the
 * mistakes; the words are a postmaster's.
 */
#pragma once

#define CHECK_DEFER_321 "4/5.7.321 starttls-not-supported"
#define CHECK_DEFER_322 "4/5.7.322 certificate-expired"
#define CHECK_DEFER_323 "4/5.7.323 tlsa-invalid"
#define CHECK_DEFER_324 "4/5.7.324 dnssec-invalid"
#define CHECK_DEFER_325 "4/5.7.325 certificate-host-mismatch"

/* clang-format off */
/*
 * X(NAME, id, status, effect, title,
 *   detail, fix, postfix, exchange, tlsrpt)
 */
#define CHECK_MAIL_TEXTS(X) \
	X(INPUT_INVALID, "input.invalid", FAIL, UNKNOWN, "This is no domain", \
	  "{detail}.", "Give a mail domain such as example.org.", NULL, NULL, NULL) \
	/* MX */ \
	X(MX_SECURE, "mx.secure", PASS, NONE, "The MX records are signed", \
	  "{hosts}.", NULL, NULL, NULL, NULL) \
	X(MX_INSECURE, "mx.insecure", WARN, NO_DANE, "The MX records are not signed", \
	  "{hosts}. An attacker can name another host; senders do not use DANE for this domain.", \
	  "Have the zone of {domain} signed and its DS published at the registry.", \
	  "non DNSSEC destination", NULL, "no-policy-found") \
	X(MX_BOGUS, "mx.bogus", FAIL, BROKEN, "The MX lookup fails DNSSEC validation", \
	  "{why}. Senders that validate delay all mail to this domain and then return it.", \
	  "Mend the zone's signatures or its DS: \"daneway dnssec {domain} MX\" names the broken link.", \
	  "Host or domain name not found. Name service error ... type=MX: Host not found, try again", \
	  CHECK_DEFER_324, "dnssec-invalid") \
	X(MX_FAILED, "mx.failed", FAIL, UNKNOWN, "The MX lookup got no usable answer", \
	  "{why}. Whether the domain does DANE cannot be told now.", \
	  "See that the name servers of {domain} answer, over UDP and TCP.", \
	  "Host or domain name not found. Name service error ... type=MX: Host not found, try again", \
	  "4/5.4.312 DNS query failed", NULL) \
	X(MX_NXDOMAIN, "mx.nxdomain", FAIL, BROKEN, "The domain does not exist", \
	  "The DNS says that {domain} does not exist. Mail to it is returned at once.", \
	  "See whether the name is spelt right and its registration stands.", \
	  "Host or domain name not found. Name service error ... type=MX: Host not found", \
	  "5.4.310 DNS domain does not exist", NULL) \
	X(MX_NULL, "mx.null", INFO, NO_DANE, "The domain takes no mail", \
	  "It publishes a null MX (RFC 7505): mail to it is returned at once, which is as it should be.", NULL, \
	  "Domain {domain} does not accept mail (nullMX)", NULL, NULL) \
	X(MX_IMPLICIT, "mx.implicit", INFO, NONE, "There is no MX record; the domain itself is the host", \
	  "Senders fall back to the addresses of {domain} (RFC 5321 section 5.1).", \
	  "Publish an MX record: {domain}. IN MX 10 <host>.", NULL, NULL, NULL) \
	X(MX_IMPLICIT_INSECURE, "mx.implicit-insecure", WARN, NO_DANE, \
	  "There is no MX record, and its absence is not signed", \
	  "Senders fall back to the addresses of {domain}, without DANE.", \
	  "Have the zone of {domain} signed, and publish an MX record.", NULL, NULL, "no-policy-found") \
	X(MX_NULL_MIXED, "mx.null-mixed", WARN, NONE, "A null MX stands beside other MX records", \
	  "\"MX 0 .\" says that the domain takes no mail, the others say that it does; senders leave the dot out (RFC 7505 section 3).", \
	  "Take one or the other out: {domain}. IN MX 0 .", NULL, NULL, NULL) \
	X(MX_REPEATED, "mx.repeated", INFO, NONE, "One host stands in several MX records", \
	  "{host} has several preferences; senders use the best and try it once.", "Leave one.", NULL, NULL, NULL) \
	X(MX_ALIAS, "mx.alias", WARN, NONE, "The MX record names an alias", \
	  "{host} is a CNAME for {target}, and an MX record must name a host itself (RFC 2181 section 10.3). " \
	  "Senders look for TLSA records at {target} first, then at {host}.", \
	  "Name {target} in the MX record, or give {host} addresses of its own.", NULL, NULL, NULL) \
	X(MX_TOO_MANY, "mx.too-many", WARN, NONE, "There are more MX hosts than senders try", \
	  "{count} hosts beyond the first 100 were not looked at.", "Publish fewer MX records.", NULL, NULL, NULL) \
	/* addresses */ \
	X(ADDRESS_SECURE, "address.secure", PASS, NONE, "The addresses are signed", \
	  "{addresses}.", NULL, NULL, NULL, NULL) \
	X(ADDRESS_INSECURE, "address.insecure", WARN, NO_DANE, "The addresses are not signed", \
	  "{reason}: {addresses}.", \
	  "Move the MX to a host in a signed zone, or have the zone of {host} signed.", \
	  "non DNSSEC destination", NULL, "no-policy-found") \
	X(ADDRESS_ALIAS, "address.alias", INFO, NONE, "The host is a signed alias of a host that is not signed", \
	  "{addresses}. Senders look for TLSA records at {base} itself (RFC 7672 section 2.2.2).", NULL, NULL, NULL, NULL) \
	X(ADDRESS_ALIAS_FAILED, "address.alias-failed", FAIL, BROKEN, "The lookup of the host's alias fails", \
	  "{reason}. Senders that do DANE pass over this host.", \
	  "See that the name servers of {host} answer questions for its CNAME.", \
	  "TLSA lookup error for {host}:25", CHECK_DEFER_324, "dnssec-invalid") \
	X(ADDRESS_BOGUS, "address.bogus", FAIL, BROKEN, "The address lookup fails DNSSEC validation", \
	  "{reason}. Senders that validate pass over this host.", \
	  "Mend the zone's signatures: \"daneway dnssec {host}\" names the broken link.", \
	  "Name service error for name={host} type=A: Host not found, try again", CHECK_DEFER_324, "dnssec-invalid") \
	X(ADDRESS_FAILED, "address.failed", FAIL, UNKNOWN, "The address lookup got no usable answer", \
	  "{reason}.", "See that the name servers of {host} answer.", \
	  "Name service error for name={host} type=A: Host not found, try again", "4/5.4.312 DNS query failed", NULL) \
	X(ADDRESS_NONE, "address.none", FAIL, BROKEN, "The MX host has no address", \
	  "{reason}. Senders pass over it; with no other host mail is returned.", \
	  "Publish an address: {host}. IN A <address>, or take the host out of the MX records.", \
	  "unable to look up host {host}: Host not found", NULL, NULL) \
	X(ADDRESS_NONE_HERE, "address.none-here", WARN, NONE, "One MX host has no address", \
	  "{reason}. Senders pass over it and use the others.", \
	  "Publish an address: {host}. IN A <address>, or take the host out of the MX records.", \
	  "unable to look up host {host}: Host not found", NULL, NULL) \
	/* TLSA */ \
	X(TLSA_PRESENT, "tlsa.present", PASS, NONE, "TLSA records are published and signed", \
	  "{records} at {owner}.", NULL, NULL, NULL, NULL) \
	X(TLSA_NONE, "tlsa.none", INFO, NO_DANE, "No TLSA record is published", \
	  "{reason}. Mail to this host is encrypted only if nobody interferes.", \
	  "Publish {record}", NULL, NULL, "no-policy-found") \
	X(TLSA_NONE_HERE, "tlsa.none-here", WARN, NO_DANE, "This MX host has no TLSA record, and another one has", \
	  "{reason}. An attacker who keeps the other hosts from answering gets the mail here, without DANE.", \
	  "Publish {record}", NULL, NULL, "no-policy-found") \
	X(TLSA_MISPLACED, "tlsa.misplaced", WARN, NONE, "A TLSA record stands where no sender of mail looks", \
	  "{records} at {name}; senders ask for {owner} (RFC 7672 section 2.2.3).", \
	  "Publish {record}, and take the one at {name} out.", NULL, NULL, NULL) \
	X(TLSA_IGNORED, "tlsa.ignored", WARN, NONE, "TLSA records are published, and senders do not even ask for them", \
	  "{records} at {name}, but the address of {host} is not signed (RFC 7672 section 2.2.2).", \
	  "Have the zone of {host} signed and its DS published at the registry.", "non DNSSEC destination", NULL, NULL) \
	X(TLSA_ALIAS, "tlsa.alias", WARN, NONE, "The name of the TLSA record is an alias, and no record is at its end", \
	  "{owner} leads to {target}. Often a wildcard CNAME swallows the name.", \
	  "Publish {record}: a record at the name itself goes before a wildcard.", NULL, NULL, NULL) \
	X(TLSA_INSECURE, "tlsa.insecure", WARN, NO_DANE, "A TLSA record is there, but nothing that counts is signed", \
	  "{reason}. Senders ignore it.", "Have the zone that holds {owner} signed.", NULL, NULL, "no-policy-found") \
	X(TLSA_BOGUS, "tlsa.bogus", FAIL, BROKEN, "The TLSA lookup fails DNSSEC validation", \
	  "{reason}. Senders that do DANE pass over this host and delay the mail.", \
	  "Mend the signatures at {owner}: \"daneway dnssec {owner} TLSA\" names the broken link.", \
	  "TLSA lookup error for {host}:25", CHECK_DEFER_324, "dnssec-invalid") \
	X(TLSA_FAILED, "tlsa.failed", FAIL, BROKEN, "The TLSA lookup gets no usable answer from the name servers", \
	  "{reason}. Senders that do DANE pass over this host and delay the mail, though no record may be there at all.", \
	  "Make the name servers answer questions for {owner} TLSA: with the record, or with a signed denial.", \
	  "TLSA lookup error for {host}:25", CHECK_DEFER_324, "dnssec-invalid") \
	X(TLSA_LATE, "tlsa.late", FAIL, UNKNOWN, "The TLSA lookup was not over when the time for the domain was", \
	  "{reason}.", "Test again with a longer --timeout.", NULL, NULL, NULL) \
	X(TLSA_UNUSABLE, "tlsa.unusable", WARN, ENCRYPT, "No published TLSA record is usable", \
	  "{records}. Senders insist on TLS and check no certificate.", "Publish {record}", \
	  "TLSA records unusable", NULL, "tlsa-invalid") \
	X(TLSA_RECORD_UNUSABLE, "tlsa.record-unusable", WARN, NONE, "A published TLSA record is not usable", \
	  "{record}: {why}.", "{fix}", NULL, NULL, "tlsa-invalid") \
	/* TLSA records that work, for now */ \
	X(TLSA_UNSEEN, "tlsa.unseen", INFO, NONE, "A TLSA record fits no certificate that was seen", \
	  "{record}: either the next key, published ahead of its use, which is right, or an old one that was left behind.", \
	  "If {record} is not of the next key, take it out.", NULL, NULL, NULL) \
	X(TLSA_TA_NOT_SENT, "tlsa.ta-not-sent", WARN, NONE, "A TLSA record of an issuer fits no certificate that the server sends", \
	  "{record}: {cause}. Mail passes by another record; this one gives no help.", \
	  "Have the server send that issuer's certificate too, or take the record out.", NULL, NULL, NULL) \
	X(TLSA_ONE_KEY, "tlsa.one-key", INFO, NONE, "All TLSA records are of one key", \
	  "{records}. That works; it is no roll-over: a new key matches none of them.", \
	  "Before a new key is used, publish its record beside these and wait two TTLs (RFC 7671 section 8.1).", NULL, NULL, NULL) \
	X(TLSA_ONLY_SHA512, "tlsa.only-sha512", WARN, NONE, "Only SHA2-512 records are published", \
	  "{records}. Senders need not know SHA2-512 (RFC 7671 section 2); to those all records are unusable.", \
	  "Publish {record}", NULL, NULL, NULL) \
	X(TLSA_WHOLE_CERTIFICATE, "tlsa.whole-certificate", WARN, NONE, "The record changes at every renewal of a short-lived certificate", \
	  "{record} is of the whole certificate, which lives for {days} days (until {end}). A renewal that keeps the key still breaks it.", \
	  "Publish {line} and keep the key at renewals.", NULL, NULL, NULL) \
	X(TLSA_TOO_MANY, "tlsa.too-many", WARN, NONE, "There are many TLSA records", \
	  "{count} at {owner}. Large answers get lost on the way, and Exchange Online has been unable to handle more than about 12.", \
	  "Leave one for each key in use, and one for the next.", NULL, NULL, NULL) \
	X(TLSA_LONG_TTL, "tlsa.long-ttl", WARN, NONE, "The TTL of the TLSA records makes a change slow", \
	  "A day or more ({ttl} seconds were seen). A new key has to wait two of them, and a mistake lasts one (RFC 7671 section 8.1, 13).", \
	  "Give {owner} a TTL of 3600.", NULL, NULL, NULL) \
	/* connections */ \
	X(SMTP_MATCH, "smtp.match", PASS, DANE, "STARTTLS works and the certificate matches", \
	  "{key} key, {version} {cipher}; {matched}.", NULL, "Verified TLS connection established", NULL, NULL) \
	X(SMTP_MATCH_INSECURE_MX, "smtp.match-insecure-mx", PASS, DANE, \
	  "The certificate matches, though the MX records are not signed", \
	  "{key} key, {version} {cipher}; {matched}.", NULL, "Trusted TLS connection established", NULL, NULL) \
	X(SMTP_TLS, "smtp.tls", PASS, NONE, "STARTTLS works", \
	  "{key} key, {version} {cipher}.", NULL, "Untrusted TLS connection established", NULL, NULL) \
	X(SMTP_NO_KEY_TYPE, "smtp.no-key-type", SKIP, NONE, "The server has no {key} certificate", \
	  "{detail}.", NULL, NULL, NULL, NULL) \
	X(SMTP_MISMATCH, "smtp.mismatch", FAIL, BROKEN, "The certificate matches no TLSA record", \
	  "{key} key: {cause}", "{fix}", "Server certificate not trusted", CHECK_DEFER_323, "certificate-not-trusted") \
	X(SMTP_EXPIRED, "smtp.expired", FAIL, BROKEN, "The certificate has expired", \
	  "{key} key: {detail}. With usage 2 records dates count.", \
	  "Renew the certificate, or publish {record} beside what is there.", "Server certificate not trusted", CHECK_DEFER_322, \
	  "certificate-expired") \
	X(SMTP_NAME_MISMATCH, "smtp.name-mismatch", FAIL, BROKEN, "The certificate has none of the names that count", \
	  "{key} key: {detail}. With usage 2 records the certificate must name {names}.", \
	  "Have a certificate issued for {host}, or publish {record} beside what is there.", "Server certificate not verified", \
	  CHECK_DEFER_325, "certificate-host-mismatch") \
	X(SMTP_NOT_YET_VALID, "smtp.not-yet-valid", FAIL, BROKEN, "The certificate is not valid yet", \
	  "{key} key: {detail}. With usage 2 records dates count.", \
	  "Set the clock of the CA or of the server right, or publish {record} beside what is there.", "Server certificate not trusted", \
	  CHECK_DEFER_323, "certificate-not-trusted") \
	X(SMTP_WEAK, "smtp.weak", FAIL, BROKEN, "A key or signature of the certificate is too weak", \
	  "{key} key: {detail}.", "Make a new key (P-256, or RSA of at least 2048 bits) and publish its record first.", \
	  "Server certificate not trusted", CHECK_DEFER_323, "validation-failure") \
	X(SMTP_UNTRUSTED, "smtp.untrusted", FAIL, BROKEN, "The certificate chain does not hold", \
	  "{key} key: {detail}.", "Send a complete, valid chain, or publish {record} beside what is there.", \
	  "Server certificate not trusted", CHECK_DEFER_323, "certificate-not-trusted") \
	X(SMTP_NO_STARTTLS, "smtp.no-starttls", FAIL, BROKEN, "STARTTLS is not there, though TLSA records promise it", \
	  "{detail}.", "Switch STARTTLS on for every client and address, or take the TLSA records out.", \
	  "TLS is required, but was not offered by host {host}", CHECK_DEFER_321, "starttls-not-supported") \
	X(SMTP_STARTTLS_REFUSED, "smtp.starttls-refused", FAIL, BROKEN, "STARTTLS is refused, though TLSA records promise it", \
	  "{detail}.", "See why the server refuses (its log: a key file it cannot read, most often), or take the TLSA records out.", \
	  "TLS is required, but host {host} refused to start TLS: ...", CHECK_DEFER_321, "starttls-not-supported") \
	X(SMTP_HANDSHAKE, "smtp.handshake", FAIL, BROKEN, "The TLS handshake fails", \
	  "{detail}.", "Offer TLS 1.2 or 1.3 with a certificate that the TLSA records match.", \
	  "Cannot start TLS: handshake failure", CHECK_DEFER_321, "validation-failure") \
	X(SMTP_CLEAR, "smtp.clear", WARN, NONE, "Mail goes there in clear", \
	  "{detail}.", "Switch STARTTLS on.", NULL, NULL, "starttls-not-supported") \
	X(SMTP_UNREACHED_WITHOUT_DANE, "smtp.unreached-without-dane", WARN, NONE, \
	  "The server could not be tested; DANE does not cover it", \
	  "{detail}.", "Try again later, or from another network.", "connect to {host}: ...", NULL, NULL) \
	X(SMTP_UNREACHED, "smtp.unreached", WARN, UNKNOWN, "The server could not be tested", \
	  "{detail}. That says nothing about its DANE: it may be down, filtered, or shy of strangers.", \
	  "Try again later, or from another network.", "connect to {host}: ...", NULL, NULL) \
	/* certificates, in time */ \
	X(CERT_ENDS_SOON, "cert.ends-soon", WARN, NONE, "A certificate that counts ends soon", \
	  "{key} key: \"{name}\" ends on {end}. With usage 2 records (DANE-TA) mail stops then.", \
	  "Renew it, or publish {line} beside what is there.", NULL, NULL, NULL) \
	X(CERT_ENDS_HARMLESSLY, "cert.ends-harmlessly", INFO, NONE, "The certificate's end does not count", \
	  "{key} key: it ends on {end}. With usage 3 records (DANE-EE) dates do not count (RFC 7672 section 3.1.1); " \
	  "other senders may care.", NULL, NULL, NULL, NULL) \
	/* name servers one by one; the texts of what is wrong are those of the chain debugger */ \
	X(SERVERS_ALIKE, "servers.alike", PASS, NONE, "All name servers answer alike, and as they should", \
	  "{addresses} addresses of name servers of {zones} zones were asked, over UDP and TCP.", NULL, NULL, NULL, NULL) \
	X(SERVERS_TROUBLE, "servers.trouble", INFO, NONE, "Not all name servers answer as they should", \
	  "{addresses} addresses of name servers of {zones} zones were asked, over UDP and TCP.", NULL, NULL, NULL, NULL) \
	X(SERVERS_UNFINISHED, "servers.unfinished", WARN, NONE, "The name servers could not be asked one by one", \
	  "{detail}.", "\"daneway dnssec --mail {domain}\" asks them, from the root down.", NULL, NULL, NULL) \
	X(SERVERS_TLSA_OTHER, "servers.tlsa-other", FAIL, BROKEN, "A name server has other TLSA records, and they do not match", \
	  "{servers}: the answer to {owner} TLSA is {records}, validly signed, and the MX host's certificate does not match it. Senders whose resolver asks there delay mail.", \
	  "Have the servers named take over the last version of the zone (see NOTIFY, the transfer and the serial), or take them out of its NS records.", \
	  "Server certificate not trusted", CHECK_DEFER_323, "certificate-not-trusted") \
	X(SERVERS_TLSA_OTHER_MATCH, "servers.tlsa-other-match", WARN, NONE, "A name server has other TLSA records, which match too", \
	  "{servers}: the answer to {owner} TLSA is {records}, validly signed.", \
	  "Have all servers of the zone serve the same version, before a key is changed.", NULL, NULL, NULL) \
	X(SERVERS_TLSA_HIDDEN, "servers.tlsa-hidden", WARN, NO_DANE, "A name server hides the TLSA records from some resolvers", \
	  "{servers}: there is no {above}., so resolvers that ask label by label do not find {owner} TLSA, and their senders deliver without DANE.", \
	  "Have the servers named answer NOERROR without records for {above}.", NULL, NULL, NULL) \
	X(SERVERS_TLSA_DENIED, "servers.tlsa-denied", WARN, NO_DANE, "A name server denies the TLSA records that the others have", \
	  "{servers}: validly signed, there is no record at {owner} TLSA. Senders whose resolver asks there deliver without DANE.", \
	  "Have the servers named take over the last version of the zone (see NOTIFY, the transfer and the serial), or take them out of its NS records.", \
	  NULL, NULL, NULL) \
	X(FORECAST_BREAKS, "forecast.breaks", INFO, NONE, "Mail will break on {when} if nothing is done", \
	  "{why}.", "{fix}", NULL, NULL, NULL) \
	X(FORECAST_SIGNATURES, "forecast.signatures", INFO, NONE, "Mail would break on {when} if the zone's signer stopped", \
	  "{why}; signers renew it before{then}.", NULL, NULL, NULL, NULL) \
	X(FORECAST_NO_DATE, "forecast.no-date", INFO, NONE, "No certificate's end will break mail", \
	  "All servers match by DANE-EE records, for which dates do not count. A new key, or DNS signatures that run out, still can.", \
	  NULL, NULL, NULL, NULL) \
	/* what else senders look for */ \
	X(TLSRPT_PRESENT, "tlsrpt.present", PASS, NONE, "Senders can report TLS failures", \
	  "{name}: {rua}.", NULL, NULL, NULL, NULL) \
	X(TLSRPT_NONE, "tlsrpt.none", INFO, NONE, "Senders are not asked to report TLS failures", \
	  "No TLSRPT record is at {name} (RFC 8460 section 3), so a fault shows only when mail stays away.", \
	  "Publish {name}. IN TXT \"v=TLSRPTv1; rua=mailto:tls-reports@{domain}\"", NULL, NULL, NULL) \
	X(TLSRPT_NONE_AT_HOST, "tlsrpt.none-at-host", INFO, NONE, "Senders are not asked to report DANE failures of this host", \
	  "For DANE the reports go to whom {name} names, the TLSA base domain (RFC 8460 section 1.1), and there is no record.", \
	  "Publish {name}. IN TXT \"v=TLSRPTv1; rua=mailto:tls-reports@{domain}\"", NULL, NULL, NULL) \
	X(TLSRPT_SEVERAL, "tlsrpt.several", WARN, NONE, "Several TLSRPT records cancel each other", \
	  "With more than one at {name} senders act as if there were none (RFC 8460 section 3).", "Leave one.", NULL, NULL, NULL) \
	X(TLSRPT_BROKEN, "tlsrpt.broken", WARN, NONE, "The TLSRPT record names no address for reports", \
	  "{name}: \"{text}\".", "Publish {name}. IN TXT \"v=TLSRPTv1; rua=mailto:tls-reports@{domain}\"", NULL, NULL, NULL) \
	X(STS_PRESENT, "sts.present", INFO, NONE, "MTA-STS is announced", \
	  "{name}: id {id}. Senders that do both follow DANE first (RFC 8461 section 2): what DANE refuses, " \
	  "an MTA-STS policy does not let through.", NULL, NULL, NULL, NULL) \
	X(STS_SEVERAL, "sts.several", WARN, NONE, "Several MTA-STS records cancel each other", \
	  "With more than one at {name} senders act as if there were none (RFC 8461 section 3.1).", "Leave one.", NULL, NULL, NULL) \
	X(STS_BROKEN, "sts.broken", WARN, NONE, "The MTA-STS record has no id", \
	  "{name}: \"{text}\".", "Publish {name}. IN TXT \"v=STSv1; id=<number that changes with the policy>;\"", NULL, NULL, NULL) \
	X(STS_BAD_ID, "sts.bad-id", WARN, NONE, "The id of the MTA-STS record is not valid", \
	  "{name}: \"{id}\"; 1 to 32 letters and digits are allowed. Senders act as if there were no record (RFC 8461 section 3.1).", \
	  "Publish {name}. IN TXT \"v=STSv1; id=<number that changes with the policy>;\"", NULL, NULL, NULL) \
	X(STS_ENFORCE, "sts.enforce", INFO, NONE, "An MTA-STS policy is in force", \
	  "It allows {patterns}, for {age} seconds. Senders that do MTA-STS insist on TLS and on a certificate of a public CA.", \
	  NULL, NULL, NULL, NULL) \
	X(STS_TESTING, "sts.testing", INFO, NONE, "An MTA-STS policy is being tested", \
	  "It allows {patterns}, for {age} seconds. Senders report what fails, and deliver all the same (RFC 8461 section 5).", \
	  "Once no report tells of a failure, set \"mode: enforce\" and change the id at {owner}.", NULL, NULL, NULL) \
	X(STS_NONE, "sts.none", INFO, NONE, "The MTA-STS policy says that there is none", \
	  "With mode none senders treat the domain as one without MTA-STS (RFC 8461 section 8.3).", NULL, NULL, NULL, NULL) \
	X(STS_NOT_FETCHED, "sts.not-fetched", WARN, NONE, "The MTA-STS policy cannot be fetched", \
	  "{url}: {why}. A sender that knows no policy yet delivers as if there were none; one that keeps an older policy goes by it " \
	  "until it ends (RFC 8461 section 3.3).", "{fix}", NULL, NULL, "sts-policy-fetch-error") \
	X(STS_CERTIFICATE, "sts.certificate", WARN, NONE, "The MTA-STS policy cannot be fetched: senders refuse the web server's certificate", \
	  "{url}: {why}. A sender that knows no policy yet delivers as if there were none; one that keeps an older policy goes by it " \
	  "until it ends (RFC 8461 section 3.3).", "{fix}", NULL, NULL, "sts-webpki-invalid") \
	X(STS_UNKNOWN, "sts.unknown", SKIP, NONE, "The MTA-STS policy was not fetched", \
	  "{url}: {why}.", NULL, NULL, NULL, NULL) \
	X(STS_NOT_TEXT, "sts.not-text", WARN, NONE, "The MTA-STS policy is not served as plain text", \
	  "{url} comes with {type}, not with text/plain. Senders should refuse it (RFC 8461 section 3.2).", \
	  "Have the web server send \"Content-Type: text/plain\" with it.", NULL, NULL, "sts-policy-fetch-error") \
	X(STS_UNREADABLE, "sts.unreadable", WARN, NONE, "The MTA-STS policy cannot be read", \
	  "{url}: {why} (RFC 8461 section 3.2). Senders act as if no policy could be fetched.", \
	  "Write one field a line: \"version: STSv1\", \"mode: enforce\", \"max_age: 604800\", and \"mx: <host>\" for each MX host.", \
	  NULL, NULL, "sts-policy-invalid") \
	X(STS_REPEATED, "sts.repeated", WARN, NONE, "A field of the MTA-STS policy stands there twice", \
	  "\"{field}\" at {url}. Senders ignore all but the first (RFC 8461 section 3.2).", "Leave one.", NULL, NULL, NULL) \
	X(STS_SHORT_LIVED, "sts.short-lived", WARN, NONE, "The MTA-STS policy is short-lived", \
	  "max_age is {age} seconds. An attacker who keeps senders from the web server that long is rid of the policy; " \
	  "weeks are expected (RFC 8461 section 3.2).", "Set \"max_age: 604800\" or more at {url}.", NULL, NULL, NULL) \
	X(STS_FORBIDS, "sts.forbids", WARN, NONE, "MTA-STS forbids senders to deliver to this MX host", \
	  "The policy is in force and allows {patterns}, not {host}.{near} Senders that do MTA-STS pass over the host.{rest} Of those that " \
	  "do DANE too most go by DANE alone where it holds; a strict one passes over the host too (RFC 8461 section 5).", \
	  "Add \"mx: {host}\" at {url}, and change the id at {owner}.", NULL, NULL, "validation-failure") \
	X(STS_WOULD_FORBID, "sts.would-forbid", WARN, NONE, "The MTA-STS policy under test does not allow this MX host", \
	  "It allows {patterns}, not {host}.{near} Senders report it; once the policy is in force they pass over the host (RFC 8461 section 5).", \
	  "Add \"mx: {host}\" at {url}, and change the id at {owner}.", NULL, NULL, "validation-failure") \
	X(STS_LEFTOVER, "sts.leftover", INFO, NONE, "The MTA-STS policy allows hosts that are no MX host", \
	  "{patterns}: left over, or named ahead of a change, which is right.", \
	  "If no such host is to come, take it out at {url}.", NULL, NULL, NULL) \
	/* what if */ \
	X(WHATIF_CERT_MATCH, "what-if.cert-match", PASS, NONE, "The given certificate matches what is published", \
	  "{key} key; {matched}.", NULL, NULL, NULL, NULL) \
	X(WHATIF_CERT_MISMATCH, "what-if.cert-mismatch", WARN, NONE, "The given certificate would not match what is published", \
	  "{cause}", "Before it is used, publish {line} beside what is there, and wait two TTLs.", \
	  NULL, NULL, "certificate-not-trusted") \
	X(WHATIF_CERT_REFUSED, "what-if.cert-refused", WARN, NONE, "The given certificate would be refused", \
	  "{detail}.", "Before it is used, publish {line} beside what is there, and wait two TTLs.", NULL, NULL, NULL) \
	X(WHATIF_CERT_FREE, "what-if.cert-free", INFO, NONE, "No usable TLSA record binds the given certificate", \
	  "Any certificate will do for {host}.", "To protect it, publish {line} once it is in use.", NULL, NULL, NULL) \
	X(WHATIF_RECORD_MATCH, "what-if.record-match", PASS, NONE, "The given records match what is served", \
	  "{key} key; {matched}.", NULL, NULL, NULL, NULL) \
	X(WHATIF_RECORD_MISMATCH, "what-if.record-mismatch", WARN, NONE, "The given records would not match what is served", \
	  "{key} key: {cause}", "For this server: {line}", NULL, NULL, "certificate-not-trusted") \
	/* the inbound test */ \
	X(INBOUND_ACCEPTED, "inbound.accepted", PASS, NONE, "The server accepts mail for {to}", \
	  "{reply}. Nothing was sent.", NULL, NULL, NULL, NULL) \
	X(INBOUND_DEFERRED, "inbound.deferred", WARN, NONE, "The server does not take mail for {to} now", \
	  "{stage}: {reply}. A 4xx reply is often greylisting: senders try again.", \
	  "Try again in some minutes; look into the server's log.", NULL, NULL, NULL) \
	X(INBOUND_REFUSED, "inbound.refused", WARN, NONE, "The server refuses mail for {to}", \
	  "{stage}: {reply}.", "See whether the mailbox exists and the server takes mail for {domain}.", NULL, NULL, NULL) \
	X(INBOUND_DELIVERED, "inbound.delivered", PASS, NONE, "The test message was delivered", \
	  "{detail}", NULL, NULL, NULL, NULL) \
	X(INBOUND_NOT_DELIVERED, "inbound.not-delivered", WARN, NONE, "The test message was not delivered", \
	  "{status}: {detail}", "The findings about the host named say why.", NULL, NULL, NULL)
/* clang-format on */
