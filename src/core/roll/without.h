/*
 * For tests/model only: what the timetable's waits and checks are worth is shown by taking them out
 * one by one and seeing the model test fail. In the product ROLL_WITHOUT() is false, always.
 */
#pragma once

#include "base/base.h"

#define ROLL_WAITS(X)                                                                              \
	X(PROPAGATION, "the propagation bound")                                                    \
	X(TTL, "the TTL")                                                                          \
	X(SECOND_TTL, "the second TTL")                                                            \
	X(ALIAS, "the TTL of the alias")                                                           \
	X(MARGIN, "the margin for stale answers")                                                  \
	X(SECOND, "one second of the wait")                                                        \
	X(LONGEST_TTL, "each set's own TTL: that of the newest instead")                           \
	X(EVERY_SERVER, "every server: one that has it speaks for all")                            \
	X(UNANSWERED, "a publish nobody has seen yet")                                             \
	X(EQUAL_SETS, "the doubt which of two equal sets is seen")                                 \
	X(DOUBT, "the doubt whether an old set lags or is new")                                    \
	X(OUTSIDE, "a set that others published")                                                  \
	X(HISTORY, "what was published before the first look")                                     \
	X(SIGNATURE, "the signatures of a server out of reach")                                    \
	X(DELEGATION, "the TTL of a name server that was removed")                                 \
	X(COMBINATIONS, "each combination on its own: any record will do")                         \
	X(CHAINS, "each key type: the first chain speaks for all")                                 \
	X(FIT, "the check of a set against the key served")                                        \
	X(VERIFIED, "the look at every address")                                                   \
	X(CROWDED, "the sets that were too many to keep")                                          \
	X(MONOTONIC, "the monotonic clock")                                                        \
	X(LOW_CLOCK, "the clock that was behind before a boot")                                    \
	X(NEGATIVE, "the negative TTL at first publication")

enum roll_without {
	ROLL_WITHOUT_NOTHING,
#define X(name, words) ROLL_WITHOUT_##name,
	ROLL_WAITS(X)
#undef X
	ROLL_WITHOUT_END,
};

#ifdef ROLL_MODEL
extern int roll_without;
#define ROLL_WITHOUT(name) (roll_without == ROLL_WITHOUT_##name)
#else
#define ROLL_WITHOUT(name) false
#endif
