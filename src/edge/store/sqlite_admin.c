/* What administrators and metrics ask, and actions on many parcels. */
#include "edge/store/sqlite_engine.h"

#include <errno.h>
#include <string.h>

static const char *text_column(sqlite3_stmt *row, int i, struct arena *a)
{
	const char *s = (const char *)sqlite3_column_text(row, i);

	return s == NULL ? NULL : arena_strdup(a, s);
}

void store_parcel_row(sqlite3_stmt *row, struct arena *a, struct store_parcel *ret)
{
	const char *id = (const char *)sqlite3_column_text(row, 7);

	*ret = (struct store_parcel){
		.key = (uint64_t)sqlite3_column_int64(row, 0),
		.state = sqlite3_column_int64(row, 1) == STORE_HELD ? STORE_HELD : STORE_READY,
		.due = sqlite3_column_int64(row, 2),
		.last = sqlite3_column_int64(row, 3),
		.attempts = (unsigned)sqlite3_column_int64(row, 4),
		.evidence = text_column(row, 5, a),
		.hop = text_column(row, 6, a),
		.message =
			{
				.from = text_column(row, 8, a),
				.arrived = sqlite3_column_int64(row, 9),
				.flags = (unsigned)sqlite3_column_int64(row, 10),
				.ret = (enum store_ret)sqlite3_column_int64(row, 11),
				.envid = text_column(row, 12, a),
				.origin = text_column(row, 13, a),
				.size = (uint64_t)sqlite3_column_int64(row, 14),
			},
	};
	if (id != NULL)
		snprintf(ret->message.id.text, sizeof(ret->message.id.text), "%s", id);
}

int store_parcel_recipients(sqlite3_stmt *rows, struct arena *a, struct store_parcel *p)
{
	size_t n = 0, room = 0;
	struct store_recipient *list = NULL;
	int r;

	while ((r = sqlite3_step(rows)) == SQLITE_ROW) {
		if (n == room) {
			room = room > 0 ? room * 2 : 1;
			list = xrealloc(list, room * sizeof(*list));
		}
		list[n++] = (struct store_recipient){
			.path = text_column(rows, 0, a),
			.hop = p->hop,
			.notify = (unsigned)sqlite3_column_int64(rows, 1),
			.orcpt = text_column(rows, 2, a),
			.state = (enum store_state)sqlite3_column_int64(rows, 3),
			.delay_noticed = sqlite3_column_int64(rows, 4) != 0,
			.status = text_column(rows, 5, a),
			.reply = text_column(rows, 6, a),
			.detail = text_column(rows, 7, a),
		};
	}
	p->message.n_recipients = n;
	if (n > 0) {
		struct store_recipient *kept = arena_calloc(a, n, sizeof(*kept));

		memcpy(kept, list, n * sizeof(*kept));
		p->message.recipients = kept;
	}
	free(list);
	return r;
}

/* -------- filters */

/* `columns` of the parcels that fit, in order of key, those after ?1, ?2 of them at most. */
static sqlite3_stmt *select_parcels(sqlite3 *db, const char *columns, const struct store_filter *f,
				    int64_t after, int64_t max)
{
	sqlite3_stmt *s = NULL;
	char sql[1024];

	snprintf(sql, sizeof(sql),
		 "SELECT %s FROM parcel p JOIN hop h ON h.num=p.hop JOIN message m ON"
		 " m.num=p.num>>13 WHERE p.num>?1%s%s%s%s%s%s ORDER BY p.num LIMIT ?2",
		 columns,
		 f->id != NULL ? " AND p.num>=(SELECT num<<13 FROM message WHERE id=?3)"
				 " AND p.num<(SELECT (num+1)<<13 FROM message WHERE id=?3)"
			       : "",
		 f->hop != NULL ? " AND p.hop=(SELECT num FROM hop WHERE name=?4)" : "",
		 f->from != NULL ? " AND m.sender=?5" : "",
		 f->domain != NULL
			 ? " AND EXISTS(SELECT 1 FROM recipient r WHERE r.parcel=p.num AND"
			   " lower(substr(r.path, -length(?6)-1))='@'||lower(?6))"
			 : "",
		 f->arrived_before > 0 ? " AND m.arrived<?7" : "",
		 f->held_only ? " AND p.state=1" : "");
	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
		return NULL;
	sqlite3_bind_int64(s, 1, after);
	sqlite3_bind_int64(s, 2, max);
	/* Parameters that the text does not have are refused, which does not matter. */
	sqlite3_bind_text(s, 3, f->id, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 4, f->hop, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 5, f->from, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 6, f->domain, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 7, f->arrived_before);
	return s;
}

struct target {
	int64_t parcel, hop;
};

static void act_on(struct store_engine *e, struct store_op *op, struct target t)
{
	switch (op->action) {
	case STORE_HOLD:
		store_sql_run(e, SQL_SET_STATE, "ii", t.parcel, (int64_t)STORE_HELD);
		break;
	case STORE_UNHOLD:
		store_sql_run(e, SQL_SET_STATE, "ii", t.parcel, (int64_t)STORE_READY);
		break;
	case STORE_RETRY:
		store_sql_run(e, SQL_SET_DUE, "ii", t.parcel, op->now);
		break;
	case STORE_REMOVE:
		store_parcel_drop(e, op, t.parcel, t.hop, op->now);
		return;
	}
	store_hop_mend(e, t.hop, op->now);
}

