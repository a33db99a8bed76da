#include "core/dane/name.h"

#include <errno.h>

#include "base/buf.h"
#include "base/hex.h"
#include "base/text.h"

/* One octet of a label as canonical text. */
static size_t put_octet(char *out, uint8_t c)
{
	static const char digits[] = "0123456789";

	c = ascii_lower(c);
	if (c == '.' || c == '\\') {
		out[0] = '\\';
		out[1] = (char)c;
		return 2;
	}
	if (c > 0x20 && c < 0x7f) {
		out[0] = (char)c;
		return 1;
	}
	out[0] = '\\';
	out[1] = digits[c / 100];
	out[2] = digits[c / 10 % 10];
	out[3] = digits[c % 10];
	return 4;
}

const char *dane_name_from_wire(struct arena *a, struct cursor *c)
{
	char text[DANE_NAME_TEXT_MAX + DANE_LABEL_MAX + 1];
	size_t at = 0, wire = 0;

	for (;;) {
		struct span label;
		uint8_t n = cursor_u8(c);

		wire += 1u + n;
		if (n > DANE_LABEL_MAX || wire > DANE_NAME_WIRE_MAX)
			c->failed = true;
		label = cursor_take(c, n);
		if (c->failed)
			return NULL;
		if (n == 0)
			break;
		if (at > 0)
			text[at++] = '.';
		for (size_t i = 0; i < label.n; i++)
			at += put_octet(text + at, label.p[i]);
	}
	if (at == 0)
		text[at++] = '.';
	return arena_text(a, span_of(text, at));
}

/* One octet of a label in text at `*s`, escapes resolved; -1 if there is none or it is not ASCII.
 */
static int get_octet(const char **s)
{
	const uint8_t *p = (const uint8_t *)*s;
	int value = 0;

	if (p[0] != '\\') {
		*s += 1;
		return p[0] >= 0x21 && p[0] < 0x7f ? p[0] : -1;
	}
	if (p[1] < '0' || p[1] > '9') {
		*s += 2;
		return p[1] >= 0x21 && p[1] < 0x7f ? p[1] : -1;
	}
	for (int i = 1; i <= 3; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		value = value * 10 + p[i] - '0';
	}
	*s += 4;
	return value <= 255 ? value : -1;
}

/* The octets of `text` as a wire name in `wire` (DANE_NAME_WIRE_MAX); their number, or -EINVAL. */
static int read_text(const char *text, uint8_t *wire, struct err *e)
{
	size_t start = 0, at = 1;

	if (strcmp(text, ".") == 0) {
		wire[0] = 0;
		return 1;
	}
	if (*text == '\0')
		return err_set(e, -EINVAL, "a domain name is empty");
	while (*text != '\0') {
		int octet;

		if (*text == '.') {
			text++;
			if (at == start + 1)
				return err_set(e, -EINVAL, "a label is empty");
			if (at >= DANE_NAME_WIRE_MAX)
				return err_set(e, -EINVAL, "longer than 255 octets");
			wire[start] = (uint8_t)(at - start - 1);
			start = at++;
			continue;
		}
		octet = get_octet(&text);
		if (octet < 0)
			return err_set(e, -EINVAL, "not a domain name in ASCII");
		if (at - start - 1 >= DANE_LABEL_MAX)
			return err_set(e, -EINVAL, "a label is longer than 63 octets");
		if (at >= DANE_NAME_WIRE_MAX - 1)
			return err_set(e, -EINVAL, "longer than 255 octets");
		wire[at++] = (uint8_t)octet;
	}
	wire[start] = (uint8_t)(at - start - 1);
	if (wire[start] != 0)
		wire[at++] = 0;
	return (int)at;
}

int dane_name_from_text(struct arena *a, const char *text, const char **ret, struct err *e)
{
	uint8_t wire[DANE_NAME_WIRE_MAX];
	struct cursor c;
	int n = read_text(text, wire, e);

	if (n < 0)
		return n;
	c = cursor_of(span_of(wire, (size_t)n));
	*ret = dane_name_from_wire(a, &c);
	require(*ret != NULL && cursor_left(&c) == 0);
	return 0;
}

