/*
 * A picture of a chain of trust as SVG: zones as boxes, the root at the top; in them what they
 * hold, in rows; lines from what vouches to what is vouched for.
 *
 * Pure: a small graph in, text out; no library, no measuring of fonts (the letters are of one
 * width). Bounded: what is over a limit is left out, and the picture says so. Texts are hostile
 * until here: they are cut, escaped, and made harmless as in the other faces.
 *
 * Four states, told apart without colour too: a line that holds is plain, an insecure one is
 * dashed, an unknown one dotted, a broken one thick with a cross on it.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum {
	CHECK_PICTURE_ZONES_MAX = 48,
	CHECK_PICTURE_NODES_MAX = 800,
	CHECK_PICTURE_LINES_MAX = 24, /* of one node */
	CHECK_PICTURE_EDGES_MAX = 2000,
	CHECK_PICTURE_ROWS = 4,
	CHECK_PICTURE_BYTES_MAX = 8 * 1024 * 1024,
};

enum check_tone {
	CHECK_TONE_HOLDS,
	CHECK_TONE_INSECURE,
	CHECK_TONE_UNKNOWN,
	CHECK_TONE_BROKEN,
};

enum check_shape {
	CHECK_SHAPE_KEY,     /* round; two lines */
	CHECK_SHAPE_RECORDS, /* a frame with a word and a text on each line */
};

enum check_edge_kind {
	CHECK_EDGE_SIGNS, /* down, from node to node */
	CHECK_EDGE_SELF,  /* a key over its own set: a loop */
	CHECK_EDGE_ZONE,  /* from a node, or (none) the parent's box, to the box of `zone` */
	CHECK_EDGE_ALIAS, /* from line to line */
};

/* Not an index: nothing was added (a limit), or no parent. Accepted wherever an index is. */
#define CHECK_PICTURE_NONE SIZE_MAX

struct check_picture_zone {
	size_t parent;
	enum check_tone tone;
	const char *name, *word, *why; /* cut and made harmless */
	const char *full;
	int x, y, w, h, span, next; /* pixels, after the layout; `next`: x of the next child */
};

struct check_picture_line {
	const char *word, *text;
	enum check_tone tone;
};

struct check_picture_node {
	size_t zone;
	unsigned row;
	enum check_shape shape;
	enum check_tone tone;
	const char *full; /* shown when pointed at */
	struct check_picture_line lines[CHECK_PICTURE_LINES_MAX];
	size_t n_lines, left_out;
	int x, y, w, h;
};

struct check_picture_edge {
	enum check_edge_kind kind;
	enum check_tone tone;
	size_t from, to, from_line, to_line; /* of EDGE_ZONE `to` is a zone */
	const char *label;                   /* NULL: none */
};

struct check_picture {
	struct arena arena;
	const char *title, *description;
	struct check_picture_zone *zones;
	struct check_picture_node *nodes;
	struct check_picture_edge *edges;
	size_t n_zones, n_nodes, n_edges;
	bool left_out;
	int width, height;
};

/* All texts are copied. */
void check_picture_init(struct check_picture *p, const char *title, const char *description);
void check_picture_done(struct check_picture *p);

/* Parents before children. `why` may be NULL. */
size_t check_picture_add_zone(struct check_picture *p, size_t parent, enum check_tone tone,
			      const char *name, const char *word, const char *why);
size_t check_picture_add_node(struct check_picture *p, size_t zone, unsigned row,
			      enum check_shape shape, enum check_tone tone, const char *full);
/* The line's number. */
size_t check_picture_add_line(struct check_picture *p, size_t node, enum check_tone tone,
			      const char *word, const char *text);
/* The same edge a second time is left out. */
void check_picture_add_edge(struct check_picture *p, enum check_edge_kind kind,
			    enum check_tone tone, size_t from, size_t to, const char *label);
void check_picture_add_alias(struct check_picture *p, enum check_tone tone, size_t from,
			     size_t from_line, size_t to, size_t to_line);

/* Gives everything its place; for check_picture_svg, and for tests. */
void check_picture_lay_out(struct check_picture *p);
/* Lays out and appends one <svg> element; an XML document of its own with `standalone`. */
int check_picture_svg(struct check_picture *p, bool standalone, struct buf *out) _mustcheck_;
