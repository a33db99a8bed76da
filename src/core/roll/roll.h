/*
 * Key rollover as a machine: observations and the time go in, what to do now and why comes out.
 *
 * The promise: at every moment each TLSA set that a resolver may still hold (held.h) fits the keys
 * that are served, whatever the order of events, aborts and restarts, as long as its owner obeys:
 *
 *	roll_clock(&r, clock);                 // before every other call
 *	roll_look(), roll_probe()              // whatever was observed
 *	roll_report(&r, &report);              // what is wanted now, why, and from when it is safe
 *	case ROLL_STEP_PUBLISH: roll_publish(&r); save; send report.set to the publisher
 *	case ROLL_STEP_READY:   roll_activate(&r, ..., &e); save; serve the next bundle
 *
 * Look at every server just before roll_activate(): what others published since the last look is
 * not known otherwise. An answer whose signature does not hold now is no answer:
 * roll_look_failed().
 *
 * Save before acting: after a restart the machine then assumes that the act was begun, and it does
 * not matter whether it was. Save after each observation too (roll_save, save.c).
 *
 * One machine has one served bundle (all key types together), the addresses where it is served, and
 * the owners whose TLSA sets it fills alike: a shared set for a million domains is one owner.
 *
 * Exceptions, each stated in the report: a key that is changed by an emergency breaks what is held
 * until `outage_until`; sets or keys that others change are an alarm (`broken`).
 *
 * RFC 7671 section 8, RFC 7672 sections 2.2 and 4, matrix B1, B8-B12, B14-B17, B19, B21-B24. A
 * plain value: copying it copies the state. No pointers inside.
 */
#pragma once

#include "base/buf.h"
#include "core/roll/held.h"

enum {
	ROLL_ADDRESSES_MAX = 32,
	ROLL_SAVE_MAX = 256 * 1024, /* octets of a saved state */
};

/*
 * The time, three ways. Elapsed time is the monotonic clock's within one boot, the wall clock's
 * across boots; steps of the wall clock do nothing. A wall clock that goes back is waited for.
 */
struct roll_clock {
	usec_t unix_usec;
	usec_t mono_usec; /* counts sleep too: CLOCK_BOOTTIME */
	uint64_t boot; /* differs from boot to boot: the kernel's boot_id, hashed; 0: not known */
};

enum roll_serving {
	ROLL_SERVING_UNKNOWN, /* never seen */
	ROLL_SERVING_OTHER,   /* seen with a key that is not ours, or without TLS */
	ROLL_SERVING_ONE,     /* `bundle` */
	ROLL_SERVING_MOVING,  /* told to change: the current or the previous */
};

/* What is wanted in DNS. */
enum roll_dane {
	ROLL_DANE_AS_IS, /* what is there; nothing is published */
	ROLL_DANE_ON,    /* a set that fits */
	ROLL_DANE_OFF,   /* none: what is there is removed */
};

struct roll_address {
	bool used;
	enum roll_serving serving;
	uint64_t bundle;
	char name[ROLL_NAME_MAX];
};

struct roll {
	usec_t now;              /* the machine's own time since its birth */
	bool started;            /* a clock was read */
	struct roll_clock clock; /* the last; unix_usec never goes back */
	enum roll_dane dane;
	bool burned;                                /* the previous key is compromised */
	bool emergency;                             /* its outage is not over */
	struct roll_bundle current, next, previous; /* id 0: none */
	struct roll_address addresses[ROLL_ADDRESSES_MAX];
	struct roll_held held;
};

void roll_init(struct roll *r, const struct roll_policy *policy);
/* A new policy. Lower bounds shorten waits that are under way: they are the operator's word. */
void roll_set_policy(struct roll *r, const struct roll_policy *policy);
void roll_clock(struct roll *r, struct roll_clock clock);

/* roll_held_place() and so on, at the machine's time. */
int roll_place(struct roll *r, uint8_t owner, const char *name, size_t *ret) _mustcheck_;
void roll_leave(struct roll *r, size_t place, uint32_t ns_ttl_s);
void roll_look(struct roll *r, size_t place, const struct roll_sight *sight);
void roll_look_failed(struct roll *r, size_t place);

