/* The table and a file's values as YAML, and the table as a manual page. */
#include "main/config/keys.h"

#include <stdio.h>
#include <string.h>

enum {
	INDENT = 2,
	HELP_MAX = 400,
	WIDTH = 96,
};

static void indent(FILE *out, unsigned depth)
{
	fprintf(out, "%*s", (int)(depth * INDENT), "");
}

static const void *value_at(const struct config_key *k, const void *section)
{
	return (const char *)section + k->offset;
}

/* --- values ----------------------------------------------------------------------------------- */

static void print_section(FILE *out, const struct config_section *s, const void *at, unsigned depth,
			  bool in_list);

static void print_scalars(FILE *out, const struct config_key *k, const void *at)
{
	struct config_array array = config_array_get(at);
	size_t size = config_type_size(k);

	fputc('[', out);
	for (size_t i = 0; i < array.n; i++) {
		fputs(i > 0 ? ", " : "", out);
		config_value_print(out, k, (const char *)array.items + i * size);
	}
	fputs("]\n", out);
}

static void print_sections(FILE *out, const struct config_key *k, const void *at, unsigned depth)
{
	struct config_array array = config_array_get(at);
	size_t size = config_type_size(k);

	if (array.n == 0) {
		fputs(k->many == CONFIG_LIST ? "[]\n" : "{}\n", out);
		return;
	}
	fputc('\n', out);
	for (size_t i = 0; i < array.n; i++) {
		const void *one = (const char *)array.items + i * size;

		if (k->many == CONFIG_LIST) {
			print_section(out, k->section, one, depth + 1, true);
			continue;
		}
		indent(out, depth);
		config_text_print(out, *(const char *const *)one);
		fputs(":\n", out);
		print_section(out, k->section, one, depth + 1, false);
	}
}

/* The value of one key behind "key:". False: it has none. */
static bool print_value(FILE *out, const struct config_key *k, const void *at, unsigned depth)
{
	if (k->type == CONFIG_TYPE_SECTION && k->many == CONFIG_ONE) {
		fputc('\n', out);
		print_section(out, k->section, at, depth, false);
		return true;
	}
	if (k->type == CONFIG_TYPE_SECTION) {
		print_sections(out, k, at, depth);
		return true;
	}
	if (k->many == CONFIG_LIST) {
		print_scalars(out, k, at);
		return true;
	}
	if (!config_value_print(out, k, at))
		return false;
	fputc('\n', out);
	return true;
}

/* As text in memory: what has no value prints nothing. Freed by the caller. */
static char *value_text(const struct config_key *k, const void *at, unsigned depth)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	bool has;

	require(out != NULL);
	has = print_value(out, k, at, depth);
	require(fclose(out) == 0);
	if (!has)
		text[0] = '\0';
	return text;
}

static void print_section(FILE *out, const struct config_section *s, const void *at, unsigned depth,
			  bool in_list)
{
	bool first = in_list;

	for (size_t i = 0; i < s->n; i++) {
		_cleanup_(freep) char *text =
			value_text(&s->keys[i], value_at(&s->keys[i], at), depth + 1);
		if (text[0] == '\0')
			continue;
		indent(out, first ? depth - 1 : depth);
		fprintf(out, "%s%s:%s%s", first ? "- " : "", s->keys[i].name,
			text[0] == '\n' ? "" : " ", text);
		first = false;
	}
}

void config_file_print(FILE *out, const struct config_file *f)
{
	print_section(out, &config_top, f, 0, false);
}

/* The first key below `s` that wants a restart and differs; `ret_in`: its section, if it is in one.
 */
static const struct config_key *find_difference(const struct config_section *s, const void *a,
						const void *b, const struct config_key **ret_in)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct config_key *k = &s->keys[i];
		_cleanup_(freep) char *old = NULL, *new = NULL;

		if (k->type == CONFIG_TYPE_SECTION && k->many == CONFIG_ONE) {
			const struct config_key *found =
				find_difference(k->section, value_at(k, a), value_at(k, b), ret_in);

			if (found != NULL) {
				*ret_in = k;
				return found;
			}
			continue;
		}
		if (!k->restart)
			continue;
		old = value_text(k, value_at(k, a), 1);
		new = value_text(k, value_at(k, b), 1);
		if (strcmp(old, new) != 0)
			return k;
	}
	return NULL;
}

const char *config_file_needs_restart(struct arena *a, const struct config_file *old,
				      const struct config_file *new)
{
	const struct config_key *in = NULL, *k = find_difference(&config_top, old, new, &in);

	if (k == NULL)
		return NULL;
	return arena_printf(a, "%s%s%s", in != NULL ? in->name : "", in != NULL ? "." : "",
			    k->name);
}

