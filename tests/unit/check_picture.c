/* The picture: its layout, its limits, and that nothing hostile gets into it. */
#include "test.h"

#include "jobs/check/picture.h"

static const char hostile[] = "a\x1b[31mb\xc2\x9b\x7f\xff\xe2\x80\xae"
			      "</text><script>alert('x\")</script>&amp;\xef\xbf\xbf\n\r\tc";

static size_t add_zone(struct check_picture *p, size_t parent, const char *name)
{
	return check_picture_add_zone(p, parent, CHECK_TONE_HOLDS, name, "secure", NULL);
}

static size_t add_node(struct check_picture *p, size_t zone, unsigned row, const char *text)
{
	size_t n =
		check_picture_add_node(p, zone, row, CHECK_SHAPE_RECORDS, CHECK_TONE_HOLDS, text);

	check_picture_add_line(p, n, CHECK_TONE_HOLDS, "secure", text);
	return n;
}

static char *draw(struct check_picture *p)
{
	struct buf out;
	char *text;

	buf_init(&out, CHECK_PICTURE_BYTES_MAX);
	assert_int_equal(check_picture_svg(p, true, &out), 0);
	text = xstrndup((const char *)out.p, out.n);
	buf_done(&out);
	return text;
}

/* Boxes do not overlap, what is in a zone is within its box, all is within the picture. */
static void assert_placed(const struct check_picture *p)
{
	for (size_t i = 0; i < p->n_zones; i++) {
		const struct check_picture_zone *a = &p->zones[i];

		assert_true(a->x > 0 && a->y > 0);
		assert_true(a->x + a->w < p->width && a->y + a->h < p->height);
		if (a->parent != CHECK_PICTURE_NONE)
			assert_true(a->y > p->zones[a->parent].y + p->zones[a->parent].h);
		for (size_t k = 0; k < i; k++) {
			const struct check_picture_zone *b = &p->zones[k];

			assert_true(a->x >= b->x + b->w || b->x >= a->x + a->w ||
				    a->y >= b->y + b->h || b->y >= a->y + a->h);
		}
	}
	for (size_t i = 0; i < p->n_nodes; i++) {
		const struct check_picture_node *a = &p->nodes[i];
		const struct check_picture_zone *z = &p->zones[a->zone];

		assert_true(a->x > z->x && a->x + a->w < z->x + z->w);
		assert_true(a->y > z->y && a->y + a->h < z->y + z->h);
		for (size_t k = 0; k < i; k++) {
			const struct check_picture_node *b = &p->nodes[k];

			assert_true(a->x >= b->x + b->w || b->x >= a->x + a->w ||
				    a->y >= b->y + b->h || b->y >= a->y + a->h);
		}
	}
}

static void a_tree_is_laid_out(void **state)
{
	struct check_picture p;
	size_t root, left, right;

	(void)state;
	check_picture_init(&p, "title", "words");
	root = add_zone(&p, CHECK_PICTURE_NONE, ".");
	left = add_zone(&p, root, "left");
	right = check_picture_add_zone(&p, root, CHECK_TONE_BROKEN, "right", "bogus", "a reason");
	for (unsigned row = 0; row < CHECK_PICTURE_ROWS; row++)
		for (int i = 0; i < 5; i++)
			add_node(&p, root, row, "something of some length in it");
	add_node(&p, left, 3, "one");
	add_node(&p, right, 1, "another");
	for (int i = 0; i < 3; i++)
		add_node(&p, add_zone(&p, i > 0 ? right : left, "leaf"), 2, "leaf");
	check_picture_lay_out(&p);
	assert_placed(&p);
	/* A second time it is the same. */
	root = (size_t)p.width;
	check_picture_lay_out(&p);
	assert_int_equal((size_t)p.width, root);
	check_picture_done(&p);
}

/* As deep and as wide as it gets, and past every limit. */
static void limits_hold(void **state)
{
	struct check_picture p;
	char *text;
	size_t n = 0;

	(void)state;
	for (int wide = 0; wide < 2; wide++) {
		check_picture_init(&p, "title", "words");
		add_zone(&p, CHECK_PICTURE_NONE, ".");
		for (size_t i = 1; i < CHECK_PICTURE_ZONES_MAX; i++)
			assert_int_equal(add_zone(&p, wide != 0 ? 0 : i - 1, "zone"), i);
		assert_false(p.left_out);
		assert_int_equal(add_zone(&p, 0, "more"), CHECK_PICTURE_NONE);
		assert_true(p.left_out);
		for (n = 0; n < CHECK_PICTURE_NODES_MAX; n++)
			assert_int_equal(add_node(&p, n % 48, n % 4, "node"), n);
		assert_int_equal(add_node(&p, 0, 0, "node"), CHECK_PICTURE_NONE);
		for (n = 1; n < CHECK_PICTURE_LINES_MAX; n++)
			assert_int_equal(
				check_picture_add_line(&p, 5, CHECK_TONE_HOLDS, "word", "line"), n);
		assert_int_equal(check_picture_add_line(&p, 5, CHECK_TONE_HOLDS, "word", "line"),
				 CHECK_PICTURE_NONE);
		assert_int_equal(p.nodes[5].left_out, 1);
		for (n = 0; n < 2 * CHECK_PICTURE_EDGES_MAX; n++)
			check_picture_add_edge(&p, CHECK_EDGE_SIGNS, CHECK_TONE_HOLDS, n % 800,
					       n / 800, "label");
		assert_int_equal(p.n_edges, CHECK_PICTURE_EDGES_MAX);
		text = draw(&p);
		assert_placed(&p);
		assert_non_null(strstr(text, "There is more than is drawn here."));
		assert_non_null(strstr(text, "and 1 more"));
		free(text);
		check_picture_done(&p);
	}
}

