#include "main/cli/ask.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/text.h"

static const uint64_t seconds_max = 99999999999; /* year 5138 */

/* --- a time ----------------------------------------------------------------------------------- */

/* Exactly `digits` of them; -1 for anything else. */
static int take_number(const char **at, int digits)
{
	int value = 0;

	for (int i = 0; i < digits; i++, ++*at) {
		if (**at < '0' || **at > '9')
			return -1;
		value = value * 10 + (**at - '0');
	}
	return value;
}

static bool take(const char **at, char c)
{
	if (**at != c)
		return false;
	++*at;
	return true;
}

static int plain_seconds(const char *text, int64_t *ret)
{
	uint64_t value;

	if (!text_to_number(span_text(text), seconds_max, &value) || value == 0)
		return -EINVAL;
	*ret = (int64_t)value;
	return 0;
}

/* "Z", "+01:00", "-08:30": seconds east of UTC. */
static int take_zone(const char **at, int *ret)
{
	int sign = **at == '-' ? -1 : 1, hours, minutes;

	*ret = 0;
	if (take(at, 'Z') || take(at, 'z'))
		return 0;
	if (!take(at, '+') && !take(at, '-'))
		return -EINVAL;
	hours = take_number(at, 2);
	if (!take(at, ':'))
		return -EINVAL;
	minutes = take_number(at, 2);
	if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
		return -EINVAL;
	*ret = sign * (hours * 3600 + minutes * 60);
	return 0;
}

static int take_clock(const char **at, struct tm *tm, int *ret_zone)
{
	if (!take(at, 'T') && !take(at, 't') && !take(at, ' '))
		return -EINVAL;
	tm->tm_hour = take_number(at, 2);
	if (!take(at, ':'))
		return -EINVAL;
	tm->tm_min = take_number(at, 2);
	if (!take(at, ':'))
		return -EINVAL;
	tm->tm_sec = take_number(at, 2);
	if (take(at, '.')) {
		size_t n = strspn(*at, "0123456789");

		if (n == 0)
			return -EINVAL;
		*at += n;
	}
	if (tm->tm_hour < 0 || tm->tm_hour > 23 || tm->tm_min < 0 || tm->tm_min > 59 ||
	    tm->tm_sec < 0 || tm->tm_sec > 60)
		return -EINVAL;
	return take_zone(at, ret_zone);
}

int cli_time(const char *text, int64_t *ret)
{
	struct tm tm = {0}, copy;
	int zone = 0, year, month;

	if (plain_seconds(text, ret) == 0)
		return 0;
	year = take_number(&text, 4);
	if (year < 1970 || !take(&text, '-'))
		return -EINVAL;
	month = take_number(&text, 2);
	if (month < 1 || month > 12 || !take(&text, '-'))
		return -EINVAL;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = take_number(&text, 2);
	if (tm.tm_mday < 1 || (*text != '\0' && take_clock(&text, &tm, &zone) < 0) || *text != '\0')
		return -EINVAL;
	copy = tm;
	*ret = timegm(&copy) - zone;
	/* The 31st of February would be read as a day in March. */
	return *ret > 0 && copy.tm_mon == tm.tm_mon ? 0 : -EINVAL;
}

/* --- the options ------------------------------------------------------------------------------ */

static int read_records(struct cli_ask *ask, const struct config *c, struct check_options *ret)
{
	struct dane_tlsa *list = arena_calloc(&ask->arena, c->record.n, sizeof(*list));
	struct err e;

	for (size_t i = 0; i < c->record.n; i++)
		if (dane_tlsa_from_text(&ask->arena, c->record.items[i], &list[i], &e) < 0)
			return cli_fail(CLI_DATA, "--record %s: %s", c->record.items[i], e.text);
	ret->records = list;
	ret->n_records = c->record.n;
	return 0;
}

static int read_addresses(struct cli_ask *ask, const struct config *c, const char *own_name,
			  struct check_options *ret)
{
	const char *from = c->from != NULL ? c->from : "<>";
	struct err e;

	if (c->to.n == 0)
		return c->send ? cli_fail(CLI_USAGE, "check: --send wants --to") : 0;
	if (c->to.n > 1)
		return cli_fail(CLI_USAGE, "check: one --to is enough");
	if (mail_address_parse(&ask->arena, span_text(c->to.items[0]), &ask->to, &e) < 0)
		return cli_fail(CLI_DATA, "--to %s: %s", c->to.items[0], e.text);
	if (ask->to.domain.kind != MAIL_DOMAIN_NAME)
		return cli_fail(CLI_DATA, "--to %s: DANE does not apply to an address literal",
				c->to.items[0]);
	if (mail_address_parse_reverse(&ask->arena, span_text(from), &ask->from, &e) < 0)
		return cli_fail(CLI_DATA, "--from %s: %s", from, e.text);
	if (mail_domain_parse(&ask->arena, span_text(own_name), &ask->inbound.helo, &e) < 0)
		return cli_fail(CLI_USAGE, "--helo %s: %s", own_name, e.text);
	ask->inbound.to = &ask->to;
	ask->inbound.from = &ask->from;
	ask->inbound.connect_timeout = c->connect_timeout;
	ask->inbound.at = ret->at;
	ret->inbound = &ask->inbound;
	return 0;
}

int cli_ask_read(struct cli_ask *ask, const struct config *c, const char *own_name,
		 struct check_options *ret)
{
	struct err e;

	if (c->at != NULL && cli_time(c->at, &ret->at) < 0)
		return cli_fail(CLI_USAGE,
				"--at %s: a time such as 2026-12-24T18:00:00Z, or seconds since "
				"1970, is wanted",
				c->at);
	if (c->cert != NULL) {
		if (tls_chain_load(c->cert, &ask->cert, &e) < 0)
			return cli_fail(CLI_CONFIG, "%s", e.text);
		ret->cert = ask->cert;
	}
	if (c->from != NULL && c->to.n == 0)
		return cli_fail(CLI_USAGE, "check: --from goes with --to");
	if (c->record.n > 0) {
		int code = read_records(ask, c, ret);

		if (code != 0)
			return code;
	}
	return read_addresses(ask, c, own_name, ret);
}

void cli_ask_done(struct cli_ask *ask)
{
	tls_chain_free(ask->cert);
	arena_done(&ask->arena);
}
