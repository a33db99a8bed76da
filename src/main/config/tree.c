#include "main/config/tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "base/utf8.h"

/* --- problems --------------------------------------------------------------------------------- */

void config_problems_done(struct config_problems *p)
{
	arena_done(&p->arena);
	*p = (struct config_problems){0};
}

static bool is_before(const struct config_problem *a, unsigned line, unsigned column)
{
	return a->line < line || (a->line == line && a->column <= column);
}

void config_problem_add(struct config_problems *p, unsigned line, unsigned column,
			const char *format, ...)
{
	char text[512];
	va_list args;
	size_t at;

	p->total++;
	/* The first ones of the file are kept: a full list loses its last. */
	if (p->n == CONFIG_PROBLEMS_MAX && is_before(&p->items[p->n - 1], line, column))
		return;
	if (p->n == CONFIG_PROBLEMS_MAX)
		p->n--;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (at = p->n; at > 0 && !is_before(&p->items[at - 1], line, column); at--)
		p->items[at] = p->items[at - 1];
	p->items[at] = (struct config_problem){line, column, arena_strdup(&p->arena, text)};
	p->n++;
}

char *config_problems_text(const struct config_problems *p, const char *file)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	require(out != NULL);
	for (size_t i = 0; i < p->n; i++) {
		const struct config_problem *one = &p->items[i];

		if (one->line > 0)
			fprintf(out, "%s:%u:%u: %s\n", file, one->line, one->column, one->text);
		else
			fprintf(out, "%s: %s\n", file, one->text);
	}
	if (p->total > p->n)
		fprintf(out, "%s: and %zu more\n", file, p->total - p->n);
	require(fclose(out) == 0);
	for (char *c = text; *c != '\0'; c++)
		if (((unsigned char)*c < ' ' && *c != '\n') || *c == 127)
			*c = '?';
	return text;
}

/* --- characters ------------------------------------------------------------------------------- */

/* What is wrong with a character; NULL: nothing. */
static const char *character_fault(uint32_t c)
{
	if (c == '\t' || c == '\n')
		return NULL;
	if (c < ' ' || (c >= 0x7f && c <= 0x9f && c != 0x85))
		return "a control character";
	if (c == 0x85 || c == 0x2028 || c == 0x2029)
		return "a line end that only YAML knows; use plain ones";
	if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069))
		return "a mark that changes the order of what is shown";
	if (c == 0xfeff)
		return "a byte order mark inside the text";
	return NULL;
}

/* False, and a problem, at the first character that may not be. */
static bool check_characters(struct span text, struct config_problems *p)
{
	unsigned line = 1, column = 1;

	while (text.n > 0) {
		uint32_t c;
		size_t n = utf8_decode(text, &c);
		const char *fault = n == 0 ? "not UTF-8" : NULL;

		/* A CR only before LF: libyaml takes a bare one for a line end. */
		if (n == 1 && c == '\r' && text.n > 1 && text.p[1] == '\n') {
			text = span_skip(text, 1);
			continue;
		}
		if (fault == NULL)
			fault = character_fault(c);
		if (fault != NULL) {
			config_problem_add(p, line, column, "%s", fault);
			return false;
		}
		column = c == '\n' ? 1 : column + 1;
		line += c == '\n';
		text = span_skip(text, n);
	}
	return true;
}

/* --- events to nodes -------------------------------------------------------------------------- */

struct builder {
	yaml_parser_t parser;
	struct arena *arena;
	struct config_problems *problems;
	struct span text;
	size_t n, depth;
	bool failed;
};

static unsigned line_of(yaml_mark_t mark)
{
	return (unsigned)mark.line + 1;
}

static unsigned column_of(yaml_mark_t mark)
{
	return (unsigned)mark.column + 1;
}

/* The `line`th line, from 0, without its end. */
static struct span find_line(struct span text, size_t line)
{
	const uint8_t *end;

	while (line-- > 0 && (end = memchr(text.p, '\n', text.n)) != NULL)
		text = span_skip(text, (size_t)(end - text.p) + 1);
	end = text.n > 0 ? memchr(text.p, '\n', text.n) : NULL;
	return span_of(text.p, end != NULL ? (size_t)(end - text.p) : text.n);
}

/* What a postmaster does wrong most, said besides the parser's words. */
static const char *hint(const struct builder *b)
{
	struct span line = find_line(b->text, b->parser.problem_mark.line);
	bool brace = false;

	for (size_t i = 0; i < line.n && (line.p[i] == ' ' || line.p[i] == '\t'); i++)
		if (line.p[i] == '\t')
			return "; there is a tab in the indentation: YAML wants blanks";
	for (size_t i = 0; i < line.n; i++) {
		brace = brace || line.p[i] == '{' || line.p[i] == '[';
		if (brace && i + 1 < line.n && (line.p[i] == ':' || line.p[i] == '[') &&
		    (line.p[i + 1] == ':' || line.p[i + 1] == '['))
			return "; quote an address that has brackets: \"[2001:db8::1]:25\"";
	}
	return "";
}

