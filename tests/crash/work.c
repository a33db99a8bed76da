#include "crash.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	SESSIONS = 8,
	HOPS = 5,
};

struct worker;

struct session {
	struct worker *worker;
	struct store_id id;
};

struct parcel {
	struct worker *worker;
	char id[STORE_ID_LEN + 1];
	char hop[16];
};

struct worker {
	struct io_loop *loop;
	struct store *store;
	struct session sessions[SESSIONS];
	int notes;
	unsigned random;
	unsigned stored, limit, running;
	unsigned delivering;
};

static unsigned draw(struct worker *w, unsigned below)
{
	w->random = w->random * 1103515245u + 12345u;
	return (w->random >> 16) % below;
}

static void note(struct worker *w, const char *format, ...) _printf_(2, 3);
static void note(struct worker *w, const char *format, ...)
{
	char line[100];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	require(write(w->notes, line, (size_t)n) == n);
}

static void store_next(struct session *s);

static void look_at_end(struct worker *w)
{
	if (w->running == 0 && w->delivering == 0)
		io_loop_stop(w->loop);
}

static void on_stored(void *arg, int result)
{
	struct session *s = arg;
	struct worker *w = s->worker;

	require(result == 0);
	note(w, "S %s\n", s->id.text);
	w->running--;
	store_next(s);
	look_at_end(w);
}

static void store_next(struct session *s)
{
	struct worker *w = s->worker;
	struct store_recipient to[3];
	char hop[3][16];
	struct store_message m = {
		.from = "a@b.example", .arrived = io_unix_now(), .recipients = to};
	struct store_body *b;
	size_t size = draw(w, 10) == 0 ? STORE_BODY_MEMORY + draw(w, 100000) : draw(w, 9000);
	unsigned first = draw(w, HOPS);

	if (w->limit > 0 && w->stored == w->limit)
		return;
	w->stored++;
	w->running++;
	s->id = m.id = store_id_new(m.arrived);
	m.n_recipients = 1 + draw(w, 3);
	for (size_t i = 0; i < m.n_recipients; i++) {
		snprintf(hop[i], sizeof(hop[i]), "h%u", (first + (unsigned)i) % HOPS);
		to[i] = (struct store_recipient){.path = "c@d.example", .hop = hop[i]};
	}
	note(w, "s %s %zu %zu\n", m.id.text, size, m.n_recipients);
	b = store_body_begin(w->store, NULL, NULL);
	for (size_t at = 0; at < size;) {
		uint8_t some[1000];
		size_t n = 0;

		while (n < sizeof(some) && at < size)
			some[n++] = work_octet(&m.id, at++);
		require(store_body_append(b, span_of(some, n)) >= 0);
	}
	store_enqueue(w->store, &m, b, on_stored, s);
}

static void claim_next(struct worker *w);

static void on_recorded(void *arg, int result)
{
	struct parcel *p = arg;
	struct worker *w = p->worker;

	require(result == 0);
	note(w, "D %s %s\n", p->id, p->hop);
	free(p);
	w->delivering--;
	look_at_end(w);
}

static void on_claimed(void *arg, int result, const struct store_parcel *list, size_t n)
{
	struct worker *w = arg;

	require(result == 0);
	for (size_t i = 0; i < n; i++) {
		struct store_outcome o = {.state = STORE_DELIVERED};
		struct store_completion c = {.key = list[i].key,
					     .fence = list[i].fence,
					     .now = io_unix_now(),
					     .outcomes = &o,
					     .n_outcomes = 1};
		struct parcel *p;

		/* Some are left, so that there is something to lose. */
		if (draw(w, 3) == 0)
			continue;
		p = xcalloc(1, sizeof(*p));
		p->worker = w;
		snprintf(p->id, sizeof(p->id), "%s", list[i].message.id.text);
		snprintf(p->hop, sizeof(p->hop), "%s", list[i].hop);
		note(w, "d %s %s\n", p->id, p->hop);
		w->delivering++;
		store_complete(w->store, &c, NULL, NULL, on_recorded, p);
	}
	w->delivering--;
	if (w->running > 0)
		claim_next(w);
	look_at_end(w);
}

static void claim_next(struct worker *w)
{
	char hop[16];

	snprintf(hop, sizeof(hop), "h%u", draw(w, HOPS));
	w->delivering++;
	store_claim(w->store, hop, 1 + draw(w, 10), io_unix_now(), usec_seconds(1000), on_claimed,
		    w);
}

int work(const char *directory, const char *notes, unsigned seed, unsigned messages)
{
	struct store_options o = {.directory = directory};
	struct worker w = {.random = seed, .limit = messages};
	struct err e = {.code = 0};

	w.loop = io_loop_new();
	if (store_open(&o, w.loop, &w.store, &e) < 0) {
		fprintf(stderr, "work: %s\n", e.text);
		return 1;
	}
	w.notes = open(notes, O_WRONLY | O_CREAT | O_APPEND, 0600);
	require(w.notes >= 0);
	for (size_t i = 0; i < SESSIONS; i++) {
		w.sessions[i].worker = &w;
		store_next(&w.sessions[i]);
	}
	claim_next(&w);
	io_loop_run(w.loop);
	store_close(w.store);
	io_loop_free(w.loop);
	close(w.notes);
	return 0;
}
