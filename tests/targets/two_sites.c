/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * two_sites [CYCLES]: holds what its two sites allocate, all of it known. Waits for a line on
 * stdin before it begins and after each cycle; says "ready", then "held KEEP HOARD" in bytes.
 * keep_small() allocates 10000 blocks of 256 bytes a cycle, hoard_large() 40 of 100000, written to;
 * a third, churn(), frees everything it allocates. At the end of stdin it exits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL	256
#define N_SMALL 10000
#define LARGE	100000
#define N_LARGE 40

static void *last; /* so that nothing is optimised away */

static void *take(size_t size)
{
	void *p = malloc(size);

	if (!p)
		exit(1);
	memset(p, 0x5a, size);
	*(void **)p = last;
	return p;
}

__attribute__((noinline)) static void keep_small(void)
{
	for (int i = 0; i < N_SMALL; i++)
		last = take(SMALL);
}

__attribute__((noinline)) static void hoard_large(void)
{
	for (int i = 0; i < N_LARGE; i++)
		last = take(LARGE);
}

__attribute__((noinline)) static void churn(void)
{
	for (int i = 0; i < 1000; i++) {
		void *volatile p = malloc(333);

		free(p);
	}
}

int main(void)
{
	char line[16];
	unsigned long cycles = 0;

	/* stdio's own buffers come first */
	setvbuf(stdout, NULL, _IOLBF, 256);
	setvbuf(stdin, NULL, _IONBF, 0);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		keep_small();
		hoard_large();
		churn();
		cycles++;
		printf("held %lu %lu\n", cycles * SMALL * N_SMALL, cycles * LARGE * N_LARGE);
	}
	return 0;
}