/* The help of a key as a sentence. */
static const char *sentence(const struct config_key *k, char *ret)
{
	snprintf(ret, HELP_MAX, "%s", k->help);
	if (ret[0] >= 'a' && ret[0] <= 'z')
		ret[0] = (char)(ret[0] - 'a' + 'A');
	return ret;
}

/* --- the defaults, with comments -------------------------------------------------------------- */

/* Words of `text` in comment lines of at most WIDTH characters. */
static void print_comment(FILE *out, unsigned depth, const char *start, const char *text)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t n = strcspn(text, " ");

		if (column > 0 && column + 1 + n > WIDTH) {
			fputc('\n', out);
			column = 0;
		}
		if (column == 0) {
			indent(out, depth);
			fprintf(out, "#%s", start);
			column = depth * INDENT + 1 + strlen(start);
		}
		fprintf(out, " %.*s", (int)n, text);
		column += 1 + n;
		text += n + (text[n] == ' ');
	}
	if (column > 0)
		fputc('\n', out);
}

/* A value of several lines goes below its key. */
static void print_example(FILE *out, const struct config_key *k, unsigned depth)
{
	const char *text = k->example;

	indent(out, depth);
	if (k->type != CONFIG_TYPE_SECTION) {
		fprintf(out, "# %s: %s\n", k->name, text);
		return;
	}
	fprintf(out, "# %s:\n", k->name);
	while (*text != '\0') {
		size_t n = strcspn(text, "\n");

		indent(out, depth);
		fprintf(out, "#   %.*s\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
}

static void print_members(FILE *out, const struct config_section *s, unsigned depth)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct config_key *k = &s->keys[i];
		char line[HELP_MAX];

		snprintf(line, sizeof(line), "%s: %s%s%s%s%s", k->name, k->help,
			 k->required ? " (required)" : "", k->standard != NULL ? " (" : "",
			 k->standard != NULL ? k->standard : "", k->standard != NULL ? ")" : "");
		print_comment(out, depth, "    ", line);
	}
}

static void print_defaults(FILE *out, const struct config_section *s, unsigned depth)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct config_key *k = &s->keys[i];
		char help[HELP_MAX];

		if (i > 0 || depth > 0)
			fputs(depth == 0 ? "\n" : "", out);
		print_comment(out, depth, "", sentence(k, help));
		if (k->more != NULL)
			print_comment(out, depth, "", k->more);
		if (k->type == CONFIG_TYPE_SECTION && k->many == CONFIG_ONE) {
			indent(out, depth);
			fprintf(out, "%s:\n", k->name);
			print_defaults(out, k->section, depth + 1);
		} else if (k->type == CONFIG_TYPE_SECTION) {
			print_members(out, k->section, depth);
			print_example(out, k, depth);
		} else if (k->standard != NULL) {
			indent(out, depth);
			fprintf(out, "%s: %s\n", k->name, k->standard);
		} else if (k->example != NULL) {
			print_example(out, k, depth);
		}
	}
}

void config_file_print_defaults(FILE *out)
{
	fputs("# daneway.yaml with all its keys and their defaults; see daneway.yaml(5).\n"
	      "# A key that is commented out has no default, and what stands there is an "
	      "example.\n\n",
	      out);
	print_defaults(out, &config_top, 0);
}

/* --- the manual page -------------------------------------------------------------------------- */

static const char man_head[] =
	".\\\" Made by \"daneway config --man\" from src/main/config/keys.c. Do not edit.\n"
	".Dd November 25, 2026\n"
	".Dt DANEWAY.YAML 5\n"
	".Os\n"
	".Sh NAME\n"
	".Nm daneway.yaml\n"
	".Nd configuration of daneway\n"
	".Sh DESCRIPTION\n"
	"The file is YAML in UTF-8: mappings, lists and values.\n"
	"Anchors, aliases, tags and a second document are refused, and so is every key that is "
	"not\n"
	"listed here, a key that stands twice, and a value of the wrong type: each with file, "
	"line,\n"
	"column and what was meant, probably.\n"
	".Ic daneway config --check\n"
	"tells all of them.\n"
	".Pp\n"
	"A value that YAML readers do not agree about is refused, too:\n"
	".Cm yes\n"
	"and\n"
	".Cm no\n"
	"(write\n"
	".Cm true\n"
	"and\n"
	".Cm false ,\n"
	"and quote the domain\n"
	".Ql no ) ,\n"
	"numbers with a leading zero or a colon, numbers in quotes.\n"
	"An address with brackets stands in quotes.\n"
	".Pp\n"
	"On the commands that look things up, the command line wins over the environment\n"
	"(see\n"
	".Xr daneway 1 ) ,\n"
	"which wins over this file.\n"
	".Pp\n"
	"Values are read anew at a reload; those marked\n"
	".Dq at a start\n"
	"are not.\n"
	".Sh KEYS\n";

