/* What the chain debugger finds (daneway dnssec). */
#pragma once

/* clang-format off */
/*
 * X(NAME, id, status, effect, title,
 *   detail, fix, postfix, exchange, tlsrpt)
 *
 * Names of zones and records come without the final dot: the texts put one where a zone is meant.
 */
#define CHECK_DNSSEC_TEXTS(X) \
	/* what stands in the tree */ \
	X(DNSSEC_ZONE_SECURE, "dnssec.zone.secure", PASS, NONE, \
	  "The zone is signed, and its chain of trust holds", \
	  "{detail}", \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_ZONE_INSECURE, "dnssec.zone.insecure", INFO, NONE, \
	  "The zone is unsigned to validators", \
	  "{detail}", \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_ZONE_BOGUS, "dnssec.zone.bogus", FAIL, NONE, \
	  "The chain of trust is broken here: validators refuse all of this zone", \
	  "{detail}", \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_ZONE_UNKNOWN, "dnssec.zone.unknown", FAIL, NONE, \
	  "Nothing can be told about this zone", \
	  "{detail}", \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_NAME_SECURE, "dnssec.name.secure", PASS, NONE, \
	  "{record}: secure", \
	  "{detail}", \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_NAME_INSECURE, "dnssec.name.insecure", INFO, NONE, \
	  "{record}: insecure", \
	  "{detail}", \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_NAME_BOGUS, "dnssec.name.bogus", FAIL, NONE, \
	  "{record}: bogus, validators refuse the answer", \
	  "{detail}", \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_NAME_UNKNOWN, "dnssec.name.unknown", FAIL, NONE, \
	  "{record}: cannot be told", \
	  "{detail}", \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_DS, "dnssec.ds", INFO, NONE, \
	  "{detail}", \
	  NULL, \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_DNSKEY, "dnssec.dnskey", INFO, NONE, \
	  "{detail}", \
	  NULL, \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_SERVER, "dnssec.server", INFO, NONE, \
	  "{detail}", \
	  NULL, \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_RRSIG, "dnssec.rrsig", INFO, NONE, \
	  "{detail}", \
	  NULL, \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_RECORD, "dnssec.record", INFO, NONE, \
	  "{detail}", \
	  NULL, \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_PACKET, "dnssec.packet", INFO, NONE, \
	  "{detail}", \
	  NULL, \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_LINE, "dnssec.packet.line", INFO, NONE, \
	  "{detail}", \
	  NULL, \
	  NULL, \
	  NULL, NULL, NULL) \
	/* DS: the link from the parent */ \
	X(DNSSEC_DS_NO_KEY, "dnssec.ds.no-key", FAIL, NONE, \
	  "The parent holds a DS for a key that the zone does not have", \
	  "The parent {parent}. holds a DS for key {tag} ({detail}), and no other DS " \
	  "fits: no DNSKEY of {zone}. at {servers} is that key.", \
	  "Remove the DS of key {tag} at the parent {parent}. (through the registrar), " \
	  "or publish that key again.{fix}", \
	  NULL, NULL, NULL) \
	X(DNSSEC_DS_STALE, "dnssec.ds.stale", WARN, NONE, \
	  "One of several DS records is for a key that the zone does not have", \
	  "The parent {parent}. holds a DS for key {tag} ({detail}); another DS fits, so " \
	  "the chain holds.", \
	  "When key {tag} is not about to be published, remove its DS at the parent " \
	  "{parent}.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_DS_MISMATCH, "dnssec.ds.mismatch", FAIL, NONE, \
	  "The digest in the DS is not that of the key", \
	  "The parent {parent}. holds a DS for key {tag} ({detail}), and {zone}. has a " \
	  "key with that tag, but the digest is of something else.", \
	  "Replace the DS at the parent {parent}.{fix}", \
	  NULL, NULL, NULL) \
	X(DNSSEC_DS_MISSING, "dnssec.ds.missing", WARN, NONE, \
	  "The zone is signed, but the parent holds no DS for it", \
	  "{zone}. has a key at {servers}; without a DS at {parent}. nobody can trust " \
	  "it, and the zone counts as unsigned.", \
	  "Have the parent publish: {fix}", \
	  NULL, NULL, NULL) \
	X(DNSSEC_DS_NONE, "dnssec.ds.none", INFO, NONE, \
	  "The zone is not signed, and the parent says so", \
	  "{parent}. proves that it holds no DS for {zone}., so validators ask for no " \
	  "signature from here on, and senders for no TLSA record.", \
	  "Sign {zone}., and have {parent}. publish its DS.{fix}", \
	  NULL, NULL, NULL) \
	X(DNSSEC_DS_UNSUPPORTED, "dnssec.ds.unsupported", WARN, NONE, \
	  "No DS has an algorithm and digest that validators know", \
	  "{detail}. To validators the zone is unsigned (RFC 4035 section 5.2).", \
	  "Sign {zone}. with algorithm 13 (ECDSAP256SHA256), and publish a DS of digest " \
	  "type 2 (SHA-256) for that key at {parent}.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_DS_SHA1, "dnssec.ds.sha1", WARN, NONE, \
	  "A DS has a SHA-1 digest", \
	  "The DS for key {tag} at {parent}. uses digest type 1, which must not be used " \
	  "any more (RFC 8624 section 3.3).", \
	  "Publish a DS of digest type 2 for key {tag} at {parent}., and remove this " \
	  "one.{fix}", \
	  NULL, NULL, NULL) \
	X(DNSSEC_DS_REFERRAL, "dnssec.ds.referral", WARN, NONE, \
	  "A parent's server answers the question for DS with a referral, or as the child", \
	  "The answer of {servers} to {record} should come from the zone {zone}.; " \
	  "{detail}.", \
	  "Have the servers named serve the zone {zone}. with support for DNSSEC.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_DS_DIGEST, "dnssec.ds.digest", WARN, NONE, \
	  "A DS has a digest type that validators do not know", \
	  "The DS for key {tag} at {parent}. has digest type {detail}; another DS is used.", \
	  "Remove the DS of digest type {detail} at {parent}.", \
	  NULL, NULL, NULL) \
	/* CDS and CDNSKEY: what the zone asks of its parent */ \
	X(DNSSEC_CDS_CURRENT, "dnssec.cds.current", INFO, NONE, \
	  "CDS or CDNSKEY ask for what the parent has", \
	  "Asked for: {detail}.", \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_CDS_PENDING, "dnssec.cds.pending", INFO, NONE, \
	  "The zone asks its parent for another DS", \
	  "Asked for: {detail}. A parent that reads CDS or CDNSKEY (RFC 7344) changes it " \
	  "by itself; with others it is done through the registrar.", \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_CDS_ONE_ONLY, "dnssec.cds.one-only", INFO, NONE, \
	  "The zone has {detail}", \
	  "Some parents read only one of the two.", \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_CDS_DELETE, "dnssec.cds.delete", WARN, NONE, \
	  "The zone asks its parent to remove the DS", \
	  "{record} is the request to delete (algorithm 0, RFC 8078): when {parent}. acts " \
	  "on it, {zone}. is unsigned to everybody, and DANE ends.", \
	  "If that is not meant: remove {record}.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_CDS_DELETE_WRONG, "dnssec.cds.delete-wrong", WARN, NONE, \
	  "A request to delete the DS is not of the form it must have", \
	  "{record} has a record of algorithm 0, but {detail} (RFC 8078 section 4): parents " \
	  "do nothing.", \
	  "Publish \"CDS 0 0 0 00\" and \"CDNSKEY 0 3 0 AA==\" alone, or remove them.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_CDS_DIFFER, "dnssec.cds.differ", WARN, NONE, \
	  "The name servers ask the parent for different things", \
	  "{record}: {detail} A parent that looks at several servers does nothing.", \
	  "Bring the servers of {zone}. to the same version of the zone; signers that work " \
	  "side by side must publish each other's CDS and CDNSKEY.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_CDS_MISMATCH, "dnssec.cds.mismatch", WARN, NONE, \
	  "CDS and CDNSKEY ask for different keys", \
	  "{detail}. They must be of the same keys (RFC 7344 section 4).", \
	  "Make CDS and CDNSKEY of {zone}. from the same keys, or publish one of them only.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_CDS_NO_KEY, "dnssec.cds.no-key", WARN, NONE, \
	  "The zone asks for a DS of a key that it does not have", \
	  "{record} names key {tag}, which is not in the DNSKEY RRset.", \
	  "Publish key {tag} in {zone}., or remove it from {record}.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_CDS_BREAKS, "dnssec.cds.breaks", WARN, NONE, \
	  "What the zone asks its parent for would break it", \
	  "{record}: {detail}. If the parent did it, validators would refuse the zone; it " \
	  "must not (RFC 7344 section 4.1).", \
	  "Make {record} of the key that signs the DNSKEY RRset of {zone}.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_CDS_UNSIGNED, "dnssec.cds.not-signed", WARN, NONE, \
	  "What the zone asks its parent for is not signed by a key that the parent knows", \
	  "{record} from {servers}: {detail}. The parent must not act on it (RFC 7344 " \
	  "section 4.1).", \
	  "Sign {record} with the key that the DS at {parent}. names.", \
	  NULL, NULL, NULL) \
	/* keys */ \
	X(DNSSEC_KEYS_MISSING, "dnssec.dnskey.missing", FAIL, NONE, \
	  "The parent promises a signed zone, and it has no key", \
	  "The parent {parent}. holds a DS for {zone}. (key {tag}), but {servers}: no " \
	  "DNSKEY record.", \
	  "Remove the DS of key {tag} at the parent {parent}., or serve the signed zone " \
	  "again.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_KEYS_UNSIGNED, "dnssec.dnskey.not-signed", FAIL, NONE, \
	  "The key that the DS points to does not sign the zone's keys", \
	  "Key {tag} is in the DNSKEY RRset of {zone}. and the DS at {parent}. fits it, " \
	  "but no valid signature over the DNSKEY RRset is by that key, at {servers}.", \
	  "Sign the DNSKEY RRset of {zone}. with key {tag}, or have the parent {parent}. " \
	  "publish the DS of the key that signs it.{fix}", \
	  NULL, NULL, NULL) \
	X(DNSSEC_KEYS_UNFIT, "dnssec.dnskey.unfit", FAIL, NONE, \
	  "The key that the DS points to may not sign", \
	  "Key {tag} of {zone}. {detail}.", \
	  "Publish the DS of a key that is a zone key and not revoked at {parent}.{fix}", \
	  NULL, NULL, NULL) \
	X(DNSSEC_KEY_SMALL, "dnssec.dnskey.small", WARN, NONE, \
	  "An RSA key is short", \
	  "Key {tag} of {zone}. has {detail} bits; 2048 are usual.", \
	  "Roll to algorithm 13 (ECDSAP256SHA256), or to an RSA key of 2048 bits.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_KEYS_MANY, "dnssec.dnskey.many", WARN, NONE, \
	  "The zone has very many keys", \
	  "{detail} at {servers}; validators look at few of them, and the answer does " \
	  "not fit into a UDP packet.", \
	  "Remove the keys that neither sign nor are about to.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_ALGORITHM_OLD, "dnssec.algorithm.deprecated", WARN, NONE, \
	  "An algorithm is deprecated", \
	  "Key {tag} of {zone}.: {detail}; newer validators treat it as unsigned (RFC " \
	  "9905).", \
	  "Roll {zone}. to algorithm 13 (ECDSAP256SHA256).", \
	  NULL, NULL, NULL) \
	X(DNSSEC_ALGORITHM_ED448, "dnssec.algorithm.ed448", WARN, NONE, \
	  "Some validators do not know this algorithm", \
	  "Key {tag} of {zone}.: ED448 (16). Unbound's library in Debian 12, with which " \
	  "daneway delivers, treats the zone as unsigned; Unbound's daemon, BIND and " \
	  "this check validate it.", \
	  "Roll {zone}. to algorithm 15 (ED25519) or 13 (ECDSAP256SHA256).", \
	  NULL, NULL, NULL) \
	X(DNSSEC_ALGORITHM_IDLE, "dnssec.algorithm.incomplete", WARN, NONE, \
	  "An algorithm has a key and does not sign everything", \
	  "{record}: no signature of {detail} comes with it from {servers}, though {zone}. " \
	  "has a key of that algorithm (RFC 4035 section 2.2). Validators that guard " \
	  "against downgrade refuse it.", \
	  "Sign all of {zone}. with {detail} too, or remove its keys from the DNSKEY " \
	  "RRset.", \
	  NULL, NULL, NULL) \
	/* signatures */ \
	X(DNSSEC_SIG_MISSING, "dnssec.rrsig.missing", FAIL, NONE, \
	  "A signature is missing", \
	  "{record}: no RRSIG comes with it from {servers}, though the zone {zone}. is " \
	  "signed.", \
	  "Sign {record} in {zone}., and see that the servers named serve the signed " \
	  "zone and support DNSSEC.{fix}", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SIG_EXPIRED, "dnssec.rrsig.expired", FAIL, NONE, \
	  "A signature has expired", \
	  "The RRSIG over {record} by key {tag}, from {servers}, {detail}.", \
	  "Sign the zone {zone}. again, and see why its signer stopped: a signature must " \
	  "be renewed before it ends.{fix}", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SIG_EARLY, "dnssec.rrsig.not-yet-valid", FAIL, NONE, \
	  "A signature is not valid yet", \
	  "The RRSIG over {record} by key {tag}, from {servers}, {detail}.", \
	  "Set the clock of the machine that signs {zone}., and sign again.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SIG_BAD, "dnssec.rrsig.bad", FAIL, NONE, \
	  "A signature does not fit the records", \
	  "The RRSIG over {record} by key {tag}, from {servers}, is not what that key " \
	  "makes of these records: they were changed after signing, or another key has " \
	  "the same tag.", \
	  "Sign {record} in {zone}. again with key {tag}, and serve records and " \
	  "signature from the same run of the signer.{fix}", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SIG_NO_KEY, "dnssec.rrsig.no-key", FAIL, NONE, \
	  "A signature is by a key that the zone does not have", \
	  "The RRSIG over {record}, from {servers}, is by key {tag} ({detail}), which is " \
	  "not in the DNSKEY RRset of {zone}.", \
	  "Publish key {tag} in the DNSKEY RRset of {zone}., or sign {record} with a key " \
	  "that is there.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SIG_UNFIT, "dnssec.rrsig.key-unfit", FAIL, NONE, \
	  "A signature is by a key that may not sign", \
	  "The RRSIG over {record}, from {servers}, is by key {tag}, which is revoked or " \
	  "no zone key.", \
	  "Sign {record} in {zone}. with another key.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SIG_ALGORITHM, "dnssec.rrsig.algorithm", FAIL, NONE, \
	  "A signature is of an algorithm that validators do not know", \
	  "The RRSIG over {record}, from {servers}, by key {tag}: {detail}.", \
	  "Sign {record} with the algorithm that the DS promises.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SIG_LABELS, "dnssec.rrsig.labels", FAIL, NONE, \
	  "A signature has more labels than the name", \
	  "The RRSIG over {record} by key {tag}, from {servers}: {detail}.", \
	  "Sign {record} in {zone}. again.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SIG_SIGNER, "dnssec.rrsig.signer", FAIL, NONE, \
	  "A signature names another zone as its signer", \
	  "The RRSIG over {record} by key {tag}, from {servers}, names {detail} as " \
	  "signer, not {zone}.", \
	  "Sign {record} in the zone {zone}., with the zone's own name as signer.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SIG_MALFORMED, "dnssec.rrsig.malformed", FAIL, NONE, \
	  "A signature is malformed", \
	  "An RRSIG over {record} from {servers} cannot be read.", \
	  "Sign {record} in {zone}. again.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SIG_LIMIT, "dnssec.limit.signatures", FAIL, NONE, \
	  "Too many keys and signatures: validators give up", \
	  "{record} from {servers}: {detail}. Verifying all pairs would be an attack on " \
	  "the validator (KeyTrap).", \
	  "Remove keys with the same tag and all but one or two signatures of {record}.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SIG_SPARE, "dnssec.rrsig.spare", WARN, NONE, \
	  "One of several signatures does not hold", \
	  "The RRSIG over {record} by key {tag}, from {servers}: {detail}. Another one " \
	  "is valid, which is enough (RFC 6840 section 5.4).", \
	  "Sign {record} again, or take the signature of key {tag} out.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SIG_SOON, "dnssec.rrsig.ends-soon", WARN, NONE, \
	  "A signature ends soon", \
	  "The RRSIG over {record} by key {tag}, from {servers}, {detail}.", \
	  "Sign the zone {zone}. again now, and have it done days before the end.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SIG_LONG, "dnssec.rrsig.long", WARN, NONE, \
	  "A signature is valid for very long", \
	  "The RRSIG over {record} by key {tag}, from {servers}, {detail}: whoever keeps " \
	  "an old answer can replay it so long.", \
	  "Sign with a validity of two to four weeks.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SIG_TTL_ORIGINAL, "dnssec.rrsig.original-ttl", WARN, NONE, \
	  "Records come with a longer TTL than was signed", \
	  "{record} by key {tag}, from {servers}, {detail}; validators cut it (RFC 4035 " \
	  "section 5.3.3), others keep the records too long.", \
	  "See what raises the TTL of {record} at the servers named.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SIG_TTL, "dnssec.rrsig.ttl", WARN, NONE, \
	  "The TTL reaches beyond the end of the signature", \
	  "The RRSIG over {record} by key {tag}, from {servers}, {detail}.", \
	  "Sign earlier before the end, or lower the TTL of {record}.", \
	  NULL, NULL, NULL) \
	/* denial */ \
	X(DNSSEC_DENIAL, "dnssec.denial.valid", PASS, NONE, \
	  "The denial is proven", \
	  "{record}: {detail}.", \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_DENIAL_MISSING, "dnssec.denial.missing", FAIL, NONE, \
	  "The proof that there is no such record is missing", \
	  "{record} is denied by {servers} without a signed NSEC or NSEC3 record of " \
	  "{zone}.: validators cannot tell it from a forgery.", \
	  "Build the NSEC or NSEC3 chain of {zone}. and serve it (sign the zone anew); " \
	  "see that the servers named support DNSSEC.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_DENIAL_WRONG, "dnssec.denial.wrong", FAIL, NONE, \
	  "The proof that there is no such record does not hold", \
	  "{record} is denied by {servers}: {detail}.", \
	  "Sign the zone {zone}. anew, whole, so that its NSEC or NSEC3 chain fits its " \
	  "names; see that the servers named answer as the protocol has it.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_HIDDEN, "dnssec.denial.hides", WARN, NONE, \
	  "A name is denied although a record stands below it", \
	  "{servers}: there is no {record}., though {detail}. has a TLSA record. Resolvers " \
	  "that ask label by label (RFC 9156), or deny by what they know already (RFC 8020, " \
	  "RFC 8198), find no record.", \
	  "Have the servers named answer NOERROR without records for {record}. (an empty " \
	  "non-terminal): sign {zone}. anew, or update the server's software.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_DENIAL_OPTOUT, "dnssec.denial.optout", INFO, NONE, \
	  "The denial goes through an opt-out span", \
	  "{record}: {detail}.", \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_NSEC_LAST, "dnssec.nsec.last", WARN, NONE, \
	  "The last NSEC record does not lead back to the apex", \
	  "{record} from {servers} ends the chain elsewhere (RFC 4034 section 4.1.1).", \
	  "Sign the zone {zone}. anew, whole.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_NSEC3_DIFFER, "dnssec.nsec3.differ", WARN, NONE, \
	  "The name servers deny in different ways", \
	  "{detail} A resolver that goes from one server to another gets proofs that do not " \
	  "belong together.", \
	  "Bring the servers of {zone}. to the same version of the zone, signed with one set " \
	  "of NSEC3 parameters.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_NSEC3_PARAM, "dnssec.nsec3.param", WARN, NONE, \
	  "NSEC3PARAM and the NSEC3 records have different parameters", \
	  "{servers}: {detail}. A server that looks for its NSEC3 records by NSEC3PARAM " \
	  "finds none.", \
	  "Sign {zone}. anew, whole.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_NSEC3_MANY, "dnssec.nsec3.too-many-iterations", WARN, NONE, \
	  "NSEC3 has so many iterations that validators do not verify it", \
	  "{zone}. at {servers}: {detail}. Denials are insecure then, or fail.", \
	  "Sign {zone}. with 0 additional iterations (RFC 9276 section 3.1).", \
	  NULL, NULL, NULL) \
	X(DNSSEC_NSEC3_ITERATIONS, "dnssec.nsec3.iterations", WARN, NONE, \
	  "NSEC3 has additional iterations", \
	  "{zone}. at {servers}: {detail}; they make denial slow and protect nothing.", \
	  "Sign {zone}. with 0 additional iterations (RFC 9276 section 3.1).", \
	  NULL, NULL, NULL) \
	X(DNSSEC_NSEC3_SALT, "dnssec.nsec3.salt", INFO, NONE, \
	  "NSEC3 has a salt", \
	  "{zone}. at {servers}: {detail}; it is of no use (RFC 9276 section 3.1).", \
	  NULL, \
	  NULL, NULL, NULL) \
	/* name servers */ \
	X(DNSSEC_SERVER_SILENT, "dnssec.server.silent", WARN, NONE, \
	  "A name server gives no answer", \
	  "{servers}: {detail}.", \
	  "See that the servers named run, that port 53 (UDP and TCP) reaches them, and " \
	  "that the NS records of {zone}. name the right ones.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SERVER_UNREACHABLE, "dnssec.server.unreachable", INFO, NONE, \
	  "A name server's address cannot be reached from here", \
	  "{servers}: no route from this machine.", \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_SERVER_RCODE, "dnssec.server.rcode", WARN, NONE, \
	  "A name server answers with an error", \
	  "The answer of {servers} to {record} is {detail}.", \
	  "See that the servers named serve the zone {zone}., and answer {record} with " \
	  "the record or with a denial.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SERVER_LAME, "dnssec.server.lame", WARN, NONE, \
	  "A name server does not serve the zone", \
	  "The answer of {servers} to {record} is not authoritative.", \
	  "Configure the zone {zone}. on the servers named, or take them out of its NS " \
	  "records.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SERVER_FAULT, "dnssec.server.fault", WARN, NONE, \
	  "A name server fails on a question that others of its questions do not", \
	  "{record}, {servers}: {detail}.", \
	  "See what stands between: a firewall that drops large or fragmented UDP, or " \
	  "record types that it does not know; or a fault of the server.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SERVER_TCP, "dnssec.server.tcp", WARN, NONE, \
	  "A name server does not answer over TCP", \
	  "{servers}: {detail} (TCP, {record}). An answer that is too large for UDP then " \
	  "fails.", \
	  "Open port 53 over TCP to the servers named (RFC 7766: it is required).", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SERVER_EDNS, "dnssec.server.edns", WARN, NONE, \
	  "A name server, or a firewall before it, does not do EDNS", \
	  "{servers}: {detail}. Without EDNS there are no signatures.", \
	  "Update the servers named, or let the firewall pass EDNS (RFC 6891).", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SERVER_STRIPPED, "dnssec.server.no-do", WARN, NONE, \
	  "A name server ignores the wish for signatures", \
	  "The answers of {servers} come without EDNS, hence without signatures.", \
	  "Switch DNSSEC on at the servers named, or replace them.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_DIFFER, "dnssec.servers.differ", WARN, NONE, \
	  "The name servers do not give the same answer", \
	  "{record}: {detail}", \
	  "Bring the servers of {zone}. to the same version of the zone: see zone " \
	  "transfers, and that each serves the signed one.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_SERIAL, "dnssec.servers.serial", INFO, NONE, \
	  "The name servers have different versions of the zone", \
	  "{detail}", \
	  "See whether transfers of {zone}. run.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_NS_DIFFER, "dnssec.ns.differ", WARN, NONE, \
	  "The parent and the zone name different servers", \
	  "{detail}", \
	  "Make the NS records at {parent}. and in {zone}. the same.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_NS_PRIVATE, "dnssec.ns.private", WARN, NONE, \
	  "A name server has a private address", \
	  "{servers}: nobody outside reaches it.", \
	  "Publish the server's public address, or take it out of the NS records of {zone}.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_NO_SERVERS, "dnssec.zone.no-servers", FAIL, NONE, \
	  "No address of a name server is known", \
	  "{detail}.", \
	  "Publish addresses for the name servers of {zone}. (and glue at the parent " \
	  "where they lie inside the zone).", \
	  NULL, NULL, NULL) \
	/* names */ \
	X(DNSSEC_ALIAS, "dnssec.alias", INFO, NONE, \
	  "{record} is an alias of {detail}", \
	  NULL, \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_ALIAS_LOOP, "dnssec.alias.loop", FAIL, NONE, \
	  "The alias leads to itself", \
	  "{record} leads to {detail}, which was passed before.", \
	  "Make one of the names in the loop hold records instead of a CNAME.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_ALIAS_LONG, "dnssec.alias.long", FAIL, NONE, \
	  "The alias chain is too long", \
	  "After {detail} hops it was given up.", \
	  "Shorten the chain of CNAME records.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_DNAME_CNAME, "dnssec.alias.dname", WARN, NONE, \
	  "The CNAME does not follow from the DNAME", \
	  "The answer of {servers} to {record} leads to {detail} by DNAME, and elsewhere " \
	  "by CNAME.", \
	  "Update the servers named.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_REFERRAL, "dnssec.referral.wrong", WARN, NONE, \
	  "A referral leads up or aside", \
	  "The answer of {servers} to {record} is a referral to {detail}, as from a " \
	  "server that does not have the zone.", \
	  "Configure the zone {zone}. on the servers named, or take them out of its NS " \
	  "records.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_DISAGREE, "dnssec.validator.disagrees", WARN, NONE, \
	  "The validator comes to another result", \
	  "{record}: this check says {detail}. What counts for delivery is what the " \
	  "validator says.", \
	  "See the other findings for the cause: an algorithm that one of the two does " \
	  "not know, a date at its edge, or servers that answer differently from " \
	  "question to question.", \
	  NULL, NULL, NULL) \
	X(DNSSEC_UNTOLD, "dnssec.untold", INFO, NONE, \
	  "Not everything was looked at or told", \
	  "{detail}.", \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_ELSEWHERE, "dnssec.alias.elsewhere", INFO, NONE, \
	  "An alias leads to a zone that is not looked at here", \
	  "{record} leads to {detail}; of many domains only their own zones and those of " \
	  "their MX hosts are looked at. \"daneway dnssec {detail}\" looks at it.", \
	  NULL, \
	  NULL, NULL, NULL) \
	X(DNSSEC_LIMIT, "dnssec.limit", FAIL, NONE, \
	  "The walk was stopped", \
	  "{detail}. What was not looked at is unknown.", \
	  NULL, \
	  NULL, NULL, NULL)
/* clang-format on */
