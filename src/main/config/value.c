/* Values as text: read strictly, written so that they are read the same. */
#include "main/config/keys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "core/dane/name.h"
#include "core/mail/address.h"

const char *config_type_words(enum config_type type)
{
	switch (type) {
	case CONFIG_TYPE_BOOL:
		return "true or false";
	case CONFIG_TYPE_COUNT:
		return "a whole number";
	case CONFIG_TYPE_SIZE:
		return "a size, such as 500k, 10M or 2G";
	case CONFIG_TYPE_DURATION:
		return "a time with its unit, such as 30s, 15min, 4h or 5d";
	case CONFIG_TYPE_TEXT:
		return "a text";
	case CONFIG_TYPE_PATH:
		return "a path that begins with /";
	case CONFIG_TYPE_HOST:
		return "a host name";
	case CONFIG_TYPE_MAILBOX:
		return "a mail address";
	case CONFIG_TYPE_DATE:
		return "a day, such as 2026-12-31";
	case CONFIG_TYPE_WORD:
		return "a word";
	case CONFIG_TYPE_ENDPOINT:
		return "\"ADDRESS:PORT\" (IPv6 in brackets), unix:/PATH or systemd:NAME";
	case CONFIG_TYPE_HOP:
		return "\"smtp:[HOST]:PORT\", \"smtp:DOMAIN\", \"lmtp:[HOST]:PORT\" or "
		       "lmtp:unix:/PATH";
	case CONFIG_TYPE_NETWORK:
		return "a network, such as 192.0.2.0/24 or 2001:db8::/32";
	case CONFIG_TYPE_FORWARDER:
		return "ADDR or ADDR@PORT";
	case CONFIG_TYPE_FINGERPRINT:
		return "64 hexadecimal digits in quotes";
	case CONFIG_TYPE_SECTION:
		return "keys with values";
	}
	return "";
}

size_t config_type_size(const struct config_key *k)
{
	switch (k->type) {
	case CONFIG_TYPE_BOOL:
		return sizeof(bool);
	case CONFIG_TYPE_WORD:
		return sizeof(int);
	case CONFIG_TYPE_COUNT:
	case CONFIG_TYPE_SIZE:
	case CONFIG_TYPE_DURATION:
	case CONFIG_TYPE_DATE:
		return sizeof(int64_t);
	case CONFIG_TYPE_TEXT:
	case CONFIG_TYPE_PATH:
	case CONFIG_TYPE_HOST:
	case CONFIG_TYPE_MAILBOX:
	case CONFIG_TYPE_FORWARDER:
	case CONFIG_TYPE_FINGERPRINT:
		return sizeof(const char *);
	case CONFIG_TYPE_ENDPOINT:
		return sizeof(struct config_endpoint);
	case CONFIG_TYPE_HOP:
		return sizeof(struct config_hop);
	case CONFIG_TYPE_NETWORK:
		return sizeof(struct config_network);
	case CONFIG_TYPE_SECTION:
		return k->section->size;
	}
	return 0;
}

/* A list is {pointer, count} for every type; read and written as bytes, so no type is guessed. */
struct config_array config_array_get(const void *at)
{
	struct config_array array;

	memcpy(&array, at, sizeof(array));
	return array;
}

/* --- numbers and words ------------------------------------------------------------------------ */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Decimal digits at the front, no sign, no needless zero; `ret_end` points behind them. -EINVAL
 * with the reason.
 */
static int read_digits(const char *text, int64_t *ret, const char **ret_end, struct err *e)
{
	int64_t value = 0;
	const char *c = text;

	for (; is_digit(*c); c++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, *c - '0', &value))
			return err_set(e, -EINVAL, "too large");
	if (c == text)
		return -EINVAL;
	if (text[0] == '0' && is_digit(text[1]))
		return err_set(e, -EINVAL,
			       "a leading zero: YAML 1.1 reads it as octal; leave it out");
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'o' || text[1] == 'b'))
		return err_set(e, -EINVAL, "decimal digits are wanted");
	if (*c == '_')
		return err_set(e, -EINVAL, "\"_\" in a number; leave it out");
	if (*c == ':')
		return err_set(e, -EINVAL,
			       "YAML 1.1 reads this as base 60; write a number with its unit");
	*ret = value;
	*ret_end = c;
	return 0;
}

