/* The table of keys of daneway.yaml: everything else is made from it. */
#include "main/config/keys.h"

#define KEYS(list, type, rule)                                                                     \
	{                                                                                          \
		list, ARRAY_SIZE(list), sizeof(struct type), rule                                  \
	}

enum {
	MINUTE = 60,
	HOUR = 60 * MINUTE,
	DAY = 24 * HOUR,
};

#define MEGABYTE ((int64_t)1024 * 1024)
#define TERABYTE (MEGABYTE * MEGABYTE)

static const char *const modes[] = {"opportunistic", "mandatory", "none", NULL};
static const char *const tls_in[] = {"offered", "required", "implicit", "none", NULL};
static const char *const tls_out[] = {"none", "may", "encrypt", "dane", "dane-only", NULL};
static const char *const verify[] = {"none", "recipients", "data", NULL};
static const char *const levels[] = {"error", "warning", "info", "debug", NULL};

/* --- certificates ----------------------------------------------------------------------------- */

#define AT(field) offsetof(struct config_certificate, field)
static const struct config_key certificate_keys[] = {
	{"chain", CONFIG_TYPE_PATH, .offset = AT(chain), .required = true,
	 .help = "certificate and intermediates, the server's own first (PEM)",
	 .example = "/etc/daneway/mx1.pem"},
	{"key", CONFIG_TYPE_PATH, .offset = AT(key), .required = true, .secret = true,
	 .help = "private key (PEM), readable by its owner only",
	 .example = "/etc/daneway/mx1.key"},
};
#undef AT

static const struct config_section certificate = KEYS(certificate_keys, config_certificate, NULL);

/* --- listeners -------------------------------------------------------------------------------- */

#define AT(field) offsetof(struct config_listener, field)
static const struct config_key listener_keys[] = {
	{"mx", CONFIG_TYPE_ENDPOINT, .offset = AT(mx),
	 .help = "take mail for the domains of this file, from anyone", .example = "\"[::]:25\"",
	 .more = "\"[::]:25\" takes IPv4 too. systemd:NAME is a socket that systemd hands over."},
	{"relay", CONFIG_TYPE_ENDPOINT, .offset = AT(relay),
	 .help = "take mail for any recipient, from the clients that this listener names",
	 .example = "192.0.2.1:587",
	 .more = "It wants networks, fingerprints or passwords: there is no open relay."},
	{"tls", CONFIG_TYPE_WORD, .offset = AT(tls), .words = tls_in, .standard = "offered",
	 .help = "TLS on this listener",
	 .more = "required: no mail before STARTTLS. implicit: TLS from the first byte, as on port "
		 "465. none: no certificate is needed."},
	{"networks", CONFIG_TYPE_NETWORK, CONFIG_LIST, AT(networks), .most = 1000,
	 .help = "relay: clients in these networks may",
	 .example = "[192.0.2.0/24, 2001:db8::/32]"},
	{"fingerprints", CONFIG_TYPE_FINGERPRINT, CONFIG_LIST, AT(fingerprints), .most = 1000,
	 .help = "relay: clients with one of these certificates may (SHA-256, hexadecimal)",
	 .example = "[\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"]"},
	{"passwords", CONFIG_TYPE_PATH, .offset = AT(passwords), .secret = true,
	 .help = "relay: clients that AUTH by this password file, over TLS, may",
	 .example = "/etc/daneway/passwords"},
	{"proxy", CONFIG_TYPE_NETWORK, CONFIG_LIST, AT(proxy), .most = 1000,
	 .help = "these load balancers begin with a PROXY header (version 2)",
	 .example = "[198.51.100.7]",
	 .more = "Whoever else connects is taken for a client, and a header from there is "
		 "refused."},
};
#undef AT

static const struct config_section listener =
	KEYS(listener_keys, config_listener, config_check_listener);

/* --- domains ---------------------------------------------------------------------------------- */

