#include "main/gateway/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "core/mail/received.h"
#include "edge/io/log.h"
#include "main/gateway/control.h"
#include "main/gateway/metrics.h"
#include "main/gateway/sandbox.h"

static enum io_log_level log_level(const struct config_file *f)
{
	switch (f->log.level) {
	case CONFIG_LOG_ERROR:
		return IO_LOG_ERROR;
	case CONFIG_LOG_WARNING:
		return IO_LOG_WARNING;
	case CONFIG_LOG_INFO:
		return IO_LOG_INFO;
	case CONFIG_LOG_DEBUG:
		return IO_LOG_DEBUG;
	}
	return IO_LOG_INFO;
}

/* --- the stop --------------------------------------------------------------------------------- */

static void part_stopped(void *arg)
{
	struct gateway *g = arg;

	if (--g->stopping == 0)
		io_loop_stop(g->loop);
}

static void on_limit(void *arg)
{
	struct gateway *g = arg;

	IO_LOG(IO_LOG_WARNING, NULL, "stop_cut", {"after", IO_LOG_NUMBER(GATEWAY_STOP_MAX)});
	io_loop_stop(g->loop);
}

void gateway_stop(struct gateway *g)
{
	if (g->state == GATEWAY_STOPPING) {
		IO_LOG(IO_LOG_WARNING, NULL, "stop_now");
		io_loop_stop(g->loop);
		return;
	}
	g->state = GATEWAY_STOPPING;
	gateway_notify(g->notify, "STOPPING=1\nSTATUS=ending what is under way");
	IO_LOG(IO_LOG_INFO, NULL, "stopping");
	io_timer_set(g->limit, usec_add(io_now(g->loop), usec_seconds(GATEWAY_STOP_MAX)));
	g->stopping = g->outbound != NULL ? 2 : 1;
	gateway_inbound_stop(g->inbound, part_stopped, g);
	gateway_ports_close(&g->ports, NULL); /* or the kernel would go on taking connections */
	if (g->outbound != NULL)
		gateway_outbound_stop(g->outbound, part_stopped, g);
}

/* --- the reload ------------------------------------------------------------------------------- */

static void problem(struct config_problems *p, const char *text)
{
	config_problem_add(p, 0, 0, "%s", text);
}

/*
 * Files of the resolver are its own affair: without them it accepts all the same, and shows it.
 */
static size_t look_at_files(const struct config_file *f, struct config_problems *p)
{
	struct config_file without_dns = *f;

	without_dns.dns.root_hints = without_dns.dns.trust_anchor = NULL;
	return config_file_look_at_files(&without_dns, p);
}

/* The new file, good in every way, or NULL. */
static struct config_file *load(struct gateway *g, struct config_problems *p)
{
	_cleanup_(config_file_freep) struct config_file *f = NULL;
	const char *key;
	int error;

	f = config_file_load(g->file->path, p, &error);
	if (f == NULL)
		return NULL;
	key = config_file_needs_restart(&f->arena, g->file, f);
	if (key != NULL)
		config_problem_add(p, 0, 0,
				   "%s has changed, which takes effect at a start only: restart "
				   "daneway, or put the old value back",
				   key);
	look_at_files(f, p);
	return p->total == 0 ? TAKE(f) : NULL;
}

static bool take_over(struct gateway *g, struct config_file *f, struct config_problems *p)
{
	struct gateway_snapshot *s;
	struct err e;

	s = gateway_snapshot_new(f, g->hostname, &e);
	if (s == NULL || gateway_ports_open(&g->ports, f, &g->sockets, &g->user, &e) < 0) {
		gateway_snapshot_free(s);
		problem(p, e.text);
		return false;
	}
	gateway_inbound_replace(g->inbound, s, f, &g->ports);
	gateway_ports_close(&g->ports, f);
	if (g->outbound != NULL)
		gateway_outbound_replace(g->outbound, f);
	config_file_free(g->file);
	g->file = f;
	g->loaded = io_unix_now();
	io_log_set_level(log_level(f));
	return true;
}

static void log_problems(const struct config_problems *p, const char *path)
{
	for (size_t i = 0; i < p->n; i++)
		IO_LOG(IO_LOG_ERROR, NULL, "config_problem", {"file", path},
		       {"line", p->items[i].line > 0 ? IO_LOG_NUMBER(p->items[i].line) : NULL},
		       {"column", p->items[i].line > 0 ? IO_LOG_NUMBER(p->items[i].column) : NULL},
		       {"detail", p->items[i].text});
	if (p->total > p->n)
		IO_LOG(IO_LOG_ERROR, NULL, "config_problem", {"file", path},
		       {"more", IO_LOG_NUMBER(p->total - p->n)});
}

