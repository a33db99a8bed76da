/*
 * A disk that fills: a tmpfs of a few MiB in a mount namespace of our own. Messages are stored and
 * delivered until the store refuses, and on for a while; then there is room again and all that was
 * refused is tried once more under its id. Afterwards the judge.
 */
#include "crash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	MESSAGES = 4000, /* of a round */
	REFUSALS = 60,   /* then there is room again */
	PARCELS = 64,    /* claimed, and their completion refused */
	BALLAST = 1024 * 1024,
	RESERVE = 1024 * 1024,
	SKIPPED = 77,
};

struct letter {
	struct store_id id;
	size_t size;
	bool refused;
};

struct parcel {
	uint64_t key, fence;
	char id[STORE_ID_LEN + 1];
};

struct full {
	struct io_loop *loop;
	struct store *store;
	char top[60], disk[80], queue[100], notes[80];
	int notes_fd;
	struct letter *letters;
	size_t n, n_refused;
	struct parcel parcels[PARCELS];
	size_t n_parcels;
	int result;
	/* Of all rounds. */
	size_t stored, refused, delivered, not_recorded;
};

static int say(const struct full *f, const char *what, int result)
{
	fprintf(stderr, "%s: %d (%s)\n", what, result, f->queue);
	return -1;
}

static void note(struct full *f, const char *format, ...) _printf_(2, 3);
static void note(struct full *f, const char *format, ...)
{
	char line[100];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	require(write(f->notes_fd, line, (size_t)n) == n);
}

static void on_done(void *arg, int result)
{
	struct full *f = arg;

	f->result = result;
	io_loop_stop(f->loop);
}

static void nothing(void *arg)
{
	(void)arg;
}

/* It is full, or the file system failed in a way that SQLite calls an error: both may be. */
static bool is_refusal(int result)
{
	return result == -ENOSPC || result == -EIO;
}

static int put(struct full *f, struct letter *l)
{
	static const struct store_recipient to = {.path = "c@d.example", .hop = "h0"};
	struct store_message m = {.id = l->id,
				  .from = "a@b.example",
				  .arrived = io_unix_now(),
				  .recipients = &to,
				  .n_recipients = 1};
	struct store_body *b = store_body_begin(f->store, nothing, NULL);

	for (size_t at = 0; at < l->size;) {
		uint8_t some[1000];
		size_t n = 0;

		while (n < sizeof(some) && at < l->size)
			some[n++] = work_octet(&l->id, at++);
		if (store_body_append(b, span_of(some, n)) < 0)
			break;
	}
	store_enqueue(f->store, &m, b, on_done, f);
	io_loop_run(f->loop);
	if (f->result >= 0)
		note(f, "S %s\n", l->id.text);
	else if (!is_refusal(f->result))
		return say(f, "enqueue", f->result);
	l->refused = f->result < 0;
	return 0;
}

static int complete(struct full *f, const struct parcel *p)
{
	struct store_outcome o = {.state = STORE_DELIVERED};
	struct store_completion c = {.key = p->key,
				     .fence = p->fence,
				     .now = io_unix_now(),
				     .outcomes = &o,
				     .n_outcomes = 1};

	store_complete(f->store, &c, NULL, NULL, on_done, f);
	io_loop_run(f->loop);
	if (f->result == 0)
		note(f, "D %s h0\n", p->id);
	return f->result;
}

static void on_claimed(void *arg, int result, const struct store_parcel *list, size_t n)
{
	struct full *f = arg;

	for (size_t i = 0; i < n; i++) {
		struct parcel *p = &f->parcels[f->n_parcels++];

		p->key = list[i].key;
		p->fence = list[i].fence;
		snprintf(p->id, sizeof(p->id), "%s", list[i].message.id.text);
	}
	on_done(f, result);
}