static void fail_syntax(struct builder *b)
{
	const yaml_parser_t *y = &b->parser;

	b->failed = true;
	config_problem_add(b->problems, line_of(y->problem_mark), column_of(y->problem_mark),
			   "not YAML: %s%s", y->problem != NULL ? y->problem : "syntax error",
			   hint(b));
}

static void fail_at(struct builder *b, const yaml_event_t *e, const char *text)
{
	b->failed = true;
	config_problem_add(b->problems, line_of(e->start_mark), column_of(e->start_mark), "%s",
			   text);
}

/* False once reading is over; the event is the caller's to delete otherwise. */
static bool next_event(struct builder *b, yaml_event_t *e)
{
	if (b->failed)
		return false;
	if (yaml_parser_parse(&b->parser, e))
		return true;
	fail_syntax(b);
	return false;
}

static struct config_node *node_new(struct builder *b, const yaml_event_t *e,
				    enum config_node_kind kind)
{
	struct config_node *n;

	if (++b->n > CONFIG_NODES_MAX) {
		fail_at(b, e, "too many values");
		return NULL;
	}
	n = arena_alloc(b->arena, sizeof(*n));
	*n = (struct config_node){.kind = kind,
				  .line = line_of(e->start_mark),
				  .column = column_of(e->start_mark),
				  .text = ""};
	return n;
}

/* Anchors and tags: noted, and the value read on. */
static void refuse_marks(struct builder *b, struct config_node *n, const yaml_char_t *anchor,
			 const yaml_char_t *tag)
{
	const char *what = anchor != NULL ? "an anchor (&name)" : "a tag (!name)";

	if (anchor == NULL && tag == NULL)
		return;
	config_problem_add(b->problems, n->line, n->column,
			   "%s: daneway.yaml has none; write the value out", what);
	n->bad = true;
}

static struct config_node *build(struct builder *b, const yaml_event_t *e);

static void add_member(struct config_node *parent, struct config_node ***end,
		       struct config_node *one)
{
	**end = one;
	*end = &one->next;
	parent->n++;
}

static struct config_node *build_list(struct builder *b, const yaml_event_t *start)
{
	struct config_node *n = node_new(b, start, CONFIG_NODE_LIST), **end;
	yaml_event_t e;
	bool more = true;

	if (n == NULL)
		return NULL;
	end = &n->first;
	refuse_marks(b, n, start->data.sequence_start.anchor, start->data.sequence_start.tag);
	while (more && next_event(b, &e)) {
		struct config_node *one = NULL;

		more = e.type != YAML_SEQUENCE_END_EVENT;
		if (more)
			one = build(b, &e);
		yaml_event_delete(&e);
		if (one != NULL)
			add_member(n, &end, one);
	}
	return n;
}

static int compare_keys(const void *left, const void *right)
{
	const struct config_node *a = *(struct config_node *const *)left;
	const struct config_node *b = *(struct config_node *const *)right;
	int c = strcmp(a->key->text, b->key->text);

	if (c != 0)
		return c;
	if (a->key->line != b->key->line)
		return a->key->line < b->key->line ? -1 : 1;
	return a->key->column < b->key->column ? -1 : 1;
}

/* Sorted, because a hostile file may have as many keys as there is room for. */
static void refuse_duplicates(struct builder *b, struct config_node *map)
{
	struct config_node **all = xcalloc(map->n, sizeof(*all));
	size_t n = 0;

	for (struct config_node *m = map->first; m != NULL; m = m->next)
		if (!m->bad)
			all[n++] = m;
	if (n > 1)
		qsort(all, n, sizeof(struct config_node *), compare_keys);
	for (size_t i = 1, first = 0; i < n; i++) {
		if (strcmp(all[i]->key->text, all[first]->key->text) != 0) {
			first = i;
			continue;
		}
		all[i]->bad = true;
		config_problem_add(b->problems, all[i]->key->line, all[i]->key->column,
				   "`%.80s` stands here twice (first in line %u)",
				   all[i]->key->text, all[first]->key->line);
	}
	free(all);
}

static struct config_node *build_map(struct builder *b, const yaml_event_t *start)
{
	struct config_node *n = node_new(b, start, CONFIG_NODE_MAP), **end;
	yaml_event_t e;

