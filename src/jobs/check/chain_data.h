/*
 * What the walk of a chain finds, as data: zones, their servers, the questions asked of them and
 * the answers, lookups with their alias chains, and notes (what is to be told, by server). Only
 * for jobs/check/chain*.c. Everything lives in the chain's arena.
 */
#pragma once

#include "edge/dns/denial.h"
#include "jobs/check/chain.h"

enum {
	CHAIN_SERVERS_MAX = 64, /* addresses of one zone: bits of a mask */
	CHAIN_NAMES_MAX = 32,   /* name servers of one zone whose addresses are looked up */
	CHAIN_ZONES_MAX = 48,
	CHAIN_LOOKUPS_MAX = 300,
	CHAIN_HOSTS_MAX = 50,   /* MX hosts */
	CHAIN_ALIASES_MAX = 16, /* hops from one name */
	CHAIN_PROBES_MAX = 16,  /* labels tried for a hidden zone cut, for each lookup */
	CHAIN_QUESTIONS_MAX = 5000,
	CHAIN_IN_FLIGHT = 400,
	CHAIN_NOTES_MAX = 10000,
	CHAIN_SIGNATURES_MAX = 10000, /* remembered for the picture */
	CHAIN_PACKETS_MAX = 2000,     /* written into one report */
	CHAIN_BYTES_MAX = 256 * 1024 * 1024,
};

/* Servers as bits: bit i is servers[i] of the zone. */
typedef uint64_t check_mask;

struct check_server {
	const char *name, *address;
	bool silent; /* no usable answer to anything over UDP: not asked again */
};

struct check_reply {
	struct check_ask *ask;
	struct dns_exchange *open; /* NULL: over, or never asked */
	bool asked;
	struct dns_reply reply;
	struct span canonical; /* the same for the same answer */
};

/* Pointers into messages. */
struct check_set {
	const struct dns_rr **rr;
	size_t n;
};

/* One answer, and which servers give it. */
struct check_variant {
	const struct dns_message *message;
	check_mask servers;
	/* Of what is looked up, when it is judged. */
	enum dane_security security;
	enum dane_content content;
	struct check_set records;
};

/* One question to all servers of a zone. */
struct check_ask {
	struct check_chain *chain;
	struct check_zone *at;
	const char *name;
	struct span wire;
	uint16_t type;
	bool tcp, plain;             /* `plain`: without EDNS */
	struct check_reply *replies; /* one for each server */
	struct check_variant *variants;
	size_t n_variants;
	struct check_ask *next; /* of the zone */
};

/* Something to tell. Equal ones of several servers are one. */
struct check_note {
	enum check_kind kind;
	const char *subject;
	const char *record;          /* "mx.example.org A" */
	const char *tag;             /* of the key, as text; NULL */
	const char *detail;          /* NULL */
	const char *fix;             /* NULL */
	const struct check_zone *at; /* whose servers; NULL: none */
	check_mask servers;
	unsigned level; /* of detail from which it is told */
	struct check_note *next;
};

/* A signature that was looked at, for the picture. */
struct check_signed {
	const struct check_zone *by; /* whose keys it was held against */
	uint16_t covered, tag;
	uint8_t algorithm;
	bool missing; /* there is none */
	enum dns_signature result;
	const struct check_signed *next;
};

struct check_notes {
	struct check_note *first, *last;
	const struct check_signed *signatures; /* latest first */
};

struct check_zone {
	const char *name;
	struct span wire;
	struct check_zone *parent;
	struct check_server servers[CHAIN_SERVERS_MAX];
	size_t n_servers;
	const char *names[CHAIN_NAMES_MAX]; /* its NS, as the parent has them */
	size_t n_names;
	bool more_names;                   /* than are asked */
	bool is_shell;                     /* above the top: neither asked nor told of */
	bool is_known;                     /* asked and told of by an earlier walk */
	struct check_ask *asks, *last_ask; /* all that were asked of its servers */
	struct check_ask *dnskey, *soa, *soa_tcp, *ns;
	struct check_ask *nsec3param, *cds, *cdnskey; /* NULL: not asked */
	struct check_ask *ds;                         /* asked of the parent's servers */
	struct check_set ds_set;                      /* valid ones; for the root the anchors */
	enum dane_security ds_security; /* SECURE: ds_set; INSECURE: there is provably none */
	struct check_set keys;          /* with which its data is judged */
	bool has_keys;                  /* some server has a DNSKEY RRset */
	enum dane_security security;
	const char *why;             /* not secure */
	int64_t signatures_end;      /* the first, Unix seconds; 0: none seen */
	const char *signatures_over; /* whose */
	struct check_notes notes;
	struct check_zone *next;
};