bool gateway_reload(struct gateway *g, struct config_problems *p)
{
	char note[80];
	struct config_file *f;
	bool ok = false;

	if (g->state != GATEWAY_RUNNING) {
		problem(p, "the gateway is stopping");
		return false;
	}
	snprintf(note, sizeof(note), "RELOADING=1\nMONOTONIC_USEC=%lld",
		 (long long)io_now(g->loop));
	gateway_notify(g->notify, note);
	f = load(g, p);
	if (f != NULL) {
		ok = take_over(g, f, p);
		if (!ok)
			config_file_free(f);
	}
	log_problems(p, g->file->path);
	g->refused = !ok;
	if (ok)
		IO_LOG(IO_LOG_INFO, NULL, "reloaded", {"file", g->file->path});
	else
		IO_LOG(IO_LOG_ERROR, NULL, "reload_refused", {"file", g->file->path},
		       {"read_as", g->user.change ? g->user.name : NULL},
		       {"detail", "the old configuration stays in force"});
	gateway_notify(g->notify, ok ? "READY=1\nSTATUS=serving"
				     : "READY=1\nSTATUS=serving; the last reload was refused");
	return ok;
}

/* --- signals ---------------------------------------------------------------------------------- */

static void on_signal(void *arg, unsigned ready)
{
	struct gateway *g = arg;
	struct signalfd_siginfo info;
	struct config_problems p = {0};

	(void)ready;
	if (read(g->signals, &info, sizeof(info)) != sizeof(info))
		return;
	IO_LOG(IO_LOG_INFO, NULL, "signal", {"name", sigabbrev_np((int)info.ssi_signo)},
	       {"pid", IO_LOG_NUMBER(info.ssi_pid)}, {"uid", IO_LOG_NUMBER(info.ssi_uid)});
	if (info.ssi_signo != SIGHUP) {
		gateway_stop(g);
		return;
	}
	gateway_reload(g, &p);
	config_problems_done(&p);
}

