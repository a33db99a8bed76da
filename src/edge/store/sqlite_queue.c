/* The changes, inside the writer's transaction. */
#include "edge/store/sqlite_engine.h"

#include <errno.h>
#include <string.h>

static int64_t column(struct store_engine *e, enum store_sql n, int i)
{
	return sqlite3_column_int64(e->sql[n], i);
}

/* -------- hops */

/* hop.due is put right, and the hop goes with its last parcel. */
void store_hop_mend(struct store_engine *e, int64_t hop, usec_t now)
{
	usec_t old = USEC_NEVER, first = USEC_NEVER;
	bool any;

	store_sql_bind(e, SQL_HOP_GET, "i", hop);
	if (store_sql_row(e, SQL_HOP_GET))
		old = column(e, SQL_HOP_GET, 0);
	store_sql_reset(e, SQL_HOP_GET);
	store_sql_bind(e, SQL_HOP_FIRST, "i", hop);
	any = store_sql_row(e, SQL_HOP_FIRST);
	if (any)
		first = column(e, SQL_HOP_FIRST, 0);
	store_sql_reset(e, SQL_HOP_FIRST);
	if (!any) {
		/* Held ones? */
		store_sql_bind(e, SQL_HOP_ANY, "i", hop);
		any = store_sql_row(e, SQL_HOP_ANY);
		store_sql_reset(e, SQL_HOP_ANY);
	}
	if (!any)
		store_sql_run(e, SQL_HOP_DROP, "i", hop);
	else if (first < old || (old <= now && first > now))
		store_sql_run(e, SQL_HOP_DUE, "ii", hop, first);
}

static int64_t hop_number(struct store_engine *e, const char *name, usec_t due)
{
	int64_t hop;
	usec_t old;

	store_sql_bind(e, SQL_FIND_HOP, "t", name);
	if (store_sql_row(e, SQL_FIND_HOP)) {
		hop = column(e, SQL_FIND_HOP, 0);
		old = column(e, SQL_FIND_HOP, 1);
		store_sql_reset(e, SQL_FIND_HOP);
		if (due < old)
			store_sql_run(e, SQL_HOP_DUE, "ii", hop, due);
		return hop;
	}
	store_sql_reset(e, SQL_FIND_HOP);
	store_sql_run(e, SQL_ADD_HOP, "ti", name, due);
	return sqlite3_last_insert_rowid(e->db);
}

/* -------- in */

static int by_hop(const void *a, const void *b)
{
	const struct store_recipient *const *x = a, *const *y = b;
	int d = strcmp((*x)->hop, (*y)->hop);

	return d != 0 ? d : (*x > *y) - (*x < *y);
}

/* Recipients sorted into parcels. Returns how many parcels. */
static int64_t add_recipients(struct store_engine *e, struct store_op *op, int64_t message)
{
	const struct store_message *m = &op->message;
	const struct store_recipient **list =
		arena_calloc(&op->arena, m->n_recipients, sizeof(const struct store_recipient *));
	int64_t parcel = message << 13, n = 0;

	for (size_t i = 0; i < m->n_recipients; i++)
		list[i] = &m->recipients[i];
	qsort(list, m->n_recipients, sizeof(*list), by_hop);
	for (size_t i = 0; i < m->n_recipients && e->error == 0; i++) {
		const struct store_recipient *r = list[i];

		if (i == 0 || strcmp(list[i - 1]->hop, r->hop) != 0) {
			parcel += i > 0;
			n = 0;
			store_sql_run(e, SQL_ADD_PARCEL, "iii", parcel,
				      hop_number(e, r->hop, m->arrived), m->arrived);
		}
		store_sql_run(e, SQL_ADD_RECIPIENT, "iitit", parcel, n++, r->path,
			      (int64_t)r->notify, r->orcpt);
	}
	return parcel - (message << 13) + 1;
}

static int64_t count_hops(struct store_op *op)
{
	const struct store_message *m = &op->message;
	const struct store_recipient **list;
	int64_t n = 1;

	if (m->n_recipients == 1)
		return 1;
	list = arena_calloc(&op->arena, m->n_recipients, sizeof(const struct store_recipient *));
	for (size_t i = 0; i < m->n_recipients; i++)
		list[i] = &m->recipients[i];
	qsort(list, m->n_recipients, sizeof(*list), by_hop);
	for (size_t i = 1; i < m->n_recipients; i++)
		n += strcmp(list[i - 1]->hop, list[i]->hop) != 0;
	return n;
}

static void will_unlink(struct store_op *op, const char *name)
{
	size_t max = op->kind == STORE_OP_ACT ? STORE_SLICE : 2;

	if (op->unlink == NULL)
		op->unlink = arena_calloc(&op->arena, max, sizeof(*op->unlink));
	require(op->n_unlink < max);
	op->unlink[op->n_unlink++] = arena_strdup(&op->arena, name);
}