enum check_role {
	ROLE_PLAIN,
	ROLE_MX,
	ROLE_A,
	ROLE_AAAA,
	ROLE_TLSA,
	ROLE_ABOVE, /* "_tcp.BASE": above a TLSA record, with no record of its own (A25, B30) */
};

struct check_lookup {
	enum check_role role;
	const char *name;
	struct span wire;
	uint16_t type;
	const char *host;            /* of ROLE_A, ROLE_AAAA, ROLE_TLSA: the MX host */
	struct check_lookup *origin; /* the one that an alias led from; NULL: asked for */
	struct check_lookup *alias;  /* where this one's leads */
	unsigned hops;
	struct check_zone *zone; /* that answered */
	struct check_ask *ask;
	enum dane_security security;
	enum dane_content content;
	const char *why;
	const char *target; /* of its CNAME or DNAME */
	struct check_set records;
	/* At the end, of one that was asked for: with all its hops; what the validator says. */
	enum dane_security whole, validator;
	const char *validator_why;
	struct dns_question *question;
	bool done;
	const char *hides; /* of ROLE_ABOVE: the TLSA record's owner; NULL: it hides none */
	check_mask hiding; /* the servers that do */
	bool elsewhere;    /* in no zone from the top down */
	struct check_notes notes;
	struct check_chain *chain;
	struct check_lookup *next;
};

/* An address of a name server that is being looked up. */
struct check_address {
	struct check_chain *chain;
	struct check_zone *zone;
	const char *name;
	struct dns_question *question;
	struct check_address *next;
};

enum chain_state {
	CHAIN_BASICS, /* ask DNSKEY, SOA, NS of the zone at its servers */
	CHAIN_BASICS_JUDGE,
	CHAIN_EDNS_JUDGE,
	CHAIN_ASK,      /* ask what is looked up at the zone's servers */
	CHAIN_CLASSIFY, /* a referral, an answer, or a zone cut that shows only so */
	CHAIN_PROBE,    /* is there a cut at the next label? */
	CHAIN_PROBE_JUDGE,
	CHAIN_CUT, /* ask for DS and NS of the zone below */
	CHAIN_CUT_JUDGE,
	CHAIN_SERVERS,   /* the addresses of its servers are there */
	CHAIN_FINISH,    /* the lookup is at its end */
	CHAIN_LOOKUP,    /* the next lookup */
	CHAIN_VALIDATOR, /* the same questions to the resolver */
	CHAIN_VALIDATOR_JUDGE,
	CHAIN_OVER,
};

struct check_chain {
	struct io_loop *loop;
	struct dns_resolver *resolver;
	struct dns_direct *direct;
	bool own_direct;
	struct check_chain_request request;
	struct arena arena;
	struct dns_verify verify;
	struct io_timer *deadline, *begin;
	check_chain_fn *fn;
	void *arg;
	enum chain_state state;
	size_t pending, n_questions, n_notes, n_signatures, n_zones, n_lookups, n_hosts;
	const char *stopped; /* a limit that left something out; NULL: none */
	bool halted;         /* and that ends the walk: questions, memory, time */
	bool untold;         /* there were more notes than CHAIN_NOTES_MAX */
	struct check_zone *zones, *last_zone, *zone; /* `zone`: the one being worked on */
	struct check_lookup *lookups, *last_lookup, *lookup;
	struct check_address *addresses;
	struct check_ask *ask; /* of the present step */
	struct check_zone *cut;
	bool referred; /* the parent's servers named those of the zone below */
	struct check_ask *cut_ns;
	const char *cut_name;
	unsigned probe, probe_end; /* labels of the name tried now, and last */
};

/* --- chain_ask.c ------------------------------------------------------------------------------ */

/* Asks all servers of the zone that are not silent; chain->pending counts the open ones. */
struct check_ask *check_chain_ask(struct check_chain *c, struct check_zone *at, const char *name,
				  uint16_t type, bool tcp, bool plain, check_mask servers);