static int out_of_range(const struct config_key *k, struct err *e)
{
	return err_set(e, -EINVAL, "%lld to %lld is allowed", (long long)k->least,
		       (long long)k->most);
}

static int set_count(const struct config_key *k, const char *text, bool quoted, int64_t *ret,
		     struct err *e)
{
	const char *end;

	*e = (struct err){0};
	if (quoted)
		return err_set(e, -EINVAL, "in quotes it is a text; take the quotes away");
	if (read_digits(text, ret, &end, e) < 0 || *end != '\0')
		return e->text[0] != '\0'
			       ? -EINVAL
			       : err_set(e, -EINVAL, "%s is wanted", config_type_words(k->type));
	return *ret < k->least || *ret > k->most ? out_of_range(k, e) : 0;
}

static const struct {
	const char *unit;
	int64_t factor;
} sizes[] = {{"G", 1 << 30}, {"M", 1 << 20}, {"k", 1 << 10}, {"", 1}};

static const struct {
	const char *unit;
	int64_t seconds;
} times[] = {{"w", 604800}, {"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};

static void print_size(FILE *out, int64_t value)
{
	size_t i = 0;

	while (value % sizes[i].factor != 0 || (value == 0 && sizes[i].factor > 1))
		i++;
	fprintf(out, "%lld%s", (long long)(value / sizes[i].factor), sizes[i].unit);
}

/* Weeks are read, not written: 14d says more than 2w. */
static void print_time(FILE *out, int64_t seconds)
{
	size_t i = 1;

	if (seconds == 0) {
		fputc('0', out);
		return;
	}
	while (seconds % times[i].seconds != 0)
		i++;
	fprintf(out, "%lld%s", (long long)(seconds / times[i].seconds), times[i].unit);
}

static int range_error(const struct config_key *k, void (*print)(FILE *, int64_t), struct err *e)
{
	char text[80] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	require(out != NULL);
	print(out, k->least);
	fputs(" to ", out);
	print(out, k->most);
	require(fclose(out) == 0);
	return err_set(e, -EINVAL, "%s is allowed", text);
}

static int set_size(const struct config_key *k, const char *text, int64_t *ret, struct err *e)
{
	const char *end;
	int64_t n;

	*e = (struct err){0};
	if (read_digits(text, &n, &end, e) == 0)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			if (strcmp(end, sizes[i].unit) != 0)
				continue;
			if (__builtin_mul_overflow(n, sizes[i].factor, ret) || *ret < k->least ||
			    *ret > k->most)
				return range_error(k, print_size, e);
			return 0;
		}
	if (e->text[0] != '\0')
		return -EINVAL;
	return err_set(e, -EINVAL, "%s is wanted (k, M, G are powers of 1024)",
		       config_type_words(k->type));
}

static int set_duration(const struct config_key *k, const char *text, usec_t *ret, struct err *e)
{
	const char *end;
	int64_t n, seconds;
	/* In a list `most` counts its items. */
	int64_t most = k->many == CONFIG_LIST ? 30 * 86400 : k->most;

	*e = (struct err){0};
	if (read_digits(text, &n, &end, e) == 0) {
		if (*end == '\0' && n != 0)
			return err_set(e, -EINVAL,
				       "the unit is missing: %lds, %ldmin, %ldh or %ldd?", (long)n,
				       (long)n, (long)n, (long)n);
		if (strcmp(end, "m") == 0)
			return err_set(e, -EINVAL, "minutes are \"min\"");
		for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
			if (strcmp(end, times[i].unit) != 0 && *end != '\0')
				continue;
			if (__builtin_mul_overflow(n, times[i].seconds, &seconds) ||
			    seconds < k->least || seconds > most) {
				struct config_key range = *k;

				range.most = most;
				return range_error(&range, print_time, e);
			}
			*ret = usec_seconds(seconds);
			return 0;
		}
	}
	if (e->text[0] != '\0')
		return -EINVAL;
	return err_set(e, -EINVAL, "%s is wanted", config_type_words(k->type));
}

