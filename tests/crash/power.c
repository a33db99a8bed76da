/*
 * The power fails at any write. From the trace of one run (disk.c) a disk is built as it may be
 * found afterwards: what was fsynced is there; each write since is there, or not, or in part
 * (sectors); each directory entry made or removed since the directory's fsync is there, or not. A
 * file's fsync says nothing of its entry. That is harsher than ext4.
 */
#include "crash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "disk.h"

enum {
	FILES = 4000,
	SECTOR = 512,
	FILE_MAX = 64 * 1024 * 1024,
};

/* A record, with what it needs in the trace. */
struct event {
	struct disk_record r;
	const char *path;
	const uint8_t *p;
};

/* An inode. */
struct file {
	struct buf disk;       /* what is on the disk for certain */
	size_t pending[20000]; /* events since its fsync */
	size_t n_pending;
};

struct name {
	char path[100];
	struct file *now;    /* the inode it leads to, or NULL */
	struct file *disk;   /* after the directory's last fsync */
	struct file *was[8]; /* in between; NULL: unlinked */
	size_t n_was;
};

struct power {
	uint8_t *trace;
	size_t n_trace;
	struct event *events;
	size_t n_events;
	struct name names[FILES];
	size_t n_names;
	struct file *files[FILES];
	size_t n_files;
	const char *without; /* fsyncs of this kind are not believed */
	size_t n_notes;      /* octets of the notes so far */
};

static void read_trace(struct power *w, const char *path)
{
	FILE *f = fopen(path, "r");
	struct stat st;
	size_t at = 0, room = 0;

	require(f != NULL && fstat(fileno(f), &st) == 0);
	w->n_trace = (size_t)st.st_size;
	w->trace = xmalloc(w->n_trace);
	require(fread(w->trace, 1, w->n_trace, f) == w->n_trace);
	fclose(f);
	while (at < w->n_trace) {
		struct event e;

		memcpy(&e.r, w->trace + at, sizeof(e.r));
		at += sizeof(e.r);
		e.path = xstrndup((const char *)w->trace + at, e.r.n_path);
		at += e.r.n_path;
		e.p = w->trace + at;
		at += e.r.op == DISK_WRITE ? e.r.n : 0;
		if (w->n_events == room) {
			room = room > 0 ? 2 * room : 1024;
			w->events = xrealloc(w->events, room * sizeof(*w->events));
		}
		w->events[w->n_events++] = e;
	}
}

static struct name *name_of(struct power *w, const char *path)
{
	for (size_t i = w->n_names; i > 0; i--)
		if (strcmp(w->names[i - 1].path, path) == 0)
			return &w->names[i - 1];
	require(w->n_names < FILES);
	memset(&w->names[w->n_names], 0, sizeof(w->names[0]));
	snprintf(w->names[w->n_names].path, sizeof(w->names[0].path), "%s", path);
	return &w->names[w->n_names++];
}

static void clear(struct power *w)
{
	for (size_t i = 0; i < w->n_files; i++) {
		buf_done(&w->files[i]->disk);
		free(w->files[i]);
	}
	w->n_files = w->n_names = w->n_notes = 0;
}

/* Sizes the file, zeros where it grows. */
static void resize(struct buf *b, size_t size)
{
	static const uint8_t zero[4096];

	while (b->n < size) {
		size_t n = size - b->n < sizeof(zero) ? size - b->n : sizeof(zero);

		require(buf_add(b, zero, n) == 0);
	}
	b->n = size;
}

static void apply(struct buf *b, const struct event *e, size_t from, size_t n)
{
	if (e->r.op == DISK_TRUNCATE) {
		resize(b, (size_t)e->r.at);
		return;
	}
	if (b->n < e->r.at + from + n)
		resize(b, (size_t)e->r.at + from + n);
	memcpy(b->p + e->r.at + from, e->p + from, n);
}