#define AT(field) offsetof(struct config_domain, field)
static const struct config_key domain_keys[] = {
	{"next_hop", CONFIG_TYPE_HOP, .offset = AT(next_hop), .required = true,
	 .help = "the server behind: smtp:[HOST]:PORT, lmtp:[HOST]:PORT, lmtp:unix:/PATH",
	 .example = "\"smtp:[192.0.2.7]:25\"",
	 .more = "In brackets an address or a host without MX lookup; without brackets a domain, "
		 "by "
		 "its MX records. The port is 25 for SMTP and 24 for LMTP if it is left out."},
	{"tls", CONFIG_TYPE_WORD, .offset = AT(tls), .words = tls_out, .standard = "may",
	 .help = "TLS towards the server behind",
	 .more = "encrypt: TLS or nothing, unauthenticated. dane: as RFC 7672 says for a domain of "
		 "the world. dane-only: nothing without DANE."},
	{"recipients", CONFIG_TYPE_PATH, .offset = AT(recipients),
	 .help = "list of the recipients that exist, an address a line",
	 .example = "/etc/daneway/example.org.recipients"},
	{"verify", CONFIG_TYPE_WORD, .offset = AT(verify), .words = verify,
	 .standard = "recipients", .help = "what is asked of the server behind before a reply",
	 .more = "recipients: whether the recipient exists, unless the list says it; the answer is "
		 "kept for a while. data: its verdict on the message too, for a minute at most, "
		 "so that a refusal is told to the sender in the session and no bounce is made; "
		 "a message then has recipients of one domain. none: nothing."},
};
#undef AT

static const struct config_section domain = KEYS(domain_keys, config_domain, config_check_domain);

/* --- outbound --------------------------------------------------------------------------------- */

#define AT(field) offsetof(struct config_destination, field)
static const struct config_key destination_keys[] = {
	{"mode", CONFIG_TYPE_WORD, .offset = AT(mode), .words = modes,
	 .help = "DANE for this destination", .example = "none",
	 .more = "If it is left out, outbound.mode. A weaker mode than that is an exception: it "
		 "wants owner, reason and until, shows in daneway status, and ends by itself."},
	{"next_hop", CONFIG_TYPE_HOP, .offset = AT(next_hop),
	 .help = "send through this server, not through the domain's MX hosts",
	 .example = "\"smtp:[relay.example.net]:25\""},
	{"owner", CONFIG_TYPE_TEXT, .offset = AT(owner), .help = "who answers for the exception",
	 .example = "\"postmaster@hoster.example\""},
	{"reason", CONFIG_TYPE_TEXT, .offset = AT(reason), .help = "why it is made",
	 .example = "\"TLSA broken since the move, they know\""},
	{"until", CONFIG_TYPE_DATE, .offset = AT(until),
	 .help = "the last day on which it holds (UTC)", .example = "2026-12-31"},
};
#undef AT

static const struct config_section destination =
	KEYS(destination_keys, config_destination, config_check_destination);

#define AT(field) offsetof(struct config_outbound, field)
static const struct config_key outbound_keys[] = {
	{"mode", CONFIG_TYPE_WORD, .offset = AT(mode), .words = modes, .standard = "opportunistic",
	 .help = "DANE for mail to the world",
	 .more = "opportunistic: RFC 7672, DANE wherever it is published. mandatory: nothing "
		 "without DANE. none: DANE is off."},
	{"half_dane", CONFIG_TYPE_BOOL, .offset = AT(half_dane), .standard = "false",
	 .help = "use DANE of MX hosts also behind an unsigned MX answer"},
	{"next_hop", CONFIG_TYPE_HOP, .offset = AT(next_hop),
	 .help = "send everything through this server (a smart host)",
	 .example = "\"smtp:[relay.example.net]:25\""},
	{"connections", CONFIG_TYPE_COUNT, .offset = AT(connections), .least = 1, .most = 1000,
	 .standard = "20", .help = "connections at a time to one destination"},
	{"connect_timeout", CONFIG_TYPE_DURATION, .offset = AT(connect_timeout), .least = 1,
	 .most = 10 * MINUTE, .standard = "30s", .help = "limit of one TCP connection being made"},
	{"destinations", CONFIG_TYPE_SECTION, CONFIG_BY_DOMAIN, AT(destinations),
	 .section = &destination, .help = "what holds for single destinations",
	 .example = "example.net: {mode: mandatory}"},
};
#undef AT

static const struct config_section outbound =
	KEYS(outbound_keys, config_outbound, config_check_outbound);

/* --- queue ------------------------------------------------------------------------------------ */

