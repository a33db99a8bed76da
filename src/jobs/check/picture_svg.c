/* The picture as text. */
#include "jobs/check/palette.h"
#include "jobs/check/picture.h"
#include "jobs/check/picture_sizes.h"
#include "jobs/check/write.h"

#define FILL(name, white, black)        ".f-" #name "{fill:" white "}"
#define STROKE(name, white, black)      ".s-" #name "{stroke:" white "}"
#define FILL_DARK(name, white, black)   ".f-" #name "{fill:" black "}"
#define STROKE_DARK(name, white, black) ".s-" #name "{stroke:" black "}"

/* No variables: there are readers of SVG that do not know them. */
/* clang-format off */
static const char style[] =
	"<style>" CHECK_PALETTE(FILL) CHECK_PALETTE(STROKE) "\n"
	"@media(prefers-color-scheme:dark){" CHECK_PALETTE(FILL_DARK) CHECK_PALETTE(STROKE_DARK) "}\n"
	".chain text{font-family:ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;"
	"font-size:12px}"
	".chain .title{font-size:15px;font-weight:bold}.chain .name{font-size:14px;font-weight:bold}"
	".chain .small{font-size:11px}.chain .word{font-weight:bold}"
	".chain .label{font-size:11px;font-weight:bold;paint-order:stroke;stroke-width:4px;"
	"stroke-linejoin:round}"
	".chain .edge{fill:none;stroke-width:1.6}.chain .box{stroke-width:1.4}"
	".chain .insecure{stroke-dasharray:7 5}.chain .unknown{stroke-dasharray:2 4}"
	".chain .edge.broken{stroke-width:3}.chain .box.broken{stroke-width:2.6}"
	".chain .cross{stroke-width:3;fill:none}"
	".chain .alias{fill:none;stroke-width:1.4;stroke-dasharray:1 3;stroke-linecap:round}"
	"</style>\n";
/* clang-format on */

static const struct {
	const char *colour, *word;
} tones[] = {
	[CHECK_TONE_HOLDS] = {"pass", "holds"},
	[CHECK_TONE_INSECURE] = {"skip", "insecure"},
	[CHECK_TONE_UNKNOWN] = {"warn", "unknown"},
	[CHECK_TONE_BROKEN] = {"fail", "broken"},
};

struct place {
	int x, y;
};

/* --- pieces ----------------------------------------------------------------------------------- */

/* <text>, `class` with the colour in it. */
static int add_words(struct buf *out, struct place at, const char *class, const char *anchor,
		     const char *text)
{
	int ret = buf_printf(out, "<text x=\"%d\" y=\"%d\" class=\"%s\"%s%s%s>", at.x, at.y, class,
			     anchor != NULL ? " text-anchor=\"" : "", anchor != NULL ? anchor : "",
			     anchor != NULL ? "\"" : "");

	if (ret == 0)
		ret = check_add_xml(out, text);
	return ret == 0 ? buf_add_text(out, "</text>\n") : ret;
}

static int add_title(struct buf *out, const char *text)
{
	int ret = buf_add_text(out, "<title>");

	if (ret == 0)
		ret = check_add_xml(out, text);
	return ret == 0 ? buf_add_text(out, "</title>\n") : ret;
}

static int add_box(struct buf *out, struct place at, int w, int h, int round, const char *fill,
		   enum check_tone tone)
{
	return buf_printf(out,
			  "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"%d\" "
			  "class=\"box f-%s s-%s %s\"/>\n",
			  at.x, at.y, w, h, round, fill, tones[tone].colour, tones[tone].word);
}

/* What is broken is crossed out. */
static int add_cross(struct buf *out, struct place at)
{
	return buf_printf(out, "<path class=\"cross s-fail\" d=\"M%d %dl12 12m0 -12l-12 12\"/>\n",
			  at.x - 6, at.y - 6);
}

static int add_label(struct buf *out, struct place at, enum check_tone tone, const char *label,
		     const char *anchor)
{
	char class[64];

	if (label == NULL)
		return 0;
	snprintf(class, sizeof(class), "label s-panel f-%s", tones[tone].colour);
	return add_words(out, at, class, anchor, label);
}

/* --- boxes ------------------------------------------------------------------------------------ */

