#include "edge/store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/io/log.h"
#include "edge/store/sqlite_engine.h"

enum {
	CHECKPOINT_PAGES = 1000,   /* of the log: then it is moved into the database */
	LOG_PAGES_MAX = 16 * 1024, /* then it is cut, waiting for readers */
	FREE_PAGES =
		16 * 1024, /* of the database: what is above is given back, so many at a time: */
	FREE_STEP = 256,
	RETRY_SECONDS = 2,
};

/*
 * A message's parcels have the keys num << 13 | 0, 1, ...: no index leads from the one to the
 * other. hop.due is never later than the first of its ready parcels; it is put right when it is
 * past and no parcel is due (store_hop_mend), so that a busy hop does not write it for each
 * message.
 */
static const char schema_1[] =
	"CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"INSERT INTO meta VALUES('epoch', 0);"
	"CREATE TABLE message("
	"  num INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, sender TEXT NOT NULL,"
	"  arrived INTEGER NOT NULL, flags INTEGER NOT NULL, ret INTEGER NOT NULL, envid TEXT,"
	"  origin TEXT, size INTEGER NOT NULL, parcels INTEGER NOT NULL, file TEXT) STRICT;"
	"CREATE INDEX message_file ON message(file) WHERE file IS NOT NULL;"
	"CREATE TABLE body(message INTEGER PRIMARY KEY, octets BLOB NOT NULL) STRICT;"
	"CREATE TABLE hop(num INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
	"  due INTEGER NOT NULL) STRICT;"
	"CREATE INDEX hop_due ON hop(due);"
	"CREATE TABLE parcel("
	"  num INTEGER PRIMARY KEY, hop INTEGER NOT NULL, state INTEGER NOT NULL,"
	"  due INTEGER NOT NULL, last INTEGER NOT NULL, attempts INTEGER NOT NULL,"
	"  evidence TEXT) STRICT;"
	"CREATE INDEX parcel_hop ON parcel(hop, state, due);"
	"CREATE TABLE recipient("
	"  parcel INTEGER NOT NULL, n INTEGER NOT NULL, path TEXT NOT NULL, notify INTEGER NOT "
	"NULL,"
	"  orcpt TEXT, state INTEGER NOT NULL, noticed INTEGER NOT NULL, status TEXT, reply TEXT,"
	"  detail TEXT, PRIMARY KEY(parcel, n)) STRICT, WITHOUT ROWID;"
	"PRAGMA user_version=1;";

/* From version i to i + 1. */
static const char *const migrations[STORE_SCHEMA] = {schema_1};

#define RECIPIENT_SQL                                                                              \
	"SELECT path, notify, orcpt, state, noticed, status, reply, detail FROM recipient"         \
	" WHERE parcel=? ORDER BY n"
#define NOT_LEASED "NOT EXISTS(SELECT 1 FROM lease l WHERE l.parcel=p.num AND l.until>?2)"