/* large/: "large" for its entries, "large/" for its files. */
static bool is_kind(const char *path, const char *kind)
{
	if (kind == NULL)
		return false;
	return strcmp(kind, "large/") == 0 ? strncmp(path, kind, 6) == 0 : strcmp(path, kind) == 0;
}

static void sync_entries(struct power *w, const char *directory)
{
	size_t n = strlen(directory);

	for (size_t i = 0; i < w->n_names; i++) {
		struct name *m = &w->names[i];
		const char *rest = m->path + n + (n > 0);

		if ((n == 0 || (strncmp(m->path, directory, n) == 0 && m->path[n] == '/')) &&
		    strchr(rest, '/') == NULL) {
			m->disk = m->now;
			m->n_was = 0;
		}
	}
}

static void change_entry(struct power *w, struct name *m, struct file *to)
{
	(void)w;
	m->now = to;
	require(m->n_was < ARRAY_SIZE(m->was));
	m->was[m->n_was++] = to;
}

static void step(struct power *w, size_t i)
{
	const struct event *e = &w->events[i];
	struct name *m;

	if (strcmp(e->path, "notes") == 0) {
		w->n_notes += e->r.op == DISK_WRITE ? (size_t)e->r.n : 0;
		return;
	}
	if (strcmp(e->path, "queue/queue-shm") == 0 || strncmp(e->path, "queue", 5) != 0)
		return;
	if (e->r.op == DISK_SYNC && is_kind(e->path + 5 + (e->path[5] == '/'), w->without))
		return;
	m = name_of(w, e->path);
	switch ((enum disk_op)e->r.op) {
	case DISK_CREATE:
		require(w->n_files < FILES);
		w->files[w->n_files] = xcalloc(1, sizeof(struct file));
		buf_init(&w->files[w->n_files]->disk, FILE_MAX);
		change_entry(w, m, w->files[w->n_files++]);
		break;
	case DISK_UNLINK:
		change_entry(w, m, NULL);
		break;
	case DISK_WRITE:
	case DISK_TRUNCATE:
		require(m->now != NULL && m->now->n_pending < ARRAY_SIZE(m->now->pending));
		m->now->pending[m->now->n_pending++] = i;
		break;
	case DISK_SYNC:
		if (m->now == NULL) {
			sync_entries(w, e->path);
			break;
		}
		for (size_t k = 0; k < m->now->n_pending; k++) {
			const struct event *p = &w->events[m->now->pending[k]];

			apply(&m->now->disk, p, 0, (size_t)p->r.n);
		}
		m->now->n_pending = 0;
		break;
	}
}

/* What has become of a file. `mode`: 0 nothing of the unsynced, 1 all, 2 anything. */
static void write_file(struct power *w, struct file *f, const char *path, int mode)
{
	struct buf b;
	FILE *out = fopen(path, "w");

	require(out != NULL);
	buf_init(&b, FILE_MAX);
	require(buf_add(&b, f->disk.p, f->disk.n) == 0);
	for (size_t k = 0; k < f->n_pending && mode > 0; k++) {
		const struct event *e = &w->events[f->pending[k]];
		int fate = mode == 1 ? 0 : rand() % 3;

		if (fate == 0 || (fate == 2 && e->r.op == DISK_TRUNCATE)) {
			apply(&b, e, 0, (size_t)e->r.n);
			continue;
		}
		for (size_t at = 0; fate == 2 && at < e->r.n; at += SECTOR)
			if (rand() % 2 == 0)
				apply(&b, e, at,
				      e->r.n - at < SECTOR ? (size_t)e->r.n - at : SECTOR);
	}
	require(fwrite(b.p, 1, b.n, out) == b.n);
	fclose(out);
	buf_done(&b);
}

/* The disk as it is found. */
static void write_disk(struct power *w, const char *top, int mode)
{
	char path[200];

	snprintf(path, sizeof(path), "rm -rf %s && mkdir -p %s/queue/large", top, top);
	require(system(path) == 0);
	for (size_t i = 0; i < w->n_names; i++) {
		struct name *m = &w->names[i];
		struct file *f = mode == 1 ? m->now : m->disk;

		for (size_t k = 0; mode == 2 && k < m->n_was; k++)
			if (rand() % 2 == 0)
				f = m->was[k];
		if (f == NULL)
			continue;
		snprintf(path, sizeof(path), "%s/%s", top, m->path);
		write_file(w, f, path, mode);
	}
}

