/* From the tree and the table to the struct, with all that is wrong on the way. */
#include "main/config/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

/* --- which key was meant ---------------------------------------------------------------------- */

enum {
	WORD_MAX = 40 /* a longer word is no misspelt key */
};

/* Letters to change, insert, delete or swap with the next (optimal string alignment). */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[3][WORD_MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > WORD_MAX || m > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= m; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);

			best = last[j] + 1 < best ? last[j] + 1 : best;
			best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
	}
	return row[n % 3][m];
}

static const struct config_key *find_key(const struct config_section *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->keys[i].name, name) == 0)
			return &s->keys[i];
	return NULL;
}

/* The key that is nearest, a third of its letters away at most; NULL: none. */
static const struct config_key *nearest(const struct config_section *s, const char *name)
{
	const struct config_key *best = NULL;
	unsigned least = 4;

	for (size_t i = 0; i < s->n; i++) {
		unsigned d = distance(name, s->keys[i].name);

		if (d < least && d <= (strlen(s->keys[i].name) + 2) / 3) {
			best = &s->keys[i];
			least = d;
		}
	}
	return best;
}

/* A section of the top that has a key of exactly this name. */
static const struct config_key *elsewhere(const char *name)
{
	for (size_t i = 0; i < config_top.n; i++)
		if (config_top.keys[i].type == CONFIG_TYPE_SECTION &&
		    find_key(config_top.keys[i].section, name) != NULL)
			return &config_top.keys[i];
	return NULL;
}

static void unknown_key(struct config_checker *c, const struct config_section *s,
			const struct config_node *key)
{
	const struct config_key *near = NULL, *other = NULL;

	/* The search costs something, and a file may be nothing but wrong keys. */
	if (c->problems->n < CONFIG_PROBLEMS_MAX) {
		near = nearest(s, key->text);
		other = elsewhere(key->text);
	}
	if (near != NULL)
		config_problem_add(c->problems, key->line, key->column,
				   "no key `%.80s`: did you mean `%s`?", key->text, near->name);
	else if (find_key(&config_top, key->text) != NULL)
		config_problem_add(c->problems, key->line, key->column,
				   "no key `%.80s` here: it stands at the left edge of the file",
				   key->text);
	else if (other != NULL)
		config_problem_add(c->problems, key->line, key->column,
				   "no key `%.80s` here: it belongs into `%s`", key->text,
				   other->name);
	else
		config_problem_add(c->problems, key->line, key->column, "no key `%.80s`",
				   key->text);
}

/* --- values ----------------------------------------------------------------------------------- */

static void read_section(struct config_checker *c, const struct config_section *s,
			 const struct config_node *node, void *at);

static void wrong_kind(struct config_checker *c, const struct config_key *k,
		       const struct config_node *n, const char *wanted)
{
	config_problem_add(c->problems, n->line, n->column, "%s: %s is wanted", k->name, wanted);
}

static bool read_one(struct config_checker *c, const struct config_key *k,
		     const struct config_node *n, void *at)
{
	struct err e;

	if (n->bad)
		return false;
	if (k->type == CONFIG_TYPE_SECTION) {
		if (n->kind != CONFIG_NODE_MAP && !config_node_is_null(n)) {
			wrong_kind(c, k, n, "keys with values");
			return false;
		}
		read_section(c, k->section, n, at);
		return true;
	}
	if (n->kind != CONFIG_NODE_TEXT) {
		wrong_kind(c, k, n, config_type_words(k->type));
		return false;
	}
	if (config_value_set(c->arena, k, n->text, n->quoted, at, &e) == 0)
		return true;
	config_problem_add(c->problems, n->line, n->column, "%s: %.80s%s%s", k->name, n->text,
			   n->text[0] != '\0' ? ": " : "", e.text);
	return false;
}

static void set_array(void *at, struct config_array array)
{
	memcpy(at, &array, sizeof(array));
}