static const char *const text[SQL_COUNT] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ADD_MESSAGE] = "INSERT INTO message VALUES(?,?,?,?,?,?,?,?,?,?,?)"
			    " ON CONFLICT(id) DO NOTHING",
	[SQL_ADD_BODY] = "INSERT INTO body VALUES(?,?)",
	[SQL_FIND_HOP] = "SELECT num, due FROM hop WHERE name=?",
	[SQL_ADD_HOP] = "INSERT INTO hop(name, due) VALUES(?,?)",
	[SQL_ADD_PARCEL] = "INSERT INTO parcel VALUES(?,?,0,?,0,0,NULL)",
	[SQL_ADD_RECIPIENT] = "INSERT INTO recipient VALUES(?,?,?,?,?,0,0,NULL,NULL,NULL)",
	[SQL_HOP_DUE] = "UPDATE hop SET due=?2 WHERE num=?1",
	[SQL_HOP_GET] = "SELECT due FROM hop WHERE num=?",
	[SQL_HOP_FIRST] = "SELECT due FROM parcel WHERE hop=? AND state=0 ORDER BY due LIMIT 1",
	[SQL_HOP_ANY] = "SELECT 1 FROM parcel WHERE hop=? LIMIT 1",
	[SQL_HOP_DROP] = "DELETE FROM hop WHERE num=?",
	[SQL_HOPS] = "SELECT h.name, h.due FROM hop h WHERE h.due<=?2 AND ("
		     " NOT EXISTS(SELECT 1 FROM lease x WHERE x.hop=h.num) OR EXISTS("
		     " SELECT 1 FROM parcel p WHERE p.hop=h.num AND p.state=0 AND p.due<=?2 "
		     "AND " NOT_LEASED ")) ORDER BY h.due LIMIT ?1 OFFSET ?3",
	[SQL_NEXT_DUE] = "SELECT due FROM hop WHERE due>? ORDER BY due LIMIT 1",
	[SQL_CLAIM] =
		"SELECT " STORE_PARCEL_COLUMNS ", p.hop FROM parcel p JOIN hop h ON h.num=p.hop"
		" JOIN message m ON m.num=p.num>>13 WHERE p.hop=?1 AND p.state=0 AND"
		" p.due<=?2 AND " NOT_LEASED " ORDER BY p.due LIMIT ?3",
	[SQL_TAKE] = "SELECT " STORE_PARCEL_COLUMNS ", p.hop FROM parcel p"
		     " JOIN hop h ON h.num=p.hop JOIN message m ON m.num=p.num>>13"
		     " WHERE p.num=?1 AND " NOT_LEASED,
	[SQL_RECIPIENTS] = RECIPIENT_SQL,
	[SQL_LEASE_ADD] = "INSERT OR REPLACE INTO lease VALUES(?,?,?,?)",
	[SQL_LEASE_GET] = "SELECT fence FROM lease WHERE parcel=?",
	[SQL_LEASE_UNTIL] = "UPDATE lease SET until=?2 WHERE parcel=?1",
	[SQL_LEASE_DROP] = "DELETE FROM lease WHERE parcel=?",
	[SQL_SETTLE] =
		"UPDATE recipient SET state=?3, noticed=max(noticed,?4), status=?5, reply=?6,"
		" detail=?7 WHERE parcel=?1 AND n=?2 AND state=0",
	[SQL_OPEN_LEFT] = "SELECT 1 FROM recipient WHERE parcel=? AND state=0 LIMIT 1",
	[SQL_DEFER] = "UPDATE parcel SET due=?2, last=?3, attempts=attempts+1, evidence=?4"
		      " WHERE num=?1",
	[SQL_PARCEL_HOP] = "SELECT hop FROM parcel WHERE num=?",
	[SQL_DROP_RECIPIENTS] = "DELETE FROM recipient WHERE parcel=?",
	[SQL_DROP_PARCEL] = "DELETE FROM parcel WHERE num=?",
	[SQL_MESSAGE_GET] = "SELECT parcels, file FROM message WHERE num=?",
	[SQL_MESSAGE_LESS] = "UPDATE message SET parcels=parcels-1 WHERE num=?",
	[SQL_DROP_MESSAGE] = "DELETE FROM message WHERE num=?",
	[SQL_DROP_BODY] = "DELETE FROM body WHERE message=?",
	[SQL_FILE_ANY] = "SELECT 1 FROM message WHERE file=?",
	[SQL_SET_STATE] = "UPDATE parcel SET state=?2 WHERE num=?1",
	[SQL_SET_DUE] = "UPDATE parcel SET due=?2 WHERE num=?1",
};

int store_sql_error(sqlite3 *db, int code)
{
	int primary = code & 0xff;

	(void)db;
	if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE)
		return 0;
	if (primary == SQLITE_FULL)
		return -ENOSPC;
	return -EIO;
}

static void note(struct store_engine *e, int code)
{
	if (e->error == 0)
		e->error = store_sql_error(e->db, code);
}

void store_sql_reset(struct store_engine *e, enum store_sql n)
{
	sqlite3_reset(e->sql[n]);
}

static void bind_list(struct store_engine *e, enum store_sql n, const char *format, va_list ap)
{
	sqlite3_stmt *s = e->sql[n];

	sqlite3_reset(s);
	for (int i = 0; format[i] != '\0'; i++) {
		const struct buf *b;

		switch (format[i]) {
		case 'i':
			note(e, sqlite3_bind_int64(s, i + 1, va_arg(ap, int64_t)));
			break;
		case 't':
			note(e, sqlite3_bind_text(s, i + 1, va_arg(ap, const char *), -1,
						  SQLITE_STATIC));
			break;
		default:
			b = va_arg(ap, const struct buf *);
			note(e, b->n > 0 ? sqlite3_bind_blob64(s, i + 1, b->p, b->n, SQLITE_STATIC)
					 : sqlite3_bind_zeroblob(s, i + 1, 0));
			break;
		}
	}
}

