/*
 * The engine on one SQLite database, and files beside it for large bodies.
 *
 *	DIR/lock       held (flock) while a process has the queue
 *	DIR/queue      the database; queue-wal and queue-shm are SQLite's
 *	DIR/large/ID   a body above STORE_BODY_MEMORY; at the start a name that
 *			no message has is removed
 *
 * WAL and synchronous=FULL: a commit is one fsync of the log. Leases are in a temporary table in
 * memory: only this process can have any, and they die with it, so that a claim costs no fsync.
 * Which thread calls what is said at each function; nothing is shared between them but the files.
 */
#pragma once

#include "base/err.h"
#include "edge/store/store.h"

struct store_engine;
struct store_op;

enum {
	STORE_SCHEMA = 1,
	STORE_GROUP_MAX = 512,                  /* changes in a transaction */
	STORE_GROUP_OCTETS = 8 * 1024 * 1024,   /* bodies in it */
	STORE_ANSWER_OCTETS = 16 * 1024 * 1024, /* a list is cut there */
	STORE_SLICE = 2000,                     /* parcels an action touches in a transaction */
};

/* Before the threads. -EBUSY: another process has it; -EPROTO: made by a newer version. */
int store_sqlite_open(const struct store_options *o, struct store_engine **ret, struct err *e)
	_mustcheck_;
/* After the threads. */
void store_sqlite_close(struct store_engine *e);

/*
 * The writer: takes the first changes off `list`, does them in one transaction and returns them
 * when that is on the disk.
 */
struct store_op *store_sqlite_write(struct store_engine *e, struct store_op **list);
/* The writer, when answers are out: moves the log into the database. */
void store_sqlite_tidy(struct store_engine *e);
/* The reader. */
void store_sqlite_read(struct store_engine *e, struct store_op *op);
/* The files' worker. */
void store_sqlite_file(struct store_engine *e, struct store_op *op);
/* Any thread. */
struct store_stats store_sqlite_stats(const struct store_engine *e);