static int set_bool(const char *text, bool quoted, bool *ret, struct err *e)
{
	static const char *const other[] = {"yes", "no", "on", "off", "y", "n", "1", "0"};

	if (quoted)
		return err_set(e, -EINVAL, "in quotes it is a text; take the quotes away");
	*ret = strcmp(text, "true") == 0;
	if (*ret || strcmp(text, "false") == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		if (strcasecmp(text, other[i]) == 0)
			return err_set(e, -EINVAL, "write %s; YAML readers disagree about \"%s\"",
				       i % 2 == 0 ? "true" : "false", text);
	return err_set(e, -EINVAL, "true or false is wanted");
}

static int set_word(const struct config_key *k, const char *text, int *ret, struct err *e)
{
	char list[160] = "";
	size_t n = 0;

	for (int i = 0; k->words[i] != NULL; i++) {
		if (strcmp(k->words[i], text) == 0) {
			*ret = i;
			return 0;
		}
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i == 0 ? "" : ", ",
				      k->words[i]);
		require(n < sizeof(list));
	}
	return err_set(e, -EINVAL, "one of %s is wanted", list);
}

/* Days of the civil calendar since 1970, by the well-known formula (years from 1970 on). */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year, era = y / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int set_date(const char *text, int64_t *ret, struct err *e)
{
	struct tm t = {0};
	time_t unix_time;
	bool form = strlen(text) == 10 && text[4] == '-' && text[7] == '-';

	for (size_t i = 0; form && i < 10; i++)
		form = i == 4 || i == 7 || is_digit(text[i]);
	if (!form)
		return err_set(e, -EINVAL, "a day is wanted, such as 2026-12-31");
	t.tm_mday = (text[8] - '0') * 10 + text[9] - '0';
	t.tm_mon = (text[5] - '0') * 10 + text[6] - '0';
	t.tm_year = (text[0] - '0') * 1000 + (text[1] - '0') * 100 + (text[2] - '0') * 10 +
		    text[3] - '0';
	if (t.tm_year < 1970 || t.tm_mon < 1 || t.tm_mon > 12 || t.tm_mday < 1)
		return err_set(e, -EINVAL, "there is no such day");
	unix_time = (time_t)days_since_1970(t.tm_year, t.tm_mon, t.tm_mday) * 86400;
	*ret = unix_time + 86400;
	/* 31 April is 1 May by the formula. */
	if (gmtime_r(&unix_time, &t) == NULL || t.tm_mday != (text[8] - '0') * 10 + text[9] - '0')
		return err_set(e, -EINVAL, "there is no such day");
	return 0;
}

/* --- texts ------------------------------------------------------------------------------------ */

const char *config_text_trap(const char *text)
{
	static const char *const booleans[] = {"y", "n", "yes", "no", "true", "false", "on", "off"};
	const char *c = text;

	for (size_t i = 0; i < ARRAY_SIZE(booleans); i++)
		if (strcasecmp(text, booleans[i]) == 0)
			return "a boolean";
	if (*c == '\0' || strcmp(c, "~") == 0 || strcasecmp(c, "null") == 0)
		return "nothing at all";
	if (*c == '+' || *c == '-')
		c++;
	if (is_digit(*c) || *c == '.')
		if (c[strspn(c, "0123456789_.:eE+-xXabcdefABCDEF")] == '\0' &&
		    strchr(c, '/') == NULL)
			return "a number";
	return NULL;
}

static int set_text(struct arena *a, const char *text, bool quoted, const char **ret, struct err *e)
{
	const char *trap = quoted ? NULL : config_text_trap(text);

	if (text[0] == '\0')
		return err_set(e, -EINVAL, "a text is wanted, not nothing");
	if (trap != NULL)
		return err_set(e, -EINVAL, "YAML may take this for %s; put it in quotes", trap);
	if (strlen(text) > 1000)
		return err_set(e, -EINVAL, "longer than 1000 bytes");
	*ret = arena_strdup(a, text);
	return 0;
}

