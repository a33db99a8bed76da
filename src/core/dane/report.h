/*
 * A decision as others see it: the JSON of the command-line contract, the words of --explain, and
 * the evidence that can be stored and decided again offline.
 */
#pragma once

#include "base/buf.h"
#include "base/js.h"
#include "core/dane/decision.h"

/* The object that `daneway policy` prints. The machine must have a result. */
struct js *dane_report_policy(const struct dane_decider *d);

/* The same in words, several lines. -EMSGSIZE if it does not fit. */
int dane_report_explain(const struct dane_decider *d, struct buf *out) _mustcheck_;

/* {"format": "daneway-evidence 1", "request": ..., "questions": [...], "decision": ...} */
struct js *dane_evidence_save(const struct dane_decider *d);

/* One answer, as it stands in the evidence. */
struct js *dane_answer_save(const struct dane_answer *answer);
/* Lives in the arena, but for `why`, which is the JSON's. -EINVAL if it is damaged. */
int dane_answer_restore(struct arena *a, const struct js *saved, struct dane_answer *ret)
	_mustcheck_;

/*
 * Decides again from saved evidence. A question that the file does not answer counts as failed.
 * NULL and `e` if it is no evidence. The caller frees the machine.
 */
struct dane_decider *dane_evidence_replay(const struct js *saved, struct err *e) _mustcheck_;
