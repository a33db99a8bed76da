#include "edge/publish/zonefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "edge/io/read.h"
#include "edge/publish/internal.h"

/* --- the text --------------------------------------------------------------------------------- */

static const char HEAD[] = "; Written by daneway; changes by hand are lost or stop it.\n";

struct line {
	struct span whole; /* without the newline */
	struct span owner, type, rdata;
};

static struct span take_word(struct span *s)
{
	const uint8_t *space = s->n > 0 ? memchr(s->p, ' ', s->n) : NULL;
	struct span word = space != NULL ? span_of(s->p, (size_t)(space - s->p)) : *s;

	*s = span_skip(*s, word.n + 1);
	return word;
}

static bool read_line(struct span whole, struct line *ret)
{
	struct span rest = whole, ttl;
	uint64_t seconds;

	ret->whole = whole;
	ret->owner = take_word(&rest);
	ttl = take_word(&rest);
	if (!span_is(take_word(&rest), "IN"))
		return false;
	ret->type = take_word(&rest);
	ret->rdata = rest;
	return ret->owner.n > 1 && ret->owner.p[ret->owner.n - 1] == '.' && ret->type.n > 0 &&
	       rest.n > 0 && text_to_number(ttl, INT32_MAX, &seconds);
}

static const struct publish_set *set_of(const struct publish_change *c, const struct line *l,
					struct arena *a)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct publish_set *s = &c->sets[i];

		if (span_is(span_of(l->owner.p, l->owner.n - 1), s->owner) &&
		    span_is(l->type, dns_type_to_text(a, s->type)))
			return s;
	}
	return NULL;
}

/* The text of one record's RDATA as it stands in a line. */
static struct span rdata_text(struct arena *a, const struct publish_set *s,
			      const struct span *rdata)
{
	struct publish_set one = *s;
	struct line l = {.rdata = {NULL, 0}};

	one.rdata = rdata;
	one.n = 1;
	if (!read_line(span_text(publish_record_to_text(a, &one, 0)), &l))
		return span_of(NULL, 0);
	return l.rdata;
}

static bool was_expected(struct arena *a, const struct publish_set *s, const struct line *l)
{
	for (size_t i = 0; i < s->n_was; i++)
		if (span_eq(rdata_text(a, s, &s->was[i]), l->rdata))
			return true;
	return false;
}

struct editing {
	struct arena arena;
	const struct publish_change *change;
	struct buf *out;
	size_t found[PUBLISH_SETS_MAX]; /* old records of each set */
	struct err *e;
};

static int edit_line(struct editing *ed, struct span whole, size_t number)
{
	const struct publish_set *s;
	struct line l;
	int error;

	if (whole.n == 0 || whole.p[0] == ';')
		return 0;
	if (!read_line(whole, &l))
		return err_set(ed->e, -EINVAL, "line %zu is not of daneway", number);
	s = set_of(ed->change, &l, &ed->arena);
	if (s == NULL) {
		error = buf_add(ed->out, whole.p, whole.n);
		return error == 0 ? buf_add_text(ed->out, "\n") : error;
	}
	ed->found[s - ed->change->sets]++;
	if (s->guarded && !was_expected(&ed->arena, s, &l))
		return err_set(ed->e, -ESTALE, "%s: the records there are not the ones expected",
			       s->owner);
	return 0;
}

static int edit_lines(struct editing *ed, struct span old)
{
	int error = buf_add_text(ed->out, HEAD);

	for (size_t number = 1; old.n > 0 && error == 0; number++) {
		const uint8_t *lf = memchr(old.p, '\n', old.n);
		struct span whole = lf != NULL ? span_of(old.p, (size_t)(lf - old.p)) : old;

		error = edit_line(ed, whole, number);
		old = span_skip(old, whole.n + 1);
	}
	return error;
}

static int add_records(struct editing *ed)
{
	int error = 0;

	for (size_t i = 0; i < ed->change->n && error == 0; i++) {
		const struct publish_set *s = &ed->change->sets[i];

		if (s->guarded && ed->found[i] != s->n_was)
			return err_set(ed->e, -ESTALE,
				       "%s: the records there are not the ones expected", s->owner);
		for (size_t k = 0; k < s->n && error == 0; k++) {
			error = buf_add_text(ed->out, publish_record_to_text(&ed->arena, s, k));
			if (error == 0)
				error = buf_add_text(ed->out, "\n");
		}
	}
	return error;
}

int publish_zonefile_edit(struct span old, const struct publish_change *change, struct buf *ret,
			  struct err *e)
{
	struct editing ed = {.change = change, .out = ret, .e = e};
	int error = edit_lines(&ed, old);

	if (error == 0)
		error = add_records(&ed);
	arena_done(&ed.arena);
	if (error == -EMSGSIZE)
		err_set(e, error, "the file would be too large");
	return error;
}