/* Before the first thread, which inherits it. */
static int signals_block(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	require(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void on_watchdog(void *arg)
{
	struct gateway *g = arg;

	gateway_notify(g->notify, "WATCHDOG=1");
	io_timer_set(g->watchdog, usec_add(io_now(g->loop), gateway_watchdog_interval()));
}

/* --- the start -------------------------------------------------------------------------------- */

static enum gateway_end end_of(int error, enum gateway_end otherwise)
{
	return error == -EACCES || error == -EPERM ? GATEWAY_NOT_ALLOWED : otherwise;
}

static enum gateway_end problems_to_err(struct config_problems *p, const char *path, struct err *e)
{
	log_problems(p, path);
	err_set(e, -EINVAL, "%s%s", p->items[0].text, p->total > 1 ? " (and more)" : "");
	config_problems_done(p);
	return GATEWAY_BAD_CONFIG;
}

static int metrics_socket(struct gateway *g, struct err *e)
{
	const struct config_endpoint *at = &g->file->metrics.listen;
	int fd;

	if (at->kind == CONFIG_ENDPOINT_SYSTEMD) {
		fd = gateway_sockets_find(&g->sockets, at->name);
		return fd >= 0 ? fd
			       : err_set(e, -ENOENT,
					 "metrics: systemd has handed over no socket %s", at->name);
	}
	fd = gateway_port_socket(at, false, false, e);
	if (fd >= 0 && at->kind == CONFIG_ENDPOINT_UNIX &&
	    gateway_socket_give(at->name, &g->user, e) < 0) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

/*
 * Files that root could read and the user cannot: every reload would be refused. To keep the old
 * keys then would be worse: the new ones may be what is published.
 */
static void warn_of_reload(const struct gateway *g)
{
	struct config_problems p = {0};

	look_at_files(g->file, &p);
	for (size_t i = 0; i < p.n; i++)
		IO_LOG(IO_LOG_WARNING, NULL, "reload_will_fail", {"user", g->user.name},
		       {"detail", p.items[i].text},
		       {"mend", "let this user own the file, or use systemd's LoadCredential="});
	config_problems_done(&p);
}

/* What the file names now: a reload reads what is beside it too, and nothing elsewhere. */
static void set_folders(const struct gateway *g, struct gateway_sandbox *s, struct arena *a)
{
	const struct config_file *f = g->file;

	gateway_sandbox_write(s, a, f->state);
	gateway_sandbox_write(s, a, f->queue.directory);
	gateway_sandbox_read(s, a, f->path);
	gateway_sandbox_read(s, a, g->dns.root_hints);
	gateway_sandbox_read(s, a, g->dns.trust_anchor);
	for (size_t i = 0; i < f->certificates.n; i++) {
		gateway_sandbox_read(s, a, f->certificates.items[i].chain);
		gateway_sandbox_read(s, a, f->certificates.items[i].key);
	}
	for (size_t i = 0; i < f->domains.n; i++)
		gateway_sandbox_read(s, a, f->domains.items[i].recipients);
	for (size_t i = 0; i < f->listeners.n; i++) {
		gateway_sandbox_read(s, a, f->listeners.items[i].passwords);
		if (f->listeners.items[i].at.kind == CONFIG_ENDPOINT_UNIX)
			gateway_sandbox_socket(s, a, f->listeners.items[i].at.name);
	}
}

static int enter_sandbox(const struct gateway *g, struct err *e)
{
	struct gateway_sandbox s = {0};
	struct arena a = {0};
	int landlock, r;
	bool seccomp;

	set_folders(g, &s, &a);
	r = gateway_sandbox_enter(&s, &landlock, &seccomp, e);
	arena_done(&a);
	if (r < 0)
		return r;
	IO_LOG(landlock > 0 && seccomp ? IO_LOG_INFO : IO_LOG_WARNING, NULL, "sandbox",
	       {"landlock", landlock > 0 ? IO_LOG_NUMBER(landlock) : "none"},
	       {"seccomp", seccomp ? "yes" : "none"});
	return 0;
}

static int confine_hooks(void *arg, struct err *e)
{
	return gateway_privileges_drop(arg, e);
}

/* Before all else: it has what this process has at that moment. */
static enum gateway_end fork_hooks(struct gateway *g, const struct gateway_start *start,
				   struct err *e)
{
	struct gateway_user user;
	int r;

	if (start->n_hooks == 0)
		return GATEWAY_ENDED;
	r = gateway_user_find(g->file->user, &user, e);
	if (r < 0)
		return end_of(r, GATEWAY_BAD_CONFIG);
	g->hooks = io_hooks_fork(start->hooks, start->n_hooks, confine_hooks, &user, e);
	return g->hooks != NULL ? GATEWAY_ENDED : GATEWAY_UNAVAILABLE;
}

/* What takes root, or what root may read: then root is gone. */
static enum gateway_end prepare(struct gateway *g, struct gateway_snapshot **ret, struct err *e)
{
	struct config_problems p = {0};
	int r;

	if (look_at_files(g->file, &p) > 0)
		return problems_to_err(&p, g->file->path, e);
	r = gateway_user_find(g->file->user, &g->user, e);
	if (r < 0)
		return end_of(r, GATEWAY_BAD_CONFIG);
	r = gateway_ports_open(&g->ports, g->file, &g->sockets, &g->user, e);
	if (r < 0)
		return end_of(r, GATEWAY_UNAVAILABLE);
	if (g->file->metrics.listen.kind != CONFIG_ENDPOINT_NONE) {
		g->metrics_fd = metrics_socket(g, e);
		if (g->metrics_fd < 0)
			return end_of(g->metrics_fd, GATEWAY_UNAVAILABLE);
	}
	*ret = gateway_snapshot_new(g->file, g->hostname, e);
	if (*ret == NULL)
		return GATEWAY_BAD_CONFIG;
	r = gateway_folder_make(g->file->state, &g->user, e);
	if (r == 0)
		r = gateway_folder_make(g->file->queue.directory, &g->user, e);
	if (r < 0)
		return end_of(r, GATEWAY_UNAVAILABLE);
	if (g->user.change && g->user.uid == 0)
		IO_LOG(IO_LOG_WARNING, NULL, "runs_as_root",
		       {"detail", "the file says user: root"});
	r = gateway_privileges_drop(&g->user, e);
	if (r < 0)
		return GATEWAY_NOT_ALLOWED;
	warn_of_reload(g);
	if (g->file->sandbox && enter_sandbox(g, e) < 0)
		return GATEWAY_UNAVAILABLE;
	return GATEWAY_ENDED;
}

static void stored(void *arg)
{
	struct gateway *g = arg;

	if (g->outbound != NULL)
		gateway_outbound_wake(g->outbound);
}

static enum gateway_end begin(struct gateway *g, struct gateway_snapshot *s, struct err *e)
{
	uint64_t free_space = (uint64_t)g->file->queue.free_space;
	/*
	 * What a client may send, with the trace that is put before it. Below free_space nothing
	 * new is taken; what was under way then leaves the reserve.
	 */
	struct store_options o = {
		.directory = g->file->queue.directory,
		.body_max = (uint64_t)g->file->limits.message_size + MAIL_RECEIVED_MAX,
		.reserve = free_space < STORE_RESERVE ? free_space : STORE_RESERVE};
	struct gateway_inbound_env env;
	int r;

	r = store_open(&o, g->loop, &g->store, e);
	if (r < 0) {
		gateway_snapshot_free(s);
		return end_of(r, GATEWAY_UNAVAILABLE);
	}
	env = (struct gateway_inbound_env){g->loop, g->store, stored, g, g->hostname};
	g->inbound = gateway_inbound_new(&env, s, g->file, &g->ports, e);
	if (g->inbound == NULL)
		return GATEWAY_UNAVAILABLE;
	g->control = gateway_control_new(g, e);
	if (g->control == NULL)
		return GATEWAY_UNAVAILABLE;
	if (g->metrics_fd >= 0)
		g->metrics = gateway_metrics_new(g, g->metrics_fd);
	g->metrics_fd = -1;
	g->signal_watch = io_watch_new(g->loop, g->signals, on_signal, g);
	io_watch_set(g->signal_watch, IO_READ);
	g->limit = io_timer_new(g->loop, on_limit, g);
	if (gateway_watchdog_interval() != USEC_NEVER) {
		g->watchdog = io_timer_new(g->loop, on_watchdog, g);
		on_watchdog(g);
	}
	return GATEWAY_ENDED;
}

/* "mx [::]:25, relay 192.0.2.1:25" */
static void log_ready(struct gateway *g)
{
	struct buf list;
	char name[160];

	buf_init(&list, IO_LOG_VALUE_MAX * 2);
	for (size_t i = 0; i < g->file->listeners.n; i++) {
		const struct config_listener *l = &g->file->listeners.items[i];
		const struct gateway_port *p = gateway_ports_find(&g->ports, l->at.text);

		for (size_t j = 0; p != NULL && j < p->n_fds; j++) {
			gateway_port_name(p->fds[j], name, sizeof(name));
			(void)!buf_printf(&list, "%s%s %s", list.n > 0 ? ", " : "",
					  l->is_mx ? "mx" : "relay", name);
		}
	}
	(void)!buf_add(&list, "", 1);
	IO_LOG(IO_LOG_INFO, NULL, "ready", {"version", DANEWAY_VERSION}, {"hostname", g->hostname},
	       {"pid", IO_LOG_NUMBER(getpid())}, {"listeners", (const char *)list.p},
	       {"state", g->file->state});
	buf_done(&list);
}

/* Handed over for nothing: a unit that does not fit the file. */
static void log_unused(const struct gateway *g)
{
	struct buf list;

	buf_init(&list, IO_LOG_VALUE_MAX * 2);
	for (size_t i = 0; i < g->sockets.n; i++)
		if (g->sockets.items[i].fd >= 0)
			(void)!buf_printf(&list, "%s%s", list.n > 0 ? "," : "",
					  g->sockets.items[i].name);
	if (list.n > 0 && buf_add(&list, "", 1) == 0)
		IO_LOG(IO_LOG_WARNING, NULL, "sockets_unused", {"names", (const char *)list.p});
	buf_done(&list);
}

static void finish(struct gateway *g)
{
	g->control = gateway_control_free(g->control);
	g->metrics = gateway_metrics_free(g->metrics);
	g->hooks = io_hooks_free(g->hooks);
	if (g->metrics_fd >= 0)
		close(g->metrics_fd);
	g->inbound = gateway_inbound_free(g->inbound);
	g->outbound = gateway_outbound_free(g->outbound);
	gateway_health_stop(g);
	g->store = store_close(g->store);
	io_watch_free(g->signal_watch);
	io_timer_free(g->limit);
	io_timer_free(g->watchdog);
	gateway_ports_close(&g->ports, NULL);
	gateway_sockets_done(&g->sockets);
	g->loop = io_loop_free(g->loop);
	config_file_free(g->file);
	if (g->signals >= 0)
		close(g->signals);
	if (g->notify >= 0)
		close(g->notify);
}

enum gateway_end gateway_serve(const struct gateway_start *start, struct err *e)
{
	struct gateway g = {.file = start->file,
			    .hostname = start->hostname,
			    .dns = start->dns,
			    .metrics_fd = -1};
	struct gateway_snapshot *s = NULL;
	enum gateway_end end;

	umask(077);
	io_log_set_level(log_level(g.file));
	end = fork_hooks(&g, start, e);
	g.sockets = gateway_sockets_take();
	g.notify = gateway_notify_open();
	g.signals = signals_block();
	require(g.signals >= 0);
	io_raise_descriptor_limit();
	g.loop = io_loop_new();
	if (g.hooks != NULL)
		io_hooks_attach(g.hooks, g.loop, NULL, NULL);
	g.started = g.loaded = io_unix_now();
	if (end == GATEWAY_ENDED)
		end = prepare(&g, &s, e);
	if (end == GATEWAY_ENDED)
		end = begin(&g, TAKE(s), e);
	gateway_snapshot_free(s);
	if (end == GATEWAY_ENDED) {
		g.state = GATEWAY_RUNNING;
		log_ready(&g);
		log_unused(&g);
		gateway_notify(g.notify, "READY=1\nSTATUS=serving");
		gateway_health_start(&g);
		io_loop_run(g.loop);
		IO_LOG(IO_LOG_INFO, NULL, "stopped");
	}
	finish(&g);
	return end;
}