bool store_sql_row(struct store_engine *e, enum store_sql n)
{
	int r;

	if (e->error < 0)
		return false;
	r = sqlite3_step(e->sql[n]);
	note(e, r);
	return r == SQLITE_ROW;
}

void store_sql_bind(struct store_engine *e, enum store_sql n, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	bind_list(e, n, format, ap);
	va_end(ap);
}

void store_sql_run(struct store_engine *e, enum store_sql n, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	bind_list(e, n, format, ap);
	va_end(ap);
	store_sql_row(e, n);
	sqlite3_reset(e->sql[n]);
}

/* -------- opening */

static int fail(struct err *err, sqlite3 *db, const char *directory, const char *what)
{
	int code = db == NULL ? SQLITE_NOMEM : sqlite3_errcode(db);

	return err_set(err, code == SQLITE_FULL ? -ENOSPC : -EIO, "queue in %s: %s: %s", directory,
		       what, db == NULL ? "out of memory" : sqlite3_errmsg(db));
}

static int64_t number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *s;
	int64_t n = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return n;
}

static int open_database(struct store_engine *e, sqlite3 **ret, struct err *err)
{
	_cleanup_(freep) char *path = xmalloc(strlen(e->directory) + sizeof("/queue"));

	snprintf(path, strlen(e->directory) + sizeof("/queue"), "%s/queue", e->directory);
	/* One thread a connection: SQLite needs no lock of its own. */
	if (sqlite3_open_v2(path, ret,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK)
		return fail(err, *ret, e->directory, "open");
	sqlite3_extended_result_codes(*ret, 1);
	sqlite3_busy_timeout(*ret, 5000);
	return 0;
}

static int migrate(struct store_engine *e, struct err *err)
{
	int64_t version = number(e->db, "PRAGMA user_version");

	if (version < 0 && sqlite3_errcode(e->db) != SQLITE_OK)
		return fail(err, e->db, e->directory, "read");
	if (version < 0 || version > STORE_SCHEMA)
		return err_set(err, -EPROTO,
			       "queue in %s: written by %s version (schema %d, known here: %d)",
			       e->directory, version < 0 ? "no known" : "a newer", (int)version,
			       STORE_SCHEMA);
	for (; version < STORE_SCHEMA; version++)
		if (sqlite3_exec(e->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
		    sqlite3_exec(e->db, migrations[version], NULL, NULL, NULL) != SQLITE_OK ||
		    sqlite3_exec(e->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
			return fail(err, e->db, e->directory, "schema");
	return 0;
}

static int log_grew(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct store_engine *e = arg;

	(void)db;
	(void)name;
	e->wal_pages = pages;
	return SQLITE_OK;
}

/* 4 KiB pages and incremental vacuum: docs/decisions/0030. Both only act on a new database. */
static int open_writer(struct store_engine *e, struct err *err)
{
	int r = open_database(e, &e->db, err);
	int persist = 1;
	int64_t next;

	if (r < 0)
		return r;
	if (sqlite3_exec(
		    e->db,
		    "PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL;"
		    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;"
		    "PRAGMA cache_size=-16384; PRAGMA secure_delete=OFF;",
		    NULL, NULL, NULL) != SQLITE_OK)
		return fail(err, e->db, e->directory, "set up");
	/* The pragma says what it could do, not that it could not. */
	if (number(e->db, "SELECT journal_mode='wal' FROM pragma_journal_mode") != 1 ||
	    number(e->db, "PRAGMA synchronous") != 2)
		return err_set(err, -EIO,
			       "queue in %s: this file system cannot hold a write-ahead log",
			       e->directory);
	/* The log stays when we end: to remove and make it is more that can be cut in two. */
	sqlite3_file_control(e->db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
	r = migrate(e, err);
	if (r < 0)
		return r;
	if (sqlite3_exec(e->db,
			 "CREATE TEMP TABLE lease(parcel INTEGER PRIMARY KEY, hop INTEGER,"
			 " fence INTEGER, until INTEGER);"
			 "CREATE INDEX temp.lease_hop ON lease(hop);"
			 "UPDATE meta SET value=value+1 WHERE name='epoch'",
			 NULL, NULL, NULL) != SQLITE_OK)
		return fail(err, e->db, e->directory, "set up");
	for (int i = 0; i < SQL_COUNT; i++)
		if (sqlite3_prepare_v3(e->db, text[i], -1, SQLITE_PREPARE_PERSISTENT, &e->sql[i],
				       NULL) != SQLITE_OK)
			return fail(err, e->db, e->directory, "prepare");
	/* Never again a fence of an earlier life. */
	e->fence = (uint64_t)number(e->db, "SELECT value FROM meta WHERE name='epoch'") << 32;
	/*
	 * Nor a message's number, for as long as somebody may hold the key of one that is gone: he
	 * would read another's body by it.
	 */
	next = number(e->db, "SELECT ifnull(max(num), 0) + 1 FROM message");
	if (next > e->next_message)
		e->next_message = next;
	/* We do it ourselves, after the answers are out. */
	sqlite3_wal_autocheckpoint(e->db, 0);
	sqlite3_wal_hook(e->db, log_grew, e);
	return 0;
}

static void close_writer(struct store_engine *e)
{
	for (int i = 0; i < SQL_COUNT; i++) {
		sqlite3_finalize(e->sql[i]);
		e->sql[i] = NULL;
	}
	sqlite3_close(e->db);
	e->db = NULL;
}

static int open_reader(struct store_engine *e, struct err *err)
{
	int r = open_database(e, &e->reader, err);

	if (r < 0)
		return r;
	if (sqlite3_exec(e->reader, "PRAGMA query_only=1; PRAGMA cache_size=-8192", NULL, NULL,
			 NULL) != SQLITE_OK ||
	    sqlite3_prepare_v3(e->reader, RECIPIENT_SQL, -1, SQLITE_PREPARE_PERSISTENT,
			       &e->read_recipients, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v3(e->reader,
			       "SELECT m.size, m.file, b.octets FROM message m LEFT JOIN body b ON"
			       " b.message=m.num WHERE m.num=?",
			       -1, SQLITE_PREPARE_PERSISTENT, &e->read_body, NULL) != SQLITE_OK)
		return fail(err, e->reader, e->directory, "set up");
	return 0;
}

static int sync_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return r;
}

/* Directories and the lock. */
static int open_directory(struct store_engine *e, struct err *err)
{
	const char *d = e->directory;
	_cleanup_(freep) char *up = xmalloc(strlen(d) + sizeof("/.."));
	int fd, r;

	if (mkdir(d, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "queue in %s: %s", d, strerror(errno));
	fd = open(d, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "queue in %s: %s", d, strerror(errno));
	e->lock = openat(fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	r = e->lock < 0 || flock(e->lock, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
	/* SQLite would leave its mode to the umask; its log gets the mode of the database. */
	if (r == 0) {
		int queue = openat(fd, "queue", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

		r = queue < 0 || fchmod(queue, 0600) < 0 ? -errno : 0;
		if (queue >= 0)
			close(queue);
	}
	if (r == 0 && mkdirat(fd, "large", 0700) < 0 && errno != EEXIST)
		r = -errno;
	if (r == 0) {
		e->large = openat(fd, "large", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (e->large < 0)
			r = -errno;
	}
	close(fd);
	if (r == -EWOULDBLOCK)
		return err_set(err, -EBUSY, "queue in %s: another process has it (lock)", d);
	snprintf(up, strlen(d) + sizeof("/.."), "%s/..", d);
	if (r == 0)
		r = sync_directory(up);
	return r < 0 ? err_set(err, r, "queue in %s: %s", d, strerror(-r)) : 0;
}

void store_sqlite_close(struct store_engine *e)
{
	if (e == NULL)
		return;
	sqlite3_finalize(e->read_recipients);
	sqlite3_finalize(e->read_body);
	sqlite3_close(e->reader);
	close_writer(e);
	if (e->large >= 0)
		close(e->large);
	if (e->lock >= 0)
		close(e->lock);
	free(e->leases);
	free(e->directory);
	free(e);
}

int store_sqlite_open(const struct store_options *o, struct store_engine **ret, struct err *err)
{
	struct store_engine *e = xcalloc(1, sizeof(*e));
	int r;

	e->directory = xstrdup(o->directory);
	e->reserve = o->reserve;
	e->lock = e->large = -1;
	r = open_directory(e, err);
	if (r == 0)
		r = open_writer(e, err);
	if (r == 0)
		r = open_reader(e, err);
	/* SQLite synchronizes the entry of its log, not that of a new database. */
	if (r == 0) {
		r = sync_directory(o->directory);
		if (r < 0)
			err_set(err, r, "queue in %s: %s", o->directory, strerror(-r));
	}
	if (r == 0)
		r = store_sqlite_orphans(e, err);
	if (r < 0) {
		store_sqlite_close(e);
		return r;
	}
	*ret = e;
	return 0;
}

/* -------- one transaction for many */

/* Of the day's time nothing must depend: it may be set back. */
static usec_t monotonic(void)
{
	struct timespec t;

	require(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
	return usec_seconds(t.tv_sec) + t.tv_nsec / 1000;
}

/* Nothing that this connection believes is trusted after an I/O error: see reopen. */
static void break_down(struct store_engine *e, const char *why)
{
	/* Once for each reason, not at every try. */
	if (strcmp(e->why, why) != 0) {
		snprintf(e->why, sizeof(e->why), "%s", why);
		IO_LOG(IO_LOG_ERROR, NULL, "queue_broken", {"directory", e->directory},
		       {"why", e->why});
	}
	atomic_store(&e->broken, true);
	e->retry_at = usec_add(monotonic(), usec_seconds(RETRY_SECONDS));
}

static void undo(struct store_engine *e)
{
	for (int i = 0; i < SQL_COUNT; i++)
		sqlite3_reset(e->sql[i]);
	/* Some errors have rolled back already. */
	if (!sqlite3_get_autocommit(e->db) &&
	    sqlite3_exec(e->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
		break_down(e, sqlite3_errmsg(e->db));
}

static size_t save_leases(struct store_engine *e, struct store_lease **ret)
{
	sqlite3_stmt *s = NULL;
	size_t n = 0, room = 0;

	*ret = NULL;
	if (e->db == NULL ||
	    sqlite3_prepare_v2(e->db, "SELECT parcel, hop, fence, until FROM lease", -1, &s,
			       NULL) != SQLITE_OK)
		return 0;
	while (sqlite3_step(s) == SQLITE_ROW) {
		if (n == room) {
			room = room > 0 ? room * 2 : 64;
			*ret = xrealloc(*ret, room * sizeof(**ret));
		}
		(*ret)[n++] = (struct store_lease){
			sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1),
			sqlite3_column_int64(s, 2), sqlite3_column_int64(s, 3)};
	}
	sqlite3_finalize(s);
	return n;
}

static void settle_doubts(struct store_engine *e)
{
	for (size_t i = 0; i < e->n_doubtful; i++) {
		const char *name = e->doubtful[i].text;

		store_sql_bind(e, SQL_FILE_ANY, "t", name);
		if (!store_sql_row(e, SQL_FILE_ANY) && e->error == 0)
			unlinkat(e->large, name, 0);
		store_sql_reset(e, SQL_FILE_ANY);
	}
	e->n_doubtful = 0;
}

/*
 * After an I/O error. A page of a failed fsync may be marked clean in the page cache and yet not be
 * on the disk, so a second fsync would prove nothing: the whole log is written into the database
 * and fsynced anew, and the database is checked, before anything is promised again.
 */
static int reopen(struct store_engine *e)
{
	struct err err = {.text = ""};
	int r;

	if (e->leases == NULL)
		e->n_leases = save_leases(e, &e->leases);
	close_writer(e);
	e->error = 0;
	r = open_writer(e, &err);
	if (r == 0 && sqlite3_wal_checkpoint_v2(e->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
						NULL) != SQLITE_OK)
		r = fail(&err, e->db, e->directory, "log");
	if (r == 0 && number(e->db, "SELECT count(*) FROM pragma_quick_check(1)"
				    " WHERE quick_check<>'ok'") != 0)
		r = err_set(&err, -EIO, "queue in %s: the database is damaged", e->directory);
	for (size_t i = 0; r == 0 && i < e->n_leases; i++) {
		const struct store_lease *l = &e->leases[i];

		store_sql_run(e, SQL_LEASE_ADD, "iiii", l->parcel, l->hop, l->fence, l->until);
		r = e->error;
		if (r < 0)
			fail(&err, e->db, e->directory, "leases");
	}
	if (r < 0) {
		break_down(e, err.text);
		return r;
	}
	free(TAKE(e->leases));
	settle_doubts(e);
	e->why[0] = '\0';
	IO_LOG(IO_LOG_WARNING, NULL, "queue_checked", {"directory", e->directory});
	atomic_store(&e->broken, false);
	return 0;
}

/* The result of all is set; what was done is on the disk or undone. 0, or why all was undone. */
static int transact(struct store_engine *e, struct store_op *first, const struct store_op *end)
{
	char why[sizeof(e->why)];

	e->error = 0;
	store_sql_run(e, SQL_BEGIN, "");
	for (struct store_op *op = first; op != end && e->error == 0; op = op->next) {
		op->result = 0;
		op->n_unlink = 0;
		op->again = false;
		store_change(e, op);
	}
	if (e->error == 0)
		store_sql_run(e, SQL_COMMIT, "");
	if (e->error == 0) {
		atomic_fetch_add(&e->groups, 1);
		return 0;
	}
	snprintf(why, sizeof(why), "%s", sqlite3_errmsg(e->db));
	undo(e);
	if (e->error != -ENOSPC)
		break_down(e, why);
	return e->error;
}

static void refuse(struct store_op *op, int error)
{
	op->result = error;
	op->again = false;
	op->n_unlink = 0;
}

/*
 * The body files of what was refused: they must not keep the room that is missing. After an I/O
 * error the commit may have come through all the same; then reopen() looks.
 */
static void drop_files(struct store_engine *e, struct store_op *first, bool tried)
{
	for (struct store_op *op = first; op != NULL; op = op->next) {
		if (op->result >= 0 || op->bytes.file == NULL)
			continue;
		if (!tried || op->result != -EIO)
			unlinkat(e->large, op->bytes.file->name.text, 0);
		else if (e->n_doubtful < STORE_GROUP_MAX) /* always: reopen() empties it */
			e->doubtful[e->n_doubtful++] = op->bytes.file->name;
	}
}

/* One change that fills the disk must not take the others with it: then each has its own try. */
static void transact_group(struct store_engine *e, struct store_op *first)
{
	int r = transact(e, first, NULL);

	if (r == 0)
		return;
	for (struct store_op *op = first; op != NULL; op = op->next) {
		if (atomic_load(&e->broken))
			r = -EIO;
		else if (first->next != NULL)
			r = transact(e, op, op->next);
		if (r < 0)
			refuse(op, r);
	}
}

static struct store_op *cut_group(struct store_op **list)
{
	struct store_op *first = *list, *op = first;
	size_t octets = op->bytes.memory.n;

	for (int n = 1; op->next != NULL && n < STORE_GROUP_MAX; n++) {
		octets += op->next->bytes.memory.n;
		if (octets > STORE_GROUP_OCTETS)
			break;
		op = op->next;
	}
	*list = op->next;
	op->next = NULL;
	return first;
}

struct store_op *store_sqlite_write(struct store_engine *e, struct store_op **list)
{
	struct store_op *first = cut_group(list);

	if (atomic_load(&e->broken) && (monotonic() < e->retry_at || reopen(e) < 0)) {
		for (struct store_op *op = first; op != NULL; op = op->next)
			refuse(op, -EIO);
		drop_files(e, first, false);
		return first;
	}
	e->scarce = store_sqlite_is_scarce(e);
	transact_group(e, first);
	drop_files(e, first, true);
	for (struct store_op *op = first; op != NULL; op = op->next) {
		atomic_fetch_add(&e->changes, 1);
		if (op->kind == STORE_OP_ACT && op->result >= 0) {
			op->key = op->slice_key;
			op->done = op->slice_done;
		}
		for (size_t i = 0; i < op->n_unlink; i++)
			unlinkat(e->large, op->unlink[i], 0);
	}
	return first;
}

static int give_back(struct store_engine *e)
{
	char sql[60];

	snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%d)", FREE_STEP);
	return sqlite3_exec(e->db, sql, NULL, NULL, NULL);
}

void store_sqlite_tidy(struct store_engine *e)
{
	int mode = e->wal_pages > LOG_PAGES_MAX ? SQLITE_CHECKPOINT_TRUNCATE
						: SQLITE_CHECKPOINT_PASSIVE;
	int r;

	/* Where room is scarce the log must not grow: emptied, it is written from its start again.
	 */
	if (e->wal_pages < (e->scarce ? 1 : CHECKPOINT_PAGES) || atomic_load(&e->broken))
		return;
	r = sqlite3_wal_checkpoint_v2(e->db, NULL, mode, NULL, NULL);
	e->wal_pages = 0;
	if (r == SQLITE_OK && number(e->db, "PRAGMA freelist_count") > FREE_PAGES)
		r = give_back(e);
	if (r != SQLITE_OK && (r & 0xff) != SQLITE_BUSY && (r & 0xff) != SQLITE_FULL)
		break_down(e, sqlite3_errmsg(e->db));
}

struct store_stats store_sqlite_stats(const struct store_engine *e)
{
	return (struct store_stats){.groups = atomic_load(&e->groups),
				    .changes = atomic_load(&e->changes),
				    .broken = atomic_load(&e->broken)};
}