/* One is delivered; if that cannot be recorded, it is kept for later. */
static int deliver(struct full *f)
{
	size_t before = f->n_parcels;
	int r;

	if (f->n_parcels == PARCELS)
		return 0;
	store_claim(f->store, "h0", 1, io_unix_now(), usec_seconds(1000), on_claimed, f);
	io_loop_run(f->loop);
	if (f->result < 0)
		return is_refusal(f->result) ? 0 : say(f, "claim", f->result);
	if (f->n_parcels == before)
		return 0;
	note(f, "d %s h0\n", f->parcels[before].id);
	r = complete(f, &f->parcels[before]);
	if (r < 0 && !is_refusal(r))
		return say(f, "complete", r);
	if (r == 0)
		f->n_parcels--;
	f->delivered += r == 0;
	f->not_recorded += r < 0;
	return 0;
}

static int fill(struct full *f)
{
	while (f->n < MESSAGES && f->n_refused < REFUSALS) {
		struct letter *l = &f->letters[f->n++];

		l->id = store_id_new(io_unix_now());
		l->size = rand() % 4 == 0 ? STORE_BODY_MEMORY + (size_t)rand() % 100000
					  : (size_t)rand() % 9000;
		note(f, "s %s %zu 1\n", l->id.text, l->size);
		if (put(f, l) < 0)
			return -1;
		f->n_refused += l->refused;
		if (rand() % 4 == 0 && deliver(f) < 0)
			return -1;
	}
	return f->n_refused < REFUSALS ? say(f, "the disk did not fill", 0) : 0;
}