static const char man_tail[] = ".Sh FILES\n"
			       ".Bl -tag -width Ds\n"
			       ".It Pa " CONFIG_FILE_PATH "\n"
			       "The file that is read unless\n"
			       ".Fl -config\n"
			       "or\n"
			       ".Ev DANEWAY_CONFIG\n"
			       "names another.\n"
			       ".El\n"
			       ".Sh EXAMPLES\n"
			       "A gateway:\n"
			       ".Bd -literal -offset indent\n"
			       "hostname: mx1.hoster.example\n"
			       "certificates:\n"
			       "  - {chain: /etc/daneway/mx1.pem, key: /etc/daneway/mx1.key}\n"
			       "listeners:\n"
			       "  - {mx: \"[::]:25\"}\n"
			       "  - {relay: \"192.0.2.1:25\", networks: [192.0.2.0/24]}\n"
			       "domains:\n"
			       "  example.org: {next_hop: \"smtp:[192.0.2.7]:25\"}\n"
			       ".Ed\n"
			       ".Pp\n"
			       "An exception that ends by itself:\n"
			       ".Bd -literal -offset indent\n"
			       "outbound:\n"
			       "  destinations:\n"
			       "    example.net:\n"
			       "      mode: none\n"
			       "      owner: \"postmaster@hoster.example\"\n"
			       "      reason: \"TLSA broken since the move, they know\"\n"
			       "      until: 2026-12-31\n"
			       ".Ed\n"
			       ".Sh SEE ALSO\n"
			       ".Xr daneway 1\n";

/* Text as mdoc takes it: a new line for each sentence, no leading dot, backslashes escaped. */
static void print_mdoc(FILE *out, const char *text)
{
	bool start = true;

	for (const char *c = text; *c != '\0'; c++) {
		if (start && (*c == '.' || *c == '\''))
			fputs("\\&", out);
		start = false;
		if (*c == '\\')
			fputs("\\e", out);
		else
			fputc(*c, out);
		if ((*c == '.' || *c == '?') && c[1] == ' ') {
			fputc('\n', out);
			start = true;
			c++;
		}
	}
	if (text[0] != '\0' && text[strlen(text) - 1] != '.')
		fputc('.', out);
	fputc('\n', out);
}

static void print_type(FILE *out, const struct config_key *k)
{
	if (k->many == CONFIG_BY_DOMAIN) {
		fputs("A mapping by domain.\n", out);
		return;
	}
	if (k->type == CONFIG_TYPE_SECTION) {
		fputs(k->many == CONFIG_LIST ? "A list.\n" : "A section.\n", out);
		return;
	}
	if (k->type == CONFIG_TYPE_WORD) {
		fputs("One of", out);
		for (size_t i = 0; k->words[i] != NULL; i++)
			fprintf(out, "%s %s", i > 0 ? "," : "", k->words[i]);
		fputs(".\n", out);
		return;
	}
	fprintf(out, "%s%s",
		k->many == CONFIG_LIST ? "A list of: " : "Value: ", config_type_words(k->type));
	if (k->many == CONFIG_ONE && k->most > 0 && k->type != CONFIG_TYPE_PATH) {
		struct config_key limit = *k;
		int64_t ends[] = {k->least, k->most};

		for (size_t i = 0; i < 2; i++) {
			usec_t time = usec_seconds(ends[i]);

			fputs(i == 0 ? "; " : " to ", out);
			config_value_print(out, &limit,
					   k->type == CONFIG_TYPE_DURATION ? &time : &ends[i]);
		}
	}
	fputs(".\n", out);
}

/* A quote is a character here, not mdoc's own. */
static void print_man_example(FILE *out, const struct config_key *k)
{
	fprintf(out, "Example:\n.Dl %s: ", k->name);
	for (const char *c = k->example; *c != '\0'; c++)
		if (*c == '"')
			fputs("\\(dq", out);
		else
			fputc(*c, out);
	fputc('\n', out);
}

static void print_man_section(FILE *out, const struct config_section *s)
{
	fputs(".Bl -tag -width Ds\n", out);
	for (size_t i = 0; i < s->n; i++) {
		const struct config_key *k = &s->keys[i];
		char help[HELP_MAX];

		fprintf(out, ".It Cm %s\n", k->name);
		print_mdoc(out, sentence(k, help));
		if (k->more != NULL)
			print_mdoc(out, k->more);
		print_type(out, k);
		if (k->standard != NULL)
			fprintf(out, "Default: %s.\n", k->standard);
		if (k->required)
			fputs("It must be there.\n", out);
		if (k->restart)
			fputs("Read at a start.\n", out);
		if (k->example != NULL && k->type != CONFIG_TYPE_SECTION)
			print_man_example(out, k);
		if (k->type == CONFIG_TYPE_SECTION)
			print_man_section(out, k->section);
	}
	fputs(".El\n", out);
}

void config_file_print_man(FILE *out)
{
	fputs(man_head, out);
	print_man_section(out, &config_top);
	fputs(man_tail, out);
}
