/* The graph, and the place of everything in it. */
#include "jobs/check/picture.h"

#include "jobs/check/picture_sizes.h"
#include "jobs/check/write.h"

#include <string.h>

void check_picture_init(struct check_picture *p, const char *title, const char *description)
{
	*p = (struct check_picture){0};
	p->title = arena_strdup(&p->arena, title);
	p->description = arena_strdup(&p->arena, description);
	p->zones = arena_calloc(&p->arena, CHECK_PICTURE_ZONES_MAX, sizeof(*p->zones));
	p->nodes = arena_calloc(&p->arena, CHECK_PICTURE_NODES_MAX, sizeof(*p->nodes));
	p->edges = arena_calloc(&p->arena, CHECK_PICTURE_EDGES_MAX, sizeof(*p->edges));
}

void check_picture_done(struct check_picture *p)
{
	arena_done(&p->arena);
}

/* --- texts ------------------------------------------------------------------------------------ */

size_t check_picture_letters(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

/* Octets of the first `n` characters. */
static size_t octets(const char *text, size_t n)
{
	size_t i = 0;

	for (; text[i] != '\0'; i++)
		if ((text[i] & 0xc0) != 0x80 && n-- == 0)
			break;
	return i;
}

/* Harmless, and of at most `max` characters: the middle goes, names differ at either end. */
static const char *cut(struct check_picture *p, const char *text, size_t max)
{
	struct buf clean;
	const char *all;
	size_t n, head = max / 2, tail = max - 1 - head;

	buf_init(&clean, 16 * 4096);
	if (check_escape(&clean, text) < 0)
		buf_clear(&clean);
	all = arena_text(&p->arena, buf_span(&clean));
	buf_done(&clean);
	n = check_picture_letters(all);
	if (n <= max)
		return all;
	return arena_printf(&p->arena, "%.*s\xe2\x80\xa6%s", (int)octets(all, head), all,
			    all + octets(all, n - tail));
}

/* --- the graph -------------------------------------------------------------------------------- */

size_t check_picture_add_zone(struct check_picture *p, size_t parent, enum check_tone tone,
			      const char *name, const char *word, const char *why)
{
	require(parent == CHECK_PICTURE_NONE || parent < p->n_zones);
	if (p->n_zones == CHECK_PICTURE_ZONES_MAX) {
		p->left_out = true;
		return CHECK_PICTURE_NONE;
	}
	p->zones[p->n_zones] = (struct check_picture_zone){
		.parent = parent,
		.tone = tone,
		.name = cut(p, name, NAME_LETTERS),
		.word = cut(p, word, NAME_LETTERS),
		.why = why != NULL ? cut(p, why, WHY_LETTERS) : NULL,
		.full = arena_printf(&p->arena, "%s %s%s%s", name, word, why != NULL ? ": " : "",
				     why != NULL ? why : ""),
	};
	return p->n_zones++;
}

size_t check_picture_add_node(struct check_picture *p, size_t zone, unsigned row,
			      enum check_shape shape, enum check_tone tone, const char *full)
{
	require(row < CHECK_PICTURE_ROWS);
	if (zone >= p->n_zones || p->n_nodes == CHECK_PICTURE_NODES_MAX) {
		p->left_out = true;
		return CHECK_PICTURE_NONE;
	}
	p->nodes[p->n_nodes] = (struct check_picture_node){
		.zone = zone,
		.row = row,
		.shape = shape,
		.tone = tone,
		.full = arena_strdup(&p->arena, full),
	};
	return p->n_nodes++;
}

size_t check_picture_add_line(struct check_picture *p, size_t node, enum check_tone tone,
			      const char *word, const char *text)
{
	struct check_picture_node *n;

	if (node >= p->n_nodes)
		return CHECK_PICTURE_NONE;
	n = &p->nodes[node];
	if (n->n_lines == CHECK_PICTURE_LINES_MAX) {
		n->left_out++;
		p->left_out = true;
		return CHECK_PICTURE_NONE;
	}
	n->lines[n->n_lines] = (struct check_picture_line){
		.word = cut(p, word, WORD_LETTERS),
		.text = cut(p, text, TEXT_LETTERS),
		.tone = tone,
	};
	return n->n_lines++;
}

static void add_edge(struct check_picture *p, const struct check_picture_edge *e)
{
	for (size_t i = 0; i < p->n_edges; i++) {
		const struct check_picture_edge *o = &p->edges[i];

		if (o->kind == e->kind && o->from == e->from && o->to == e->to &&
		    o->from_line == e->from_line && o->to_line == e->to_line && o->tone == e->tone)
			return;
	}
	if (p->n_edges == CHECK_PICTURE_EDGES_MAX) {
		p->left_out = true;
		return;
	}
	p->edges[p->n_edges++] = *e;
}

void check_picture_add_edge(struct check_picture *p, enum check_edge_kind kind,
			    enum check_tone tone, size_t from, size_t to, const char *label)
{
	bool zone = kind == CHECK_EDGE_ZONE;
	struct check_picture_edge e = {
		.kind = kind,
		.tone = tone,
		.from = from,
		.to = to,
		.label = label != NULL ? cut(p, label, LABEL_LETTERS) : NULL,
	};

	if (to >= (zone ? p->n_zones : p->n_nodes) || (from >= p->n_nodes && !zone) ||
	    (zone && from >= p->n_nodes && p->zones[to].parent == CHECK_PICTURE_NONE))
		return;
	add_edge(p, &e);
}

void check_picture_add_alias(struct check_picture *p, enum check_tone tone, size_t from,
			     size_t from_line, size_t to, size_t to_line)
{
	struct check_picture_edge e = {.kind = CHECK_EDGE_ALIAS,
				       .tone = tone,
				       .from = from,
				       .to = to,
				       .from_line = from_line,
				       .to_line = to_line};

	if (from >= p->n_nodes || to >= p->n_nodes || from_line >= p->nodes[from].n_lines ||
	    to_line >= p->nodes[to].n_lines)
		return;
	add_edge(p, &e);
}

/* --- sizes ------------------------------------------------------------------------------------ */

static int larger(int a, int b)
{
	return a > b ? a : b;
}

static void size_node(struct check_picture_node *n)
{
	size_t word = 0, text = 0, lines = n->n_lines + (n->left_out > 0);

	for (size_t i = 0; i < n->n_lines; i++) {
		size_t w = check_picture_letters(n->lines[i].word);
		size_t t = check_picture_letters(n->lines[i].text);

		word = w > word ? w : word;
		text = t > text ? t : text;
	}
	if (n->shape == CHECK_SHAPE_KEY) {
		text = text > word ? text : word;
		word = 0;
		lines *= 2;
	}
	n->w = larger(check_picture_width(word + text) + 2 * NODE_PAD + (word > 0 ? WORD_GAP : 0),
		      NODE_WIDTH_MIN);
	n->h = (int)lines * LINE_HEIGHT + 2 * NODE_PAD - 4;
}

/* Width and height of a row of a zone. */
static void size_row(const struct check_picture *p, size_t zone, unsigned row, int *w, int *h)
{
	*w = *h = 0;
	for (size_t i = 0; i < p->n_nodes; i++) {
		const struct check_picture_node *n = &p->nodes[i];

		if (n->zone != zone || n->row != row)
			continue;
		*w += n->w + (*w > 0 ? NODE_GAP : 0);
		*h = larger(*h, n->h);
	}
}

static int head_height(const struct check_picture_zone *z)
{
	return z->why != NULL ? HEAD + WHY_HEIGHT : HEAD;
}

static void size_zone(struct check_picture *p, size_t zone)
{
	struct check_picture_zone *z = &p->zones[zone];
	size_t head = check_picture_letters(z->name) + check_picture_letters(z->word) + 3;
	int w, h;

	z->w = larger(check_picture_width_of(head, NAME_FONT), ZONE_WIDTH_MIN);
	if (z->why != NULL)
		z->w = larger(z->w, check_picture_width(check_picture_letters(z->why)));
	z->h = head_height(z);
	for (unsigned row = 0; row < CHECK_PICTURE_ROWS; row++) {
		size_row(p, zone, row, &w, &h);
		z->w = larger(z->w, w + (row + 1 < CHECK_PICTURE_ROWS ? 2 * LOOP : 0));
		if (h > 0)
			z->h += h + (z->h > head_height(z) ? ROW_GAP : 0);
	}
	z->w += 2 * PAD;
	z->h += PAD;
}

/* --- places ----------------------------------------------------------------------------------- */

static unsigned depth_of(const struct check_picture *p, size_t zone)
{
	unsigned depth = 0;

	for (; p->zones[zone].parent != CHECK_PICTURE_NONE; zone = p->zones[zone].parent)
		depth++;
	return depth;
}

/* Children share what is below their parent, each as wide as what hangs on it. */
static void place_zones(struct check_picture *p)
{
	int tops[CHECK_PICTURE_ZONES_MAX + 1] = {0}, children[CHECK_PICTURE_ZONES_MAX] = {0};
	int x = MARGIN;

	for (size_t i = p->n_zones; i-- > 0;) {
		struct check_picture_zone *z = &p->zones[i];
		unsigned depth = depth_of(p, i);

		z->span = larger(z->w, children[i] - ZONE_GAP);
		if (z->parent != CHECK_PICTURE_NONE)
			children[z->parent] += z->span + ZONE_GAP;
		tops[depth + 1] = larger(tops[depth + 1], z->h);
	}
	tops[0] = MARGIN + TITLE_HEIGHT;
	for (size_t i = 1; i <= CHECK_PICTURE_ZONES_MAX; i++)
		tops[i] += tops[i - 1] + (tops[i] > 0 ? ZONE_DROP : 0);
	for (size_t i = 0; i < p->n_zones; i++) {
		struct check_picture_zone *z = &p->zones[i];
		int *next = z->parent != CHECK_PICTURE_NONE ? &p->zones[z->parent].next : &x;
		int left = *next;

		*next += z->span + ZONE_GAP;
		z->x = left + (z->span - z->w) / 2;
		z->y = tops[depth_of(p, i)];
		z->next = left + (z->span - (children[i] - ZONE_GAP)) / 2;
		p->width = larger(p->width, left + z->span);
		p->height = larger(p->height, z->y + z->h);
	}
}

static void place_nodes(struct check_picture *p, size_t zone)
{
	const struct check_picture_zone *z = &p->zones[zone];
	int y = z->y + head_height(z);

	for (unsigned row = 0; row < CHECK_PICTURE_ROWS; row++) {
		int w, h, x;

		size_row(p, zone, row, &w, &h);
		x = z->x + (z->w - w) / 2;
		for (size_t i = 0; i < p->n_nodes; i++) {
			struct check_picture_node *n = &p->nodes[i];

			if (n->zone != zone || n->row != row)
				continue;
			n->x = x;
			n->y = y;
			x += n->w + NODE_GAP;
		}
		if (h > 0)
			y += h + ROW_GAP;
	}
}

void check_picture_lay_out(struct check_picture *p)
{
	size_t title = check_picture_letters(p->title);

	p->width = p->height = 0;
	for (size_t i = 0; i < p->n_zones; i++)
		p->zones[i].next = 0;
	for (size_t i = 0; i < p->n_nodes; i++)
		size_node(&p->nodes[i]);
	for (size_t i = 0; i < p->n_zones; i++)
		size_zone(p, i);
	place_zones(p);
	for (size_t i = 0; i < p->n_zones; i++)
		place_nodes(p, i);
	p->width = larger(p->width + MARGIN + ALIAS_MARGIN, LEGEND_WIDTH + 2 * MARGIN);
	p->width = larger(p->width, check_picture_width_of(title, TITLE_FONT) + 2 * MARGIN);
	p->height += LEGEND_HEIGHT + MARGIN;
}