#define AT(field) offsetof(struct config_queue, field)
static const struct config_key queue_keys[] = {
	{"directory", CONFIG_TYPE_PATH, .offset = AT(directory), .restart = true,
	 .help = "where the queue is kept (the folder \"queue\" of state)",
	 .example = "/var/spool/daneway"},
	{"retry", CONFIG_TYPE_DURATION, CONFIG_LIST, AT(retry), .least = 1, .most = 50,
	 .standard = "[15min, 15min, 1h]",
	 .help = "waits between tries; the last one again and again",
	 .more = "Each is varied a little, so that not all come at once. RFC 5321 section 4.5.4.1 "
		 "advises at least 30 minutes; the default is what Exchange does."},
	{"lifetime", CONFIG_TYPE_DURATION, .offset = AT(lifetime), .least = MINUTE,
	 .most = 30 * DAY, .standard = "5d",
	 .help = "how long a message is tried before it is returned"},
	{"dane_lifetime", CONFIG_TYPE_DURATION, .offset = AT(dane_lifetime), .least = MINUTE,
	 .most = 30 * DAY, .help = "the same for one that a DANE failure keeps back (lifetime)",
	 .example = "24h"},
	{"delay_notice", CONFIG_TYPE_DURATION, .offset = AT(delay_notice), .most = 30 * DAY,
	 .standard = "4h", .help = "after this time the sender is told of the delay; 0: never"},
	{"free_space", CONFIG_TYPE_SIZE, .offset = AT(free_space), .most = TERABYTE,
	 .standard = "100M", .help = "with less space on the disk nothing new is taken (452)"},
};
#undef AT

static const struct config_section queue = KEYS(queue_keys, config_queue, config_check_queue);

/* --- limits ----------------------------------------------------------------------------------- */

#define AT(field) offsetof(struct config_limits, field)
static const struct config_key limit_keys[] = {
	{"message_size", CONFIG_TYPE_SIZE, .offset = AT(message_size), .least = 65536,
	 .most = 4096 * MEGABYTE, .standard = "100M", .help = "largest message"},
	{"recipients", CONFIG_TYPE_COUNT, .offset = AT(recipients), .least = 100, .most = 10000,
	 .standard = "1000", .help = "recipients of one message"},
	{"hops", CONFIG_TYPE_COUNT, .offset = AT(hops), .least = 20, .most = 1000,
	 .standard = "100", .help = "Received fields; more are a loop"},
	{"errors", CONFIG_TYPE_COUNT, .offset = AT(errors), .least = 1, .most = 1000,
	 .standard = "20", .help = "errors of a client before it is cut off"},
	{"connections", CONFIG_TYPE_COUNT, .offset = AT(connections), .least = 1, .most = 100000,
	 .standard = "10000", .help = "connections from clients at a time"},
	{"connections_per_client", CONFIG_TYPE_COUNT, .offset = AT(connections_per_client),
	 .least = 1, .most = 100000, .standard = "50",
	 .help = "of them from one IPv4 address or IPv6 /64"},
	{"messages_per_client", CONFIG_TYPE_COUNT, .offset = AT(messages_per_client), .least = 0,
	 .most = 1000000, .standard = "0",
	 .help = "messages from one of them in a minute; 0: any number"},
	{"command_timeout", CONFIG_TYPE_DURATION, .offset = AT(command_timeout), .least = 1,
	 .most = HOUR, .standard = "5min", .help = "wait for a client's command"},
	{"data_timeout", CONFIG_TYPE_DURATION, .offset = AT(data_timeout), .least = 1, .most = HOUR,
	 .standard = "3min", .help = "wait for a client's next data"},
};
#undef AT

static const struct config_section limits = KEYS(limit_keys, config_limits, NULL);

/* --- dns, metrics, log ------------------------------------------------------------------------ */

#define AT(field) offsetof(struct config_dns, field)
static const struct config_key dns_keys[] = {
	{"root_hints", CONFIG_TYPE_PATH, .offset = AT(root_hints), .restart = true,
	 .help = "root name servers (BIND style) instead of the built-in list",
	 .example = "/etc/daneway/root.hints"},
	{"trust_anchor", CONFIG_TYPE_PATH, .offset = AT(trust_anchor), .restart = true,
	 .help = "DS or DNSKEY of the root instead of the installed anchor",
	 .example = "/etc/daneway/root.key"},
	{"forward", CONFIG_TYPE_FORWARDER, CONFIG_LIST, AT(forward), .most = CONFIG_FORWARD_MAX,
	 .restart = true, .help = "ask these resolvers; answers are still validated here",
	 .example = "[192.0.2.53, \"2001:db8::53@5353\"]", .more = "Excludes root_hints."},
	{"timeout", CONFIG_TYPE_DURATION, .offset = AT(timeout), .least = 1, .most = 5 * MINUTE,
	 .restart = true, .standard = "10s", .help = "limit of one DNS question"},
};
#undef AT

