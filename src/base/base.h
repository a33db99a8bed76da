/*
 * What every file may use: attributes, array helpers, memory that cannot fail.
 *
 * Out of memory ends the process (abort). Sizes that a peer can drive are bounded before they are
 * allocated, and no mail is acknowledged before it is stored, so nothing is lost by it; in return
 * no caller has an out-of-memory path.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define _mustcheck_    __attribute__((warn_unused_result))
#define _printf_(f, a) __attribute__((format(printf, f, a)))
#define _cleanup_(f)   __attribute__((cleanup(f)))

#define ARRAY_SIZE(a)  (sizeof(a) / sizeof((a)[0]))

/* Hands a pointer over: the variable is NULL afterwards. */
#define TAKE(p)                                                                                    \
	({                                                                                         \
		__typeof__(p) take_ = (p);                                                         \
		(p) = NULL;                                                                        \
		take_;                                                                             \
	})

/* An impossible thing. Stays in release builds; nothing that a peer sends may reach it. */
#define require(x) ((x) ? (void)0 : base_require_failed(#x, __FILE__, __LINE__))
_Noreturn void base_require_failed(const char *what, const char *file, int line);

/* Never return NULL; xcalloc's product is checked. Zero sizes give a unique pointer. */
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);

/* For _cleanup_(freep). */
static inline void freep(void *p)
{
	free(*(void **)p);
}
