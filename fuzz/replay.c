/*
 * Makes a fuzz target a normal program: every file below the folders and files named runs through
 * it once, whole, and cut in the middle. With libFuzzer (-Dfuzz=true) this file is not linked.
 */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long replayed;

static void replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data, *half;
	size_t n;
	long size;

	if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0) {
		perror(path);
		exit(1);
	}
	rewind(f);
	data = xmalloc((size_t)size);
	n = fread(data, 1, (size_t)size, f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, n);
	/* A copy of its own, so that a sanitizer sees a read past the cut. */
	half = xmalloc(n / 2);
	memcpy(half, data, n / 2);
	LLVMFuzzerTestOneInput(half, n / 2);
	free(half);
	free(data);
	replayed++;
}

static void replay(const char *path)
{
	char below[PATH_MAX];
	struct stat st;
	struct dirent *entry;
	DIR *dir;

	if (stat(path, &st) != 0) {
		perror(path);
		exit(1);
	}
	if (!S_ISDIR(st.st_mode)) {
		replay_file(path);
		return;
	}
	dir = opendir(path);
	if (dir == NULL) {
		perror(path);
		exit(1);
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		replay(below);
	}
	closedir(dir);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	if (replayed == 0) {
		fputs("no corpus\n", stderr);
		return 1;
	}
	printf("%lu inputs replayed\n", replayed);
	return 0;
}