static int set_path(struct arena *a, const char *text, const char **ret, struct err *e)
{
	if (text[0] != '/' || text[1] == '\0')
		return err_set(e, -EINVAL, "a path that begins with / is wanted");
	if (strlen(text) > 1000)
		return err_set(e, -EINVAL, "longer than 1000 bytes");
	*ret = arena_strdup(a, text);
	return 0;
}

static int read_name(struct arena *a, const char *text, size_t n, const char **ret, struct err *e)
{
	struct mail_domain d;

	if (mail_domain_parse(a, span_of(text, n), &d, e) < 0)
		return -EINVAL;
	if (d.kind != MAIL_DOMAIN_NAME)
		return err_set(e, -EINVAL, "a name is wanted, not an address");
	*ret = d.host;
	return 0;
}

int config_value_domain(struct arena *a, const char *text, bool quoted, const char **ret,
			struct err *e)
{
	const char *trap = quoted ? NULL : config_text_trap(text);

	if (trap != NULL && text[0] != '\0')
		return err_set(e, -EINVAL, "YAML may take this for %s; put it in quotes", trap);
	return read_name(a, text, strlen(text), ret, e);
}

static int set_mailbox(struct arena *a, const char *text, const char **ret, struct err *e)
{
	struct mail_address address;

	if (mail_address_parse(a, span_text(text), &address, e) < 0)
		return -EINVAL;
	*ret = address.path;
	return 0;
}

static int set_fingerprint(struct arena *a, const char *text, bool quoted, const char **ret,
			   struct err *e)
{
	char clean[65];
	size_t n = 0;

	if (!quoted)
		return err_set(e, -EINVAL, "put it in quotes: all digits would be a number");
	for (const char *c = text; *c != '\0'; c++) {
		if (*c == ':') /* as OpenSSL prints it */
			continue;
		if (hex_digit((uint8_t)*c) < 0 || n == 64)
			return err_set(e, -EINVAL, "64 hexadecimal digits are wanted (SHA-256)");
		clean[n++] = (char)ascii_lower((uint8_t)*c);
	}
	if (n != 64)
		return err_set(e, -EINVAL, "64 hexadecimal digits are wanted (SHA-256)");
	clean[n] = '\0';
	*ret = arena_strdup(a, clean);
	return 0;
}

/* --- addresses -------------------------------------------------------------------------------- */

/* "25" to "65535", all of the text. */
static int read_port(const char *text, uint16_t *ret, struct err *e)
{
	const char *end = text;
	int64_t port = 0;

	if (read_digits(text, &port, &end, NULL) < 0 || *end != '\0' || port < 1 || port > 65535)
		return err_set(e, -EINVAL, "\"%.20s\" is no port (1 to 65535)", text);
	*ret = (uint16_t)port;
	return 0;
}

/* An address in its one spelling; NULL if it is none. `family` 0: either. */
static const char *read_address(struct arena *a, const char *text, size_t n, int family)
{
	char copy[64];
	uint8_t bytes[16];
	int found;

	if (n == 0 || n >= sizeof(copy))
		return NULL;
	memcpy(copy, text, n);
	copy[n] = '\0';
	found = dane_address_family(copy);
	if (found == 0 || (family != 0 && found != family) ||
	    inet_pton(found == 4 ? AF_INET : AF_INET6, copy, bytes) != 1)
		return NULL;
	return dane_address_to_text(a, span_of(bytes, found == 4 ? 4 : 16));
}

static int endpoint_name(struct arena *a, const char *text, struct config_endpoint *ret,
			 struct err *e)
{
	ret->name = arena_strdup(a, text);
	ret->text = arena_printf(a, "%s:%s", ret->kind == CONFIG_ENDPOINT_UNIX ? "unix" : "systemd",
				 text);
	if (ret->kind == CONFIG_ENDPOINT_UNIX && (text[0] != '/' || strlen(text) > 107))
		return err_set(e, -EINVAL, "unix: wants a path of at most 107 bytes");
	if (text[0] == '\0' || strlen(text) > 255)
		return err_set(e, -EINVAL, "systemd: wants the name of a socket");
	return 0;
}

