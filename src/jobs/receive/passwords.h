/*
 * The users of a relay listener and the hashes of their passwords, from a text file. Pure: the
 * caller reads the file, edge/password does the hashing.
 *
 *	# a comment, or nothing
 *	anna:$y$j9T$...		user and hash as crypt(3) has it (mkpasswd makes one); what stands
 *				behind a further colon is passed over, as in /etc/shadow
 *
 * Only hashes that are slow enough today: yescrypt, gost-yescrypt, scrypt, bcrypt, SHA-512,
 * SHA-256. Anything else is refused, a password in plain text above all. Immutable.
 */
#pragma once

#include "base/err.h"
#include "base/span.h"

struct receive_passwords;

/* -EINVAL names the line, never what stands in it. */
int receive_passwords_parse(struct span text, struct receive_passwords **ret, struct err *e)
	_mustcheck_;
struct receive_passwords *receive_passwords_free(struct receive_passwords *p);
size_t receive_passwords_count(const struct receive_passwords *p);

/*
 * The hash to compare with, never NULL. `*ret_known` false: nobody of that name; the hash is
 * another user's, so that the answer takes as long, and means no whatever it is.
 */
const char *receive_passwords_hash(const struct receive_passwords *p, struct span user,
				   bool *ret_known);
