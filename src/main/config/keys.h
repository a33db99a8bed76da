/*
 * Inside the room: the table of keys, and values as text. A section is a table of keys and the
 * struct that they fill.
 */
#pragma once

#include "main/config/file.h"

enum config_type {
	CONFIG_TYPE_BOOL,        /* bool */
	CONFIG_TYPE_COUNT,       /* int64_t, least to most */
	CONFIG_TYPE_SIZE,        /* int64_t, bytes; k, M, G */
	CONFIG_TYPE_DURATION,    /* usec_t, least to most in seconds */
	CONFIG_TYPE_TEXT,        /* const char * */
	CONFIG_TYPE_PATH,        /* const char *, absolute */
	CONFIG_TYPE_HOST,        /* const char *, a host name */
	CONFIG_TYPE_MAILBOX,     /* const char *, a mail address */
	CONFIG_TYPE_DATE,        /* int64_t, the end of that day */
	CONFIG_TYPE_WORD,        /* an enum: the place in `words` */
	CONFIG_TYPE_ENDPOINT,    /* struct config_endpoint */
	CONFIG_TYPE_HOP,         /* struct config_hop */
	CONFIG_TYPE_NETWORK,     /* struct config_network; in lists only */
	CONFIG_TYPE_FORWARDER,   /* const char *: ADDR[@PORT] */
	CONFIG_TYPE_FINGERPRINT, /* const char *: 64 hex digits */
	CONFIG_TYPE_SECTION,     /* the struct of `section` */
};

enum config_many {
	CONFIG_ONE,
	CONFIG_LIST,      /* pointer and count; `most` of them */
	CONFIG_BY_DOMAIN, /* sections; the key of each is a domain, its first member */
};

struct config_section;

struct config_key {
	const char *name;
	enum config_type type;
	enum config_many many;
	size_t offset;
	int64_t least, most;
	const char *const *words;
	const struct config_section *section;
	const char *standard; /* the default as written; NULL: none */
	bool required;
	bool restart;        /* takes effect at a start, not at a reload */
	bool secret;         /* a file that only its owner may read */
	const char *help;    /* one line */
	const char *more;    /* for the manual page; NULL: nothing */
	const char *example; /* as written */
};

struct config_checker;

struct config_section {
	const struct config_key *keys;
	size_t n;
	size_t size; /* of the struct */
	/* What one key cannot know; the problems are added. NULL: nothing. */
	void (*check)(struct config_checker *c, const struct config_node *node, void *section);
};

extern const struct config_section config_top;

struct config_checker {
	struct arena *arena;
	struct config_problems *problems;
	const struct config_file *file;
};

void config_check_file(struct config_checker *c, const struct config_node *n, void *at);
void config_check_listener(struct config_checker *c, const struct config_node *n, void *at);
void config_check_destination(struct config_checker *c, const struct config_node *n, void *at);
void config_check_outbound(struct config_checker *c, const struct config_node *n, void *at);
void config_check_queue(struct config_checker *c, const struct config_node *n, void *at);
void config_check_domain(struct config_checker *c, const struct config_node *n, void *at);
void config_check_dns(struct config_checker *c, const struct config_node *n, void *at);

/* How a type is called in messages and in the manual. */
const char *config_type_words(enum config_type type);
/* The size of one value of the type. */
size_t config_type_size(const struct config_key *k);

/* One value. -EINVAL with the reason, which ends with what to write instead. */
int config_value_set(struct arena *a, const struct config_key *k, const char *text, bool quoted,
		     void *at, struct err *e) _mustcheck_;
/* A domain as a key of a mapping. */
int config_value_domain(struct arena *a, const char *text, bool quoted, const char **ret,
			struct err *e) _mustcheck_;
/* One value as it would be written; false: not set. */
bool config_value_print(FILE *out, const struct config_key *k, const void *at);
void config_text_print(FILE *out, const char *text);
/* What YAML 1.1 readers may take an unquoted text for; NULL: it is a text to all. */
const char *config_text_trap(const char *text);

/* What a list is in memory, whatever it is a list of. */
struct config_array {
	void *items;
	size_t n;
};

struct config_array config_array_get(const void *at);
