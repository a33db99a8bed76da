/*
 * A link with a delay, for kernels without netem: a TUN device in this network namespace, one in
 * another, and all packets between them, each so much later and in its order.
 *
 *	delay_link MICROSECONDS NEAR NETNS FAR
 *
 * NEAR, FAR: the names of the devices, which vanish with this process; NETNS: the file of the other
 * namespace. Prints "ready" when both exist; addresses and routes are the caller's affair. On
 *SIGTERM it prints how many packets went through, and how many found the link full (QUEUE in a
 *direction) and were lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

enum {
	PACKET = 2048, /* the devices' MTU is 1500 */
	QUEUE = 32768, /* packets under way in a direction */
	BATCH = 64,    /* read before the other direction has its turn */
};

struct packet {
	int64_t due; /* CLOCK_MONOTONIC, ns */
	size_t n;
	char octets[PACKET];
};

/* From one device to the other: a ring, the oldest first, which is also the first that is due. */
struct direction {
	int from, to;
	struct packet *ring;
	size_t first, n;
	size_t n_passed, n_lost;
};

static volatile sig_atomic_t stopped;
static int64_t delay_ns;

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int open_device(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (strlen(name) >= sizeof(request.ifr_name))
		bench_die("delay_link: %s: the name is too long", name);
	memcpy(request.ifr_name, name, strlen(name) + 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0)
		bench_die("delay_link: %s: %s", name, strerror(errno));
	return fd;
}

/* The device is made where the thread is at that time; its descriptor works from everywhere. */
static int open_device_in(const char *netns, const char *name)
{
	int there = open(netns, O_RDONLY | O_CLOEXEC);

	if (there < 0 || setns(there, CLONE_NEWNET) != 0)
		bench_die("delay_link: %s: %s", netns, strerror(errno));
	close(there);
	return open_device(name);
}

static void take_in(struct direction *d)
{
	char octets[PACKET];

	for (int i = 0; i < BATCH; i++) {
		ssize_t n = read(d->from, octets, sizeof(octets));
		struct packet *p = &d->ring[(d->first + d->n) % QUEUE];

		if (n <= 0)
			return;
		if (d->n == QUEUE) {
			d->n_lost++;
			continue;
		}
		p->due = now_ns() + delay_ns;
		p->n = (size_t)n;
		memcpy(p->octets, octets, p->n);
		d->n++;
	}
}

/* A packet that the other side does not take is lost, as on a link. */
static void let_out(struct direction *d, int64_t now)
{
	while (d->n > 0 && d->ring[d->first].due <= now) {
		const struct packet *p = &d->ring[d->first];

		if (write(d->to, p->octets, p->n) == (ssize_t)p->n)
			d->n_passed++;
		else
			d->n_lost++;
		d->first = (d->first + 1) % QUEUE;
		d->n--;
	}
}

/* Until the next packet is due; at most a second, so that SIGTERM between looks is seen. */
static struct timespec patience(const struct direction *directions, int64_t now)
{
	int64_t wait = 1000000000LL - 1;

	for (int i = 0; i < 2; i++) {
		const struct direction *d = &directions[i];

		if (d->n > 0 && d->ring[d->first].due - now < wait)
			wait = d->ring[d->first].due - now;
	}
	return (struct timespec){.tv_nsec = wait > 0 ? wait : 0};
}

static void on_signal(int number)
{
	(void)number;
	stopped = 1;
}

int main(int argc, char **argv)
{
	struct sigaction stop = {.sa_handler = on_signal};
	struct direction directions[2];
	int near, far;

	if (argc != 5)
		bench_die("usage: delay_link MICROSECONDS NEAR NETNS FAR");
	delay_ns = (int64_t)bench_number(argv[1]) * 1000;
	near = open_device(argv[2]);
	far = open_device_in(argv[3], argv[4]);
	directions[0] = (struct direction){.from = near, .to = far};
	directions[1] = (struct direction){.from = far, .to = near};
	for (int i = 0; i < 2; i++)
		directions[i].ring = xcalloc(QUEUE, sizeof(*directions[i].ring));
	sigaction(SIGTERM, &stop, NULL);
	printf("ready\n");
	fflush(stdout);
	while (!stopped) {
		struct pollfd fds[] = {{.fd = near, .events = POLLIN},
				       {.fd = far, .events = POLLIN}};
		struct timespec wait = patience(directions, now_ns());

		if (ppoll(fds, 2, &wait, NULL) < 0 && errno != EINTR)
			bench_die("delay_link: ppoll: %s", strerror(errno));
		for (int i = 0; i < 2; i++) {
			take_in(&directions[i]);
			let_out(&directions[i], now_ns());
		}
	}
	printf("{\"passed\": %zu, \"lost\": %zu}\n",
	       directions[0].n_passed + directions[1].n_passed,
	       directions[0].n_lost + directions[1].n_lost);
	for (int i = 0; i < 2; i++)
		free(directions[i].ring);
	return 0;
}