/* --- the file --------------------------------------------------------------------------------- */

struct zonefile {
	struct publish base;
	char *path, *fresh, *directory;
	struct publish_runner reload;
};

struct task {
	struct publish_task base;
	void *run; /* the reload, while it runs */
};

static int read_old(const char *path, struct buf *ret, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(e, -errno, "%s: %s", path, strerror(errno));
	error = io_read_all(fd, ret);
	close(fd);
	return error < 0 ? err_set(e, error, "%s: %s", path, strerror(-error)) : 0;
}

static int write_all(int fd, struct span s)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		s = span_skip(s, (size_t)n);
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int sync_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0)
		error = -errno;
	close(fd);
	return error;
}

/* 1: the new file may be in place, and perhaps not for good; negative: the old one stands. */
static int replace(const struct zonefile *z, struct span text, struct err *e)
{
	int fd, error;

	unlink(z->fresh); /* of a run that was cut; the directory is ours */
	fd = open(z->fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_set(e, -errno, "%s: %s", z->fresh, strerror(errno));
	error = write_all(fd, text);
	close(fd);
	if (error == 0 && rename(z->fresh, z->path) < 0)
		error = -errno;
	if (error < 0) {
		unlink(z->fresh);
		return err_set(e, error, "%s: %s", z->path, strerror(-error));
	}
	error = sync_directory(z->directory);
	if (error < 0)
		err_set(e, error, "%s: %s", z->directory, strerror(-error));
	return error < 0 ? 1 : 0;
}

static void on_reloaded(void *arg, const struct publish_run *run)
{
	struct task *t = arg;

	t->run = NULL;
	switch (run->end) {
	case PUBLISH_RUN_EXITED:
		if (run->status == 0)
			publish_finish(&t->base, PUBLISH_APPLIED, "written and reloaded");
		else
			publish_finish(&t->base, PUBLISH_UNKNOWN,
				       "the file is written; the reload command gave status %d",
				       run->status);
		return;
	case PUBLISH_RUN_KILLED:
	case PUBLISH_RUN_FAILED:
		publish_finish(&t->base, PUBLISH_UNKNOWN,
			       "the file is written; the reload command: %s", run->words);
		return;
	}
}

static int change_file(const struct zonefile *z, const struct publish_change *c, struct err *e)
{
	struct buf old, fresh;
	int error;

	buf_init(&old, PUBLISH_ZONEFILE_MAX);
	buf_init(&fresh, PUBLISH_ZONEFILE_MAX);
	error = read_old(z->path, &old, e);
	if (error == 0)
		error = publish_zonefile_edit(buf_span(&old), c, &fresh, e);
	if (error == 0)
		error = replace(z, buf_span(&fresh), e);
	buf_done(&old);
	buf_done(&fresh);
	return error;
}

static void begin(struct publish_task *base)
{
	struct task *t = (struct task *)base;
	struct zonefile *z = (struct zonefile *)base->by;
	struct err e;
	int error = change_file(z, &base->change, &e);

	if (error == -EINVAL || error == -ESTALE || error == -EMSGSIZE || error == -EFBIG) {
		publish_finish_soon(base, PUBLISH_REFUSED, "%s: %s", z->path, e.text);
		return;
	}
	if (error != 0) {
		publish_finish_soon(base, error < 0 ? PUBLISH_NOT_SENT : PUBLISH_UNKNOWN, "%s",
				    e.text);
		return;
	}
	t->run = z->reload.start(z->reload.runner, span_of(NULL, 0), on_reloaded, t);
}

static void abandon(struct publish_task *base)
{
	struct task *t = (struct task *)base;
	struct zonefile *z = (struct zonefile *)base->by;

	if (t->run != NULL)
		z->reload.cancel(z->reload.runner, t->run);
}

static void done(struct publish *p)
{
	struct zonefile *z = (struct zonefile *)p;

	free(z->path);
	free(z->fresh);
	free(z->directory);
}

struct publish *publish_zonefile_new(struct io_loop *l, const char *path,
				     const struct publish_runner *reload)
{
	static const struct publish_ops ops = {
		.publisher_size = sizeof(struct zonefile),
		.task_size = sizeof(struct task),
		.begin = begin,
		.abandon = abandon,
		.done = done,
	};
	struct zonefile *z = (struct zonefile *)publish_new(&ops, l);
	const char *slash = strrchr(path, '/');

	z->path = xstrdup(path);
	require(asprintf(&z->fresh, "%s.new", path) > 0);
	z->directory = slash == NULL   ? xstrdup(".")
		       : slash == path ? xstrdup("/")
				       : xstrndup(path, (size_t)(slash - path));
	z->reload = *reload;
	return &z->base;
}