size_t dane_name_to_wire(const char *name, uint8_t *ret)
{
	int n = read_text(name, ret, NULL);

	return n < 0 ? 0 : (size_t)n;
}

/* The length on the wire of a canonical name. */
static size_t wire_length(const char *name)
{
	size_t n = 1;

	if (strcmp(name, ".") == 0)
		return 1;
	n++; /* the first label's length octet; each dot stands for another */
	while (*name != '\0') {
		if (*name == '\\')
			name += name[1] >= '0' && name[1] <= '9' ? 3 : 1;
		name++;
		n++;
	}
	return n;
}

const char *dane_name_tlsa_owner(struct arena *a, const char *base, uint16_t port)
{
	char *owner;

	if (strcmp(base, ".") == 0)
		return arena_printf(a, "_%u._tcp", port);
	owner = arena_printf(a, "_%u._tcp.%s", port, base);
	return wire_length(owner) <= DANE_NAME_WIRE_MAX ? owner : NULL;
}

bool dane_name_is_host(const char *name)
{
	return text_is_host(span_text(name));
}

bool dane_name_is_address(const char *name)
{
	return dane_address_family(name) != 0;
}

/* "0" to "255" without leading zeros, moved over. */
static bool dotted_part(const char **s)
{
	unsigned value = 0, n = 0;

	while (**s >= '0' && **s <= '9' && n < 4) {
		value = value * 10 + (unsigned)(**s - '0');
		n++;
		(*s)++;
	}
	return n > 0 && n <= 3 && value <= 255;
}

static bool is_ipv4(const char *s)
{
	for (int i = 0; i < 4; i++) {
		if (i > 0 && *s++ != '.')
			return false;
		if (!dotted_part(&s))
			return false;
	}
	return *s == '\0';
}

static bool is_ipv6(const char *s)
{
	unsigned groups = 0;
	bool gap = false;

	if (s[0] == ':' && s[1] != ':')
		return false;
	while (*s != '\0') {
		unsigned n = 0;

		if (s[0] == ':' && s[1] == ':') {
			if (gap)
				return false;
			gap = true;
			s += 2;
			continue;
		}
		if (groups > 0 && s[-1] != ':' && *s++ != ':')
			return false;
		if (is_ipv4(s)) {
			groups += 2;
			break;
		}
		while (hex_digit((uint8_t)*s) >= 0) {
			n++;
			s++;
		}
		if (n < 1 || n > 4)
			return false;
		groups++;
	}
	return gap ? groups <= 7 : groups == 8;
}

int dane_address_family(const char *text)
{
	if (is_ipv4(text))
		return 4;
	return is_ipv6(text) ? 6 : 0;
}

const char *dane_address_to_text(struct arena *a, struct span bytes)
{
	uint16_t group[8];
	unsigned best = 8, best_n = 1;
	struct buf b;
	char *text;

	if (bytes.n == 4)
		return arena_printf(a, "%u.%u.%u.%u", bytes.p[0], bytes.p[1], bytes.p[2],
				    bytes.p[3]);
	if (bytes.n != 16)
		return NULL;
	for (unsigned i = 0; i < 8; i++)
		group[i] = (uint16_t)(bytes.p[2 * i] << 8 | bytes.p[2 * i + 1]);
	/* The longest run of two or more zero groups becomes "::" (RFC 5952 section 4.2). */
	for (unsigned i = 0, n; i<8; i += n> 0 ? n : 1) {
		for (n = 0; i + n < 8 && group[i + n] == 0; n++)
			;
		if (n > best_n) {
			best = i;
			best_n = n;
		}
	}
	buf_init(&b, 64);
	for (unsigned i = 0; i < 8; i++) {
		if (i == best) {
			require(buf_add_text(&b, "::") == 0);
			i += best_n - 1;
			continue;
		}
		require(buf_printf(&b, "%s%x", i > 0 && i != best + best_n ? ":" : "", group[i]) ==
			0);
	}
	text = arena_text(a, buf_span(&b));
	buf_done(&b);
	return text;
}
