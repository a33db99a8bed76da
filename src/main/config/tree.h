/*
 * A YAML text as a tree: nodes with their positions, before anything is known of options.
 *
 * The YAML is the plain part of YAML 1.1: mappings, lists, scalars, comments. Anchors, aliases,
 * tags and a second document are refused, so the tree is never larger than the text. What else is
 * bounded: the text (16 MiB), nodes (a million), depth (16). The text is UTF-8 without control
 * characters, without the line ends that only YAML knows (a line here is a line in an editor) and
 * without the marks that reorder what an editor shows.
 */
#pragma once

#include "base/arena.h"
#include "base/span.h"

enum {
	CONFIG_TEXT_MAX = 16 * 1024 * 1024, /* octets of a file */
	CONFIG_NODES_MAX = 1000000,
	CONFIG_DEPTH_MAX = 16,
	CONFIG_PROBLEMS_MAX = 20,
};

/* What is wrong with a file: "FILE:LINE:COLUMN: text", in the order of the file. */
struct config_problems {
	struct arena arena;
	struct config_problem {
		unsigned line, column; /* from 1, in characters; 0: the whole file */
		const char *text;
	} items[CONFIG_PROBLEMS_MAX];
	size_t n;
	size_t total; /* those that found no room included */
};

/* Zero-initialised memory has no problems. */
void config_problems_done(struct config_problems *p);
void config_problem_add(struct config_problems *p, unsigned line, unsigned column,
			const char *format, ...) _printf_(4, 5);
/* The lines, each with a newline, for a terminal: no control characters. Freed by the caller. */
char *config_problems_text(const struct config_problems *p, const char *file);

enum config_node_kind {
	CONFIG_NODE_TEXT,
	CONFIG_NODE_LIST,
	CONFIG_NODE_MAP,
};

struct config_node {
	enum config_node_kind kind;
	bool quoted;               /* text: in quotes or a block */
	bool bad;                  /* a problem is noted already: stands for nothing */
	unsigned line, column;     /* from 1 */
	const char *text;          /* without control characters */
	struct config_node *key;   /* of a member of a mapping */
	struct config_node *first; /* of a list or mapping; keys of a mapping differ */
	struct config_node *next;
	size_t n;
};

/*
 * The root, in the arena; NULL for a text that holds nothing but comments, and after a problem
 * that ends the reading. Problems are added to `p`.
 */
struct config_node *config_tree_read(struct arena *a, struct span text, struct config_problems *p);

/* The value of a key; NULL: the mapping has none, or it is no mapping. */
struct config_node *config_node_member(const struct config_node *map, const char *key);
/* An unquoted scalar that stands for nothing: empty, "~", "null". */
bool config_node_is_null(const struct config_node *n);
