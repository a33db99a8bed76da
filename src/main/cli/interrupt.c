#include "main/cli/interrupt.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct cli_interrupt {
	int fd;
	struct io_watch *watch;
	sigset_t before;
	io_fn *fn;
	void *arg;
};

static void on_signal(void *arg, unsigned ready)
{
	struct cli_interrupt *i = arg;
	struct signalfd_siginfo info;

	(void)ready;
	if (read(i->fd, &info, sizeof(info)) != sizeof(info))
		return;
	pthread_sigmask(SIG_SETMASK, &i->before, NULL);
	i->fn(i->arg);
}

struct cli_interrupt *cli_interrupt_new(struct io_loop *l, io_fn *fn, void *arg)
{
	struct cli_interrupt *i = xcalloc(1, sizeof(*i));
	sigset_t set;

	i->fn = fn;
	i->arg = arg;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	i->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (i->fd < 0) { /* then they end the process, as ever */
		free(i);
		return NULL;
	}
	pthread_sigmask(SIG_BLOCK, &set, &i->before);
	i->watch = io_watch_new(l, i->fd, on_signal, i);
	io_watch_set(i->watch, IO_READ);
	return i;
}

struct cli_interrupt *cli_interrupt_free(struct cli_interrupt *i)
{
	if (i == NULL)
		return NULL;
	io_watch_free(i->watch);
	close(i->fd);
	pthread_sigmask(SIG_SETMASK, &i->before, NULL);
	free(i);
	return NULL;
}
