#include "crash.h"

#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"

struct known {
	struct store_id id;
	uint64_t size;
	unsigned parcels;
	bool stored;
	unsigned asked, delivered; /* bit: h0 ... h4 */
	unsigned found;
};

struct judge {
	struct io_loop *loop;
	struct store *store;
	struct arena arena;
	struct known **list;
	size_t n, room;
	void *tree;
	struct tally tally;
	uint64_t after;
	struct err *e;
	/* The parcels of one list, looked at one after the other. */
	struct known *body[100];
	uint64_t key[100];
	size_t n_bodies;
	bool more, wait;
	int result;
	struct store_reading *reading;
};

static int by_id(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return strcmp(x->id.text, y->id.text);
}

static struct known *find(struct judge *j, const char *id, bool add)
{
	struct known key = {.size = 0}, **at;

	snprintf(key.id.text, sizeof(key.id.text), "%s", id);
	at = tfind(&key, &j->tree, by_id);
	if (at != NULL || !add)
		return at != NULL ? *at : NULL;
	if (j->n == j->room) {
		j->room = j->room > 0 ? 2 * j->room : 256;
		j->list = xrealloc(j->list, j->room * sizeof(struct known *));
	}
	j->list[j->n] = arena_alloc(&j->arena, sizeof(struct known));
	*j->list[j->n] = key;
	tsearch(j->list[j->n], &j->tree, by_id);
	return j->list[j->n++];
}

/* A line of the notes; the last may be cut. */
static void read_note(struct judge *j, const char *line)
{
	char id[STORE_ID_LEN + 1];
	const char *rest = line + 2 + STORE_ID_LEN;
	struct known *k;

	memcpy(id, line + 2, STORE_ID_LEN);
	id[STORE_ID_LEN] = '\0';
	k = find(j, id, line[0] == 's');
	require(k != NULL);
	if (line[0] == 's') {
		char *end;

		k->size = strtoull(rest, &end, 10);
		k->parcels = (unsigned)strtoul(end, NULL, 10);
	} else if (line[0] == 'S') {
		k->stored = true;
		j->tally.stored++;
	} else {
		unsigned bit = 1u << (rest[2] - '0');

		j->tally.again += line[0] == 'd' && (k->asked & bit) != 0;
		k->asked |= bit;
		if (line[0] == 'D') {
			k->delivered |= bit;
			j->tally.delivered++;
		}
	}
}

static void read_notes(struct judge *j, const char *path, size_t max)
{
	FILE *f = fopen(path, "r");
	char line[100];
	size_t at = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		at += strlen(line);
		if (at > max || strchr(line, '\n') == NULL)
			break;
		read_note(j, line);
	}
	if (f != NULL)
		fclose(f);
}

static void stop(struct judge *j, int result)
{
	j->result = result;
	io_loop_stop(j->loop);
}

static void on_list(void *arg, int result, const struct store_parcel *list, size_t n)
{
	struct judge *j = arg;

	j->n_bodies = 0;
	for (size_t i = 0; i < n && result == 0; i++) {
		struct known *k = find(j, list[i].message.id.text, false);
		unsigned bit = 1u << (list[i].hop[1] - '0');

		j->after = list[i].key;
		j->tally.found++;
		if (k == NULL)
			result = err_set(j->e, -1, "%s: nobody stored it", list[i].message.id.text);
		else if (k->found & bit)
			result = err_set(j->e, -1, "%s %s: twice", k->id.text, list[i].hop);
		else if (k->delivered & bit)
			result = err_set(j->e, -1, "%s %s: was delivered", k->id.text, list[i].hop);
		else if (list[i].message.size != k->size || list[i].message.n_recipients != 1)
			result = err_set(j->e, -1, "%s: %zu octets, not %zu", k->id.text,
					 (size_t)list[i].message.size, (size_t)k->size);
		if (result < 0)
			break;
		k->found |= bit;
		j->key[j->n_bodies] = list[i].key;
		j->body[j->n_bodies++] = k;
	}
	if (result < 0 && j->e->code == 0)
		err_set(j->e, -1, "list: %s", strerror(-result));
	stop(j, result < 0 ? -1 : 0);
}

static void on_open(void *arg, int result, struct store_reading *r)
{
	struct judge *j = arg;

	j->reading = r;
	stop(j, result);
}

static void on_read(void *arg, int result)
{
	stop(arg, result);
}

static int look_at_body(struct judge *j, size_t i)
{
	const struct known *k = j->body[i];
	uint64_t at = 0;

	store_body_open(j->store, j->key[i], on_open, j);
	io_loop_run(j->loop);
	if (j->result < 0)
		return err_set(j->e, -1, "%s: body: %s", k->id.text, strerror(-j->result));
	while (at < k->size) {
		struct span s = store_reading_at(j->reading, at);

		for (size_t n = 0; n < s.n; n++, at++)
			if (s.p[n] != work_octet(&k->id, at)) {
				store_reading_free(j->reading);
				return err_set(j->e, -1, "%s: octet %zu of %zu is wrong",
					       k->id.text, (size_t)at, (size_t)k->size);
			}
		if (s.n > 0)
			continue;
		store_body_read(j->reading, at, on_read, j);
		io_loop_run(j->loop);
		if (j->result < 0)
			break;
	}
	store_reading_free(j->reading);
	return at < k->size ? err_set(j->e, -1, "%s: cannot be read", k->id.text) : 0;
}

/* What is not there. */
static int look_at_rest(struct judge *j)
{
	for (size_t i = 0; i < j->n; i++) {
		const struct known *k = j->list[i];
		unsigned there = (unsigned)__builtin_popcount(k->found & ~k->asked);
		unsigned want = k->parcels - (unsigned)__builtin_popcount(k->asked);

		if (there == want)
			continue;
		if (k->stored)
			return err_set(j->e, -1, "%s: lost (%u of %u parcels)", k->id.text, there,
				       want);
		if (there != 0)
			return err_set(j->e, -1, "%s: half (%u of %u parcels)", k->id.text, there,
				       want);
	}
	return 0;
}

int judge(const char *directory, const char *notes, size_t n_notes, struct tally *ret,
	  struct err *e)
{
	struct store_options o = {.directory = directory};
	struct store_filter all = {.id = NULL};
	struct judge j = {.e = e};
	int r;

	e->code = 0;
	read_notes(&j, notes, n_notes);
	j.loop = io_loop_new();
	r = store_open(&o, j.loop, &j.store, e) < 0 ? -1 : 0;
	while (r == 0) {
		store_list(j.store, &all, j.after, 100, on_list, &j);
		io_loop_run(j.loop);
		r = j.result;
		for (size_t i = 0; i < j.n_bodies && r == 0; i++)
			r = look_at_body(&j, i);
		if (j.n_bodies == 0)
			break;
	}
	if (r == 0)
		r = look_at_rest(&j);
	store_close(j.store);
	io_loop_free(j.loop);
	for (size_t i = 0; i < j.n; i++)
		tdelete(j.list[i], &j.tree, by_id);
	free(j.list);
	arena_done(&j.arena);
	*ret = j.tally;
	return r;
}
