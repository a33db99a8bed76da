/* Shared by the files of the SQLite engine, and nobody else. */
#pragma once

#include <sqlite3.h>
#include <stdatomic.h>

#include "edge/store/internal.h"
#include "edge/store/sqlite.h"

/* Statements of the writer; their text is in sqlite.c. */
enum store_sql {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ADD_MESSAGE,
	SQL_ADD_BODY,
	SQL_FIND_HOP,
	SQL_ADD_HOP,
	SQL_ADD_PARCEL,
	SQL_ADD_RECIPIENT,
	SQL_HOP_DUE,
	SQL_HOP_GET,
	SQL_HOP_FIRST,
	SQL_HOP_ANY,
	SQL_HOP_DROP,
	SQL_HOPS,
	SQL_NEXT_DUE,
	SQL_CLAIM,
	SQL_TAKE,
	SQL_RECIPIENTS,
	SQL_LEASE_ADD,
	SQL_LEASE_GET,
	SQL_LEASE_UNTIL,
	SQL_LEASE_DROP,
	SQL_SETTLE,
	SQL_OPEN_LEFT,
	SQL_DEFER,
	SQL_PARCEL_HOP,
	SQL_DROP_RECIPIENTS,
	SQL_DROP_PARCEL,
	SQL_MESSAGE_GET,
	SQL_MESSAGE_LESS,
	SQL_DROP_MESSAGE,
	SQL_DROP_BODY,
	SQL_FILE_ANY,
	SQL_SET_STATE,
	SQL_SET_DUE,
	SQL_COUNT,
};

struct store_lease {
	int64_t parcel, hop, fence, until;
};

struct store_engine {
	char *directory;
	int lock;  /* flock */
	int large; /* the directory of body files */
	uint64_t reserve;
	/* The writer's. */
	sqlite3 *db;
	sqlite3_stmt *sql[SQL_COUNT];
	uint64_t fence;
	int64_t next_message;
	int error; /* the first in this transaction: nothing more is done in it */
	int wal_pages;
	bool scarce;                /* less than the reserve is free: no new messages */
	struct store_lease *leases; /* copies that outlive a broken connection */
	size_t n_leases;
	usec_t retry_at; /* broken: reopened from then on, CLOCK_MONOTONIC */
	char why[200];   /* it broke down last, as the log says; "": it has not */
	/* Body files whose rows may have been committed when the writer broke down. */
	struct store_id doubtful[STORE_GROUP_MAX];
	size_t n_doubtful;
	/* The reader's. */
	sqlite3 *reader;
	sqlite3_stmt *read_recipients, *read_body;
	/* Counters and state that others look at. */
	_Atomic uint64_t groups, changes;
	_Atomic bool broken;
};

/*
 * Steps. true: there is a row. false: the end, or an error, which is kept in e->error; then every
 * further call does nothing. A statement is reset by its first binding the next time, and by
 * store_sql_done.
 */
bool store_sql_row(struct store_engine *e, enum store_sql n);
/* Binds from the first parameter on: i int64, t text or NULL, b struct buf *. Resets before. */
void store_sql_bind(struct store_engine *e, enum store_sql n, const char *format, ...);
/* Bind and step to the end. */
void store_sql_run(struct store_engine *e, enum store_sql n, const char *format, ...);
void store_sql_reset(struct store_engine *e, enum store_sql n);

/* Negative errno for SQLite's code. */
int store_sql_error(sqlite3 *db, int code);

#define STORE_PARCEL_COLUMNS                                                                       \
	"p.num, p.state, p.due, p.last, p.attempts, p.evidence, h.name, m.id, m.sender, "          \
	"m.arrived, m.flags, m.ret, m.envid, m.origin, m.size"
/* A row of these columns; strings go to the arena. Recipients are left out. */
void store_parcel_row(sqlite3_stmt *row, struct arena *a, struct store_parcel *ret);
/* Rows of path, notify, orcpt, state, noticed, status, reply, detail. 0 or SQLite's error. */
int store_parcel_recipients(sqlite3_stmt *rows, struct arena *a, struct store_parcel *p);

/* sqlite_queue.c: one change. The result goes to op->result; errors of the disk to e->error. */
void store_change(struct store_engine *e, struct store_op *op);
/* sqlite_admin.c */
void store_change_act(struct store_engine *e, struct store_op *op);
int store_sqlite_body_open(struct store_engine *e, struct store_op *op) _mustcheck_;
int store_sqlite_body_read(struct store_op *op) _mustcheck_;
/* sqlite_file.c: less than the reserve is free. The writer and the files' worker. */
bool store_sqlite_is_scarce(const struct store_engine *e);
/* removes body files that no message has. */
int store_sqlite_orphans(struct store_engine *e, struct err *err) _mustcheck_;
void store_parcel_drop(struct store_engine *e, struct store_op *op, int64_t parcel, int64_t hop,
		       usec_t now);
void store_hop_mend(struct store_engine *e, int64_t hop, usec_t now);

static inline int64_t store_message_of(int64_t parcel)
{
	return parcel >> 13; /* a message has at most 5000 parcels */
}