static size_t count_files(const struct full *f)
{
	char path[120];
	size_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/large", f->queue);
	d = opendir(path);
	require(d != NULL);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void on_list(void *arg, int result, const struct store_parcel *list, size_t n)
{
	size_t *large = arg;

	large[2] = n;
	for (size_t i = 0; i < n && result == 0; i++) {
		large[1] = list[i].key;
		large[0] += list[i].message.size > STORE_BODY_MEMORY;
	}
	io_loop_stop(*(struct io_loop **)&large[3]);
}

/* A file for each large message and no other: what is refused leaves nothing that takes room. */
static int look_at_files(struct full *f)
{
	struct store_filter all = {.id = NULL};
	size_t large[4] = {0, 0, 1, (size_t)f->loop}, files;

	while (large[2] > 0) {
		store_list(f->store, &all, large[1], 1000, on_list, large);
		io_loop_run(f->loop);
	}
	files = count_files(f);
	if (files == large[0])
		return 0;
	fprintf(stderr, "%zu large messages, %zu files\n", large[0], files);
	return -1;
}

/* There is room: everything goes through that did not. */
static int go_on(struct full *f)
{
	f->refused += f->n_refused;
	if (store_stats(f->store).broken)
		usleep(2100 * 1000);
	for (size_t i = 0; i < f->n_parcels; i++) {
		int r = complete(f, &f->parcels[i]);

		if (r < 0)
			return say(f, "complete with room", r);
		f->delivered++;
	}
	f->n_parcels = 0;
	for (size_t i = 0; i < f->n; i++) {
		struct letter *l = &f->letters[i];

		if (!l->refused)
			continue;
		if (put(f, l) < 0 || l->refused)
			return say(f, "enqueue with room", f->result);
	}
	return 0;
}

/* A restart on the disk as it is: with a reserve it works, else there may be no room for it. */
static int restart(struct full *f, const struct store_options *o)
{
	struct err e = {.code = 0};
	int r;

	store_close(f->store);
	f->store = NULL;
	f->n_parcels = 0; /* the leases ended with it */
	r = store_open(o, f->loop, &f->store, &e);
	if (r == 0)
		return 0;
	if (o->reserve > 0 || !is_refusal(r) || strstr(e.text, f->queue) == NULL)
		return say(f, e.text, r);
	return 0;
}

static int mount_disk(struct full *f, size_t kib)
{
	char options[40], command[140];
	int fd;

	snprintf(options, sizeof(options), "size=%zuk,mode=0700", kib);
	if (mount("none", f->disk, "tmpfs", 0, options) < 0)
		return -errno;
	snprintf(command, sizeof(command), "%s/ballast", f->disk);
	fd = open(command, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	require(fd >= 0 && posix_fallocate(fd, 0, BALLAST) == 0);
	close(fd);
	return 0;
}

static int one_round(struct full *f, size_t reserve, bool again)
{
	/* With a reserve and without. */
	struct store_options o = {.directory = f->queue, .reserve = reserve};
	struct tally t = {0};
	struct err e = {.code = 0};
	char ballast[120], options[40];
	size_t before = f->not_recorded;
	int r;

	if (mount_disk(f, 4000 + (size_t)rand() % 4000) < 0)
		return -1;
	unlink(f->notes);
	f->notes_fd = open(f->notes, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	f->n = f->n_refused = f->n_parcels = 0;
	f->loop = io_loop_new();
	if (store_open(&o, f->loop, &f->store, &e) < 0)
		return say(f, e.text, e.code);
	r = fill(f);
	if (r == 0 && reserve > 0 && f->not_recorded > before)
		r = say(f, "a result that found no room in the reserve", 0);
	if (r == 0 && !store_stats(f->store).broken)
		r = look_at_files(f);
	if (r == 0 && again)
		r = restart(f, &o);
	snprintf(ballast, sizeof(ballast), "%s/ballast", f->disk);
	unlink(ballast);
	/* And what was refused is as large as what was there: room for that too. */
	snprintf(options, sizeof(options), "size=64m");
	require(mount("none", f->disk, "tmpfs", MS_REMOUNT, options) == 0);
	if (r == 0 && f->store == NULL && store_open(&o, f->loop, &f->store, &e) < 0)
		r = say(f, e.text, e.code);
	r = r < 0 ? r : go_on(f);
	f->store = store_close(f->store);
	f->loop = io_loop_free(f->loop);
	close(f->notes_fd);
	if (r == 0 && judge(f->queue, f->notes, SIZE_MAX, &t, &e) < 0)
		r = say(f, e.text, -1);
	f->stored += t.stored;
	require(umount2(f->disk, MNT_DETACH) == 0);
	return r;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)!write(fd, text, strlen(text));
		close(fd);
	}
}

/* As root, or as root of a user namespace. */
static bool own_mounts(void)
{
	char map[60];
	unsigned uid = getuid(), gid = getgid();

	if (unshare(CLONE_NEWNS) < 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			return false;
		snprintf(map, sizeof(map), "0 %u 1", uid);
		write_file("/proc/self/uid_map", map);
		write_file("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "0 %u 1", gid);
		write_file("/proc/self/gid_map", map);
	}
	return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

int full_rounds(unsigned rounds, unsigned seed)
{
	struct full f = {.letters = xcalloc(MESSAGES, sizeof(struct letter))};
	char command[100];
	int r = 0;

	srand(seed);
	if (!own_mounts()) {
		fprintf(stderr, "full: no mount namespace of our own: %s\n", strerror(errno));
		return SKIPPED;
	}
	snprintf(f.top, sizeof(f.top), "/tmp/daneway-full-XXXXXX");
	require(mkdtemp(f.top) != NULL);
	snprintf(f.disk, sizeof(f.disk), "%s/disk", f.top);
	snprintf(f.queue, sizeof(f.queue), "%s/disk/queue", f.top);
	snprintf(f.notes, sizeof(f.notes), "%s/notes", f.top);
	require(mkdir(f.disk, 0700) == 0);
	for (unsigned i = 0; i < rounds && r == 0; i++)
		r = one_round(&f, i % 2 == 0 ? RESERVE : 0, i % 4 >= 2);
	snprintf(command, sizeof(command), "rm -rf %s", f.top);
	require(system(command) == 0);
	free(f.letters);
	if (r < 0)
		return 1;
	printf("full disk: %u rounds, %zu accepted, 0 lost, %zu refused and stored when there was "
	       "room, %zu deliveries recorded, %zu of them only when there was room\n",
	       rounds, f.stored, f.refused, f.delivered, f.not_recorded);
	return 0;
}
