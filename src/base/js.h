/*
 * JSON values (jansson behind it; nothing else in the project sees that library).
 *
 * Ownership: js_set and js_push take the value over. js_get and js_at lend one, valid as long as
 * its owner. Readers accept NULL and a value of another type and give their default, so that a
 * walk through a document needs no check at each step.
 *
 * Strings are UTF-8. Text from a peer may be anything: js_set_text and js_push_text write a byte
 * that is not UTF-8 as U+FFFD, so output is always valid.
 */
#pragma once

#include <stdio.h>

#include "base/err.h"
#include "base/span.h"

struct js;

struct js *js_object(void);
struct js *js_array(void);
void js_free(struct js *v); /* NULL is fine */
void js_freep(struct js **v);

void js_set(struct js *object, const char *key, struct js *value);
void js_set_text(struct js *object, const char *key, const char *text); /* NULL: null */
void js_set_int(struct js *object, const char *key, int64_t value);
void js_set_bool(struct js *object, const char *key, bool value);
void js_set_null(struct js *object, const char *key);
void js_push(struct js *array, struct js *value);
void js_push_text(struct js *array, const char *text); /* NULL: null */
struct js *js_text_value(const char *text);            /* NULL: null */

struct js *js_get(const struct js *object, const char *key); /* NULL: absent */
struct js *js_at(const struct js *array, size_t i);
size_t js_count(const struct js *array); /* 0 for what is no array */
size_t js_size(const struct js *object); /* members; 0 for what is no object */
const char *js_text(const struct js *v); /* NULL for what is no string */
int64_t js_int(const struct js *v, int64_t otherwise);
bool js_bool(const struct js *v, bool otherwise);
bool js_is_null(const struct js *v);
bool js_is_object(const struct js *v);
/* All of it anew, the caller's. */
struct js *js_copy(const struct js *v);

/* Strict: duplicate keys, trailing bytes and invalid UTF-8 are refused. NULL and `e` on error. */
struct js *js_parse(struct span text, struct err *e) _mustcheck_;
/*
 * One value and a newline, in ASCII but for DEL, so that nothing in it steers a terminal; `indent`
 * spaces a level, 0 for one line. -EIO if it cannot be written.
 */
int js_write(const struct js *v, FILE *out, unsigned indent) _mustcheck_;
/* One line without a newline; freed by the caller. */
char *js_line(const struct js *v);