/* A slice; op->key is the last parcel of the one before. */
void store_change_act(struct store_engine *e, struct store_op *op)
{
	struct target *list = arena_calloc(&op->arena, STORE_SLICE, sizeof(*list));
	sqlite3_stmt *s =
		select_parcels(e->db, "p.num, p.hop", &op->filter, (int64_t)op->key, STORE_SLICE);
	size_t n = 0;
	int r = SQLITE_ERROR;

	while (s != NULL && (r = sqlite3_step(s)) == SQLITE_ROW)
		list[n++] = (struct target){sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1)};
	sqlite3_finalize(s);
	if (r != SQLITE_DONE && e->error == 0)
		e->error = store_sql_error(e->db, r);
	for (size_t i = 0; i < n; i++)
		act_on(e, op, list[i]);
	op->slice_done = op->done + n;
	op->slice_key = n > 0 ? (uint64_t)list[n - 1].parcel : op->key;
	op->again = n == STORE_SLICE;
	op->result = op->slice_done < INT32_MAX ? (int)op->slice_done : INT32_MAX;
}

/* -------- the reader's */

static int list(struct store_engine *e, struct store_op *op)
{
	sqlite3_stmt *s = select_parcels(e->reader, STORE_PARCEL_COLUMNS, &op->filter,
					 (int64_t)op->key, (int64_t)op->max);
	int r = s == NULL ? SQLITE_ERROR : SQLITE_DONE;

	op->parcels = arena_calloc(&op->arena, op->max, sizeof(*op->parcels));
	while (s != NULL && op->n < op->max && op->arena.used < STORE_ANSWER_OCTETS &&
	       (r = sqlite3_step(s)) == SQLITE_ROW) {
		struct store_parcel *p = &op->parcels[op->n++];

		store_parcel_row(s, &op->arena, p);
		sqlite3_reset(e->read_recipients);
		sqlite3_bind_int64(e->read_recipients, 1, (int64_t)p->key);
		r = store_parcel_recipients(e->read_recipients, &op->arena, p);
		sqlite3_reset(e->read_recipients);
		if (r != SQLITE_DONE)
			break;
	}
	sqlite3_finalize(s);
	return store_sql_error(e->reader, r);
}

/* 0 and the number, or SQLite's error. */
static int count_one(sqlite3 *db, const char *sql, usec_t now, const char *from, const char *to,
		     uint64_t *ret)
{
	sqlite3_stmt *s = NULL;
	int r = sqlite3_prepare_v2(db, sql, -1, &s, NULL);

	if (r == SQLITE_OK) {
		sqlite3_bind_int64(s, 1, now);
		sqlite3_bind_text(s, 2, from, -1, SQLITE_STATIC);
		sqlite3_bind_text(s, 3, to, -1, SQLITE_STATIC);
		r = sqlite3_step(s);
		if (r == SQLITE_ROW)
			*ret = (uint64_t)sqlite3_column_int64(s, 0);
	}
	sqlite3_finalize(s);
	return store_sql_error(db, r);
}

/* Ages from the ids, which sort by time: an index that is there in any case. */
static int count(struct store_engine *e, struct store_op *op)
{
	static const int64_t older_s[STORE_AGES] = {60, 600, 3600, 86400, 5 * 86400, INT32_MAX};
	struct store_counts *c = &op->counts;
	struct store_id to = {.text = "~"};
	int r = count_one(e->reader, "SELECT count(*) FROM hop", 0, NULL, NULL, &c->hops);

	for (int i = 0; i < STORE_AGES && r == 0; i++) {
		struct store_id from = store_id_first(op->now - usec_seconds(older_s[i]));

		r = count_one(e->reader, "SELECT count(*) FROM message WHERE id>=?2 AND id<?3", 0,
			      from.text, to.text, &c->by_age[i]);
		c->messages += c->by_age[i];
		to = from;
	}
	if (r == 0)
		r = count_one(e->reader, "SELECT count(*) FROM parcel WHERE state=0 AND due<=?1",
			      op->now, NULL, NULL, &c->due);
	if (r == 0)
		r = count_one(e->reader, "SELECT count(*) FROM parcel WHERE state=0 AND due>?1",
			      op->now, NULL, NULL, &c->waiting);
	if (r == 0)
		r = count_one(e->reader, "SELECT count(*) FROM parcel WHERE state=1", 0, NULL, NULL,
			      &c->held);
	return r;
}

void store_sqlite_read(struct store_engine *e, struct store_op *op)
{
	if (op->result < 0)
		return; /* refused before it came here */
	if (op->kind == STORE_OP_LIST)
		op->result = list(e, op);
	else if (op->kind == STORE_OP_COUNT)
		op->result = count(e, op);
	else if (op->kind == STORE_OP_BODY_OPEN)
		op->result = store_sqlite_body_open(e, op);
	else if (op->kind == STORE_OP_BODY_READ)
		op->result = store_sqlite_body_read(op);
	else
		base_require_failed("the reader's", __FILE__, __LINE__);
}