static int set_endpoint(struct arena *a, const char *text, struct config_endpoint *ret,
			struct err *e)
{
	const char *colon = strrchr(text, ':');
	bool bracket = text[0] == '[';

	if (strncmp(text, "unix:", 5) == 0) {
		ret->kind = CONFIG_ENDPOINT_UNIX;
		return endpoint_name(a, text + 5, ret, e);
	}
	if (strncmp(text, "systemd:", 8) == 0) {
		ret->kind = CONFIG_ENDPOINT_SYSTEMD;
		return endpoint_name(a, text + 8, ret, e);
	}
	ret->kind = CONFIG_ENDPOINT_ADDRESS;
	if (!bracket && dane_address_family(text) != 0)
		return err_set(e, -EINVAL, "the port is missing: %s%.50s%s:25",
			       strchr(text, ':') != NULL ? "\"[" : "\"", text,
			       strchr(text, ':') != NULL ? "]\"" : "\"");
	if (colon == NULL || (bracket && colon[-1] != ']'))
		return err_set(e, -EINVAL, "the port is missing: \"192.0.2.1:25\", \"[::]:25\"");
	ret->name = bracket ? read_address(a, text + 1, (size_t)(colon - text) - 2, 6)
			    : read_address(a, text, (size_t)(colon - text), 4);
	if (ret->name == NULL)
		return err_set(
			e, -EINVAL,
			"not an address: \"192.0.2.1:25\" or \"[2001:db8::1]:25\" is wanted");
	ret->text = NULL;
	if (read_port(colon + 1, &ret->port, e) < 0)
		return -EINVAL;
	ret->text = arena_printf(a, bracket ? "[%s]:%u" : "%s:%u", ret->name, ret->port);
	return 0;
}

static int hop_in_brackets(struct arena *a, const char *text, const char *end,
			   struct config_hop *ret, struct err *e)
{
	const char *inside = text + 1;
	size_t n = (size_t)(end - inside);

	if (n > 5 && strncasecmp(inside, "IPv6:", 5) == 0) {
		inside += 5;
		n -= 5;
	}
	ret->kind = CONFIG_HOP_ADDRESS;
	ret->name = read_address(a, inside, n, 0);
	if (ret->name != NULL)
		return 0;
	ret->kind = CONFIG_HOP_HOST;
	return read_name(a, inside, n, &ret->name, e);
}

