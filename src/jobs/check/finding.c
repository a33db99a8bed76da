#include "jobs/check/finding.h"

#include <stdarg.h>
#include <string.h>

static const struct check_text texts[CHECK_KINDS] = {
#define X(name, id_, status_, effect_, title_, detail_, fix_, postfix_, exchange_, tlsrpt_)        \
	[CHECK_##name] = {.id = id_,                                                               \
			  .status = CHECK_##status_,                                               \
			  .effect = CHECK_EFFECT_##effect_,                                        \
			  .title = title_,                                                         \
			  .detail = detail_,                                                       \
			  .fix = fix_,                                                             \
			  .postfix = postfix_,                                                     \
			  .exchange = exchange_,                                                   \
			  .tlsrpt = tlsrpt_},
	CHECK_MAIL_TEXTS(X) CHECK_DNSSEC_TEXTS(X)
#undef X
};

const struct check_text *check_text_of(enum check_kind kind)
{
	require(kind < CHECK_KINDS);
	return &texts[kind];
}

int check_kind_from_id(const char *id)
{
	for (int k = 0; k < CHECK_KINDS; k++)
		if (strcmp(texts[k].id, id) == 0)
			return k;
	return -1;
}

const char *check_status_to_string(enum check_status s)
{
	switch (s) {
	case CHECK_PASS:
		return "pass";
	case CHECK_INFO:
		return "info";
	case CHECK_SKIP:
		return "skip";
	case CHECK_WARN:
		return "warn";
	case CHECK_FAIL:
		return "fail";
	}
	return NULL;
}

const char *check_verdict_to_string(enum check_verdict v)
{
	switch (v) {
	case CHECK_VERDICT_DANE:
		return "dane";
	case CHECK_VERDICT_NONE:
		return "none";
	case CHECK_VERDICT_PARTIAL:
		return "partial";
	case CHECK_VERDICT_UNKNOWN:
		return "unknown";
	case CHECK_VERDICT_BROKEN:
		return "broken";
	}
	return NULL;
}

int check_verdict_to_exit(enum check_verdict v)
{
	switch (v) {
	case CHECK_VERDICT_DANE:
		return 0;
	case CHECK_VERDICT_NONE:
	case CHECK_VERDICT_PARTIAL:
		return 1;
	case CHECK_VERDICT_UNKNOWN:
		return 3;
	case CHECK_VERDICT_BROKEN:
		break;
	}
	return 2;
}

/* --- the tree --------------------------------------------------------------------------------- */

void check_tree_init(struct check_tree *t, const char *subject)
{
	*t = (struct check_tree){0};
	t->root.subject = arena_strdup(&t->arena, subject);
	t->root.kind = CHECK_KINDS;
}

void check_tree_done(struct check_tree *t)
{
	arena_done(&t->arena);
}

enum {
	ARGUMENTS_MAX = 24,
};

struct argument {
	const char *name, *value;
};

static const char *value_of(const struct argument *list, size_t n, struct span name)
{
	for (size_t i = 0; i < n; i++)
		if (span_is(name, list[i].name))
			return list[i].value != NULL ? list[i].value : "-";
	return "(missing)"; /* a text asks for what its finding does not give: do not die of it */
}

/* Puts values in the place of {name}. */
static const char *fill(struct arena *a, const char *text, const struct argument *list, size_t n)
{
	const char *result = "";

	if (text == NULL)
		return NULL;
	while (*text != '\0') {
		const char *open = strchr(text, '{'),
			   *close = open != NULL ? strchr(open, '}') : NULL;

		if (close == NULL)
			return arena_printf(a, "%s%s", result, text);
		result = arena_printf(
			a, "%s%.*s%s", result, (int)(open - text), text,
			value_of(list, n, span_of(open + 1, (size_t)(close - open - 1))));
		text = close + 1;
	}
	return result;
}

/* A detail that begins with a reason given elsewhere begins with a capital all the same. */
static const char *sentence(struct arena *a, const char *text, const char *filled)
{
	static const char *const reasons[] = {"{reason}", "{why}", "{detail}", "{cause}"};
	char *copy;

	for (size_t i = 0; text != NULL && i < ARRAY_SIZE(reasons); i++) {
		if (strncmp(text, reasons[i], strlen(reasons[i])) != 0)
			continue;
		copy = arena_strdup(a, filled);
		if (*copy >= 'a' && *copy <= 'z')
			*copy = (char)(*copy - 'a' + 'A');
		return copy;
	}
	return filled;
}

static struct check_finding *hang(struct check_tree *t, struct check_finding *parent,
				  struct check_finding *f)
{
	if (parent == NULL)
		parent = &t->root;
	if (parent->last != NULL)
		parent->last->next = f;
	else
		parent->children = f;
	parent->last = f;
	f->parent = parent;
	return f;
}

struct check_finding *check_add(struct check_tree *t, struct check_finding *parent,
				enum check_kind kind, const char *subject, ...)
{
	const struct check_text *text = check_text_of(kind);
	struct check_finding *f = arena_alloc(&t->arena, sizeof(*f));
	struct argument list[ARGUMENTS_MAX];
	size_t n = 0;
	va_list args;