/* 1: it is there. */
static int add_message(struct store_engine *e, struct store_op *op)
{
	const struct store_message *m = &op->message;
	const char *file = op->bytes.file != NULL ? op->bytes.file->name.text : NULL;
	int64_t num = e->next_message, parcels = count_hops(op);

	store_sql_run(e, SQL_ADD_MESSAGE, "ittiiittiit", num, m->id.text, m->from, m->arrived,
		      (int64_t)m->flags, (int64_t)m->ret, m->envid, m->origin,
		      (int64_t)op->bytes.size, parcels, file);
	if (e->error < 0)
		return e->error;
	if (sqlite3_changes(e->db) == 0) {
		if (file != NULL)
			will_unlink(op, file);
		return 1;
	}
	e->next_message++;
	if (file == NULL)
		store_sql_run(e, SQL_ADD_BODY, "ib", num, &op->bytes.memory);
	require(add_recipients(e, op, num) == parcels || e->error < 0);
	return 0;
}

/* -------- out */

static void list_hops(struct store_engine *e, struct store_op *op)
{
	op->hops = arena_calloc(&op->arena, op->max, sizeof(*op->hops));
	op->n = 0;
	store_sql_bind(e, SQL_HOPS, "iii", (int64_t)op->max, op->now, (int64_t)op->skip);
	while (store_sql_row(e, SQL_HOPS)) {
		struct store_hop *h = &op->hops[op->n++];

		h->name = arena_strdup(&op->arena,
				       (const char *)sqlite3_column_text(e->sql[SQL_HOPS], 0));
		h->due = column(e, SQL_HOPS, 1);
	}
	store_sql_reset(e, SQL_HOPS);
	op->next_due = USEC_NEVER;
	store_sql_bind(e, SQL_NEXT_DUE, "i", op->now);
	if (store_sql_row(e, SQL_NEXT_DUE))
		op->next_due = column(e, SQL_NEXT_DUE, 0);
	store_sql_reset(e, SQL_NEXT_DUE);
}

/* The parcels of a statement that is bound, with their recipients and fences. */
static void claim_rows(struct store_engine *e, struct store_op *op, enum store_sql sql)
{
	while (op->n < op->max && op->arena.used < STORE_ANSWER_OCTETS && store_sql_row(e, sql)) {
		struct store_parcel *p = &op->parcels[op->n++];

		store_parcel_row(e->sql[sql], &op->arena, p);
		p->fence = ++e->fence;
		store_sql_bind(e, SQL_RECIPIENTS, "i", (int64_t)p->key);
		if (e->error == 0)
			e->error = store_sql_error(
				e->db,
				store_parcel_recipients(e->sql[SQL_RECIPIENTS], &op->arena, p));
		store_sql_reset(e, SQL_RECIPIENTS);
	}
	store_sql_reset(e, sql);
}

static void take(struct store_engine *e, struct store_op *op)
{
	int64_t hop = -1;

	store_sql_bind(e, SQL_TAKE, "ii", (int64_t)op->key, op->now);
	claim_rows(e, op, SQL_TAKE);
	store_sql_bind(e, SQL_PARCEL_HOP, "i", (int64_t)op->key);
	if (store_sql_row(e, SQL_PARCEL_HOP))
		hop = column(e, SQL_PARCEL_HOP, 0);
	store_sql_reset(e, SQL_PARCEL_HOP);
	if (op->n > 0)
		store_sql_run(e, SQL_LEASE_ADD, "iiii", (int64_t)op->key, hop,
			      (int64_t)op->parcels[0].fence, op->until);
}

/* The hop is known and has no parcel that is due: its row says when one will be. */
static void claim(struct store_engine *e, struct store_op *op)
{
	int64_t hop = -1;

	op->parcels = arena_calloc(&op->arena, op->max, sizeof(*op->parcels));
	op->n = 0;
	if (op->hop == NULL) {
		take(e, op);
		return;
	}
	store_sql_bind(e, SQL_FIND_HOP, "t", op->hop);
	if (store_sql_row(e, SQL_FIND_HOP))
		hop = column(e, SQL_FIND_HOP, 0);
	store_sql_reset(e, SQL_FIND_HOP);
	if (hop < 0)
		return;
	store_sql_bind(e, SQL_CLAIM, "iii", hop, op->now, (int64_t)op->max);
	claim_rows(e, op, SQL_CLAIM);
	/* After the walk: it reads the table that these change. */
	for (size_t i = 0; i < op->n; i++)
		store_sql_run(e, SQL_LEASE_ADD, "iiii", (int64_t)op->parcels[i].key, hop,
			      (int64_t)op->parcels[i].fence, op->until);
	if (op->n == 0)
		store_hop_mend(e, hop, op->now);
}