static int add_zone(struct buf *out, const struct check_picture_zone *z)
{
	struct place at = {z->x, z->y};
	char class[64];
	int ret;

	snprintf(class, sizeof(class), "word f-%s", tones[z->tone].colour);
	ret = buf_add_text(out, "<g>");
	if (ret == 0)
		ret = add_title(out, z->full);
	if (ret == 0)
		ret = add_box(out, at, z->w, z->h, 8, "panel", z->tone);
	if (ret == 0)
		ret = add_words(out, (struct place){z->x + PAD, z->y + 25}, "name f-fg", NULL,
				z->name);
	if (ret == 0)
		ret = add_words(out, (struct place){z->x + z->w - PAD, z->y + 25}, class, "end",
				z->word);
	if (ret == 0 && z->why != NULL)
		ret = add_words(out, (struct place){z->x + PAD, z->y + 43}, "small f-fg", NULL,
				z->why);
	return ret == 0 ? buf_add_text(out, "</g>\n") : ret;
}

static int line_y(const struct check_picture_node *n, size_t line)
{
	return n->y + NODE_PAD + (int)line * LINE_HEIGHT + LINE_HEIGHT - 6;
}

static int add_key_text(struct buf *out, const struct check_picture_node *n)
{
	struct place at = {n->x + n->w / 2, 0};
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < n->n_lines; i++) {
		at.y = line_y(n, 2 * i);
		ret = add_words(out, at, "word f-fg", "middle", n->lines[i].word);
		at.y = line_y(n, 2 * i + 1);
		if (ret == 0)
			ret = add_words(out, at, "small f-fg", "middle", n->lines[i].text);
	}
	return ret;
}

static int add_records_text(struct buf *out, const struct check_picture_node *n)
{
	size_t widest = 0, letters;
	struct place at = {n->x + NODE_PAD, 0}, text;
	char class[64], more[48];
	int ret = 0;

	for (size_t i = 0; i < n->n_lines; i++) {
		letters = check_picture_letters(n->lines[i].word);
		widest = letters > widest ? letters : widest;
	}
	for (size_t i = 0; ret == 0 && i < n->n_lines; i++) {
		snprintf(class, sizeof(class), "word f-%s", tones[n->lines[i].tone].colour);
		at.y = line_y(n, i);
		text = (struct place){at.x + check_picture_width(widest) + WORD_GAP, at.y};
		ret = add_words(out, at, class, NULL, n->lines[i].word);
		if (ret == 0)
			ret = add_words(out, text, "f-fg", NULL, n->lines[i].text);
	}
	if (ret < 0 || n->left_out == 0)
		return ret;
	snprintf(more, sizeof(more), "and %zu more", n->left_out);
	at.y = line_y(n, n->n_lines);
	return add_words(out, at, "f-dim", NULL, more);
}

static int add_node(struct buf *out, const struct check_picture_node *n)
{
	bool key = n->shape == CHECK_SHAPE_KEY;
	int ret = buf_add_text(out, "<g>");

	if (ret == 0)
		ret = add_title(out, n->full);
	if (ret == 0)
		ret = add_box(out, (struct place){n->x, n->y}, n->w, n->h, key ? n->h / 2 : 3, "bg",
			      n->tone);
	if (ret == 0)
		ret = key ? add_key_text(out, n) : add_records_text(out, n);
	return ret == 0 ? buf_add_text(out, "</g>\n") : ret;
}

/* --- lines ------------------------------------------------------------------------------------ */

struct curve {
	struct place a, b;
	int bend;
	struct place mark; /* on it: for a cross and a label */
};

/* From above to below, as an S; the mark in the gap between boxes where it goes through one. */
static struct curve curve_of(struct place a, struct place b, int gap)
{
	struct curve c = {a, b, (b.y - a.y) / 2, {(a.x + b.x) / 2, (a.y + b.y) / 2}};

	if (c.bend < 18)
		c.bend = 18;
	for (int t = 1; gap > 0 && t < 64; t++) {
		/* The cubic at t/64: its weights make 64^3 together. */
		int u = 64 - t, w0 = u * u * u, w1 = 3 * u * u * t, w2 = 3 * u * t * t;
		int w3 = t * t * t, whole = 64 * 64 * 64;
		int64_t y = ((int64_t)w0 * a.y + (int64_t)w1 * (a.y + c.bend) +
			     (int64_t)w2 * (b.y - c.bend) + (int64_t)w3 * b.y) /
			    whole;

		if (y < gap)
			continue;
		c.mark.x = (int)(((int64_t)(w0 + w1) * a.x + (int64_t)(w2 + w3) * b.x) / whole);
		c.mark.y = (int)y;
		break;
	}
	return c;
}

