/*
 * The crash tests of edge/store: one program that writes (work.c), one judge of what is found
 * afterwards (judge.c), two ways to cut the writer down: kill -9 (kill.c) and power (power.c); and
 * a disk that fills (full.c).
 *
 * The writer notes in a file, in order: "s ID SIZE PARCELS" before it stores a message, "S ID" when
 * the store said it is stored, "d ID HOP" before it records a parcel as delivered, "D ID HOP" when
 * that was recorded. A body is made from its id.
 */
#pragma once

#include "base/err.h"
#include "edge/store/store.h"

/* Stores and delivers until it has stored `messages` (0: for ever). Exit status. */
int work(const char *directory, const char *notes, unsigned seed, unsigned messages);

/* The octet of a body. */
static inline uint8_t work_octet(const struct store_id *id, uint64_t at)
{
	return (uint8_t)(id->text[at % STORE_ID_LEN] + at / 509);
}

/*
 * Opens the queue and holds it against the notes (their first `n_notes` octets): what was stored is
 * there, whole, once; what was delivered is gone; nothing is half. -1 with the reason.
 */
struct tally {
	uint64_t stored, delivered, found;
	uint64_t again; /* begun once more: the record of the first time was cut off */
};
int judge(const char *directory, const char *notes, size_t n_notes, struct tally *ret,
	  struct err *e);

int kill_rounds(const char *program, unsigned rounds, unsigned seed);
int power_rounds(const char *program, const char *disk, unsigned rounds, unsigned seed);
int full_rounds(unsigned rounds, unsigned seed);