/* An address where clients find the service. -ENOSPC. */
int roll_address(struct roll *r, const char *name, size_t *ret) _mustcheck_;
/* Clients do not find it any more. */
void roll_address_gone(struct roll *r, size_t address);
/*
 * What an SMTP session for each key type saw there: the id of the bundle that all of it belongs to;
 * 0 when it is none of ours, or STARTTLS is not offered. Not called when no session came about.
 */
void roll_probe(struct roll *r, size_t address, uint64_t bundle);

/*
 * The bundle that is served; once, at the beginning. Afterwards it changes by roll_activate only.
 * -EINVAL: not sound, or what it publishes does not fit it; -EBUSY: there is one.
 */
int roll_serve(struct roll *r, const struct roll_bundle *current, struct err *e) _mustcheck_;
/* Allowed at any time: publishing waits by itself for what it must. */
void roll_want_dane(struct roll *r, enum roll_dane dane);

/*
 * The next bundle. -EBUSY while another is staged or a change is not yet seen everywhere; -EINVAL
 * when it is not sound, has the id of the current, or its `publish` does not fit it; -ENOENT and
 * -E2BIG by roll_set_between().
 */
int roll_stage(struct roll *r, const struct roll_bundle *next, struct err *e) _mustcheck_;

enum roll_force {
	ROLL_FORCE_NONE,
	/* Sets that do not fit the current bundle either are no reason to wait: no mail is lost. */
	ROLL_FORCE_HARMLESS,
	/* At once, the old key is compromised: matrix B22. The outage is in the report beforehand.
	 */
	ROLL_FORCE_EMERGENCY,
};

/* Change to the staged bundle. -EAGAIN: not safe yet, with the reason and the time. -ENOENT. */
int roll_activate(struct roll *r, enum roll_force force, struct err *e) _mustcheck_;
/*
 * Gives the next bundle up; after roll_activate, the change: the old bundle is to be served again.
 * -EAGAIN when that would break a held set or the staged key is already seen somewhere; -EBUSY in
 * an emergency; -ENOENT when there is nothing to give up.
 */
int roll_abort(struct roll *r, struct err *e) _mustcheck_;

enum roll_step {
	ROLL_STEP_REST,    /* all is as wanted */
	ROLL_STEP_PUBLISH, /* publish `set` at every owner */
	ROLL_STEP_LOOK,    /* look at place `place`: it is behind, or never answered */
	ROLL_STEP_PROBE,   /* probe address `address`: it must be seen with the current bundle */
	ROLL_STEP_WAIT,    /* until `safe_from` */
	ROLL_STEP_READY,   /* the next bundle may be activated */
};
const char *roll_step_to_string(enum roll_step s);

/* Times are Unix time by the present clock, rounded up; USEC_NEVER: nothing known bounds it yet. */
struct roll_report {
	enum roll_step step;
	int place, address;  /* -1: none */
	struct roll_set set; /* what should be in DNS now; to publish with `ttl_s` */
	uint32_t ttl_s;
	uint64_t bundle;      /* what should be served now */
	usec_t safe_from;     /* the next bundle may be activated; 0: none is staged */
	usec_t harmless_from; /* the same with ROLL_FORCE_HARMLESS */
	bool in_force;        /* every resolver has the set: DANE protects all senders */
	usec_t in_force_from;
	bool gone; /* no resolver has a set: TLS may be weakened, B23 */
	usec_t gone_from;
	bool broken;         /* that, or an address shows a key that is not ours */
	usec_t outage_until; /* a held set does not fit what may be served; 0: all fit */
	char why[200];
};
void roll_report(const struct roll *r, struct roll_report *ret);

/*
 * Begins to publish what roll_report() wants. Returns its number, by which a sight may say that a
 * server has it; 0 when nothing is to be published or may be.
 */
uint32_t roll_publish(struct roll *r);

/* All of it, with a version; the same state gives the same octets. */
void roll_save(const struct roll *r, struct buf *to);
/* -EINVAL: cut, of another version, or not sound; `r` is then not to be used. */
int roll_load(struct roll *r, struct span from, struct err *e) _mustcheck_;