	if (n == NULL)
		return NULL;
	end = &n->first;
	refuse_marks(b, n, start->data.mapping_start.anchor, start->data.mapping_start.tag);
	while (next_event(b, &e)) {
		struct config_node *key, *value;

		if (e.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&e);
			break;
		}
		key = build(b, &e);
		yaml_event_delete(&e);
		if (!next_event(b, &e))
			break;
		value = build(b, &e);
		yaml_event_delete(&e);
		if (key == NULL || value == NULL)
			break;
		value->key = key;
		if (key->kind != CONFIG_NODE_TEXT)
			config_problem_add(b->problems, key->line, key->column,
					   "a key is a word, not a list or mapping");
		value->bad = value->bad || key->bad || key->kind != CONFIG_NODE_TEXT;
		add_member(n, &end, value);
	}
	if (!b->failed)
		refuse_duplicates(b, n);
	return n;
}

static struct config_node *build_text(struct builder *b, const yaml_event_t *e)
{
	struct config_node *n = node_new(b, e, CONFIG_NODE_TEXT);
	struct span text = span_of(e->data.scalar.value, e->data.scalar.length);

	if (n == NULL)
		return NULL;
	n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	n->text = arena_text(b->arena, text);
	refuse_marks(b, n, e->data.scalar.anchor, e->data.scalar.tag);
	for (size_t i = 0; i < text.n && !n->bad; i++) {
		if (text.p[i] >= ' ' && text.p[i] != 127)
			continue;
		config_problem_add(b->problems, n->line, n->column,
				   "a control character or a line end in a value");
		n->bad = true;
	}
	return n;
}

static struct config_node *build(struct builder *b, const yaml_event_t *e)
{
	struct config_node *n = NULL;

	if (b->depth == CONFIG_DEPTH_MAX) {
		fail_at(b, e, "nested too deep");
		return NULL;
	}
	b->depth++;
	if (e->type == YAML_SCALAR_EVENT) {
		n = build_text(b, e);
	} else if (e->type == YAML_SEQUENCE_START_EVENT) {
		n = build_list(b, e);
	} else if (e->type == YAML_MAPPING_START_EVENT) {
		n = build_map(b, e);
	} else if (e->type == YAML_ALIAS_EVENT) {
		n = node_new(b, e, CONFIG_NODE_TEXT);
		if (n != NULL) {
			config_problem_add(b->problems, n->line, n->column,
					   "an alias (*name): daneway.yaml has none; write the "
					   "value out");
			n->bad = true;
		}
	} else {
		fail_at(b, e, "not YAML: a value is wanted here");
	}
	b->depth--;
	return n;
}

static struct config_node *build_documents(struct builder *b)
{
	struct config_node *root = NULL;
	unsigned documents = 0;
	yaml_event_t e;
	bool more = true;

	while (more && next_event(b, &e)) {
		if (e.type == YAML_DOCUMENT_START_EVENT) {
			if (++documents > 1)
				fail_at(b, &e, "a second document (---): one file is one document");
			if (e.data.document_start.tag_directives.start !=
			    e.data.document_start.tag_directives.end)
				fail_at(b, &e, "%TAG: daneway.yaml has no tags");
		} else if (e.type != YAML_STREAM_START_EVENT && e.type != YAML_STREAM_END_EVENT &&
			   e.type != YAML_DOCUMENT_END_EVENT) {
			root = build(b, &e);
		}
		more = e.type != YAML_STREAM_END_EVENT;
		yaml_event_delete(&e);
	}
	return b->failed ? NULL : root;
}

struct config_node *config_tree_read(struct arena *a, struct span text, struct config_problems *p)
{
	struct builder b = {.arena = a, .problems = p};
	struct config_node *root;

	if (text.n > CONFIG_TEXT_MAX) {
		config_problem_add(p, 0, 0, "larger than %d bytes", CONFIG_TEXT_MAX);
		return NULL;
	}
	if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
		text = span_skip(text, 3);
	if (!check_characters(text, p))
		return NULL;
	b.text = text;
	require(yaml_parser_initialize(&b.parser));
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.parser, text.p != NULL ? text.p : (const uint8_t *)"",
				     text.n);
	root = build_documents(&b);
	yaml_parser_delete(&b.parser);
	return root;
}

bool config_node_is_null(const struct config_node *n)
{
	return n->kind == CONFIG_NODE_TEXT && !n->quoted &&
	       (n->text[0] == '\0' || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0);
}

struct config_node *config_node_member(const struct config_node *map, const char *key)
{
	if (map->kind != CONFIG_NODE_MAP)
		return NULL;
	for (struct config_node *m = map->first; m != NULL; m = m->next)
		if (m->key->kind == CONFIG_NODE_TEXT && strcmp(m->key->text, key) == 0)
			return m;
	return NULL;
}