static int add_curve(struct buf *out, const struct check_picture_edge *e, const struct curve *c)
{
	const char *colour = tones[e->tone].colour;
	int ret = buf_printf(out,
			     "<path class=\"edge s-%s %s\" marker-end=\"url(#to-%s)\" "
			     "d=\"M%d %dC%d %d %d %d %d %d\"/>\n",
			     colour, tones[e->tone].word, colour, c->a.x, c->a.y, c->a.x,
			     c->a.y + c->bend, c->b.x, c->b.y - c->bend, c->b.x, c->b.y);

	if (ret == 0 && e->tone == CHECK_TONE_BROKEN)
		ret = add_cross(out, c->mark);
	return ret;
}

static struct place bottom(const struct check_picture_node *n)
{
	return (struct place){n->x + n->w / 2, n->y + n->h};
}

static struct place top(const struct check_picture_node *n)
{
	return (struct place){n->x + n->w / 2, n->y - 2};
}

static int add_loop(struct buf *out, const struct check_picture_edge *e,
		    const struct check_picture_node *n)
{
	const char *colour = tones[e->tone].colour;
	int x = n->x + n->w - n->h / 4, y = n->y + n->h / 2;
	int ret = buf_printf(out,
			     "<path class=\"edge s-%s %s\" marker-end=\"url(#to-%s)\" "
			     "d=\"M%d %dc%d -12 %d 28 2 18\"/>\n",
			     colour, tones[e->tone].word, colour, x + n->h / 4 - 1, y - 8, LOOP + 6,
			     LOOP + 6);

	if (ret == 0 && e->tone == CHECK_TONE_BROKEN)
		ret = add_cross(out, (struct place){x + n->h / 4 + LOOP - 3, y});
	return ret;
}

static struct curve find_curve(const struct check_picture *p, const struct check_picture_edge *e)
{
	const struct check_picture_zone *z, *above;
	size_t from;

	if (e->kind != CHECK_EDGE_ZONE) {
		const struct check_picture_node *f = &p->nodes[e->from], *t = &p->nodes[e->to];

		z = &p->zones[t->zone];
		return curve_of(bottom(f), top(t), f->zone != t->zone ? z->y - ZONE_DROP / 2 : 0);
	}
	z = &p->zones[e->to];
	from = e->from < p->n_nodes ? p->nodes[e->from].zone : z->parent;
	above = &p->zones[from];
	return curve_of(e->from < p->n_nodes
				? bottom(&p->nodes[e->from])
				: (struct place){above->x + above->w / 2, above->y + above->h},
			(struct place){z->x + z->w / 2, z->y - 2}, z->y - ZONE_DROP / 2);
}

static int add_edge(struct buf *out, const struct check_picture *p,
		    const struct check_picture_edge *e)
{
	struct curve c;

	if (e->kind == CHECK_EDGE_ALIAS)
		return 0;
	if (e->kind == CHECK_EDGE_SELF)
		return add_loop(out, e, &p->nodes[e->from]);
	c = find_curve(p, e);
	return add_curve(out, e, &c);
}

static int add_edge_label(struct buf *out, const struct check_picture *p,
			  const struct check_picture_edge *e)
{
	struct curve c;

	if (e->kind == CHECK_EDGE_ALIAS)
		return 0;
	if (e->kind == CHECK_EDGE_SELF) {
		const struct check_picture_node *n = &p->nodes[e->from];

		return add_label(out, (struct place){n->x + n->w / 2, n->y - 6}, e->tone, e->label,
				 "middle");
	}
	c = find_curve(p, e);
	return add_label(out, (struct place){c.mark.x + 12, c.mark.y + 4}, e->tone, e->label, NULL);
}

/* From the side that the other one lies at; within one frame round its right side. */
static int add_alias(struct buf *out, const struct check_picture *p,
		     const struct check_picture_edge *e)
{
	const struct check_picture_node *f = &p->nodes[e->from], *t = &p->nodes[e->to];
	bool leave_left = t->x + t->w < f->x, enter_left = f->x + f->w < t->x;
	struct place a = {leave_left ? f->x : f->x + f->w, line_y(f, e->from_line) - 4};
	struct place b = {enter_left ? t->x - 3 : t->x + t->w + 3, line_y(t, e->to_line) - 4};

	if (e->kind != CHECK_EDGE_ALIAS)
		return 0;
	return buf_printf(out,
			  "<path class=\"alias s-info\" marker-end=\"url(#to-info)\" "
			  "d=\"M%d %dC%d %d %d %d %d %d\"/>\n",
			  a.x, a.y, leave_left ? a.x - ALIAS_MARGIN : a.x + ALIAS_MARGIN, a.y,
			  enter_left ? b.x - ALIAS_MARGIN : b.x + ALIAS_MARGIN, b.y, b.x, b.y);
}