/* What stands behind "smtp:" or "lmtp:". */
static int hop_target(struct arena *a, const char *text, struct config_hop *ret, struct err *e)
{
	const char *end, *port;

	ret->port = ret->protocol == CONFIG_HOP_SMTP ? 25 : 24;
	if (text[0] == '[') {
		end = strchr(text, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return err_set(e, -EINVAL, "\"[HOST]:PORT\" is wanted");
		port = end[1] == ':' ? end + 2 : NULL;
		if (hop_in_brackets(a, text, end, ret, e) < 0)
			return -EINVAL;
	} else {
		end = strchr(text, ':');
		port = end != NULL ? end + 1 : NULL;
		ret->kind = CONFIG_HOP_DOMAIN;
		if (ret->protocol == CONFIG_HOP_LMTP)
			return err_set(e, -EINVAL,
				       "LMTP has no MX lookup: \"lmtp:[HOST]:24\" or "
				       "lmtp:unix:/PATH is wanted");
		if (dane_address_family(text) != 0)
			return err_set(e, -EINVAL,
				       "an address stands in brackets: \"smtp:[%.50s]\"", text);
		if (read_name(a, text, end != NULL ? (size_t)(end - text) : strlen(text),
			      &ret->name, e) < 0)
			return -EINVAL;
	}
	return port != NULL ? read_port(port, &ret->port, e) : 0;
}

static int set_hop(struct arena *a, const char *text, struct config_hop *ret, struct err *e)
{
	const char *protocol;

	if (strncmp(text, "smtp:", 5) == 0)
		ret->protocol = CONFIG_HOP_SMTP;
	else if (strncmp(text, "lmtp:", 5) == 0)
		ret->protocol = CONFIG_HOP_LMTP;
	else
		return err_set(e, -EINVAL, "%s is wanted", config_type_words(CONFIG_TYPE_HOP));
	text += 5;
	if (ret->protocol == CONFIG_HOP_LMTP && strncmp(text, "unix:", 5) == 0) {
		ret->kind = CONFIG_HOP_UNIX;
		if (text[5] != '/' || strlen(text + 5) > 107)
			return err_set(e, -EINVAL, "unix: wants a path of at most 107 bytes");
		ret->name = arena_strdup(a, text + 5);
		ret->text = arena_printf(a, "lmtp:unix:%s", ret->name);
		return 0;
	}
	if (hop_target(a, text, ret, e) < 0)
		return -EINVAL;
	protocol = ret->protocol == CONFIG_HOP_SMTP ? "smtp" : "lmtp";
	ret->text = arena_printf(a, ret->kind == CONFIG_HOP_DOMAIN ? "%s:%s:%u" : "%s:[%s]:%u",
				 protocol, ret->name, ret->port);
	return 0;
}

static int set_network(const char *text, struct config_network *ret, struct err *e)
{
	const char *slash = strchr(text, '/'), *end;
	size_t n = slash != NULL ? (size_t)(slash - text) : strlen(text);
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	char address[64];
	int64_t bits;

	if (n >= sizeof(address))
		return err_set(e, -EINVAL, "%s is wanted", config_type_words(CONFIG_TYPE_NETWORK));
	memcpy(address, text, n);
	address[n] = '\0';
	ret->family = (uint8_t)dane_address_family(address);
	if (ret->family == 0 ||
	    inet_pton(ret->family == 4 ? AF_INET : AF_INET6, address, ret->bytes) != 1)
		return err_set(e, -EINVAL, "%s is wanted", config_type_words(CONFIG_TYPE_NETWORK));
	if (ret->family == 6 && memcmp(ret->bytes, mapped, sizeof(mapped)) == 0)
		return err_set(e, -EINVAL, "write an IPv4 network as IPv4: 192.0.2.0/24");
	bits = ret->family == 4 ? 32 : 128;
	if (slash != NULL) {
		int64_t most = bits;

		if (read_digits(slash + 1, &bits, &end, NULL) < 0 || *end != '\0' || bits > most)
			return err_set(e, -EINVAL, "0 to %d is wanted behind the \"/\"", (int)most);
	}
	ret->bits = (uint8_t)bits;
	for (size_t i = 0; i < (ret->family == 4 ? 4u : 16u); i++) {
		int keep = (int)bits - (int)i * 8;
		uint8_t mask = keep >= 8 ? 0xff : keep <= 0 ? 0 : (uint8_t)(0xff00 >> keep);

		if ((ret->bytes[i] & ~mask) != 0)
			return err_set(e, -EINVAL,
				       "bits are set behind the first %d: is a host meant (/%d)?",
				       (int)bits, ret->family == 4 ? 32 : 128);
	}
	return 0;
}

static int set_forwarder(struct arena *a, const char *text, const char **ret, struct err *e)
{
	const char *at = strchr(text, '@');
	const char *address =
		read_address(a, text, at != NULL ? (size_t)(at - text) : strlen(text), 0);
	uint16_t port;

	if (address == NULL)
		return err_set(e, -EINVAL, "ADDR or ADDR@PORT is wanted");
	if (at != NULL && read_port(at + 1, &port, e) < 0)
		return -EINVAL;
	*ret = at != NULL ? arena_printf(a, "%s%s", address, at) : address;
	return 0;
}

/* --- all of them ------------------------------------------------------------------------------ */

int config_value_set(struct arena *a, const struct config_key *k, const char *text, bool quoted,
		     void *at, struct err *e)
{
	struct err scratch;

	e = e != NULL ? e : &scratch;
	switch (k->type) {
	case CONFIG_TYPE_BOOL:
		return set_bool(text, quoted, at, e);
	case CONFIG_TYPE_COUNT:
		return set_count(k, text, quoted, at, e);
	case CONFIG_TYPE_SIZE:
		return set_size(k, text, at, e);
	case CONFIG_TYPE_DURATION:
		return set_duration(k, text, at, e);
	case CONFIG_TYPE_TEXT:
		return set_text(a, text, quoted, at, e);
	case CONFIG_TYPE_PATH:
		return set_path(a, text, at, e);
	case CONFIG_TYPE_HOST:
		return config_value_domain(a, text, quoted, at, e);
	case CONFIG_TYPE_MAILBOX:
		return set_mailbox(a, text, at, e);
	case CONFIG_TYPE_DATE:
		return set_date(text, at, e);
	case CONFIG_TYPE_WORD:
		return set_word(k, text, at, e);
	case CONFIG_TYPE_ENDPOINT:
		return set_endpoint(a, text, at, e);
	case CONFIG_TYPE_HOP:
		return set_hop(a, text, at, e);
	case CONFIG_TYPE_NETWORK:
		return set_network(text, at, e);
	case CONFIG_TYPE_FORWARDER:
		return set_forwarder(a, text, at, e);
	case CONFIG_TYPE_FINGERPRINT:
		return set_fingerprint(a, text, quoted, at, e);
	case CONFIG_TYPE_SECTION:
		break;
	}
	require(false);
	return -EINVAL;
}

void config_text_print(FILE *out, const char *text)
{
	const char *safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
	bool plain = text[strspn(text, safe)] == '\0' && config_text_trap(text) == NULL &&
		     text[0] != '-' && text[0] != '.';

	if (plain) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (const char *c = text; *c != '\0'; c++) {
		if (*c == '"' || *c == '\\')
			fputc('\\', out);
		fputc(*c, out);
	}
	fputc('"', out);
}

static void print_date(FILE *out, int64_t end)
{
	time_t last = (time_t)end - 86400;
	struct tm t;

	require(gmtime_r(&last, &t) != NULL);
	fprintf(out, "%04d-%02d-%02d", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday);
}

static void print_network(FILE *out, const struct config_network *n)
{
	char text[INET6_ADDRSTRLEN];

	require(inet_ntop(n->family == 4 ? AF_INET : AF_INET6, n->bytes, text, sizeof(text)) !=
		NULL);
	fprintf(out, "\"%s/%u\"", text, n->bits);
}

static bool print_string(FILE *out, const char *text)
{
	if (text != NULL)
		config_text_print(out, text);
	return text != NULL;
}

bool config_value_print(FILE *out, const struct config_key *k, const void *at)
{
	int64_t n;

	switch (k->type) {
	case CONFIG_TYPE_BOOL:
		fputs(*(const bool *)at ? "true" : "false", out);
		return true;
	case CONFIG_TYPE_COUNT:
		fprintf(out, "%lld", (long long)*(const int64_t *)at);
		return true;
	case CONFIG_TYPE_SIZE:
		print_size(out, *(const int64_t *)at);
		return true;
	case CONFIG_TYPE_DURATION:
		print_time(out, *(const usec_t *)at / USEC_PER_SEC);
		return true;
	case CONFIG_TYPE_DATE:
		n = *(const int64_t *)at;
		if (n != 0)
			print_date(out, n);
		return n != 0;
	case CONFIG_TYPE_WORD:
		fputs(k->words[*(const int *)at], out);
		return true;
	case CONFIG_TYPE_TEXT:
	case CONFIG_TYPE_PATH:
	case CONFIG_TYPE_HOST:
	case CONFIG_TYPE_MAILBOX:
	case CONFIG_TYPE_FORWARDER:
		return print_string(out, *(const char *const *)at);
	case CONFIG_TYPE_FINGERPRINT:
		fprintf(out, "\"%s\"", *(const char *const *)at);
		return true;
	case CONFIG_TYPE_ENDPOINT:
		return print_string(out, ((const struct config_endpoint *)at)->text);
	case CONFIG_TYPE_HOP:
		return print_string(out, ((const struct config_hop *)at)->text);
	case CONFIG_TYPE_NETWORK:
		print_network(out, at);
		return true;
	case CONFIG_TYPE_SECTION:
		break;
	}
	return false;
}
