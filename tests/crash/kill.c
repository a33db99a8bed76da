/* kill -9 at any moment, again and again on the same queue. */
#include "crash.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	ROUNDS_A_QUEUE = 25, /* then a new one: the start of a queue is cut too */
};

static int one_round(const char *program, const char *directory, const char *notes, unsigned seed,
		     struct tally *t)
{
	struct timespec wait = {.tv_nsec = 1000 * (rand() % 60000)};
	struct err e;
	char text[20];
	pid_t child = fork();

	if (child == 0) {
		snprintf(text, sizeof(text), "%u", seed);
		execl(program, program, "work", directory, notes, text, "0", (char *)NULL);
		_exit(127);
	}
	nanosleep(&wait, NULL);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	if (judge(directory, notes, SIZE_MAX, t, &e) < 0) {
		fprintf(stderr, "seed %u: %s (queue in %s)\n", seed, e.text, directory);
		return -1;
	}
	return 0;
}

int kill_rounds(const char *program, unsigned rounds, unsigned seed)
{
	/* kill -9 loses no page cache: the disk plays no part. */
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	struct tally sum = {0}, t = {0};
	char top[60], directory[100], notes[100], command[140];

	srand(seed);
	for (unsigned i = 0; i < rounds; i++) {
		if (i % ROUNDS_A_QUEUE == 0) {
			snprintf(top, sizeof(top), "%s/daneway-kill-XXXXXX", base);
			require(mkdtemp(top) != NULL);
			snprintf(directory, sizeof(directory), "%s/queue", top);
			snprintf(notes, sizeof(notes), "%s/notes", top);
		}
		if (one_round(program, directory, notes, seed + i, &t) < 0)
			return 1;
		if (i % ROUNDS_A_QUEUE == ROUNDS_A_QUEUE - 1 || i == rounds - 1) {
			sum.stored += t.stored;
			sum.delivered += t.delivered;
			sum.again += t.again;
			snprintf(command, sizeof(command), "rm -rf %s", top);
			require(system(command) == 0);
		}
	}
	if (sum.stored < rounds) {
		fprintf(stderr, "only %zu messages in %u rounds: nothing is proven\n",
			(size_t)sum.stored, rounds);
		return 1;
	}
	printf("kill -9: %u rounds, %zu accepted, 0 lost, %zu deliveries recorded, %zu "
	       "duplicates\n",
	       rounds, (size_t)sum.stored, (size_t)sum.delivered, (size_t)sum.again);
	return 0;
}
