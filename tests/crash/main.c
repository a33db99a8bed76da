/*
 *	crash_store full ROUNDS [SEED]
 *	crash_store kill ROUNDS [SEED]
 *	crash_store power DISK.so ROUNDS [SEED]
 */
#include "crash.h"

#include <stdio.h>
#include <string.h>

static unsigned number(const char *s)
{
	return (unsigned)strtoul(s, NULL, 10);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(verb, "work") == 0 && argc == 6)
		return work(argv[2], argv[3], number(argv[4]), number(argv[5]));
	if (strcmp(verb, "full") == 0)
		return full_rounds(number(argv[2]), argc > 3 ? number(argv[3]) : 1);
	if (strcmp(verb, "kill") == 0)
		return kill_rounds(argv[0], number(argv[2]), argc > 3 ? number(argv[3]) : 1);
	if (strcmp(verb, "power") == 0 && argc > 3)
		return power_rounds(argv[0], argv[2], number(argv[3]),
				    argc > 4 ? number(argv[4]) : 1);
	fprintf(stderr, "usage: crash_store full|kill ROUNDS [SEED] | power DISK ROUNDS [SEED]\n");
	return 64;
}