/* How many of the rounds ended badly; all are gone through only if `until` is not reached. */
static unsigned rounds_of(struct power *w, const char *top, const char *notes, unsigned rounds,
			  unsigned until, struct tally *sum, struct err *first)
{
	unsigned bad = 0;
	char queue[120];

	snprintf(queue, sizeof(queue), "%s/queue", top);
	for (unsigned i = 0; i < rounds && bad < until; i++) {
		size_t cut = (size_t)rand() % w->n_events;
		struct tally t;
		struct err e;

		clear(w);
		for (size_t k = 0; k < cut; k++)
			step(w, k);
		write_disk(w, top, (int)(i % 3));
		if (judge(queue, notes, w->n_notes, &t, &e) < 0) {
			if (bad++ == 0) {
				*first = e;
				first->code = (int)cut;
			}
		}
		sum->stored += t.stored;
	}
	clear(w);
	return bad;
}

static int record(const char *program, const char *disk, const char *top, unsigned seed)
{
	char directory[120], notes[120], trace[120], number[20];
	int status;
	pid_t child = fork();

	if (child == 0) {
		snprintf(directory, sizeof(directory), "%s/run/queue", top);
		snprintf(notes, sizeof(notes), "%s/run/notes", top);
		snprintf(trace, sizeof(trace), "%s/trace", top);
		snprintf(number, sizeof(number), "%u", seed);
		setenv("LD_PRELOAD", disk, 1);
		setenv("DISK_TRACE", trace, 1);
		*strrchr(directory, '/') = '\0';
		setenv("DISK_ROOT", directory, 1);
		mkdir(directory, 0700);
		snprintf(directory, sizeof(directory), "%s/run/queue", top);
		execl(program, program, "work", directory, notes, number, "150", (char *)NULL);
		_exit(127);
	}
	waitpid(child, &status, 0);
	return status;
}

int power_rounds(const char *program, const char *disk, unsigned rounds, unsigned seed)
{
	/* An fsync that is taken out must be missed. */
	static const char *const needed[] = {"queue-wal", "queue", "large/", "large"};
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	struct power *w = xcalloc(1, sizeof(*w));
	struct tally sum = {0};
	struct err e = {.code = 0};
	char top[60], trace[100], notes[100], image[100], command[100];
	unsigned bad;

	srand(seed);
	snprintf(top, sizeof(top), "%s/daneway-power-XXXXXX", base);
	require(mkdtemp(top) != NULL);
	snprintf(trace, sizeof(trace), "%s/trace", top);
	snprintf(notes, sizeof(notes), "%s/run/notes", top);
	snprintf(image, sizeof(image), "%s/image", top);
	if (record(program, disk, top, seed) != 0)
		return 1;
	read_trace(w, trace);
	bad = rounds_of(w, image, notes, rounds, 1, &sum, &e);
	if (bad > 0) {
		fprintf(stderr, "cut at %d: %s\n", e.code, e.text);
		return 1;
	}
	printf("power: %u cuts in %zu operations, %zu accepted, 0 lost\n", rounds, w->n_events,
	       (size_t)sum.stored);
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		w->without = needed[i];
		bad = rounds_of(w, image, notes, 4 * rounds, 1, &sum, &e);
		printf("without the fsync of %s: %s\n", needed[i],
		       bad > 0 ? e.text : "nothing was missed");
		if (bad == 0)
			return 1;
	}
	snprintf(command, sizeof(command), "rm -rf %s", top);
	require(system(command) == 0);
	for (size_t i = 0; i < w->n_events; i++)
		free((char *)w->events[i].path);
	free(w->events);
	free(w->trace);
	free(w);
	return 0;
}