/* Groups the answers; notes faults and differences. Once, when all are in. */
void check_chain_group(struct check_ask *a);
/* Called when the last open question of a step is answered. */
void check_chain_advance(struct check_chain *c);
struct span check_chain_wire(struct check_chain *c, const char *name);
struct check_note *check_chain_note(struct check_chain *c, struct check_notes *notes,
				    enum check_kind kind, const char *subject, const char *record,
				    const struct check_zone *at, check_mask servers);
const char *check_chain_servers(struct arena *a, const struct check_zone *z, check_mask servers);

/* --- chain_servers.c -------------------------------------------------------------------------- */

/* Handlers of the states of the same names. */
enum chain_state check_chain_basics(struct check_chain *c);
enum chain_state check_chain_basics_judge(struct check_chain *c);
enum chain_state check_chain_edns_judge(struct check_chain *c);
/* The servers that are not silent. */
check_mask check_chain_live(const struct check_zone *z);
/* "mx.example.org A" */
const char *check_chain_record(struct check_chain *c, const char *name, uint16_t type);
const char *check_chain_names(struct check_chain *c, const char *const *names, size_t n);
bool check_chain_is_signed(const struct dns_message *m);
/* Notes on single answers to one question; on what differs between servers, with `kind`. */
void check_chain_note_replies(struct check_chain *c, struct check_ask *a,
			      struct check_notes *notes);
void check_chain_note_difference(struct check_chain *c, struct check_ask *a,
				 struct check_notes *notes, enum check_kind kind);

/* --- chain_cut.c ------------------------------------------------------------------------------ */

enum chain_state check_chain_cut(struct check_chain *c);
enum chain_state check_chain_cut_judge(struct check_chain *c);
enum chain_state check_chain_servers_known(struct check_chain *c);
/* NULL: the limit of zones is reached. */
struct check_zone *check_chain_add_zone(struct check_chain *c, const char *name,
					struct check_zone *parent);
void check_chain_add_server(struct check_chain *c, struct check_zone *z, const char *name,
			    const char *address);

/* --- chain_upkeep.c --------------------------------------------------------------------------- */

/* CDS, CDNSKEY and NSEC3PARAM, where the request wants them; judged when the zone is. */
void check_chain_ask_upkeep(struct check_chain *c, struct check_zone *z);
void check_chain_judge_upkeep(struct check_chain *c, struct check_zone *z);

/* --- chain_judge.c ---------------------------------------------------------------------------- */

/* The RRset of a section; n is 0 if it is not there. */
struct check_set check_chain_set(struct check_chain *c, const struct dns_section *s,
				 struct span owner, uint16_t type);
struct check_set check_chain_signatures(struct check_chain *c, const struct dns_section *s,
					struct span owner, uint16_t type);

/* What came out for one RRset. */
struct check_proved {
	bool valid;
	unsigned labels; /* of the valid signature */
};
/* `quiet`: no notes. */
struct check_proved check_chain_prove(struct check_chain *c, struct check_zone *z,
				      const struct dns_section *s, const struct check_set *set,
				      struct check_notes *notes, check_mask servers, bool quiet);
/* The verified denial records of the authority section. */
struct dns_denial *check_chain_denial(struct check_chain *c, struct check_zone *z,
				      const struct dns_message *m, struct check_notes *notes,
				      check_mask servers);
void check_chain_note_proof(struct check_chain *c, struct check_notes *notes,
			    const struct check_zone *z, enum dns_proof p, const char *record,
			    check_mask servers);
/* Fills the lookup from the answers to its question. */
void check_chain_judge_lookup(struct check_chain *c, struct check_lookup *l);
/* Worse of two: bogus, failed, insecure, secure. */
enum dane_security check_chain_worse(enum dane_security a, enum dane_security b);

/* --- chain_keys.c ----------------------------------------------------------------------------- */

/* Of the zone: DS at its parent; DNSKEY, SOA and NS at its own servers. */
void check_chain_judge_ds(struct check_chain *c, struct check_zone *z);
void check_chain_judge_zone(struct check_chain *c, struct check_zone *z);
/* As dns_verify_ds; an anchor that is a key is a DS with the key as its digest. */
enum dns_ds_match check_chain_compare(const struct dns_ds *ds, const struct dns_rr *key);
/* -EBADMSG: a record (DS, or an anchor's DNSKEY) that cannot be read. */
int check_chain_read_ds(const struct dns_rr *rr, struct dns_ds *ret) _mustcheck_;
