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
	X(MX_TOO_MANY, "mx.too-many", WARN, NONE, "There are more MX hosts than senders try", \
	  "{count} hosts beyond the first 100 were not looked at.", "Publish fewer MX records.", NULL, NULL, NULL) \
	/* addresses */ \
	X(ADDRESS_SECURE, "address.secure", PASS, NONE, "The addresses are signed", \
	  "{addresses}.", NULL, NULL, NULL, NULL) \
	X(ADDRESS_INSECURE, "address.insecure", WARN, NO_DANE, "The addresses are not signed", \
	  "{addresses}. {reason}", \
	  "Move the MX to a host in a signed zone, or have the zone of {host} signed.", \
	  "non DNSSEC destination", NULL, "no-policy-found") \
	X(ADDRESS_ALIAS, "address.alias", INFO, NONE, "The host is a signed alias of a host that is not signed", \
	  "{addresses}. Senders look for TLSA records at {base} itself (RFC 7672 section 2.2.2).", NULL, NULL, NULL, NULL) \
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
	/* TLSA */ \
	X(TLSA_PRESENT, "tlsa.present", PASS, NONE, "TLSA records are published and signed", \
	  "{records} at {owner}.", NULL, NULL, NULL, NULL) \
	X(TLSA_NONE, "tlsa.none", INFO, NO_DANE, "No TLSA record is published", \
	  "{reason}. Mail to this host is encrypted only if nobody interferes.", \
	  "Publish {record}", NULL, NULL, "no-policy-found") \
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
	X(TLSA_UNUSABLE, "tlsa.unusable", WARN, ENCRYPT, "No published TLSA record is usable", \
	  "{records}. Senders insist on TLS and check no certificate.", "Publish {record}", \
	  "TLSA records unusable", NULL, "tlsa-invalid") \
	X(TLSA_RECORD_UNUSABLE, "tlsa.record-unusable", WARN, NONE, "A published TLSA record is not usable", \
	  "{record}: {why}.", "Take it out.", NULL, NULL, NULL) \
	/* connections */ \
	X(SMTP_MATCH, "smtp.match", PASS, DANE, "STARTTLS works and the certificate matches", \
	  "{key} key, {version} {cipher}; {matched}.", NULL, "Verified TLS connection established", NULL, NULL) \
	X(SMTP_MATCH_INSECURE_MX, "smtp.match-insecure-mx", PASS, DANE, \
	  "The certificate matches, though the MX records are not signed", \
	  "{key} key, {version} {cipher}; {matched}.", NULL, "Trusted TLS connection established", NULL, NULL) \
	X(SMTP_TLS, "smtp.tls", PASS, NONE, "STARTTLS works", \
	  "{key} key, {version} {cipher}.", NULL, "Untrusted TLS connection established", NULL, NULL) \
	X(SMTP_NO_KEY_TYPE, "smtp.no-key-type", SKIP, NONE, "The server has no certificate of this key type", \
	  "{key}: {detail}.", NULL, NULL, NULL, NULL) \
	X(SMTP_MISMATCH, "smtp.mismatch", FAIL, BROKEN, "The certificate matches no TLSA record", \
	  "{key} key: {cause}", "{fix}", "Server certificate not trusted", CHECK_DEFER_323, "certificate-not-trusted") \
	X(SMTP_EXPIRED, "smtp.expired", FAIL, BROKEN, "The certificate has expired", \
	  "{key} key: {detail}. With usage 2 records dates count.", \
	  "Renew the certificate, or publish {record}", "Server certificate not trusted", CHECK_DEFER_322, \
	  "certificate-expired") \
	X(SMTP_NAME_MISMATCH, "smtp.name-mismatch", FAIL, BROKEN, "The certificate has none of the names that count", \
	  "{key} key: {detail}. With usage 2 records the certificate must name {names}.", \
	  "Have a certificate issued for {host}, or publish {record}", "Server certificate not verified", \
	  CHECK_DEFER_325, "certificate-host-mismatch") \
	X(SMTP_UNTRUSTED, "smtp.untrusted", FAIL, BROKEN, "The certificate chain does not hold", \
	  "{key} key: {detail}.", "Send a complete, valid chain, or publish {record}", \
	  "Server certificate not trusted", CHECK_DEFER_323, "certificate-not-trusted") \
	X(SMTP_NO_STARTTLS, "smtp.no-starttls", FAIL, BROKEN, "STARTTLS is not there, though TLSA records promise it", \
	  "{detail}.", "Switch STARTTLS on for every client and address, or take the TLSA records out.", \
	  "TLS is required, but was not offered by host", CHECK_DEFER_321, "starttls-not-supported") \
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
	  "Try again later, or from another network.", "connect to {host}: ...", NULL, NULL)
/* clang-format on */