/* --- the whole -------------------------------------------------------------------------------- */

static int add_markers(struct buf *out)
{
	static const char *const colours[] = {"pass", "skip", "warn", "fail", "info"};
	int ret = buf_add_text(out, "<defs>\n");

	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(colours); i++)
		ret = buf_printf(out,
				 "<marker id=\"to-%s\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" "
				 "markerWidth=\"9\" markerHeight=\"9\" "
				 "markerUnits=\"userSpaceOnUse\" orient=\"auto\">"
				 "<path class=\"f-%s\" d=\"M0 0L10 5L0 10z\"/></marker>\n",
				 colours[i], colours[i]);
	return ret == 0 ? buf_add_text(out, "</defs>\n") : ret;
}

static int add_legend(struct buf *out, const struct check_picture *p)
{
	int y = p->height - MARGIN - 8, x = MARGIN, ret = 0;
	struct place at;

	for (int tone = CHECK_TONE_HOLDS; ret == 0 && tone <= CHECK_TONE_BROKEN; tone++) {
		ret = buf_printf(out, "<path class=\"edge s-%s %s\" d=\"M%d %dh40\"/>\n",
				 tones[tone].colour, tones[tone].word, x, y);
		if (ret == 0 && tone == CHECK_TONE_BROKEN)
			ret = add_cross(out, (struct place){x + 20, y});
		at = (struct place){x + 48, y + 4};
		if (ret == 0)
			ret = add_words(out, at, "small f-dim", NULL, tones[tone].word);
		x += 116;
	}
	at = (struct place){x + 48, y + 4};
	if (ret == 0)
		ret = buf_printf(out, "<path class=\"alias s-info\" d=\"M%d %dh40\"/>\n", x, y);
	if (ret == 0)
		ret = add_words(out, at, "small f-dim", NULL, "alias");
	at = (struct place){MARGIN, y - 18};
	if (ret == 0 && p->left_out)
		ret = add_words(out, at, "small f-fg", NULL, "There is more than is drawn here.");
	return ret;
}

static int add_head(struct buf *out, const struct check_picture *p, bool standalone)
{
	char style_of_page[96] = "";
	int ret;

	/* In a page as wide as there is room for, but not so small that it cannot be read. */
	if (!standalone)
		snprintf(style_of_page, sizeof(style_of_page),
			 " style=\"display:block;max-width:100%%;min-width:%dpx;height:auto\"",
			 p->width * 2 / 3);
	ret = buf_printf(out,
			 "%s<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chain\" "
			 "role=\"img\" aria-labelledby=\"chain-title chain-desc\" "
			 "width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\"%s>\n"
			 "<title id=\"chain-title\">",
			 standalone ? "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" : "", p->width,
			 p->height, p->width, p->height, style_of_page);

	if (ret == 0)
		ret = check_add_xml(out, p->title);
	if (ret == 0)
		ret = buf_add_text(out, "</title>\n<desc id=\"chain-desc\">");
	if (ret == 0)
		ret = check_add_xml(out, p->description);
	if (ret == 0)
		ret = buf_add_text(out, "</desc>\n");
	if (ret == 0)
		ret = buf_add_text(out, style);
	if (ret == 0)
		ret = add_markers(out);
	if (ret == 0)
		ret = buf_printf(out, "<rect width=\"%d\" height=\"%d\" class=\"f-bg\"/>\n",
				 p->width, p->height);
	if (ret == 0)
		ret = add_words(out, (struct place){MARGIN, MARGIN + 12}, "title f-fg", NULL,
				p->title);
	return ret;
}

int check_picture_svg(struct check_picture *p, bool standalone, struct buf *out)
{
	int ret;

	check_picture_lay_out(p);
	ret = add_head(out, p, standalone);
	for (size_t i = 0; ret == 0 && i < p->n_zones; i++)
		ret = add_zone(out, &p->zones[i]);
	for (size_t i = 0; ret == 0 && i < p->n_edges; i++)
		ret = add_edge(out, p, &p->edges[i]);
	for (size_t i = 0; ret == 0 && i < p->n_nodes; i++)
		ret = add_node(out, &p->nodes[i]);
	for (size_t i = 0; ret == 0 && i < p->n_edges; i++)
		ret = add_edge_label(out, p, &p->edges[i]);
	for (size_t i = 0; ret == 0 && i < p->n_edges; i++)
		ret = add_alias(out, p, &p->edges[i]);
	if (ret == 0)
		ret = add_legend(out, p);
	return ret == 0 ? buf_add_text(out, "</svg>\n") : ret;
}
