/* Bodies: those in files on their way in, and both kinds on their way out. */
#include "edge/store/sqlite_engine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

bool store_sqlite_is_scarce(const struct store_engine *e)
{
	struct statvfs v;

	if (e->reserve == 0 || fstatvfs(e->large, &v) < 0)
		return false;
	return (uint64_t)v.f_bavail * v.f_frsize < e->reserve;
}

static int write_all(int fd, struct span s)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EDQUOT ? -ENOSPC : -errno;
		s = span_skip(s, (size_t)n);
	}
	return 0;
}

static int file_write(struct store_engine *e, struct store_file *f, struct span s)
{
	if (f->error < 0)
		return f->error;
	if (store_sqlite_is_scarce(e))
		f->error = -ENOSPC;
	if (f->error == 0 && f->fd < 0) {
		f->fd = openat(e->large, f->name.text,
			       O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
		f->error = f->fd < 0 ? -errno : 0;
	}
	if (f->error == 0)
		f->error = write_all(f->fd, s);
	if (f->error < 0 && f->error != -ENOSPC)
		f->error = -EIO;
	return f->error;
}

static void file_drop(struct store_engine *e, struct store_file *f)
{
	if (f->fd >= 0) {
		close(f->fd);
		unlinkat(e->large, f->name.text, 0);
	}
	free(f);
}

/* The bytes first, then the entry that leads to them; the row that names it comes after both. */
static int file_finish(struct store_engine *e, struct store_file *f)
{
	if (f->error < 0)
		return f->error;
	if (fsync(f->fd) < 0 || fsync(e->large) < 0)
		return errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EIO;
	close(f->fd);
	f->fd = -1;
	return 0;
}

void store_sqlite_file(struct store_engine *e, struct store_op *op)
{
	struct store_file *f = op->bytes.file;

	switch (op->kind) {
	case STORE_OP_FILE_WRITE:
		op->result = file_write(e, f, buf_span(&op->bytes.memory));
		break;
	case STORE_OP_FILE_DROP:
		file_drop(e, f);
		break;
	case STORE_OP_ENQUEUE:
	case STORE_OP_COMPLETE:
		if (op->result == 0)
			op->result = file_finish(e, f);
		if (op->result < 0) {
			file_drop(e, f);
			op->bytes.file = NULL;
		}
		break;
	case STORE_OP_HOPS:
	case STORE_OP_CLAIM:
	case STORE_OP_EXTEND:
	case STORE_OP_RELEASE:
	case STORE_OP_ACT:
	case STORE_OP_LIST:
	case STORE_OP_COUNT:
	case STORE_OP_BODY_OPEN:
	case STORE_OP_BODY_READ:
		base_require_failed("the files' worker's", __FILE__, __LINE__);
		break;
	}
}

/* A name that no message has: it was cut before its row, or after its row had gone. */
int store_sqlite_orphans(struct store_engine *e, struct err *err)
{
	int fd = openat(e->large, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	sqlite3_stmt *s = NULL;
	struct dirent *entry;
	int r;

	if (d == NULL) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return err_set(err, r, "queue in %s: large: %s", e->directory, strerror(-r));
	}
	r = sqlite3_prepare_v2(e->db, "SELECT 1 FROM message WHERE file=?", -1, &s, NULL);
	while (r == SQLITE_OK && (entry = readdir(d)) != NULL) {
		if (!store_id_is_valid(entry->d_name))
			continue;
		sqlite3_bind_text(s, 1, entry->d_name, -1, SQLITE_STATIC);
		r = sqlite3_step(s);
		if (r == SQLITE_DONE)
			unlinkat(e->large, entry->d_name, 0);
		r = r == SQLITE_ROW || r == SQLITE_DONE ? SQLITE_OK : r;
		sqlite3_reset(s);
	}
	if (r != SQLITE_OK)
		err_set(err, -EIO, "queue in %s: %s", e->directory, sqlite3_errmsg(e->db));
	sqlite3_finalize(s);
	closedir(d);
	return r == SQLITE_OK ? 0 : -EIO;
}

/* -------- out */

static int open_file(struct store_engine *e, struct store_reading *r, const char *name)
{
	struct stat st;

	r->fd = openat(e->large, name, O_RDONLY | O_CLOEXEC);
	/* Its row may have gone since. */
	if (r->fd < 0)
		return errno == ENOENT ? -ENOENT : -EIO;
	if (fstat(r->fd, &st) < 0 || (uint64_t)st.st_size != r->size)
		return -EIO;
	return 0;
}

int store_sqlite_body_open(struct store_engine *e, struct store_op *op)
{
	struct store_reading *r = xcalloc(1, sizeof(*r));
	sqlite3_stmt *s = e->read_body;
	int code, result = -ENOENT;

	r->fd = -1;
	op->reading = r;
	sqlite3_bind_int64(s, 1, store_message_of((int64_t)op->key));
	code = sqlite3_step(s);
	if (code == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(s, 1);
		size_t n = (size_t)sqlite3_column_bytes(s, 2);

		r->size = (uint64_t)sqlite3_column_int64(s, 0);
		result = 0;
		if (name != NULL) {
			result = open_file(e, r, name);
		} else if (n != r->size) {
			result = -EIO;
		} else {
			r->window = xmalloc(n);
			r->n = n;
			if (n > 0)
				memcpy(r->window, sqlite3_column_blob(s, 2), n);
		}
	} else if (code != SQLITE_DONE) {
		result = -EIO;
	}
	sqlite3_reset(s);
	if (result < 0) {
		if (r->fd >= 0)
			close(r->fd);
		free(r);
		op->reading = NULL;
	}
	return result;
}

/* The reading is the reader's while this runs. */
int store_sqlite_body_read(struct store_op *op)
{
	struct store_reading *r = op->reading;
	ssize_t n;

	if (r->fd < 0)
		return 0;
	if (r->window == NULL)
		r->window = xmalloc(STORE_BODY_MEMORY);
	do
		n = pread(r->fd, r->window, STORE_BODY_MEMORY, (off_t)op->offset);
	while (n < 0 && errno == EINTR);
	r->offset = op->offset;
	r->n = n > 0 ? (size_t)n : 0;
	if (n < 0 || (n == 0 && op->offset < r->size))
		return -EIO;
	return 0;
}
