#include "main/cli/resume.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- names ------------------------------------------------------------------------------------ */

struct slot {
	uint64_t hash; /* 0: free */
	int value;
};

/* Open addressing, at most half full. */
struct cli_names {
	uint64_t key;
	struct slot *slots;
	size_t n, room; /* a power of two */
};

struct cli_names *cli_names_new(void)
{
	struct cli_names *n = xcalloc(1, sizeof(*n));

	/* Without it (early boot) somebody could choose names that collide: they are skipped. */
	if (getrandom(&n->key, sizeof(n->key), GRND_NONBLOCK) != sizeof(n->key))
		n->key = (uint64_t)getpid();
	n->room = 1024;
	n->slots = xcalloc(n->room, sizeof(*n->slots));
	return n;
}

struct cli_names *cli_names_free(struct cli_names *n)
{
	if (n != NULL)
		free(n->slots);
	free(n);
	return NULL;
}

static uint64_t mix(uint64_t h)
{
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
	return h ^ h >> 33;
}

static uint64_t hash_of(const struct cli_names *n, const char *name)
{
	uint64_t h = n->key;

	for (; *name != '\0'; name++)
		h = mix(h ^ (uint8_t)*name) + n->key;
	return h != 0 ? h : 1;
}

static struct slot *slot_of(const struct cli_names *n, uint64_t hash)
{
	size_t i = hash & (n->room - 1);

	while (n->slots[i].hash != 0 && n->slots[i].hash != hash)
		i = (i + 1) & (n->room - 1);
	return &n->slots[i];
}

static void grow(struct cli_names *n)
{
	struct slot *old = n->slots;
	size_t room = n->room;

	n->room *= 2;
	n->slots = xcalloc(n->room, sizeof(*n->slots));
	for (size_t i = 0; i < room; i++)
		if (old[i].hash != 0)
			*slot_of(n, old[i].hash) = old[i];
	free(old);
}

bool cli_names_add(struct cli_names *n, const char *name, int value)
{
	uint64_t hash = hash_of(n, name);
	struct slot *slot = slot_of(n, hash);
	bool fresh = slot->hash == 0;

	*slot = (struct slot){hash, value};
	n->n += fresh;
	if (n->n * 2 > n->room)
		grow(n);
	return fresh;
}

int cli_names_find(const struct cli_names *n, const char *name)
{
	const struct slot *slot = slot_of(n, hash_of(n, name));

	return slot->hash != 0 ? slot->value : -1;
}

/* --- the file --------------------------------------------------------------------------------- */

static const char beginning[] = "{\"domain\": ";

struct cli_resume {
	FILE *file;
	struct cli_names *names;
};

static int verdict_from_string(const char *word)
{
	for (int v = 0; word != NULL && v < CHECK_VERDICTS; v++)
		if (strcmp(word, check_verdict_to_string(v)) == 0)
			return v;
	return -1;
}

static int read_line(struct cli_resume *r, struct span line)
{
	struct js *v = js_parse(line, NULL);
	const char *domain = js_text(js_get(v, "domain"));
	int verdict = verdict_from_string(js_text(js_get(v, "verdict")));

	if (domain != NULL && verdict >= 0)
		cli_names_add(r->names, domain, verdict);
	js_free(v);
	return domain != NULL && verdict >= 0 ? 0 : -EINVAL;
}

/* Complete lines; `*ret_end` is where the last of them ends. The rest stays in `line`. */
static int read_lines(struct cli_resume *r, struct buf *line, off_t *ret_end, struct err *e)
{
	char piece[65536];
	size_t number = 1;

	while (fgets(piece, sizeof(piece), r->file) != NULL) {
		size_t n = strlen(piece);

		if (buf_add(line, piece, n) < 0)
			return err_set(e, -EFBIG, "line %zu is too long", number);
		if (n == 0 || piece[n - 1] != '\n')
			continue;
		if (read_line(r, span_of(line->p, line->n - 1)) < 0)
			return err_set(e, -EINVAL, "line %zu is no result of \"daneway check\"",
				       number);
		*ret_end += (off_t)line->n;
		buf_clear(line);
		number++;
	}
	return ferror(r->file) ? err_set(e, -EIO, "cannot be read") : 0;
}

static bool is_beginning(struct span rest)
{
	size_t n = sizeof(beginning) - 1;

	return memcmp(rest.p, beginning, rest.n < n ? rest.n : n) == 0;
}

static int load(struct cli_resume *r, struct err *e)
{
	struct buf line;
	off_t end = 0;
	int ret;

	buf_init(&line, CHECK_REPORT_MAX);
	ret = read_lines(r, &line, &end, e);
	/* Nothing is taken off a file that is somebody else's. */
	if (ret == 0 && line.n > 0 && !is_beginning(buf_span(&line)))
		ret = err_set(e, -EINVAL, "its last line is no result of \"daneway check\"");
	if (ret == 0 && line.n > 0 && ftruncate(fileno(r->file), end) != 0)
		ret = err_set(e, -errno, "%s", strerror(errno));
	buf_done(&line);
	return ret;
}

int cli_resume_open(const char *path, struct cli_resume **ret, struct err *e)
{
	struct cli_resume *r = xcalloc(1, sizeof(*r));
	struct err why = {0};
	struct stat st;
	int code = 0;

	r->names = cli_names_new();
	r->file = fopen(path, "a+e");
	if (r->file == NULL)
		code = err_set(&why, -errno, "%s", strerror(errno));
	else if (fstat(fileno(r->file), &st) != 0 || !S_ISREG(st.st_mode))
		code = err_set(&why, -EINVAL, "no regular file");
	else if (flock(fileno(r->file), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		code = err_set(&why, -EBUSY, "another run writes it");
	else if (fseek(r->file, 0, SEEK_SET) != 0)
		code = err_set(&why, -errno, "%s", strerror(errno));
	else
		code = load(r, &why);
	if (code == 0) {
		*ret = r;
		return 0;
	}
	cli_resume_free(r);
	return err_set(e, code, "--resume %s: %s", path, why.text);
}

struct cli_resume *cli_resume_free(struct cli_resume *r)
{
	if (r == NULL)
		return NULL;
	if (r->file != NULL)
		fclose(r->file);
	cli_names_free(r->names);
	free(r);
	return NULL;
}

int cli_resume_find(const struct cli_resume *r, const char *domain)
{
	struct js *v = js_text_value(domain); /* as a line would have it */
	int verdict = cli_names_find(r->names, js_text(v));

	js_free(v);
	return verdict;
}

int cli_resume_add(struct cli_resume *r, const struct js *result)
{
	return js_write(result, r->file, 0) == 0 && fflush(r->file) == 0 ? 0 : -EIO;
}