/* The lease is the latest. A lease that has run out counts while no other was given. */
static bool leased(struct store_engine *e, uint64_t key, uint64_t fence)
{
	bool ours;

	store_sql_bind(e, SQL_LEASE_GET, "i", (int64_t)key);
	ours = store_sql_row(e, SQL_LEASE_GET) && (uint64_t)column(e, SQL_LEASE_GET, 0) == fence;
	store_sql_reset(e, SQL_LEASE_GET);
	return ours;
}

/* The parcel, and its message with the last one. */
void store_parcel_drop(struct store_engine *e, struct store_op *op, int64_t parcel, int64_t hop,
		       usec_t now)
{
	int64_t message = store_message_of(parcel), left = 0;

	store_sql_run(e, SQL_DROP_RECIPIENTS, "i", parcel);
	store_sql_run(e, SQL_DROP_PARCEL, "i", parcel);
	store_sql_run(e, SQL_LEASE_DROP, "i", parcel);
	store_sql_bind(e, SQL_MESSAGE_GET, "i", message);
	if (store_sql_row(e, SQL_MESSAGE_GET)) {
		const char *file = (const char *)sqlite3_column_text(e->sql[SQL_MESSAGE_GET], 1);

		left = column(e, SQL_MESSAGE_GET, 0) - 1;
		if (left == 0 && file != NULL)
			will_unlink(op, file);
	}
	store_sql_reset(e, SQL_MESSAGE_GET);
	if (left > 0) {
		store_sql_run(e, SQL_MESSAGE_LESS, "i", message);
	} else {
		store_sql_run(e, SQL_DROP_BODY, "i", message);
		store_sql_run(e, SQL_DROP_MESSAGE, "i", message);
	}
	store_hop_mend(e, hop, now);
}

static int complete(struct store_engine *e, struct store_op *op)
{
	const struct store_completion *c = &op->completion;
	int64_t parcel = (int64_t)c->key, hop = -1;
	bool open;

	if (!leased(e, c->key, c->fence))
		return -ESTALE;
	store_sql_bind(e, SQL_PARCEL_HOP, "i", parcel);
	if (store_sql_row(e, SQL_PARCEL_HOP))
		hop = column(e, SQL_PARCEL_HOP, 0);
	store_sql_reset(e, SQL_PARCEL_HOP);
	/* A commit that was said to have failed and had not: all of it is there. */
	if (hop < 0 && e->error == 0) {
		store_sql_run(e, SQL_LEASE_DROP, "i", parcel);
		if (op->bytes.file != NULL)
			will_unlink(op, op->bytes.file->name.text);
		return 0;
	}
	for (size_t i = 0; i < c->n_outcomes; i++) {
		const struct store_outcome *o = &c->outcomes[i];

		store_sql_run(e, SQL_SETTLE, "iiiittt", parcel, (int64_t)o->recipient,
			      (int64_t)o->state, (int64_t)o->delay_noticed, o->status, o->reply,
			      o->detail);
	}
	store_sql_bind(e, SQL_OPEN_LEFT, "i", parcel);
	open = store_sql_row(e, SQL_OPEN_LEFT);
	store_sql_reset(e, SQL_OPEN_LEFT);
	if (open) {
		store_sql_run(e, SQL_DEFER, "iiit", parcel, c->due, c->now, c->evidence);
		store_sql_run(e, SQL_LEASE_DROP, "i", parcel);
		store_hop_mend(e, hop, c->now);
	} else if (e->error == 0) {
		store_parcel_drop(e, op, parcel, hop, c->now);
	}
	return op->message.n_recipients > 0 ? add_message(e, op) : 0;
}

void store_change(struct store_engine *e, struct store_op *op)
{
	switch (op->kind) {
	case STORE_OP_ENQUEUE:
		op->result = e->scarce ? -ENOSPC : add_message(e, op);
		break;
	case STORE_OP_HOPS:
		list_hops(e, op);
		break;
	case STORE_OP_CLAIM:
		claim(e, op);
		break;
	case STORE_OP_COMPLETE:
		op->result = complete(e, op);
		break;
	case STORE_OP_EXTEND:
	case STORE_OP_RELEASE:
		if (!leased(e, op->key, op->fence))
			op->result = -ESTALE;
		else if (op->kind == STORE_OP_RELEASE)
			store_sql_run(e, SQL_LEASE_DROP, "i", (int64_t)op->key);
		else
			store_sql_run(e, SQL_LEASE_UNTIL, "ii", (int64_t)op->key, op->until);
		break;
	case STORE_OP_ACT:
		store_change_act(e, op);
		break;
	case STORE_OP_LIST:
	case STORE_OP_COUNT:
	case STORE_OP_BODY_OPEN:
	case STORE_OP_BODY_READ:
	case STORE_OP_FILE_WRITE:
	case STORE_OP_FILE_DROP:
		base_require_failed("the writer's", __FILE__, __LINE__);
		break;
	}
}