static void read_list(struct config_checker *c, const struct config_key *k,
		      const struct config_node *n, void *at)
{
	struct config_array array = {0};
	size_t size = config_type_size(k);

	if (config_node_is_null(n)) {
		set_array(at, array);
		return;
	}
	if (n->kind != CONFIG_NODE_LIST) {
		config_problem_add(c->problems, n->line, n->column,
				   "%s: a list is wanted: [...], or lines that begin with \"-\"",
				   k->name);
		return;
	}
	if (n->n > (size_t)k->most) {
		config_problem_add(c->problems, n->line, n->column, "%s: more than %lld", k->name,
				   (long long)k->most);
		return;
	}
	array.items = n->n > 0 ? arena_calloc(c->arena, n->n, size) : NULL;
	for (const struct config_node *one = n->first; one != NULL; one = one->next)
		if (read_one(c, k, one, (char *)array.items + array.n * size))
			array.n++;
	set_array(at, array);
}

/* The name is the first member of what a mapping by domain holds. */
static int compare_names(const void *left, const void *right)
{
	return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* The same name by another spelling: "Example.ORG", U-labels. */
static void spelt_twice(struct config_checker *c, const struct config_node *map, const char *name)
{
	const struct config_node *found = NULL, *first = NULL;
	struct arena scratch = {0};
	const char *other;

	/* Looked for only where there is room to tell: it costs a walk. */
	if (c->problems->n < CONFIG_PROBLEMS_MAX)
		for (const struct config_node *m = map->first; m != NULL && found == NULL;
		     m = m->next) {
			if (m->bad ||
			    config_value_domain(&scratch, m->key->text, m->key->quoted, &other,
						NULL) < 0 ||
			    strcmp(other, name) != 0)
				continue;
			if (first == NULL)
				first = m->key;
			else
				found = m->key;
		}
	arena_done(&scratch);
	if (found != NULL)
		config_problem_add(c->problems, found->line, found->column,
				   "`%.80s` stands in line %u already, as `%.80s`", found->text,
				   first->line, first->text);
	else
		config_problem_add(c->problems, map->line, map->column, "%s stands here twice",
				   name);
}

static void read_by_domain(struct config_checker *c, const struct config_key *k,
			   const struct config_node *n, void *at)
{
	struct config_array array = {0};
	size_t size = config_type_size(k);
	struct err e;

	if (n->kind != CONFIG_NODE_MAP && !config_node_is_null(n)) {
		config_problem_add(c->problems, n->line, n->column,
				   "%s: domains with their keys are wanted", k->name);
		return;
	}
	array.items = n->n > 0 ? arena_calloc(c->arena, n->n, size) : NULL;
	for (const struct config_node *one = n->first; one != NULL; one = one->next) {
		char *into = (char *)array.items + array.n * size;

		if (one->bad)
			continue;
		if (config_value_domain(c->arena, one->key->text, one->key->quoted,
					(const char **)into, &e) < 0) {
			config_problem_add(c->problems, one->key->line, one->key->column,
					   "%s: %.80s: %s", k->name, one->key->text, e.text);
			continue;
		}
		if (read_one(c, k, one, into))
			array.n++;
	}
	if (array.n > 1)
		qsort(array.items, array.n, size, compare_names);
	for (size_t i = 1; i < array.n; i++) {
		const char *name = *(const char **)((char *)array.items + i * size);

		if (strcmp(name, *(const char **)((char *)array.items + (i - 1) * size)) == 0)
			spelt_twice(c, n, name);
	}
	set_array(at, array);
}

static void read_value(struct config_checker *c, const struct config_key *k,
		       const struct config_node *n, void *at)
{
	switch (k->many) {
	case CONFIG_ONE:
		if (k->type != CONFIG_TYPE_SECTION && config_node_is_null(n))
			config_problem_add(c->problems, n->line, n->column,
					   "%s: the value is missing: %s", k->name,
					   config_type_words(k->type));
		else
			(void)read_one(c, k, n, at);
		return;
	case CONFIG_LIST:
		read_list(c, k, n, at);
		return;
	case CONFIG_BY_DOMAIN:
		read_by_domain(c, k, n, at);
		return;
	}
}

/* Defaults are YAML, too: "[15min, 15min, 1h]" and all. */
static void set_standard(struct config_checker *c, const struct config_key *k, void *at)
{
	struct config_node *n, one = {.text = k->standard};

	if (k->type == CONFIG_TYPE_SECTION && k->many == CONFIG_ONE) {
		struct config_node nothing = {.text = ""};

		read_section(c, k->section, &nothing, at);
		return;
	}
	if (k->standard == NULL)
		return;
	/* A tree of its own for lists only: a file may have a hundred thousand domains. */
	n = k->many != CONFIG_ONE ? config_tree_read(c->arena, span_text(k->standard), c->problems)
				  : &one;
	require(n != NULL);
	read_value(c, k, n, at);
}

static void read_section(struct config_checker *c, const struct config_section *s,
			 const struct config_node *node, void *at)
{
	size_t before = c->problems->total;

	/* First, while there is room to say what was meant. */
	if (node->kind == CONFIG_NODE_MAP)
		for (struct config_node *m = node->first; m != NULL; m = m->next)
			if (m->key->kind == CONFIG_NODE_TEXT && !m->key->bad &&
			    find_key(s, m->key->text) == NULL)
				unknown_key(c, s, m->key);
	for (size_t i = 0; i < s->n; i++) {
		const struct config_key *k = &s->keys[i];
		struct config_node *m = config_node_member(node, k->name);

		if (m == NULL && k->required)
			config_problem_add(c->problems, node->line, node->column,
					   "`%s` is missing: %s", k->name,
					   config_type_words(k->type));
		else if (m == NULL)
			set_standard(c, k, (char *)at + k->offset);
		else if (!m->bad)
			read_value(c, k, m, (char *)at + k->offset);
	}
	/* Rules over several keys, once each of them is good. */
	if (s->check != NULL && c->problems->total == before)
		s->check(c, node, at);
}

/* --- the file --------------------------------------------------------------------------------- */

struct config_file *config_file_read(const char *path, struct span text, struct config_problems *p)
{
	struct config_file *f = xcalloc(1, sizeof(*f));
	struct config_checker c = {&f->arena, p, f};
	struct arena scratch = {0};
	struct config_node *root, nothing = {.text = ""};

	f->path = arena_strdup(&f->arena, path);
	root = config_tree_read(&scratch, text, p);
	if (root == NULL && p->total == 0)
		root = &nothing;
	if (root != NULL && root->kind != CONFIG_NODE_MAP && !config_node_is_null(root))
		config_problem_add(p, root->line, root->column,
				   "keys with values are wanted, such as \"hostname: "
				   "mx1.hoster.example\"");
	else if (root != NULL && !root->bad)
		read_section(&c, &config_top, root, f);
	arena_done(&scratch);
	return p->total == 0 ? f : config_file_free(f);
}

/* At most one byte more than may be, so that config_tree_read sees that it is too large. */
static int read_file(const char *path, struct buf *text)
{
	uint8_t block[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), error = 0;
	struct stat st;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		error = -EISDIR;
	while (error == 0 && (n = read(fd, block, sizeof(block))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			error = -errno;
		else if (buf_add(text, block, (size_t)n) < 0)
			break;
	}
	close(fd);
	return error;
}

struct config_file *config_file_load(const char *path, struct config_problems *p, int *ret_error)
{
	struct config_file *f = NULL;
	struct buf text;

	buf_init(&text, CONFIG_TEXT_MAX + 65536);
	*ret_error = read_file(path, &text);
	if (*ret_error < 0)
		config_problem_add(p, 0, 0, "%s", strerror(-*ret_error));
	else
		f = config_file_read(path, buf_span(&text), p);
	buf_done(&text);
	return f;
}

struct config_file *config_file_free(struct config_file *f)
{
	if (f != NULL) {
		struct arena arena = f->arena;

		free(f);
		arena_done(&arena);
	}
	return NULL;
}

void config_file_freep(struct config_file **f)
{
	*f = config_file_free(*f);
}