	va_start(args, subject);
	for (const char *name; (name = va_arg(args, const char *)) != NULL; n++) {
		require(n < ARGUMENTS_MAX);
		list[n] = (struct argument){name, va_arg(args, const char *)};
	}
	va_end(args);
	f->kind = kind;
	f->subject = arena_strdup(&t->arena, subject);
	f->title = fill(&t->arena, text->title, list, n);
	f->detail = sentence(&t->arena, text->detail, fill(&t->arena, text->detail, list, n));
	f->fix = fill(&t->arena, text->fix, list, n);
	f->postfix = fill(&t->arena, text->postfix, list, n);
	return hang(t, parent, f);
}

struct check_finding *check_tree_copy(struct check_tree *t, struct check_finding *parent,
				      const struct check_finding *f)
{
	struct check_finding *copy = arena_alloc(&t->arena, sizeof(*copy));

	copy->kind = f->kind;
	copy->subject = arena_keep(&t->arena, f->subject);
	copy->title = arena_keep(&t->arena, f->title);
	copy->detail = arena_keep(&t->arena, f->detail);
	copy->fix = arena_keep(&t->arena, f->fix);
	return hang(t, parent, copy);
}

/* The next that is not below `f`; NULL: there is none. */
static const struct check_finding *beside(const struct check_tree *t, const struct check_finding *f,
					  unsigned *depth)
{
	while (f->next == NULL) {
		f = f->parent;
		if (f == &t->root)
			return NULL;
		(*depth)--;
	}
	return f->next;
}

static bool is_in_order(const struct check_tree *t, const struct check_finding *f)
{
	const struct check_finding *end;
	unsigned depth = 0;

	end = beside(t, f, &depth);
	for (; f != end; f = check_tree_next(t, f, &depth))
		if (check_text_of(f->kind)->status >= CHECK_WARN)
			return false;
	return true;
}

void check_tree_graft(struct check_tree *t, struct check_finding *parent,
		      const struct check_tree *from, bool all)
{
	struct check_finding *at = parent; /* where the next of its depth goes */
	const struct check_finding *f = from->root.children;
	unsigned depth = 0, before = 0;

	while (f != NULL) {
		if (!all && is_in_order(from, f)) {
			f = beside(from, f, &depth);
			continue;
		}
		if (depth > before)
			at = at->last; /* a child of the one before */
		for (; before > depth; before--)
			at = at->parent;
		before = depth;
		check_tree_copy(t, at, f);
		f = check_tree_next(from, f, &depth);
	}
}

const struct check_finding *check_tree_next(const struct check_tree *t,
					    const struct check_finding *f, unsigned *depth)
{
	if (f == NULL) {
		*depth = 0;
		return t->root.children;
	}
	if (f->children != NULL) {
		(*depth)++;
		return f->children;
	}
	while (f->next == NULL) {
		f = f->parent;
		if (f == &t->root)
			return NULL;
		(*depth)--;
	}
	return f->next;
}

struct effects {
	bool seen[CHECK_EFFECT_BROKEN + 1];
};

static struct effects effects_of(const struct check_tree *t)
{
	struct effects e = {0};
	const struct check_finding *f = NULL;
	unsigned depth;

	while ((f = check_tree_next(t, f, &depth)) != NULL)
		e.seen[texts[f->kind].effect] = true;
	return e;
}

enum check_verdict check_tree_verdict(const struct check_tree *t)
{
	struct effects e = effects_of(t);

	if (e.seen[CHECK_EFFECT_BROKEN])
		return CHECK_VERDICT_BROKEN;
	if (e.seen[CHECK_EFFECT_UNKNOWN])
		return CHECK_VERDICT_UNKNOWN;
	if (e.seen[CHECK_EFFECT_ENCRYPT])
		return CHECK_VERDICT_PARTIAL;
	if (e.seen[CHECK_EFFECT_DANE])
		return e.seen[CHECK_EFFECT_NO_DANE] ? CHECK_VERDICT_PARTIAL : CHECK_VERDICT_DANE;
	return CHECK_VERDICT_NONE;
}

/* Some host has only unusable records: RFC 7672 section 2.2, level `encrypt`. */
static const char *partial_in_words(const struct effects *e)
{
	bool dane = e->seen[CHECK_EFFECT_DANE], clear = e->seen[CHECK_EFFECT_NO_DANE];

	if (!e->seen[CHECK_EFFECT_ENCRYPT])
		return "DANE protects a part only: an attacker steers the mail to the other part.";
	if (dane)
		return "DANE protects a part only: an attacker steers the mail to the other part, "
		       "where no certificate is checked.";
	if (clear)
		return "No certificate is checked here, and TLS is insisted on at a part only: who "
		       "sits in the path can read the mail.";
	return "Senders that do DANE insist on TLS here and check no certificate: an attacker who "
	       "answers in the server's place can read the mail.";
}

const char *check_tree_in_words(const struct check_tree *t, enum check_verdict v)
{
	struct effects e = effects_of(t);

	switch (v) {
	case CHECK_VERDICT_DANE:
		return "Senders that do DANE deliver here over authenticated TLS, and nowhere "
		       "else.";
	case CHECK_VERDICT_NONE:
		return "There is no DANE here: who sits in the path can read the mail.";
	case CHECK_VERDICT_PARTIAL:
		return partial_in_words(&e);
	case CHECK_VERDICT_UNKNOWN:
		return "It could not be told; that is not to say that anything is wrong or right.";
	case CHECK_VERDICT_BROKEN:
		return "Senders that do DANE will delay this mail and then return it.";
	}
	return NULL;
}