static const struct config_section dns = KEYS(dns_keys, config_dns, config_check_dns);

#define AT(field)                                                                                  \
	(offsetof(struct config_file, metrics.field) - offsetof(struct config_file, metrics))
static const struct config_key metric_keys[] = {
	{"listen", CONFIG_TYPE_ENDPOINT, .offset = AT(listen), .restart = true,
	 .help = "serve metrics for Prometheus here: a local port or unix:/PATH",
	 .example = "127.0.0.1:9725"},
};
#undef AT

static const struct config_section metrics = {metric_keys, ARRAY_SIZE(metric_keys),
					      sizeof(((struct config_file *)0)->metrics), NULL};

static const struct config_key log_keys[] = {
	{"level", CONFIG_TYPE_WORD, .offset = 0, .words = levels, .standard = "info",
	 .help = "how much goes to standard error (the journal)"},
};

static const struct config_section logging = {log_keys, ARRAY_SIZE(log_keys),
					      sizeof(((struct config_file *)0)->log), NULL};

/* --- the file --------------------------------------------------------------------------------- */

#define AT(field) offsetof(struct config_file, field)
static const struct config_key top_keys[] = {
	{"hostname", CONFIG_TYPE_HOST, .offset = AT(hostname), .restart = true,
	 .help = "own name: in the greeting, EHLO and Received; never a host to send to",
	 .example = "mx1.hoster.example", .more = "If it is left out, the name of the host."},
	{"state", CONFIG_TYPE_PATH, .offset = AT(state), .standard = "/var/lib/daneway",
	 .restart = true, .help = "folder of the queue, the registry, keys and the control socket"},
	{"user", CONFIG_TYPE_TEXT, .offset = AT(user), .standard = "daneway", .restart = true,
	 .help = "run as this user when started as root"},
	{"postmaster", CONFIG_TYPE_MAILBOX, .offset = AT(postmaster),
	 .help = "whom reports name as the contact (postmaster@ the hostname)",
	 .example = "\"postmaster@hoster.example\""},
	{"certificates", CONFIG_TYPE_SECTION, CONFIG_LIST, AT(certificates), .most = 10000,
	 .section = &certificate,
	 .help = "certificates to show: by name and key type, the first one to whoever names none",
	 .example = "- {chain: /etc/daneway/mx1.pem, key: /etc/daneway/mx1.key}"},
	{"listeners", CONFIG_TYPE_SECTION, CONFIG_LIST, AT(listeners), .most = 1000,
	 .section = &listener, .help = "where mail comes in",
	 .example = "- {mx: \"[::]:25\"}\n- {relay: \"192.0.2.1:25\", networks: [192.0.2.0/24]}"},
	{"domains", CONFIG_TYPE_SECTION, CONFIG_BY_DOMAIN, AT(domains), .section = &domain,
	 .help = "own domains, and the server behind for each",
	 .example = "example.org: {next_hop: \"smtp:[192.0.2.7]:25\"}"},
	{"outbound", CONFIG_TYPE_SECTION, .offset = AT(outbound), .section = &outbound,
	 .help = "mail to the world"},
	{"queue", CONFIG_TYPE_SECTION, .offset = AT(queue), .section = &queue,
	 .help = "mail that waits"},
	{"limits", CONFIG_TYPE_SECTION, .offset = AT(limits), .section = &limits,
	 .help = "what a client may do"},
	{"dns", CONFIG_TYPE_SECTION, .offset = AT(dns), .section = &dns,
	 .help = "the validating resolver, as the options of the same names"},
	{"metrics", CONFIG_TYPE_SECTION, .offset = AT(metrics), .section = &metrics,
	 .help = "figures for monitoring"},
	{"log", CONFIG_TYPE_SECTION, .offset = AT(log), .section = &logging, .help = "the log"},
	{"threads", CONFIG_TYPE_COUNT, .offset = AT(threads), .least = 1, .most = 64,
	 .standard = "1", .restart = true, .help = "threads that hold sessions"},
	{"sandbox", CONFIG_TYPE_BOOL, .offset = AT(sandbox), .standard = "true", .restart = true,
	 .help = "confine the process (seccomp, Landlock)"},
};
#undef AT

const struct config_section config_top = KEYS(top_keys, config_file, config_check_file);