static void what_was_left_out_is_accepted(void **state)
{
	struct check_picture p;
	size_t none = CHECK_PICTURE_NONE, root, node;
	char *text;

	(void)state;
	check_picture_init(&p, "title", "words");
	root = add_zone(&p, none, ".");
	node = add_node(&p, root, 1, "node");
	assert_int_equal(add_node(&p, none, 0, "x"), none);
	assert_int_equal(check_picture_add_line(&p, none, CHECK_TONE_HOLDS, "a", "b"), none);
	check_picture_add_edge(&p, CHECK_EDGE_SIGNS, CHECK_TONE_HOLDS, none, node, NULL);
	check_picture_add_edge(&p, CHECK_EDGE_SIGNS, CHECK_TONE_HOLDS, node, none, NULL);
	check_picture_add_edge(&p, CHECK_EDGE_SELF, CHECK_TONE_HOLDS, none, none, NULL);
	check_picture_add_edge(&p, CHECK_EDGE_ZONE, CHECK_TONE_HOLDS, none, root, NULL);
	check_picture_add_edge(&p, CHECK_EDGE_ZONE, CHECK_TONE_HOLDS, node, none, NULL);
	check_picture_add_alias(&p, CHECK_TONE_HOLDS, node, 0, none, none);
	check_picture_add_alias(&p, CHECK_TONE_HOLDS, node, 1, node, 0);
	assert_int_equal(p.n_edges, 0);
	check_picture_add_edge(&p, CHECK_EDGE_SELF, CHECK_TONE_HOLDS, node, node, NULL);
	check_picture_add_edge(&p, CHECK_EDGE_SELF, CHECK_TONE_HOLDS, node, node, NULL);
	assert_int_equal(p.n_edges, 1);
	free(draw(&p));
	check_picture_done(&p);
	check_picture_init(&p, "title", "words"); /* empty */
	text = draw(&p);
	assert_non_null(strstr(text, "</svg>\n"));
	free(text);
	check_picture_done(&p);
}

static void nothing_hostile_gets_through(void **state)
{
	struct check_picture p;
	size_t zone, node, other;
	char *text, *longest = xcalloc(1, 5001);

	(void)state;
	memset(longest, '<', 5000);
	check_picture_init(&p, hostile, hostile);
	zone = check_picture_add_zone(&p, CHECK_PICTURE_NONE, CHECK_TONE_BROKEN, hostile, hostile,
				      hostile);
	node = check_picture_add_node(&p, zone, 1, CHECK_SHAPE_KEY, CHECK_TONE_BROKEN, hostile);
	check_picture_add_line(&p, node, CHECK_TONE_BROKEN, hostile, hostile);
	other = check_picture_add_node(&p, zone, 3, CHECK_SHAPE_RECORDS, CHECK_TONE_BROKEN,
				       longest);
	check_picture_add_line(&p, other, CHECK_TONE_BROKEN, longest, longest);
	check_picture_add_edge(&p, CHECK_EDGE_SIGNS, CHECK_TONE_BROKEN, node, other, hostile);
	text = draw(&p);
	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 && *c != '\n')
			fail_msg("0x%02x", (unsigned char)*c);
	assert_null(strstr(text, "<script"));
	assert_null(strstr(text, "alert('"));
	assert_null(strstr(text, "\xc2\x9b"));
	assert_null(strstr(text, "\xff"));
	assert_null(strstr(text, "\xe2\x80\xae"));
	assert_null(strstr(text, "\xef\xbf\xbf"));
	assert_null(strstr(text, "<<"));
	assert_true(p.width < 3000);
	free(text);
	free(longest);
	check_picture_done(&p);
}

/* Names differ at either end: the middle goes. Whole characters only. */
static void long_texts_are_cut(void **state)
{
	static const char name[] =
		"_25._tcp.a-very-long-name-of-a-mail-exchanger.which-goes-on-and-on."
		"\xc3\xa4\xc3\xb6\xc3\xbc-for-ever.example.org";
	struct check_picture p;
	char *text;

	(void)state;
	check_picture_init(&p, "title", "words");
	add_node(&p, add_zone(&p, CHECK_PICTURE_NONE, "."), 1, name);
	text = draw(&p);
	assert_non_null(strstr(text, ">_25._tcp.a-very-long-name-of-\xe2\x80\xa6"));
	assert_non_null(strstr(text, "-for-ever.example.org</text>"));
	assert_non_null(strstr(text, "-of-a-mail-exchanger.which-goes-on-and-on."));
	free(text);
	check_picture_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tree_is_laid_out),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(what_was_left_out_is_accepted),
		cmocka_unit_test(nothing_hostile_gets_through),
		cmocka_unit_test(long_texts_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
