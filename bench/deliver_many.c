/*
 * Many deliveries at once from one process, by the code of `daneway deliver` (jobs/send), on one
 * loop, one resolver, one TLS context. A first pass, not measured, warms DNS and memory; the
 * second one is measured.
 *
 *	deliver_many ROOT_HINTS TRUST_ANCHOR OCTETS WARM_IN_FLIGHT IN_FLIGHT [memory] < DOMAINS
 *
 * Every delivery must end delivered and authenticated by DANE, or the run is void.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common.h"
#include "core/mail/address.h"
#include "jobs/send/send.h"

enum {
	SAMPLE = 5000, /* microseconds between two looks at the memory */
};

static struct {
	struct send_env env;
	struct send_options options;
	struct mail_address from;
	struct arena arena;
	int body;
	uint64_t size;
	struct bench_list domains;
	size_t next, in_flight, n_done;
	struct bench_cost cost;
	struct io_timer *sampling;
} run;

struct delivery {
	struct arena arena;
	struct mail_address to;
	struct send_message message;
	struct send *send;
};

static void begin_next(void);

static void on_end(void *arg)
{
	struct delivery *d = arg;

	send_free(d->send);
	arena_done(&d->arena);
	free(d);
	run.in_flight--;
	run.n_done++;
	begin_next();
	if (run.in_flight == 0)
		io_loop_stop(run.env.loop);
}

static void on_sent(void *arg, const struct send_result *r)
{
	struct delivery *d = arg;

	if (r->outcome != SEND_DELIVERED)
		bench_die("%s: %s", d->to.path, r->detail);
	if (r->n_attempts != 1 || r->attempts[0]->level != DANE_LEVEL_DANE ||
	    r->attempts[0]->authenticated == NULL ||
	    strcmp(r->attempts[0]->authenticated, "dane-ee") != 0)
		bench_die("%s: delivered, but not by DANE at once", d->to.path);
	io_defer(run.env.loop, on_end, d);
}

static void begin_next(void)
{
	struct delivery *d;
	const char *address;
	struct err e;

	if (run.next == run.domains.n)
		return;
	d = xcalloc(1, sizeof(*d));
	address = arena_printf(&d->arena, "user@%s", run.domains.lines[run.next++]);
	if (mail_address_parse(&d->arena, span_text(address), &d->to, &e) < 0)
		bench_die("%s: %s", address, e.text);
	d->message = (struct send_message){
		.from = &run.from, .to = &d->to, .n_to = 1, .body = run.body, .size = run.size};
	run.in_flight++;
	d->send = send_new(&run.env, &d->message, &run.options, on_sent, d);
}

static void pass(size_t most)
{
	run.next = run.n_done = 0;
	while (run.in_flight < most && run.next < run.domains.n)
		begin_next();
	io_loop_run(run.env.loop);
	if (run.n_done != run.domains.n)
		bench_die("%zu of %zu deliveries ended", run.n_done, run.domains.n);
}

static void on_sample(void *arg)
{
	(void)arg;
	bench_cost_sample_memory(&run.cost);
	io_timer_set(run.sampling, usec_add(io_now(run.env.loop), SAMPLE));
}

static void set_up(const char *root_hints, const char *trust_anchor, size_t size)
{
	struct dns_config dns = {.root_hints = root_hints,
				 .trust_anchor = trust_anchor,
				 .timeout = usec_seconds(30)};
	static const char own_name[] = "sender.lab.invalid";
	struct send_options *o = &run.options;
	char *text = bench_message(size);
	struct err e;

	run.size = size;
	run.body = memfd_create("message", MFD_CLOEXEC);
	if (run.body < 0 || write(run.body, text, size) != (ssize_t)size)
		bench_die("the message cannot be stored");
	free(text);
	run.env.loop = io_loop_new();
	run.env.resolver = dns_resolver_new(run.env.loop, &dns, &e);
	if (run.env.resolver == NULL)
		bench_die("%s", e.text);
	run.env.tls = tls_context_new(&e);
	if (run.env.tls == NULL)
		bench_die("%s", e.text);
	o->request = (struct dane_request){.port = 25, .own_name = own_name};
	o->connect_timeout = usec_seconds(30);
	o->deadline = USEC_NEVER;
	if (mail_domain_parse(&run.arena, span_text(own_name), &o->helo, &e) < 0 ||
	    mail_address_parse(&run.arena, span_text("bench@sender.lab.invalid"), &run.from, &e) <
		    0)
		bench_die("%s", e.text);
}

int main(int argc, char **argv)
{
	bool memory = argc == 7 && strcmp(argv[6], "memory") == 0;

	if (argc != 6 && !memory)
		bench_die("usage: deliver_many ROOT_HINTS TRUST_ANCHOR OCTETS WARM_IN_FLIGHT "
			  "IN_FLIGHT [memory] < DOMAINS");
	tls_init();
	run.domains = bench_read_list();
	set_up(argv[1], argv[2], bench_number(argv[3]));
	pass(bench_number(argv[4]));
	if (memory) {
		run.sampling = io_timer_new(run.env.loop, on_sample, NULL);
		io_timer_set(run.sampling, 0);
	}
	bench_cost_begin(&run.cost);
	pass(bench_number(argv[5]));
	bench_cost_print(&run.cost, run.n_done);
	io_timer_free(run.sampling);
	dns_resolver_free(run.env.resolver);
	tls_context_free(run.env.tls);
	io_loop_free(run.env.loop);
	arena_done(&run.arena);
	close(run.body);
	return 0;
}
